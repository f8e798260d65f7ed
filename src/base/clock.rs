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
#[derive(Debug, Clone)]
pub struct Ticker {
    clock: quanta::Clock,
    /// Nanoseconds in 2^32 ticks.
    scale: u64,
}

impl Default for Ticker {
    fn default() -> Self {
        let clock = quanta::Clock::new();
        let scale = clock.delta_as_nanos(0, 1 << 32);
        Self { clock, scale }
    }
}

/// A reading of a [`Ticker`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ticks(u64);

impl Ticker {
    /// What it says now.
    #[inline]
    pub fn read(&self) -> Ticks {
        Ticks(self.clock.raw())
    }

    /// Nanoseconds from one reading to a later one.
    #[inline]
    pub fn nanoseconds(&self, from: Ticks, to: Ticks) -> u64 {
        let scaled = u128::from(to.0.saturating_sub(from.0)) * u128::from(self.scale);
        u64::try_from(scaled >> 32).unwrap_or(u64::MAX)
    }
}

/// Microseconds since the Unix epoch by the system's clock, as `TIME` reports them.
pub fn unix_micros() -> u128 {
    since_epoch().as_micros()
}

fn since_epoch() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
