//! The append-only file: what is in it, what it is loaded to, and what happens when the disk refuses it.

mod disk;
mod foreign;

use crate::Case;
use crate::client::{Client, eventually, info};
use crate::differential::keyspace::{differences, lines, without_encodings};
use crate::differential::program::{Dialect, program};
use crate::server::{Kind, Server, has, peers, scratch_folder};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub const CASES: &[Case] = &[
    ("files_are_those_of_redis", files),
    ("random_programs_survive_kill", survives),
    ("effects_are_logged", effects),
    ("a_transaction_is_there_whole_or_not_at_all", cut_transactions),
    ("a_cut_log_is_loaded_to_where_it_is_whole", cut_log),
    ("what_is_no_log_is_refused", refused),
    ("a_log_of_an_old_version_is_taken_over", old_log),
    ("it_is_switched_on_and_off", switched),
    ("it_is_rewritten", rewritten),
    ("it_is_rewritten_by_itself", rewritten_by_itself),
    ("waitaof_waits", waitaof),
    ("due_keys_and_fields_are_logged_as_deletions", expiry),
    ("evicted_keys_are_logged_as_deletions", eviction),
    ("a_reload_is_nothing_to_the_log", reload),
    ("a_rewrite_is_loaded_without_a_log", loaded_without_log),
    ("others_wait_while_a_rewrite_is_loaded", others_wait),
    ("a_full_disk_refuses_writes_until_it_is_not_full", disk::full),
    ("always_waits_for_the_sync", disk::group_commit),
    ("a_failed_sync_acknowledges_nothing", disk::failed_sync),
    ("short_writes_and_errors_leave_whole_units", disk::short_writes),
    ("a_failing_rewrite_leaves_the_log_as_it_was", disk::failing_rewrite),
];

pub const ORACLE: &[Case] = &[
    ("redis_loads_what_hashd_has_logged", redis_loads_ours),
    ("hashd_loads_what_redis_has_logged", we_load_theirs),
    ("what_replaced_hashes_leaves_none", foreign::replaces_hashes),
];

