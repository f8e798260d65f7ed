//! What many clients, and clients that mean harm, cost another client and the memory.
//!
//! A probe sends HGET on a small hash three thousand times, a third of a millisecond apart, while others do what the row
//! says. In turn with each it asks a second server of the kind, with which nobody else has anything to do: what it waits
//! there is what the machine makes it wait, whose cores the load takes too. All of it twice: as it is, and with the servers
//! preferred to the load by the scheduler, so that what is measured is what they do with the time that they get, as where
//! clients are on other machines; that takes the privilege of it. Wants 13,000 file descriptors.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::results::{Better, Table};
use super::{Options, Outcome, Server, kinds};

const IDLE: usize = 10_000;
/// How many clients, and how many requests they send a second, if that is not as many as are answered.
const BUSY: [(usize, Option<u32>); 4] = [(50, None), (2000, Some(10_000)), (2000, Some(40_000)), (2000, None)];
const PROBES: usize = 3000;
const SMALL: &[u8] = b"*3\r\n$4\r\nHGET\r\n$5\r\nsmall\r\n$1\r\nf\r\n";
const BIG: &[u8] = b"*3\r\n$4\r\nHGET\r\n$3\r\nbig\r\n$1\r\nf\r\n";

/// What a probe met: the 99th percentile and the longest of its waits in milliseconds, the 99th percentile of those at the
/// other server, and by how many megabytes the server has grown.
type Report = (String, [f64; 4]);

/// A server that others load and one that they do not, of one kind.
struct Pair {
    loaded: Server,
    spared: Server,
}

/// What is measured with the servers as they are, and with the servers preferred: the names of the tables, their titles, and
/// which figures of the reports they have.
const TABLES: [&[(&str, &str, usize)]; 2] = [
    &[
        ("overload-p99", "another client's wait under overload, 99th percentile in ms", 0),
        ("overload-max", "another client's longest wait under overload, ms", 1),
        ("overload-spared", "the same client's wait at a server with nothing else to do, 99th percentile in ms", 2),
        ("overload-memory", "growth of the server's memory under overload, MB", 3),
    ],
    &[
        ("overload-preferred-p99", "with the servers preferred: another client's wait, 99th percentile in ms", 0),
        (
            "overload-preferred-spared",
            "with the servers preferred: the same client's wait at a server with nothing else to do, 99th percentile in ms",
            2,
        ),
    ],
];

/// Measures each server in turn.
pub(crate) fn measure(options: &Options) -> Outcome<Vec<Table>> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let mut tables = Vec::new();
    for (is_preferred, wanted) in [false, true].into_iter().zip(TABLES) {
        let (mut names, mut reports) = (Vec::new(), Vec::new());
        for kind in kinds(&options.peers) {
            let start = || Server::start(kind, &options.peers, &[]);
            let pair = Pair { loaded: start()?, spared: start()? };
            if is_preferred && !(pair.loaded.prefer()? && pair.spared.prefer()?) {
                println!("the servers may not be preferred: they are measured as they are alone");
                return Ok(tables);
            }
            reports.push(measure_one(&pair, &options.peers.join("bin"), options.scaled(IDLE, 100))?);
            names.push(pair.loaded.name.clone());
        }
        tables.extend(wanted.iter().map(|(name, title, figure)| {
            let mut table = Table::new(name, title, Better::Lower, names.clone());
            for (row, (what, _)) in reports.first().into_iter().flatten().enumerate() {
                let value =
                    |reports: &Vec<Report>| reports.get(row).and_then(|(_, values)| values.get(*figure).copied());
                table.add(what, reports.iter().map(value).collect());
            }
            table
        }));
    }
    Ok(tables)
}

fn measure_one(pair: &Pair, programs: &Path, idle: usize) -> Outcome<Vec<Report>> {
    let (mut reports, server) = (Vec::new(), &pair.loaded);
    connect(&pair.spared)?.write_all(b"HSET small f v\r\n")?;
    let mut first = connect(server)?;
    first.write_all(b"CONFIG SET maxclients 13000\r\nHSET small f v\r\n")?;
    let value = "v".repeat(100_000);
    first
        .write_all(format!("*4\r\n$4\r\nHSET\r\n$3\r\nbig\r\n$1\r\nf\r\n${}\r\n{value}\r\n", value.len()).as_bytes())?;
    std::thread::sleep(Duration::from_millis(200));
    reports.push(report(pair, "nobody else", memory(server)?)?);

    let before = memory(server)?;
    let mut idlers = many(server, idle)?;
    for stream in &mut idlers {
        stream.write_all(SMALL)?;
        stream.read_exact(&mut [0; 7])?;
    }
    reports.push(report(pair, &format!("{idle} idle"), before)?);
    for (busy, rate) in BUSY {
        reports.extend(beside_busy(pair, programs, &format!("{idle} idle and "), before, (busy, rate))?);
    }
    drop(idlers);
    std::thread::sleep(Duration::from_secs(1));

    let before = memory(server)?;
    let half_sent = many(server, 1000)?;
    half_sent.iter().try_for_each(|mut stream| stream.write_all(b"*2\r\n$4\r\nECHO\r\n$536870912\r\nabc"))?;
    reports.push(report(pair, "1,000 requests half sent", before)?);
    drop(half_sent);
    reports.push(dribble(pair)?);
    reports.push(storm(pair)?);

    let before = memory(server)?;
    let deaf = many(server, 100)?;
    let pipeline = BIG.repeat(200);
    deaf.iter().try_for_each(|mut stream| stream.write_all(&pipeline))?;
    reports.push(report(pair, "100 who never read 20 MB", before)?);
    Ok(reports)
}

