//! Random programs on the store beside a plain map, with time in the program's hands.

use std::collections::BTreeMap;
use std::ops::Range;

use proptest::prelude::*;

use super::database::shard_of;
use super::{Database, HashLimits, KeyExpiry, Keyspace, Replace, ScanCursor, SetOutcome, Transfer};
use crate::base::clock::UnixMillis;
use crate::base::random::Random;

#[derive(Debug, Clone)]
enum Step {
    Set(u8, u8, usize),
    Remove(u8, u8),
    ExpireField(u8, u8, i64),
    ExpireKey(u8, i64),
    Persist(u8),
    Delete(u8),
    Rename(u8, u8),
    Copy(u8, u8),
    Wait(i64),
    Reclaim,
}

/// Steps of a program, at most.
const STEPS: usize = if cfg!(miri) { 60 } else { 400 };

fn step() -> impl Strategy<Value = Step> {
    let (key, field) = (0..4_u8, any::<u8>());
    prop_oneof![
        8 => (key.clone(), field, 0..100_usize).prop_map(|(key, field, length)| Step::Set(key, field, length)),
        2 => (key.clone(), field).prop_map(|(key, field)| Step::Remove(key, field)),
        2 => (key.clone(), field, 1..50_i64).prop_map(|(key, field, after)| Step::ExpireField(key, field, after)),
        1 => (key.clone(), 1..50_i64).prop_map(|(key, after)| Step::ExpireKey(key, after)),
        1 => key.clone().prop_map(Step::Persist),
        1 => key.clone().prop_map(Step::Delete),
        1 => (key.clone(), key.clone()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => (key.clone(), key).prop_map(|(from, to)| Step::Copy(from, to)),
        2 => (0..30_i64).prop_map(Step::Wait),
        1 => Just(Step::Reclaim),
    ]
}

type Fields = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    fields: Fields,
    expiry: Option<i64>,
}

/// The model drops what is due at once: the store must look as if it did too.
fn drop_due(model: &mut BTreeMap<u8, Model>, now: i64) {
    for hash in model.values_mut() {
        hash.fields.retain(|_, (_, expiry)| expiry.is_none_or(|at| at >= now));
    }
    model.retain(|_, hash| !hash.fields.is_empty() && hash.expiry.is_none_or(|at| at >= now));
}

fn name(number: u8) -> [u8; 1] {
    [number]
}

/// Long enough for a template to pay.
fn field_name(number: u8) -> Vec<u8> {
    format!("field number {number}").into_bytes()
}

/// A value of this length, often one that can be stored as an integer.
fn value(field: u8, length: usize) -> Vec<u8> {
    if length.is_multiple_of(3) { vec![field; length] } else { vec![b'1' + field % 9; length] }
}

fn apply(store: &mut Database<'_>, model: &mut BTreeMap<u8, Model>, step: &Step, now: i64) {
    match *step {
        Step::Set(key, field, length) => {
            let value = value(field, length);
            let fields = &mut model.entry(key).or_default().fields;
            let created = fields.insert(field_name(field), (value.clone(), None)).is_none();
            // By itself: a hash that loses its last field only for a moment keeps its key's expiry.
            store.update(&name(key), |hash| hash.remove_due(usize::MAX));
            let outcome = store.update(&name(key), |hash| {
                hash.announce_more_alike();
                hash.set(&field_name(field), &value)
            });
            assert_eq!(outcome == SetOutcome::Created, created);
        }
        Step::Remove(key, field) => {
            let known = model.get_mut(&key).is_some_and(|hash| hash.fields.remove(&field_name(field)).is_some());
            let removed = store.update(&name(key), |hash| {
                hash.remove_due(usize::MAX);
                hash.remove(&field_name(field))
            });
            assert_eq!(removed, known);
        }
        Step::ExpireField(key, field, after) => {
            let entry = model.get_mut(&key).and_then(|hash| hash.fields.get_mut(&field_name(field)));
            let known = entry.map(|entry| entry.1 = Some(now + after)).is_some();
            let set = store.update(&name(key), |hash| {
                hash.remove_due(usize::MAX);
                hash.set_field_expiry(&field_name(field), UnixMillis(now + after))
            });
            assert_eq!(set, known);
        }
        Step::ExpireKey(key, after) => {
            let known = model.get_mut(&key).map(|hash| hash.expiry = Some(now + after)).is_some();
            store.update(&name(key), |hash| hash.remove_due(usize::MAX));
            assert_eq!(store.expire_key(&name(key), UnixMillis(now + after), |_| true), known);
        }
        Step::Persist(key) => {
            let had = model.get_mut(&key).is_some_and(|hash| hash.expiry.take().is_some());
            store.update(&name(key), |hash| hash.remove_due(usize::MAX));
            assert_eq!(store.persist(&name(key)), had);
        }
        Step::Delete(key) => {
            model.remove(&key);
            store.remove(&name(key));
        }
        Step::Rename(from, to) => {
            store.update(&name(from), |hash| hash.remove_due(usize::MAX));
            let moved = model.remove(&from);
            let known = moved.is_some();
            model.extend(moved.map(|hash| (to, hash)));
            assert_eq!(store.rename(&name(from), &name(to), Replace::Yes) == Transfer::Done, known);
        }
        Step::Copy(from, to) if from != to => {
            store.update(&name(from), |hash| hash.remove_due(usize::MAX));
            let copy = model.get(&from).cloned();
            let known = copy.is_some();
            model.extend(copy.map(|hash| (to, hash)));
            assert_eq!(store.copy_to(0, &name(from), &name(to), Replace::Yes) == Transfer::Done, known);
        }
        Step::Copy(..) | Step::Wait(_) | Step::Reclaim => {}
    }
}

