//! Start, settings and end: signals, SHUTDOWN, maxclients, the environment, wrong options.

use crate::Case;
use crate::client::{Client, Protocol, eventually};
use crate::server::{self, Kind, Server};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub const CASES: &[Case] = &[
    ("sigterm_ends_with_0", sigterm),
    ("shutdown_ends_with_0", shutdown),
    ("wrong_options_end_with_1", wrong_options),
    ("environment_sets_options", environment),
    ("wrong_environment_ends_with_1", wrong_environment),
    ("help_lists_every_setting", help),
    ("maxclients", maxclients),
    ("what_runs_is_finished", what_runs_is_finished),
    ("shutdown_timeout", shutdown_timeout),
    ("shutdown_options", shutdown_options),
    ("a_second_interrupt_ends_at_once", second_interrupt),
    ("systemd_is_told", systemd),
    ("log_and_pid_files", files),
    ("loglevel_follows_config_set", loglevel),
    ("what_the_log_says_at_start", start_in_log),
];

const LIMIT: Duration = Duration::from_secs(5);

fn sigterm() {
    let mut server = Server::start(Kind::Hashd);
    let _waiting = server.client();
    server.signal("TERM");
    assert_eq!(server.wait_for_exit(LIMIT), Some(0));
}

fn shutdown() {
    let mut server = Server::start(Kind::Hashd);
    let mut client = server.client();
    client.send(&["SHUTDOWN", "NOSAVE"]).unwrap();
    assert_eq!(client.read_to_close().unwrap(), b"");
    assert_eq!(server.wait_for_exit(LIMIT), Some(0));
}

fn wrong_options() {
    for options in [["--nonsense", "1"], ["--port", "x"], ["--maxclients", "-1"]] {
        let output = Command::new(server::program(Kind::Hashd)).args(options).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{options:?}");
        assert!(!output.stderr.is_empty() || !output.stdout.is_empty(), "{options:?} says nothing");
    }
}

fn environment() {
    let server = InEnvironment::start();
    let mut client = Client::connect(server.port, Protocol::Resp2).unwrap();
    assert_eq!(client.line("PING"), "-NOAUTH Authentication required.");
    assert_eq!(client.line("AUTH guess"), "-WRONGPASS invalid username-password pair or user is disabled.");
    assert_eq!(client.line("AUTH open sesame").split(' ').next(), Some("-WRONGPASS"));
    assert_eq!(client.value(&["AUTH", "open sesame"]).text(), "OK");
    assert_eq!(client.line("SELECT 2"), "+OK");
    assert_eq!(client.line("SELECT 3"), "-ERR DB index is out of range");
    client.line("HSET k f 1 g 2");
    assert_eq!(client.line("OBJECT ENCODING k"), "\"listpack\"");
    client.line("HSET k h 3");
    assert_eq!(client.line("OBJECT ENCODING k"), "\"hashtable\"");
    for (name, value) in [
        ("port", server.port.to_string().as_str()),
        ("requirepass", "open sesame"),
        ("databases", "3"),
        ("hash-max-listpack-entries", "2"),
        ("save", "900 1 300 10"),
        // In the environment too: the command line comes before it.
        ("maxclients", "70"),
        // Only on the command line.
        ("timeout", "600"),
    ] {
        assert_eq!(client.ask(&format!("CONFIG GET {name}")).items()[1].text(), value, "{name}");
    }
}

/// A server that has most of its settings from `HASHD_*` variables; killed on drop.
struct InEnvironment {
    child: Child,
    port: u16,
}

impl InEnvironment {
    /// Tries again when another process was faster to take the port.
    fn start() -> Self {
        (0..3).find_map(|_| Self::try_start()).expect("hashd does not start with HASHD_PORT")
    }

