//! The value of a field: bytes, an integer that stands for its digits, or a beginning that others share and a rest.

use std::ops::Deref;

use crate::base::number::parse_i64;

/// Most characters of an integer.
const DIGITS: usize = 20;

/// Most bytes of a value that is stored in two parts.
pub(super) const MOST_JOINED: usize = 64;

/// A value as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// As it was sent.
    Bytes(&'a [u8]),
    /// As the decimal number that it was sent as.
    Integer(i64),
    /// As two parts, together at most 64 bytes.
    Joined(&'a [u8], &'a [u8]),
}

impl<'a> Value<'a> {
    /// Bytes of the value as it was sent.
    pub fn len(self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Integer(integer) => itoa::Buffer::new().format(integer).len(),
            Self::Joined(start, rest) => start.len() + rest.len(),
        }
    }

    /// Whether the value is empty.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The value as it was sent.
    #[inline]
    pub fn text(self) -> ValueText<'a> {
        match self {
            Self::Bytes(bytes) => ValueText(Text::Bytes(bytes)),
            Self::Integer(integer) => ValueText::joined(itoa::Buffer::new().format(integer).as_bytes(), &[]),
            Self::Joined(start, rest) => ValueText::joined(start, rest),
        }
    }
}

/// The value of a field as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct ValueText<'a>(Text<'a>);

#[derive(Debug, Clone, Copy)]
enum Text<'a> {
    Bytes(&'a [u8]),
    Short([u8; MOST_JOINED], u8),
}

impl ValueText<'_> {
    fn joined(start: &[u8], rest: &[u8]) -> Self {
        let mut text = [0; MOST_JOINED];
        let length = start.len() + rest.len();
        if let Some((head, tail)) = text.get_mut(..length).and_then(|text| text.split_at_mut_checked(start.len())) {
            head.copy_from_slice(start);
            tail.copy_from_slice(rest);
        }
        Self(Text::Short(text, u8::try_from(length).unwrap_or_default()))
    }
}

impl Deref for ValueText<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Text::Bytes(bytes) => bytes,
            Text::Short(text, length) => text.get(..usize::from(*length)).unwrap_or_default(),
        }
    }
}

/// The integer that a text stands for, if to store it as one is shorter and prints back the same.
#[inline]
pub(super) fn short_integer(text: &[u8]) -> Option<i64> {
    match text {
        [b'0'..=b'9' | b'-', .., b'0'..=b'9'] if text.len() <= DIGITS => parse_i64(text),
        _ => None,
    }
}
