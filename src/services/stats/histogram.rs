//! How long calls took: a histogram with two significant digits, with the buckets of the `HdrHistogram` that Redis keeps, so that
//! both report the same numbers for the same times. Times up to [`NEAR`] buckets are counted without a detour, as every call
//! is; the parts beyond are made when first counted in.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::Counter;

/// Buckets of a part. All but the first part are the upper half of an octave: its values differ in their highest eight bits.
const SLOTS: usize = 128;

/// Parts, up to the octave of [`LONGEST`].
const PARTS: usize = 24;

/// Buckets of the first parts, for times up to 131 microseconds.
const NEAR: usize = 11 * SLOTS;

/// The longest time that is told from longer ones, in nanoseconds.
const LONGEST: u64 = 1_000_000_000;

/// The first time up to which `LATENCY HISTOGRAM` counts, in nanoseconds; the next ones are twice as long each.
const FIRST_STEP: u64 = 1024;

/// Counts calls by how long they took; one thread alone writes, any may read.
#[derive(Debug)]
pub(super) struct Histogram {
    near: [Counter; NEAR],
    /// The parts after those, by their number; the first ones stay empty.
    far: [OnceLock<Box<[Counter; SLOTS]>>; PARTS],
}

impl Default for Histogram {
    fn default() -> Self {
        Self { near: std::array::from_fn(|_| Counter::default()), far: [const { OnceLock::new() }; PARTS] }
    }
}

impl Histogram {
    /// Counts a call; only for the thread that owns the histogram.
    #[inline]
    pub(super) fn record(&self, nanoseconds: u64) {
        let bucket = bucket_of(nanoseconds);
        match self.near.get(bucket) {
            Some(counter) => counter.add(1),
            None => self.count_far(bucket, 1),
        }
    }

    #[cold]
    fn count_far(&self, bucket: usize, calls: u64) {
        if let Some(part) = self.far.get(bucket / SLOTS)
            && let Some(counter) = part.get_or_init(Box::default_counters).get(bucket % SLOTS)
        {
            counter.add(calls);
        }
    }

    /// All buckets that may have calls, with their calls.
    fn buckets(&self) -> impl Iterator<Item = (usize, u64)> {
        let near = self.near.iter().enumerate();
        let parts = self.far.iter().enumerate().filter_map(|(number, part)| Some((number, part.get()?)));
        let far = parts.flat_map(|(number, part)| {
            part.iter().enumerate().map(move |(slot, calls)| (number * SLOTS + slot, calls))
        });
        near.chain(far).map(|(bucket, calls)| (bucket, calls.get())).filter(|(_, calls)| *calls > 0)
    }

    /// Adds what another has counted; only for the thread that owns this one.
    pub(super) fn absorb(&self, other: &Self) {
        for (bucket, calls) in other.buckets() {
            match self.near.get(bucket) {
                Some(counter) => counter.add(calls),
                None => self.count_far(bucket, calls),
            }
        }
    }
}

/// Makes the buckets of a part.
trait DefaultCounters {
    fn default_counters() -> Self;
}

impl DefaultCounters for Box<[Counter; SLOTS]> {
    #[cold]
    fn default_counters() -> Self {
        Box::new(std::array::from_fn(|_| Counter::default()))
    }
}

/// Where a time is counted: in the bucket of this number among those of all parts.
#[inline]
fn bucket_of(nanoseconds: u64) -> usize {
    let value = nanoseconds.min(LONGEST);
    // 0 for what is below 256, where every value has a bucket of its own.
    let shift = (u64::BITS - 8).saturating_sub((value | 1).leading_zeros());
    shift as usize * SLOTS + usize::try_from(value >> shift).unwrap_or(0)
}

/// What histograms say together: calls by bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distribution(BTreeMap<usize, u64>);

impl Distribution {
    /// Adds what a histogram has counted.
    pub(super) fn add(&mut self, histogram: &Histogram) {
        for (bucket, calls) in histogram.buckets() {
            *self.0.entry(bucket).or_default() += calls;
        }
    }

    /// Takes away what had been counted at an earlier time.
    pub(super) fn subtract(&mut self, earlier: &Self) {
        for (bucket, count) in &earlier.0 {
            if let Some(mine) = self.0.get_mut(bucket) {
                *mine = mine.wrapping_sub(*count);
            }
        }
        self.0.retain(|_, count| *count > 0);
    }

