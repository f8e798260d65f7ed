//! `Changes`: hears of every change of the data and passes it on. No command calls any of those behind it by hand.

use std::sync::Arc;

use super::notify::Notifications;
use super::pubsub::PubSub;
use super::watch::Watches;
use crate::config::Config;
use crate::store::{Change, ChangeLog};

/// All who want to hear of changes.
#[derive(Debug)]
pub struct Changes {
    /// WATCH.
    pub watches: Watches,
    /// Keyspace notifications.
    pub notifications: Notifications,
}

impl Changes {
    /// Nobody watches anything; notifications go to `pubsub`.
    pub fn new(config: Arc<Config>, pubsub: Arc<PubSub>) -> Self {
        Self { watches: Watches::default(), notifications: Notifications::new(config, pubsub) }
    }
}

impl ChangeLog for Changes {
    fn record(&self, change: &Change<'_>) {
        if change.event.is_change() {
            self.watches.touch(change.database, change.key);
        }
        self.notifications.publish(change);
    }

    fn watched_keys(&self, database: usize) -> Vec<Box<[u8]>> {
        self.watches.keys(database)
    }

    fn flushed(&self, _database: usize, _origin: u64) {}
}
