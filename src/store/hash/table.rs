//! The encoding of a big hash: packed leaves in the order of the fields' keyed hashes, so that HSCAN needs no state.
//!
//! A leaf holds the few dozen fields whose positions lie between its own and that of the next leaf, in the packed form that
//! small hashes have: a field costs its bytes and two lengths, and no allocation of its own. Positions never change while
//! the hash grows and shrinks: a cursor is a position, and nothing is missed or seen twice. A copy of a table shares the
//! leaves until one of the two changes them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::packed::{self, Encoded, Entries, Entry, Tail, ValuePlace};
use super::value::Value;
use crate::base::clock::UnixMillis;
use crate::base::memory::size_class;
use crate::base::random::Random;
use crate::store::position::{KeyHasher, Position, ScanCursor};

/// A leaf splits beyond this many fields: more in tables of moderate size, which stay close to what a packed hash takes,
/// fewer in big ones, whose leaves are never in the cache,
const MOST_FIELDS: usize = 64;
const MOST_FIELDS_OF_BIG: usize = 32;
const BIG: usize = 4096;
/// or beyond this many bytes, unless a single field takes them.
const MOST_BYTES: usize = 4096;
/// A leaf with fewer fields joins the next one if both together have at most half of what a leaf may have.
const FEW_FIELDS: usize = MOST_FIELDS_OF_BIG / 4;

/// One field as readers see it.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct TableEntry<'a> {
    pub(in crate::store) field: &'a [u8],
    pub(in crate::store) value: Value<'a>,
    pub(in crate::store) expiry: Option<UnixMillis>,
}

/// Some fields of neighbouring positions, in no order.
#[derive(Debug, Clone, Default)]
struct Leaf {
    bytes: Vec<u8>,
    count: usize,
    /// Whether every field is followed by its expiry.
    with_expiries: bool,
    /// The earliest of them.
    first_expiry: Option<UnixMillis>,
}

