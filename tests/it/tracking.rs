//! Client-side caching where ids, several workers or races matter; the rest is in `connection/client_tracking.txt`.

use crate::Case;
use crate::client::{Client, Protocol, eventually, info};
use crate::resp;
use crate::server::{Kind, Server, on_both};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub const CASES: &[Case] = &[
    ("redirect", redirect),
    ("redirect_to_a_subscriber", redirect_to_subscriber),
    ("redirect_target_gone", redirect_target_gone),
    ("many_readers_on_all_workers", many_readers),
    ("table_is_limited", table_is_limited),
    ("limit_follows_config_set", limit_follows_config_set),
    ("totals", totals),
    ("slow_tracker_is_closed", slow_tracker),
    ("cache_is_never_stale", never_stale),
    ("no_write_falls_between_read_and_note", one_write_each),
    ("redirected_cache_is_never_stale", never_stale_redirected),
];

pub fn id_of(client: &mut Client) -> i64 {
    client.ask("CLIENT ID").int()
}

/// The next message as text.
fn message(client: &mut Client) -> String {
    resp::render(&client.reply().expect("a message"))
}

/// Asserts that no message waits: the next thing to come is the reply to PING.
fn assert_silent(client: &mut Client) {
    assert_eq!(client.line("PING"), "+PONG");
}

fn redirect() {
    on_both(&[], |server| {
        let (mut reader, mut writer) = (server.client(), server.client());
        let mut target = server.connect(Protocol::Resp3);
        let id = id_of(&mut target);
        assert_eq!(
            reader.line(&format!("CLIENT TRACKING ON REDIRECT {id} REDIRECT {id}")),
            "-ERR A client can only redirect to a single other client"
        );
        assert_eq!(reader.line(&format!("CLIENT TRACKING ON REDIRECT {id}")), "+OK");
        assert_eq!(reader.ask("CLIENT GETREDIR").int(), id);
        assert_eq!(
            reader.line("CLIENT TRACKINGINFO"),
            format!("[\"flags\", [\"on\"], \"redirect\", :{id}, \"prefixes\", []]")
        );
        assert!(reader.ask("CLIENT INFO").text().contains(&format!(" redir={id} ")));
        reader.line("HGET k f");
        writer.line("HSET k f v");
        assert_eq!(message(&mut target), ">[\"invalidate\", [\"k\"]]");
        // A client in RESP2 that has not subscribed to anything gets nothing.
        let mut deaf = server.client();
        let deaf_id = id_of(&mut deaf);
        assert_eq!(reader.line(&format!("CLIENT TRACKING ON REDIRECT {deaf_id}")), "+OK");
        reader.line("HGET k f");
        writer.line("HSET k f w");
        assert_silent(&mut deaf);
        assert_silent(&mut reader);
        assert_silent(&mut target);
    });
}

/// In RESP2 the messages come over a channel, to who listens to anything.
fn redirect_to_subscriber() {
    on_both(&[], |server| {
        let (mut reader, mut writer, mut target) = (server.client(), server.client(), server.client());
        let id = id_of(&mut target);
        if target.line("SUBSCRIBE __redis__:invalidate").starts_with("-ERR unknown command") {
            return;
        }
        reader.line(&format!("CLIENT TRACKING ON REDIRECT {id}"));
        reader.line("HGET k f");
        writer.line("HSET k f v");
        assert_eq!(message(&mut target), "[\"message\", \"__redis__:invalidate\", [\"k\"]]");
        writer.line("FLUSHALL");
        assert_eq!(message(&mut target), "[\"message\", \"__redis__:invalidate\", nil$]");
        reader.line("CLIENT TRACKING OFF");
        reader.line(&format!("CLIENT TRACKING ON BCAST PREFIX a REDIRECT {id}"));
        writer.line("HSET ab f v");
        assert_eq!(message(&mut target), "[\"message\", \"__redis__:invalidate\", [\"ab\"]]");
    });
}

