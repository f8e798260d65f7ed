//! Commands that set, count up and remove fields.

use super::ValueReply;
use crate::base::long_double::LongDouble;
use crate::base::number::parse_i64;
use crate::handler::{Args, CommandError, Context, Outcome};
use crate::store::{Event, HashEdit, SetOutcome, Value};

/// `HSET key field value [field value ...]` -> integer: number of fields that are new.
///
/// A field that is set loses its expiry.
pub fn hset(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let created = set_pairs(ctx, args, "hset")?;
    ctx.reply.count(created);
    Ok(())
}

/// `HMSET key field value [field value ...]` -> OK: HSET as it was before Redis 4.
pub fn hmset(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    set_pairs(ctx, args, "hmset")?;
    ctx.reply.ok();
    Ok(())
}

/// `HSETNX key field value` -> integer: 1 if the field was missing and has been set, 0 if it exists.
pub fn hsetnx(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, field, value) = (args.next_key()?, args.next_bytes()?, args.next_bytes()?);
    let created = ctx.store.update(key, |hash| {
        hash.reclaim_if_due(field);
        let missing = !hash.contains(field);
        if missing {
            hash.set(field, value);
        }
        missing
    });
    ctx.reply.integer(i64::from(created));
    Ok(())
}

/// `HDEL key field [field ...]` -> integer: number of fields removed; the key goes with its last field.
pub fn hdel(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.next_key()?;
    let fields = args.rest();
    let removed = ctx.store.update(key, |hash| fields.filter(|field| hash.remove(field)).count());
    ctx.reply.count(removed);
    Ok(())
}

/// `HGETDEL key FIELDS numfields field [field ...]` -> array: the values of the fields, which are removed; null for
/// each missing one.
pub fn hgetdel(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.next_key()?;
    let fields = super::trailing_fields(args)?;
    ctx.reply.array(fields.len());
    ctx.store.update(key, |hash| {
        for field in fields {
            ctx.reply.value_or_null(hash.get(field));
            hash.remove(field);
        }
    });
    Ok(())
}

/// `HINCRBY key field increment` -> integer: the value after adding; a missing field counts as 0.
///
/// The field keeps its expiry.
pub fn hincrby(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, field, increment) = (args.next_key()?, args.next_bytes()?, args.next_i64()?);
    let sum = ctx.store.update(key, |hash| add_integer(hash, field, increment))?;
    ctx.reply.integer(sum);
    Ok(())
}

/// `HINCRBYFLOAT key field increment` -> bulk string: the value after adding; a missing field counts as 0.
///
/// Computed as C's `long double`, like Redis. The field keeps its expiry.
pub fn hincrbyfloat(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, field) = (args.next_key()?, args.next_bytes()?);
    let increment = parse_long_double(args.next_bytes()?).ok_or(CommandError::NotFloat)?;
    if increment.is_infinite() {
        return Err(CommandError::Fixed("ERR value is NaN or Infinity"));
    }
    let sum = ctx.store.update(key, |hash| add_float(hash, field, &increment))?;
    ctx.reply.bulk(&sum);
    Ok(())
}

fn set_pairs(ctx: &mut Context<'_>, args: &mut Args<'_>, command: &'static str) -> Result<usize, CommandError> {
    let key = args.next_key()?;
    if !args.remaining().is_multiple_of(2) {
        return Err(CommandError::WrongArity(command.into()));
    }
    let pairs = args.pairs();
    let created = ctx.store.update(key, |hash| {
        hash.announce_pairs(pairs.len());
        pairs.filter(|(field, value)| hash.set(field, value) == SetOutcome::Created).count()
    });
    Ok(created)
}

fn add_integer(hash: &mut HashEdit<'_>, field: &[u8], increment: i64) -> Result<i64, CommandError> {
    hash.reclaim_if_due(field);
    let old = match hash.get(field) {
        Some(Value::Integer(integer)) => integer,
        Some(value) => parse_i64(&value.text()).ok_or(CommandError::HashValueNotInteger)?,
        None => 0,
    };
    let sum = old.checked_add(increment).ok_or(CommandError::IncrementOverflow)?;
    hash.announce_sets_as(Event::HIncrBy);
    hash.set_keeping_expiry(field, itoa::Buffer::new().format(sum).as_bytes());
    Ok(sum)
}

fn add_float(hash: &mut HashEdit<'_>, field: &[u8], increment: &LongDouble) -> Result<Vec<u8>, CommandError> {
    hash.reclaim_if_due(field);
    let old = hash.get(field).map_or_else(|| parse_long_double(b"0"), |value| parse_long_double(&value.text()));
    let old = old.ok_or(CommandError::HashValueNotFloat)?;
    let sum = old.add(*increment);
    if sum.is_nan() || sum.is_infinite() {
        return Err(CommandError::IncrementNotFinite);
    }
    let mut text = Vec::new();
    sum.write_human(&mut text);
    hash.announce_sets_as(Event::HIncrByFloat);
    hash.set_keeping_expiry(field, &text);
    Ok(text)
}

/// Redis takes infinities, but not NaN.
fn parse_long_double(text: &[u8]) -> Option<LongDouble> {
    LongDouble::parse(text).filter(|value| !value.is_nan())
}
