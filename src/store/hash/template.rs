//! Templates: the field names that many hashes share, kept once for all of them.
//!
//! A small hash whose names make a template holds the template's number and its values, and so does a leaf of a big one.
//! Templates are found by counting: a set
//! of names (in its order) that a thread has seen often enough becomes one, so that sets seen once cost nothing.
//!
//! The templates of a process are in one registry, because hashes of all databases share them. A template counts its
//! users and cannot go while it has any; [`collect_unused`] frees those without.
#![expect(unsafe_code, reason = "a reference count kept beside numbered slots, as in an Arc, has no safe form")]

mod greatest;
mod name_index;
mod shared;

use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher};
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

use hashbrown::HashTable;
use parking_lot::Mutex;

use super::packed::{self, Encoded};
use super::value::Value;
use super::words::{self, Words};
pub use greatest::TemplateUse;
use name_index::{NameIndex, split_name};
pub(in crate::store) use shared::{SharedNames, SharingLeaves};

/// A template pays from this many bytes of names on, their lengths included.
const FEWEST_BYTES: usize = 8;

/// A set of names becomes a template when a thread has seen it this often. So many plain hashes, and one that uses the
/// template, are about twenty times what the template takes.
const OFTEN: u64 = 32;

/// Templates, at most.
const MOST_TEMPLATES: usize = CHUNKS * CHUNK;
const CHUNKS: usize = 256;
const CHUNK: usize = 255;

/// Stands for the users of a slot that holds no template.
const VACANT: u32 = u32::MAX;

/// The names of a hash's fields, in their order.
#[derive(Debug)]
pub(in crate::store) struct Template {
    /// Each name with its length before it.
    names: Box<[u8]>,
    fields: usize,
    index: Option<NameIndex>,
    /// Of each field; made when it is first used often.
    words: OnceLock<Box<[Words]>>,
}

impl Template {
    fn new<'n>(names: impl Iterator<Item = &'n [u8]>) -> Self {
        let (mut bytes, mut fields) = (Vec::new(), 0);
        for name in names {
            packed::write_length(&mut bytes, name.len());
            bytes.extend_from_slice(name);
            fields += 1;
        }
        let index = NameIndex::of(&bytes, fields);
        Self { names: bytes.into_boxed_slice(), fields, index, words: OnceLock::new() }
    }

    /// Number of fields.
    pub(in crate::store) fn len(&self) -> usize {
        self.fields
    }

    /// The names, each with its length before it.
    pub(in crate::store) fn names(&self) -> &[u8] {
        &self.names
    }

    /// The place of a field, and its name.
    #[inline]
    pub(in crate::store) fn position(&self, field: &[u8]) -> Option<(usize, &[u8])> {
        if let Some(index) = &self.index {
            return index.find(&self.names, field);
        }
        Names { bytes: &self.names }.enumerate().find(|(_, name)| {
            // Names of one length often begin alike; their last bytes tell most of them apart.
            name.len() == field.len() && name.last() == field.last() && *name == field
        })
    }

    fn is_made_of<'n>(&self, names: impl Iterator<Item = &'n [u8]>) -> bool {
        Names { bytes: &self.names }.eq(names)
    }

    /// The words of a field.
    #[inline]
    pub(super) fn words(&self, place: usize) -> Option<&Words> {
        self.words.get()?.get(place)
    }

    /// A value that is encoded already, as in a record without a template, in a form that words make shorter, if they do.
    #[inline]
    pub(in crate::store) fn shorten<'v>(&self, place: usize, encoded: &'v [u8]) -> Option<Encoded<'v>> {
        self.words(place)?.encode(packed::short_text(encoded)?)
    }

    /// Counts the values of some fields, given by place: frequent ones become words.
    fn count_values<'v>(&self, id: TemplateId, values: impl Iterator<Item = (usize, Value<'v>)>) {
        let words = self.words.get_or_init(|| (0..self.fields).map(|_| Words::default()).collect());
        for (place, value) in values {
            if let (Value::Bytes(value), Some(words)) = (value, words.get(place)) {
                words::count(words, u64::from(id.0) << 32 | place as u64, value);
            }
        }
    }

    /// Whether it takes less than it saves so many users, of whom one would have the names anyway.
    fn pays(&self, users: u32) -> bool {
        users >= FEW_USERS || self.memory() <= (users as usize).saturating_sub(1) * self.names.len()
    }

    /// What it takes in memory, its slot and its place in the index included.
    fn memory(&self) -> usize {
        const SLOT: usize = 12;
        const INDEX: usize = 5;
        let words = self.words.get().map_or(0, |words| words.iter().map(Words::memory).sum());
        let index = self.index.as_ref().map_or(0, NameIndex::memory);
        SLOT + INDEX + size_of::<Self>() + self.names.len() + index + words
    }
}

