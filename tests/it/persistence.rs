//! Snapshots: what is saved comes back, also through real servers; what cannot be written or read is told.

mod faults;
mod random;

use crate::Case;
use crate::client::{Client, eventually, info};
use crate::server::{self, Kind, Server};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub const CASES: &[Case] = &[
    ("a_restart_keeps_what_was_saved", restart),
    ("changes_are_saved_by_themselves", save_points),
    ("a_reload_changes_nothing", reload),
    ("a_snapshot_under_writers_is_one_instant", one_instant),
    ("flushall_empties_the_snapshot", flush_all),
    ("what_cannot_be_written_is_told", unwritable),
    ("a_failing_disk_leaves_the_last_snapshot", faults::snapshots),
    ("a_broken_file_is_refused_at_the_start", broken),
    ("expired_keys_are_left_out", expired),
    ("migrate_between_two_servers", || migrate(Kind::Hashd, Kind::Hashd)),
];

pub const ORACLE: &[Case] = &[
    ("redis_loads_what_hashd_saves_and_back", || exchange(Kind::Redis)),
    ("valkey_loads_what_hashd_saves_and_back", || exchange(Kind::Valkey)),
    ("keys_of_other_types_are_refused_or_left_out", foreign),
    ("migrate_to_redis", || migrate(Kind::Hashd, Kind::Redis)),
    ("migrate_from_redis", || migrate(Kind::Redis, Kind::Hashd)),
    ("digests_are_those_of_redis", digests),
    ("random_keyspaces_come_back_through_redis", random::through_redis),
    ("how_keys_are_used_is_kept_also_through_redis", usage),
];

