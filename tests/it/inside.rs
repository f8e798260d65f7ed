//! What the server tells of itself: counters, latencies, the slow log, latency spikes, hot keys, all of INFO.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::Case;
use crate::client::{Client, Protocol, Value, encode, eventually, info};
use crate::resp::render;
use crate::server::{Kind, Server};

pub const CASES: &[Case] = &[
    ("slow_log", slow_log),
    ("slow_log_of_all_ways_to_run", slow_log_of_all_ways_to_run),
    ("calls_are_counted_and_timed", calls_are_counted_and_timed),
    ("errors_by_kind", errors_by_kind),
    ("rates", rates),
    ("latency_spikes", latency_spikes),
    ("hot_keys", hot_keys),
    ("hot_keys_end_by_themselves", hot_keys_end_by_themselves),
];
pub const ORACLE: &[Case] = &[
    ("info_has_the_fields_of_redis", info_has_the_fields_of_redis),
    ("key_sizes", key_sizes),
    ("what_command_tells", what_command_tells),
];

fn entries(client: &mut Client) -> Vec<Vec<Value>> {
    client.ask("SLOWLOG GET -1").items().iter().map(|entry| entry.items().to_vec()).collect()
}

/// The arguments of an entry as a line.
fn shown(entry: &[Value]) -> String {
    entry[3].items().iter().map(Value::text).collect::<Vec<_>>().join(" ")
}

fn slow_log() {
    let server = Server::start(Kind::Hashd);
    let mut client = server.client();
    client.line("CLIENT SETNAME observer");
    client.line("CONFIG SET slowlog-log-slower-than 0");
    client.line("HSET k f v");
    let many: Vec<String> = (0..40).map(|index| format!("f{index}")).collect();
    client.value(&[&["HMGET".to_owned(), "k".to_owned()][..], &many].concat());
    client.value(&["HGET", "k", &"x".repeat(200)]);
    client.line("CONFIG SET slowlog-entry-max-argc 3 slowlog-entry-max-string-len 2");
    client.line("HMGET k f abcd g");
    client.line("AUTH default secret");
    client.line("CONFIG SET slowlog-log-slower-than -1");
    client.line("HGET k unseen");
    let entries = entries(&mut client);
    let lines: Vec<String> = entries.iter().map(|entry| shown(entry)).collect();
    let trimmed = format!("HGET k {}... (72 more bytes)", "x".repeat(128));
    let listed = format!("HMGET k {} ... (11 more arguments)", many[..29].join(" "));
    let expected = [
        "AU... (2 more bytes) (r... (8 more bytes) (r... (8 more bytes)",
        "HM... (3 more bytes) k ... (3 more arguments)",
    ];
    assert_eq!(lines[..2], expected);
    assert_eq!(lines[3..6], [trimmed, listed, "HSET k f v".to_owned()]);
    let ids: Vec<i64> = entries.iter().map(|entry| entry[0].int()).collect();
    assert!(ids.is_sorted_by(|newer, older| newer == &(older + 1)), "{ids:?}");
    for entry in &entries {
        assert_eq!((entry.len(), entry[5].text().as_str()), (7, "observer"));
        assert!(entry[1].int() > 1_700_000_000 && entry[2].int() >= 0);
        assert!(entry[4].text().starts_with("127.0.0.1:"));
    }
    assert_eq!(entries[4][6].int(), 42, "the number of arguments before they were trimmed");
    assert_eq!(client.line("SLOWLOG GET 0"), "[]");
    assert_eq!(client.ask("SLOWLOG GET 2").items().len(), 2);
    assert_eq!(client.line("SLOWLOG RESET"), "+OK");
    assert_eq!(client.line("SLOWLOG LEN"), ":0");
    client.line("CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 3");
    (0..10).for_each(|_| drop(client.line("PING")));
    assert_eq!(client.line("SLOWLOG LEN"), ":3");
    assert!(client.ask("SLOWLOG GET 1").items()[0].items()[0].int() > ids[0], "numbers are never used twice");
}

