//! Finding a command by its name: an open-addressing table, built when the server is compiled.

/// Slots of the table: a power of two, and more than twice the number of commands.
const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 8;
/// A slot that holds nothing.
const EMPTY: u8 = u8::MAX;

/// Positions of names by their hash.
#[derive(Debug)]
pub(super) struct NameIndex<const NAMES: usize> {
    keys: [Key; NAMES],
    slots: [u8; SLOTS],
}

/// A name in lower case, as two words that overlap unless it is long, and its length. Three compares tell two names
/// of up to 16 letters apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    first: u64,
    last: u64,
    length: usize,
}

impl Key {
    const NONE: Self = Self { first: 0, last: 0, length: 0 };

    /// The key of a name of 1 to 16 bytes.
    const fn of(name: &[u8]) -> Option<Self> {
        /// Makes capital letters small. It changes other bytes too, but into no letter, and names are all letters.
        const SMALL: u64 = 0x2020_2020_2020_2020;
        let length = name.len();
        if length > 16 {
            return None;
        }
        let (first, last) = if let (Some(first), Some(last)) = (name.first_chunk::<8>(), name.last_chunk::<8>()) {
            (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
        } else if let (Some(first), Some(last)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            (u32::from_le_bytes(*first) as u64, u32::from_le_bytes(*last) as u64)
        } else if let [first, .., last] = name {
            // Two or three bytes: the one in the middle, if any, is the second.
            let [_, middle, ..] = name else { return None };
            ((*first as u64) | ((*middle as u64) << 8), *last as u64)
        } else {
            return None;
        };
        Some(Self { first: first | SMALL, last: last | SMALL, length })
    }

    /// The slot to start from.
    const fn slot(self) -> usize {
        const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
        let mixed = self.first ^ self.last.rotate_left(23) ^ self.length as u64;
        (mixed.wrapping_mul(MULTIPLIER) >> (u64::BITS - SLOT_BITS)) as usize
    }
}

impl<const NAMES: usize> NameIndex<NAMES> {
    /// Indexes `names`, of 2 to 16 lower-case letters each; each is found at its position.
    #[expect(clippy::indexing_slicing, reason = "runs at compile time only, where a bad index is a compile error")]
    #[expect(clippy::cast_possible_truncation, reason = "the assertion bounds the position")]
    pub(super) const fn new(names: &[&str; NAMES]) -> Self {
        assert!(NAMES < SLOTS / 2 && NAMES < EMPTY as usize, "the name index is too small");
        let (mut keys, mut slots) = ([Key::NONE; NAMES], [EMPTY; SLOTS]);
        let mut position = 0;
        while position < NAMES {
            let name = names[position].as_bytes();
            assert!(is_lower_case(name), "names of commands are lower-case letters");
            let key = if let Some(key) = Key::of(name) { key } else { Key::NONE };
            assert!(key.length > 0, "names of commands have 2 to 16 letters");
            let mut slot = key.slot();
            while slots[slot] != EMPTY {
                slot = (slot + 1) % SLOTS;
            }
            slots[slot] = position as u8;
            keys[position] = key;
            position += 1;
        }
        Self { keys, slots }
    }

    /// The position of `name`, in any case.
    #[inline]
    pub(super) fn find(&self, name: &[u8]) -> Option<usize> {
        let key = Key::of(name)?;
        let mut slot = key.slot();
        loop {
            let position = usize::from(*self.slots.get(slot)?);
            if *self.keys.get(position)? == key {
                return Some(position);
            }
            slot = (slot + 1) % SLOTS;
        }
    }
}

const fn is_lower_case(name: &[u8]) -> bool {
    let mut rest = name;
    while let [letter, others @ ..] = rest {
        if !letter.is_ascii_lowercase() {
            return false;
        }
        rest = others;
    }
    true
}
