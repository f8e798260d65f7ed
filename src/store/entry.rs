//! One key: its name, its hash, its expiry and its access clock.
//!
//! A small hash is one allocation that holds everything, the key included, so that a lookup touches one place in memory:
//!
//! ```text
//! flags:1  access:4  count:2  [key expiry:8]  key length:varint  key  { field length:varint field
//!                                                                        value length:varint value [expiry:8] }*
//! ```
//!
//! A big one is a [`Table`] beside its key.

use super::hash::packed::{self, Entries};
use super::hash::table::Table;
use crate::base::clock::UnixMillis;
use crate::base::prefetch::prefetch;

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
    }
}

/// One key with all that belongs to it.
#[derive(Debug)]
pub(super) enum Record {
    /// A small hash with its key in one allocation.
    Packed(Box<[u8]>),
    /// A big hash.
    Table(Box<TableRecord>),
}

/// A big hash with its key.
#[derive(Debug, Clone)]
pub(super) struct TableRecord {
    pub(super) key: Box<[u8]>,
    pub(super) flags: RecordFlags,
    pub(super) access: u32,
    pub(super) key_expiry: Option<UnixMillis>,
    pub(super) table: Table,
}

const ACCESS: usize = 1;
const COUNT: usize = 5;
const EXPIRY: usize = 7;

/// A packed record read through its header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed<'a> {
    bytes: &'a [u8],
    key_start: usize,
    entries_start: usize,
}

impl<'a> Packed<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let flags = flags_of(bytes);
        let start = if flags.contains(RecordFlags::KEY_EXPIRY) { EXPIRY + 8 } else { EXPIRY };
        let (length, key_start) = packed::read_length(bytes, start);
        Self { bytes, key_start, entries_start: key_start + length }
    }

    pub(super) fn key(self) -> &'a [u8] {
        self.bytes.get(self.key_start..self.entries_start).unwrap_or_default()
    }

    pub(super) fn flags(self) -> RecordFlags {
        flags_of(self.bytes)
    }

    pub(super) fn count(self) -> usize {
        usize::from(u16::from_le_bytes(array_at(self.bytes, COUNT)))
    }

    pub(super) fn access(self) -> u32 {
        u32::from_le_bytes(array_at(self.bytes, ACCESS))
    }

    pub(super) fn key_expiry(self) -> Option<UnixMillis> {
        self.flags()
            .contains(RecordFlags::KEY_EXPIRY)
            .then(|| UnixMillis(i64::from_le_bytes(array_at(self.bytes, EXPIRY))))
    }

    pub(super) fn has_field_expiries(self) -> bool {
        self.flags().contains(RecordFlags::FIELD_EXPIRY)
    }

    /// Where the fields begin.
    pub(super) fn entries_start(self) -> usize {
        self.entries_start
    }

    pub(super) fn entries(self) -> Entries<'a> {
        Entries::new(self.bytes, self.entries_start, self.has_field_expiries())
    }
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().unwrap_or([0; N])
}

fn flags_of(bytes: &[u8]) -> RecordFlags {
    RecordFlags::from_bits_truncate(bytes.first().copied().unwrap_or_default())
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(target) = bytes.get_mut(at..at + value.len()) {
        target.copy_from_slice(value);
    }
}

/// A new packed record for `key` without fields.
pub(super) fn new_packed(key: &[u8], access: u32, reserve: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(EXPIRY + 5 + key.len() + reserve);
    bytes.push(0);
    bytes.extend_from_slice(&access.to_le_bytes());
    bytes.extend_from_slice(&[0, 0]);
    packed::write_length(&mut bytes, key.len());
    bytes.extend_from_slice(key);
    bytes
}

pub(super) fn set_count(bytes: &mut [u8], count: usize) {
    put(bytes, COUNT, &u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes());
}

pub(super) fn set_flags(bytes: &mut [u8], flags: RecordFlags) {
    put(bytes, 0, &[flags.bits()]);
}

/// Sets or removes the key's expiry in a packed record.
pub(super) fn set_packed_key_expiry(bytes: &mut Vec<u8>, expiry: Option<UnixMillis>) {
    let flags = flags_of(bytes);
    let had = flags.contains(RecordFlags::KEY_EXPIRY);
    match expiry {
        Some(at) if had => put(bytes, EXPIRY, &at.0.to_le_bytes()),
        Some(at) => {
            bytes.reserve_exact(8);
            bytes.splice(EXPIRY..EXPIRY, at.0.to_le_bytes());
            set_flags(bytes, flags | RecordFlags::KEY_EXPIRY);
        }
        None if had => {
            bytes.drain(EXPIRY..EXPIRY + 8);
            set_flags(bytes, flags - RecordFlags::KEY_EXPIRY);
        }
        None => {}
    }
}

