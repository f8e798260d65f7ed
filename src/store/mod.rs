//! The data: hashes by key in a sharded keyspace. Knows no wire format, no runtime and no sessions.
//!
//! Commands reach it only through closures given to [`Database::view`] and [`Database::update`]; a closure runs under
//! the lock of the key's shard and cannot reach another key, so locks cannot be taken in a wrong order.

mod access;
mod change;
mod database;
mod due;
mod entry;
mod evict;
mod expire;
mod flush;
pub mod hash;
mod image;
mod keyspace;
mod position;
mod report;
mod scan;
mod scan_order;
mod scratch;
mod snapshot;
#[cfg(test)]
mod tests;
mod transfer;
mod usage;

pub use change::{Change, ChangeLog, Effect, Event, Interest};
pub use database::{Database, DatabaseStats, KeyExpiry, Usage};
pub use evict::{Candidates, Evicted, Eviction, EvictionSettings};
pub use expire::ExpireStats;
pub use hash::{FieldExpiry, HashEdit, HashView, SetOutcome, TemplateStats, TemplateUse, Value, ValueText};
pub use image::{Encoding, HashImage, ImageField, KeptUsage, KeyImage, NewField, NewHash, RemoveIf};
pub use keyspace::{HashLimits, Keyspace, Lock, LockedShards};
pub use position::ScanCursor;
pub use snapshot::{Snapshot, SnapshotDatabase};
pub use transfer::{Replace, Transfer};
pub use usage::{FormSample, Forms, IndexMemory};
