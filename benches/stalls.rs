//! How long one client's heavy step makes another client wait, for hashd, Redis and Valkey.
//!
//! ```text
//! cargo bench --bench stalls -- [--peers FOLDER]
//! ```
//!
//! A probe sends HGET on a small hash every half millisecond, over four connections in turn, while another client does one
//! step; the longest answer time is reported, and the 99.9th percentile behind it, in milliseconds. `idle` shows what the
//! machine itself adds. Without `--peers` (or `HASHD_PEERS`) the peers are fetched by `tests/peers` into `target/peers`.

mod side_by_side;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use side_by_side::{Outcome, Server, provide_peers, start_hashd, start_peers};

/// Fields of a big hash.
const BIG: usize = 1_000_000;

/// Pairs of one wide HSET.
const WIDE: usize = 250_000;

/// Fields, or keys, that expire together.
const DUE: usize = 500_000;

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
    provide_peers(&peers)?;
    let mut servers = vec![start_hashd("hashd", &[])?];
    servers.extend(start_peers(&peers)?);
    println!("longest wait of another client in ms (99.9th percentile), and how long the step took");
    for server in &servers {
        measure(server)?;
    }
    Ok(())
}

fn measure(server: &Server) -> Outcome<()> {
    let mut client = Client::connect(server.port)?;
    client.ask(&["HSET", "small", "f", "v"])?;
    let fields = |count: usize| (0..count).map(|number| format!("field:{number}"));
    let pairs = |count: usize| fields(count).flat_map(|field| [field, "a short value".to_owned()]);
    let step = |name: &str, work: &mut dyn FnMut() -> Outcome<()>| -> Outcome<()> { probe(server, name, work) };

    step("idle", &mut || {
        std::thread::sleep(Duration::from_secs(1));
        Ok(())
    })?;
    let wide: Vec<String> = ["HSET", "wide"].into_iter().map(str::to_owned).chain(pairs(WIDE)).collect();
    step("HSET of 250,000 pairs", &mut || client.ask(&wide))?;
    step("growth of a hash to 1M fields", &mut || {
        let all: Vec<String> = pairs(BIG).collect();
        all.chunks(2000).try_for_each(|chunk| client.ask(&[&["HSET".to_owned(), "big".to_owned()], chunk].concat()))
    })?;
    for request in [
        &["HGETALL", "big"][..],
        &["HKEYS", "big"],
        &["HRANDFIELD", "big", "1000000"],
        &["COPY", "big", "copy"],
        &["RENAME", "copy", "wide"],
        &["DEL", "wide"],
    ] {
        step(&format!("{} of 1M fields", request[0]), &mut || client.ask(request))?;
    }
    let due: Vec<String> = ["HPEXPIRE", "big", "1500", "FIELDS", &DUE.to_string()]
        .into_iter()
        .map(str::to_owned)
        .chain(fields(DUE))
        .collect();
    step("HPEXPIRE of 500,000 fields", &mut || client.ask(&due))?;
    step("500,000 fields expire", &mut || {
        std::thread::sleep(Duration::from_secs(4));
        Ok(())
    })?;
    step("500,000 keys come and expire", &mut || {
        let expiry = now_ms()? + 6000;
        client.pipeline((0..DUE).flat_map(|number| {
            let key = format!("key:{number}");
            [
                vec!["HSET".into(), key.clone(), "f".into(), "v".into()],
                vec!["PEXPIREAT".into(), key, expiry.to_string()],
            ]
        }))?;
        std::thread::sleep(Duration::from_secs(8));
        Ok(())
    })?;
    step("FLUSHALL", &mut || client.ask(&["FLUSHALL"]))
}

fn now_ms() -> Outcome<u128> {
    Ok(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis())
}

/// Does a step while the probe watches, and prints what the probe saw.
fn probe(server: &Server, name: &str, work: &mut dyn FnMut() -> Outcome<()>) -> Outcome<()> {
    let done = AtomicBool::new(false);
    let (took, waits) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(server.port, &done).map_err(|error| error.to_string()));
        std::thread::sleep(Duration::from_millis(300));
        let started = Instant::now();
        let outcome = work();
        let took = started.elapsed();
        std::thread::sleep(Duration::from_millis(200));
        done.store(true, Ordering::Relaxed);
        let waits = watching.join().map_err(|_| "the probe has panicked")?;
        outcome.map(|()| (took, waits))
    })?;
    let mut waits = waits?;
    waits.sort_unstable();
    let at = |share: usize| waits.get((waits.len() * share / 1000).min(waits.len() - 1)).copied().unwrap_or_default();
    println!(
        "  {:<7} {name:<30} {:>7.1} ({:.1})   took {:.0} ms",
        server.name,
        at(1000).as_secs_f64() * 1e3,
        at(999).as_secs_f64() * 1e3,
        took.as_secs_f64() * 1e3
    );
    Ok(())
}

/// Asks for a small hash's field again and again; gives how long each answer took.
fn watch(port: u16, done: &AtomicBool) -> Outcome<Vec<Duration>> {
    let mut clients = (0..4).map(|_| Client::connect(port)).collect::<Outcome<Vec<_>>>()?;
    let mut waits = Vec::new();
    while !done.load(Ordering::Relaxed) {
        for client in &mut clients {
            let started = Instant::now();
            client.ask(&["HGET", "small", "f"])?;
            waits.push(started.elapsed());
            std::thread::sleep(Duration::from_micros(500));
        }
    }
    Ok(waits)
}

/// A client that reads replies without keeping them.
struct Client {
    stream: TcpStream,
    replies: BufReader<TcpStream>,
}

impl Client {
    fn connect(port: u16) -> Outcome<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Self { replies: BufReader::with_capacity(1 << 20, stream.try_clone()?), stream })
    }

    /// Sends one request and reads its reply.
    fn ask<T: AsRef<str>>(&mut self, request: &[T]) -> Outcome<()> {
        self.stream.write_all(&encode(request))?;
        self.skip_reply()
    }

    /// Sends many requests in batches and reads their replies.
    fn pipeline(&mut self, requests: impl Iterator<Item = Vec<String>>) -> Outcome<()> {
        const BATCH: usize = 1000;
        let (mut batch, mut waiting) = (Vec::new(), 0);
        for request in requests {
            batch.extend(encode(&request));
            waiting += 1;
            if waiting == BATCH {
                self.stream.write_all(&std::mem::take(&mut batch))?;
                (0..std::mem::take(&mut waiting)).try_for_each(|_| self.skip_reply())?;
            }
        }
        self.stream.write_all(&batch)?;
        (0..waiting).try_for_each(|_| self.skip_reply())
    }

    fn skip_reply(&mut self) -> Outcome<()> {
        let (mut elements, mut line) = (1_u64, String::new());
        while elements > 0 {
            elements -= 1;
            line.clear();
            self.replies.read_line(&mut line)?;
            let (kind, rest) = line.trim_end().split_at_checked(1).ok_or("the server has closed the connection")?;
            match kind {
                "*" => elements += rest.parse::<u64>()?,
                "$" if rest != "-1" => {
                    let length: u64 = rest.parse()?;
                    std::io::copy(&mut (&mut self.replies).take(length + 2), &mut std::io::sink())?;
                }
                "-" => return Err(line.as_str().into()),
                _ => {}
            }
        }
        Ok(())
    }
}

fn encode<T: AsRef<str>>(request: &[T]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", request.len()).into_bytes();
    for argument in request {
        let argument = argument.as_ref();
        bytes.extend_from_slice(format!("${}\r\n{argument}\r\n", argument.len()).as_bytes());
    }
    bytes
}
