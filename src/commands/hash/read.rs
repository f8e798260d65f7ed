//! Commands that read fields by name, or all of them.

use super::ValueReply;
use crate::handler::{Args, Context, Outcome};
use crate::store::Value;

/// `HGET key field` -> bulk string: the value; null if key or field is missing.
pub fn hget(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, field) = (args.next_key()?, args.next_bytes()?);
    ctx.store.view(key, |hash| ctx.reply.value_or_null(hash.get(field)));
    Ok(())
}

/// `HMGET key field [field ...]` -> array: the values in the order asked for, null for each missing field.
pub fn hmget(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.next_key()?;
    let fields = args.rest();
    ctx.reply.array(fields.len());
    ctx.store.view(key, |hash| {
        for field in fields {
            ctx.reply.value_or_null(hash.get(field));
        }
    });
    Ok(())
}

/// `HGETALL key` -> map: all fields with their values; empty if the key is missing.
pub fn hgetall(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.next_key()?;
    ctx.store.view_whole(key, |hash| {
        ctx.reply.map(hash.live_len());
        for (field, value) in hash.iter() {
            ctx.reply.bulk(field);
            ctx.reply.value(value);
        }
    });
    Ok(())
}

/// `HKEYS key` -> array: all fields; empty if the key is missing.
pub fn hkeys(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.next_key()?;
    ctx.store.view_whole(key, |hash| {
        ctx.reply.array(hash.live_len());
        for (field, _) in hash.iter() {
            ctx.reply.bulk(field);
        }
    });
    Ok(())
}

/// `HVALS key` -> array: all values; empty if the key is missing.
pub fn hvals(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.next_key()?;
    ctx.store.view_whole(key, |hash| {
        ctx.reply.array(hash.live_len());
        for (_, value) in hash.iter() {
            ctx.reply.value(value);
        }
    });
    Ok(())
}

/// `HEXISTS key field` -> integer: 1 if the field exists, 0 if not.
pub fn hexists(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, field) = (args.next_key()?, args.next_bytes()?);
    let exists = ctx.store.view(key, |hash| hash.contains(field));
    ctx.reply.integer(i64::from(exists));
    Ok(())
}

/// `HLEN key` -> integer: number of fields; 0 if the key is missing.
///
/// Fields that are due count until they are reclaimed, as in Redis.
pub fn hlen(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.next_key()?;
    #[expect(clippy::redundant_closure_for_method_calls, reason = "the method's path is not general over lifetimes")]
    let length = ctx.store.view(key, |hash| hash.len());
    ctx.reply.count(length);
    Ok(())
}

/// `HSTRLEN key field` -> integer: length of the value in bytes; 0 if key or field is missing.
pub fn hstrlen(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, field) = (args.next_key()?, args.next_bytes()?);
    let length = ctx.store.view(key, |hash| hash.get(field).map_or(0, Value::len));
    ctx.reply.count(length);
    Ok(())
}
