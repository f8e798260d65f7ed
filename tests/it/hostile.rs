//! Clients that mean harm or know no better: malformed bytes, replies never read, storms, no file descriptors left.

use crate::Case;
use crate::client::{Client, Protocol, encode, eventually, info};
use crate::server::{self, Kind, Server, on_both};
use std::io;
use std::time::{Duration, Instant};

pub const CASES: &[Case] = &[
    ("malformed_requests", malformed),
    ("edges_of_requests", edges),
    ("edges_before_authentication", unauthenticated_edges),
    ("names_as_long_as_they_may_be", long_names),
    ("patterns_that_mean_harm", glob_bombs),
    ("http_is_turned_away", http),
    ("a_panic_closes_one_client", panic),
    ("idle_connections_take_little", idle_connections),
    ("slow_readers_do_not_slow_others", slow_readers),
    ("byte_at_a_time_by_many", bytes_by_many),
    ("connection_storm", storm),
    ("no_file_descriptors_left", no_descriptors),
    ("turning_away_is_logged_once", logged_once),
];

/// Requests that are wrong, or nearly.
const MALFORMED: &[&[u8]] = &[
    b"*x\r\n",
    b"*\r\nPING\r\n",
    b"*-1\r\nPING\r\n",
    b"*0\r\nPING\r\n",
    b"*2147483647\r\n",
    b"*2147483648\r\n",
    b"*-2147483649\r\nPING\r\n",
    b"*99999999999999999999\r\n",
    b"*+1\r\n$4\r\nPING\r\n",
    b"*01\r\n$4\r\nPING\r\n",
    b"* 1\r\n$4\r\nPING\r\n",
    b"*1\r\n:1\r\n",
    b"*1\r\n*1\r\n$4\r\nPING\r\n",
    b"*1\r\n\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$x\r\n",
    b"*1\r\n$\r\n",
    b"*1\r\n$ 4\r\nPING\r\n",
    b"*1\r\n$4294967296\r\n",
    b"*1\r\n$536870913\r\n",
    b"*1\r\n$99999999999999999999\r\n",
    b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n",
    b"*1\r\n$4\r\nPING\n\nPING\r\n",
    b"*1\r\n$0\r\n\r\n",
    b"*2\r\n$0\r\n\r\n$1\r\nx\r\n",
    b"*3\r\n$4\r\nHGET\r\n$1\r\nk\r\n$1\r\nf\r\nPING\r\n",
    b"*1\n$4\nPING\n",
    b"$4\r\nPING\r\n",
    b"+PING\r\n",
    b"%1\r\n",
    b"PING\nPING\r\n",
    b"\"unbalanced\r\n",
    b"'x\r\n",
    b"\"a\"b\r\n",
    b"\r\n\n\r\nPING\r\n",
    b" \t PING\r\n",
    b"\0\r\n",
    b"PING\0x\r\n",
    b"\xff\xfe\r\n",
    b"PING\r\n*1\r\n$x\r\nPING\r\n",
];

/// What the server answers until it says no more for a while, and whether it closes the connection.
fn outcome_within(patience: Duration, server: &Server, pieces: &[&[u8]]) -> (String, bool) {
    let mut client = server.client();
    for piece in pieces {
        // It may be closed before it has read everything.
        drop(client.send_raw(piece));
    }
    client.set_timeout(patience);
    let mut text = String::new();
    loop {
        match client.reply() {
            Ok(reply) => text.push_str(&String::from_utf8_lossy(&reply)),
            Err(error) => {
                let waits = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
                return (text, !waits);
            }
        }
    }
}

fn outcome(server: &Server, pieces: &[&[u8]]) -> (String, bool) {
    outcome_within(Duration::from_secs(1), server, pieces)
}

/// That two outcomes are the same; on a busy machine some may need more patience.
fn assert_same(one: (&Server, &[&[u8]]), other: (&Server, &[&[u8]])) {
    let both = |patience| (outcome_within(patience, one.0, one.1), outcome_within(patience, other.0, other.1));
    let (first, second) = both(Duration::from_millis(30));
    if first != second {
        let (first, second) = both(Duration::from_secs(2));
        assert_eq!(first, second, "{}", one.1.concat().escape_ascii());
    }
}

fn malformed() {
    let hashd = Server::start(Kind::Hashd);
    let redis = server::has(Kind::Redis).then(|| Server::start(Kind::Redis));
    for bytes in MALFORMED {
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_same((&hashd, &[bytes]), (&hashd, &single));
        if let Some(redis) = &redis {
            assert_same((&hashd, &[bytes]), (redis, &[bytes]));
        }
    }
    hashd.assert_alive();
}

