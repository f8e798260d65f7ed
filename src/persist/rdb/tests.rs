//! Whole files and payloads, there and back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use proptest::prelude::*;

use super::hash::Parts;
use super::load::{Expired, ForeignTypes, Incoming, LoadOptions, Summary, read};
use super::parallel::read_in_parallel;
use super::payload::{For, Payload, dump};
use super::save::{SaveOptions, write};
use super::source::Stream;
use super::{RdbError, checksum};
use crate::base::clock::UnixMillis;
use crate::store::{Encoding, HashLimits, KeptUsage, KeyExpiry, Keyspace, Replace};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

/// Fields with values and expiries, in their order.
type Fields = Vec<(Vec<u8>, Vec<u8>, Option<i64>)>;

/// All keys by database and name: encoding, expiry, fields (those of a hashtable sorted).
type Contents = BTreeMap<(usize, Vec<u8>), (&'static str, Option<i64>, Fields)>;

fn keyspace() -> Arc<Keyspace> {
    Arc::new(Keyspace::new(16, HashLimits { max_listpack_entries: 8, max_listpack_value: 20 }))
}

fn contents(keyspace: &Arc<Keyspace>) -> Contents {
    let mut all = Contents::new();
    for index in (0..16).filter(|&index| keyspace.is_used(index)) {
        let mut store = keyspace.database(index, NOW);
        let mut keys = Vec::new();
        store.for_each_key(|key| keys.push(key.to_vec()));
        for key in keys {
            let encoding = store.encoding(&key).unwrap().name();
            let expiry = match store.key_expiry(&key) {
                KeyExpiry::At(at) => Some(at.0),
                _ => None,
            };
            let mut fields: Fields = store.view(&key, |hash| {
                let image = hash.image().unwrap();
                let owned =
                    image.fields().map(|(field, value, at)| (field.to_vec(), value.text().to_vec(), at.map(|at| at.0)));
                owned.collect()
            });
            if encoding == "hashtable" {
                fields.sort();
            }
            all.insert((index, key), (encoding, expiry, fields));
        }
    }
    all
}

fn saved(keyspace: &Arc<Keyspace>, compression: bool) -> Vec<u8> {
    let (snapshot, ()) = keyspace.begin_snapshot(|_| ()).unwrap();
    let options = SaveOptions {
        compression,
        checksum: true,
        usage: KeptUsage::None,
        is_log_base: false,
        now: NOW,
        used_memory: 1,
        version: "8.10.0",
    };
    let mut file = Vec::new();
    write(&snapshot, &mut file, &options, &AtomicU64::new(0)).unwrap();
    file
}

fn receiver(keyspace: &Arc<Keyspace>) -> impl FnMut(usize, Incoming<'_>) -> super::Result<()> {
    |index, incoming| {
        let mut database = keyspace.database(index, NOW);
        match incoming {
            Incoming::Keys(keys) => database.reserve(keys),
            Incoming::Hash(new) if database.load(new) => {}
            Incoming::Hash(new) => {
                return Err(RdbError::Duplicate { database: index, key: new.key.escape_ascii().to_string() });
            }
        }
        Ok(())
    }
}

const OPTIONS: LoadOptions = LoadOptions {
    databases: 16,
    foreign_types: ForeignTypes::Refuse,
    expired: Expired::Dropped,
    checksum: true,
    now: NOW,
};

/// Loads a file with one thread, and with several, which must come to the same.
fn loaded(file: &[u8]) -> Result<Arc<Keyspace>, RdbError> {
    let (alone, together) = (keyspace(), keyspace());
    let stream = || Stream::new(file, file.len() as u64);
    let position = AtomicU64::new(0);
    let by_one = read(&mut stream(), &OPTIONS, &position, receiver(&alone));
    let by_many = read_in_parallel(&mut stream(), &OPTIONS, (&position, 2), || receiver(&together));
    let shown =
        |outcome: &super::Result<Summary>| outcome.as_ref().map(|summary| *summary).map_err(ToString::to_string);
    assert_eq!(shown(&by_many), shown(&by_one));
    by_one?;
    assert_eq!(contents(&together), contents(&alone));
    Ok(alone)
}

/// A key: database, name, expiry, fields with their values and expiries.
type Key = (usize, Vec<u8>, Option<i64>, Vec<(Vec<u8>, Vec<u8>, Option<i64>)>);

fn text() -> impl Strategy<Value = Vec<u8>> {
    let number = (any::<i64>(), 0_u32..64).prop_map(|(number, by)| (number >> by).to_string().into_bytes());
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..12),
        4 => "[a-d]{1,3}".prop_map(String::into_bytes),
        3 => number,
        1 => (20_usize..6000).prop_map(|length| b"compressible ".repeat(length / 13 + 1)),
    ]
}

