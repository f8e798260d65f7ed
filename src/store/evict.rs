//! Eviction: which keys go when memory is short. Who measures memory, and when, is none of the store's business.
//!
//! As in Redis the choice is by sampling: a few keys are looked at, the best to go of all that have been looked at lately
//! are kept, and the best of those goes. What has been used since it was looked at is let off. One shard is locked at a
//! time, and one that somebody else has locked is passed over: nobody who makes room waits for anybody.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use super::access::{AccessClock, ClockKind, ClockRules};
use super::change::{Effect, Event, Interest};
use super::database::{Database, shard_of};
use super::due::DueIndex;
use super::entry::Record;
use super::image::KeptUsage;
use super::keyspace::{Keyspace, SHARDS, Shard};
use crate::base::clock::UnixMillis;
use crate::base::random::Random;

/// Candidates kept from one choice to the next, as in Redis.
const KEPT: usize = 16;

/// Choices made in vain until all that can go is taken for being in use.
const TRIES: usize = 8;

/// Which keys may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    AllKeys,
    /// Those that have an expiry.
    Volatile,
}

/// Which of them go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    LeastRecentlyUsed,
    LeastFrequentlyUsed,
    LeastRecentlyModified,
    Random,
    SoonestToExpire,
}

/// `maxmemory-policy`, other than `noeviction`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Policy {
    scope: Scope,
    measure: Measure,
}

/// The names and meanings of all policies that evict.
const POLICIES: [(&str, Scope, Measure); 9] = [
    ("volatile-lru", Scope::Volatile, Measure::LeastRecentlyUsed),
    ("volatile-lfu", Scope::Volatile, Measure::LeastFrequentlyUsed),
    ("volatile-lrm", Scope::Volatile, Measure::LeastRecentlyModified),
    ("volatile-random", Scope::Volatile, Measure::Random),
    ("volatile-ttl", Scope::Volatile, Measure::SoonestToExpire),
    ("allkeys-lru", Scope::AllKeys, Measure::LeastRecentlyUsed),
    ("allkeys-lfu", Scope::AllKeys, Measure::LeastFrequentlyUsed),
    ("allkeys-lrm", Scope::AllKeys, Measure::LeastRecentlyModified),
    ("allkeys-random", Scope::AllKeys, Measure::Random),
];

/// What is set of eviction.
#[derive(Debug, Clone, Copy)]
pub struct EvictionSettings<'a> {
    /// `maxmemory-policy`
    pub policy: &'a str,
    /// `maxmemory-samples`
    pub samples: usize,
    /// `lfu-log-factor`
    pub log_factor: usize,
    /// `lfu-decay-time`
    pub decay_minutes: usize,
}

/// The settings as the store keeps them, and what has been evicted.
#[derive(Debug)]
pub struct Eviction {
    /// Index into [`POLICIES`]; any other number is `noeviction`.
    policy: AtomicU8,
    samples: AtomicUsize,
    log_factor: AtomicUsize,
    decay_minutes: AtomicUsize,
    /// Keys evicted.
    pub evicted_keys: AtomicU64,
}

impl Default for Eviction {
    fn default() -> Self {
        Self {
            policy: AtomicU8::new(u8::MAX),
            samples: AtomicUsize::new(5),
            log_factor: AtomicUsize::new(10),
            decay_minutes: AtomicUsize::new(1),
            evicted_keys: AtomicU64::new(0),
        }
    }
}

impl Eviction {
    #[inline]
    fn policy(&self) -> Option<Policy> {
        let index = usize::from(self.policy.load(Ordering::Relaxed));
        POLICIES.get(index).map(|&(_, scope, measure)| Policy { scope, measure })
    }

    /// Whether any policy but `noeviction` is set.
    pub fn evicts(&self) -> bool {
        self.policy().is_some()
    }

    /// Whether access clocks count uses.
    pub fn counts_uses(&self) -> bool {
        self.clock_kind() == ClockKind::Frequency
    }

