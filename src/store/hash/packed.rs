//! The packed encoding of small hashes and of the leaves of big ones: fields, values and expiries one after the other, in
//! insertion order. Where a template knows the fields, only values stand here, and before them, if they are many, where
//! every 32nd of them begins ([`Skips`]).
//!
//! ```text
//! field: length:varint bytes
//! value: length:varint bytes    or    0x6f + n, then a signed integer of n bytes
//!                               or    0x78 + k: the template's word k for this field
//!                               or    0x7f, prefix:2 bits length:6 bits, then bytes: they follow a prefix of the template's
//! expiry, if fields have any: milliseconds:8
//! ```
//!
//! The bytes 0x70 to 0x7f are never the first of a value's length: 112 to 127 take two bytes there.

use super::template::Template;
use super::value::Value;
use super::words;
use crate::base::clock::UnixMillis;

/// Bytes that an expiry takes after a value: as many as Redis has for one.
pub(in crate::store) const EXPIRY_BYTES: usize = 6;

/// Stands for "no expiry" where every field carries one. That time itself, in the year 10889, is kept as the one before.
const NO_EXPIRY: i64 = (1 << (8 * EXPIRY_BYTES)) - 1;

/// A value that begins with this plus n is an integer of n bytes.
const INTEGER: u8 = 0x6f;
const WIDEST_INTEGER: u8 = 8;

/// A value that is this plus k is word k; one that begins with [`PREFIXED`] has a prefix.
const WORD: u8 = 0x78;
const PREFIXED: u8 = 0x7f;

/// One field with its value, and where it lies in the record. Where a template knows the field, it begins with its value.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Entry<'a> {
    pub(in crate::store) field: &'a [u8],
    pub(in crate::store) value: Value<'a>,
    pub(in crate::store) expiry: Option<UnixMillis>,
    pub(in crate::store) start: usize,
    pub(in crate::store) value_start: usize,
    pub(in crate::store) value_end: usize,
    pub(in crate::store) end: usize,
    /// The field's number, where a template knows it.
    number: usize,
}

/// Where a value lies in a record, and the number of its field, where a template knows it.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct ValuePlace {
    pub(in crate::store) start: usize,
    pub(in crate::store) end: usize,
    pub(in crate::store) number: usize,
}

impl Entry<'_> {
    pub(in crate::store) fn value_place(&self) -> ValuePlace {
        ValuePlace { start: self.value_start, end: self.value_end, number: self.number }
    }
}

/// Iterates over the fields of a packed record.
#[derive(Debug, Clone)]
pub(in crate::store) struct Entries<'a> {
    bytes: &'a [u8],
    next: usize,
    with_expiries: bool,
    template: Option<Passed<'a>>,
}

/// The template that knows the fields, and what of it an iteration has passed.
#[derive(Debug, Clone, Copy)]
struct Passed<'a> {
    template: &'a Template,
    /// Where its [`Skips`] are.
    skips: usize,
    bytes: usize,
    fields: usize,
}

impl<'a> Entries<'a> {
    pub(in crate::store) fn new(bytes: &'a [u8], start: usize, with_expiries: bool) -> Self {
        Self { bytes, next: start, with_expiries, template: None }
    }

    /// The fields of a template whose values, and what comes before them, begin at `start`.
    pub(in crate::store) fn of_template(bytes: &'a [u8], start: usize, template: &'a Template) -> Self {
        let next = start + Skips::len(template.len());
        let template = Some(Passed { template, skips: start, bytes: 0, fields: 0 });
        Self { bytes, next, with_expiries: false, template }
    }

