//! Reading a hash.

use std::cell::RefCell;

use super::table::{self, TableEntry};
use super::value::Value;
use crate::base::clock::UnixMillis;
use crate::base::random::Random;
use crate::store::access::AccessClock;
use crate::store::change::{ChangeLog, Effect, Interest};
use crate::store::entry::{Body, RecordFlags};
use crate::store::position::KeyHasher;
use crate::store::position::ScanCursor;

/// When a field expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldExpiry {
    /// There is no such field, or it is due.
    NoField,
    /// The field has no expiry.
    Persistent,
    /// The field expires then.
    At(UnixMillis),
}

/// The circumstances of one access to a hash.
#[derive(Debug)]
pub(in crate::store) struct Access<'a> {
    pub(in crate::store) now: UnixMillis,
    /// The access clock of what this access makes.
    pub(in crate::store) fresh: AccessClock,
    pub(in crate::store) hasher: &'a KeyHasher,
    /// Who wants to hear of changes.
    pub(in crate::store) interest: Interest,
    /// Who logs effects, and the database in which they are.
    pub(in crate::store) log: Option<(&'a dyn ChangeLog, usize)>,
    /// DEBUG SET-ALLOW-ACCESS-EXPIRED: due fields are visible.
    pub(in crate::store) show_due: bool,
    /// Fields that were asked for by name and found due: they are reclaimed when the access ends, as Redis does.
    pub(in crate::store) found_due: RefCell<Vec<Vec<u8>>>,
}

impl Access<'_> {
    /// Lets an effect be logged, if effects are.
    #[inline]
    pub(in crate::store) fn log<'e>(&self, effect: impl FnOnce() -> Effect<'e>) {
        if let Some((log, database)) = self.log {
            log.effect(database, effect());
        }
    }

    pub(in crate::store) fn is_due(&self, expiry: Option<UnixMillis>) -> bool {
        !self.show_due && expiry.is_some_and(|at| at < self.now)
    }
}

/// A hash to read. A missing key is an empty hash.
#[derive(Debug, Clone, Copy)]
pub struct HashView<'a> {
    /// `None` for a missing key.
    pub(in crate::store) body: Option<Body<'a>>,
    pub(in crate::store) access: &'a Access<'a>,
}

impl<'a> HashView<'a> {
    /// The time of this access.
    pub fn now(&self) -> UnixMillis {
        self.access.now
    }

    /// Whether the key does not exist.
    pub fn is_missing(&self) -> bool {
        self.body.is_none()
    }

    /// Whether the hash is small: its fields are in an order of their own.
    pub fn is_small(&self) -> bool {
        !matches!(self.body, Some(Body::Table(_)))
    }

    /// Number of fields, those included that are due but not yet reclaimed (as HLEN counts).
    pub fn len(&self) -> usize {
        match self.body {
            None => 0,
            Some(Body::Packed(packed)) => packed.count(),
            Some(Body::Table(record)) => record.table.len(),
        }
    }

    /// Whether [`HashView::len`] is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of fields that [`HashView::iter`] gives.
    pub fn live_len(&self) -> usize {
        if self.access.show_due {
            return self.len();
        }
        match self.body {
            None => 0,
            Some(Body::Packed(packed)) if packed.has_field_expiries() => self.iter().count(),
            Some(Body::Packed(packed)) => packed.count(),
            Some(Body::Table(record)) => record.table.len() - record.table.due_count(before(self.access.now)),
        }
    }

