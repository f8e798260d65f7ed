//! hashd against Redis and Valkey, byte for byte: the scripts, and seeded random programs.
//!
//! `HASHD_SEED` is the seed of the first random program; a failure names the seed that brings it back.

mod agree; // whether two replies agree, also where they are random
pub mod keyspace; // all databases as lines of text
pub mod program; // the random programs

use crate::Case;
use crate::allowed;
use crate::client::{Client, Protocol, show};
use crate::resp;
use crate::script;
use crate::server::{self, Kind, Server};
use program::{Dialect, Request};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

pub const ORACLE: &[Case] = &[
    ("scripts_resp2", || scripts(Protocol::Resp2)),
    ("scripts_resp3", || scripts(Protocol::Resp3)),
    ("random_programs", || random_programs(Dialect::Redis)),
    ("random_programs_valkey", || random_programs(Dialect::Valkey)),
];

fn scripts(protocol: Protocol) {
    let mut report = String::new();
    for script in script::all() {
        let Some(kind) = script.oracle.filter(|&kind| server::has(kind)) else { continue };
        let (ours, theirs) = (script.run_on(Kind::Hashd, protocol), script.run_on(kind, protocol));
        for (our, their) in ours.iter().zip(&theirs) {
            if our.like.is_none()
                && our.reply != their.reply
                && !allowed::covers(&our.request, &their.reply, &our.reply)
            {
                let (request, reply, wanted) = (&our.request, &our.reply, &their.reply);
                writeln!(report, "{}: {request}\n  {kind:?} {wanted}\n  hashd {reply}", script.name).unwrap();
            }
        }
    }
    assert!(report.is_empty(), "{protocol:?}\n{report}");
}

/// Programs of one run, unless the machine is slow.
const PROGRAMS: u64 = 24;
const TIME_LIMIT: Duration = Duration::from_secs(20);
const REQUESTS: usize = 1000;
/// Among so few fields both sides of this bound are met: by the fields of a hash and by those of one request.
const OPTIONS: &[&str] = &["--hash-max-listpack-entries", "4"];
/// A difference that no reply has shown yet is found early enough to be traced back.
const REQUESTS_BETWEEN_KEYSPACES: usize = 250;

fn random_programs(dialect: Dialect) {
    let first: u64 = std::env::var("HASHD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let oracle = match dialect {
        Dialect::Redis => Kind::Redis,
        Dialect::Valkey => Kind::Valkey,
    };
    let pair =
        Pair { hashd: Server::start_with(Kind::Hashd, OPTIONS), oracle: Server::start_with(oracle, OPTIONS), dialect };
    let give_up = Instant::now() + TIME_LIMIT;
    for seed in (first..first + PROGRAMS).take_while(|_| Instant::now() < give_up) {
        let protocol = if seed % 2 == 0 { Protocol::Resp2 } else { Protocol::Resp3 };
        let program = program::program(seed, dialect, REQUESTS);
        if let Some(mismatch) = pair.run(&program, protocol) {
            let shown = pair.shrink(&program[..mismatch.requests], protocol).unwrap_or(mismatch.report);
            let shown = program::readable(&shown);
            panic!("HASHD_SEED={seed} {protocol:?}, {oracle:?} replies otherwise\n{shown}");
        }
    }
}

/// Where the servers part.
struct Mismatch {
    /// The requests it takes, from the start of the program.
    requests: usize,
    /// What was asked and replied last.
    report: String,
}

/// hashd and its oracle, which get the same requests.
struct Pair {
    hashd: Server,
    oracle: Server,
    dialect: Dialect,
}

impl Pair {
    /// Runs a program on both servers, emptied before, up to the first mismatch.
    fn run(&self, program: &[Request], protocol: Protocol) -> Option<Mismatch> {
        let (mut our, mut their) = (self.hashd.connect(protocol), self.oracle.connect(protocol));
        // Connections of their own, as a look into all databases must not change which one the program has selected.
        let (mut our_look, mut their_look) = (self.hashd.client(), self.oracle.client());
        our_look.line("FLUSHALL");
        their_look.line("FLUSHALL");
        for (index, request) in program.iter().enumerate() {
            let requests = index + 1;
            if let Some(replies) = ask_both(request, &mut our, &mut their) {
                return Some(Mismatch { requests, report: format!("{}\n{replies}", show(request)) });
            }
            if requests % REQUESTS_BETWEEN_KEYSPACES == 0 || requests == program.len() {
                let ours = keyspace::lines(&mut our_look, self.dialect);
                let theirs = keyspace::lines(&mut their_look, self.dialect);
                if ours != theirs {
                    let report = format!("{}\n{}", show(request), keyspace::differences(&ours, &theirs));
                    return Some(Mismatch { requests, report });
                }
            }
        }
        None
    }

    /// Leaves out of a program whatever a mismatch does not need, in ever smaller parts; what remains, as text.
    fn shrink(&self, program: &[Request], protocol: Protocol) -> Option<String> {
        let mut program = program.to_vec();
        let mut report = None;
        let mut part = program.len();
        while part > 1 {
            part = part.div_ceil(2);
            let mut start = 0;
            while start < program.len() {
                let mut shorter = program.clone();
                shorter.drain(start..program.len().min(start + part));
                if let Some(mismatch) = self.run(&shorter, protocol) {
                    shorter.truncate(mismatch.requests);
                    (program, report) = (shorter, Some(mismatch.report));
                } else {
                    start += part;
                }
            }
        }
        let before = program.iter().take(program.len().saturating_sub(1)).map(|request| show(request) + "\n");
        report.map(|report| before.collect::<String>() + &report)
    }
}

/// Sends a request to both servers; their replies as text if they differ and must not.
fn ask_both(request: &Request, our: &mut Client, their: &mut Client) -> Option<String> {
    let (got, wanted) = (our.raw(request), their.raw(request));
    if got == wanted || agree::agree(request, &got, &wanted, their) {
        return None;
    }
    let order = agree::order_of(request);
    let (got, wanted) = (resp::render_with(&got, order), resp::render_with(&wanted, order));
    let allowed = allowed::covers(&show(request), &wanted, &got);
    (!allowed).then(|| format!("  oracle {wanted}\n  hashd  {got}"))
}