    /// The entry of `field`, due or not.
    #[inline]
    pub(in crate::store) fn find_field(mut self, field: &[u8]) -> Option<Entry<'a>> {
        if let Some(Passed { template, skips, fields, .. }) = &mut self.template {
            let (place, name) = template.position(field)?;
            *fields = place;
            let (passed, skipped) = Skips { start: *skips, count: template.len() }.before(self.bytes, place);
            self.next += skipped;
            for _ in passed..place {
                self.next = value_end(self.bytes, self.next);
            }
            return self.entry(name, self.next, self.next);
        }
        while self.next < self.bytes.len() {
            let (length, field_start) = read_length(self.bytes, self.next);
            let here = self.bytes.get(field_start..field_start + length)?;
            // Names of one length often begin alike; their last bytes tell most of them apart.
            if length == field.len() && here.last() == field.last() && here == field {
                return self.entry(here, self.next, field_start + length);
            }
            self.next = value_end(self.bytes, field_start + length) + if self.with_expiries { EXPIRY_BYTES } else { 0 };
        }
        None
    }

    /// The entry of a field that lies at `start`, its value at `value_start`.
    #[inline]
    fn entry(&self, field: &'a [u8], start: usize, value_start: usize) -> Option<Entry<'a>> {
        let (value, value_end) = self.value(value_start)?;
        let (mut expiry, mut end) = (None, value_end);
        if self.with_expiries {
            let mut wide = [0; 8];
            *wide.first_chunk_mut::<EXPIRY_BYTES>()? = *self.bytes.get(end..)?.first_chunk()?;
            let raw = i64::from_le_bytes(wide);
            expiry = (raw != NO_EXPIRY).then_some(UnixMillis(raw));
            end += EXPIRY_BYTES;
        }
        let number = self.template.map_or(0, |passed| passed.fields);
        Some(Entry { field, value, expiry, start, value_start, value_end, end, number })
    }

    /// The value that lies at `at`, and where it ends.
    #[inline]
    fn value(&self, at: usize) -> Option<(Value<'a>, usize)> {
        let end = value_end(self.bytes, at);
        let first = *self.bytes.get(at)?;
        if first <= INTEGER {
            return Some((Value::Bytes(self.bytes.get(at + 1..end)?), end));
        }
        if first >= 0x80 {
            let (_, start) = read_long_length(self.bytes, at);
            return Some((Value::Bytes(self.bytes.get(start..end)?), end));
        }
        if first < WORD {
            return Some((Value::Integer(read_integer(self.bytes.get(at + 1..end)?)?), end));
        }
        let words = self.template.and_then(|passed| passed.template.words(passed.fields))?;
        let value = if first == PREFIXED {
            let prefix = words.prefix(usize::from(self.bytes.get(at + 1)? >> words::LENGTH_BITS))?;
            Value::Joined(prefix, self.bytes.get(at + 2..end)?)
        } else {
            Value::Bytes(words.word(usize::from(first - WORD))?)
        };
        Some((value, end))
    }
}

impl Entries<'_> {
    /// Appends the fields of a record with a template as they stand in one without.
    pub(in crate::store) fn write_out(mut self, out: &mut Vec<u8>) {
        while let Some(passed) = &mut self.template
            && let Some(&first) = self.bytes.get(self.next)
        {
            let names = passed.template.names();
            let (length, name_start) = read_length(names, passed.bytes);
            out.extend_from_slice(names.get(passed.bytes..name_start + length).unwrap_or_default());
            passed.bytes = name_start + length;
            let end = value_end(self.bytes, self.next);
            if (WORD..=PREFIXED).contains(&first) {
                let text = self.value(self.next).map(|(value, _)| value.text());
                Encoded::of_text(text.as_deref().unwrap_or_default()).append_to(out);
            } else {
                out.extend_from_slice(self.bytes.get(self.next..end).unwrap_or_default());
            }
            self.next = end;
            if let Some(passed) = &mut self.template {
                passed.fields += 1;
            }
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        let start = self.next;
        if start >= self.bytes.len() {
            return None;
        }
        let names = self.template.map_or((self.bytes, start), |passed| (passed.template.names(), passed.bytes));
        let (length, name_start) = read_length(names.0, names.1);
        let name_end = name_start + length;
        let field = names.0.get(name_start..name_end)?;
        let value_start = if self.template.is_some() { start } else { name_end };
        let entry = self.entry(field, start, value_start)?;
        self.next = entry.end;
        if let Some(passed) = &mut self.template {
            passed.bytes = name_end;
            passed.fields += 1;
        }
        Some(entry)
    }
}