impl Leaf {
    fn entries(&self) -> Entries<'_> {
        Entries::new(&self.bytes, 0, self.with_expiries)
    }

    /// The entry that begins at `start`.
    fn entry_at(&self, start: usize) -> Option<Entry<'_>> {
        Entries::new(&self.bytes, start, self.with_expiries).next()
    }

    fn push(&mut self, field: &[u8], value: &Encoded<'_>, expiry: Option<UnixMillis>) {
        let tail = self.make_room_for(field.len() + value.len(), expiry);
        packed::push_entry(&mut self.bytes, field, value, tail);
    }

    /// Appends an entry of another leaf.
    fn copy(&mut self, from: &Self, entry: &Entry<'_>) {
        let tail = self.make_room_for(entry.end - entry.start, entry.expiry);
        packed::copy_entry(&mut self.bytes, &from.bytes, entry, tail);
    }

    /// Prepares for one more field, which the caller appends.
    fn make_room_for(&mut self, bytes: usize, expiry: Option<UnixMillis>) -> Tail {
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

    /// Changes a field that is there.
    fn replace(&mut self, place: &Place, value: &Encoded<'_>, expiry: Option<UnixMillis>) {
        packed::replace_value(&mut self.bytes, place.value, value);
        if place.expiry != expiry {
            self.write_expiry(place.value.start + value.len(), place.start, expiry);
        }
    }

    /// Sets the expiry of the field that starts at `start` and whose value ends at `value_end`.
    fn write_expiry(&mut self, value_end: usize, start: usize, expiry: Option<UnixMillis>) {
        if self.with_expiries {
            packed::write_expiry(&mut self.bytes, value_end + packed::EXPIRY_BYTES, expiry);
        } else {
            // Entries before this one have grown too: it is found by its number.
            let number = self.entries().take_while(|entry| entry.start < start).count();
            self.give_room_for_expiries();
            if let Some(end) = self.entries().nth(number).map(|entry| entry.end) {
                packed::write_expiry(&mut self.bytes, end, expiry);
            }
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

    fn remove(&mut self, place: &Place) {
        self.bytes.drain(place.start..place.end);
        self.count -= 1;
        if place.expiry.is_some() {
            self.first_expiry = self.entries().filter_map(|entry| entry.expiry).min();
        }
    }

    /// What it holds, in no more memory than that takes; it is empty afterwards.
    fn take(&mut self) -> Arc<Self> {
        let taken = Self { bytes: self.bytes.as_slice().to_vec(), ..*self };
        self.bytes.clear();
        *self = Self { bytes: std::mem::take(&mut self.bytes), ..Self::default() };
        Arc::new(taken)
    }

    fn is_full(&self, most_fields: usize) -> bool {
        self.count > most_fields || (self.bytes.len() > MOST_BYTES && self.count > 1)
    }
}

fn earlier(one: Option<UnixMillis>, other: Option<UnixMillis>) -> Option<UnixMillis> {
    one.into_iter().chain(other).min()
}

/// Where a field lies in its leaf.
struct Place {
    start: usize,
    value: ValuePlace,
    end: usize,
    expiry: Option<UnixMillis>,
}

impl Place {
    fn of(entry: &Entry<'_>) -> Self {
        Self { start: entry.start, value: entry.value_place(), end: entry.end, expiry: entry.expiry }
    }
}

/// A big hash's fields.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Table {
    /// The leaves by the position from which on they hold fields; the first one's is 0.
    leaves: BTreeMap<u64, Arc<Leaf>>,
    len: usize,
    /// The first expiry in each leaf that has one, soonest first.
    expiries: BTreeSet<(UnixMillis, u64)>,
}

/// A field that comes with others: name, value, expiry.
pub(in crate::store) type NewEntry<'a> = (&'a [u8], &'a [u8], Option<UnixMillis>);

impl Table {
    /// A table of fields none of which comes twice, leaf by leaf. `field` gives each of them by its number.
    pub(in crate::store) fn of<'a>(hasher: &KeyHasher, len: usize, field: impl Fn(usize) -> NewEntry<'a>) -> Self {
        let mut order: Vec<(Position, usize)> = (0..len).map(|at| (hasher.position(field(at).0), at)).collect();
        order.sort_unstable();
        // As full as leaves are in which fields have come one by one.
        let most_fields = if len > BIG { MOST_FIELDS_OF_BIG } else { MOST_FIELDS } / 4 * 3;
        let (mut leaves, mut leaf, mut start, mut last) = (Vec::new(), Leaf::default(), 0, None);
        for (position, at) in order {
            let (name, value, expiry) = field(at);
            let is_full = leaf.count >= most_fields || leaf.bytes.len() + name.len() + value.len() > MOST_BYTES / 4 * 3;
            if is_full && leaf.count > 0 && last != Some(position) {
                leaves.push((start, leaf.take()));
                start = position.0;
            }
            leaf.push(name, &Encoded::new(value), expiry);
            last = Some(position);
        }
        leaves.push((start, leaf.take()));
        let first = |&(start, ref leaf): &(u64, Arc<Leaf>)| leaf.first_expiry.map(|at| (at, start));
        let expiries = leaves.iter().filter_map(first).collect();
        Self { leaves: leaves.into_iter().collect(), len, expiries }
    }

    pub(in crate::store) fn len(&self) -> usize {
        self.len
    }

    /// Number of its leaves.
    pub(in crate::store) fn leaf_count(&self) -> usize {
        self.leaves.len()
    }

    /// What it takes in memory, its fields as `samples` of its leaves have them (all of them if 0).
    pub(in crate::store) fn memory(&self, samples: usize) -> usize {
        /// What a leaf and an expiry take in the trees, whose nodes are two thirds full.
        const PLACE: usize = 33;
        const EXPIRY: usize = 27;
        let samples = if samples == 0 { self.leaves.len() } else { samples.min(self.leaves.len()) };
        // Two counts before the leaf itself.
        let shell = size_class(size_of::<Leaf>() + 2 * size_of::<usize>()) + PLACE;
        let seen: usize = self.leaves.values().take(samples).map(|leaf| size_class(leaf.bytes.capacity())).sum();
        let texts = (seen * self.leaves.len()).checked_div(samples).unwrap_or(0);
        texts + shell * self.leaves.len() + EXPIRY * self.expiries.len()
    }

    pub(in crate::store) fn first_expiry(&self) -> Option<UnixMillis> {
        self.expiries.first().map(|&(at, _)| at)
    }

    /// Number of fields whose expiry is not after `now`.
    pub(in crate::store) fn due_count(&self, now: UnixMillis) -> usize {
        let due_leaves = self.expiries.iter().take_while(|&&(at, _)| at <= now);
        let leaves = due_leaves.filter_map(|(_, start)| self.leaves.get(start));
        leaves.flat_map(|leaf| leaf.entries()).filter(|entry| entry.expiry.is_some_and(|at| at <= now)).count()
    }

    /// Removes the fields of one leaf that are due, if there are any; gives their names.
    pub(in crate::store) fn remove_some_due(&mut self, now: UnixMillis) -> Vec<Vec<u8>> {
        let first = self.expiries.first().copied().filter(|&(at, _)| at <= now);
        let Some((_, start)) = first else { return Vec::new() };
        let mut removed = Vec::new();
        self.change_leaf(start, |leaf| {
            let mut kept = Leaf::default();
            for entry in leaf.entries() {
                if entry.expiry.is_some_and(|at| at <= now) {
                    removed.push(entry.field.to_vec());
                } else {
                    kept.copy(leaf, &entry);
                }
            }
            *leaf = kept;
        });
        self.len -= removed.len();
        self.tidy(start);
        removed
    }

    pub(in crate::store) fn find(&self, hasher: &KeyHasher, field: &[u8]) -> Option<TableEntry<'_>> {
        let (_, leaf) = self.leaf_of(hasher.position(field))?;
        leaf.entries().find_field(field).map(|entry| entry_of(&entry))
    }

    pub(in crate::store) fn iter(&self) -> impl Iterator<Item = TableEntry<'_>> {
        self.leaves.values().flat_map(|leaf| leaf.entries()).map(|entry| entry_of(&entry))
    }

    /// Sets a field's value, and its expiry to what `expiry` makes of the one it has; tells whether the field is new.
    pub(in crate::store) fn set(
        &mut self,
        hasher: &KeyHasher,
        field: &[u8],
        value: &[u8],
        expiry: impl FnOnce(Option<UnixMillis>) -> Option<UnixMillis>,
    ) -> bool {
        if self.leaves.is_empty() {
            self.leaves.insert(0, Arc::default());
        }
        let position = hasher.position(field);
        let start = self.leaf_of(position).map_or(0, |(start, _)| start);
        let place = self.leaves.get(&start).and_then(|leaf| leaf.entries().find_field(field).map(|at| Place::of(&at)));
        let encoded = Encoded::new(value);
        if let Some(place) = place {
            self.replace(start, &place, (field, &encoded), expiry(place.expiry));
            self.split_if_full(start, hasher);
            return false;
        }
        let start = self.make_way(start, position, field.len() + value.len(), hasher);
        self.change_leaf(start, |leaf| leaf.push(field, &encoded, expiry(None)));
        self.len += 1;
        self.split_if_full(start, hasher);
        true
    }

    /// Changes a field that is there. One that has its leaf to itself is not moved about, nor copied for a leaf's sharers.
    fn replace(
        &mut self,
        start: u64,
        place: &Place,
        (field, value): (&[u8], &Encoded<'_>),
        expiry: Option<UnixMillis>,
    ) {
        let alone = self.leaves.get_mut(&start).filter(|leaf| leaf.count == 1);
        if let Some(leaf) = alone {
            let before = leaf.first_expiry;
            let mut fresh = Leaf::default();
            fresh.push(field, value, expiry);
            *leaf = Arc::new(fresh);
            return self.note_expiry(start, before, expiry);
        }
        self.change_leaf(start, |leaf| leaf.replace(place, value, expiry));
    }

    fn split_if_full(&mut self, start: u64, hasher: &KeyHasher) {
        let most_fields = if self.len > BIG { MOST_FIELDS_OF_BIG } else { MOST_FIELDS };
        if self.leaves.get(&start).is_some_and(|leaf| leaf.is_full(most_fields)) {
            self.split(start, hasher);
        }
    }

    pub(in crate::store) fn set_expiry(&mut self, hasher: &KeyHasher, field: &[u8], expiry: Option<UnixMillis>) {
        let Some((start, _)) = self.leaf_of(hasher.position(field)) else { return };
        self.change_leaf(start, |leaf| {
            let Some(entry) = leaf.entries().find_field(field) else { return };
            let (value_end, start) = (entry.value_end, entry.start);
            leaf.write_expiry(value_end, start, expiry);
        });
    }

    pub(in crate::store) fn remove(&mut self, hasher: &KeyHasher, field: &[u8]) -> bool {
        let Some((start, leaf)) = self.leaf_of(hasher.position(field)) else { return false };
        let Some(place) = leaf.entries().find_field(field).map(|entry| Place::of(&entry)) else { return false };
        self.change_leaf(start, |leaf| leaf.remove(&place));
        self.len -= 1;
        self.tidy(start);
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
        const STRETCH: usize = 256;
        const TRIES: usize = 100;
        for _ in 0..TRIES {
            let (start, skip) = if self.len <= EXACT_UP_TO {
                (0, random.below(self.len.max(1)))
            } else {
                (Position::of_hash(random.next_u64()).0, random.below(STRETCH))
            };
            if let Some(entry) = self.nth_from(start, skip).filter(&accept) {
                return Some(entry);
            }
        }
        self.iter().find(accept)
    }

    /// The entry `skip` entries after a position, around the end if need be.
    fn nth_from(&self, position: u64, mut skip: usize) -> Option<TableEntry<'_>> {
        let leaves = self.leaves.range(position..).chain(self.leaves.range(..position));
        for (_, leaf) in leaves {
            if skip < leaf.count {
                return leaf.entries().nth(skip).map(|entry| entry_of(&entry));
            }
            skip -= leaf.count;
        }
        None
    }

    /// Visits `count` fields from `cursor` on, all of one position together, and the rest of a leaf with them if there are
    /// not twice as many then; gives the cursor to go on with.
    pub(in crate::store) fn scan<'a>(
        &'a self,
        hasher: &KeyHasher,
        (cursor, count): (ScanCursor, usize),
        mut visit: impl FnMut(TableEntry<'a>),
    ) -> ScanCursor {
        let from = cursor.position();
        let most = count.saturating_mul(2);
        let first = self.leaf_of(from).map_or(0, |(start, _)| start);
        let mut visited = 0;
        for (&start, leaf) in self.leaves.range(first..) {
            if visited >= count {
                return ScanCursor::at(Position(start));
            }
            if start >= from.0 && visited + leaf.count <= most {
                leaf.entries().for_each(|entry| visit(entry_of(&entry)));
                visited += leaf.count;
                continue;
            }
            let placed = leaf.entries().map(|entry| (hasher.position(entry.field), entry.start));
            let mut ahead = Vec::with_capacity(leaf.count);
            ahead.extend(placed.filter(|&(position, _)| position >= from));
            let mut given = ahead.len();
            if visited + given > most {
                ahead.sort_unstable();
                let last = ahead.get(count - visited - 1).map(|&(position, _)| position);
                given = ahead.partition_point(|&(position, _)| Some(position) <= last);
            }
            for (_, at) in ahead.iter().take(given) {
                leaf.entry_at(*at).into_iter().for_each(|entry| visit(entry_of(&entry)));
            }
            visited += given;
            if let Some(&(position, _)) = ahead.get(given) {
                return ScanCursor::at(position);
            }
        }
        ScanCursor::END
    }

    /// The leaf in which fields of a position are, with its start.
    fn leaf_of(&self, position: Position) -> Option<(u64, &Leaf)> {
        self.leaves.range(..=position.0).next_back().map(|(&start, leaf)| (start, &**leaf))
    }

    /// Changes a leaf, which is copied first if another table shares it, and keeps its first expiry known.
    fn change_leaf<R>(&mut self, start: u64, change: impl FnOnce(&mut Leaf) -> R) -> Option<R> {
        let leaf = Arc::make_mut(self.leaves.get_mut(&start)?);
        let before = leaf.first_expiry;
        let result = change(leaf);
        let after = leaf.first_expiry;
        self.note_expiry(start, before, after);
        Some(result)
    }

    fn note_expiry(&mut self, start: u64, before: Option<UnixMillis>, after: Option<UnixMillis>) {
        if before == after {
            return;
        }
        if let Some(at) = before {
            self.expiries.remove(&(at, start));
        }
        if let Some(at) = after {
            self.expiries.insert((at, start));
        }
    }

    /// The leaf for a new field of `bytes` bytes: the one at `start`, or one of its own, lest that one's fields or the new
    /// one be copied about because they are large.
    fn make_way(&mut self, start: u64, position: Position, bytes: usize, hasher: &KeyHasher) -> u64 {
        let Some(leaf) = self.leaves.get(&start).map(Arc::clone) else { return start };
        if leaf.count == 0 || leaf.bytes.len().max(bytes) <= MOST_BYTES {
            return start;
        }
        let of = |entry: &Entry<'_>| hasher.position(entry.field).0;
        if leaf.count == 1 {
            match leaf.entries().next().map(|entry| of(&entry)) {
                Some(other) if other > position.0 => {
                    self.put_leaf(start, Arc::default());
                    self.put_leaf(other, leaf);
                    return start;
                }
                Some(other) if other < position.0 => {
                    self.put_leaf(position.0, Arc::default());
                    return position.0;
                }
                _ => return start,
            }
        }
        let (mut low, mut same, mut high) = (Leaf::default(), Leaf::default(), Leaf::default());
        for entry in leaf.entries() {
            let part = match of(&entry).cmp(&position.0) {
                std::cmp::Ordering::Less => &mut low,
                std::cmp::Ordering::Equal => &mut same,
                std::cmp::Ordering::Greater => &mut high,
            };
            part.copy(&leaf, &entry);
        }
        let above = high.entries().map(|entry| of(&entry)).min();
        self.put_leaf(start, Arc::new(low));
        self.put_leaf(position.0, Arc::new(same));
        if let Some(above) = above {
            self.put_leaf(above, Arc::new(high));
        }
        position.0
    }

    /// Puts a leaf in the place of the one at `start`, or where there was none.
    fn put_leaf(&mut self, start: u64, leaf: Arc<Leaf>) {
        let after = leaf.first_expiry;
        let before = self.leaves.insert(start, leaf).and_then(|leaf| leaf.first_expiry);
        self.note_expiry(start, before, after);
    }

    /// Puts the upper half of a leaf's fields into one of its own. Fields of one position stay together.
    fn split(&mut self, start: u64, hasher: &KeyHasher) {
        let Some(leaf) = self.leaves.get(&start).map(Arc::clone) else { return };
        let mut positions: Vec<u64> = leaf.entries().map(|entry| hasher.position(entry.field).0).collect();
        positions.sort_unstable();
        let lowest = positions.first().copied();
        let middle = positions.get(positions.len() / 2).copied();
        let cut = middle.filter(|&middle| Some(middle) != lowest);
        let Some(cut) = cut.or_else(|| positions.last().copied().filter(|&last| Some(last) != lowest)) else { return };
        let (mut low, mut high) = (Leaf::default(), Leaf::default());
        for entry in leaf.entries() {
            let half = if hasher.position(entry.field).0 < cut { &mut low } else { &mut high };
            half.copy(&leaf, &entry);
        }
        low.bytes.shrink_to_fit();
        high.bytes.shrink_to_fit();
        self.put_leaf(start, Arc::new(low));
        self.put_leaf(cut, Arc::new(high));
    }

    /// Joins a leaf that has become small with the next one.
    fn tidy(&mut self, start: u64) {
        let Some(leaf) = self.leaves.get(&start).filter(|leaf| leaf.count < FEW_FIELDS).map(Arc::clone) else { return };
        if self.len == 0 {
            *self = Self::default();
            return;
        }
        let next = self.leaves.range(start + 1..).next().map(|(&next, leaf)| (next, Arc::clone(leaf)));
        let Some((next, other)) = next else { return };
        if leaf.count + other.count > MOST_FIELDS_OF_BIG / 2 || leaf.bytes.len() + other.bytes.len() > MOST_BYTES / 2 {
            return;
        }
        self.leaves.remove(&next);
        self.note_expiry(next, other.first_expiry, None);
        self.change_leaf(start, |leaf| {
            for entry in other.entries() {
                leaf.copy(&other, &entry);
            }
        });
    }
}

