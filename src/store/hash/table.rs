//! The encoding of a big hash: packed leaves in the order of the fields' keyed hashes, so that HSCAN needs no state.
//!
//! A leaf holds the few dozen fields whose positions lie between its own and that of the next leaf, in the packed form that
//! small hashes have: a field costs its bytes and two lengths, and no allocation of its own. Positions never change while
//! the hash grows and shrinks: a cursor is a position, and nothing is missed or seen twice. A copy of a table shares the
//! leaves until one of the two changes them.
//!
//! Tables of moderate size that have the same fields share their names, as small hashes do, leaf by leaf: a template has
//! those of a leaf. A leaf that gets or loses a field, or an expiry, keeps its names itself from then on.

mod leaf;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::leaf::{Leaf, MOST_BYTES};
use super::packed::{Encoded, Entry};
use super::template::{self, SharingLeaves};
use super::value::{Value, ValueText};
use crate::base::clock::UnixMillis;
use crate::base::memory::size_class;
use crate::base::random::Random;
use crate::store::position::{KeyHasher, Position, ScanCursor};

/// A leaf splits beyond this many fields: more in tables of moderate size, which stay close to what a packed hash takes,
/// fewer in big ones, whose leaves are never in the cache.
const MOST_FIELDS: usize = 64;
const MOST_FIELDS_OF_BIG: usize = 32;
const BIG: usize = 4096;
/// A leaf with fewer fields joins the next one if both together have at most half of what a leaf may have.
const FEW_FIELDS: usize = MOST_FIELDS_OF_BIG / 4;

/// One field as readers see it.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct TableEntry<'a> {
    pub(in crate::store) field: &'a [u8],
    pub(in crate::store) value: Value<'a>,
    pub(in crate::store) expiry: Option<UnixMillis>,
}

fn earlier(one: Option<UnixMillis>, other: Option<UnixMillis>) -> Option<UnixMillis> {
    one.into_iter().chain(other).min()
}

/// A big hash's fields.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Table {
    /// The leaves by the position from which on they hold fields; the first one's is 0.
    leaves: BTreeMap<u64, Arc<Leaf>>,
    len: usize,
    sharing: SharingLeaves,
    /// The first expiry in each leaf that has one, soonest first.
    expiries: BTreeSet<(UnixMillis, u64)>,
}

/// A field that comes with others: name, value, expiry.
pub(in crate::store) type NewEntry<'a> = (&'a [u8], &'a [u8], Option<UnixMillis>);

/// The number of a field among those of which a table is made, and its position.
type Numbered = (Position, usize);