impl Record {
    pub(super) fn key(&self) -> &[u8] {
        match self {
            Self::Packed(bytes) => Packed::new(bytes).key(),
            Self::Table(record) => &record.key,
        }
    }

    /// Starts to load the record into the cache.
    #[inline]
    pub(super) fn prefetch(&self) {
        if let Self::Packed(bytes) = self {
            prefetch(bytes);
        }
    }

    /// Whether to look at all its fields takes long.
    pub(super) fn is_long(&self) -> bool {
        /// So many take about a millisecond.
        const LONG: usize = 8192;
        matches!(self, Self::Table(record) if record.table.len() > LONG)
    }

    pub(super) fn flags(&self) -> RecordFlags {
        match self {
            Self::Packed(bytes) => flags_of(bytes),
            Self::Table(record) => record.flags,
        }
    }

    pub(super) fn key_expiry(&self) -> Option<UnixMillis> {
        match self {
            Self::Packed(bytes) => Packed::new(bytes).key_expiry(),
            Self::Table(record) => record.key_expiry,
        }
    }

    pub(super) fn set_key_expiry(&mut self, expiry: Option<UnixMillis>) {
        match self {
            Self::Packed(bytes) => {
                let mut vector = std::mem::take(bytes).into_vec();
                set_packed_key_expiry(&mut vector, expiry);
                *bytes = vector.into_boxed_slice();
            }
            Self::Table(record) => record.key_expiry = expiry,
        }
    }

    /// The earliest expiry of a field, due ones included.
    pub(super) fn first_field_expiry(&self) -> Option<UnixMillis> {
        match self {
            Self::Packed(bytes) => {
                let packed = Packed::new(bytes);
                if !packed.flags().contains(RecordFlags::FIELD_EXPIRY) {
                    return None;
                }
                packed.entries().filter_map(|entry| entry.expiry).min()
            }
            Self::Table(record) => record.table.first_expiry(),
        }
    }

    /// Seconds on the access clock at the last access.
    pub(super) fn access(&self) -> u32 {
        match self {
            Self::Packed(bytes) => Packed::new(bytes).access(),
            Self::Table(record) => record.access,
        }
    }

    /// Moves the access clock; a record that has been used within this second is not written to.
    pub(super) fn set_access(&mut self, seconds: u32) {
        match self {
            _ if self.access() == seconds => {}
            Self::Packed(bytes) => put(bytes, ACCESS, &seconds.to_le_bytes()),
            Self::Table(record) => record.access = seconds,
        }
    }

    /// A copy of the hash under another name.
    pub(super) fn renamed(&self, key: &[u8]) -> Self {
        match self {
            Self::Packed(bytes) => {
                let packed = Packed::new(bytes);
                let entries = bytes.get(packed.entries_start()..).unwrap_or_default();
                let mut copy = new_packed(key, packed.access(), entries.len() + 8);
                copy.extend_from_slice(entries);
                set_flags(&mut copy, packed.flags() - RecordFlags::KEY_EXPIRY);
                set_count(&mut copy, packed.count());
                set_packed_key_expiry(&mut copy, packed.key_expiry());
                Self::Packed(copy.into_boxed_slice())
            }
            Self::Table(record) => Self::Table(Box::new(TableRecord { key: key.into(), ..(**record).clone() })),
        }
    }

    /// The hash under another name, without copying a big one.
    pub(super) fn into_renamed(self, key: &[u8]) -> Self {
        match self {
            Self::Packed(_) => self.renamed(key),
            Self::Table(mut record) => {
                record.key = key.into();
                Self::Table(record)
            }
        }
    }

    /// The name of the encoding that Redis would use.
    pub(super) fn encoding(&self) -> &'static str {
        let flags = self.flags();
        if flags.contains(RecordFlags::REPORT_HASHTABLE) {
            "hashtable"
        } else if flags.contains(RecordFlags::REPORT_EXPIRIES) {
            "listpackex"
        } else {
            "listpack"
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
