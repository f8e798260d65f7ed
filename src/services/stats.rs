//! Counters that `INFO` reports. Each worker counts in memory of its own; readers sum up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

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
}

/// What a worker counts; see [`CommandCounts`] for `C`. Aligned so that no two workers write to the same cache line.
#[derive(Debug, Default, Clone)]
#[repr(align(128))]
pub struct Counts<C> {
    /// Bytes received.
    pub bytes_in: C,
    /// Bytes sent.
    pub bytes_out: C,
    /// Commands run.
    pub commands_processed: C,
    /// Error replies sent.
    pub error_replies: C,
    /// Lookups that found their key.
    pub hits: C,
    /// Lookups that did not.
    pub misses: C,
    commands: Box<[CommandCounts<C>]>,
}

/// The counters of one worker.
pub type WorkerCounters = Counts<Counter>;

/// The sums over all workers.
pub type Totals = Counts<u64>;

impl<C> Counts<C> {
    /// The counts of a command.
    #[inline]
    pub fn command(&self, id: CommandId) -> Option<&CommandCounts<C>> {
        self.commands.get(usize::from(id.0))
    }
}

impl Totals {
    /// Changes every number by `change`, which is given the worker's for it.
    fn merge(&mut self, counters: &Totals, change: impl Fn(u64, u64) -> u64) {
        let apply = |mine: &mut u64, theirs: u64| *mine = change(*mine, theirs);
        apply(&mut self.bytes_in, counters.bytes_in);
        apply(&mut self.bytes_out, counters.bytes_out);
        apply(&mut self.commands_processed, counters.commands_processed);
        apply(&mut self.error_replies, counters.error_replies);
        apply(&mut self.hits, counters.hits);
        apply(&mut self.misses, counters.misses);
        for (mine, theirs) in self.commands.iter_mut().zip(&counters.commands) {
            apply(&mut mine.calls, theirs.calls);
            apply(&mut mine.rejected, theirs.rejected);
            apply(&mut mine.failed, theirs.failed);
        }
    }
}

impl WorkerCounters {
    /// Adds what has been counted aside; only for the thread that owns the counters.
    pub fn absorb(&self, aside: &Self) {
        self.bytes_in.add(aside.bytes_in.get());
        self.bytes_out.add(aside.bytes_out.get());
        self.commands_processed.add(aside.commands_processed.get());
        self.error_replies.add(aside.error_replies.get());
        self.hits.add(aside.hits.get());
        self.misses.add(aside.misses.get());
        for (mine, theirs) in self.commands.iter().zip(&aside.commands) {
            mine.calls.add(theirs.calls.get());
            mine.rejected.add(theirs.rejected.get());
            mine.failed.add(theirs.failed.get());
        }
    }

    fn read(&self) -> Totals {
        let command = |counts: &CommandCounts<Counter>| CommandCounts {
            calls: counts.calls.get(),
            rejected: counts.rejected.get(),
            failed: counts.failed.get(),
        };
        Totals {
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
            commands_processed: self.commands_processed.get(),
            error_replies: self.error_replies.get(),
            hits: self.hits.get(),
            misses: self.misses.get(),
            commands: self.commands.iter().map(command).collect(),
        }
    }
}

/// Server-wide counters.
#[derive(Debug, Default)]
pub struct Stats {
    names: Vec<&'static str>,
    workers: Mutex<Vec<Arc<WorkerCounters>>>,
    /// What the sums were at the last `CONFIG RESETSTAT`.
    forgotten: Mutex<Option<Totals>>,
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
        let commands = self.names.iter().map(|_| CommandCounts::default()).collect();
        Arc::new(WorkerCounters { commands, ..WorkerCounters::default() })
    }

    /// The full name of a command (`client|setname`).
    pub fn command_name(&self, id: CommandId) -> Option<&'static str> {
        self.names.get(usize::from(id.0)).copied()
    }

    /// What all workers have counted since the last [`Stats::reset`].
    pub fn totals(&self) -> Totals {
        let mut totals = self.sum();
        if let Some(forgotten) = &*self.forgotten.lock() {
            totals.merge(forgotten, u64::wrapping_sub);
        }
        totals
    }

    /// Names and counts of all commands.
    pub fn all_commands(&self) -> impl Iterator<Item = (&'static str, CommandCounts<u64>)> {
        self.names.iter().copied().zip(self.totals().commands)
    }

    /// `CONFIG RESETSTAT`
    pub fn reset(&self) {
        *self.forgotten.lock() = Some(self.sum());
        for counter in [
            &self.connections_received,
            &self.connections_rejected,
            &self.clients_evicted,
            &self.query_buffers_exceeded,
            &self.output_buffers_exceeded,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    fn sum(&self) -> Totals {
        let commands = self.names.iter().map(|_| CommandCounts::default()).collect();
        let mut sum = Totals { commands, ..Totals::default() };
        for worker in &*self.workers.lock() {
            sum.merge(&worker.read(), u64::wrapping_add);
        }
        sum
    }
}
