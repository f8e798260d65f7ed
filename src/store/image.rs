//! What is written of a hash, and what a hash is made of that comes from outside: whole, with all its expiries, due or not.

use super::access::AccessClock;
use super::change::{Effect, Event};
use super::database::{Database, Usage};
use super::entry::{self, Body, Packed, Record, RecordFlags, TableRecord};
use super::hash::packed::{self, Encoded, Tail};
use super::hash::table::Table;
use super::hash::template::Wanted;
use super::hash::{HashView, Value, fits_packed};
use super::keyspace::SHARDS;
use super::scratch;
use super::transfer::Replace;
use crate::base::clock::UnixMillis;

/// More than access clocks tell: what has idled for longer is taken to have idled for so long.
const MOST_IDLE_SECONDS: i64 = (1 << 24) - 1;

/// The encoding that Redis would use for a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// A small hash none of whose fields has ever had an expiry.
    Listpack,
    /// A small hash of which some have.
    ListpackEx,
    /// A big one.
    Hashtable,
}

impl Encoding {
    pub(super) fn of_flags(flags: RecordFlags) -> Self {
        if flags.contains(RecordFlags::REPORT_HASHTABLE) {
            Self::Hashtable
        } else if flags.contains(RecordFlags::REPORT_EXPIRIES) {
            Self::ListpackEx
        } else {
            Self::Listpack
        }
    }

    /// The name by which OBJECT ENCODING knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Listpack => "listpack",
            Self::ListpackEx => "listpackex",
            Self::Hashtable => "hashtable",
        }
    }
}

/// A field as it is written: name, value, expiry.
pub type ImageField<'a> = (&'a [u8], Value<'a>, Option<UnixMillis>);

/// A hash to be written.
#[derive(Debug, Clone, Copy)]
pub struct HashImage<'a> {
    body: Body<'a>,
}

impl<'a> HashImage<'a> {
    /// Its encoding.
    pub fn encoding(&self) -> Encoding {
        Encoding::of_flags(match self.body {
            Body::Packed(packed) => packed.flags(),
            Body::Table(record) => record.flags,
        })
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        match self.body {
            Body::Packed(packed) => packed.count(),
            Body::Table(record) => record.table.len(),
        }
    }

    /// Whether there are no fields, which no hash is without.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its fields in their order.
    pub fn fields(&self) -> impl Iterator<Item = ImageField<'a>> + use<'a> {
        let (packed, table) = match self.body {
            Body::Packed(packed) => (Some(packed.entries()), None),
            Body::Table(record) => (None, Some(record.table.iter())),
        };
        let packed = packed.into_iter().flatten().map(|entry| (entry.field, entry.value, entry.expiry));
        packed.chain(table.into_iter().flatten().map(|entry| (entry.field, entry.value, entry.expiry)))
    }

    /// Whether its fields are in order of their expiries, those that have none last.
    pub fn is_by_expiry(&self) -> bool {
        matches!(self.body, Body::Packed(_))
    }

    /// The earliest expiry of a field.
    pub fn first_expiry(&self) -> Option<UnixMillis> {
        match self.body {
            Body::Packed(packed) if !packed.has_field_expiries() => None,
            Body::Packed(packed) => packed.entries().filter_map(|entry| entry.expiry).min(),
            Body::Table(record) => record.table.first_expiry(),
        }
    }
}

impl<'a> HashView<'a> {
    /// The hash to be written; `None` if the key is missing.
    pub fn image(&self) -> Option<HashImage<'a>> {
        self.body.map(|body| HashImage { body })
    }
}

/// A key to be written, as it was at some time.
#[derive(Debug)]
pub struct KeyImage(Record);

impl KeyImage {
    pub(super) fn of(record: &Record) -> Self {
        Self(record.duplicate())
    }

    /// Its name.
    pub fn key(&self) -> &[u8] {
        self.0.key()
    }

    /// When it expires.
    pub fn expiry(&self) -> Option<UnixMillis> {
        self.0.key_expiry()
    }

