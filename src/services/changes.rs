//! `Changes`: hears of every change of the data and passes it on. No command calls any of those behind it by hand.

use std::sync::Arc;

use super::notify::Notifications;
use super::pubsub::PubSub;
use super::tracking::Tracking;
use super::watch::Watches;
use crate::base::clock::Clock;
use crate::config::Config;
use crate::persist::aof::log::Log;
use crate::store::{Change, ChangeLog, Effect, Event};

/// All who want to hear of changes.
#[derive(Debug)]
pub struct Changes {
    /// WATCH.
    pub watches: Watches,
    /// Keyspace notifications.
    pub notifications: Notifications,
    /// CLIENT TRACKING.
    pub tracking: Tracking,
    /// The append-only file.
    pub log: Arc<Log>,
}

impl Changes {
    /// Nobody wants to hear of changes yet; notifications go to `pubsub`.
    pub fn new(config: &Arc<Config>, clock: &Arc<Clock>, pubsub: &Arc<PubSub>) -> Self {
        Self {
            watches: Watches::default(),
            notifications: Notifications::new(Arc::clone(config), Arc::clone(pubsub)),
            tracking: Tracking::new(Arc::clone(config), Arc::clone(clock)),
            log: Arc::new(Log::new(Arc::clone(config), Arc::clone(clock))),
        }
    }
}

impl ChangeLog for Changes {
    fn record(&self, change: &Change<'_>) {
        let event = change.event;
        if event.is_change() {
            self.watches.touch(change.database, change.key);
        }
        self.notifications.publish(change);
        // Redis does not tell caches of SWAPDB, and of FLUSHALL by one message for all keys. What `New` begins follows.
        if event.is_change() && !matches!(event, Event::Replaced | Event::New) {
            self.tracking.record(change);
        }
    }

    fn effect(&self, database: usize, effect: Effect<'_>) {
        self.log.add(database, effect);
    }

    fn end_of_effects(&self) {
        self.log.commit();
    }

    fn watched_keys(&self, database: usize) -> Vec<Box<[u8]>> {
        self.watches.keys(database)
    }

    fn flushed(&self, _database: Option<usize>, _origin: u64) {
        self.tracking.flushed();
    }
}
