//! The same locks asked for in opposite orders: nobody waits for another in a circle. The crew's watchdog is the judge.

use super::crew::{Crew, Member, report};
use crate::client::Value;
use crate::server::{Kind, Server};

/// Everything that takes more than one lock, over the same two keys and two databases, in both orders.
pub fn opposite() {
    let server = super::start();
    let requests = Crew::new(&server)
        .each("client", 12, |member| {
            let commands = menu(member);
            let command = &commands[member.random.usize(..commands.len())];
            member.ask(command);
        })
        .each("transaction", 6, |member| {
            let count = member.random.usize(1..6);
            let commands: Vec<String> = (0..count)
                .map(|_| {
                    let mut menu = menu(member);
                    menu.swap_remove(member.random.usize(..menu.len()))
                })
                .collect();
            if member.random.bool() {
                member.ask("WATCH b a");
            }
            member.exec(&commands);
        })
        .run();
    let mut client = server.client();
    client.line("FLUSHALL");
    assert_eq!(client.line("HSET a f v"), ":1");
    assert_eq!(client.line("EXISTS a b"), ":1");
    report("opposite orders", requests, "19 kinds of commands");
}

fn menu(member: &mut Member<'_>) -> Vec<String> {
    let (one, two) = if member.random.bool() { ("a", "b") } else { ("b", "a") };
    let database = member.random.usize(..3);
    let mut menu: Vec<String> =
        ["FLUSHALL", "FLUSHDB", "KEYS *", "DBSIZE", "SCAN 0", "RANDOMKEY", "UNWATCH"].map(String::from).into();
    menu.extend([
        format!("DEL {one} {two}"),
        format!("UNLINK {one} {two}"),
        format!("EXISTS {one} {two}"),
        format!("TOUCH {one} {two}"),
        format!("RENAME {one} {two}"),
        format!("RENAMENX {one} {two}"),
        format!("COPY {one} {two} DB {database}"),
        format!("COPY {one} {two} REPLACE"),
        format!("MOVE {one} {database}"),
        format!("SWAPDB {database} {}", member.random.usize(..3)),
        format!("SELECT {database}"),
    ]);
    // Something must be there for most of these to have work.
    menu.extend((0..6).map(|_| format!("HSET {one} f v")));
    menu
}

/// Databases that are used for the first time while FLUSHALL, alone and in transactions, locks all that are in use.
pub fn first_use() {
    const DATABASES: usize = 400;
    let server = Server::start_with(Kind::Hashd, &["--io-threads", "4", "--databases", &DATABASES.to_string()]);
    let next = std::sync::atomic::AtomicUsize::new(1);
    let requests = Crew::new(&server)
        .each("flusher", 3, |member| {
            member.ask("FLUSHALL");
        })
        .each("pioneer", 6, |member| {
            let database = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % DATABASES;
            match member.random.u8(..3) {
                0 => {
                    member.ask(&format!("SELECT {database}"));
                    member.ask("HSET k f v");
                }
                1 => {
                    let commands =
                        ["FLUSHALL".into(), format!("SELECT {database}"), "HSET k f v".into(), "DBSIZE".into()];
                    assert_eq!(member.exec(&commands).unwrap()[3], Value::Int(1));
                }
                _ => drop(member.ask(&format!("SWAPDB {database} {}", DATABASES - database))),
            }
        })
        .run();
    report("first use of databases", requests, &format!("{} databases", next.into_inner()));
}