fn check(store: &mut Database<'_>, model: &BTreeMap<u8, Model>) {
    for key in 0..4_u8 {
        let expected = model.get(&key).cloned().unwrap_or_default();
        let fields: BTreeMap<Vec<u8>, Vec<u8>> = store.view(&name(key), |hash| {
            hash.iter().map(|(field, value)| (field.to_vec(), value.text().to_vec())).collect()
        });
        let wanted: BTreeMap<Vec<u8>, Vec<u8>> =
            expected.fields.iter().map(|(field, (value, _))| (field.clone(), value.clone())).collect();
        assert_eq!(fields, wanted, "fields of key {key}");
        if !wanted.is_empty() {
            let expiry = expected.expiry.map_or(KeyExpiry::Persistent, |at| KeyExpiry::At(UnixMillis(at)));
            assert_eq!(store.key_expiry(&name(key)), expiry, "expiry of key {key}");
        }
    }
}

/// What the counters say after everything due has been reclaimed.
fn check_counters(store: &Database<'_>, model: &BTreeMap<u8, Model>) {
    let stats = store.stats();
    assert_eq!(stats.keys, model.len());
    assert_eq!(stats.expires, model.values().filter(|hash| hash.expiry.is_some()).count());
    let with_field_expiry = |hash: &&Model| hash.fields.values().any(|(_, expiry)| expiry.is_some());
    assert_eq!(stats.field_expires, model.values().filter(with_field_expiry).count());
}

proptest! {
    #[test]
    fn behaves_like_a_map(steps in prop::collection::vec(step(), 1..STEPS), entries in 1..80_usize, length in 1..90_usize) {
        let limits = HashLimits { max_listpack_entries: entries, max_listpack_value: length };
        let keyspace = Keyspace::new(1, limits);
        let (mut model, mut now) = (BTreeMap::new(), 1_000_000_i64);
        for step in &steps {
            if let Step::Wait(milliseconds) = step {
                now += milliseconds;
            }
            if matches!(step, Step::Reclaim) {
                // What is due is found a tick later at the latest.
                now += 32 - now % 32;
            }
            drop_due(&mut model, now);
            let mut store = keyspace.database(0, UnixMillis(now));
            apply(&mut store, &mut model, step, now);
            if matches!(step, Step::Reclaim) {
                prop_assert!(!keyspace.expire_due(UnixMillis(now), || true), "everything due is reclaimed");
                check_counters(&store, &model);
            }
            check(&mut store, &model);
        }
    }
}

