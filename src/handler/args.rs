//! `Args`: the raw arguments of one request, read front to back by a handler.

use super::error::CommandError;
use crate::base::number;
use crate::resp::decode::ArgRange;
use crate::store::ScanCursor;

/// A cursor over the arguments that follow the command name (or the subcommand name, for container commands).
///
/// Arguments stay where the socket put them: a handler gets slices of the connection's read buffer.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    buffer: &'a [u8],
    ranges: &'a [ArgRange],
    next: usize,
}

/// Arguments that outlive the read buffer, in one allocation and their ranges.
#[derive(Debug, Clone)]
pub struct OwnedArgs {
    bytes: Box<[u8]>,
    ranges: Box<[ArgRange]>,
    next: usize,
}

impl OwnedArgs {
    /// A request made of these arguments, the command name first.
    pub fn of<'w>(words: impl Iterator<Item = &'w [u8]> + Clone) -> Self {
        let mut bytes = Vec::with_capacity(words.clone().map(<[u8]>::len).sum());
        let copy = |argument: &[u8]| {
            let range = ArgRange::new(bytes.len(), argument.len());
            bytes.extend_from_slice(argument);
            range
        };
        let ranges = words.map(copy).collect();
        Self { bytes: bytes.into_boxed_slice(), ranges, next: 0 }
    }

    /// A cursor that stands where the copied one stood.
    pub fn as_args(&self) -> Args<'_> {
        Args { buffer: &self.bytes, ranges: &self.ranges, next: self.next }
    }

    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.bytes.len() + size_of_val(&*self.ranges)
    }
}

impl<'a> Args<'a> {
    /// Copies all arguments and where the cursor stands.
    pub fn to_owned(&self) -> OwnedArgs {
        OwnedArgs { next: self.next, ..OwnedArgs::of(self.argv()) }
    }

    /// A cursor that stands on the first of `ranges`, which point into `buffer`.
    pub fn new(buffer: &'a [u8], ranges: &'a [ArgRange]) -> Self {
        Self { buffer, ranges, next: 0 }
    }

    /// All arguments of the request from its command name on, wherever the cursor stands.
    pub fn argv(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let buffer = self.buffer;
        self.ranges.iter().map(move |range| range.of(buffer))
    }

    /// The arguments from `index` on as a request of their own.
    #[must_use]
    pub fn from_index(&self, index: usize) -> Self {
        Self { buffer: self.buffer, ranges: self.ranges.get(index..).unwrap_or_default(), next: 0 }
    }

    /// Number of arguments of the request, the command name included.
    pub fn argc(&self) -> usize {
        self.ranges.len()
    }

    /// The argument at `index` of the whole request (0 is the command name).
    pub fn at(&self, index: usize) -> Option<&'a [u8]> {
        self.ranges.get(index).map(|range| range.of(self.buffer))
    }

    /// Index in the whole request of the argument that the next call returns.
    pub fn position(&self) -> usize {
        self.next
    }

    /// Arguments not yet read.
    pub fn remaining(&self) -> usize {
        self.ranges.len().saturating_sub(self.next)
    }

    /// Whether all arguments have been read.
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// The next argument without taking it.
    pub fn peek(&self) -> Option<&'a [u8]> {
        self.at(self.next)
    }

    /// Takes the next argument, if there is one.
    pub fn next_optional(&mut self) -> Option<&'a [u8]> {
        let argument = self.peek()?;
        self.next += 1;
        Some(argument)
    }

    /// Takes the next argument; a missing one is a syntax error (arity has been checked before the handler runs).
    pub fn next_bytes(&mut self) -> Result<&'a [u8], CommandError> {
        self.next_optional().ok_or(CommandError::Syntax)
    }

    /// Takes the next argument as a key.
    pub fn next_key(&mut self) -> Result<&'a [u8], CommandError> {
        self.next_bytes()
    }

    /// Takes the next argument as a signed 64-bit integer: `ERR value is not an integer or out of range` otherwise.
    pub fn next_i64(&mut self) -> Result<i64, CommandError> {
        number::parse_i64(self.next_bytes()?).ok_or(CommandError::NotInteger)
    }

    /// Takes the next argument as the index of one of `count` databases.
    pub fn next_database(&mut self, count: usize) -> Result<usize, CommandError> {
        existing_database(i32::try_from(self.next_i64()?).map_err(|_| CommandError::NotInt32)?, count)
    }

    /// Takes the next argument as a time to wait in milliseconds.
    pub fn next_timeout(&mut self) -> Result<i64, CommandError> {
        const NOT_INTEGER: CommandError = CommandError::Fixed("ERR timeout is not an integer or out of range");
        let timeout = number::parse_i64(self.next_bytes()?).ok_or(NOT_INTEGER)?;
        if timeout < 0 { Err(CommandError::Fixed("ERR timeout is negative")) } else { Ok(timeout) }
    }

    /// Takes the next argument as the COUNT of SCAN or HSCAN.
    pub fn next_scan_count(&mut self) -> Result<usize, CommandError> {
        usize::try_from(self.next_i64()?).ok().filter(|&count| count > 0).ok_or(CommandError::Syntax)
    }

    /// Takes the next argument as the cursor of SCAN or HSCAN.
    pub fn next_cursor(&mut self) -> Result<ScanCursor, CommandError> {
        number::parse_u64(self.next_bytes()?).map(ScanCursor).ok_or(CommandError::InvalidCursor)
    }

    /// Takes the next argument when it is `word` in any case.
    pub fn take_word(&mut self, word: &str) -> bool {
        let taken = self.peek().is_some_and(|argument| argument.eq_ignore_ascii_case(word.as_bytes()));
        self.next += usize::from(taken);
        taken
    }

    /// Iterates over the arguments not yet read, taking them all.
    pub fn rest(&mut self) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let (buffer, from) = (self.buffer, self.next.min(self.ranges.len()));
        self.next = self.ranges.len();
        self.ranges.get(from..).unwrap_or_default().iter().map(move |range| range.of(buffer))
    }

    /// Iterates over the remaining arguments in pairs, taking them all; an odd last one is left out.
    pub fn pairs(&mut self) -> impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone + use<'a> {
        let (buffer, from) = (self.buffer, self.next.min(self.ranges.len()));
        self.next = self.ranges.len();
        let (pairs, _odd) = self.ranges.get(from..).unwrap_or_default().as_chunks::<2>();
        pairs.iter().map(move |[first, second]| (first.of(buffer), second.of(buffer)))
    }
}

/// `index`, if it is one of `count` databases.
pub fn existing_database(index: i32, count: usize) -> Result<usize, CommandError> {
    usize::try_from(index).ok().filter(|&index| index < count).ok_or(CommandError::DatabaseOutOfRange)
}