/// Where some of the many values of a record with a template begin, four bytes each, counted from the first value.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Skips {
    /// Where they stand.
    pub(in crate::store) start: usize,
    /// Number of values.
    pub(in crate::store) count: usize,
}

impl Skips {
    /// From so many values on there are any,
    const MANY: usize = 64;
    /// one for each so many, but for the first ones.
    const STEP: usize = 32;
    const WIDTH: usize = size_of::<u32>();

    /// Bytes that they take for so many values.
    #[inline]
    pub(in crate::store) fn len(count: usize) -> usize {
        if count < Self::MANY { 0 } else { (count - 1) / Self::STEP * Self::WIDTH }
    }

    /// Makes room for those of `count` values at the end of a buffer.
    pub(in crate::store) fn begin(out: &mut Vec<u8>, count: usize) -> Self {
        let start = out.len();
        out.resize(start + Self::len(count), 0);
        Self { start, count }
    }

    /// Notes that value `number` begins where the buffer ends.
    pub(in crate::store) fn note(self, out: &mut [u8], number: usize) {
        if self.count >= Self::MANY && number > 0 && number.is_multiple_of(Self::STEP) {
            let skipped = out.len() - self.start - Self::len(self.count);
            self.write(out, number / Self::STEP, skipped);
        }
    }

    /// Notes that the length of value `number` has changed.
    pub(in crate::store) fn shift(self, bytes: &mut [u8], number: usize, from: usize, to: usize) {
        if from == to || self.count < Self::MANY {
            return;
        }
        for group in number / Self::STEP + 1..=(self.count - 1) / Self::STEP {
            let skipped = self.read(bytes, group) + to - from;
            self.write(bytes, group, skipped);
        }
    }

    /// How many values a search for value `number` may pass at once, and the bytes that they take.
    #[inline]
    fn before(self, bytes: &[u8], number: usize) -> (usize, usize) {
        let group = number / Self::STEP;
        if group == 0 || self.count < Self::MANY {
            return (0, 0);
        }
        (group * Self::STEP, self.read(bytes, group))
    }

    fn place(self, group: usize) -> std::ops::Range<usize> {
        let end = self.start + group * Self::WIDTH;
        end - Self::WIDTH..end
    }

    #[inline]
    fn read(self, bytes: &[u8], group: usize) -> usize {
        let raw = bytes.get(self.place(group)).and_then(|raw| raw.first_chunk()).copied().unwrap_or_default();
        u32::from_le_bytes(raw) as usize
    }

    fn write(self, bytes: &mut [u8], group: usize, skipped: usize) {
        if let Some(raw) = bytes.get_mut(self.place(group)) {
            raw.copy_from_slice(&u32::try_from(skipped).unwrap_or(u32::MAX).to_le_bytes());
        }
    }
}

/// A field of a record without a template.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct RawField<'a> {
    pub(in crate::store) name: &'a [u8],
    /// The value as it stands in the record.
    pub(in crate::store) value: &'a [u8],
}

/// Iterates over the fields of a record without a template, without a look into their values.
#[derive(Debug, Clone)]
pub(in crate::store) struct RawFields<'a> {
    rest: &'a [u8],
    tail: usize,
}

impl<'a> RawFields<'a> {
    pub(in crate::store) fn new(entries: &'a [u8], with_expiries: bool) -> Self {
        Self { rest: entries, tail: if with_expiries { EXPIRY_BYTES } else { 0 } }
    }
}

impl<'a> Iterator for RawFields<'a> {
    type Item = RawField<'a>;

    #[inline]
    fn next(&mut self) -> Option<RawField<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (length, start) = read_length(self.rest, 0);
        let value_start = start + length;
        let end = value_end(self.rest, value_start);
        let field = RawField { name: self.rest.get(start..value_start)?, value: self.rest.get(value_start..end)? };
        self.rest = self.rest.get(end + self.tail..)?;
        Some(field)
    }
}

