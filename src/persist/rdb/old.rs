//! The encodings of small hashes before listpacks: ziplists (until Redis 7.0) and zipmaps (until Redis 2.6).

use super::listpack::Element;
use super::{RdbError, Result};

const BAD_ZIPLIST: RdbError = RdbError::Malformed("it has a ziplist that makes no sense");
const BAD_ZIPMAP: RdbError = RdbError::Malformed("it has a zipmap that makes no sense");

const LAST: u8 = 0xff;
/// A length that does not fit into one byte.
const LONG: u8 = 0xfe;

/// Visits the elements of a ziplist, which must be one from end to end.
pub fn ziplist(bytes: &[u8], mut visit: impl FnMut(Element) -> Result<()>) -> Result<()> {
    const HEAD: usize = 10;
    let (head, _) = bytes.split_first_chunk::<HEAD>().ok_or(BAD_ZIPLIST)?;
    let &[size @ .., _, _, _, _, _, _] = head;
    let &[_, _, _, _, tail @ .., low, high] = head;
    let size = u32::from_le_bytes(size);
    let tail = u32::from_le_bytes(tail) as usize;
    let announced = u16::from_le_bytes([low, high]);
    if size as usize != bytes.len() {
        return Err(BAD_ZIPLIST);
    }
    let (mut at, mut last, mut passed, mut before) = (HEAD, HEAD, 0_usize, 0_usize);
    loop {
        let rest = bytes.get(at..).ok_or(BAD_ZIPLIST)?;
        let (previous, after) = match rest {
            [LAST] => break,
            [LAST, ..] | [] => return Err(BAD_ZIPLIST),
            [LONG, a, b, c, d, ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 5),
            [length, ..] => (usize::from(*length), 1),
        };
        if previous != before {
            return Err(BAD_ZIPLIST);
        }
        let (element, size) = ziplist_element(bytes, at + after)?;
        visit(element)?;
        (last, before) = (at, after + size);
        at += before;
        passed += 1;
    }
    if tail != last || (announced != u16::MAX && usize::from(announced) != passed) {
        return Err(BAD_ZIPLIST);
    }
    Ok(())
}

/// The element at a place, and the bytes that it takes.
fn ziplist_element(bytes: &[u8], at: usize) -> Result<(Element, usize)> {
    let text = |head: usize, length: usize| {
        let (start, end) = (at + head, at + head + length);
        if end < bytes.len() { Ok((Element::Text { start, end }, head + length)) } else { Err(BAD_ZIPLIST) }
    };
    let rest = bytes.get(at..).ok_or(BAD_ZIPLIST)?;
    let (integer, size) = match *rest {
        [byte @ 0..0x40, ..] => return text(1, usize::from(byte)),
        [byte @ 0x40..0x80, low, ..] => return text(2, usize::from(u16::from_be_bytes([byte & 0x3f, low]))),
        [0x80..0xc0, a, b, c, d, ..] => return text(5, u32::from_be_bytes([a, b, c, d]) as usize),
        [0xc0, a, b, ..] => (i64::from(i16::from_le_bytes([a, b])), 3),
        [0xd0, a, b, c, d, ..] => (i64::from(i32::from_le_bytes([a, b, c, d])), 5),
        [0xe0, ref wide @ ..] => (i64::from_le_bytes(*wide.first_chunk().ok_or(BAD_ZIPLIST)?), 9),
        [0xf0, a, b, c, ..] => (i64::from(i32::from_le_bytes([0, a, b, c]) >> 8), 4),
        [0xfe, a, ..] => (i64::from(a.cast_signed()), 2),
        [byte @ 0xf1..=0xfd, ..] => (i64::from(byte & 0x0f) - 1, 1),
        _ => return Err(BAD_ZIPLIST),
    };
    Ok((Element::Integer(integer), size))
}

/// Visits the fields and values of a zipmap, which must be one from end to end.
pub fn zipmap(bytes: &[u8], mut visit: impl FnMut(Element) -> Result<()>) -> Result<()> {
    let announced = *bytes.first().ok_or(BAD_ZIPMAP)?;
    let (mut at, mut passed) = (1, 0_usize);
    while bytes.get(at) != Some(&LAST) {
        let (start, end) = zipmap_text(bytes, at)?;
        visit(Element::Text { start, end })?;
        // Behind the length of a value stands how many unused bytes follow it.
        let (start, end) = zipmap_text(bytes, end)?;
        let unused = usize::from(*bytes.get(start).ok_or(BAD_ZIPMAP)?);
        visit(Element::Text { start: start + 1, end: end + 1 })?;
        at = end + 1 + unused;
        passed += 1;
        if at >= bytes.len() {
            return Err(BAD_ZIPMAP);
        }
    }
    if at + 1 != bytes.len() || (announced < LONG && usize::from(announced) != passed) {
        return Err(BAD_ZIPMAP);
    }
    Ok(())
}

