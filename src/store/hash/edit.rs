//! Changing a hash.

use super::draft::PackedDraft;
use super::packed::Entry;
use super::template::Wanted;
use super::value::Value;
use super::view::{Access, FieldExpiry, HashView};
use crate::base::clock::UnixMillis;
use crate::store::change::{Effect, Event, EventList};
use crate::store::entry::{self, Body, Packed, Record, RecordFlags, TableRecord};
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
const PACKED_FIELDS: usize = 128;
const PACKED_BYTES: usize = 4096;

/// The same where names are shared by a template, or may turn out to be: what a table would take more is names above all.
const SHARING_FIELDS: usize = 512;
const SHARING_BYTES: usize = 2 * PACKED_BYTES;

/// However high the limits of a listpack are set, beyond these the order of insertion is given up for speed.
const MOST_PACKED_FIELDS: usize = 60_000;

/// Whether a hash of so many fields and bytes is kept packed.
pub(in crate::store) fn fits_packed(fields: usize, bytes: usize, is_hashtable: bool, shares_names: bool) -> bool {
    let (most_fields, most_bytes) = match (is_hashtable, shares_names) {
        (false, _) => (MOST_PACKED_FIELDS, entry::MOST_PACKED_BYTES),
        (true, true) => (SHARING_FIELDS, SHARING_BYTES),
        (true, false) => (PACKED_FIELDS, PACKED_BYTES),
    };
    fields <= most_fields && bytes <= most_bytes
}

/// What is to become the record, once it cannot be changed in its place.
#[derive(Debug)]
enum Draft {
    Packed(PackedDraft),
    Table(Box<TableRecord>),
}

/// A hash to change. A missing key is an empty hash; it comes to be with its first field.
///
/// Values are replaced where they are. Whatever else changes a small hash does so in a draft, which takes the record's
/// place when the edit ends: only then is it known which fields it has.
#[derive(Debug)]
pub struct HashEdit<'a> {
    /// The record in its shard; `None` if the key is missing.
    slot: Option<&'a mut Record>,
    draft: Option<Draft>,
    key: &'a [u8],
    access: &'a Access<'a>,
    limits: HashLimits,
    events: EventList,
    /// Number of fields removed because their time had come, or was past when it was set.
    reclaimed: usize,
    /// What setting a field is called.
    set_event: Event,
    /// Whether more pairs are being set than a listpack may hold.
    is_many: bool,
    template: Wanted,
    changes: u64,
}

impl<'a> HashEdit<'a> {
    pub(in crate::store) fn new(
        slot: Option<&'a mut Record>,
        key: &'a [u8],
        access: &'a Access<'a>,
        limits: HashLimits,
    ) -> Self {
        let (events, set_event, template) = (EventList::default(), Event::HSet, Wanted::Often);
        Self {
            slot,
            draft: None,
            key,
            access,
            limits,
            events,
            reclaimed: 0,
            set_event,
            is_many: false,
            template,
            changes: 0,
        }
    }

    /// What has been done so far, if anybody wants to know.
    pub(in crate::store) fn take_events(&mut self) -> EventList {
        std::mem::take(&mut self.events)
    }

    /// How many changes have been made, but for the removal of what was due.
    pub(in crate::store) fn changes(&self) -> u64 {
        self.changes
    }

    fn note(&mut self, event: Event, field: &[u8]) {
        self.changes += u64::from(event != Event::HExpired);
        if self.access.interest.is_in_edits() {
            self.events.add(event, field, self.access.interest);
        }
    }

    /// Reclaims a field that is due before it is set anew. If it was the last, then the key goes with it, its expiry too,
    /// and comes to be anew: so it is in Redis for commands that look before they set.
    pub fn reclaim_if_due(&mut self, field: &[u8]) {
        if !self.may_have_due() || self.contains(field) || self.access.found_due.borrow().is_empty() {
            return;
        }
        self.remove_found_due();
        if self.is_empty() {
            self.reset();
            if self.access.interest.is_in_edits() {
                self.events.add_of_key(Event::Del);
                self.events.add_of_key(Event::New);
            }
        }
    }

