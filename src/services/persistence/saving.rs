//! Taking snapshots.

use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Hindrances, Persistence, save_points, snapshot_path};
use crate::base::clock::UnixMillis;
use crate::base::memory::AllocatorStats;
use crate::config::Shutdown;
use crate::persist::disk::replace_file;
use crate::persist::rdb::save::{SaveOptions, write};
use crate::services::{REDIS_VERSION, Services};
use crate::store::Snapshot;

/// How long after a failure `save` waits before it has another snapshot taken.
const RETRY_AFTER_SECONDS: i64 = 5;

/// A snapshot that has begun and is to be written.
#[derive(Debug)]
pub(super) struct Begun {
    snapshot: Snapshot,
    /// The count of changes when it began.
    changes: u64,
    since: UnixMillis,
}

/// Why no snapshot is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// One is being written.
    Snapshot,
    /// Something else reads all data.
    Other,
}

/// Why a snapshot has not been written.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// Another is being written.
    #[error("a background save is in progress")]
    Busy,
    /// The file could not be written.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Services {
    /// Changes since the last snapshot that succeeded.
    pub fn unsaved_changes(&self) -> u64 {
        self.stats.changes().saturating_sub(self.persistence.saved_changes.load(Ordering::Relaxed))
    }

    /// Begins a snapshot of the data as it is now, which is written in the background. Shards must not be locked.
    pub fn save_in_background(&self) -> Result<(), Busy> {
        let begun = self.begin_snapshot()?;
        tracing::info!("background saving started");
        self.persistence.history.lock().last_try = begun.since.seconds();
        *self.persistence.begun.lock() = Some(begun);
        self.persistence.wake.notify_all();
        Ok(())
    }

    /// Has a snapshot taken as soon as possible.
    pub fn schedule_save(&self) {
        self.persistence.history.lock().is_scheduled = true;
        self.persistence.wake.notify_all();
    }

    /// Takes a snapshot and waits until it has been written. Shards must not be locked.
    pub fn save(&self) -> Result<(), SaveError> {
        let begun = self.begin_snapshot().map_err(|_| SaveError::Busy)?;
        let (since, changes) = (begun.since, begun.changes);
        let outcome = self.write_snapshot(&begun, || false);
        drop(begun);
        self.finish_save(&outcome, (since, changes));
        Ok(outcome?)
    }

    /// Notes how a snapshot has gone that a client has waited for.
    pub(super) fn finish_save(&self, outcome: &io::Result<()>, (since, changes): (UnixMillis, u64)) {
        let mut history = self.persistence.history.lock();
        history.running_since = None;
        match outcome {
            Ok(()) => {
                history.last_success = self.clock.now().seconds();
                history.last_succeeded = true;
                history.count += 1;
                self.persistence.note_saved(changes);
                tracing::info!(milliseconds = self.clock.now().0 - since.0, "DB saved on disk");
            }
            Err(error) => tracing::warn!(%error, "saving the DB on disk has failed"),
        }
    }

    /// Whether a server that is shut down so takes a snapshot first.
    pub fn saves_at_end(&self, shutdown: Shutdown) -> bool {
        let is_wanted = shutdown.save.unwrap_or_else(|| !save_points(&self.config).is_empty());
        is_wanted && !self.persistence.is_loading()
    }

    /// Takes a snapshot after that which is being written, if there is one.
    pub fn save_at_end(&self) -> Result<(), SaveError> {
        const PAUSE: Duration = Duration::from_millis(10);
        loop {
            match self.save() {
                Err(SaveError::Busy) => std::thread::sleep(PAUSE),
                outcome => return outcome,
            }
        }
    }

    /// Writes the snapshot that has begun, or begins one that is due, or waits for one for a while. For the one thread that
    /// does so.
    pub fn save_what_is_due(&self) {
        const PAUSE: Duration = Duration::from_millis(100);
        let begun = {
            let mut begun = self.persistence.begun.lock();
            if begun.is_none() {
                self.persistence.wake.wait_for(&mut begun, PAUSE);
            }
            begun.take()
        };
        match begun {
            Some(begun) => self.finish_background_save(begun),
            // Whoever is busy will not be for long.
            None if self.is_save_due() => drop(self.save_in_background()),
            None => {}
        }
    }

    fn begin_snapshot(&self) -> Result<Begun, Busy> {
        let persistence = &self.persistence;
        let since = self.clock.now();
        {
            let mut history = persistence.history.lock();
            if history.running_since.is_some() {
                return Err(Busy::Snapshot);
            }
            history.running_since = Some(since);
        }
        // Not with the history locked: who holds shards may ask for it.
        let Some((snapshot, changes)) = self.keyspace.begin_snapshot(|_| self.stats.changes()) else {
            persistence.history.lock().running_since = None;
            return Err(Busy::Other);
        };
        persistence.history.lock().is_scheduled = false;
        let keys = snapshot.databases().iter().map(|database| database.keys as u64).sum();
        persistence.keys_total.store(keys, Ordering::Relaxed);
        persistence.keys_written.store(0, Ordering::Relaxed);
        Ok(Begun { snapshot, changes, since })
    }

    fn is_save_due(&self) -> bool {
        let history = self.persistence.history();
        if history.running_since.is_some() || self.persistence.is_loading() {
            return false;
        }
        if history.is_scheduled {
            return true;
        }
        let (now, changes) = (self.clock.now().seconds(), self.unsaved_changes());
        if !history.last_succeeded && now - history.last_try <= RETRY_AFTER_SECONDS {
            return false;
        }
        save_points(&self.config)
            .iter()
            .any(|&(after, least)| changes >= least.max(1) && now - history.last_success > after)
    }

    fn finish_background_save(&self, begun: Begun) {
        let (since, changes) = (begun.since, begun.changes);
        let is_outdated = || self.persistence.is_outdated.load(Ordering::Relaxed);
        let outcome = self.write_snapshot(&begun, is_outdated);
        drop(begun);
        let now = self.clock.now();
        let mut history = self.persistence.history.lock();
        history.running_since = None;
        history.last_duration = Some((now.0 - since.0) / 1000);
        match outcome {
            // As in Redis, which ends the process that writes it, this is no failure.
            Err(_) if is_outdated() => tracing::info!("background saving given up because of FLUSHALL"),
            Ok(()) => {
                history.last_succeeded = true;
                history.last_success = now.seconds();
                history.count += 1;
                history.failures = 0;
                self.persistence.note_saved(changes);
                tracing::info!(milliseconds = now.0 - since.0, "background saving terminated with success");
            }
            Err(error) => {
                history.last_succeeded = false;
                history.failures += 1;
                self.persistence.set_hindrance(Hindrances::SNAPSHOT_FAILED, true);
                tracing::warn!(%error, path = %snapshot_path(&self.config).display(), "background saving has failed");
            }
        }
    }

    /// Writes a snapshot, unless it `is_outdated` before it is whole.
    fn write_snapshot(&self, begun: &Begun, is_outdated: impl Fn() -> bool) -> io::Result<()> {
        let (persistence, options) = (&self.persistence, self.save_options(begun.since));
        replace_file(&*persistence.disk, &snapshot_path(&self.config), |out| {
            let mut out = UnlessOutdated { out, is_outdated: &is_outdated };
            write(&begun.snapshot, &mut out, &options, &persistence.keys_written)
        })
    }

    /// How a snapshot is written that is begun now.
    pub(super) fn save_options(&self, now: UnixMillis) -> SaveOptions {
        SaveOptions {
            compression: self.config.rdbcompression(),
            checksum: self.config.rdbchecksum(),
            usage: self.keyspace.eviction.kept_usage(),
            is_log_base: false,
            now,
            used_memory: AllocatorStats::now().allocated,
            version: REDIS_VERSION,
        }
    }
}

/// Refuses to write once what is written is of no use.
struct UnlessOutdated<'a> {
    out: &'a mut dyn Write,
    is_outdated: &'a dyn Fn() -> bool,
}

impl Write for UnlessOutdated<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.is_outdated)() {
            return Err(io::Error::other("all data has gone meanwhile"));
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Persistence {
    fn note_saved(&self, changes: u64) {
        self.saved_changes.store(changes, Ordering::Relaxed);
        self.set_hindrance(Hindrances::SNAPSHOT_FAILED, false);
    }
}
