//! What the append-only file costs: CPU time per writing request with `appendfsync everysec`, and throughput and answer
//! times with `always`, where how well syncs are shared decides.

use std::path::PathBuf;

use super::requests::{COMMANDS, KEYS, Load, Sample, fill, in_turn};
use super::results::{Better, Table};
use super::{Kind, Options, Outcome, Server, kinds};

/// A folder for the files of a server; goes with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Outcome<Self> {
        let folder = std::env::temp_dir().join(format!("versus-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Measures the writing commands.
pub(crate) fn measure(options: &Options) -> Outcome<Vec<Table>> {
    let writes: Vec<_> = COMMANDS.iter().filter(|(name, _)| ["HSET", "HINCRBY"].contains(name)).collect();
    let (servers, _folders) = start(options, "everysec")?;
    let columns: Vec<String> = servers.iter().map(|server| server.name.clone()).collect();
    let title = "CPU time per request with an append-only file, everysec, ns";
    let mut cpu = Table::new("aof everysec", title, Better::Lower, columns);
    for &pipeline in &options.pipelines {
        for (name, command) in &writes {
            let requests = if pipeline == 1 { options.requests / 2 } else { options.requests * 2 };
            let load = Load { command, keys: KEYS, pipeline, requests, threads: 1 };
            let medians = in_turn(options, &servers, load)?;
            cpu.add(&format!("P={pipeline} {name}"), medians.iter().map(|sample| Some(sample.cpu_ns)).collect());
        }
    }
    drop(servers);
    let (servers, _folders) = start(options, "always")?;
    let columns: Vec<String> = servers.iter().map(|server| server.name.clone()).collect();
    let title = "Requests per second with an append-only file, always";
    let mut rate = Table::new("aof always", title, Better::Higher, columns);
    for pipeline in [1, 16] {
        let load =
            Load { command: writes[0].1, keys: KEYS, pipeline, requests: options.requests / 5 * pipeline, threads: 1 };
        let medians = in_turn(options, &servers, load)?;
        let values = medians.iter().map(|sample: &Sample| Some(sample.requests_per_second)).collect();
        rate.add(&format!("P={pipeline} {}", writes[0].0), values);
    }
    Ok(vec![cpu, rate])
}

/// hashd with and without a log, and the peers with one, filled.
fn start(options: &Options, policy: &str) -> Outcome<(Vec<Server>, Vec<Folder>)> {
    let (mut servers, mut folders) = (Vec::new(), Vec::new());
    let with_log = kinds(&options.peers).into_iter().map(|kind| (kind, true));
    for (kind, has_log) in with_log.chain([(Kind::Hashd, false)]) {
        let folder = Folder::new(&format!("{policy}-{}", servers.len()))?;
        let path = folder.0.to_string_lossy().into_owned();
        let log = if has_log { "yes" } else { "no" };
        let mut arguments = vec!["--dir", &path, "--appendonly", log, "--appendfsync", policy];
        if kind == Kind::Hashd {
            arguments.extend(["--io-threads", "1"]);
        }
        let server = Server::start(kind, &options.peers, &arguments)?;
        let name = format!("{}, {}", server.name, if has_log { policy } else { "no log" });
        fill(&options.peers, &server)?;
        servers.push(server.named(&name));
        folders.push(folder);
    }
    Ok((servers, folders))
}