/// The text of an encoded value, if it is one and short.
#[inline]
pub(super) fn short_text(encoded: &[u8]) -> Option<&[u8]> {
    encoded.split_first().filter(|&(&first, _)| first <= INTEGER).map(|(_, text)| text)
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

/// Where the value that lies at `at` ends.
#[inline]
fn value_end(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(&byte) if byte <= INTEGER => at + 1 + usize::from(byte),
        Some(&byte) if byte < WORD => at + 1 + usize::from(byte - INTEGER),
        Some(&byte) if byte < PREFIXED => at + 1,
        Some(&PREFIXED) => {
            let rest = bytes.get(at + 1).map_or(0, |&byte| usize::from(byte) & words::MOST_REST);
            at + 2 + rest
        }
        _ => {
            let (length, start) = read_long_length(bytes, at);
            start + length
        }
    }
}

/// The integer in these 1 to 8 bytes.
#[inline]
fn read_integer(bytes: &[u8]) -> Option<i64> {
    // Sign extension: the bytes go to the top of the word, which is shifted down.
    let mut wide = [0; 8];
    let missing = wide.len().checked_sub(bytes.len())?;
    wide.get_mut(missing..)?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(wide) >> (8 * missing))
}

/// Appends a field's length: seven bits a byte, lowest first, the top bit set on all but the last.
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

/// A value as it stands in a record.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Encoded<'v> {
    /// A length, or a whole integer.
    head: [u8; 10],
    head_length: usize,
    body: &'v [u8],
}

impl<'v> Encoded<'v> {
    /// Integers are stored as such where that is shorter and prints back the same.
    pub(in crate::store) fn new(value: &'v [u8]) -> Self {
        match super::value::short_integer(value) {
            Some(integer) => Self::of_integer(integer),
            None => Self::of_text(value),
        }
    }

    /// An integer that is shorter as such than as its digits.
    pub(in crate::store) fn of_integer(integer: i64) -> Self {
        // Magnitude bits and one for the sign, in whole bytes.
        let magnitude = if integer < 0 { !integer } else { integer };
        let width = low_bits((u64::BITS - magnitude.leading_zeros()) as usize / 8 + 1).min(WIDEST_INTEGER);
        let mut head = [0; 10];
        for (to, byte) in head.iter_mut().zip([INTEGER + width].into_iter().chain(integer.to_le_bytes())) {
            *to = byte;
        }
        Self { head, head_length: 1 + usize::from(width), body: &[] }
    }

    /// Word `word` of the field's words.
    pub(super) fn of_word(word: usize) -> Self {
        let mut head = [0; 10];
        head[0] = WORD + low_bits(word);
        Self { head, head_length: 1, body: &[] }
    }

    /// What follows prefix `prefix` of the field's words.
    pub(super) fn of_prefixed(prefix: usize, rest: &'v [u8]) -> Self {
        let mut head = [0; 10];
        [head[0], head[1]] =
            [PREFIXED, low_bits(prefix) << words::LENGTH_BITS | low_bits(rest.len() & words::MOST_REST)];
        Self { head, head_length: 2, body: rest }
    }

    /// A text that no integer stands for.
    pub(in crate::store) fn of_text(value: &'v [u8]) -> Self {
        let (mut head, mut left, mut head_length) = ([0; 10], value.len(), 0);
        for byte in &mut head {
            head_length += 1;
            let is_last = left <= usize::from(INTEGER) || (head_length > 1 && left < 0x80);
            *byte = low_bits(left) | if is_last { 0 } else { 0x80 };
            if is_last {
                break;
            }
            left >>= 7;
        }
        Self { head, head_length, body: value }
    }

    /// Bytes that it takes.
    pub(in crate::store) fn len(&self) -> usize {
        self.head_length + self.body.len()
    }

    fn head(&self) -> &[u8] {
        self.head.get(..self.head_length).unwrap_or_default()
    }

    pub(in crate::store) fn is_integer(&self) -> bool {
        self.head.first().is_some_and(|&first| (INTEGER + 1..WORD).contains(&first))
    }