fn entry_of<'a>(entry: &Entry<'a>) -> TableEntry<'a> {
    TableEntry { field: entry.field, value: entry.value, expiry: entry.expiry }
}

#[cfg(test)]
mod tests {
    use super::{KeyHasher, Table, UnixMillis};
    use crate::store::position::ScanCursor;

    fn check(count: usize, value_length: usize) {
        let hasher = KeyHasher::new();
        let fields: Vec<_> = (0..count)
            .map(|number| {
                let expiry = number.is_multiple_of(7).then(|| UnixMillis(1_000_000 - i64::try_from(number).unwrap()));
                (format!("field:{number}").into_bytes(), vec![b'v'; value_length + number % 3], expiry)
            })
            .collect();
        let field = |at: usize| (&fields[at].0[..], &fields[at].1[..], fields[at].2);
        let mut at_once = Table::of(&hasher, count, field);
        let mut one_by_one = Table::default();
        for (name, value, expiry) in &fields {
            one_by_one.set(&hasher, name, value, |_| *expiry);
        }
        assert_eq!((at_once.len(), at_once.first_expiry()), (count, one_by_one.first_expiry()));
        let scanned = |table: &Table| {
            let mut all = Vec::new();
            table.scan(&hasher, (ScanCursor(0), usize::MAX), |entry| {
                all.push((entry.field.to_vec(), entry.value.text().to_vec(), entry.expiry));
            });
            all.sort();
            all
        };
        assert_eq!(scanned(&at_once), scanned(&one_by_one));
        for (name, ..) in &fields {
            assert!(at_once.find(&hasher, name).is_some());
            assert!(!at_once.set(&hasher, name, b"another", |_| None));
            assert!(at_once.remove(&hasher, name));
        }
        assert_eq!((at_once.len(), at_once.first_expiry()), (0, None));
    }

    #[test]
    fn a_table_made_at_once_is_as_one_made_field_by_field() {
        for (count, value_length) in [(1, 1), (47, 5), (49, 5), (700, 900), (60, 5000), (6000, 10)] {
            check(if cfg!(miri) { count.min(60) } else { count }, value_length);
        }
    }
}
