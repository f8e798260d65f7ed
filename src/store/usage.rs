//! What keys and databases take in memory.

use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::database::Database;
use super::due::DueIndex;
use super::hash::template;
use super::keyspace::{DatabaseData, Keyspace, SHARDS, Shard};
use crate::base::memory::size_class;
use crate::base::random::Random;

/// What a database takes besides its keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexMemory {
    /// Index of the database.
    pub database: usize,
    /// Keys.
    pub keys: usize,
    /// Bytes of the tables by which keys are found.
    pub tables: usize,
    /// Bytes of the marks that say when what is due.
    pub expiries: usize,
}

impl Database<'_> {
    /// Bytes that a key takes, with its share of its shard's table and of its template. Of a big hash as far as `samples`
    /// of its parts tell, all of them if 0; `None` if there is no such key.
    pub fn memory_usage(&mut self, key: &[u8], samples: usize) -> Option<usize> {
        self.with_record(key, |this, shard, hash| {
            let slot = table_bytes(shard) / shard.len().max(1);
            let record = this.live(shard, hash, key)?;
            let expires = record.key_expiry().is_some() || record.first_field_expiry().is_some();
            Some(slot + record.memory(samples) + if expires { size_of::<u64>() } else { 0 })
        })
    }
}

/// Hashes of one form in a sample.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FormSample {
    /// How many.
    pub hashes: usize,
    /// Bytes that they take.
    pub bytes: usize,
}

impl FormSample {
    fn add(&mut self, bytes: usize) {
        self.hashes += 1;
        self.bytes += bytes;
    }
}

/// In which forms hashes are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forms {
    /// Keys in all databases.
    pub keys: usize,
    /// Big hashes among them.
    pub tables: usize,
    /// Of the sample: small hashes whose names a template keeps.
    pub templated: FormSample,
    /// Of the sample: small hashes that keep their names themselves.
    pub packed: FormSample,
}

impl Keyspace {
    /// Counts keys and big hashes, and samples about so many of the small ones.
    pub fn sample_forms(&self, sample: usize) -> Forms {
        /// Keys that are looked at with their shard locked.
        const AT_A_TIME: usize = 8;
        let mut forms = Forms::default();
        let mut random = Random::from_entropy();
        for index in self.used_databases() {
            let (_, data) = self.data(index);
            forms.keys += data.keys.load(Ordering::Relaxed);
            forms.tables += data.tables.load(Ordering::Relaxed);
        }
        for index in self.used_databases() {
            let (_, data) = self.data(index);
            let keys = data.keys.load(Ordering::Relaxed);
            // Of each database as many as it has of all keys; all of them if there are few.
            let share = (sample * keys).checked_div(forms.keys).unwrap_or(0);
            let looks = if forms.keys <= sample {
                SHARDS
            } else {
                share.div_ceil(AT_A_TIME.min(keys.div_ceil(SHARDS)).max(1)).min(SHARDS)
            };
            let start = random.below(SHARDS);
            for look in 0..looks {
                data.with_shard((start + look) % SHARDS, |shard| {
                    let slot = table_bytes(shard) / shard.len().max(1);
                    for (record, ()) in shard.iter().take(AT_A_TIME).filter(|(record, ())| !record.is_table()) {
                        let is_templated = record.shares_names();
                        let form = if is_templated { &mut forms.templated } else { &mut forms.packed };
                        form.add(slot + record.memory(0));
                    }
                });
            }
        }
        forms
    }

    /// What each database in use takes besides its keys.
    pub fn index_memory(&self) -> Vec<IndexMemory> {
        self.used_databases().map(|index| self.data(index).1.index_memory(index)).collect()
    }
}

impl Keyspace {
    /// Gives up templates that have lost most of their users, if they take more than a twentieth of what the keys do.
    pub fn give_up_rare_templates(&self) {
        /// What a small key takes at least, and what a big hash takes more.
        const KEY: usize = 64;
        const TABLE: usize = 4096;
        let rare = template::memory_of_rare();
        if rare == 0 {
            return;
        }
        let used: Vec<usize> = self.used_databases().collect();
        let bytes = |&index: &usize| {
            let data = self.data(index).1;
            data.keys.load(Ordering::Relaxed) * KEY + data.tables.load(Ordering::Relaxed) * TABLE
        };
        if rare * 20 < used.iter().map(bytes).sum() {
            return;
        }
        for index in used {
            for shard in 0..SHARDS {
                self.data(index).1.with_shard(shard, |shard| {
                    for (record, ()) in shard.iter_mut() {
                        record.leave_rare_templates();
                    }
                });
            }
        }
    }
}

impl DatabaseData {
    fn index_memory(&self, database: usize) -> IndexMemory {
        /// A lock with its table has two cache lines of its own.
        const SHARD: usize = 128 + size_of::<Mutex<DueIndex>>();
        let mut memory = IndexMemory { database, tables: SHARDS * SHARD, ..IndexMemory::default() };
        for shard in 0..SHARDS {
            self.with_shard(shard, |shard| {
                memory.keys += shard.len();
                memory.tables += table_bytes(shard);
            });
            memory.expiries += self.due(shard).map_or(0, |due| due.lock().memory());
        }
        memory
    }
}

fn table_bytes(shard: &Shard) -> usize {
    match shard.allocation_size() {
        0 => 0,
        bytes => size_class(bytes),
    }
}
