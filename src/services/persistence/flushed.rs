//! What FLUSHALL does to the snapshot: as in Redis an empty one takes its place if there are times to save at.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Persistence, save_points, snapshot_path};
use crate::persist::disk::replace_file;
use crate::persist::rdb::save::write_empty;
use crate::services::Services;

impl Services {
    /// Notes that all data has gone, for [`Services::save_flushed`]. To be called with everything locked; `changes` are those
    /// that have not been counted yet.
    pub fn note_flushed(&self, changes: u64) {
        if !save_points(&self.config).is_empty() && !self.persistence.is_loading() {
            self.persistence.flushed_changes.store(self.stats.changes() + changes, Ordering::Relaxed);
        }
    }

    /// Puts an empty snapshot in the place of the last one if all data has gone. One that is being written in the background
    /// is given up: it would bring back what has gone. Shards must not be locked.
    pub fn save_flushed(&self) {
        if !self.persistence.is_flushed() {
            return;
        }
        let changes = self.persistence.flushed_changes.swap(u64::MAX, Ordering::Relaxed);
        if changes == u64::MAX {
            return;
        }
        self.take_over();
        let options = self.save_options(self.clock.now());
        let outcome =
            replace_file(&*self.persistence.disk, &snapshot_path(&self.config), |out| write_empty(out, &options));
        self.finish_save(&outcome, (options.now, changes));
    }

    /// Waits for whoever writes a snapshot, and keeps others from it.
    fn take_over(&self) {
        const PAUSE: Duration = Duration::from_millis(1);
        loop {
            self.persistence.is_outdated.store(true, Ordering::Relaxed);
            {
                let mut history = self.persistence.history.lock();
                if history.running_since.is_none() {
                    history.running_since = Some(self.clock.now());
                    self.persistence.is_outdated.store(false, Ordering::Relaxed);
                    return;
                }
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl Persistence {
    /// Whether all data has gone and the file is yet to be emptied.
    pub fn is_flushed(&self) -> bool {
        self.flushed_changes.load(Ordering::Relaxed) != u64::MAX
    }
}