fn redirect_target_gone() {
    on_both(&[], |server| {
        let (mut reader, mut writer) = (server.connect(Protocol::Resp3), server.client());
        let mut target = server.connect(Protocol::Resp3);
        let id = id_of(&mut target);
        reader.line(&format!("CLIENT TRACKING ON REDIRECT {id}"));
        reader.line("HGET k f");
        assert_eq!(writer.line(&format!("CLIENT KILL ID {id}")), ":1");
        target.read_to_close().unwrap();
        writer.line("HSET k f v");
        assert_eq!(message(&mut reader), format!(">[\"tracking-redir-broken\", :{id}]"));
        assert_eq!(
            reader.line("CLIENT TRACKINGINFO"),
            format!("{{\"flags\": ~[\"on\", \"broken_redirect\"], \"redirect\": :{id}, \"prefixes\": []}}")
        );
        assert!(reader.ask("CLIENT INFO").text().contains(" flags=tR "));
        assert_eq!(reader.line("CLIENT TRACKING ON"), "+OK");
        reader.line("HGET k f");
        writer.line("HSET k f w");
        assert_eq!(message(&mut reader), ">[\"invalidate\", [\"k\"]]");
    });
}

fn many_readers() {
    let server = Server::start_with(Kind::Hashd, &["--io-threads", "4"]);
    let mut writer = server.client();
    let mut readers: Vec<Client> = (0..12).map(|_| server.connect(Protocol::Resp3)).collect();
    for (n, reader) in readers.iter_mut().enumerate() {
        reader.line(if n % 2 == 0 { "CLIENT TRACKING ON" } else { "CLIENT TRACKING ON BCAST PREFIX sha" });
        reader.line("HGET shared f");
    }
    writer.line("HSET shared f v");
    for reader in &mut readers {
        assert_eq!(message(reader), ">[\"invalidate\", [\"shared\"]]");
        assert_silent(reader);
    }
    // Who leaves is no longer told, and holds nobody up.
    drop(readers.split_off(6));
    writer.line("HSET shared f w");
    for reader in readers.iter_mut().skip(1).step_by(2) {
        assert_eq!(message(reader), ">[\"invalidate\", [\"shared\"]]");
    }
}

fn table_is_limited() {
    let server = Server::start_with(Kind::Hashd, &["--tracking-table-max-keys", "100"]);
    let (mut reader, mut writer) = (server.connect(Protocol::Resp3), server.client());
    reader.line("CLIENT TRACKING ON");
    // What is forgotten is told as if it had changed.
    for n in 0..300 {
        reader.send(&["HGET", &format!("k{n}"), "f"]).unwrap();
    }
    let mut forgotten = Vec::new();
    for _ in 0..500 {
        let text = message(&mut reader);
        if text != "_" {
            forgotten.push(text);
        }
    }
    forgotten.sort();
    forgotten.dedup();
    assert_eq!(forgotten.len(), 200);
    assert_eq!(info(&mut writer, "stats", "tracking_total_keys"), "100");
    for n in 0..300 {
        writer.line(&format!("HSET k{n} f v"));
    }
    for _ in 0..100 {
        forgotten.push(message(&mut reader));
    }
    forgotten.sort();
    forgotten.dedup();
    assert_eq!(forgotten.len(), 300);
    assert_silent(&mut reader);
}

fn limit_follows_config_set() {
    let server = Server::start_with(Kind::Hashd, &["--tracking-table-max-keys", "0"]);
    let (mut reader, mut admin) = (server.connect(Protocol::Resp3), server.client());
    reader.line("CLIENT TRACKING ON");
    let total = |admin: &mut Client| info(admin, "stats", "tracking_total_keys");
    for n in 0..2500 {
        assert_eq!(reader.line(&format!("HGET k{n} f")), "_");
    }
    // 0 is no limit.
    assert_eq!(total(&mut admin), "2500");
    for (limit, forgotten) in [(2499, 1), (10, 2489), (1, 9)] {
        assert_eq!(admin.line(&format!("CONFIG SET tracking-table-max-keys {limit}")), "+OK");
        eventually("keys are forgotten", || total(&mut admin) == limit.to_string());
        for _ in 0..forgotten {
            assert!(message(&mut reader).starts_with(">[\"invalidate\", [\"k"));
        }
        assert_silent(&mut reader);
    }
    // At the limit a key takes the place of another, or finds none.
    reader.send(&["HGET", "another", "f"]).unwrap();
    let mut replies = [message(&mut reader), message(&mut reader)];
    replies.sort();
    assert!(replies[0].starts_with(">[\"invalidate\"") && replies[1] == "_", "{replies:?}");
    assert_eq!(total(&mut admin), "1");
    assert_eq!(admin.line("CONFIG SET tracking-table-max-keys 0"), "+OK");
    assert_eq!(reader.line("EXISTS a b c d"), ":0");
    assert_eq!(total(&mut admin), "5");
}

