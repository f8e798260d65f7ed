//! What looks at all keys of a database: SCAN, KEYS, RANDOMKEY.

use super::database::Database;
use super::entry::Record;
use super::keyspace::SHARDS;
use super::position::{Position, ScanCursor};
use super::scan_order::AHEAD;
use crate::base::random::Random;

impl Database<'_> {
    /// A key at random.
    pub fn random_key(&mut self) -> Option<Vec<u8>> {
        const TRIES: usize = 200;
        let mut random = Random::from_entropy();
        for _ in 0..TRIES {
            // A random number of keys to skip, counted through the shards: each key is as likely as any other.
            let mut skip = random.below(self.len().max(1));
            for index in 0..SHARDS {
                let found = self.with_shard(index, |shard| {
                    if skip >= shard.len() {
                        skip -= shard.len();
                        return None;
                    }
                    shard.iter().nth(skip).map(|(record, ())| (record.key().to_vec(), self.is_due(record)))
                });
                match found {
                    Some((key, false)) => return Some(key),
                    Some((_, true)) => break,
                    None => {}
                }
            }
            if self.is_empty() {
                return None;
            }
        }
        None
    }

    /// Visits about `count` keys from `cursor` on, all of one position together; gives the cursor to go on with.
    pub fn scan(&mut self, cursor: ScanCursor, count: usize, mut visit: impl FnMut(&[u8])) -> ScanCursor {
        let from = cursor.position();
        let mut visited = 0;
        for index in from.shard(SHARDS)..SHARDS {
            let next = self.with_shard(index, |shard| {
                let left = count.saturating_sub(visited);
                let hashes = self.data.orders.from(index, shard, &self.keyspace.hasher, (from, left));
                let prefetch = |&hash: &u64| shard.iter_hash(hash).for_each(|(record, ())| record.prefetch());
                let mut ahead = hashes.iter();
                ahead.by_ref().take(AHEAD).for_each(prefetch);
                let mut due = Vec::new();
                for &hash in &hashes {
                    ahead.next().into_iter().for_each(prefetch);
                    let is_it = |record: &Record| self.keyspace.hasher.hash(record.key()) == hash;
                    for (record, ()) in shard.iter_hash(hash).filter(|(record, ())| is_it(record)) {
                        visited += 1;
                        if self.is_due(record) {
                            due.push((hash, record.key().to_vec()));
                        } else {
                            visit(record.key());
                        }
                    }
                }
                for (hash, key) in due {
                    self.live(shard, hash, &key);
                }
                hashes.last().filter(|_| hashes.len() >= left).map(|&last| Position::of_hash(last).next())
            });
            match next {
                Some(position) if position.shard(SHARDS) < SHARDS => return ScanCursor::at(position),
                Some(_) => return ScanCursor::END,
                None => {}
            }
        }
        ScanCursor::END
    }

    /// Visits every key, shard by shard.
    pub fn for_each_key(&mut self, mut visit: impl FnMut(&[u8])) {
        for index in 0..SHARDS {
            self.with_shard(index, |shard| {
                for (record, ()) in shard.iter() {
                    if !self.is_due(record) {
                        visit(record.key());
                    }
                }
            });
        }
    }
}
