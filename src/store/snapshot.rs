//! Snapshots: all data as it was at one point in time, read by one thread while others go on changing it.
//!
//! A snapshot begins while all shards are locked, for as long as it takes to set a flag. Its reader then takes the shards
//! one by one, a little at a time. Whoever changes a key of a shard that has not been read to its end hands the key's image
//! over first, once; keys that come to be are noted, so that they are left out. So every key is read as it was when the
//! snapshot began, and what is held in memory for it is what has been changed meanwhile.
//!
//! Shards are known by their places, which SWAPDB does not change.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::database::Database;
use super::entry::{Record, may_have_expiries};
use super::image::KeyImage;
use super::keyspace::{Keyspace, Lock, SHARDS, Shard};

/// Bytes of records that are copied per time a shard is locked: about a tenth of a millisecond.
const BYTES_PER_LOCK: usize = 128 * 1024;

/// What is yet to be read of the shards, by their place and index; `None` for places that were not in use.
#[derive(Debug)]
pub(super) struct Pending(Vec<Option<Box<[Mutex<PendingShard>]>>>);

/// What is yet to be read of a shard. Its lock comes right after that of the shard.
#[derive(Debug, Default)]
struct PendingShard {
    /// Whether everything has been read or handed over.
    is_done: bool,
    /// Keys that are not to be read where they are: they have been read, handed over, or come to be since.
    passed: HashSet<Box<[u8]>, ahash::RandomState>,
    /// What has been handed over.
    images: Vec<KeyImage>,
    /// All that was there when the database was flushed.
    flushed: Option<Shard>,
}

impl Pending {
    fn shard(&self, place: usize, shard: usize) -> Option<&Mutex<PendingShard>> {
        self.0.get(place)?.as_ref()?.get(shard)
    }
}

impl PendingShard {
    /// Takes the image of a key that is about to change, come or go.
    fn hand_over(&mut self, key: &[u8], record: Option<&Record>) {
        if self.is_done || self.passed.contains(key) {
            return;
        }
        self.passed.insert(key.into());
        self.images.extend(record.map(KeyImage::of));
    }

    /// Takes some of what has been handed over, or else reads some of what is still in the shard; nothing when all is read.
    /// What is not needed any more is for the caller to free, without the locks.
    fn take_some(&mut self, shard: &Shard) -> (Vec<KeyImage>, Self) {
        if !self.images.is_empty() {
            return (std::mem::take(&mut self.images), Self::default());
        }
        let source = self.flushed.as_ref().unwrap_or(shard);
        let (mut some, mut bytes) = (Vec::new(), 0);
        if !self.is_done || self.flushed.is_some() {
            for (record, ()) in source {
                if self.passed.contains(record.key()) {
                    continue;
                }
                if bytes >= BYTES_PER_LOCK {
                    break;
                }
                bytes += record.copied_bytes();
                some.push(KeyImage::of(record));
            }
            if bytes >= BYTES_PER_LOCK {
                self.passed.extend(some.iter().map(|image| image.key().into()));
            } else {
                return (some, std::mem::replace(self, Self { is_done: true, ..Self::default() }));
            }
        }
        (some, Self::default())
    }
}

/// A database of a snapshot.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotDatabase {
    /// The index that meant it when the snapshot began.
    pub index: usize,
    /// Its keys.
    pub keys: usize,
    /// Those of them that had an expiry.
    pub expires: usize,
    place: usize,
}

/// All data as it was when the snapshot began. Reading goes on until [`Snapshot::read`] gives nothing more; the snapshot
/// ends when it is dropped.
#[derive(Debug)]
pub struct Snapshot {
    keyspace: Arc<Keyspace>,
    pending: Arc<Pending>,
    databases: Vec<SnapshotDatabase>,
}

impl Keyspace {
    /// Begins a snapshot; `at_start` runs at its point in time, while nothing can be changed. `None`, and nothing done, if
    /// there is a snapshot already.
    pub fn begin_snapshot<R>(
        self: &Arc<Self>,
        at_start: impl FnOnce(&[SnapshotDatabase]) -> R,
    ) -> Option<(Snapshot, R)> {
        let _beginning = self.beginning.lock();
        if self.snapshot.read().is_some() {
            return None;
        }
        // No database comes into use meanwhile: what is written into it must not be on either side of this.
        let _births = self.births.lock();
        let held = self.lock(&[Lock::Everything]);
        let used: Vec<usize> = self.used_databases().collect();
        let databases: Vec<SnapshotDatabase> = used
            .into_iter()
            .map(|index| {
                let (place, data) = self.data(index);
                let expires = data.keys_with_expiry.load(Ordering::Relaxed);
                SnapshotDatabase { index, keys: data.keys.load(Ordering::Relaxed), expires, place }
            })
            .collect();
        let shards = |place: usize| {
            let is_used = databases.iter().any(|database| database.place == place);
            is_used.then(|| (0..SHARDS).map(|_| Mutex::default()).collect())
        };
        let pending = Arc::new(Pending((0..self.database_count()).map(shards).collect()));
        *self.snapshot.write() = Some(Arc::clone(&pending));
        self.has_snapshot.store(true, Ordering::Relaxed);
        let result = at_start(&databases);
        drop(held);
        Some((Snapshot { keyspace: Arc::clone(self), pending, databases }, result))
    }

