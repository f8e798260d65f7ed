//! Instruction counts of the hot commands, held against the budgets in `benches/instructions.txt`.
//!
//! ```text
//! cargo bench --bench instructions                # counts, compares, fails when a budget is exceeded
//! cargo bench --bench instructions -- --record    # counts and writes the budgets anew
//! ```
//!
//! Times differ from run to run by more than what a regression costs; counts hardly do. A command is decoded, prefetched,
//! run and answered as a connection does it, in batches of 16 on 4,096 hashes, without a socket. Each command runs in
//! a process of its own under `valgrind --tool=callgrind`, which counts in `measured` alone and does not see the kernel.
//!
//! What is left to chance (hash seeds) moves a count by a fraction of a percent; the compiler moves it by more. The budgets
//! name the compiler they were recorded with: with that one a count may exceed its budget by [`SAME_COMPILER`], with
//! another by [`OTHER_COMPILER`]. Record anew, and commit, when a count has changed for a good reason or the
//! compiler has been updated.
#![allow(clippy::cast_precision_loss, reason = "ratios are printed with three digits")]

use std::error::Error;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use hashd::base::clock::{Clock, UnixMillis};
use hashd::commands::table;
use hashd::config::Config;
use hashd::dispatch::{Where, dispatch, prefetch};
use hashd::handler::{Args, Session};
use hashd::resp::decode::{DecodeLimits, Decoder};
use hashd::resp::reply::{ReplyWriter, RespVersion};
use hashd::services::Services;
use hashd::services::clients::Peer;
use hashd::store::{HashLimits, Keyspace};

/// As in the server: what is measured allocates.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Outcome<T> = Result<T, Box<dyn Error>>;

const BUDGETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");

/// How far above its budget a count may be, with the compiler that the budgets were recorded with.
const SAME_COMPILER: f64 = 0.03;

/// The same with another compiler.
const OTHER_COMPILER: f64 = 0.15;

/// Requests measured, each on a hash of its own.
const REQUESTS: usize = 4096;

/// Requests in the read buffer at a time.
const BATCH: usize = 16;

/// The measured commands; `KEY` is one of the hashes loaded before, `NEW` none of them.
const COMMANDS: [(&str, &str); 8] = [
    ("HGET", "HGET KEY email"),
    ("HSET-update", "HSET KEY city Amsterdam"),
    ("HSET-new-key", "HSET NEW name Alice email alice@example.com city Amsterdam visits 1"),
    ("HMGET", "HMGET KEY name email city"),
    ("HGETALL", "HGETALL KEY"),
    ("HINCRBY", "HINCRBY KEY visits 1"),
    ("HDEL", "HDEL KEY email"),
    ("HSCAN", "HSCAN KEY 0"),
];

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => compare(&count_all()?),
        ["--record"] => record(&count_all()?),
        ["--count", name] => run(name),
        // `cargo test --benches` calls every bench with `--test`: nothing to count then.
        _ if arguments.iter().any(|argument| argument == "--test") => Ok(()),
        _ => Err(format!("unknown options {arguments:?}").into()),
    }
}

/// Instructions per request of every command.
fn count_all() -> Outcome<Vec<(&'static str, f64)>> {
    COMMANDS.iter().map(|&(name, _)| Ok((name, count(name)?))).collect()
}

