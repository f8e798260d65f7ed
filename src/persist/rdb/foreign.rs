//! Values that are no hashes: they are not kept, but their ends must be found.

use super::source::{self, Source};
use super::{
    Dialect, LIST, LIST_QUICKLIST, LIST_QUICKLIST_2, LIST_ZIPLIST, MODULE_2, RdbError, Result, SET, SET_INTSET,
    SET_LISTPACK, STREAM_LISTPACKS, STREAM_LISTPACKS_2, STREAM_LISTPACKS_3, STREAM_LISTPACKS_4, STRING, ZSET, ZSET_2,
    ZSET_LISTPACK, ZSET_ZIPLIST,
};

/// What a value of a type is called; `None` if the type is not known.
pub fn name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        STRING => "string",
        LIST | LIST_ZIPLIST | LIST_QUICKLIST | LIST_QUICKLIST_2 => "list",
        SET | SET_INTSET | SET_LISTPACK => "set",
        ZSET | ZSET_2 | ZSET_ZIPLIST | ZSET_LISTPACK => "sorted set",
        MODULE_2 => "value of a module",
        STREAM_LISTPACKS | STREAM_LISTPACKS_2 | STREAM_LISTPACKS_3 | STREAM_LISTPACKS_4 => "stream",
        _ => return None,
    })
}

/// Skips a value of a type that has a [`name`].
pub fn skip(source: &mut impl Source, kind: u8) -> Result<()> {
    match kind {
        STRING | LIST_ZIPLIST | SET_INTSET | SET_LISTPACK | ZSET_ZIPLIST | ZSET_LISTPACK => source::skip_string(source),
        LIST | SET | LIST_QUICKLIST => {
            let count = source::length(source)?;
            source::skip_strings(source, count)
        }
        LIST_QUICKLIST_2 => {
            for _ in 0..source::length(source)? {
                source::length(source)?;
                source::skip_string(source)?;
            }
            Ok(())
        }
        ZSET => {
            for _ in 0..source::length(source)? {
                source::skip_string(source)?;
                skip_text_double(source)?;
            }
            Ok(())
        }
        ZSET_2 => {
            for _ in 0..source::length(source)? {
                source::skip_string(source)?;
                source.skip(8)?;
            }
            Ok(())
        }
        MODULE_2 => {
            source::length(source)?;
            skip_module_parts(source)
        }
        STREAM_LISTPACKS | STREAM_LISTPACKS_2 | STREAM_LISTPACKS_3 | STREAM_LISTPACKS_4 => skip_stream(source, kind),
        _ => Err(RdbError::UnknownType(kind)),
    }
}

/// A number as text, after its length; some lengths stand for numbers that are none.
fn skip_text_double(source: &mut impl Source) -> Result<()> {
    match source::byte(source)? {
        253..=255 => Ok(()),
        length => source.skip(u64::from(length)),
    }
}

/// Skips what a module has written, whose parts say what they are.
pub fn skip_module_parts(source: &mut impl Source) -> Result<()> {
    loop {
        match source::length(source)? {
            0 => return Ok(()),
            1 | 2 => drop(source::length(source)?),
            3 => source.skip(4)?,
            4 => source.skip(8)?,
            5 => source::skip_string(source)?,
            _ => return Err(RdbError::Malformed("it has a module's data that makes no sense")),
        }
    }
}

/// Skips what stands before a key for modules in Redis, and what Valkey has at the same number.
pub fn skip_key_metadata(source: &mut impl Source, dialect: Dialect) -> Result<()> {
    if dialect == Dialect::Valkey {
        source::skip_string(source)?;
        for _ in 0..source::length(source)? {
            source::length(source)?;
            source::length(source)?;
        }
        return Ok(());
    }
    for _ in 0..source::length(source)? {
        source.skip(4)?;
        skip_module_parts(source)?;
    }
    Ok(())
}

fn skip_stream(source: &mut impl Source, kind: u8) -> Result<()> {
    skip_lengths_of(source, |source| {
        source::skip_string(source)?;
        source::skip_string(source)
    })?;
    // Number of entries, last id.
    skip_lengths(source, 3)?;
    if kind >= STREAM_LISTPACKS_2 {
        // First id, greatest deleted id, number of entries ever added.
        skip_lengths(source, 5)?;
    }
    skip_lengths_of(source, |source| skip_group(source, kind))?;
    if kind >= STREAM_LISTPACKS_4 {
        skip_producers(source)?;
    }
    Ok(())
}

fn skip_group(source: &mut impl Source, kind: u8) -> Result<()> {
    const ID: u64 = 16;
    source::skip_string(source)?;
    skip_lengths(source, 2)?;
    if kind >= STREAM_LISTPACKS_2 {
        skip_lengths(source, 1)?;
    }
    skip_lengths_of(source, |source| {
        source.skip(ID + 8)?;
        skip_lengths(source, 1)
    })?;
    skip_lengths_of(source, |source| {
        source::skip_string(source)?;
        source.skip(if kind >= STREAM_LISTPACKS_3 { 16 } else { 8 })?;
        let pending = source::length(source)?;
        source.skip(pending.saturating_mul(ID))
    })
}

/// What Redis 8.6 has of those who produce a stream's entries, so as to know those that come twice.
fn skip_producers(source: &mut impl Source) -> Result<()> {
    skip_lengths(source, 2)?;
    skip_lengths_of(source, |source| {
        source::skip_string(source)?;
        skip_lengths_of(source, |source| {
            source::skip_string(source)?;
            skip_lengths(source, 2)
        })
    })?;
    // How many ids have been added, and how many came twice.
    skip_lengths(source, 2)
}

fn skip_lengths(source: &mut impl Source, count: u64) -> Result<()> {
    for _ in 0..count {
        source::length(source)?;
    }
    Ok(())
}

/// Skips a number, and as many things.
fn skip_lengths_of<S: Source>(source: &mut S, skip: impl Fn(&mut S) -> Result<()>) -> Result<()> {
    for _ in 0..source::length(source)? {
        skip(source)?;
    }
    Ok(())
}