fn keys() -> impl Strategy<Value = Vec<Key>> {
    let expiry = || prop::option::weighted(0.2, (NOW.0 + 1..NOW.0 + 10_000_000_000).prop_map(|at| at));
    // Each field once: a long value that has been replaced makes a hashtable of what comes back as a listpack.
    let fields = prop::collection::btree_map(text(), (text(), expiry()), 1..14)
        .prop_map(|fields| fields.into_iter().map(|(field, (value, at))| (field, value, at)).collect());
    let keys = prop::collection::btree_map((0_usize..4, text()), (expiry(), fields), 0..12);
    keys.prop_map(|keys| keys.into_iter().map(|((index, key), (at, fields))| (index, key, at, fields)).collect())
}

fn fill(keyspace: &Arc<Keyspace>, keys: &[Key]) {
    for (index, key, expiry, fields) in keys {
        let mut store = keyspace.database(*index, NOW);
        for (field, value, at) in fields {
            store.update(key, |hash| {
                hash.set(field, value);
                if let Some(at) = at {
                    hash.set_field_expiry(field, UnixMillis(*at));
                }
            });
        }
        if let Some(at) = expiry {
            store.expire_key(key, UnixMillis(*at), |_| true);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_keyspace_comes_back_as_it_was_saved(keys in keys(), compression: bool) {
        let before = keyspace();
        fill(&before, &keys);
        let after = loaded(&saved(&before, compression)).unwrap();
        prop_assert_eq!(contents(&after), contents(&before));
    }

    #[test]
    fn a_key_comes_back_as_it_was_dumped(keys in keys(), compression: bool) {
        let (before, after) = (keyspace(), keyspace());
        fill(&before, &keys);
        for (index, key) in contents(&before).keys() {
            let mut store = before.database(*index, NOW);
            for reader in [For::Anybody, For::Server] {
                let payload = store.view(key, |hash| dump(&hash.image().unwrap(), compression, reader));
                let mut parts = Parts::default();
                let checked = Payload::check(&payload).unwrap();
                checked.read(&mut parts).unwrap();
                prop_assert!(checked.is_in_order(&parts));
                let fields: Vec<_> = parts.fields().collect();
                let new = crate::store::NewHash {
                    key,
                    expiry: match store.key_expiry(key) {
                        KeyExpiry::At(at) => Some(at),
                        _ => None,
                    },
                    usage: None,
                    fields: &fields,
                    has_expiries: parts.has_expiries,
                    is_measured: parts.is_measured,
                };
                after.database(*index, NOW).restore(&new, Replace::Yes);
                if reader == For::Anybody {
                    let both = [&before, &after].map(|keyspace| contents(keyspace).remove(&(*index, key.clone())));
                    prop_assert_eq!(&both[0], &both[1]);
                }
            }
        }
    }

    #[test]
    fn any_payload_is_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 1..80), kind in 0_u8..34, valkey: bool) {
        bytes[0] = kind;
        let version: u16 = if valkey { 80 } else { 16 };
        bytes.extend(version.to_le_bytes());
        bytes.extend([0; 8]);
        let _ = Payload::check(&bytes).unwrap().read(&mut Parts::default());
    }
}

