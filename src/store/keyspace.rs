//! The keyspace: numbered databases, each a sharded `DashMap` of records. The only file that names `DashMap`.
//!
//! `DashMap`'s own guards would let a caller hold one shard while it asks for another. So its typed interface is not
//! used at all: its shards are locked here, for the length of one closure, and several at once only in ascending order.
//! Every access locks exclusively: reading moves the access clock and reclaims what is due.

use std::cell::{RefCell, RefMut};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use hashbrown::HashTable;
use parking_lot::lock_api::RwLockWriteGuard;
use parking_lot::{Mutex, RwLock};

use super::change::{ChangeLog, Interest};
use super::database::Database;
use super::due::DueIndex;
use super::entry::Record;
use super::evict::Eviction;
use super::expire::ExpireStats;
use super::hash::template;
use super::position::{KeyHasher, Position};
use super::scan_order::ScanOrders;
use super::snapshot::Pending;
use crate::base::clock::UnixMillis;

/// Shards of each database. So many that the growth of one, which moves all its entries at once, stays far below a
/// millisecond with ten million keys, and that two workers seldom meet.
pub(super) const SHARDS: usize = 1024;

/// Most records that are asked for at a time.
const PREFETCHED: usize = 32;

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
    pub(super) orders: ScanOrders,
    due: Box<[Mutex<DueIndex>]>,
    pub(super) keys: AtomicUsize,
    /// Those of them that are big hashes.
    pub(super) tables: AtomicUsize,
    /// Keys by the binary digits of their number of fields, from one digit on.
    pub(super) sizes: [AtomicUsize; usize::BITS as usize],
    pub(super) keys_with_expiry: AtomicUsize,
    /// Sum of all key expiries, for their average.
    pub(super) expiry_sum: AtomicI64,
    pub(super) keys_with_field_expiry: AtomicUsize,
}

