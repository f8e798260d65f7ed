//! Loading a snapshot.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::{Hindrances, snapshot_path};
use crate::base::clock::UnixMillis;
use crate::persist::aof::Phase;
use crate::persist::rdb::RdbError;
use crate::persist::rdb::load::{Expired, ForeignTypes, Incoming, LoadOptions, Summary, read};
use crate::persist::rdb::parallel::read_in_parallel;
use crate::persist::rdb::source::Stream;
use crate::services::Services;
use crate::store::{Database, Interest, Lock, NewHash, Replace};

/// How loading goes.
#[derive(Debug, Default)]
pub struct LoadProgress {
    /// When it began, in milliseconds.
    pub started_at: AtomicI64,
    /// Bytes to be read.
    pub total: AtomicU64,
    /// Bytes that have been read.
    pub loaded: AtomicU64,
    /// Keys that the last load has loaded.
    pub keys_loaded: AtomicU64,
    /// Keys that it has left out because their time had come.
    pub keys_expired: AtomicU64,
}

/// How DEBUG RELOAD is to go.
#[derive(Debug, Default, Clone, Copy)]
pub struct Reload {
    /// Whether the file is used as it is.
    pub no_save: bool,
    /// Whether the data stays.
    pub keep: bool,
    /// Whether keys of the file replace those that are there.
    pub merge: bool,
}

/// Why a file is not loaded.
#[derive(Debug, thiserror::Error)]
#[error("the file '{path}' is not loaded: {why}")]
pub struct LoadError {
    path: String,
    why: RdbError,
}

impl Services {
    /// Whether there may be anything to load at the start.
    pub fn has_to_load(&self) -> bool {
        snapshot_path(&self.config).exists() || self.config.appendonly()
    }

    /// Refuses what touches data from now on, until [`Services::end_loading`].
    pub fn begin_loading(&self) {
        let progress = &self.persistence.loading;
        progress.started_at.store(self.clock.now().0, Ordering::Relaxed);
        for counter in [&progress.total, &progress.loaded] {
            counter.store(0, Ordering::Relaxed);
        }
        self.persistence.set_hindrance(Hindrances::LOADING, true);
    }

    /// Serves all again.
    pub fn end_loading(&self) {
        self.persistence.set_hindrance(Hindrances::LOADING, false);
    }

    /// Loads the snapshot into the keyspace, in which none of its keys may be, if there is one.
    pub fn load_snapshot(&self) -> Result<(), LoadError> {
        let path = snapshot_path(&self.config);
        let started = self.clock.now();
        let summary = match File::open(&path) {
            Ok(file) => self.load_file(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => Err(error.into()),
        };
        let summary = summary.map_err(|why| LoadError { path: shown(&path), why })?;
        let Summary { loaded, expired, foreign, .. } = summary;
        let progress = &self.persistence.loading;
        progress.keys_loaded.store(loaded, Ordering::Relaxed);
        progress.keys_expired.store(expired, Ordering::Relaxed);
        let milliseconds = self.clock.now().0 - started.0;
        tracing::info!(keys = loaded, expired, left_out = foreign, milliseconds, "DB loaded from disk");
        Ok(())
    }

    /// Loads the snapshot in place of the data, or beside it, while everybody else waits.
    pub fn reload(&self, how: Reload) -> Result<(), LoadError> {
        let path = snapshot_path(&self.config);
        let now = self.clock.now();
        let held = self.keyspace.lock(&[Lock::Everything]);
        let held_databases: Vec<bool> =
            (0..self.keyspace.database_count()).map(|index| self.keyspace.is_used(index)).collect();
        // As in Redis the log hears nothing of it: what was saved and what is loaded are the same to it.
        let has_log = self.append_only.phase() == Phase::On;
        self.keyspace.drop_interest(Interest::LOG);
        if !how.keep {
            let mut store = self.keyspace.database(0, now);
            store.use_held(&held);
            store.flush_all();
        }
        let file = File::open(&path).map_err(RdbError::from);
        let loaded = file.and_then(|file| {
            let open = |index| {
                let mut store = self.keyspace.database(index, now);
                if held_databases.get(index).copied().unwrap_or(false) {
                    store.use_held(&held);
                }
                store
            };
            let load = |store: &mut Database<'_>, new: &NewHash<'_>| {
                let is_new = store.load(new);
                is_new || (how.merge && store.restore(new, Replace::Yes))
            };
            let mut into = self.databases_of_file(open, load);
            // Only this thread may touch what it has locked.
            let (mut stream, position) = self.begin_file(file)?;
            read(&mut stream, &self.load_options(Expired::Dropped, now), position, &mut into)
        });
        if has_log {
            self.keyspace.add_interest(Interest::LOG);
        }
        loaded.map(drop).map_err(|why| LoadError { path: shown(&path), why })
    }

    fn load_file(&self, file: File) -> Result<Summary, RdbError> {
        let (mut stream, position) = self.begin_file(file)?;
        self.load_stream(&mut stream, Expired::Dropped, position)
    }

    /// Begins to read a file: where it is read from, and where it is to be told how far that has come.
    fn begin_file(&self, file: File) -> Result<(Stream<File>, &AtomicU64), RdbError> {
        let length = file.metadata()?.len();
        let progress = &self.persistence.loading;
        progress.total.store(length, Ordering::Relaxed);
        Ok((Stream::new(file, length), &progress.loaded))
    }

    /// Loads a snapshot into the keyspace, in which none of its keys may be, with as many threads as serve clients;
    /// `position` is where it has come to.
    pub(in crate::services) fn load_stream(
        &self,
        stream: &mut Stream<File>,
        expired: Expired,
        position: &AtomicU64,
    ) -> Result<Summary, RdbError> {
        let (now, threads) = (self.clock.now(), self.config.io_threads());
        let databases_of_file = || self.databases_of_file(|index| self.keyspace.database(index, now), Database::load);
        read_in_parallel(stream, &self.load_options(expired, now), (position, threads), databases_of_file)
    }

    fn load_options(&self, expired: Expired, now: UnixMillis) -> LoadOptions {
        LoadOptions {
            databases: self.keyspace.database_count(),
            foreign_types: match self.config.rdb_foreign_types() {
                "skip" => ForeignTypes::Skip,
                _ => ForeignTypes::Refuse,
            },
            expired,
            checksum: self.config.rdbchecksum(),
            now,
        }
    }

    /// What takes the keys of a snapshot: `load` puts each into its database, or says that it is there already.
    fn databases_of_file<'k>(
        &'k self,
        open: impl Fn(usize) -> Database<'k>,
        load: impl Fn(&mut Database<'k>, &NewHash<'_>) -> bool,
    ) -> impl FnMut(usize, Incoming<'_>) -> Result<(), RdbError> {
        let mut used: Vec<Option<Database<'k>>> = (0..self.keyspace.database_count()).map(|_| None).collect();
        move |index, incoming| {
            let Some(slot) = used.get_mut(index) else { return Err(RdbError::Database(index as u64)) };
            let database = slot.get_or_insert_with(|| open(index));
            match incoming {
                Incoming::Keys(keys) => database.reserve(keys),
                Incoming::Hash(new) if load(database, new) => {}
                Incoming::Hash(new) => {
                    return Err(RdbError::Duplicate { database: index, key: new.key.escape_ascii().to_string() });
                }
            }
            Ok(())
        }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
