//! Keeping the data beyond the life of the process: when snapshots are taken, how they went, and what is refused meanwhile.

mod flushed;
mod loading;
mod saving;

pub use crate::persist::rdb::hash::Parts;
pub use crate::persist::rdb::payload::{For, Payload, dump};
pub use loading::{LoadError, LoadProgress, Reload};
pub use saving::{Busy, SaveError};

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};

use crate::base::clock::UnixMillis;
use crate::config::Config;
use crate::persist::disk::{Disk, FileSystem};

bitflags::bitflags! {
    /// Why the gate lets some commands not pass.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Hindrances: u8 {
        /// The data is being loaded.
        const LOADING = 1 << 0;
        /// The last snapshot has failed.
        const SNAPSHOT_FAILED = 1 << 1;
        /// `min-replicas-to-write` asks for replicas, of which there are none.
        const TOO_FEW_REPLICAS = 1 << 2;
    }
}

/// The snapshots so far, as INFO tells of them.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotHistory {
    /// When the one that is being written was begun.
    pub running_since: Option<UnixMillis>,
    /// Whether one is to follow as soon as possible.
    pub is_scheduled: bool,
    /// When the last one succeeded, in seconds.
    pub last_success: i64,
    /// When one was last begun in the background, in seconds.
    pub last_try: i64,
    /// Whether the last one in the background succeeded.
    pub last_succeeded: bool,
    /// How long it took, in seconds.
    pub last_duration: Option<i64>,
    /// Snapshots that have succeeded.
    pub count: u64,
    /// Snapshots in the background that have failed since one succeeded.
    pub failures: u64,
}

/// The state of all that is kept.
#[derive(Debug)]
pub struct Persistence {
    /// Where files are.
    pub disk: Box<dyn Disk>,
    /// How loading goes.
    pub loading: LoadProgress,
    /// DEBUG SET-SKIP-CHECKSUM-VALIDATION: whether RESTORE takes payloads with wrong checksums.
    pub skips_checksums: AtomicBool,
    hindrances: AtomicU8,
    history: Mutex<SnapshotHistory>,
    /// A snapshot that has begun, for the thread that writes snapshots.
    begun: Mutex<Option<saving::Begun>>,
    wake: Condvar,
    /// The count of changes at the last snapshot that succeeded.
    saved_changes: AtomicU64,
    /// The count of changes at a FLUSHALL after which the file has yet to be emptied, [`u64::MAX`] if there is none.
    flushed_changes: AtomicU64,
    /// Whether the snapshot that is being written in the background is of no use any more.
    is_outdated: AtomicBool,
    /// Keys that the snapshot has, and those of them that have been written.
    pub(super) keys_total: AtomicU64,
    pub(super) keys_written: AtomicU64,
}

impl Persistence {
    /// Nothing has been kept yet; the process counts as just saved.
    pub fn new(now: UnixMillis) -> Self {
        let history = SnapshotHistory {
            running_since: None,
            is_scheduled: false,
            last_success: now.seconds(),
            last_try: 0,
            last_succeeded: true,
            last_duration: None,
            count: 0,
            failures: 0,
        };
        Self {
            disk: Box::new(FileSystem),
            loading: LoadProgress::default(),
            skips_checksums: AtomicBool::new(false),
            hindrances: AtomicU8::new(0),
            history: Mutex::new(history),
            begun: Mutex::default(),
            wake: Condvar::new(),
            saved_changes: AtomicU64::new(0),
            flushed_changes: AtomicU64::new(u64::MAX),
            is_outdated: AtomicBool::new(false),
            keys_total: AtomicU64::new(0),
            keys_written: AtomicU64::new(0),
        }
    }

    /// What the gate has to look at; mostly nothing.
    #[inline]
    pub fn hindrances(&self) -> Hindrances {
        Hindrances::from_bits_truncate(self.hindrances.load(Ordering::Relaxed))
    }

    /// Whether the data is being loaded.
    pub fn is_loading(&self) -> bool {
        self.hindrances().contains(Hindrances::LOADING)
    }

    fn set_hindrance(&self, hindrance: Hindrances, is_there: bool) {
        if is_there {
            self.hindrances.fetch_or(hindrance.bits(), Ordering::Relaxed);
        } else {
            self.hindrances.fetch_and(!hindrance.bits(), Ordering::Relaxed);
        }
    }

    /// Lets nobody write if `min-replicas-to-write` asks for replicas and `min-replicas-max-lag` for their haste.
    pub fn want_replicas(&self, config: &Config) {
        self.set_hindrance(Hindrances::TOO_FEW_REPLICAS, config.wants_replicas());
    }

    /// The snapshots so far.
    pub fn history(&self) -> SnapshotHistory {
        *self.history.lock()
    }

    /// Keys of the snapshot that is being written: written, and all.
    pub fn keys_of_snapshot(&self) -> (u64, u64) {
        (self.keys_written.load(Ordering::Relaxed), self.keys_total.load(Ordering::Relaxed))
    }
}

/// Where snapshots are: `dbfilename` in `dir`.
pub fn snapshot_path(config: &Config) -> PathBuf {
    Path::new(&config.dir()).join(config.dbfilename())
}

/// The times of `save`: after how many seconds how many changes make a snapshot due.
pub fn save_points(config: &Config) -> Vec<(i64, u64)> {
    let save = config.save();
    let numbers: Vec<i64> = save.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
    let (pairs, _) = numbers.as_chunks::<2>();
    pairs.iter().map(|&[seconds, changes]| (seconds, u64::try_from(changes).unwrap_or(0))).collect()
}
