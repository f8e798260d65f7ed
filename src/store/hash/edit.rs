//! Changing a hash.

use super::packed::{self, Entry, Tail};
use super::table::Table;
use super::view::{Access, Body, FieldExpiry, HashView};
use crate::base::clock::UnixMillis;
use crate::base::random::Random;
use crate::store::change::{Event, EventList};
use crate::store::entry::{self, Packed, Record, RecordFlags, TableRecord};
use crate::store::keyspace::HashLimits;

/// What setting a field did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetOutcome {
    /// The field is new.
    Created,
    /// The field was there.
    Updated,
}

/// What becomes of a field's expiry when its value is set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OldExpiry {
    Goes,
    Stays,
}

/// A packed hash stays packed up to this many fields and bytes once Redis would call it a hashtable; below, scanning
/// a few cache lines costs no more than a table's pointers, and takes half the memory.
const PACKED_FIELDS: usize = 64;
const PACKED_BYTES: usize = 4096;

/// The packed form counts its fields in 16 bits.
const PACKED_COUNT_LIMIT: usize = 60_000;

#[derive(Debug)]
enum EditBody {
    Missing,
    Packed(Vec<u8>),
    Table(Box<TableRecord>),
}

/// A hash to change. A missing key is an empty hash; it comes to be with its first field.
#[derive(Debug)]
pub struct HashEdit<'a> {
    /// The record in its table, empty while the edit holds its body; `None` if the key is missing.
    slot: Option<&'a mut Record>,
    body: EditBody,
    key: &'a [u8],
    access: &'a Access<'a>,
    limits: HashLimits,
    reserve: usize,
    events: EventList,
    /// Number of fields removed because they were found due.
    reclaimed: usize,
    /// What setting a field is called.
    set_event: Event,
    /// Whether more pairs are being set than a listpack may hold.
    is_many: bool,
}

impl<'a> HashEdit<'a> {
    pub(in crate::store) fn of_missing(key: &'a [u8], access: &'a Access<'a>, limits: HashLimits) -> Self {
        Self::new(None, EditBody::Missing, key, access, limits)
    }

    pub(in crate::store) fn of_record(
        slot: &'a mut Record,
        key: &'a [u8],
        access: &'a Access<'a>,
        limits: HashLimits,
    ) -> Self {
        let body = match std::mem::replace(slot, Record::Packed(Box::default())) {
            Record::Packed(bytes) => EditBody::Packed(bytes.into_vec()),
            Record::Table(record) => EditBody::Table(record),
        };
        Self::new(Some(slot), body, key, access, limits)
    }

    fn new(
        slot: Option<&'a mut Record>,
        body: EditBody,
        key: &'a [u8],
        access: &'a Access<'a>,
        limits: HashLimits,
    ) -> Self {
        let (events, set_event) = (EventList::default(), Event::HSet);
        Self { slot, body, key, access, limits, reserve: 0, events, reclaimed: 0, set_event, is_many: false }
    }

    /// What has been done so far, if anybody wants to know.
    pub(in crate::store) fn take_events(&mut self) -> EventList {
        std::mem::take(&mut self.events)
    }

    fn note(&mut self, event: Event, field: &[u8]) {
        if !self.access.interest.is_empty() {
            self.events.add(event, field, self.access.interest);
        }
    }

    /// Reclaims a field that is due before it is set anew. If it was the last, then the key goes with it, its expiry too,
    /// and comes to be anew: so it is in Redis for commands that look before they set.
    pub fn reclaim_if_due(&mut self, field: &[u8]) {
        if self.contains(field) || self.access.found_due.borrow().is_empty() {
            return;
        }
        self.remove_found_due();
        if self.is_empty() {
            self.clear();
            self.clear_key_expiry();
            if !self.access.interest.is_empty() {
                self.events.add_of_key(Event::Del);
                self.events.add_of_key(Event::New);
            }
        }
    }

    /// Number of fields that have been removed because they were found due.
    pub(in crate::store) fn reclaimed(&self) -> usize {
        self.reclaimed
    }

    /// Says that the fields set from now on are set by counting: `hincrby` or `hincrbyfloat` instead of `hset`.
    pub fn announce_sets_as(&mut self, event: Event) {
        self.set_event = event;
    }

    /// Ends the edit of a key that was missing: the record to insert, if it has fields now.
    pub(in crate::store) fn into_new_record(mut self) -> Option<Record> {
        if self.is_empty() { None } else { take_record(&mut self.body) }
    }