/// A folder that is gone after the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(server::scratch_folder())
    }

    fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn dump(&self) -> PathBuf {
        self.0.join("dump.rdb")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn start_in(kind: Kind, folder: &Folder, options: &[&str]) -> Server {
    let server = Server::start_with(kind, &[&["--dir", folder.text()], options].concat());
    let mut client = server.client();
    eventually("the data is loaded", || !client.line("DBSIZE").starts_with("-LOADING"));
    server
}

/// Some of everything; fields with expiries only if they may be.
fn fill(client: &mut Client, with_field_expiries: bool) {
    for database in ["0", "5"] {
        client.line(&format!("SELECT {database}"));
        for number in 0..300 {
            client.line(&format!("HSET small:{number} name n{number} count {number} note the_same_for_all_of_them"));
        }
        client.line("HSET numbers a 0 b -1 c 300 d 70000 e 9999999999 f -9223372036854775808 g 007 h ''");
        client.line(&format!("HSET long {} {}", "f".repeat(70), "v".repeat(9000)));
        let many: Vec<String> = (0..700).map(|number| format!("f{number} v{number}")).collect();
        client.line(&format!("HSET many {}", many.join(" ")));
        client.line("HSET expires f v");
        client.line("PEXPIREAT expires 4102444800123");
        if with_field_expiries {
            client.line("HSET fields f v g w");
            client.line("HPEXPIREAT fields 4102444800123 FIELDS 1 g");
            client.line("HPEXPIREAT many 4102444800123 FIELDS 2 f3 f5");
            client.line("HSET was f v");
            client.line("HPEXPIREAT was 4102444800123 FIELDS 1 f");
            client.line("HPERSIST was FIELDS 1 f");
        }
    }
    client.line("SELECT 0");
}

const ENCODINGS: [&str; 5] = ["small:3", "long", "many", "fields", "was"];

fn state(client: &mut Client) -> (String, Vec<String>) {
    let encodings = ENCODINGS.map(|key| client.line(&format!("OBJECT ENCODING {key}")));
    (client.line("DEBUG DIGEST"), encodings.to_vec())
}

fn restart() {
    let folder = Folder::new();
    let before = {
        let mut server = start_in(Kind::Hashd, &folder, &["--save", "3600 1000000"]);
        let mut client = server.client();
        fill(&mut client, true);
        let state = state(&mut client);
        client.send(&["SHUTDOWN"]).unwrap();
        assert_eq!(server.wait_for_exit(Duration::from_secs(20)), Some(0));
        state
    };
    let mut server = start_in(Kind::Hashd, &folder, &["--save", "3600 1000000"]);
    let mut client = server.client();
    assert_eq!(state(&mut client), before);
    assert_eq!(info(&mut client, "persistence", "rdb_changes_since_last_save"), "0");
    assert_eq!(info(&mut client, "persistence", "rdb_last_load_keys_loaded"), "612");
    // A signal saves too, also what was changed last.
    client.line("HSET last f v");
    server.signal("TERM");
    assert_eq!(server.wait_for_exit(Duration::from_secs(20)), Some(0));
    let mut server = start_in(Kind::Hashd, &folder, &["--save", "3600 1000000"]);
    let mut client = server.client();
    assert_eq!(client.line("HGET last f"), "\"v\"");
    client.line("HSET lost f v");
    client.send(&["SHUTDOWN", "NOSAVE"]).unwrap();
    assert_eq!(server.wait_for_exit(Duration::from_secs(20)), Some(0));
    let server = start_in(Kind::Hashd, &folder, &[]);
    assert_eq!(server.client().line("EXISTS lost last"), ":1");
}

fn save_points() {
    let folder = Folder::new();
    let server = start_in(Kind::Hashd, &folder, &["--save", "1 5"]);
    let mut client = server.client();
    client.line("HSET a f v g w");
    client.line("HDEL a g missing");
    client.line("EXPIRE a 100");
    assert_eq!(info(&mut client, "persistence", "rdb_changes_since_last_save"), "4");
    assert!(!folder.dump().exists());
    client.line("HSET b f v");
    eventually("the snapshot is there", || folder.dump().exists());
    eventually("it is told", || info(&mut client, "persistence", "rdb_changes_since_last_save") == "0");
    assert_eq!(info(&mut client, "persistence", "rdb_saves"), "1");
}

fn reload() {
    let folder = Folder::new();
    let server = start_in(Kind::Hashd, &folder, &[]);
    let mut client = server.client();
    fill(&mut client, true);
    let before = state(&mut client);
    assert_eq!(client.line("DEBUG RELOAD"), "+OK");
    assert_eq!(state(&mut client), before);
    client.line("FLUSHALL");
    assert_eq!(client.line("DEBUG RELOAD NOSAVE"), "+OK");
    assert_eq!(state(&mut client), before);
    client.line("HSET other f v");
    client.line("HSET long f other");
    assert_eq!(client.line("DEBUG RELOAD NOSAVE NOFLUSH MERGE"), "+OK");
    assert_eq!(client.line("DEL other"), ":1");
    assert_eq!(state(&mut client), before);
    assert!(client.line("DEBUG RELOAD FOO").starts_with("-ERR DEBUG RELOAD only supports"));
}

/// Writers move amounts between accounts in transactions while snapshots are written: the sum is the same in each.
fn one_instant() {
    const ACCOUNTS: usize = 500;
    let folder = Folder::new();
    let server = start_in(Kind::Hashd, &folder, &["--io-threads", "2"]);
    let mut client = server.client();
    for number in 0..ACCOUNTS {
        client.line(&format!("HSET account:{number} amount 1000 owner o{number}"));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4_usize)
        .map(|seed| {
            let (mut client, stop) = (server.client(), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut state = seed + 7;
                while !stop.load(Ordering::Relaxed) {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1442695040888963407);
                    let (from, to) = ((state >> 20) % ACCOUNTS, (state >> 40) % ACCOUNTS);
                    client.line("MULTI");
                    client.line(&format!("HINCRBY account:{from} amount -3"));
                    client.line(&format!("HINCRBY account:{to} amount 3"));
                    assert!(client.line("EXEC").starts_with('['));
                }
            })
        })
        .collect();
    for _ in 0..5 {
        assert_eq!(client.line("BGSAVE"), "+Background saving started");
        eventually("it is written", || info(&mut client, "persistence", "rdb_bgsave_in_progress") == "0");
        assert_eq!(info(&mut client, "persistence", "rdb_last_bgsave_status"), "ok");
        let copy = Folder::new();
        std::fs::copy(folder.dump(), copy.dump()).unwrap();
        let loaded = start_in(Kind::Hashd, &copy, &[]);
        let mut reader = loaded.client();
        let amounts = (0..ACCOUNTS).map(|number| reader.ask(&format!("HGET account:{number} amount")).text());
        let sum: i64 = amounts.map(|amount| amount.parse::<i64>().unwrap()).sum();
        assert_eq!(sum, 1000 * i64::try_from(ACCOUNTS).unwrap());
    }
    stop.store(true, Ordering::Relaxed);
    writers.into_iter().for_each(|writer| writer.join().unwrap());
}

