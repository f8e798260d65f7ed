//! `HOTKEYS`: which keys take the most processor time and the most bytes of requests and replies.

mod sketch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::base::clock::UnixMillis;
use crate::base::processor::ProcessorTime;
use sketch::Sketch;

/// Clients are spread over so many sketches, so that workers seldom wait for each other.
const PARTS: u64 = 16;

/// Keys remembered for each that is asked for: the more, the smaller the error.
const REMEMBERED: usize = 32;

/// What `HOTKEYS START` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Whether processor time counts.
    pub cpu: bool,
    /// Whether bytes count.
    pub net: bool,
    /// How many keys are reported.
    pub count: usize,
    /// When collecting ends by itself.
    pub duration_ms: Option<u64>,
    /// One call in so many counts.
    pub sample_ratio: u32,
}

/// What a call has taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Time.
    pub nanoseconds: u64,
    /// Bytes of the request and of the reply.
    pub bytes: u64,
}

/// What has been found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What was asked for.
    pub wanted: Wanted,
    /// Whether it is still collected.
    pub is_active: bool,
    /// When collecting began.
    pub started_at: UnixMillis,
    /// For how long it has been collected.
    pub collected_ms: u64,
    /// What all calls with keys took, sampled or not.
    pub all: Cost,
    /// What the process has taken meanwhile.
    pub processor: ProcessorTime,
    /// Keys and nanoseconds, hottest first.
    pub by_time: Vec<(Box<[u8]>, u64)>,
    /// Keys and bytes, hottest first.
    pub by_bytes: Vec<(Box<[u8]>, u64)>,
    /// Bytes of the calls that counted.
    pub sampled_bytes: u64,
}

/// What is collected at the moment, or was last.
#[derive(Debug, Default)]
pub struct HotKeys {
    is_active: AtomicBool,
    collection: RwLock<Option<Arc<Collection>>>,
}

#[derive(Debug)]
struct Collection {
    wanted: Wanted,
    started_at: UnixMillis,
    processor_before: ProcessorTime,
    parts: Vec<Mutex<Part>>,
    /// For how long it was collected and what the process took, once that is over.
    ended: Mutex<Option<(u64, ProcessorTime)>>,
}

/// What some of the clients have done.
#[derive(Debug, Clone)]
struct Part {
    all: Cost,
    by_time: Sketch,
    by_bytes: Sketch,
}

impl HotKeys {
    /// Whether calls are to be noted.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.is_active.load(Ordering::Relaxed)
    }

    /// Starts to collect, with nothing known yet; false if it is collected already.
    pub fn start(&self, wanted: Wanted, now: UnixMillis) -> bool {
        let mut collection = self.collection.write();
        if self.is_active() {
            return false;
        }
        *collection = Some(Arc::new(Collection::new(wanted, now)));
        self.is_active.store(true, Ordering::Relaxed);
        true
    }

    /// Collects no more; false if it did not.
    pub fn stop(&self, now: UnixMillis) -> bool {
        let collection = self.collection.write();
        let was_active = self.is_active.swap(false, Ordering::Relaxed);
        if let Some(collection) = collection.as_ref().filter(|_| was_active) {
            collection.end(now);
        }
        was_active
    }

    /// Stops if the time is over; whether it was just now.
    pub fn stop_if_over(&self, now: UnixMillis) -> bool {
        if !self.is_active() {
            return false;
        }
        let is_over = self.collection.read().as_ref().is_some_and(|collection| {
            collection.wanted.duration_ms.is_some_and(|duration| collection.since_start(now) >= duration)
        });
        is_over && self.stop(now)
    }

    /// Forgets what was collected; false if it still is.
    pub fn reset(&self) -> bool {
        let mut collection = self.collection.write();
        if self.is_active() {
            return false;
        }
        *collection = None;
        true
    }

    /// Notes a call of a client on `keys`, which share what it took.
    pub fn note<'a>(&self, client: u64, keys: impl Iterator<Item = &'a [u8]> + Clone, cost: Cost) {
        if let Some(collection) = &*self.collection.read() {
            collection.note(client, keys, cost);
        }
    }

    /// Whether anything is or has been collected.
    pub fn has_any(&self) -> bool {
        self.collection.read().is_some()
    }

    /// What has been found, if anything has been collected.
    pub fn found(&self, now: UnixMillis) -> Option<Found> {
        self.stop_if_over(now);
        let collection = self.collection.read().clone()?;
        Some(collection.found(self.is_active(), now))
    }
}

