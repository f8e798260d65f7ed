//! Memory a key, and what is left of it after half of the keys have been replaced.

use std::time::Duration;

use fastrand::Rng;

use super::client::Client;
use super::results::{Better, Table};
use super::workloads::{ALL, Make, PROFILE_FIELDS, features, profile_values};
use super::{Kind, Options, Outcome, Server, kinds, name_of};

const KEYS: usize = 200_000;
const BATCH: usize = 500;
const SEED: u64 = 7;

/// Fills fresh servers with each workload in turn.
pub(crate) fn measure(options: &Options) -> Outcome<Vec<Table>> {
    let kinds = kinds(&options.peers);
    let names: Vec<String> = kinds.iter().map(|&kind| name_of(kind, &options.peers)).collect();
    let keys = options.scaled(KEYS, 10_000);
    let mut resident = Table::new("memory", "RSS per key, bytes", Better::Lower, names.clone());
    let mut used = Table::new("used memory", "used_memory per key, bytes", Better::Lower, names.clone());
    let mut refill =
        Table::new("fragmentation", "RSS after half of the keys were replaced, to that before", Better::Lower, names);
    let small = ALL.into_iter().map(|(name, make)| (name, make, keys));
    let big = ("700 features", features as Make, keys / 100);
    for (name, make, keys) in small.chain([big]) {
        let title = format!("{name} ({:.0} bytes raw)", raw_bytes(make));
        let figures = kinds.iter().map(|&kind| filled(options, kind, |client| load(client, make, keys, SEED)));
        let figures = figures.collect::<Outcome<Vec<_>>>()?;
        resident.add(&title, figures.iter().map(|figures| Some(figures.0 / keys as f64)).collect());
        used.keep(&title, figures.iter().map(|figures| Some(figures.1 / keys as f64)).collect());
    }
    let figures = kinds.iter().map(|&kind| filled(options, kind, |client| import(client, kind, keys)));
    let figures = figures.collect::<Outcome<Vec<_>>>()?;
    let title = "user profile, hashd by HIMPORT";
    resident.add(title, figures.iter().map(|figures| Some(figures.0 / keys as f64)).collect());
    used.keep(title, figures.iter().map(|figures| Some(figures.1 / keys as f64)).collect());
    used.print();
    let ratios = kinds.iter().map(|&kind| refilled(options, kind, keys).map(Some)).collect::<Outcome<Vec<_>>>()?;
    refill.add("user profile", ratios);
    for table in [&resident, &used] {
        let workload = |name: &str| ALL.iter().any(|(workload, _)| name.starts_with(&format!("{workload} (")));
        let mean = table.mean_ratio(0, |row| workload(&row.name)).unwrap_or(f64::NAN);
        println!("{}: geometric mean of the five workloads to the leaner peer {mean:.2}", table.title);
    }
    Ok(vec![resident, used, refill])
}

/// Growth of RSS and of `used_memory` of a fresh server.
fn filled(options: &Options, kind: Kind, fill: impl Fn(&mut Client) -> Outcome<()>) -> Outcome<(f64, f64)> {
    let server = Server::start(kind, &options.peers, &[])?;
    let before = (server.memory("VmRSS")?, server.used_memory()?);
    fill(&mut Client::connect(server.port)?)?;
    settle();
    Ok((server.memory("VmRSS")? - before.0, server.used_memory()? - before.1))
}

/// RSS after half of the keys, at random, were deleted and made anew, in relation to the RSS before.
fn refilled(options: &Options, kind: Kind, keys: usize) -> Outcome<f64> {
    let server = Server::start(kind, &options.peers, &[])?;
    let empty = server.memory("VmRSS")?;
    let mut client = Client::connect(server.port)?;
    let (_, make) = ALL[0];
    load(&mut client, make, keys, SEED)?;
    settle();
    let full = server.memory("VmRSS")? - empty;
    let mut order: Vec<usize> = (0..keys).collect();
    Rng::with_seed(SEED).shuffle(&mut order);
    order.truncate(keys / 2);
    client.pipeline(order.iter().map(|number| vec!["DEL".to_owned(), format!("user:{number}")]), BATCH)?;
    let mut rng = Rng::with_seed(SEED + 1);
    client.pipeline(order.iter().flat_map(|&number| make(number, &mut rng)), BATCH)?;
    settle();
    Ok((server.memory("VmRSS")? - empty) / full)
}

fn load(client: &mut Client, make: Make, keys: usize, seed: u64) -> Outcome<()> {
    let mut rng = Rng::with_seed(seed);
    client.pipeline((0..keys).flat_map(|number| make(number, &mut rng)), BATCH)
}

/// The profiles by HIMPORT where there is such a command.
fn import(client: &mut Client, kind: Kind, keys: usize) -> Outcome<()> {
    if kind != Kind::Hashd {
        return load(client, ALL[0].1, keys, SEED);
    }
    let mut prepare = vec!["HIMPORT", "PREPARE", "profile"];
    prepare.extend(PROFILE_FIELDS);
    client.ask(&prepare)?;
    let mut rng = Rng::with_seed(SEED);
    let requests = (0..keys).map(|number| {
        let head = ["HIMPORT".to_owned(), "SET".to_owned(), format!("user:{number}"), "profile".to_owned()];
        head.into_iter().chain(profile_values(number, &mut rng)).collect()
    });
    client.pipeline(requests, BATCH)
}

/// Bytes of a key, its fields and their values.
fn raw_bytes(make: Make) -> f64 {
    const SAMPLE: usize = 1000;
    let mut rng = Rng::with_seed(SEED);
    let hashes = (0..SAMPLE).filter_map(|number| make(number + KEYS / 2, &mut rng).into_iter().next());
    let bytes: usize = hashes.map(|request| request.iter().skip(1).map(String::len).sum::<usize>()).sum();
    bytes as f64 / SAMPLE as f64
}

/// Lets a server end what it does in the background.
fn settle() {
    std::thread::sleep(Duration::from_secs(1));
}
