//! Reading a whole file.

use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

use super::hash::{self, Parts, Templates};
use super::parallel::Batches;
use super::source::{self, Source, Stream};
use super::{
    AUX, Dialect, END, EXPIRE_MILLIS, EXPIRE_SECONDS, FREQUENCY, FUNCTION_2, FUNCTION_EARLY, HASH_TEMPLATE, IDLE,
    KEY_METADATA, MODULE_AUX, RESIZE_DATABASE, RdbError, Result, SELECT_DATABASE, SLOT_INFO, foreign,
};
use crate::base::clock::UnixMillis;
use crate::store::{NewHash, Usage};

/// So many keys that are no hashes are named in the log.
const MOST_NAMED: u64 = 1000;

/// No key takes less.
const FEWEST_KEY_BYTES: u64 = 8;

/// What becomes of keys that are no hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignTypes {
    /// The file is refused, after all of it has been looked at.
    Refuse,
    /// They are left out.
    Skip,
}

/// What becomes of keys whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expired {
    /// They are left out.
    Dropped,
    /// They are read: a log that follows may speak of them.
    Kept,
}

/// How a file is read.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// How many databases there are.
    pub databases: usize,
    /// What becomes of keys that are no hashes.
    pub foreign_types: ForeignTypes,
    /// What becomes of expired keys.
    pub expired: Expired,
    /// Whether the checksum is looked at.
    pub checksum: bool,
    /// The time.
    pub now: UnixMillis,
}

/// What has been read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Keys given to whoever asked.
    pub loaded: u64,
    /// Keys left out because their time had come.
    pub expired: u64,
    /// Keys left out because they are no hashes.
    pub foreign: u64,
    /// Whether the file says that it is the base of an append-only file.
    pub is_log_base: bool,
}

/// What comes out of a file.
#[derive(Debug, Clone, Copy)]
pub enum Incoming<'a> {
    /// So many keys are about to come to a database, it is said.
    Keys(usize),
    /// A key.
    Hash(&'a NewHash<'a>),
}