/// Requests at the limits of the protocol: one below, at the edge, and one above.
fn edges() {
    const INLINE: usize = 64 * 1024;
    let mut requests = Vec::new();
    for length in [INLINE - 1, INLINE, INLINE + 1] {
        requests.push(vec![b'a'; length]);
        // The number of arguments, and the length of one.
        requests.push([b"*".to_vec(), vec![b'0'; length - 1]].concat());
        requests.push([b"PING ".to_vec(), vec![b'x'; length / 2 - 7], b"\r\nPING\r\n".to_vec()].concat());
    }
    for count in [1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1, i64::from(i32::MAX), i64::from(i32::MAX) + 1] {
        requests.push(format!("*{count}\r\n$4\r\nPING\r\n").into_bytes());
        requests.push(format!("*-{count}\r\nPING\r\n").into_bytes());
    }
    for length in [512_i64 << 20, (512 << 20) + 1, i64::MAX] {
        requests.push(format!("*1\r\n${length}\r\n").into_bytes());
        requests.push(format!("*2\r\n$4\r\nECHO\r\n${length}\r\nx").into_bytes());
    }
    let hashd = Server::start(Kind::Hashd);
    let redis = server::has(Kind::Redis).then(|| Server::start(Kind::Redis));
    for bytes in &requests {
        let redis = redis.as_ref().unwrap_or(&hashd);
        assert_same((&hashd, &[bytes]), (redis, &[bytes]));
    }
    hashd.assert_alive();
}

fn unauthenticated_edges() {
    const NOAUTH: &str = "-NOAUTH Authentication required.\r\n";
    on_both(&["--requirepass", "x"], |server| {
        let of = |arguments: usize, length: usize| {
            let keys = vec!["x".repeat(length); arguments - 1];
            encode(&[vec!["DEL".to_owned()], keys].concat())
        };
        for (request, answer) in [
            (of(9, 1), NOAUTH),
            (of(10, 1), NOAUTH),
            (of(11, 1), "-ERR Protocol error: unauthenticated multibulk length\r\n"),
            (of(2, 16_383), NOAUTH),
            (of(10, 16_384), NOAUTH),
            (of(2, 16_385), "-ERR Protocol error: unauthenticated bulk length\r\n"),
        ] {
            let (text, is_closed) = outcome_within(Duration::from_millis(200), server, &[&request]);
            assert_eq!((text.as_str(), is_closed), (answer, answer != NOAUTH), "{} bytes", request.len());
        }
        // Whoever has named itself may send as much as anybody.
        let mut client = server.client();
        assert_eq!(client.line("AUTH x"), "+OK");
        assert_eq!(client.value(&["ECHO", &"x".repeat(100_000)]).text().len(), 100_000);
        // Until it is nobody again.
        assert_eq!(client.line("RESET"), "+RESET");
        client.send_raw(b"*11\r\n").unwrap();
        assert!(client.read_to_close().unwrap().starts_with(b"-ERR Protocol error: unauthenticated"));
    });
}

/// Keys, fields, values and channels of the longest argument there may be.
fn long_names() {
    on_both(&["--proto-max-bulk-len", "1mb"], |server| {
        let mut client = server.client();
        let longest = "n".repeat(1 << 20);
        let other = format!("{}m", &longest[1..]);
        assert_eq!(client.value(&["HSET", &longest, &longest, &longest]).int(), 1);
        assert_eq!(client.value(&["HGET", &longest, &longest]).text(), longest);
        assert_eq!(client.value(&["HEXPIRE", &longest, "100", "FIELDS", "1", &longest]).items()[0].int(), 1);
        assert_eq!(client.value(&["HEXISTS", &longest, &other]).int(), 0);
        assert_eq!(client.value(&["RENAME", &longest, &other]).text(), "OK");
        assert_eq!(client.value(&["HSTRLEN", &other, &longest]).int(), 1 << 20);
        assert_eq!(client.value(&["KEYS", "*"]).items()[0].text(), other);
        assert_eq!(client.value(&["HKEYS", &other]).items()[0].text(), longest);
        assert_eq!(client.value(&["SUBSCRIBE", &longest]).items()[1].text(), longest);
        assert_eq!(server.client().value(&["PUBLISH", &longest, &longest]).int(), 1);
        assert_eq!(client.next_value().items()[2].text(), longest);
    });
}