    /// What of the use of keys is written to a snapshot.
    pub fn kept_usage(&self) -> KeptUsage {
        match self.policy().map(|policy| policy.measure) {
            Some(Measure::LeastRecentlyUsed) => KeptUsage::IdleSeconds,
            Some(Measure::LeastFrequentlyUsed) => {
                KeptUsage::Frequency { decay_minutes: self.decay_minutes.load(Ordering::Relaxed) }
            }
            _ => KeptUsage::None,
        }
    }

    #[inline]
    pub(super) fn clock_kind(&self) -> ClockKind {
        match self.policy().map(|policy| policy.measure) {
            Some(Measure::LeastFrequentlyUsed) => ClockKind::Frequency,
            Some(Measure::LeastRecentlyModified) => ClockKind::Write,
            _ => ClockKind::Use,
        }
    }

    pub(super) fn clock_rules(&self) -> ClockRules {
        ClockRules {
            kind: self.clock_kind(),
            log_factor: self.log_factor.load(Ordering::Relaxed),
            decay_minutes: self.decay_minutes.load(Ordering::Relaxed),
        }
    }
}

/// What came of an attempt to evict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evicted {
    /// A key is gone.
    Key,
    /// All that was looked at is in use at this moment.
    NotNow,
    /// There is nothing that may go.
    Nothing,
}

/// A key that may be the next to go.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    /// The higher, the sooner it goes.
    score: u64,
    database: usize,
    hash: u64,
}

/// The best keys to go of those looked at lately. Everybody who evicts has candidates of its own.
#[derive(Debug)]
pub struct Candidates {
    policy: Option<Policy>,
    /// The best last.
    kept: Vec<Candidate>,
    random: Random,
    /// The database whose turn it is to lose a random key.
    turn: usize,
}

impl Default for Candidates {
    fn default() -> Self {
        Self { policy: None, kept: Vec::new(), random: Random::from_entropy(), turn: 0 }
    }
}

impl Candidates {
    /// Forgets those of another policy.
    fn follow(&mut self, policy: Policy) {
        if self.policy != Some(policy) {
            self.policy = Some(policy);
            self.kept.clear();
        }
    }

    fn offer(&mut self, candidate: Candidate) {
        let worst = self.kept.first().filter(|_| self.kept.len() >= KEPT);
        let is_known = |kept: &Candidate| (kept.database, kept.hash) == (candidate.database, candidate.hash);
        if worst.is_some_and(|worst| worst.score >= candidate.score) || self.kept.iter().any(is_known) {
            return;
        }
        if self.kept.len() >= KEPT {
            self.kept.remove(0);
        }
        let at = self.kept.partition_point(|kept| kept.score < candidate.score);
        self.kept.insert(at, candidate);
    }
}

impl Keyspace {
    /// Sets what goes first when memory is short, and what access clocks tell.
    pub fn set_eviction(&self, settings: EvictionSettings<'_>) {
        let eviction = &self.eviction;
        let index = POLICIES.iter().position(|(name, ..)| *name == settings.policy);
        eviction.samples.store(settings.samples, Ordering::Relaxed);
        eviction.log_factor.store(settings.log_factor, Ordering::Relaxed);
        eviction.decay_minutes.store(settings.decay_minutes, Ordering::Relaxed);
        eviction.policy.store(index.and_then(|index| u8::try_from(index).ok()).unwrap_or(u8::MAX), Ordering::Relaxed);
        // Whether an edit has changed anything is only known of those that are heard of.
        if eviction.clock_kind() == ClockKind::Write {
            self.add_interest(Interest::WRITES);
        } else {
            self.drop_interest(Interest::WRITES);
        }
    }

    /// Evicts one key by the policy.
    pub fn evict_one(&self, candidates: &mut Candidates, now: UnixMillis) -> Evicted {
        let Some(policy) = self.eviction.policy() else { return Evicted::Nothing };
        candidates.follow(policy);
        for _ in 0..TRIES {
            let keys = match policy.measure {
                Measure::Random => self.sample_at_random(policy, candidates, now),
                _ => self.sample_each(policy, candidates, now),
            };
            if keys == 0 {
                return Evicted::Nothing;
            }
            while let Some(candidate) = candidates.kept.pop() {
                if self.evict(candidate, policy, now) {
                    self.eviction.evicted_keys.fetch_add(1, Ordering::Relaxed);
                    return Evicted::Key;
                }
            }
        }
        Evicted::NotNow
    }