impl Table {
    /// A table of fields none of which comes twice, leaf by leaf. `field` gives each of them by its number.
    pub(in crate::store) fn of<'a>(hasher: &KeyHasher, len: usize, field: impl Fn(usize) -> NewEntry<'a>) -> Self {
        let is_moderate = (1..=BIG).contains(&len);
        let shares = is_moderate && template::are_often_met((0..len).map(|at| field(at).0));
        let most = if shares { fields_that_share((0..len).map(&field)) } else { None };
        Self::with_leaves(hasher, len, field, most)
    }

    /// The same, in leaves of so many fields that share their names, if any.
    fn with_leaves<'a>(
        hasher: &KeyHasher,
        len: usize,
        field: impl Fn(usize) -> NewEntry<'a>,
        mut sharing: Option<usize>,
    ) -> Self {
        let mut order: Vec<Numbered> = (0..len).map(|at| (hasher.position(field(at).0), at)).collect();
        order.sort_unstable();
        let mut table = Self { len, ..Self::default() };
        let mut rest = &order[..];
        while !rest.is_empty() {
            let (part, others) = rest.split_at(end_of_positions(rest, sharing.unwrap_or(len)));
            match sharing.and_then(|_| Leaf::sharing(part.iter().map(|&(_, at)| field(at)))) {
                Some(leaf) => {
                    table.append(part, Arc::new(leaf));
                    rest = others;
                }
                // Of what is left nothing is shared either.
                None if sharing.is_some() => sharing = None,
                None => {
                    table.append_plain(part, &field);
                    rest = others;
                }
            }
        }
        table
    }

    /// Appends fields in leaves as full as leaves are in which fields have come one by one.
    fn append_plain<'a>(&mut self, mut rest: &[Numbered], field: impl Fn(usize) -> NewEntry<'a>) {
        let most_fields = if self.len > BIG { MOST_FIELDS_OF_BIG } else { MOST_FIELDS } / 4 * 3;
        let mut leaf = Leaf::default();
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |&&(_, at): &&Numbered| {
                let (name, value, _) = field(at);
                bytes += name.len() + value.len();
                bytes <= MOST_BYTES / 4 * 3
            };
            let fitting = rest.iter().take(most_fields).take_while(fits).count();
            let (part, others) = rest.split_at(end_of_positions(rest, fitting));
            rest = others;
            for &(_, at) in part {
                let (name, value, expiry) = field(at);
                leaf.push(name, &Encoded::new(value), expiry);
            }
            self.append(part, leaf.take());
        }
    }

    /// Appends a leaf of these fields after all others.
    fn append(&mut self, fields: &[Numbered], leaf: Arc<Leaf>) {
        let first = fields.first().map_or(0, |(position, _)| position.0);
        self.put_leaf(if self.leaves.is_empty() { 0 } else { first }, leaf);
    }

    /// Lets leaves share their names, if many tables have the same and this one is new.
    pub(in crate::store) fn share_names(&mut self, hasher: &KeyHasher) {
        if self.len > BIG || !self.expiries.is_empty() || !template::are_often_met(self.iter().map(|entry| entry.field))
        {
            return;
        }
        let fields: Vec<(&[u8], ValueText<'_>)> = self.iter().map(|entry| (entry.field, entry.value.text())).collect();
        let field = |at: usize| fields.get(at).map_or_else(Default::default, |(name, value)| (*name, &**value, None));
        let most = fields_that_share((0..self.len).map(field));
        if most.is_some() {
            *self = Self::with_leaves(hasher, self.len, field, most);
        }
    }

    /// Lets leaves keep their names themselves that share them with few others.
    pub(in crate::store) fn leave_rare_templates(&mut self) {
        if self.sharing.count() == 0 {
            return;
        }
        // What a copy or a snapshot shares costs one leaf, however many have it.
        let alone = self.leaves.iter().filter(|(_, leaf)| Arc::strong_count(leaf) == 1);
        let rare = alone.filter(|(_, leaf)| leaf.shares_rare_names());
        for start in rare.map(|(&start, _)| start).collect::<Vec<_>>() {
            self.change_leaf(start, Leaf::keep_names);
        }
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
        let seen: usize = self.leaves.values().take(samples).map(|leaf| leaf.memory()).sum();
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
        let (position, most_fields) = (hasher.position(field), self.most_fields());
        let mut start = 0;
        if let Some((&there, leaf)) = self.leaves.range_mut(..=position.0).next_back() {
            start = there;
            if let Some(found) = leaf.entries().find_field(field) {
                let (place, old) = (found.value_place(), found.expiry);
                let new = expiry(old);
                if leaf.count == 1 {
                    // It is not moved about, nor copied for the leaf's sharers.
                    let mut fresh = Leaf::default();
                    fresh.push(field, &Encoded::new(value), new);
                    self.put_leaf(start, Arc::new(fresh));
                    return false;
                }
                let leaf = Arc::make_mut(leaf);
                leaf.replace_value(place, value);
                let is_full = leaf.is_full(most_fields);
                if new != old {
                    self.change_leaf(start, |leaf| leaf.set_expiry(field, new));
                    self.split_if_full(start, hasher);
                } else if is_full {
                    self.split(start, hasher);
                }
                return false;
            }
        } else {
            self.leaves.insert(0, Arc::default());
        }
        let start = self.make_way(start, position, field.len() + value.len(), hasher);
        self.change_leaf(start, |leaf| leaf.push(field, &Encoded::new(value), expiry(None)));
        self.len += 1;
        self.split_if_full(start, hasher);
        true
    }

    /// Beyond so many fields a leaf splits that has its names.
    fn most_fields(&self) -> usize {
        if self.len > BIG { MOST_FIELDS_OF_BIG } else { MOST_FIELDS }
    }

    fn split_if_full(&mut self, start: u64, hasher: &KeyHasher) {
        let most_fields = self.most_fields();
        if self.leaves.get(&start).is_some_and(|leaf| leaf.is_full(most_fields)) {
            self.split(start, hasher);
        }
    }

    pub(in crate::store) fn set_expiry(&mut self, hasher: &KeyHasher, field: &[u8], expiry: Option<UnixMillis>) {
        let Some((start, _)) = self.leaf_of(hasher.position(field)) else { return };
        self.change_leaf(start, |leaf| leaf.set_expiry(field, expiry));
        self.split_if_full(start, hasher);
    }

    pub(in crate::store) fn remove(&mut self, hasher: &KeyHasher, field: &[u8]) -> bool {
        let Some((start, leaf)) = self.leaf_of(hasher.position(field)) else { return false };
        if leaf.entries().find_field(field).is_none() {
            return false;
        }
        self.change_leaf(start, |leaf| leaf.remove(field));
        self.len -= 1;
        self.split_if_full(start, hasher);
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
            let (given, next) = scan_part(hasher, leaf.entries(), from, (count - visited, most - visited), &mut visit);
            visited += given;
            if let Some(position) = next {
                return ScanCursor::at(position);
            }
        }
        ScanCursor::END
    }

    /// The leaf in which fields of a position are, with its start.
    fn leaf_of(&self, position: Position) -> Option<(u64, &Leaf)> {
        self.leaves.range(..=position.0).next_back().map(|(&start, leaf)| (start, &**leaf))
    }

    /// Changes a leaf, which is copied first if another table shares it, and keeps known its first expiry and whether it
    /// shares its names.
    fn change_leaf<R>(&mut self, start: u64, change: impl FnOnce(&mut Leaf) -> R) -> Option<R> {
        let leaf = Arc::make_mut(self.leaves.get_mut(&start)?);
        let (before, shared) = (leaf.first_expiry, leaf.shares_names());
        let result = change(leaf);
        let (after, still_shares) = (leaf.first_expiry, leaf.shares_names());
        self.note_expiry(start, before, after);
        self.sharing.change(shared, still_shares);
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
        if leaf.count == 0 || leaf.len().max(bytes) <= MOST_BYTES {
            return start;
        }
        let leaf = leaf.with_names();
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
        let (after, shares) = (leaf.first_expiry, leaf.shares_names());
        let old = self.leaves.insert(start, leaf);
        self.note_expiry(start, old.as_ref().and_then(|leaf| leaf.first_expiry), after);
        self.sharing.change(old.is_some_and(|leaf| leaf.shares_names()), shares);
    }

    /// Puts the upper half of a leaf's fields into one of its own. Fields of one position stay together.
    fn split(&mut self, start: u64, hasher: &KeyHasher) {
        let Some(leaf) = self.leaves.get(&start).map(|leaf| Arc::clone(leaf).with_names()) else { return };
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
        low.shrink();
        high.shrink();
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
        if leaf.count + other.count > MOST_FIELDS_OF_BIG / 2 || leaf.len() + other.len() > MOST_BYTES / 2 {
            return;
        }
        self.leaves.remove(&next);
        self.note_expiry(next, other.first_expiry, None);
        self.sharing.change(other.shares_names(), false);
        let other = other.with_names();
        self.change_leaf(start, |leaf| {
            for entry in other.entries() {
                leaf.copy(&other, &entry);
            }
        });
    }
}

