//! Keys that come and go together: nobody ever sees one of two.

use super::crew::{Crew, Member, report};
use crate::client::Value;
use std::sync::atomic::{AtomicU64, Ordering};

fn both_or_none(member: &mut Member<'_>, line: &str) -> bool {
    let count = member.int(line);
    assert!(count == 0 || count == 2, "{line}: {count}");
    count == 2
}

/// A pair is made by a transaction and removed by one command; others count it in both orders of its keys.
pub fn pairs() {
    let server = super::start();
    let seen = [AtomicU64::new(0), AtomicU64::new(0)];
    let requests = Crew::new(&server)
        .each("owner", 2, |member| {
            let n = member.number;
            member.exec(&[format!("HSET left{n} f v"), format!("HSET right{n} f v")]).unwrap();
            let remove = if member.random.bool() { "DEL" } else { "UNLINK" };
            assert_eq!(member.int(&format!("{remove} right{n} left{n}")), 2);
        })
        .each("observer", 6, |member| {
            let n = member.random.u8(..2);
            let command = if member.random.bool() { "EXISTS" } else { "TOUCH" };
            let (one, two) = if member.random.bool() { ("left", "right") } else { ("right", "left") };
            let found = both_or_none(member, &format!("{command} {one}{n} {two}{n}"));
            seen[usize::from(found)].fetch_add(1, Ordering::Relaxed);
        })
        .run();
    let [none, both] = seen.map(AtomicU64::into_inner);
    assert!(none > 0 && both > 0, "seen {none} times without, {both} times with both keys");
    report("pairs", requests, &format!("{none} times none, {both} times both"));
}

/// FLUSHALL and FLUSHDB come before or after a transaction that makes pairs in two databases, not in its midst.
pub fn flushed() {
    let server = super::start();
    let requests = Crew::new(&server)
        .each("owner", 4, |member| {
            let n = member.number;
            let commands = [
                "SELECT 0".to_owned(),
                format!("HSET left{n} f v"),
                format!("HSET right{n} f v"),
                "SELECT 1".to_owned(),
                format!("HSET left{n} f v"),
                format!("HSET right{n} f v"),
            ];
            member.exec(&commands).unwrap();
        })
        .each("flusher", 2, |member| {
            let flush = ["FLUSHALL", "FLUSHDB", "FLUSHALL ASYNC", "SWAPDB 0 1"][member.random.usize(..4)];
            member.ask(flush);
        })
        .each("observer", 5, |member| {
            let n = member.random.u8(..4);
            let database = member.random.u8(..2);
            member.ask(&format!("SELECT {database}"));
            both_or_none(member, &format!("EXISTS right{n} left{n}"));
            let replies = member.exec(&["SELECT 0", "DBSIZE", "KEYS *", "SELECT 1", "DBSIZE", "KEYS *"]).unwrap();
            for database in replies.chunks(3) {
                let count = database[2].items().len() as i64;
                assert!(count % 2 == 0 && database[1] == Value::Int(count), "{replies:?}");
            }
        })
        .run();
    report("pairs and flushes", requests, "4 pairs in 2 databases");
}

/// What a transaction reads twice is the same twice; what it has written is there.
pub fn snapshots() {
    let server = super::start();
    let requests = Crew::new(&server)
        .each("writer", 5, |member| {
            let (key, value) = (member.random.u8(..4), member.random.u16(..));
            let line = match member.random.u8(..4) {
                0 => format!("DEL k{key} k{}", key ^ 1),
                1 => format!("RENAME k{key} k{}", key ^ 1),
                _ => format!("HSET k{key} f{} {value} g {value}", value % 3),
            };
            member.ask(&line);
        })
        .each("reader", 5, |member| {
            let (one, two) = (member.random.u8(..4), member.random.u8(..4));
            let read = [format!("HGETALL k{one}"), format!("HGETALL k{two}"), "KEYS *".into(), "DBSIZE".into()];
            let replies = member.exec(&[&read[..], &read[..]].concat()).unwrap();
            // A map is decoded into no particular order.
            let sorted = |replies: &[Value]| replies.iter().map(sorted_fields).collect::<Vec<_>>();
            assert_eq!(sorted(&replies[..4]), sorted(&replies[4..]));
            assert_eq!(replies[3], Value::Int(replies[2].items().len() as i64));
        })
        .run();
    report("snapshots", requests, "4 keys");
}

fn sorted_fields(reply: &Value) -> Value {
    let Value::Map(fields) = reply else { return reply.clone() };
    let mut fields = fields.clone();
    fields.sort_by_key(|(field, _)| field.text());
    Value::Map(fields)
}
