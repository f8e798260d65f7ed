//! The browser for hashes: keys by pattern, the fields of one, a value. A user sees the keys that it may read, and of them
//! what the commands that it may send would tell.

use hyper::StatusCode;
use serde_json::{Value as Json, json};

use super::answer::Answer;
use super::query::Query;
use super::text::{beginning, text};
use super::visitor::Visitor;
use crate::base::clock::UnixMillis;
use crate::base::glob;
use crate::base::number::parse_u64;
use crate::store::{Encoding, HashView, KeyExpiry, ScanCursor, Value};

/// Keys or fields of a page, at most.
const MOST_ON_A_PAGE: usize = 500;

/// Keys or fields of a page if nobody says how many.
const ON_A_PAGE: usize = 100;

/// Keys that one request looks at.
const MOST_LOOKED_AT: usize = 20_000;

/// Keys that are looked at between two looks at what has been found.
const AT_A_TIME: usize = 250;

/// The longest pattern, and the longest key that a URL can hold with every byte of it encoded.
const LONGEST_PATTERN: usize = 256;
const LONGEST_KEY: usize = 4096;

/// Bytes of a field and of a value that a page shows, and that are shown of one that is asked for.
const SHOWN: usize = 1024;
const MOST_SHOWN: usize = 256 * 1024;

/// Parts of a big hash that its size is estimated from, as by MEMORY USAGE.
const SAMPLES: usize = 5;

/// `/api/keys?db=&match=&cursor=&count=`: about `count` keys, and where to go on; needs the right to SCAN. Keys too long
/// for a URL are counted in `too_long`.
pub(super) fn keys(visitor: &mut Visitor<'_>, query: &Query) -> Result<Answer, Answer> {
    visitor.require(&[b"scan", b"0"])?;
    let (database, count) = (database_of(visitor, query)?, count_of(query)?);
    let pattern = query.bytes("match").filter(|pattern| !pattern.is_empty() && *pattern != b"*");
    if pattern.is_some_and(|pattern| pattern.len() > LONGEST_PATTERN) {
        return Err(bad("the pattern is too long"));
    }
    let mut cursor = ScanCursor(query.bytes("cursor").map_or(Some(0), parse_u64).ok_or_else(|| bad("invalid cursor"))?);
    let (mut found, mut too_long, mut looked_at) = (Vec::new(), 0, 0);
    loop {
        let mut matching: Vec<Vec<u8>> = Vec::new();
        cursor = visitor.database(database).scan(cursor, AT_A_TIME.min(count), |key| {
            looked_at += 1;
            if key.len() > LONGEST_KEY {
                too_long += 1;
            } else if pattern.is_none_or(|pattern| glob::matches(pattern, key)) {
                matching.push(key.to_vec());
            }
        });
        found.extend(matching.iter().filter_map(|key| describe_key(visitor, database, key)));
        if cursor == ScanCursor::END || found.len() >= count || looked_at >= MOST_LOOKED_AT {
            break;
        }
    }
    let size = visitor.may(&[b"dbsize"]).then(|| visitor.database(database).len());
    Ok(Answer::json(&json!({
        "cursor": cursor.0.to_string(),
        "keys": found,
        "looked_at": looked_at,
        "too_long": too_long,
        "size": size,
        "now_ms": visitor.services.clock.now().0,
    })))
}

/// `/api/hash?db=&key=&cursor=&count=`: about `count` fields, and where to go on; needs the right to HSCAN the key.
pub(super) fn hash(visitor: &mut Visitor<'_>, query: &Query) -> Result<Answer, Answer> {
    let key = key_of(query)?;
    visitor.require(&[b"hscan", key, b"0"])?;
    let (database, count) = (database_of(visitor, query)?, count_of(query)?);
    let cursor =
        query.bytes("cursor").map_or(Some(Cursor::START), Cursor::parse).ok_or_else(|| bad("invalid cursor"))?;
    let shows_expiry = visitor.may(&[b"hpexpiretime", key, b"FIELDS", b"1", b"f"]);
    let page = visitor.database(database).view(key, |hash| (!hash.is_missing()).then(|| page(hash, cursor, count)));
    let Some((fields, next)) = page else { return Err(Answer::problem(StatusCode::NOT_FOUND, "no such key")) };
    let fields: Vec<Json> = fields
        .into_iter()
        .map(|mut field| {
            if !shows_expiry && let Some(field) = field.as_object_mut() {
                field.remove("expires_at_ms");
            }
            field
        })
        .collect();
    let mut answer = describe_key(visitor, database, key).unwrap_or_default();
    answer["cursor"] = next.map_or_else(|| "0".to_owned(), Cursor::show).into();
    answer["now_ms"] = visitor.services.clock.now().0.into();
    answer["shows_expiry"] = shows_expiry.into();
    answer["items"] = fields.into();
    Ok(Answer::json(&answer))
}