    fn try_start() -> Option<Self> {
        let port = server::free_port();
        let child = Command::new(server::program(Kind::Hashd))
            .args(["--maxclients", "70", "--timeout", "600"])
            .env("HASHD_PORT", port.to_string())
            .env("HASHD_REQUIREPASS", "open sesame")
            .env("HASHD_DATABASES", "3")
            .env("HASHD_HASH_MAX_LISTPACK_ENTRIES", "2")
            .env("HASHD_SAVE", "900 1 300 10")
            .env("HASHD_MAXCLIENTS", "60")
            .env("HASHD_LOGLEVEL", "notice")
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { child, port };
        // It says so when it listens; the output ends without that line if it cannot.
        let output = BufReader::new(server.child.stdout.take()?);
        output.lines().map_while(Result::ok).any(|line| line.contains("Ready to accept connections")).then_some(server)
    }
}

impl Drop for InEnvironment {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn wrong_environment() {
    for (variable, value, problem) in [
        ("HASHD_NOSUCH", "1", "No such parameter; see hashd --help"),
        ("HASHD_PORT", "x", "argument couldn't be parsed into an integer"),
        ("HASHD_DATABASES", "0", "argument must be between 1 and 2147483647 inclusive"),
        ("HASHD_MAXMEMORY", "1 zb", "argument must be a memory value"),
        ("HASHD_SAVE", "\"900 1", "Unbalanced quotes in configuration line"),
    ] {
        let output = Command::new(server::program(Kind::Hashd)).env(variable, value).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{variable}={value}");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        for part in ["the environment", &format!("'{variable}={value}'"), problem] {
            assert!(message.contains(part), "{variable}={value} lacks {part:?}: {message}");
        }
    }
}

fn help() {
    let server = Server::start(Kind::Hashd);
    let output = Command::new(server::program(Kind::Hashd)).arg("--help").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let settings = server.client().ask("CONFIG GET *");
    assert!(!settings.items().is_empty(), "CONFIG GET * is empty");
    // The ziplist and slave names are aliases of settings that have another name.
    let aliases = ["ziplist", "slave"];
    let missing: Vec<String> = settings
        .items()
        .chunks(2)
        .map(|pair| pair[0].text())
        .filter(|name| !aliases.iter().any(|alias| name.contains(alias)) && !text.contains(&format!("--{name}")))
        .collect();
    assert!(missing.is_empty(), "--help lacks {missing:?}");
}

fn maxclients() {
    let server = Server::start_with(Kind::Hashd, &["--maxclients", "2"]);
    // The probe of the start may be counted until its close is seen.
    std::thread::sleep(Duration::from_millis(100));
    let (mut one, mut two) = (server.client(), server.client());
    assert_eq!((one.line("PING"), two.line("PING")), ("+PONG".into(), "+PONG".into()));
    let mut three = Client::connect(server.port, Protocol::Resp2).unwrap();
    assert_eq!(three.read_to_close().unwrap(), b"-ERR max number of clients reached\r\n");
    assert_eq!(one.line("PING"), "+PONG");
}

/// A server with a hash that takes a while to read.
fn with_big_hash(options: &[&str]) -> Server {
    let server = Server::start_with(Kind::Hashd, options);
    let pairs = (0..60_000).flat_map(|n| [format!("field{n}"), "v".repeat(400)]);
    let set: Vec<String> = ["HSET", "big"].map(String::from).into_iter().chain(pairs).collect();
    assert_eq!(server.client().value(&set).int(), 60_000);
    server
}

fn what_runs_is_finished() {
    let mut server = with_big_hash(&[]);
    let (mut reader, mut idle, mut blocked) = (server.client(), server.client(), server.client());
    blocked.send(&["WAIT", "1", "0"]).unwrap();
    idle.line("PING");
    reader.send(&["HGETALL", "big"]).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    server.signal("TERM");
    let reply = reader.reply().expect("the reply of what ran when the signal came");
    assert!(reply.starts_with(b"*120000\r\n"));
    for client in [&mut reader, &mut idle, &mut blocked] {
        assert_eq!(client.read_to_close().unwrap(), b"");
    }
    assert_eq!(server.wait_for_exit(LIMIT), Some(0));
}