    /// How it has been used, if that is `kept`.
    pub fn usage(&self, kept: KeptUsage, now: UnixMillis) -> Option<Usage> {
        let access = self.0.access();
        match kept {
            KeptUsage::None => None,
            KeptUsage::IdleSeconds => Some(Usage::IdleSeconds(access.seconds_until(AccessClock::at(now)))),
            KeptUsage::Frequency { decay_minutes } => Some(Usage::Frequency(access.count(decay_minutes, now))),
        }
    }

    /// What it holds.
    pub fn hash(&self) -> HashImage<'_> {
        HashImage { body: self.0.body() }
    }
}

/// What of the use of keys is kept with them: what the eviction policy will want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptUsage {
    /// Nothing.
    None,
    /// Seconds since they were used.
    IdleSeconds,
    /// How often they are used.
    Frequency {
        /// `lfu-decay-time`
        decay_minutes: usize,
    },
}

/// A field that comes from outside.
#[derive(Debug, Clone, Copy)]
pub struct NewField<'a> {
    /// Its name, which no other field of the hash has.
    pub field: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
    /// Its expiry.
    pub expiry: Option<UnixMillis>,
}

/// A key that comes from outside.
#[derive(Debug, Clone, Copy)]
pub struct NewHash<'a> {
    /// Its name.
    pub key: &'a [u8],
    /// When it expires.
    pub expiry: Option<UnixMillis>,
    /// How it has been used, if that is known.
    pub usage: Option<Usage>,
    /// Its fields, of which there is at least one.
    pub fields: &'a [NewField<'a>],
    /// Whether its encoding is one of those for expiries.
    pub has_expiries: bool,
    /// Whether long fields and values, and not only their number, make it a hashtable.
    pub is_measured: bool,
}

/// What has come of [`Database::remove_if`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoveIf {
    /// The key is gone.
    Removed,
    /// There was no such key.
    Missing,
    /// It is not the one that is meant.
    Changed,
}

