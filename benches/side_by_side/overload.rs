//! What many clients, and clients that mean harm, cost another client and the memory.
//!
//! A probe sends HGET on a small hash three thousand times, a third of a millisecond apart, while others do what the row
//! says. Wants 13,000 file descriptors.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::results::{Better, Table};
use super::{Options, Outcome, Server, kinds};

const IDLE: usize = 10_000;
const BUSY: [usize; 2] = [50, 2000];
const PROBES: usize = 3000;
const SMALL: &[u8] = b"*3\r\n$4\r\nHGET\r\n$5\r\nsmall\r\n$1\r\nf\r\n";
const BIG: &[u8] = b"*3\r\n$4\r\nHGET\r\n$3\r\nbig\r\n$1\r\nf\r\n";

/// What a probe met: its 99th percentile and longest wait in milliseconds, and by how many megabytes the server has grown.
type Report = (String, [f64; 3]);

/// Measures each server in turn.
pub(crate) fn measure(options: &Options) -> Outcome<Vec<Table>> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let (mut names, mut reports) = (Vec::new(), Vec::new());
    for kind in kinds(&options.peers) {
        let server = Server::start(kind, &options.peers, &[])?;
        reports.push(measure_one(&server, &options.peers.join("bin/redis-benchmark"), options.scaled(IDLE, 100))?);
        names.push(server.name.clone());
    }
    let titles = [
        ("overload-p99", "another client's wait under overload, 99th percentile in ms"),
        ("overload-max", "another client's longest wait under overload, ms"),
        ("overload-memory", "growth of the server's memory under overload, MB"),
    ];
    let mut tables = Vec::new();
    for (figure, (name, title)) in titles.into_iter().enumerate() {
        let mut table = Table::new(name, title, Better::Lower, names.clone());
        for (row, (what, _)) in reports.first().into_iter().flatten().enumerate() {
            let value = |reports: &Vec<Report>| reports.get(row).and_then(|(_, values)| values.get(figure).copied());
            table.add(what, reports.iter().map(value).collect());
        }
        tables.push(table);
    }
    Ok(tables)
}

fn measure_one(server: &Server, load: &Path, idle: usize) -> Outcome<Vec<Report>> {
    let mut reports = Vec::new();
    let mut first = connect(server)?;
    first.write_all(b"CONFIG SET maxclients 13000\r\nHSET small f v\r\n")?;
    let value = "v".repeat(100_000);
    first
        .write_all(format!("*4\r\n$4\r\nHSET\r\n$3\r\nbig\r\n$1\r\nf\r\n${}\r\n{value}\r\n", value.len()).as_bytes())?;
    std::thread::sleep(Duration::from_millis(200));
    reports.push(report(server, "nobody else", memory(server)?)?);

    let before = memory(server)?;
    let mut idlers = many(server, idle)?;
    for stream in &mut idlers {
        stream.write_all(SMALL)?;
        stream.read_exact(&mut [0; 7])?;
    }
    reports.push(report(server, &format!("{idle} idle"), before)?);
    for busy in BUSY {
        let mut load = Command::new(load)
            .args([
                "-p",
                &server.port.to_string(),
                "-c",
                &busy.to_string(),
                "-n",
                "100000000",
                "-q",
                "HGET",
                "small",
                "f",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        std::thread::sleep(Duration::from_secs(2));
        let outcome = report(server, &format!("{idle} idle and {busy} busy"), before);
        load.kill()?;
        load.wait()?;
        reports.push(outcome?);
    }
    drop(idlers);
    std::thread::sleep(Duration::from_secs(1));

    let before = memory(server)?;
    let half_sent = many(server, 1000)?;
    half_sent.iter().try_for_each(|mut stream| stream.write_all(b"*2\r\n$4\r\nECHO\r\n$536870912\r\nabc"))?;
    reports.push(report(server, "1,000 requests half sent", before)?);
    drop(half_sent);
    reports.push(storm(server)?);

    let before = memory(server)?;
    let deaf = many(server, 100)?;
    let pipeline = BIG.repeat(200);
    deaf.iter().try_for_each(|mut stream| stream.write_all(&pipeline))?;
    reports.push(report(server, "100 who never read 20 MB", before)?);
    Ok(reports)
}

/// Connections that come and go while the probe watches.
fn storm(server: &Server) -> Outcome<Report> {
    let (before, done) = (memory(server)?, AtomicBool::new(false));
    std::thread::scope(|scope| {
        let storming = scope.spawn(|| {
            let mut count = 0;
            while !done.load(Ordering::Relaxed) && connect(server).is_ok() {
                count += 1;
            }
            count
        });
        let outcome = report(server, "connection storm", before);
        done.store(true, Ordering::Relaxed);
        let count = storming.join().map_err(|_| "the storm has panicked")?;
        println!("{:8} {count} connections in the storm", server.name);
        outcome
    })
}

fn report(server: &Server, what: &str, memory_before: f64) -> Outcome<Report> {
    let mut probe = connect(server)?;
    let mut waits = Vec::with_capacity(PROBES);
    for _ in 0..PROBES {
        let asked = Instant::now();
        probe.write_all(SMALL)?;
        probe.read_exact(&mut [0; 7])?;
        waits.push(asked.elapsed());
        std::thread::sleep(Duration::from_micros(300));
    }
    waits.sort_unstable();
    let at = |index: usize| waits.get(index).map_or(0.0, |wait| wait.as_secs_f64() * 1000.0);
    let grown = (memory(server)? - memory_before).max(0.0) / f64::from(1 << 20);
    Ok((what.to_owned(), [at(PROBES * 99 / 100), at(PROBES - 1), grown]))
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
