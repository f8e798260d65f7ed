//! WATCH: what EXEC finds is what was read since, whoever has changed it meanwhile and how.

use super::crew::{Crew, Member, number, report};
use crate::client::Value;
use std::sync::atomic::{AtomicU64, Ordering};

/// Ten clients increment one field by WATCH, HGET, MULTI, HSET, EXEC, again whenever another was faster.
pub fn increments() {
    let server = super::start();
    let (done, lost) = (AtomicU64::new(0), AtomicU64::new(0));
    let requests = Crew::new(&server)
        .each("counter", 10, |member| {
            let count = if increment(member) { &done } else { &lost };
            count.fetch_add(1, Ordering::Relaxed);
        })
        .run();
    let (done, lost) = (done.into_inner(), lost.into_inner());
    assert_eq!(server.client().ask("HGET watched n").text(), done.to_string());
    report("watched increments", requests, &format!("{done} increments, {lost} retries"));
}

fn increment(member: &mut Member<'_>) -> bool {
    member.ask("WATCH watched");
    let seen = number(&member.ask("HGET watched n"));
    member.exec(&[format!("HSET watched n {}", seen + 1)]).is_some()
}

/// One client increments by WATCH, four without. There are times when nobody watches: a write that begins in such a time
/// and ends in the next watch must be seen too.
pub fn plain_increments() {
    let server = super::start();
    let done = AtomicU64::new(0);
    let requests = Crew::new(&server)
        .each("watcher", 1, |member| {
            done.fetch_add(increment(member).into(), Ordering::Relaxed);
        })
        .each("writer", 4, |member| {
            member.int("HINCRBY watched n 1");
            done.fetch_add(1, Ordering::Relaxed);
        })
        .run();
    assert_eq!(server.client().ask("HGET watched n").text(), done.load(Ordering::Relaxed).to_string());
    report("watch and plain increments", requests, &format!("{} increments", done.into_inner()));
}

/// Everything that can put another value in the place of a watched one, or take it away. No value is ever written twice.
pub fn storm() {
    let server = super::start();
    let (done, lost) = (AtomicU64::new(0), AtomicU64::new(0));
    let serial = AtomicU64::new(0);
    let requests = Crew::new(&server)
        .each("watcher", 8, |member| {
            let count = if check(member, &serial) { &done } else { &lost };
            count.fetch_add(1, Ordering::Relaxed);
        })
        .each("stirrer", 3, |member| stir(member, &serial))
        .run();
    let (done, lost) = (done.into_inner(), lost.into_inner());
    assert!(done > 0 && lost > 0, "{done} transactions done, {lost} broken");
    report("watch in a storm", requests, &format!("{done} transactions done, {lost} broken"));
}

/// What was read after WATCH is what EXEC reads.
fn check(member: &mut Member<'_>, serial: &AtomicU64) -> bool {
    let database = member.random.usize(..2);
    member.ask(&format!("SELECT {database}"));
    member.ask("WATCH one two");
    let key = if member.random.bool() { "one" } else { "two" };
    let seen = member.ask(&format!("HGET {key} n"));
    let value = serial.fetch_add(1, Ordering::Relaxed);
    let replies = member.exec(&[format!("HGET {key} n"), format!("HSET {key} n {value}"), format!("HGET {key} n")]);
    if let Some(replies) = &replies {
        assert_eq!(replies[0], seen, "{key} in database {database} has changed unseen");
        assert_eq!(replies[2], Value::Bytes(value.to_string().into()));
    }
    replies.is_some()
}

fn stir(member: &mut Member<'_>, serial: &AtomicU64) {
    let database = member.random.usize(..2);
    member.ask(&format!("SELECT {database}"));
    let (one, two) = if member.random.bool() { ("one", "two") } else { ("two", "one") };
    let value = serial.fetch_add(1, Ordering::Relaxed);
    let commands = [
        format!("RENAME {one} {two}"),
        format!("RENAMENX {one} {two}"),
        format!("COPY {one} {two} REPLACE"),
        format!("COPY {one} {two} DB {} REPLACE", 1 - database),
        format!("MOVE {one} {}", 1 - database),
        "SWAPDB 0 1".to_owned(),
        "FLUSHDB".to_owned(),
        format!("DEL {one} {two}"),
        format!("HSET {one} n {value}"),
        format!("HSET {one} n {value}"),
        format!("PEXPIRE {one} 1"),
        format!("HDEL {one} n"),
    ];
    // Alone, or as part of a transaction.
    let command = &commands[member.random.usize(..commands.len())];
    if member.random.u8(..4) == 0 {
        member.exec(&[command.as_str(), "HLEN one"]).unwrap();
    } else {
        member.ask(command);
    }
}

/// A watch belongs to the database that was selected when it was made, whichever is selected later.
pub fn other_database() {
    let server = super::start();
    let (done, lost) = (AtomicU64::new(0), AtomicU64::new(0));
    let requests = Crew::new(&server)
        .each("counter", 8, |member| {
            member.ask("SELECT 2");
            member.ask("WATCH watched");
            let seen = number(&member.ask("HGET watched n"));
            member.ask("SELECT 5");
            let commands =
                ["HINCRBY watched tries 1".to_owned(), "SELECT 2".to_owned(), format!("HSET watched n {}", seen + 1)];
            let count = if member.exec(&commands).is_some() { &done } else { &lost };
            count.fetch_add(1, Ordering::Relaxed);
        })
        .run();
    let mut client = server.client();
    let done = done.into_inner();
    for (database, field) in [(2, "n"), (5, "tries")] {
        client.ask(&format!("SELECT {database}"));
        assert_eq!(number(&client.ask(&format!("HGET watched {field}"))), done as i64, "database {database}");
    }
    report("watch of another database", requests, &format!("{done} increments, {} retries", lost.into_inner()));
}
