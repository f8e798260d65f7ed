//! The wire: split points, pipelines, malformed and oversize input, clients that do not read.

use crate::Case;
use crate::client::{Client, Protocol, Value, encode};
use crate::server::{self, Kind, Server};
use std::io::Write;
use std::time::{Duration, Instant};

pub const CASES: &[Case] = &[
    ("every_split_point", every_split_point),
    ("byte_at_a_time", byte_at_a_time),
    ("pipeline_of_10000", pipeline),
    ("oversize_inline_is_refused", oversize_inline),
    ("unauthenticated_limits", unauthenticated_limits),
    ("no_line_breaks_in_errors", no_line_breaks_in_errors),
    ("announced_bulk_takes_no_memory", announced_bulk),
    ("client_that_never_reads", never_reads),
    ("million_arguments", million_arguments),
    ("large_values_between_small_ones", large_values),
];

fn requests() -> (Vec<u8>, Vec<u8>) {
    let mut bytes = encode(&["HSET", "split", "f", "v\r\n$1", "g", ""]);
    bytes.extend_from_slice(b"PING\r\n");
    bytes.extend_from_slice(&encode(&["HGET", "split", "f"]));
    bytes.extend_from_slice(&encode(&["DEL", "split"]));
    (bytes, b":2\r\n+PONG\r\n$5\r\nv\r\n$1\r\n:1\r\n".to_vec())
}

fn expect(client: &mut Client, wanted: &[u8], what: &str) {
    let got: Vec<u8> = (0..4).flat_map(|_| client.reply().unwrap()).collect();
    assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(wanted), "{what}");
}

fn every_split_point() {
    let server = Server::start(Kind::Hashd);
    let (bytes, wanted) = requests();
    let mut client = server.client();
    for at in 1..bytes.len() {
        client.send_raw(&bytes[..at]).unwrap();
        std::thread::sleep(Duration::from_millis(1));
        client.send_raw(&bytes[at..]).unwrap();
        expect(&mut client, &wanted, &format!("split at {at}"));
    }
}

fn byte_at_a_time() {
    let server = Server::start(Kind::Hashd);
    let (bytes, wanted) = requests();
    let mut client = server.client();
    for byte in bytes {
        client.send_raw(&[byte]).unwrap();
        std::thread::sleep(Duration::from_micros(200));
    }
    expect(&mut client, &wanted, "byte at a time");
}

fn pipeline() {
    let server = Server::start(Kind::Hashd);
    let mut client = server.client();
    let bytes: Vec<u8> = (0..10_000).flat_map(|n| encode(&["ECHO", &n.to_string()])).collect();
    client.send_raw(&bytes).unwrap();
    for n in 0..10_000 {
        let text = n.to_string();
        assert_eq!(client.reply().unwrap(), format!("${}\r\n{text}\r\n", text.len()).into_bytes());
    }
    assert_eq!(client.line("PING"), "+PONG");
}

fn closed_with(server: &Server, bytes: &[u8]) -> String {
    let mut client = server.client();
    // The server may close before it has read everything.
    drop(client.send_raw(bytes));
    let rest = client.read_to_close().unwrap_or_else(|error| panic!("not closed: {error}"));
    server.assert_alive();
    String::from_utf8_lossy(&rest).into_owned()
}

fn oversize_inline() {
    let server = Server::start(Kind::Hashd);
    assert_eq!(closed_with(&server, &vec![b'a'; 65 * 1024 + 1]), "-ERR Protocol error: too big inline request\r\n");
    let mut number = b"*".to_vec();
    number.resize(65 * 1024 + 1, b'1');
    assert_eq!(closed_with(&server, &number), "-ERR Protocol error: too big mbulk count string\r\n");
    // A bulk length that never ends gets no answer from Redis 8.6, so nothing is asked of hashd either.
}

fn unauthenticated_limits() {
    let server = Server::start_with(Kind::Hashd, &["--requirepass", "secret"]);
    assert_eq!(closed_with(&server, b"*11\r\n"), "-ERR Protocol error: unauthenticated multibulk length\r\n");
    assert_eq!(closed_with(&server, b"*1\r\n$16385\r\n"), "-ERR Protocol error: unauthenticated bulk length\r\n");
    let mut client = server.client();
    assert_eq!(client.line("HGET k f"), "-NOAUTH Authentication required.");
    assert_eq!(client.line("AUTH secret"), "+OK");
    assert_eq!(client.line("HGET k f"), "nil$");
}

