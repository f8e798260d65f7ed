//! Requests per second with all cores serving, beside the best that a peer reaches with threads of its own.
//!
//! The load shares the machine, so what it costs hides what servers cost: at pipeline 16 `redis-benchmark --threads 2` takes
//! three times the CPU time of hashd. Here requests are encoded beforehand and replies are told apart by their lines only.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use fastrand::Rng;

use super::client::encode;
use super::requests::{COMMANDS, KEYS, fill};
use super::results::{Better, Table};
use super::{Kind, Options, Outcome, Server, kinds, median};

/// Threads of a peer's own that are tried; its best counts.
const IO_THREADS: [[&str; 2]; 3] = [["--io-threads", "1"], ["--io-threads", "2"], ["--io-threads", "4"]];

const PIPELINE: usize = 16;

const THREADS: usize = 2;
const CONNECTIONS_EACH: usize = 25;

/// Batches with keys of their own, which are sent in turn.
const BATCHES: usize = 2000;

/// Lines of one reply to each of [`COMMANDS`].
const LINES: [usize; 5] = [2, 1, 7, 17, 1];

pub(crate) fn measure(options: &Options) -> Outcome<Vec<Table>> {
    let mut variants: Vec<(Kind, &[&str])> = vec![(Kind::Hashd, &[])];
    for &kind in kinds(&options.peers).iter().skip(1) {
        variants.extend(IO_THREADS.iter().map(|threads| (kind, threads.as_slice())));
    }
    let requests = usize::try_from(options.requests)? * 4;
    let loads = COMMANDS
        .into_iter()
        .zip(LINES)
        .map(|((name, command), lines)| (name, Load { batches: batches(command), lines: lines * PIPELINE, requests }));
    let loads: Vec<(&str, Load)> = loads.collect();
    let mut rates = vec![vec![Vec::new(); variants.len()]; loads.len()];
    let mut columns = Vec::new();
    for round in 0..options.rounds {
        for (variant, (kind, arguments)) in variants.iter().enumerate() {
            // One at a time: with io-threads Valkey spins even while it idles.
            let server = Server::start(*kind, &options.peers, arguments)?;
            fill(&options.peers, &server)?;
            for ((_, load), rates) in loads.iter().zip(&mut rates) {
                rates[variant].push(load.fire(server.port)?);
            }
            if round == 0 {
                columns.push([&[server.name.as_str()], *arguments].concat().join(" ").replace(" --", ", "));
            }
        }
    }
    let title = "Requests per second with both cores serving, pipeline 16";
    let mut table = Table::new("throughput", title, Better::Higher, columns);
    for ((name, _), rates) in loads.iter().zip(rates) {
        table.add(name, rates.into_iter().map(|rates| Some(median(rates))).collect());
    }
    println!("geometric mean to the best peer: {:.2}", table.mean_ratio(0, |_| true).unwrap_or(f64::NAN));
    Ok(vec![table])
}

/// Batches of a command on random keys.
fn batches(command: &[&str]) -> Vec<Vec<u8>> {
    let mut rng = Rng::with_seed(5);
    let mut request = || {
        let key = format!("{:012}", rng.usize(..KEYS));
        encode(&command.iter().map(|word| word.replace("__rand_int__", &key)).collect::<Vec<_>>())
    };
    (0..BATCHES).map(|_| (0..PIPELINE).flat_map(|_| request()).collect()).collect()
}

/// What a server is loaded with.
struct Load {
    batches: Vec<Vec<u8>>,
    /// Lines of the replies to a batch.
    lines: usize,
    requests: usize,
}

impl Load {
    /// Sends the requests over all connections; gives how many were answered a second.
    fn fire(&self, port: u16) -> Outcome<f64> {
        let volleys = self.requests / (THREADS * CONNECTIONS_EACH * PIPELINE);
        let connect = || (0..CONNECTIONS_EACH).map(|_| TcpStream::connect(("127.0.0.1", port))).collect();
        let crews: Vec<Vec<TcpStream>> = (0..THREADS).map(|_| connect()).collect::<Result<_, _>>()?;
        for connection in crews.iter().flatten() {
            connection.set_nodelay(true)?;
        }
        let started = Instant::now();
        std::thread::scope(|scope| {
            let fire = |(crew, connections): (usize, Vec<TcpStream>)| {
                scope.spawn(move || self.fire_with(connections, volleys, crew * BATCHES / THREADS))
            };
            let threads: Vec<_> = crews.into_iter().enumerate().map(fire).collect();
            threads.into_iter().try_for_each(|thread| match thread.join() {
                Ok(outcome) => outcome.map_err(|error| error.to_string()),
                Err(_) => Err("a client has panicked".to_owned()),
            })
        })?;
        Ok((volleys * THREADS * CONNECTIONS_EACH * PIPELINE) as f64 / started.elapsed().as_secs_f64())
    }

    /// Sends a batch over each connection, then reads what comes, again and again.
    fn fire_with(&self, mut connections: Vec<TcpStream>, volleys: usize, first: usize) -> std::io::Result<()> {
        let mut batches = self.batches.iter().cycle().skip(first);
        let mut buffer = vec![0; 64 << 10];
        for _ in 0..volleys {
            for (connection, batch) in connections.iter_mut().zip(&mut batches) {
                connection.write_all(batch)?;
            }
            for connection in &mut connections {
                let mut missing = self.lines;
                while missing > 0 {
                    let length = connection.read(&mut buffer)?;
                    let lines = memchr::memchr_iter(b'\n', buffer.get(..length).unwrap_or_default()).count();
                    if length == 0 || lines > missing {
                        return Err(std::io::Error::other("not the replies that were expected"));
                    }
                    missing -= lines;
                }
            }
        }
        Ok(())
    }
}
