//! Linearizability: many short histories of overlapping commands and transactions, recorded from connections on four
//! workers, each of which must have an order in which a plain model gives the same replies.

mod checker; // the search for such an order, and the model

use crate::Case;
use crate::client::{Client, Protocol, Value, decode, encode};
use crate::concurrency;
use crate::concurrency::crew::{seconds, seed};
use crate::server::Server;
use checker::{FIELDS, Hashes, KEYS, Operation, Step, is_linearizable};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::Instant;

pub const CASES: &[Case] = &[
    ("the_checker_tells_right_from_wrong", right_and_wrong),
    ("the_checker_rejects_what_the_model_would_not_say", forged),
    ("one_hash", || record("one_hash", one_hash, 0)),
    ("one_hash_as_a_table", || record("one_hash_as_a_table", one_hash, 600)),
    ("two_hashes", || record("two_hashes", two_hashes, 0)),
];

const CLIENTS: usize = 6;
const OPERATIONS: usize = 6;

/// The numbers of rounds that crews of the usual length would have.
fn rounds() -> usize {
    (seconds().as_secs_f64() / 1.5 * 200.0) as usize
}

fn one_hash(random: &mut fastrand::Rng) -> Step {
    let (field, value) = (random.usize(..FIELDS), random.i64(1..100));
    match random.u8(..8) {
        0 | 1 => Step::Set(0, field, value),
        2 => Step::SetNew(0, field, value),
        3 | 4 => Step::Get(0, field),
        5 => Step::Remove(0, field),
        6 => Step::Add(0, field, value),
        _ => Step::Has(0, field),
    }
}

fn two_hashes(random: &mut fastrand::Rng) -> Step {
    let (key, field, value) = (random.usize(..KEYS), random.usize(..FIELDS), random.i64(1..100));
    match random.u8(..10) {
        0 => Step::Drop,
        1 => Step::Count,
        2 => Step::Rename(key),
        3 => Step::Copy(key),
        4 => Step::Length(key),
        5 => Step::Add(key, field, value),
        6 => Step::Get(key, field),
        7 => Step::Remove(key, field),
        _ => Step::Set(key, field, value),
    }
}

/// Records and checks one history a round. `filler` more fields make the hash a table.
fn record(test: &str, choose: fn(&mut fastrand::Rng) -> Step, filler: usize) {
    let server = concurrency::start();
    let histories: Vec<Mutex<Vec<Operation>>> = (0..rounds()).map(|_| Mutex::default()).collect();
    let fields: String = (0..filler).map(|n| format!(" filler{n} x")).collect();
    let mut filling = server.client();
    for round in (0..histories.len()).filter(|_| filler > 0) {
        filling.line(&format!("HSET {}{fields}", key(round, 0)));
    }
    let (origin, start, late) = (Instant::now(), Barrier::new(CLIENTS), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (server, start, late, histories) = (&server, &start, &late, &histories);
            scope.spawn(move || {
                let mut recorder = Recorder::new(server, client, origin);
                for (round, history) in histories.iter().enumerate() {
                    // A slow machine gets fewer rounds. One client decides before all meet, so that all agree.
                    late.fetch_or(client == 0 && origin.elapsed() > 2 * seconds(), Ordering::Relaxed);
                    start.wait();
                    if late.load(Ordering::Relaxed) {
                        break;
                    }
                    let operations = recorder.round(round, choose);
                    history.lock().unwrap().extend(operations);
                }
            });
        }
    });
    let recorded = histories.into_iter().map(|history| history.into_inner().unwrap());
    let histories: Vec<Vec<Operation>> = recorded.filter(|history| !history.is_empty()).collect();
    assert!(histories.len() > 5, "only {} rounds in the time there is", histories.len());
    let wrong = histories.iter().find(|history| !is_linearizable(history));
    assert!(wrong.is_none(), "no order explains these:\n{}", wrong.map(|history| show(history)).unwrap_or_default());
    let operations: usize = histories.iter().map(Vec::len).sum();
    let overlaps: usize = histories.iter().map(|history| overlaps(history)).sum();
    println!("{test}: {} histories, {operations} operations, {overlaps} pairs of them overlap", histories.len());
}

fn key(round: usize, key: usize) -> String {
    format!("round:{round}:{key}")
}

/// One client and what it does.
struct Recorder {
    connection: Client,
    client: usize,
    random: fastrand::Rng,
    origin: Instant,
}

impl Recorder {
    fn new(server: &Server, client: usize, origin: Instant) -> Self {
        let protocol = if client.is_multiple_of(2) { Protocol::Resp2 } else { Protocol::Resp3 };
        let random = fastrand::Rng::with_seed(seed() + client as u64);
        Self { connection: server.connect(protocol), client, random, origin }
    }

    /// Some operations one by one, some as a pipeline, some as transactions.
    fn round(&mut self, round: usize, choose: fn(&mut fastrand::Rng) -> Step) -> Vec<Operation> {
        let mut operations = Vec::new();
        while operations.len() < OPERATIONS {
            let count = self.random.usize(1..=3).min(OPERATIONS - operations.len());
            let batch: Vec<Vec<Step>> = (0..count)
                .map(|_| {
                    let steps = if self.random.u8(..4) == 0 { 2 } else { 1 };
                    (0..steps).map(|_| choose(&mut self.random)).collect()
                })
                .collect();
            let bytes: Vec<u8> = batch.iter().flat_map(|steps| requests(round, steps)).collect();
            let invoked = self.now();
            self.connection.send_raw(&bytes).unwrap();
            for steps in batch {
                let replies = self.replies(&steps);
                operations.push(Operation { client: self.client, steps, replies, invoked, returned: self.now() });
            }
        }
        operations
    }

