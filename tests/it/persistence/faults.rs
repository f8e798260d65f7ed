//! Snapshots on a disk that fails when told to.

use super::Folder;
use hashd::base::clock::{Clock, UnixMillis};
use hashd::commands::table;
use hashd::config::{Config, Startup};
use hashd::dispatch::{Where, dispatch};
use hashd::handler::{Args, Session};
use hashd::persist::disk::{Disk, DiskFile, FileSystem, LogFile};
use hashd::resp::decode::{DecodeLimits, Decoder};
use hashd::resp::reply::{ReplyWriter, RespVersion};
use hashd::services::Services;
use hashd::services::clients::Peer;
use hashd::store::{HashLimits, Keyspace};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// No file can be made.
    Create,
    /// There is room for so many bytes.
    Full(usize),
    /// A write takes so many bytes at most, which is no error.
    Short(usize),
    Sync,
    Rename,
    SyncFolder,
}

#[derive(Debug)]
struct FaultyDisk(Arc<Mutex<Fault>>);

#[derive(Debug)]
struct FaultyFile {
    file: Box<dyn DiskFile>,
    fault: Fault,
    written: usize,
}

fn error(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

impl FaultyDisk {
    fn unless(&self, fault: Fault, number: i32) -> io::Result<()> {
        if *self.0.lock().unwrap() == fault { Err(error(number)) } else { Ok(()) }
    }
}

impl Write for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = match self.fault {
            Fault::Full(room) => room - self.written,
            Fault::Short(most) => most,
            _ => usize::MAX,
        };
        if most == 0 {
            return Err(error(libc::ENOSPC));
        }
        let written = self.file.write(&bytes[..bytes.len().min(most)])?;
        self.written += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl DiskFile for FaultyFile {
    fn sync(&mut self) -> io::Result<()> {
        if self.fault == Fault::Sync { Err(error(libc::EIO)) } else { self.file.sync() }
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.unless(Fault::Create, libc::EACCES)?;
        let fault = *self.0.lock().unwrap();
        Ok(Box::new(FaultyFile { file: FileSystem.create(path)?, fault, written: 0 }))
    }

    fn append_to(&self, path: &Path) -> io::Result<(Arc<dyn LogFile>, u64)> {
        FileSystem.append_to(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        FileSystem.make_folder(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.unless(Fault::Rename, libc::EIO)?;
        FileSystem.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        FileSystem.remove(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.unless(Fault::SyncFolder, libc::EIO)?;
        FileSystem.sync_folder(path)
    }
}

/// All of a server but its sockets and threads.
struct Bench {
    services: Services,
    session: Session,
    fault: Arc<Mutex<Fault>>,
}

impl Bench {
    fn new(folder: &Folder) -> Self {
        let options = ["hashd", "--dir", folder.text(), "--save", "3600 1000000", "--enable-debug-command", "yes"];
        let Startup::Run(config) =
            Config::from_command_line(options.map(Into::into).into_iter(), std::iter::empty()).unwrap()
        else {
            panic!("no configuration");
        };
        let limits = HashLimits { max_listpack_entries: 4, max_listpack_value: 16 };
        let keyspace = Arc::new(Keyspace::new(16, limits));
        let clock = Arc::new(Clock::fixed(UnixMillis(1_800_000_000_000)));
        let mut services = Services::new(Arc::new(config), keyspace, clock, &table::acl_categories());
        let fault = Arc::new(Mutex::new(Fault::None));
        services.persistence.disk = Box::new(FaultyDisk(Arc::clone(&fault)));
        let peer = Peer { address: "a:1".into(), local_address: "b:1".into(), fd: 1, is_unix_socket: false };
        let client = services.clients.connect(peer, services.clock.now(), 10).unwrap();
        let session = Session::new(client, services.acl.new_access(), services.stats.add_worker());
        Self { services, session, fault }
    }

    fn line(&mut self, line: &str) -> String {
        let bytes = format!("{line}\r\n").into_bytes();
        let (mut decoder, mut reply) = (Decoder::default(), ReplyWriter::new(RespVersion::Resp2));
        let limits = DecodeLimits { max_bulk: 1 << 20, unauthenticated: false };
        decoder.advance(&bytes, limits, 16).unwrap();
        let (buffer, ranges) = decoder.next(&bytes).unwrap();
        let now = self.services.clock.now();
        dispatch(&self.services, &mut self.session, &mut reply, (Args::new(buffer, ranges), now, Where::Aside));
        String::from_utf8_lossy(reply.as_bytes()).trim_end().to_owned()
    }

    /// Has a snapshot written in the background; whether that has gone well.
    fn save_in_background(&mut self) -> bool {
        assert_eq!(self.line("BGSAVE"), "+Background saving started");
        self.services.save_what_is_due();
        let history = self.services.persistence.history();
        assert_eq!(history.running_since, None);
        history.last_succeeded
    }

    fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }
}

fn only_file(folder: &Folder) -> Vec<u8> {
    let names: Vec<_> = std::fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["dump.rdb"], "a passing file is left");
    std::fs::read(folder.dump()).unwrap()
}

pub fn snapshots() {
    const MISCONF: &str = "-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. \
                           Commands that may modify the data set are disabled, because this instance is configured to report \
                           errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check \
                           the Redis logs for details about the RDB error.";
    let folder = Folder::new();
    let mut bench = Bench::new(&folder);
    bench.line(&format!("HSET first f {}", "v".repeat(100)));
    assert_eq!(bench.line("SAVE"), "+OK");
    let before = only_file(&folder);
    bench.line("HSET second f v");
    let full = (0..before.len()).step_by(7).map(Fault::Full);
    for fault in [Fault::Create, Fault::Sync, Fault::Rename].into_iter().chain(full) {
        bench.set(fault);
        assert_eq!(bench.line("SAVE"), "-ERR", "{fault:?}");
        assert_eq!(only_file(&folder), before, "{fault:?}");
        assert_eq!(bench.line("HSET second f v"), ":0", "a failed SAVE refuses nothing");
        assert!(!bench.save_in_background(), "{fault:?}");
        assert_eq!(only_file(&folder), before, "{fault:?}");
        assert_eq!(bench.line("HSET second f v"), MISCONF);
        assert_eq!(bench.line("PING"), MISCONF);
        assert_eq!(bench.line("HGET second f"), "$1\r\nv");
        // FLUSHALL is refused like any write, and so changes no file.
        assert_eq!(bench.line("FLUSHALL"), MISCONF);
        bench.set(Fault::None);
        assert!(bench.save_in_background());
        assert_eq!(bench.line("HSET second f v"), ":0");
        assert_ne!(only_file(&folder), before);
        std::fs::write(folder.dump(), &before).unwrap();
    }
    // The name may not survive a loss of power: the file is there, but nobody may rely on it.
    bench.set(Fault::SyncFolder);
    assert!(!bench.save_in_background());
    assert_eq!(bench.line("HSET second f v"), MISCONF);
    assert_ne!(only_file(&folder), before);
    for fault in [Fault::Short(1), Fault::Short(13)] {
        bench.set(fault);
        assert!(bench.save_in_background(), "a short write is no error");
        only_file(&folder);
        assert_eq!(bench.line("DEBUG RELOAD NOSAVE"), "+OK");
        assert_eq!(bench.line("DBSIZE"), ":2");
    }
    // A FLUSHALL whose empty snapshot cannot be written has flushed nevertheless, as in Redis.
    bench.set(Fault::Rename);
    let kept = only_file(&folder);
    assert_eq!(bench.line("FLUSHALL"), "+OK");
    assert_eq!((only_file(&folder), bench.line("DBSIZE")), (kept, ":0".to_owned()));
    assert_ne!(bench.services.unsaved_changes(), 0);
}
