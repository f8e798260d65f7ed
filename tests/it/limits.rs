//! What a client may take: every limit at its edge, beside Redis.

use crate::Case;
use crate::client::{Client, encode, eventually, info};
use crate::server::{Kind, Server, on_both};
use std::time::{Duration, Instant};

pub const CASES: &[Case] = &[
    ("query_buffer", query_buffer),
    ("bulk_length", bulk_length),
    ("reply_over_the_hard_limit", reply_over_hard_limit),
    ("replies_that_gather", replies_that_gather),
    ("messages_over_the_hard_limit", messages_over_hard_limit),
    ("soft_limit", soft_limit),
    ("readers_that_keep_up_stay", readers_that_keep_up),
    ("idle_clients_are_closed", idle_clients),
    ("maxclients_at_run_time", maxclients),
    ("maxclients_and_open_files", open_files),
    ("clients_are_evicted", eviction),
    ("transactions_have_a_limit", transactions),
    ("names_count_as_memory", names),
    ("who_is_nobody_has_to_read", unauthenticated_output),
];

const MIB: usize = 1 << 20;

/// Whether the server closes the connection instead of answering.
fn is_closed(client: &mut Client) -> bool {
    client.reply().is_err()
}

fn id_of(client: &mut Client) -> i64 {
    client.ask("CLIENT ID").int()
}

fn query_buffer() {
    on_both(&["--client-query-buffer-limit", "1mb"], |server| {
        let mut watcher = server.client();
        // What counts is what has not been decoded: the argument and its line break.
        for (length, fits) in [(MIB - 3, true), (MIB - 2, true), (MIB - 1, false), (MIB, false)] {
            let mut client = server.client();
            drop(client.send(&["ECHO", &"x".repeat(length)]));
            assert_eq!(is_closed(&mut client), !fits, "an argument of {length} bytes");
        }
        assert_eq!(info(&mut watcher, "stats", "client_query_buffer_limit_disconnections"), "2");
        // All arguments together may be longer.
        let mut client = server.client();
        let half = "x".repeat(MIB - 100);
        assert_eq!(client.value(&["HSET", "k", "f", &half, "g", &half]).int(), 2);
    });
}

fn bulk_length() {
    on_both(&["--proto-max-bulk-len", "1mb"], |server| {
        for (length, fits) in [(MIB - 1, true), (MIB, true), (MIB + 1, false)] {
            let mut client = server.client();
            client.send_raw(format!("*2\r\n$4\r\nECHO\r\n${length}\r\n").as_bytes()).unwrap();
            if fits {
                client.send_raw(&[vec![b'x'; length], b"\r\n".to_vec()].concat()).unwrap();
                assert_eq!(client.reply().unwrap().len(), length + 12);
            } else {
                let text = String::from_utf8(client.read_to_close().unwrap()).unwrap();
                assert_eq!(text, "-ERR Protocol error: invalid bulk length\r\n");
            }
        }
        // It follows CONFIG SET.
        let mut client = server.client();
        assert_eq!(client.line("CONFIG SET proto-max-bulk-len 2mb"), "+OK");
        assert_eq!(client.value(&["ECHO", &"x".repeat(2 * MIB)]).text().len(), 2 * MIB);
    });
}

