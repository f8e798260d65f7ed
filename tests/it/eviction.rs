//! `maxmemory`: who is refused, which keys go, and what the rest of the server hears of it, beside Redis.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Case;
use crate::client::{Client, Protocol, Value, encode, eventually, info};
use crate::server::{Kind, Server, on_both};

pub const CASES: &[Case] = &[
    ("volatile_policies_spare_other_keys", volatile_policies),
    ("allkeys_policies_keep_what_is_used", allkeys_policies),
    ("few_volatile_among_many", few_volatile),
    ("who_hears_of_it", heard_of),
    ("paused_clients_keep_their_data", paused),
    ("a_big_hash_on_its_way_out_is_gone", big_hash),
    ("writers_on_all_cores_keep_to_the_limit", writers),
];
pub const ORACLE: &[Case] =
    &[("refusals", refusals), ("uses_are_counted_as_in_redis", counted_uses), ("clocks_move_as_in_redis", clocks)];

/// Requests, one a line, all sent by one client; those behind `@other` by another.
const REFUSALS: &str = include_str!("eviction_refusals.txt");

fn refusals() {
    let servers = [Kind::Hashd, Kind::Redis].map(Server::start);
    let mut clients: Vec<[Client; 2]> = servers.iter().map(|server| [server.client(), server.client()]).collect();
    let (mut refused, mut differences) = (0, Vec::new());
    for line in REFUSALS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (which, request) = line.strip_prefix("@other ").map_or((0, line), |request| (1, request));
        let replies: Vec<String> = clients.iter_mut().map(|pair| pair[which].line(request)).collect();
        refused += usize::from(replies[1].starts_with("-OOM"));
        if replies[0] != replies[1] {
            differences.push(format!("{line}\n  redis {}\n  hashd {}", replies[1], replies[0]));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(refused > 15, "{refused} refusals: is memory short at all?");
}

/// Sends requests in one go and reads their replies.
fn send_all(client: &mut Client, requests: &[Vec<String>]) {
    for chunk in requests.chunks(500) {
        client.send_raw(&chunk.iter().flat_map(|request| encode(request)).collect::<Vec<u8>>()).unwrap();
        for request in chunk {
            let reply = client.reply().unwrap();
            assert!(!reply.starts_with(b"-"), "{request:?}: {}", String::from_utf8_lossy(&reply));
        }
    }
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn used(client: &mut Client) -> u64 {
    info(client, "memory", "used_memory").parse().unwrap()
}

fn evicted(client: &mut Client) -> usize {
    info(client, "stats", "evicted_keys").parse().unwrap()
}

/// How many of the keys `prefix:0`, `prefix:1`, .. there are.
fn left(client: &mut Client, prefix: &str, count: usize) -> usize {
    let keys = (0..count).map(|number| format!("{prefix}:{number}"));
    let request: Vec<String> = std::iter::once("EXISTS".to_owned()).chain(keys).collect();
    usize::try_from(client.value(&request).int()).unwrap()
}

/// Keys of each of the two kinds in the tests of policies.
const KEYS: usize = 2000;

fn make(prefix: &str) -> Vec<Vec<String>> {
    (0..KEYS).map(|number| words(&format!("HSET {prefix}:{number} field {:0200}", number * 7919))).collect()
}

fn each(command: &str, prefix: &str, rest: &str) -> Vec<Vec<String>> {
    (0..KEYS).map(|number| words(&format!("{command} {prefix}:{number} {rest}"))).collect()
}

/// Sets `maxmemory` so that about so many of the keys there are have to go, and waits until they have.
fn evict_about(client: &mut Client, count: usize, empty: u64) {
    let keys = u64::try_from(client.ask("DBSIZE").int()).unwrap();
    let taken = used(client);
    let limit = taken - (taken - empty) / keys * count as u64;
    assert_eq!(client.line(&format!("CONFIG SET maxmemory {limit}")), "+OK");
    // The request that asks takes some memory itself.
    let mut seen = (0, 0);
    let give_up = Instant::now() + Duration::from_secs(10);
    while seen.0 <= count / 2 || seen.1 > limit + 32_768 {
        assert!(Instant::now() < give_up, "{} of {count} keys are gone, {} bytes of {limit} taken", seen.0, seen.1);
        std::thread::sleep(Duration::from_millis(10));
        seen = (evicted(client), used(client));
    }
    // Requests take memory too, so keys may go between two of them.
    let gone = loop {
        let before = evicted(client);
        let gone = usize::try_from(keys).unwrap() - usize::try_from(client.ask("DBSIZE").int()).unwrap();
        if evicted(client) == before {
            assert_eq!(before, gone, "evicted_keys");
            break gone;
        }
        assert!(Instant::now() < give_up, "keys go on and on");
    };
    assert!(gone < count * 2, "{gone} keys are gone, {count} had to go");
}

fn volatile_policies() {
    const POLICIES: [&str; 5] = ["volatile-lru", "volatile-lfu", "volatile-lrm", "volatile-random", "volatile-ttl"];
    on_both(&["--lfu-log-factor", "0"], |server| {
        let mut client = server.client();
        let empty = used(&mut client);
        for policy in POLICIES {
            client.line("CONFIG SET maxmemory 0");
            client.line("CONFIG RESETSTAT");
            client.line("FLUSHALL");
            client.line(&format!("CONFIG SET maxmemory-policy {policy}"));
            for prefix in ["stays", "late", "soon"] {
                send_all(&mut client, &make(prefix));
            }
            send_all(&mut client, &each("EXPIRE", "late", "100000"));
            send_all(&mut client, &each("EXPIRE", "soon", "1000"));
            if policy == "volatile-lfu" {
                (0..10).for_each(|_| send_all(&mut client, &each("HGET", "late", "field")));
            }
            evict_about(&mut client, KEYS / 2, empty);
            assert_eq!(left(&mut client, "stays", KEYS), KEYS, "{policy}: keys without an expiry are gone");
            if ["volatile-lfu", "volatile-ttl"].contains(&policy) {
                let late = left(&mut client, "late", KEYS);
                assert!(late > KEYS * 97 / 100, "{policy}: {} of those to be kept are gone", KEYS - late);
            }
        }
    });
}

fn allkeys_policies() {
    // One server a policy: clocks tell seconds, and none has to wait for them alone.
    std::thread::scope(|scope| {
        for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-lrm", "allkeys-random", "noeviction"] {
            scope.spawn(move || on_both(&["--maxmemory-policy", policy], |server| keeps_what_is_used(server, policy)));
        }
    });
}

fn keeps_what_is_used(server: &Server, policy: &str) {
    let mut client = server.client();
    let empty = used(&mut client);
    send_all(&mut client, &make("hot"));
    send_all(&mut client, &make("cold"));
    std::thread::sleep(Duration::from_millis(2100));
    match policy {
        "allkeys-lfu" => (0..8).for_each(|_| send_all(&mut client, &each("HGET", "hot", "field"))),
        "allkeys-lrm" => {
            send_all(&mut client, &each("HINCRBY", "hot", "count 1"));
            send_all(&mut client, &each("HGET", "cold", "field"));
        }
        _ => send_all(&mut client, &each("HGET", "hot", "field")),
    }
    if policy == "noeviction" {
        let limit = used(&mut client) - 10_000;
        client.line(&format!("CONFIG SET maxmemory {limit}"));
        assert!(client.line("HSET new field value").starts_with("-OOM command not allowed"));
        assert_eq!((left(&mut client, "hot", KEYS), left(&mut client, "cold", KEYS)), (KEYS, KEYS));
        eventually("it is known since when memory is short", || {
            info(&mut client, "stats", "current_eviction_exceeded_time") != "0"
        });
        return;
    }
    evict_about(&mut client, KEYS / 2, empty);
    let (hot, cold) = (left(&mut client, "hot", KEYS), left(&mut client, "cold", KEYS));
    if policy == "allkeys-random" {
        assert!(hot < KEYS * 9 / 10 && cold < KEYS * 9 / 10, "{hot} and {cold} of {KEYS} are left");
    } else {
        assert!(hot > KEYS * 97 / 100, "{policy}: {} of those in use are gone, {} others", KEYS - hot, KEYS - cold);
    }
}

fn few_volatile() {
    on_both(&["--maxmemory-policy", "volatile-lru"], |server| {
        let mut client = server.client();
        for prefix in ["a", "b", "c", "d"] {
            send_all(&mut client, &make(prefix));
        }
        // That fields expire does not make a key one that may go.
        send_all(&mut client, &each("HEXPIRE", "d", "10000 FIELDS 1 field"));
        (0..10).for_each(|number| drop(client.line(&format!("EXPIRE a:{} 1000", number * 100))));
        let limit = used(&mut client) / 2;
        client.line(&format!("CONFIG SET maxmemory {limit}"));
        eventually("all that may go is gone", || evicted(&mut client) == 10);
        assert!(client.line("HSET new field value").starts_with("-OOM"), "there is nothing left to evict");
        assert_eq!(client.ask("DBSIZE").int(), 4 * KEYS as i64 - 10);
        assert_eq!(client.line("HGET b:0 field"), format!("\"{:0200}\"", 0));
    });
}

fn heard_of() {
    on_both(&["--notify-keyspace-events", "KEe", "--maxmemory-policy", "allkeys-random"], |server| {
        let (mut client, mut listener, mut cache) = (server.client(), server.client(), server.connect(Protocol::Resp3));
        listener.line("SUBSCRIBE __keyevent@3__:evicted");
        for client in [&mut client, &mut cache] {
            client.line("SELECT 3");
        }
        (0..5).for_each(|number| drop(client.line(&format!("HSET key:{number} field value"))));
        cache.line("CLIENT TRACKING ON");
        cache.line("HGET key:1 field");
        assert_eq!(client.line("WATCH key:2"), "+OK");
        assert_eq!(client.line("MULTI"), "+OK");
        assert_eq!(client.line("PING"), "+QUEUED");
        server.client().line("CONFIG SET maxmemory 1");
        let mut keys: Vec<String> = (0..5).map(|_| listener.next_value().items()[2].text()).collect();
        keys.sort();
        assert_eq!(keys, ["key:0", "key:1", "key:2", "key:3", "key:4"]);
        assert_eq!(client.line("EXEC"), null_array());
        assert_eq!(cache.next_value(), invalidated("key:1"));
    });
}

fn null_array() -> String {
    crate::resp::render(b"*-1\r\n")
}

fn invalidated(key: &str) -> Value {
    let text = |text: &str| Value::Bytes(text.as_bytes().to_vec());
    Value::Array(vec![text("invalidate"), Value::Array(vec![text(key)])])
}

fn paused() {
    on_both(&["--maxmemory-policy", "allkeys-lru"], |server| {
        let mut client = server.client();
        (0..5).for_each(|number| drop(client.line(&format!("HSET key:{number} field value"))));
        assert_eq!(client.line("CLIENT PAUSE 100000 WRITE"), "+OK");
        assert_eq!(client.line("CONFIG SET maxmemory 1"), "+OK");
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(client.line("DBSIZE"), ":5");
        assert_eq!(client.line("CLIENT UNPAUSE"), "+OK");
        eventually("the keys are gone", || client.line("DBSIZE") == ":0");
    });
}

/// What has been evicted but takes long to free is no reason to evict more.
fn big_hash() {
    const SMALL: usize = 200;
    let options = ["--maxmemory-policy", "allkeys-lru", "--maxmemory-samples", "64"];
    let server = Server::start_with(Kind::Hashd, &options);
    let mut client = server.client();
    let empty = used(&mut client);
    for start in (0..100_000).step_by(1000) {
        let fields = (start..start + 1000).flat_map(|number| [format!("field:{number}"), "value".to_owned()]);
        let request: Vec<String> = ["HSET".to_owned(), "big".to_owned()].into_iter().chain(fields).collect();
        client.raw(&request);
    }
    let big = used(&mut client) - empty;
    std::thread::sleep(Duration::from_millis(1100));
    let small = (0..SMALL).map(|number| words(&format!("HSET small:{number} field {:05000}", number * 7919)));
    send_all(&mut client, &small.collect::<Vec<_>>());
    // More than all small hashes together take: the big one has to go, and is found after a few tries.
    let limit = used(&mut client) - big / 2;
    client.line(&format!("CONFIG SET maxmemory {limit}"));
    eventually("the big hash is gone", || client.line("EXISTS big") == ":0" && used(&mut client) < limit + 32_768);
    assert_eq!(client.line("HSET new field value"), ":1");
    let left = left(&mut client, "small", SMALL);
    assert!(left > SMALL * 3 / 4, "{} small hashes went with the big one", SMALL - left);
}

fn writers() {
    const LIMIT: u64 = 24 << 20;
    const WRITERS: usize = 4;
    const BATCHES: usize = 120;
    let options = ["--maxmemory", "24mb", "--maxmemory-policy", "allkeys-lru", "--io-threads", "2"];
    let server = Server::start_with(Kind::Hashd, &options);
    let (done, most) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn({
                    let server = &server;
                    move || {
                        let mut client = server.client();
                        let mut random = fastrand::Rng::with_seed(writer as u64);
                        for batch in 0..BATCHES {
                            let request = |number| {
                                let length = [20, 100, 500, 3000][random.usize(..4)];
                                let value: String = (0..length).map(|_| random.alphanumeric()).collect();
                                vec!["HSET".into(), format!("key:{writer}:{batch}:{number}"), "field".into(), value]
                            };
                            let requests: Vec<Vec<String>> = (0..200).map(request).collect();
                            send_all(&mut client, &requests);
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let mut client = server.client();
            while !done.load(Ordering::Relaxed) {
                most.fetch_max(used(&mut client), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Relaxed);
    });
    let mut client = server.client();
    let (most, last) = (most.into_inner(), used(&mut client));
    assert!(evicted(&mut client) > 1000, "{} keys were evicted", evicted(&mut client));
    assert!(most <= LIMIT + LIMIT / 20, "{most} bytes were taken of {LIMIT}");
    assert!(last >= LIMIT - LIMIT / 10, "{last} bytes are left of {LIMIT}");
}

/// What each request makes of the key `k`, or what it makes instead: `k2`, or `k` in another database.
const USES: &str = include_str!("eviction_uses.txt");

fn uses() -> impl Iterator<Item = &'static str> {
    USES.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// With a log factor of 0 every use counts one, so that nothing is left to chance.
fn counted_uses() {
    let options = ["--maxmemory-policy", "allkeys-lfu", "--lfu-log-factor", "0", "--lfu-decay-time", "0"];
    let servers = [Kind::Hashd, Kind::Redis].map(|kind| Server::start_with(kind, &options));
    let counts_after = |server: &Server, request: &str| {
        let mut client = server.client();
        for line in ["FLUSHALL", "HSET k f 1 g2 2 str x", request, "SELECT 0"] {
            client.line(line);
        }
        let here = ["OBJECT FREQ k", "OBJECT FREQ k2"].map(|line| client.line(line));
        client.line("SELECT 1");
        (here, client.line("OBJECT FREQ k"))
    };
    let mut differences = Vec::new();
    for request in uses() {
        let [ours, theirs] = servers.each_ref().map(|server| counts_after(server, request));
        if ours != theirs {
            differences.push(format!("{request}: redis {theirs:?}, hashd {ours:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Which requests move the clock, where it tells of uses and where it tells of writes.
fn clocks() {
    const POLICIES: [&str; 2] = ["allkeys-lru", "allkeys-lrm"];
    let kinds = POLICIES.iter().flat_map(|policy| [(Kind::Hashd, policy), (Kind::Redis, policy)]);
    let servers: Vec<(Server, &str)> =
        kinds.map(|(kind, policy)| (Server::start_with(kind, &["--maxmemory-policy", policy]), *policy)).collect();
    let named = |request: &str, number: usize| -> Vec<String> {
        let name = |word: &str| match word {
            "k" | "k2" => format!("{word}:{number}"),
            other => other.to_owned(),
        };
        request.split(' ').map(name).collect()
    };
    for (server, _) in &servers {
        let makes = (0..uses().count()).map(|number| named("HSET k f 1 g2 2 str x", number));
        send_all(&mut server.client(), &makes.collect::<Vec<_>>());
    }
    std::thread::sleep(Duration::from_millis(3100));
    let moved: Vec<Vec<String>> = servers
        .iter()
        .map(|(server, _)| {
            let mut client = server.client();
            let clock = |client: &mut Client, key: &str, number: usize| match client.value(&[
                "OBJECT",
                "IDLETIME",
                &format!("{key}:{number}"),
            ]) {
                Value::Int(seconds) => {
                    if seconds < 2 {
                        "moved"
                    } else {
                        "stands"
                    }
                }
                _ => "missing",
            };
            uses()
                .enumerate()
                .map(|(number, request)| {
                    client.raw(&named(request, number));
                    client.line("SELECT 0");
                    format!("{request}: {} {}", clock(&mut client, "k", number), clock(&mut client, "k2", number))
                })
                .collect()
        })
        .collect();
    for (pair, policy) in moved.chunks(2).zip(POLICIES) {
        let differences: Vec<_> = pair[0].iter().zip(&pair[1]).filter(|(ours, theirs)| ours != theirs).collect();
        assert!(differences.is_empty(), "{policy}: {differences:#?}");
    }
    assert_ne!(moved[1], moved[3], "the two policies differ");
}
