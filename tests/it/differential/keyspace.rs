//! What a server holds: every key of every database that the programs use, as text to compare.

use super::program::{DATABASES, Dialect};
use crate::client::{Client, Value};
use crate::resp::{self, Order};

/// One line a key with its fields and times, and one a database, in the order of the databases and keys.
pub fn lines(client: &mut Client, dialect: Dialect) -> Vec<String> {
    let mut lines = Vec::new();
    for database in DATABASES {
        client.line(&format!("SELECT {database}"));
        lines.push(format!("db{database} DBSIZE {}", client.line("DBSIZE")));
        for key in sorted(client.ask("KEYS *")) {
            let shown = resp::escape(&key, true);
            lines.push(format!("db{database} \"{shown}\" {}", hash(client, &key, dialect)));
        }
    }
    lines
}

/// The same without encodings, which files do not keep: what Redis calls a hash may depend on commands that changed nothing.
pub fn without_encodings(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().map(|line| line.rsplit_once(' ').map_or(line.clone(), |(line, _)| line.to_owned())).collect()
}

/// The lines that only one of the servers has.
pub fn differences(ours: &[String], theirs: &[String]) -> String {
    let only = |name: &str, these: &[String], those: &[String]| {
        let lines = these.iter().filter(|line| !those.contains(line)).map(|line| format!("  {name} {line}\n"));
        lines.collect::<String>()
    };
    only("oracle", theirs, ours) + &only("hashd ", ours, theirs)
}

fn hash(client: &mut Client, key: &[u8], dialect: Dialect) -> String {
    let pairs = resp::render_with(&client.raw(&[b"HGETALL", key]), Order::SortedPairs);
    let expiry = resp::render(&client.raw(&[b"PEXPIRETIME", key]));
    let fields = sorted(client.value(&[b"HKEYS", key]));
    let count = fields.len().to_string();
    let mut ask = vec![b"HPEXPIRETIME".as_slice(), key, b"FIELDS", count.as_bytes()];
    ask.extend(fields.iter().map(Vec::as_slice));
    let times = resp::render(&client.raw(&ask));
    // Valkey keeps a hash whose fields expire in a hashtable, which hashd does not follow.
    let encoding = match dialect {
        Dialect::Redis => resp::render(&client.raw(&[b"OBJECT", b"ENCODING".as_slice(), key])),
        Dialect::Valkey => String::new(),
    };
    format!("{pairs} {expiry} {times} {encoding}")
}

fn sorted(reply: Value) -> Vec<Vec<u8>> {
    let bytes = |item: &Value| match item {
        Value::Bytes(bytes) => bytes.clone(),
        other => panic!("not a string: {other:?}"),
    };
    let mut items: Vec<Vec<u8>> = reply.items().iter().map(bytes).collect();
    items.sort();
    items
}