/// `/api/value?db=&key=&field=`: a value, of a very long one its beginning; needs the right to HGET.
pub(super) fn value(visitor: &mut Visitor<'_>, query: &Query) -> Result<Answer, Answer> {
    let key = key_of(query)?;
    let field = query.bytes("field").ok_or_else(|| bad("field is missing"))?;
    visitor.require(&[b"hget", key, field])?;
    let database = database_of(visitor, query)?;
    let shown = |value: Value<'_>| json!({ "value": beginning(&value.text(), MOST_SHOWN), "length": value.len() });
    let found = visitor.database(database).view(key, |hash| hash.get(field).map(shown));
    found.map(|found| Answer::json(&found)).ok_or_else(|| Answer::problem(StatusCode::NOT_FOUND, "no such field"))
}

/// What a line says of a key: nothing if it is gone, or not the user's to read; what it may not ask is left out.
fn describe_key(visitor: &mut Visitor<'_>, database: usize, key: &[u8]) -> Option<Json> {
    if !visitor.may(&[b"hscan", key, b"0"]) {
        return None;
    }
    let mut line = json!({ "key": text(key) });
    if visitor.may(&[b"hlen", key]) {
        line["fields"] = visitor.database(database).view(key, |hash| hash.len() as u64).into();
    }
    if visitor.may(&[b"pexpiretime", key]) {
        match visitor.database(database).key_expiry(key) {
            KeyExpiry::Missing => return None,
            KeyExpiry::Persistent => line["expires_at_ms"] = Json::Null,
            KeyExpiry::At(at) => line["expires_at_ms"] = at.0.into(),
        }
    }
    if visitor.may(&[b"object", b"encoding", key]) {
        line["encoding"] = visitor.database(database).encoding(key).map(Encoding::name).into();
    }
    if visitor.may(&[b"memory", b"usage", key]) {
        line["bytes"] = visitor.database(database).memory_usage(key, SAMPLES).into();
    }
    Some(line)
}

/// Where a hash's fields go on: a small one's by their number, because a scan gives them all at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cursor {
    Number(usize),
    Scan(ScanCursor),
}

impl Cursor {
    const START: Self = Self::Number(0);

    fn parse(text: &[u8]) -> Option<Self> {
        match text {
            b"0" => Some(Self::START),
            [b'n', number @ ..] => Some(Self::Number(usize::try_from(parse_u64(number)?).ok()?)),
            [b's', position @ ..] => Some(Self::Scan(ScanCursor(parse_u64(position)?))),
            _ => None,
        }
    }

    fn show(self) -> String {
        match self {
            Self::Number(number) => format!("n{number}"),
            Self::Scan(ScanCursor(position)) => format!("s{position}"),
        }
    }
}

/// About `count` fields from `cursor` on. A hash that has grown big since begins anew, so that nothing is missed.
fn page(hash: &HashView<'_>, cursor: Cursor, count: usize) -> (Vec<Json>, Option<Cursor>) {
    if hash.is_small() {
        let start = if let Cursor::Number(number) = cursor { number } else { 0 };
        let mut entries = hash.entries().skip(start);
        let fields = entries.by_ref().take(count).map(|(field, value, expiry)| line(field, value, expiry)).collect();
        return (fields, entries.next().map(|_| Cursor::Number(start + count)));
    }
    let start = if let Cursor::Scan(position) = cursor { position } else { ScanCursor(0) };
    let mut fields = Vec::new();
    let next = hash.scan_entries(start, count, |field, value, expiry| fields.push(line(field, value, expiry)));
    (fields, (next != ScanCursor::END).then_some(Cursor::Scan(next)))
}

/// A field and its value, as much of them as a page shows.
fn line(field: &[u8], value: Value<'_>, expiry: Option<UnixMillis>) -> Json {
    json!({
        "field": beginning(field, SHOWN),
        "field_length": field.len(),
        "value": beginning(&value.text(), SHOWN),
        "value_length": value.len(),
        "expires_at_ms": expiry.map(|at| at.0),
    })
}

fn bad(why: &str) -> Answer {
    Answer::problem(StatusCode::BAD_REQUEST, why)
}

fn key_of(query: &Query) -> Result<&[u8], Answer> {
    query.bytes("key").ok_or_else(|| bad("key is missing"))
}

fn database_of(visitor: &Visitor<'_>, query: &Query) -> Result<usize, Answer> {
    let count = visitor.services.keyspace.database_count();
    query.number("db", 0).filter(|&index| index < count).ok_or_else(|| bad("DB index is out of range"))
}

fn count_of(query: &Query) -> Result<usize, Answer> {
    let count = query.number("count", ON_A_PAGE).filter(|&count| count > 0).ok_or_else(|| bad("invalid count"))?;
    Ok(count.min(MOST_ON_A_PAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors() {
        for cursor in [Cursor::Number(7), Cursor::Scan(ScanCursor(1 << 48))] {
            assert_eq!(Cursor::parse(cursor.show().as_bytes()), Some(cursor));
        }
        assert_eq!(Cursor::parse(b"0"), Some(Cursor::START));
        for bad in [&b""[..], b"1", b"n", b"nx", b"s-1", b"x1"] {
            assert_eq!(Cursor::parse(bad), None);
        }
    }
}
