//! The process's memory, as the allocator and the operating system count it.

use std::fs;

/// What the allocator reserves for `bytes` bytes: a multiple of 16 up to 128, then four steps to each power of two. To
/// ask for it at once leaves room to grow in place.
pub const fn size_class(bytes: usize) -> usize {
    const QUANTUM: usize = 16;
    const SMALL: usize = 128;
    if bytes <= SMALL {
        return (if bytes == 0 { 1 } else { bytes }).next_multiple_of(QUANTUM);
    }
    bytes.next_multiple_of(bytes.next_power_of_two() / 8)
}

/// What the allocator has given out, and what that takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AllocatorStats {
    /// Bytes given out: in use, not kept by a thread for its next allocation.
    pub allocated: u64,
    /// Bytes of the pages they are in.
    pub active: u64,
    /// Bytes that the allocator holds in physical memory.
    pub resident: u64,
}

impl AllocatorStats {
    /// The numbers of now.
    pub fn now() -> Self {
        allocator::stats()
    }
}

/// Bytes that this thread has been given less those that it has given back, whoever was given them: what the sum of all
/// threads changes by, [`AllocatorStats::allocated`] changes by. Costs next to nothing.
#[inline]
pub fn thread_balance() -> i64 {
    allocator::thread_balance()
}

/// The allocator's own report.
pub fn allocator_report() -> Vec<u8> {
    allocator::report()
}

/// Gives the pages that the allocator keeps for later back to the operating system.
pub fn purge() {
    allocator::purge();
}

/// Whether the allocator gives pages back by threads of its own, rather than when it is next asked for memory.
pub fn purge_in_background(does: bool) {
    allocator::purge_in_background(does);
}

#[cfg(feature = "jemalloc")]
mod allocator {
    use tikv_jemalloc_ctl::thread::{ThreadLocal, allocatedp, deallocatedp};
    use tikv_jemalloc_ctl::{Access, AsName, Result, arenas, background_thread, epoch, stats, stats_print};

    /// What threads keep for their next allocations, in all arenas; jemalloc counts it as given out.
    const KEPT: &[u8] = b"stats.arenas.4096.tcache_bytes\0";

    thread_local! {
        /// Where the allocator counts for this thread.
        static COUNTERS: Option<(ThreadLocal<u64>, ThreadLocal<u64>)> =
            allocatedp::read().ok().zip(deallocatedp::read().ok());
    }

    #[inline]
    pub(super) fn thread_balance() -> i64 {
        COUNTERS.with(|counters| {
            counters.map_or(0, |(given, taken_back)| given.get().wrapping_sub(taken_back.get()).cast_signed())
        })
    }

    pub(super) fn stats() -> super::AllocatorStats {
        // Without an advance the numbers are those of the last one.
        let _ = epoch::advance();
        let number = |read: Result<usize>| read.map_or(0, |bytes| bytes as u64);
        let kept = number(KEPT.name().read());
        super::AllocatorStats {
            allocated: number(stats::allocated::read()).saturating_sub(kept),
            active: number(stats::active::read()),
            resident: number(stats::resident::read()),
        }
    }

    pub(super) fn report() -> Vec<u8> {
        let mut report = Vec::new();
        match stats_print::stats_print(&mut report, stats_print::Options::default()) {
            Ok(()) => report,
            Err(error) => error.to_string().into_bytes(),
        }
    }

    pub(super) fn purge() {
        for arena in 0..arenas::narenas::read().unwrap_or_default() {
            let name = format!("arena.{arena}.dirty_decay_ms\0");
            let name = name.as_bytes().name();
            // Set to nothing, it gives its pages back at once. One that was never used refuses, and holds nothing.
            let _: Result<()> =
                name.read().and_then(|decay: isize| name.write(0_isize).and_then(|()| name.write(decay)));
        }
    }

    pub(super) fn purge_in_background(does: bool) {
        if let Err(error) = background_thread::write(does) {
            tracing::warn!(%error, "the threads of the allocator cannot be switched");
        }
    }
}

/// Without jemalloc nobody counts what is given out: it is taken for what is in memory.
#[cfg(not(feature = "jemalloc"))]
mod allocator {
    pub(super) fn stats() -> super::AllocatorStats {
        let resident = super::resident_bytes().unwrap_or(0);
        super::AllocatorStats { allocated: resident, active: resident, resident }
    }

    pub(super) fn report() -> Vec<u8> {
        b"The allocator of the system keeps no statistics.\n".to_vec()
    }

    pub(super) fn purge() {}

    pub(super) fn purge_in_background(_does: bool) {}

    pub(super) fn thread_balance() -> i64 {
        0
    }
}

/// Bytes of this process in memory, as `/proc` counts its pages.
pub fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    kibibytes(&status, "VmRSS:")
}

/// Bytes of memory of the machine.
pub fn machine_bytes() -> Option<u64> {
    let memory = fs::read_to_string("/proc/meminfo").ok()?;
    kibibytes(&memory, "MemTotal:")
}

/// The number of kibibytes behind `name` in a file of `/proc`, as bytes.
fn kibibytes(file: &str, name: &str) -> Option<u64> {
    let line = file.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(number * 1024)
}
