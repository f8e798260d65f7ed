//! Commands as the log holds them: arrays of bulk strings, whose lines are read as strictly as Redis reads them.

use crate::resp::decode::ArgRange;

/// Redis reads the first line of a command, and of an argument, into a buffer of this size.
const LONGEST_LINE: usize = 128;

/// The longest argument that is believed, as in Redis.
const LONGEST_WORD: usize = 512 * 1024 * 1024;

/// Writes a command.
pub(super) fn write(to: &mut Vec<u8>, words: &[&[u8]]) {
    begin(to, words.len(), words);
}

/// Writes the first words of a command of `count` words.
pub(super) fn begin(to: &mut Vec<u8>, count: usize, words: &[&[u8]]) {
    write_line(to, b'*', count);
    for word in words {
        write_word(to, word);
    }
}

/// Writes SELECT.
pub(super) fn write_select(to: &mut Vec<u8>, database: usize) {
    write(to, &[b"SELECT", itoa::Buffer::new().format(database).as_bytes()]);
}

/// Writes one word of a command.
#[inline]
pub(super) fn write_word(to: &mut Vec<u8>, word: &[u8]) {
    write_line(to, b'$', word.len());
    to.extend_from_slice(word);
    to.extend_from_slice(b"\r\n");
}

fn write_line(to: &mut Vec<u8>, kind: u8, number: usize) {
    to.push(kind);
    to.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    to.extend_from_slice(b"\r\n");
}

/// What the beginning of some bytes is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// A command, and the bytes it takes.
    Command(usize),
    /// A line that says something of the log, and the bytes it takes.
    Annotation(usize),
    /// The beginning of one of those.
    Incomplete,
    /// Neither.
    Malformed,
}

/// Reads the first command or annotation of `bytes`; `words` are where the words of a command are.
pub(super) fn read(bytes: &[u8], words: &mut Vec<ArgRange>) -> Read {
    words.clear();
    if bytes.first() == Some(&b'#') {
        return match line(bytes, 1) {
            Line::Whole(_, end) => Read::Annotation(end),
            Line::Incomplete => Read::Incomplete,
            Line::Malformed => Read::Malformed,
        };
    }
    let (count, mut at) = match number(bytes, 0, b'*') {
        Ok(found) => found,
        Err(read) => return read,
    };
    if count == 0 {
        return Read::Malformed;
    }
    for _ in 0..count {
        let (length, start) = match number(bytes, at, b'$') {
            Ok(found) => found,
            Err(read) => return read,
        };
        if length > LONGEST_WORD {
            return Read::Malformed;
        }
        let end = start + length;
        // Redis does not look at the end of the line, but it has to be there.
        if bytes.len() < end + 2 {
            return Read::Incomplete;
        }
        words.push(ArgRange::new(start, length));
        at = end + 2;
    }
    Read::Command(at)
}

enum Line<'a> {
    Whole(&'a [u8], usize),
    Incomplete,
    Malformed,
}

/// The line that begins at `at`, without its end, and where the next begins.
fn line(bytes: &[u8], at: usize) -> Line<'_> {
    let rest = bytes.get(at..).unwrap_or_default();
    let rest = rest.get(..LONGEST_LINE).unwrap_or(rest);
    match rest.iter().position(|&byte| byte == b'\n') {
        Some(end) => {
            let text = rest.get(..end).unwrap_or_default();
            Line::Whole(text.strip_suffix(b"\r").unwrap_or(text), at + end + 1)
        }
        None if rest.len() < LONGEST_LINE => Line::Incomplete,
        None => Line::Malformed,
    }
}

/// The number that follows `kind` at `at`, and where what follows begins.
fn number(bytes: &[u8], at: usize, kind: u8) -> Result<(usize, usize), Read> {
    match bytes.get(at) {
        None => return Err(Read::Incomplete),
        Some(&found) if found != kind => return Err(Read::Malformed),
        Some(_) => {}
    }
    match line(bytes, at + 1) {
        Line::Whole(text, end) => {
            let number = crate::base::number::parse_i64(text).and_then(|number| usize::try_from(number).ok());
            number.map(|number| (number, end)).ok_or(Read::Malformed)
        }
        Line::Incomplete => Err(Read::Incomplete),
        Line::Malformed => Err(Read::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_beginning_of_a_command_is_incomplete() {
        let mut bytes = Vec::new();
        write(&mut bytes, &[b"HSET", b"key", b"", b"va\r\nlue"]);
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length], &mut Vec::new()), Read::Incomplete, "{length}");
        }
        let whole = bytes.len();
        bytes.extend_from_slice(b"*1\r\n");
        let mut words = Vec::new();
        assert_eq!(read(&bytes, &mut words), Read::Command(whole));
        let words: Vec<&[u8]> = words.iter().map(|word| word.of(&bytes)).collect();
        assert_eq!(words, [&b"HSET"[..], b"key", b"", b"va\r\nlue"]);
    }

    #[test]
    fn what_is_no_command() {
        let read = |bytes: &[u8]| read(bytes, &mut Vec::new());
        for bytes in [&b"\0\0\0"[..], b"*0\r\n", b"*-1\r\n", b"*x\r\n", b"*1\r\n:5\r\n", b"*1\r\n$-1\r\n", b"PING\r\n"]
        {
            assert_eq!(read(bytes), Read::Malformed, "{}", bytes.escape_ascii());
        }
        assert_eq!(read(&[b'*'; 200]), Read::Malformed);
        assert_eq!(read(b"#TS:1628217470\r\n*1"), Read::Annotation(16));
        assert_eq!(read(b"#TS:1628"), Read::Incomplete);
    }
}