fn shutdown_timeout() {
    let mut server = with_big_hash(&["--shutdown-timeout", "1"]);
    let mut deaf = server.client();
    let requests: Vec<u8> = (0..5).flat_map(|_| crate::client::encode(&["HGETALL", "big"])).collect();
    deaf.send_raw(&requests).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let begun = std::time::Instant::now();
    server.client().send(&["SHUTDOWN", "NOSAVE", "NOW"]).unwrap();
    assert_eq!(server.wait_for_exit(LIMIT), Some(0));
    let taken = begun.elapsed();
    assert!(taken >= Duration::from_millis(900) && taken < Duration::from_secs(4), "{taken:?}");
}

fn shutdown_options() {
    server::on_both(&[], |server| {
        let mut client = server.client();
        for (line, reply) in [
            ("SHUTDOWN ABORT", "-ERR No shutdown in progress."),
            ("SHUTDOWN ABORT ABORT", "-ERR No shutdown in progress."),
            ("SHUTDOWN ABORT NOW", "-ERR syntax error"),
            ("SHUTDOWN NOSAVE SAVE", "-ERR syntax error"),
            ("SHUTDOWN nonsense", "-ERR syntax error"),
            ("MULTI", "+OK"),
            ("SHUTDOWN", "-ERR Command not allowed inside a transaction"),
            ("DISCARD", "+OK"),
            ("PING", "+PONG"),
        ] {
            assert_eq!(client.line(line), reply, "{line}");
        }
    });
    for options in [&["NOSAVE"][..], &["nosave", "now"], &["NOSAVE", "FORCE", "NOW"], &["FORCE"], &[]] {
        let mut server = Server::start(Kind::Hashd);
        let mut client = server.client();
        client.send(&[&["SHUTDOWN"], options].concat()).unwrap();
        assert_eq!(client.read_to_close().unwrap(), b"", "{options:?}");
        assert_eq!(server.wait_for_exit(LIMIT), Some(0), "{options:?}");
    }
}

fn second_interrupt() {
    let mut server = with_big_hash(&["--shutdown-timeout", "60"]);
    let mut deaf = server.client();
    let requests: Vec<u8> = (0..5).flat_map(|_| crate::client::encode(&["HGETALL", "big"])).collect();
    deaf.send_raw(&requests).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    server.signal("INT");
    std::thread::sleep(Duration::from_millis(300));
    server.signal("INT");
    assert_eq!(server.wait_for_exit(LIMIT), Some(1));
}

fn systemd() {
    for (supervised, is_told) in [("systemd", true), ("auto", true), ("no", false)] {
        let folder = server::scratch_folder();
        let path = folder.join("notify");
        let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(if is_told { 5000 } else { 200 }))).unwrap();
        let next = || {
            let mut message = [0; 500];
            let length = socket.recv(&mut message).unwrap_or(0);
            String::from_utf8_lossy(&message[..length]).into_owned()
        };
        let mut server = Server::start_by(Kind::Hashd, &["--supervised", supervised], |program| {
            let mut command = Command::new(program);
            command.env("NOTIFY_SOCKET", &path);
            command
        });
        let told = next();
        assert_eq!(told.contains("READY=1") && told.contains("STATUS=Ready to accept connections"), is_told, "{told}");
        let supervisor = crate::client::info(&mut server.client(), "server", "process_supervised");
        assert_eq!(supervisor, if is_told { "systemd" } else { "no" });
        server.signal("TERM");
        assert_eq!(next().contains("STOPPING=1"), is_told);
        assert_eq!(server.wait_for_exit(LIMIT), Some(0));
        drop(std::fs::remove_dir_all(folder));
    }
}

