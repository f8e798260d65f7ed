//! One key: its name, its hash, its expiry and its access clock.
//!
//! A small hash is one allocation that holds everything, the key included, so that a lookup touches one place in memory:
//!
//! ```text
//! flags:1  access:3  shape:2  [key expiry:6 or 8]  key length:varint  key  entries
//! ```
//!
//! The shape is the number of fields, or the number of the [`Template`] that knows them; the entries are those of
//! [`super::hash::packed`]. A big hash is a [`Table`] beside its key.
#![expect(unsafe_code, reason = "a record is a user of the template whose number it holds")]

use std::sync::atomic::{AtomicBool, Ordering};

use super::access::AccessClock;
use super::hash::packed::{self, Encoded, Entries, RawFields, Skips, ValuePlace};
use super::hash::table::Table;
use super::hash::template::{self, Template, TemplateId, Wanted};
use super::position::KeyHasher;
use super::scratch;
use crate::base::clock::UnixMillis;
use crate::base::memory::size_class;
use crate::base::thin::{self, Content, ContentMut, Thin};

bitflags::bitflags! {
    /// What a record's first byte says.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub(super) struct RecordFlags: u8 {
        /// The key has an expiry.
        const KEY_EXPIRY = 1 << 0;
        /// Every field of the packed form is followed by its expiry.
        const FIELD_EXPIRY = 1 << 1;
        /// Redis would hold this hash in a hashtable; never taken back.
        const REPORT_HASHTABLE = 1 << 2;
        /// Fields have had expiries (`listpackex` where Redis would use a listpack); never taken back.
        const REPORT_EXPIRIES = 1 << 3;
        /// The key's expiry takes 8 bytes, not 6.
        const WIDE_KEY_EXPIRY = 1 << 4;
        /// A template knows the fields; they have no expiries.
        const TEMPLATE = 1 << 5;
    }
}

/// Whether any hash has had an encoding for expiries since the process began.
static EXPIRIES_NOTED: AtomicBool = AtomicBool::new(false);

/// Notes that a hash has an encoding for expiries.
pub(super) fn note_expiries() {
    if !EXPIRIES_NOTED.load(Ordering::Relaxed) {
        EXPIRIES_NOTED.store(true, Ordering::Relaxed);
    }
}

/// Whether there may be hashes that have an encoding for expiries.
pub(super) fn may_have_expiries() -> bool {
    EXPIRIES_NOTED.load(Ordering::Relaxed)
}

/// One key with all that belongs to it.
#[derive(Debug)]
pub(super) struct Record(Thin<TableRecord>);

/// What a record holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body<'a> {
    /// A small hash.
    Packed(Packed<'a>),
    /// A big one.
    Table(&'a TableRecord),
}

/// A big hash with its key.
#[derive(Debug, Clone)]
pub(super) struct TableRecord {
    pub(super) key: Box<[u8]>,
    pub(super) flags: RecordFlags,
    pub(super) access: AccessClock,
    pub(super) key_expiry: Option<UnixMillis>,
    pub(super) table: Table,
}

/// A record with its key is packed up to this many bytes, whatever the limits of a listpack.
pub(super) const MOST_PACKED_BYTES: usize = 1 << 20;

impl TableRecord {
    /// A small hash as a big one, under `key`.
    pub(super) fn of_packed(packed: Packed<'_>, key: &[u8], hasher: &KeyHasher) -> Self {
        let mut table = Table::default();
        for entry in packed.entries() {
            table.set(hasher, entry.field, &entry.value.text(), |_| entry.expiry);
        }
        let kept = RecordFlags::REPORT_HASHTABLE | RecordFlags::REPORT_EXPIRIES;
        let (flags, key_expiry) = (packed.flags() & kept, packed.key_expiry());
        Self { key: key.into(), flags, access: packed.access(), key_expiry, table }
    }
}

const FLAGS: usize = 0;
const ACCESS: usize = 1;
const SHAPE: usize = 4;
const EXPIRY: usize = 6;

/// A packed record read through its header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed<'a> {
    bytes: &'a [u8],
    template: Option<&'a Template>,
    entries_start: usize,
}

