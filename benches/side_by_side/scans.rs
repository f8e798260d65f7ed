//! A full SCAN of millions of keys and a full HSCAN of a million fields, in CPU time of the server.

use super::client::Client;
use super::results::{Better, Table};
use super::{Options, Outcome, Server, kinds};

const KEYS: usize = 3_000_000;
const FIELDS: usize = 1_000_000;
const BATCH: usize = 1000;

/// Scans everything with small and with large steps.
pub(crate) fn measure(options: &Options) -> Outcome<Vec<Table>> {
    let (keys, fields) = (options.scaled(KEYS, 10_000), options.scaled(FIELDS, 10_000));
    let (mut names, mut seconds) = (Vec::new(), Vec::new());
    for kind in kinds(&options.peers) {
        let server = Server::start(kind, &options.peers, &[])?;
        let mut client = Client::connect(server.port)?;
        let words = |words: [&str; 4]| words.map(str::to_owned).to_vec();
        client.pipeline((0..keys).map(|key| words(["HSET", &format!("key:{key}"), "f", "v"])), BATCH)?;
        client.pipeline((0..fields).map(|field| words(["HSET", "big", &format!("field:{field}"), "v"])), BATCH)?;
        let mut figures = Vec::new();
        for head in [&["SCAN"][..], &["HSCAN", "big"]] {
            for count in ["10", "1000"] {
                figures.push(server.cpu_of(|| scan(&mut client, head, count))? / 1e9);
            }
        }
        names.push(server.name.clone());
        seconds.push(figures);
    }
    let mut table = Table::new("scans", "CPU time of a full scan, s", Better::Lower, names);
    let rows = [
        ("SCAN", keys, "keys", 10),
        ("SCAN", keys, "keys", 1000),
        ("HSCAN", fields, "fields", 10),
        ("HSCAN", fields, "fields", 1000),
    ];
    for (index, (command, size, what, count)) in rows.into_iter().enumerate() {
        let values = seconds.iter().map(|figures| figures.get(index).copied()).collect();
        table.add(&format!("{command} of {size} {what}, COUNT {count}"), values);
    }
    Ok(vec![table])
}

fn scan(client: &mut Client, head: &[&str], count: &str) -> Outcome<()> {
    let mut cursor = "0".to_owned();
    loop {
        cursor = client.scan(&[head, &[&cursor, "COUNT", count]].concat())?;
        if cursor == "0" {
            return Ok(());
        }
    }
}