impl DatabaseData {
    fn new(hasher: &KeyHasher) -> Self {
        Self {
            map: DashMap::with_hasher_and_shard_amount(hasher.random_state(), SHARDS),
            orders: ScanOrders::default(),
            due: (0..SHARDS).map(|_| Mutex::default()).collect(),
            keys: AtomicUsize::new(0),
            tables: AtomicUsize::new(0),
            sizes: [const { AtomicUsize::new(0) }; usize::BITS as usize],
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

    /// Runs `work` with a shard locked, unless somebody else has locked it.
    pub(super) fn with_free_shard<R>(&self, index: usize, work: impl FnOnce(&mut Shard) -> R) -> Option<R> {
        let mut shard = self.map.shards().get(index)?.try_write()?;
        Some(work(&mut shard))
    }

    /// Lets `look` see a shard, unless somebody is changing it.
    pub(super) fn glance<R>(&self, index: usize, look: impl FnOnce(&Shard) -> R) -> Option<R> {
        let shard = self.map.shards().get(index)?.try_read()?;
        Some(look(&shard))
    }

    /// Starts to load the records with these hashes into the cache, except where a shard is being changed. It looks at no
    /// key, which would be to wait for what it asks for: at worst it loads another record whose hash begins alike.
    ///
    /// The shards are locked together, for reading and without waiting, because a lock taken between two lookups would
    /// make the second wait for the first, and the point is that their cache misses overlap.
    pub(super) fn prefetch(&self, hashes: impl Iterator<Item = u64>) {
        let mut shards = [const { None }; PREFETCHED];
        for (slot, hash) in shards.iter_mut().zip(hashes) {
            let shard = self.map.shards().get(Position::of_hash(hash).shard(SHARDS));
            *slot = shard.and_then(|shard| shard.try_read()).map(|shard| (hash, shard));
        }
        for (hash, shard) in shards.iter().flatten() {
            shard.find(*hash, |(record, ())| {
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

/// Data that has been removed and would take long to free.
#[derive(Debug)]
pub(super) enum Removed {
    /// The keys of a flushed database.
    Shard(#[expect(dead_code, reason = "held only to be dropped")] Shard),
    /// A big hash.
    Record(#[expect(dead_code, reason = "held only to be dropped")] Record),
}

/// A shard's place in the order in which shards are locked: the data of its database, then its index there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ShardIndex {
    pub(super) place: usize,
    pub(super) shard: usize,
}

/// What to lock for several commands, or for one on several keys.
#[derive(Debug, Clone, Copy)]
pub enum Lock<'k> {
    /// The shard of a key in a database.
    Key(usize, &'k [u8]),
    /// A whole database.
    Database(usize),
    /// All databases that hold anything.
    Everything,
}

/// Locked shards, in ascending order. Commands that are given them use them instead of locking.
pub struct LockedShards<'a> {
    guards: Vec<(ShardIndex, RefCell<ShardGuard<'a>>)>,
}

type ShardGuard<'a> = RwLockWriteGuard<'a, dashmap::RawRwLock, Shard>;

impl std::fmt::Debug for LockedShards<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LockedShards({})", self.guards.len())
    }
}

/// [`LockedShards`] without the lifetime of its guards.
pub(super) trait Held: std::fmt::Debug {
    /// A shard, if it is held and not in use.
    fn shard(&self, at: ShardIndex) -> Option<RefMut<'_, Shard>>;
}

impl Held for LockedShards<'_> {
    fn shard(&self, at: ShardIndex) -> Option<RefMut<'_, Shard>> {
        let found = self.guards.binary_search_by_key(&at, |&(index, _)| index).ok()?;
        let (_, guard) = self.guards.get(found)?;
        Some(RefMut::map(guard.try_borrow_mut().ok()?, |guard| &mut **guard))
    }
}

/// All data of the server.
#[derive(Debug)]
pub struct Keyspace {
    /// Made when first used.
    data: Vec<OnceLock<DatabaseData>>,
    /// Which of `data` a database index means; SWAPDB swaps two.
    order: Vec<AtomicUsize>,
    changes: OnceLock<Arc<dyn ChangeLog>>,
    interest: AtomicU8,
    /// What is to be freed in the background, with its size.
    removed: Mutex<Vec<(Removed, usize)>>,
    /// Bytes of it.
    removed_bytes: AtomicUsize,
    freed: AtomicUsize,
    pub(super) hasher: KeyHasher,
    max_listpack_entries: AtomicUsize,
    max_listpack_value: AtomicUsize,
    active_expire: AtomicBool,
    show_due: AtomicBool,
    /// Whether there is a snapshot, and what it has yet to read. Its lock is never held while one waits for shards.
    pub(super) has_snapshot: AtomicBool,
    pub(super) snapshot: RwLock<Option<Arc<Pending>>>,
    /// Held by whoever begins a snapshot.
    pub(super) beginning: Mutex<()>,
    /// Held while a database comes into use.
    pub(super) births: Mutex<()>,
    /// The longest that the table of a shard has taken to grow, in nanoseconds, since somebody asked.
    longest_growth: AtomicU64,
    /// What has expired.
    pub stats: ExpireStats,
    /// What goes when memory is short.
    pub eviction: Eviction,
}

impl Keyspace {
    /// An empty keyspace of `databases` databases.
    pub fn new(databases: usize, limits: HashLimits) -> Self {
        Self {
            data: (0..databases).map(|_| OnceLock::new()).collect(),
            order: (0..databases).map(AtomicUsize::new).collect(),
            changes: OnceLock::new(),
            interest: AtomicU8::new(0),
            removed: Mutex::default(),
            removed_bytes: AtomicUsize::new(0),
            freed: AtomicUsize::new(0),
            hasher: KeyHasher::new(),
            max_listpack_entries: AtomicUsize::new(limits.max_listpack_entries),
            max_listpack_value: AtomicUsize::new(limits.max_listpack_value),
            active_expire: AtomicBool::new(true),
            show_due: AtomicBool::new(false),
            has_snapshot: AtomicBool::new(false),
            snapshot: RwLock::default(),
            beginning: Mutex::default(),
            births: Mutex::default(),
            longest_growth: AtomicU64::new(0),
            stats: ExpireStats::default(),
            eviction: Eviction::default(),
        }
    }

    /// Puts a record whose key is not there into its shard, whose table grows if it is full.
    pub(super) fn insert(&self, shard: &mut Shard, hash: u64, record: Record) {
        /// Fewer keys are moved in no time worth measuring.
        const FEW: usize = 28;
        let began = (shard.len() == shard.capacity() && shard.len() >= FEW).then(Instant::now);
        shard.insert_unique(hash, (record, ()), |(record, ())| self.hasher.hash(record.key()));
        if let Some(began) = began {
            let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.longest_growth.fetch_max(took, Ordering::Relaxed);
        }
    }

    /// The longest that the table of a shard has taken to grow, in nanoseconds, since this was last asked; 0 if none has.
    pub fn take_longest_growth(&self) -> u64 {
        self.longest_growth.swap(0, Ordering::Relaxed)
    }

    /// Database `index` at the time `now`. The index must be below [`Keyspace::database_count`].
    pub fn database(&self, index: usize, now: UnixMillis) -> Database<'_> {
        Database::new(self, index, now)
    }

    /// Number of databases.
    pub fn database_count(&self) -> usize {
        self.data.len()
    }

    /// Names the one who hears of changes; the first to be named stays.
    pub fn report_changes_to(&self, log: Arc<dyn ChangeLog>) {
        drop(self.changes.set(log));
    }

    /// Adds to what is wanted to be heard of.
    pub fn add_interest(&self, interest: Interest) {
        self.interest.fetch_or(interest.bits(), Ordering::Relaxed);
    }

    /// Takes away from what is wanted to be heard of.
    pub fn drop_interest(&self, interest: Interest) {
        self.interest.fetch_and(!interest.bits(), Ordering::Relaxed);
    }

    /// Who wants to hear of changes. A shard's lock orders this as it orders the data: who sees a change that came before
    /// its interest sees the data as changed too.
    #[inline]
    pub(super) fn interest(&self) -> Interest {
        Interest::from_bits_truncate(self.interest.load(Ordering::Relaxed))
    }

    /// Who hears of changes.
    pub(super) fn change_log(&self) -> Option<&dyn ChangeLog> {
        self.changes.get().map(|log| &**log)
    }

    /// Who logs effects, if `interest` says that they are.
    #[inline]
    pub(super) fn effect_log(&self, interest: Interest) -> Option<&dyn ChangeLog> {
        if interest.contains(Interest::LOG) { self.change_log() } else { None }
    }

    /// Says that the effects of what has been done with the shards that are locked are complete.
    #[inline]
    pub fn end_effects(&self) {
        if let Some(log) = self.effect_log(self.interest()) {
            log.end_of_effects();
        }
    }

    /// Does something while nobody can change anything.
    pub fn with_everything_locked(&self, work: impl FnOnce()) {
        // No database comes into use meanwhile.
        let _births = self.births.lock();
        let _held = self.lock(&[Lock::Everything]);
        work();
    }

    /// Locks all of `wanted` in the one order that everybody follows, so that none waits for another in a circle.
    pub fn lock(&self, wanted: &[Lock<'_>]) -> LockedShards<'_> {
        loop {
            // All is chosen by this one look at the order: two SWAPDB in the midst would otherwise go unnoticed.
            let before = self.places();
            let mut indexes: Vec<ShardIndex> = wanted.iter().flat_map(|&lock| self.shards_of(lock, &before)).collect();
            // What is in use is known last: the other locks may be the first use of their database.
            if wanted.iter().any(|lock| matches!(lock, Lock::Everything)) {
                let used = |&place: &usize| self.data.get(place).is_some_and(|data| data.get().is_some());
                indexes.extend((0..self.data.len()).filter(used).flat_map(shards_at));
            }
            indexes.sort_unstable();
            indexes.dedup();
            let locked = |&index: &ShardIndex| {
                let shard = self.data.get(index.place)?.get()?.map.shards().get(index.shard)?;
                Some((index, RefCell::new(shard.write())))
            };
            let guards = indexes.iter().filter_map(locked).collect();
            // SWAPDB may have come between the choice of shards and their locks.
            if before == self.places() {
                return LockedShards { guards };
            }
        }
    }

    /// The shards of a lock; none yet for [`Lock::Everything`].
    fn shards_of(&self, lock: Lock<'_>, places: &[usize]) -> Vec<ShardIndex> {
        let place_of = |database: usize| {
            let place = places.get(database).copied().unwrap_or(0);
            self.data_at(place);
            place
        };
        match lock {
            Lock::Key(database, key) => {
                let shard = Position::of_hash(self.hasher.hash(key)).shard(SHARDS);
                vec![ShardIndex { place: place_of(database), shard }]
            }
            Lock::Database(database) => shards_at(place_of(database)).collect(),
            Lock::Everything => Vec::new(),
        }
    }

    fn places(&self) -> Vec<usize> {
        self.order.iter().map(|place| place.load(Ordering::Acquire)).collect()
    }

    /// Whether a database index means the data at `place`.
    #[inline]
    pub(super) fn is_at(&self, index: usize, place: usize) -> bool {
        self.order.get(index).is_none_or(|at| at.load(Ordering::Acquire) == place)
    }

    /// Exchanges what two database indexes mean. All shards of both are locked.
    pub(super) fn exchange(&self, one: usize, other: usize) {
        let (Some(first), Some(second)) = (self.order.get(one), self.order.get(other)) else { return };
        let before = first.load(Ordering::Acquire);
        first.store(second.load(Ordering::Acquire), Ordering::Release);
        second.store(before, Ordering::Release);
    }

    /// Whether the database holds, or has held, anything.
    pub fn is_used(&self, index: usize) -> bool {
        let place = self.order.get(index).map_or(0, |place| place.load(Ordering::Acquire));
        self.data.get(place).is_some_and(|data| data.get().is_some())
    }

    /// The databases that hold, or have held, anything.
    pub fn used_databases(&self) -> impl Iterator<Item = usize> {
        (0..self.database_count()).filter(|&index| self.is_used(index))
    }

    /// Leaves something of about `bytes` bytes to be freed by [`Keyspace::free_removed`].
    pub(super) fn bury(&self, removed: Removed, bytes: usize) {
        self.removed_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.removed.lock().push((removed, bytes));
    }

    /// About how many bytes will be free when all that has been removed is freed.
    #[inline]
    pub fn removed_bytes(&self) -> usize {
        self.removed_bytes.load(Ordering::Relaxed)
    }

    /// Frees what has been removed, and templates that nobody uses any more. `freed` is called after each piece, while it
    /// still counts as removed.
    pub fn free_removed(&self, freed: impl Fn()) {
        while let Some((removed, bytes)) = self.take_removed() {
            drop(removed);
            freed();
            self.removed_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.freed.fetch_add(1, Ordering::Relaxed);
        }
        template::collect_unused();
    }

    /// How much is left to be freed in the background: big hashes, and shards of flushed databases.
    pub fn removed_count(&self) -> usize {
        self.removed.lock().len()
    }

    /// How much of that has been freed so far.
    pub fn freed_count(&self) -> usize {
        self.freed.load(Ordering::Relaxed)
    }

    fn take_removed(&self) -> Option<(Removed, usize)> {
        self.removed.lock().pop()
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
        let place = self.order.get(index).map_or(0, |place| place.load(Ordering::Acquire));
        (place, self.data_at(place))
    }

    /// The data at a place, which is made when it is first asked for.
    pub(super) fn data_at(&self, place: usize) -> &DatabaseData {
        /// Whoever begins a snapshot takes microseconds, unless it waits for shards that this thread holds.
        const PATIENCE: Duration = Duration::from_millis(100);
        static NONE: OnceLock<DatabaseData> = OnceLock::new();
        self.data.get(place).unwrap_or(&NONE).get_or_init(|| {
            let _birth = self.births.try_lock_for(PATIENCE);
            DatabaseData::new(&self.hasher)
        })
    }
}

fn shards_at(place: usize) -> impl Iterator<Item = ShardIndex> {
    (0..SHARDS).map(move |shard| ShardIndex { place, shard })
}