fn flush_all() {
    /// More than what stands before the first key.
    const EMPTY: u64 = 150;
    let folder = Folder::new();
    let length = || std::fs::metadata(folder.dump()).unwrap().len();
    let mut server = start_in(Kind::Hashd, &folder, &["--save", "3600 1000000"]);
    let mut client = server.client();
    for requests in [&["FLUSHALL"][..], &["MULTI", "FLUSHALL ASYNC", "EXEC"]] {
        fill(&mut client, true);
        assert_eq!(client.line("SAVE"), "+OK");
        assert!(length() > EMPTY);
        client.line("HSET another f v");
        // What is being written would bring back what has gone.
        assert_eq!(client.line("BGSAVE"), "+Background saving started");
        requests.iter().for_each(|request| drop(client.line(request)));
        assert!(length() < EMPTY);
        assert_eq!(info(&mut client, "persistence", "rdb_changes_since_last_save"), "0");
        eventually("nothing is written", || info(&mut client, "persistence", "rdb_bgsave_in_progress") == "0");
        assert!(length() < EMPTY);
        assert_eq!(info(&mut client, "persistence", "rdb_last_bgsave_status"), "ok");
    }
    server.signal("KILL");
    server.wait_for_exit(Duration::from_secs(20));
    let server = start_in(Kind::Hashd, &folder, &[]);
    let mut client = server.client();
    assert_eq!(client.line("DBSIZE"), ":0");
    // Without times to save at the file stays as it is.
    client.line("HSET a f v");
    assert_eq!(client.line("SAVE"), "+OK");
    let before = length();
    client.line("FLUSHALL");
    assert_eq!(length(), before);
}

fn unwritable() {
    let folder = Folder::new();
    let gone = folder.0.join("gone");
    std::fs::create_dir(&gone).unwrap();
    let options = ["--dir", gone.to_str().unwrap(), "--save", "3600 1000000"];
    let mut server = Server::start_with(Kind::Hashd, &options);
    let mut client = server.client();
    client.line("HSET a f v");
    std::fs::remove_dir(&gone).unwrap();
    assert_eq!(client.line("SAVE"), "-ERR");
    assert_eq!(client.line("HSET a f v"), ":0");
    assert_eq!(client.line("BGSAVE"), "+Background saving started");
    eventually("it has failed", || info(&mut client, "persistence", "rdb_last_bgsave_status") == "err");
    for request in ["HSET a f v", "PING", "DEL a"] {
        let reply = client.line(request);
        assert!(reply.starts_with("-MISCONF Redis is configured to save RDB snapshots"), "{request}: {reply}");
    }
    assert_eq!(client.line("HGET a f"), "\"v\"");
    client.line("MULTI");
    assert!(client.line("HSET a f v").starts_with("-MISCONF"));
    assert!(client.line("EXEC").starts_with("-EXECABORT"));
    client.line("CONFIG SET stop-writes-on-bgsave-error no");
    assert_eq!(client.line("HSET a f w"), ":0");
    client.line("CONFIG SET stop-writes-on-bgsave-error yes");
    assert_eq!(client.line("SHUTDOWN"), "-ERR Errors trying to SHUTDOWN. Check logs.");
    server.signal("TERM");
    std::thread::sleep(Duration::from_millis(300));
    assert!(client.line("PING").starts_with("-MISCONF"), "the server goes on");
    // The disk is back.
    std::fs::create_dir(&gone).unwrap();
    assert_eq!(client.line("BGSAVE"), "+Background saving started");
    eventually("it is written", || info(&mut client, "persistence", "rdb_last_bgsave_status") == "ok");
    assert_eq!(client.line("HSET a f x"), ":0");
    server.signal("TERM");
    assert_eq!(server.wait_for_exit(Duration::from_secs(20)), Some(0));
    assert!(std::fs::read_dir(&gone).unwrap().count() == 1, "no passing file is left");
}

