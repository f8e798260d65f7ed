//! C's `long double` on x86-64, the 80-bit x87 type, in which Redis computes `HINCRBYFLOAT`.
//!
//! The arithmetic is `rustc_apfloat`'s. The syntax is checked here, because its parser and glibc's differ, and numbers
//! reach it in one normal form. Printing is exact at every magnitude.

use std::fmt::Write as _;

use rustc_apfloat::ieee::X87DoubleExtended;
use rustc_apfloat::{Category, Float, Round};

/// Redis's `MAX_LONG_DOUBLE_CHARS`: a text of this length or more is no number.
const MAX_LONG_DOUBLE_CHARS: usize = 5 * 1024;

/// Digits after the decimal point that `%.17Lf` prints.
const FRACTION_DIGITS: usize = 17;

/// Decimal digits in a limb of the big number that prints large values, and the limb's base.
const LIMB_DIGITS: usize = 9;
const LIMB_BASE: u64 = 1_000_000_000;

/// An 80-bit x87 floating point number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LongDouble(X87DoubleExtended);

impl LongDouble {
    /// Reads a number exactly as Redis's `string2ld`: whatever glibc's `strtold` takes whole, at most 5119 bytes of it,
    /// but no leading space, no NaN, nothing that overflows and nothing that underflows to zero.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() >= MAX_LONG_DOUBLE_CHARS {
            return None;
        }
        let (negative, literal) = Literal::read(bytes)?;
        let magnitude = match literal {
            Literal::Infinity => X87DoubleExtended::INFINITY,
            Literal::Zero => X87DoubleExtended::ZERO,
            Literal::Decimal(number) => nonzero(&number.text()?)?,
            Literal::Hexadecimal(number) => X87DoubleExtended::from_bits(hexadecimal::<X87DoubleExtended>(&number)?),
        };
        Some(Self(if negative { -magnitude } else { magnitude }))
    }

    /// The sum rounded to nearest even, as `value += incr` in Redis's `hincrbyfloatCommand`.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "one use; a method shows that it is no plain float")]
    pub fn add(self, other: Self) -> Self {
        Self((self.0 + other.0).value)
    }

    /// C's `isnan`, which Redis's `hincrbyfloatCommand` checks.
    pub fn is_nan(&self) -> bool {
        self.0.is_nan()
    }

    /// C's `isinf`, which Redis's `hincrbyfloatCommand` checks.
    pub fn is_infinite(&self) -> bool {
        self.0.is_infinite()
    }

    /// Appends the number as Redis's `ld2string` with `LD_STR_HUMAN`: `%.17Lf` without trailing zeros, and no `-0`.
    pub fn write_human(&self, out: &mut Vec<u8>) {
        let start = out.len();
        if self.0.is_negative() && !self.0.is_nan() {
            out.push(b'-');
        }
        match self.0.category() {
            Category::NaN => out.extend_from_slice(b"nan"),
            Category::Infinity => out.extend_from_slice(b"inf"),
            Category::Zero => out.push(b'0'),
            Category::Normal => write_magnitude(self.0.to_bits(), out),
        }
        if out.get(start..) == Some(b"-0") {
            out.truncate(start);
            out.push(b'0');
        }
    }
}

/// A number's text by its kind, read by the grammar of glibc's `strtod` and `strtold` (C locale), without its sign.
pub(super) enum Literal {
    /// `inf` or `infinity` in any case.
    Infinity,
    /// A decimal or hexadecimal number without a nonzero digit, whatever its exponent.
    Zero,
    /// A nonzero decimal number.
    Decimal(Digits),
    /// A nonzero hexadecimal number.
    Hexadecimal(Digits),
}

impl Literal {
    /// Reads all of `bytes`: whether a minus sign leads, and the number. A NaN is no number here, as in Redis.
    pub(super) fn read(bytes: &[u8]) -> Option<(bool, Self)> {
        let (negative, unsigned) = match bytes {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] | rest => (false, rest),
        };
        let literal = if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") {
            Self::Infinity
        } else if let [b'0', b'x' | b'X', rest @ ..] = unsigned {
            Digits::read(rest, u8::is_ascii_hexdigit, b'p', 4).map(Self::Hexadecimal)?
        } else {
            Digits::read(unsigned, u8::is_ascii_digit, b'e', 1).map(Self::Decimal)?
        };
        match literal {
            Self::Decimal(number) | Self::Hexadecimal(number) if number.digits.is_empty() => {
                Some((negative, Self::Zero))
            }
            literal => Some((negative, literal)),
        }
    }
}

/// A number as an integer of `digits`, the first and last of them nonzero, and a power of ten or two.
pub(super) struct Digits {
    digits: Vec<u8>,
    exponent: i64,
}