fn totals() {
    on_both(&[], |server| {
        let mut client = server.client();
        let mut total = |name: &str| {
            let section = if name == "tracking_clients" { "clients" } else { "stats" };
            info(&mut client, section, name)
        };
        let (mut one, mut two) = (server.connect(Protocol::Resp3), server.connect(Protocol::Resp3));
        one.line("CLIENT TRACKING ON");
        two.line("CLIENT TRACKING ON");
        let mut three = server.connect(Protocol::Resp3);
        three.line("CLIENT TRACKING ON BCAST PREFIX a PREFIX b");
        one.line("EXISTS a b");
        two.line("HGET b f");
        let names = ["tracking_clients", "tracking_total_keys", "tracking_total_items", "tracking_total_prefixes"];
        assert_eq!(names.map(&mut total), ["3", "2", "3", "2"]);
        three.line("CLIENT TRACKING OFF");
        two.line("HSET b f v");
        assert_eq!(names.map(&mut total), ["2", "1", "1", "0"]);
    });
}

/// A client that does not read its messages is closed when too many have gathered; nobody waits for it.
fn slow_tracker() {
    let limit = ["--client-output-buffer-limit", "normal 100kb 0 0"];
    let server = Server::start_with(Kind::Hashd, &limit);
    let mut slow = server.connect(Protocol::Resp3);
    slow.line("CLIENT TRACKING ON BCAST");
    let mut writer = server.client();
    let key = "k".repeat(60_000);
    for n in 0..400 {
        assert!(writer.line(&format!("HSET {key} f {n}")).starts_with(':'));
    }
    let give_up = std::time::Instant::now() + Duration::from_secs(5);
    while info(&mut writer, "clients", "tracking_clients") != "0" {
        assert!(std::time::Instant::now() < give_up, "the slow client is still there");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A cache as a client keeps it: what it has read, but for what it was told to drop.
#[derive(Default)]
struct Cache {
    values: HashMap<String, String>,
}

impl Cache {
    /// Drops what a message names.
    fn drop_named(&mut self, text: &str) {
        let key = text.strip_prefix(">[\"invalidate\", [\"").and_then(|rest| rest.strip_suffix("\"]]"));
        let key = key.unwrap_or_else(|| panic!("what is {text}?"));
        self.values.remove(key);
    }

    /// Reads a key unless it is cached, minding the messages before the reply.
    fn read(&mut self, client: &mut Client, key: &str) {
        if self.values.contains_key(key) {
            return;
        }
        client.send(&["HGET", key, "f"]).unwrap();
        loop {
            let text = message(client);
            if text.starts_with('>') {
                self.drop_named(&text);
            } else {
                self.values.insert(key.to_owned(), text);
                return;
            }
        }
    }
}

fn never_stale() {
    let server = Server::start_with(Kind::Hashd, &["--io-threads", "3"]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let server = &server;
                scope.spawn(move || write_at_random(&mut server.client(), writer))
            })
            .collect();
        for _ in 0..3 {
            scope.spawn(|| {
                let mut client = server.connect(Protocol::Resp3);
                client.line("CLIENT TRACKING ON");
                let mut cache = Cache::default();
                let mut n = 0;
                while !done.load(Ordering::Relaxed) {
                    n += 1;
                    cache.read(&mut client, &format!("k{}", n % 8));
                    if n % 16 == 0 {
                        mind_messages(&mut client, &mut cache);
                    }
                }
                mind_messages(&mut client, &mut cache);
                assert_fresh(&mut server.client(), &cache);
            });
        }
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Relaxed);
    });
}

