//! hashd beside Redis and Valkey: CPU time per request, throughput and latency, as ratios from one alternated run.
//!
//! ```text
//! cargo bench --bench versus -- [--peers FOLDER] [--requests N] [--rounds N] [--pipelines 1,16,64]
//! ```
//!
//! Without `--peers` (or `HASHD_PEERS`) it fetches the peers by `tests/peers` into `target/peers`. CPU time is the
//! growth of the run time of all of a server's threads (`/proc/PID/task/*/schedstat`); the load is `redis-benchmark`,
//! 50 connections, 100,000 keys of 4 short fields. Servers are measured in turn (A B C A B C ...) and medians reported,
//! so that the machine's mood hits all alike. hashd is measured with one thread, with all cores, and with one thread while
//! 1,000 subscribers listen to other channels and one client watches a key, which must cost nothing.
#![allow(clippy::cast_precision_loss, reason = "figures are printed with three digits")]

mod side_by_side;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use side_by_side::{Outcome, Server, provide_peers, start_hashd, start_peers};

const KEYS: &str = "100000";

/// How many clients listen to channels that nobody uses, on the server that has them.
const SUBSCRIBERS: usize = 1000;

/// The hashd servers, which come before their peers.
const HASHDS: [&str; 3] = ["hashd, 1 thread", "hashd, all cores", "hashd, 1 thread, listeners"];

/// The five measured commands, as arguments of redis-benchmark.
const COMMANDS: [(&str, &[&str]); 5] = [
    ("HGET", &["HGET", "user:__rand_int__", "email"]),
    ("HSET", &["HSET", "user:__rand_int__", "city", "Amsterdam"]),
    ("HMGET", &["HMGET", "user:__rand_int__", "name", "email", "city"]),
    ("HGETALL", &["HGETALL", "user:__rand_int__"]),
    ("HINCRBY", &["HINCRBY", "user:__rand_int__", "visits", "1"]),
];

/// What the command line asks for.
struct Options {
    peers: PathBuf,
    requests: u64,
    rounds: usize,
    pipelines: Vec<u64>,
}

/// One measurement.
#[derive(Clone, Copy)]
struct Sample {
    cpu_ns: f64,
    requests_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

fn main() -> Outcome<()> {
    // `cargo test --benches` calls every bench with `--test`: nothing to measure then.
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let options = options()?;
    let (servers, _listeners) = start_servers(&options.peers)?;
    for server in &servers {
        load(&options.peers, server)?;
    }
    println!("CPU time per request in ns (ratio to the better peer), requests per second, p50 and p99 in ms");
    println!("{} requests a measurement, {} rounds, medians", options.requests, options.rounds);
    let mut ratios = vec![Vec::new(); options.pipelines.len()];
    for (&pipeline, ratios) in options.pipelines.iter().zip(&mut ratios) {
        println!("\npipeline {pipeline}");
        for (name, command) in COMMANDS {
            let medians = measure_all(&options, &servers, pipeline, command)?;
            ratios.push(report(name, &servers, &medians));
        }
    }
    println!("\ngeometric mean of the ratios of CPU time per request to the better peer");
    for (pipeline, ratios) in options.pipelines.iter().zip(&ratios) {
        for (index, server) in HASHDS.iter().enumerate() {
            let logarithms: f64 = ratios.iter().map(|ratios: &[f64; 3]| ratios[index].ln()).sum();
            println!("  P={pipeline:<3} {server:<27} {:.2}", (logarithms / ratios.len() as f64).exp());
        }
    }
    Ok(())
}

fn options() -> Outcome<Options> {
    let mut options = Options {
        peers: std::env::var_os("HASHD_PEERS").map_or_else(|| "target/peers".into(), PathBuf::from),
        requests: 400_000,
        rounds: 3,
        pipelines: vec![1, 16, 64],
    };
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--peers" => options.peers = value.into(),
            "--requests" => options.requests = value.parse()?,
            "--rounds" => options.rounds = value.parse()?,
            "--pipelines" => options.pipelines = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
            _ => return Err(format!("unknown option {name}").into()),
        }
    }
    provide_peers(&options.peers)?;
    Ok(options)
}

/// All servers, and connections to the third that only listen.
fn start_servers(peers: &Path) -> Outcome<(Vec<Server>, Vec<TcpStream>)> {
    let mut servers = vec![
        start_hashd(HASHDS[0], &["--io-threads", "1"])?,
        start_hashd(HASHDS[1], &[])?,
        start_hashd(HASHDS[2], &["--io-threads", "1"])?,
    ];
    let listeners = listen(&servers[2])?;
    servers.extend(start_peers(peers)?);
    Ok((servers, listeners))
}

