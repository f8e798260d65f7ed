//! Bytes as hexadecimal digits, in small letters.

use std::fmt::Write as _;

/// Two digits for each byte.
pub fn encode(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// The bytes that `digits` stand for, if there are `N` of them; capital letters stand for nothing.
pub fn decode<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let (pairs, rest) = digits.as_chunks::<2>();
    let mut bytes = [0; N];
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_back_as_they_were() {
        assert_eq!(encode(&[0, 0x9f, 0xff]), "009fff");
        assert_eq!(decode(b"009fff"), Some([0, 0x9f, 0xff]));
        for bad in [&b"009ff"[..], b"009fff0", b"009fff00", b"009FFF", b"00 fff"] {
            assert_eq!(decode::<3>(bad), None, "{}", bad.escape_ascii());
        }
    }
}
