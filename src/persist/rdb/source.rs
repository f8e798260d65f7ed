//! Where bytes are read from: memory or a file.

use std::io::Read;

use super::{CHECKSUM, Checksum, RdbError, Result};
use crate::base::lzf;

/// Bytes to read, one part after the other.
pub trait Source {
    /// The next `count` bytes.
    fn take(&mut self, count: usize) -> Result<&[u8]>;

    /// How many bytes are left, at most.
    fn left(&self) -> u64;

    /// Skips `count` bytes.
    fn skip(&mut self, mut count: u64) -> Result<()> {
        const STEP: u64 = 1 << 16;
        if count > self.left() {
            return Err(RdbError::Truncated);
        }
        while count > 0 {
            let step = count.min(STEP);
            self.take(usize::try_from(step).unwrap_or_default())?;
            count -= step;
        }
        Ok(())
    }
}

/// Bytes in memory.
#[derive(Debug)]
pub struct Memory<'a>(pub &'a [u8]);

impl Source for Memory<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8]> {
        let Some((taken, rest)) = self.0.split_at_checked(count) else { return Err(RdbError::Truncated) };
        self.0 = rest;
        Ok(taken)
    }

    fn left(&self) -> u64 {
        self.0.len() as u64
    }
}

/// A file, or what else can be read, with the checksum over what has been taken of it.
pub struct Stream<R> {
    reader: R,
    buffer: Vec<u8>,
    /// What of the buffer has been taken, and what of it is in the checksum.
    taken: usize,
    summed: usize,
    /// From where on what has been taken is kept nevertheless.
    captured_from: Option<usize>,
    /// Bytes that the reader has yet to give, and those that it has given.
    unread: u64,
    read: u64,
    sum: Checksum,
}

impl<R: std::fmt::Debug> std::fmt::Debug for Stream<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stream({:?}, {} to go)", self.reader, self.unread)
    }
}

impl<R: Read> Stream<R> {
    /// The `length` bytes that a reader gives.
    pub fn new(reader: R, length: u64) -> Self {
        let sum = CHECKSUM.digest();
        Self { reader, buffer: Vec::new(), taken: 0, summed: 0, captured_from: None, unread: length, read: 0, sum }
    }

    /// How many bytes have been taken.
    pub fn position(&self) -> u64 {
        self.read - (self.buffer.len() - self.taken) as u64
    }

    /// The checksum over all that has been taken.
    pub fn checksum(&mut self) -> u64 {
        self.sum_up();
        self.sum.clone().finalize()
    }