/// The names of a template.
struct Names<'a> {
    bytes: &'a [u8],
}

impl<'a> Iterator for Names<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let (name, rest) = split_name(self.bytes)?;
        self.bytes = rest;
        Some(name)
    }
}

/// A template's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct TemplateId(u16);

impl TemplateId {
    /// As it stands in a record.
    pub(in crate::store) fn to_bytes(self) -> [u8; 2] {
        self.0.to_le_bytes()
    }

    /// What [`TemplateId::to_bytes`] gave.
    pub(in crate::store) fn from_bytes(bytes: [u8; 2]) -> Self {
        Self(u16::from_le_bytes(bytes))
    }

    /// The template.
    ///
    /// # Safety
    ///
    /// The caller must be a user of the template, or borrow from one, for as long as `'a`.
    #[inline]
    pub(in crate::store) unsafe fn get<'a>(self) -> Option<&'a Template> {
        let (chunk, slot) = self.place()?;
        // SAFETY: a slot with users holds a template that came out of a box, and keeps it until they are gone.
        unsafe { chunk.templates.get(slot)?.load(Ordering::Acquire).as_ref() }
    }

    /// Counts the values of some fields, on some of the calls, if the template has enough users for that to pay.
    pub(in crate::store) fn learn<'v, I: Iterator<Item = (usize, Value<'v>)>>(self, values: impl FnOnce() -> I) {
        const USERS: u32 = 256;
        if !words::is_sampled() {
            return;
        }
        self.with_template(|template, users| {
            if users >= USERS {
                template.count_values(self, values());
            }
        });
    }

    /// Counts a value of field `place`, as [`TemplateId::learn`] does, and gives the shortest form that it has there.
    ///
    /// # Safety
    ///
    /// The caller must be a user of the template.
    pub(in crate::store) unsafe fn encode_counted(self, place: usize, value: &[u8]) -> Encoded<'_> {
        let encoded = Encoded::new(value);
        if encoded.is_integer() {
            return encoded;
        }
        self.learn(|| std::iter::once((place, Value::Bytes(value))));
        // SAFETY: the caller's promise; nothing of the template is returned.
        let words = unsafe { self.get() }.and_then(|template: &Template| template.words(place));
        words.and_then(|words| words.encode(value)).unwrap_or(encoded)
    }

    /// What each user of the template would have to pay for it.
    pub(in crate::store) fn memory_per_user(self) -> usize {
        self.with_template(|template, users| template.memory() / (users as usize).max(1)).unwrap_or(0)
    }

    /// Whether the template has so few users that it takes more than it saves.
    pub(in crate::store) fn is_rare(self) -> bool {
        let users = self.place().and_then(|(chunk, slot)| chunk.users.get(slot));
        users.is_some_and(|users| (1..FEW_USERS).contains(&users.load(Ordering::Relaxed)))
            && self.with_template(|template, users| !template.pays(users)) == Some(true)
    }

    /// Runs `work` with the template, if there is one with this number, and how many users it has.
    fn with_template<R>(self, work: impl FnOnce(&Template, u32) -> R) -> Option<R> {
        let (chunk, slot) = self.place()?;
        let users = chunk.users.get(slot)?.load(Ordering::Relaxed);
        if !self.try_use() {
            return None;
        }
        // SAFETY: this function has become a user of the template above, and is one until below.
        let result = unsafe { self.get() }.map(|template| work(template, users));
        // SAFETY: as above.
        unsafe { self.drop_user() };
        result
    }

    /// Adds a user to a template that has some.
    pub(in crate::store) fn add_user(self) {
        if let Some((chunk, slot)) = self.place()
            && let Some(users) = chunk.users.get(slot)
        {
            users.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes a user away.
    ///
    /// # Safety
    ///
    /// The caller must be a user of the template, and is none any more afterwards.
    pub(in crate::store) unsafe fn drop_user(self) {
        if let Some((chunk, slot)) = self.place()
            && let Some(users) = chunk.users.get(slot)
            && users.fetch_sub(1, Ordering::Release) == 1
        {
            REGISTRY.some_unused.store(true, Ordering::Release);
        }
    }

    /// Becomes a user of the template with this number, if there is one.
    fn try_use(self) -> bool {
        let Some((chunk, slot)) = self.place() else { return false };
        let Some(users) = chunk.users.get(slot) else { return false };
        let more = |users: u32| (users < VACANT - 1).then(|| users + 1);
        users.fetch_update(Ordering::Acquire, Ordering::Relaxed, more).is_ok()
    }

    fn place(self) -> Option<(&'static Chunk, usize)> {
        let (chunk, slot) = (usize::from(self.0) / CHUNK, usize::from(self.0) % CHUNK);
        Some((REGISTRY.chunks.get(chunk)?.get()?, slot))
    }
}

/// Slots for templates, and beside them who uses them: what changes often must not share cache lines with what is read.
struct Chunk {
    templates: [AtomicPtr<Template>; CHUNK],
    users: [AtomicU32; CHUNK],
}

struct Registry {
    chunks: [OnceLock<Box<Chunk>>; CHUNKS],
    index: Mutex<Index>,
    hasher: OnceLock<ahash::RandomState>,
    /// Whether a template may have lost its last user.
    some_unused: AtomicBool,
}

/// What only those look at who make or free templates.
struct Index {
    /// By the hash of their names.
    ids: HashTable<u16>,
    free: Vec<u16>,
    /// Numbers from here on have not been used yet.
    unused_from: usize,
}

static REGISTRY: Registry = Registry {
    chunks: [const { OnceLock::new() }; CHUNKS],
    index: Mutex::new(Index { ids: HashTable::new(), free: Vec::new(), unused_from: 0 }),
    hasher: OnceLock::new(),
    some_unused: AtomicBool::new(false),
};

/// What a thread remembers of the sets of names it has met. Places are shared by hash, and the later set wins.
struct Seen {
    /// Sets that had a template.
    known: [(u64, TemplateId); KNOWN],
    /// The upper 56 bits of a hash, and below how often it has been met.
    counts: [u64; COUNTED],
}

const KNOWN: usize = 64;
const COUNTED: usize = 1024;
const COUNT_BITS: u64 = 0xff;

thread_local! {
    static SEEN: RefCell<Seen> = const {
        RefCell::new(Seen { known: [(0, TemplateId(u16::MAX)); KNOWN], counts: [0; COUNTED] })
    };
}

/// When a set of names is to become a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Wanted {
    /// When it has been seen often.
    Often,
    /// At once: somebody has said that more of its kind will come.
    Always,
}

