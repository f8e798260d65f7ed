//! More than one core: what a second worker costs, and all clients on one hash.

use super::client::{Client, encode};
use super::requests::{KEYS, Load, in_turn};
use super::results::{Better, Table};
use super::{Kind, Options, Outcome, Server, kinds, median};

const PIPELINE: u64 = 16;

/// Connections of the growth measurement, each with keys of its own.
const CONNECTIONS: usize = 16;
const KEYS_EACH: usize = 5000;

/// CPU time per request when two workers serve, in relation to one, on connections that share no key.
pub(crate) fn growth(options: &Options) -> Outcome<Vec<Table>> {
    let mut servers = Vec::new();
    for (name, workers) in [("hashd, 2 workers", "2"), ("1 worker", "1")] {
        servers.push(Server::start(Kind::Hashd, &options.peers, &["--io-threads", workers])?.named(name));
    }
    let columns = servers.iter().map(|server| server.name.clone()).collect();
    for server in &servers {
        drive(server.port, KEYS_EACH, "HSET", &["name", "Alice", "email", "alice@example.com", "visits", "1"])?;
    }
    let title = "CPU time per request on disjoint keys, pipeline 16, ns (ratio to one worker)";
    let mut table = Table::new("second worker", title, Better::Lower, columns);
    let requests: [(&str, &[&str]); 3] =
        [("HGET", &["email"]), ("HSET", &["city", "Amsterdam"]), ("HINCRBY", &["visits", "1"])];
    let each = usize::try_from(options.requests)? / CONNECTIONS;
    for (name, arguments) in requests {
        let mut samples = vec![Vec::new(); servers.len()];
        for _ in 0..options.rounds {
            for (server, samples) in servers.iter().zip(&mut samples) {
                let cpu = server.cpu_of(|| drive(server.port, each, name, arguments))?;
                samples.push(cpu / (each * CONNECTIONS) as f64);
            }
        }
        table.add(name, samples.into_iter().map(|samples| Some(median(samples))).collect());
    }
    Ok(vec![table])
}

/// All clients on one hash.
pub(crate) fn hot_key(options: &Options) -> Outcome<Vec<Table>> {
    let mut servers = Vec::new();
    for (name, arguments) in [("hashd, 1 thread", &["--io-threads", "1"][..]), ("hashd, all cores", &[])] {
        servers.push(Server::start(Kind::Hashd, &options.peers, arguments)?.named(name));
    }
    for kind in kinds(&options.peers).into_iter().skip(1) {
        servers.push(Server::start(kind, &options.peers, &[])?);
    }
    let columns: Vec<String> = servers.iter().map(|server| server.name.clone()).collect();
    for server in &servers {
        let hot = ["HSET", "hot", "name", "Alice", "email", "alice@example.com", "city", "Amsterdam", "visits", "1"];
        Client::connect(server.port)?.ask(&hot)?;
    }
    let mut cpu =
        Table::new("hot key", "CPU time per request on one hash, pipeline 16, ns", Better::Lower, columns.clone());
    let mut rate = Table::new("hot key rate", "Requests per second on one hash, pipeline 16", Better::Higher, columns);
    for (name, command) in [("HGET", &["HGET", "hot", "email"][..]), ("HINCRBY", &["HINCRBY", "hot", "visits", "1"])] {
        let load = Load { command, keys: KEYS, pipeline: PIPELINE, requests: options.requests * 2, threads: 2 };
        let medians = in_turn(options, &servers, load)?;
        cpu.add(name, medians.iter().map(|sample| Some(sample.cpu_ns)).collect());
        rate.keep(name, medians.iter().map(|sample| Some(sample.requests_per_second)).collect());
    }
    Ok(vec![cpu, rate])
}

/// Sends `each` requests over every connection, on keys that no other connection uses.
fn drive(port: u16, each: usize, command: &str, arguments: &[&str]) -> Outcome<()> {
    let batch = usize::try_from(PIPELINE)?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|connection| {
                scope.spawn(move || -> Result<(), String> {
                    let mut client = Client::connect(port).map_err(|error| error.to_string())?;
                    for start in (0..each).step_by(batch) {
                        let count = batch.min(each - start);
                        let request = |number: usize| {
                            let key = format!("own:{connection}:{}", number * 7919 % KEYS_EACH);
                            encode(&[&[command, &key], arguments].concat())
                        };
                        let bytes: Vec<u8> = (start..start + count).flat_map(request).collect();
                        client.exchange(&bytes, count).map_err(|error| error.to_string())?;
                    }
                    Ok(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a client has panicked".to_owned())?)
    })?;
    Ok(())
}
