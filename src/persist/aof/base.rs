//! A base as commands, which `aof-use-rdb-preamble no` asks for.

use std::io::{self, Write};

use super::command;
use crate::base::clock::UnixMillis;
use crate::store::{KeyImage, Snapshot};

/// Fields that one HSET sets, as in Redis.
const FIELDS_PER_COMMAND: usize = 64;

/// Writes a snapshot as commands that make it.
pub fn write_commands(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let mut bytes = Vec::new();
    for database in snapshot.databases() {
        if database.keys == 0 {
            continue;
        }
        command::write_select(&mut bytes, database.index);
        snapshot.read(database, |image| {
            write_key(&mut bytes, image);
            let outcome = out.write_all(&bytes);
            bytes.clear();
            outcome
        })?;
    }
    out.write_all(&bytes)
}

fn write_key(bytes: &mut Vec<u8>, image: &KeyImage) {
    let key = image.key();
    let fields: Vec<_> = image.hash().fields().collect();
    for some in fields.chunks(FIELDS_PER_COMMAND) {
        command::begin(bytes, 2 + 2 * some.len(), &[b"HSET", key]);
        for (field, value, _) in some {
            command::write_word(bytes, field);
            command::write_word(bytes, &value.text());
        }
    }
    let number = |at: UnixMillis| itoa::Buffer::new().format(at.0).to_owned();
    for (field, _, expiry) in &fields {
        if let Some(at) = expiry {
            command::write(bytes, &[b"HPEXPIREAT", key, number(*at).as_bytes(), b"FIELDS", b"1", field]);
        }
    }
    if let Some(at) = image.expiry() {
        command::write(bytes, &[b"PEXPIREAT", key, number(at).as_bytes()]);
    }
}
