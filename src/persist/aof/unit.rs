//! `Unit`: effects that belong together, as the commands that the log will hold.
//!
//! Each thread collects its own; the log gets it whole, while the shards concerned are still locked.

use super::command;
use crate::base::clock::UnixMillis;
use crate::store::Effect;

/// A buffer larger than this is given back after use.
const KEEP_BYTES: usize = 256 * 1024;

/// Effects on fields of one key that go into one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Set,
    SetKeepingExpiry,
    Remove,
    Expire(UnixMillis),
    Persist,
}

/// The command to which effects on fields are still being added.
#[derive(Debug)]
struct Open {
    kind: Kind,
    fields: usize,
}

/// The commands that the effects so far have made.
#[derive(Debug, Default)]
pub(super) struct Unit {
    bytes: Vec<u8>,
    /// The key of the open command.
    key: Vec<u8>,
    /// Its fields, and values, encoded.
    fields: Vec<u8>,
    open: Option<Open>,
    /// Commands in `bytes`, SELECT apart.
    commands: usize,
    /// The database of the first command, and that of the last.
    databases: Option<(usize, usize)>,
}

impl Unit {
    /// Nothing yet.
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), key: Vec::new(), fields: Vec::new(), open: None, commands: 0, databases: None }
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.databases.is_none()
    }

    /// The commands, whether there are several, the database in which the first is to run, and that of the last.
    pub(super) fn finish(&mut self) -> Option<(&[u8], bool, (usize, usize))> {
        self.close();
        Some((&self.bytes, self.commands > 1, self.databases?))
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        for buffer in [&mut self.bytes, &mut self.key, &mut self.fields] {
            buffer.clear();
            buffer.shrink_to(KEEP_BYTES);
        }
        (self.open, self.commands, self.databases) = (None, 0, None);
    }

    /// Adds an effect on a database.
    pub(super) fn add(&mut self, database: usize, effect: Effect<'_>) {
        self.select(database);
        match effect {
            Effect::Set(key, field, value) => self.add_field(Kind::Set, key, field, Some(value)),
            Effect::SetKeepingExpiry(key, field, value) => {
                self.add_field(Kind::SetKeepingExpiry, key, field, Some(value));
            }
            Effect::Remove(key, field) => self.add_field(Kind::Remove, key, field, None),
            Effect::ExpireField(key, field, at) => self.add_field(Kind::Expire(at), key, field, None),
            Effect::PersistField(key, field) => self.add_field(Kind::Persist, key, field, None),
            Effect::Delete(key) => self.command(&[b"DEL", key]),
            Effect::Expire(key, at) => self.command(&[b"PEXPIREAT", key, itoa::Buffer::new().format(at.0).as_bytes()]),
            Effect::Persist(key) => self.command(&[b"PERSIST", key]),
            Effect::Rename(from, to) => self.command(&[b"RENAME", from, to]),
            Effect::Copy(from, to, database) => {
                let database = itoa::Buffer::new().format(database).to_owned();
                self.command(&[b"COPY", from, to, b"DB", database.as_bytes(), b"REPLACE"]);
            }
            Effect::Move(key, database) => {
                self.command(&[b"MOVE", key, itoa::Buffer::new().format(database).as_bytes()]);
            }
            Effect::Flush => self.command(&[b"FLUSHDB"]),
            Effect::Swap(one, other) => {
                let other = itoa::Buffer::new().format(other).to_owned();
                self.command(&[b"SWAPDB", itoa::Buffer::new().format(one).as_bytes(), other.as_bytes()]);
            }
        }
    }

    fn select(&mut self, database: usize) {
        let Some((first, last)) = self.databases else {
            self.databases = Some((database, database));
            return;
        };
        if last != database {
            self.close();
            command::write_select(&mut self.bytes, database);
            self.databases = Some((first, database));
        }
    }

    fn add_field(&mut self, kind: Kind, key: &[u8], field: &[u8], value: Option<&[u8]>) {
        let goes_on = self.open.as_ref().is_some_and(|open| open.kind == kind) && self.key == key;
        if !goes_on {
            self.close();
            self.key.extend_from_slice(key);
            self.open = Some(Open { kind, fields: 0 });
        }
        command::write_word(&mut self.fields, field);
        if let Some(value) = value {
            command::write_word(&mut self.fields, value);
        }
        if let Some(open) = &mut self.open {
            open.fields += 1;
        }
    }

    /// Writes the open command.
    fn close(&mut self) {
        let Some(Open { kind, fields }) = self.open.take() else { return };
        let mut number = itoa::Buffer::new();
        let count = number.format(fields).as_bytes();
        let Self { bytes, key, .. } = self;
        match kind {
            Kind::Set => command::begin(bytes, 2 + 2 * fields, &[b"HSET", key]),
            Kind::SetKeepingExpiry => {
                command::begin(bytes, 5 + 2 * fields, &[b"HSETEX", key, b"KEEPTTL", b"FIELDS", count]);
            }
            Kind::Remove => command::begin(bytes, 2 + fields, &[b"HDEL", key]),
            Kind::Expire(at) => {
                let mut time = itoa::Buffer::new();
                let at = time.format(at.0).as_bytes();
                command::begin(bytes, 5 + fields, &[b"HPEXPIREAT", key, at, b"FIELDS", count]);
            }
            Kind::Persist => command::begin(bytes, 4 + fields, &[b"HPERSIST", key, b"FIELDS", count]),
        }
        bytes.extend_from_slice(&self.fields);
        self.key.clear();
        self.fields.clear();
        self.commands += 1;
    }

    fn command(&mut self, words: &[&[u8]]) {
        self.close();
        command::write(&mut self.bytes, words);
        self.commands += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(effects: &[(usize, Effect<'_>)]) -> (String, bool, (usize, usize)) {
        let mut unit = Unit::new();
        for &(database, effect) in effects {
            unit.add(database, effect);
        }
        let (bytes, are_several, databases) = unit.finish().unwrap();
        let (mut commands, mut words, mut rest) = (Vec::new(), Vec::new(), bytes);
        while let command::Read::Command(used) = command::read(rest, &mut words) {
            let text: Vec<_> = words.iter().map(|word| String::from_utf8_lossy(word.of(rest))).collect();
            commands.push(text.join(" "));
            rest = &rest[used..];
        }
        assert!(rest.is_empty());
        (commands.join("; "), are_several, databases)
    }

    #[test]
    fn fields_of_a_key_share_a_command() {
        let effects = [
            (0, Effect::Set(b"k", b"a", b"1")),
            (0, Effect::Set(b"k", b"b", b"2")),
            (0, Effect::ExpireField(b"k", b"a", UnixMillis(9))),
            (0, Effect::ExpireField(b"k", b"b", UnixMillis(9))),
            (0, Effect::ExpireField(b"k", b"b", UnixMillis(10))),
            (0, Effect::PersistField(b"k", b"b")),
            (0, Effect::SetKeepingExpiry(b"k", b"a", b"3")),
            (0, Effect::Remove(b"k", b"a")),
            (0, Effect::Remove(b"l", b"a")),
        ];
        let wanted = "HSET k a 1 b 2; HPEXPIREAT k 9 FIELDS 2 a b; HPEXPIREAT k 10 FIELDS 1 b; HPERSIST k FIELDS 1 b; \
                      HSETEX k KEEPTTL FIELDS 1 a 3; HDEL k a; HDEL l a";
        assert_eq!(text(&effects), (wanted.to_owned(), true, (0, 0)));
        assert_eq!(text(&effects[..2]), ("HSET k a 1 b 2".to_owned(), false, (0, 0)));
    }

    #[test]
    fn keys_and_databases() {
        let effects = [
            (3, Effect::Delete(b"k")),
            (3, Effect::Expire(b"k", UnixMillis(5))),
            (3, Effect::Persist(b"k")),
            (1, Effect::Rename(b"a", b"b")),
            (1, Effect::Copy(b"a", b"b", 2)),
            (1, Effect::Move(b"a", 2)),
            (1, Effect::Flush),
            (1, Effect::Swap(1, 2)),
        ];
        let wanted = "DEL k; PEXPIREAT k 5; PERSIST k; SELECT 1; RENAME a b; COPY a b DB 2 REPLACE; MOVE a 2; FLUSHDB; \
                      SWAPDB 1 2";
        assert_eq!(text(&effects), (wanted.to_owned(), true, (3, 1)));
    }
}
