//! RENAME, COPY and MOVE: operations on two keys, atomic because both shards are locked.

use super::database::{Database, shard_of};
use super::keyspace::with_two_shards;

/// Whether a key in the way may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// It may.
    Yes,
    /// It may not.
    No,
}

/// What came of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// Done.
    Done,
    /// There is no such key.
    NoSource,
    /// A key of that name is in the way.
    TargetExists,
}

/// What becomes of the source.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Goes,
    Stays,
}

impl Database<'_> {
    /// Renames a key, its expiry included. Renaming a key to itself does nothing.
    pub fn rename(&mut self, from: &[u8], to: &[u8], replace: Replace) -> Transfer {
        if from == to {
            return match (self.exists(from), replace) {
                (false, _) => Transfer::NoSource,
                (true, Replace::Yes) => Transfer::Done,
                (true, Replace::No) => Transfer::TargetExists,
            };
        }
        self.transfer(self.index, from, to, replace, Source::Goes)
    }

    /// Copies a key with its expiries to `to` in database `database`. Source and target must differ.
    pub fn copy_to(&mut self, database: usize, from: &[u8], to: &[u8], replace: Replace) -> Transfer {
        self.transfer(database, from, to, replace, Source::Stays)
    }

    /// Moves a key with its expiries to another database.
    pub fn move_to(&mut self, database: usize, key: &[u8]) -> Transfer {
        self.transfer(database, key, key, Replace::No, Source::Goes)
    }

    fn transfer(&mut self, database: usize, from: &[u8], to: &[u8], replace: Replace, source: Source) -> Transfer {
        let target = self.keyspace.database(database, self.now);
        let this = &*self;
        let (from_hash, to_hash) = (self.keyspace.hasher.hash(from), self.keyspace.hasher.hash(to));
        let here = (self.place, self.data, shard_of(from_hash));
        let there = (target.place, target.data, shard_of(to_hash));
        let replaced = with_two_shards(here, there, |shard, mut other| {
            let Some(record) = this.live(shard, from_hash, from) else { return Err(Transfer::NoSource) };
            let copy = (source == Source::Stays).then(|| record.renamed(to));
            let in_the_way = other.as_deref_mut().unwrap_or(shard);
            if target.live(in_the_way, to_hash, to).is_some() && replace == Replace::No {
                return Err(Transfer::TargetExists);
            }
            let replaced = target.take(in_the_way, to_hash, to);
            let record = match copy {
                Some(copy) => Some(copy),
                None => this.take(shard, from_hash, from).map(|record| record.into_renamed(to)),
            };
            if let Some(record) = record {
                target.put(other.unwrap_or(shard), to_hash, record);
            }
            Ok(replaced)
        });
        match replaced {
            Ok(_freed_without_locks) => Transfer::Done,
            Err(refused) => refused,
        }
    }
}