    /// Whether a snapshot is being read. To be asked with the shard locked: its lock orders this as it orders the data.
    #[inline]
    pub(super) fn has_snapshot(&self) -> bool {
        self.has_snapshot.load(Ordering::Relaxed)
    }
}

impl Snapshot {
    /// Whether there may be hashes whose encoding is one of those for expiries.
    pub fn may_have_field_expiries(&self) -> bool {
        may_have_expiries()
    }

    /// The databases that were in use.
    pub fn databases(&self) -> &[SnapshotDatabase] {
        &self.databases
    }

    /// Reads the keys of a database, in no order, a few at a time; stops at the first error that `visit` gives.
    pub fn read<E>(
        &self,
        database: &SnapshotDatabase,
        mut visit: impl FnMut(&KeyImage) -> Result<(), E>,
    ) -> Result<(), E> {
        for shard in 0..SHARDS {
            loop {
                let some = self.take_some(database.place, shard);
                if some.is_empty() {
                    break;
                }
                some.iter().try_for_each(&mut visit)?;
            }
        }
        Ok(())
    }

    fn take_some(&self, place: usize, shard: usize) -> Vec<KeyImage> {
        let Some(pending) = self.pending.shard(place, shard) else { return Vec::new() };
        let (some, _unneeded) =
            self.keyspace.data_at(place).with_shard(shard, |records| pending.lock().take_some(records));
        some
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.keyspace.has_snapshot.store(false, Ordering::Relaxed);
        *self.keyspace.snapshot.write() = None;
    }
}

