//! Eviction: what a cache finds again at each policy, how far memory goes beyond `maxmemory`, and how long others wait.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;

use super::client::{Client, encode};
use super::results::{Better, Table};
use super::stalls::probe;
use super::{Kind, Options, Outcome, Server, name_of};

const POLICIES: [&str; 9] = [
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-lrm",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-lrm",
    "volatile-random",
    "volatile-ttl",
];

/// Keys that are asked for, of which a fraction fits; requests, of which the second half counts.
const UNIVERSE: usize = 200_000;
const REQUESTS: usize = 2_000_000;

/// How unequal the keys are: the number `n` is asked for `n^-SKEW` times as often as the first.
const SKEW: f64 = 0.9;

/// `maxmemory` for the hit ratios, above what an empty server takes, per key of the universe.
const BYTES_PER_KEY: usize = 80;

const BATCH: usize = 50;

/// Keys written when all cores write, and to what limit.
const WRITES: usize = 1_000_000;
const LIMIT: usize = 100 << 20;
const WRITERS: usize = 4;

/// Both servers at every policy, then under writes.
pub(crate) fn measure(options: &Options) -> Outcome<Vec<Table>> {
    Ok([hit_ratios(options)?, pressure(options)?].concat())
}

/// A trace of requests by Zipf's law: key numbers, which say nothing of how often they come.
struct Trace {
    cumulative: Vec<f64>,
    order: Vec<usize>,
    rng: Rng,
}

impl Trace {
    fn new(universe: usize) -> Self {
        let mut rng = Rng::with_seed(11);
        let mut sum = 0.0;
        let weights = (1..=universe).map(|rank| (rank as f64).powf(-SKEW));
        let cumulative = weights.map(|weight| {
            sum += weight;
            sum
        });
        let (cumulative, mut order) = (cumulative.collect(), (0..universe).collect::<Vec<_>>());
        rng.shuffle(&mut order);
        Self { cumulative, order, rng }
    }

    fn next(&mut self) -> usize {
        let at = self.rng.f64() * self.cumulative.last().copied().unwrap_or(1.0);
        let rank = self.cumulative.partition_point(|&sum| sum < at);
        self.order.get(rank).copied().unwrap_or(0)
    }
}

fn hit_ratios(options: &Options) -> Outcome<Vec<Table>> {
    let names = |second: &str| vec!["hashd".to_owned(), second.to_owned(), name_of(Kind::Redis, &options.peers)];
    let title = "Requests that find their key at the same maxmemory, percent";
    let mut ratios = Table::new("hit ratio", title, Better::Higher, names("hashd with as many keys"));
    let mut held = Table::new("keys held", "Keys held in the end", Better::Higher, names("hashd with as many keys"));
    let room = options.scaled(UNIVERSE, 20_000) * BYTES_PER_KEY;
    for policy in POLICIES {
        let redis = cached(options, Kind::Redis, policy, room)?;
        let hashd = cached(options, Kind::Hashd, policy, room)?;
        // What hashd needs for as many keys as Redis holds.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes of moderate magnitude")]
        let equal_room = (room as f64 * redis.1 / hashd.1) as usize;
        let equal = cached(options, Kind::Hashd, policy, equal_room)?;
        ratios.add(policy, vec![Some(hashd.0), Some(equal.0), Some(redis.0)]);
        held.keep(policy, vec![Some(hashd.1), Some(equal.1), Some(redis.1)]);
    }
    held.print();
    Ok(vec![ratios, held])
}

/// Runs the trace as a cache does, asking and storing what is missing; gives the share of requests, in percent, that found
/// their key in the second half, and the number of keys held in the end.
fn cached(options: &Options, kind: Kind, policy: &str, room: usize) -> Outcome<(f64, f64)> {
    let server = Server::start(kind, &options.peers, &["--maxmemory-policy", policy])?;
    let mut client = Client::connect(server.port)?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes of moderate magnitude")]
    let limit = server.used_memory()? as usize + room;
    client.ask(&["CONFIG", "SET", "maxmemory", &limit.to_string()])?;
    let requests = options.scaled(REQUESTS, 200_000);
    let mut trace = Trace::new(options.scaled(UNIVERSE, 20_000));
    let (mut asked, mut found) = (0_u32, 0_u32);
    for done in (0..requests).step_by(BATCH) {
        let keys: Vec<usize> = (0..BATCH).map(|_| trace.next()).collect();
        let asking = keys.iter().flat_map(|key| encode(&["HGET", &format!("key:{key}"), "value"]));
        let missing = client.missing(&asking.collect::<Vec<u8>>(), BATCH)?;
        if done >= requests / 2 {
            for is_missing in &missing {
                asked += 1;
                found += u32::from(!is_missing);
            }
        }
        let absent = keys.iter().zip(missing).filter(|(_, is_missing)| *is_missing).map(|(key, _)| *key);
        let storing: Vec<Vec<String>> = absent.flat_map(|key| store(key, policy)).collect();
        let bytes: Vec<u8> = storing.iter().flat_map(|request| encode(request)).collect();
        client.exchange(&bytes, storing.len())?;
    }
    let keys = client.number(&["DBSIZE"])?;
    Ok((100.0 * f64::from(found) / f64::from(asked), keys as f64))
}

