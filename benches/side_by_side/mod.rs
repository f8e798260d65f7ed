//! hashd and its peers as child processes, for the benches that compare them.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What everything here returns.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// A server under measurement; ends with the value.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    pub(crate) process: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
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

/// Redis, and Valkey if the folder has it.
pub(crate) fn start_peers(peers: &Path) -> Outcome<Vec<Server>> {
    let mut servers = vec![start("Redis", &peers.join("bin/redis-server"), &[])?];
    let valkey = peers.join("bin/valkey-server");
    if valkey.exists() {
        servers.push(start("Valkey", &valkey, &[])?);
    }
    Ok(servers)
}

/// hashd, as cargo has built it for benches.
pub(crate) fn start_hashd(name: &'static str, arguments: &[&str]) -> Outcome<Server> {
    start(name, Path::new(env!("CARGO_BIN_EXE_hashd")), arguments)
}

fn start(name: &'static str, program: &Path, arguments: &[&str]) -> Outcome<Server> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let process = Command::new(program)
        .args(["--port", &port.to_string(), "--save", "", "--appendonly", "no"])
        .args(arguments)
        .current_dir(std::env::temp_dir())
        .stdout(Stdio::null())
        .spawn()?;
    let server = Server { name, port, process };
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(10) {
        if ping(port).is_ok() {
            return Ok(server);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(format!("{name} does not answer").into())
}

fn ping(port: u16) -> Outcome<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer)?;
    if &answer == b"+PONG\r\n" { Ok(()) } else { Err("not a PONG".into()) }
}
