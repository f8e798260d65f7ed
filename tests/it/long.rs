//! Requests that take long run beside the workers: their replies keep their place, are whole, and are counted.

use crate::Case;
use crate::client::{Client, encode, info};
use crate::server::{Kind, Server};

pub const CASES: &[Case] = &[("in_a_pipeline", pipeline), ("in_a_transaction", transaction)];

/// More than hashd runs on a worker.
const MANY: usize = 20_000;

/// A server whose hash `big` has many fields, of which one is due although nothing has reclaimed it.
fn start() -> (Server, Client) {
    let server = Server::start_with(Kind::Hashd, &["--enable-debug-command", "yes"]);
    let mut client = server.client();
    client.line("DEBUG SET-ACTIVE-EXPIRE 0");
    let pairs = (0..MANY).flat_map(|n| [format!("f{n}"), format!("v{n}")]);
    let set: Vec<String> = ["HSET", "big"].map(String::from).into_iter().chain(pairs).collect();
    assert_eq!(client.value(&set).int(), MANY as i64);
    client.line("HSET big due v");
    client.line("HPEXPIRE big 1 FIELDS 1 due");
    std::thread::sleep(std::time::Duration::from_millis(20));
    (server, client)
}

fn pipeline() {
    let (_server, mut client) = start();
    let requests = [
        &["ECHO", "first"][..],
        &["HGETALL", "big"],
        &["ECHO", "second"],
        &["HKEYS", "big"],
        &["HVALS", "big"],
        &["HSET", "big", "new", "v"],
        &["HRANDFIELD", "big", "30000"],
        &["HSCAN", "big", "0", "count", "30000", "NOVALUES"],
        &["COPY", "big", "copy"],
        &["ECHO", "last"],
    ];
    client.send_raw(&requests.iter().flat_map(|request| encode(request)).collect::<Vec<u8>>()).unwrap();
    let mut next = || client.next_value();
    assert_eq!(next().text(), "first");
    let all = next();
    assert_eq!(all.items().len(), 2 * MANY, "the field that is due is not shown");
    for pair in all.items().chunks(2) {
        assert_eq!(pair[0].text()[1..], pair[1].text()[1..]);
    }
    assert_eq!(next().text(), "second");
    assert_eq!([next().items().len(), next().items().len()], [MANY, MANY]);
    assert_eq!(next().int(), 1);
    assert_eq!(next().items().len(), MANY + 1);
    let scanned = next();
    assert_eq!((scanned.items()[0].text().as_str(), scanned.items()[1].items().len()), ("0", MANY + 1));
    assert_eq!(next().int(), 1);
    assert_eq!(next().text(), "last");
    for command in ["hset", "hgetall", "hkeys", "hvals", "hrandfield", "hscan"] {
        let calls = if command == "hset" { 3 } else { 1 };
        let counted = info(&mut client, "commandstats", &format!("cmdstat_{command}"));
        assert!(counted.starts_with(&format!("calls={calls},")), "{command}: {counted}");
    }
    // What one of the two copies is changed by, the other does not see.
    client.line("HSET copy f0 changed");
    client.line("HDEL big f1");
    assert_eq!(client.line("HMGET big f0 f1"), "[\"v0\", nil$]");
    assert_eq!(client.line("HMGET copy f0 f1"), "[\"changed\", \"v1\"]");
}

fn transaction() {
    let (_server, mut client) = start();
    client.line("MULTI");
    client.line("HDEL big f0");
    client.line("HGETALL big");
    client.line("HSET big f0 back");
    let replies = client.ask("EXEC");
    assert_eq!(replies.items()[0].int(), 1);
    assert_eq!(replies.items()[1].items().len(), 2 * (MANY - 1));
    assert_eq!(client.line("HGET big f0"), "\"back\"");
}
