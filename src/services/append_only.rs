//! The append-only file as the server uses it: when it is switched on and off, and when it is rewritten.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{REDIS_VERSION, Services};
use crate::base::memory::AllocatorStats;
use crate::persist::aof::base::write_commands;
pub use crate::persist::aof::log::{Log, Offset};
pub use crate::persist::aof::{AppendOnly, Phase};
use crate::persist::rdb::RdbError;
use crate::persist::rdb::load::Expired;
use crate::persist::rdb::save::{SaveOptions, write};
use crate::persist::rdb::source::Stream;
use crate::store::{Interest, Lock};

/// How soon it is looked again whether another snapshot has ended.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// What comes of BGREWRITEAOF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requested {
    /// A rewrite begins.
    Started,
    /// One will begin as soon as nothing stands in its way.
    Scheduled,
    /// One runs.
    Runs,
}

impl Services {
    /// Goes on with the log that has been loaded, or begins one; to be called before there are clients.
    pub fn begin_append_only(&self) -> io::Result<()> {
        self.append_only.begin(&|out| self.write_base(out, &|| ()))?;
        self.keyspace.with_everything_locked(|| self.keyspace.add_interest(Interest::LOG));
        Ok(())
    }

    /// Lets `appendonly` take effect.
    pub(super) fn apply_appendonly(&self) -> io::Result<()> {
        match (self.config.appendonly(), self.append_only.phase()) {
            (true, Phase::Off) => {
                self.append_only.prepare_start()?;
                self.append_only.rewrites.request();
            }
            (false, Phase::Starting | Phase::On) => {
                self.end_append_only();
            }
            _ => {}
        }
        Ok(())
    }

    /// Ends the log; false if the disk has not taken all of it.
    pub fn end_append_only(&self) -> bool {
        self.append_only.end(&|| {
            self.keyspace.with_everything_locked(|| self.keyspace.drop_interest(Interest::LOG));
        })
    }

    /// BGREWRITEAOF
    pub fn request_rewrite(&self, may_start: bool) -> Requested {
        let rewrites = &self.append_only.rewrites;
        if rewrites.runs.load(Ordering::Acquire) {
            return Requested::Runs;
        }
        if !may_start || self.persistence.history().running_since.is_some() {
            rewrites.is_scheduled.store(true, Ordering::Relaxed);
            return Requested::Scheduled;
        }
        if rewrites.request() { Requested::Started } else { Requested::Runs }
    }

    /// Rewrites the log if that has been asked for within `patience`, or is due for another reason.
    pub fn rewrite_append_only(&self, patience: Duration) {
        let rewrites = &self.append_only.rewrites;
        if !rewrites.wait(patience) {
            self.schedule_rewrite();
            return;
        }
        let log_from_now = || self.keyspace.add_interest(Interest::LOG);
        self.append_only.rewrite(&|out, at_start| self.write_base(out, at_start), &log_from_now, &|| self.clock.now());
    }

    /// Requests a rewrite if one is due.
    fn schedule_rewrite(&self) {
        let append_only = &self.append_only;
        let (rewrites, phase) = (&append_only.rewrites, append_only.phase());
        let growth = append_only.growth().filter(|_| phase == Phase::On);
        if let Some(growth) = growth {
            tracing::info!("starting automatic rewriting of AOF on {growth}% growth");
        }
        // After a failed start, and after a failed sync, only a rewrite makes the files whole.
        let is_due = rewrites.is_scheduled.load(Ordering::Relaxed)
            || growth.is_some()
            || phase == Phase::Starting
            || (phase == Phase::On
                && append_only.log.lost_sync.load(Ordering::Relaxed)
                && !append_only.log.in_trouble());
        let is_free = self.persistence.history().running_since.is_none();
        if is_due && is_free && rewrites.may_try(self.clock.now()) {
            rewrites.request();
        }
    }

    /// DEBUG LOADAOF: empties all databases and loads the log, in which everything has been written first. Meanwhile clients
    /// are told to wait. Without a log, what BGREWRITEAOF has written is loaded. While the log is being rewritten, or if there
    /// is none, everything stays as it is.
    pub fn load_log_again(&self) -> Result<(), String> {
        let Some(_sole) = self.append_only.rewrites.keep_away() else {
            return Err("the log is being rewritten".to_owned());
        };
        match self.append_only.phase() {
            Phase::On => self.load_written(true),
            Phase::Starting => Err("the log is being begun".to_owned()),
            Phase::Off => self.append_only.with_found(|| self.load_written(false)),
        }
    }

    fn load_written(&self, has_log: bool) -> Result<(), String> {
        const PATIENCE: Duration = Duration::from_secs(60);
        self.begin_loading();
        self.keyspace.with_everything_locked(|| self.keyspace.drop_interest(Interest::LOG));
        let is_written = !has_log || self.append_only.log.drain(PATIENCE);
        let outcome = if is_written {
            self.empty_all();
            self.log_loader.get().map_or(Ok(()), |load| load(self))
        } else {
            Err("the log cannot be written".to_owned())
        };
        if has_log {
            self.keyspace.with_everything_locked(|| self.keyspace.add_interest(Interest::LOG));
        }
        self.end_loading();
        outcome
    }

    fn empty_all(&self) {
        let held = self.keyspace.lock(&[Lock::Everything]);
        let mut database = self.keyspace.database(0, self.clock.now());
        database.use_held(&held);
        database.flush_all();
    }

    /// Writes a base; `at_start` runs at the moment that it shows, with all shards held.
    fn write_base(&self, out: &mut dyn Write, at_start: &dyn Fn()) -> io::Result<()> {
        let now = self.clock.now();
        let snapshot = loop {
            match self.keyspace.begin_snapshot(|_| at_start()) {
                Some((snapshot, ())) => break snapshot,
                // One that is saved has begun since this was requested.
                None => std::thread::sleep(LOOK_AGAIN_AFTER),
            }
        };
        if !self.config.aof_use_rdb_preamble() {
            return write_commands(&snapshot, out);
        }
        let options = SaveOptions {
            compression: self.config.rdbcompression(),
            checksum: self.config.rdbchecksum(),
            usage: self.keyspace.eviction.kept_usage(),
            is_log_base: true,
            now,
            used_memory: AllocatorStats::now().allocated,
            version: REDIS_VERSION,
        };
        write(&snapshot, out, &options, &AtomicU64::new(0))
    }

    /// Loads the snapshot that a file of the log begins with; gives where it ends.
    pub fn load_base(&self, path: &Path) -> Result<u64, String> {
        let load = |file: File| {
            let position = AtomicU64::new(0);
            let length = file.metadata()?.len();
            self.load_stream(&mut Stream::new(file, length), Expired::Kept, &position)?;
            Ok(position.into_inner())
        };
        File::open(path).map_err(RdbError::from).and_then(load).map_err(|error| error.to_string())
    }
}
