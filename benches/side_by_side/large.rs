//! Large values: CPU time of setting and getting one, and the memory that its way in and out takes at most.

use std::time::Duration;

use super::client::{Client, encode};
use super::results::{Better, Table};
use super::{Kind, Options, Outcome, Server, kinds, median, name_of};

/// Sizes in bytes, with how many times a value is sent.
const SIZES: [(&str, usize, usize); 2] = [("100 KB", 100_000, 2000), ("10 MB", 10_000_000, 40)];

/// What one fresh server needs for one size.
struct Sample {
    set_us: f64,
    get_us: f64,
    /// Largest growth of RSS while the first value comes in, in values.
    peak_set: f64,
    /// The same from then on until it has gone out once.
    peak_get: f64,
}

/// Measures each size on fresh servers in turn.
pub(crate) fn measure(options: &Options) -> Outcome<Vec<Table>> {
    let kinds = kinds(&options.peers);
    let names: Vec<String> = kinds.iter().map(|&kind| name_of(kind, &options.peers)).collect();
    let mut samples = Vec::new();
    for (label, size, times) in SIZES {
        let times = options.scaled(times, 5);
        let mut by_kind: Vec<Vec<Sample>> = kinds.iter().map(|_| Vec::new()).collect();
        for _ in 0..options.rounds {
            for (&kind, samples) in kinds.iter().zip(&mut by_kind) {
                samples.push(sample(options, kind, size, times)?);
            }
        }
        samples.push((label, by_kind));
    }
    let mut cpu = Table::new("large values", "CPU time per large value, us", Better::Lower, names.clone());
    let mut peak =
        Table::new("large values peak", "Most memory that a large value takes, in its size", Better::Lower, names);
    for (label, by_kind) in &samples {
        let of = |value: fn(&Sample) -> f64| {
            by_kind.iter().map(|samples| Some(median(samples.iter().map(value).collect()))).collect()
        };
        cpu.add(&format!("HSET of {label}"), of(|sample| sample.set_us));
        cpu.add(&format!("HGET of {label}"), of(|sample| sample.get_us));
    }
    for (label, by_kind) in samples.iter().filter(|(label, _)| *label == "10 MB") {
        let of = |value: fn(&Sample) -> f64| {
            by_kind.iter().map(|samples| Some(median(samples.iter().map(value).collect()))).collect()
        };
        peak.add(&format!("HSET of {label}"), of(|sample| sample.peak_set));
        peak.add(&format!("then HGET of {label}"), of(|sample| sample.peak_get));
    }
    Ok(vec![cpu, peak])
}

fn sample(options: &Options, kind: Kind, size: usize, times: usize) -> Outcome<Sample> {
    let server = Server::start(kind, &options.peers, &[])?;
    let mut client = Client::connect(server.port)?;
    let set = encode(&["HSET", "large", "field", &"x".repeat(size)]);
    let get = encode(&["HGET", "large", "field"]);
    let before = server.memory("VmRSS")?;
    client.exchange(&set, 1)?;
    let peak_set = (server.memory("VmHWM")? - before) / size as f64;
    client.exchange(&get, 1)?;
    let peak_get = (server.memory("VmHWM")? - before) / size as f64;
    let per_request = |cpu: f64| cpu / times as f64 / 1e3;
    let set_us = per_request(server.cpu_of(|| (0..times).try_for_each(|_| client.exchange(&set, 1)))?);
    std::thread::sleep(Duration::from_millis(100));
    let get_us = per_request(server.cpu_of(|| (0..times).try_for_each(|_| client.exchange(&get, 1)))?);
    Ok(Sample { set_us, get_us, peak_set, peak_get })
}
