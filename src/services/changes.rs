//! `Changes`: hears of every change of the data and passes it on. No command calls any of those behind it by hand.

use super::watch::Watches;
use crate::store::{Change, ChangeLog};

/// All who want to hear of changes.
#[derive(Debug, Default)]
pub struct Changes {
    /// WATCH.
    pub watches: Watches,
}

impl ChangeLog for Changes {
    fn record(&self, change: &Change<'_>) {
        if change.event.is_change() {
            self.watches.touch(change.database, change.key);
        }
    }

    fn watched_keys(&self, database: usize) -> Vec<Box<[u8]>> {
        self.watches.keys(database)
    }

    fn flushed(&self, _database: usize, _origin: u64) {}
}