/// Reads a file up to its end, which may not be that of the stream. Each key is given to `receive` with its database;
/// `position` follows how far reading has come.
pub fn read<R: Read>(
    stream: &mut Stream<R>,
    options: &LoadOptions,
    position: &AtomicU64,
    receive: impl FnMut(usize, Incoming<'_>) -> Result<()>,
) -> Result<Summary> {
    read_with(stream, options, position, (receive, None))
}

/// As [`read`]; hashes are left to the others as far as possible, if there are others.
pub(super) fn read_with<R: Read>(
    stream: &mut Stream<R>,
    options: &LoadOptions,
    position: &AtomicU64,
    (receive, batches): (impl FnMut(usize, Incoming<'_>) -> Result<()>, Option<Batches>),
) -> Result<Summary> {
    let version = read_version(stream)?;
    let dialect = Dialect::of_version(version).ok_or(RdbError::Version(version))?;
    let mut loading = Loading {
        stream,
        options: *options,
        dialect,
        maker: Maker::new(*options, receive),
        batches,
        templates: Templates::new(),
        database: 0,
        key: Vec::new(),
        summary: Summary::default(),
        first_foreign: None,
    };
    let (mut next, mut keys) = (Next::default(), 0_u64);
    loop {
        let kind = source::byte(loading.stream)?;
        match kind {
            END => break,
            EXPIRE_SECONDS => {
                next.expiry = Some(UnixMillis(i64::from(i32::from_le_bytes(source::array(loading.stream)?)) * 1000));
            }
            EXPIRE_MILLIS => next.expiry = Some(UnixMillis(i64::from_le_bytes(source::array(loading.stream)?))),
            IDLE => {
                let seconds = source::length(loading.stream)?;
                next.idle = Some(Usage::IdleSeconds(i64::try_from(seconds).unwrap_or(i64::MAX)));
            }
            FREQUENCY => next.frequency = Some(Usage::Frequency(source::byte(loading.stream)?)),
            KEY_METADATA => foreign::skip_key_metadata(loading.stream, dialect)?,
            HASH_TEMPLATE..=SELECT_DATABASE => loading.between_keys(kind)?,
            _ => {
                loading.key(kind, &std::mem::take(&mut next))?;
                keys += 1;
                if keys.is_multiple_of(256) {
                    position.store(loading.stream.position(), Ordering::Relaxed);
                }
            }
        }
    }
    let (loaded, expired) = (loading.maker.loaded, loading.maker.expired);
    let summary = Summary { loaded, expired, ..loading.summary };
    if let Some((database, key, kind)) = loading.first_foreign.take()
        && options.foreign_types == ForeignTypes::Refuse
    {
        return Err(RdbError::Foreign { count: summary.foreign, database, key, kind });
    }
    check_end(stream, version, options.checksum)?;
    position.store(stream.position(), Ordering::Relaxed);
    Ok(summary)
}

/// `REDIS` and four digits, or `VALKEY` and three.
fn read_version(stream: &mut impl Source) -> Result<u16> {
    const NOT_RDB: RdbError = RdbError::Malformed("it is no RDB file");
    let head: [u8; 9] = source::array(stream)?;
    let digits = head.strip_prefix(b"REDIS").or(head.strip_prefix(b"VALKEY")).ok_or(NOT_RDB)?;
    let text = std::str::from_utf8(digits).map_err(|_| NOT_RDB)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(NOT_RDB);
    }
    text.parse().map_err(|_| NOT_RDB)
}

fn check_end<R: Read>(stream: &mut Stream<R>, version: u16, look_at_sum: bool) -> Result<()> {
    const FIRST_WITH_CHECKSUM: u16 = 5;
    if version < FIRST_WITH_CHECKSUM {
        return if stream.left() > 0 { Err(RdbError::Malformed("more follows its end")) } else { Ok(()) };
    }
    let sum = stream.checksum();
    let said = u64::from_le_bytes(source::array(stream)?);
    // 0 stands for a sum that has not been made.
    if look_at_sum && said != 0 && said != sum { Err(RdbError::Checksum) } else { Ok(()) }
}

/// What stands before a key.
#[derive(Debug, Default)]
struct Next {
    expiry: Option<UnixMillis>,
    idle: Option<Usage>,
    frequency: Option<Usage>,
}

/// What is known of a hash before its value is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) database: usize,
    pub(super) expiry: Option<UnixMillis>,
    pub(super) usage: Option<Usage>,
    pub(super) kind: u8,
    pub(super) dialect: Dialect,
}

/// Makes hashes, one after the other, and gives them to whoever asked.
pub(super) struct Maker<F> {
    options: LoadOptions,
    receive: F,
    parts: Parts,
    pub(super) loaded: u64,
    pub(super) expired: u64,
}

impl<F: FnMut(usize, Incoming<'_>) -> Result<()>> Maker<F> {
    pub(super) fn new(options: LoadOptions, receive: F) -> Self {
        Self { options, receive, parts: Parts::default(), loaded: 0, expired: 0 }
    }

    /// Makes the hash whose value comes next.
    pub(super) fn make(
        &mut self,
        source: &mut impl Source,
        head: &Head,
        key: &[u8],
        templates: &Templates,
    ) -> Result<()> {
        self.parts.read(source, head.kind, head.dialect, templates)?;
        let is_expired = head.expiry.is_some_and(|at| at < self.options.now);
        if is_expired && self.options.expired == Expired::Dropped {
            self.expired += 1;
            return Ok(());
        }
        let fields: Vec<_> = self.parts.fields().collect();
        let new = NewHash {
            key,
            expiry: head.expiry,
            usage: head.usage,
            fields: &fields,
            has_expiries: self.parts.has_expiries,
            is_measured: self.parts.is_measured,
        };
        (self.receive)(head.database, Incoming::Hash(&new))?;
        self.loaded += 1;
        Ok(())
    }
}

struct Loading<'a, R, F> {
    stream: &'a mut Stream<R>,
    options: LoadOptions,
    dialect: Dialect,
    maker: Maker<F>,
    batches: Option<Batches>,
    templates: Templates,
    database: usize,
    key: Vec<u8>,
    summary: Summary,
    /// Database, name and type of the first key that is no hash.
    first_foreign: Option<(usize, String, &'static str)>,
}

impl<R: Read, F: FnMut(usize, Incoming<'_>) -> Result<()>> Loading<'_, R, F> {
    /// Reads what belongs to no key.
    fn between_keys(&mut self, kind: u8) -> Result<()> {
        let stream = &mut *self.stream;
        match kind {
            SELECT_DATABASE => {
                let index = source::length(stream)?;
                let database = usize::try_from(index).ok().filter(|&index| index < self.options.databases);
                self.database = database.ok_or(RdbError::Database(index))?;
            }
            RESIZE_DATABASE => {
                let keys = source::length(stream)?;
                source::length(stream)?;
                // A hint, which may be wrong; but each key takes some bytes.
                let keys = usize::try_from(keys.min(stream.left() / FEWEST_KEY_BYTES)).unwrap_or_default();
                (self.maker.receive)(self.database, Incoming::Keys(keys))?;
            }
            SLOT_INFO => {
                for _ in 0..3 {
                    source::length(stream)?;
                }
            }
            AUX => {
                let (mut name, mut value) = (Vec::new(), Vec::new());
                source::string(stream, &mut name)?;
                source::string(stream, &mut value)?;
                self.summary.is_log_base |= name == b"aof-base" && value == b"1";
            }
            FUNCTION_2 => {
                source::skip_string(stream)?;
                tracing::warn!("a function library in the file is left out: functions are not served");
            }
            MODULE_AUX => {
                for _ in 0..3 {
                    source::length(stream)?;
                }
                foreign::skip_module_parts(stream)?;
            }
            HASH_TEMPLATE => {
                let number = source::length(stream)?;
                let names = hash::strings(stream)?;
                self.templates.insert(number, names);
            }
            FUNCTION_EARLY => return Err(RdbError::Malformed("it has functions as before Redis 7.0 was finished")),
            _ => return Err(RdbError::UnknownType(kind)),
        }
        Ok(())
    }

    fn key(&mut self, kind: u8, next: &Next) -> Result<()> {
        self.key.clear();
        source::string(self.stream, &mut self.key)?;
        if !hash::is_hash(kind) {
            return self.foreign(kind);
        }
        let usage = next.frequency.or(next.idle);
        let head = Head { database: self.database, expiry: next.expiry, usage, kind, dialect: self.dialect };
        if let Some(batches) = &mut self.batches
            && batches.take(self.stream, head, &self.key)?
        {
            return Ok(());
        }
        self.maker.make(self.stream, &head, &self.key, &self.templates)
    }

    fn foreign(&mut self, kind: u8) -> Result<()> {
        let name = foreign::name(kind).ok_or(RdbError::UnknownType(kind))?;
        let key = self.key.escape_ascii().to_string();
        foreign::skip(self.stream, kind)?;
        self.summary.foreign += 1;
        if self.summary.foreign <= MOST_NAMED {
            tracing::warn!(database = self.database, key, kind = name, "a key that is no hash");
        }
        self.first_foreign.get_or_insert((self.database, key, name));
        Ok(())
    }
}