    /// What has not been taken: for whoever reads on where this ends.
    pub fn into_rest(self) -> (Vec<u8>, R) {
        (self.buffer.get(self.taken..).unwrap_or_default().to_vec(), self.reader)
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> u64 {
        self.unread + (self.buffer.len() - self.taken) as u64
    }

    /// Takes what `pass` passes over, if it does without an error and that is at most so many bytes; otherwise nothing.
    pub fn capture(&mut self, most: usize, pass: impl FnOnce(&mut Capture<'_, R>) -> Result<()>) -> Option<&[u8]> {
        self.captured_from = Some(self.taken);
        let passed = pass(&mut Capture { stream: self, room: most });
        let start = self.captured_from.take()?;
        if passed.is_err() {
            self.taken = start;
            return None;
        }
        self.buffer.get(start..self.taken)
    }

    fn sum_up(&mut self) {
        let end = self.captured_from.unwrap_or(self.taken);
        self.sum.update(self.buffer.get(self.summed..end).unwrap_or_default());
        self.summed = end;
    }

    #[cold]
    fn fill(&mut self, count: usize) -> Result<()> {
        const STEP: usize = 1 << 18;
        let have = self.buffer.len() - self.taken;
        let missing = count - have;
        if missing as u64 > self.unread {
            return Err(RdbError::Truncated);
        }
        self.sum_up();
        let done = self.captured_from.unwrap_or(self.taken);
        self.buffer.drain(..done);
        (self.taken, self.summed) = (self.taken - done, 0);
        self.captured_from = self.captured_from.map(|_| 0);
        let more = usize::try_from(self.unread).unwrap_or(usize::MAX).min(missing.max(STEP));
        let start = self.buffer.len();
        self.buffer.resize(start + more, 0);
        let mut room = self.buffer.get_mut(start..).unwrap_or_default();
        let mut filled = 0;
        while filled < missing {
            match self.reader.read(room) {
                Ok(0) => return Err(RdbError::Truncated),
                Ok(read) => {
                    filled += read;
                    room = room.get_mut(read..).unwrap_or_default();
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.buffer.truncate(start + filled);
        self.unread -= filled as u64;
        self.read += filled as u64;
        Ok(())
    }
}

impl<R: Read> Source for Stream<R> {
    fn take(&mut self, count: usize) -> Result<&[u8]> {
        if self.buffer.len() - self.taken < count {
            self.fill(count)?;
        }
        let start = self.taken;
        self.taken += count;
        self.buffer.get(start..self.taken).ok_or(RdbError::Truncated)
    }

    fn left(&self) -> u64 {
        self.remaining()
    }
}

/// What is taken of a [`Stream`] to be looked at later.
#[derive(Debug)]
pub struct Capture<'a, R> {
    stream: &'a mut Stream<R>,
    room: usize,
}

impl<R: Read> Source for Capture<'_, R> {
    fn take(&mut self, count: usize) -> Result<&[u8]> {
        let Some(room) = self.room.checked_sub(count) else { return Err(RdbError::Truncated) };
        self.room = room;
        self.stream.take(count)
    }

    fn left(&self) -> u64 {
        self.stream.left()
    }
}

/// Reads a single byte.
pub fn byte(source: &mut impl Source) -> Result<u8> {
    let [byte, ..] = source.take(1)? else { return Err(RdbError::Truncated) };
    Ok(*byte)
}

/// Reads bytes of a fixed number.
pub fn array<const N: usize>(source: &mut impl Source) -> Result<[u8; N]> {
    source.take(N)?.first_chunk().copied().ok_or(RdbError::Truncated)
}

/// What stands where a length may: a length, or the number of a special form of a string.
enum Length {
    Of(u64),
    Special(u8),
}

fn length_or_special(source: &mut impl Source) -> Result<Length> {
    let first = byte(source)?;
    let low = first & 0x3f;
    Ok(match (first >> 6, low) {
        (0, _) => Length::Of(u64::from(low)),
        (1, _) => Length::Of(u64::from(u16::from_be_bytes([low, byte(source)?]))),
        (2, 0) => Length::Of(u64::from(u32::from_be_bytes(array(source)?))),
        (2, 1) => Length::Of(u64::from_be_bytes(array(source)?)),
        (3, _) => Length::Special(low),
        _ => return Err(RdbError::Malformed("it has a length of an unknown form")),
    })
}

/// Reads a length, or a number that is written as one.
pub fn length(source: &mut impl Source) -> Result<u64> {
    match length_or_special(source)? {
        Length::Of(length) => Ok(length),
        Length::Special(_) => Err(RdbError::Malformed("it has a string where a length should be")),
    }
}

/// Reads how many things follow, each of at least one byte.
pub fn count(source: &mut impl Source) -> Result<usize> {
    let count = length(source)?;
    if count > source.left() {
        return Err(RdbError::Truncated);
    }
    usize::try_from(count).map_err(|_| RdbError::Truncated)
}

/// Reads a string and appends it to `out`; gives its length.
pub fn string(source: &mut impl Source, out: &mut Vec<u8>) -> Result<usize> {
    let start = out.len();
    match length_or_special(source)? {
        Length::Of(length) => {
            if length > source.left() {
                return Err(RdbError::Truncated);
            }
            out.extend_from_slice(source.take(usize::try_from(length).map_err(|_| RdbError::Truncated)?)?);
        }
        Length::Special(3) => compressed_string(source, out)?,
        Length::Special(form) => {
            let number = match form {
                0 => i32::from(i8::from_le_bytes(array(source)?)),
                1 => i32::from(i16::from_le_bytes(array(source)?)),
                2 => i32::from_le_bytes(array(source)?),
                _ => return Err(RdbError::Malformed("it has a string of an unknown form")),
            };
            out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        }
    }
    Ok(out.len() - start)
}

fn compressed_string(source: &mut impl Source, out: &mut Vec<u8>) -> Result<()> {
    /// No byte of LZF stands for more than so many.
    const MOST_EXPANSION: u64 = 264 / 3 + 1;
    const BAD: RdbError = RdbError::Malformed("it has a string whose compression makes no sense");
    let (compressed, length) = (length(source)?, length(source)?);
    if compressed > source.left() {
        return Err(RdbError::Truncated);
    }
    if length > compressed.saturating_mul(MOST_EXPANSION) {
        return Err(BAD);
    }
    let length = usize::try_from(length).map_err(|_| BAD)?;
    out.reserve(length);
    let data = source.take(usize::try_from(compressed).map_err(|_| RdbError::Truncated)?)?;
    if lzf::decompress(data, length, out) { Ok(()) } else { Err(BAD) }
}

/// Skips a string.
pub fn skip_string(source: &mut impl Source) -> Result<()> {
    match length_or_special(source)? {
        Length::Of(length) => source.skip(length),
        Length::Special(3) => {
            let compressed = length(source)?;
            length(source)?;
            source.skip(compressed)
        }
        Length::Special(form @ 0..=2) => source.skip(1 << form),
        Length::Special(_) => Err(RdbError::Malformed("it has a string of an unknown form")),
    }
}

/// Skips `count` strings.
pub fn skip_strings(source: &mut impl Source, count: u64) -> Result<()> {
    for _ in 0..count {
        skip_string(source)?;
    }
    Ok(())
}