const ALWAYS: &[&str] = &["--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"];

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(scratch_folder())
    }

    fn log_file(&self, name: &str) -> PathBuf {
        self.0.join("appendonlydir").join(name)
    }

    fn log_files(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.0.join("appendonlydir")).unwrap();
        let mut names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn manifest(&self) -> String {
        std::fs::read_to_string(self.log_file("appendonly.aof.manifest")).unwrap()
    }

    /// All commands of a file, one a line.
    fn commands(&self, name: &str) -> Vec<String> {
        commands(&std::fs::read(self.log_file(name)).unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn commands(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split("\r\n");
    let mut commands = Vec::new();
    while let Some(line) = lines.next().filter(|line| !line.is_empty()) {
        if line.starts_with('#') {
            commands.push(line.to_owned());
            continue;
        }
        let words: usize = line.strip_prefix('*').unwrap().parse().unwrap();
        let words: Vec<&str> = (0..words).map(|_| lines.by_ref().nth(1).unwrap()).collect();
        commands.push(words.join(" "));
    }
    commands
}

fn run(client: &mut Client, program: &[&str]) {
    for line in program {
        let reply = client.line(line);
        assert!(!reply.starts_with('-'), "{line}: {reply}");
    }
}

fn contents(server: &Server) -> Vec<String> {
    lines(&mut server.client(), Dialect::Redis)
}

fn files() {
    let folder = Folder::new();
    let mut server = Server::start_in(Kind::Hashd, &folder.0, ALWAYS);
    run(&mut server.client(), &["HSET k f v"]);
    assert_eq!(
        folder.log_files(),
        ["appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof", "appendonly.aof.manifest"]
    );
    let manifest = "file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n";
    assert_eq!(folder.manifest(), manifest);
    assert_eq!(folder.commands("appendonly.aof.1.incr.aof"), ["SELECT 0", "HSET k f v"]);
    let mut client = server.client();
    for (name, value) in [
        ("aof_enabled", "1"),
        ("aof_rewrite_in_progress", "0"),
        ("aof_last_bgrewrite_status", "ok"),
        ("aof_last_write_status", "ok"),
        ("aof_buffer_length", "0"),
        ("aof_delayed_fsync", "0"),
    ] {
        assert_eq!(info(&mut client, "persistence", name), value, "{name}");
    }
    let length = |name: &str| std::fs::metadata(folder.log_file(name)).unwrap().len();
    let (base, increment) = (length("appendonly.aof.1.base.rdb"), length("appendonly.aof.1.incr.aof"));
    assert_eq!(info(&mut client, "persistence", "aof_base_size"), base.to_string());
    assert_eq!(info(&mut client, "persistence", "aof_current_size"), (base + increment).to_string());
    drop(client.send(&["SHUTDOWN"]));
    assert_eq!(server.wait_for_exit(Duration::from_secs(10)), Some(0));
    // What comes next goes to the same file.
    let server = Server::start_in(Kind::Hashd, &folder.0, &[ALWAYS, &["--aof-timestamp-enabled", "yes"]].concat());
    run(&mut server.client(), &["HSET k g w"]);
    let commands = folder.commands("appendonly.aof.1.incr.aof");
    assert!(commands[2].starts_with("#TS:"), "{commands:?}");
    assert_eq!((commands[3].as_str(), commands[4].as_str()), ("SELECT 0", "HSET k g w"));
    assert_eq!(folder.manifest(), manifest);
    server.kill();
    let server = Server::start_in(Kind::Hashd, &folder.0, ALWAYS);
    assert_eq!(server.client().line("HGETALL k"), "[\"f\", \"v\", \"g\", \"w\"]");
}

fn survives() {
    for seed in 0..3 {
        let folder = Folder::new();
        let server = Server::start_in(Kind::Hashd, &folder.0, ALWAYS);
        let mut client = server.client();
        for request in program(seed, Dialect::Redis, 1500) {
            client.raw(&request);
        }
        let before = without_encodings(contents(&server));
        server.kill();
        let server = Server::start_in(Kind::Hashd, &folder.0, ALWAYS);
        let after = without_encodings(contents(&server));
        assert_eq!(before, after, "seed {seed}:\n{}", differences(&after, &before));
    }
}

fn effects() {
    let folder = Folder::new();
    let server = Server::start_in(Kind::Hashd, &folder.0, ALWAYS);
    let mut client = server.client();
    let at = 4_102_444_800_000_u64;
    let program: Vec<(String, Vec<String>)> = [
        ("HSET k a 1 b 2", "HSET k a 1 b 2"),
        ("HSET k a 1", "HSET k a 1"),
        ("HSETNX k a 5", ""),
        ("HINCRBYFLOAT k a 0.5", "HSET k a 1.5"),
        ("HINCRBY k b 40", "HSET k b 42"),
        ("HPEXPIREAT k @T FIELDS 2 a b", "HPEXPIREAT k @T FIELDS 2 a b"),
        ("HINCRBY k b 1", "HSETEX k KEEPTTL FIELDS 1 b 43"),
        ("HPERSIST k FIELDS 1 b", "HPERSIST k FIELDS 1 b"),
        ("HGETEX k PXAT @T FIELDS 1 b", "HPEXPIREAT k @T FIELDS 1 b"),
        ("HSET k a 2", "HSET k a 2"),
        (
            "HSETEX k PXAT @T FIELDS 2 c 1 d 2",
            "MULTI|HSET k c 1|HPEXPIREAT k @T FIELDS 1 c|HSET k d 2|HPEXPIREAT k @T FIELDS 1 d|EXEC",
        ),
        ("HGETDEL k FIELDS 1 c", "HDEL k c"),
        ("HDEL k d nothing", "HDEL k d"),
        ("HEXPIRE k 0 FIELDS 1 b", "HDEL k b"),
        ("HIMPORT PREPARE f y x", ""),
        ("HIMPORT SET k f 1 2", "MULTI|DEL k|HSET k y 1 x 2|EXEC"),
        ("PEXPIREAT k @T", "PEXPIREAT k @T"),
        ("PERSIST k", "PERSIST k"),
        ("PERSIST k", ""),
        ("RENAME k l", "RENAME k l"),
        ("COPY l k", "COPY l k DB 0 REPLACE"),
        ("MOVE l 3", "MOVE l 3"),
        ("DEL k nothing", "DEL k"),
        ("SELECT 3", ""),
        ("HSET m f v", "SELECT 3|HSET m f v"),
        ("DEL l m", "MULTI|DEL l|DEL m|EXEC"),
        ("HSET m f v", "HSET m f v"),
        ("SWAPDB 3 4", "SWAPDB 3 4"),
        ("SELECT 4", ""),
        ("PEXPIREAT m 5", "SELECT 4|DEL m"),
        ("HSET m f v", "HSET m f v"),
        ("FLUSHDB", "FLUSHDB"),
        ("FLUSHALL", ""),
        ("HSET m f v", "HSET m f v"),
        ("FLUSHALL", "FLUSHDB"),
        ("HGETALL m", ""),
    ]
    .iter()
    .map(|(line, logged)| {
        let at = |text: &str| text.replace("@T", &at.to_string());
        (at(line), at(logged).split('|').filter(|text| !text.is_empty()).map(str::to_owned).collect())
    })
    .collect();
    let mut seen = vec!["SELECT 0".to_owned()];
    for (line, logged) in program {
        let reply = client.line(&line);
        assert!(!reply.starts_with('-'), "{line}: {reply}");
        seen.extend(logged);
        assert_eq!(folder.commands("appendonly.aof.1.incr.aof"), seen, "after {line}");
    }
}

fn cut_transactions() {
    let folder = Folder::new();
    let server = Server::start_in(Kind::Hashd, &folder.0, ALWAYS);
    let mut client = server.client();
    run(&mut client, &["HSET a f 1", "MULTI", "HSET a f 2", "SELECT 1", "HSET b f 2", "EXEC"]);
    server.kill();
    let name = "appendonly.aof.1.incr.aof";
    let whole = ["SELECT 0", "HSET a f 1", "MULTI", "HSET a f 2", "SELECT 1", "HSET b f 2", "EXEC"];
    assert_eq!(folder.commands(name), whole);
    let bytes = std::fs::read(folder.log_file(name)).unwrap();
    std::fs::write(folder.log_file(name), &bytes[..bytes.len() - "*1\r\n$4\r\nEXEC\r\n".len()]).unwrap();
    let server = Server::start_in(Kind::Hashd, &folder.0, ALWAYS);
    let mut client = server.client();
    assert_eq!((client.line("HGET a f"), client.line("DBSIZE")), ("\"1\"".into(), ":1".into()));
    run(&mut client, &["HSET a g 3"]);
    server.kill();
    assert_eq!(folder.commands(name), ["SELECT 0", "HSET a f 1", "SELECT 0", "HSET a g 3"]);
}

fn cut_log() {
    let folder = Folder::new();
    let server = Server::start_in(Kind::Hashd, &folder.0, ALWAYS);
    run(&mut server.client(), &["HSET a f 1", "HSET b f value-of-b"]);
    server.kill();
    let name = "appendonly.aof.1.incr.aof";
    let bytes = std::fs::read(folder.log_file(name)).unwrap();
    let second = bytes.len() - "*4\r\n$4\r\nHSET\r\n$1\r\nb\r\n$1\r\nf\r\n$10\r\nvalue-of-b\r\n".len();
    for cut in second + 1..bytes.len() {
        std::fs::write(folder.log_file(name), &bytes[..cut]).unwrap();
        if cut % 10 == 0 {
            let log = fails_to_start(&folder, &["--aof-load-truncated", "no"]);
            assert!(
                log.contains("Unexpected end of file reading the append only file appendonly.aof.1.incr.aof"),
                "{log}"
            );
            assert_eq!(std::fs::metadata(folder.log_file(name)).unwrap().len() as usize, cut);
        }
        let server = Server::start_in(Kind::Hashd, &folder.0, ALWAYS);
        assert_eq!(server.client().line("DBSIZE"), ":1", "cut at {cut}");
        assert_eq!(std::fs::metadata(folder.log_file(name)).unwrap().len() as usize, second);
        server.kill();
    }
    let mut garbled = bytes[..second].to_vec();
    garbled.extend_from_slice(&[0; 100]);
    std::fs::write(folder.log_file(name), &garbled).unwrap();
    let log = fails_to_start(&folder, &["--aof-load-corrupt-tail-max-size", "99"]);
    assert!(log.contains("Bad file format reading the append only file appendonly.aof.1.incr.aof"), "{log}");
    let options = [ALWAYS, &["--aof-load-corrupt-tail-max-size", "100"]].concat();
    let server = Server::start_in(Kind::Hashd, &folder.0, &options);
    assert_eq!(server.client().line("DBSIZE"), ":1");
}

/// What hashd says when it does not start.
fn fails_to_start(folder: &Folder, options: &[&str]) -> String {
    let mut program = Command::new(crate::server::program(Kind::Hashd));
    program.args(["--port", &crate::server::free_port().to_string(), "--save", ""]).args(ALWAYS).args(options);
    let output = program.current_dir(&folder.0).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

fn refused() {
    let folder = Folder::new();
    let server = Server::start_in(Kind::Hashd, &folder.0, ALWAYS);
    run(&mut server.client(), &["HSET a f 1"]);
    server.kill();
    let increment = folder.log_file("appendonly.aof.1.incr.aof");
    let bytes = std::fs::read(&increment).unwrap();
    std::fs::write(&increment, [&bytes[..], b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"].concat()).unwrap();
    let log = fails_to_start(&folder, &[]);
    assert!(log.contains("Unknown command 'SET' reading the append only file"), "{log}");
    let options = [ALWAYS, &["--rdb-foreign-types", "skip"]].concat();
    let server = Server::start_in(Kind::Hashd, &folder.0, &options);
    assert_eq!(server.client().line("DBSIZE"), ":1");
    server.kill();
    std::fs::write(&increment, &bytes).unwrap();
    std::fs::rename(&increment, folder.log_file("elsewhere")).unwrap();
    let log = fails_to_start(&folder, &[]);
    assert!(log.contains("The AOF file appendonly.aof.1.incr.aof doesn't exist"), "{log}");
    std::fs::write(folder.log_file("appendonly.aof.manifest"), "file x seq 1 type q\n").unwrap();
    let log = fails_to_start(&folder, &[]);
    assert!(log.contains("Unknown AOF file type"), "{log}");
}

fn old_log() {
    let folder = Folder::new();
    let old = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*4\r\n$4\r\nhset\r\n$1\r\nk\r\n$1\r\nf\r\n$1\r\nv\r\n";
    std::fs::write(folder.0.join("appendonly.aof"), old).unwrap();
    let server = Server::start_in(Kind::Hashd, &folder.0, ALWAYS);
    assert_eq!(server.client().line("HGET k f"), "\"v\"");
    assert!(!folder.0.join("appendonly.aof").exists());
    let manifest = "file appendonly.aof seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n";
    assert_eq!(folder.manifest(), manifest);
}

fn switched() {
    let folder = Folder::new();
    let server = Server::start_in(Kind::Hashd, &folder.0, &[]);
    let mut client = server.client();
    run(&mut client, &["HSET a f 1", "CONFIG SET appendonly yes"]);
    eventually("the log has begun", || folder.log_file("appendonly.aof.manifest").exists());
    eventually("the rewrite has ended", || info(&mut client, "persistence", "aof_rewrite_in_progress") == "0");
    run(&mut client, &["HSET b f 1", "CONFIG SET appendonly no", "HSET c f 1"]);
    assert_eq!(info(&mut client, "persistence", "aof_enabled"), "0");
    server.kill();
    let server = Server::start_in(Kind::Hashd, &folder.0, ALWAYS);
    assert_eq!(contents(&server).len(), 3 + 2, "{:?}", contents(&server));
    assert_eq!(server.client().line("EXISTS a b c"), ":2");
}

fn rewritten() {
    let folder = Folder::new();
    let server = Server::start_in(Kind::Hashd, &folder.0, ALWAYS);
    let mut client = server.client();
    for request in program(7, Dialect::Redis, 800) {
        client.raw(&request);
    }
    assert_eq!(client.line("BGREWRITEAOF"), "+Background append only file rewriting started");
    eventually("it is rewritten", || info(&mut client, "persistence", "aof_rewrite_in_progress") == "0");
    assert_eq!(info(&mut client, "persistence", "aof_last_bgrewrite_status"), "ok");
    assert_eq!(
        folder.log_files(),
        ["appendonly.aof.2.base.rdb", "appendonly.aof.2.incr.aof", "appendonly.aof.manifest"]
    );
    let manifest = "file appendonly.aof.2.base.rdb seq 2 type b\nfile appendonly.aof.2.incr.aof seq 2 type i\n";
    assert_eq!(folder.manifest(), manifest);
    client.line("SELECT 0");
    run(&mut client, &["MULTI", "BGREWRITEAOF", "HSET after f 1"]);
    let scheduled = "[+\"Background append only file rewriting scheduled\", :1]";
    assert_eq!(client.line("EXEC"), scheduled);
    eventually("it is rewritten again", || folder.manifest().contains(".3.base.rdb seq 3 type b"));
    let before = without_encodings(contents(&server));
    server.kill();
    let server = Server::start_in(Kind::Hashd, &folder.0, ALWAYS);
    let after = without_encodings(contents(&server));
    assert_eq!(before, after, "{}", differences(&after, &before));
}

fn rewritten_by_itself() {
    let folder = Folder::new();
    let options =
        ["--appendonly", "yes", "--auto-aof-rewrite-min-size", "10kb", "--auto-aof-rewrite-percentage", "100"];
    let server = Server::start_in(Kind::Hashd, &folder.0, &options);
    let mut client = server.client();
    for number in 0..400 {
        client.line(&format!("HSET k f {number}"));
    }
    eventually("it has been rewritten", || info(&mut client, "persistence", "aof_rewrites") != "0");
    assert_eq!(client.line("HGET k f"), "\"399\"");
    server.kill();
    let server = Server::start_in(Kind::Hashd, &folder.0, ALWAYS);
    assert_eq!(server.client().line("HGET k f"), "\"399\"");
}

fn waitaof() {
    let server = Server::start_with(Kind::Hashd, &["--appendonly", "yes", "--appendfsync", "everysec"]);
    let mut client = server.client();
    assert_eq!(client.line("WAITAOF 1 0 0"), "[:1, :0]");
    run(&mut client, &["HSET k f v"]);
    assert_eq!(client.line("WAITAOF 1 0 0"), "[:1, :0]");
    run(&mut client, &["CONFIG SET appendfsync no", "HSET k f v"]);
    assert_eq!(client.line("WAITAOF 1 0 50"), "[:0, :0]");
    run(&mut client, &["CONFIG SET appendfsync always"]);
    assert_eq!(client.line("WAITAOF 1 0 0"), "[:1, :0]");
    assert_eq!(client.line("WAITAOF 1 1 20"), "[:1, :0]");
    let mut other = server.client();
    run(&mut other, &["CONFIG SET appendfsync no", "HSET k f v"]);
    other.send(&["WAITAOF", "1", "0", "0"]).unwrap();
    eventually("it waits", || info(&mut client, "clients", "blocked_clients") == "1");
    run(&mut client, &["CONFIG SET appendonly no"]);
    let error = "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.\r\n";
    assert_eq!(String::from_utf8(other.reply().unwrap()).unwrap(), error);
}

fn expiry() {
    let folder = Folder::new();
    let server = Server::start_in(Kind::Hashd, &folder.0, ALWAYS);
    let mut client = server.client();
    run(&mut client, &["HSET k f 1 g 2", "HSET l f 1", "HPEXPIRE k 30 FIELDS 1 f", "PEXPIRE l 30"]);
    let name = "appendonly.aof.1.incr.aof";
    eventually("both are gone", || {
        let commands = folder.commands(name);
        commands.contains(&"HDEL k f".to_owned()) && commands.contains(&"DEL l".to_owned())
    });
    let commands = folder.commands(name);
    let relative = commands.iter().filter(|line| line.starts_with("HPEXPIRE ") || line.starts_with("PEXPIRE "));
    assert_eq!(relative.count(), 0, "{commands:?}");
}

fn eviction() {
    let folder = Folder::new();
    let server =
        Server::start_in(Kind::Hashd, &folder.0, &[ALWAYS, &["--maxmemory-policy", "allkeys-random"]].concat());
    let mut client = server.client();
    for number in 0..200 {
        run(&mut client, &[&format!("HSET key:{number} field {:01000}", number * 7919)]);
    }
    let used: u64 = info(&mut client, "memory", "used_memory").parse().unwrap();
    run(&mut client, &[&format!("CONFIG SET maxmemory {}", used - 100_000)]);
    eventually("keys are evicted", || info(&mut client, "stats", "evicted_keys") != "0");
    run(&mut client, &["CONFIG SET maxmemory 0", "HSET last f v"]);
    let commands = folder.commands("appendonly.aof.1.incr.aof");
    let deleted = commands.iter().filter(|line| line.starts_with("DEL key:")).count();
    assert_eq!(deleted.to_string(), info(&mut client, "stats", "evicted_keys"));
}

fn reload() {
    let folder = Folder::new();
    let server = Server::start_in(Kind::Hashd, &folder.0, ALWAYS);
    let mut client = server.client();
    run(&mut client, &["HSET k f v", "DEBUG RELOAD", "HSET k g w"]);
    assert_eq!(folder.commands("appendonly.aof.1.incr.aof"), ["SELECT 0", "HSET k f v", "HSET k g w"]);
}

fn loaded_without_log() {
    for kind in [Kind::Hashd, Kind::Redis].into_iter().filter(|kind| has(*kind)) {
        let folder = Folder::new();
        let server = Server::start_in(kind, &folder.0, &[]);
        let mut client = server.client();
        run(&mut client, &["HSET k f v"]);
        let failure = "-ERR Error trying to load the AOF files, check server logs.";
        assert_eq!(client.line("DEBUG LOADAOF"), failure, "{kind:?}");
        // Redis has emptied the data first.
        assert_eq!(client.ask("DBSIZE").int(), i64::from(kind == Kind::Hashd));
        run(&mut client, &["HSET k f v", "EXPIRE k 1000", "BGREWRITEAOF"]);
        eventually("it is written", || info(&mut client, "persistence", "aof_rewrite_in_progress") == "0");
        run(&mut client, &["HSET later f v", "DEBUG LOADAOF"]);
        assert_eq!(client.line("KEYS *"), "[\"k\"]", "{kind:?}");
        assert!(client.ask("TTL k").int() > 900, "{kind:?}");
        if kind == Kind::Hashd {
            run(&mut client, &["MULTI", "DEBUG LOADAOF"]);
            assert_eq!(client.line("EXEC"), "[-\"ERR DEBUG LOADAOF is not served in a transaction\"]");
            assert_eq!(client.ask("DBSIZE").int(), 1);
        }
    }
}

fn others_wait() {
    let folder = Folder::new();
    let server = Server::start_in(Kind::Hashd, &folder.0, &[]);
    let (mut client, mut other) = (server.client(), server.client());
    for first in (0..200_000).step_by(1000) {
        for key in first..first + 1000 {
            client.send(&["HSET", &format!("key:{key}"), "f", "v"]).unwrap();
        }
        (0..1000).for_each(|_| drop(client.reply().unwrap()));
    }
    run(&mut client, &["BGREWRITEAOF"]);
    eventually("it is written", || info(&mut client, "persistence", "aof_rewrite_in_progress") == "0");
    client.send(&["DEBUG", "LOADAOF"]).unwrap();
    eventually("the others are told to wait", || other.line("HSET key:1 f w").starts_with("-LOADING"));
    assert_eq!(client.reply().unwrap(), b"+OK\r\n");
    assert_eq!(client.ask("DBSIZE").int(), 200_000);
}

fn check_with_redis(folder: &Path) {
    let program = peers().unwrap().join("bin/redis-check-aof");
    let output = Command::new(program).arg(folder.join("appendonlydir/appendonly.aof.manifest")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("All AOF files and manifest are valid"), "{text}");
}

fn redis_loads_ours() {
    for seed in 20..23 {
        let folder = Folder::new();
        let options = [ALWAYS, &["--aof-timestamp-enabled", "yes"]].concat();
        let server = Server::start_in(Kind::Hashd, &folder.0, &options);
        let mut client = server.client();
        for (number, request) in program(seed, Dialect::Redis, 2000).into_iter().enumerate() {
            client.raw(&request);
            if number == 1000 {
                client.line("BGREWRITEAOF");
            }
            if number % 50 == 0 {
                run(
                    &mut client,
                    &["SELECT 0", "MULTI", "HSET t f 1", "HINCRBYFLOAT t f 0.1", "SELECT 1", "HSET t g 2", "EXEC"],
                );
            }
        }
        eventually("it is rewritten", || info(&mut client, "persistence", "aof_rewrite_in_progress") == "0");
        let ours = without_encodings(contents(&server));
        server.kill();
        check_with_redis(&folder.0);
        let redis = Server::start_in(Kind::Redis, &folder.0, &["--appendonly", "yes"]);
        let theirs = without_encodings(contents(&redis));
        assert_eq!(ours, theirs, "seed {seed}:\n{}", differences(&ours, &theirs));
    }
}

fn we_load_theirs() {
    for (seed, preamble) in [(30, "yes"), (31, "no")] {
        let folder = Folder::new();
        let options = ["--appendonly", "yes", "--appendfsync", "always", "--aof-use-rdb-preamble", preamble];
        let server = Server::start_in(Kind::Redis, &folder.0, &options);
        let mut client = server.client();
        for (number, request) in program(seed, Dialect::Redis, 2000).into_iter().enumerate() {
            client.raw(&request);
            if number == 1000 {
                client.line("BGREWRITEAOF");
                eventually("rewritten", || info(&mut client, "persistence", "aof_rewrite_in_progress") == "0");
            }
        }
        let theirs = without_encodings(contents(&server));
        server.kill();
        let hashd = Server::start_in(Kind::Hashd, &folder.0, ALWAYS);
        let ours = without_encodings(contents(&hashd));
        assert_eq!(ours, theirs, "seed {seed}:\n{}", differences(&ours, &theirs));
    }
}