#[test]
fn scan_gives_each_key_once_while_others_come_and_go() {
    const KEYS: u32 = if cfg!(miri) { 100 } else { 5_000 };
    let keyspace = Keyspace::new(1, HashLimits { max_listpack_entries: 512, max_listpack_value: 64 });
    let mut store = keyspace.database(0, UnixMillis(1_000_000));
    for key in 0..KEYS {
        store.update(&key.to_le_bytes(), |hash| hash.set(b"f", b"v"));
    }
    let (mut cursor, mut seen, mut calls) = (ScanCursor::END, BTreeMap::new(), 0_u32);
    loop {
        cursor = store.scan(cursor, 10, |key| *seen.entry(key.to_vec()).or_insert(0) += 1);
        for step in 0..5 {
            let other = 1_000_000 + calls * 5 + step;
            store.update(&other.to_le_bytes(), |hash| hash.set(b"f", b"v"));
            store.remove(&(1_000_000 + calls).to_le_bytes());
        }
        calls += 1;
        if cursor == ScanCursor::END {
            break;
        }
    }
    assert!(seen.values().all(|&times| times == 1), "no key twice");
    assert!((0..KEYS).all(|key| seen.contains_key(&key.to_le_bytes()[..])), "no key missed");
}

/// Everything that one iteration gives, `count` a call.
fn scan_all(store: &mut Database<'_>, count: usize) -> Vec<Vec<u8>> {
    let (mut keys, mut cursor) = (Vec::new(), ScanCursor::END);
    loop {
        cursor = store.scan(cursor, count, |key| keys.push(key.to_vec()));
        if cursor == ScanCursor::END {
            keys.sort_unstable();
            return keys;
        }
    }
}

#[test]
fn a_second_scan_gives_what_came_after_the_first() {
    let keyspace = Keyspace::new(1, HashLimits { max_listpack_entries: 4, max_listpack_value: 64 });
    let mut store = keyspace.database(0, UnixMillis(1));
    let mut expected = Vec::new();
    for round in 0..4_u32 {
        // Many keys a shard, so that one order serves many calls; a third of them go again, and some return.
        for number in round * 4000..(round + 1) * 4000 {
            let key = number.to_be_bytes();
            store.update(&key, |hash| hash.set(b"f", b"v"));
            if number % 3 == 0 {
                store.remove(&key);
            }
            if number % 6 == 0 {
                store.update(&key, |hash| hash.set(b"f", b"v"));
            }
            if number % 3 != 0 || number % 6 == 0 {
                expected.push(key.to_vec());
            }
        }
        for count in [1, 7, 1000] {
            assert_eq!(scan_all(&mut store, count), expected, "round {round}, COUNT {count}");
        }
    }
}

fn keyspace() -> Keyspace {
    Keyspace::new(1, HashLimits { max_listpack_entries: 512, max_listpack_value: 64 })
}

#[test]
fn keys_and_values_of_any_length_are_kept() {
    let keyspace = keyspace();
    let mut store = keyspace.database(0, UnixMillis(1_000_000));
    let long = vec![b'k'; if cfg!(miri) { (1 << 20) + 1 } else { 20 << 20 }];
    let value = |store: &mut Database<'_>, key: &[u8]| {
        store.view(key, |hash| hash.get(b"field").map(|value| value.text().to_vec()))
    };
    store.update(&long, |hash| hash.set(b"field", b"1"));
    assert_eq!(value(&mut store, &long).as_deref(), Some(&b"1"[..]));
    assert_eq!(store.rename(&long, b"short", Replace::Yes), Transfer::Done);
    assert_eq!(store.rename(b"short", &long, Replace::Yes), Transfer::Done);
    store.update(b"small", |hash| hash.set(b"field", b"2"));
    assert_eq!(store.rename(b"small", &long, Replace::Yes), Transfer::Done);
    assert_eq!(value(&mut store, &long).as_deref(), Some(&b"2"[..]));
    store.update(b"wide", |hash| {
        hash.set(b"first", b"1");
        hash.set(b"field", &long);
        hash.set(b"last", b"3")
    });
    assert_eq!(value(&mut store, b"wide").map(|value| value.len()), Some(long.len()));
    assert_eq!(store.view(b"wide", |hash| hash.iter().count()), 3);
}

#[test]
fn large_values_among_small_ones_stay_where_they_belong() {
    let keyspace = keyspace();
    let mut store = keyspace.database(0, UnixMillis(1_000_000));
    let mut model = BTreeMap::new();
    let mut state = 7_u64;
    for round in 0..if cfg!(miri) { 100 } else { 4_000_u64 } {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let field = format!("field {}", (state >> 33) % 700).into_bytes();
        let length = if (state >> 20).is_multiple_of(9) { 9_000 } else { 10 };
        if (state >> 50).is_multiple_of(5) {
            let known = model.remove(&field).is_some();
            assert_eq!(store.update(b"key", |hash| hash.remove(&field)), known);
        } else {
            let value = round.to_string().repeat(length).into_bytes();
            store.update(b"key", |hash| hash.set(&field, &value));
            model.insert(field, value);
        }
    }
    let all: BTreeMap<Vec<u8>, Vec<u8>> =
        store.view(b"key", |hash| hash.iter().map(|(field, value)| (field.to_vec(), value.text().to_vec())).collect());
    assert!(all == model, "hash and model differ");
    for (field, value) in &model {
        assert_eq!(store.view(b"key", |hash| hash.get(field).map(|found| *found.text() == value[..])), Some(true));
    }
}

