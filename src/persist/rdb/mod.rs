//! RDB, the format of Redis's snapshots and of what DUMP and RESTORE exchange.
//!
//! - [`source`] and [`sink`] read and write lengths and strings, from a file or from memory.
//! - [`listpack`] and [`old`] are the encodings of small hashes, those of now and of long ago.
//! - [`hash`] reads hashes in every form that Redis and Valkey have written, and writes them as Redis does now.
//! - [`foreign`] finds the end of values that are no hashes.
//! - [`load`] and [`save`] are whole files, which [`parallel`] reads with several threads; [`payload`] is what DUMP
//!   replies.
//!
//! Nothing that is read is believed: a length is compared with what there is before anything is allocated for it, and
//! nothing recurses.

pub mod foreign;
pub mod hash;
pub mod listpack;
pub mod load;
pub mod old;
pub mod parallel;
pub mod payload;
pub mod save;
pub mod sink;
pub mod source;
#[cfg(test)]
mod tests;

use crc::{CRC_64_REDIS, Crc, Digest, Table};

/// The newest version of the format that is read; Redis 8.10 writes it.
pub const NEWEST_VERSION: u16 = 16;

/// The version that DUMP says, which is that of Redis 8.6.
pub const DUMP_VERSION: u16 = 13;

/// The first of the versions that Valkey has given numbers of its own.
pub const FIRST_VALKEY_VERSION: u16 = 80;

/// The last of them that is known.
pub const LAST_VALKEY_VERSION: u16 = 81;

static CHECKSUM: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

/// A checksum in the making.
type Checksum = Digest<'static, u64, Table<16>>;

/// The checksum of some bytes.
pub fn checksum(bytes: &[u8]) -> u64 {
    CHECKSUM.checksum(bytes)
}

/// Why something cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RdbError {
    /// The file could not be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The data ends too early.
    #[error("it ends in the midst of its data")]
    Truncated,
    /// The data makes no sense.
    #[error("{0}")]
    Malformed(&'static str),
    /// A value, or something else, of a kind that nobody knows.
    #[error("it has a part of the unknown type {0}")]
    UnknownType(u8),
    /// A version that is not known.
    #[error("its format has version {0}, which is not known")]
    Version(u16),
    /// The sum over all of it is not what it says.
    #[error("its checksum is wrong")]
    Checksum,
    /// Keys of types that are not served.
    #[error("it has keys that are no hashes: {count}, '{key}' in database {database} first, a {kind}")]
    Foreign {
        /// How many there are.
        count: u64,
        /// The database of the first one.
        database: usize,
        /// Its name.
        key: String,
        /// Its type.
        kind: &'static str,
    },
    /// A key that is there twice.
    #[error("it has key '{key}' in database {database} twice")]
    Duplicate {
        /// The database.
        database: usize,
        /// The key.
        key: String,
    },
    /// A database that there is not.
    #[error("it has database {0}, which is beyond the configured number of databases")]
    Database(u64),
}

/// What reading gives.
pub type Result<T> = std::result::Result<T, RdbError>;

// Types of values.
const STRING: u8 = 0;
const LIST: u8 = 1;
const SET: u8 = 2;
const ZSET: u8 = 3;
const HASH: u8 = 4;
const ZSET_2: u8 = 5;
const MODULE_2: u8 = 7;
const HASH_ZIPMAP: u8 = 9;
const LIST_ZIPLIST: u8 = 10;
const SET_INTSET: u8 = 11;
const ZSET_ZIPLIST: u8 = 12;
const HASH_ZIPLIST: u8 = 13;
const LIST_QUICKLIST: u8 = 14;
const STREAM_LISTPACKS: u8 = 15;
const HASH_LISTPACK: u8 = 16;
const ZSET_LISTPACK: u8 = 17;
const LIST_QUICKLIST_2: u8 = 18;
const STREAM_LISTPACKS_2: u8 = 19;
const SET_LISTPACK: u8 = 20;
const STREAM_LISTPACKS_3: u8 = 21;
/// A hash with field expiries before Redis 7.4 was finished; something else in Valkey's versions.
const HASH_METADATA_EARLY: u8 = 22;
const HASH_LISTPACK_EX_EARLY: u8 = 23;
const HASH_METADATA: u8 = 24;
const HASH_LISTPACK_EX: u8 = 25;
const STREAM_LISTPACKS_4: u8 = 26;
// Redis 8.10's hashes that share their field names, with and without the names.
const HASH_TEMPLATE_LISTPACK: u8 = 29;
const HASH_TEMPLATE_LISTPACK_REFERENCE: u8 = 30;
const HASH_TEMPLATE_ARRAY: u8 = 31;
const HASH_TEMPLATE_ARRAY_REFERENCE: u8 = 32;

// What else may stand where a type does.
const HASH_TEMPLATE: u8 = 242;
/// Metadata of modules in Redis, a slot on its way in Valkey.
const KEY_METADATA: u8 = 243;
const SLOT_INFO: u8 = 244;
const FUNCTION_2: u8 = 245;
const FUNCTION_EARLY: u8 = 246;
const MODULE_AUX: u8 = 247;
const IDLE: u8 = 248;
const FREQUENCY: u8 = 249;
const AUX: u8 = 250;
const RESIZE_DATABASE: u8 = 251;
const EXPIRE_MILLIS: u8 = 252;
const EXPIRE_SECONDS: u8 = 253;
const SELECT_DATABASE: u8 = 254;
const END: u8 = 255;

/// Which of the two servers has written something: they have given some numbers different meanings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Redis.
    Redis,
    /// Valkey, from its version 9 on.
    Valkey,
}

impl Dialect {
    /// Who writes a version of the format; `None` if nobody is known to.
    pub fn of_version(version: u16) -> Option<Self> {
        match version {
            1..=NEWEST_VERSION => Some(Self::Redis),
            FIRST_VALKEY_VERSION..=LAST_VALKEY_VERSION => Some(Self::Valkey),
            _ => None,
        }
    }
}
