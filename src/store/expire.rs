//! Expiry: what is due when, and reclaiming it in the background.

use std::sync::atomic::{AtomicU64, Ordering};

use super::database::Database;
use super::due::Tag;
use super::entry::Record;
use super::hash::{Access, HashEdit};
use super::keyspace::{DatabaseData, Keyspace, SHARDS, Shard};
use crate::base::clock::UnixMillis;

/// Keys reclaimed, or looked at, per time a shard is locked.
const KEYS_PER_LOCK: usize = 32;

/// Fields reclaimed from one big hash per time its shard is locked.
const FIELDS_PER_LOCK: usize = 256;

/// Counters of expiry.
#[derive(Debug, Default)]
pub struct ExpireStats {
    /// Keys reclaimed because their time had come.
    pub expired_keys: AtomicU64,
    /// Fields reclaimed because their time had come.
    pub expired_fields: AtomicU64,
    /// Those of the keys that nobody had asked for.
    pub expired_keys_unasked: AtomicU64,
    /// Those of the fields that nobody had asked for.
    pub expired_fields_unasked: AtomicU64,
}

/// What the database counts of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footprint {
    exists: bool,
    is_table: bool,
    /// Binary digits of the number of fields.
    digits: u32,
    key_expiry: Option<UnixMillis>,
    first_field_expiry: Option<UnixMillis>,
}

impl Footprint {
    /// Of a key that does not exist.
    pub(super) const NONE: Self =
        Self { exists: false, is_table: false, digits: 0, key_expiry: None, first_field_expiry: None };

    pub(super) fn of(record: &Record) -> Self {
        Self {
            exists: true,
            is_table: record.is_table(),
            digits: usize::BITS - record.len().leading_zeros(),
            key_expiry: record.key_expiry(),
            first_field_expiry: record.first_field_expiry(),
        }
    }

    /// When the key, or a field of it, is due first.
    fn due(self) -> Option<UnixMillis> {
        match (self.key_expiry, self.first_field_expiry) {
            (Some(key), Some(field)) => Some(key.min(field)),
            (key, field) => key.or(field),
        }
    }
}

impl DatabaseData {
    /// Brings counters and due index up to date with the removal of all keys; all shards are locked.
    pub(super) fn forget_all(&self) {
        for counter in [&self.keys, &self.tables, &self.keys_with_expiry, &self.keys_with_field_expiry] {
            counter.store(0, Ordering::Relaxed);
        }
        self.expiry_sum.store(0, Ordering::Relaxed);
        self.sizes.iter().for_each(|size| size.store(0, Ordering::Relaxed));
        self.orders.clear();
        for shard in 0..SHARDS {
            if let Some(index) = self.due(shard) {
                index.lock().clear();
            }
        }
    }

    /// Brings counters and due index up to date with a change of the key with `hash`, whose shard is locked.
    pub(super) fn account(&self, shard: usize, hash: u64, before: Footprint, after: Footprint) {
        if before == after {
            return;
        }
        step(&self.keys, before.exists, after.exists);
        step(&self.tables, before.is_table, after.is_table);
        if before.digits != after.digits {
            let size = |digits: u32| (digits as usize).checked_sub(1).and_then(|at| self.sizes.get(at));
            if let Some(size) = size(before.digits) {
                size.fetch_sub(1, Ordering::Relaxed);
            }
            if let Some(size) = size(after.digits) {
                size.fetch_add(1, Ordering::Relaxed);
            }
        }
        step(&self.keys_with_expiry, before.key_expiry.is_some(), after.key_expiry.is_some());
        step(&self.keys_with_field_expiry, before.first_field_expiry.is_some(), after.first_field_expiry.is_some());
        if before.key_expiry != after.key_expiry {
            let at = |footprint: Footprint| footprint.key_expiry.map_or(0, |at| at.0);
            self.expiry_sum.fetch_add(at(after).wrapping_sub(at(before)), Ordering::Relaxed);
        }
        let (old, new) = (before.due(), after.due());
        let volatile = (before.key_expiry.is_some(), after.key_expiry.is_some());
        if (old != new || volatile.0 != volatile.1)
            && let Some(index) = self.due(shard)
        {
            let mut index = index.lock();
            index.count_volatile(volatile.0, volatile.1);
            index.change(Tag::of(hash), old, new);
        }
    }
}

