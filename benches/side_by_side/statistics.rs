//! What those statistics cost that can be turned off: histograms of latency, and the slow log.

use super::requests::{COMMANDS, KEYS, Load, fill, in_turn};
use super::results::{Better, Table};
use super::{Kind, Options, Outcome, Server};

const OFF: [&str; 4] = ["--latency-tracking", "no", "--slowlog-log-slower-than", "-1"];

pub(crate) fn measure(options: &Options) -> Outcome<Vec<Table>> {
    let mut servers = Vec::new();
    for (name, arguments) in [("hashd", &[][..]), ("without", &OFF)] {
        let arguments = [&["--io-threads", "1"], arguments].concat();
        let server = Server::start(Kind::Hashd, &options.peers, &arguments)?.named(name);
        fill(&options.peers, &server)?;
        servers.push(server);
    }
    let columns = servers.iter().map(|server| server.name.clone()).collect();
    let title = "CPU time per request with and without latency-tracking and slow log, pipeline 64, ns";
    let mut table = Table::new("statistics", title, Better::Lower, columns);
    for (name, command) in COMMANDS {
        let load = Load { command, keys: KEYS, pipeline: 64, requests: options.requests * 4, threads: 1 };
        let medians = in_turn(options, &servers, load)?;
        table.add(name, medians.iter().map(|sample| Some(sample.cpu_ns)).collect());
    }
    println!("geometric mean with to without: {:.3}", table.mean_ratio(0, |_| true).unwrap_or(f64::NAN));
    Ok(vec![table])
}