fn count(name: &str) -> Outcome<f64> {
    let counts = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("callgrind.{name}"));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=instructions::measured*"])
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(std::env::current_exe()?)
        .args(["--count", name])
        .output()
        .map_err(|error| format!("valgrind does not run ({error}); on Debian: apt-get install valgrind"))?;
    if !output.status.success() {
        return Err(format!("{name} under valgrind: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let text = std::fs::read_to_string(&counts)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).ok_or("no totals from callgrind")?;
    let total: f64 = total.trim().parse()?;
    if total == 0.0 { Err("callgrind has not found the measured function".into()) } else { Ok(total / REQUESTS as f64) }
}

fn compiler() -> Outcome<String> {
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("--version").output()?;
    let version = String::from_utf8(output.stdout)?;
    Ok(format!("{} {}", version.split_whitespace().nth(1).unwrap_or("unknown"), std::env::consts::ARCH))
}

fn record(counts: &[(&str, f64)]) -> Outcome<()> {
    let mut text = "# Instructions per request. Written by: cargo bench --bench instructions -- --record\n".to_owned();
    writeln!(text, "compiler {}", compiler()?)?;
    for (name, count) in counts {
        writeln!(text, "{name} {count:.0}")?;
    }
    std::fs::write(BUDGETS, &text)?;
    print!("{text}");
    Ok(())
}

fn compare(counts: &[(&str, f64)]) -> Outcome<()> {
    let text = std::fs::read_to_string(BUDGETS)?;
    let budget = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let (recorded, compiler) = (budget("compiler").unwrap_or("unknown"), compiler()?);
    let tolerance = if recorded == compiler { SAME_COMPILER } else { OTHER_COMPILER };
    println!("budgets of compiler {recorded}, this is {compiler}: {:.0} % over budget is too much", tolerance * 100.0);
    let mut exceeded = Vec::new();
    for &(name, count) in counts {
        let budget: f64 = budget(name).ok_or_else(|| format!("{name} has no budget: record it"))?.parse()?;
        let change = count / budget - 1.0;
        let word = if change > tolerance { "TOO MUCH" } else { "ok" };
        println!("  {name:<13} {count:>7.0} of {budget:>7.0}  {:>+6.1} %  {word}", change * 100.0);
        if change > tolerance {
            exceeded.push(name);
        } else if change < -tolerance {
            println!("                record this gain: cargo bench --bench instructions -- --record");
        }
    }
    if exceeded.is_empty() { Ok(()) } else { Err(format!("over budget: {}", exceeded.join(", ")).into()) }
}

/// The counted process: loads the hashes, then runs one command on each of them.
fn run(name: &str) -> Outcome<()> {
    let (_, command) = COMMANDS.iter().find(|(known, _)| *known == name).ok_or("no such command")?;
    let mut server = Library::new()?;
    let requests = |command: &str| -> Vec<Vec<u8>> {
        let all: Vec<Vec<u8>> = (0..REQUESTS).map(|number| encode(command, number)).collect();
        all.chunks(BATCH).map(<[_]>::concat).collect()
    };
    server.serve(&requests("HSET KEY name Alice email alice@example.com city Amsterdam visits 1"));
    let batches = requests(command);
    measured(&mut server, &batches);
    if server.errors > 0 { Err(format!("{} of the replies are errors", server.errors).into()) } else { Ok(()) }
}

/// Callgrind counts from here to its return.
#[inline(never)]
fn measured(server: &mut Library, batches: &[Vec<u8>]) {
    black_box(server).serve(black_box(batches));
}

fn encode(command: &str, number: usize) -> Vec<u8> {
    let words: Vec<String> = command
        .split(' ')
        .map(|word| match word {
            "KEY" => format!("user:{number:012}"),
            "NEW" => format!("fresh:{number:012}"),
            other => other.to_owned(),
        })
        .collect();
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

/// hashd without its sockets: what one connection works with.
struct Library {
    services: Services,
    session: Session,
    decoder: Decoder,
    reply: ReplyWriter,
    now: UnixMillis,
    errors: usize,
}

impl Library {
    fn new() -> Outcome<Self> {
        let now = UnixMillis(1_800_000_000_000);
        let limits = HashLimits { max_listpack_entries: 512, max_listpack_value: 64 };
        let keyspace = Arc::new(Keyspace::new(1, limits));
        let clock = Arc::new(Clock::fixed(now));
        let services = Services::new(Arc::new(Config::default()), keyspace, clock, &table::acl_categories());
        let peer = Peer { address: "a:1".into(), local_address: "b:1".into(), fd: 1, is_unix_socket: false };
        let client = services.clients.connect(peer, now, 1).ok_or("no client")?;
        let session = Session::new(client, services.acl.new_access(), services.stats.add_worker());
        let reply = ReplyWriter::new(RespVersion::Resp2);
        Ok(Self { services, session, decoder: Decoder::default(), reply, now, errors: 0 })
    }

    /// Serves what would come in one read each.
    fn serve(&mut self, batches: &[Vec<u8>]) {
        let limits = DecodeLimits { max_bulk: 1 << 29, unauthenticated: false };
        for bytes in batches {
            if self.decoder.advance(bytes, limits, BATCH).is_err() {
                self.errors += 1;
            }
            let requests = self.decoder.waiting(bytes).map(|(bytes, ranges)| Args::new(bytes, ranges));
            prefetch(&self.services, &self.session, requests);
            self.session.timed_from = self.services.ticker.read();
            while let Some((buffer, ranges)) = self.decoder.next(bytes) {
                let start = self.reply.as_bytes().len();
                let call = (Args::new(buffer, ranges), self.now, Where::Worker);
                dispatch(&self.services, &mut self.session, &mut self.reply, call);
                self.errors += usize::from(self.reply.as_bytes().get(start) == Some(&b'-'));
                self.decoder.step();
            }
            self.decoder.take_consumed();
            self.reply.clear();
        }
    }
}
