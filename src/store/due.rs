//! When the keys of one shard have something due: a heap of 8 bytes a key.
//!
//! A mark says that a key with this tag may have something due from that tick on. There is always one that is not later
//! than what the key has due first; what comes later than its mark is found out, and marked anew, when the mark comes up.
//! So a key whose expiry is put off again and again costs nothing but its one mark, and removed keys leave theirs behind,
//! until half of all are such and the heap is made anew.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::base::clock::UnixMillis;

/// Milliseconds of a tick, as a power of two: 37 bits of 32 milliseconds reach from 1970 to 2109.
const TICK: u32 = 5;

/// A part of a key's hash that finds it in its shard's table: the 7 bits that the table keeps of each, and 20 of those
/// that say where it is, enough for a shard of 900,000 keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag(u32);

const PLACE_BITS: u32 = 20;
const TAG_BITS: u32 = PLACE_BITS + 7;

impl Tag {
    pub(super) fn of(hash: u64) -> Self {
        let place = hash & ((1 << PLACE_BITS) - 1);
        let top = hash >> (u64::BITS - 7) << PLACE_BITS;
        Self(u32::try_from(place | top).unwrap_or_default())
    }

    fn of_mark(mark: u64) -> Self {
        Self(u32::try_from(mark & ((1 << TAG_BITS) - 1)).unwrap_or_default())
    }

    /// A hash by which a table finds what it finds by the whole one.
    pub(super) fn hash(self) -> u64 {
        let tag = u64::from(self.0);
        tag & ((1 << PLACE_BITS) - 1) | tag >> PLACE_BITS << (u64::BITS - 7)
    }
}

/// The marks of one shard.
#[derive(Debug, Default)]
pub(super) struct DueIndex {
    /// Tick and tag of each mark, the earliest first.
    marks: BinaryHeap<Reverse<u64>>,
    /// Number of keys that have something due some time.
    keys: usize,
    /// Number of those that expire themselves, not only their fields.
    volatile_keys: usize,
}

impl DueIndex {
    /// Marks that what a key has due first has changed.
    pub(super) fn change(&mut self, tag: Tag, before: Option<UnixMillis>, after: Option<UnixMillis>) {
        self.keys = self.keys + usize::from(after.is_some()) - usize::from(before.is_some());
        if self.keys == 0 {
            return self.clear();
        }
        if let Some(at) = after
            && before.is_none_or(|before| at < before)
        {
            self.mark(tag, at);
        }
    }

    /// Counts that a key has begun, or ceased, to expire itself.
    pub(super) fn count_volatile(&mut self, before: bool, after: bool) {
        self.volatile_keys = self.volatile_keys + usize::from(after) - usize::from(before);
    }

    /// Number of keys that expire themselves.
    pub(super) fn volatile_keys(&self) -> usize {
        self.volatile_keys
    }

    /// Number of marks.
    pub(super) fn marks(&self) -> usize {
        self.marks.len()
    }

    /// The tag of a mark, by its number; the numbers go round. Number 0 is the earliest.
    pub(super) fn tag(&self, number: usize) -> Option<Tag> {
        let at = number.checked_rem(self.marks.len())?;
        self.marks.as_slice().get(at).map(|&Reverse(mark)| Tag::of_mark(mark))
    }

    /// Marks that a key may have something due at a time.
    pub(super) fn mark(&mut self, tag: Tag, at: UnixMillis) {
        let length = self.marks.len();
        if length == self.marks.capacity() {
            // An eighth more, not twice as much: there is one mark for each key that expires.
            self.marks.reserve_exact(length / 8 + 4);
        }
        self.marks.push(Reverse(tick(at) << TAG_BITS | u64::from(tag.0)));
    }

    /// Whether a mark has come up at `now`.
    pub(super) fn is_up(&self, now: UnixMillis) -> bool {
        self.marks.peek().is_some_and(|&Reverse(mark)| mark >> TAG_BITS < tick(now))
    }

    /// Takes a mark that has come up.
    pub(super) fn take(&mut self, now: UnixMillis) -> Option<Tag> {
        if !self.is_up(now) {
            return None;
        }
        self.marks.pop().map(|Reverse(mark)| Tag::of_mark(mark))
    }

    /// Whether more than half of the marks are of no use.
    pub(super) fn is_mostly_stale(&self) -> bool {
        const FEW: usize = 64;
        self.marks.len() > 2 * self.keys + FEW
    }

    /// Forgets all marks, to be made anew.
    pub(super) fn forget_marks(&mut self) {
        self.marks = BinaryHeap::new();
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes that it takes.
    pub(super) fn memory(&self) -> usize {
        self.marks.capacity() * size_of::<u64>()
    }
}

/// The tick in which a time is. Times too far away are in the last.
fn tick(at: UnixMillis) -> u64 {
    u64::try_from(at.0 >> TICK).unwrap_or_default().min((1 << (u64::BITS - TAG_BITS)) - 1)
}

#[cfg(test)]
mod tests {
    use super::{DueIndex, Tag};
    use crate::base::clock::UnixMillis;

    fn at(seconds: i64) -> UnixMillis {
        UnixMillis(1_800_000_000_000 + seconds * 1000)
    }

    #[test]
    fn a_tag_finds_what_its_hash_finds() {
        for hash in [0, u64::MAX, 0xdead_beef_1234_5678, 1 << 63, 1 << 24] {
            let back = Tag::of(hash).hash();
            assert_eq!((back >> 57, back & 0xf_ffff), (hash >> 57, hash & 0xf_ffff));
            assert_eq!(Tag::of(back), Tag::of(hash));
        }
    }

    #[test]
    fn marks_come_up_in_order_and_not_before_their_time() {
        let mut index = DueIndex::default();
        for seconds in [5, 3, 9] {
            index.change(Tag(seconds), None, Some(at(i64::from(seconds))));
        }
        assert_eq!(index.take(at(2)), None);
        assert_eq!(index.take(at(6)), Some(Tag(3)));
        assert_eq!(index.take(at(6)), Some(Tag(5)));
        assert_eq!(index.take(at(6)), None);
        assert_eq!(index.take(UnixMillis(i64::MAX)), Some(Tag(9)));
    }

    #[test]
    fn an_expiry_put_off_leaves_its_mark_one_brought_forward_adds_one() {
        let mut index = DueIndex::default();
        index.change(Tag(1), None, Some(at(10)));
        for seconds in 11..1000 {
            index.change(Tag(1), Some(at(seconds - 1)), Some(at(seconds)));
        }
        assert_eq!(index.marks.len(), 1);
        index.change(Tag(1), Some(at(999)), Some(at(5)));
        assert_eq!(index.take(at(6)), Some(Tag(1)));
    }

    #[test]
    fn removed_keys_make_it_stale() {
        let mut index = DueIndex::default();
        for number in 0..200 {
            index.change(Tag(number), None, Some(at(10)));
        }
        assert!(!index.is_mostly_stale());
        for _ in 0..150 {
            index.change(Tag(0), Some(at(10)), None);
        }
        assert!(index.is_mostly_stale());
    }
}
