//! The commands on hashes, one file per part of the family.

pub mod field_ttl;
pub mod import;
pub mod read;
pub mod scan;
pub mod write;

use crate::base::number::parse_i64;
use crate::handler::{Args, CommandError, ReplyWriter};
use crate::store::Value;

/// Takes `FIELDS numfields field [field ...]`, which must be all that is left.
///
/// The commands that allow options on either side of the list have a parser of their own with other error texts.
fn trailing_fields<'a>(
    args: &mut Args<'a>,
) -> Result<impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a>, CommandError> {
    if !args.take_word("FIELDS") {
        return Err(CommandError::Fixed("ERR Mandatory argument FIELDS is missing or not at the right position"));
    }
    let count = parse_i64(args.next_bytes()?)
        .filter(|&count| count > 0)
        .ok_or(CommandError::Fixed("ERR Number of fields must be a positive integer"))?;
    if usize::try_from(count) != Ok(args.remaining()) {
        return Err(CommandError::Fixed("ERR The `numfields` parameter must match the number of arguments"));
    }
    Ok(args.rest())
}

/// Replies that are values of fields.
trait ValueReply {
    /// A value as a bulk string.
    fn value(&mut self, value: Value<'_>);

    /// A value as a bulk string, or null.
    fn value_or_null(&mut self, value: Option<Value<'_>>);
}

impl ValueReply for ReplyWriter {
    #[inline]
    fn value(&mut self, value: Value<'_>) {
        match value {
            Value::Bytes(bytes) => self.bulk(bytes),
            Value::Integer(integer) => self.bulk_integer(integer),
            Value::Joined(start, rest) => self.bulk_of_two(start, rest),
        }
    }

    #[inline]
    fn value_or_null(&mut self, value: Option<Value<'_>>) {
        match value {
            Some(value) => self.value(value),
            None => self.null(),
        }
    }
}