/// Patterns that a matcher which tries everything would not be done with in years. What one takes at most is counted in the
/// unit tests of `base::glob`; here every way to it answers within the time that a client waits.
fn glob_bombs() {
    let server = Server::start_with(Kind::Hashd, &["--proto-max-bulk-len", "1mb", "--notify-keyspace-events", "KEA"]);
    let mut client = server.client();
    let text = "a".repeat(1500);
    client.value(&["HSET", &text, &text, "v"]);
    let mut many = vec!["HSET".to_owned(), "many".to_owned()];
    many.extend((0..600).flat_map(|n| [format!("{}{n}", "a".repeat(100)), "v".to_owned()]));
    client.value(&many);
    for bomb in [format!("{}b", "a*".repeat(300)), format!("{}*b", "*a".repeat(300)), format!("*{}b", "a".repeat(500))]
    {
        let bomb = bomb.as_str();
        assert_eq!(client.value(&["KEYS", bomb]).items(), []);
        for request in [&["SCAN", "0", "MATCH", bomb, "COUNT", "5000"][..], &["HSCAN", &text, "0", "MATCH", bomb]] {
            assert_eq!(client.value(request).items()[1].items(), [], "{}", request[0]);
        }
        assert_eq!(client.value(&["HSCAN", "many", "0", "MATCH", bomb, "COUNT", "5000"]).items()[1].items(), []);
        assert_eq!(client.value(&["CONFIG", "GET", bomb]).items(), []);
        assert_eq!(client.value(&["COMMAND", "LIST", "FILTERBY", "PATTERN", bomb]).items(), []);
        let mut listener = server.client();
        listener.value(&["PSUBSCRIBE", bomb]);
        assert_eq!(client.value(&["PUBLISH", &text, "m"]).int(), 0);
        let mut subscriber = server.client();
        subscriber.value(&["SUBSCRIBE", &text]);
        assert_eq!(client.value(&["PUBSUB", "CHANNELS", bomb]).items(), []);
        // Keyspace events are published to it as well.
        assert_eq!(client.value(&["HSET", &text, &text, "v"]).int(), 0);
        let rules = [&format!("~{bomb}"), &format!("&{bomb}")];
        client.value(&["ACL", "SETUSER", "u", "reset", "on", "nopass", "+@all", rules[0], rules[1]]);
        let mut user = server.client();
        assert_eq!(user.line("AUTH u x"), "+OK");
        for request in [&["HGET", &text, "f"][..], &["PUBLISH", &text, "m"], &["DEL", &text]] {
            assert!(user.raw(request).starts_with(b"-NOPERM"), "{}", request[0]);
        }
    }
    server.assert_alive();
}

fn http() {
    on_both(&[], |server| {
        for bytes in [&b"POST / HTTP/1.1\r\nPING\r\n"[..], b"host: example.com\r\n", b"*1\r\n$4\r\nPoSt\r\n"] {
            assert_eq!(outcome(server, &[bytes]), (String::new(), true));
        }
        assert!(outcome(server, &[b"PING\r\nPOST / HTTP/1.1\r\n"]).1);
    });
    let server = Server::start(Kind::Hashd);
    for _ in 0..20 {
        outcome(&server, &[b"POST / HTTP/1.1\r\n"]);
    }
    assert_eq!(server.log().matches("SECURITY ATTACK").count(), 1);
}

fn panic() {
    let server = Server::start_with(Kind::Hashd, &["--io-threads", "1"]);
    let mut other = server.client();
    for before in ["", "MULTI\r\nHSET k f v\r\n", "HELLO 3\r\nWATCH k\r\nSUBSCRIBE c\r\n"] {
        let mut victim = server.client();
        let last = if before.starts_with("MULTI") { "DEBUG PANIC\r\nEXEC\r\n" } else { "DEBUG PANIC\r\nPING\r\n" };
        victim.send_raw(format!("{before}{last}").as_bytes()).unwrap();
        victim.set_timeout(Duration::from_secs(5));
        victim.read_to_close().unwrap();
        assert_eq!(other.line("HSET k f v2").chars().next(), Some(':'), "after {before:?}");
    }
    assert_eq!(info(&mut other, "clients", "connected_clients"), "1");
    assert_eq!(info(&mut other, "stats", "command_panics"), "3");
    assert_eq!(other.line("PUBSUB CHANNELS"), "[]");
    let log = server.log();
    assert_eq!(log.matches("a command has panicked, closing its client").count(), 3, "{log}");
    assert!(log.contains("command=\"debug\""), "{log}");
}

fn idle_connections() {
    const MANY: usize = 4000;
    let server = Server::start(Kind::Hashd);
    let mut first = server.client();
    first.line("HSET k f v");
    let before = server.rss();
    let mut idle = Vec::with_capacity(MANY);
    for _ in 0..MANY {
        let mut client = server.client();
        client.send(&["HGET", "k", "f"]).unwrap();
        idle.push(client);
    }
    for client in &mut idle {
        assert_eq!(client.reply().unwrap(), b"$1\r\nv\r\n");
    }
    let each = server.rss().saturating_sub(before) / MANY as u64;
    assert!(each < 6 * 1024, "{each} bytes for an idle connection");
    assert_eq!(first.line("PING"), "+PONG");
    // All wake up again.
    for client in &mut idle {
        assert_eq!(client.line("HGET k f"), "\"v\"");
    }
}