/// What EXEC runs is logged and EXEC is not; what runs beside the workers, and what sleeps, is.
fn slow_log_of_all_ways_to_run() {
    let server = Server::start_with(Kind::Hashd, &["--enable-debug-command", "yes"]);
    let mut client = server.client();
    client.line("CONFIG SET slowlog-log-slower-than 0");
    for line in ["MULTI", "HSET k f v", "HGET k f", "EXEC"] {
        client.line(line);
    }
    let long: Vec<String> = (0..10_000).map(|index| format!("f{index}")).collect();
    client.value(&[&["HMGET".to_owned(), "k".to_owned()][..], &long].concat());
    client.line("DEBUG SLEEP 0.02");
    client.line("CONFIG SET slowlog-log-slower-than 10000");
    client.line("HGET k f");
    let entries = entries(&mut client);
    let names: Vec<String> = entries.iter().map(|entry| entry[3].items()[0].text()).collect();
    assert_eq!(names, ["DEBUG", "HMGET", "HGET", "HSET", "MULTI", "CONFIG"]);
    assert_eq!(entries[1][6].int(), 10_002);
    assert!(entries[0][2].int() >= 20_000, "DEBUG SLEEP took {:?} us", entries[0][2]);
    // Redis 8.8 counts them by command too, in milliseconds with two decimals.
    client.line("CONFIG RESETSTAT");
    assert_eq!(info(&mut client, "stats", "slowlog_commands_time_ms_sum"), "0.00");
    client.line("DEBUG SLEEP 0.02");
    client.line("DEBUG SLEEP 0.03");
    client.line("CONFIG SET slowlog-log-slower-than -1");
    client.line("HGET k f");
    let debug = fields(&mut client, "commandstats", "cmdstat_debug");
    let (sum, most) = (debug["slowlog_time_ms_sum"], debug["slowlog_time_ms_max"]);
    assert!(debug["slowlog_count"] == 2.0 && most >= 30.0 && sum >= most + 20.0, "{debug:?}");
    assert!(!fields(&mut client, "commandstats", "cmdstat_hget").contains_key("slowlog_count"));
}

/// The fields of a line of INFO: `calls=1,usec=2`.
fn fields(client: &mut Client, section: &str, name: &str) -> BTreeMap<String, f64> {
    let line = info(client, section, name);
    line.split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.into(), value.parse().unwrap()))
        .collect()
}

fn calls_are_counted_and_timed() {
    let server = Server::start_with(Kind::Hashd, &["--io-threads", "2", "--enable-debug-command", "yes"]);
    let mut clients = [server.client(), server.client(), server.client()];
    for client in &mut clients {
        let requests: Vec<u8> = (0..100).flat_map(|index| encode(&["HSET", "k", "f", &index.to_string()])).collect();
        client.send_raw(&requests).unwrap();
        (0..100).for_each(|_| drop(client.next_value()));
        client.line("HSET k");
        client.line("HINCRBY k f x");
    }
    let [client, ..] = &mut clients;
    let hset = fields(client, "commandstats", "cmdstat_hset");
    assert_eq!((hset["calls"], hset["rejected_calls"], hset["failed_calls"]), (300.0, 3.0, 0.0));
    assert!((hset["usec_per_call"] - hset["usec"] / 300.0).abs() <= 0.011, "{hset:?}");
    assert!(hset["usec"] > 0.0);
    let failed = fields(client, "commandstats", "cmdstat_hincrby");
    assert_eq!((failed["calls"], failed["failed_calls"]), (3.0, 3.0));
    let percentiles = fields(client, "latencystats", "latency_percentiles_usec_hset");
    assert!(
        percentiles["p50"] > 0.0
            && percentiles["p50"] <= percentiles["p99"]
            && percentiles["p99"] <= percentiles["p99.9"]
    );
    // The histogram counts every call, and its last step counts all of them.
    let mut resp3 = server.connect(Protocol::Resp3);
    let Value::Map(commands) = resp3.ask("LATENCY HISTOGRAM HSET hincrby missing") else { panic!("no map") };
    assert_eq!(commands.iter().map(|(name, _)| name.text()).collect::<BTreeSet<_>>().len(), 2);
    for (name, latency) in &commands {
        let Value::Map(latency) = latency else { panic!("{latency:?}") };
        let field = |wanted: &str| &latency.iter().find(|(name, _)| name.text() == wanted).unwrap().1;
        let Value::Map(steps) = field("histogram_usec") else { panic!("{latency:?}") };
        let most = steps.iter().map(|(_, calls)| calls.int()).max();
        assert_eq!(most, Some(field("calls").int()), "{}", name.text());
    }
    // What sleeps takes as long as it sleeps.
    client.line("DEBUG SLEEP 0.05");
    assert!(fields(client, "commandstats", "cmdstat_debug")["usec"] >= 50_000.0);
    // Without tracking there are sums, but no percentiles.
    client.line("CONFIG SET latency-tracking no");
    client.line("CONFIG RESETSTAT");
    client.line("HGET k f");
    assert_eq!(fields(client, "commandstats", "cmdstat_hget")["calls"], 1.0);
    assert_eq!(info(client, "latencystats", "latency_percentiles_usec_hget"), "");
    client.line("CONFIG SET latency-tracking yes latency-tracking-info-percentiles 90");
    client.line("HGET k f");
    assert_eq!(
        fields(client, "latencystats", "latency_percentiles_usec_hget").into_keys().collect::<Vec<_>>(),
        ["p90"]
    );
    assert_eq!(client.ask("LATENCY HISTOGRAM hget").items()[1].items()[1].int(), 1);
    assert_eq!(client.line("LATENCY HISTOGRAM hset"), "[]", "CONFIG RESETSTAT forgets latencies");
}

