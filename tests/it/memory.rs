//! What the server says of its memory is true: MEMORY USAGE adds up to what is taken, templates are counted, INFO and
//! MEMORY STATS have the fields of Redis.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::Case;
use crate::client::{Client, Value, encode, info};
use crate::server::{Kind, Server};

pub const CASES: &[Case] = &[
    ("usage_adds_up", usage_adds_up),
    ("templates", templates),
    ("templates_of_big_hashes", templates_of_big_hashes),
    ("purge", purge),
];
pub const ORACLE: &[Case] = &[("fields_of_redis", fields_of_redis)];

const KEYS: usize = 60_000;

/// Sends requests in pipelines; gives the sum of those replies that are integers.
fn load(client: &mut Client, count: usize, request: impl Fn(usize) -> Vec<String>) -> i64 {
    let mut sum = 0;
    for start in (0..count).step_by(500) {
        let requests: Vec<Vec<String>> = (start..count.min(start + 500)).map(&request).collect();
        client.send_raw(&requests.iter().flat_map(|request| encode(request)).collect::<Vec<u8>>()).unwrap();
        for _ in &requests {
            sum += match client.next_value() {
                Value::Int(number) => number,
                _ => 0,
            };
        }
    }
    sum
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(String::from).to_vec()
}

fn profile(number: usize) -> Vec<String> {
    let mut request = words(["HSET", &format!("user:{number}"), "name", &format!("User number {number}")]);
    request.extend(words(["email", &format!("user{number}@example.com"), "city", "Amsterdam", "visits"]));
    request.push((number * 7919).to_string());
    request
}

fn cart(number: usize) -> Vec<String> {
    let mut request = words(["HSET", &format!("cart:{number}")]);
    request.extend((0..3).flat_map(|item| words([&format!("product:{}", number * 31 + item), "2"])));
    request
}

fn big(number: usize) -> Vec<String> {
    words(["HSET", &format!("big:{}", number % 7), &format!("field:{number}"), &format!("some value {number}")])
}

const FEATURES: usize = 700;

fn feature(number: usize, field: usize) -> String {
    (number * 7919 + field).to_string()
}

fn entity(number: usize) -> Vec<String> {
    let pairs = (0..FEATURES).flat_map(|field| [format!("feature:{field}"), feature(number, field)]);
    ["HSET".to_owned(), format!("entity:{number}")].into_iter().chain(pairs).collect()
}

fn used(client: &mut Client) -> i64 {
    info(client, "memory", "used_memory").parse().unwrap()
}

fn dataset(client: &mut Client) -> i64 {
    info(client, "memory", "used_memory_dataset").parse().unwrap()
}

fn usage_adds_up() {
    type Request = fn(usize) -> Vec<String>;
    let kinds: [(&str, usize, Request); 4] = [
        ("profiles", KEYS, profile),
        ("carts", KEYS, cart),
        ("big hashes", KEYS, big),
        ("big hashes of the same fields", 1000, entity),
    ];
    for (what, requests, request) in kinds {
        let server = Server::start(Kind::Hashd);
        let mut client = server.client();
        // Threads that start late take some after the server has said that it is ready: only growth can be compared.
        let (before, data_before) = (used(&mut client), dataset(&mut client));
        load(&mut client, requests, request);
        if what == "carts" {
            load(&mut client, KEYS, |number| words(["EXPIRE", &format!("cart:{number}"), "1000"]));
        }
        let taken = used(&mut client) - before;
        let keys: BTreeSet<String> = (0..requests).map(|number| request(number).swap_remove(1)).collect();
        let keys: Vec<String> = keys.into_iter().collect();
        let sum = load(&mut client, keys.len(), |number| words(["MEMORY", "USAGE", &keys[number], "SAMPLES", "0"]));
        assert!((sum - taken).abs() * 10 <= taken, "{what}: MEMORY USAGE adds up to {sum}, {taken} bytes were taken");
        let sampled = load(&mut client, keys.len(), |number| words(["MEMORY", "USAGE", &keys[number]]));
        assert!((sampled - taken).abs() * 10 <= taken, "{what}: sampled {sampled}, {taken} bytes were taken");
        let data = dataset(&mut client) - data_before;
        assert!(data > taken / 2 && data <= taken + 250_000, "{what}: {data} of {taken} bytes are data");
    }
}

fn counted(client: &mut Client) -> (u64, u64, u64) {
    let mut number = |section: &str, name: &str| -> u64 { info(client, section, name).parse().unwrap() };
    let (templates, users) = (number("stats", "hash_templates"), number("stats", "hash_template_keys"));
    (templates, users, number("memory", "used_memory_hash_templates"))
}

fn templates() {
    let server = Server::start(Kind::Hashd);
    let mut client = server.client();
    assert_eq!(counted(&mut client), (0, 0, 0));
    load(&mut client, 1000, profile);
    let (templates, users, memory) = counted(&mut client);
    assert_eq!(templates, 1);
    assert!((900..1000).contains(&users), "{users} of 1000 hashes use the template");
    assert!(memory > 0);
    // Explicit field sets become templates at once.
    client.line("HIMPORT PREPARE set title price currency");
    client.line("HIMPORT SET product:1 set Chair 120 EUR");
    assert_eq!(counted(&mut client).0, 2);
    // A hash that changes its fields leaves the template; one that is copied has it too.
    client.line("HDEL user:999 city");
    client.line("COPY user:998 copy");
    client.line("HEXPIRE user:997 100 FIELDS 1 city");
    assert_eq!(counted(&mut client).1, users + 1 - 1 + 1 - 1);
    // Field sets that are seen once or a few times cost nothing.
    load(&mut client, 5000, cart);
    assert_eq!(counted(&mut client).0, 2);
    client.line("FLUSHALL");
    await_counted(&mut client, |counts| counts == (0, 0, 0));
}