    /// The hash as it is now, to read.
    pub fn view(&self) -> HashView<'_> {
        let body = match &self.body {
            EditBody::Missing => Body::Missing,
            EditBody::Packed(bytes) => Body::Packed(Packed::new(bytes)),
            EditBody::Table(record) => Body::Table(record),
        };
        HashView { body, access: self.access }
    }

    /// The time of this access.
    pub fn now(&self) -> UnixMillis {
        self.access.now
    }

    /// See [`HashView::is_missing`].
    pub fn is_missing(&self) -> bool {
        self.view().is_missing()
    }

    /// See [`HashView::len`].
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether [`HashEdit::len`] is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// See [`HashView::get`].
    pub fn get(&self, field: &[u8]) -> Option<&[u8]> {
        self.view().get(field)
    }

    /// See [`HashView::contains`].
    pub fn contains(&self, field: &[u8]) -> bool {
        self.view().contains(field)
    }

    /// See [`HashView::field_expiry`].
    pub fn field_expiry(&self, field: &[u8]) -> FieldExpiry {
        self.view().field_expiry(field)
    }

    /// See [`HashView::random`].
    pub fn random(&self, random: &mut Random) -> Option<(&[u8], &[u8])> {
        self.view().random(random)
    }

    /// Makes room for `bytes` more bytes of fields and values at the next change.
    pub fn reserve(&mut self, bytes: usize) {
        self.reserve = bytes;
    }

    /// Says how many pairs a command is about to set. More than a listpack may hold make a hashtable, whether or not they
    /// are new or stay (Redis's `hashTypeTryConversion`).
    pub fn announce_pairs(&mut self, pairs: usize) {
        self.is_many = pairs > self.limits.max_listpack_entries;
        if self.is_many {
            self.add_flags(RecordFlags::REPORT_HASHTABLE);
        }
    }

    /// Sets a field's value and drops its expiry.
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> SetOutcome {
        self.set_with_expiry(field, value, OldExpiry::Goes)
    }

    /// Sets a field's value and keeps its expiry, unless that is due.
    pub fn set_keeping_expiry(&mut self, field: &[u8], value: &[u8]) -> SetOutcome {
        self.set_with_expiry(field, value, OldExpiry::Stays)
    }

    fn set_with_expiry(&mut self, field: &[u8], value: &[u8], old: OldExpiry) -> SetOutcome {
        self.remove_found_due();
        self.before_set(field, value);
        let access = self.access;
        let kept = |expiry: Option<UnixMillis>| expiry.filter(|_| old == OldExpiry::Stays && !access.is_due(expiry));
        let outcome = match &mut self.body {
            EditBody::Missing => SetOutcome::Created,
            EditBody::Packed(bytes) => {
                let found = find_in(bytes, field).map(|entry| Place::of(&entry, kept(entry.expiry)));
                set_in_packed(bytes, found, field, value, &mut self.reserve)
            }
            EditBody::Table(record) => {
                let hasher = self.access.hasher;
                if record.table.set(hasher, field, value, kept) { SetOutcome::Created } else { SetOutcome::Updated }
            }
        };
        self.after_change();
        self.note(self.set_event, field);
        outcome
    }

    /// Creates the record if it is missing, and notes what a value too long for a listpack does to the encoding. A pair that
    /// the packed form would not keep never gets there: it is copied once.
    fn before_set(&mut self, field: &[u8], value: &[u8]) {
        if matches!(self.body, EditBody::Missing) {
            let room = self.reserve.max(field.len() + value.len() + 4);
            let seconds = crate::store::database::access_seconds(self.access.now);
            self.body = EditBody::Packed(entry::new_packed(self.key, seconds, room));
            self.reserve = 0;
        }
        let is_long = |bytes: &[u8]| bytes.len() > self.limits.max_listpack_value;
        if self.is_many || is_long(field) || is_long(value) {
            self.add_flags(RecordFlags::REPORT_HASHTABLE);
            if field.len() + value.len() > PACKED_BYTES {
                self.convert_to_table();
            }
        }
    }

    fn after_change(&mut self) {
        let count = self.len();
        if count > self.limits.max_listpack_entries {
            self.add_flags(RecordFlags::REPORT_HASHTABLE);
        }
        let EditBody::Packed(bytes) = &self.body else { return };
        let unbound = Packed::new(bytes).flags().contains(RecordFlags::REPORT_HASHTABLE);
        if (unbound && (count > PACKED_FIELDS || bytes.len() > PACKED_BYTES)) || count > PACKED_COUNT_LIMIT {
            self.convert_to_table();
        }
    }

    fn convert_to_table(&mut self) {
        let EditBody::Packed(bytes) = &self.body else { return };
        let packed = Packed::new(bytes);
        let mut table = Table::default();
        for entry in packed.entries() {
            table.set(self.access.hasher, entry.field, entry.value, |_| entry.expiry);
        }
        self.body = EditBody::Table(Box::new(TableRecord {
            key: packed.key().into(),
            flags: packed.flags() - RecordFlags::KEY_EXPIRY - RecordFlags::FIELD_EXPIRY,
            access: packed.access(),
            key_expiry: packed.key_expiry(),
            table,
        }));
    }

    /// Removes a field, due or not; tells whether it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        self.remove_found_due();
        self.remove_because(Event::HDel, field)
    }

    fn remove_because(&mut self, event: Event, field: &[u8]) -> bool {
        let removed = self.take_out(field);
        if removed {
            self.note(event, field);
        }
        removed
    }

    fn take_out(&mut self, field: &[u8]) -> bool {
        match &mut self.body {
            EditBody::Missing => false,
            EditBody::Packed(bytes) => {
                let Some((start, end)) = find_in(bytes, field).map(|entry| (entry.start, entry.end)) else {
                    return false;
                };
                bytes.drain(start..end);
                let count = Packed::new(bytes).count();
                entry::set_count(bytes, count - 1);
                true
            }
            EditBody::Table(record) => record.table.remove(self.access.hasher, field),
        }
    }

    /// Removes all fields; what the key's encoding was is forgotten with them, its expiry is not.
    pub fn clear(&mut self) {
        let (access, expiry) = match &self.body {
            EditBody::Missing => return,
            EditBody::Packed(bytes) => (Packed::new(bytes).access(), Packed::new(bytes).key_expiry()),
            EditBody::Table(record) => (record.access, record.key_expiry),
        };
        let mut bytes = entry::new_packed(self.key, access, self.reserve);
        entry::set_packed_key_expiry(&mut bytes, expiry);
        self.body = EditBody::Packed(bytes);
    }

    /// Notes that a command that sets expiries has met this hash. Redis widens a listpack for that whatever comes of the
    /// command, and `OBJECT ENCODING` shows it.
    pub fn note_expiry_command(&mut self) {
        self.add_flags(RecordFlags::REPORT_EXPIRIES);
    }

    /// Sets a field's expiry; false if there is no such field. A past time is the caller's to handle.
    pub fn set_field_expiry(&mut self, field: &[u8], at: UnixMillis) -> bool {
        if self.view().find(field).is_none() {
            return false;
        }
        self.add_flags(RecordFlags::REPORT_EXPIRIES);
        self.write_expiry(field, Some(at));
        self.note(Event::HExpire, field);
        true
    }

    /// Takes a field's expiry away; false if it has none.
    pub fn persist_field(&mut self, field: &[u8]) -> bool {
        let had = self.view().find(field).is_some_and(|entry| entry.expiry.is_some());
        if had {
            self.write_expiry(field, None);
            self.note(Event::HPersist, field);
        }
        had
    }

    fn write_expiry(&mut self, field: &[u8], expiry: Option<UnixMillis>) {
        match &mut self.body {
            EditBody::Missing => {}
            EditBody::Packed(bytes) => {
                give_room_for_expiries(bytes);
                place_by_expiry(bytes, field, expiry);
            }
            EditBody::Table(record) => {
                record.table.set_expiry(self.access.hasher, field, expiry);
            }
        }
    }

    /// Takes the key's expiry away.
    pub fn clear_key_expiry(&mut self) {
        match &mut self.body {
            EditBody::Missing => {}
            EditBody::Packed(bytes) => entry::set_packed_key_expiry(bytes, None),
            EditBody::Table(record) => record.key_expiry = None,
        }
    }

    /// Removes up to `limit` fields that are due; gives their number.
    pub fn remove_due(&mut self, limit: usize) -> usize {
        let due = super::view::before(self.access.now);
        let mut removed = 0;
        let Self { body, events, access, .. } = self;
        let mut note = |field: &[u8]| {
            removed += 1;
            if !access.interest.is_empty() {
                events.add(Event::HExpired, field, access.interest);
            }
        };
        match body {
            EditBody::Missing => {}
            EditBody::Packed(bytes) => remove_due_from_packed(bytes, due, note),
            EditBody::Table(record) => {
                let mut left = limit;
                while left > 0 {
                    let fields = record.table.remove_some_due(due);
                    if fields.is_empty() {
                        break;
                    }
                    for field in &fields {
                        note(field);
                    }
                    left = left.saturating_sub(fields.len());
                }
            }
        }
        removed
    }

    /// Removes the fields that were asked for and found due in this access.
    pub(in crate::store) fn remove_found_due(&mut self) {
        if self.access.found_due.borrow().is_empty() {
            return;
        }
        let found = self.access.found_due.take();
        let still_due =
            |edit: &Self, field: &[u8]| edit.view().find(field).is_some_and(|entry| edit.access.is_due(entry.expiry));
        for field in found {
            if still_due(self, &field) && self.remove_because(Event::HExpired, &field) {
                self.reclaimed += 1;
            }
        }
    }

    fn add_flags(&mut self, flags: RecordFlags) {
        match &mut self.body {
            EditBody::Missing => {}
            EditBody::Packed(bytes) => {
                let all = Packed::new(bytes).flags() | flags;
                entry::set_flags(bytes, all);
            }
            EditBody::Table(record) => record.flags |= flags,
        }
    }
}

