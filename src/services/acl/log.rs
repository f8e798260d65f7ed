//! `ACL LOG`: who was refused what.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::base::clock::UnixMillis;

/// What a client was refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A command that it may not run.
    Command,
    /// A key.
    Key,
    /// A channel.
    Channel,
    /// A wrong name or password.
    Auth,
    /// A certificate that names nobody who may come in.
    Certificate,
}

impl Reason {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Command, Self::Key, Self::Channel, Self::Auth, Self::Certificate];

    /// The word for it in ACL LOG.
    pub fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Key => "key",
            Self::Channel => "channel",
            Self::Auth => "auth",
            Self::Certificate => "tls-cert",
        }
    }
}

/// What happened, for the log.
#[derive(Debug, Clone)]
pub struct Event {
    /// Why.
    pub reason: Reason,
    /// Whether in a transaction.
    pub in_multi: bool,
    /// The command, key or channel.
    pub object: Vec<u8>,
    /// Who it was, or wanted to be.
    pub username: Vec<u8>,
    /// The client as CLIENT LIST shows it.
    pub client: Vec<u8>,
}

/// A line of the log: the same event may have happened more than once.
#[derive(Debug, Clone)]
pub struct Entry {
    /// How many times.
    pub count: u64,
    /// What happened; the client is the last one.
    pub event: Event,
    /// Number of the entry, never used twice.
    pub id: u64,
    /// The first time.
    pub created_at: UnixMillis,
    /// The last time.
    pub updated_at: UnixMillis,
}

/// Similar events become one entry when they come within this time, in milliseconds.
const GROUPED_WITHIN: i64 = 60_000;

/// Longest object or name that is kept: whoever is refused cannot fill the memory with it.
const LONGEST: usize = 4096;

/// Entries looked at for a similar event.
const LOOKED_AT: usize = 10;

/// The log and the counters of INFO.
#[derive(Debug, Default)]
pub struct Log {
    counts: [AtomicU64; Reason::ALL.len()],
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The latest first.
    entries: VecDeque<Entry>,
    next_id: u64,
}

impl Log {
    /// Notes an event; keeps `limit` entries.
    pub fn add(&self, mut event: Event, now: UnixMillis, limit: usize) {
        if let Some(count) = self.counts.get(event.reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        event.object.truncate(LONGEST);
        event.username.truncate(LONGEST);
        let mut state = self.state.lock();
        if limit > 0 {
            let is_similar = |entry: &Entry| {
                let known = &entry.event;
                (known.reason, known.in_multi) == (event.reason, event.in_multi)
                    && (now.0 - entry.updated_at.0).abs() <= GROUPED_WITHIN
                    && (&known.object, &known.username) == (&event.object, &event.username)
            };
            let similar = state.entries.iter().take(LOOKED_AT).position(is_similar);
            if let Some(mut entry) = similar.and_then(|at| state.entries.remove(at)) {
                entry.count += 1;
                entry.updated_at = now;
                entry.event.client = event.client;
                state.entries.push_front(entry);
                return;
            }
            let id = state.next_id;
            state.next_id += 1;
            state.entries.push_front(Entry { count: 1, event, id, created_at: now, updated_at: now });
        }
        state.entries.truncate(limit);
    }

    /// The latest entries, at most `count`.
    pub fn latest(&self, count: usize) -> Vec<Entry> {
        self.state.lock().entries.iter().take(count).cloned().collect()
    }

    /// Forgets all entries.
    pub fn clear(&self) {
        self.state.lock().entries.clear();
    }

    /// How many events of a kind there have been.
    pub fn count(&self, reason: Reason) -> u64 {
        self.counts.get(reason as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(object: &str) -> Event {
        let (object, username) = (object.as_bytes().to_vec(), b"u".to_vec());
        Event { reason: Reason::Key, in_multi: false, object, username, client: Vec::new() }
    }

    #[test]
    fn similar_events_are_one_entry_for_a_minute() {
        let log = Log::default();
        for (object, now) in [("a", 0), ("b", 1), ("a", 60_000), ("a", 120_001)] {
            log.add(event(object), UnixMillis(now), 10);
        }
        let seen: Vec<_> = log.latest(10).iter().map(|entry| (entry.id, entry.count, entry.created_at.0)).collect();
        assert_eq!(seen, [(2, 1, 120_001), (0, 2, 0), (1, 1, 1)]);
        assert_eq!((log.count(Reason::Key), log.count(Reason::Auth)), (4, 0));
        log.add(event("c"), UnixMillis(0), 2);
        assert_eq!(log.latest(10).len(), 2);
        log.add(event("c"), UnixMillis(0), 0);
        assert!(log.latest(10).is_empty());
    }
}