/// Becomes a user of the template of these names: of one that is there, or of a new one if that pays.
pub(in crate::store) fn use_template<'n>(
    names: impl Iterator<Item = &'n [u8]> + Clone,
    wanted: Wanted,
) -> Option<TemplateId> {
    let (mut hasher, mut bytes) = (hasher().build_hasher(), 0);
    for name in names.clone() {
        hasher.write(name);
        bytes += name.len() + 1;
    }
    if bytes < FEWEST_BYTES {
        return None;
    }
    let hash = hasher.finish();
    SEEN.with_borrow_mut(|seen| {
        if let Some(known) = seen.known(hash).filter(|&id| use_if_made_of(id, names.clone())) {
            return Some(known);
        }
        if wanted == Wanted::Often && !seen.is_often(hash) {
            return None;
        }
        let id = REGISTRY.index.lock().use_or_make(hash, names)?;
        seen.remember(hash, id);
        Some(id)
    })
}

/// Whether these names have often been met together, in whatever order; this counts as one more time.
pub(in crate::store) fn are_often_met<'n>(names: impl Iterator<Item = &'n [u8]>) -> bool {
    let sum = names.fold(0_u64, |sum, name| sum.wrapping_add(hasher().hash_one(name)));
    SEEN.with_borrow_mut(|seen| seen.is_often(sum))
}

