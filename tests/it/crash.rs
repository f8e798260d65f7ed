//! kill -9 at random moments while clients write, restart, and a comparison with what they have seen acknowledged.
//!
//! `HASHD_CRASH_ROUNDS` is how often for each `appendfsync`; the default is what fits into every run of the tests.

use crate::Case;
use crate::client::{Client, Protocol};
use crate::server::{Kind, Server, scratch_folder};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub const CASES: &[Case] = &[
    ("always_loses_nothing_acknowledged", || rounds("always", Duration::ZERO)),
    ("everysec_loses_a_second_at_most", || rounds("everysec", Duration::from_secs(1))),
];

const WRITERS: usize = 6;

/// What a writer has seen.
#[derive(Default)]
struct Seen {
    /// The last number it has sent.
    sent: u64,
    /// Numbers that have been acknowledged, and when.
    acknowledged: Vec<(Instant, u64)>,
}

impl Seen {
    /// The last number acknowledged before a moment.
    fn until(&self, moment: Instant) -> u64 {
        self.acknowledged.iter().rev().find(|&&(at, _)| at <= moment).map_or(0, |&(_, number)| number)
    }
}

fn rounds(policy: &str, may_be_lost: Duration) {
    let rounds = std::env::var("HASHD_CRASH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(4);
    let folder = scratch_folder();
    // The highest of a writer's numbers that there is, and the highest that all of its fields have got.
    let (mut reached, mut settled) = ([0; WRITERS], [0; WRITERS]);
    let mut random = fastrand::Rng::with_seed(std::process::id().into());
    let mut acknowledged = 0;
    for round in 0..rounds {
        // Every few rounds a rewrite is under way when the end comes.
        let options = ["--appendonly", "yes", "--appendfsync", policy, "--auto-aof-rewrite-percentage", "0"];
        let server = Server::start_in(Kind::Hashd, &folder, &options);
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<JoinHandle<Seen>> = (0..WRITERS)
            .map(|writer| {
                let (port, stop, from) = (server.port, Arc::clone(&stop), settled[writer]);
                std::thread::spawn(move || write(port, writer, from, &stop))
            })
            .collect();
        std::thread::sleep(Duration::from_millis(random.u64(5..120)));
        if round % 2 == 1 {
            server.client().line("BGREWRITEAOF");
            std::thread::sleep(Duration::from_millis(random.u64(0..30)));
        }
        let killed_at = Instant::now();
        server.kill();
        stop.store(true, Ordering::Relaxed);
        let seen: Vec<Seen> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        let server = Server::start_in(Kind::Hashd, &folder, &options);
        let mut client = server.client();
        for (writer, seen) in seen.iter().enumerate() {
            let least = seen.until(killed_at - may_be_lost).max(settled[writer]);
            let what = format!("{policy}, round {round}");
            let (first, last) = check(&mut client, writer, (least, seen.sent.max(reached[writer])), &what);
            acknowledged += last - settled[writer];
            (reached[writer], settled[writer]) = (first, last);
        }
        // What has been found now must be found again.
        assert!(client.line("WAITAOF 1 0 10000").starts_with("[:1"));
        if policy != "always" {
            client.line("HSET settled f 1");
            assert!(client.line("WAITAOF 1 0 10000").starts_with("[:1"));
        }
        server.kill();
    }
    println!("{policy}: {rounds} rounds, {acknowledged} numbers written");
    remove(&folder);
}

fn remove(folder: &Path) {
    std::fs::remove_dir_all(folder).unwrap();
}

/// Writes rising numbers until the server is gone: to a field, then to another of the same hash, then to two hashes at once.
fn write(port: u16, writer: usize, from: u64, stop: &AtomicBool) -> Seen {
    let mut seen = Seen { sent: from, ..Seen::default() };
    let Ok(mut client) = Client::connect(port, Protocol::Resp2) else { return seen };
    while !stop.load(Ordering::Relaxed) {
        seen.sent += 1;
        let number = seen.sent.to_string();
        let [one, left, right] = ["one", "left", "right"].map(|name| format!("{name}-{writer}"));
        let requests: [&[&str]; 6] = [
            &["HSET", &one, "first", &number],
            &["HSET", &one, "second", &number],
            &["MULTI"],
            &["HSET", &left, "n", &number],
            &["HSET", &right, "n", &number],
            &["EXEC"],
        ];
        let bytes: Vec<u8> = requests.iter().flat_map(|request| crate::client::encode(request)).collect();
        if client.send_raw(&bytes).is_err() || (0..requests.len()).any(|_| client.reply().is_err()) {
            break;
        }
        seen.acknowledged.push((Instant::now(), seen.sent));
    }
    seen
}

/// Checks what is left of a writer's numbers; gives the highest, and the highest that all fields have got.
fn check(client: &mut Client, writer: usize, (least, most): (u64, u64), what: &str) -> (u64, u64) {
    let mut number = |key: &str, field: &str| match client.value(&["HGET", &format!("{key}-{writer}"), field]) {
        crate::client::Value::Bytes(bytes) => String::from_utf8(bytes).unwrap().parse().unwrap(),
        _ => 0_u64,
    };
    let (first, second) = (number("one", "first"), number("one", "second"));
    let (left, right) = (number("left", "n"), number("right", "n"));
    let all = format!(
        "{what}, writer {writer}: first {first}, second {second}, left {left}, right {right}; {least} to {most}"
    );
    assert!((least..=most).contains(&first), "lost, or never sent: {all}");
    assert!(second == first || second + 1 == first, "not in order: {all}");
    assert!(left == right, "half a transaction: {all}");
    assert!(left == second || left + 1 == second, "not in order: {all}");
    assert!(left >= least, "lost: {all}");
    (first, left)
}
