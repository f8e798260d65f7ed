//! FLUSHDB, FLUSHALL and SWAPDB: operations on whole databases. Their callers hold all shards concerned, for as long as
//! it takes to take the tables out or to flip an index; what was removed is freed later, in the background.

use super::change::{Effect, Event, Interest};
use super::database::Database;
use super::keyspace::{Removed, SHARDS};

impl Database<'_> {
    /// Removes all keys of all databases, whose shards are all held. A database that another client has begun to use
    /// since they were locked is not: what comes into it comes after.
    pub fn flush_all(&mut self) {
        for index in self.keyspace.used_databases() {
            let mut database = self.counterpart(index);
            if database.is_held() {
                database.empty();
                self.count_changes(database.changes());
            }
        }
        self.tell_flushed(None);
    }

    /// Removes all keys. The shards are all held.
    pub fn flush(&mut self) {
        self.empty();
        self.tell_flushed(Some(self.index()));
    }

    fn tell_flushed(&self, database: Option<usize>) {
        if let Some(log) = self.keyspace.change_log().filter(|_| !self.keyspace.interest().is_empty()) {
            log.flushed(database, self.origin);
        }
    }

    fn empty(&mut self) {
        // Of FLUSHALL, too, each database by itself: one that came into use meanwhile is not emptied.
        if !self.is_empty() {
            self.log(Effect::Flush);
        }
        if let Some(log) = self.keyspace.change_log().filter(|_| !self.keyspace.interest().is_empty()) {
            for key in log.watched_keys(self.index()) {
                if self.exists_quietly(&key) {
                    self.record(&key, Event::Replaced, &[]);
                }
            }
        }
        self.count_changes(self.len() as u64);
        for index in 0..SHARDS {
            self.with_shard(index, |shard| {
                if shard.is_empty() {
                    return;
                }
                // What one takes stands for all: to look at each would be to wait for memory with everything locked.
                let each = shard.iter().next().map_or(0, |(record, ())| record.memory(1));
                let bytes = shard.allocation_size() + shard.len() * each;
                if let Some(records) = self.hand_over_all(index, std::mem::take(shard)) {
                    self.keyspace.bury(Removed::Shard(records), bytes);
                }
            });
        }
        self.data.forget_all();
    }

    /// Exchanges two databases, whose shards are all held.
    pub fn swap(&mut self, one: usize, other: usize) {
        let mut replaced = Vec::new();
        if let Some(log) = self.keyspace.change_log().filter(|_| self.keyspace.interest().contains(Interest::WATCH)) {
            let exists =
                |key: &[u8]| self.counterpart(one).exists_quietly(key) || self.counterpart(other).exists_quietly(key);
            for index in [one, other] {
                let keys = log.watched_keys(index).into_iter().filter(|key| exists(key));
                replaced.extend(keys.map(|key| (index, key)));
            }
        }
        self.keyspace.exchange(one, other);
        self.log(Effect::Swap(one, other));
        self.count_changes(1);
        for (index, key) in replaced {
            self.counterpart(index).record(&key, Event::Replaced, &[]);
        }
        self.refresh();
    }
}