#[test]
fn a_hash_too_large_to_be_packed_is_dumped_in_order_of_its_expiries() {
    let limits = HashLimits { max_listpack_entries: 512, max_listpack_value: 4_000_000 };
    let keyspace = Arc::new(Keyspace::new(1, limits));
    let mut store = keyspace.database(0, NOW);
    store.update(b"h", |hash| {
        hash.set(b"large", &vec![b'v'; 2_000_000]);
        for number in 0..40_i64 {
            hash.set(number.to_string().as_bytes(), b"v");
            if number % 3 == 0 {
                hash.set_field_expiry(number.to_string().as_bytes(), UnixMillis(NOW.0 + 1_000 - number));
            }
        }
        hash.note_expiry_command();
    });
    let payload = store.view(b"h", |hash| {
        let image = hash.image().unwrap();
        assert!(image.encoding() == Encoding::ListpackEx && !image.is_by_expiry());
        dump(&image, false, For::Server)
    });
    let (payload, mut parts) = (Payload::check(&payload).unwrap(), Parts::default());
    payload.read(&mut parts).unwrap();
    assert!(payload.is_in_order(&parts) && parts.fields().count() == 41);
}

/// A small file with every form that is written.
fn sample() -> Vec<u8> {
    let keyspace = keyspace();
    let keys: Vec<Key> = vec![
        (
            0,
            b"small".to_vec(),
            None,
            vec![(b"f".to_vec(), b"v".to_vec(), None), (b"n".to_vec(), b"300".to_vec(), None)],
        ),
        (0, b"big".to_vec(), Some(NOW.0 + 5), vec![(b"f".to_vec(), b"long ".repeat(30), None)]),
        (3, b"expiring".to_vec(), None, vec![(b"f".to_vec(), b"v".to_vec(), Some(NOW.0 + 9))]),
        (3, b"both".to_vec(), None, vec![(b"f".to_vec(), b"long ".repeat(30), Some(NOW.0 + 9))]),
    ];
    fill(&keyspace, &keys);
    saved(&keyspace, true)
}

#[test]
fn a_file_that_ends_early_is_refused_wherever_it_ends() {
    let file = sample();
    assert_eq!(contents(&loaded(&file).unwrap()).len(), 4);
    for end in 0..file.len() {
        assert!(loaded(&file[..end]).is_err(), "{end} of {} bytes", file.len());
    }
}