/// Becomes a user of a template unless it is gone or another has its number now.
fn use_if_made_of<'n>(id: TemplateId, names: impl Iterator<Item = &'n [u8]>) -> bool {
    if !id.try_use() {
        return false;
    }
    // SAFETY: this function is a user of the template as of the line above.
    let fits = unsafe { id.get() }.is_some_and(|template| template.is_made_of(names));
    if !fits {
        // SAFETY: this function has become a user above.
        unsafe { id.drop_user() };
    }
    fits
}

fn hasher() -> &'static ahash::RandomState {
    REGISTRY.hasher.get_or_init(ahash::RandomState::new)
}

impl Seen {
    fn place(hash: u64, places: usize) -> usize {
        usize::try_from(hash >> 32).unwrap_or_default() % places
    }

    fn known(&self, hash: u64) -> Option<TemplateId> {
        self.known.get(Self::place(hash, KNOWN)).filter(|&&(known, _)| known == hash).map(|&(_, id)| id)
    }

    fn remember(&mut self, hash: u64, id: TemplateId) {
        if let Some(place) = self.known.get_mut(Self::place(hash, KNOWN)) {
            *place = (hash, id);
        }
    }

    /// Counts a set of names; tells whether it has been met often by now.
    fn is_often(&mut self, hash: u64) -> bool {
        let Some(count) = self.counts.get_mut(Self::place(hash, COUNTED)) else { return false };
        if *count & !COUNT_BITS != hash & !COUNT_BITS {
            *count = hash & !COUNT_BITS;
        }
        if *count & COUNT_BITS < OFTEN {
            *count += 1;
            return false;
        }
        true
    }
}

impl Index {
    fn use_or_make<'n>(&mut self, hash: u64, names: impl Iterator<Item = &'n [u8]> + Clone) -> Option<TemplateId> {
        if let Some(&id) = self.ids.find(hash, |&id| use_if_made_of(TemplateId(id), names.clone())) {
            return Some(TemplateId(id));
        }
        let id = self.next_id()?;
        let (chunk, slot) = TemplateId(id).place()?;
        let template = Box::into_raw(Box::new(Template::new(names)));
        chunk.templates.get(slot)?.store(template, Ordering::Release);
        chunk.users.get(slot)?.store(1, Ordering::Release);
        self.ids.insert_unique(hash, id, |&id| hash_of(id));
        Some(TemplateId(id))
    }

    /// The number of a slot without a template.
    fn next_id(&mut self) -> Option<u16> {
        if let Some(id) = self.free.pop() {
            return Some(id);
        }
        if self.unused_from >= MOST_TEMPLATES {
            return None;
        }
        REGISTRY.chunks.get(self.unused_from / CHUNK)?.get_or_init(|| {
            Box::new(Chunk {
                templates: [const { AtomicPtr::new(null_mut()) }; CHUNK],
                users: [const { AtomicU32::new(VACANT) }; CHUNK],
            })
        });
        let id = u16::try_from(self.unused_from).ok()?;
        self.unused_from += 1;
        Some(id)
    }

    /// Frees the template with this number if nobody uses it.
    fn free_if_unused(&mut self, id: u16) {
        let Some((chunk, slot)) = TemplateId(id).place() else { return };
        let (Some(template), Some(users)) = (chunk.templates.get(slot), chunk.users.get(slot)) else { return };
        if users.load(Ordering::Relaxed) != 0 {
            return;
        }
        let hash = hash_of(id);
        if users.compare_exchange(0, VACANT, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return;
        }
        if let Ok(entry) = self.ids.find_entry(hash, |&other| other == id) {
            entry.remove();
        }
        // SAFETY: it came out of a box, has no user, and a vacant slot gets none; only this thread, which holds the
        // index, frees it, once.
        drop(unsafe { Box::from_raw(template.swap(null_mut(), Ordering::AcqRel)) });
        self.free.push(id);
    }
}

/// The hash of the names of a template that is in the index. Only for who holds the index: nobody else frees it.
fn hash_of(id: u16) -> u64 {
    // SAFETY: templates are freed only by who holds the index, which the caller does.
    let template = unsafe { TemplateId(id).get() };
    let mut hasher = hasher().build_hasher();
    for name in template.into_iter().flat_map(|template| Names { bytes: &template.names }) {
        hasher.write(name);
    }
    hasher.finish()
}