impl Digits {
    /// Reads digits around at most one dot, then perhaps `mark` (in either case) and a signed decimal exponent. Each
    /// digit weighs `weight` units of the exponent. Zero has no digits.
    fn read(bytes: &[u8], is_digit: fn(&u8) -> bool, mark: u8, weight: i64) -> Option<Self> {
        let (integer, rest) = split_while(bytes, is_digit);
        let (fraction, rest) = match rest {
            [b'.', rest @ ..] => split_while(rest, is_digit),
            rest => (&[][..], rest),
        };
        if integer.is_empty() && fraction.is_empty() {
            return None;
        }
        let written_exponent = match rest {
            [] => 0,
            [letter, rest @ ..] if letter.to_ascii_lowercase() == mark => read_exponent(rest)?,
            _ => return None,
        };
        let mut digits: Vec<u8> = integer.iter().chain(fraction).copied().skip_while(|&digit| digit == b'0').collect();
        let length = digits.len();
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        let places = to_i64(length - digits.len()).saturating_sub(to_i64(fraction.len()));
        let exponent = written_exponent.saturating_add(places.saturating_mul(weight));
        Some(Self { digits, exponent })
    }

    /// The number in decimal for a parser; `None` when its magnitude is beyond any type's here, so that no parser is
    /// given an exponent to overflow on.
    pub(super) fn text(&self) -> Option<String> {
        let magnitude = self.exponent.saturating_add(to_i64(self.digits.len()));
        if !(-5000..=5000).contains(&magnitude) {
            return None;
        }
        let mut text = String::with_capacity(self.digits.len() + 8);
        text.extend(self.digits.iter().copied().map(char::from));
        // Writing to a String cannot fail.
        let _ = write!(text, "e{}", self.exponent);
        Some(text)
    }
}

/// A hexadecimal number rounded to the type `F`, as its bits; `None` when it overflows or underflows to zero.
pub(super) fn hexadecimal<F: Float>(number: &Digits) -> Option<u128> {
    // 24 digits are more bits than a significand has; of the rest it only matters that something nonzero is there.
    let kept = number.digits.len().min(24);
    let mut text = String::with_capacity(40);
    text.push_str("0x");
    text.extend(number.digits.iter().take(kept).copied().map(char::from));
    let mut dropped = number.digits.len() - kept;
    if dropped > 0 {
        text.push('1');
        dropped -= 1;
    }
    let exponent = number.exponent.saturating_add(to_i64(dropped).saturating_mul(4));
    if !(-20_000..=20_000).contains(&exponent) {
        return None;
    }
    // Writing to a String cannot fail.
    let _ = write!(text, "p{exponent}");
    nonzero::<F>(&text).map(Float::to_bits)
}

/// A nonzero number's text rounded to nearest even; `None` when that is infinite or zero (`strtold`'s `ERANGE`).
fn nonzero<F: Float>(text: &str) -> Option<F> {
    let value = F::from_str_r(text, Round::NearestTiesToEven).ok()?.value;
    (value.is_finite() && !value.is_zero()).then_some(value)
}

/// A sign and one or more digits, to the end; the value saturates.
fn read_exponent(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value =
        digits.iter().fold(0_i64, |value, digit| value.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    Some(if negative { -value } else { value })
}

fn split_while(bytes: &[u8], wanted: fn(&u8) -> bool) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| !wanted(byte)).unwrap_or(bytes.len());
    bytes.split_at(end)
}

