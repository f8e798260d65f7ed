//! Storms of RENAME, RENAMENX, COPY, MOVE and SWAPDB: keys travel, and whoever looks finds each of them once and whole.

use super::crew::{Crew, Member, report};
use crate::client::{Client, Value};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

/// Each client renames a key of its own; the observers find every key under one of its two names.
pub fn renames() {
    let server = super::start();
    let mut client = server.client();
    for n in 0..8 {
        client.line(&format!("HSET a{n} owner {n}"));
    }
    let requests = Crew::new(&server)
        .each("renamer", 8, |member| {
            let n = member.number;
            for (from, to) in [("a", "b"), ("b", "a")] {
                assert_eq!(member.ask(&format!("RENAME {from}{n} {to}{n}")), Value::Bytes(b"OK".into()));
            }
        })
        .each("observer", 3, |member| {
            let n = member.random.usize(..8);
            assert_eq!(member.int(&format!("EXISTS a{n} b{n}")), 1);
            let names: String = (0..8).map(|n| format!(" b{n} a{n}")).collect();
            let replies = member.exec(&["DBSIZE".to_owned(), format!("EXISTS{names}"), "KEYS *".to_owned()]).unwrap();
            assert_eq!((&replies[0], &replies[1]), (&Value::Int(8), &Value::Int(8)));
            assert_eq!(replies[2].items().len(), 8);
        })
        .run();
    for n in 0..8 {
        assert_eq!(client.line(&format!("HGET a{n} owner")), format!("\"{n}\""));
    }
    report("rename storm", requests, "8 keys");
}

/// DBSIZE by itself, too, is never between the two halves of a RENAME.
pub fn dbsize() {
    let server = super::start();
    for n in 0..4 {
        server.client().line(&format!("HSET a{n} owner {n}"));
    }
    let requests = Crew::new(&server)
        .each("renamer", 4, |member| {
            let n = member.number;
            member.ask(&format!("RENAME a{n} b{n}"));
            member.ask(&format!("RENAME b{n} a{n}"));
        })
        .each("observer", 3, |member| assert_eq!(member.int("DBSIZE"), 4))
        .run();
    report("dbsize while keys are renamed", requests, "4 keys");
}

const TOKENS: usize = 8;
const SLOTS: usize = 12;

/// Tokens travel between slots of two databases, which are exchanged as well. None of the ways replaces a token.
pub fn travel() {
    let server = super::start();
    let mut client = server.client();
    for token in 0..TOKENS {
        client.line(&format!("HSET slot:{token} token {token}"));
    }
    let looks = AtomicU64::new(0);
    let requests = Crew::new(&server)
        .each("traveller", 7, move_token)
        .each("swapper", 1, |member| {
            member.ask("SWAPDB 0 1");
            member.exec(&["SWAPDB 1 0", "SELECT 1", "DBSIZE"]).unwrap();
        })
        .each("observer", 3, |member| {
            look(member);
            looks.fetch_add(1, Ordering::Relaxed);
        })
        .run();
    report("travelling keys", requests, &format!("{TOKENS} keys, {} looks", looks.into_inner()));
}

fn move_token(member: &mut Member<'_>) {
    let database = member.random.usize(..2);
    member.ask(&format!("SELECT {database}"));
    let (from, to) = (member.random.usize(..SLOTS), member.random.usize(..SLOTS));
    let commands = [
        format!("RENAMENX slot:{from} slot:{to}"),
        format!("MOVE slot:{from} {}", 1 - database),
        format!("RENAMENX slot:{to} slot:{from}"),
    ];
    match member.random.usize(..4) {
        3 => drop(member.exec(&commands).unwrap()),
        one => drop(member.ask(&commands[one])),
    }
}

fn look(member: &mut Member<'_>) {
    let mut commands = Vec::new();
    for database in [1, 0] {
        commands.extend([format!("SELECT {database}"), "DBSIZE".into(), "KEYS *".into()]);
        let slots: String = (0..SLOTS).map(|slot| format!(" slot:{slot}")).collect();
        commands.push(format!("EXISTS{slots}"));
        commands.extend((0..SLOTS).map(|slot| format!("HGET slot:{slot} token")));
    }
    let replies = member.exec(&commands).unwrap();
    let databases: Vec<&[Value]> = replies.chunks(4 + SLOTS).collect();
    let mut found = Vec::new();
    for replies in &databases {
        let tokens = replies[4..].iter().filter(|reply| **reply != Value::Null).map(Value::text);
        let before = found.len();
        found.extend(tokens);
        let count = Value::Int((found.len() - before) as i64);
        assert_eq!((&replies[1], &replies[3]), (&count, &count), "DBSIZE and EXISTS");
        assert_eq!(replies[2].items().len(), found.len() - before, "KEYS");
    }
    let different: BTreeSet<&String> = found.iter().collect();
    assert_eq!((found.len(), different.len()), (TOKENS, TOKENS), "{found:?}");
}

const WIDTHS: [usize; 4] = [10, 100, 127, 700];

/// COPY, within a database and between two, replaces a hash by another as a whole; sources and targets change places.
pub fn copies() {
    let server = super::start();
    let mut client = server.client();
    for database in 0..2 {
        client.line(&format!("SELECT {database}"));
        for (template, width) in WIDTHS.iter().enumerate() {
            fill(&mut client, &format!("template:{template}"), *width);
            fill(&mut client, &format!("copy:{template}"), *width);
        }
    }
    let requests = Crew::new(&server)
        .each("copier", 5, copy)
        .each("swapper", 1, |member| drop(member.ask("SWAPDB 0 1")))
        .each("reader", 4, |member| {
            let database = member.random.usize(..2);
            member.ask(&format!("SELECT {database}"));
            let key = format!("copy:{}", member.random.usize(..4));
            // All of one command, and all of one transaction, is of one copy.
            let values = member.ask(&format!("HVALS {key}"));
            assert_whole(&values);
            let commands = [format!("HLEN {key}"), format!("HVALS {key}"), format!("HGET {key} f0"), "DBSIZE".into()];
            let replies = member.exec(&commands).unwrap();
            let width = assert_whole(&replies[1]);
            assert_eq!(replies[0], Value::Int(width as i64));
            assert_eq!(replies[2].text(), width.to_string());
            assert_eq!(replies[3], Value::Int(8));
        })
        .run();
    report("copies", requests, "16 keys");
}

fn fill(client: &mut Client, key: &str, width: usize) {
    let fields: String = (0..width).map(|n| format!(" f{n} {width}")).collect();
    client.line(&format!("HSET {key}{fields}"));
}

fn copy(member: &mut Member<'_>) {
    let database = member.random.usize(..2);
    member.ask(&format!("SELECT {database}"));
    let kind = if member.random.bool() { "template" } else { "copy" };
    let (from, to) = (member.random.usize(..4), member.random.usize(..4));
    let elsewhere = member.random.usize(..2);
    let line = format!("COPY {kind}:{from} copy:{to} DB {elsewhere} REPLACE");
    if kind == "copy" && from == to {
        // A key cannot be copied to itself, and a moment later SWAPDB may have made it another.
        return;
    }
    assert_eq!(member.int(&line), 1);
}

fn assert_whole(values: &Value) -> usize {
    let values = values.items();
    let width = values[0].text();
    assert!(values.iter().all(|value| value.text() == width), "a mixture: {values:?}");
    assert_eq!(values.len().to_string(), width);
    values.len()
}