fn step(counter: &std::sync::atomic::AtomicUsize, before: bool, after: bool) {
    match (before, after) {
        (false, true) => {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        (true, false) => {
            counter.fetch_sub(1, Ordering::Relaxed);
        }
        _ => {}
    }
}

impl Keyspace {
    /// Reclaims what is due, in slices that each hold one shard for microseconds, until all is done or `go_on` says
    /// no. Tells whether anything due is left.
    pub fn expire_due(&self, now: UnixMillis, mut go_on: impl FnMut() -> bool) -> bool {
        if self.show_due() {
            return false;
        }
        let mut left = false;
        for index in 0..self.database_count() {
            if !self.expires_anything(index) {
                continue;
            }
            // One slice of each shard in turn, so that those who wait for a shard get it in between.
            let database = self.database(index, now);
            let mut shards: Vec<usize> = (0..SHARDS).collect();
            while !shards.is_empty() {
                shards.retain(|&shard| database.has_due(shard));
                for &shard in &shards {
                    if !go_on() {
                        return true;
                    }
                    if !database.expire_slice(shard) {
                        left = true;
                    }
                }
                if left {
                    break;
                }
            }
        }
        left
    }

    fn expires_anything(&self, index: usize) -> bool {
        if !self.is_used(index) {
            return false;
        }
        let (_, data) = self.data(index);
        data.keys_with_expiry.load(Ordering::Relaxed) + data.keys_with_field_expiry.load(Ordering::Relaxed) > 0
    }
}

impl Database<'_> {
    fn has_due(&self, shard: usize) -> bool {
        self.data.due(shard).is_some_and(|index| {
            let index = index.lock();
            index.is_up(self.now) || index.is_mostly_stale()
        })
    }

    /// Reclaims a few of the keys and fields of a shard that are due; false if it could not.
    fn expire_slice(&self, index: usize) -> bool {
        self.with_shard(index, |shard| {
            if !self.is_current() {
                // SWAPDB came in between; the next tick finds what is due.
                return false;
            }
            let Some(due) = self.data.due(index) else { return false };
            if due.lock().is_mostly_stale() {
                self.mark_all(shard, index);
            }
            for _ in 0..KEYS_PER_LOCK {
                let tag = due.lock().take(self.now);
                let Some(tag) = tag else { break };
                self.expire_tagged(shard, tag);
                for (at, _) in self.tagged(shard, tag) {
                    due.lock().mark(tag, at);
                }
            }
            true
        })
    }

    /// What the keys with a tag have due first, and when.
    pub(super) fn tagged<'s>(
        &self,
        shard: &'s Shard,
        tag: Tag,
    ) -> impl Iterator<Item = (UnixMillis, &'s Record)> + use<'_, 's> {
        let records = shard.iter_hash(tag.hash()).map(|(record, ())| record);
        records
            .filter(move |record| Tag::of(self.keyspace.hasher.hash(record.key())) == tag)
            .filter_map(|record| Some((Footprint::of(record).due()?, record)))
    }

    /// Makes the marks of a shard anew.
    fn mark_all(&self, shard: &Shard, index: usize) {
        let Some(due) = self.data.due(index) else { return };
        let mut due = due.lock();
        due.forget_marks();
        for (record, ()) in shard {
            if let Some(at) = Footprint::of(record).due() {
                due.mark(Tag::of(self.keyspace.hasher.hash(record.key())), at);
            }
        }
    }

    /// Edits a hash only to reclaim what is due, which is no use of the key.
    pub(super) fn reclaim<R>(
        &self,
        shard: &mut Shard,
        hash: u64,
        key: &[u8],
        access: &Access<'_>,
        change: impl FnOnce(&mut HashEdit<'_>) -> R,
    ) -> Option<R> {
        let last_access = self.live(shard, hash, key)?.access();
        let result = self.edit(shard, hash, key, access, change);
        if let Some(record) = self.live(shard, hash, key) {
            record.set_access(last_access);
        }
        Some(result)
    }

    /// Reclaims a key with this tag that is due, or due fields of it, if there is one.
    fn expire_tagged(&self, shard: &mut Shard, tag: Tag) {
        let due = self.tagged(shard, tag).find(|&(at, _)| at < self.now);
        let Some(key) = due.map(|(_, record)| record.key().to_vec()) else { return };
        let hash = self.keyspace.hasher.hash(&key);
        let removed = self.reclaim(shard, hash, &key, &self.access(), |edit| edit.remove_due(FIELDS_PER_LOCK));
        let stats = &self.keyspace.stats;
        let Some(removed) = removed else {
            stats.expired_keys_unasked.fetch_add(1, Ordering::Relaxed);
            return;
        };
        stats.expired_fields_unasked.fetch_add(removed as u64, Ordering::Relaxed);
    }
}