fn errors_by_kind() {
    let server = Server::start(Kind::Hashd);
    let mut client = server.client();
    for line in ["HGET", "nothing", "EXEC", "ACL SETUSER bob on nopass -@all +hget ~k*", "MULTI", "HGET", "EXEC"] {
        client.line(line);
    }
    let mut bob = server.client();
    bob.line("AUTH bob x");
    bob.line("HSET k f v");
    bob.line("AUTH bob");
    let count = |client: &mut Client, kind: &str| info(client, "errorstats", &format!("errorstat_{kind}"));
    for (kind, times) in [("ERR", "count=5"), ("EXECABORT", "count=1"), ("NOPERM", "count=1"), ("WRONGPASS", "")] {
        assert_eq!(count(&mut client, kind), times, "{kind}");
    }
    assert_eq!(info(&mut client, "stats", "total_error_replies"), "7");
    let mut broken = server.client();
    broken.send_raw(b"*x\r\n").unwrap();
    broken.read_to_close().unwrap();
    assert_eq!(info(&mut client, "stats", "total_error_replies"), "8");
    client.line("CONFIG RESETSTAT");
    assert_eq!(
        (count(&mut client, "ERR"), info(&mut client, "stats", "total_error_replies")),
        (String::new(), "0".into())
    );
}

fn rates() {
    let server = Server::start(Kind::Hashd);
    let mut client = server.client();
    let number = |client: &mut Client, name: &str| info(client, "stats", name).parse::<f64>().unwrap();
    eventually("rates rise", || {
        (0..200).for_each(|_| drop(client.line("HSET k f v")));
        ["instantaneous_ops_per_sec", "instantaneous_input_kbps", "instantaneous_output_kbps"]
            .iter()
            .all(|name| number(&mut client, name) > 0.0)
    });
    assert!(number(&mut client, "total_reads_processed") >= 200.0);
    assert!(number(&mut client, "total_writes_processed") >= 200.0);
}

