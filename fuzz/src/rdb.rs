//! Any bytes as a snapshot, or as what RESTORE is given: read or refused, and what has been read comes back the same when it is
//! written and read again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use hashd::base::clock::UnixMillis;
use hashd::persist::rdb::RdbError;
use hashd::persist::rdb::hash::Parts;
use hashd::persist::rdb::load::{Expired, ForeignTypes, Incoming, LoadOptions, read};
use hashd::persist::rdb::payload::{For, Payload, dump};
use hashd::persist::rdb::save::{SaveOptions, write};
use hashd::persist::rdb::source::Stream;
use hashd::store::{HashLimits, KeptUsage, Keyspace, NewHash, Replace};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const DATABASES: usize = 4;

/// The first byte says which of the two it is, and of which server.
pub fn run(bytes: &[u8]) {
    let [what, rest @ ..] = bytes else { return };
    match what % 3 {
        0 => file(rest),
        1 => payload(rest, 16),
        _ => payload(rest, 80),
    }
}

fn keyspace() -> Arc<Keyspace> {
    Arc::new(Keyspace::new(DATABASES, HashLimits { max_listpack_entries: 4, max_listpack_value: 16 }))
}

fn file(bytes: &[u8]) {
    let Some(keyspace) = load(bytes) else { return };
    let (snapshot, ()) = keyspace.begin_snapshot(|_| ()).expect("nobody else has a snapshot");
    let options = SaveOptions {
        compression: true,
        checksum: true,
        usage: KeptUsage::IdleSeconds,
        is_log_base: false,
        now: NOW,
        used_memory: 1,
        version: "8.10.0",
    };
    let mut written = Vec::new();
    write(&snapshot, &mut written, &options, &AtomicU64::new(0)).expect("memory takes everything");
    drop(snapshot);
    let again = load(&written).expect("what has been written is read");
    assert_eq!(contents(&again), contents(&keyspace));
}

fn load(bytes: &[u8]) -> Option<Arc<Keyspace>> {
    let options = LoadOptions {
        databases: DATABASES,
        foreign_types: ForeignTypes::Skip,
        expired: Expired::Kept,
        checksum: false,
        now: NOW,
    };
    let keyspace = keyspace();
    let receive = |index, incoming: Incoming<'_>| {
        // Nothing is due, whatever the time is.
        let mut database = keyspace.database(index, UnixMillis(i64::MIN));
        match incoming {
            Incoming::Keys(keys) => database.reserve(keys),
            Incoming::Hash(new) if database.load(new) => {}
            Incoming::Hash(_) => return Err(RdbError::Malformed("a key is there twice")),
        }
        Ok(())
    };
    read(&mut Stream::new(bytes, bytes.len() as u64), &options, &AtomicU64::new(0), receive).ok()?;
    Some(keyspace)
}

/// The keys of a snapshot with their expiries and sorted fields.
fn contents(keyspace: &Arc<Keyspace>) -> BTreeMap<(usize, Vec<u8>), Content> {
    let (snapshot, ()) = keyspace.begin_snapshot(|_| ()).expect("nobody else has a snapshot");
    let mut all = BTreeMap::new();
    for database in snapshot.databases() {
        let visited = snapshot.read(database, |image| {
            let fields = image.hash().fields().map(|(field, value, at)| (field.to_vec(), value.text().to_vec(), at));
            let mut fields: Vec<Field> = fields.collect();
            fields.sort();
            all.insert((database.index, image.key().to_vec()), (image.expiry(), fields));
            Ok::<(), std::io::Error>(())
        });
        visited.expect("no visit fails");
    }
    all
}

type Field = (Vec<u8>, Vec<u8>, Option<UnixMillis>);

type Content = (Option<UnixMillis>, Vec<Field>);

fn payload(value: &[u8], version: u16) {
    // A checksum of 0 is not looked at.
    let bytes = [value, &version.to_le_bytes(), &[0; 8]].concat();
    let Some(fields) = fields_of(&bytes) else { return };
    let (keyspace, mut parts) = (keyspace(), Parts::default());
    let payload = Payload::check(&bytes).expect("it has been read once");
    payload.read(&mut parts).expect("it has been read once");
    let new: Vec<_> = parts.fields().collect();
    let mut database = keyspace.database(0, UnixMillis(i64::MIN));
    let new = NewHash {
        key: b"k",
        expiry: None,
        usage: None,
        fields: &new,
        has_expiries: parts.has_expiries,
        is_measured: parts.is_measured,
    };
    assert!(database.restore(&new, Replace::No));
    let written = database.view(b"k", |hash| hash.image().map(|image| dump(&image, true, For::Anybody)));
    assert_eq!(written.and_then(|written| fields_of(&written)), Some(fields));
}

fn fields_of(payload: &[u8]) -> Option<Vec<Field>> {
    let mut parts = Parts::default();
    Payload::check(payload)?.read(&mut parts).ok()?;
    let mut fields: Vec<Field> =
        parts.fields().map(|new| (new.field.to_vec(), new.value.to_vec(), new.expiry)).collect();
    fields.sort();
    Some(fields)
}