/// However the edit ends, also by a panic, the record gets its body back.
impl Drop for HashEdit<'_> {
    fn drop(&mut self) {
        if let (Some(slot), Some(record)) = (self.slot.as_deref_mut(), take_record(&mut self.body)) {
            *slot = record;
        }
    }
}

fn take_record(body: &mut EditBody) -> Option<Record> {
    match std::mem::replace(body, EditBody::Missing) {
        EditBody::Missing => None,
        EditBody::Packed(bytes) => Some(Record::Packed(bytes.into_boxed_slice())),
        EditBody::Table(record) => Some(Record::Table(record)),
    }
}

/// Where a field lies in a packed record, and the expiry it is to have.
struct Place {
    value_start: usize,
    end: usize,
    old_expiry: Option<UnixMillis>,
    expiry: Option<UnixMillis>,
}

impl Place {
    fn of(entry: &Entry<'_>, expiry: Option<UnixMillis>) -> Self {
        Self { value_start: entry.value_start, end: entry.end, old_expiry: entry.expiry, expiry }
    }
}

fn find_in<'b>(bytes: &'b [u8], field: &[u8]) -> Option<Entry<'b>> {
    Packed::new(bytes).entries().find_field(field)
}

fn set_in_packed(
    bytes: &mut Vec<u8>,
    found: Option<Place>,
    field: &[u8],
    value: &[u8],
    reserve: &mut usize,
) -> SetOutcome {
    let with_expiries = Packed::new(bytes).has_field_expiries();
    let expiry_bytes = if with_expiries { 8 } else { 0 };
    if let Some(place) = found {
        packed::replace_value(bytes, place.value_start, place.end - expiry_bytes, value);
        if place.expiry != place.old_expiry {
            place_by_expiry(bytes, field, place.expiry);
        }
        return SetOutcome::Updated;
    }
    bytes.reserve_exact(std::mem::take(reserve).max(field.len() + value.len() + 10 + expiry_bytes));
    packed::push_entry(bytes, field, value, if with_expiries { Tail::Expiry(None) } else { Tail::None });
    let count = Packed::new(bytes).count();
    entry::set_count(bytes, count + 1);
    SetOutcome::Created
}

