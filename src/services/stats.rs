//! Counters that `INFO` reports. Each worker counts in memory of its own; readers sum up.

mod errors;
mod histogram;
mod rates;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::base::clock::Ticker;
use errors::ErrorCounts;
pub use histogram::Distribution;
use histogram::Histogram;
pub use rates::Flow;
use rates::Rates;

/// A command's index in the table of all commands and subcommands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandId(pub u16);

/// A counter that one thread alone writes and any may read: adding takes no locked instruction.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `amount`; only for the thread that owns the counter.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.0.store(self.get().wrapping_add(amount), Ordering::Relaxed);
    }

    /// The count so far.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts of one command; `C` is a [`Counter`] where it counts and a number where it is reported.
#[derive(Debug, Default, Clone)]
pub struct CommandCounts<C> {
    /// Calls that ran.
    pub calls: C,
    /// Calls refused before they ran.
    pub rejected: C,
    /// Calls that ran and answered with an error.
    pub failed: C,
    /// What the calls that ran took together.
    pub nanoseconds: C,
}

/// What a worker counts; see [`CommandCounts`] for `C`. Aligned so that no two workers write to the same cache line.
#[derive(Debug, Default, Clone)]
#[repr(align(128))]
pub struct Counts<C> {
    /// Bytes received.
    pub bytes_in: C,
    /// Bytes sent.
    pub bytes_out: C,
    /// Times that something was read from a socket.
    pub reads: C,
    /// Times that something was written to one.
    pub writes: C,
    /// Commands run.
    pub commands_processed: C,
    /// Error replies sent.
    pub error_replies: C,
    /// Lookups that found their key.
    pub hits: C,
    /// Lookups that did not.
    pub misses: C,
    /// Changes of the data, as save points count them.
    pub changes: C,
    commands: Box<[CommandCounts<C>]>,
}

/// The sums over all workers.
pub type Totals = Counts<u64>;

impl<C> Counts<C> {
    /// The counts of a command.
    #[inline]
    pub fn command(&self, id: CommandId) -> Option<&CommandCounts<C>> {
        self.commands.get(usize::from(id.0))
    }
}

impl<C> Counts<C> {
    /// Makes counts of others: `change` is given one of these and its counterpart.
    fn combine<D, E>(&self, other: &Counts<D>, change: impl Fn(&C, &D) -> E) -> Counts<E> {
        let combine = |mine: &CommandCounts<C>, theirs: &CommandCounts<D>| CommandCounts {
            calls: change(&mine.calls, &theirs.calls),
            rejected: change(&mine.rejected, &theirs.rejected),
            failed: change(&mine.failed, &theirs.failed),
            nanoseconds: change(&mine.nanoseconds, &theirs.nanoseconds),
        };
        Counts {
            bytes_in: change(&self.bytes_in, &other.bytes_in),
            bytes_out: change(&self.bytes_out, &other.bytes_out),
            reads: change(&self.reads, &other.reads),
            writes: change(&self.writes, &other.writes),
            commands_processed: change(&self.commands_processed, &other.commands_processed),
            error_replies: change(&self.error_replies, &other.error_replies),
            hits: change(&self.hits, &other.hits),
            misses: change(&self.misses, &other.misses),
            changes: change(&self.changes, &other.changes),
            commands: self.commands.iter().zip(&other.commands).map(|(mine, theirs)| combine(mine, theirs)).collect(),
        }
    }
}

/// What one worker counts, and how long its calls took.
#[derive(Debug, Default)]
pub struct WorkerCounters {
    counts: Counts<Counter>,
    /// By command, made at the first call.
    histograms: Box<[OnceLock<Box<Histogram>>]>,
    errors: ErrorCounts,
    /// Connections that the worker serves.
    pub connections: AtomicUsize,
}

impl Deref for WorkerCounters {
    type Target = Counts<Counter>;

