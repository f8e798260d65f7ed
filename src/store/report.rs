//! Telling of changes: to whoever wants to hear of events, and to the log, which wants effects.

use super::change::{Change, Effect, Event, EventList, Interest};
use super::database::Database;

/// What an edit has made of its key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    Created,
    Kept,
    Gone,
    CreatedAndGone,
}

impl Database<'_> {
    /// Tells whoever wants to know of a change; the key's shard is locked.
    pub(super) fn record(&self, key: &[u8], event: Event, fields: &[Box<[u8]>]) {
        if !self.keyspace.interest().is_in_events() {
            return;
        }
        if let Some(log) = self.keyspace.change_log() {
            let (origin, now) = (self.origin, self.now);
            log.record(&Change { database: self.index, key, event, fields, origin, now });
        }
    }

    /// Lets an effect be logged, if effects are; the key's shard is locked.
    pub(super) fn log(&self, effect: Effect<'_>) {
        if let Some(log) = self.keyspace.effect_log(self.keyspace.interest()) {
            log.effect(self.index, effect);
        }
    }

    /// Tells whoever wants to know that a key was asked for which is missing.
    pub(super) fn record_miss(&self, key: &[u8]) {
        if self.keyspace.interest().contains(Interest::MISSES) {
            self.record(key, Event::Miss, &[]);
        }
    }

    /// Tells of the events of an edit, and of the key's coming and going around them.
    pub(super) fn record_edit(&self, key: &[u8], events: &EventList, fate: Fate) {
        if events.is_empty() {
            return;
        }
        if matches!(fate, Fate::Created | Fate::CreatedAndGone) {
            self.record(key, Event::New, &[]);
        }
        for (event, fields) in events.iter() {
            self.record(key, event, fields);
        }
        if matches!(fate, Fate::Gone | Fate::CreatedAndGone) {
            self.record(key, Event::Del, &[]);
        }
    }
}
