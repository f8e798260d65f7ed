//! `maxmemory`: whether memory is short, and making room by evicting keys.
//!
//! Every command makes the room that is missing before it runs, a little each, as in Redis; when that takes long, a thread
//! of its own goes on, so that nobody waits for more than the time that `maxmemory-eviction-tenacity` allows.

use std::cell::RefCell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::Services;
use super::latency::EVICTION_CYCLE;
use crate::base::clock::UnixMillis;
use crate::store::{Candidates, Evicted};

/// Keys evicted between two looks at the time.
const KEYS_A_LOOK: u32 = 8;

/// How long the thread of its own goes on before others get their turn.
const SLICE: Duration = Duration::from_millis(1);

/// What a thread may have taken without telling, as a share of `maxmemory` (a power of two), and in bytes.
const UNTOLD_SHARE: u32 = 14;
const LEAST_UNTOLD: u64 = 64;
const MOST_UNTOLD: u64 = 4096;

/// More than this waiting to be freed is worth waking the thread that frees.
const MUCH_REMOVED: usize = 1 << 20;

/// How eviction is doing.
#[derive(Debug, Default)]
pub struct Evictions {
    /// Since when memory is short, in milliseconds; 0 while it is not.
    short_since: AtomicI64,
    /// Milliseconds for which it was short before.
    short_for: AtomicU64,
    /// The threads that evict and that free.
    helpers: OnceLock<[Thread; 2]>,
}

/// What making room has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    /// There is enough.
    Enough,
    /// It takes longer.
    Later,
    /// There is nothing left that could be evicted.
    None,
}

/// What a worker evicts with, and for how long it has done so in the millisecond `at`.
#[derive(Debug, Default)]
struct Evictor {
    candidates: Candidates,
    at: UnixMillis,
    spent: Duration,
}

thread_local! {
    static EVICTOR: RefCell<Evictor> = RefCell::default();
}

impl Evictions {
    /// Names the threads that evict and that free.
    pub fn helped_by(&self, helpers: [Thread; 2]) {
        // There are none but these.
        drop(self.helpers.set(helpers));
    }

    /// Wakes the helpers.
    pub fn call_helpers(&self) {
        self.helpers.get().into_iter().flatten().for_each(Thread::unpark);
    }

    /// Milliseconds for which memory has been short: in all, and this time.
    pub fn short_ms(&self, now: UnixMillis) -> (u64, u64) {
        let current = match self.short_since.load(Ordering::Relaxed) {
            0 => 0,
            since => u64::try_from(now.0 - since).unwrap_or(0),
        };
        (self.short_for.load(Ordering::Relaxed) + current, current)
    }

    /// `CONFIG RESETSTAT`
    pub fn reset(&self) {
        self.short_since.store(0, Ordering::Relaxed);
        self.short_for.store(0, Ordering::Relaxed);
    }

    #[inline]
    fn is_short(&self) -> bool {
        self.short_since.load(Ordering::Relaxed) != 0
    }

    /// Notes that memory is short, since now if it was not before.
    fn note_short(&self, now: UnixMillis) {
        if !self.is_short() {
            self.short_since.store(now.0, Ordering::Relaxed);
        }
    }

    /// Notes that memory is not short any more.
    fn note_enough(&self, now: UnixMillis) {
        if !self.is_short() {
            return;
        }
        // Of those who find so at a time, one counts.
        let since = self.short_since.swap(0, Ordering::Relaxed);
        if since != 0 {
            self.short_for.fetch_add(u64::try_from(now.0 - since).unwrap_or(0), Ordering::Relaxed);
        }
    }
}

/// Makes the room that is missing to keep to `maxmemory`, which is set. False if commands that may take more must be
/// refused: there is nothing left to evict.
#[inline]
pub fn make_room(services: &Services) -> bool {
    note_taken(services);
    if services.memory.taken() > services.config.maxmemory() {
        return make_missing_room(services);
    }
    if services.evictions.is_short() {
        services.evictions.note_enough(services.clock.now());
    }
    true
}

/// Notes what this thread has taken, if there is a `maxmemory`. To be called before it has nothing to do for a while too:
/// what it has not told when the allocator is asked counts twice once it tells.
#[inline]
pub fn note_taken(services: &Services) {
    let limit = services.config.maxmemory();
    if limit != 0 {
        services.memory.tell((limit >> UNTOLD_SHARE).clamp(LEAST_UNTOLD, MOST_UNTOLD));
    }
}

fn make_missing_room(services: &Services) -> bool {
    let now = services.clock.now();
    if is_held_back(services, now) {
        return true;
    }
    let room = EVICTOR.with_borrow_mut(|evictor| {
        if evictor.at != now {
            (evictor.at, evictor.spent) = (now, Duration::ZERO);
        }
        let started = Instant::now();
        let left = time_limit(services).saturating_sub(evictor.spent);
        let room = evict(services, &mut evictor.candidates, now, || started.elapsed() < left);
        let took = started.elapsed();
        evictor.spent += took;
        services.note_latency(EVICTION_CYCLE, u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        room
    });
    if room == Room::Later || services.keyspace.removed_bytes() > MUCH_REMOVED {
        services.evictions.call_helpers();
    }
    room != Room::None
}

/// Whether the data stays as it is: while clients are paused, and while it is being loaded.
fn is_held_back(services: &Services, now: UnixMillis) -> bool {
    services.persistence.is_loading() || services.pause.mode(now).is_some()
}

/// Goes on making room on a thread of its own; true if there is more to do after others have had their turn.
pub fn go_on_making_room(services: &Services, candidates: &mut Candidates) -> bool {
    let now = services.clock.now();
    if services.config.maxmemory() == 0 || is_held_back(services, now) {
        return false;
    }
    let started = Instant::now();
    evict(services, candidates, now, || started.elapsed() < SLICE) == Room::Later
}

/// Evicts keys until there is room or `go_on` says no.
fn evict(services: &Services, candidates: &mut Candidates, now: UnixMillis, go_on: impl Fn() -> bool) -> Room {
    let mut evicted = 0_u32;
    let room = loop {
        if counted(services) <= services.config.maxmemory() {
            break Room::Enough;
        }
        match services.keyspace.evict_one(candidates, now) {
            Evicted::Key => services.memory.tell(0),
            Evicted::NotNow => break Room::Later,
            Evicted::Nothing => break Room::None,
        }
        evicted += 1;
        if evicted.is_multiple_of(KEYS_A_LOOK) && !go_on() {
            break Room::Later;
        }
    };
    if room == Room::Enough {
        services.evictions.note_enough(now);
    } else {
        services.evictions.note_short(now);
    }
    room
}

/// Bytes taken that count: not those that are on their way to be freed, nor what eviction itself makes grow.
fn counted(services: &Services) -> u64 {
    let removed = services.keyspace.removed_bytes() as u64;
    services.memory.taken().saturating_sub(removed).saturating_sub(services.memory_not_counted())
}

/// How long the commands that a worker runs in one millisecond may evict together: by `maxmemory-eviction-tenacity`, in
/// Redis's steps, from nothing over half a millisecond to two minutes, and for ever.
fn time_limit(services: &Services) -> Duration {
    match i32::try_from(services.config.maxmemory_eviction_tenacity()).unwrap_or(100) {
        tenacity @ 0..=10 => Duration::from_micros(50) * tenacity.unsigned_abs(),
        tenacity @ 11..=99 => Duration::from_micros(500).mul_f64(1.15_f64.powi(tenacity - 10)),
        _ => Duration::MAX,
    }
}
