//! Inline requests: a line of words, quoted as in redis-cli. Follows `sdssplitargs` of Redis.

use super::decode::ArgRange;

/// Splits `line` into words, appended to `words` with their places in `ranges`; false if quotes do not balance.
pub(super) fn split(line: &[u8], words: &mut Vec<u8>, ranges: &mut Vec<ArgRange>) -> bool {
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        while let Some((&0x0b, tail)) = rest.split_first() {
            rest = tail.trim_ascii_start();
        }
        if rest.is_empty() {
            return true;
        }
        let start = words.len();
        let Some(tail) = word(rest, words) else {
            ranges.clear();
            return false;
        };
        ranges.push(ArgRange::new(start, words.len() - start));
        rest = tail;
    }
}

/// Takes one word; gives what follows it.
fn word<'a>(mut rest: &'a [u8], words: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] | [0, ..] => return Some(&[]),
            [b' ' | b'\n' | b'\r' | b'\t' | 0x0b | 0x0c, tail @ ..] => return Some(tail),
            [b'"', tail @ ..] => return after_quote(double_quoted(tail, words)?),
            [b'\'', tail @ ..] => return after_quote(single_quoted(tail, words)?),
            [byte, tail @ ..] => {
                words.push(*byte);
                rest = tail;
            }
        }
    }
}

/// A closing quote must be followed by a space or nothing.
fn after_quote(rest: &[u8]) -> Option<&[u8]> {
    match rest {
        [] => Some(rest),
        [byte, ..] if byte.is_ascii_whitespace() || *byte == 0x0b || *byte == 0 => Some(rest),
        _ => None,
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], words: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'"', tail @ ..] => return Some(tail),
            [b'\\', b'x', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                words.push(hex(*high) << 4 | hex(*low));
                rest = tail;
            }
            [b'\\', escaped, tail @ ..] => {
                words.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                rest = tail;
            }
            [byte, tail @ ..] => {
                words.push(*byte);
                rest = tail;
            }
        }
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], words: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'\'', tail @ ..] => return Some(tail),
            [b'\\', b'\'', tail @ ..] => {
                words.push(b'\'');
                rest = tail;
            }
            [byte, tail @ ..] => {
                words.push(*byte);
                rest = tail;
            }
        }
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
        let (mut bytes, mut ranges) = (Vec::new(), Vec::new());
        split(line, &mut bytes, &mut ranges).then(|| ranges.iter().map(|range| range.of(&bytes).to_vec()).collect())
    }

    #[test]
    fn quotes_and_escapes() {
        assert_eq!(words(b"  a  \"b c\" 'd\\'e' ").unwrap(), [&b"a"[..], b"b c", b"d'e"]);
        assert_eq!(words(b"\"\\x41\\n\\q\"").unwrap(), [b"A\nq"]);
        assert_eq!(words(b"\"\" ''").unwrap(), [b"", b""]);
        assert_eq!(words(b""), Some(vec![]));
        for unbalanced in [&b"\"a"[..], b"'a", b"\"a\"b", b"'a'b"] {
            assert_eq!(words(unbalanced), None);
        }
    }
}
