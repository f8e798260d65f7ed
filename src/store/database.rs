//! One database as commands use it: the operations on a key.

use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering;

use super::access::{AccessClock, ClockKind, Use};
use super::change::{Effect, Event};
use super::entry::{Body, Record, TableRecord};
use super::expire::Footprint;
use super::hash::{Access, HashEdit, HashView};
use super::image::Encoding;
use super::keyspace::{DatabaseData, Held, Keyspace, LockedShards, Removed, SHARDS, Shard, ShardIndex};
use super::position::Position;
use super::report::Fate;
use crate::base::clock::UnixMillis;

/// When a key expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyExpiry {
    /// There is no such key.
    Missing,
    /// The key has no expiry.
    Persistent,
    /// The key expires then.
    At(UnixMillis),
}

/// How a key has been used where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// Seconds since it was used.
    IdleSeconds(i64),
    /// How often it is used, as `OBJECT FREQ` reports it.
    Frequency(u8),
}

/// What INFO says of a database.
#[derive(Debug, Clone, Copy, Default)]
pub struct DatabaseStats {
    /// Keys.
    pub keys: usize,
    /// Keys with an expiry.
    pub expires: usize,
    /// Average time to live of those, in milliseconds.
    pub average_ttl_ms: i64,
    /// Hashes that have fields with an expiry.
    pub field_expires: usize,
}

/// One database at one point in time. Its methods take `&mut self` so that a closure cannot use it again.
#[derive(Debug)]
pub struct Database<'a> {
    pub(super) keyspace: &'a Keyspace,
    pub(super) data: &'a DatabaseData,
    /// Place of `data` in the locking order.
    pub(super) place: usize,
    pub(super) index: usize,
    pub(super) now: UnixMillis,
    /// The time of accesses, as access clocks will tell it.
    pub(super) accessed_at: UnixMillis,
    touch: bool,
    lookups: Cell<Lookups>,
    changes: Cell<u64>,
    /// Shards that are locked already.
    held: Option<&'a dyn Held>,
    /// The client who acts; 0 is the server itself.
    pub(super) origin: u64,
}

/// How lookups went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lookups {
    /// That found their key.
    pub hits: u64,
    /// That did not.
    pub misses: u64,
}

impl<'a> Database<'a> {
    pub(super) fn new(keyspace: &'a Keyspace, index: usize, now: UnixMillis) -> Self {
        let (place, data) = keyspace.data(index);
        let (lookups, changes) = (Cell::default(), Cell::new(0));
        Self {
            keyspace,
            data,
            place,
            index,
            now,
            accessed_at: now,
            touch: true,
            lookups,
            changes,
            held: None,
            origin: 0,
        }
    }

    /// Sets access clocks to `now`, whatever the time of the changes is.
    pub fn set_access_time(&mut self, now: UnixMillis) {
        self.accessed_at = now;
    }

    /// The index by which the database was asked for.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The time at which it is looked at.
    pub fn now(&self) -> UnixMillis {
        self.now
    }

    /// How the lookups of reading commands have gone.
    pub fn lookups(&self) -> Lookups {
        self.lookups.get()
    }

    /// How many changes have been made, counted as Redis does for its save points.
    pub fn changes(&self) -> u64 {
        self.changes.get()
    }

    pub(super) fn count_changes(&self, count: u64) {
        self.changes.set(self.changes.get() + count);
    }

    /// Counts fields that have been reclaimed.
    fn count_expired(&self, fields: usize) {
        if fields > 0 {
            self.keyspace.stats.expired_fields.fetch_add(fields as u64, Ordering::Relaxed);
        }
    }

    fn count_lookup(&self, count: impl FnOnce(&mut Lookups)) {
        let mut lookups = self.lookups.get();
        count(&mut lookups);
        self.lookups.set(lookups);
    }

    /// From now on uses shards that are locked already; all keys to be touched must be in them.
    pub fn use_held(&mut self, held: &'a LockedShards<'_>) {
        self.held = Some(held);
    }

    /// Says which client acts.
    pub fn set_origin(&mut self, client: u64) {
        self.origin = client;
    }

    /// CLIENT NO-TOUCH: accesses do not move the access clock.
    pub fn without_touching(&mut self) {
        self.touch = false;
    }