/// Each key is read once and changed once at about the same time: a change that nobody is told of stays unnoticed.
fn one_write_each() {
    const KEYS: usize = 4000;
    let server = Server::start_with(Kind::Hashd, &["--io-threads", "2"]);
    // Dealt out in turn, the two are on different workers.
    let (mut reader, mut writer) = (server.connect(Protocol::Resp3), server.client());
    reader.line("CLIENT TRACKING ON");
    let pipeline = |word: &str, value: &str| -> Vec<u8> {
        (0..KEYS).flat_map(|n| format!("{word} k{n} f {value}\r\n").replace(" \r", "\r").into_bytes()).collect()
    };
    for round in 0..10 {
        let (reads, writes) = (pipeline("HGET", ""), pipeline("HSET", &round.to_string()));
        let mut cache = Cache::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                writer.send_raw(&writes).unwrap();
                (0..KEYS).for_each(|_| drop(writer.reply().unwrap()));
            });
            reader.send_raw(&reads).unwrap();
            let mut key = 0;
            while key < KEYS {
                let text = message(&mut reader);
                if text.starts_with('>') {
                    cache.drop_named(&text);
                } else {
                    cache.values.insert(format!("k{key}"), text);
                    key += 1;
                }
            }
        });
        mind_messages(&mut reader, &mut cache);
        assert_fresh(&mut server.client(), &cache);
        writer.send_raw(&pipeline("HSET", "-")).unwrap();
        (0..KEYS).for_each(|_| drop(writer.reply().unwrap()));
        mind_messages(&mut reader, &mut Cache::default());
    }
}

/// Hundreds of changes of eight keys: by one command, by two, by expiry, by renaming.
fn write_at_random(client: &mut Client, writer: usize) {
    for n in 0..3000 {
        let (key, other) = (format!("k{}", (n * 7 + writer) % 8), format!("k{}", (n * 3 + 1) % 8));
        let line = match n % 13 {
            0 => format!("DEL {key}"),
            1 => format!("RENAME {key} {other}"),
            2 => format!("PEXPIRE {key} 1"),
            3 => format!("HDEL {key} f"),
            _ => format!("HSET {key} f {writer}-{n}"),
        };
        client.line(&line);
    }
    // What is due but not yet reclaimed has not been told of yet, as in Redis.
    std::thread::sleep(Duration::from_millis(400));
}

/// Takes the messages in that have been sent so far: those before the reply to PING.
fn mind_messages(client: &mut Client, cache: &mut Cache) {
    client.send(&["PING"]).unwrap();
    loop {
        match message(client).as_str() {
            "+PONG" => return,
            text => cache.drop_named(text),
        }
    }
}

fn assert_fresh(client: &mut Client, cache: &Cache) {
    for (key, cached) in &cache.values {
        let now = client.line(&format!("HGET {key} f"));
        let now = if now == "nil$" { "_".to_owned() } else { now };
        assert_eq!(*cached, now, "{key}");
    }
}

/// With REDIRECT the messages take another way than the replies, and may come first. So a client marks what it asks
/// for, and keeps a reply only if it was not told to drop the key meanwhile. What it keeps must not go stale.
fn never_stale_redirected() {
    let server = Server::start_with(Kind::Hashd, &["--io-threads", "3"]);
    let mut target = server.connect(Protocol::Resp3);
    let id = id_of(&mut target);
    let mut reader = server.client();
    reader.line(&format!("CLIENT TRACKING ON REDIRECT {id}"));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_at_random(&mut server.client(), 0));
        // A key whose message has not come yet was last read after its last change: read it again only after that.
        let mut cache = Cache::default();
        target.set_timeout(Duration::from_millis(2));
        while !writer.is_finished() {
            for n in 0..8 {
                let key = format!("k{n}");
                if !cache.values.contains_key(&key) {
                    cache.values.insert(key.clone(), reader.line(&format!("HGET {key} f")).replace("nil$", "_"));
                }
            }
            while let Ok(bytes) = target.reply() {
                cache.drop_named(&resp::render(&bytes));
            }
        }
        writer.join().unwrap();
        target.set_timeout(Duration::from_secs(5));
        mind_messages(&mut target, &mut cache);
        assert_fresh(&mut server.client(), &cache);
    });
}
