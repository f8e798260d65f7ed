//! The encoding of a big hash: fields ordered by their keyed hash, so that HSCAN needs no state.
//!
//! A field's place is the 48-bit position its hash gives it, made unique by a sequence number in the low 16 bits.
//! Positions never change while the hash grows and shrinks: a cursor is a position, and nothing is missed or seen twice.

use std::collections::{BTreeMap, BTreeSet};

use super::packed::{read_length, write_length};
use crate::base::clock::UnixMillis;
use crate::base::random::Random;
use crate::store::scan::{Position, ScanCursor};

/// A field with its value in one allocation.
#[derive(Debug, Clone)]
struct Slot {
    /// Length of the field, field, value.
    bytes: Box<[u8]>,
    expiry: Option<UnixMillis>,
}

impl Slot {
    fn new(field: &[u8], value: &[u8], expiry: Option<UnixMillis>) -> Self {
        let mut bytes = Vec::with_capacity(field.len() + value.len() + 3);
        write_length(&mut bytes, field.len());
        bytes.extend_from_slice(field);
        bytes.extend_from_slice(value);
        Self { bytes: bytes.into_boxed_slice(), expiry }
    }

    fn field(&self) -> &[u8] {
        let (length, start) = read_length(&self.bytes, 0);
        self.bytes.get(start..start + length).unwrap_or_default()
    }

    fn value(&self) -> &[u8] {
        let (length, start) = read_length(&self.bytes, 0);
        self.bytes.get(start + length..).unwrap_or_default()
    }
}

/// One field as readers see it.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct TableEntry<'a> {
    pub(in crate::store) field: &'a [u8],
    pub(in crate::store) value: &'a [u8],
    pub(in crate::store) expiry: Option<UnixMillis>,
}

/// A big hash's fields.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Table {
    slots: BTreeMap<u64, Slot>,
    /// Expiry and place of every field that has one, soonest first.
    expiries: BTreeSet<(UnixMillis, u64)>,
}

impl Table {
    pub(in crate::store) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(in crate::store) fn first_expiry(&self) -> Option<UnixMillis> {
        self.expiries.first().map(|&(at, _)| at)
    }

    /// Number of fields whose expiry is not after `now`.
    pub(in crate::store) fn due_count(&self, now: UnixMillis) -> usize {
        self.expiries.iter().take_while(|&&(at, _)| at <= now).count()
    }

    /// Removes a field that is due, if there is one, and gives its name.
    pub(in crate::store) fn remove_first_due(&mut self, now: UnixMillis) -> Option<Vec<u8>> {
        let (at, place) = self.expiries.first().copied().filter(|&(at, _)| at <= now)?;
        self.expiries.remove(&(at, place));
        self.slots.remove(&place).map(|slot| slot.field().to_vec())
    }

    pub(in crate::store) fn find(&self, position: Position, field: &[u8]) -> Option<TableEntry<'_>> {
        let place = self.place_of(position, field)?;
        self.slots.get(&place).map(entry_of)
    }

    pub(in crate::store) fn iter(&self) -> impl Iterator<Item = TableEntry<'_>> {
        self.slots.values().map(entry_of)
    }

    /// Sets a field's value and expiry; tells whether the field is new.
    pub(in crate::store) fn set(
        &mut self,
        position: Position,
        field: &[u8],
        value: &[u8],
        expiry: Option<UnixMillis>,
    ) -> bool {
        let known = self.place_of(position, field);
        let place = known.unwrap_or_else(|| self.free_place(position));
        if let Some(old) = self.slots.insert(place, Slot::new(field, value, expiry))
            && let Some(at) = old.expiry
        {
            self.expiries.remove(&(at, place));
        }
        if let Some(at) = expiry {
            self.expiries.insert((at, place));
        }
        known.is_none()
    }

    pub(in crate::store) fn set_expiry(&mut self, position: Position, field: &[u8], expiry: Option<UnixMillis>) {
        let Some(place) = self.place_of(position, field) else { return };
        let Some(slot) = self.slots.get_mut(&place) else { return };
        if let Some(at) = slot.expiry {
            self.expiries.remove(&(at, place));
        }
        slot.expiry = expiry;
        if let Some(at) = expiry {
            self.expiries.insert((at, place));
        }
    }

    pub(in crate::store) fn remove(&mut self, position: Position, field: &[u8]) -> bool {
        let Some(place) = self.place_of(position, field) else { return false };
        if let Some(slot) = self.slots.remove(&place)
            && let Some(at) = slot.expiry
        {
            self.expiries.remove(&(at, place));
        }
        true
    }

    /// A field at random among those `accept` takes. Exact for hashes of moderate size; in very big ones the choice is
    /// made within a random stretch of neighbours, which evens out the gaps between positions.
    pub(in crate::store) fn random(
        &self,
        random: &mut Random,
        accept: impl Fn(&TableEntry<'_>) -> bool,
    ) -> Option<TableEntry<'_>> {
        const EXACT_UP_TO: usize = 4096;
        const STRETCH: usize = 128;
        const TRIES: usize = 100;
        for _ in 0..TRIES {
            let entry = if self.slots.len() <= EXACT_UP_TO {
                self.slots.values().nth(random.below(self.slots.len().max(1)))
            } else {
                let start = random.next_u64();
                let stretch = self.slots.range(start..).chain(self.slots.range(..start));
                stretch.map(|(_, slot)| slot).nth(random.below(STRETCH))
            };
            if let Some(entry) = entry.map(entry_of).filter(&accept) {
                return Some(entry);
            }
        }
        self.iter().find(accept)
    }

    /// Visits about `count` fields from `cursor` on, all of one position together; gives the cursor to go on with.
    pub(in crate::store) fn scan<'a>(
        &'a self,
        cursor: ScanCursor,
        count: usize,
        mut visit: impl FnMut(TableEntry<'a>),
    ) -> ScanCursor {
        let mut last = None;
        for (visited, (&place, slot)) in self.slots.range(cursor.position().0 << SEQUENCE_BITS..).enumerate() {
            let position = Position(place >> SEQUENCE_BITS);
            if visited >= count && last != Some(position) {
                return ScanCursor::at(position);
            }
            last = Some(position);
            visit(entry_of(slot));
        }
        ScanCursor::END
    }

    fn place_of(&self, position: Position, field: &[u8]) -> Option<u64> {
        let first = position.0 << SEQUENCE_BITS;
        if self.slots.get(&first).is_some_and(|slot| slot.field() == field) {
            return Some(first);
        }
        self.slots.range(places(position)).find(|(_, slot)| slot.field() == field).map(|(&place, _)| place)
    }

    fn free_place(&self, position: Position) -> u64 {
        let first = position.0 << SEQUENCE_BITS;
        if !self.slots.contains_key(&first) {
            return first;
        }
        places(position).find(|place| !self.slots.contains_key(place)).unwrap_or(first)
    }
}

const SEQUENCE_BITS: u32 = 16;

fn places(position: Position) -> std::ops::RangeInclusive<u64> {
    let first = position.0 << SEQUENCE_BITS;
    first..=first | 0xffff
}

fn entry_of(slot: &Slot) -> TableEntry<'_> {
    TableEntry { field: slot.field(), value: slot.value(), expiry: slot.expiry }
}
