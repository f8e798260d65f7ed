//! hashd and its peers as child processes, measured side by side.

pub(crate) mod aof;
pub(crate) mod chart;
pub(crate) mod client;
pub(crate) mod cliffs;
pub(crate) mod cores;
pub(crate) mod eviction;
pub(crate) mod large;
pub(crate) mod memory;
pub(crate) mod overload;
pub(crate) mod requests;
pub(crate) mod results;
pub(crate) mod scans;
pub(crate) mod stalls;
pub(crate) mod statistics;
pub(crate) mod throughput;
mod workloads;

use std::error::Error;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use client::Client;

/// What everything here returns.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// What the command line asks for.
pub(crate) struct Options {
    /// Names of the parts, all if there are none.
    pub(crate) parts: Vec<String>,
    /// The folder of the peers.
    pub(crate) peers: PathBuf,
    /// Requests a measurement.
    pub(crate) requests: u64,
    /// Measurements of which the median is reported.
    pub(crate) rounds: usize,
    /// Pipeline depths.
    pub(crate) pipelines: Vec<u64>,
    /// What sizes are multiplied by, to try a part quickly.
    pub(crate) scale: f64,
    /// The folder for the results.
    pub(crate) write: Option<PathBuf>,
}

impl Options {
    /// A number of keys, fields or requests at the scale asked for, but no fewer than `least`.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size of moderate magnitude")]
    pub(crate) fn scaled(&self, size: usize, least: usize) -> usize {
        ((size as f64 * self.scale) as usize).max(least)
    }
}

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Hashd,
    Redis,
    Valkey,
}

/// A server under measurement; ends with the value.
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) port: u16,
    process: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        // Most servers never write one.
        drop(std::fs::remove_file(std::env::temp_dir().join(snapshot_of(self.port))));
    }
}

/// The name of a server's snapshot, of which others know nothing.
fn snapshot_of(port: u16) -> String {
    format!("versus-{port}.rdb")
}

impl Server {
    /// Starts a server of a kind with more arguments than the usual ones.
    pub(crate) fn start(kind: Kind, peers: &Path, arguments: &[&str]) -> Outcome<Self> {
        let program = match kind {
            Kind::Hashd => PathBuf::from(env!("CARGO_BIN_EXE_hashd")),
            Kind::Redis => peers.join("bin/redis-server"),
            Kind::Valkey => peers.join("bin/valkey-server"),
        };
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let process = Command::new(program)
            .args(["--port", &port.to_string(), "--save", "", "--appendonly", "no", "--dbfilename", &snapshot_of(port)])
            .args(arguments)
            .current_dir(std::env::temp_dir())
            .stdout(Stdio::null())
            .spawn()?;
        let server = Self { name: name_of(kind, peers), port, process };
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(10) {
            if Client::connect(port).and_then(|mut client| client.ask(&["PING"])).is_ok() {
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("{} does not answer", server.name).into())
    }

    /// The same server under a name that says how it is set up.
    pub(crate) fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Has the scheduler prefer its threads to other programs; false if that is not allowed.
    pub(crate) fn prefer(&self) -> Outcome<bool> {
        let mut command = Command::new("renice");
        command.args(["-n", "-15", "-p"]).stdout(Stdio::null());
        for task in std::fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            command.arg(task?.file_name());
        }
        Ok(command.status().is_ok_and(|status| status.success()))
    }

    /// Nanoseconds that all threads of the process have run. Peers may run under a loader, in the same process.
    pub(crate) fn cpu_time(&self) -> Outcome<u64> {
        let mut total = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
            total += text.split_whitespace().next().ok_or("no schedstat")?.parse::<u64>()?;
        }
        Ok(total)
    }

    /// Nanoseconds that the process runs while `work` is done.
    pub(crate) fn cpu_of(&self, work: impl FnOnce() -> Outcome<()>) -> Outcome<f64> {
        let before = self.cpu_time()?;
        work()?;
        Ok((self.cpu_time()? - before) as f64)
    }

    /// Bytes of a line of `/proc/PID/status`: `VmRSS`, or `VmHWM`, which is the largest that has been.
    pub(crate) fn memory(&self, line: &str) -> Outcome<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = text.lines().find_map(|found| found.strip_prefix(line)).ok_or("no such line")?;
        Ok(line.trim_start_matches(':').trim_end_matches("kB").trim().parse::<f64>()? * 1024.0)
    }

    /// `used_memory` of INFO.
    pub(crate) fn used_memory(&self) -> Outcome<f64> {
        let text = Client::connect(self.port)?.text(&["INFO", "memory"])?;
        let value = text.lines().find_map(|line| line.strip_prefix("used_memory:")).ok_or("no used_memory")?;
        Ok(value.trim().parse()?)
    }
}

/// The kinds that can be started: Redis, and Valkey if the folder has it, beside hashd.
pub(crate) fn kinds(peers: &Path) -> Vec<Kind> {
    let has_valkey = peers.join("bin/valkey-server").exists();
    [Kind::Hashd, Kind::Redis].into_iter().chain(has_valkey.then_some(Kind::Valkey)).collect()
}

/// Makes sure that the folder has the peers, which `tests/peers` fetches if it has not.
pub(crate) fn provide_peers(peers: &Path) -> Outcome<()> {
    if !peers.join("bin/redis-server").exists() {
        let status = Command::new("tests/peers").arg(peers).status()?;
        if !status.success() || !peers.join("bin/redis-server").exists() {
            return Err("no peers to compare with: tests/peers could not fetch them".into());
        }
    }
    Ok(())
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A server's name with its version, which `tests/peers` has written down.
pub(crate) fn name_of(kind: Kind, peers: &Path) -> String {
    let (name, word) = match kind {
        Kind::Hashd => return "hashd".to_owned(),
        Kind::Redis => ("Redis", "redis "),
        Kind::Valkey => ("Valkey", "valkey "),
    };
    let versions = std::fs::read_to_string(peers.join("versions")).unwrap_or_default();
    let version = versions.lines().find_map(|line| line.strip_prefix(word)?.split(' ').next());
    version.map_or_else(|| name.to_owned(), |version| format!("{name} {version}"))
}
