//! The value of a field: bytes, or an integer that stands for its digits.

use std::ops::Deref;

use crate::base::number::parse_i64;

/// Most characters of an integer.
const DIGITS: usize = 20;

/// A value as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// As it was sent.
    Bytes(&'a [u8]),
    /// As the decimal number that it was sent as.
    Integer(i64),
}

impl<'a> Value<'a> {
    /// The value as it was sent.
    #[inline]
    pub fn text(self) -> ValueText<'a> {
        match self {
            Self::Bytes(bytes) => ValueText(Text::Bytes(bytes)),
            Self::Integer(integer) => ValueText::of_integer(integer),
        }
    }
}

/// The value of a field as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct ValueText<'a>(Text<'a>);

#[derive(Debug, Clone, Copy)]
enum Text<'a> {
    Bytes(&'a [u8]),
    Digits([u8; DIGITS], u8),
}

impl ValueText<'_> {
    fn of_integer(integer: i64) -> Self {
        let mut buffer = itoa::Buffer::new();
        let text = buffer.format(integer).as_bytes();
        let mut digits = [0; DIGITS];
        for (to, digit) in digits.iter_mut().zip(text) {
            *to = *digit;
        }
        Self(Text::Digits(digits, u8::try_from(text.len()).unwrap_or_default()))
    }
}

impl Deref for ValueText<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Text::Bytes(bytes) => bytes,
            Text::Digits(digits, length) => digits.get(..usize::from(*length)).unwrap_or_default(),
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
