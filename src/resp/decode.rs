//! `Decoder`: requests out of a connection's read buffer, however the bytes are split.
//!
//! Arguments are never copied: a request is a list of ranges of the read buffer. Several requests are decoded before the
//! first of them runs, so that the memory they will touch can be asked for in the meantime. The decoder remembers where
//! it stopped, so that a request of a million arguments is looked at once, not once per read; and it allocates for what
//! has arrived, never for what was announced. Follows `processMultibulkBuffer` and `processInlineBuffer` of Redis.

use crate::base::words;

/// Longest line of an inline request or of a length, as in Redis (`PROTO_INLINE_MAX_SIZE`).
const MAX_LINE: usize = 64 * 1024;

/// Where one argument lies in its buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArgRange {
    start: u32,
    length: u32,
}

impl ArgRange {
    /// The range of `length` bytes from `start`; buffers are far smaller than 4 GiB, larger values saturate.
    pub fn new(start: usize, length: usize) -> Self {
        Self { start: u32::try_from(start).unwrap_or(u32::MAX), length: u32::try_from(length).unwrap_or(u32::MAX) }
    }

    /// The bytes of this argument in `buffer`.
    #[inline]
    pub fn of(self, buffer: &[u8]) -> &[u8] {
        let start = self.start as usize;
        buffer.get(start..start + self.length as usize).unwrap_or_default()
    }
}

/// What a client may send.
#[derive(Debug, Clone, Copy)]
pub struct DecodeLimits {
    /// `proto-max-bulk-len`
    pub max_bulk: usize,
    /// Whether the client has yet to authenticate: 10 arguments of 16 KiB then.
    pub unauthenticated: bool,
}

/// Why the connection must be closed. `Display` is the text after `Protocol error: `.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The line with the number of arguments does not end.
    #[error("too big mbulk count string")]
    CountLineTooLong,
    /// The number of arguments is not a number, or too large.
    #[error("invalid multibulk length")]
    InvalidCount,
    /// Too many arguments before authentication.
    #[error("unauthenticated multibulk length")]
    UnauthenticatedCount,
    /// The line with the length of an argument does not end.
    #[error("too big bulk count string")]
    LengthLineTooLong,
    /// An argument does not start with `$`.
    #[error("expected '$', got '{}'", char::from(*.0))]
    ExpectedDollar(u8),
    /// The length of an argument is not a number, negative, or too large.
    #[error("invalid bulk length")]
    InvalidLength,
    /// An argument too long before authentication.
    #[error("unauthenticated bulk length")]
    UnauthenticatedLength,
    /// An inline request does not end.
    #[error("too big inline request")]
    InlineTooLong,
    /// Quotes that do not close.
    #[error("unbalanced quotes in request")]
    UnbalancedQuotes,
}

/// Where the arguments of a request are said to be.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// In the read buffer.
    Buffer,
    /// In the decoder: an inline request's arguments have lost their quotes.
    Inline,
}

/// A complete request: the end of its arguments, which begin where those of the one before end.
#[derive(Debug, Clone, Copy)]
struct Request {
    end: usize,
    source: Source,
}

/// Decodes the requests of one connection.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Complete requests, in order.
    complete: Vec<Request>,
    /// How many of them have been taken.
    taken: usize,
    /// Arguments of the complete requests, then those of the unfinished one so far.
    ranges: Vec<ArgRange>,
    /// Arguments of it still to come.
    missing: usize,
    /// Length of the argument being received.
    bulk: Option<usize>,
    /// Next byte of the buffer to look at.
    next: usize,
    /// Where the request starts in the buffer.
    start: usize,
    /// Bytes of an unfinished line already searched for its end.
    searched: usize,
    /// Arguments of the inline requests, unquoted.
    inline: Vec<u8>,
}

impl Decoder {
    /// Decodes up to `most` requests, once those decoded before have all been taken. Those before an error are complete;
    /// the error is returned when none is.
    pub fn advance(&mut self, buffer: &[u8], limits: DecodeLimits, most: usize) -> Result<(), ProtocolError> {
        if self.has_waiting() {
            return Ok(());
        }
        self.forget_taken();
        while self.complete.len() < most {
            match self.next_request(buffer, limits) {
                Ok(Some(source)) => self.complete.push(Request { end: self.ranges.len(), source }),
                Ok(None) => break,
                Err(error) if self.complete.is_empty() => return Err(error),
                // It is met again when the requests before it have been taken.
                Err(_) => {
                    self.next = self.start;
                    self.searched = 0;
                    self.missing = 0;
                    self.bulk = None;
                    self.ranges.truncate(self.complete.last().map_or(0, |request| request.end));
                    break;
                }
            }
        }
        Ok(())
    }