/// The requests that store a key: the same each time, with an expiry where the policy wants one.
fn store(key: usize, policy: &str) -> Vec<Vec<String>> {
    let mut rng = Rng::with_seed(key as u64);
    let length = rng.usize(50..200);
    let value: String = (0..length).map(|_| rng.alphanumeric()).collect();
    let name = format!("key:{key}");
    let mut requests = vec![["HSET", &name, "value", &value].map(str::to_owned).to_vec()];
    if policy.starts_with("volatile") {
        let seconds = rng.u32(10_000..20_000).to_string();
        requests.push(["EXPIRE", &name, &seconds].map(str::to_owned).to_vec());
    }
    requests
}

/// All cores write, then `maxmemory` is halved at once, while a probe watches.
fn pressure(options: &Options) -> Outcome<Vec<Table>> {
    let kinds = [Kind::Hashd, Kind::Redis];
    let names: Vec<String> = kinds.iter().map(|&kind| name_of(kind, &options.peers)).collect();
    let title = "Most used_memory as a share of maxmemory under writes of all cores, percent";
    let mut most = Table::new("overshoot", title, Better::Lower, names.clone());
    let title = "Longest wait of another client while keys are evicted, ms";
    let mut waits = Table::new("eviction stalls", title, Better::Lower, names);
    let figures = kinds.iter().map(|&kind| pressed(options, kind)).collect::<Outcome<Vec<_>>>()?;
    most.add("values of 20 to 3,000 bytes", figures.iter().map(|figures| Some(figures.0)).collect());
    waits.add("the same writes", figures.iter().map(|figures| Some(figures.1)).collect());
    waits.add("maxmemory halved at once", figures.iter().map(|figures| Some(figures.2)).collect());
    Ok(vec![most, waits])
}

fn pressed(options: &Options, kind: Kind) -> Outcome<(f64, f64, f64)> {
    let (keys, limit) = (options.scaled(WRITES, 100_000), options.scaled(LIMIT, 16 << 20));
    let arguments = ["--maxmemory-policy", "allkeys-lru", "--maxmemory", &limit.to_string()];
    let server = Server::start(kind, &options.peers, &arguments)?;
    Client::connect(server.port)?.ask(&["HSET", "small", "f", "v"])?;
    let (done, most) = (AtomicBool::new(false), AtomicU64::new(0));
    let (_, longest, _) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes")]
                most.fetch_max(server.used_memory().unwrap_or(0.0) as u64, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let waits = probe(&server, "writes", || write_by_all(&server, keys));
        done.store(true, Ordering::Relaxed);
        waits
    })?;
    let halved = (limit / 2).to_string();
    let mut client = Client::connect(server.port)?;
    let (_, of_halving, _) = probe(&server, "halved", || {
        client.ask(&["CONFIG", "SET", "maxmemory", &halved])?;
        std::thread::sleep(Duration::from_secs(1));
        Ok(())
    })?;
    Ok((100.0 * most.into_inner() as f64 / limit as f64, longest, of_halving))
}

fn write_by_all(server: &Server, keys: usize) -> Outcome<()> {
    let fill = |number: usize| -> Outcome<()> {
        let mut rng = Rng::with_seed(number as u64);
        let text: String = (0..6000).map(|_| rng.alphanumeric()).collect();
        let requests = (0..keys / WRITERS).map(|key| {
            let (start, length) = (rng.usize(..3000), [20, 100, 500, 3000][rng.usize(..4)]);
            let value = text.get(start..start + length).unwrap_or_default();
            ["HSET", &format!("key:{number}:{key}"), "value", value].map(str::to_owned).to_vec()
        });
        Client::connect(server.port)?.pipeline(requests, BATCH)
    };
    std::thread::scope(|scope| {
        let writers: Vec<_> =
            (0..WRITERS).map(|number| scope.spawn(move || fill(number).map_err(|error| error.to_string()))).collect();
        writers.into_iter().try_for_each(|writer| Ok(writer.join().map_err(|_| "a writer has panicked")??))
    })
}
