//! What many clients, and clients that mean harm, cost another client and the memory, for hashd, Redis and Valkey.
//!
//! ```text
//! cargo bench --bench overload -- [--peers FOLDER]
//! ```
//!
//! A probe sends HGET on a small hash three thousand times, a third of a millisecond apart, while others do what the line
//! says; its median, 99th percentile and longest wait are reported in milliseconds, and by how much the server's memory has
//! grown. Wants 13,000 file descriptors. Without `--peers` (or `HASHD_PEERS`) the peers are fetched by `tests/peers`.

mod side_by_side;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use side_by_side::{Outcome, Server, provide_peers, start_hashd, start_peers};

const IDLE: usize = 10_000;
const BUSY: [usize; 2] = [50, 2000];
const PROBES: usize = 3000;
const SMALL: &[u8] = b"*3\r\n$4\r\nHGET\r\n$5\r\nsmall\r\n$1\r\nf\r\n";
const BIG: &[u8] = b"*3\r\n$4\r\nHGET\r\n$3\r\nbig\r\n$1\r\nf\r\n";

fn main() -> Outcome<()> {
    // `cargo test --benches` calls every bench with `--test`: nothing to measure then.
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let mut peers = std::env::var_os("HASHD_PEERS").map_or_else(|| "target/peers".into(), PathBuf::from);
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(name) = arguments.next() {
        match (name.as_str(), arguments.next()) {
            ("--peers", Some(folder)) => peers = folder.into(),
            _ => return Err(format!("unknown option {name}").into()),
        }
    }
    rlimit::increase_nofile_limit(u64::MAX)?;
    provide_peers(&peers)?;
    let mut servers = vec![start_hashd("hashd", &[])?];
    servers.extend(start_peers(&peers)?);
    println!("a probe's median, 99th percentile and longest wait in ms; growth of the server's memory");
    for server in &servers {
        measure(server, &peers.join("bin/redis-benchmark"))?;
    }
    Ok(())
}

fn measure(server: &Server, load: &Path) -> Outcome<()> {
    let mut first = connect(server)?;
    first.write_all(b"CONFIG SET maxclients 13000\r\nHSET small f v\r\n")?;
    let value = "v".repeat(100_000);
    first
        .write_all(format!("*4\r\n$4\r\nHSET\r\n$3\r\nbig\r\n$1\r\nf\r\n${}\r\n{value}\r\n", value.len()).as_bytes())?;
    std::thread::sleep(Duration::from_millis(200));
    report(server, "nobody else", memory(server)?)?;

    let before = memory(server)?;
    let mut idle = many(server, IDLE)?;
    for stream in &mut idle {
        stream.write_all(SMALL)?;
        stream.read_exact(&mut [0; 7])?;
    }
    report(server, "10,000 idle", before)?;
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
        let outcome = report(server, &format!("10,000 idle and {busy} busy"), before);
        load.kill()?;
        load.wait()?;
        outcome?;
    }
    drop(idle);
    std::thread::sleep(Duration::from_secs(1));

    let before = memory(server)?;
    let half_sent = many(server, 1000)?;
    half_sent.iter().try_for_each(|mut stream| stream.write_all(b"*2\r\n$4\r\nECHO\r\n$536870912\r\nabc"))?;
    report(server, "1,000 requests half sent", before)?;
    drop(half_sent);
    storm(server)?;

    let before = memory(server)?;
    let deaf = many(server, 100)?;
    let pipeline = BIG.repeat(200);
    deaf.iter().try_for_each(|mut stream| stream.write_all(&pipeline))?;
    report(server, "100 who never read 20 MB", before)
}

/// Connections that come and go while the probe watches.
fn storm(server: &Server) -> Outcome<()> {
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

fn report(server: &Server, what: &str, memory_before: u64) -> Outcome<()> {
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
    let (median, percentile, longest) = (at(PROBES / 2), at(PROBES * 99 / 100), at(PROBES - 1));
    let grown = memory(server)?.saturating_sub(memory_before) / 1024;
    println!("{:8} {what:28} {median:8.3} {percentile:8.3} {longest:9.3}   {grown} MB", server.name);
    Ok(())
}

fn connect(server: &Server) -> Outcome<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", server.port))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn many(server: &Server, count: usize) -> Outcome<Vec<TcpStream>> {
    (0..count).map(|_| connect(server)).collect()
}

/// Resident memory in kilobytes.
fn memory(server: &Server) -> Outcome<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
