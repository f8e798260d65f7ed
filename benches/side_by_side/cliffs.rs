//! What the byte or the field costs that makes of a small hash a big one.

use super::client::Client;
use super::requests::{Load, in_turn};
use super::results::{Better, Table};
use super::{Kind, Options, Outcome, Server};

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
        let (after, before) = (hashes(options, after)?, hashes(options, before)?);
        memory.add(name, vec![Some(after.bytes), Some(before.bytes)]);
        let servers = [after.server, before.server];
        for (command, set) in [("HGET", None), ("HSET", Some("87654321"))] {
            let words: Vec<&str> = [command, "h:__rand_int__", &after.middle].into_iter().chain(set).collect();
            let load = Load { command: &words, keys: HASHES, pipeline: 16, requests: options.requests, threads: 1 };
            let samples = in_turn(options, &servers, load)?;
            time.add(&format!("{command}, {name}"), samples.iter().map(|sample| Some(sample.cpu_ns)).collect());
        }
    }
    Ok(vec![memory, time])
}

/// A server with hashes of one shape.
struct Filled {
    server: Server,
    bytes: f64,
    /// The field in the middle.
    middle: String,
}

fn hashes(options: &Options, (fields, length): Shape) -> Outcome<Filled> {
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
    Ok(Filled { server, bytes, middle: format!("field:{:04}", fields / 2) })
}
