//! A log of Redis in which there are values of other types, some of them where there were hashes.

use super::{ALWAYS, Folder, fails_to_start, run};
use crate::server::{Kind, Server};

/// Each leaves a hash, or none, in one of the keys `h1`, `h2`, ..
const COMMANDS: [&str; 22] = [
    "SET h1 v",
    "MSET h2 v other w h3 x",
    "SETEX h4 100 v",
    "SET h5 v XX",
    "BITOP NOT h6 text",
    "SUNIONSTORE h7 set",
    "SINTERSTORE h8 set nosuch",
    "ZRANGESTORE h9 sorted 0 -1",
    "GEOSEARCHSTORE h10 places FROMMEMBER a BYRADIUS 1 km",
    "GEORADIUS places 13 38 1 km STORE h11",
    "SORT set ALPHA STORE h12",
    "RENAME text2 h13",
    "COPY text h14 REPLACE",
    "COPY text h15 DB 1 REPLACE",
    "MSETEX 2 h16 v h17 w EX 100",
    "PSETEX h18 100000 v",
    "ZUNIONSTORE h19 1 sorted",
    // These leave hashes where something else was.
    "DEL h1",
    "HSET h1 g 2",
    "COPY h20 list REPLACE",
    "RENAME h21 text3",
    "MOVE h22 1",
];

pub(super) fn replaces_hashes() {
    let folder = Folder::new();
    let options = ["--appendonly", "yes", "--appendfsync", "always"];
    let redis = Server::start_in(Kind::Redis, &folder.0, &options);
    let mut client = redis.client();
    for database in ["SELECT 1", "SELECT 0"] {
        client.line(database);
        for number in 1..=26 {
            assert_eq!(client.line(&format!("HSET h{number} f v")), ":1");
        }
    }
    let stranger = ["SET text v", "SET text2 v", "SET text3 v", "RPUSH list a", "SADD set a b", "ZADD sorted 1 a"];
    run(&mut client, &stranger);
    run(&mut client, &["GEOADD places 13 38 a", "SELECT 1", "DEL h22", "SELECT 0"]);
    for command in COMMANDS {
        assert!(!client.line(command).starts_with('-'), "{command}");
    }
    let payload = client.raw(&["DUMP", "text"]);
    let start = payload.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let payload = &payload[start..payload.len() - 2];
    client.raw(&[b"RESTORE".as_slice(), b"h23", b"0", payload, b"REPLACE"]);
    let payload = client.raw(&["DUMP", "h24"]);
    let start = payload.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    client.raw(&[b"RESTORE".as_slice(), b"set", b"0", &payload[start..payload.len() - 2], b"REPLACE"]);
    let expected = hashes(&redis);
    assert!(expected.contains(&(0, "set".to_owned())) && !expected.contains(&(0, "h23".to_owned())));
    redis.kill();
    assert!(fails_to_start(&folder, &[]).contains("Unknown command 'SET' reading the append only file"));
    let hashd = Server::start_in(Kind::Hashd, &folder.0, &[ALWAYS, &["--rdb-foreign-types", "skip"]].concat());
    assert_eq!(hashes(&hashd), expected);
    hashd.kill();
    // What it has loaded is in a base of its own, or the log is as it was: either way it is found again.
    let hashd = Server::start_in(Kind::Hashd, &folder.0, &[ALWAYS, &["--rdb-foreign-types", "skip"]].concat());
    assert_eq!(hashes(&hashd), expected);
}

/// The keys that hold hashes, with their databases.
fn hashes(server: &Server) -> Vec<(usize, String)> {
    let mut client = server.client();
    let mut found = Vec::new();
    for database in [0, 1] {
        client.line(&format!("SELECT {database}"));
        let keys: Vec<String> = client.ask("KEYS *").items().iter().map(|key| key.text()).collect();
        found.extend(
            keys.into_iter().filter(|key| client.line(&format!("TYPE {key}")) == "+hash").map(|key| (database, key)),
        );
    }
    found.sort();
    found
}