    fn deref(&self) -> &Counts<Counter> {
        &self.counts
    }
}

impl WorkerCounters {
    fn new(commands: usize) -> Self {
        Self {
            counts: Counts { commands: (0..commands).map(|_| CommandCounts::default()).collect(), ..Counts::default() },
            histograms: (0..commands).map(|_| OnceLock::new()).collect(),
            errors: ErrorCounts::default(),
            connections: AtomicUsize::new(0),
        }
    }

    /// Notes how long a call took; only for the thread that owns the counters.
    #[inline]
    pub fn record(&self, id: CommandId, nanoseconds: u64) {
        if let Some(histogram) = self.histograms.get(usize::from(id.0)) {
            histogram.get_or_init(Box::default).record(nanoseconds);
        }
    }

    /// Counts an error reply by its text, which has no leading `-`.
    pub fn count_error(&self, text: &[u8]) {
        self.counts.error_replies.add(1);
        self.errors.count(text);
    }

    /// Adds what has been counted aside; only for the thread that owns the counters.
    pub fn absorb(&self, aside: &Self) {
        self.counts.combine(&aside.counts, |mine, theirs| mine.add(theirs.get()));
        for (mine, theirs) in self.histograms.iter().zip(&aside.histograms) {
            if let Some(theirs) = theirs.get() {
                mine.get_or_init(Box::default).absorb(theirs);
            }
        }
        self.errors.absorb(&aside.errors);
    }

    fn flow(&self) -> Flow {
        Flow {
            commands: self.counts.commands_processed.get(),
            bytes_in: self.counts.bytes_in.get(),
            bytes_out: self.counts.bytes_out.get(),
        }
    }
}

/// What had been counted at the last `CONFIG RESETSTAT`.
#[derive(Debug)]
struct Forgotten {
    totals: Totals,
    latencies: BTreeMap<u16, Distribution>,
}

/// Server-wide counters.
#[derive(Debug, Default)]
pub struct Stats {
    names: Vec<&'static str>,
    workers: Mutex<Vec<Arc<WorkerCounters>>>,
    forgotten: Mutex<Option<Forgotten>>,
    rates: Rates,
    /// Connections accepted.
    pub connections_received: AtomicU64,
    /// Connections refused because of `maxclients`.
    pub connections_rejected: AtomicU64,
    /// Clients closed because of `maxmemory-clients`.
    pub clients_evicted: AtomicU64,
    /// Clients closed because of `client-query-buffer-limit`.
    pub query_buffers_exceeded: AtomicU64,
    /// Clients closed because of `client-output-buffer-limit`.
    pub output_buffers_exceeded: AtomicU64,
    /// Commands that have panicked.
    pub panics: AtomicU64,
    /// Rounds of expiry that have left something for the next.
    pub expire_cycles_cut: AtomicU64,
    /// What all rounds of expiry took, in nanoseconds.
    pub expire_nanoseconds: AtomicU64,
    /// Readings of all metrics.
    pub scrapes: AtomicU64,
}

impl Stats {
    /// All zero; `names` are the full names of all commands in the order of their ids.
    pub fn new(names: Vec<&'static str>) -> Self {
        Self { names, ..Self::default() }
    }

    /// Counters for one more worker.
    pub fn add_worker(&self) -> Arc<WorkerCounters> {
        let counters = self.counters_aside();
        self.workers.lock().push(Arc::clone(&counters));
        counters
    }

    /// Counters that nobody sums up, for whoever counts beside a worker; see [`WorkerCounters::absorb`].
    pub fn counters_aside(&self) -> Arc<WorkerCounters> {
        Arc::new(WorkerCounters::new(self.names.len()))
    }

    /// The counters of each worker.
    pub fn workers(&self) -> Vec<Arc<WorkerCounters>> {
        self.workers.lock().clone()
    }