impl Database<'_> {
    /// Adds a key; false, and nothing done, if there is one of that name that may not be replaced.
    pub fn restore(&mut self, new: &NewHash<'_>, replace: Replace) -> bool {
        let record = self.record_of(new);
        let replaced = self.with_record(new.key, |this, shard, hash| {
            let exists = this.live(shard, hash, new.key).is_some();
            if exists && replace == Replace::No {
                return Err(record);
            }
            let replaced = this.take(shard, hash, new.key);
            this.put(shard, hash, record);
            this.log_new(new, replaced.is_some());
            this.count_changes(1);
            this.record(new.key, Event::New, &[]);
            this.record(new.key, Event::Restore, &[]);
            Ok(replaced)
        });
        match replaced {
            Ok(replaced) => {
                if let Some(record) = replaced {
                    self.dispose(record);
                }
                true
            }
            Err(_) => false,
        }
    }

    /// Lets a key that comes from outside be logged.
    fn log_new(&self, new: &NewHash<'_>, replaces: bool) {
        if replaces {
            self.log(Effect::Delete(new.key));
        }
        for field in new.fields {
            self.log(Effect::Set(new.key, field.field, field.value));
        }
        for field in new.fields {
            if let Some(at) = field.expiry {
                self.log(Effect::ExpireField(new.key, field.field, at));
            }
        }
        if let Some(at) = new.expiry {
            self.log(Effect::Expire(new.key, at));
        }
    }

    /// Removes a key if `is_same` says of it and of its expiry that it is the one that is meant.
    pub fn remove_if(
        &mut self,
        key: &[u8],
        is_same: impl FnOnce(&HashImage<'_>, Option<UnixMillis>) -> bool,
    ) -> RemoveIf {
        let removed = self.with_record(key, |this, shard, hash| {
            let record = this.live(shard, hash, key).ok_or(RemoveIf::Missing)?;
            if !is_same(&HashImage { body: record.body() }, record.key_expiry()) {
                return Err(RemoveIf::Changed);
            }
            let record = this.take(shard, hash, key);
            this.count_changes(1);
            this.record(key, Event::Del, &[]);
            this.log(Effect::Delete(key));
            Ok(record)
        });
        match removed {
            Ok(record) => {
                if let Some(record) = record {
                    self.dispose(record);
                }
                RemoveIf::Removed
            }
            Err(why_not) => why_not,
        }
    }

    /// Makes room for so many keys more, so that tables need not grow while they come.
    pub fn reserve(&mut self, keys: usize) {
        for index in 0..SHARDS {
            self.with_shard(index, |shard| {
                shard.reserve(keys / SHARDS, |(record, ())| self.keyspace.hasher.hash(record.key()));
            });
        }
    }

    /// Adds a key while nobody is to hear of it; false if there is one of that name.
    pub fn load(&mut self, new: &NewHash<'_>) -> bool {
        let record = self.record_of(new);
        self.with_record(new.key, |this, shard, hash| {
            if shard.find(hash, |(record, ())| record.key() == new.key).is_some() {
                return false;
            }
            this.put(shard, hash, record);
            true
        })
    }

    fn record_of(&self, new: &NewHash<'_>) -> Record {
        let limits = self.keyspace.limits();
        let longest = || new.fields.iter().map(|field| field.field.len().max(field.value.len())).max().unwrap_or(0);
        let mut flags = RecordFlags::empty();
        let is_hashtable = new.fields.len() > limits.max_listpack_entries
            || (new.is_measured && longest() > limits.max_listpack_value);
        flags.set(RecordFlags::REPORT_HASHTABLE, is_hashtable);
        if new.has_expiries {
            flags |= RecordFlags::REPORT_EXPIRIES;
            entry::note_expiries();
        }
        let access = new.usage.and_then(|usage| self.clock_of(usage)).unwrap_or_else(|| self.fresh_clock());
        let bytes: usize = new.fields.iter().map(|field| field.field.len() + field.value.len() + 4).sum();
        let fits = |shares_names| fits_packed(new.fields.len(), bytes + new.key.len(), is_hashtable, shares_names);
        // Only at the end is it known whether it shares its names.
        if !fits(true) {
            return self.table_of(new, flags, access);
        }
        let has_expiries = new.fields.iter().any(|field| field.expiry.is_some());
        let mut draft = scratch::take();
        entry::begin_draft(&mut draft, new.key, access, new.expiry);
        let entries_start = draft.len();
        let mut push = |field: &NewField<'_>| {
            let tail = if has_expiries { Tail::Expiry(field.expiry) } else { Tail::None };
            packed::push_entry(&mut draft, field.field, &Encoded::new(field.value), tail);
        };
        if has_expiries {
            // Those that expire come first, the soonest at the front.
            let mut sorted: Vec<&NewField<'_>> = new.fields.iter().collect();
            sorted.sort_by_key(|field| (field.expiry.is_none(), field.expiry));
            sorted.into_iter().for_each(&mut push);
        } else {
            new.fields.iter().for_each(&mut push);
        }
        entry::set_draft_count(&mut draft, new.fields.len());
        let mut draft_flags = flags;
        draft_flags.set(RecordFlags::FIELD_EXPIRY, has_expiries);
        let draft_flags = draft_flags | Packed::without_template(&draft, entries_start).flags();
        entry::set_draft_flags(&mut draft, draft_flags);
        let record = Record::of_draft(Packed::without_template(&draft, entries_start), Wanted::Often);
        scratch::keep(draft);
        if fits(record.shares_names()) { record } else { self.table_of(new, flags, access) }
    }

    /// The access clock of a key that has been used so, if that is what access clocks tell.
    pub(super) fn clock_of(&self, usage: Usage) -> Option<AccessClock> {
        let (counts, now) = (self.keyspace.eviction.counts_uses(), self.accessed_at);
        match usage {
            Usage::Frequency(count) if counts => Some(AccessClock::counting(count, now)),
            Usage::IdleSeconds(seconds) if !counts => {
                Some(AccessClock::at(UnixMillis(now.0.saturating_sub(seconds.clamp(0, MOST_IDLE_SECONDS) * 1000))))
            }
            _ => None,
        }
    }

    fn table_of(&self, new: &NewHash<'_>, flags: RecordFlags, access: AccessClock) -> Record {
        let field =
            |at: usize| new.fields.get(at).map_or_else(Default::default, |new| (new.field, new.value, new.expiry));
        let table = Table::of(&self.keyspace.hasher, new.fields.len(), field);
        Record::of_table(Box::new(TableRecord { key: new.key.into(), flags, access, key_expiry: new.expiry, table }))
    }
}