    fn replies(&mut self, steps: &[Step]) -> Vec<Value> {
        let protocol = self.connection.protocol;
        let mut reply = || decode(&self.connection.reply().unwrap(), protocol);
        if steps.len() == 1 {
            return vec![reply()];
        }
        for _ in 0..=steps.len() {
            reply();
        }
        reply().items().to_vec()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap()
    }
}

fn requests(round: usize, steps: &[Step]) -> Vec<u8> {
    let commands = steps.iter().map(|step| request(round, *step));
    if steps.len() == 1 {
        return commands.flatten().collect();
    }
    std::iter::once(encode(&["MULTI"])).chain(commands).chain([encode(&["EXEC"])]).flatten().collect()
}

fn request(round: usize, step: Step) -> Vec<u8> {
    let key = |number: usize| key(round, number);
    let line = match step {
        Step::Set(k, field, value) => format!("HSET {} {field} {value}", key(k)),
        Step::SetNew(k, field, value) => format!("HSETNX {} {field} {value}", key(k)),
        Step::Get(k, field) => format!("HGET {} {field}", key(k)),
        Step::Remove(k, field) => format!("HDEL {} {field}", key(k)),
        Step::Add(k, field, more) => format!("HINCRBY {} {field} {more}", key(k)),
        Step::Has(k, field) => format!("HEXISTS {} {field}", key(k)),
        Step::Length(k) => format!("HLEN {}", key(k)),
        Step::Drop => format!("DEL {} {}", key(0), key(1)),
        Step::Count => format!("EXISTS {} {}", key(1), key(0)),
        Step::Rename(k) => format!("RENAME {} {}", key(k), key(1 - k)),
        Step::Copy(k) => format!("COPY {} {} REPLACE", key(k), key(1 - k)),
    };
    encode(&line.split(' ').collect::<Vec<_>>())
}

fn overlaps(history: &[Operation]) -> usize {
    let pairs = history.iter().enumerate().flat_map(|(at, one)| history[at + 1..].iter().map(move |two| (one, two)));
    pairs
        .filter(|(one, two)| one.client != two.client && one.invoked < two.returned && two.invoked < one.returned)
        .count()
}

fn show(history: &[Operation]) -> String {
    let mut history: Vec<&Operation> = history.iter().collect();
    history.sort_by_key(|operation| operation.invoked);
    let line =
        |o: &&Operation| format!("{} {}..{}: {:?} -> {:?}\n", o.client, o.invoked, o.returned, o.steps, o.replies);
    history.iter().map(line).collect()
}

fn operation(client: usize, (invoked, returned): (u64, u64), steps: &[(Step, Value)]) -> Operation {
    let (steps, replies) = steps.iter().cloned().unzip();
    Operation { client, steps, replies, invoked, returned }
}

/// Histories by hand, each right one beside the wrong one that differs from it in one thing.
fn right_and_wrong() {
    let (int, set) = (Value::Int, |value| (Step::Set(0, 0, value), Value::Int(1)));
    let got = |value: &str| (Step::Get(0, 0), Value::Bytes(value.into()));
    let missing = (Step::Get(0, 0), Value::Null);
    // Who asks while a write is under way may find either; who asks after it must find it.
    let read_at =
        |when| is_linearizable(&[operation(0, (1, 4), &[set(7)]), operation(1, when, std::slice::from_ref(&missing))]);
    assert!(read_at((2, 3)) && read_at((4, 9)) && !read_at((5, 9)));
    // Once one has found it, nobody may miss it.
    let two_reads = |second: (Step, Value)| {
        let history =
            [operation(0, (1, 9), &[set(7)]), operation(1, (2, 3), &[got("7")]), operation(2, (4, 5), &[second])];
        is_linearizable(&history)
    };
    assert!(two_reads(got("7")) && !two_reads(missing.clone()));
    // A lost update.
    let add = |client, sum| operation(client, (1, 9), &[(Step::Add(0, 0, 1), int(sum))]);
    assert!(is_linearizable(&[add(0, 2), add(1, 1)]) && !is_linearizable(&[add(0, 1), add(1, 1)]));
    // Half a transaction.
    let both = operation(0, (1, 9), &[set(7), (Step::Set(1, 0, 7), int(1))]);
    let count = |count| operation(1, (2, 8), &[(Step::Count, int(count))]);
    let counted = |n| is_linearizable(&[both.clone(), count(n)]);
    assert!(counted(0) && counted(2) && !counted(1));
    // A pipeline's order holds although its operations were sent at once.
    let pipeline = |one, two| is_linearizable(&[operation(0, (1, 5), &[one]), operation(0, (1, 6), &[two])]);
    assert!(pipeline(missing.clone(), set(7)) && !pipeline(set(7), missing.clone()));
}

/// Histories out of the model, with times that may overlap, are right; with one reply replaced they no longer are.
fn forged() {
    let mut random = fastrand::Rng::with_seed(seed());
    for _ in 0..300 {
        let (mut hashes, mut history) = (Hashes::default(), Vec::new());
        for at in 0..24_u64 {
            let steps: Vec<Step> = (0..random.usize(1..=2)).map(|_| two_hashes(&mut random)).collect();
            let (invoked, returned) = (at * 10 - random.u64(..=at * 10).min(40), at * 10 + random.u64(1..40));
            let replies = hashes.replies(&steps);
            // Each operation has a client of its own: only the times order them.
            history.push(Operation { client: at as usize, steps, replies, invoked, returned });
        }
        assert!(is_linearizable(&history), "{}", show(&history));
        let victim = random.usize(..history.len());
        history[victim].replies[0] = Value::Bytes("never written".into());
        assert!(!is_linearizable(&history), "{}", show(&history));
    }
}
