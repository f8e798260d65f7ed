//! Loading a snapshot.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::{Hindrances, snapshot_path};
use crate::persist::aof::Phase;
use crate::persist::rdb::RdbError;
use crate::persist::rdb::load::{Expired, ForeignTypes, LoadOptions, Summary, read};
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
    /// Refuses what touches data from now on, until [`Services::end_loading`], if there is anything to load.
    pub fn begin_loading(&self) {
        if !snapshot_path(&self.config).exists() && !self.config.appendonly() {
            return;
        }
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
            Ok(file) => self.load_file(file, Database::load),
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
            self.load_file(file, |store, new| {
                if held_databases.get(store.index()).copied().unwrap_or(false) {
                    store.use_held(&held);
                }
                let is_new = store.load(new);
                is_new || (how.merge && store.restore(new, Replace::Yes))
            })
        });
        if has_log {
            self.keyspace.add_interest(Interest::LOG);
        }
        loaded.map(drop).map_err(|why| LoadError { path: shown(&path), why })
    }

    fn load_file<'k>(
        &'k self,
        file: File,
        load: impl FnMut(&mut Database<'k>, &NewHash<'_>) -> bool,
    ) -> Result<Summary, RdbError> {
        let length = file.metadata()?.len();
        let progress = &self.persistence.loading;
        progress.total.store(length, Ordering::Relaxed);
        self.load_with(&mut Stream::new(file, length), (Expired::Dropped, &progress.loaded), load)
    }

    /// Loads a snapshot into the keyspace, in which none of its keys may be; `position` is where it has come to.
    pub(in crate::services) fn load_stream(
        &self,
        stream: &mut Stream<File>,
        expired: Expired,
        position: &AtomicU64,
    ) -> Result<Summary, RdbError> {
        self.load_with(stream, (expired, position), Database::load)
    }

    fn load_with<'k>(
        &'k self,
        stream: &mut Stream<File>,
        (expired, position): (Expired, &AtomicU64),
        mut load: impl FnMut(&mut Database<'k>, &NewHash<'_>) -> bool,
    ) -> Result<Summary, RdbError> {
        let now = self.clock.now();
        let databases = self.keyspace.database_count();
        let options = LoadOptions {
            databases,
            foreign_types: match self.config.rdb_foreign_types() {
                "skip" => ForeignTypes::Skip,
                _ => ForeignTypes::Refuse,
            },
            expired,
            checksum: self.config.rdbchecksum(),
            now,
        };
        let mut used: Vec<Option<Database<'k>>> = (0..databases).map(|_| None).collect();
        read(stream, &options, position, |index, new| {
            let Some(slot) = used.get_mut(index) else { return Err(RdbError::Database(index as u64)) };
            let database = slot.get_or_insert_with(|| self.keyspace.database(index, now));
            if load(database, new) {
                Ok(())
            } else {
                Err(RdbError::Duplicate { database: index, key: new.key.escape_ascii().to_string() })
            }
        })
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