/// Big hashes of the same fields share names too, until their fields change, and go on doing all else.
fn templates_of_big_hashes() {
    const HASHES: usize = 300;
    let server = Server::start(Kind::Hashd);
    let mut client = server.client();
    assert_eq!(load(&mut client, HASHES, entity), i64::try_from(HASHES * FEATURES).unwrap());
    let usage = |client: &mut Client, key: &str| client.value(&["MEMORY", "USAGE", key]).int();
    assert!(usage(&mut client, "entity:299") * 2 < usage(&mut client, "entity:0"), "only the later ones share names");
    let (templates, users, _) = counted(&mut client);
    assert!(templates > 1 && (HASHES as u64 - 40..HASHES as u64).contains(&users), "{templates} used by {users}");
    assert_eq!(client.value(&["OBJECT", "ENCODING", "entity:299"]).text(), "hashtable");

    let mut pairs = client.value(&["HGETALL", "entity:299"]).items().len();
    assert_eq!(pairs, 2 * FEATURES);
    client.line("COPY entity:299 copy");
    assert_eq!(counted(&mut client).1, users + 1, "a copy counts as another");
    for field in 0..FEATURES {
        client.line(&format!("HSET entity:299 feature:{field} {}", "text".repeat(field % 9)));
        assert_eq!(client.value(&["HGET", "copy", &format!("feature:{field}")]).text(), feature(299, field));
    }
    assert_eq!(client.line("HSTRLEN entity:299 feature:698"), ":20");
    for field in (0..FEATURES).step_by(3) {
        assert_eq!(client.line(&format!("HDEL entity:299 feature:{field}")), ":1");
        pairs -= 2;
    }
    assert_eq!(client.value(&["HGETALL", "entity:299"]).items().len(), pairs);
    assert_eq!(counted(&mut client).1, users, "one has given up all of its templates");
    client.line("DEL copy entity:299");
    await_counted(&mut client, |(_, left, _)| left == users - 1);
    let fields = |client: &mut Client| -> BTreeSet<(String, String)> {
        let reply = client.value(&["HGETALL", "entity:298"]);
        reply.items().chunks(2).map(|pair| (pair[0].text(), pair[1].text())).collect()
    };
    let before = fields(&mut client);
    client.line("DEBUG RELOAD");
    assert_eq!(fields(&mut client), before);
    assert!(counted(&mut client).1 > HASHES as u64 - 40, "what is loaded shares names, too");
    client.line("FLUSHALL");
    await_counted(&mut client, |counts| counts == (0, 0, 0));
}

/// Waits for counts as they are to be once what has been removed is freed.
fn await_counted(client: &mut Client, is_right: impl Fn((u64, u64, u64)) -> bool) {
    for _ in 0..100 {
        if is_right(counted(client)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("templates stay: {:?}", counted(client));
}

fn purge() {
    let server = Server::start(Kind::Hashd);
    let mut client = server.client();
    let before = server.rss();
    load(&mut client, 3 * KEYS, cart);
    let loaded = server.rss();
    client.line("FLUSHALL");
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(client.line("MEMORY PURGE"), "+OK");
        if server.rss() < before + (loaded - before) / 2 {
            return;
        }
    }
    panic!("{} of {loaded} bytes are left in memory after a purge, {before} before", server.rss());
}

/// Fields of Redis 8.6 that hashd has no reason to have: scripts, functions, replicas, a cluster, an append-only file,
/// defragmentation and lazy freeing as Redis does them.
const WITHOUT: &[&str] = &[
    "lua",
    "vm_eval",
    "scripts",
    "functions",
    "libraries",
    "vm_",
    "replica",
    "replication",
    "slaves",
    "cluster",
    "aof",
    "defrag",
    "lazyfree",
    "muzzy",
    "rehashing",
    "not_counted",
];

fn names(client: &mut Client, section: &str) -> BTreeSet<String> {
    let text = client.value(&["INFO", section]).text();
    let lines = text.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.to_owned());
    lines.filter(|name| !WITHOUT.iter().any(|part| name.contains(part))).collect()
}

fn fields_of_redis() {
    let (redis, hashd) = (Server::start(Kind::Redis), Server::start(Kind::Hashd));
    let (mut theirs, mut ours) = (redis.client(), hashd.client());
    let missing: Vec<String> = names(&mut theirs, "memory").difference(&names(&mut ours, "memory")).cloned().collect();
    assert!(missing.is_empty(), "INFO memory lacks {missing:?}");
    for client in [&mut theirs, &mut ours] {
        client.line("HSET key field value");
    }
    let stats = |client: &mut Client| -> Vec<String> {
        let reply = client.value(&["MEMORY", "STATS"]);
        reply.items().chunks(2).map(|pair| pair[0].text()).filter(|name| name != "hash.templates").collect()
    };
    assert_eq!(stats(&mut ours), stats(&mut theirs), "the fields of MEMORY STATS");
}
