//! The store: reading and writing small and big hashes, and two threads on one keyspace.
#![allow(missing_docs, clippy::cast_possible_truncation, reason = "made by criterion_group; counts are small")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use hashd::base::clock::UnixMillis;
use hashd::store::{HashLimits, Keyspace};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const KEYS: usize = 100_000;
const FIELDS: [&str; 4] = ["name", "email", "city", "visits"];

fn filled() -> (Arc<Keyspace>, Vec<Vec<u8>>) {
    let keyspace = Arc::new(Keyspace::new(16, HashLimits { max_listpack_entries: 512, max_listpack_value: 64 }));
    let keys: Vec<Vec<u8>> = (0..KEYS).map(|index| format!("user:{index:012}").into_bytes()).collect();
    for key in &keys {
        keyspace.database(0, NOW).update(key, |hash| {
            for field in FIELDS {
                hash.set(field.as_bytes(), b"a short value");
            }
        });
    }
    (keyspace, keys)
}

fn small_hashes(criterion: &mut Criterion) {
    let (keyspace, keys) = filled();
    let mut order = (0..KEYS).cycle().step_by(7919);
    let mut next = move || order.next().unwrap_or_default();
    criterion.bench_function("get a field, 100,000 keys", |bencher| {
        bencher.iter(|| {
            let key = &keys[next()];
            keyspace.database(0, NOW).view(key, |hash| black_box(hash.get(b"email").map(hashd::store::Value::len)))
        });
    });
    let mut order = (0..KEYS).cycle().step_by(7919);
    criterion.bench_function("set a field, 100,000 keys", |bencher| {
        bencher.iter(|| {
            let key = &keys[order.next().unwrap_or_default()];
            keyspace.database(0, NOW).update(key, |hash| hash.set(b"city", b"Amsterdam"))
        });
    });
}

fn big_hash(criterion: &mut Criterion) {
    let (keyspace, _) = filled();
    let fields: Vec<Vec<u8>> = (0..KEYS).map(|index| format!("field:{index}").into_bytes()).collect();
    keyspace.database(0, NOW).update(b"big", |hash| {
        for field in &fields {
            hash.set(field, b"a short value");
        }
    });
    let mut order = (0..KEYS).cycle().step_by(7919);
    criterion.bench_function("get a field of a hash of 100,000", |bencher| {
        bencher.iter(|| {
            let field = &fields[order.next().unwrap_or_default()];
            keyspace.database(0, NOW).view(b"big", |hash| black_box(hash.get(field).map(hashd::store::Value::len)))
        });
    });
}

/// Two threads read and write random keys; the figure is the time per operation of one of them.
fn contention(criterion: &mut Criterion) {
    let (keyspace, keys) = filled();
    let keys = Arc::new(keys);
    criterion.bench_function("set a field, two threads on disjoint keys", |bencher| {
        bencher.iter_custom(|rounds| {
            let started = Instant::now();
            std::thread::scope(|scope| {
                for half in 0..2 {
                    let (keyspace, keys) = (&keyspace, &keys);
                    scope.spawn(move || {
                        for round in 0..rounds as usize {
                            let key = &keys[(round * 7919 * 2 + half) % KEYS];
                            keyspace.database(0, NOW).update(key, |hash| hash.set(b"city", b"Amsterdam"));
                        }
                    });
                }
            });
            started.elapsed()
        });
    });
}

criterion_group!(benches, small_hashes, big_hash, contention);
criterion_main!(benches);