    /// Number of fields that have been removed because their time had come, or was past when it was set.
    pub(in crate::store) fn reclaimed(&self) -> usize {
        self.reclaimed
    }

    /// Says that the fields set from now on are set by counting: `hincrby` or `hincrbyfloat` instead of `hset`.
    pub fn announce_sets_as(&mut self, event: Event) {
        self.set_event = event;
    }

    /// Says that more hashes of the same fields will come.
    pub fn announce_more_alike(&mut self) {
        self.template = Wanted::Always;
    }

    /// Ends the edit. The record takes the place of the one in the shard; that of a key that was missing is returned, if
    /// it has fields now. A hash that has no fields any more stays as it was, for the caller to remove.
    pub(in crate::store) fn finish(mut self) -> Option<Record> {
        if self.is_empty() {
            return None;
        }
        let record = match self.draft.take()? {
            Draft::Table(table) => self.record_of_table(table),
            Draft::Packed(draft) => self.record_of(draft.view()),
        };
        match self.slot.as_deref_mut() {
            Some(slot) => {
                *slot = record;
                None
            }
            None => Some(record),
        }
    }

    /// A record of what has been drafted, big if it is too large for one that does not share its names.
    fn record_of(&self, draft: Packed<'_>) -> Record {
        let record = Record::of_draft(draft, self.template);
        let is_hashtable = draft.flags().contains(RecordFlags::REPORT_HASHTABLE);
        if fits_packed(draft.count(), draft.bytes().len(), is_hashtable, record.shares_names()) {
            return record;
        }
        self.record_of_table(Box::new(TableRecord::of_packed(draft, self.key, self.access.hasher)))
    }

    /// The record of a hash that has become big, in which names are shared if many have the same.
    fn record_of_table(&self, mut record: Box<TableRecord>) -> Record {
        record.table.share_names(self.access.hasher);
        Record::of_table(record)
    }

