//! The packed encoding of a small hash: fields, values and expiries one after the other, in insertion order.

use crate::base::clock::UnixMillis;

/// Stands for "no expiry" where every field carries one.
const NO_EXPIRY: i64 = i64::MIN;

/// Bytes that an expiry takes after a value.
pub(in crate::store) const EXPIRY_BYTES: usize = 8;

/// One field with its value, and where it lies in the record.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Entry<'a> {
    pub(in crate::store) field: &'a [u8],
    pub(in crate::store) value: &'a [u8],
    pub(in crate::store) expiry: Option<UnixMillis>,
    pub(in crate::store) start: usize,
    pub(in crate::store) value_start: usize,
    pub(in crate::store) end: usize,
}

/// Iterates over the fields of a packed record.
#[derive(Debug, Clone)]
pub(in crate::store) struct Entries<'a> {
    bytes: &'a [u8],
    next: usize,
    with_expiries: bool,
}

impl<'a> Entries<'a> {
    pub(in crate::store) fn new(bytes: &'a [u8], start: usize, with_expiries: bool) -> Self {
        Self { bytes, next: start, with_expiries }
    }

    /// The entry of `field`, due or not.
    pub(in crate::store) fn find_field(mut self, field: &[u8]) -> Option<Entry<'a>> {
        while self.next < self.bytes.len() {
            let (length, field_start) = read_length(self.bytes, self.next);
            let here = self.bytes.get(field_start..field_start + length)?;
            // Names of one length often begin alike; their last bytes tell most of them apart.
            if length == field.len() && here.last() == field.last() && here == field {
                return self.next();
            }
            let (value_length, value_start) = read_length(self.bytes, field_start + length);
            self.next = value_start + value_length + if self.with_expiries { EXPIRY_BYTES } else { 0 };
        }
        None
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let start = self.next;
        if start >= self.bytes.len() {
            return None;
        }
        let (field_length, field_start) = read_length(self.bytes, start);
        let field = self.bytes.get(field_start..field_start + field_length)?;
        let (value_length, value_start) = read_length(self.bytes, field_start + field_length);
        let mut end = value_start + value_length;
        let value = self.bytes.get(value_start..end)?;
        let mut expiry = None;
        if self.with_expiries {
            let raw = i64::from_le_bytes(*self.bytes.get(end..)?.first_chunk::<EXPIRY_BYTES>()?);
            expiry = (raw != NO_EXPIRY).then_some(UnixMillis(raw));
            end += EXPIRY_BYTES;
        }
        self.next = end;
        Some(Entry { field, value, expiry, start, value_start: field_start + field_length, end })
    }
}

/// Reads a length at `at`; gives it and the place after it.
#[inline]
pub(in crate::store) fn read_length(bytes: &[u8], at: usize) -> (usize, usize) {
    match bytes.get(at) {
        Some(&byte) if byte < 0x80 => (usize::from(byte), at + 1),
        _ => read_long_length(bytes, at),
    }
}

#[cold]
fn read_long_length(bytes: &[u8], at: usize) -> (usize, usize) {
    let (mut length, mut next, mut shift) = (0_usize, at, 0_u32);
    while let Some(&byte) = bytes.get(next) {
        next += 1;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 || shift >= 56 {
            break;
        }
        shift += 7;
    }
    (length, next)
}

/// Appends a length: seven bits a byte, lowest first, the top bit set on all but the last.
pub(in crate::store) fn write_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push(low_bits(length) | 0x80);
        length >>= 7;
    }
    out.push(low_bits(length));
}

fn low_bits(length: usize) -> u8 {
    u8::try_from(length & 0x7f).unwrap_or_default()
}

/// Bytes that [`write_length`] takes.
fn length_bytes(length: usize) -> usize {
    (usize::BITS - (length | 1).leading_zeros()).div_ceil(7) as usize
}

/// What follows a value in a record.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) enum Tail {
    /// Nothing: no field of this record has an expiry.
    None,
    /// The field's expiry, or the mark that it has none.
    Expiry(Option<UnixMillis>),
}

/// Appends a field.
pub(in crate::store) fn push_entry(out: &mut Vec<u8>, field: &[u8], value: &[u8], tail: Tail) {
    write_length(out, field.len());
    out.extend_from_slice(field);
    write_length(out, value.len());
    out.extend_from_slice(value);
    if let Tail::Expiry(expiry) = tail {
        out.extend_from_slice(&expiry.map_or(NO_EXPIRY, |at| at.0).to_le_bytes());
    }
}

/// Replaces the value that lies from `value_start` (its length included) to `value_end` by `value`.
pub(in crate::store) fn replace_value(bytes: &mut Vec<u8>, value_start: usize, value_end: usize, value: &[u8]) {
    let new_length = length_bytes(value.len()) + value.len();
    let old_length = value_end - value_start;
    if new_length > old_length {
        let grow = new_length - old_length;
        bytes.reserve_exact(grow);
        let old_end = bytes.len();
        bytes.resize(old_end + grow, 0);
        bytes.copy_within(value_end..old_end, value_end + grow);
    } else if new_length < old_length {
        bytes.drain(value_start + new_length..value_end);
    }
    let mut at = value_start;
    let mut length = value.len();
    while length >= 0x80 {
        put_byte(bytes, at, low_bits(length) | 0x80);
        length >>= 7;
        at += 1;
    }
    put_byte(bytes, at, low_bits(length));
    if let Some(target) = bytes.get_mut(at + 1..value_start + new_length) {
        target.copy_from_slice(value);
    }
}

fn put_byte(bytes: &mut [u8], at: usize, byte: u8) {
    if let Some(target) = bytes.get_mut(at) {
        *target = byte;
    }
}

/// Writes the expiry of an entry that ends at `end` in a record whose fields carry expiries.
pub(in crate::store) fn write_expiry(bytes: &mut [u8], end: usize, expiry: Option<UnixMillis>) {
    if let Some(target) = bytes.get_mut(end - EXPIRY_BYTES..end) {
        target.copy_from_slice(&expiry.map_or(NO_EXPIRY, |at| at.0).to_le_bytes());
    }
}
