//! Positions: the order in which SCAN and HSCAN give keys and fields, which is that of their keyed hashes.

use std::hash::BuildHasher;

/// Hashes keys and fields with a secret drawn at start, so that nobody can prepare colliding ones.
#[derive(Debug, Clone)]
pub(super) struct KeyHasher {
    state: ahash::RandomState,
}

impl KeyHasher {
    /// A hasher with a secret of its own.
    pub(super) fn new() -> Self {
        Self { state: ahash::RandomState::new() }
    }

    /// The same hasher for a table that asks for one.
    pub(super) fn random_state(&self) -> ahash::RandomState {
        self.state.clone()
    }

    /// The hash of a key.
    #[inline]
    pub(super) fn hash(&self, bytes: &[u8]) -> u64 {
        use std::hash::Hasher;
        let mut hasher = self.state.build_hasher();
        hasher.write(bytes);
        hasher.finish()
    }

    /// The place of a key or field in iteration order.
    pub(super) fn position(&self, bytes: &[u8]) -> Position {
        Position::of_hash(self.hash(bytes))
    }
}

/// Where an element stands in iteration order: the top 48 bits of its keyed hash. It never changes while tables grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position(pub(super) u64);

/// Bits of a position. Not all 64, so that clients that keep cursors in floating point numbers lose nothing.
const POSITION_BITS: u32 = 48;

impl Position {
    /// The position that a keyed hash gives. The hash is turned by the 7 bits that hashbrown uses as tags, so that
    /// position order is shard order too.
    pub(super) fn of_hash(hash: u64) -> Self {
        Self(hash.rotate_left(7) >> (u64::BITS - POSITION_BITS))
    }

    /// The position after this one.
    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The shard among `shards` (a power of two) that holds this position.
    pub(super) fn shard(self, shards: usize) -> usize {
        usize::try_from(self.0 >> (POSITION_BITS - shards.trailing_zeros())).unwrap_or(usize::MAX)
    }
}

/// Where an iteration goes on; 0 starts it and ends it.
///
/// Holds the position plus one of the next element, so that position 0 is not mistaken for the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanCursor(pub u64);

impl ScanCursor {
    /// The iteration is complete.
    pub const END: Self = Self(0);

    /// Goes on at `position`.
    pub(super) fn at(position: Position) -> Self {
        Self(position.0 + 1)
    }

    /// The position to go on from; the last one for a cursor that no iteration has given.
    pub(super) fn position(self) -> Position {
        Position(self.0.saturating_sub(1).min((1 << POSITION_BITS) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys that collide, or nearly, for hash functions without a secret.
    fn hostile_keys() -> Vec<(&'static str, Vec<Vec<u8>>)> {
        const MANY: usize = 20_000;
        let made = |make: &dyn Fn(usize) -> Vec<u8>| (0..MANY).map(make).collect();
        // `Ez` and `FY` are alike to the hashes of Java, PHP and the like: any row of them is.
        let pairs = |n: usize| (0..15).flat_map(|bit| if n >> bit & 1 == 0 { *b"Ez" } else { *b"FY" }).collect();
        // The same words in other places, which sums do not see.
        let words =
            |n: usize| (0..16).flat_map(|place| if n >> (place % 15) & 1 == 0 { [0; 8] } else { [1; 8] }).collect();
        vec![
            ("numbers", made(&|n| n.to_string().into_bytes())),
            ("binary numbers", made(&|n| n.to_le_bytes().to_vec())),
            ("high bits", made(&|n| ((n as u64) << 45).to_le_bytes().to_vec())),
            ("zeros", made(&|n| vec![0; n])),
            ("a long beginning", made(&|n| [vec![b'a'; 1000], n.to_string().into_bytes()].concat())),
            ("a long end", made(&|n| [n.to_string().into_bytes(), vec![b'a'; 1000]].concat())),
            ("pairs", made(&pairs)),
            ("words", made(&words)),
        ]
    }

    /// The most keys that come together where `place` puts them.
    fn fullest(hashes: &[u64], place: impl Fn(u64) -> u64) -> usize {
        let mut counts = std::collections::HashMap::new();
        for &hash in hashes {
            *counts.entry(place(hash)).or_insert(0) += 1;
        }
        counts.into_values().max().unwrap_or_default()
    }

    #[test]
    fn hostile_keys_lie_as_far_apart_as_others() {
        let secret = KeyHasher::new();
        for (name, keys) in hostile_keys() {
            let hashes: Vec<u64> = keys.iter().map(|key| secret.hash(key)).collect();
            assert_eq!(fullest(&hashes, |hash| hash), 1, "{name}: equal hashes");
            // Of 20,000 at random in 32,768 places, nine or ten come together once in many thousand runs.
            let bucket = fullest(&hashes, |hash| hash & 0x7fff);
            assert!(bucket <= 14, "{name}: {bucket} in one bucket");
            // 20 a shard on average; 60 are nine standard deviations away.
            let shard = fullest(&hashes, |hash| Position::of_hash(hash).shard(1024) as u64);
            assert!(shard <= 60, "{name}: {shard} in one shard");
        }
    }

    #[test]
    fn nobody_knows_the_secret() {
        let (one, other) = (KeyHasher::new(), KeyHasher::new());
        assert!((0..64_u8).any(|key| one.hash(&[key]) != other.hash(&[key])));
    }
}
