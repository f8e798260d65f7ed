//! How long one client's heavy step makes another client wait.
//!
//! A probe sends HGET on a small hash every half millisecond, over four connections in turn, while another client does one
//! step; the longest answer time counts. `idle` shows what the machine itself adds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::client::Client;
use super::results::{Better, Table};
use super::{Options, Outcome, Server, kinds};

/// Fields of a big hash.
const BIG: usize = 1_000_000;

/// Pairs of one wide HSET.
const WIDE: usize = 250_000;

/// Fields that expire together; of keys twice as many do.
const DUE: usize = 500_000;

/// Keys of a big keyspace.
const KEYS: usize = 3_000_000;

const BATCH: usize = 1000;

/// A step by name with its longest wait and the 99.9th percentile of the waits, in milliseconds.
pub(super) type Waits = (String, f64, f64);

/// Does all steps on each server.
pub(crate) fn measure(options: &Options) -> Outcome<Vec<Table>> {
    let (mut names, mut waits) = (Vec::new(), Vec::new());
    for kind in kinds(&options.peers) {
        let server = Server::start(kind, &options.peers, &[])?;
        names.push(server.name.clone());
        waits.push(steps(&server, options)?);
    }
    let mut longest = Table::new("stalls", "Longest wait of another client, ms", Better::Lower, names.clone());
    let mut most = Table::new("stalls p99.9", "99.9th percentile of the waits, ms", Better::Lower, names);
    for (index, (name, ..)) in waits.first().into_iter().flatten().enumerate() {
        let of = |pick: fn(&Waits) -> f64| waits.iter().map(|server| server.get(index).map(pick)).collect();
        longest.add(name, of(|waits| waits.1));
        most.keep(name, of(|waits| waits.2));
    }
    Ok(vec![longest, most])
}

fn steps(server: &Server, options: &Options) -> Outcome<Vec<Waits>> {
    let (big, wide, due) = (options.scaled(BIG, 10_000), options.scaled(WIDE, 10_000), options.scaled(DUE, 10_000));
    let mut client = Client::connect(server.port)?;
    client.ask(&["HSET", "small", "f", "v"])?;
    let fields = |count: usize| (0..count).map(|number| format!("field:{number}"));
    let pairs = |count: usize| fields(count).flat_map(|field| [field, "a short value".to_owned()]);
    let mut waits = vec![probe(server, "idle", || {
        std::thread::sleep(Duration::from_secs(1));
        Ok(())
    })?];

    let words = |words: &[&str]| -> Vec<String> { words.iter().map(|&word| word.to_owned()).collect() };
    let request = words(&["HSET", "wide"]).into_iter().chain(pairs(wide)).collect::<Vec<_>>();
    waits.push(probe(server, &format!("one HSET of {wide} pairs"), || client.ask(&request))?);
    waits.push(probe(server, &format!("growth of a hash to {big} fields"), || {
        let all: Vec<String> = pairs(big).collect();
        all.chunks(2000).try_for_each(|chunk| client.ask(&[&words(&["HSET", "big"]), chunk].concat()))
    })?);
    for (name, request) in [
        ("HGETALL of it", &["HGETALL", "big"][..]),
        ("HKEYS of it", &["HKEYS", "big"]),
        ("HVALS of it", &["HVALS", "big"]),
        ("HSCAN of it, COUNT 1000000", &["HSCAN", "big", "0", "COUNT", &big.to_string()]),
        ("HRANDFIELD of all of it", &["HRANDFIELD", "big", &big.to_string()]),
        ("COPY of it", &["COPY", "big", "copy"]),
        ("RENAME of the copy over another", &["RENAME", "copy", "wide"]),
        ("DEL of it", &["DEL", "wide"]),
    ] {
        waits.push(probe(server, name, || client.ask(request))?);
    }
    let request = words(&["HPEXPIRE", "big", "1500", "FIELDS", &due.to_string()]);
    let request: Vec<String> = request.into_iter().chain(fields(due)).collect();
    waits.push(probe(server, &format!("HPEXPIRE of {due} fields"), || client.ask(&request))?);
    waits.push(probe(server, "they expire together", || {
        std::thread::sleep(Duration::from_secs(4));
        Ok(())
    })?);
    waits.extend(of_the_keyspace(server, options)?);
    Ok(waits)
}