fn broken() {
    let folder = Folder::new();
    {
        let server = start_in(Kind::Hashd, &folder, &[]);
        let mut client = server.client();
        fill(&mut client, true);
        assert_eq!(client.line("SAVE"), "+OK");
    }
    let whole = std::fs::read(folder.dump()).unwrap();
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 4;
    for (bytes, why) in [(&whole[..whole.len() / 2], "midst"), (&changed, ""), (b"no snapshot at all", "no RDB file")] {
        std::fs::write(folder.dump(), bytes).unwrap();
        let output = Command::new(server::program(Kind::Hashd))
            .args(["--port", &server::free_port().to_string(), "--dir", folder.text()])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "it has started");
        assert!(text.contains("dump.rdb' is not loaded") && text.contains(why), "{text}");
    }
}

fn expired() {
    let folder = Folder::new();
    {
        let server = start_in(Kind::Hashd, &folder, &[]);
        let mut client = server.client();
        client.line("DEBUG SET-ACTIVE-EXPIRE 0");
        client.line("HSET a f v");
        client.line("HSET b f v");
        client.line("PEXPIRE a 1");
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(client.line("SAVE"), "+OK");
    }
    let server = start_in(Kind::Hashd, &folder, &[]);
    let mut client = server.client();
    assert_eq!(client.line("DBSIZE"), ":1");
    assert_eq!(info(&mut client, "persistence", "rdb_last_load_keys_expired"), "1");
}

fn migrate(from: Kind, to: Kind) {
    let (from, to) = (Server::start(from), Server::start_with(to, &["--requirepass", "secret"]));
    let (mut here, mut there) = (from.client(), to.client());
    there.line("AUTH secret");
    here.line("HSET a f v g 12");
    here.line(&format!("HSET b f {}", "long ".repeat(40).trim_end().replace(' ', "_")));
    here.line("PEXPIREAT b 4102444800123");
    here.line("HSET c f v g w");
    here.line("HPEXPIREAT c 4102444800123 FIELDS 1 g");
    let port = to.port;
    assert!(
        here.line(&format!("MIGRATE 127.0.0.1 {port} a 3 5000"))
            .starts_with("-ERR Target instance replied with error: NOAUTH")
    );
    assert_eq!(here.line(&format!("MIGRATE 127.0.0.1 {port} a 3 5000 COPY AUTH secret")), "+OK");
    assert!(here.line(&format!("MIGRATE 127.0.0.1 {port} a 3 5000 AUTH secret")).contains("BUSYKEY"));
    assert_eq!(here.line("EXISTS a b c"), ":3");
    let digests = here.line("DEBUG DIGEST-VALUE a b c");
    let port = port.to_string();
    let all: Vec<&str> = ["MIGRATE", "127.0.0.1", &port, "", "3", "5000", "REPLACE", "AUTH2", "default", "secret"]
        .into_iter()
        .chain(["KEYS", "a", "missing", "b", "c"])
        .collect();
    assert_eq!(here.raw(&all), b"+OK\r\n");
    assert_eq!(here.line("EXISTS a b c"), ":0");
    there.line("SELECT 3");
    assert_eq!(there.line("DEBUG DIGEST-VALUE a b c"), digests);
    let at: i64 = there.ask("PEXPIRETIME b").int();
    assert!((at - 4_102_444_800_123).abs() < 5000, "{at}");
    assert_eq!(there.ask("HPEXPIRETIME c FIELDS 2 f g").items()[1].int(), 4_102_444_800_123);
    assert_eq!(here.raw(&all), b"+NOKEY\r\n");
}

fn checks(folder: &Folder) {
    let program = server::peers().unwrap().join("bin/redis-check-rdb");
    let output = Command::new(program).arg(folder.dump()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("RDB looks OK"), "{text}");
}

fn exchange(oracle: Kind) {
    if !server::has(oracle) {
        panic!("{oracle:?} is missing");
    }
    let with_field_expiries = oracle == Kind::Redis;
    let folder = Folder::new();
    let before = {
        let server = start_in(Kind::Hashd, &folder, &[]);
        let mut client = server.client();
        fill(&mut client, with_field_expiries);
        assert_eq!(client.line("SAVE"), "+OK");
        client.line("DEBUG DIGEST")
    };
    checks(&folder);
    {
        let server = start_in(oracle, &folder, &[]);
        let mut client = server.client();
        assert_eq!(client.line("DEBUG DIGEST"), before);
        client.line("HSET more f v");
        if oracle == Kind::Valkey {
            client.line("HPEXPIREAT more 4102444800123 FIELDS 1 f");
        }
        assert_eq!(client.line("SAVE"), "+OK");
    }
    let server = start_in(Kind::Hashd, &folder, &[]);
    let mut client = server.client();
    if oracle == Kind::Valkey {
        assert_eq!(client.line("HPEXPIRETIME more FIELDS 1 f"), "[:4102444800123]");
    }
    assert_eq!(client.line("DEL more"), ":1");
    assert_eq!(client.line("DEBUG DIGEST"), before);
}

