//! How much goes on now: rates over the last moments, as `INFO` reports them.

use parking_lot::Mutex;

use crate::base::clock::{Ticker, Ticks};

/// Samples that a rate is the average of, as in Redis.
const SAMPLES: usize = 16;

/// What rates are kept of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flow {
    /// Commands run.
    pub commands: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
}

impl Flow {
    /// Both together.
    pub(super) fn plus(self, other: Self) -> Self {
        self.map(other, u64::wrapping_add)
    }

    fn map(self, other: Self, change: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            commands: change(self.commands, other.commands),
            bytes_in: change(self.bytes_in, other.bytes_in),
            bytes_out: change(self.bytes_out, other.bytes_out),
        }
    }
}

/// The rates: what the last samples say a second.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<(Ticks, Flow)>,
    samples: [Flow; SAMPLES],
    next: usize,
}

impl Rates {
    /// Takes a sample: what has flowed in total until now.
    pub(super) fn sample(&self, total: Flow, ticker: &Ticker) {
        let now = ticker.read();
        let mut state = self.0.lock();
        if let Some((at, before)) = state.last {
            state.note(before, total, ticker.nanoseconds(at, now));
        }
        state.last = Some((now, total));
    }

    /// The average of the last samples, a second.
    pub(super) fn per_second(&self) -> Flow {
        let state = self.0.lock();
        let sum = state.samples.iter().fold(Flow::default(), |sum, sample| sum.plus(*sample));
        sum.map(Flow::default(), |sum, _| sum / SAMPLES as u64)
    }

    /// Forgets the samples.
    pub(super) fn reset(&self) {
        *self.0.lock() = State::default();
    }
}

impl State {
    fn note(&mut self, before: Flow, total: Flow, nanoseconds: u64) {
        const SECOND: u128 = 1_000_000_000;
        let a_second = |total: u64, before: u64| {
            let flowed = u128::from(total.saturating_sub(before));
            u64::try_from(flowed * SECOND / u128::from(nanoseconds.max(1))).unwrap_or(u64::MAX)
        };
        if let Some(sample) = self.samples.get_mut(self.next) {
            *sample = total.map(before, a_second);
        }
        self.next = (self.next + 1) % SAMPLES;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_the_average_of_the_last_samples() {
        let rates = Rates::default();
        let flow = |amount| Flow { commands: amount, bytes_in: 2 * amount, bytes_out: 0 };
        rates.0.lock().note(flow(100), flow(260), 100_000_000);
        assert_eq!(rates.per_second(), flow(100));
        for _ in 0..SAMPLES {
            rates.0.lock().note(flow(0), flow(5), 50_000_000);
        }
        assert_eq!(rates.per_second(), flow(100));
        for _ in 0..SAMPLES {
            rates.0.lock().note(flow(0), flow(0), 100_000_000);
        }
        assert_eq!(rates.per_second(), flow(0));
    }
}
