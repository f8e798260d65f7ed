//! Words: values, and beginnings of values, that one field has in many of the hashes that share a template: a country, a
//! plan, the path of a picture. They are kept with the template; a hash holds a byte or two instead.
//!
//! Words are found by counting, as templates are, on one of several writes. They stay as long as their template does.

use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;

use super::packed::Encoded;
use super::value::MOST_JOINED;

/// Whole values of a field that are words, at most.
const WHOLE: usize = 7;
/// Beginnings of values of a field that are words, at most.
const PREFIXES: usize = 4;

/// Bits of the length of what follows a prefix, and the largest such length.
pub(super) const LENGTH_BITS: u32 = 6;
pub(super) const MOST_REST: usize = (1 << LENGTH_BITS) - 1;

/// The shortest word; below, a value takes no more than two bytes anyway.
const SHORTEST_WORD: usize = 3;
/// The shortest prefix.
const SHORTEST_PREFIX: usize = 6;

/// A thread counts one of so many writes,
const SAMPLED: u32 = 8;
/// and when it has counted a text this often, net of others that share its place, it becomes a word.
const OFTEN: u64 = 32;

/// The words of one field.
#[derive(Debug, Default)]
pub(super) struct Words {
    whole: [OnceLock<Box<[u8]>>; WHOLE],
    prefixes: [OnceLock<Box<[u8]>>; PREFIXES],
}

impl Words {
    /// Whole value `number`.
    pub(super) fn word(&self, number: usize) -> Option<&[u8]> {
        self.whole.get(number)?.get().map(|word| &**word)
    }

    /// Beginning `number`.
    pub(super) fn prefix(&self, number: usize) -> Option<&[u8]> {
        self.prefixes.get(number)?.get().map(|prefix| &**prefix)
    }

    /// The value in its shortest form, if words make it shorter.
    pub(super) fn encode<'v>(&self, value: &'v [u8]) -> Option<Encoded<'v>> {
        if !(SHORTEST_WORD..=MOST_JOINED).contains(&value.len()) {
            return None;
        }
        if let Some(word) = find(&self.whole, |word| word == value) {
            return Some(Encoded::of_word(word));
        }
        let fits =
            |prefix: &[u8]| value.len() - prefix.len().min(value.len()) <= MOST_REST && value.starts_with(prefix);
        let number = find(&self.prefixes, fits)?;
        let rest = value.get(self.prefix(number)?.len()..)?;
        Some(Encoded::of_prefixed(number, rest))
    }

    fn add_whole(&self, value: &[u8]) {
        if find(&self.whole, |word| word == value).is_none() {
            add(&self.whole, value);
        }
    }

    /// Adds a beginning, unless a longer one serves.
    fn add_prefix(&self, prefix: &[u8]) {
        if find(&self.prefixes, |known| known.starts_with(prefix)).is_none() {
            add(&self.prefixes, prefix);
        }
    }

    /// Bytes that it takes.
    pub(super) fn memory(&self) -> usize {
        let texts = self.whole.iter().chain(&self.prefixes).filter_map(OnceLock::get);
        size_of::<Self>() + texts.map(|text| text.len()).sum::<usize>()
    }
}

/// The first word that is `wanted`; they are filled from the front.
fn find(words: &[OnceLock<Box<[u8]>>], wanted: impl Fn(&[u8]) -> bool) -> Option<usize> {
    words.iter().map_while(OnceLock::get).position(|word| wanted(word))
}

fn add(words: &[OnceLock<Box<[u8]>>], text: &[u8]) {
    for word in words {
        if word.set(text.into()).is_ok() {
            return;
        }
    }
}

/// What a thread has counted.
struct Counts {
    hasher: Option<ahash::RandomState>,
    writes: u32,
    /// The upper 56 bits of a text's hash, and below how often it has been met.
    places: [u64; PLACES],
}

const PLACES: usize = 1024;
const COUNT_BITS: u64 = 0xff;

thread_local! {
    static COUNTS: RefCell<Counts> = const { RefCell::new(Counts { hasher: None, writes: 0, places: [0; PLACES] }) };
}

