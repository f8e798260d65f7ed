//! What happens when the disk is slow, full or broken: a real limit on a real server, and a disk that fails when told to.

use super::{ALWAYS, Folder, commands, contents, run};
use crate::client::{eventually, info};
use crate::server::{Kind, Server};
use hashd::base::clock::{Clock, UnixMillis};
use hashd::config::{Config, Startup};
use hashd::persist::aof::log::Log;
use hashd::persist::aof::{AppendOnly, Phase};
use hashd::persist::disk::{Disk, DiskFile, FileSystem, LogFile};
use hashd::store::Effect;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

/// Lets a process write files of any size again.
fn lift_limit(server: &Server) {
    let unlimited = rlimit::INFINITY;
    let pid = libc::pid_t::try_from(server.pid()).unwrap();
    rlimit::prlimit(pid, rlimit::Resource::FSIZE, Some((unlimited, unlimited)), None).unwrap();
}

/// A server whose files may have `blocks` of 512 bytes.
fn start_limited(options: &[&str], blocks: usize) -> Server {
    Server::start_by(Kind::Hashd, options, |program| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("trap '' XFSZ; ulimit -S -f {blocks}; exec \"$0\" \"$@\"")]).arg(program);
        shell
    })
}

pub fn full() {
    let mut server = start_limited(&["--appendonly", "yes", "--appendfsync", "everysec"], 64);
    let mut client = server.client();
    let mut written = 0;
    let refused = loop {
        let reply = client.line(&format!("HSET k{written} f {}", "x".repeat(500)));
        if reply.starts_with('-') {
            break reply;
        }
        written += 1;
        assert!(written < 100_000, "it never gets full");
    };
    assert_eq!(refused, "-MISCONF Errors writing to the AOF file: File too large");
    assert_eq!(client.line("PING"), refused);
    run(&mut client, &["MULTI", "HGET k0 f"]);
    assert_eq!(client.line("HSET k0 g 1"), refused);
    assert!(client.line("EXEC").starts_with("-EXECABORT"));
    assert!(client.line("HGET k0 f").contains("xxx"));
    assert_eq!(info(&mut client, "persistence", "aof_last_write_status"), "err");
    lift_limit(&server);
    eventually("it can be written again", || !client.line("HSET after f 1").starts_with('-'));
    assert_eq!(info(&mut client, "persistence", "aof_last_write_status"), "ok");
    let before = contents(&server);
    drop(client.send(&["SHUTDOWN"]));
    assert_eq!(server.wait_for_exit(Duration::from_secs(10)), Some(0));
    let copy = Folder::new();
    let copied = Command::new("cp").args(["-r", &server.file("appendonlydir")]).arg(&copy.0).status().unwrap();
    assert!(copied.success());
    let again = Server::start_in(Kind::Hashd, &copy.0, ALWAYS);
    assert_eq!(contents(&again), before);

    // With `always`, what does not get to the disk is not acknowledged, while others go on reading.
    let server = start_limited(ALWAYS, 8);
    let (mut writer, mut reader) = (server.client(), server.client());
    run(&mut writer, &["HSET k f v"]);
    writer.set_timeout(Duration::from_millis(300));
    writer.send(&["HSET", "k", "g", &"x".repeat(9000)]).unwrap();
    assert!(writer.reply().is_err(), "acknowledged without having been written");
    assert_eq!(reader.line("HGET k f"), "\"v\"");
    assert!(reader.line("HSET k h 1").starts_with("-MISCONF"));
    lift_limit(&server);
    writer.set_timeout(Duration::from_secs(10));
    assert_eq!(writer.reply().unwrap(), b":1\r\n");

    // Without the log there is nothing to wait for.
    let server = start_limited(ALWAYS, 8);
    let (mut writer, mut other) = (server.client(), server.client());
    writer.send(&["HSET", "k", "g", &"x".repeat(9000)]).unwrap();
    eventually("it is noticed", || other.line("PING").starts_with("-MISCONF"));
    run(&mut other, &["CONFIG SET appendonly no", "HSET k f v"]);
    assert_eq!(writer.reply().unwrap(), b":1\r\n");
}

/// What goes wrong.
#[derive(Debug, Default)]
struct Faults {
    /// Bytes that there is still room for; negative if there is for all.
    room: AtomicI64,
    syncs_fail: AtomicBool,
    renames_fail: AtomicBool,
    cuts_fail: AtomicBool,
    /// Whether a sync waits.
    gate: Mutex<bool>,
    opened: Condvar,
    syncs: AtomicU64,
}

impl Faults {
    fn none() -> Arc<Self> {
        Arc::new(Self { room: AtomicI64::new(-1), ..Self::default() })
    }