fn files() {
    let folder = server::scratch_folder();
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let options = ["--loglevel", "notice", "--logfile", &path("log"), "--pidfile", &path("pid")];
    let mut server = Server::start_with(Kind::Hashd, &options);
    assert_eq!(std::fs::read_to_string(path("pid")).unwrap(), format!("{}\n", server.pid()));
    let log = || std::fs::read_to_string(path("log")).unwrap();
    eventually("it says that it is ready", || log().contains("Ready to accept connections"));
    assert!(!log().contains('\u{1b}'), "{}", log());
    // As a log rotation does.
    std::fs::rename(path("log"), path("log.1")).unwrap();
    server.signal("TERM");
    assert_eq!(server.wait_for_exit(LIMIT), Some(0));
    assert!(std::fs::read_to_string(path("log")).unwrap().contains("bye"));
    assert!(!folder.join("pid").exists());
    let output = Command::new(server::program(Kind::Hashd)).args(["--logfile", "/nonexistent/log"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Can't open the log file: No such file"));
    drop(std::fs::remove_dir_all(folder));
}

/// Sends something wrong, which is logged at `verbose`, and gives how many lines of the log tell of that.
fn protocol_errors(server: &Server) -> usize {
    let mut client = server.client();
    client.send_raw(b"*1\r\n!\r\n").unwrap();
    client.read_to_close().unwrap();
    server.log().lines().filter(|line| line.contains("protocol error")).count()
}

fn loglevel() {
    for format in ["text", "json"] {
        let server = Server::start_with(Kind::Hashd, &["--loglevel", "nothing", "--logformat", format]);
        let mut client = server.client();
        assert_eq!((protocol_errors(&server), server.log().as_str()), (0, ""));
        let mut expected = 0;
        for (level, is_logged) in [
            ("notice", false),
            ("verbose", true),
            ("warning", false),
            ("debug", true),
            ("nothing", false),
            ("verbose", true),
        ] {
            assert_eq!(client.line(&format!("CONFIG SET loglevel {level}")), "+OK");
            expected += usize::from(is_logged);
            assert_eq!(protocol_errors(&server), expected, "{format}, {level}: {}", server.log());
        }
        let log = server.log();
        let line = log.lines().rfind(|line| line.contains("protocol error")).unwrap();
        let wanted = match format {
            "json" => r#""spans":[{"address":"127.0.0.1:"#,
            _ => "connection{client=",
        };
        assert!(line.contains(wanted) && line.contains("127.0.0.1:"), "no span of the connection: {line}");
        assert_eq!(client.line("CONFIG SET loglevel loud").split(' ').next(), Some("-ERR"));
        assert_eq!(protocol_errors(&server), expected + 1);
    }
}

fn start_in_log() {
    let options = ["--loglevel", "notice", "--maxclients", "77", "--maxmemory", "100mb", "--io-threads", "1"];
    let open = ["--bind", "0.0.0.0", "--protected-mode", "no", "--tcp-backlog", "2147483647"];
    let server = Server::start_with(Kind::Hashd, &[&options[..], &open[..]].concat());
    let log = server.log();
    let first = log.lines().next().unwrap_or_default();
    let port = format!("port={}", server.port);
    let version = concat!("version=\"", env!("CARGO_PKG_VERSION"), "\"");
    for part in [version, &port, "threads=1", "maxclients=77", "maxmemory=104857600", "open_files="] {
        assert!(first.contains(part), "{part} is not in: {first}");
    }
    let is_warned = |text: &str| log.lines().any(|line| line.contains("WARN") && line.contains(text));
    assert!(is_warned("TCP backlog setting of 2147483647 cannot be enforced"), "{log}");
    assert!(is_warned("protected-mode is off and the default user has no password"), "{log}");
    let overcommit = std::fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap_or_default();
    assert_eq!(is_warned("Memory overcommit must be enabled"), overcommit.trim() == "0", "{log}");
    let server = Server::start_with(Kind::Hashd, &["--loglevel", "notice"]);
    assert!(!server.log().contains("Anybody"), "{}", server.log());
}