#[test]
fn a_bit_that_has_changed_is_noticed_wherever_it_is() {
    let file = sample();
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut changed = file.clone();
            changed[at] ^= 1 << bit;
            assert!(loaded(&changed).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn a_bit_that_has_changed_does_no_harm_without_a_checksum() {
    let mut file = sample();
    let end = file.len() - 8;
    file[end..].fill(0);
    assert!(loaded(&file).is_ok());
    for at in 0..end {
        for bit in 0..8 {
            let mut changed = file.clone();
            changed[at] ^= 1 << bit;
            let _ = loaded(&changed);
        }
    }
}

/// A file of several batches, with hashes that are too large for one.
fn large_sample() -> Vec<u8> {
    let keyspace = keyspace();
    let key = |number: usize| {
        let value = if number.is_multiple_of(40) { "long".repeat(4000) } else { number.to_string() };
        let field = |at: usize| (format!("f{at}").into_bytes(), format!("{value}{at}").into_bytes(), None);
        (
            number % 3,
            format!("key:{number}").into_bytes(),
            None,
            (0..1 + number % 5 + 40 % (number + 1)).map(field).collect(),
        )
    };
    fill(&keyspace, &(0..100).map(key).collect::<Vec<Key>>());
    saved(&keyspace, false)
}

#[test]
fn what_is_wrong_with_a_file_does_not_depend_on_how_many_read_it() {
    let file = large_sample();
    assert_eq!(contents(&loaded(&file).unwrap()).len(), 100);
    let mut random = crate::base::random::Random::from_seed(7);
    for _ in 0..40 {
        let mut changed = file.clone();
        let end = file.len() - 8;
        changed[end..].fill(0);
        for _ in 0..3 {
            changed[random.below(end)] ^= 1 << random.below(8);
        }
        changed.truncate(file.len() - random.below(2) * random.below(end));
        let _ = loaded(&changed);
    }
}

/// A file of a version with these values.
fn file_of(head: &[u8], body: &[u8]) -> Vec<u8> {
    let mut file = [head, body, &[0xff]].concat();
    if head >= &b"REDIS0005"[..] {
        file.extend(checksum(&file).to_le_bytes());
    }
    file
}

fn pairs(file: &[u8], key: &[u8]) -> Vec<(String, String, Option<i64>)> {
    let contents = contents(&loaded(file).unwrap());
    let (_, _, fields) = &contents[&(0, key.to_vec())];
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    fields.iter().map(|(field, value, at)| (text(field), text(value), *at)).collect()
}

fn expected(pairs: &[(&str, &str, Option<i64>)]) -> Vec<(String, String, Option<i64>)> {
    pairs.iter().map(|&(field, value, at)| (field.to_owned(), value.to_owned(), at)).collect()
}

#[test]
fn a_zipmap_of_version_2_and_a_ziplist_of_version_4() {
    let zipmap = b"\xfe\x00\x09\x01k\x0f\x02\x01f\x01\x00v\x02gg\x02\x01ww.\xff";
    assert_eq!(pairs(&file_of(b"REDIS0002", zipmap), b"k"), expected(&[("f", "v", None), ("gg", "ww", None)]));
    let ziplist = b"\xfd\xff\xff\xff\x7f\x0d\x01k\x11\x11\x00\x00\x00\x0d\x00\x00\x00\x02\x00\x00\x01f\x03\xfe\x80\xff";
    assert_eq!(pairs(&file_of(b"REDIS0004", ziplist), b"k"), expected(&[("f", "-128", None)]));
}

#[test]
fn field_expiries_of_early_redis_and_of_valkey() {
    let early = [&b"\x16\x01k\x02\x81"[..], &(NOW.0 as u64 + 7).to_be_bytes(), b"\x01f\x01v\x00\x01g\x01w"].concat();
    let both = expected(&[("f", "v", Some(NOW.0 + 7)), ("g", "w", None)]);
    assert_eq!(pairs(&file_of(b"REDIS0012", &early), b"k"), both);
    let valkey =
        [&b"\x16\x01k\x02\x01f\x01v"[..], &(NOW.0 + 7).to_le_bytes(), b"\x01g\x01w\xff\xff\xff\xff\xff\xff\xff\xff"];
    assert_eq!(pairs(&file_of(b"VALKEY080", &valkey.concat()), b"k"), both);
}

#[test]
fn templates_of_redis_8_10() {
    let mut list = super::listpack::Builder::default();
    for text in [&b"7"[..], b"one", b"2"] {
        list.push(text);
    }
    let list = list.finish();
    let length = u8::try_from(list.len()).unwrap();
    let body = [
        &b"\xf2\x07\x02\x01a\x02bb"[..],
        b"\x1e\x01k",
        &[length],
        &list,
        b"\x20\x01l\x07\x03one\x012",
        b"\x1f\x01m\x01\x02\x01a\x02bb\x03one\x012",
    ]
    .concat();
    let file = file_of(b"REDIS0016", &body);
    for key in [b"k", b"l", b"m"] {
        assert_eq!(pairs(&file, key), expected(&[("a", "one", None), ("bb", "2", None)]));
    }
}

#[test]
fn keys_of_other_types_are_refused_and_named() {
    let file = file_of(b"REDIS0010", b"\x00\x01s\x01v\x01\x01l\x02\x01a\x01b\x04\x01h\x01\x01f\x01v");
    let error = loaded(&file).unwrap_err().to_string();
    assert_eq!(error, "it has keys that are no hashes: 2, 's' in database 0 first, a string");
}