fn foreign() {
    let folder = Folder::new();
    {
        let server = start_in(Kind::Redis, &folder, &[]);
        let mut client = server.client();
        for line in [
            "SET s v",
            "SET number 12",
            "RPUSH l a b 3",
            "SADD numbers 1 2 3",
            "SADD words a b c",
            "ZADD z 1.5 a 2 b",
            "XADD stream 1-1 f v",
            "XGROUP CREATE stream g 0",
            "XREADGROUP GROUP g reader STREAMS stream >",
            "XADD stream IDMP producer one * f v",
            "PFADD counts a b",
            "HSET h f v",
            "SELECT 3",
            "ZADD z 1 a",
            "HSET h f w",
        ] {
            assert!(!client.line(line).starts_with('-') || line.contains("IDMP"), "{line}");
        }
        client.line(&format!("ZADD bigz {}", (0..200).map(|n| format!("{n}.25 m{n}")).collect::<Vec<_>>().join(" ")));
        client.line(&format!("SADD bigs {}", (0..900).map(|n| format!("m{n}")).collect::<Vec<_>>().join(" ")));
        client.line(&format!(
            "RPUSH bigl {}",
            (0..900).map(|n| format!("{}{n}", "m".repeat(60))).collect::<Vec<_>>().join(" ")
        ));
        assert_eq!(client.line("SAVE"), "+OK");
    }
    let output = Command::new(server::program(Kind::Hashd))
        .args(["--port", &server::free_port().to_string(), "--dir", folder.text()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("it has keys that are no hashes: 12,"), "{text}");
    let server = start_in(Kind::Hashd, &folder, &["--rdb-foreign-types", "skip", "--loglevel", "notice"]);
    let mut client = server.client();
    assert_eq!((client.line("DBSIZE"), client.line("HGET h f")), (":1".into(), "\"v\"".into()));
    client.line("SELECT 3");
    assert_eq!((client.line("DBSIZE"), client.line("HGET h f")), (":1".into(), "\"w\"".into()));
    assert!(server.log().contains("stream"), "{}", server.log());
}

/// A key that is used as no other is: what tells of it goes from hashd to Redis and back.
fn usage() {
    const HASH: &[u8] = b"\x04\x01\x01f\x01v\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let is_kept = |report: &str, client: &mut Client| {
        let told = client.ask(&format!("OBJECT {report} k")).int();
        // What idles goes on to idle.
        let most = if report == "FREQ" { 77 } else { 77 + 60 };
        assert!((77..=most).contains(&told), "{report} {told}");
        let other = client.ask(&format!("OBJECT {report} other")).int();
        assert!(other < 77, "{report} {other}");
    };
    for (policy, option) in [("allkeys-lfu", "FREQ"), ("volatile-lru", "IDLETIME")] {
        let folder = Folder::new();
        let options = ["--maxmemory-policy", policy, "--lfu-decay-time", "0"];
        {
            let server = start_in(Kind::Hashd, &folder, &options);
            let mut client = server.client();
            client.line("HSET other f v");
            assert_eq!(client.raw(&[b"RESTORE", &b"k"[..], b"0", HASH, option.as_bytes(), b"77"]), b"+OK\r\n");
            is_kept(option, &mut client);
            assert_eq!(client.line("DEBUG RELOAD"), "+OK");
            is_kept(option, &mut client);
        }
        for kind in [Kind::Redis, Kind::Hashd] {
            let server = start_in(kind, &folder, &options);
            let mut client = server.client();
            is_kept(option, &mut client);
            assert_eq!(client.line("SAVE"), "+OK");
        }
    }
}

fn digests() {
    let (ours, theirs) = (Server::start(Kind::Hashd), Server::start(Kind::Redis));
    let digests = [ours, theirs].map(|server| {
        let mut client = server.client();
        let empty = client.line("DEBUG DIGEST");
        fill(&mut client, true);
        (empty, client.line("DEBUG DIGEST"))
    });
    assert_eq!(digests[0], digests[1]);
}