    /// Writes it to the end of a buffer.
    pub(in crate::store) fn append_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.head());
        out.extend_from_slice(self.body);
    }

    /// Writes it to where there is just room for it.
    pub(in crate::store) fn write_to(&self, target: &mut [u8]) {
        if let Some((head, body)) = target.split_at_mut_checked(self.head_length)
            && body.len() == self.body.len()
        {
            head.copy_from_slice(self.head());
            body.copy_from_slice(self.body);
        }
    }
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
pub(in crate::store) fn push_entry(out: &mut Vec<u8>, field: &[u8], value: &Encoded<'_>, tail: Tail) {
    write_length(out, field.len());
    out.extend_from_slice(field);
    value.append_to(out);
    if let Tail::Expiry(expiry) = tail {
        out.extend_from_slice(&expiry_bytes(expiry));
    }
}

/// Appends a field whose value lies encoded in `bytes`, the record or leaf without a template that `entry` is from.
pub(in crate::store) fn copy_entry(out: &mut Vec<u8>, bytes: &[u8], entry: &Entry<'_>, tail: Tail) {
    let body = bytes.get(entry.value_start..entry.value_end).unwrap_or_default();
    push_entry(out, entry.field, &Encoded { head: [0; 10], head_length: 0, body }, tail);
}

/// Replaces the value that lies at `place` by `value`.
pub(in crate::store) fn replace_value(bytes: &mut Vec<u8>, place: ValuePlace, value: &Encoded<'_>) {
    let ValuePlace { start, end, .. } = place;
    let new_end = start + value.len();
    if new_end > end {
        let (grow, old_length) = (new_end - end, bytes.len());
        bytes.reserve_exact(grow);
        bytes.resize(old_length + grow, 0);
        bytes.copy_within(end..old_length, new_end);
    } else {
        bytes.drain(new_end..end);
    }
    if let Some(target) = bytes.get_mut(start..new_end) {
        value.write_to(target);
    }
}

fn expiry_bytes(expiry: Option<UnixMillis>) -> [u8; EXPIRY_BYTES] {
    let raw = expiry.map_or(NO_EXPIRY, |at| at.0.clamp(0, NO_EXPIRY - 1));
    raw.to_le_bytes().first_chunk().copied().unwrap_or_default()
}

/// Writes the expiry of an entry that ends at `end` in a record whose fields carry expiries.
pub(in crate::store) fn write_expiry(bytes: &mut [u8], end: usize, expiry: Option<UnixMillis>) {
    if let Some(target) = bytes.get_mut(end - EXPIRY_BYTES..end) {
        target.copy_from_slice(&expiry_bytes(expiry));
    }
}

#[cfg(test)]
mod tests {
    use super::{Encoded, Entries, Tail, push_entry};

    fn encoded_length(value: &[u8]) -> usize {
        Encoded::new(value).len()
    }

    #[test]
    fn every_value_reads_back_as_it_was_written() {
        let mut values: Vec<Vec<u8>> = (0..300).map(|length| vec![b'x'; length]).collect();
        let longest = if cfg!(miri) { 70_001 } else { 3_000_000 };
        values.extend([16_383, 16_384, 70_000, longest].map(|length| vec![b'y'; length]));
        for shift in 0..64 {
            for number in [(1_i64 << shift).wrapping_sub(1), 1 << shift, (1 << shift) + 1 - 1] {
                values.extend([number, number.wrapping_neg()].map(|number| number.to_string().into_bytes()));
            }
        }
        let odd: [&[u8]; 9] = [b"-0", b"007", b"+5", b"1.5", b" 12", b"12 ", b"-", b"9223372036854775808", b"1e5"];
        values.extend(odd.map(<[u8]>::to_vec));
        let mut bytes = Vec::new();
        for value in &values {
            push_entry(&mut bytes, b"field", &Encoded::new(value), Tail::None);
        }
        let back: Vec<Vec<u8>> = Entries::new(&bytes, 0, false).map(|entry| entry.value.text().to_vec()).collect();
        assert!(back == values, "values differ");
    }

    #[test]
    fn integers_take_what_they_need() {
        assert_eq!([&b"7"[..], b"12", b"127", b"128", b"-128", b"1700000000"].map(encoded_length), [2, 2, 2, 3, 2, 5]);
        assert_eq!(encoded_length(b"-9223372036854775808"), 9);
        assert_eq!([111, 112, 127, 128].map(|length| encoded_length(&vec![b'x'; length])), [112, 114, 129, 130]);
    }
}