impl Database<'_> {
    /// To be called before a key of a locked shard changes, comes or goes.
    #[inline]
    pub(super) fn before_change(&self, shard: &Shard, hash: u64, key: &[u8]) {
        if self.keyspace.has_snapshot() {
            let record = shard.find(hash, |(record, ())| record.key() == key).map(|(record, ())| record);
            self.hand_over(hash, key, record);
        }
    }

    /// [`Database::before_change`] for a record that is at hand.
    #[inline]
    pub(super) fn before_change_of(&self, record: &Record, hash: u64) {
        if self.keyspace.has_snapshot() {
            self.hand_over(hash, record.key(), Some(record));
        }
    }

    #[cold]
    fn hand_over(&self, hash: u64, key: &[u8], record: Option<&Record>) {
        let Some(pending) = self.keyspace.snapshot.read().clone() else { return };
        if let Some(shard) = pending.shard(self.place, super::database::shard_of(hash)) {
            shard.lock().hand_over(key, record);
        }
    }

    /// Hands over what has been taken out of a locked shard, or gives it back if no snapshot needs it.
    pub(super) fn hand_over_all(&self, index: usize, records: Shard) -> Option<Shard> {
        let pending = if self.keyspace.has_snapshot() { self.keyspace.snapshot.read().clone() } else { None };
        let Some(mut shard) = pending.as_ref().and_then(|pending| pending.shard(self.place, index)).map(Mutex::lock)
        else {
            return Some(records);
        };
        if shard.is_done {
            return Some(records);
        }
        shard.is_done = true;
        shard.flushed = Some(records);
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::Snapshot;
    use crate::base::clock::UnixMillis;
    use crate::store::{HashLimits, Keyspace, Lock, Replace};

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn keyspace() -> Arc<Keyspace> {
        Arc::new(Keyspace::new(4, HashLimits { max_listpack_entries: 512, max_listpack_value: 64 }))
    }

    fn set(keyspace: &Keyspace, database: usize, key: &str, value: &str) {
        keyspace.database(database, NOW).update(key.as_bytes(), |hash| hash.set(b"f", value.as_bytes()));
    }

    fn read(snapshot: &Snapshot) -> BTreeMap<(usize, String), String> {
        let mut all = BTreeMap::new();
        for database in snapshot.databases() {
            let done: Result<(), ()> = snapshot.read(database, |image| {
                let value = image.hash().fields().map(|(_, value, _)| value.text().to_vec()).next().unwrap();
                let key = (database.index, String::from_utf8_lossy(image.key()).into_owned());
                let before = all.insert(key, String::from_utf8_lossy(&value).into_owned());
                assert_eq!(before, None, "a key is read twice");
                Ok(())
            });
            done.unwrap();
        }
        all
    }

    #[test]
    fn what_is_done_after_it_has_begun_does_not_show() {
        let keyspace = keyspace();
        for number in 0..3000 {
            set(&keyspace, number % 3, &number.to_string(), "old");
        }
        keyspace.database(0, NOW).expire_key(b"30", UnixMillis(NOW.0 + 5), |_| true);
        let (snapshot, ()) = keyspace.begin_snapshot(|_| ()).unwrap();
        assert!(keyspace.begin_snapshot(|_| ()).is_none(), "one at a time");
        let mut store = keyspace.database(0, NOW);
        for key in ["0", "3", "new"] {
            set(&keyspace, 0, key, "new");
        }
        store.remove(b"6");
        set(&keyspace, 0, "6", "again");
        store.rename(b"9", b"renamed", Replace::Yes);
        store.rename(b"12", b"15", Replace::Yes);
        store.copy_to(1, b"18", b"copied", Replace::Yes);
        store.move_to(1, b"21");
        store.persist(b"24");
        store.expire_key(b"27", UnixMillis(NOW.0 - 1), |_| true);
        assert!(!keyspace.database(0, UnixMillis(NOW.0 + 10)).exists(b"30"), "has expired");
        set(&keyspace, 3, "in a database that was not in use", "new");
        {
            let held = keyspace.lock(&[Lock::Database(1), Lock::Database(2)]);
            let mut store = keyspace.database(1, NOW);
            store.use_held(&held);
            store.swap(1, 2);
        }
        {
            let held = keyspace.lock(&[Lock::Database(2)]);
            let mut store = keyspace.database(2, NOW);
            store.use_held(&held);
            store.flush();
        }
        set(&keyspace, 2, "after the flush", "new");
        let expected: BTreeMap<_, _> =
            (0..3000).map(|number| ((number % 3, number.to_string()), "old".to_owned())).collect();
        assert!(read(&snapshot) == expected, "the snapshot is as the data was");
        assert!(read(&snapshot).is_empty(), "all has been read");
        drop(snapshot);
        let (snapshot, ()) = keyspace.begin_snapshot(|_| ()).unwrap();
        let after = read(&snapshot);
        assert_eq!(after.get(&(0, "renamed".into())).map(String::as_str), Some("old"));
        assert_eq!(after.get(&(2, "after the flush".into())).map(String::as_str), Some("new"));
        assert_eq!(after.keys().filter(|(database, _)| *database == 2).count(), 1);
    }

    /// Writers move amounts between keys, and rename and empty some, while snapshots are read: the sum is always the same.
    #[test]
    fn a_sum_is_the_same_in_every_snapshot() {
        const KEYS: usize = 200;
        const EACH: i64 = 1000;
        let (keyspace, stop) = (keyspace(), Arc::new(AtomicBool::new(false)));
        let key = |number: usize| format!("account {number}");
        for number in 0..KEYS {
            set(&keyspace, 0, &key(number), &EACH.to_string());
        }
        let writer = |seed: usize| {
            let (keyspace, stop) = (Arc::clone(&keyspace), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut state = seed;
                while !stop.load(Ordering::Relaxed) {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let (from, to) = (key((state >> 20) % KEYS), key((state >> 40) % KEYS));
                    let held = keyspace.lock(&[Lock::Key(0, from.as_bytes()), Lock::Key(0, to.as_bytes())]);
                    let mut store = keyspace.database(0, NOW);
                    store.use_held(&held);
                    for (key, amount) in [(&from, -7), (&to, 7)] {
                        store.update(key.as_bytes(), |hash| {
                            let before: i64 = hash
                                .get(b"f")
                                .map_or(0, |value| std::str::from_utf8(&value.text()).unwrap().parse().unwrap());
                            match before + amount {
                                0 => drop(hash.remove(b"f")),
                                sum => drop(hash.set(b"f", sum.to_string().as_bytes())),
                            }
                        });
                    }
                    store.rename(from.as_bytes(), from.as_bytes(), Replace::Yes);
                }
            })
        };
        let writers = [writer(1), writer(2)];
        for _ in 0..30 {
            let (snapshot, ()) = keyspace.begin_snapshot(|_| ()).unwrap();
            let sum: i64 = read(&snapshot).values().map(|value| value.parse::<i64>().unwrap()).sum();
            assert_eq!(sum, EACH * i64::try_from(KEYS).unwrap());
        }
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.join().unwrap();
        }
    }
}
