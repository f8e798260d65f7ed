//! `LATENCY`: when something last took long, and how long, by what it was.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;

use crate::base::clock::UnixMillis;

/// A command.
pub const COMMAND: &str = "command";
/// A command that takes constant or logarithmic time.
pub const FAST_COMMAND: &str = "fast-command";
/// A round in which due keys and fields are reclaimed.
pub const EXPIRE_CYCLE: &str = "expire-cycle";
/// A round in which keys are evicted, beside the commands or before one that needs the room.
pub const EVICTION_CYCLE: &str = "eviction-cycle";
/// A round in which memory is freed that removed data took.
pub const FREE: &str = "free";
/// A round in which hashes leave templates that no longer pay.
pub const TEMPLATE_CYCLE: &str = "template-cycle";

/// The growth of a shard's table, while which its keys wait.
pub const TABLE_GROWTH: &str = "table-growth";

/// Spikes kept of each event.
const SPIKES: usize = 160;

/// What happened in one second: the slowest of it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spike {
    /// When, in seconds since the Unix epoch.
    pub at_seconds: i64,
    /// How long it took.
    pub milliseconds: u64,
}

/// The spikes of an event, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Series {
    spikes: VecDeque<Spike>,
    /// The longest of all time.
    pub longest_milliseconds: u64,
}

/// What a series says in numbers. Times are in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Analysis {
    /// Spikes.
    pub spikes: u64,
    /// Their average.
    pub average: u64,
    /// Their mean absolute deviation from it.
    pub deviation: u64,
    /// The shortest.
    pub shortest: u64,
    /// The longest that is kept.
    pub longest: u64,
    /// Seconds since the oldest.
    pub period_seconds: u64,
}

impl Series {
    /// The spikes, oldest first.
    pub fn spikes(&self) -> impl ExactSizeIterator<Item = Spike> {
        self.spikes.iter().copied()
    }

    /// The newest spike.
    pub fn newest(&self) -> Option<Spike> {
        self.spikes.back().copied()
    }

    /// The numbers.
    pub fn analyze(&self, now: UnixMillis) -> Analysis {
        let times = || self.spikes.iter().map(|spike| spike.milliseconds);
        let (Some(oldest), count) = (self.spikes.front(), self.spikes.len() as u64) else { return Analysis::default() };
        let average = times().sum::<u64>() / count;
        Analysis {
            spikes: count,
            average,
            deviation: times().map(|time| time.abs_diff(average)).sum::<u64>() / count,
            shortest: times().min().unwrap_or(0),
            longest: times().max().unwrap_or(0),
            period_seconds: u64::try_from(now.seconds() - oldest.at_seconds).unwrap_or(0).max(1),
        }
    }

    fn add(&mut self, spike: Spike) {
        self.longest_milliseconds = self.longest_milliseconds.max(spike.milliseconds);
        match self.spikes.back_mut() {
            Some(last) if last.at_seconds == spike.at_seconds => {
                last.milliseconds = last.milliseconds.max(spike.milliseconds);
            }
            _ => {
                if self.spikes.len() >= SPIKES {
                    self.spikes.pop_front();
                }
                self.spikes.push_back(spike);
            }
        }
    }
}

/// The series of all events that have happened.
#[derive(Debug, Default)]
pub struct LatencyMonitor(Mutex<BTreeMap<&'static str, Series>>);

impl LatencyMonitor {
    /// Adds a spike of an event.
    pub fn add(&self, event: &'static str, milliseconds: u64, now: UnixMillis) {
        let spike = Spike { at_seconds: now.seconds(), milliseconds };
        self.0.lock().entry(event).or_default().add(spike);
    }

    /// The series of an event.
    pub fn series(&self, event: &[u8]) -> Option<(&'static str, Series)> {
        let events = self.0.lock();
        let event = std::str::from_utf8(event).ok()?;
        events.get_key_value(event).map(|(event, series)| (*event, series.clone()))
    }

    /// All events and their series.
    pub fn all(&self) -> Vec<(&'static str, Series)> {
        self.0.lock().iter().map(|(event, series)| (*event, series.clone())).collect()
    }

    /// Forgets an event, whose name may be in any case; whether there was one.
    pub fn forget(&self, event: &[u8]) -> bool {
        let mut events = self.0.lock();
        let before = events.len();
        events.retain(|known, _| !event.eq_ignore_ascii_case(known.as_bytes()));
        events.len() < before
    }

    /// Forgets everything; gives how many events there were.
    pub fn forget_all(&self) -> usize {
        std::mem::take(&mut *self.0.lock()).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_one_spike() {
        let monitor = LatencyMonitor::default();
        for (at, milliseconds) in [(1_000, 20), (1_999, 30), (1_999, 10), (3_000, 10)] {
            monitor.add(COMMAND, milliseconds, UnixMillis(at));
        }
        let (_, series) = monitor.series(b"command").unwrap();
        let spikes: Vec<_> = series.spikes().map(|spike| (spike.at_seconds, spike.milliseconds)).collect();
        assert_eq!((spikes.as_slice(), series.longest_milliseconds), (&[(1, 30), (3, 10)][..], 30));
        let analysis = series.analyze(UnixMillis(5_000));
        let expected = Analysis { spikes: 2, average: 20, deviation: 10, shortest: 10, longest: 30, period_seconds: 4 };
        assert_eq!(analysis, expected);
        assert!(monitor.forget(b"COMMAND") && !monitor.forget(b"command"));
    }

    #[test]
    fn old_spikes_go() {
        let monitor = LatencyMonitor::default();
        for second in 0..200 {
            monitor.add(FREE, 200 - second, UnixMillis(second.cast_signed() * 1000));
        }
        let (_, series) = monitor.series(b"free").unwrap();
        assert_eq!((series.spikes().len(), series.longest_milliseconds), (SPIKES, 200));
        assert_eq!(series.spikes().next().unwrap().at_seconds, 40);
    }
}
