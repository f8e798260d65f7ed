//! Randomness: one small generator that tests can seed. Not for secrets.

use std::fmt::Write as _;

/// A fast, seedable pseudo-random generator.
#[derive(Clone, Debug)]
pub struct Random(fastrand::Rng);

impl Random {
    /// A generator that gives the same sequence for the same `seed`, as Redis's `redisSrand48`.
    pub fn from_seed(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// A generator seeded by the process's entropy, as Redis's `main` seeds its own at start.
    pub fn from_entropy() -> Self {
        Self(fastrand::Rng::new())
    }

    /// A uniform number in `0..n`, without the bias of Redis's `random() % n`; 0 when `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { self.0.usize(..n) }
    }

    /// A uniform 64-bit number, as Redis's `genrand64_int64`.
    pub fn next_u64(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// 40 lowercase hexadecimal characters, as Redis's `getRandomHexChars` makes for a run id.
    pub fn hex_id(&mut self) -> String {
        let mut id = String::with_capacity(48);
        for _ in 0..3 {
            // Writing to a String cannot fail.
            let _ = write!(id, "{:016x}", self.next_u64());
        }
        id.truncate(40);
        id
    }
}

/// True once in `n` times on average, of this thread's own randomness; always for 0 and 1.
pub fn one_in(n: usize) -> bool {
    n <= 1 || fastrand::usize(..n) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_sequence() {
        let (mut a, mut b) = (Random::from_seed(7), Random::from_seed(7));
        for n in 1..1000 {
            assert_eq!(a.next_u64(), b.next_u64());
            assert_eq!(a.below(n), b.below(n));
        }
        assert_ne!(Random::from_seed(7).next_u64(), Random::from_seed(8).next_u64());
    }

    #[test]
    fn below_stays_below_and_reaches_everything() {
        let mut random = Random::from_seed(1);
        assert_eq!(random.below(0), 0);
        assert_eq!(random.below(1), 0);
        let mut seen = [false; 5];
        for _ in 0..1000 {
            seen[random.below(5)] = true;
        }
        assert_eq!(seen, [true; 5]);
    }

    #[test]
    fn an_id_is_forty_hexadecimal_characters() {
        let mut random = Random::from_entropy();
        let (a, b) = (random.hex_id(), random.hex_id());
        assert_eq!(a.len(), 40);
        assert!(a.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
        assert_ne!(a, b);
    }
}
