//! Keyspace notifications: what hashd publishes for each command, next to what Redis does.

use crate::Case;
use crate::client::{Client, Protocol, show};
use crate::differential::program::{Dialect, program};
use crate::resp;
use crate::server::{Kind, Server};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

pub const ORACLE: &[Case] = &[("commands", commands), ("random_programs", random_programs), ("flags", flags)];

/// Requests, one a line; `@sleep MS` waits, an empty line empties the servers.
const SCRIPT: &str = include_str!("notifications.txt");

/// A server with a listener that hears everything and a client that acts.
struct Observed {
    server: Server,
    listener: Client,
    client: Client,
}

impl Observed {
    fn new(kind: Kind, flags: &str) -> Self {
        let server = Server::start_with(kind, &["--notify-keyspace-events", flags]);
        let (mut listener, client) = (server.connect(Protocol::Resp3), server.client());
        listener.line("PSUBSCRIBE *");
        Self { server, listener, client }
    }

    /// Runs a request; its reply, and what has been published since the last one.
    fn run<A: AsRef<[u8]>>(&mut self, request: &[A]) -> (String, Vec<String>) {
        let reply = resp::render(&self.client.raw(request));
        (reply, self.published())
    }

    fn published(&mut self) -> Vec<String> {
        const END: &str = ">[\"pmessage\", \"*\", \"end\", \"\"]";
        self.server.client().raw(&["PUBLISH", "end", ""]);
        let mut frames = Vec::new();
        loop {
            let frame = resp::render(&self.listener.reply().unwrap());
            if frame == END {
                return frames;
            }
            frames.push(frame.replace(">[\"pmessage\", \"*\", ", "["));
        }
    }
}

fn pair(flags: &str) -> [Observed; 2] {
    [Observed::new(Kind::Hashd, flags), Observed::new(Kind::Redis, flags)]
}

fn commands() {
    let [mut ours, mut theirs] = pair("KEAmnoc");
    let mut report = String::new();
    for line in SCRIPT.lines().filter(|line| !line.starts_with('#')) {
        if let Some(time) = line.strip_prefix("@sleep ") {
            std::thread::sleep(Duration::from_millis(time.parse().unwrap()));
            continue;
        }
        if line.is_empty() {
            for observed in [&mut ours, &mut theirs] {
                observed.run(&["SELECT", "0"]);
                observed.run(&["FLUSHALL"]);
                observed.run(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
            }
            continue;
        }
        let request: Vec<&str> = line.split(' ').collect();
        let (our, their) = (ours.run(&request), theirs.run(&request));
        if our.1 != their.1 || (line.starts_with("TTL") && our.0 != their.0) {
            writeln!(report, "{line}\n  redis {} {:?}\n  hashd {} {:?}", their.0, their.1, our.0, our.1).unwrap();
        }
    }
    assert!(report.is_empty(), "{report}");
}

fn random_programs() {
    const PROGRAMS: u64 = 12;
    let [mut ours, mut theirs] = pair("KAmnoc");
    let give_up = Instant::now() + Duration::from_secs(15);
    for seed in (1..=PROGRAMS).take_while(|_| Instant::now() < give_up) {
        for observed in [&mut ours, &mut theirs] {
            observed.run(&["SELECT", "0"]);
            observed.run(&["FLUSHALL"]);
        }
        for request in program(seed, Dialect::Redis, 500) {
            let (our, their) = (ours.run(&request), theirs.run(&request));
            assert_eq!(our.1, their.1, "seed {seed}: {} -> {}", show(&request), their.0);
        }
    }
}

fn flags() {
    for flags in ["", "K", "Eh", "Kg", "Ex", "Km", "Kn", "KEhm", "A", "KEgxoc"] {
        let [mut ours, mut theirs] = pair("KEAmnoc");
        for observed in [&mut ours, &mut theirs] {
            assert_eq!(observed.client.raw(&["CONFIG", "SET", "notify-keyspace-events", flags]), b"+OK\r\n");
        }
        for line in ["HSET k f v", "HGET nothing f", "COPY k l", "RENAME k l", "EXPIRE l 0", "HDEL l f", "DEL l"] {
            let request: Vec<&str> = line.split(' ').collect();
            assert_eq!(ours.run(&request), theirs.run(&request), "{flags}: {line}");
        }
    }
}
