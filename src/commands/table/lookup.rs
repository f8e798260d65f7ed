//! Finding a command by its name: an open-addressing table, built when the server is compiled.

/// Slots of the table: a power of two, and at least twice the number of commands.
const SLOTS: usize = 256;
/// A slot that holds nothing.
const EMPTY: u8 = u8::MAX;

/// Positions of names by their hash.
#[derive(Debug)]
pub(super) struct NameIndex {
    slots: [u8; SLOTS],
}

impl NameIndex {
    /// Indexes `names`, which must be lower-case; each is found at its position in the slice.
    #[expect(clippy::indexing_slicing, reason = "runs at compile time only, where a bad index is a compile error")]
    #[expect(clippy::cast_possible_truncation, reason = "the assertion bounds the position")]
    pub(super) const fn new(names: &[&str]) -> Self {
        assert!(names.len() < SLOTS / 2 && names.len() < EMPTY as usize, "the name index is too small");
        let mut slots = [EMPTY; SLOTS];
        let mut position = 0;
        while position < names.len() {
            let mut slot = hash(names[position].as_bytes());
            while slots[slot] != EMPTY {
                slot = (slot + 1) % SLOTS;
            }
            slots[slot] = position as u8;
            position += 1;
        }
        Self { slots }
    }

    /// The position of `name`, in any case; `is_it` compares it with the name at a position.
    pub(super) fn find(&self, name: &[u8], is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let mut slot = hash(name);
        loop {
            match self.slots.get(slot).copied() {
                None | Some(EMPTY) => return None,
                Some(position) if is_it(usize::from(position)) => return Some(usize::from(position)),
                Some(_) => slot = (slot + 1) % SLOTS,
            }
        }
    }
}

/// A hash that is blind to the case of letters and looks at no more than the first 24 bytes.
const fn hash(name: &[u8]) -> usize {
    let mut state = name.len();
    let mut rest = name;
    let mut left = 24;
    while let [byte, others @ ..] = rest {
        if left == 0 {
            break;
        }
        state = state.wrapping_mul(31).wrapping_add((*byte | 0x20) as usize);
        rest = others;
        left -= 1;
    }
    (state ^ (state >> 8)) % SLOTS
}
