//! A leaf of a big hash: the fields of neighbouring positions, packed as in a small hash.

use std::sync::Arc;

use super::{NewEntry, earlier};
use crate::base::clock::UnixMillis;
use crate::base::memory::size_class;
use crate::store::hash::packed::{self, Encoded, Entries, Entry, Skips, Tail, ValuePlace};
use crate::store::hash::template::SharedNames;

/// A leaf splits beyond this many bytes, unless a single field takes them.
pub(super) const MOST_BYTES: usize = 4096;

/// Some fields of neighbouring positions, in no order.
#[derive(Debug, Clone, Default)]
pub(super) struct Leaf {
    bytes: Vec<u8>,
    pub(super) count: usize,
    /// Whether every field is followed by its expiry.
    with_expiries: bool,
    /// The template that has the names, if they are not in `bytes`. No field has an expiry then.
    names: Option<SharedNames>,
    /// The earliest of the expiries.
    pub(super) first_expiry: Option<UnixMillis>,
}

impl Leaf {
    /// A leaf whose names a template has, unless there can be none.
    pub(super) fn sharing<'a>(fields: impl Iterator<Item = NewEntry<'a>> + Clone) -> Option<Self> {
        let names = SharedNames::of(fields.clone().map(|(name, ..)| name))?;
        let (mut bytes, mut count) = (Vec::new(), 0);
        let skips = Skips::begin(&mut bytes, fields.clone().count());
        for (_, value, _) in fields {
            skips.note(&mut bytes, count);
            names.encode_counted(count, value).append_to(&mut bytes);
            count += 1;
        }
        bytes.shrink_to_fit();
        Some(Self { bytes, count, names: Some(names), ..Self::default() })
    }

    pub(super) fn entries(&self) -> Entries<'_> {
        match self.names.as_ref().and_then(SharedNames::template) {
            Some(template) => Entries::of_template(&self.bytes, 0, template),
            None => Entries::new(&self.bytes, 0, self.with_expiries),
        }
    }

    /// Whether a template has the names.
    pub(super) fn shares_names(&self) -> bool {
        self.names.is_some()
    }

    /// Whether a template has the names that few others use.
    pub(super) fn shares_rare_names(&self) -> bool {
        self.names.as_ref().is_some_and(SharedNames::is_rare)
    }

    /// Keeps the names itself from now on: what is done to its fields, but for a value, takes them from the template.
    pub(super) fn keep_names(&mut self) {
        if self.names.is_some() {
            let mut bytes = Vec::new();
            self.entries().write_out(&mut bytes);
            bytes.shrink_to_fit();
            self.bytes = bytes;
            self.names = None;
        }
    }

    /// The leaf with its names in it.
    pub(super) fn with_names(mut self: Arc<Self>) -> Arc<Self> {
        if self.shares_names() {
            Arc::make_mut(&mut self).keep_names();
        }
        self
    }

    /// Bytes of its fields.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What its fields take in memory, with its share of the template.
    pub(super) fn memory(&self) -> usize {
        size_class(self.bytes.capacity()) + self.names.as_ref().map_or(0, SharedNames::memory_per_user)
    }

    pub(super) fn push(&mut self, field: &[u8], value: &Encoded<'_>, expiry: Option<UnixMillis>) {
        let tail = self.make_room_for(field.len() + value.len(), expiry);
        packed::push_entry(&mut self.bytes, field, value, tail);
    }

    /// Appends an entry of another leaf, which keeps its names itself.
    pub(super) fn copy(&mut self, from: &Self, entry: &Entry<'_>) {
        let tail = self.make_room_for(entry.end - entry.start, entry.expiry);
        packed::copy_entry(&mut self.bytes, &from.bytes, entry, tail);
    }

    /// Prepares for one more field, which the caller appends.
    fn make_room_for(&mut self, bytes: usize, expiry: Option<UnixMillis>) -> Tail {
        self.keep_names();
        if expiry.is_some() {
            self.give_room_for_expiries();
        }
        self.make_room(bytes + 20);
        self.count += 1;
        self.first_expiry = earlier(self.first_expiry, expiry);
        if self.with_expiries { Tail::Expiry(expiry) } else { Tail::None }
    }

    /// Makes room for `bytes` more, in small steps: most leaves stay as they are for long.
    fn make_room(&mut self, bytes: usize) {
        const STEP: usize = 64;
        if self.bytes.capacity() - self.bytes.len() < bytes {
            self.bytes.reserve_exact(bytes.next_multiple_of(STEP));
        }
    }

    /// Replaces the value of a field that lies at `place`.
    pub(super) fn replace_value(&mut self, place: ValuePlace, value: &[u8]) {
        let encoded = match &self.names {
            Some(names) => names.encode_counted(place.number, value),
            None => Encoded::new(value),
        };
        packed::replace_value(&mut self.bytes, place, &encoded);
        if self.names.is_some() {
            let skips = Skips { start: 0, count: self.count };
            skips.shift(&mut self.bytes, place.number, place.end - place.start, encoded.len());
        }
    }

    /// Sets the expiry of a field, if it is there.
    pub(super) fn set_expiry(&mut self, field: &[u8], expiry: Option<UnixMillis>) {
        self.keep_names();
        if !self.with_expiries {
            self.give_room_for_expiries();
        }
        if let Some(end) = self.entries().find_field(field).map(|entry| entry.end) {
            packed::write_expiry(&mut self.bytes, end, expiry);
        }
        self.first_expiry = self.entries().filter_map(|entry| entry.expiry).min();
    }

    fn give_room_for_expiries(&mut self) {
        if self.with_expiries {
            return;
        }
        let mut wider = Vec::with_capacity(self.bytes.len() + packed::EXPIRY_BYTES * (self.count + 1));
        for entry in self.entries() {
            packed::copy_entry(&mut wider, &self.bytes, &entry, Tail::Expiry(None));
        }
        self.bytes = wider;
        self.with_expiries = true;
    }

    /// Removes a field, if it is there.
    pub(super) fn remove(&mut self, field: &[u8]) {
        self.keep_names();
        let found = self.entries().find_field(field).map(|entry| (entry.start..entry.end, entry.expiry.is_some()));
        let Some((place, expires)) = found else { return };
        self.bytes.drain(place);
        self.count -= 1;
        if expires {
            self.first_expiry = self.entries().filter_map(|entry| entry.expiry).min();
        }
    }

    /// What it holds, in no more memory than that takes; it is empty afterwards.
    pub(super) fn take(&mut self) -> Arc<Self> {
        let bytes = self.bytes.as_slice().to_vec();
        self.bytes.clear();
        let empty = Self { bytes: std::mem::take(&mut self.bytes), ..Self::default() };
        Arc::new(Self { bytes, ..std::mem::replace(self, empty) })
    }

    /// Gives back what its fields do not take.
    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// Whether it is to be split. Leaves that share their names may have more fields: they were made so.
    pub(super) fn is_full(&self, most_fields: usize) -> bool {
        let has_many = self.count > most_fields && self.names.is_none();
        has_many || (self.bytes.len() > MOST_BYTES && self.count > 1)
    }
}
