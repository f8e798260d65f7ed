//! The keyspace: numbered databases, each a sharded `DashMap` of records. The only file that names `DashMap`.
//!
//! `DashMap`'s own guards would let a caller hold one shard while it asks for another. So its typed interface is not
//! used at all: its shards are locked here, for the length of one closure, and two at once only in ascending order.
//! Every access locks exclusively: reading moves the access clock and reclaims what is due.

use std::hash::BuildHasher;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use dashmap::DashMap;
use hashbrown::HashTable;
use parking_lot::Mutex;

use super::database::Database;
use super::entry::Record;
use super::expire::{DueIndex, ExpireStats};
use super::scan::Position;
use crate::base::clock::UnixMillis;

/// Shards of each database. So many that the growth of one, which moves all its entries at once, stays far below a
/// millisecond with ten million keys, and that two workers seldom meet.
pub(super) const SHARDS: usize = 1024;

/// Hashes keys and fields with a secret drawn at start, so that nobody can prepare colliding ones.
#[derive(Debug, Clone)]
pub(super) struct KeyHasher {
    state: ahash::RandomState,
}

impl KeyHasher {
    /// The hash of a key.
    #[inline]
    pub(super) fn hash(&self, bytes: &[u8]) -> u64 {
        use std::hash::Hasher;
        let mut hasher = self.state.build_hasher();
        hasher.write(bytes);
        hasher.finish()
    }

    /// The place of a key or field in iteration order.
    pub(super) fn position(&self, bytes: &[u8]) -> Position {
        Position::of_hash(self.hash(bytes))
    }
}

/// Up to where Redis keeps a hash in a listpack, which decides what OBJECT ENCODING reports.
#[derive(Debug, Clone, Copy)]
pub struct HashLimits {
    /// `hash-max-listpack-entries`
    pub max_listpack_entries: usize,
    /// `hash-max-listpack-value`
    pub max_listpack_value: usize,
}

/// The records of one shard.
pub(super) type Shard = HashTable<(Record, ())>;

/// One database: its records, and what is due when.
#[derive(Debug)]
pub(super) struct DatabaseData {
    map: DashMap<Record, (), ahash::RandomState>,
    due: Box<[Mutex<DueIndex>]>,
    pub(super) keys: AtomicUsize,
    pub(super) keys_with_expiry: AtomicUsize,
    /// Sum of all key expiries, for their average.
    pub(super) expiry_sum: AtomicI64,
    pub(super) keys_with_field_expiry: AtomicUsize,
}

impl DatabaseData {
    fn new(hasher: &KeyHasher) -> Self {
        Self {
            map: DashMap::with_hasher_and_shard_amount(hasher.state.clone(), SHARDS),
            due: (0..SHARDS).map(|_| Mutex::default()).collect(),
            keys: AtomicUsize::new(0),
            keys_with_expiry: AtomicUsize::new(0),
            expiry_sum: AtomicI64::new(0),
            keys_with_field_expiry: AtomicUsize::new(0),
        }
    }

    /// Runs `work` with a shard locked.
    pub(super) fn with_shard<R>(&self, index: usize, work: impl FnOnce(&mut Shard) -> R) -> R {
        match self.map.shards().get(index) {
            Some(shard) => work(&mut shard.write()),
            None => work(&mut HashTable::new()),
        }
    }

    /// Starts to load the record with `hash` into the cache, unless its shard is being changed. It looks at no key, which
    /// would be to wait for what it asks for: at worst it loads another record whose hash begins alike.
    #[inline]
    pub(super) fn prefetch(&self, index: usize, hash: u64) {
        if let Some(shard) = self.map.shards().get(index).and_then(|shard| shard.try_read()) {
            shard.find(hash, |(record, ())| {
                record.prefetch();
                true
            });
        }
    }

    /// When things of a shard are due. Lock it only with the shard locked, or for a glance.
    pub(super) fn due(&self, index: usize) -> Option<&Mutex<DueIndex>> {
        self.due.get(index)
    }
}

/// Runs `work` with two shards locked, in ascending order of database and shard; the second is `None` if it is the first.
pub(super) fn with_two_shards<R>(
    first: (usize, &DatabaseData, usize),
    second: (usize, &DatabaseData, usize),
    work: impl FnOnce(&mut Shard, Option<&mut Shard>) -> R,
) -> R {
    let (first_at, second_at) = ((first.0, first.2), (second.0, second.2));
    match first_at.cmp(&second_at) {
        std::cmp::Ordering::Equal => first.1.with_shard(first.2, |shard| work(shard, None)),
        std::cmp::Ordering::Less => {
            first.1.with_shard(first.2, |one| second.1.with_shard(second.2, |two| work(one, Some(two))))
        }
        std::cmp::Ordering::Greater => {
            second.1.with_shard(second.2, |two| first.1.with_shard(first.2, |one| work(one, Some(two))))
        }
    }
}