fn no_line_breaks_in_errors() {
    let server = server::borrow(Kind::Hashd);
    let mut client = server.client();
    for args in
        [vec!["a\r\nb"], vec!["nope", "x\r\n+OK\r\n"], vec!["CLIENT", "a\nb"], vec!["CONFIG", "SET", "a\r\nb", "c"]]
    {
        let reply = client.raw(&args);
        let text = &reply[..reply.len() - 2];
        assert!(reply.starts_with(b"-") && !text.contains(&b'\r') && !text.contains(&b'\n'), "{args:?}");
        assert_eq!(client.line("PING"), "+PONG", "one reply only to {args:?}");
    }
    server::give_back(server);
}

fn announced_bulk() {
    let server = Server::start(Kind::Hashd);
    let before = server.rss();
    let waiting: Vec<Client> = (0..8)
        .map(|_| {
            let mut client = server.client();
            client.send_raw(b"*2\r\n$4\r\nECHO\r\n$536870912\r\nabc").unwrap();
            client
        })
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    let grown = server.rss().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes for what was only announced");
    drop(waiting);
    server.assert_alive();
}

fn never_reads() {
    let server = Server::start(Kind::Hashd);
    let mut client = server.client();
    let value = vec![b'x'; 1 << 20];
    client.raw(&[b"HSET".as_slice(), b"k", b"f", &value]);
    let before = server.rss();
    let bytes: Vec<u8> = (0..500).flat_map(|_| encode(&["HGET", "k", "f"])).collect();
    client.send_raw(&bytes).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let grown = server.rss().saturating_sub(before);
    assert!(grown < 700 << 20, "{grown} bytes for a client that never reads");
    server.assert_alive();
}

fn million_arguments() {
    let server = Server::start(Kind::Hashd);
    let mut client = server.connect(Protocol::Resp3);
    let mut set = vec!["HSET".to_owned(), "k".to_owned()];
    let mut get = vec!["HMGET".to_owned(), "k".to_owned()];
    for n in 0..500_000 {
        set.extend([format!("f{n}"), "v".to_owned()]);
        get.extend([format!("f{n}"), "none".to_owned()]);
    }
    // A decoder that started over on each read would take hours; this leaves room for a slow, busy machine.
    let patience = Duration::from_secs(120);
    client.set_timeout(patience);
    let start = Instant::now();
    assert_eq!(client.value(&set), Value::Int(500_000));
    assert_eq!(client.value(&get).items().len(), 1_000_000);
    assert!(start.elapsed() < patience, "{:?}", start.elapsed());
}

/// Large and small requests in one stream, cut into pieces that fit none of them: the read buffer grows to the large ones,
/// is given back after them, and nothing of what follows is lost.
fn large_values() {
    let server = Server::start(Kind::Hashd);
    let lengths = [3, 100_000, 16_384, 16_385, 1, 3_000_000, 65_536, 20_000_000, 0, 100_000];
    let value = |length: usize| -> Vec<u8> { (0..length).map(|at| b'a' + u8::try_from(at % 23).unwrap()).collect() };
    let (mut bytes, mut wanted) = (Vec::new(), Vec::new());
    for (number, &length) in lengths.iter().enumerate() {
        let (field, value) = (number.to_string().into_bytes(), value(length));
        bytes.extend(encode(&[b"HSET".as_slice(), b"large", &field, &value]));
        bytes.extend(encode(&[b"HGET".as_slice(), b"large", &field]));
        wanted.push(b":1\r\n".to_vec());
        wanted.push([format!("${length}\r\n").as_bytes(), &value, b"\r\n"].concat());
    }
    for piece in [bytes.len(), 1_000_003, 70_001, 16_384] {
        let mut client = server.client();
        client.raw(&["DEL", "large"]);
        std::thread::scope(|scope| {
            let (mut sender, bytes) = (client.sender(), &bytes);
            scope.spawn(move || bytes.chunks(piece).for_each(|piece| sender.write_all(piece).unwrap()));
            for wanted in &wanted {
                assert!(
                    client.reply().unwrap() == *wanted,
                    "pieces of {piece}: {} bytes come back wrong",
                    wanted.len()
                );
            }
        });
    }
}