    /// Looks at some keys of every database; tells how many keys there are that may go.
    fn sample_each(&self, policy: Policy, candidates: &mut Candidates, now: UnixMillis) -> usize {
        let wanted = self.eviction.samples.load(Ordering::Relaxed);
        let mut total = 0;
        for index in self.used_databases() {
            let database = self.database(index, now);
            let keys = database.evictable(policy.scope);
            if keys > 0 {
                database.sample(policy, wanted, candidates);
                total += keys;
            }
        }
        total
    }

    /// Looks at one key of one database, each in turn; tells how many keys that has that may go.
    fn sample_at_random(&self, policy: Policy, candidates: &mut Candidates, now: UnixMillis) -> usize {
        candidates.kept.clear();
        for _ in 0..self.database_count() {
            candidates.turn = (candidates.turn + 1) % self.database_count();
            if !self.is_used(candidates.turn) {
                continue;
            }
            let database = self.database(candidates.turn, now);
            let keys = database.evictable(policy.scope);
            if keys > 0 {
                database.sample(policy, 1, candidates);
                return keys;
            }
        }
        0
    }

    /// Removes a candidate, unless it is gone, in use, or has been used since it was looked at.
    fn evict(&self, candidate: Candidate, policy: Policy, now: UnixMillis) -> bool {
        let database = self.database(candidate.database, now);
        let removed = database.data.with_free_shard(shard_of(candidate.hash), |shard| {
            if !database.is_current() {
                return None;
            }
            let is_it = |(record, ()): &(Record, ())| self.hasher.hash(record.key()) == candidate.hash;
            let (record, ()) = shard.find(candidate.hash, is_it)?;
            if database.score(record, policy)? < candidate.score {
                return None;
            }
            let key = record.key().to_vec();
            let record = database.take(shard, candidate.hash, &key);
            database.record(&key, Event::Evicted, &[]);
            database.log(Effect::Delete(&key));
            self.end_effects();
            record
        });
        removed.flatten().map(|record| database.dispose(record)).is_some()
    }
}

