//! CPU time per request, throughput and latency of five commands on small hashes, by the peers' `redis-benchmark`: 50
//! connections, 100,000 keys of 4 short fields.
//!
//! Servers are measured in turn (A B C A B C ...) and medians reported, so that the machine's mood hits all alike. hashd is
//! measured with one thread, with all cores, and with one thread while 1,000 subscribers listen to other channels and one
//! client watches a key, which must cost nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use super::client::Client;
use super::results::{Better, Table};
use super::{Kind, Options, Outcome, Server, kinds, median};

pub(super) const KEYS: usize = 100_000;

/// How many clients listen to channels that nobody uses, on the server that has them.
const SUBSCRIBERS: usize = 1000;

/// The five measured commands, as arguments of redis-benchmark.
pub(super) const COMMANDS: [(&str, &[&str]); 5] = [
    ("HGET", &["HGET", "user:__rand_int__", "email"]),
    ("HSET", &["HSET", "user:__rand_int__", "city", "Amsterdam"]),
    ("HMGET", &["HMGET", "user:__rand_int__", "name", "email", "city"]),
    ("HGETALL", &["HGETALL", "user:__rand_int__"]),
    ("HINCRBY", &["HINCRBY", "user:__rand_int__", "visits", "1"]),
];

/// One measurement.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    pub(super) cpu_ns: f64,
    pub(super) requests_per_second: f64,
    p99_ms: f64,
}

/// How `redis-benchmark` is to load a server.
#[derive(Clone, Copy)]
pub(super) struct Load<'a> {
    pub(super) command: &'a [&'a str],
    /// What `__rand_int__` stands for is below.
    pub(super) keys: usize,
    pub(super) pipeline: u64,
    pub(super) requests: u64,
    /// Threads of the generator.
    pub(super) threads: u64,
}

/// Measures the five commands at each pipeline depth.
pub(crate) fn measure(options: &Options) -> Outcome<Vec<Table>> {
    let (servers, _listeners) = start(options)?;
    let columns: Vec<String> = servers.iter().map(|server| server.name.clone()).collect();
    let mut cpu = Table::new("requests", "CPU time per request, ns", Better::Lower, columns.clone());
    let mut rate = Table::new("rate", "Requests per second", Better::Higher, columns.clone());
    let mut slowest = Table::new("p99", "99th percentile of the answer times, ms", Better::Lower, columns);
    for &pipeline in &options.pipelines {
        for (name, command) in COMMANDS {
            // Without pipelining a request costs the kernel ten times as much: fewer give the same precision.
            let requests = if pipeline == 1 { options.requests / 2 } else { options.requests * 2 };
            let load = Load { command, keys: KEYS, pipeline, requests, threads: 1 };
            let medians = in_turn(options, &servers, load)?;
            let name = format!("P={pipeline} {name}");
            let of = |value: fn(&Sample) -> f64| medians.iter().map(|sample| Some(value(sample))).collect();
            cpu.add(&name, of(|sample| sample.cpu_ns));
            rate.keep(&name, of(|sample| sample.requests_per_second));
            slowest.keep(&name, of(|sample| sample.p99_ms));
        }
    }
    println!("geometric means of the ratios of CPU time per request to the better peer");
    for pipeline in &options.pipelines {
        for (index, column) in cpu.columns.iter().enumerate().filter(|(_, column)| column.starts_with("hashd")) {
            let mean = cpu.mean_ratio(index, |row| row.name.starts_with(&format!("P={pipeline} ")));
            println!("  P={pipeline:<3} {column:<28} {:.2}", mean.unwrap_or(f64::NAN));
        }
    }
    Ok(vec![cpu, rate, slowest])
}

/// All servers, filled, and connections to the third that only listen.
fn start(options: &Options) -> Outcome<(Vec<Server>, Vec<TcpStream>)> {
    let one = ["--io-threads", "1"];
    let hashds = [("hashd, 1 thread", &one[..]), ("hashd, all cores", &[]), ("hashd, 1 thread, listeners", &one)];
    let mut servers = Vec::new();
    for (name, arguments) in hashds {
        servers.push(Server::start(Kind::Hashd, &options.peers, arguments)?.named(name));
    }
    let listeners = listen(&servers[2])?;
    for kind in kinds(&options.peers).into_iter().skip(1) {
        servers.push(Server::start(kind, &options.peers, &[])?);
    }
    for server in &servers {
        fill(&options.peers, server)?;
    }
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
        stream.read_exact(&mut [0; 1])?;
        listeners.push(stream);
    }
    Ok(listeners)
}

/// Fills a server with the keys that redis-benchmark will ask for, and warms it up.
pub(super) fn fill(peers: &Path, server: &Server) -> Outcome<()> {
    let hashes = (0..KEYS).map(|key| {
        let (name, email) = (format!("user{key}"), format!("user{key}@example.com"));
        ["HSET", &format!("user:{key:012}"), "name", &name, "email", &email, "city", "Amsterdam", "visits", "1"]
            .map(str::to_owned)
            .to_vec()
    });
    Client::connect(server.port)?.pipeline(hashes, 1000)?;
    benchmark(peers, server, Load { command: COMMANDS[0].1, keys: KEYS, pipeline: 16, requests: 100_000, threads: 1 })
        .map(drop)
}

/// Loads the servers in turn, as many rounds as asked for; gives the medians.
pub(super) fn in_turn(options: &Options, servers: &[Server], load: Load<'_>) -> Outcome<Vec<Sample>> {
    let mut samples = vec![Vec::new(); servers.len()];
    for _ in 0..options.rounds {
        for (server, samples) in servers.iter().zip(&mut samples) {
            samples.push(benchmark(&options.peers, server, load)?);
        }
    }
    let of = |samples: &[Sample], value: fn(&Sample) -> f64| median(samples.iter().map(value).collect());
    let median_of = |samples: &Vec<Sample>| Sample {
        cpu_ns: of(samples, |sample| sample.cpu_ns),
        requests_per_second: of(samples, |sample| sample.requests_per_second),
        p99_ms: of(samples, |sample| sample.p99_ms),
    };
    Ok(samples.iter().map(median_of).collect())
}

/// Loads a server with a command.
fn benchmark(peers: &Path, server: &Server, load: Load<'_>) -> Outcome<Sample> {
    let mut output = None;
    let cpu = server.cpu_of(|| {
        let mut command = Command::new(peers.join("bin/redis-benchmark"));
        command.args(["-p", &server.port.to_string(), "-c", "50", "-r", &load.keys.to_string(), "--csv"]);
        command.args(["-n", &load.requests.to_string(), "-P", &load.pipeline.to_string()]);
        if load.threads > 1 {
            command.args(["--threads", &load.threads.to_string()]);
        }
        output = Some(command.args(load.command).stderr(Stdio::null()).output()?);
        Ok(())
    })?;
    let output = output.filter(|output| output.status.success()).ok_or("redis-benchmark has failed")?;
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().last().ok_or("no figures from redis-benchmark")?;
    let fields: Vec<&str> = line.split("\",\"").map(|field| field.trim_matches('"')).collect();
    let number = |index: usize| -> Outcome<f64> { Ok(fields.get(index).ok_or("too few figures")?.parse()?) };
    Ok(Sample { cpu_ns: cpu / load.requests as f64, requests_per_second: number(1)?, p99_ms: number(6)? })
}
