//! Numbers as Redis reads and writes them.

use rustc_apfloat::ieee;

use super::long_double::{Literal, hexadecimal};

/// Reads a signed integer exactly as Redis's `string2ll`: no plus sign, no leading zeros, no spaces, no `-0`.
pub fn parse_i64(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        b"0" => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if !matches!(digits, [b'1'..=b'9', ..]) {
        return None;
    }
    let magnitude = decimal(digits)?;
    if negative { 0_i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// Reads a scan cursor exactly as Redis's `parseScanCursorOrReply`, which is `string2ull`, which is `strtoull` but for
/// canonical negative numbers: spaces and a sign may lead, `-01` wraps around, and a NUL byte ends the text.
pub fn parse_u64(bytes: &[u8]) -> Option<u64> {
    let text = bytes.split(|&byte| byte == 0).next()?;
    if let Some(value) = parse_i64(text) {
        return u64::try_from(value).ok();
    }
    let start = text.iter().position(|&byte| !is_space(byte))?;
    match text.get(start..)? {
        [b'-', digits @ ..] => decimal(digits).map(u64::wrapping_neg),
        [b'+', digits @ ..] | digits => decimal(digits),
    }
}

/// Reads a double as Redis's `getDoubleFromObject`: whatever `strtod` takes whole, but no NaN, nothing that overflows
/// and nothing that underflows to zero.
pub fn parse_f64(bytes: &[u8]) -> Option<f64> {
    // Redis 8's own parser takes a plus sign between a minus sign and an infinity, and only there.
    if bytes.eq_ignore_ascii_case(b"-+inf") || bytes.eq_ignore_ascii_case(b"-+infinity") {
        return Some(f64::NEG_INFINITY);
    }
    let (negative, literal) = Literal::read(bytes)?;
    let magnitude = match literal {
        Literal::Infinity => f64::INFINITY,
        Literal::Zero => 0.0,
        Literal::Hexadecimal(number) => {
            let bits = hexadecimal::<ieee::Double>(&number)?;
            f64::from_bits(u64::try_from(bits).ok()?)
        }
        Literal::Decimal(number) => {
            let value: f64 = number.text()?.parse().ok()?;
            if value == 0.0 || value.is_infinite() {
                return None;
            }
            value
        }
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// Appends `value` in decimal, as Redis's `ll2string`.
pub fn write_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// One or more decimal digits and nothing else; `None` on overflow.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// C's `isspace`.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp)]

    use super::*;

    #[test]
    fn integers_are_canonical() {
        for value in [0, 1, -1, 10, i64::MAX, i64::MIN, i64::MAX - 1, i64::MIN + 1] {
            assert_eq!(parse_i64(value.to_string().as_bytes()), Some(value));
        }
        for text in ["", "-", "+1", "-0", "00", "01", "-01", " 1", "1 ", "1a", "a", "--1", "0x1", "1\0"] {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text}");
        }
        for text in ["9223372036854775808", "-9223372036854775809", "18446744073709551616", "99999999999999999999"] {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn cursors_are_what_strtoull_takes() {
        let cases: [(&[u8], u64); 11] = [
            (b"0", 0),
            (b"007", 7),
            (b" 1", 1),
            (b"\t\n\x0b\x0c\r 1", 1),
            (b"+1", 1),
            (b"-0", 0),
            (b"-01", u64::MAX),
            (b" -1", u64::MAX),
            (b"18446744073709551615", u64::MAX),
            (b"-18446744073709551615", 1),
            (b"1\0zz", 1),
        ];
        for (text, value) in cases {
            assert_eq!(parse_u64(text), Some(value), "{}", text.escape_ascii());
        }
        for text in ["", " ", "+", "-", "-1", "1 ", "1a", "0x1", "+-1", "\0", "18446744073709551616", "+ 1"] {
            assert_eq!(parse_u64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn doubles_are_what_strtod_takes() {
        let cases = [
            ("1", 1.0),
            ("+.5", 0.5),
            ("5.", 5.0),
            ("-1e3", -1000.0),
            ("0x10", 16.0),
            ("0x1.8P3", 12.0),
            ("-0X.8", -0.5),
            ("inf", f64::INFINITY),
            ("-InFiNiTy", f64::NEG_INFINITY),
            ("-+inf", f64::NEG_INFINITY),
            ("5e-324", 5e-324),
            ("1.7976931348623157e308", f64::MAX),
            ("0x1p-1074", 5e-324),
            ("0e99999999999999999999", 0.0),
        ];
        for (text, value) in cases {
            assert_eq!(parse_f64(text.as_bytes()), Some(value), "{text}");
        }
        assert!(parse_f64(b"-0").is_some_and(|zero| zero == 0.0 && zero.is_sign_negative()));
        for text in
            ["", "nan", "1e", " 1", "1 ", "1e400", "1e-400", "0x1p-1076", "0x1p5000", "infin", "1_0", ".", "-+1"]
        {
            assert_eq!(parse_f64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn integers_are_written_in_decimal() {
        let mut out = b"x".to_vec();
        write_i64(&mut out, i64::MIN);
        write_i64(&mut out, 0);
        assert_eq!(out, b"x-92233720368547758080");
    }
}