fn reply_over_hard_limit() {
    on_both(&["--client-output-buffer-limit", "normal 1mb 0 0"], |server| {
        let mut watcher = server.client();
        // Redis counts whole blocks of memory, so that its edge is not as sharp as that of hashd.
        for (length, fits) in [(MIB - 100, true), (MIB, true), (MIB + 17_000, false), (2 * MIB, false)] {
            watcher.value(&["HSET", "k", "f", &"v".repeat(length)]);
            let mut client = server.client();
            client.send(&["HGET", "k", "f"]).unwrap();
            match client.reply() {
                Ok(reply) => assert!(fits && reply.len() > length, "{length}"),
                Err(_) => assert!(!fits, "{length}"),
            }
        }
        // One that would fill the memory is not written to its end.
        watcher.line("HSET k f v");
        let mut client = server.client();
        client.send(&["HRANDFIELD", "k", "-999999999"]).unwrap();
        assert!(client.reply().is_err());
        // Nor is a part of it sent when there is no limit any more.
        let mut client = server.client();
        client.line("MULTI");
        client.line("HRANDFIELD k -999999999");
        client.value(&["CONFIG", "SET", "client-output-buffer-limit", "normal 0 0 0"]);
        client.send(&["EXEC"]).unwrap();
        assert!(client.reply().is_err());
        assert_eq!(info(&mut watcher, "stats", "client_output_buffer_limit_disconnections"), "4");
        watcher.value(&["HSET", "k", "f", &"v".repeat(2 * MIB)]);
        assert_eq!(watcher.line("CONFIG SET client-output-buffer-limit \"normal"), WRONG_LIMITS);
        watcher.value(&["CONFIG", "SET", "client-output-buffer-limit", "normal 0 0 0"]);
        assert_eq!(watcher.ask("HGET k f").text().len(), 2 * MIB);
    });
}

const WRONG_LIMITS: &str = "-ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Wrong \
                            number of arguments in buffer limit configuration.";

fn replies_that_gather() {
    on_both(&["--client-output-buffer-limit", "normal 4mb 0 0"], |server| {
        let (mut other, mut client) = (server.client(), server.client());
        other.value(&["HSET", "k", "f", &"v".repeat(100_000)]);
        let id = id_of(&mut client);
        let requests: Vec<u8> = (0..400).flat_map(|_| encode(&["HGET", "k", "f"])).collect();
        drop(client.send_raw(&requests));
        eventually("closed", || other.ask(&format!("CLIENT LIST ID {id}")).text().is_empty());
    });
}

fn messages_over_hard_limit() {
    on_both(&["--client-output-buffer-limit", "pubsub 1mb 0 0"], |server| {
        let (mut other, mut client) = (server.client(), server.client());
        let id = id_of(&mut client);
        client.line("SUBSCRIBE c");
        let message = "m".repeat(100_000);
        let mut published = 0;
        while other.value(&["PUBLISH", "c", &message]).int() == 1 {
            published += 1;
            assert!(published < 500, "never closed");
        }
        // What the sockets hold is not counted.
        assert!(published >= 10);
        assert_eq!(other.ask(&format!("CLIENT LIST ID {id}")).text(), "");
    });
}

const SOFT: &[&str] = &["--client-output-buffer-limit", "normal 0 1mb 1"];

fn soft_limit() {
    on_both(SOFT, |server| {
        let (mut other, mut slow) = (server.client(), server.client());
        other.value(&["HSET", "k", "f", &"v".repeat(2 * MIB)]);
        let id = id_of(&mut slow);
        let begun = Instant::now();
        let requests: Vec<u8> = (0..8).flat_map(|_| encode(&["HGET", "k", "f"])).collect();
        slow.send_raw(&requests).unwrap();
        eventually("closed", || other.ask(&format!("CLIENT LIST ID {id}")).text().is_empty());
        assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    });
}

