//! Settings that the kernel keeps for the process, and the process in the background.

use crate::Case;
use crate::client::{Client, Protocol, eventually, info};
use crate::server::{self, Kind, Server, free_port};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

pub const CASES: &[Case] = &[
    ("oom_score_follows_config_set", oom_score),
    ("threads_keep_to_their_cpus", cpus),
    ("background", background),
    ("syslog_has_the_lines_of_the_log", syslog),
    ("allocator_threads_follow_config_set", allocator_threads),
    ("no_writes_without_wanted_replicas", wanted_replicas),
];

fn oom_score() {
    let before: i64 = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim().parse().unwrap();
    let options = ["--oom-score-adj", "relative", "--oom-score-adj-values", "10 20 30"];
    server::on_both(&options, |server| {
        let score = || -> i64 {
            let path = format!("/proc/{}/oom_score_adj", server.pid());
            std::fs::read_to_string(path).unwrap().trim().parse().unwrap()
        };
        assert_eq!(score(), (before + 10).min(1000));
        let mut client = server.client();
        for (mode, values, expected) in [
            ("yes", "20 0 0", before + 20),
            ("absolute", "900 0 0", 900),
            ("absolute", "2000 0 0", 1000),
            ("no", "2000 0 0", before),
        ] {
            let request = ["CONFIG", "SET", "oom-score-adj", mode, "oom-score-adj-values", values];
            assert_eq!(client.value(&request).text(), "OK");
            assert_eq!(score(), expected.min(1000), "{mode} {values}");
        }
    });
}

/// Names of the server's threads, with the CPUs that each may run on.
fn threads(server: &Server) -> Vec<(String, String)> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    tasks
        .map(|task| {
            let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
            let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
            (field("Name:"), field("Cpus_allowed_list:"))
        })
        .collect()
}

fn cpus() {
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let all = own.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    let first = all.split(['-', ',']).next().unwrap();
    let is_on = |server: &Server, name: &str, cpus: &str| {
        let threads = threads(server);
        let found: Vec<_> = threads.iter().filter(|(thread, _)| thread.starts_with(name)).collect();
        !found.is_empty() && found.iter().all(|(_, allowed)| allowed == cpus)
    };
    let server = Server::start_with(
        Kind::Hashd,
        &["--server-cpulist", first, "--bgsave-cpulist", &format!("{first}-{first}:1")],
    );
    for (name, cpus) in
        [("hashd", first), ("worker-", first), ("snapshots", first), ("expire", all), ("aof-rewrite", all)]
    {
        eventually(name, || is_on(&server, name, cpus));
    }
    let server = Server::start_with(Kind::Hashd, &["--bio_cpulist", first, "--aof-rewrite-cpulist", "nonsense"]);
    for (name, cpus) in [("worker-", all), ("free", first), ("evict", first), ("snapshots", all), ("aof-rewrite", all)]
    {
        eventually(name, || is_on(&server, name, cpus));
    }
    eventually("the log tells of nonsense", || server.log().contains("no list of CPUs"));
}

fn background() {
    let folder = server::scratch_folder();
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let port = free_port();
    // It ends at once; the server goes on.
    let status = Command::new(server::program(Kind::Hashd))
        .args(["--port", &port.to_string(), "--daemonize", "yes", "--dir", &path(""), "--save", ""])
        .args(["--pidfile", &path("pid"), "--logfile", &path("log")])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    eventually("the server listens", || Client::connect(port, Protocol::Resp2).is_ok());
    let mut client = Client::connect(port, Protocol::Resp2).unwrap();
    assert_eq!(client.line("HSET k f v"), ":1");
    let id = info(&mut client, "server", "process_id");
    assert_eq!(std::fs::read_to_string(path("pid")).unwrap().trim(), id);
    // A session of its own, without a terminal.
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    assert_eq!((fields[3], fields[4]), (id.as_str(), "0"), "{stat}");
    assert_eq!(std::fs::read_link(format!("/proc/{id}/fd/1")).unwrap().to_string_lossy(), "/dev/null");
    client.send(&["SHUTDOWN", "NOSAVE"]).unwrap();
    assert_eq!(client.read_to_close().unwrap(), b"");
    eventually("the pid file is gone", || !folder.join("pid").exists());
    drop(std::fs::remove_dir_all(folder));
}

/// Where a daemon listens already, or nobody but the system may, only that the server logs and serves is looked at.
fn syslog() {
    const SOCKET: &str = "/dev/log";
    let daemon = UnixDatagram::bind(SOCKET).ok();
    let options = ["--syslog-enabled", "yes", "--syslog-ident", "our-hashes", "--syslog-facility", "local3"];
    let mut server = Server::start_with(Kind::Hashd, &[&options[..], &["--loglevel", "notice"]].concat());
    assert!(server.log().contains("Ready to accept connections"), "{}", server.log());
    let Some(daemon) = daemon else { return server.assert_alive() };
    daemon.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let next = || {
        let mut message = [0; 2000];
        let length = daemon.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    // Facility 19 and severity 5: a notice.
    let first = next();
    let pid = format!("our-hashes[{}]: ", server.pid());
    assert!(first.starts_with("<157>") && first.contains(&pid) && first.contains("hashd starts"), "{first}");
    server.signal("TERM");
    assert_eq!(server.wait_for_exit(Duration::from_secs(10)), Some(0));
    while !next().contains("bye") {}
    std::fs::remove_file(SOCKET).unwrap();
}

fn allocator_threads() {
    let server = Server::start(Kind::Hashd);
    let mut client = server.client();
    let are_there = || threads(&server).iter().any(|(name, _)| name == "jemalloc_bg_thd");
    for (value, expected) in [("yes", true), ("no", false), ("yes", true)] {
        assert_eq!(client.line(&format!("CONFIG SET jemalloc-bg-thread {value}")), "+OK");
        // A thread is started when there is something for it to do.
        client.line("HSET k f v");
        eventually(value, || are_there() == expected);
    }
    assert!(
        !threads(&Server::start_with(Kind::Hashd, &["--jemalloc-bg-thread", "no"]))
            .iter()
            .any(|(name, _)| name == "jemalloc_bg_thd")
    );
}

fn wanted_replicas() {
    server::on_both(&["--min-replicas-to-write", "1"], |server| {
        let mut client = server.client();
        let refused = "-NOREPLICAS Not enough good replicas to write.";
        assert_eq!(client.line("HSET k f v"), refused);
        assert_eq!(client.line("HGET k f"), "nil$");
        assert_eq!(client.line("PING"), "+PONG");
        assert_eq!(client.line("MULTI"), "+OK");
        assert_eq!(client.line("HSET k f v"), refused);
        assert_eq!(client.line("EXEC"), "-EXECABORT Transaction discarded because of previous errors.");
        assert_eq!(info(&mut client, "replication", "min_slaves_good_slaves"), "0");
        assert_eq!(client.line("CONFIG SET min-replicas-max-lag 0"), "+OK");
        assert_eq!(client.line("HSET k f v"), ":1");
        assert_eq!(client.line("MULTI"), "+OK");
        assert_eq!(client.line("HSET k f w"), "+QUEUED");
        let mut other = server.client();
        assert_eq!(other.line("CONFIG SET min-replicas-max-lag 10"), "+OK");
        assert!(client.line("EXEC").starts_with("-EXECABORT Transaction discarded because of: NOREPLICAS"));
        assert_eq!(other.line("CONFIG SET min-slaves-to-write 0"), "+OK");
        assert_eq!(client.line("HDEL k f"), ":1");
        assert!(!client.ask("INFO replication").text().contains("min_slaves_good_slaves"));
    });
}
