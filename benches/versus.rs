//! hashd beside Redis and Valkey: speed, memory, stalls, as figures and ratios from one machine.
//!
//! ```text
//! cargo bench --bench versus -- [PART ...] [--peers FOLDER] [--requests N] [--rounds N] [--pipelines 1,16,64]
//!                               [--scale X] [--write FOLDER]
//! ```
//!
//! | part | measures |
//! |---|---|
//! | requests | CPU time per request, throughput and latency of five commands at three pipeline depths |
//! | throughput | requests per second with both cores serving, beside the peers' best `io-threads` |
//! | growth | CPU time per request with one worker and with two |
//! | hot-key | the same with all clients on one hash |
//! | large | CPU time and memory of values of 100 KB and 10 MB |
//! | memory | RSS and `used_memory` per key of five workloads; what replacing half of the keys leaves behind |
//! | cliffs | memory and CPU time before and after the byte or field that makes a small hash big |
//! | stalls | how long one client's heavy step makes another client wait |
//! | scans | CPU time of a full SCAN of 3 million keys and a full HSCAN of a million fields |
//! | eviction | hit ratio of every policy on a Zipf trace, memory beyond `maxmemory`, and how long evicting makes others wait |
//! | overload | what 10,000 idle and 2,000 busy clients, a storm and those who never read cost another and the memory |
//! | aof | CPU time per writing request, and throughput, with an append-only file |
//! | statistics | CPU time per request with and without the statistics that can be turned off |
//! | chart | nothing: draws what is in the folder of `--write` |
//!
//! All parts when none is named. `--scale 0.05` tries one out at a twentieth of its size. `--write benches/results` puts
//! the figures into `results.json` there (parts measured earlier stay), the tables into `README.md` and the chart into
//! `chart.svg`. Without `--peers` (or `HASHD_PEERS`) the peers are fetched by `tests/peers` into `target/peers`. CPU time
//! is the growth of the run time of all of a server's threads (`/proc/PID/task/*/schedstat`).
#![allow(clippy::cast_precision_loss, reason = "figures are printed with three digits")]

mod side_by_side;

use std::path::PathBuf;

use side_by_side::results::{Results, Table};
use side_by_side::{
    Options, Outcome, aof, cliffs, cores, eviction, large, memory, overload, provide_peers, requests, scans, stalls,
    statistics, throughput,
};

/// Measures one part.
type Measure = fn(&Options) -> Outcome<Vec<Table>>;

const PARTS: [(&str, Measure); 14] = [
    ("requests", requests::measure),
    ("throughput", throughput::measure),
    ("growth", cores::growth),
    ("hot-key", cores::hot_key),
    ("large", large::measure),
    ("memory", memory::measure),
    ("cliffs", cliffs::measure),
    ("stalls", stalls::measure),
    ("scans", scans::measure),
    ("eviction", eviction::measure),
    ("overload", overload::measure),
    ("aof", aof::measure),
    ("statistics", statistics::measure),
    ("chart", |_| Ok(Vec::new())),
];

fn main() -> Outcome<()> {
    // `cargo test --benches` calls every bench with `--test`: nothing to measure then.
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let options = options()?;
    provide_peers(&options.peers)?;
    let is_wanted = |name: &str| options.parts.is_empty() || options.parts.iter().any(|part| part == name);
    for (_, measure) in PARTS.iter().filter(|(name, _)| is_wanted(name)) {
        let tables = measure(&options)?;
        let Some(folder) = &options.write else { continue };
        // After each part, so that none is lost if a later one fails.
        let mut results = Results::read(folder)?;
        for table in tables {
            results.put(table);
        }
        results.write(folder)?;
    }
    Ok(())
}

fn options() -> Outcome<Options> {
    let mut options = Options {
        parts: Vec::new(),
        peers: std::env::var_os("HASHD_PEERS").map_or_else(|| "target/peers".into(), PathBuf::from),
        requests: 400_000,
        rounds: 3,
        pipelines: vec![1, 16, 64],
        scale: 1.0,
        write: None,
    };
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(word) = arguments.next() {
        if PARTS.iter().any(|(name, _)| *name == word) {
            options.parts.push(word);
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{word} is no part, or needs a value"))?;
        match word.as_str() {
            "--peers" => options.peers = value.into(),
            "--requests" => options.requests = value.parse()?,
            "--rounds" => options.rounds = value.parse()?,
            "--pipelines" => options.pipelines = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "--scale" => options.scale = value.parse()?,
            "--write" => options.write = Some(value.into()),
            _ => return Err(format!("unknown option {word}").into()),
        }
    }
    Ok(options)
}