impl Database<'_> {
    /// Number of keys that may go.
    fn evictable(&self, scope: Scope) -> usize {
        match scope {
            Scope::AllKeys => self.len(),
            Scope::Volatile => self.data.keys_with_expiry.load(Ordering::Relaxed),
        }
    }

    /// Looks at about `wanted` keys, from shards at random.
    fn sample(&self, policy: Policy, wanted: usize, candidates: &mut Candidates) {
        let start = candidates.random.below(SHARDS);
        let mut left = wanted;
        for step in 0..SHARDS {
            let index = (start + step) % SHARDS;
            if policy.scope == Scope::Volatile && !self.has_volatile(index) {
                continue;
            }
            left -= self
                .data
                .glance(index, |shard| match policy.scope {
                    Scope::AllKeys => self.sample_of_all(shard, left, policy, candidates),
                    Scope::Volatile => self.sample_of_volatile((index, shard), left, policy, candidates),
                })
                .unwrap_or(0);
            if left == 0 {
                return;
            }
        }
    }

    fn has_volatile(&self, index: usize) -> bool {
        self.data.due(index).is_some_and(|due| due.lock().volatile_keys() > 0)
    }

    /// Looks at up to `most` keys that are neighbours in the shard's table, which is to say any.
    fn sample_of_all(&self, shard: &Shard, most: usize, policy: Policy, candidates: &mut Candidates) -> usize {
        let skipped = candidates.random.below((shard.len() + 1).saturating_sub(most));
        let found = shard.iter().skip(skipped).take(most);
        found.map(|(record, ())| self.consider(record, policy, candidates)).count()
    }

    /// Looks at up to `most` keys that expire, found by the marks that say when.
    fn sample_of_volatile(
        &self,
        (index, shard): (usize, &Shard),
        most: usize,
        policy: Policy,
        candidates: &mut Candidates,
    ) -> usize {
        let Some(due) = self.data.due(index) else { return 0 };
        let due = due.lock();
        let start = candidates.random.below(due.marks());
        // Marks may be of keys whose fields alone expire, or that are gone: all keys there are have been found before that.
        let most = most.min(due.volatile_keys());
        let soonest = (policy.measure == Measure::SoonestToExpire).then_some(0);
        let mut found = 0;
        for tag in soonest.into_iter().chain(start..).zip(0..=due.marks()).filter_map(|(at, _)| DueIndex::tag(&due, at))
        {
            for record in
                self.tagged(shard, tag).map(|(_, record)| record).filter(|record| record.key_expiry().is_some())
            {
                self.consider(record, policy, candidates);
                found += 1;
            }
            if found >= most {
                break;
            }
        }
        found.min(most)
    }

    fn consider(&self, record: &Record, policy: Policy, candidates: &mut Candidates) {
        if let Some(score) = self.score(record, policy) {
            let hash = self.keyspace.hasher.hash(record.key());
            candidates.offer(Candidate { score, database: self.index, hash });
        }
    }

    /// How soon a key is to go, the higher the sooner; `None` if it may not. It does not fall while the key is not used.
    fn score(&self, record: &Record, policy: Policy) -> Option<u64> {
        let expiry = record.key_expiry();
        if policy.scope == Scope::Volatile && expiry.is_none() {
            return None;
        }
        let clock = record.access();
        let score = match policy.measure {
            Measure::Random => 0,
            Measure::SoonestToExpire => i64::MAX - expiry.map_or(i64::MAX, |at| at.0.max(0)),
            Measure::LeastRecentlyUsed | Measure::LeastRecentlyModified => {
                let used_at = self.now.seconds() - clock.seconds_until(AccessClock::at(self.now));
                i64::MAX - used_at.max(0)
            }
            Measure::LeastFrequentlyUsed => {
                let decay = self.keyspace.eviction.decay_minutes.load(Ordering::Relaxed);
                let rarity = i64::from(u8::MAX - clock.count(decay, self.now));
                // Among equals those go first that have not been used for longer.
                rarity << u16::BITS | i64::from(clock.minutes_until(self.now))
            }
        };
        Some(score.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{HashLimits, Usage};

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn keyspace(policy: &str, keys: usize) -> Keyspace {
        let keyspace = Keyspace::new(2, HashLimits { max_listpack_entries: 512, max_listpack_value: 64 });
        keyspace.set_eviction(EvictionSettings { policy, samples: 5, log_factor: 0, decay_minutes: 1 });
        for number in 0..keys {
            let mut database = keyspace.database(number % 2, NOW);
            database.update(key(number).as_bytes(), |hash| hash.set(b"field", b"value"));
        }
        keyspace
    }

    fn key(number: usize) -> String {
        format!("key:{number}")
    }

    fn later(seconds: i64) -> UnixMillis {
        UnixMillis(NOW.0 + seconds * 1000)
    }

    fn exists(keyspace: &Keyspace, number: usize, now: UnixMillis) -> bool {
        keyspace.database(number % 2, now).exists_quietly(key(number).as_bytes())
    }

    /// Evicts so many keys; tells which of all are left.
    fn evict(keyspace: &Keyspace, count: usize, now: UnixMillis) -> Vec<usize> {
        let mut candidates = Candidates::default();
        for _ in 0..count {
            assert_eq!(keyspace.evict_one(&mut candidates, now), Evicted::Key);
        }
        (0..).take(1000).filter(|&number| exists(keyspace, number, now)).collect()
    }

    #[test]
    fn without_a_policy_or_a_key_that_may_go_nothing_is_evicted() {
        let mut candidates = Candidates::default();
        for (policy, keys) in [("noeviction", 10), ("volatile-lru", 10), ("volatile-random", 10), ("allkeys-lfu", 0)] {
            let keyspace = keyspace(policy, keys);
            assert_eq!(keyspace.evict_one(&mut candidates, NOW), Evicted::Nothing, "{policy}");
        }
    }

    #[test]
    fn every_policy_evicts_all_that_may_go_and_nothing_else() {
        for (policy, scope, _) in POLICIES {
            let keyspace = keyspace(policy, 100);
            for number in (0..100).step_by(10) {
                let mut database = keyspace.database(number % 2, NOW);
                assert!(database.expire_key(key(number).as_bytes(), later(1000), |_| true));
            }
            // Marks of keys that are gone, or whose expiry was put off, or of fields alone, mislead nobody.
            keyspace.database(0, NOW).remove(key(10).as_bytes());
            keyspace.database(0, NOW).expire_key(key(20).as_bytes(), later(2000), |_| true);
            let all = if scope == Scope::AllKeys { 99 } else { 9 };
            let left = evict(&keyspace, all, NOW);
            assert_eq!(left.len(), 99 - all, "{policy}");
            assert!(left.iter().all(|number| number % 10 != 0), "{policy}");
            assert_eq!(keyspace.evict_one(&mut Candidates::default(), NOW), Evicted::Nothing, "{policy}");
            assert_eq!(keyspace.eviction.evicted_keys.load(Ordering::Relaxed), all as u64);
        }
    }

    #[test]
    fn the_soonest_to_expire_go_first() {
        let keyspace = keyspace("volatile-ttl", 1000);
        for number in 0..1000 {
            let at = later(if number < 300 { 10 } else { 1000 });
            keyspace.database(number % 2, NOW).expire_key(key(number).as_bytes(), at, |_| true);
        }
        let left = evict(&keyspace, 150, NOW);
        assert_eq!(left.len(), 850);
        let late = left.iter().filter(|&&number| number >= 300).count();
        assert!(late >= 670, "{} of those that were to stay are gone", 700 - late);
    }

    #[test]
    fn what_is_used_after_it_was_looked_at_stays() {
        for (policy, last) in [("allkeys-lru", 7), ("allkeys-lfu", 7)] {
            let keyspace = keyspace(policy, 8);
            let mut candidates = Candidates::default();
            candidates.follow(keyspace.eviction.policy().unwrap());
            for _ in 0..50 {
                keyspace.sample_each(candidates.policy.unwrap(), &mut candidates, NOW);
            }
            assert_eq!(candidates.kept.len(), 8);
            for number in (0..8).filter(|&number| number != last) {
                keyspace.database(number % 2, later(5)).view(key(number).as_bytes(), |_| ());
            }
            assert_eq!(keyspace.evict_one(&mut candidates, later(5)), Evicted::Key);
            assert!(!exists(&keyspace, last, later(5)), "{policy}");
        }
    }

    #[test]
    fn how_a_key_was_used_elsewhere_can_be_said() {
        let keyspace = keyspace("allkeys-lru", 1);
        let mut database = keyspace.database(0, NOW);
        database.set_usage(b"key:0", Usage::Frequency(77));
        assert_eq!(database.idle_seconds(b"key:0"), Some(0));
        database.set_usage(b"key:0", Usage::IdleSeconds(500));
        assert_eq!(database.idle_seconds(b"key:0"), Some(500));
        database.set_usage(b"key:0", Usage::IdleSeconds(i64::MAX));
        assert_eq!(database.idle_seconds(b"key:0"), Some(MOST_IDLE));
        let settings = EvictionSettings { policy: "allkeys-lfu", samples: 5, log_factor: 0, decay_minutes: 1 };
        keyspace.set_eviction(settings);
        database.set_usage(b"key:0", Usage::IdleSeconds(500));
        database.set_usage(b"key:0", Usage::Frequency(77));
        assert_eq!(database.frequency(b"key:0"), Some(77));
        database.view(b"key:0", |_| ());
        assert_eq!(database.frequency(b"key:0"), Some(78));
    }

    const MOST_IDLE: i64 = (1 << 24) - 1;
}