/// Frees the templates that nobody uses any more.
pub(in crate::store) fn collect_unused() {
    if !REGISTRY.some_unused.swap(false, Ordering::Acquire) {
        return;
    }
    let mut index = REGISTRY.index.lock();
    for id in 0..u16::try_from(index.unused_from).unwrap_or(u16::MAX) {
        index.free_if_unused(id);
    }
}

/// From so many users on a template takes less than it saves.
const FEW_USERS: u32 = 8;

/// Bytes that templates take which have too few users left.
pub(in crate::store) fn memory_of_rare() -> usize {
    let index = REGISTRY.index.lock();
    let rare = index.ids.iter().filter(|&&id| TemplateId(id).is_rare());
    // SAFETY: templates are freed only by who holds the index, as this function does.
    rare.filter_map(|&id| unsafe { TemplateId(id).get() }).map(Template::memory).sum()
}

/// What INFO says of templates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TemplateStats {
    /// Templates in use.
    pub templates: usize,
    /// Hashes that use one, or big ones parts of which do.
    pub users: usize,
    /// Bytes that the templates take.
    pub memory: usize,
}

impl TemplateStats {
    /// The numbers of now.
    pub fn now() -> Self {
        let index = REGISTRY.index.lock();
        let mut stats = Self::default();
        for &id in &index.ids {
            let Some((chunk, slot)) = TemplateId(id).place() else { continue };
            let users = chunk.users.get(slot).map_or(0, |users| users.load(Ordering::Relaxed));
            // SAFETY: templates are freed only by who holds the index, as this function does.
            let memory = unsafe { TemplateId(id).get() }.map_or(0, Template::memory);
            stats.templates += usize::from(users > 0);
            stats.users += users as usize;
            stats.memory += memory;
        }
        stats.users = shared::keys_of(stats.users);
        stats
    }
}

#[cfg(test)]
mod tests {
    use super::{TemplateId, Wanted, collect_unused, use_template};

    fn names(set: usize, count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|field| format!("set {set} field {field}").into_bytes()).collect()
    }

    fn used(set: usize, wanted: Wanted) -> Option<TemplateId> {
        use_template(names(set, 4).iter().map(Vec::as_slice), wanted)
    }

    fn leave(id: TemplateId) {
        // SAFETY: the tests leave only what they have become users of, once.
        unsafe { id.drop_user() };
    }

    #[test]
    fn a_set_of_names_becomes_a_template_when_it_has_been_seen_often() {
        let first = (1..200).find(|_| {
            used(1_000_001, Wanted::Often).is_some_and(|id| {
                leave(id);
                true
            })
        });
        assert_eq!(first, Some(33));
        let short = [&b"a"[..], b"b"];
        assert!((0..200).all(|_| use_template(short.into_iter(), Wanted::Always).is_none()), "it would not pay");
    }

    #[test]
    fn a_template_stays_while_it_is_used_and_its_number_is_used_again() {
        let Some(id) = used(1_000_002, Wanted::Always) else { panic!("a template was asked for") };
        collect_unused();
        // SAFETY: this test is a user.
        let template = unsafe { id.get() };
        assert_eq!(template.map(super::Template::len), Some(4));
        assert_eq!(
            template.and_then(|template| template.position(b"set 1000002 field 2")).map(|(place, _)| place),
            Some(2)
        );
        let other = used(1_000_003, Wanted::Always);
        assert_ne!(other, Some(id));
        leave(id);
        other.into_iter().for_each(leave);
    }

    /// Threads become users of few templates and leave them again while others free what is unused: each must get
    /// the template that it asked for, whatever has had its number before.
    #[test]
    fn templates_are_made_and_freed_by_many_threads_at_once() {
        const ROUNDS: usize = if cfg!(miri) { 60 } else { 20_000 };
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let set = (round * 7 + thread) % 5;
                        let Some(id) = used(2_000_000 + set, Wanted::Always) else {
                            panic!("a template was asked for")
                        };
                        // SAFETY: this thread is a user of the template until it leaves it below.
                        let template = unsafe { id.get() };
                        assert!(template.is_some_and(|template| {
                            template.is_made_of(names(2_000_000 + set, 4).iter().map(Vec::as_slice))
                        }));
                        leave(id);
                        if round % 3 == 0 {
                            collect_unused();
                        }
                    }
                });
            }
        });
    }
}