/// Whether this write is one that counts.
pub(super) fn is_sampled() -> bool {
    COUNTS.with_borrow_mut(|counts| {
        counts.writes = counts.writes.wrapping_add(1);
        counts.writes.is_multiple_of(SAMPLED)
    })
}

/// Counts a value of a field, and its beginnings; what has been met often becomes a word. `whose` names template and field.
pub(super) fn count(words: &Words, whose: u64, value: &[u8]) {
    if !(SHORTEST_WORD..=MOST_JOINED).contains(&value.len()) {
        return;
    }
    COUNTS.with_borrow_mut(|counts| {
        if words.whole.iter().any(|word| word.get().is_none()) && counts.is_often(whose, value) {
            words.add_whole(value);
        }
        if words.prefixes.iter().all(|prefix| prefix.get().is_some()) {
            return;
        }
        // The longest first: of those that are equally frequent it serves best.
        let is_boundary = |byte: u8| !byte.is_ascii_alphanumeric() && byte.is_ascii();
        for end in (SHORTEST_PREFIX..value.len()).rev() {
            let Some((prefix, _)) = value.split_at_checked(end) else { continue };
            if prefix.last().is_some_and(|&last| is_boundary(last)) && counts.is_often(!whose, prefix) {
                words.add_prefix(prefix);
            }
        }
    });
}

impl Counts {
    /// Counts a text; tells whether it has been met often by now.
    fn is_often(&mut self, whose: u64, text: &[u8]) -> bool {
        let mut hasher = self.hasher.get_or_insert_with(ahash::RandomState::new).build_hasher();
        hasher.write_u64(whose);
        hasher.write(text);
        let hash = hasher.finish();
        let place = usize::try_from(hash >> 32).unwrap_or_default() % PLACES;
        let Some(place) = self.places.get_mut(place) else { return false };
        let count = *place & COUNT_BITS;
        if *place & !COUNT_BITS == hash & !COUNT_BITS {
            *place += u64::from(count < OFTEN);
            return count + 1 >= OFTEN;
        }
        // Another text's place: it wears down, lest texts that are met once push out those met often.
        *place = if count == 0 { hash & !COUNT_BITS | 1 } else { *place - 1 };
        false
    }
}

#[cfg(test)]
mod tests {
    use super::{COUNTS, Words, count};
    use crate::store::hash::packed::{Encoded, Entries, Tail, push_entry};

    fn learn(values: impl Iterator<Item = String>) -> Words {
        // Texts that share a place wear each other down: which ones do is left to chance elsewhere, not here.
        let hasher = ahash::RandomState::with_seeds(1, 2, 3, 4);
        COUNTS.with_borrow_mut(|counts| counts.hasher = Some(hasher));
        let words = Words::default();
        for value in values {
            count(&words, 7, value.as_bytes());
        }
        words
    }

    #[test]
    fn frequent_values_and_beginnings_become_words() {
        let values = (0..2000).map(|number| match number % 4 {
            0 => "Amsterdam".to_owned(),
            1 => "Rotterdam".to_owned(),
            _ => format!("https://example.com/pictures/{number}.png"),
        });
        let words = learn(values);
        assert_eq!(words.encode(b"Amsterdam").map(|value| value.len()), Some(1));
        assert_eq!(words.encode(b"https://example.com/pictures/x.png").map(|value| value.len()), Some(7));
        assert!(words.encode(b"Utrecht").is_none());
        assert!(words.encode(b"https://example.org/").is_none());
    }

    #[test]
    fn what_is_met_once_becomes_no_word() {
        const VALUES: u64 = if cfg!(miri) { 500 } else { 100_000 };
        let words = learn((0..VALUES).map(|number| format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15))));
        assert_eq!(words.memory(), size_of::<Words>());
    }

    #[test]
    fn a_record_without_a_template_has_no_words() {
        let mut bytes = Vec::new();
        push_entry(&mut bytes, b"field", &Encoded::of_word(1), Tail::None);
        assert!(Entries::new(&bytes, 0, false).next().is_none());
    }
}
