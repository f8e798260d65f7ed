//! Writing lengths and strings.

use crate::base::lzf::Compressor;
use crate::base::number::parse_i64;

/// Bytes in the making.
#[derive(Debug)]
pub struct Sink {
    /// What has been written.
    pub bytes: Vec<u8>,
    compressor: Option<Compressor>,
}

impl Sink {
    /// Nothing yet; strings are compressed or not.
    pub fn new(compression: bool) -> Self {
        Self { bytes: Vec::new(), compressor: compression.then(Compressor::default) }
    }

    /// Writes a byte.
    pub fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Writes a length.
    pub fn length(&mut self, length: u64) {
        if let Ok(length @ 0..0x40) = u8::try_from(length) {
            self.bytes.push(length);
        } else if let Ok(length @ 0..0x4000) = u16::try_from(length) {
            self.bytes.extend_from_slice(&(length | 0x4000).to_be_bytes());
        } else if let Ok(length) = u32::try_from(length) {
            self.bytes.push(0x80);
            self.bytes.extend_from_slice(&length.to_be_bytes());
        } else {
            self.bytes.push(0x81);
            self.bytes.extend_from_slice(&length.to_be_bytes());
        }
    }

    /// Writes a string in the shortest form that Redis would choose.
    pub fn string(&mut self, string: &[u8]) {
        const COMPRESSED_FROM: usize = 21;
        const INTEGER_UP_TO: usize = 11;
        if string.len() <= INTEGER_UP_TO
            && let Some(number) = exact_integer(string)
            && let Ok(number) = i32::try_from(number)
        {
            return self.small_integer(number);
        }
        if string.len() >= COMPRESSED_FROM && self.compressed(string) {
            return;
        }
        self.length(string.len() as u64);
        self.bytes.extend_from_slice(string);
    }

    fn small_integer(&mut self, number: i32) {
        if let Ok(number) = i8::try_from(number) {
            self.bytes.push(0xc0);
            self.bytes.extend_from_slice(&number.to_le_bytes());
        } else if let Ok(number) = i16::try_from(number) {
            self.bytes.push(0xc1);
            self.bytes.extend_from_slice(&number.to_le_bytes());
        } else {
            self.bytes.push(0xc2);
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn compressed(&mut self, string: &[u8]) -> bool {
        /// So many bytes must be saved.
        const WORTH: usize = 4;
        let Some(compressor) = &mut self.compressor else { return false };
        let mut small = Vec::new();
        if !compressor.compress(string, string.len() - WORTH, &mut small) {
            return false;
        }
        self.bytes.push(0xc3);
        self.length(small.len() as u64);
        self.length(string.len() as u64);
        self.bytes.extend_from_slice(&small);
        true
    }
}

/// The integer that a text stands for, if it prints back the same.
pub fn exact_integer(text: &[u8]) -> Option<i64> {
    match text {
        [b'0'] => Some(0),
        [b'1'..=b'9', ..] | [b'-', b'1'..=b'9', ..] if text.len() <= 20 => parse_i64(text),
        _ => None,
    }
}