    /// The next complete request: its arguments, and the bytes they lie in. It stays the next until [`Decoder::step`].
    pub fn next<'a>(&'a self, buffer: &'a [u8]) -> Option<(&'a [u8], &'a [ArgRange])> {
        self.request(self.taken, buffer)
    }

    /// Goes on to the request after the next.
    pub fn step(&mut self) {
        self.taken = self.complete.len().min(self.taken + 1);
    }

    /// Whether a complete request has not been taken.
    #[inline]
    pub fn has_waiting(&self) -> bool {
        self.taken < self.complete.len()
    }

    /// The complete requests that have not been taken.
    pub fn waiting<'a>(&'a self, buffer: &'a [u8]) -> impl ExactSizeIterator<Item = (&'a [u8], &'a [ArgRange])> {
        (self.taken..self.complete.len()).map(|index| self.request(index, buffer).unwrap_or_default())
    }

    fn request<'a>(&'a self, index: usize, buffer: &'a [u8]) -> Option<(&'a [u8], &'a [ArgRange])> {
        let request = self.complete.get(index)?;
        let start = index.checked_sub(1).and_then(|before| self.complete.get(before)).map_or(0, |before| before.end);
        let bytes = match request.source {
            Source::Buffer => buffer,
            Source::Inline => &self.inline,
        };
        Some((bytes, self.ranges.get(start..request.end).unwrap_or_default()))
    }

    fn next_request(&mut self, buffer: &[u8], limits: DecodeLimits) -> Result<Option<Source>, ProtocolError> {
        if self.missing == 0 {
            self.start = self.next;
        }
        while self.missing == 0 {
            let Some(&first) = buffer.get(self.next) else { return Ok(None) };
            let line = if first == b'*' { self.count(buffer, limits)? } else { self.inline(buffer)? };
            match line {
                Line::Incomplete => return Ok(None),
                Line::Empty => self.start = self.next,
                Line::Request => return Ok(Some(Source::Inline)),
                Line::Arguments => {}
            }
        }
        Ok(self.arguments(buffer, limits)?.then_some(Source::Buffer))
    }

    /// Bytes at the start of the buffer that are no longer needed; the caller, who has taken all complete requests, must
    /// drop exactly them.
    pub fn take_consumed(&mut self) -> usize {
        self.forget_taken();
        let unfinished = self.missing > 0;
        let consumed = if unfinished { self.start } else { self.next };
        self.next -= consumed;
        self.start = 0;
        if unfinished && consumed > 0 {
            for range in &mut self.ranges {
                range.start -= u32::try_from(consumed).unwrap_or(u32::MAX);
            }
        }
        consumed
    }

    /// Bytes still to come of the argument being received, if it is longer than `least`.
    pub fn missing_of_argument(&self, buffered: usize, least: usize) -> Option<usize> {
        let length = self.bulk.filter(|&length| length > least)?;
        Some((self.next + length + 2).saturating_sub(buffered))
    }

    /// Bytes of the buffer that have been decoded.
    pub fn decoded(&self) -> usize {
        self.next
    }

    /// Forgets the requests that have been taken, which are all that are complete.
    fn forget_taken(&mut self) {
        const KEEP: usize = 1024;
        if let Some(last) = self.complete.last() {
            self.ranges.drain(..last.end);
            self.complete.clear();
            self.taken = 0;
            self.inline.clear();
            if self.missing == 0 {
                self.ranges.shrink_to(KEEP);
                self.inline.shrink_to(KEEP);
            }
        }
    }

    #[inline]
    fn count(&mut self, buffer: &[u8], limits: DecodeLimits) -> Result<Line, ProtocolError> {
        // The common case: one digit, all there.
        if let Some(&[b'*', digit @ b'1'..=b'9', b'\r', b'\n', ..]) = buffer.get(self.next..) {
            self.next += 4;
            self.searched = 0;
            self.missing = usize::from(digit - b'0');
            return Ok(Line::Arguments);
        }
        let Some(line) = self.line(buffer, ProtocolError::CountLineTooLong)? else { return Ok(Line::Incomplete) };
        let count = parse_length(line.get(1..).unwrap_or_default()).ok_or(ProtocolError::InvalidCount)?;
        if count > i64::from(i32::MAX) {
            return Err(ProtocolError::InvalidCount);
        }
        if count > 10 && limits.unauthenticated {
            return Err(ProtocolError::UnauthenticatedCount);
        }
        self.missing = usize::try_from(count).unwrap_or(0);
        Ok(if self.missing == 0 { Line::Empty } else { Line::Arguments })
    }

    fn arguments(&mut self, buffer: &[u8], limits: DecodeLimits) -> Result<bool, ProtocolError> {
        while self.missing > 0 {
            let length = match self.bulk {
                Some(length) => length,
                None => match self.length(buffer, limits)? {
                    Some(length) => length,
                    None => return Ok(false),
                },
            };
            if buffer.len() < self.next + length + 2 {
                self.bulk = Some(length);
                return Ok(false);
            }
            self.bulk = None;
            self.ranges.push(ArgRange::new(self.next, length));
            self.next += length + 2;
            self.missing -= 1;
        }
        Ok(true)
    }

    #[inline]
    fn length(&mut self, buffer: &[u8], limits: DecodeLimits) -> Result<Option<usize>, ProtocolError> {
        // The common cases: one digit or two, all there.
        let common = match buffer.get(self.next..) {
            Some(&[b'$', digit @ b'0'..=b'9', b'\r', b'\n', ..]) => Some((4, digit - b'0')),
            Some(&[b'$', tens @ b'1'..=b'9', ones @ b'0'..=b'9', b'\r', b'\n', ..]) => {
                Some((5, (tens - b'0') * 10 + (ones - b'0')))
            }
            _ => None,
        };
        if let Some((line, length)) = common {
            self.next += line;
            self.searched = 0;
            return Ok(Some(usize::from(length)));
        }
        let Some(line) = self.line(buffer, ProtocolError::LengthLineTooLong)? else { return Ok(None) };
        match line.split_first() {
            Some((b'$', digits)) => {
                let length = parse_length(digits).and_then(|length| usize::try_from(length).ok());
                let length = length.filter(|&length| length <= limits.max_bulk).ok_or(ProtocolError::InvalidLength)?;
                if length > 16384 && limits.unauthenticated {
                    return Err(ProtocolError::UnauthenticatedLength);
                }
                Ok(Some(length))
            }
            Some((&other, _)) => Err(ProtocolError::ExpectedDollar(other)),
            None => Err(ProtocolError::ExpectedDollar(b'\r')),
        }
    }

    /// The line at `next` up to its CR, which is stepped over with the byte after it.
    fn line<'b>(&mut self, buffer: &'b [u8], too_long: ProtocolError) -> Result<Option<&'b [u8]>, ProtocolError> {
        let rest = buffer.get(self.next..).unwrap_or_default();
        let unseen = rest.get(self.searched..).unwrap_or_default();
        let Some(end) = unseen.iter().position(|&byte| byte == b'\r').map(|at| at + self.searched) else {
            if rest.len() > MAX_LINE {
                return Err(too_long);
            }
            self.searched = rest.len();
            return Ok(None);
        };
        if rest.len() < end + 2 {
            self.searched = end;
            return Ok(None);
        }
        self.searched = 0;
        self.next += end + 2;
        Ok(rest.get(..end))
    }

    fn inline(&mut self, buffer: &[u8]) -> Result<Line, ProtocolError> {
        let rest = buffer.get(self.next..).unwrap_or_default();
        let unseen = rest.get(self.searched..).unwrap_or_default();
        // As in Redis, which searches a C string, a NUL hides the end of its line for good.
        let end = unseen.iter().position(|byte| matches!(byte, b'\n' | b'\0')).map(|at| at + self.searched);
        let Some(end) = end.filter(|&end| rest.get(end) == Some(&b'\n')) else {
            if rest.len() > MAX_LINE {
                return Err(ProtocolError::InlineTooLong);
            }
            self.searched = end.unwrap_or(rest.len());
            return Ok(Line::Incomplete);
        };
        self.searched = 0;
        self.next += end + 1;
        let line = rest.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let words = words::split(line).ok_or(ProtocolError::UnbalancedQuotes)?;
        for word in &words {
            self.ranges.push(ArgRange::new(self.inline.len(), word.len()));
            self.inline.extend_from_slice(word);
        }
        Ok(if words.is_empty() { Line::Empty } else { Line::Request })
    }
}