#[test]
fn how_long_tables_take_to_grow_is_told_once() {
    let keyspace = keyspace();
    assert_eq!(keyspace.take_longest_growth(), 0);
    let mut store = keyspace.database(0, UnixMillis(1_000_000));
    let names = (0..u32::MAX).map(|number| number.to_string());
    let together = names.filter(|name| shard_of(keyspace.hasher.hash(name.as_bytes())) == 0);
    for name in together.take(30) {
        store.update(name.as_bytes(), |hash| hash.set(b"field", b"value"));
    }
    assert!(keyspace.take_longest_growth() > 0);
    store.update(b"0", |hash| hash.set(b"other", b"value"));
    assert_eq!(keyspace.take_longest_growth(), 0);
}

#[test]
fn frequent_values_read_back_as_they_were_set() {
    const HASHES: u32 = if cfg!(miri) { 1_200 } else { 6_000 };
    let keyspace = keyspace();
    let mut store = keyspace.database(0, UnixMillis(1_000_000));
    let fields = |number: u32| {
        let city = ["Amsterdam", "Rotterdam", "Utrecht"][number as usize % 3].to_owned();
        [("city", city), ("picture", format!("https://example.com/u/{number}.png")), ("visits", number.to_string())]
    };
    let key = |number: u32| format!("user:{number}").into_bytes();
    for number in 0..HASHES {
        store.update(&key(number), |hash| {
            for (field, value) in fields(number) {
                hash.set(field.as_bytes(), value.as_bytes());
            }
        });
    }
    // The first are made before there is a template. Of several, since each has its part of a shard of more or fewer keys.
    let mut memory =
        |numbers: Range<u32>| -> usize { numbers.filter_map(|number| store.memory_usage(&key(number), 0)).sum() };
    let (plain, shared) = (memory(0..30), memory(HASHES - 30..HASHES));
    assert!(shared < plain, "names and values are shared: {plain} and {shared} bytes");
    // Also where one changes, goes, comes, expires or is copied.
    for number in (0..HASHES).step_by(7) {
        store.update(&key(number), |hash| {
            hash.set(b"city", b"Utrecht");
            if number % 2 == 0 {
                hash.remove(b"visits")
            } else {
                hash.set(b"email", b"a@example.com") == SetOutcome::Created
            }
        });
        assert_eq!(store.copy_to(0, &key(number), &key(10_000 + number), Replace::Yes), Transfer::Done);
        store.update(&key(number), |hash| hash.set_field_expiry(b"city", UnixMillis(2_000_000)));
    }
    for number in 0..HASHES {
        let mut expected: BTreeMap<Vec<u8>, Vec<u8>> =
            fields(number).into_iter().map(|(field, value)| (field.into(), value.into_bytes())).collect();
        if number % 7 == 0 {
            expected.insert(b"city".to_vec(), b"Utrecht".to_vec());
            if number % 2 == 0 {
                expected.remove(&b"visits"[..]);
            } else {
                expected.insert(b"email".to_vec(), b"a@example.com".to_vec());
            }
            assert_eq!(all_of(&mut store, &key(10_000 + number)), expected);
        }
        assert_eq!(all_of(&mut store, &key(number)), expected);
    }
}