fn latency_spikes() {
    let server = Server::start_with(Kind::Hashd, &["--enable-debug-command", "yes"]);
    let mut client = server.client();
    client.line("DEBUG SLEEP 0.03");
    assert_eq!(client.line("LATENCY LATEST"), "[]", "there is no threshold yet");
    client.line("CONFIG SET latency-monitor-threshold 25");
    client.line("DEBUG SLEEP 0.03");
    let command = |client: &mut Client| {
        let latest = client.ask("LATENCY LATEST");
        let found = latest.items().iter().find(|event| event.items()[0].text() == "command");
        found.map(|event| event.items().to_vec()).unwrap()
    };
    let event = command(&mut client);
    assert!(event[2].int() >= 30 && event[3].int() >= event[2].int() && event.len() == 4, "{event:?}");
    client.line("MULTI");
    client.line("DEBUG SLEEP 0.2");
    client.line("EXEC");
    assert!(command(&mut client)[3].int() >= 200);
    let history = client.ask("LATENCY HISTORY command");
    assert!(history.items().iter().any(|spike| spike.items()[1].int() >= 200), "{history:?}");
    assert!(client.ask("LATENCY GRAPH command").text().starts_with("command - high "));
    assert!(client.ask("LATENCY DOCTOR").text().contains(". command: "));
    client.line("CONFIG SET latency-monitor-threshold 0");
    assert!(client.ask("LATENCY RESET COMMAND nothing").int() == 1);
    client.ask("LATENCY RESET");
    client.line("DEBUG SLEEP 0.03");
    assert_eq!(client.line("LATENCY LATEST"), "[]");
}

/// Keys, and what they have taken.
type Hottest = Vec<(String, i64)>;

/// The lists of HOTKEYS GET by name, and its numbers.
fn found(client: &mut Client) -> (BTreeMap<String, Hottest>, BTreeMap<String, i64>) {
    let reply = client.ask("HOTKEYS GET");
    let (mut lists, mut numbers) = (BTreeMap::new(), BTreeMap::new());
    for pair in reply.items()[0].items().chunks(2) {
        match &pair[1] {
            Value::Int(number) => drop(numbers.insert(pair[0].text(), *number)),
            list if pair[0].text().starts_with("by-") => {
                let keys = list.items().chunks(2).map(|key| (key[0].text(), key[1].int())).collect();
                lists.insert(pair[0].text(), keys);
            }
            _ => {}
        }
    }
    (lists, numbers)
}

fn hot_keys() {
    let server = Server::start_with(Kind::Hashd, &["--io-threads", "2"]);
    let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
    assert_eq!(clients[0].line("HOTKEYS START METRICS 2 CPU NET COUNT 3"), "+OK");
    let value = "x".repeat(2000);
    let mut sent = BTreeMap::<String, i64>::new();
    for (number, client) in clients.iter_mut().enumerate() {
        let mut requests = Vec::new();
        for round in 0..500 {
            // One key takes most calls, another most bytes, and there are many more keys than are remembered.
            let cold = format!("cold:{number}:{round}");
            for (key, value) in [("often", "v"), ("often", "v"), ("heavy", &*value), (&*cold, "v")] {
                let request = encode(&["HSET", key, "f", value]);
                *sent.entry(key.to_owned()).or_default() += request.len() as i64 + 4;
                requests.extend(request);
            }
        }
        client.send_raw(&requests).unwrap();
    }
    for client in &mut clients {
        (0..2000).for_each(|_| drop(client.next_value()));
    }
    let client = &mut clients[0];
    assert_eq!(info(client, "hotkeys", "hotkeys-tracking-active"), "1");
    let (lists, numbers) = found(client);
    let by_bytes = &lists["by-net-bytes"];
    assert_eq!(by_bytes.iter().take(2).map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["heavy", "often"]);
    let total: i64 = sent.values().sum();
    assert_eq!((numbers["total-net-bytes"], numbers["net-bytes-all-commands-all-slots"]), (total, total));
    for (key, bytes) in by_bytes {
        assert!(*bytes <= sent[key] && sent[key] - bytes <= total / 20, "{key}: {bytes} of {}", sent[key]);
    }
    assert!(lists["by-cpu-time-us"].iter().any(|(key, _)| key == "often"));
    assert!(lists["by-cpu-time-us"].len() <= 3 && lists["by-cpu-time-us"].is_sorted_by(|a, b| a.1 >= b.1));
    assert_eq!(client.line("HOTKEYS STOP"), "+OK");
    client.line("HSET late f v");
    assert_eq!(found(client).1["net-bytes-all-commands-all-slots"], total);
    // One call in a million: nothing is found, but everything is counted.
    assert_eq!(client.line("HOTKEYS START METRICS 1 NET SAMPLE 1000000000"), "+OK");
    client.line("HSET k f v");
    let (lists, numbers) = found(client);
    assert_eq!((lists["by-net-bytes"].len(), numbers["total-net-bytes"]), (0, 0));
    assert_eq!(numbers["net-bytes-all-commands-all-slots"], encode(&["HSET", "k", "f", "v"]).len() as i64 + 4);
}

