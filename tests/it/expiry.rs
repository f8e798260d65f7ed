//! Real short TTLs: keys and fields go away by themselves, and the statistics say so.

use crate::Case;
use crate::client::{Client, info};
use crate::server::{Kind, Server, on_both};
use std::time::{Duration, Instant};

pub const CASES: &[Case] =
    &[("keys_in_the_background", keys), ("fields_in_the_background", fields), ("those_met_by_commands", met)];

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_millis(2500);
    while !done() {
        assert!(Instant::now() < give_up, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn number(client: &mut Client, name: &str) -> u64 {
    info(client, "stats", name).parse().unwrap_or_else(|_| panic!("INFO stats has no {name}"))
}

fn keys() {
    let server = Server::start(Kind::Hashd);
    let mut client = server.client();
    for n in 0..100 {
        client.line(&format!("HSET k{n} f v"));
        client.line(&format!("PEXPIRE k{n} 100"));
    }
    wait_until("100 keys stay", || client.ask("DBSIZE").int() == 0);
    assert_eq!(number(&mut client, "expired_keys"), 100);
    assert_eq!(info(&mut client, "keyspace", "db0"), "");
}

fn fields() {
    let server = Server::start(Kind::Hashd);
    let mut client = server.client();
    for n in 0..100 {
        client.line(&format!("HSET k{n} f v g w"));
        client.line(&format!("HPEXPIRE k{n} 100 FIELDS 1 f"));
    }
    client.line("HSET gone f v");
    client.line("HPEXPIRE gone 100 FIELDS 1 f");
    wait_until("101 fields stay", || (0..100).all(|n| client.ask(&format!("HLEN k{n}")).int() == 1));
    wait_until("the emptied key stays", || client.ask("DBSIZE").int() == 100);
    assert_eq!(number(&mut client, "expired_subkeys"), 101);
}

/// Due fields and keys that a command comes upon are counted as in Redis.
fn met() {
    on_both(&[], |server| {
        let mut client = server.client();
        client.line("DEBUG SET-ACTIVE-EXPIRE 0");
        let dump = ["RESTORE", "k", "1", "\x04\x01\x01f\x01v\x06\0\0\0\0\0\0\0\0\0", "REPLACE", "ABSTTL"];
        for (line, fields, keys) in [
            ("HGET k f", 1, 0),
            ("HGETALL k", 0, 0),
            ("HLEN k", 0, 0),
            ("HRANDFIELD k 5", 1, 0),
            ("HRANDFIELD k", 1, 0),
            ("HINCRBY k f 1", 1, 0),
            ("HDEL k f", 0, 0),
            ("HSET k f v", 0, 0),
            ("HPEXPIREAT k 1 FIELDS 1 g", 1, 0),
            ("PEXPIREAT k 1", 0, 0),
            ("HGETEX k PXAT 1 FIELDS 1 g", 1, 0),
            ("HSETEX k PXAT 1 FIELDS 1 new v", 1, 0),
            ("HSETEX other PXAT 1 FIELDS 1 f v", 1, 0),
            ("RESTORE", 0, 1),
        ] {
            for line in ["DEL k", "HSET k f v g w h x", "HPEXPIRE k 1 FIELDS 1 f"] {
                client.line(line);
            }
            std::thread::sleep(Duration::from_millis(10));
            client.line("CONFIG RESETSTAT");
            if line == "RESTORE" {
                client.value(&dump)
            } else {
                client.ask(line)
            };
            let found = (number(&mut client, "expired_subkeys"), number(&mut client, "expired_keys"));
            assert_eq!(found, (fields, keys), "{line}");
        }
    });
}