/// Where the text whose length stands at `at` begins and ends.
fn zipmap_text(bytes: &[u8], at: usize) -> Result<(usize, usize)> {
    let rest = bytes.get(at..).ok_or(BAD_ZIPMAP)?;
    let (length, head) = match *rest {
        [LONG, a, b, c, d, ..] => (u32::from_le_bytes([a, b, c, d]) as usize, 5),
        [length @ 0..LONG, ..] => (usize::from(length), 1),
        _ => return Err(BAD_ZIPMAP),
    };
    let end = at + head + length;
    if end < bytes.len() { Ok((at + head, end)) } else { Err(BAD_ZIPMAP) }
}

#[cfg(test)]
mod tests {
    use super::{ziplist, zipmap};
    use crate::persist::rdb::listpack::Element;
    use proptest::prelude::*;

    type Visit<'a> = &'a mut dyn FnMut(Element) -> super::Result<()>;

    fn texts(bytes: &[u8], read: impl Fn(&[u8], Visit<'_>) -> super::Result<()>) -> Option<Vec<String>> {
        let mut all = Vec::new();
        let mut visit = |element| {
            all.push(match element {
                Element::Text { start, end } => String::from_utf8_lossy(&bytes[start..end]).into_owned(),
                Element::Integer(integer) => integer.to_string(),
            });
            Ok(())
        };
        read(bytes, &mut visit).ok().map(|()| all)
    }

    /// A ziplist of elements that are given as they stand there, without the length of the one before.
    fn ziplist_of(elements: &[&[u8]]) -> Vec<u8> {
        let (mut body, mut before, mut tail) = (Vec::new(), 0, 10);
        for element in elements {
            tail = 10 + body.len();
            body.push(u8::try_from(before).unwrap());
            body.extend_from_slice(element);
            before = element.len() + 1;
        }
        body.push(0xff);
        let mut all = u32::try_from(10 + body.len()).unwrap().to_le_bytes().to_vec();
        all.extend(u32::try_from(tail).unwrap().to_le_bytes());
        all.extend(u16::try_from(elements.len()).unwrap().to_le_bytes());
        all.extend(body);
        all
    }

    #[test]
    fn every_element_of_a_ziplist() {
        let elements: [&[u8]; 9] = [
            b"\x05field",
            b"\x40\x05value",
            b"\x80\0\0\0\x03big",
            b"\xc0\xfe\xff",
            b"\xd0\x00\x00\x01\x00",
            b"\xe0\xff\xff\xff\xff\xff\xff\xff\x7f",
            b"\xf0\x00\x00\x80",
            b"\xfe\x80",
            b"\xfd",
        ];
        let list = ziplist_of(&elements);
        let expected = ["field", "value", "big", "-2", "65536", "9223372036854775807", "-8388608", "-128", "12"];
        assert_eq!(texts(&list, |bytes, visit| ziplist(bytes, visit)).unwrap(), expected);
        for cut in 0..list.len() {
            assert_eq!(texts(&list[..cut], |bytes, visit| ziplist(bytes, visit)), None);
        }
    }

    #[test]
    fn a_zipmap_with_unused_bytes_and_a_long_value() {
        let mut map = b"\x02\x03foo\x03\x02bar..\x01k\xfe\x2c\x01\x00\x00\x00".to_vec();
        map.extend([b'v'; 300]);
        map.push(0xff);
        let expected = ["foo", "bar", "k", &"v".repeat(300)];
        assert_eq!(texts(&map, |bytes, visit| zipmap(bytes, visit)).unwrap(), expected);
        for cut in 0..map.len() {
            assert_eq!(texts(&map[..cut], |bytes, visit| zipmap(bytes, visit)), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 11..60)) {
            texts(&bytes, |bytes, visit| zipmap(bytes, visit));
            let size = u32::try_from(bytes.len()).unwrap().to_le_bytes();
            bytes[..4].copy_from_slice(&size);
            *bytes.last_mut().unwrap() = 0xff;
            texts(&bytes, |bytes, visit| ziplist(bytes, visit));
        }
    }
}