/// Gives a field its expiry, and with it its place, as in Redis's `listpackEx`: fields that expire come first, the soonest
/// at the front and the last set first among equals; the others follow.
fn place_by_expiry(bytes: &mut Vec<u8>, field: &[u8], expiry: Option<UnixMillis>) {
    let Some((start, end)) = find_in(bytes, field).map(|entry| (entry.start, entry.end)) else { return };
    let mut moved: Vec<u8> = bytes.drain(start..end).collect();
    let length = moved.len();
    packed::write_expiry(&mut moved, length, expiry);
    let comes_later = |entry: &Entry<'_>| match (entry.expiry, expiry) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(other), Some(at)) => other >= at,
    };
    let place = Packed::new(bytes).entries().find(comes_later).map_or(bytes.len(), |entry| entry.start);
    bytes.splice(place..place, moved);
}

/// Rewrites a packed record so that every field carries an expiry.
fn give_room_for_expiries(bytes: &mut Vec<u8>) {
    let packed = Packed::new(bytes);
    if packed.has_field_expiries() {
        return;
    }
    let mut wider = Vec::with_capacity(bytes.len() + 8 * packed.count());
    wider.extend_from_slice(bytes.get(..packed.entries_start()).unwrap_or_default());
    for entry in packed.entries() {
        packed::push_entry(&mut wider, entry.field, entry.value, Tail::Expiry(None));
    }
    entry::set_flags(&mut wider, packed.flags() | RecordFlags::FIELD_EXPIRY);
    *bytes = wider;
}

fn remove_due_from_packed(bytes: &mut Vec<u8>, due: UnixMillis, mut note: impl FnMut(&[u8])) {
    let packed = Packed::new(bytes);
    let is_due = |entry: &Entry<'_>| entry.expiry.is_some_and(|at| at <= due);
    let removed = packed.entries().filter(is_due).inspect(|entry| note(entry.field)).count();
    if removed == 0 {
        return;
    }
    let mut kept = Vec::with_capacity(bytes.len());
    kept.extend_from_slice(bytes.get(..packed.entries_start()).unwrap_or_default());
    for entry in packed.entries().filter(|entry| !is_due(entry)) {
        packed::push_entry(&mut kept, entry.field, entry.value, Tail::Expiry(entry.expiry));
    }
    let count = packed.count() - removed;
    entry::set_count(&mut kept, count);
    *bytes = kept;
}
