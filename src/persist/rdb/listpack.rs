//! Listpacks: what Redis keeps small hashes in. A head, elements that each end in their own length so that they can be read
//! backwards as well, and a last byte.

use super::{RdbError, Result};

const HEAD: usize = 6;
const LAST: u8 = 0xff;
/// Stands for a number of elements that does not fit.
const MANY: u16 = u16::MAX;

const BAD: RdbError = RdbError::Malformed("it has a listpack that makes no sense");

/// An element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// A text, by its place in the listpack.
    Text {
        /// Where it begins.
        start: usize,
        /// Where it ends.
        end: usize,
    },
    /// An integer.
    Integer(i64),
}

/// The elements of a listpack, each checked when it is reached.
#[derive(Debug)]
pub struct Elements<'a> {
    bytes: &'a [u8],
    next: usize,
    passed: usize,
    announced: u16,
}

impl<'a> Elements<'a> {
    /// The elements of `bytes`, which must be a listpack from end to end.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let (&[a, b, c, d, low, high], _) = bytes.split_first_chunk::<HEAD>().ok_or(BAD)?;
        let size = u32::from_le_bytes([a, b, c, d]);
        if size as usize != bytes.len() || bytes.len() <= HEAD || bytes.last() != Some(&LAST) {
            return Err(BAD);
        }
        Ok(Self { bytes, next: HEAD, passed: 0, announced: u16::from_le_bytes([low, high]) })
    }

    /// The next element; `None` at the end, which has to be where it should.
    pub fn advance(&mut self) -> Result<Option<Element>> {
        // Not `ok_or`, which would make an error, and drop it, for each element.
        let Some(rest) = self.bytes.get(self.next..) else { return Err(BAD) };
        let (element, size) = match rest {
            [LAST] if self.announced == MANY || usize::from(self.announced) == self.passed => return Ok(None),
            [LAST, ..] | [] => return Err(BAD),
            [byte @ 0..0x80, ..] => (Element::Integer(i64::from(*byte)), 1),
            [byte @ 0x80..0xc0, ..] => self.text(1, usize::from(byte & 0x3f)),
            [byte @ 0xc0..0xe0, low, ..] => {
                let bits = u16::from_be_bytes([byte & 0x1f, *low]);
                // Thirteen bits with a sign.
                (Element::Integer(i64::from((bits << 3).cast_signed() >> 3)), 2)
            }
            [byte @ 0xe0..=0xef, low, ..] => self.text(2, usize::from(u16::from_be_bytes([byte & 0x0f, *low]))),
            [0xf0, a, b, c, d, ..] => self.text(5, u32::from_le_bytes([*a, *b, *c, *d]) as usize),
            [0xf1, a, b, ..] => (Element::Integer(i64::from(i16::from_le_bytes([*a, *b]))), 3),
            [0xf2, a, b, c, ..] => (Element::Integer(i64::from(i32::from_le_bytes([0, *a, *b, *c]) >> 8)), 4),
            [0xf3, a, b, c, d, ..] => (Element::Integer(i64::from(i32::from_le_bytes([*a, *b, *c, *d]))), 5),
            [0xf4, wide @ ..] => (Element::Integer(i64::from_le_bytes(*wide.first_chunk().ok_or(BAD)?)), 9),
            _ => return Err(BAD),
        };
        let Some(after) = rest.get(size..) else { return Err(BAD) };
        let (length, width) = back_length(size);
        if after.get(..width) != length.get(..width) {
            return Err(BAD);
        }
        self.next += size + width;
        self.passed += 1;
        Ok(Some(element))
    }

    fn text(&self, head: usize, length: usize) -> (Element, usize) {
        let start = self.next + head;
        (Element::Text { start, end: start + length }, head + length)
    }
}

/// The length of an element as it stands behind it, and how many bytes that takes.
fn back_length(size: usize) -> ([u8; 5], usize) {
    let width = match size {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    };
    let mut bytes = [0; 5];
    for (at, byte) in bytes.iter_mut().take(width).enumerate() {
        let bits = size >> (7 * (width - 1 - at)) & 0x7f;
        *byte = u8::try_from(bits).unwrap_or_default() | if at == 0 { 0 } else { 0x80 };
    }
    (bytes, width)
}