impl<'a> Packed<'a> {
    /// A record, or what is to become one, whose fields no template knows and begin at `entries_start`.
    #[inline]
    pub(super) fn without_template(bytes: &'a [u8], entries_start: usize) -> Self {
        Self { bytes, template: None, entries_start }
    }

    pub(super) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn flags(self) -> RecordFlags {
        flags_of(self.bytes)
    }

    /// Number of fields.
    pub(super) fn count(self) -> usize {
        self.template.map_or_else(|| usize::from(u16::from_le_bytes(array_at(self.bytes, SHAPE))), Template::len)
    }

    pub(super) fn access(self) -> AccessClock {
        AccessClock(array_at(self.bytes, ACCESS))
    }

    pub(super) fn key_expiry(self) -> Option<UnixMillis> {
        key_expiry_of(self.bytes)
    }

    pub(super) fn has_field_expiries(self) -> bool {
        self.flags().contains(RecordFlags::FIELD_EXPIRY)
    }

    /// Begins a draft: a copy without the template, if there is one.
    pub(super) fn copy_to_draft(self, draft: &mut Vec<u8>) {
        if self.template.is_none() {
            draft.extend_from_slice(self.bytes);
            return;
        }
        draft.extend_from_slice(self.bytes.get(..self.entries_start).unwrap_or_default());
        self.entries().write_out(draft);
        set_draft_flags(draft, self.flags() - RecordFlags::TEMPLATE);
        set_draft_count(draft, self.count());
    }

    /// Where the fields begin.
    pub(super) fn entries_start(self) -> usize {
        self.entries_start
    }

    /// The fields as they stand in a record without a template.
    #[inline]
    fn raw_fields(self) -> RawFields<'a> {
        RawFields::new(self.bytes.get(self.entries_start..).unwrap_or_default(), self.has_field_expiries())
    }

    #[inline]
    pub(super) fn entries(self) -> Entries<'a> {
        match self.template {
            Some(template) => Entries::of_template(self.bytes, self.entries_start, template),
            None => Entries::new(self.bytes, self.entries_start, self.has_field_expiries()),
        }
    }
}

#[inline]
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().unwrap_or([0; N])
}

#[inline]
fn flags_of(bytes: &[u8]) -> RecordFlags {
    RecordFlags::from_bits_truncate(bytes.first().copied().unwrap_or_default())
}

/// Bytes that the key's expiry takes in a record with these flags.
#[inline]
fn expiry_width(flags: RecordFlags) -> usize {
    match flags & (RecordFlags::KEY_EXPIRY | RecordFlags::WIDE_KEY_EXPIRY) {
        RecordFlags::KEY_EXPIRY => 6,
        flags if flags.is_empty() => 0,
        _ => 8,
    }
}

/// Where the key is.
#[inline]
fn key_range(bytes: &[u8]) -> std::ops::Range<usize> {
    let (length, start) = packed::read_length(bytes, EXPIRY + expiry_width(flags_of(bytes)));
    start..start + length
}

fn key_expiry_of(bytes: &[u8]) -> Option<UnixMillis> {
    match expiry_width(flags_of(bytes)) {
        0 => None,
        6 => {
            let mut wide = [0; 8];
            for (to, byte) in wide.iter_mut().zip(array_at::<6>(bytes, EXPIRY)) {
                *to = byte;
            }
            Some(UnixMillis(i64::from_le_bytes(wide)))
        }
        _ => Some(UnixMillis(i64::from_le_bytes(array_at(bytes, EXPIRY)))),
    }
}

/// A key's expiry as it stands in a record, and the flags that say so.
fn encode_expiry(expiry: Option<UnixMillis>) -> (RecordFlags, [u8; 8], usize) {
    let bytes = expiry.map_or([0; 8], |at| at.0.to_le_bytes());
    let flags = match (expiry, bytes) {
        (None, _) => RecordFlags::empty(),
        (Some(_), [.., 0, 0]) => RecordFlags::KEY_EXPIRY,
        _ => RecordFlags::KEY_EXPIRY | RecordFlags::WIDE_KEY_EXPIRY,
    };
    (flags, bytes, expiry_width(flags))
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(target) = bytes.get_mut(at..at + value.len()) {
        target.copy_from_slice(value);
    }
}

