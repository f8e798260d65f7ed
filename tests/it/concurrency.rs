//! Many connections at once: no update is lost and no key.

use crate::Case;
use crate::server::{Kind, Server};

pub const CASES: &[Case] = &[("hincrby_sums_up", hincrby), ("rename_storm_keeps_keys", renames)];

fn hincrby() {
    let server = Server::start(Kind::Hashd);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = server.client();
                for n in 0..500 {
                    client.line(&format!("HINCRBY sum f{} 1", n % 5));
                }
            });
        }
    });
    let values = server.client().ask("HVALS sum");
    assert_eq!(values.items().iter().map(|value| value.text().parse::<u32>().unwrap()).sum::<u32>(), 8000);
}

fn renames() {
    let server = Server::start(Kind::Hashd);
    let mut client = server.client();
    for n in 0..8 {
        client.line(&format!("HSET a{n} owner {n}"));
    }
    std::thread::scope(|scope| {
        for n in 0..8 {
            let server = &server;
            scope.spawn(move || {
                let mut client = server.client();
                for round in 0..500 {
                    let (from, to) = if round % 2 == 0 { ("a", "b") } else { ("b", "a") };
                    assert_eq!(client.line(&format!("RENAME {from}{n} {to}{n}")), "+OK");
                }
            });
        }
    });
    assert_eq!(client.ask("DBSIZE").int(), 8);
    for n in 0..8 {
        assert_eq!(client.line(&format!("HGET a{n} owner")), format!("\"{n}\""));
    }
}