/// A listpack in the making.
#[derive(Debug)]
pub struct Builder {
    bytes: Vec<u8>,
    count: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Self { bytes: vec![0; HEAD], count: 0 }
    }
}

impl Builder {
    /// Adds a text, as an integer if it is one.
    pub fn push(&mut self, text: &[u8]) {
        match super::sink::exact_integer(text) {
            Some(integer) => self.push_integer(integer),
            None => self.push_text(text),
        }
    }

    /// Adds an integer.
    pub fn push_integer(&mut self, integer: i64) {
        let start = self.bytes.len();
        let wide = integer.to_le_bytes();
        let [a, b, c, d, ..] = wide;
        match integer {
            0..=127 => self.bytes.push(a),
            -4096..=4095 => self.bytes.extend([0xc0 | b & 0x1f, a]),
            -0x8000..=0x7fff => self.bytes.extend([0xf1, a, b]),
            -0x80_0000..=0x7f_ffff => self.bytes.extend([0xf2, a, b, c]),
            -0x8000_0000..=0x7fff_ffff => self.bytes.extend([0xf3, a, b, c, d]),
            _ => {
                self.bytes.push(0xf4);
                self.bytes.extend(wide);
            }
        }
        self.end(start);
    }

    fn push_text(&mut self, text: &[u8]) {
        let start = self.bytes.len();
        let [a, b, c, d, ..] = text.len().to_le_bytes();
        match text.len() {
            0..0x40 => self.bytes.push(0x80 | a),
            0x40..0x1000 => self.bytes.extend([0xe0 | b, a]),
            _ => self.bytes.extend([0xf0, a, b, c, d]),
        }
        self.bytes.extend_from_slice(text);
        self.end(start);
    }

    fn end(&mut self, start: usize) {
        let (length, width) = back_length(self.bytes.len() - start);
        self.bytes.extend(length.into_iter().take(width));
        self.count += 1;
    }

    /// The finished listpack.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.push(LAST);
        let size = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
        let count = u16::try_from(self.count).unwrap_or(MANY).to_le_bytes();
        for (to, byte) in self.bytes.iter_mut().zip(size.into_iter().chain(count)) {
            *to = byte;
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{Builder, Element, Elements};
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut elements = Elements::new(bytes).ok()?;
        let mut all = Vec::new();
        while let Some(element) = elements.advance().ok()? {
            all.push(match element {
                Element::Text { start, end } => bytes[start..end].to_vec(),
                Element::Integer(integer) => integer.to_string().into_bytes(),
            });
        }
        Some(all)
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let shift = (any::<i64>(), 0_u32..64).prop_map(|(number, by)| (number >> by).to_string().into_bytes());
        prop_oneof![prop::collection::vec(any::<u8>(), 0..80), shift, (100_usize..20_000).prop_map(|n| vec![b'x'; n])]
    }

    proptest! {
        #[test]
        fn what_is_built_reads_back(texts in prop::collection::vec(text(), 0..12)) {
            let mut builder = Builder::default();
            for text in &texts {
                builder.push(text);
            }
            prop_assert_eq!(read(&builder.finish()), Some(texts));
        }

        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 7..60)) {
            let size = u32::try_from(bytes.len()).unwrap().to_le_bytes();
            bytes[..4].copy_from_slice(&size);
            *bytes.last_mut().unwrap() = 0xff;
            read(&bytes);
        }
    }

    #[test]
    fn a_cut_or_a_changed_byte_is_noticed_or_harmless() {
        let mut builder = Builder::default();
        for text in [&b"field"[..], b"-5", b"a longer value than the others", b"70000", b"9999999999"] {
            builder.push(text);
        }
        let whole = builder.finish();
        for cut in 0..whole.len() {
            assert_eq!(read(&whole[..cut]), None);
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut changed = whole.clone();
                changed[at] ^= 1 << bit;
                read(&changed);
            }
        }
    }
}
