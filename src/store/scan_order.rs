//! `ScanOrders`: the iteration order of the shards that SCAN has looked at last, so that each of its many calls on a shard
//! does not have to sort the whole shard again.
//!
//! Only a shortcut: cursors mean the same without it. An order is made from a shard's keys when it is first asked for, and
//! gains every key that comes later; keys that go are left in it, and looked for in vain.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::keyspace::Shard;
use super::position::KeyHasher;
use super::position::Position;

/// How many shards' orders are kept: about as many as there are SCANs at a time.
const KEPT: usize = 8;

/// How many records are on their way into the cache while one is looked at.
pub(super) const AHEAD: usize = 16;

/// No shard.
const NONE: usize = usize::MAX;

/// The orders of a few shards of one database.
#[derive(Debug)]
pub(super) struct ScanOrders {
    slots: [Slot; KEPT],
}

/// The order of the shard named by `shard`, which changes to a shard only while that shard is locked: who holds a shard's
/// lock and does not find it here can rely on that.
#[derive(Debug)]
struct Slot {
    shard: AtomicUsize,
    /// Hashes of keys by position, each once.
    hashes: Mutex<Vec<u64>>,
}

impl Default for ScanOrders {
    fn default() -> Self {
        Self { slots: std::array::from_fn(|_| Slot { shard: AtomicUsize::new(NONE), hashes: Mutex::default() }) }
    }
}

fn place(hash: u64) -> (Position, u64) {
    (Position::of_hash(hash), hash)
}

impl ScanOrders {
    /// The hashes of a locked shard's keys from a position on: at least `count` if there are so many, and all of the last
    /// one's position. Some may be of keys that are gone.
    pub(super) fn from(
        &self,
        index: usize,
        shard: &Shard,
        hasher: &KeyHasher,
        (from, count): (Position, usize),
    ) -> Vec<u64> {
        let Some(slot) = self.slots.get(index % KEPT) else { return Vec::new() };
        let mut order = slot.hashes.lock();
        let is_worn = order.len() > 2 * shard.len() + 64;
        if slot.shard.load(Ordering::Relaxed) != index || is_worn {
            slot.shard.store(index, Ordering::Relaxed);
            order.clear();
            order.shrink_to(4 * shard.len());
            // Each record is a wait for memory; another iteration runs ahead, so that the waits overlap.
            let mut ahead = shard.iter();
            ahead.by_ref().take(AHEAD).for_each(|(record, ())| record.prefetch());
            for (record, ()) in shard {
                if let Some((next, ())) = ahead.next() {
                    next.prefetch();
                }
                order.push(hasher.hash(record.key()));
            }
            order.sort_unstable_by_key(|&hash| place(hash));
            order.dedup();
        }
        let start = order.partition_point(|&hash| Position::of_hash(hash) < from);
        let ahead = order.get(start..).unwrap_or_default();
        let (first, rest) = ahead.split_at_checked(count.max(1)).unwrap_or((ahead, &[]));
        let last = first.last().map(|&hash| Position::of_hash(hash));
        let alike = rest.iter().take_while(|&&hash| Some(Position::of_hash(hash)) == last).count();
        ahead.get(..first.len() + alike).unwrap_or_default().to_vec()
    }

    /// A key has come to a locked shard.
    #[inline]
    pub(super) fn add(&self, index: usize, hash: u64) {
        if let Some(slot) = self.slots.get(index % KEPT)
            && slot.shard.load(Ordering::Relaxed) == index
        {
            slot.add(index, hash);
        }
    }

    /// All keys have gone.
    pub(super) fn clear(&self) {
        for slot in &self.slots {
            let mut hashes = slot.hashes.lock();
            slot.shard.store(NONE, Ordering::Relaxed);
            *hashes = Vec::new();
        }
    }
}

impl Slot {
    #[cold]
    fn add(&self, index: usize, hash: u64) {
        let mut hashes = self.hashes.lock();
        // Another shard may have taken the slot in the meantime.
        if self.shard.load(Ordering::Relaxed) == index
            && let Err(at) = hashes.binary_search_by_key(&place(hash), |&hash| place(hash))
        {
            hashes.insert(at, hash);
        }
    }
}
