//! RENAME, COPY and MOVE: operations on two keys, atomic because both shards are locked.

use super::access::Use;
use super::change::{Effect, Event};
use super::database::Database;
use super::entry::Record;
use super::keyspace::Shard;

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
            return match (self.use_quietly(from), replace) {
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
        loop {
            let target = self.counterpart(database);
            let hashes = (self.keyspace.hasher.hash(from), self.keyspace.hasher.hash(to));
            let (here, there) = (self.shard_index(hashes.0), target.shard_index(hashes.1));
            let this = &*self;
            let transfer = |shard: &mut Shard, other: Option<&mut Shard>| {
                (this.is_current() && target.is_current())
                    .then(|| Pair { this, target: &target, from, to, hashes }.transfer(shard, other, replace, source))
            };
            let done = match here.cmp(&there) {
                std::cmp::Ordering::Equal => this.with_shard(here.shard, |shard| transfer(shard, None)),
                std::cmp::Ordering::Less => this.with_shard(here.shard, |shard| {
                    target.with_shard(there.shard, |other| transfer(shard, Some(other)))
                }),
                std::cmp::Ordering::Greater => target
                    .with_shard(there.shard, |other| this.with_shard(here.shard, |shard| transfer(shard, Some(other)))),
            };
            match done {
                Some(Ok(replaced)) => {
                    self.count_changes(1);
                    if let Some(record) = replaced {
                        self.dispose(record);
                    }
                    return Transfer::Done;
                }
                Some(Err(refused)) => return refused,
                None => self.refresh(),
            }
        }
    }
}

/// The two ends of a transfer, whose shards are locked.
struct Pair<'a> {
    this: &'a Database<'a>,
    target: &'a Database<'a>,
    from: &'a [u8],
    to: &'a [u8],
    hashes: (u64, u64),
}

impl Pair<'_> {
    /// Moves or copies the record; gives the one that it has replaced. `other` is the target's shard unless it is the same.
    fn transfer(
        &self,
        shard: &mut Shard,
        mut other: Option<&mut Shard>,
        replace: Replace,
        source: Source,
    ) -> Result<Option<Record>, Transfer> {
        let Self { this, target, from, to, hashes } = *self;
        let Some(record) = this.live(shard, hashes.0, from) else {
            if source == Source::Stays {
                // Only COPY reads its source, to Redis.
                this.record_miss(from);
            }
            return Err(Transfer::NoSource);
        };
        // Only COPY uses its source: what RENAME and MOVE make is as good as new.
        let copy = (source == Source::Stays).then(|| {
            this.note_use(record, Use::Read);
            record.renamed(to, &this.keyspace.hasher)
        });
        let in_the_way = other.as_deref_mut().unwrap_or(shard);
        if target.live(in_the_way, hashes.1, to).is_some() && replace == Replace::No {
            return Err(Transfer::TargetExists);
        }
        let replaced = target.take(in_the_way, hashes.1, to);
        let record = match copy {
            Some(copy) => Some(copy),
            None => this.take(shard, hashes.0, from).map(|record| record.into_renamed(to, &this.keyspace.hasher)),
        };
        if let Some(mut record) = record {
            record.set_access(this.fresh_clock());
            target.put(other.unwrap_or(shard), hashes.1, record);
        }
        self.record(source);
        if replaced.is_some() {
            target.record(to, Event::Overwritten, &[]);
        }
        Ok(replaced)
    }

    fn record(&self, source: Source) {
        let Self { this, target, from, to, .. } = *self;
        this.log(match source {
            Source::Stays => Effect::Copy(from, to, target.index),
            Source::Goes if from == to => Effect::Move(from, target.index),
            Source::Goes => Effect::Rename(from, to),
        });
        // A key that takes another's place is new as well.
        target.record(to, Event::New, &[]);
        match source {
            Source::Stays => target.record(to, Event::CopyTo, &[]),
            Source::Goes if from == to => {
                this.record(from, Event::MoveFrom, &[]);
                target.record(to, Event::MoveTo, &[]);
            }
            Source::Goes => {
                this.record(from, Event::RenameFrom, &[]);
                target.record(to, Event::RenameTo, &[]);
            }
        }
    }
}