/// Puts a draft's header, for `key` without fields, into an empty buffer.
pub(super) fn begin_draft(draft: &mut Vec<u8>, key: &[u8], access: AccessClock, expiry: Option<UnixMillis>) {
    let (flags, expiry, width) = encode_expiry(expiry);
    draft.push(flags.bits());
    draft.extend_from_slice(&access.0);
    draft.extend_from_slice(&[0, 0]);
    draft.extend(expiry.into_iter().take(width));
    packed::write_length(draft, key.len());
    draft.extend_from_slice(key);
}

pub(super) fn set_draft_count(bytes: &mut [u8], count: usize) {
    put(bytes, SHAPE, &u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes());
}

pub(super) fn set_draft_flags(bytes: &mut [u8], flags: RecordFlags) {
    put(bytes, FLAGS, &[flags.bits()]);
}

impl Record {
    /// The record that a draft has become, with a template if one fits.
    pub(super) fn of_draft(draft: Packed<'_>, wanted: Wanted) -> Self {
        let names = draft.raw_fields().map(|field| field.name);
        let id = if draft.has_field_expiries() { None } else { template::use_template(names, wanted) };
        let Some(id) = id else { return Self::of_bytes(draft.bytes()) };
        id.learn(|| draft.entries().enumerate().map(|(place, entry)| (place, entry.value)));
        // SAFETY: the number stands for a use of the template, which is the record's from here on.
        let template = unsafe { id.get() };
        let mut bytes = scratch::take();
        bytes.extend_from_slice(draft.bytes().get(..draft.entries_start()).unwrap_or_default());
        set_draft_flags(&mut bytes, draft.flags() | RecordFlags::TEMPLATE);
        put(&mut bytes, SHAPE, &id.to_bytes());
        let skips = Skips::begin(&mut bytes, draft.count());
        for (place, field) in draft.raw_fields().enumerate() {
            skips.note(&mut bytes, place);
            match template.and_then(|template| template.shorten(place, field.value)) {
                Some(short) => short.append_to(&mut bytes),
                None => bytes.extend_from_slice(field.value),
            }
        }
        let record = Self::of_bytes(&bytes);
        scratch::keep(bytes);
        record
    }

    fn of_bytes(bytes: &[u8]) -> Self {
        let mut thin = Thin::zeroed(bytes.len());
        if let ContentMut::Bytes(target) = thin.content_mut() {
            target.copy_from_slice(bytes);
        }
        Self(thin)
    }

    /// Gives up its templates, if they have few users.
    pub(super) fn leave_rare_templates(&mut self) {
        if let Some(record) = self.table_mut() {
            record.table.leave_rare_templates();
        }
        let Body::Packed(packed) = self.body() else { return };
        if template_of(packed.bytes()).is_some_and(TemplateId::is_rare) {
            let mut plain = scratch::take();
            packed.copy_to_draft(&mut plain);
            *self = Self::of_bytes(&plain);
            scratch::keep(plain);
        }
    }

    pub(super) fn of_table(record: Box<TableRecord>) -> Self {
        Self(Thin::boxed(record))
    }