    /// Starts to load the records of some keys into the cache.
    pub fn prefetch<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        self.data.prefetch(keys.map(|key| self.keyspace.hasher.hash(key)));
    }

    /// Reads a hash; a missing key is an empty one.
    pub fn view<R>(&mut self, key: &[u8], read: impl FnOnce(&HashView<'_>) -> R) -> R {
        self.with_record(key, |this, shard, hash| {
            let access = this.access();
            let Some(record) = this.live(shard, hash, key) else {
                this.count_lookup(|lookups| lookups.misses += 1);
                this.record_miss(key);
                return read(&HashView { body: None, access: &access });
            };
            this.count_lookup(|lookups| lookups.hits += 1);
            this.note_use(record, Use::Read);
            let result = read(&HashView { body: Some(record.body()), access: &access });
            if !access.found_due.borrow().is_empty() {
                this.reclaim(shard, hash, key, &access, |_| ());
            }
            result
        })
    }

    /// Reads all of a hash. A big one is read outside its shard's lock, as it was when it was locked, so that its
    /// neighbours do not wait.
    pub fn view_whole<R>(&mut self, key: &[u8], read: impl FnOnce(&HashView<'_>) -> R) -> R {
        let Some(snapshot) = self.snapshot(key) else { return self.view(key, read) };
        self.count_lookup(|lookups| lookups.hits += 1);
        let access = self.access();
        read(&HashView { body: Some(Body::Table(&snapshot)), access: &access })
    }

    /// A copy of a big hash, which shares its leaves; `None` for others, and where its shard stays locked anyway.
    fn snapshot(&mut self, key: &[u8]) -> Option<TableRecord> {
        if self.held.is_some() || self.data.tables.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.with_record(key, |this, shard, hash| {
            let record = this.live(shard, hash, key).filter(|record| record.is_long())?;
            this.note_use(record, Use::Read);
            record.table_mut().cloned()
        })
    }

    /// Whether to look at all of a hash takes long.
    pub fn is_long(&mut self, key: &[u8]) -> bool {
        self.data.tables.load(Ordering::Relaxed) > 0
            && self.with_record(key, |this, shard, hash| {
                this.live(shard, hash, key).is_some_and(|record| record.is_long())
            })
    }

    /// Changes a hash. A missing key is an empty one; a hash that ends empty is gone with its expiry.
    pub fn update<R>(&mut self, key: &[u8], change: impl FnOnce(&mut HashEdit<'_>) -> R) -> R {
        self.with_record(key, |this, shard, hash| this.edit(shard, hash, key, &this.access(), change))
    }

    /// Whether the key exists.
    pub fn exists(&mut self, key: &[u8]) -> bool {
        self.with_record(key, |this, shard, hash| {
            let found = this.live(shard, hash, key).is_some();
            this.count_lookup(|lookups| if found { lookups.hits += 1 } else { lookups.misses += 1 });
            if !found {
                this.record_miss(key);
            }
            found
        })
    }

    /// Whether the key exists; not counted as a lookup.
    pub fn exists_quietly(&mut self, key: &[u8]) -> bool {
        self.with_record(key, |this, shard, hash| this.live(shard, hash, key).is_some())
    }

    /// Whether the key exists, which is a use of it but not counted as a lookup.
    pub(super) fn use_quietly(&mut self, key: &[u8]) -> bool {
        self.with_record(key, |this, shard, hash| {
            let found = this.live(shard, hash, key);
            found.map(|record| this.note_use(record, Use::Read)).is_some()
        })
    }

    /// Whether the key is there but its time has come; it is left there.
    pub fn is_expired(&mut self, key: &[u8]) -> bool {
        self.with_record(key, |this, shard, hash| {
            shard.find(hash, |(record, ())| record.key() == key).is_some_and(|(record, ())| this.is_due(record))
        })
    }

    /// Moves the key's access clock; tells whether the key exists.
    pub fn touch(&mut self, key: &[u8]) -> bool {
        self.with_record(key, |this, shard, hash| {
            let found = this.live(shard, hash, key);
            if let Some(record) = found {
                this.move_clock(record, Use::Read);
                return true;
            }
            this.record_miss(key);
            false
        })
    }

    /// Removes a key; tells whether it existed.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        let removed = self.with_record(key, |this, shard, hash| {
            this.live(shard, hash, key)?;
            let record = this.take(shard, hash, key);
            this.count_changes(1);
            this.record(key, Event::Del, &[]);
            this.log(Effect::Delete(key));
            record
        });
        removed.map(|record| self.dispose(record)).is_some()
    }

    /// Frees a record that is in no shard any more: a big one in the background.
    pub(super) fn dispose(&self, record: Record) {
        /// Parts of a big hash looked at to know its size.
        const SAMPLES: usize = 5;
        if record.is_table() {
            let bytes = record.memory(SAMPLES);
            self.keyspace.bury(Removed::Record(record), bytes);
        }
    }

    /// When the key expires.
    pub fn key_expiry(&mut self, key: &[u8]) -> KeyExpiry {
        self.with_record(key, |this, shard, hash| match this.live(shard, hash, key) {
            None => {
                this.record_miss(key);
                KeyExpiry::Missing
            }
            Some(record) => record.key_expiry().map_or(KeyExpiry::Persistent, KeyExpiry::At),
        })
    }

    /// Sets when the key expires if `allow` says so of its expiry until now; a time not in the future deletes the key.
    /// False if there is no such key or it was not allowed.
    pub fn expire_key(&mut self, key: &[u8], at: UnixMillis, allow: impl FnOnce(Option<UnixMillis>) -> bool) -> bool {
        self.with_record(key, |this, shard, hash| {
            let Some(record) = this.live(shard, hash, key) else { return false };
            if !allow(record.key_expiry()) {
                this.note_use(record, Use::Read);
                return false;
            }
            this.count_changes(1);
            if at <= this.now {
                if let Some(record) = this.take(shard, hash, key) {
                    this.dispose(record);
                }
                this.record(key, Event::Del, &[]);
                this.log(Effect::Delete(key));
                return true;
            }
            this.change_key_expiry(record, hash, Some(at));
            this.note_use(record, Use::Write);
            this.record(key, Event::Expire, &[]);
            this.log(Effect::Expire(key, at));
            true
        })
    }

    /// Takes the key's expiry away; false if there is no such key or it had none.
    pub fn persist(&mut self, key: &[u8]) -> bool {
        self.with_record(key, |this, shard, hash| {
            let Some(record) = this.live(shard, hash, key) else { return false };
            let had = record.key_expiry().is_some();
            this.note_use(record, if had { Use::Write } else { Use::Read });
            if had {
                this.count_changes(1);
                this.change_key_expiry(record, hash, None);
                this.record(key, Event::Persist, &[]);
                this.log(Effect::Persist(key));
            }
            had
        })
    }

    fn change_key_expiry(&self, record: &mut Record, hash: u64, expiry: Option<UnixMillis>) {
        self.before_change_of(record, hash);
        let before = Footprint::of(record);
        record.set_key_expiry(expiry);
        self.data.account(shard_of(hash), hash, before, Footprint::of(record));
    }

    /// The encoding that Redis would use for the hash; does not move the access clock.
    pub fn encoding(&mut self, key: &[u8]) -> Option<Encoding> {
        self.with_record(key, |this, shard, hash| {
            this.live(shard, hash, key).map(|record| Encoding::of_flags(record.flags()))
        })
    }

    /// Seconds since the last access, or the last write if that is what access clocks tell; does not move the clock.
    pub fn idle_seconds(&mut self, key: &[u8]) -> Option<i64> {
        let now = AccessClock::at(self.now);
        self.with_record(key, |this, shard, hash| {
            this.live(shard, hash, key).map(|record| record.access().seconds_until(now))
        })
    }

    /// How often the key is used, from 0 to 255, if that is what access clocks tell; does not move the clock.
    pub fn frequency(&mut self, key: &[u8]) -> Option<u8> {
        let rules = self.keyspace.eviction.clock_rules();
        self.with_record(key, |this, shard, hash| {
            this.live(shard, hash, key).map(|record| record.access().count(rules.decay_minutes, this.now))
        })
    }

    /// Says how the key has been used, if that is what access clocks tell: for keys that come from elsewhere.
    pub fn set_usage(&mut self, key: &[u8], usage: Usage) {
        let Some(clock) = self.clock_of(usage) else { return };
        self.with_record(key, |this, shard, hash| {
            if let Some(record) = this.live(shard, hash, key) {
                record.set_access(clock);
            }
        });
    }

    /// Notes that a command uses a record, unless its client is not to be noticed.
    #[inline]
    pub(super) fn note_use(&self, record: &mut Record, usage: Use) {
        // Redis does not ask the client when the clocks tell of writes.
        if self.touch || usage == Use::Write && self.keyspace.eviction.clock_kind() == ClockKind::Write {
            self.move_clock(record, usage);
        }
    }

    #[inline]
    fn move_clock(&self, record: &mut Record, usage: Use) {
        match self.keyspace.eviction.clock_kind() {
            ClockKind::Use => record.set_access(AccessClock::at(self.accessed_at)),
            _ => {
                record.set_access(record.access().moved(self.keyspace.eviction.clock_rules(), usage, self.accessed_at));
            }
        }
    }

    /// The access clock of a record that is new here.
    pub(super) fn fresh_clock(&self) -> AccessClock {
        AccessClock::fresh(self.keyspace.eviction.clock_kind(), self.accessed_at)
    }

    /// Number of keys, those included that are due but not yet reclaimed.
    pub fn len(&self) -> usize {
        self.data.keys.load(Ordering::Relaxed)
    }

    /// Whether the database holds no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers for INFO.
    pub fn stats(&self) -> DatabaseStats {
        let expires = self.data.keys_with_expiry.load(Ordering::Relaxed);
        let sum = self.data.expiry_sum.load(Ordering::Relaxed);
        let average = i64::try_from(expires).ok().and_then(|count| sum.checked_div(count));
        DatabaseStats {
            keys: self.len(),
            expires,
            average_ttl_ms: average.map_or(0, |at| at.saturating_sub(self.now.0).max(0)),
            field_expires: self.data.keys_with_field_expiry.load(Ordering::Relaxed),
        }
    }

    /// How many keys have so many fields: the least of each size, of which each is twice the one before, and the keys from
    /// there to the next.
    pub fn sizes(&self) -> impl Iterator<Item = (usize, usize)> {
        let counts = self.data.sizes.iter().map(|count| count.load(Ordering::Relaxed));
        counts.enumerate().map(|(exponent, count)| (1 << exponent, count)).filter(|&(_, count)| count > 0)
    }

    /// The circumstances of an access to a hash whose shard is locked: who wants to hear of it is known only then.
    pub(super) fn access(&self) -> Access<'a> {
        let interest = self.keyspace.interest();
        Access {
            now: self.now,
            fresh: self.fresh_clock(),
            hasher: &self.keyspace.hasher,
            interest,
            log: self.keyspace.effect_log(interest).map(|log| (log, self.index)),
            show_due: self.keyspace.show_due(),
            found_due: RefCell::new(Vec::new()),
        }
    }

    /// Whether the key's own expiry has come.
    pub(super) fn is_due(&self, record: &Record) -> bool {
        record.key_expiry().is_some_and(|at| at < self.now) && !self.keyspace.show_due()
    }

    /// Runs `work` with the key's shard locked.
    pub(super) fn with_record<R>(&mut self, key: &[u8], work: impl FnOnce(&Self, &mut Shard, u64) -> R) -> R {
        let hash = self.keyspace.hasher.hash(key);
        let mut work = Some(work);
        loop {
            let this = &*self;
            let done = this.with_shard(shard_of(hash), |shard| {
                // SWAPDB may have come between the choice of the shard and its lock.
                if this.is_current() { work.take().map(|work| work(this, shard, hash)) } else { None }
            });
            if let Some(result) = done {
                return result;
            }
            self.refresh();
        }
    }

    /// Whether the database's index still means its data.
    pub(super) fn is_current(&self) -> bool {
        self.keyspace.is_at(self.index, self.place)
    }

    /// Another database for the same client, at the same time.
    pub(super) fn counterpart(&self, index: usize) -> Database<'a> {
        let (held, origin) = (self.held, self.origin);
        Database { held, origin, ..Database::new(self.keyspace, index, self.now) }
    }

    /// Where a key's shard stands in the locking order.
    pub(super) fn shard_index(&self, hash: u64) -> ShardIndex {
        ShardIndex { place: self.place, shard: shard_of(hash) }
    }

    /// Follows a SWAPDB.
    pub(super) fn refresh(&mut self) {
        (self.place, self.data) = self.keyspace.data(self.index);
    }

    /// Whether the database is locked already, if one who locks whole databases has asked for it.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some_and(|held| held.shard(ShardIndex { place: self.place, shard: 0 }).is_some())
    }

    /// Runs `work` with a shard locked.
    pub(super) fn with_shard<R>(&self, shard: usize, work: impl FnOnce(&mut Shard) -> R) -> R {
        let Some(held) = self.held else {
            return self.data.with_shard(shard, |shard| {
                let result = work(shard);
                // Who holds shards for longer says by itself when its effects are complete.
                self.keyspace.end_effects();
                result
            });
        };
        let Some(mut records) = held.shard(ShardIndex { place: self.place, shard }) else {
            debug_assert!(false, "a shard is touched that was not locked beforehand");
            return self.data.with_shard(shard, work);
        };
        work(&mut records)
    }

    /// The record of a key, which is reclaimed instead if it is due.
    pub(super) fn live<'s>(&self, shard: &'s mut Shard, hash: u64, key: &[u8]) -> Option<&'s mut Record> {
        let entry = shard.find_entry(hash, |(record, ())| record.key() == key).ok()?;
        if !self.is_due(&entry.get().0) {
            return Some(&mut entry.into_mut().0);
        }
        self.before_change_of(&entry.get().0, hash);
        let ((record, ()), _) = entry.remove();
        self.data.account(shard_of(hash), hash, Footprint::of(&record), Footprint::NONE);
        self.dispose(record);
        self.keyspace.stats.expired_keys.fetch_add(1, Ordering::Relaxed);
        self.record(key, Event::Expired, &[]);
        self.log(Effect::Delete(key));
        None
    }

    /// Takes a record out of its shard.
    pub(super) fn take(&self, shard: &mut Shard, hash: u64, key: &[u8]) -> Option<Record> {
        let entry = shard.find_entry(hash, |(record, ())| record.key() == key).ok()?;
        self.before_change_of(&entry.get().0, hash);
        let ((record, ()), _) = entry.remove();
        self.data.account(shard_of(hash), hash, Footprint::of(&record), Footprint::NONE);
        Some(record)
    }

    /// Puts a record whose key is not there into its shard.
    pub(super) fn put(&self, shard: &mut Shard, hash: u64, record: Record) {
        self.before_change(shard, hash, record.key());
        self.data.account(shard_of(hash), hash, Footprint::NONE, Footprint::of(&record));
        self.data.orders.add(shard_of(hash), hash);
        self.keyspace.insert(shard, hash, record);
    }

    pub(super) fn edit<R>(
        &self,
        shard: &mut Shard,
        hash: u64,
        key: &[u8],
        access: &Access<'_>,
        change: impl FnOnce(&mut HashEdit<'_>) -> R,
    ) -> R {
        let limits = self.keyspace.limits();
        let Some(record) = self.live(shard, hash, key) else {
            let mut edit = HashEdit::new(None, key, access, limits);
            let result = change(&mut edit);
            let events = edit.take_events();
            self.count_changes(edit.changes());
            self.count_expired(edit.reclaimed());
            let created = edit.finish();
            let fate = if created.is_some() { Fate::Created } else { Fate::CreatedAndGone };
            if let Some(record) = created {
                self.put(shard, hash, record);
            }
            self.record_edit(key, &events, fate);
            return result;
        };
        self.before_change_of(record, hash);
        let (shape, before) = (record.plain_shape(), Footprint::of(record));
        let mut edit = HashEdit::new(Some(&mut *record), key, access, limits);
        let result = change(&mut edit);
        edit.remove_found_due();
        let reclaimed = edit.reclaimed();
        let empty = edit.is_empty();
        let events = edit.take_events();
        self.count_changes(edit.changes());
        edit.finish();
        self.count_expired(reclaimed);
        // Whether anything has changed is known only where somebody wants to know.
        self.note_use(record, if events.is_empty() { Use::Read } else { Use::Write });
        if shape.is_some() && record.plain_shape() == shape {
            debug_assert_eq!(before, Footprint::of(record), "what a shape does not tell has changed");
        } else {
            self.data.account(shard_of(hash), hash, before, Footprint::of(record));
        }
        if empty {
            self.take(shard, hash, key);
        }
        self.record_edit(key, &events, if empty { Fate::Gone } else { Fate::Kept });
        result
    }
}

/// The shard of a key, by its hash: in the order of positions.
pub(super) fn shard_of(hash: u64) -> usize {
    Position::of_hash(hash).shard(SHARDS)
}
