//! A small hash on its way to become a record: fields, values and expiries, without a template, in a buffer that grows.

use super::packed::{self, Encoded, Entry, Tail};
use crate::base::clock::UnixMillis;
use crate::store::access::AccessClock;
use crate::store::entry::{self, Packed, RecordFlags};
use crate::store::scratch;

/// What is to become a packed record. Its buffer goes back to those that the thread keeps.
#[derive(Debug)]
pub(super) struct PackedDraft {
    bytes: Vec<u8>,
    entries_start: usize,
}

impl PackedDraft {
    /// Of a hash without fields.
    pub(super) fn new(key: &[u8], access: AccessClock) -> Self {
        let mut bytes = scratch::take();
        entry::begin_draft(&mut bytes, key, access, None);
        let entries_start = bytes.len();
        Self { bytes, entries_start }
    }

    /// Of a hash that has a record.
    pub(super) fn of(record: Packed<'_>) -> Self {
        let mut bytes = scratch::take();
        record.copy_to_draft(&mut bytes);
        Self { bytes, entries_start: record.entries_start() }
    }

    /// The hash as it is now, to read.
    #[inline]
    pub(super) fn view(&self) -> Packed<'_> {
        Packed::without_template(&self.bytes, self.entries_start)
    }

    pub(super) fn add_flags(&mut self, flags: RecordFlags) {
        let all = self.view().flags() | flags;
        entry::set_draft_flags(&mut self.bytes, all);
    }

    /// Appends a field that is not there yet.
    pub(super) fn push(&mut self, field: &[u8], value: &[u8]) {
        let (count, with_expiries) = (self.view().count(), self.view().has_field_expiries());
        let tail = if with_expiries { Tail::Expiry(None) } else { Tail::None };
        packed::push_entry(&mut self.bytes, field, &Encoded::new(value), tail);
        entry::set_draft_count(&mut self.bytes, count + 1);
    }

    /// Puts another value in the place of one of this draft's.
    pub(super) fn replace_value(&mut self, place: packed::ValuePlace, value: &[u8]) {
        packed::replace_value(&mut self.bytes, place, &Encoded::new(value));
    }

    /// Removes a field; tells whether it was there.
    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        let packed = self.view();
        let Some(place) = packed.entries().find_field(field).map(|entry| entry.start..entry.end) else { return false };
        let count = packed.count();
        self.bytes.drain(place);
        entry::set_draft_count(&mut self.bytes, count - 1);
        true
    }

    /// Gives a field its expiry, and with it its place, as in Redis's `listpackEx`: fields that expire come first, the
    /// soonest at the front and the last set first among equals; the others follow.
    pub(super) fn place_by_expiry(&mut self, field: &[u8], expiry: Option<UnixMillis>) {
        self.give_room_for_expiries();
        let found = self.view().entries().find_field(field);
        let Some(place) = found.map(|entry| entry.start..entry.end) else { return };
        let mut moved: Vec<u8> = self.bytes.drain(place).collect();
        let length = moved.len();
        packed::write_expiry(&mut moved, length, expiry);
        let comes_later = |entry: &Entry<'_>| match (entry.expiry, expiry) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(other), Some(at)) => other >= at,
        };
        let place = self.view().entries().find(comes_later).map_or(self.bytes.len(), |entry| entry.start);
        self.bytes.splice(place..place, moved);
    }

    /// Rewrites it so that every field carries an expiry.
    fn give_room_for_expiries(&mut self) {
        let packed = self.view();
        if packed.has_field_expiries() {
            return;
        }
        let mut wider = self.begin_again();
        wider.reserve(self.bytes.len() + packed::EXPIRY_BYTES * packed.count());
        for entry in packed.entries() {
            packed::copy_entry(&mut wider, &self.bytes, &entry, Tail::Expiry(None));
        }
        entry::set_draft_flags(&mut wider, packed.flags() | RecordFlags::FIELD_EXPIRY);
        self.become_of(wider);
    }

    /// Removes the fields that are due by `due`.
    pub(super) fn remove_due(&mut self, due: UnixMillis, mut note: impl FnMut(&[u8])) {
        let packed = self.view();
        let is_due = |entry: &Entry<'_>| entry.expiry.is_some_and(|at| at <= due);
        let removed = packed.entries().filter(is_due).inspect(|entry| note(entry.field)).count();
        let mut kept = self.begin_again();
        for entry in packed.entries().filter(|entry| !is_due(entry)) {
            packed::copy_entry(&mut kept, &self.bytes, &entry, Tail::Expiry(entry.expiry));
        }
        entry::set_draft_count(&mut kept, packed.count() - removed);
        self.become_of(kept);
    }

    /// Another buffer with the same header.
    fn begin_again(&self) -> Vec<u8> {
        let mut bytes = scratch::take();
        bytes.extend_from_slice(self.bytes.get(..self.entries_start).unwrap_or_default());
        bytes
    }

    fn become_of(&mut self, bytes: Vec<u8>) {
        scratch::keep(std::mem::replace(&mut self.bytes, bytes));
    }
}

impl Drop for PackedDraft {
    fn drop(&mut self) {
        scratch::keep(std::mem::take(&mut self.bytes));
    }
}
