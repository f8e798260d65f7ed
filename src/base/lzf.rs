//! LZF, the compression of strings in RDB files. The compressor makes the choices of liblzf, so that what it writes is, byte
//! for byte, what Redis writes.
//!
//! The crate for it clears half a megabyte for every string, which takes longer than all else that is done to a key; it
//! serves as the oracle of the tests.

const HASH_BITS: u32 = 16;
const MOST_OFFSET: usize = 1 << 13;
const MOST_REFERRED: usize = (1 << 8) + (1 << 3);
const MOST_LITERALS: usize = 1 << 5;

/// Compresses strings, one after the other, with one table.
#[derive(Debug)]
pub struct Compressor {
    /// Where three bytes with this hash were seen last: [`Compressor::base`] and the place in the string.
    places: Box<[u32]>,
    /// What stands below is of earlier strings.
    base: u32,
}

impl Default for Compressor {
    fn default() -> Self {
        Self { places: vec![0; 1 << HASH_BITS].into_boxed_slice(), base: 1 }
    }
}

impl Compressor {
    /// Appends `data` to `out`, compressed, if that takes at most `limit` bytes; otherwise leaves `out` as it is.
    pub fn compress(&mut self, data: &[u8], limit: usize, out: &mut Vec<u8>) -> bool {
        let Ok(length) = u32::try_from(data.len()) else { return false };
        if self.base.checked_add(length).is_none() {
            *self = Self::default();
        }
        let start = out.len();
        let done = Run { data, out, start, limit, literals: 0 }.compress(&mut self.places, self.base);
        // A new table is rarer than wrapping around: the place after the last is of no string.
        self.base = self.base.saturating_add(length);
        if !done {
            out.truncate(start);
        }
        done
    }
}

/// The compression of one string.
struct Run<'a> {
    data: &'a [u8],
    out: &'a mut Vec<u8>,
    /// Where the output begins.
    start: usize,
    /// Most bytes of it.
    limit: usize,
    /// Bytes of the run of literals that the output ends in; the byte before them is for their number.
    literals: usize,
}

impl Run<'_> {
    fn compress(&mut self, places: &mut [u32], base: u32) -> bool {
        let data = self.data;
        if data.is_empty() || self.limit == 0 {
            return false;
        }
        self.out.push(0);
        let mut at = 0;
        while let Some(three) = three_at(data, at) {
            let before = replace(places, three, base, at);
            let offset = before.map(|before| at - before - 1).filter(|&offset| offset < MOST_OFFSET);
            let matches =
                before.filter(|&before| offset.is_some() && before > 0 && three_at(data, before) == Some(three));
            let (Some(before), Some(offset)) = (matches, offset) else {
                if self.written() >= self.limit {
                    return false;
                }
                self.literal(data, at);
                at += 1;
                continue;
            };
            if self.written() - usize::from(self.literals == 0) + 4 >= self.limit {
                return false;
            }
            let length = match_length(data, before, at);
            self.refer(offset, length);
            at += length;
            if at + 2 >= data.len() {
                break;
            }
            for inside in [at - 2, at - 1] {
                if let Some(three) = three_at(data, inside) {
                    replace(places, three, base, inside);
                }
            }
        }
        if self.written() + 3 > self.limit {
            return false;
        }
        for at in at..data.len() {
            self.literal(data, at);
        }
        self.end_literals();
        true
    }

    fn written(&self) -> usize {
        self.out.len() - self.start
    }

    fn literal(&mut self, data: &[u8], at: usize) {
        self.out.extend(data.get(at));
        self.literals += 1;
        if self.literals == MOST_LITERALS {
            self.end_literals();
            self.out.push(0);
        }
    }

    /// Writes the number of literals before them, or takes the byte for it away.
    fn end_literals(&mut self) {
        let head = self.out.len() - self.literals - 1;
        if self.literals == 0 {
            self.out.truncate(head);
        } else if let Some(byte) = self.out.get_mut(head) {
            *byte = low(self.literals - 1);
        }
        self.literals = 0;
    }

    /// Writes that `length` bytes are as those `offset` + 1 bytes before.
    fn refer(&mut self, offset: usize, length: usize) {
        self.end_literals();
        let code = length - 2;
        if code < 7 {
            self.out.push(low(offset >> 8) + low(code << 5));
        } else {
            self.out.extend([low(offset >> 8) + (7 << 5), low(code - 7)]);
        }
        self.out.extend([low(offset), 0]);
    }
}