/// Every reply is over the soft limit, but none for long.
fn readers_that_keep_up() {
    let server = Server::start_with(Kind::Hashd, SOFT);
    let mut client = server.client();
    client.value(&["HSET", "k", "f", &"v".repeat(2 * MIB)]);
    for _ in 0..20 {
        assert_eq!(client.ask("HGET k f").text().len(), 2 * MIB);
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn idle_clients() {
    on_both(&["--timeout", "1"], |server| {
        let (mut idle, mut subscriber, mut monitor) = (server.client(), server.client(), server.client());
        let (mut blocked, mut busy) = (server.client(), server.client());
        idle.line("PING");
        subscriber.line("SUBSCRIBE c");
        monitor.line("MONITOR");
        blocked.send(&["WAIT", "1", "0"]).unwrap();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(4) {
            assert_eq!(busy.line("PING"), "+PONG");
            std::thread::sleep(Duration::from_millis(100));
        }
        idle.set_timeout(Duration::from_millis(10));
        assert_eq!(idle.read_to_close().unwrap(), b"");
        assert_eq!(busy.line("PUBLISH c m"), ":1");
        assert_eq!(info(&mut busy, "clients", "blocked_clients"), "1");
        let all = busy.ask("CLIENT LIST").text();
        assert!(all.contains("flags=O") && all.contains("flags=P"), "{all}");
        assert_eq!(busy.line("CONFIG SET timeout 0"), "+OK");
    });
}

fn maxclients() {
    on_both(&[], |server| {
        // The probe of the start may be counted until its close is seen.
        std::thread::sleep(Duration::from_millis(100));
        let (mut one, mut two) = (server.client(), server.client());
        assert_eq!((one.line("PING"), two.line("PING")), ("+PONG".into(), "+PONG".into()));
        assert_eq!(one.line("CONFIG SET maxclients 1"), "+OK");
        let mut three = server.client();
        assert_eq!(three.read_to_close().unwrap(), b"-ERR max number of clients reached\r\n");
        // Those there are stay.
        assert_eq!(two.line("PING"), "+PONG");
        assert_eq!(one.line("CONFIG SET maxclients 3"), "+OK");
        assert_eq!(server.client().line("PING"), "+PONG");
        assert_eq!(info(&mut one, "stats", "rejected_connections"), "1");
    });
}

fn open_files() {
    for kind in [Kind::Hashd, Kind::Redis].into_iter().filter(|kind| *kind == Kind::Hashd || crate::server::has(*kind))
    {
        let server = Server::start_with_files(kind, 100, &[]);
        let mut client = server.client();
        assert_eq!(client.ask("CONFIG GET maxclients").items()[1].text(), "68", "{kind:?}");
        assert_eq!(
            client.line("CONFIG SET maxclients 2000"),
            "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - The operating system is not able to \
             handle the specified number of clients, try with 68",
            "{kind:?}"
        );
        assert_eq!(client.ask("CONFIG GET maxclients").items()[1].text(), "68");
        assert_eq!(client.line("CONFIG SET maxclients 50"), "+OK");
    }
}

/// Sends most of a request, so that it lies in the read buffer.
fn half_sent(server: &Server, length: usize) -> Client {
    let mut client = server.client();
    let name = client.ask("CLIENT ID").int().to_string();
    client.line(&format!("CLIENT SETNAME big{name}"));
    client.send_raw(format!("*2\r\n$4\r\nECHO\r\n${}\r\n", length + 1).as_bytes()).unwrap();
    drop(client.send_raw(&vec![b'x'; length]));
    client
}

fn eviction() {
    on_both(&["--maxmemory-clients", "0"], |server| {
        let mut other = server.client();
        let mut kept = server.client();
        assert_eq!(kept.line("CLIENT NO-EVICT on"), "+OK");
        kept.send_raw(b"*2\r\n$4\r\nECHO\r\n$6000001\r\n").unwrap();
        kept.send_raw(&vec![b'x'; 6_000_000]).unwrap();
        let big = half_sent(server, 5_000_000);
        let small = half_sent(server, 1_000_000);
        let named = |other: &mut Client| other.ask("CLIENT LIST").text().matches("name=big").count();
        let held = |other: &mut Client| -> usize {
            let text = other.ask("CLIENT LIST").text();
            text.split(' ').filter_map(|word| word.strip_prefix("tot-mem=")?.parse::<usize>().ok()).sum()
        };
        eventually("all is read", || held(&mut other) > 12_000_000);
        assert_eq!(other.line("CONFIG SET maxmemory-clients 10mb"), "+OK");
        // The biggest of those that may go is enough; Redis may take until it counts next.
        eventually("one evicted", || server.kind() == Kind::Hashd || named(&mut other) == 1);
        assert_eq!(named(&mut other), 1);
        assert_eq!(info(&mut other, "stats", "evicted_clients"), "1");
        // Whoever grows over it goes, also when that is the one who asks.
        let grown = half_sent(server, 6_000_000);
        eventually("another evicted", || info(&mut other, "stats", "evicted_clients") == "2");
        assert_eq!(other.line("PING"), "+PONG");
        kept.send_raw(b"x\r\n").unwrap();
        assert_eq!(kept.reply().unwrap().len(), 6_000_013);
        drop((big, small, grown));
    });
}

fn transactions() {
    on_both(&["--client-query-buffer-limit", "1mb"], |server| {
        let (mut client, mut other) = (server.client(), server.client());
        client.line("MULTI");
        let value = "v".repeat(200_000);
        let mut queued = 0;
        while client.send(&["HSET", "k", "f", &value]).is_ok()
            && client.reply().is_ok_and(|reply| reply == b"+QUEUED\r\n")
        {
            queued += 1;
            assert!(queued < 10, "no limit for MULTI");
        }
        // hashd answers the one that is too many before it closes.
        assert!((4..=6).contains(&queued), "{queued}");
        assert_eq!(other.line("EXISTS k"), ":0");
    });
}

/// Keys that are watched and names that are listened to: more than a client may have of them.
fn names() {
    on_both(&[], |server| {
        let mut other = server.client();
        assert_eq!(other.line("CLIENT NO-EVICT on"), "+OK");
        for begin in ["WATCH ", "SUBSCRIBE ", "PSUBSCRIBE ", "SSUBSCRIBE ", "CLIENT TRACKING on BCAST PREFIX "] {
            let mut client = server.client();
            let id = id_of(&mut client);
            let one = |client: &mut Client, number: u32| {
                client.raw(&format!("{begin}{number:06}").split(' ').collect::<Vec<_>>())
            };
            one(&mut client, 0);
            let memory = memory_of(&mut other, id);
            assert_eq!(other.line("CONFIG SET maxmemory-clients 300000"), "+OK");
            let mut count = 0;
            while client.send(&format!("{begin}{:06}", count + 1).split(' ').collect::<Vec<_>>()).is_ok()
                && client.reply().is_ok()
            {
                count += 1;
                assert!(count < 20_000, "no limit for {begin}");
                if count == 500 {
                    let grown = memory_of(&mut other, id).saturating_sub(memory);
                    assert!(grown > 500 * 6, "{grown} bytes for 500 names of {begin}");
                }
            }
            assert!(count > 500, "{count} for {begin}");
            assert_eq!(other.line("CONFIG SET maxmemory-clients 0"), "+OK");
        }
        // What is given up does not count.
        let mut client = server.client();
        let id = id_of(&mut client);
        let before = memory_of(&mut other, id);
        for _ in 0..20 {
            for line in [
                "WATCH a b c",
                "UNWATCH",
                "SUBSCRIBE a b",
                "PSUBSCRIBE a b",
                "UNSUBSCRIBE a b",
                "PUNSUBSCRIBE a b",
                "CLIENT TRACKING on BCAST PREFIX a PREFIX b",
                "CLIENT TRACKING off",
                "WATCH a",
            ] {
                client.line(line);
                (0..usize::from(line.contains("SUBSCRIBE"))).for_each(|_| drop(client.reply().unwrap()));
            }
            assert_eq!(client.line("RESET"), "+RESET");
        }
        // The worker gives buffers back when it has nothing more to read.
        eventually("what is given up is given back", || memory_of(&mut other, id) < before + 1000);
    });
}

/// `tot-mem` of a client.
fn memory_of(other: &mut Client, id: i64) -> usize {
    let line = other.ask(&format!("CLIENT LIST ID {id}")).text();
    let value = line.split(' ').find_map(|word| word.strip_prefix("tot-mem=")).unwrap_or("0");
    value.parse().unwrap()
}

/// Whoever has not said who it is, sends without an end and never reads, is closed and not only held back.
fn unauthenticated_output() {
    on_both(&["--requirepass", "x"], |server| {
        let mut client = server.client();
        let bytes: Vec<u8> = (0..10_000).flat_map(|_| encode(&["DEL", "k"])).collect();
        let is_closed = (0..200).any(|_| client.send_raw(&bytes).is_err());
        assert!(is_closed, "never closed");
        let mut other = server.client();
        assert_eq!(other.line("AUTH x"), "+OK");
        assert_eq!(info(&mut other, "clients", "connected_clients"), "1");
    });
}