fn to_i64(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Writes the magnitude of the finite number that has these 80 bits.
fn write_magnitude(bits: u128, out: &mut Vec<u8>) {
    // The value is significand * 2^power; the significand has 64 bits with no hidden one.
    let significand = bits & u128::from(u64::MAX);
    let biased = i32::try_from((bits >> 64) & 0x7fff).unwrap_or_default();
    let power = biased.max(1) - 16_383 - 63;
    if let Ok(shift) = u32::try_from(power) {
        write_large(significand, shift, out);
    } else {
        write_small(significand, power.unsigned_abs(), out);
    }
}

/// Writes `significand / 2^shift`, rounded half to even to 17 decimals, without trailing zeros.
fn write_small(significand: u128, shift: u32, out: &mut Vec<u8>) {
    // Less than 2^64 * 2^57, so it fits; and from a shift of 122 on the rounded quotient is 0.
    let scaled = significand * 10_u128.pow(17);
    let quotient = if shift > 121 {
        0
    } else {
        let (floor, remainder) = (scaled >> shift, scaled & ((1 << shift) - 1));
        let half = 1_u128 << shift >> 1;
        let up = remainder > half || (remainder == half && floor & 1 == 1);
        floor + u128::from(up)
    };
    let (integer, mut fraction) = (quotient / 10_u128.pow(17), quotient % 10_u128.pow(17));
    let mut text = integer.to_string();
    if fraction != 0 {
        let mut width = FRACTION_DIGITS;
        while fraction.is_multiple_of(10) {
            fraction /= 10;
            width -= 1;
        }
        // Writing to a String cannot fail.
        let _ = write!(text, ".{fraction:0width$}");
    }
    out.extend_from_slice(text.as_bytes());
}

/// Writes the integer `significand * 2^shift`, up to 4933 digits, by a number of decimal limbs (lowest first).
fn write_large(significand: u128, mut shift: u32, out: &mut Vec<u8>) {
    let mut limbs = Vec::new();
    let mut rest = significand;
    let base = u128::from(LIMB_BASE);
    while rest > 0 {
        limbs.push(u64::try_from(rest % base).unwrap_or_default());
        rest /= base;
    }
    while shift > 0 {
        // 10^9 * 2^32 with the carry stays below 2^63.
        let bits = shift.min(32);
        let mut carry = 0;
        for limb in &mut limbs {
            let product = (*limb << bits) + carry;
            *limb = product % LIMB_BASE;
            carry = product / LIMB_BASE;
        }
        // The carry is below 2^33, so it may need two limbs.
        while carry > 0 {
            limbs.push(carry % LIMB_BASE);
            carry /= LIMB_BASE;
        }
        shift -= bits;
    }
    let mut text = String::with_capacity(limbs.len() * LIMB_DIGITS);
    for (position, limb) in limbs.iter().rev().enumerate() {
        let width = if position == 0 { 1 } else { LIMB_DIGITS };
        // Writing to a String cannot fail.
        let _ = write!(text, "{limb:0width$}");
    }
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn number(text: &str) -> LongDouble {
        LongDouble::parse(text.as_bytes()).unwrap()
    }

    fn human(number: LongDouble) -> String {
        let mut out = Vec::new();
        number.write_human(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn sums_are_those_of_redis() {
        let cases = [
            ("0.1", "0.2", "0.3"),
            ("10.5", "0.1", "10.6"),
            ("3.0e3", "0", "3000"),
            ("5.0e3", "2.0e2", "5200"),
            ("-1.1", "1.1", "0"),
            ("-0", "-0", "0"),
            ("-1e-30", "0", "0"),
            ("1e18", "0.5", "1000000000000000000.5"),
            ("9223372036854775807", "1", "9223372036854775808"),
            ("0x1p3", "0X.8P1", "9"),
            (".5", "5.", "5.5"),
            ("+5", "5e-324", "5"),
            ("1e20", "0", "100000000000000000000"),
        ];
        for (a, b, sum) in cases {
            assert_eq!(human(number(a).add(number(b))), sum, "{a} {b}");
        }
    }

    #[test]
    fn halves_are_rounded_to_even() {
        // 2^-18 has eighteen decimals, the last of them a 5.
        assert_eq!(human(number("0x1p-18")), "0.00000381469726562");
        assert_eq!(human(number("0x3p-18")), "0.00001144409179688");
    }

    #[test]
    fn the_largest_number_is_exact() {
        let text = human(number("0x1.fffffffffffffffep16383"));
        assert_eq!(text.len(), 4933);
        assert!(text.starts_with("1189731495357231765021263853030970205169"));
        assert!(text.ends_with("552086811989770240"), "{text}");
        assert_eq!(human(number("1e27")), format!("1{}", "0".repeat(27)));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let texts = [
            "",
            "+",
            "-",
            ".",
            "e",
            "e5",
            "1e",
            "1e+",
            "1_0",
            " 1",
            "1 ",
            "\t1",
            "1\0",
            "--1",
            "+-1",
            "0x",
            "0x.",
            "0xp1",
            "0x1p",
            "0x1e+1",
            "1p3",
            "nan",
            "NaN(1)",
            "-nan",
            "infin",
            "infinityx",
            "1.2.3",
            "1e5.0",
            "1e4933",
            "1e-4951",
            "1e999999999999999999999",
            "1e-999999999999999999999",
            "0x1p16384",
            "0x1p-16446",
            "0x1p-999999999999999999999",
        ];
        for text in texts {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text}");
        }
        assert!(LongDouble::parse(&[b'0'; MAX_LONG_DOUBLE_CHARS - 1]).is_some());
        assert!(LongDouble::parse(&[b'0'; MAX_LONG_DOUBLE_CHARS]).is_none());
    }

    #[test]
    fn infinities_are_read_and_told() {
        for text in ["inf", "+INF", "Infinity"] {
            assert!(number(text).is_infinite());
        }
        assert!(number("inf").add(number("-inf")).is_nan());
        assert!(number("1.18e4932").add(number("1.18e4932")).is_infinite());
        assert_eq!(human(number("-infinity")), "-inf");
    }

    #[test]
    fn denormals_and_far_exponents_are_read() {
        assert_eq!(human(number("1e-4950")), "0");
        assert_eq!(human(number("0x1p-16445")), "0");
        assert_eq!(human(number("0e999999999999999999999")), "0");
        assert_eq!(human(number(&format!("0.{}1e4001", "0".repeat(4000)))), "1");
        assert_eq!(human(number(&format!("1{}e-4001", "0".repeat(4001)))), "1");
        assert_eq!(human(number(&format!("0x.{}1p16004", "0".repeat(4000)))), "1");
    }
}
