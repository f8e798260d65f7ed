//! What DUMP replies and RESTORE takes: a value, the version of its format, a checksum.

use super::hash::{self, Forms, Parts, Templates};
use super::sink::Sink;
use super::source::{self, Memory, Source};
use super::{DUMP_VERSION, Dialect, HASH_LISTPACK_EX, HASH_LISTPACK_EX_EARLY, RdbError, Result, checksum};
use crate::store::{HashImage, NewField};

/// The oldest version that has what a hash is written as: for Redis from 7.0, or 7.4, on.
fn least_version(forms: Forms) -> u16 {
    match forms {
        Forms::Plain => 10,
        Forms::All => 12,
    }
}

/// Whom a payload is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// Whoever asks by DUMP: the same bytes as from Redis 8.6.
    Anybody,
    /// A server of unknown age: the least version that it has to know.
    Server,
}

/// Writes a hash as a payload.
pub fn dump(image: &HashImage<'_>, compression: bool, reader: For) -> Vec<u8> {
    let mut sink = Sink::new(compression);
    let forms = match reader {
        For::Server if image.first_expiry().is_none() => Forms::Plain,
        _ => Forms::All,
    };
    let kind = hash::type_of(image, forms);
    sink.byte(kind);
    hash::write(&mut sink, image, kind);
    let version = if reader == For::Anybody { DUMP_VERSION } else { least_version(forms) };
    let mut payload = sink.bytes;
    payload.extend_from_slice(&version.to_le_bytes());
    let sum = checksum(&payload);
    payload.extend_from_slice(&sum.to_le_bytes());
    payload
}

/// A payload that has been found sound.
#[derive(Debug)]
pub struct Payload<'a> {
    value: &'a [u8],
    dialect: Dialect,
}

impl<'a> Payload<'a> {
    /// Checks version and checksum; `None` if they are wrong. As in Redis, a checksum of 0 is not looked at.
    pub fn check(payload: &'a [u8]) -> Option<Self> {
        let (summed, sum) = payload.split_last_chunk::<8>()?;
        let sum = u64::from_le_bytes(*sum);
        if sum == 0 || sum == checksum(summed) { Self::check_version(payload) } else { None }
    }

    /// Checks the version alone.
    pub fn check_version(payload: &'a [u8]) -> Option<Self> {
        let (summed, _) = payload.split_last_chunk::<8>()?;
        let (value, version) = summed.split_last_chunk::<2>()?;
        Some(Self { value, dialect: Dialect::of_version(u16::from_le_bytes(*version))? })
    }

    /// Whether it is a value of another type.
    pub fn is_foreign(&self) -> bool {
        self.value.first().is_some_and(|&kind| !hash::is_hash(kind))
    }

    /// Reads the hash that it is.
    pub fn read(&self, parts: &mut Parts) -> Result<()> {
        let mut source = Memory(self.value);
        let kind = source::byte(&mut source)?;
        if !hash::is_hash(kind) {
            return Err(RdbError::UnknownType(kind));
        }
        parts.read(&mut source, kind, self.dialect, &Templates::default())?;
        if source.left() > 0 { Err(RdbError::Malformed("more follows its value")) } else { Ok(()) }
    }

    /// Whether the fields that have been read are in order of their expiries, where the type says so: Redis looks at that with
    /// `sanitize-dump-payload`.
    pub fn is_in_order(&self, parts: &Parts) -> bool {
        let due_at = |field: NewField<'_>| field.expiry.map_or(i64::MAX, |at| at.0);
        let has_order = matches!(self.value.first(), Some(&(HASH_LISTPACK_EX | HASH_LISTPACK_EX_EARLY)));
        !has_order || parts.fields().map(due_at).is_sorted()
    }
}