impl Collection {
    fn new(wanted: Wanted, now: UnixMillis) -> Self {
        let sketch = Sketch::new(wanted.count * REMEMBERED);
        let part = Part { all: Cost::default(), by_time: sketch.clone(), by_bytes: sketch };
        Self {
            wanted,
            started_at: now,
            processor_before: ProcessorTime::of_process(),
            parts: (0..PARTS).map(|_| Mutex::new(part.clone())).collect(),
            ended: Mutex::default(),
        }
    }

    fn since_start(&self, now: UnixMillis) -> u64 {
        u64::try_from(now.0 - self.started_at.0).unwrap_or(0)
    }

    fn end(&self, now: UnixMillis) {
        let processor = ProcessorTime::of_process().since(self.processor_before);
        // One that ends by itself ends on time.
        let collected = self.since_start(now).min(self.wanted.duration_ms.unwrap_or(u64::MAX));
        *self.ended.lock() = Some((collected, processor));
    }

    fn note<'a>(&self, client: u64, keys: impl Iterator<Item = &'a [u8]> + Clone, cost: Cost) {
        let count = keys.clone().count() as u64;
        let Some(part) = usize::try_from(client % PARTS).ok().and_then(|part| self.parts.get(part)) else { return };
        if count == 0 {
            return;
        }
        let is_sampled = self.wanted.sample_ratio == 1 || fastrand::u32(..self.wanted.sample_ratio) == 0;
        let mut part = part.lock();
        part.all.nanoseconds += cost.nanoseconds;
        part.all.bytes += cost.bytes;
        for key in keys.filter(|_| is_sampled) {
            if self.wanted.cpu {
                part.by_time.add(key, cost.nanoseconds / count);
            }
            if self.wanted.net {
                part.by_bytes.add(key, cost.bytes / count);
            }
        }
    }

    fn found(&self, is_active: bool, now: UnixMillis) -> Found {
        let mut all = Cost::default();
        let mut by_time = Sketch::new(self.wanted.count * REMEMBERED);
        let mut by_bytes = by_time.clone();
        for part in &self.parts {
            let part = part.lock();
            all.nanoseconds += part.all.nanoseconds;
            all.bytes += part.all.bytes;
            by_time.merge(&part.by_time);
            by_bytes.merge(&part.by_bytes);
        }
        let ended = *self.ended.lock();
        let (collected_ms, processor) =
            ended.unwrap_or_else(|| (self.since_start(now), ProcessorTime::of_process().since(self.processor_before)));
        let sampled_bytes = by_bytes.total();
        let top = |sketch: Sketch| {
            let mut items = sketch.heaviest();
            items.truncate(self.wanted.count);
            items
        };
        let (by_time, by_bytes) = (top(by_time), top(by_bytes));
        let (wanted, started_at) = (self.wanted, self.started_at);
        Found { wanted, is_active, started_at, collected_ms, all, processor, by_time, by_bytes, sampled_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted { cpu: true, net: true, count: 2, duration_ms: Some(1000), sample_ratio: 1 };

    #[test]
    fn the_hottest_keys_of_all_clients_are_found() {
        let hot_keys = HotKeys::default();
        assert!(hot_keys.found(UnixMillis(1)).is_none());
        assert!(hot_keys.start(WANTED, UnixMillis(100)) && !hot_keys.start(WANTED, UnixMillis(100)));
        assert!(!hot_keys.reset());
        let cost = |nanoseconds, bytes| Cost { nanoseconds, bytes };
        hot_keys.note(1, [&b"a"[..], b"b"].into_iter(), cost(10_000, 20));
        hot_keys.note(2, [&b"a"[..]].into_iter(), cost(7_000, 100));
        hot_keys.note(3, [&b"c"[..]].into_iter(), cost(6_000, 1));
        hot_keys.note(3, std::iter::empty(), cost(1_000_000, 1_000));
        let found = hot_keys.found(UnixMillis(600)).unwrap();
        assert_eq!((found.is_active, found.collected_ms, found.all), (true, 500, cost(23_000, 121)));
        let keys = |list: &[(Box<[u8]>, u64)]| list.iter().map(|(key, weight)| (key[0], *weight)).collect::<Vec<_>>();
        assert_eq!(keys(&found.by_time), [(b'a', 12_000), (b'c', 6_000)]);
        assert_eq!(keys(&found.by_bytes), [(b'a', 110), (b'b', 10)]);
        assert_eq!(found.sampled_bytes, 121);
        let found = hot_keys.found(UnixMillis(1_200)).unwrap();
        assert_eq!((found.is_active, found.collected_ms), (false, 1_000));
        assert!(!hot_keys.stop(UnixMillis(1_300)) && hot_keys.reset());
        assert!(hot_keys.found(UnixMillis(1_400)).is_none());
    }
}
