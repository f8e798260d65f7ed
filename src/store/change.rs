//! What the data tells the rest of the server: every change, under the lock of the key's shard, in the order in which
//! changes happen. WATCH, notifications, client caching and logs all hang on this one call.

use crate::base::clock::UnixMillis;

bitflags::bitflags! {
    /// Who wants to hear of changes. While nobody does, a write pays one load for all of this.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Interest: u8 {
        /// Somebody watches a key.
        const WATCH = 1 << 0;
        /// Keyspace notifications are on.
        const NOTIFY = 1 << 1;
        /// Somebody caches keys.
        const TRACKING = 1 << 2;
        /// The names of changed fields are wanted too.
        const FIELDS = 1 << 3;
        /// Lookups of missing keys are wanted too.
        const MISSES = 1 << 4;
        /// The effects of every change are wanted, to be logged.
        const LOG = 1 << 5;
        /// Access clocks tell of writes, so it must be known what an edit has changed; nobody hears of it.
        const WRITES = 1 << 7;
    }
}

impl Interest {
    /// Whether it must be known what an edit has changed, apart from its effects.
    #[inline]
    pub fn is_in_edits(self) -> bool {
        self.intersects(Self::LOG.complement())
    }

    /// Whether anybody wants to hear of changes, apart from their effects.
    #[inline]
    pub fn is_in_events(self) -> bool {
        self.intersects(Self::LOG.union(Self::WRITES).complement())
    }
}

/// What has happened to a key, by the name of Redis's keyspace event where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// `new`: the key has come to be; the event that says how follows.
    New,
    /// `hset`
    HSet,
    /// `hincrby`
    HIncrBy,
    /// `hincrbyfloat`
    HIncrByFloat,
    /// `hdel`
    HDel,
    /// `hexpire`
    HExpire,
    /// `hpersist`
    HPersist,
    /// `hexpired`: fields have been reclaimed because their time had come.
    HExpired,
    /// `del`
    Del,
    /// `expire`
    Expire,
    /// `persist`
    Persist,
    /// `expired`: the key has been reclaimed because its time had come.
    Expired,
    /// `evicted`: the key had to go because memory is short.
    Evicted,
    /// `rename_from`
    RenameFrom,
    /// `rename_to`
    RenameTo,
    /// `restore`
    Restore,
    /// `copy_to`
    CopyTo,
    /// `move_from`
    MoveFrom,
    /// `move_to`
    MoveTo,
    /// `overwritten`: the key has taken the place of one of the same name.
    Overwritten,
    /// `keymiss`: the key was asked for and is missing. Nothing has changed.
    Miss,
    /// The key is gone, or another, because its whole database was flushed or swapped. Not notified.
    Replaced,
}

impl Event {
    /// Whether the data has changed.
    pub fn is_change(self) -> bool {
        self != Self::Miss
    }
}

/// One change of one key.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// The database, by the index that clients use.
    pub database: usize,
    /// The key.
    pub key: &'a [u8],
    /// What has happened.
    pub event: Event,
    /// The fields it happened to, if there is [`Interest::FIELDS`] in them.
    pub fields: &'a [Box<[u8]>],
    /// The client who did it; 0 is the server itself.
    pub origin: u64,
    /// When.
    pub now: UnixMillis,
}

/// What a change does to the data, in terms that do not depend on when and on what it is done again: times are absolute,
/// sums are their results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect<'a> {
    /// A field has this value, and no expiry.
    Set(&'a [u8], &'a [u8], &'a [u8]),
    /// A field has this value, and keeps its expiry.
    SetKeepingExpiry(&'a [u8], &'a [u8], &'a [u8]),
    /// A field is gone, and the key with its last field.
    Remove(&'a [u8], &'a [u8]),
    /// A field expires then.
    ExpireField(&'a [u8], &'a [u8], UnixMillis),
    /// A field has no expiry any more.
    PersistField(&'a [u8], &'a [u8]),
    /// The key is gone.
    Delete(&'a [u8]),
    /// The key expires then.
    Expire(&'a [u8], UnixMillis),
    /// The key has no expiry any more.
    Persist(&'a [u8]),
    /// The key is called otherwise, in place of what was called so.
    Rename(&'a [u8], &'a [u8]),
    /// The key is in another database as well, or under another name, in place of what was there.
    Copy(&'a [u8], &'a [u8], usize),
    /// The key is in another database.
    Move(&'a [u8], usize),
    /// The database is empty.
    Flush,
    /// Two databases have been exchanged.
    Swap(usize, usize),
}

/// Hears of every change while there is [`Interest`]. It is called with shards locked: it must not call the store.
pub trait ChangeLog: std::fmt::Debug + Send + Sync {
    /// A key has changed.
    fn record(&self, change: &Change<'_>);

    /// A change has this effect on a database. All effects until [`ChangeLog::end_of_effects`] belong together; they come
    /// from one thread, with all shards concerned locked.
    fn effect(&self, database: usize, effect: Effect<'_>);

    /// The effects since the last time are complete; the shards are still locked.
    fn end_of_effects(&self);

    /// The keys of a database that somebody watches.
    fn watched_keys(&self, database: usize) -> Vec<Box<[u8]>>;

    /// A database, or all of them, has been emptied by the client `origin`.
    fn flushed(&self, database: Option<usize>, origin: u64);
}

/// Events of one edit with the fields they happened to, in the order of their first appearance but for `hexpired`.
#[derive(Debug, Default)]
pub(super) struct EventList {
    events: Vec<(Event, Vec<Box<[u8]>>)>,
}

impl EventList {
    /// Adds a field to an event.
    pub(super) fn add(&mut self, event: Event, field: &[u8], interest: Interest) {
        let index = self.events.iter().position(|&(known, _)| known == event).unwrap_or_else(|| {
            // Fields that were found due went before anything was done, to Redis.
            let index = if event == Event::HExpired { 0 } else { self.events.len() };
            self.events.insert(index, (event, Vec::new()));
            index
        });
        if interest.contains(Interest::FIELDS)
            && let Some((_, fields)) = self.events.get_mut(index)
        {
            fields.push(field.into());
        }
    }

    /// Adds an event of the key as a whole.
    pub(super) fn add_of_key(&mut self, event: Event) {
        self.events.push((event, Vec::new()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Event, &[Box<[u8]>])> {
        self.events.iter().map(|(event, fields)| (*event, fields.as_slice()))
    }
}
