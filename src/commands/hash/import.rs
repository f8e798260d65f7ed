//! HIMPORT: writing many hashes of the same fields, whose names are sent once per connection.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use crate::handler::session::Fieldset;
use crate::handler::{Args, CommandError, Context, Outcome, Session};

/// What the fieldsets of one connection may take in memory.
const MOST_FIELDSET_BYTES: usize = 64 * 1024 * 1024;

/// `HIMPORT PREPARE fieldset field [field ...]` -> OK: the connection keeps the names of the fields, in place of those that
/// an earlier PREPARE gave this fieldset.
pub fn prepare(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let name = args.next_bytes()?;
    let fields = args.rest();
    let mut distinct = HashSet::with_capacity(fields.len());
    if !fields.clone().all(|field| distinct.insert(field)) {
        return Err(CommandError::Fixed("ERR duplicate field name in fieldset"));
    }
    let replaced = ctx.session.fieldsets.get(name).map_or(0, |old| memory_of(name, old.iter().map(|field| &**field)));
    let memory = ctx.session.client.fieldset_memory.load(Ordering::Relaxed);
    let memory = memory.saturating_sub(replaced) + memory_of(name, fields.clone());
    if memory > MOST_FIELDSET_BYTES {
        return Err(CommandError::Fixed("ERR fieldsets of this connection would exceed 64 MB"));
    }
    let fieldset: Fieldset = fields.map(Box::from).collect();
    ctx.session.fieldsets.insert(name.into(), fieldset);
    ctx.session.client.fieldset_memory.store(memory, Ordering::Relaxed);
    ctx.reply.ok();
    Ok(())
}

/// `HIMPORT SET key fieldset value [value ...]` -> OK: the key is a hash of the fieldset's fields with these values.
///
/// It replaces a hash that is there, with the expiries of its key and fields.
pub fn set(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, name) = (args.next_key()?, args.next_bytes()?);
    let Some(fieldset) = ctx.session.fieldsets.get(name) else {
        return Err(CommandError::Fixed("ERR no such fieldset"));
    };
    let values = args.rest();
    if values.len() != fieldset.len() {
        return Err(CommandError::Fixed("ERR value count does not match fieldset field count"));
    }
    ctx.store.update(key, |hash| {
        hash.reset();
        hash.announce_more_alike();
        for (field, value) in fieldset.iter().zip(values) {
            hash.set(field, value);
        }
    });
    ctx.reply.ok();
    Ok(())
}

/// `HIMPORT DISCARD fieldset` -> integer: 1 if the connection had this fieldset, which it forgets; 0 if not.
pub fn discard(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let name = args.next_bytes()?;
    let removed = ctx.session.fieldsets.remove(name);
    if let Some(fieldset) = &removed {
        let freed = memory_of(name, fieldset.iter().map(|field| &**field));
        let left = ctx.session.client.fieldset_memory.load(Ordering::Relaxed).saturating_sub(freed);
        ctx.session.client.fieldset_memory.store(left, Ordering::Relaxed);
    }
    ctx.reply.integer(i64::from(removed.is_some()));
    Ok(())
}

/// `HIMPORT DISCARDALL` -> integer: number of fieldsets that the connection had and forgets.
pub fn discard_all(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    let Session { fieldsets, client, .. } = &mut *ctx.session;
    ctx.reply.count(fieldsets.len());
    *fieldsets = std::collections::HashMap::new();
    client.fieldset_memory.store(0, Ordering::Relaxed);
    Ok(())
}

/// What a fieldset takes: its texts, and about this much for each allocation and for the entry in the map.
fn memory_of<'f>(name: &[u8], fields: impl Iterator<Item = &'f [u8]>) -> usize {
    const ALLOCATION: usize = 32;
    const ENTRY: usize = 96;
    ENTRY + name.len() + fields.map(|field| field.len() + ALLOCATION).sum::<usize>()
}
