//! The integration tests: one binary. Started by `cargo test`; `tests/run` adds the oracles (folder `HASHD_PEERS`).
//! `HASHD_RECORD=1` records the golden scripts anew from the oracle, `HASHD_BIN` names another hashd to test.
#![allow(missing_docs, reason = "a test binary has no users")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::pedantic, reason = "tests favour plain reading over the strictest lints")]
#![allow(unreachable_pub, reason = "every module is private to this binary")]

// What the tests stand on.
mod allowed; // the list of differences from the oracles that are meant
mod client; // raw replies and decoded values over a blocking socket
mod resp; // where a reply ends, and how it reads
mod script; // golden scripts: format, runner, recorder
mod server; // hashd and the oracles as child processes

// The tests.
mod acl; // users, their rules, and what happens when those change
mod append_only; // the append-only file: what is in it, what it is loaded to, what happens to the disk
mod clients; // what clients do to each other: KILL, PAUSE, UNBLOCK, MONITOR
mod clients_rs; // what users write with the crate `redis`
mod concurrency; // many connections at once
mod crash; // kill -9 under load, again and again
mod differential; // hashd against Redis and Valkey, byte for byte
mod eviction; // maxmemory: who is refused, which keys go, who hears of it
mod expiry; // short TTLs in real time
mod fuzz; // the bodies of the fuzz targets on seeds and random changes of them
mod hostile; // malformed bytes, clients that do not read, storms, no file descriptors left
mod http; // the HTTP port: who is let in, hashes, metrics
mod inside; // what the server tells of itself: INFO, SLOWLOG, LATENCY, HOTKEYS
mod lifecycle; // start, settings, limits, end
mod limits; // what a client may take: every limit at its edge, beside Redis
mod linearizability; // histories of overlapping commands, each with an order that explains it
mod long; // requests that run beside the workers
mod memory; // MEMORY and INFO memory
mod model; // proptest programs against a BTreeMap
mod network; // listeners and what CONFIG SET does to them, renamed commands, CONFIG REWRITE
mod notifications; // keyspace events: the streams of hashd and Redis
mod persistence; // snapshots: restarts, real servers, broken files and disks; MIGRATE
mod process; // settings that the kernel keeps, daemonize
mod protocol; // the wire: splits, pipelines, malformed and oversize input
mod pubsub; // messages between many connections
mod scan; // SCAN and HSCAN while everything changes
mod tidy; // layering, file sizes, a script for every command
mod tls; // TLS beside plain TCP and the unix socket; certificates that change
mod tracking; // client-side caching

use libtest_mimic::{Arguments, Failed, Trial};

/// A test: its name and what it does. Those in `oracle` lists need the servers of `HASHD_PEERS`.
pub type Case = (&'static str, fn());

const PLAIN: &[(&str, &[Case])] = &[
    ("acl", acl::CASES),
    ("append_only", append_only::CASES),
    ("crash", crash::CASES),
    ("clients", clients::CASES),
    ("clients_rs", clients_rs::CASES),
    ("concurrency", concurrency::CASES),
    ("eviction", eviction::CASES),
    ("expiry", expiry::CASES),
    ("fuzz", fuzz::CASES),
    ("hostile", hostile::CASES),
    ("http", http::CASES),
    ("inside", inside::CASES),
    ("lifecycle", lifecycle::CASES),
    ("limits", limits::CASES),
    ("linearizability", linearizability::CASES),
    ("long", long::CASES),
    ("memory", memory::CASES),
    ("model", model::CASES),
    ("network", network::CASES),
    ("persistence", persistence::CASES),
    ("process", process::CASES),
    ("protocol", protocol::CASES),
    ("pubsub", pubsub::CASES),
    ("scan", scan::CASES),
    ("tidy", tidy::CASES),
    ("tls", tls::CASES),
    ("tracking", tracking::CASES),
];

const ORACLE: &[(&str, &[Case])] = &[
    ("acl", acl::ORACLE),
    ("append_only", append_only::ORACLE),
    ("differential", differential::ORACLE),
    ("eviction", eviction::ORACLE),
    ("inside", inside::ORACLE),
    ("memory", memory::ORACLE),
    ("notifications", notifications::ORACLE),
    ("persistence", persistence::ORACLE),
];

fn main() {
    let arguments = Arguments::from_args();
    let recording = std::env::var_os("HASHD_RECORD").is_some();
    let with_oracles = server::peers().is_some();
    let mut trials = Vec::new();
    for script in script::all() {
        let name = format!("script::{}", script.name);
        if recording {
            trials.push(Trial::test(name, move || script.record().map_err(Failed::from)));
            continue;
        }
        trials.push(Trial::test(name, move || script.check().map_err(Failed::from)));
    }
    if !recording {
        trials.extend(cases(PLAIN, true));
        trials.extend(cases(ORACLE, with_oracles));
    }
    let listing = arguments.list;
    let filtered = arguments.filter.is_some() || !arguments.skip.is_empty();
    let conclusion = libtest_mimic::run(&arguments, trials);
    server::stop_idle();
    if !listing {
        closing_note(with_oracles, filtered, conclusion.num_ignored);
    }
    conclusion.exit();
}

fn cases(groups: &'static [(&str, &[Case])], runs: bool) -> impl Iterator<Item = Trial> {
    groups.iter().flat_map(move |(group, cases)| {
        cases.iter().map(move |&(name, case)| {
            let trial = Trial::test(format!("{group}::{name}"), move || {
                case();
                Ok(())
            });
            trial.with_ignored_flag(!runs)
        })
    })
}

fn closing_note(with_oracles: bool, filtered: bool, left_out: u64) {
    if !with_oracles {
        println!(
            "left to tests/run: {left_out} tests that compare with Redis and Valkey (HASHD_PEERS names no folder with Redis 8.6)\n"
        );
    } else if !filtered {
        for line in allowed::unused() {
            println!("allowed_differences.txt: never applied: {line}");
        }
    }
}