    /// The hash as it is now, to read.
    #[inline]
    pub fn view(&self) -> HashView<'_> {
        let body = match &self.draft {
            Some(Draft::Packed(draft)) => Some(Body::Packed(draft.view())),
            Some(Draft::Table(table)) => Some(Body::Table(table)),
            None => self.slot.as_deref().map(Record::body),
        };
        HashView { body, access: self.access }
    }

    /// The draft of a small or missing hash, begun unless there is one.
    fn draft(&mut self) -> Option<&mut PackedDraft> {
        if self.draft.is_none() {
            let draft = match self.slot.as_deref().map(Record::body) {
                None => PackedDraft::new(self.key, self.access.fresh),
                Some(Body::Packed(packed)) => PackedDraft::of(packed),
                Some(Body::Table(_)) => return None,
            };
            self.draft = Some(Draft::Packed(draft));
        }
        match &mut self.draft {
            Some(Draft::Packed(draft)) => Some(draft),
            _ => None,
        }
    }

    /// The big hash, if it is one.
    fn table(&mut self) -> Option<&mut TableRecord> {
        match &mut self.draft {
            Some(Draft::Table(table)) => Some(table),
            Some(Draft::Packed(_)) => None,
            None => self.slot.as_deref_mut()?.table_mut(),
        }
    }

    /// The time of this access.
    pub fn now(&self) -> UnixMillis {
        self.access.now
    }

    /// See [`HashView::is_missing`].
    pub fn is_missing(&self) -> bool {
        self.draft.is_none() && self.slot.is_none()
    }

    /// See [`HashView::len`].
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether [`HashEdit::len`] is 0.
    pub fn is_empty(&self) -> bool {
        // Of small hashes only drafts are ever empty.
        let is_sound = self.draft.is_none() && self.slot.as_deref().is_some_and(|record| !record.is_table());
        !is_sound && self.len() == 0
    }

    /// Whether fields may be due.
    fn may_have_due(&self) -> bool {
        match self.view().body {
            None => false,
            Some(Body::Packed(packed)) => packed.has_field_expiries(),
            Some(Body::Table(record)) => record.table.first_expiry().is_some(),
        }
    }

    /// See [`HashView::get`].
    pub fn get(&self, field: &[u8]) -> Option<Value<'_>> {
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
        let outcome = match self.table() {
            Some(record) => {
                if record.table.set(access.hasher, field, value, kept) {
                    SetOutcome::Created
                } else {
                    SetOutcome::Updated
                }
            }
            None => self.set_in_packed(field, value, kept),
        };
        self.after_set(value.len());
        self.note(self.set_event, field);
        self.log_set(field, value, old);
        outcome
    }

    #[inline]
    fn log_set(&self, field: &[u8], value: &[u8], old: OldExpiry) {
        self.access.log(|| {
            let expires = || self.view().find(field).is_some_and(|entry| entry.expiry.is_some());
            if old == OldExpiry::Stays && expires() {
                Effect::SetKeepingExpiry(self.key, field, value)
            } else {
                Effect::Set(self.key, field, value)
            }
        });
    }

    fn set_in_packed(
        &mut self,
        field: &[u8],
        value: &[u8],
        kept: impl Fn(Option<UnixMillis>) -> Option<UnixMillis>,
    ) -> SetOutcome {
        let Some((place, expiry)) = self.find_packed(field).map(|entry| (entry.value_place(), entry.expiry)) else {
            if let Some(draft) = self.draft() {
                draft.push(field, value);
            }
            return SetOutcome::Created;
        };
        match (&mut self.draft, self.slot.as_deref_mut()) {
            (Some(Draft::Packed(draft)), _) => draft.replace_value(place, value),
            (None, Some(record)) => record.replace_value(place, value),
            _ => {}
        }
        if kept(expiry) != expiry {
            self.place_by_expiry(field, kept(expiry));
        }
        SetOutcome::Updated
    }

    /// The entry of a field of a small hash.
    fn find_packed(&self, field: &[u8]) -> Option<Entry<'_>> {
        match self.view().body? {
            Body::Packed(packed) => packed.entries().find_field(field),
            Body::Table(_) => None,
        }
    }

    /// Begins the hash if it is missing, and notes what a value too long for a listpack does to the encoding. A
    /// pair that would not be kept packed never gets there: it is copied once.
    fn before_set(&mut self, field: &[u8], value: &[u8]) {
        if self.is_missing() {
            self.draft();
        }
        let is_long = |bytes: &[u8]| bytes.len() > self.limits.max_listpack_value;
        if self.is_many || is_long(field) || is_long(value) {
            self.add_flags(RecordFlags::REPORT_HASHTABLE);
            if field.len() + value.len() > PACKED_BYTES {
                self.convert_to_table();
            }
        } else if field.len() + value.len() > entry::MOST_PACKED_BYTES {
            self.convert_to_table();
        }
    }

    /// Converts the hash if a value of this length has made it too large to be packed.
    fn after_set(&mut self, length: usize) {
        /// Values up to this length, in place of others, do not make a record that is a multiple of what it may be.
        const SHORT: usize = 64;
        if self.draft.is_none() && length <= SHORT {
            return;
        }
        let Some(Body::Packed(packed)) = self.view().body else { return };
        let (count, bytes, flags) = (packed.count(), packed.bytes().len(), packed.flags());
        let mut unbound = flags.contains(RecordFlags::REPORT_HASHTABLE);
        if count > self.limits.max_listpack_entries && !unbound {
            self.add_flags(RecordFlags::REPORT_HASHTABLE);
            unbound = true;
        }
        // Only when the edit ends is it known whether a draft will share its names.
        let shares_names = self.draft.is_some() || flags.contains(RecordFlags::TEMPLATE);
        if !fits_packed(count, bytes, unbound, shares_names) {
            self.convert_to_table();
        }
    }

    fn convert_to_table(&mut self) {
        let Some(Body::Packed(packed)) = self.view().body else { return };
        let table = TableRecord::of_packed(packed, self.key, self.access.hasher);
        self.draft = Some(Draft::Table(Box::new(table)));
    }

    /// Removes a field, due or not; tells whether it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        self.remove_found_due();
        self.remove_because(Event::HDel, field)
    }

    /// Removes a field whose expiry is set to a time that is past: as in Redis it is removed like by HDEL and counted like one
    /// that has expired.
    pub fn expire_at_once(&mut self, field: &[u8]) {
        self.reclaimed += usize::from(self.remove(field));
    }

    fn remove_because(&mut self, event: Event, field: &[u8]) -> bool {
        let removed = self.take_out(field);
        if removed {
            self.note(event, field);
            self.access.log(|| Effect::Remove(self.key, field));
        }
        removed
    }

    fn take_out(&mut self, field: &[u8]) -> bool {
        let hasher = self.access.hasher;
        if let Some(record) = self.table() {
            return record.table.remove(hasher, field);
        }
        // Without the field there is nothing to draft.
        (self.draft.is_some() || self.find_packed(field).is_some())
            && self.draft().is_some_and(|draft| draft.remove(field))
    }

    /// Removes all fields and the key's expiry; what the key's encoding was is forgotten with them.
    pub fn reset(&mut self) {
        if self.is_missing() {
            return;
        }
        self.access.log(|| Effect::Delete(self.key));
        self.draft = Some(Draft::Packed(PackedDraft::new(self.key, self.access.fresh)));
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
        self.access.log(|| Effect::ExpireField(self.key, field, at));
        true
    }

    /// Takes a field's expiry away; false if it has none.
    pub fn persist_field(&mut self, field: &[u8]) -> bool {
        let had = self.view().find(field).is_some_and(|entry| entry.expiry.is_some());
        if had {
            self.write_expiry(field, None);
            self.note(Event::HPersist, field);
            self.access.log(|| Effect::PersistField(self.key, field));
        }
        had
    }

    fn write_expiry(&mut self, field: &[u8], expiry: Option<UnixMillis>) {
        let hasher = self.access.hasher;
        match self.table() {
            Some(record) => record.table.set_expiry(hasher, field, expiry),
            None => self.place_by_expiry(field, expiry),
        }
    }

    fn place_by_expiry(&mut self, field: &[u8], expiry: Option<UnixMillis>) {
        if let Some(draft) = self.draft() {
            draft.place_by_expiry(field, expiry);
        }
    }

    /// Removes up to `limit` fields that are due; gives their number.
    pub fn remove_due(&mut self, limit: usize) -> usize {
        let due = super::view::before(self.access.now);
        let (key, access, mut events) = (self.key, self.access, std::mem::take(&mut self.events));
        let mut removed = 0;
        let mut note = |field: &[u8]| {
            removed += 1;
            access.log(|| Effect::Remove(key, field));
            if access.interest.is_in_edits() {
                events.add(Event::HExpired, field, access.interest);
            }
        };
        if let Some(record) = self.table() {
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
        } else if self.has_due(due)
            && let Some(draft) = self.draft()
        {
            draft.remove_due(due, note);
        }
        self.events = events;
        self.reclaimed += removed;
        removed
    }

    fn has_due(&self, due: UnixMillis) -> bool {
        let Some(Body::Packed(packed)) = self.view().body else { return false };
        packed.has_field_expiries() && packed.entries().any(|entry| entry.expiry.is_some_and(|at| at <= due))
    }

    /// Removes the fields that were asked for and found due in this access.
    #[inline]
    pub(in crate::store) fn remove_found_due(&mut self) {
        if !self.access.found_due.borrow().is_empty() {
            self.remove_all_found_due();
        }
    }

    #[cold]
    fn remove_all_found_due(&mut self) {
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
        if flags.contains(RecordFlags::REPORT_EXPIRIES) {
            entry::note_expiries();
        }
        match (&mut self.draft, self.slot.as_deref_mut()) {
            (Some(Draft::Packed(draft)), _) => draft.add_flags(flags),
            (Some(Draft::Table(record)), _) => record.flags |= flags,
            (None, Some(record)) => record.add_flags(flags),
            (None, None) => {}
        }
    }
}