/// What a first line has turned out to be.
enum Line {
    Incomplete,
    Empty,
    Request,
    Arguments,
}

/// Parses a length as Redis's `string2ll` does: no sign but `-`, no leading zeros, no spaces.
fn parse_length(digits: &[u8]) -> Option<i64> {
    crate::base::number::parse_i64(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: DecodeLimits = DecodeLimits { max_bulk: 512 * 1024 * 1024, unauthenticated: false };

    fn decode_all(chunks: &[&[u8]]) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
        let at_once = decode_in_batches(chunks, 16);
        assert_eq!(decode_in_batches(chunks, 1), at_once);
        assert_eq!(decode_in_batches(chunks, 2), at_once);
        at_once
    }

    fn decode_in_batches(chunks: &[&[u8]], most: usize) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
        let (mut decoder, mut buffer, mut requests) = (Decoder::default(), Vec::new(), Vec::new());
        for chunk in chunks {
            buffer.extend_from_slice(chunk);
            decoder.advance(&buffer, LIMITS, most)?;
            while let Some((bytes, ranges)) = decoder.next(&buffer) {
                requests.push(ranges.iter().map(|range| range.of(bytes).to_vec()).collect());
                decoder.step();
                decoder.advance(&buffer, LIMITS, most)?;
            }
            buffer.drain(..decoder.take_consumed());
        }
        Ok(requests)
    }

    #[test]
    fn every_split_gives_the_same_requests() {
        let text = b"*2\r\n$4\r\nHGET\r\n$0\r\n\r\n*0\r\n\r\nPING 'a b'\r\n*-1\r\n*1\r\n$12\r\nabc\r\ndef\r\n\r\n\r\n*1\r\n$1\r\nx\r\n";
        let whole = decode_all(&[text]).unwrap();
        let words: [&[&[u8]]; 4] = [&[b"HGET", b""], &[b"PING", b"a b"], &[b"abc\r\ndef\r\n\r\n"], &[b"x"]];
        assert_eq!(whole, words);
        for first in 0..text.len() {
            for second in first..text.len() {
                let parts = [&text[..first], &text[first..second], &text[second..]];
                assert_eq!(decode_all(&parts).unwrap(), whole, "split at {first} and {second}");
            }
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(decode_all(&bytes).unwrap(), whole);
    }

    #[test]
    fn requests_before_an_error_are_decoded() {
        let text = b"*1\r\n$4\r\nPING\r\nPING x\r\n*2\r\n$4\r\nECHO\r\n:1\r\n";
        let mut decoder = Decoder::default();
        let mut names = Vec::new();
        let error = loop {
            match decoder.advance(text, LIMITS, 16) {
                Ok(()) => {}
                Err(error) => break error,
            }
            let Some((bytes, ranges)) = decoder.next(text) else { unreachable!("an error is met in the end") };
            names.push(ranges[0].of(bytes).to_vec());
            decoder.step();
        };
        assert_eq!((names, error), (vec![b"PING".to_vec(), b"PING".to_vec()], ProtocolError::ExpectedDollar(b':')));
    }

    #[test]
    fn a_split_length_does_not_hide_the_next_line() {
        let whole = decode_all(&[b"*2\r\n$1\r\na\r\n\r\n"]);
        assert_eq!(whole, Err(ProtocolError::ExpectedDollar(b'\r')));
        assert_eq!(decode_all(&[b"*2\r\n$", b"1\r\na\r\n\r\n"]), whole);
    }

    #[test]
    fn a_nul_hides_the_end_of_an_inline_request() {
        assert_eq!(decode_all(&[b"PING\0x\r\n", b"PING\r\n"]), Ok(vec![]));
        assert_eq!(decode_all(&[b"\0\n", &vec![b'\n'; MAX_LINE]]), Err(ProtocolError::InlineTooLong));
    }

    #[test]
    fn errors_are_those_of_redis() {
        for (text, error) in [
            (&b"*x\r\n"[..], ProtocolError::InvalidCount),
            (b"*2147483648\r\n", ProtocolError::InvalidCount),
            (b"*1\r\n:1\r\n", ProtocolError::ExpectedDollar(b':')),
            (b"*1\r\n$-1\r\n", ProtocolError::InvalidLength),
            (b"*1\r\n$536870913\r\n", ProtocolError::InvalidLength),
            (b"PING \"a\r\n", ProtocolError::UnbalancedQuotes),
        ] {
            assert_eq!(decode_all(&[text]), Err(error));
        }
        assert_eq!(decode_all(&[&vec![b'a'; MAX_LINE + 2]]), Err(ProtocolError::InlineTooLong));
    }
}