/// How long the slowest but one in a hundred of many requests takes.
fn slowest_of_most(client: &mut Client, requests: usize) -> Duration {
    let mut times: Vec<Duration> = (0..requests)
        .map(|_| {
            let begun = Instant::now();
            assert_eq!(client.line("HGET small f"), "\"v\"");
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[requests - 1 - requests / 100]
}

fn slow_readers() {
    let server = Server::start(Kind::Hashd);
    let mut client = server.client();
    client.line("HSET small f v");
    client.value(&["HSET", "big", "f", &"v".repeat(100_000)]);
    let alone = slowest_of_most(&mut client, 2000);
    let before = server.rss();
    let requests: Vec<u8> = (0..64).flat_map(|_| encode(&["HGET", "big", "f"])).collect();
    let mut slow: Vec<Client> = (0..100).map(|_| server.client()).collect();
    for reader in &mut slow {
        reader.send_raw(&requests).unwrap();
    }
    std::thread::sleep(Duration::from_millis(500));
    let beside = slowest_of_most(&mut client, 2000);
    // Of 640 MB that are asked for, 256 KB and a reply wait for each.
    let grown = server.rss().saturating_sub(before);
    assert!(grown < 200 << 20, "{grown} bytes for 100 clients that do not read");
    // Other tests run at the same time: this is about seconds, not microseconds.
    assert!(
        beside < alone * 4 + Duration::from_millis(50),
        "{alone:?} alone, {beside:?} beside clients that do not read"
    );
    // They get everything once they read.
    for reader in &mut slow {
        for _ in 0..64 {
            assert_eq!(reader.reply().unwrap().len(), 100_011);
        }
    }
}

fn bytes_by_many() {
    let server = Server::start(Kind::Hashd);
    let request = encode(&["HSET", "k", "f", "v"]);
    let mut clients: Vec<Client> = (0..200).map(|_| server.client()).collect();
    for byte in &request {
        clients.iter_mut().for_each(|client| client.send_raw(&[*byte]).unwrap());
    }
    for client in &mut clients {
        assert!(client.reply().unwrap().starts_with(b":"));
    }
}

fn storm() {
    let server = Server::start(Kind::Hashd);
    let mut client = server.client();
    client.line("HSET small f v");
    let alone = slowest_of_most(&mut client, 1000);
    let beside = std::thread::scope(|scope| {
        for thread in 0..2 {
            let server = &server;
            scope.spawn(move || {
                for n in 0..3000 {
                    let mut client = Client::connect(server.port, Protocol::Resp2).unwrap();
                    // Some leave without a word, some in the middle of one.
                    match (n + thread) % 3 {
                        0 => {}
                        1 => drop(client.send_raw(b"*2\r\n$4\r\nEC")),
                        _ => assert_eq!(client.line("PING"), "+PONG"),
                    }
                }
            });
        }
        slowest_of_most(&mut client, 1000)
    });
    assert!(beside < alone * 4 + Duration::from_millis(50), "{alone:?} alone, {beside:?} in a storm");
    eventually("all gone", || info(&mut client, "clients", "connected_clients") == "1");
}

fn no_descriptors() {
    let server = Server::start_with(Kind::Hashd, &["--loglevel", "notice", "--io-threads", "1"]);
    let mut first = server.client();
    assert_eq!(first.line("PING"), "+PONG");
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count() as u64;
    let pid = libc::pid_t::try_from(server.pid()).unwrap();
    let limit = |files| rlimit::prlimit(pid, rlimit::Resource::NOFILE, Some((files, 4096)), None).unwrap();
    limit(open + 5);
    let mut waiting: Vec<Client> = (0..20).map(|_| server.client()).collect();
    waiting.iter_mut().for_each(|client| client.send(&["PING"]).unwrap());
    std::thread::sleep(Duration::from_millis(1500));
    // Those who are served are served on; the rest waits without an end, and without filling the log.
    assert_eq!(first.line("PING"), "+PONG");
    assert_eq!(server.log().matches("cannot accept clients").count(), 1, "{}", server.log());
    limit(4096);
    for client in &mut waiting {
        assert_eq!(client.reply().unwrap(), b"+PONG\r\n");
    }
    assert_eq!(server.log().matches("accepting clients again").count(), 1, "{}", server.log());
}

fn logged_once() {
    let server = Server::start_with(Kind::Hashd, &["--maxclients", "3"]);
    std::thread::sleep(Duration::from_millis(100));
    let mut there: Vec<Client> = (0..3).map(|_| server.client()).collect();
    there.iter_mut().for_each(|client| assert_eq!(client.line("PING"), "+PONG"));
    for _ in 0..50 {
        assert_eq!(server.client().read_to_close().unwrap(), b"-ERR max number of clients reached\r\n");
    }
    assert_eq!(server.log().matches("max number of clients reached").count(), 1);
}
