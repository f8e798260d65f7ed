//! Time: the only module that asks the operating system for it. Tests set a clock of their own.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A point in time: milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// Whole seconds since the Unix epoch, rounded down.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

/// Gives the time: the system's, or one that a test sets.
#[derive(Debug, Default)]
pub struct Clock {
    /// 0: the system's time; anything else is the time to tell.
    fixed: AtomicI64,
}

impl Clock {
    /// A clock that tells the system's time.
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands at `now` until [`Clock::set`] moves it.
    pub fn fixed(now: UnixMillis) -> Self {
        Self { fixed: AtomicI64::new(now.0) }
    }

    /// Moves a fixed clock.
    pub fn set(&self, now: UnixMillis) {
        self.fixed.store(now.0, Ordering::Relaxed);
    }

    /// The time now.
    pub fn now(&self) -> UnixMillis {
        match self.fixed.load(Ordering::Relaxed) {
            0 => UnixMillis(i64::try_from(since_epoch().as_millis()).unwrap_or(i64::MAX)),
            fixed => UnixMillis(fixed),
        }
    }
}

/// Measures how long things take, by the processor's time stamp counter where it counts evenly: reading it costs a third of
/// what asking the system's clock does, and every command asks.
#[derive(Debug, Clone, Default)]
pub struct Ticker(quanta::Clock);

/// A reading of a [`Ticker`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ticks(u64);

impl Ticker {
    /// What it says now.
    #[inline]
    pub fn read(&self) -> Ticks {
        Ticks(self.0.raw())
    }

    /// Nanoseconds from one reading to a later one.
    #[inline]
    pub fn nanoseconds(&self, from: Ticks, to: Ticks) -> u64 {
        self.0.delta_as_nanos(from.0, to.0)
    }
}

/// Microseconds since the Unix epoch by the system's clock, as `TIME` reports them.
pub fn unix_micros() -> u128 {
    since_epoch().as_micros()
}

fn since_epoch() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
