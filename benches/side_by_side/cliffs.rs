//! What the byte or the field costs that makes of a small hash a big one.

use super::client::Client;
use super::requests::{Load, benchmark};
use super::results::{Better, Table};
use super::{Kind, Options, Outcome, Server, median};

const HASHES: usize = 1000;

/// So many fields, of which the first has a value of so many bytes.
type Shape = (usize, usize);

/// Shapes before and after.
const STEPS: [(&str, Shape, Shape); 4] = [
    ("a value of 65 bytes for one of 64, 30 fields", (30, 64), (30, 65)),
    ("a value of 65 bytes for one of 64, 200 fields", (200, 64), (200, 65)),
    ("129 fields for 128, one of 65 bytes", (128, 65), (129, 65)),
    ("513 fields for 512", (512, 8), (513, 8)),
];

pub(crate) fn measure(options: &Options) -> Outcome<Vec<Table>> {
    let columns = || vec!["hashd, after".to_owned(), "before".to_owned()];
    let title = "Bytes per hash when a small hash becomes a big one";
    let mut memory = Table::new("cliff memory", title, Better::Lower, columns());
    let title = "CPU time per request then, pipeline 16, ns";
    let mut time = Table::new("cliff time", title, Better::Lower, columns());
    for (name, before, after) in STEPS {
        let (before, after) = (hashes(options, before)?, hashes(options, after)?);
        memory.add(name, vec![Some(after.bytes), Some(before.bytes)]);
        time.add(&format!("HGET, {name}"), vec![Some(after.get_ns), Some(before.get_ns)]);
        time.add(&format!("HSET, {name}"), vec![Some(after.set_ns), Some(before.set_ns)]);
    }
    Ok(vec![memory, time])
}

/// What hashes take.
struct Figures {
    bytes: f64,
    get_ns: f64,
    set_ns: f64,
}

fn hashes(options: &Options, (fields, length): Shape) -> Outcome<Figures> {
    let server = Server::start(Kind::Hashd, &options.peers, &["--io-threads", "1"])?;
    let before = server.used_memory()?;
    let hash = |number: usize| {
        let value =
            |field: usize| if field == 0 { "x".repeat(length) } else { format!("{:08}", number * 7919 + field) };
        let pairs = (0..fields).flat_map(|field| [format!("field:{field:04}"), value(field)]);
        ["HSET".to_owned(), format!("h:{number:012}")].into_iter().chain(pairs).collect()
    };
    Client::connect(server.port)?.pipeline((0..HASHES).map(hash), 10)?;
    let bytes = (server.used_memory()? - before) / HASHES as f64;
    let middle = format!("field:{:04}", fields / 2);
    let measured = |command: &[&str]| -> Outcome<f64> {
        let load = Load { command, pipeline: 16, requests: options.requests, threads: 1 };
        let times = (0..options.rounds).map(|_| Ok(benchmark(&options.peers, &server, HASHES, load)?.cpu_ns));
        Ok(median(times.collect::<Outcome<Vec<_>>>()?))
    };
    let get_ns = measured(&["HGET", "h:__rand_int__", &middle])?;
    let set_ns = measured(&["HSET", "h:__rand_int__", &middle, "87654321"])?;
    Ok(Figures { bytes, get_ns, set_ns })
}