#[test]
fn templates_that_lose_their_users_are_given_up() {
    let keyspace = keyspace();
    let mut store = keyspace.database(0, UnixMillis(1_000_000));
    let key = |set: u32, number: u32| format!("{set}:{number}").into_bytes();
    let fields = |set: u32| [format!("a long name of set {set}"), format!("another name of set {set}")];
    for set in 0..20 {
        for number in 0..50 {
            store.update(&key(set, number), |hash| fields(set).map(|field| hash.set(field.as_bytes(), b"value")));
        }
    }
    let shared = store.memory_usage(&key(3, 49), 0).unwrap_or_default();
    for (set, number) in (0..20).flat_map(|set| (0..49).map(move |number| (set, number))) {
        store.remove(&key(set, number));
    }
    let alone = store.memory_usage(&key(3, 49), 0).unwrap_or_default();
    assert!(alone > shared + 50, "the last user pays for its template: {shared}, then {alone} bytes");
    keyspace.give_up_rare_templates();
    let plain = store.memory_usage(&key(3, 49), 0).unwrap_or_default();
    assert!(plain < alone, "{plain} bytes without a template, {alone} with one");
    for set in 0..20 {
        let expected: BTreeMap<_, _> = fields(set).into_iter().map(|field| (field.into(), b"value".to_vec())).collect();
        assert_eq!(all_of(&mut store, &key(set, 49)), expected);
    }
}

fn all_of(store: &mut Database<'_>, key: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    store.view(key, |hash| hash.iter().map(|(field, value)| (field.to_vec(), value.text().to_vec())).collect())
}

#[test]
fn what_makes_a_small_hash_big_costs_little() {
    const FIELDS: usize = if cfg!(miri) { 130 } else { 300 };
    let keyspace = keyspace();
    let mut store = keyspace.database(0, UnixMillis(1_000_000));
    // Hashes of the same fields, one value of which is as long as a listpack may have it, or longer; shared names pay only
    // when they have been seen some times.
    let mut memory = |length: usize, fields: usize, prefix: &str| -> usize {
        let key = |number: usize| format!("{length}:{fields}:{number}").into_bytes();
        for number in 0..80 {
            store.update(&key(number), |hash| {
                hash.set(format!("{prefix}:long").as_bytes(), &vec![b'x'; length]);
                for field in 1..fields {
                    hash.set(format!("{prefix}:{field}").as_bytes(), format!("{number}-{field}").as_bytes());
                }
            });
            let name = format!("{prefix}:{}", fields / 2).into_bytes();
            let value = store.view(&key(number), |hash| hash.get(&name).map(|value| value.text().to_vec()));
            assert_eq!(value.unwrap(), format!("{number}-{}", fields / 2).into_bytes());
        }
        (60..80).filter_map(|number| store.memory_usage(&key(number), 0)).sum()
    };
    let (listpack, hashtable) = (memory(64, FIELDS, "field"), memory(65, FIELDS, "field"));
    assert!(hashtable * 4 <= listpack * 5, "{listpack} and {hashtable} bytes");
    // The field after the number that a hash has that does not share.
    let (fewer, more) = (memory(65, 128, "name"), memory(65, 129, "name"));
    assert!(more * 4 <= fewer * 5, "{fewer} and {more} bytes");
}

/// Hashes of many fields whose names are shared: every value is found, whatever the lengths of those before it become.
#[test]
fn values_of_many_shared_fields_are_found_after_others_have_changed_their_length() {
    let keyspace = keyspace();
    let mut store = keyspace.database(0, UnixMillis(1_000_000));
    let mut random = Random::from_seed(11);
    let sizes: &[usize] = if cfg!(miri) { &[66] } else { &[63, 64, 65, 96, 97, 300, 512, 600, 1000] };
    for &fields in sizes {
        let name = |field: usize| format!("of {fields}:{field}").into_bytes();
        let key = |number: usize| format!("{fields}:{number}").into_bytes();
        for number in 0..45 {
            store.update(&key(number), |hash| {
                for field in 0..fields {
                    hash.set(&name(field), format!("{}", number * field).as_bytes());
                }
            });
        }
        let plain = store.memory_usage(&key(0), 0).unwrap_or_default();
        let mut model: BTreeMap<_, _> =
            (0..fields).map(|field| (name(field), format!("{}", 44 * field).into_bytes())).collect();
        assert!(store.memory_usage(&key(44), 0).unwrap_or_default() * 4 < plain * 3, "{fields} fields share no names");
        for _ in 0..200 {
            let (field, value) = (name(random.below(fields)), vec![b'v'; random.below(50)]);
            assert_eq!(store.update(&key(44), |hash| hash.set(&field, &value)), SetOutcome::Updated);
            model.insert(field, value);
        }
        assert_eq!(all_of(&mut store, &key(44)), model);
        let found = |(field, value): (&Vec<u8>, &Vec<u8>)| {
            store.view(&key(44), |hash| hash.get(field).is_some_and(|found| *found.text() == **value))
        };
        assert!(model.iter().all(found), "{fields} fields");
    }
}
