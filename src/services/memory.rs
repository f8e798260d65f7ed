//! What the server takes in memory, and for what.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};

use super::Services;
use crate::base::clock::UnixMillis;
use crate::base::memory::{AllocatorStats, resident_bytes, thread_balance};
use crate::store::{IndexMemory, TemplateStats};

/// What is taken, what has been taken at the start and at most.
///
/// To ask the allocator takes tens of microseconds and more with every core. So it is asked a few times a second, and in
/// between every thread that works on the data adds what it has taken and given back since.
#[derive(Debug)]
pub struct MemoryGauge {
    /// Bytes taken, to the best of our knowledge.
    taken: AtomicI64,
    /// Grows when threads have to begin anew to note what they take.
    beginning: AtomicU32,
    startup: AtomicU64,
    peak: AtomicU64,
    peak_at: AtomicI64,
}

/// What a thread had taken when it last told so, and since which beginning it does.
#[derive(Debug, Clone, Copy)]
struct Told {
    beginning: u32,
    balance: i64,
}

thread_local! {
    static TOLD: Cell<Told> = const { Cell::new(Told { beginning: 0, balance: 0 }) };
}

impl MemoryGauge {
    /// A gauge that starts with what is taken now.
    pub fn new(now: UnixMillis) -> Self {
        let startup = AllocatorStats::now().allocated;
        Self {
            taken: AtomicI64::new(startup.cast_signed()),
            beginning: AtomicU32::new(1),
            startup: AtomicU64::new(startup),
            peak: AtomicU64::new(startup),
            peak_at: AtomicI64::new(now.0),
        }
    }

    /// Notes that the server is ready: what it takes now is not data.
    pub fn note_ready(&self, now: UnixMillis) {
        self.startup.store(self.sample(now).allocated, Ordering::Relaxed);
    }

    /// Reads the allocator's numbers and keeps the peak.
    pub fn sample(&self, now: UnixMillis) -> AllocatorStats {
        let stats = AllocatorStats::now();
        self.taken.store(stats.allocated.cast_signed(), Ordering::Relaxed);
        if self.peak.fetch_max(stats.allocated, Ordering::Relaxed) < stats.allocated {
            self.peak_at.store(now.0, Ordering::Relaxed);
        }
        stats
    }

    /// Begins to be told what threads take, which they did not do while there was no `maxmemory`.
    pub fn begin(&self, now: UnixMillis) {
        self.beginning.fetch_add(1, Ordering::Relaxed);
        self.sample(now);
    }

    /// Adds what this thread has taken or given back since it last did, if that is at least `step` bytes.
    #[inline]
    pub fn tell(&self, step: u64) {
        let (told, balance) = (TOLD.get(), thread_balance());
        let beginning = self.beginning.load(Ordering::Relaxed);
        let change = balance.wrapping_sub(told.balance);
        if told.beginning != beginning {
            TOLD.set(Told { beginning, balance });
        } else if change.unsigned_abs() >= step {
            self.taken.fetch_add(change, Ordering::Relaxed);
            TOLD.set(Told { beginning, balance });
        }
    }

    /// Bytes taken.
    #[inline]
    pub fn taken(&self) -> u64 {
        u64::try_from(self.taken.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

impl Services {
    /// Bytes in buffers that grow because keys are evicted, those of the append-only file: no reason to evict more.
    pub fn memory_not_counted(&self) -> u64 {
        self.append_only.log.waiting_bytes()
    }
}

/// All that INFO and MEMORY STATS say of memory, in bytes.
#[derive(Debug, Clone, Default)]
pub struct MemoryReport {
    /// The allocator's numbers.
    pub allocator: AllocatorStats,
    /// What the process has in physical memory.
    pub resident: u64,
    /// Given out when the server started.
    pub startup: u64,
    /// Given out at most.
    pub peak: u64,
    /// When that was, in seconds since the Unix epoch.
    pub peak_seconds: i64,
    /// Held by connections.
    pub clients: u64,
    /// Of each database, besides its keys.
    pub databases: Vec<IndexMemory>,
    /// Shared field names and values.
    pub templates: TemplateStats,
}

impl MemoryReport {
    /// The numbers of now.
    pub fn of(services: &Services, now: UnixMillis) -> Self {
        let allocator = services.memory.sample(now);
        Self {
            allocator,
            resident: resident_bytes().unwrap_or(allocator.resident),
            startup: services.memory.startup.load(Ordering::Relaxed),
            peak: services.memory.peak.load(Ordering::Relaxed),
            peak_seconds: services.memory.peak_at.load(Ordering::Relaxed).div_euclid(1000),
            clients: services.clients.all().iter().map(|client| client.memory() as u64).sum(),
            databases: services.keyspace.index_memory(),
            templates: TemplateStats::now(),
        }
    }

    /// What is not data.
    pub fn overhead(&self) -> u64 {
        let indexes: usize = self.databases.iter().map(|database| database.tables + database.expiries).sum();
        self.startup + self.clients + indexes as u64
    }

    /// What is data.
    pub fn dataset(&self) -> u64 {
        self.allocator.allocated.saturating_sub(self.overhead())
    }

    /// Data as a share of what has been taken since the start, in percent.
    pub fn dataset_percentage(&self) -> f64 {
        let since_start = self.allocator.allocated.saturating_sub(self.startup);
        (100.0 * ratio(self.dataset(), since_start)).min(100.0)
    }

    /// Keys in all databases.
    pub fn keys(&self) -> u64 {
        self.databases.iter().map(|database| database.keys as u64).sum()
    }
}

/// `part` by `whole`; 0 if there is nothing.
#[expect(clippy::cast_precision_loss, reason = "sizes of memory are far below 2^53")]
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