fn low(number: usize) -> u8 {
    u8::try_from(number & 0xff).unwrap_or_default()
}

/// The three bytes at a place, as a number.
#[inline]
fn three_at(data: &[u8], at: usize) -> Option<u32> {
    let &[a, b, c] = data.get(at..)?.first_chunk()?;
    Some(u32::from_be_bytes([0, a, b, c]))
}

/// Notes where three bytes were seen, and gives where bytes of the same hash were seen last in this string.
#[inline]
fn replace(places: &mut [u32], three: u32, base: u32, at: usize) -> Option<usize> {
    let hash = (three >> (24 - HASH_BITS)).wrapping_sub(three.wrapping_mul(5)) & ((1 << HASH_BITS) - 1);
    let place = places.get_mut(hash as usize)?;
    let here = base + u32::try_from(at).unwrap_or_default();
    let before = std::mem::replace(place, here);
    before.checked_sub(base).map(|before| before as usize)
}

/// How many bytes at `at` are as those at `before`, of which three are known to be.
fn match_length(data: &[u8], before: usize, at: usize) -> usize {
    let most = (data.len() - at - 2).clamp(3, MOST_REFERRED);
    let (earlier, here) = (data.get(before..).unwrap_or_default(), data.get(at..).unwrap_or_default());
    let same = earlier.iter().zip(here).skip(3).take_while(|(one, other)| one == other).count();
    (3 + same).min(most)
}

/// Appends to `out` what `data` was before it was compressed; false if that is not `length` bytes, or `data` makes no sense.
pub fn decompress(data: &[u8], length: usize, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let end = start.saturating_add(length);
    let mut rest = data;
    while let [control, after @ ..] = rest {
        rest = after;
        let control = usize::from(*control);
        if control < MOST_LITERALS {
            let Some((literals, after)) = rest.split_at_checked(control + 1) else { return false };
            rest = after;
            out.extend_from_slice(literals);
        } else {
            let mut count = control >> 5;
            if count == 7 {
                let [more, after @ ..] = rest else { return false };
                (count, rest) = (count + usize::from(*more), after);
            }
            let [offset, after @ ..] = rest else { return false };
            rest = after;
            let offset = ((control & 0x1f) << 8) + usize::from(*offset) + 1;
            let Some(from) = (out.len() - start).checked_sub(offset).map(|from| start + from) else { return false };
            if out.len() + count + 2 > end {
                return false;
            }
            // What is copied may overlap what it is copied to.
            if offset >= count + 2 {
                out.extend_from_within(from..from + count + 2);
            } else {
                for at in from..from + count + 2 {
                    out.extend(out.get(at).copied());
                }
            }
        }
        if out.len() > end {
            return false;
        }
    }
    out.len() == end
}

#[cfg(test)]
mod tests {
    use super::{Compressor, decompress};
    use proptest::prelude::*;

    fn compressed(compressor: &mut Compressor, data: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        compressor.compress(data, data.len(), &mut out).then_some(out)
    }

    proptest! {
        #[test]
        fn what_is_compressed_comes_back(
            texts in prop::collection::vec(prop::collection::vec(0_u8..4, 0..600), 1..5),
            noise in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut compressor = Compressor::default();
            for text in texts.iter().chain([&noise]) {
                let Some(small) = compressed(&mut compressor, text) else { continue };
                prop_assert!(small.len() <= text.len());
                let mut back = b"kept".to_vec();
                prop_assert!(decompress(&small, text.len(), &mut back));
                prop_assert_eq!(&back[4..], &text[..]);
                prop_assert_eq!(lzf::decompress(&small, text.len()).ok(), Some(text.clone()));
            }
        }

        #[test]
        fn any_bytes_are_refused_or_have_the_length_that_was_asked_for(
            data in prop::collection::vec(any::<u8>(), 0..60),
            length in 0_usize..200,
        ) {
            let mut out = Vec::new();
            if decompress(&data, length, &mut out) {
                prop_assert_eq!(out.len(), length);
            }
            prop_assert!(out.len() <= length + 32);
        }
    }

    #[test]
    fn a_limit_is_kept() {
        let text = b"abcabcabcabcabcabcabcabcabc-abcabcabc".repeat(3);
        let mut compressor = Compressor::default();
        for limit in 0..text.len() {
            let mut out = Vec::new();
            if compressor.compress(&text, limit, &mut out) {
                assert!(out.len() <= limit, "{} for {limit}", out.len());
            } else {
                assert!(out.is_empty());
            }
        }
    }
}