/// All data of the server.
#[derive(Debug)]
pub struct Keyspace {
    /// Made when first used.
    data: Vec<OnceLock<DatabaseData>>,
    /// Which of `data` a database index means; SWAPDB swaps two.
    order: Vec<AtomicUsize>,
    swapping: Mutex<()>,
    pub(super) hasher: KeyHasher,
    max_listpack_entries: AtomicUsize,
    max_listpack_value: AtomicUsize,
    active_expire: AtomicBool,
    show_due: AtomicBool,
    /// What has expired.
    pub stats: ExpireStats,
}

impl Keyspace {
    /// An empty keyspace of `databases` databases.
    pub fn new(databases: usize, limits: HashLimits) -> Self {
        Self {
            data: (0..databases).map(|_| OnceLock::new()).collect(),
            order: (0..databases).map(AtomicUsize::new).collect(),
            swapping: Mutex::new(()),
            hasher: KeyHasher { state: ahash::RandomState::new() },
            max_listpack_entries: AtomicUsize::new(limits.max_listpack_entries),
            max_listpack_value: AtomicUsize::new(limits.max_listpack_value),
            active_expire: AtomicBool::new(true),
            show_due: AtomicBool::new(false),
            stats: ExpireStats::default(),
        }
    }

    /// Database `index` at the time `now`. The index must be below [`Keyspace::database_count`].
    pub fn database(&self, index: usize, now: UnixMillis) -> Database<'_> {
        Database::new(self, index, now)
    }

    /// Number of databases.
    pub fn database_count(&self) -> usize {
        self.data.len()
    }

    /// Exchanges two databases; false if either index is out of range.
    pub fn swap(&self, one: usize, other: usize) -> bool {
        let (Some(first), Some(second)) = (self.order.get(one), self.order.get(other)) else { return false };
        let _alone = self.swapping.lock();
        let before = first.load(Ordering::Acquire);
        first.store(second.load(Ordering::Acquire), Ordering::Release);
        second.store(before, Ordering::Release);
        true
    }

    /// Removes all keys of all databases.
    pub fn flush_all(&self, now: UnixMillis) {
        for index in 0..self.data.len() {
            self.database(index, now).flush();
        }
    }

    /// DEBUG SET-ACTIVE-EXPIRE: whether due keys and fields are reclaimed in the background.
    pub fn set_active_expire(&self, active: bool) {
        self.active_expire.store(active, Ordering::Relaxed);
    }

    /// Whether due keys and fields are reclaimed in the background.
    pub fn active_expire(&self) -> bool {
        self.active_expire.load(Ordering::Relaxed)
    }

    /// DEBUG SET-ALLOW-ACCESS-EXPIRED: whether what is due but not yet reclaimed is visible.
    pub fn set_allow_access_expired(&self, allow: bool) {
        self.show_due.store(allow, Ordering::Relaxed);
    }

    pub(super) fn show_due(&self) -> bool {
        self.show_due.load(Ordering::Relaxed)
    }

    /// Sets where `OBJECT ENCODING` changes from `listpack` to `hashtable`.
    pub fn set_limits(&self, limits: HashLimits) {
        self.max_listpack_entries.store(limits.max_listpack_entries, Ordering::Relaxed);
        self.max_listpack_value.store(limits.max_listpack_value, Ordering::Relaxed);
    }

    pub(super) fn limits(&self) -> HashLimits {
        HashLimits {
            max_listpack_entries: self.max_listpack_entries.load(Ordering::Relaxed),
            max_listpack_value: self.max_listpack_value.load(Ordering::Relaxed),
        }
    }

    /// The data that database `index` means now, and its place in the locking order. An index out of range, which no
    /// caller gives, means the first database.
    pub(super) fn data(&self, index: usize) -> (usize, &DatabaseData) {
        static NONE: OnceLock<DatabaseData> = OnceLock::new();
        let place = self.order.get(index).map_or(0, |place| place.load(Ordering::Acquire));
        (place, self.data.get(place).unwrap_or(&NONE).get_or_init(|| DatabaseData::new(&self.hasher)))
    }
}
