//! Words of a line, quoted as in redis.conf, in redis-cli and in inline requests.

/// Splits a line into words by the quoting rules of Redis' `sdssplitargs`; `None` is unbalanced quotes.
pub fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = without_spaces(line);
    while !rest.is_empty() {
        let mut word = Vec::new();
        loop {
            match rest {
                [] | [b' ' | b'\n' | b'\r' | b'\t' | b'\0', ..] => break,
                [b'"', quoted @ ..] => rest = double_quoted(quoted, &mut word)?,
                [b'\'', quoted @ ..] => rest = single_quoted(quoted, &mut word)?,
                [byte, after @ ..] => {
                    word.push(*byte);
                    rest = after;
                    continue;
                }
            }
            // A closing quote ends the word; anything but space after it is an error.
            if !rest.first().is_none_or(|&byte| is_space(byte) || byte == 0) {
                return None;
            }
            break;
        }
        words.push(word);
        rest = without_spaces(rest);
        if let [b'\0', ..] = rest {
            break;
        }
    }
    Some(words)
}

fn double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, after) = match rest {
            [] => return None,
            [b'"', after @ ..] => return Some(after),
            [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex(*high) << 4 | hex(*low), after)
            }
            [b'\\', escaped, after @ ..] => {
                let byte = match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                };
                (byte, after)
            }
            [byte, after @ ..] => (*byte, after),
        };
        word.push(byte);
        rest = after;
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, after) = match rest {
            [] => return None,
            [b'\'', after @ ..] => return Some(after),
            [b'\\', b'\'', after @ ..] => (b'\'', after),
            [byte, after @ ..] => (*byte, after),
        };
        word.push(byte);
        rest = after;
    }
}

/// C's `isspace`.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

fn without_spaces(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|&byte| !is_space(byte)).unwrap_or(line.len());
    line.get(start..).unwrap_or_default()
}

/// Appends text in quotes, with escapes where a byte does not print, as redis-cli reads it back.
pub fn quote(line: &mut Vec<u8>, text: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
    line.push(b'"');
    for &byte in text {
        match byte {
            b'\\' | b'"' => line.extend_from_slice(&[b'\\', byte]),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\t' => line.extend_from_slice(b"\\t"),
            0x07 => line.extend_from_slice(b"\\a"),
            0x08 => line.extend_from_slice(b"\\b"),
            b' '..=b'~' => line.push(byte),
            _ => line.extend_from_slice(&[b'\\', b'x', digit(byte >> 4), digit(byte & 15)]),
        }
    }
    line.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_escapes() {
        assert_eq!(split(b"  a  \"b c\" 'd\\'e' ").unwrap(), [&b"a"[..], b"b c", b"d'e"]);
        assert_eq!(split(b"\"\\x41\\n\\q\"").unwrap(), [b"A\nq"]);
        assert_eq!(split(b"\"\" ''").unwrap(), [b"", b""]);
        assert_eq!(split(b" \x0b "), Some(vec![]));
        for unbalanced in [&b"\"a"[..], b"'a", b"\"a\"b", b"'a'b"] {
            assert_eq!(split(unbalanced), None);
        }
    }
}