/// Beside clients who send all the time; nothing if the program is missing that can keep to a rate.
fn beside_busy(
    pair: &Pair,
    programs: &Path,
    beside: &str,
    before: f64,
    (busy, rate): (usize, Option<u32>),
) -> Outcome<Option<Report>> {
    let program = programs.join(if rate.is_some() { "valkey-benchmark" } else { "redis-benchmark" });
    if !program.exists() {
        println!("no {}: {busy} clients that keep to a rate are left out", program.display());
        return Ok(None);
    }
    let limit = rate.map(|rate| ["--rps".to_owned(), rate.to_string()]);
    let mut load = Command::new(program)
        .args(["-p", &pair.loaded.port.to_string(), "-c", &busy.to_string(), "-n", "100000000", "-q"])
        .args(limit.iter().flatten())
        .args(["HGET", "small", "f"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    std::thread::sleep(Duration::from_secs(2));
    let how = rate.map_or_else(|| "as fast as they can".to_owned(), |rate| format!("{rate} a second"));
    let outcome = report(pair, &format!("{beside}{busy} busy, {how}"), before);
    load.kill()?;
    load.wait()?;
    outcome.map(Some)
}

/// Clients who send their requests byte by byte.
fn dribble(pair: &Pair) -> Outcome<Report> {
    let (before, done) = (memory(&pair.loaded)?, AtomicBool::new(false));
    let clients = many(&pair.loaded, 200)?;
    std::thread::scope(|scope| {
        let dribbling = scope.spawn(|| {
            let mut bytes = SMALL.chunks(1).cycle();
            while !done.load(Ordering::Relaxed) {
                let byte = bytes.next().unwrap_or_default();
                // Not all at a time.
                for some in clients.chunks(4) {
                    std::thread::sleep(Duration::from_micros(150));
                    some.iter().try_for_each(|mut client| client.write_all(byte))?;
                }
            }
            std::io::Result::Ok(())
        });
        let outcome = report(pair, "200 byte by byte", before);
        done.store(true, Ordering::Relaxed);
        dribbling.join().map_err(|_| "who sends byte by byte has panicked")??;
        outcome
    })
}

/// Connections that come and go while the probe watches.
fn storm(pair: &Pair) -> Outcome<Report> {
    let server = &pair.loaded;
    let (before, done) = (memory(server)?, AtomicBool::new(false));
    std::thread::scope(|scope| {
        let storming = scope.spawn(|| {
            let mut count = 0;
            while !done.load(Ordering::Relaxed) && connect(server).is_ok() {
                count += 1;
            }
            count
        });
        let outcome = report(pair, "connection storm", before);
        done.store(true, Ordering::Relaxed);
        let count = storming.join().map_err(|_| "the storm has panicked")?;
        println!("{:8} {count} connections in the storm", server.name);
        outcome
    })
}

fn report(pair: &Pair, what: &str, memory_before: f64) -> Outcome<Report> {
    let (mut loaded, mut spared) = (Probe::new(&pair.loaded)?, Probe::new(&pair.spared)?);
    for _ in 0..PROBES {
        loaded.ask()?;
        spared.ask()?;
    }
    let grown = (memory(&pair.loaded)? - memory_before).max(0.0) / f64::from(1 << 20);
    let [p99, longest] = [99, 100].map(|percent| loaded.percentile(percent));
    Ok((what.to_owned(), [p99, longest, spared.percentile(99), grown]))
}

/// A client that asks now and then and takes the time.
struct Probe {
    stream: TcpStream,
    waits: Vec<Duration>,
}

impl Probe {
    fn new(server: &Server) -> Outcome<Self> {
        Ok(Self { stream: connect(server)?, waits: Vec::with_capacity(PROBES) })
    }

    fn ask(&mut self) -> Outcome<()> {
        let asked = Instant::now();
        self.stream.write_all(SMALL)?;
        self.stream.read_exact(&mut [0; 7])?;
        self.waits.push(asked.elapsed());
        std::thread::sleep(Duration::from_micros(300));
        Ok(())
    }

    /// In milliseconds.
    fn percentile(&mut self, percent: usize) -> f64 {
        self.waits.sort_unstable();
        let index = (self.waits.len() * percent / 100).min(self.waits.len().saturating_sub(1));
        self.waits.get(index).map_or(0.0, |wait| wait.as_secs_f64() * 1000.0)
    }
}

fn connect(server: &Server) -> Outcome<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", server.port))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn many(server: &Server, count: usize) -> Outcome<Vec<TcpStream>> {
    (0..count).map(|_| connect(server)).collect()
}

fn memory(server: &Server) -> Outcome<f64> {
    server.memory("VmRSS")
}
