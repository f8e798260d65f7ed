//! `WATCH`: who wants its transaction to fail when a key changes.
//!
//! A leaf among the locks, taken with shards locked.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::store::{Interest, Keyspace};

/// Set when a key that the client watches has changed.
pub type Broken = Arc<AtomicBool>;

/// The watchers of each key name, each with its database.
type Watchers = HashMap<Box<[u8]>, Vec<(usize, Broken)>>;

const PARTS: usize = 64;

/// All watched keys.
#[derive(Debug)]
pub struct Watches {
    /// Split by key, so that workers seldom meet.
    parts: Box<[Mutex<Watchers>]>,
    hasher: ahash::RandomState,
    /// Number of watches.
    total: Mutex<usize>,
}

impl Default for Watches {
    fn default() -> Self {
        Self {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            hasher: ahash::RandomState::new(),
            total: Mutex::new(0),
        }
    }
}

impl Watches {
    /// Watches a key.
    pub fn add(&self, keyspace: &Keyspace, database: usize, key: &[u8], broken: &Broken) {
        let mut total = self.total.lock();
        *total += 1;
        keyspace.add_interest(Interest::WATCH);
        if let Some(part) = self.part(key) {
            part.lock().entry(key.into()).or_default().push((database, Arc::clone(broken)));
        }
    }

    /// Watches a key no longer.
    pub fn remove(&self, keyspace: &Keyspace, database: usize, key: &[u8], broken: &Broken) {
        let mut total = self.total.lock();
        if let Some(part) = self.part(key) {
            let mut watched = part.lock();
            if let Some(watchers) = watched.get_mut(key) {
                let is_it = |(at, flag): &(usize, Broken)| *at == database && Arc::ptr_eq(flag, broken);
                if let Some(index) = watchers.iter().position(is_it) {
                    watchers.swap_remove(index);
                    *total -= 1;
                }
                if watchers.is_empty() {
                    watched.remove(key);
                }
            }
        }
        if *total == 0 {
            keyspace.drop_interest(Interest::WATCH);
        }
    }

    /// Breaks the transactions of all who watch a key.
    pub fn touch(&self, database: usize, key: &[u8]) {
        if let Some(part) = self.part(key)
            && let Some(watchers) = part.lock().get(key)
        {
            for (_, broken) in watchers.iter().filter(|(at, _)| *at == database) {
                broken.store(true, Ordering::Release);
            }
        }
    }

    /// The watched keys of a database.
    pub fn keys(&self, database: usize) -> Vec<Box<[u8]>> {
        let mut keys = Vec::new();
        for part in &self.parts {
            let watched = part.lock();
            let here = watched.iter().filter(|(_, watchers)| watchers.iter().any(|&(at, _)| at == database));
            keys.extend(here.map(|(key, _)| key.clone()));
        }
        keys
    }

    /// Number of watched keys.
    pub fn count(&self) -> usize {
        let databases = |watchers: &Vec<(usize, Broken)>| {
            watchers.iter().map(|(database, _)| database).collect::<BTreeSet<_>>().len()
        };
        self.parts.iter().map(|part| part.lock().values().map(databases).sum::<usize>()).sum()
    }

    fn part(&self, key: &[u8]) -> Option<&Mutex<Watchers>> {
        let hash = self.hasher.hash_one(key);
        self.parts.get(usize::try_from(hash % PARTS as u64).unwrap_or(0))
    }
}