    fn close_gate(&self, closed: bool) {
        *self.gate.lock().unwrap() = closed;
        self.opened.notify_all();
    }
}

#[derive(Debug)]
struct FaultyDisk(Arc<Faults>);

#[derive(Debug)]
struct FaultyFile(Arc<dyn LogFile>, Arc<Faults>);

fn broken() -> io::Error {
    io::Error::from_raw_os_error(libc::EIO)
}

impl LogFile for FaultyFile {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.1.room.load(Ordering::SeqCst);
        if room < 0 {
            return self.0.write(bytes);
        }
        let fits = bytes.len().min(room as usize);
        if fits == 0 {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        let written = self.0.write(&bytes[..fits])?;
        self.1.room.fetch_sub(written as i64, Ordering::SeqCst);
        Ok(written)
    }

    fn sync(&self) -> io::Result<()> {
        let mut closed = self.1.gate.lock().unwrap();
        while *closed {
            closed = self.1.opened.wait(closed).unwrap();
        }
        self.1.syncs.fetch_add(1, Ordering::SeqCst);
        if self.1.syncs_fail.load(Ordering::SeqCst) { Err(broken()) } else { self.0.sync() }
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        if self.1.cuts_fail.load(Ordering::SeqCst) { Err(broken()) } else { self.0.truncate(length) }
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        FileSystem.create(path)
    }

