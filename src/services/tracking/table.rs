//! Which clients may have which keys in their caches: names of keys, without their databases, as in Redis.

use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashTable;
use parking_lot::Mutex;

use crate::base::random::Random;
use crate::services::clients::ClientId;

const PARTS: usize = 64;

/// A key and the clients that have read it, in ascending order.
#[derive(Debug)]
struct Entry {
    key: Box<[u8]>,
    readers: Vec<ClientId>,
}

/// A part of the table. The entries stand in a row, so that a random one is found at once.
#[derive(Debug, Default)]
struct Part {
    entries: Vec<Entry>,
    /// Indexes of `entries` by the hash of the key.
    index: HashTable<usize>,
}

/// The table, split by key so that workers seldom meet. Its locks are leaves, taken with shards locked.
#[derive(Debug)]
pub(super) struct Table {
    parts: Box<[Mutex<Part>]>,
    hasher: ahash::RandomState,
    keys: AtomicUsize,
    items: AtomicUsize,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            hasher: ahash::RandomState::new(),
            keys: AtomicUsize::new(0),
            items: AtomicUsize::new(0),
        }
    }
}

impl Table {
    /// Number of keys.
    pub(super) fn keys(&self) -> usize {
        self.keys.load(Ordering::Relaxed)
    }

    /// Number of pairs of a key and one of its readers.
    pub(super) fn items(&self) -> usize {
        self.items.load(Ordering::Relaxed)
    }

    /// Remembers that a client has read a key.
    pub(super) fn add(&self, key: &[u8], reader: ClientId) {
        let hash = self.hasher.hash_one(key);
        let Some(part) = self.parts.get(part_of(hash)) else { return };
        let mut part = part.lock();
        let at = part.find(hash, key).unwrap_or_else(|| {
            self.keys.fetch_add(1, Ordering::Relaxed);
            part.insert(hash, key, &self.hasher)
        });
        if let Some(entry) = part.entries.get_mut(at)
            && let Err(place) = entry.readers.binary_search(&reader)
        {
            entry.readers.insert(place, reader);
            self.items.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Forgets a key; gives its readers.
    pub(super) fn take(&self, key: &[u8]) -> Vec<ClientId> {
        let hash = self.hasher.hash_one(key);
        let Some(part) = self.parts.get(part_of(hash)) else { return Vec::new() };
        let mut part = part.lock();
        let Some(at) = part.find(hash, key) else { return Vec::new() };
        self.forget(part.remove(at, &self.hasher)).map_or_else(Vec::new, |entry| entry.readers)
    }

    /// Forgets a key chosen at random; gives it and its readers.
    pub(super) fn take_random(&self, random: &mut Random) -> Option<(Box<[u8]>, Vec<ClientId>)> {
        let first = random.below(PARTS);
        for offset in 0..PARTS {
            let Some(part) = self.parts.get((first + offset) % PARTS) else { continue };
            let mut part = part.lock();
            if !part.entries.is_empty() {
                let at = random.below(part.entries.len());
                return self.forget(part.remove(at, &self.hasher)).map(|entry| (entry.key, entry.readers));
            }
        }
        None
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        for part in &self.parts {
            let part = std::mem::take(&mut *part.lock());
            for entry in part.entries {
                self.forget(Some(entry));
            }
        }
    }

    fn forget(&self, removed: Option<Entry>) -> Option<Entry> {
        let entry = removed?;
        self.keys.fetch_sub(1, Ordering::Relaxed);
        self.items.fetch_sub(entry.readers.len(), Ordering::Relaxed);
        Some(entry)
    }
}

impl Part {
    fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let is_it = |&at: &usize| self.entries.get(at).is_some_and(|entry| *entry.key == *key);
        self.index.find(hash, is_it).copied()
    }

    fn insert(&mut self, hash: u64, key: &[u8], hasher: &ahash::RandomState) -> usize {
        let at = self.entries.len();
        self.entries.push(Entry { key: key.into(), readers: Vec::new() });
        let entries = &self.entries;
        self.index.insert_unique(hash, at, |&at| entries.get(at).map_or(0, |entry| hasher.hash_one(&*entry.key)));
        at
    }

    /// Removes the entry at an index, whose place the last one takes.
    fn remove(&mut self, at: usize, hasher: &ahash::RandomState) -> Option<Entry> {
        let last = self.entries.len().checked_sub(1)?;
        let hash = |entry: &Entry| hasher.hash_one(&*entry.key);
        let (removed, moved) = (hash(self.entries.get(at)?), hash(self.entries.get(last)?));
        if let Ok(found) = self.index.find_entry(removed, |&index| index == at) {
            found.remove();
        }
        if let Some(index) = self.index.find_mut(moved, |&index| index == last) {
            *index = at;
        }
        Some(self.entries.swap_remove(at))
    }
}

fn part_of(hash: u64) -> usize {
    // The low bits choose within the part.
    usize::try_from((hash >> 32) % PARTS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_remembered_once_and_given_back_in_order() {
        let table = Table::default();
        for reader in [3, 1, 3, 2] {
            table.add(b"k", ClientId(reader));
        }
        table.add(b"l", ClientId(1));
        assert_eq!((table.keys(), table.items()), (2, 4));
        assert_eq!(table.take(b"k"), [ClientId(1), ClientId(2), ClientId(3)]);
        assert_eq!(table.take(b"k"), []);
        assert_eq!((table.keys(), table.items()), (1, 1));
        table.clear();
        assert_eq!((table.keys(), table.items()), (0, 0));
    }

    #[test]
    fn every_key_is_found_whatever_was_removed_before() {
        let (table, mut random) = (Table::default(), Random::from_seed(1));
        let name = |n: u64| format!("key{n}").into_bytes();
        for n in 0..5000 {
            table.add(&name(n), ClientId(n));
        }
        for _ in 0..2000 {
            let (key, readers) = table.take_random(&mut random).unwrap();
            assert_eq!(readers.first().map(|reader| name(reader.0)).as_deref(), Some(&*key));
        }
        let found = (0..5000).filter(|&n| table.take(&name(n)) == [ClientId(n)]).count();
        assert_eq!((found, table.keys(), table.items()), (3000, 0, 0));
        assert!(table.take_random(&mut random).is_none());
    }
}