    /// The full name of a command (`client|setname`).
    pub fn command_name(&self, id: CommandId) -> Option<&'static str> {
        self.names.get(usize::from(id.0)).copied()
    }

    /// Changes of the data since the server was started.
    pub fn changes(&self) -> u64 {
        self.workers.lock().iter().map(|worker| worker.changes.get()).sum()
    }

    /// What all workers have counted since the last [`Stats::reset`].
    pub fn totals(&self) -> Totals {
        let sum = self.sum();
        match &*self.forgotten.lock() {
            Some(forgotten) => sum.combine(&forgotten.totals, |sum, before| sum.wrapping_sub(*before)),
            None => sum,
        }
    }

    /// Names and counts of all commands.
    pub fn all_commands(&self) -> impl Iterator<Item = (&'static str, CommandCounts<u64>)> {
        self.names.iter().copied().zip(self.totals().commands)
    }

    /// How long the calls of a command have taken since the last [`Stats::reset`]. There is nothing of those that ran while
    /// `latency-tracking` was off.
    pub fn latency(&self, id: CommandId) -> Distribution {
        let mut latency = self.latency_of_all_time(id);
        if let Some(before) = self.forgotten.lock().as_ref().and_then(|forgotten| forgotten.latencies.get(&id.0)) {
            latency.subtract(before);
        }
        latency
    }

    /// Names and latencies of the commands that have any, in the order of their ids.
    pub fn all_latencies(&self) -> impl Iterator<Item = (&'static str, Distribution)> {
        let all = self.ids().zip(&self.names).map(|(id, name)| (*name, self.latency(id)));
        all.filter(|(_, latency)| latency.calls() > 0)
    }

    /// Error replies by their first word, in its order.
    pub fn errors(&self) -> BTreeMap<Box<str>, u64> {
        let mut sums = BTreeMap::new();
        self.workers.lock().iter().for_each(|worker| worker.errors.add_to(&mut sums));
        sums
    }

    /// Takes a sample for [`Stats::per_second`]; ten are taken a second.
    pub fn sample(&self, ticker: &Ticker) {
        let mut total = Flow::default();
        for worker in &*self.workers.lock() {
            total = total.plus(worker.flow());
        }
        self.rates.sample(total, ticker);
    }

    /// What goes on a second now: an average of the last 1.6 seconds.
    pub fn per_second(&self) -> Flow {
        self.rates.per_second()
    }

    /// `CONFIG RESETSTAT`
    pub fn reset(&self) {
        let latencies = self.ids().map(|id| (id.0, self.latency_of_all_time(id)));
        let latencies = latencies.filter(|(_, latency)| latency.calls() > 0).collect();
        *self.forgotten.lock() = Some(Forgotten { totals: self.sum(), latencies });
        self.workers.lock().iter().for_each(|worker| worker.errors.reset());
        self.rates.reset();
        for counter in [
            &self.connections_received,
            &self.connections_rejected,
            &self.clients_evicted,
            &self.query_buffers_exceeded,
            &self.output_buffers_exceeded,
            &self.expire_cycles_cut,
            &self.expire_nanoseconds,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    fn ids(&self) -> impl Iterator<Item = CommandId> + use<> {
        (0..u16::try_from(self.names.len()).unwrap_or(u16::MAX)).map(CommandId)
    }

    fn latency_of_all_time(&self, id: CommandId) -> Distribution {
        let mut latency = Distribution::default();
        for worker in &*self.workers.lock() {
            if let Some(histogram) = worker.histograms.get(usize::from(id.0)).and_then(OnceLock::get) {
                latency.add(histogram);
            }
        }
        latency
    }

    fn sum(&self) -> Totals {
        let commands = self.names.iter().map(|_| CommandCounts::default()).collect();
        let zero = Totals { commands, ..Totals::default() };
        let workers = self.workers.lock();
        workers.iter().fold(zero, |sum, worker| sum.combine(&worker.counts, |sum, more| sum.wrapping_add(more.get())))
    }
}