    fn append_to(&self, path: &Path) -> io::Result<(Arc<dyn LogFile>, u64)> {
        let (file, length) = FileSystem.append_to(path)?;
        Ok((Arc::new(FaultyFile(file, Arc::clone(&self.0))), length))
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        FileSystem.make_folder(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.0.renames_fail.load(Ordering::SeqCst) { Err(broken()) } else { FileSystem.rename(from, to) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        FileSystem.remove(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        FileSystem.sync_folder(path)
    }
}

/// A log on a disk that fails when it is told to.
struct Bench {
    folder: Folder,
    faults: Arc<Faults>,
    log: Arc<Log>,
    append_only: AppendOnly,
}

const INCREMENT: &str = "appendonly.aof.1.incr.aof";

impl Bench {
    fn new(policy: &str) -> Self {
        let folder = Folder::new();
        let path = folder.0.to_str().unwrap();
        let options = ["hashd", "--dir", path, "--appendonly", "yes", "--appendfsync", policy];
        let Startup::Run(config) =
            Config::from_command_line(options.map(Into::into).into_iter(), std::iter::empty()).unwrap()
        else {
            panic!("no configuration");
        };
        let (config, faults) = (Arc::new(config), Faults::none());
        let log = Arc::new(Log::new(Arc::clone(&config), Arc::new(Clock::system())));
        let append_only = AppendOnly::new(config, Arc::clone(&log), Arc::new(FaultyDisk(Arc::clone(&faults))));
        append_only.begin(&|_| Ok(())).unwrap();
        Self { folder, faults, log, append_only }
    }

    /// Logs so many fields of a key as one unit; gives where it ends.
    fn log(&self, key: &str, units: usize) -> u64 {
        for field in 0..units {
            self.log.add(0, Effect::Set(key.as_bytes(), field.to_string().as_bytes(), b"some value"));
            self.log.add(0, Effect::Persist(key.as_bytes()));
        }
        self.log.commit();
        self.log.kick();
        self.log.appended()
    }

    fn is_released(&self, end: u64) -> bool {
        self.log.poll_release(&mut Context::from_waker(Waker::noop()), end, end).is_ready()
    }

    /// The commands that are in the file, every one whole.
    fn logged(&self) -> Vec<String> {
        commands(&std::fs::read(self.folder.log_file(INCREMENT)).unwrap())
    }
}

pub fn group_commit() {
    let bench = Bench::new("always");
    assert!(bench.log.holds_replies());
    let first = bench.log("a", 1);
    eventually("the first is synced", || bench.is_released(first));
    let before = bench.faults.syncs.load(Ordering::SeqCst);
    bench.faults.close_gate(true);
    let second = bench.log("b", 1);
    eventually("the second is written", || bench.logged().len() == 9);
    let third = (0..100).map(|_| bench.log("c", 1)).last().unwrap();
    assert!(!bench.is_released(second) && !bench.is_released(third));
    assert!(bench.is_released(first));
    bench.faults.close_gate(false);
    eventually("all are synced", || bench.is_released(second) && bench.is_released(third));
    assert_eq!(bench.log.synced(), third);
    let syncs = bench.faults.syncs.load(Ordering::SeqCst) - before;
    assert!(syncs <= 3, "{syncs} syncs for what one can serve");
}

pub fn failed_sync() {
    let bench = Bench::new("always");
    let first = bench.log("a", 1);
    eventually("the first is synced", || bench.is_released(first));
    bench.faults.syncs_fail.store(true, Ordering::SeqCst);
    let second = bench.log("b", 1);
    eventually("it is noticed", || bench.log.in_trouble());
    assert_eq!(bench.log.trouble().as_deref(), Some("Input/output error"));
    assert!(!bench.is_released(second) && bench.log.synced() == first);
    // Who has logged nothing that is missing need not wait.
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(bench.log.poll_release(cx, second, first).is_ready());
    bench.faults.syncs_fail.store(false, Ordering::SeqCst);
    eventually("it is synced", || bench.is_released(second) && !bench.log.in_trouble());
    let wanted = ["SELECT 0", "MULTI", "HSET a 0 some value", "PERSIST a", "EXEC"];
    let more = ["MULTI", "HSET b 0 some value", "PERSIST b", "EXEC"];
    assert_eq!(bench.logged(), [&wanted[..], &more].concat(), "what the failed sync was for is there once");

    let bench = Bench::new("everysec");
    bench.faults.syncs_fail.store(true, Ordering::SeqCst);
    let end = bench.log("a", 1);
    assert!(bench.is_released(end), "nobody waits");
    eventually("it is noticed", || bench.log.in_trouble());
    bench.faults.syncs_fail.store(false, Ordering::SeqCst);
    eventually("it is synced", || bench.log.synced() == end && !bench.log.in_trouble());
    assert!(bench.log.lost_sync.load(Ordering::SeqCst), "a rewrite is due");
}

pub fn short_writes() {
    for (policy, cuts_fail) in [("always", false), ("everysec", false), ("no", true)] {
        let bench = Bench::new(policy);
        let first = bench.log("a", 2);
        eventually("the first is written", || bench.log.waiting_bytes() == 0);
        for room in [0, 1, 30, 60, 100] {
            bench.faults.room.store(room, Ordering::SeqCst);
            bench.faults.cuts_fail.store(cuts_fail, Ordering::SeqCst);
            let end = bench.log("b", 2);
            eventually("it is noticed", || bench.log.in_trouble());
            assert_eq!(bench.log.trouble().as_deref(), Some("No space left on device"));
            if policy == "always" {
                assert!(!bench.is_released(end) && bench.is_released(first));
            }
            if !cuts_fail {
                assert_eq!(bench.logged().len() % 6, 1, "no half unit stays");
            }
            bench.faults.cuts_fail.store(false, Ordering::SeqCst);
            bench.faults.room.store(-1, Ordering::SeqCst);
            eventually("it is written", || bench.log.waiting_bytes() == 0 && !bench.log.in_trouble());
        }
        let commands = bench.logged();
        let count = |wanted: &str| commands.iter().filter(|line| *line == wanted).count();
        assert_eq!((count("HSET a 0 some value"), count("HSET b 1 some value")), (1, 5), "{policy}: {commands:?}");
        assert_eq!((count("MULTI"), count("EXEC")), (6, 6));
        assert!(bench.append_only.end(&|| ()));
        assert_eq!(bench.log.synced(), bench.log.appended());
    }
}

pub fn failing_rewrite() {
    let bench = Bench::new("always");
    let first = bench.log("a", 1);
    let rewrite = |write: &dyn Fn(&mut dyn io::Write) -> io::Result<()>| {
        assert!(bench.append_only.rewrites.request());
        let write_base = |out: &mut dyn io::Write, at_start: &dyn Fn()| {
            at_start();
            write(out)
        };
        bench.append_only.rewrite(&write_base, &|| (), &|| UnixMillis(0));
    };
    rewrite(&|_| Err(broken()));
    assert_eq!(bench.append_only.rewrites.failures.load(Ordering::SeqCst), 1);
    let manifest = "file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n\
                    file appendonly.aof.2.incr.aof seq 2 type i\n";
    assert_eq!(bench.folder.manifest(), manifest);
    bench.faults.renames_fail.store(true, Ordering::SeqCst);
    rewrite(&|_| Ok(()));
    assert_eq!(bench.folder.manifest(), manifest, "what cannot be named is not there");
    bench.faults.renames_fail.store(false, Ordering::SeqCst);
    let second = bench.log("b", 1);
    eventually("it is synced", || bench.is_released(first) && bench.is_released(second));
    rewrite(&|_| Ok(()));
    assert_eq!(bench.append_only.rewrites.failures.load(Ordering::SeqCst), 0);
    assert_eq!(bench.append_only.phase(), Phase::On);
    let names = bench.folder.log_files();
    assert_eq!(names.iter().filter(|name| name.contains(".incr.")).count(), 1, "{names:?}");
    assert_eq!(names.iter().filter(|name| name.contains(".base.")).count(), 1, "{names:?}");
}