    /// The value of a field, unless it is due.
    #[inline]
    pub fn get(&self, field: &[u8]) -> Option<Value<'a>> {
        self.find_live(field).map(|entry| entry.value)
    }

    /// The field's entry, unless it is due.
    fn find_live(&self, field: &[u8]) -> Option<TableEntry<'a>> {
        let entry = self.find(field)?;
        if self.access.is_due(entry.expiry) {
            self.access.found_due.borrow_mut().push(field.to_vec());
            return None;
        }
        Some(entry)
    }

    /// Whether the field exists and is not due.
    pub fn contains(&self, field: &[u8]) -> bool {
        self.find_live(field).is_some()
    }

    /// When a field expires.
    pub fn field_expiry(&self, field: &[u8]) -> FieldExpiry {
        match self.find(field) {
            None => FieldExpiry::NoField,
            Some(entry) if self.access.is_due(entry.expiry) => FieldExpiry::NoField,
            Some(entry) => entry.expiry.map_or(FieldExpiry::Persistent, FieldExpiry::At),
        }
    }

    /// The fields that are not due with their values; small hashes in insertion order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], Value<'a>)> + use<'a> {
        self.entries().map(|(field, value, _)| (field, value))
    }

    /// The fields that are not due with their values, and when they expire; small hashes in insertion order.
    #[inline]
    pub fn entries(&self) -> impl Iterator<Item = (&'a [u8], Value<'a>, Option<UnixMillis>)> + use<'a> {
        let access = self.access;
        let (packed, table) = match self.body {
            None => (None, None),
            Some(Body::Packed(packed)) => (Some(packed.entries()), None),
            Some(Body::Table(record)) => (None, Some(record.table.iter())),
        };
        let packed = packed.into_iter().flatten().map(|entry| (entry.field, entry.value, entry.expiry));
        let table = table.into_iter().flatten().map(|entry| (entry.field, entry.value, entry.expiry));
        packed.chain(table).filter(move |&(_, _, expiry)| !access.is_due(expiry))
    }

    /// A field at random with its value, unless all are due.
    pub fn random(&self, random: &mut Random) -> Option<(&'a [u8], Value<'a>)> {
        match self.body {
            None => None,
            Some(Body::Packed(_)) => {
                let live = self.live_len();
                if live == 0 { None } else { self.iter().nth(random.below(live)) }
            }
            Some(Body::Table(record)) => record
                .table
                .random(random, |entry| !self.access.is_due(entry.expiry))
                .map(|entry| (entry.field, entry.value)),
        }
    }

    /// Visits about `count` fields from `cursor` on; gives the cursor to go on with. Of what Redis would hold in a listpack
    /// it visits all fields, as Redis does.
    pub fn scan(&self, cursor: ScanCursor, count: usize, mut visit: impl FnMut(&'a [u8], Value<'a>)) -> ScanCursor {
        self.scan_entries(cursor, count, |field, value, _| visit(field, value))
    }

    /// As [`HashView::scan`], with when each field expires.
    #[inline]
    pub fn scan_entries(
        &self,
        cursor: ScanCursor,
        count: usize,
        mut visit: impl FnMut(&'a [u8], Value<'a>, Option<UnixMillis>),
    ) -> ScanCursor {
        let (access, hasher) = (self.access, self.access.hasher);
        let visit_live = |entry: TableEntry<'a>| {
            if !access.is_due(entry.expiry) {
                visit(entry.field, entry.value, entry.expiry);
            }
        };
        match self.body {
            None => ScanCursor::END,
            Some(Body::Packed(packed)) if packed.flags().contains(RecordFlags::REPORT_HASHTABLE) => {
                let counts = (count, count.saturating_mul(2));
                let (_, next) = table::scan_part(hasher, packed.entries(), cursor.position(), counts, visit_live);
                next.map_or(ScanCursor::END, ScanCursor::at)
            }
            Some(Body::Packed(_)) => {
                self.entries().for_each(|(field, value, expiry)| visit(field, value, expiry));
                ScanCursor::END
            }
            Some(Body::Table(record)) => record.table.scan(hasher, (cursor, count), visit_live),
        }
    }

    /// The field's entry, due or not.
    pub(in crate::store) fn find(&self, field: &[u8]) -> Option<TableEntry<'a>> {
        match self.body {
            None => None,
            Some(Body::Packed(packed)) => packed.entries().find_field(field).map(|entry| TableEntry {
                field: entry.field,
                value: entry.value,
                expiry: entry.expiry,
            }),
            Some(Body::Table(record)) => record.table.find(self.access.hasher, field),
        }
    }
}

/// The latest time at which an expiry is due at `now`.
pub(in crate::store) fn before(now: UnixMillis) -> UnixMillis {
    UnixMillis(now.0.saturating_sub(1))
}