    /// What it holds.
    #[inline]
    pub(super) fn body(&self) -> Body<'_> {
        match self.0.content() {
            Content::Bytes(bytes) => {
                let template = template_of(bytes).and_then(|id| {
                    // SAFETY: the record uses this template, and what is returned borrows from the record.
                    unsafe { id.get() }
                });
                Body::Packed(Packed { bytes, template, entries_start: key_range(bytes).end })
            }
            Content::Boxed(record) => Body::Table(record),
        }
    }

    /// The big hash, to change.
    pub(super) fn table_mut(&mut self) -> Option<&mut TableRecord> {
        match self.0.content_mut() {
            ContentMut::Bytes(_) => None,
            ContentMut::Boxed(record) => Some(record),
        }
    }

    /// Number of fields, those included that are due but not yet reclaimed.
    pub(super) fn len(&self) -> usize {
        match self.body() {
            Body::Packed(packed) => packed.count(),
            Body::Table(record) => record.table.len(),
        }
    }

    /// Of a small hash in which nothing expires: bytes that differ whenever the number of its fields does.
    #[inline]
    pub(super) fn plain_shape(&self) -> Option<[u8; 3]> {
        const EXPIRES: RecordFlags =
            RecordFlags::KEY_EXPIRY.union(RecordFlags::WIDE_KEY_EXPIRY).union(RecordFlags::FIELD_EXPIRY);
        match self.0.content() {
            Content::Bytes(&[flags, _, _, _, low, high, ..]) if flags & EXPIRES.bits() == 0 => Some([flags, low, high]),
            _ => None,
        }
    }

    /// Whether a template has the names of its fields.
    pub(super) fn shares_names(&self) -> bool {
        self.flags().contains(RecordFlags::TEMPLATE)
    }

    /// Whether it is a big hash.
    pub(super) fn is_table(&self) -> bool {
        matches!(self.0.content(), Content::Boxed(_))
    }

    #[inline]
    pub(super) fn key(&self) -> &[u8] {
        match self.0.content() {
            Content::Bytes(bytes) => bytes.get(key_range(bytes)).unwrap_or_default(),
            Content::Boxed(record) => &record.key,
        }
    }

    /// Starts to load the record into the cache.
    #[inline]
    pub(super) fn prefetch(&self) {
        self.0.prefetch();
    }

    /// Whether to look at all its fields takes long.
    pub(super) fn is_long(&self) -> bool {
        /// So many take about a millisecond.
        const LONG: usize = 8192;
        matches!(self.0.content(), Content::Boxed(record) if record.table.len() > LONG)
    }

    #[inline]
    pub(super) fn flags(&self) -> RecordFlags {
        match self.0.content() {
            Content::Bytes(bytes) => flags_of(bytes),
            Content::Boxed(record) => record.flags,
        }
    }

    /// Adds to its flags what its encoding is to be called.
    pub(super) fn add_flags(&mut self, flags: RecordFlags) {
        match self.0.content_mut() {
            ContentMut::Bytes(bytes) => set_draft_flags(bytes, flags_of(bytes) | flags),
            ContentMut::Boxed(record) => record.flags |= flags,
        }
    }

    #[inline]
    pub(super) fn key_expiry(&self) -> Option<UnixMillis> {
        match self.0.content() {
            Content::Bytes(bytes) => key_expiry_of(bytes),
            Content::Boxed(record) => record.key_expiry,
        }
    }

    pub(super) fn set_key_expiry(&mut self, expiry: Option<UnixMillis>) {
        let (is, encoded, width) = encode_expiry(expiry);
        let old_width = match self.0.content() {
            Content::Bytes(bytes) => expiry_width(flags_of(bytes)),
            Content::Boxed(_) => 0,
        };
        self.0.make_gap(EXPIRY..EXPIRY + old_width, width);
        match self.0.content_mut() {
            ContentMut::Bytes(bytes) => {
                put(bytes, EXPIRY, encoded.get(..width).unwrap_or_default());
                let others = flags_of(bytes) - RecordFlags::KEY_EXPIRY - RecordFlags::WIDE_KEY_EXPIRY;
                set_draft_flags(bytes, others | is);
            }
            ContentMut::Boxed(record) => record.key_expiry = expiry,
        }
    }

    /// Puts another value in the place of that of an entry, if the hash is small.
    pub(super) fn replace_value(&mut self, place: ValuePlace, value: &[u8]) {
        let Content::Bytes(bytes) = self.0.content() else { return };
        let encoded = match template_of(bytes) {
            // SAFETY: the record uses this template.
            Some(id) => unsafe { id.encode_counted(place.number, value) },
            None => Encoded::new(value),
        };
        let has_moved_others = encoded.len() != place.end - place.start;
        if has_moved_others {
            self.0.make_gap(place.start..place.end, encoded.len());
        }
        let ContentMut::Bytes(bytes) = self.0.content_mut() else { return };
        if let Some(target) = bytes.get_mut(place.start..place.start + encoded.len()) {
            encoded.write_to(target);
        }
        if let Some(id) = template_of(bytes).filter(|_| has_moved_others) {
            // SAFETY: the record uses this template, of which nothing is kept.
            let count = unsafe { id.get() }.map_or(0, Template::len);
            let skips = Skips { start: key_range(bytes).end, count };
            skips.shift(bytes, place.number, place.end - place.start, encoded.len());
        }
    }

    /// The earliest expiry of a field, due ones included.
    #[inline]
    pub(super) fn first_field_expiry(&self) -> Option<UnixMillis> {
        match self.0.content() {
            Content::Bytes(bytes) if !flags_of(bytes).contains(RecordFlags::FIELD_EXPIRY) => None,
            Content::Bytes(bytes) => {
                Packed::without_template(bytes, key_range(bytes).end).entries().filter_map(|entry| entry.expiry).min()
            }
            Content::Boxed(record) => record.table.first_expiry(),
        }
    }

    /// The clock at the last access.
    pub(super) fn access(&self) -> AccessClock {
        match self.0.content() {
            Content::Bytes(bytes) => AccessClock(array_at(bytes, ACCESS)),
            Content::Boxed(record) => record.access,
        }
    }

    /// Moves the access clock; a record whose clock stands there already is not written to.
    #[inline]
    pub(super) fn set_access(&mut self, access: AccessClock) {
        match self.0.content_mut() {
            ContentMut::Bytes(bytes) => {
                if array_at(bytes, ACCESS) != access.0 {
                    put(bytes, ACCESS, &access.0);
                }
            }
            ContentMut::Boxed(record) => record.access = access,
        }
    }

    /// A copy of the hash under another name.
    pub(super) fn renamed(&self, key: &[u8], hasher: &KeyHasher) -> Self {
        if let Body::Packed(packed) = self.body()
            && packed.bytes().len() + key.len() > MOST_PACKED_BYTES
        {
            return Self::of_table(Box::new(TableRecord::of_packed(packed, key, hasher)));
        }
        match self.0.content() {
            Content::Bytes(bytes) => {
                let old_key = key_range(bytes);
                let mut copy = Vec::with_capacity(bytes.len() + key.len() + 8);
                copy.extend_from_slice(bytes.get(..EXPIRY + expiry_width(flags_of(bytes))).unwrap_or_default());
                packed::write_length(&mut copy, key.len());
                copy.extend_from_slice(key);
                copy.extend_from_slice(bytes.get(old_key.end..).unwrap_or_default());
                if let Some(id) = template_of(bytes) {
                    id.add_user();
                }
                Self::of_bytes(&copy)
            }
            Content::Boxed(record) => Self::of_table(Box::new(TableRecord { key: key.into(), ..record.clone() })),
        }
    }

    /// A copy; that of a big hash shares its leaves.
    pub(super) fn duplicate(&self) -> Self {
        match self.0.content() {
            Content::Bytes(bytes) => {
                if let Some(id) = template_of(bytes) {
                    id.add_user();
                }
                Self::of_bytes(bytes)
            }
            Content::Boxed(record) => Self::of_table(Box::new(record.clone())),
        }
    }

    /// About how many bytes are copied by [`Record::duplicate`].
    pub(super) fn copied_bytes(&self) -> usize {
        const LEAF: usize = 64;
        match self.0.content() {
            Content::Bytes(bytes) => bytes.len() + LEAF,
            Content::Boxed(record) => (record.table.leaf_count() + 1) * LEAF,
        }
    }

    /// The hash under another name, without copying a big one.
    pub(super) fn into_renamed(mut self, key: &[u8], hasher: &KeyHasher) -> Self {
        let Some(record) = self.table_mut() else { return self.renamed(key, hasher) };
        record.key = key.into();
        self
    }

    /// What it takes in memory, with its share of its template; of a big hash as far as `samples` of its leaves tell.
    pub(super) fn memory(&self, samples: usize) -> usize {
        match self.0.content() {
            Content::Bytes(bytes) => {
                thin::allocated(bytes.len()) + template_of(bytes).map_or(0, TemplateId::memory_per_user)
            }
            Content::Boxed(record) => {
                size_class(size_of::<TableRecord>()) + size_class(record.key.len()) + record.table.memory(samples)
            }
        }
    }
}

/// The number of the template that a packed record uses.
#[inline]
fn template_of(bytes: &[u8]) -> Option<TemplateId> {
    flags_of(bytes).contains(RecordFlags::TEMPLATE).then(|| TemplateId::from_bytes(array_at(bytes, SHAPE)))
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Content::Bytes(bytes) = self.0.content()
            && let Some(id) = template_of(bytes)
        {
            // SAFETY: the record uses this template, and is gone afterwards.
            unsafe { id.drop_user() };
        }
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Record {}

impl std::hash::Hash for Record {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write(self.key());
    }
}
