//! SCAN and HSCAN while everything around grows and shrinks: nothing is missed and nothing comes twice.

use crate::Case;
use crate::client::Client;
use crate::server::{Kind, Server};
use std::collections::HashMap;

pub const CASES: &[Case] =
    &[("scan_under_change", scan), ("hscan_under_change", hscan), ("hscan_while_a_hash_becomes_big", grown)];

fn scan() {
    let server = Server::start(Kind::Hashd);
    let mut client = server.client();
    for n in 0..500 {
        client.line(&format!("HSET stay{n} f v"));
    }
    let seen = walk(&mut client, &["SCAN"], |client, round| {
        for n in 0..40 {
            let name = (round % 30) * 40 + n;
            client.line(&if round < 30 { format!("HSET come{name} f v") } else { format!("DEL come{name}") });
        }
    });
    check(&seen, 1);
}

fn hscan() {
    let server = Server::start(Kind::Hashd);
    let mut client = server.client();
    for n in 0..1000 {
        client.line(&format!("HSET h stay{n} v"));
    }
    let seen = walk(&mut client, &["HSCAN", "h"], |client, round| {
        for n in 0..40 {
            let name = (round % 50) * 40 + n;
            client.line(&if round < 50 { format!("HSET h come{name} v") } else { format!("HDEL h come{name}") });
        }
    });
    check(&seen, 1);
}

/// A hash that Redis would hold in a hashtable is given in steps, however small it is, and goes on being so when it has
/// become big.
fn grown() {
    for fields in [40, 500] {
        let server = Server::start(Kind::Hashd);
        let mut client = server.client();
        client.line(&format!("HSET h long {}", "x".repeat(100)));
        for n in 0..fields {
            client.line(&format!("HSET h stay{n} v"));
        }
        let seen = walk(&mut client, &["HSCAN", "h"], |client, round| {
            for n in 0..20 {
                client.line(&format!("HSET h come{} v", round * 20 + n));
            }
        });
        assert_eq!(seen.len(), fields);
        assert!(seen.values().all(|&times| times == 1));
    }
}

fn walk(client: &mut Client, command: &[&str], mut change: impl FnMut(&mut Client, usize)) -> HashMap<String, usize> {
    let mut seen = HashMap::new();
    let mut cursor = "0".to_owned();
    for round in 0..100_000 {
        let mut args = command.to_vec();
        args.extend([cursor.as_str(), "COUNT", "10"]);
        let reply = client.value(&args);
        let given = reply.items()[1].items().len();
        assert!(given <= 2 * 2 * 10, "{given} elements and values at once");
        for item in reply.items()[1].items().iter().map(|item| item.text()).filter(|item| item.starts_with("stay")) {
            *seen.entry(item).or_insert(0) += 1;
        }
        cursor = reply.items()[0].text();
        if cursor == "0" {
            return seen;
        }
        change(client, round);
    }
    panic!("the scan does not end");
}

fn check(seen: &HashMap<String, usize>, times: usize) {
    assert!(seen.len() == 500 || seen.len() == 1000, "{} elements seen", seen.len());
    let twice: Vec<&String> = seen.iter().filter(|(_, count)| **count > times).map(|(name, _)| name).collect();
    assert!(twice.is_empty(), "more than once: {twice:?}");
}
