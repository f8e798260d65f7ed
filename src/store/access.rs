//! The access clock of a record: three bytes that say when, or how often, it has been used, as the eviction policy wants.
//!
//! As in Redis the bytes mean one thing or the other; when the policy changes, what they say takes some time to adjust.

use crate::base::clock::UnixMillis;
use crate::base::random;

/// What the clocks of all records tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClockKind {
    /// When it was last read or written.
    Use,
    /// When it was last written.
    Write,
    /// How often it is used.
    Frequency,
}

/// How accesses move the clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClockRules {
    pub(super) kind: ClockKind,
    /// `lfu-log-factor`
    pub(super) log_factor: usize,
    /// `lfu-decay-time`
    pub(super) decay_minutes: usize,
}

/// How a record is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Nothing of it changes.
    Read,
    /// It is not as it was.
    Write,
}

/// Three bytes: seconds, of which 24 bits are kept as in Redis; or minutes (16 bits) when the count was last brought up to
/// date, and a count (8 bits) that grows with the logarithm of the uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AccessClock(pub(super) [u8; 3]);

/// The count that a new record begins with, so that it is not the first to go.
const FIRST_COUNT: u8 = 5;

impl AccessClock {
    /// The clock of a record that is new, or has a new name.
    #[inline]
    pub(super) fn fresh(kind: ClockKind, now: UnixMillis) -> Self {
        match kind {
            ClockKind::Use | ClockKind::Write => Self::at(now),
            ClockKind::Frequency => Self::counting(FIRST_COUNT, now),
        }
    }

    /// The time of an access.
    #[inline]
    pub(super) fn at(now: UnixMillis) -> Self {
        let [a, b, c, ..] = now.seconds().to_le_bytes();
        Self([a, b, c])
    }

    /// A count that is up to date.
    pub(super) fn counting(count: u8, now: UnixMillis) -> Self {
        let [low, high] = minutes(now).to_le_bytes();
        Self([count, low, high])
    }

    /// The clock after an access.
    pub(super) fn moved(self, rules: ClockRules, usage: Use, now: UnixMillis) -> Self {
        match (rules.kind, usage) {
            (ClockKind::Write, Use::Read) => self,
            (ClockKind::Use, _) | (ClockKind::Write, Use::Write) => Self::at(now),
            (ClockKind::Frequency, _) => {
                let count = self.count(rules.decay_minutes, now);
                let rare = usize::from(count.saturating_sub(FIRST_COUNT)).saturating_mul(rules.log_factor);
                // The more it has counted, the less likely is it to count another use.
                let counts = random::one_in(rare.saturating_add(1));
                Self::counting(count.saturating_add(u8::from(counts)), now)
            }
        }
    }

    /// Seconds from this time to a later one, as far as 24 bits tell (194 days).
    pub(super) fn seconds_until(self, later: Self) -> i64 {
        let seconds = |Self([a, b, c]): Self| i64::from(u32::from_le_bytes([a, b, c, 0]));
        (seconds(later) - seconds(self)).rem_euclid(1 << 24)
    }

    /// The count of uses: one less for every `decay_minutes` since it was brought up to date.
    pub(super) fn count(self, decay_minutes: usize, now: UnixMillis) -> u8 {
        let Self([count, ..]) = self;
        let periods = usize::from(self.minutes_until(now)).checked_div(decay_minutes).unwrap_or(0);
        count.saturating_sub(u8::try_from(periods).unwrap_or(u8::MAX))
    }

    /// Minutes since the count was brought up to date, as far as 16 bits tell.
    pub(super) fn minutes_until(self, now: UnixMillis) -> u16 {
        let Self([_, low, high]) = self;
        minutes(now).wrapping_sub(u16::from_le_bytes([low, high]))
    }
}

fn minutes(now: UnixMillis) -> u16 {
    let [low, high, ..] = now.seconds().div_euclid(60).to_le_bytes();
    u16::from_le_bytes([low, high])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn later(seconds: i64) -> UnixMillis {
        UnixMillis(NOW.0 + seconds * 1000)
    }

    fn rules(kind: ClockKind, log_factor: usize) -> ClockRules {
        ClockRules { kind, log_factor, decay_minutes: 1 }
    }

    #[test]
    fn only_writes_move_a_clock_of_writes() {
        let fresh = AccessClock::fresh(ClockKind::Write, NOW);
        let moved = |kind, usage| fresh.moved(rules(kind, 10), usage, later(7));
        assert_eq!(moved(ClockKind::Write, Use::Read), fresh);
        assert_eq!(fresh.seconds_until(moved(ClockKind::Write, Use::Write)), 7);
        assert_eq!(fresh.seconds_until(moved(ClockKind::Use, Use::Read)), 7);
    }

    #[test]
    fn a_count_grows_with_the_logarithm_of_the_uses_and_decays_by_the_minute() {
        let count_after = |uses: usize, log_factor| {
            let start = AccessClock::fresh(ClockKind::Frequency, NOW);
            let rules = rules(ClockKind::Frequency, log_factor);
            (0..uses).fold(start, |clock, _| clock.moved(rules, Use::Read, NOW)).count(1, NOW)
        };
        assert_eq!((count_after(0, 10), count_after(1, 10)), (5, 6));
        // What Redis's table has for a factor of 10: 10 after 100 uses, 18 after 1,000, and of 0: 104 after 100.
        // One count is chance; the tenths of the mean of many are not.
        let mean_after = |uses| (0..400).map(|_| u32::from(count_after(uses, 10))).sum::<u32>() / 40;
        let means = [mean_after(100), mean_after(1000)];
        assert!((90..=102).contains(&means[0]) && (185..=200).contains(&means[1]), "{means:?}");
        assert_eq!((count_after(100, 0), count_after(1000, 0)), (105, 255));
        let clock = AccessClock::counting(100, NOW);
        assert_eq!([0, 59, 60, 600, 6060].map(|seconds| clock.count(1, later(seconds))), [100, 100, 99, 90, 0]);
        assert_eq!((clock.count(10, later(600)), clock.count(0, later(6000))), (99, 100));
    }
}