fn hot_keys_end_by_themselves() {
    let server = Server::start(Kind::Hashd);
    let mut client = server.client();
    client.line("HOTKEYS START METRICS 1 CPU DURATION 1");
    eventually("collecting ends", || found(&mut client).1["tracking-active"] == 0);
    assert_eq!(found(&mut client).1["collection-duration-ms"], 1000);
    assert_eq!(client.line("HOTKEYS STOP"), "nil$");
    assert_eq!(client.line("HOTKEYS RESET"), "+OK");
}

/// The names of all lines of INFO; every line is a title, empty, or a name and a value.
fn names(client: &mut Client, sections: &str) -> BTreeSet<String> {
    let text = client.ask(format!("INFO {sections}").trim_end()).text();
    let mut names = BTreeSet::new();
    for line in text.split("\r\n").filter(|line| !line.is_empty()) {
        let name = line.split_once(':').map_or(line, |(name, _)| name);
        assert!(line.starts_with("# ") || line.contains(':'), "a line of INFO without a value: {line}");
        assert!(names.insert(name.to_owned()), "{name} is there twice");
    }
    names
}

/// What Redis has and hashd has not, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("redis_build_id gcc_version atomicvar_api monotonic_clock", "how Redis was built"),
    ("clients_in_timeout_table", "timeouts are not kept in a table"),
    ("module", "there are no modules"),
    ("eventloop_.* instantaneous_eventloop_.*", "there is no single event loop whose rounds could be counted"),
    ("io_threaded_total_prefetch_.*", "the workers prefetch every batch; nobody counts them"),
    ("reply_buffer_.*", "reply buffers are lent to connections while they reply, and never resized in the background"),
    ("expired_stale_perc", "what is due is known exactly and reclaimed; Redis estimates"),
    ("hotkeys-cmd-cpu-time", "it is not measured apart"),
    ("allocator_muzzy", "not told by the allocator"),
    ("dump_payload_sanitizations", "every payload is checked: there are as many as calls of RESTORE"),
];

fn info_has_the_fields_of_redis() {
    let (redis, hashd) = (Server::start(Kind::Redis), Server::start(Kind::Hashd));
    let mut found = Vec::new();
    for server in [&redis, &hashd] {
        let mut client = server.client();
        for line in ["HSET k f v", "HGET", "HGET k f", "HOTKEYS START METRICS 1 CPU"] {
            client.line(line);
        }
        found.push(names(&mut client, "everything"));
        assert_eq!(names(&mut client, "default"), names(&mut client, ""));
        assert_eq!(names(&mut client, "server CPU nonsense cpu"), names(&mut client, "cpu server"));
    }
    let patterns: Vec<regex_lite::Regex> = LEFT_OUT
        .iter()
        .flat_map(|(names, _)| names.split(' '))
        .map(|name| regex_lite::Regex::new(&format!("^{name}$")).unwrap())
        .collect();
    let mut missing = String::new();
    for name in found[0].difference(&found[1]) {
        if !patterns.iter().any(|pattern| pattern.is_match(name)) {
            let _ = write!(missing, " {name}");
        }
    }
    assert!(missing.is_empty(), "INFO lacks{missing}");
    for (pattern, name) in patterns.iter().zip(LEFT_OUT.iter().flat_map(|(names, _)| names.split(' '))) {
        assert!(found[0].iter().any(|name| pattern.is_match(name)), "Redis has no {name} either");
    }
}

