//! Servers for the tests: starts hashd or an oracle on a free port in a folder of its own and stops it on drop.

use crate::client::{Client, Protocol};
use std::ffi::OsString;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Which server to start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The server under test.
    Hashd,
    /// Redis from the folder `HASHD_PEERS` names.
    Redis,
    /// Valkey from the same folder; the oracle of `HSETEX NX|XX` alone.
    Valkey,
}

/// A running server.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub port: u16,
    folder: PathBuf,
    /// Whether the folder stays when the server goes.
    keeps_folder: bool,
    kind: Kind,
}

/// The folder of the oracles, if the machine has them.
pub fn peers() -> Option<PathBuf> {
    static FOUND: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        let folder = std::env::var_os("HASHD_PEERS").map(PathBuf::from)?;
        let version = Command::new(folder.join("bin/redis-server")).arg("--version").output().ok()?;
        // Other versions word errors differently: only the one that the scripts were recorded from is an oracle.
        String::from_utf8_lossy(&version.stdout).contains("v=8.6.").then_some(folder)
    });
    FOUND.clone()
}

/// Whether the program of this oracle is there.
pub fn has(oracle: Kind) -> bool {
    peers().is_some() && std::path::Path::new(&program(oracle)).exists()
}

/// The program to run for a kind of server.
pub fn program(kind: Kind) -> OsString {
    let peer = |name: &str| peers().expect("HASHD_PEERS names the oracles' folder").join("bin").join(name).into();
    match kind {
        Kind::Hashd => std::env::var_os("HASHD_BIN")
            .or_else(|| option_env!("CARGO_BIN_EXE_hashd").map(OsString::from))
            .expect("the hashd binary"),
        Kind::Redis => peer("redis-server"),
        Kind::Valkey => peer("valkey-server"),
    }
}

/// A new empty folder under the system's temporary one.
pub fn scratch_folder() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("hashd-it-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A port nobody listens on right now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    /// Starts a server with the options every test wants.
    pub fn start(kind: Kind) -> Self {
        Self::start_with(kind, &[])
    }

    /// Starts a server with more options.
    pub fn start_with(kind: Kind, options: &[&str]) -> Self {
        Self::start_by(kind, options, Command::new)
    }

    /// Starts a server that may open no more than so many files.
    pub fn start_with_files(kind: Kind, files: usize, options: &[&str]) -> Self {
        Self::start_by(kind, options, |program| {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\"")]).arg(program);
            shell
        })
    }

    /// Starts a server by the command that `make` makes of its program, to which the options are added; tries again when
    /// another process was faster to take the port.
    pub fn start_by(kind: Kind, options: &[&str], make: impl Fn(OsString) -> Command) -> Self {
        for _ in 0..3 {
            if let Some(server) = Self::try_start(kind, options, &make) {
                return server;
            }
        }
        panic!("{kind:?} does not start with {options:?}");
    }

    /// Starts a server in a folder that is there, and stays.
    pub fn start_in(kind: Kind, folder: &Path, options: &[&str]) -> Self {
        for _ in 0..3 {
            if let Some(mut server) = Self::try_start_in(kind, options, &Command::new, folder.to_owned()) {
                server.keeps_folder = true;
                return server;
            }
        }
        let log = std::fs::read_to_string(folder.join("log")).unwrap();
        panic!("{kind:?} does not start with {options:?}: {log}");
    }

    fn try_start(kind: Kind, options: &[&str], make: &impl Fn(OsString) -> Command) -> Option<Self> {
        Self::try_start_in(kind, options, make, scratch_folder())
    }

    fn try_start_in(
        kind: Kind,
        options: &[&str],
        make: &impl Fn(OsString) -> Command,
        folder: PathBuf,
    ) -> Option<Self> {
        let port = free_port();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let child = make(program(kind))
            .args(["--port", &port.to_string(), "--save", "", "--enable-debug-command", "yes", "--loglevel", "warning"])
            .args(options)
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { child, port, folder, keeps_folder: false, kind };
        let give_up = Instant::now() + Duration::from_secs(15);
        while Instant::now() < give_up {
            if server.child.try_wait().unwrap().is_some() {
                server.keeps_folder = true;
                return None;
            }
            let is_ready = |mut client: Client| {
                client.send(&["PING"]).is_ok() && client.reply().is_ok_and(|reply| !reply.starts_with(b"-LOADING"))
            };
            if Client::connect(port, Protocol::Resp2).is_ok_and(is_ready) {
                return Some(server);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// A new RESP2 connection.
    pub fn client(&self) -> Client {
        self.connect(Protocol::Resp2)
    }

    /// A new connection in either protocol.
    pub fn connect(&self, protocol: Protocol) -> Client {
        Client::connect(self.port, protocol).unwrap()
    }

    /// Ends the process at once, as a failure would.
    pub fn kill(mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A file in the server's folder.
    pub fn file(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap()
    }

    /// Resident memory in bytes.
    pub fn rss(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
    }

    /// Stops the process, as it were, until it is sent CONT.
    pub fn freeze(&self) {
        self.signal("STOP");
        let path = format!("/proc/{}/stat", self.child.id());
        let is_stopped = || std::fs::read_to_string(&path).unwrap().rsplit(") ").next().unwrap().starts_with('T');
        while !is_stopped() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the server to end by itself; its exit code.
    pub fn wait_for_exit(&mut self, limit: Duration) -> Option<i32> {
        let give_up = Instant::now() + limit;
        while Instant::now() < give_up {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the server still runs after {limit:?}");
    }

    /// Whether it still answers.
    pub fn assert_alive(&self) {
        let reply = self.client().line("PING");
        assert!(reply == "+PONG" || reply.starts_with("-NOAUTH"), "{reply}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if !self.keeps_folder {
            drop(std::fs::remove_dir_all(&self.folder));
        }
    }
}

/// Runs a test on hashd, and on Redis if it is there: what the test expects is what Redis does.
pub fn on_both(options: &[&str], test: impl Fn(&Server)) {
    test(&Server::start_with(Kind::Hashd, options));
    if has(Kind::Redis) {
        test(&Server::start_with(Kind::Redis, options));
    }
}

static IDLE: Mutex<Vec<Server>> = Mutex::new(Vec::new());

/// Lends an empty server; starting one for each of hundreds of scripts would take longer than the scripts.
pub fn borrow(kind: Kind) -> Server {
    let idle = {
        let mut idle = IDLE.lock().unwrap();
        idle.iter().position(|server| server.kind == kind).map(|at| idle.swap_remove(at))
    };
    let server = idle.unwrap_or_else(|| Server::start(kind));
    let mut client = server.client();
    for line in ["FLUSHALL", "DEBUG SET-ACTIVE-EXPIRE 1", "CONFIG RESETSTAT"] {
        client.line(line);
    }
    server
}

/// Takes a server back. Give back only one whose settings are still those it was started with.
pub fn give_back(server: Server) {
    IDLE.lock().unwrap().push(server);
}

/// Stops the servers that wait for their next borrower.
pub fn stop_idle() {
    IDLE.lock().unwrap().clear();
}
