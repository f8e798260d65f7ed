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