/// Connects clients that subscribe to a channel each, and one that watches a key.
fn listen(server: &Server) -> Outcome<Vec<TcpStream>> {
    let mut listeners = Vec::new();
    for number in 0..=SUBSCRIBERS {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port))?;
        let request =
            if number == 0 { "WATCH no-such-key\r\n".into() } else { format!("SUBSCRIBE channel:{number}\r\n") };
        stream.write_all(request.as_bytes())?;
        let mut answer = [0; 1];
        stream.read_exact(&mut answer)?;
        listeners.push(stream);
    }
    Ok(listeners)
}

/// Fills a server with the keys that redis-benchmark will ask for.
fn load(peers: &Path, server: &Server) -> Outcome<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port))?;
    let count: usize = KEYS.parse()?;
    let mut batch = Vec::new();
    for key in 0..count {
        let name = format!("user:{key:012}");
        batch.extend_from_slice(
            format!("HSET {name} name user{key} email user{key}@example.com city Amsterdam visits 1\r\n").as_bytes(),
        );
        if key % 1000 == 999 {
            stream.write_all(&batch)?;
            batch.clear();
            let mut replies = [0; 4000];
            stream.read_exact(&mut replies)?;
        }
    }
    // One short run warms the server up.
    run(peers, server, 16, 100_000, COMMANDS[0].1).map(drop)
}

fn measure_all(options: &Options, servers: &[Server], pipeline: u64, command: &[&str]) -> Outcome<Vec<Sample>> {
    let mut samples = vec![Vec::new(); servers.len()];
    // Without pipelining a request costs the kernel ten times as much: fewer give the same precision.
    let requests = if pipeline == 1 { options.requests / 2 } else { options.requests * 2 };
    for _ in 0..options.rounds {
        for (server, samples) in servers.iter().zip(&mut samples) {
            samples.push(run(&options.peers, server, pipeline, requests, command)?);
        }
    }
    Ok(samples.iter().map(|samples| median(samples)).collect())
}

fn median(samples: &[Sample]) -> Sample {
    let of = |value: fn(&Sample) -> f64| {
        let mut values: Vec<f64> = samples.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Sample {
        cpu_ns: of(|sample| sample.cpu_ns),
        requests_per_second: of(|sample| sample.requests_per_second),
        p50_ms: of(|sample| sample.p50_ms),
        p99_ms: of(|sample| sample.p99_ms),
    }
}

fn run(peers: &Path, server: &Server, pipeline: u64, requests: u64, command: &[&str]) -> Outcome<Sample> {
    let before = cpu_time(server.process.id())?;
    let output = Command::new(peers.join("bin/redis-benchmark"))
        .args(["-p", &server.port.to_string(), "-c", "50", "-r", KEYS, "--csv"])
        .args(["-n", &requests.to_string(), "-P", &pipeline.to_string()])
        .args(command)
        .stderr(Stdio::null())
        .output()?;
    let cpu = cpu_time(server.process.id())? - before;
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().rev().find(|line| line.contains("\",\"")).ok_or("no figures from redis-benchmark")?;
    let fields: Vec<&str> = line.split("\",\"").map(|field| field.trim_matches('"')).collect();
    let number = |index: usize| -> Outcome<f64> { Ok(fields.get(index).ok_or("too few figures")?.parse()?) };
    Ok(Sample {
        cpu_ns: cpu as f64 / requests as f64,
        requests_per_second: number(1)?,
        p50_ms: number(4)?,
        p99_ms: number(6)?,
    })
}

/// Nanoseconds that all threads of a process have run. Peers may run under a loader, in the same process.
fn cpu_time(process: u32) -> Outcome<u64> {
    let mut total = 0;
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        total += text.split_whitespace().next().ok_or("no schedstat")?.parse::<u64>()?;
    }
    Ok(total)
}

/// Prints one command's figures; gives the ratios of the hashd servers to the better peer.
fn report(name: &str, servers: &[Server], medians: &[Sample]) -> [f64; 3] {
    let best = medians.iter().skip(HASHDS.len()).map(|sample| sample.cpu_ns).fold(f64::INFINITY, f64::min);
    for (server, sample) in servers.iter().zip(medians) {
        println!(
            "  {name:<8} {:<27} {:>8.0} ns ({:.2})  {:>9.0}/s  p50 {:.3}  p99 {:.3}",
            server.name,
            sample.cpu_ns,
            sample.cpu_ns / best,
            sample.requests_per_second,
            sample.p50_ms,
            sample.p99_ms
        );
    }
    std::array::from_fn(|index| medians[index].cpu_ns / best)
}