/// After random programs the sizes of all hashes are counted as Redis counts them.
fn key_sizes() {
    let (redis, hashd) = (Server::start(Kind::Redis), Server::start(Kind::Hashd));
    let (mut theirs, mut ours) = (redis.client(), hashd.client());
    let mut random = fastrand::Rng::with_seed(11);
    let sizes = |client: &mut Client| client.ask("INFO keysizes").text();
    for round in 0..40 {
        for _ in 0..50 {
            let (key, other) = (random.u32(0..12), random.u32(0..12));
            let line = match random.u32(0..20) {
                0 => format!("DEL {key} {other}"),
                1 => format!("RENAME {key} {other}"),
                2 => format!("COPY {key} {other} REPLACE"),
                3 => format!("MOVE {key} 1"),
                4 if round % 10 == 0 => ["FLUSHDB", "SWAPDB 0 1", "FLUSHALL"][random.usize(0..3)].to_owned(),
                5..8 => format!("HDEL {key} {} {}", random.u32(0..80), random.u32(0..80)),
                8 => format!("HGETDEL {key} FIELDS 1 {}", random.u32(0..80)),
                9 => format!("PEXPIRE {key} -1"),
                10 => format!("HPEXPIRE {key} 0 FIELDS 1 {}", random.u32(0..80)),
                11 => {
                    let fields: Vec<String> = (0..random.u32(1..700)).map(|index| format!("{index} v")).collect();
                    format!("HSET {key} {}", fields.join(" "))
                }
                _ => format!("HSET {key} {} v {} v", random.u32(0..80), random.u32(0..80)),
            };
            assert_eq!(ours.line(&line), theirs.line(&line), "{line}");
        }
        assert_eq!(sizes(&mut ours), sizes(&mut theirs), "round {round}");
    }
}

/// What COMMAND DOCS says of the subcommands that look inside is what Redis says, whatever order it lists subcommands in.
fn what_command_tells() {
    let (redis, hashd) = (Server::start(Kind::Redis), Server::start(Kind::Hashd));
    let (mut theirs, mut ours) = (redis.connect(Protocol::Resp3), hashd.connect(Protocol::Resp3));
    let names = "hotkeys|get hotkeys|help hotkeys|reset hotkeys|start hotkeys|stop slowlog|get slowlog|help slowlog|len \
                 slowlog|reset latency|doctor latency|graph latency|help latency|histogram latency|history latency|latest \
                 latency|reset memory|doctor memory|help memory|malloc-stats memory|purge memory|stats memory|usage \
                 module|help module|list";
    for name in names.split_whitespace() {
        for question in [format!("COMMAND DOCS {name}"), format!("COMMAND INFO {name}")] {
            let expected = theirs.line(&question);
            assert!(expected.contains(name), "{question}: {expected}");
            assert_eq!(ours.line(&question), expected, "{question}");
        }
    }
    let mut compared = 0;
    for name in ours.ask("COMMAND LIST").items().iter().map(Value::text) {
        // Redis 8.6 does not know the first yet, and does not hide the second from MONITOR; the third has no cluster here.
        if name.starts_with("himport") || name == "exec" || name.starts_with("cluster") {
            continue;
        }
        let question = format!("COMMAND INFO {name}");
        let expected = theirs.line(&question);
        // Containers have their subcommands in no particular order.
        if expected.ends_with("~[]]]") {
            assert_eq!(ours.line(&question), expected, "{question}");
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared} commands");
    for migrate in [
        ["k", "0", "5"].to_vec(),
        ["", "0", "5", "KEYS", "a", "b"].to_vec(),
        ["", "0", "5", "COPY", "keys", "a"].to_vec(),
        ["", "0", "5", "AUTH", "KEYS", "KEYS", "a"].to_vec(),
        ["", "0", "5", "auth2", "keys", "keys", "keys", "a"].to_vec(),
        ["", "0", "5", "AUTH2", "keys", "keys"].to_vec(),
        ["k", "0", "5", "KEYS", "a"].to_vec(),
        ["k", "0", "5", "COPY", "KEYS"].to_vec(),
        ["", "0", "5", "KEYS"].to_vec(),
        ["", "0", "5", "AUTH", "KEYS", "KEYS"].to_vec(),
        [&["", "0", "5"][..], &["COPY"; 40_000], &["KEYS", "a"]].concat(),
    ] {
        let question = [&["COMMAND", "GETKEYSANDFLAGS", "MIGRATE", "host", "1"][..], &migrate].concat();
        assert_eq!(render(&ours.raw(&question)), render(&theirs.raw(&question)), "{question:?}");
    }
}