/// The steps on many keys.
fn of_the_keyspace(server: &Server, options: &Options) -> Outcome<Vec<Waits>> {
    let (due, all) = (2 * options.scaled(DUE, 10_000), options.scaled(KEYS, 20_000));
    let mut client = Client::connect(server.port)?;
    let request = |words: &[&str]| -> Vec<String> { words.iter().map(|&word| word.to_owned()).collect() };
    let mut waits = vec![probe(server, &format!("growth of the keyspace to {all} keys"), || {
        let requests = (0..all).map(|number| request(&["HSET", &format!("key:{number}"), "f", "v"]));
        client.pipeline(requests, BATCH)
    })?];
    waits.push(probe(server, "KEYS * on them", || client.ask(&["KEYS", "*"]))?);
    waits.push(probe(server, "BGSAVE of them", || save(&mut client, || Ok(())))?);
    waits.push(probe(server, "BGSAVE of them while keys change", || {
        let mut writer = Client::connect(server.port)?;
        let mut numbers = (0..all).map(|number| number * 7919 % all).cycle();
        save(&mut client, || {
            let changes =
                numbers.by_ref().take(BATCH).map(|number| request(&["HSET", &format!("key:{number}"), "f", "w"]));
            writer.pipeline(changes, BATCH)
        })
    })?);
    waits.push(probe(server, &format!("{due} of them expire together"), || {
        let expiry = (now_ms()? + 12_000).to_string();
        let requests = (0..due).map(|number| request(&["PEXPIREAT", &format!("key:{number}"), &expiry]));
        client.pipeline(requests, BATCH)?;
        std::thread::sleep(Duration::from_secs(16));
        Ok(())
    })?);
    waits.push(probe(server, "FLUSHALL", || client.ask(&["FLUSHALL"]))?);
    Ok(waits)
}

/// Takes a snapshot in the background, and does `meanwhile` again and again until it is written.
fn save(client: &mut Client, mut meanwhile: impl FnMut() -> Outcome<()>) -> Outcome<()> {
    client.ask(&["BGSAVE"])?;
    let started = Instant::now();
    while client.text(&["INFO", "persistence"])?.contains("rdb_bgsave_in_progress:1") {
        meanwhile()?;
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("a snapshot took {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn now_ms() -> Outcome<u128> {
    Ok(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis())
}

/// Does a step while the probe watches.
pub(super) fn probe(server: &Server, name: &str, work: impl FnOnce() -> Outcome<()>) -> Outcome<Waits> {
    let done = AtomicBool::new(false);
    let waits = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(server.port, &done).map_err(|error| error.to_string()));
        std::thread::sleep(Duration::from_millis(300));
        let outcome = work();
        std::thread::sleep(Duration::from_millis(200));
        done.store(true, Ordering::Relaxed);
        let waits = watching.join().map_err(|_| "the probe has panicked")?;
        outcome.map(|()| waits)
    })?;
    let mut waits = waits?;
    waits.sort_unstable();
    let at = |share: usize| waits.get((waits.len() * share / 1000).min(waits.len() - 1)).copied().unwrap_or_default();
    Ok((name.to_owned(), at(1000).as_secs_f64() * 1e3, at(999).as_secs_f64() * 1e3))
}

/// Asks for a small hash's field again and again; gives how long each answer took.
fn watch(port: u16, done: &AtomicBool) -> Outcome<Vec<Duration>> {
    let mut clients = (0..4).map(|_| Client::connect(port)).collect::<Outcome<Vec<_>>>()?;
    let mut waits = Vec::new();
    while !done.load(Ordering::Relaxed) {
        for client in &mut clients {
            let started = Instant::now();
            client.ask(&["HGET", "small", "f"])?;
            waits.push(started.elapsed());
            std::thread::sleep(Duration::from_micros(500));
        }
    }
    Ok(waits)
}