    /// Calls counted.
    pub fn calls(&self) -> u64 {
        self.0.values().sum()
    }

    /// The longest time of the bucket up to which `percentile` per cent of the calls took, in nanoseconds.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "no server counts so many calls that it matters"
    )]
    pub fn percentile(&self, percentile: f64) -> u64 {
        let wanted = ((percentile / 100.0 * self.calls() as f64 + 0.5) as u64).max(1);
        let mut calls = 0;
        for (&bucket, &count) in &self.0 {
            calls += count;
            if calls >= wanted {
                return longest_of(bucket);
            }
        }
        0
    }

    /// How many calls took up to so many microseconds: times that double, without those that add no call.
    pub fn cumulative(&self) -> Vec<(u64, u64)> {
        let mut steps = Vec::new();
        let (mut step, mut calls, mut reported) = (FIRST_STEP, 0, 0);
        let mut buckets = self.0.iter().peekable();
        while buckets.peek().is_some() {
            // Above the longest time there is no step to be told from it.
            let last = if step > LONGEST { SLOTS * PARTS } else { bucket_of(step) };
            while let Some((_, count)) = buckets.next_if(|&(&bucket, _)| bucket <= last) {
                calls += count;
            }
            if calls > reported {
                let longest = if step > LONGEST { step } else { longest_of(last) };
                steps.push((longest / 1000, calls));
                reported = calls;
            }
            step *= 2;
        }
        steps
    }

    /// Buckets in ascending order: the longest time of each in nanoseconds, and its calls.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().map(|(&bucket, &count)| (longest_of(bucket), count))
    }
}

/// The longest time that a bucket counts.
fn longest_of(bucket: usize) -> u64 {
    let (part, slot) = (bucket / SLOTS, (bucket % SLOTS) as u64);
    match part.checked_sub(1) {
        None => slot,
        Some(shift) => ((slot + SLOTS as u64 + 1) << shift) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: &[u64]) -> Distribution {
        let histogram = Histogram::default();
        for &time in times {
            histogram.record(time);
        }
        let mut distribution = Distribution::default();
        distribution.add(&histogram);
        distribution
    }

    #[test]
    fn every_time_has_a_bucket_that_is_less_than_a_hundredth_wide() {
        for exponent in 0..30 {
            for time in [(1_u64 << exponent) - 1, 1 << exponent, (1 << exponent) + 1, 3 << exponent] {
                let longest = longest_of(bucket_of(time));
                let time = time.min(LONGEST);
                assert!(longest >= time && (longest - time) * 100 <= time, "{time} is counted up to {longest}");
            }
        }
        assert_eq!(bucket_of(u64::MAX), bucket_of(LONGEST));
    }

    #[test]
    fn percentiles_are_those_of_redis() {
        let distribution = of(&[9_000, 13_000, 33_000]);
        assert_eq!(distribution.percentile(0.0), 9_023);
        assert_eq!(distribution.percentile(50.0), 13_055);
        assert_eq!(distribution.percentile(99.0), 33_023);
        assert_eq!(distribution.percentile(100.0), 33_023);
        assert_eq!(Distribution::default().percentile(50.0), 0);
    }

    #[test]
    fn steps_are_those_of_redis() {
        assert_eq!(of(&[9_000, 13_000, 30_000, 40_000, 65_536]).cumulative(), [(16, 2), (33, 3), (66, 5)]);
        assert_eq!(of(&[100, 1_024, 1_025, 20_000_000]).cumulative(), [(1, 3), (33_816, 4)]);
        assert_eq!(of(&[5_000_000_000]).cumulative(), [(1_073_741, 1)]);
        assert_eq!(Distribution::default().cumulative(), []);
    }

    #[test]
    fn what_was_counted_before_can_be_taken_away() {
        let histogram = Histogram::default();
        histogram.record(500);
        let mut before = Distribution::default();
        before.add(&histogram);
        histogram.record(500);
        histogram.record(70_000);
        let mut now = Distribution::default();
        now.add(&histogram);
        now.subtract(&before);
        assert_eq!(now, of(&[500, 70_000]));
        now.subtract(&now.clone());
        assert_eq!((now.calls(), now.buckets().count()), (0, 0));
    }
}