/// Visits those of some fields whose positions are not before `from`: `wanted` of them, and all of one position together,
/// if there are more than `most`. Gives how many they are, and the position of the next one.
pub(in crate::store) fn scan_part<'a>(
    hasher: &KeyHasher,
    entries: impl Iterator<Item = Entry<'a>> + Clone,
    from: Position,
    (wanted, most): (usize, usize),
    mut visit: impl FnMut(TableEntry<'a>),
) -> (usize, Option<Position>) {
    let positions: Vec<Position> = entries.clone().map(|entry| hasher.position(entry.field)).collect();
    let mut ahead: Vec<Position> = positions.iter().copied().filter(|&position| position >= from).collect();
    let (mut given, mut next) = (ahead.len(), None);
    if given > most {
        ahead.sort_unstable();
        let last = ahead.get(wanted.max(1) - 1).copied();
        given = ahead.partition_point(|&position| Some(position) <= last);
        next = ahead.get(given).copied();
    }
    for (entry, &position) in entries.zip(&positions) {
        if position >= from && next.is_none_or(|next| position < next) {
            visit(entry_of(&entry));
        }
    }
    (given, next)
}

/// How many of these fields a leaf has that shares its names: a number that is the same for tables of the same fields whose
/// values are about as long. `None` if it would be few, a field is long, or there are expiries.
fn fields_that_share<'a>(fields: impl ExactSizeIterator<Item = NewEntry<'a>>) -> Option<usize> {
    /// More than in leaves that have their names: what a leaf itself takes is all that sharing does not save.
    const MOST: usize = 128;
    const FEWEST: usize = 16;
    let (len, mut names, mut values) = (fields.len(), 0, 0);
    for (name, value, expiry) in fields {
        if expiry.is_some() || name.len() + value.len() > MOST_BYTES {
            return None;
        }
        names += name.len();
        values += value.len();
    }
    // Twice as long as another leaf when it has its names.
    let fitting =
        (len * MOST_BYTES / 4 * 3 / values.max(1)).min(len * 2 * MOST_BYTES / (names + values).max(1)).min(MOST);
    let most = if fitting < FEWEST { return None } else { 1 << fitting.ilog2() };
    // As many in each as in any other.
    Some(len.div_ceil(len.div_ceil(most).max(1)))
}

/// The number of fields at the beginning of some in the order of their positions: `wanted`, one at least, and those that
/// have the position of the last of them.
fn end_of_positions(fields: &[Numbered], wanted: usize) -> usize {
    let last = fields.get(wanted.max(1) - 1).map(|&(position, _)| position);
    last.map_or(fields.len(), |last| fields.partition_point(|&(position, _)| position <= last))
}

fn entry_of<'a>(entry: &Entry<'a>) -> TableEntry<'a> {
    TableEntry { field: entry.field, value: entry.value, expiry: entry.expiry }
}

#[cfg(test)]
mod tests;
