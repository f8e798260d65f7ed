//! Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH.

use std::sync::atomic::Ordering;

use crate::handler::session::Transaction;
use crate::handler::{Args, CommandError, Context, Outcome};

/// `MULTI` -> OK: the commands that follow are queued until EXEC.
pub fn multi(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    if ctx.session.transaction.is_some() {
        return Err(CommandError::Fixed("ERR MULTI calls can not be nested"));
    }
    ctx.session.transaction = Some(Transaction::default());
    ctx.session.client.queued.store(0, Ordering::Relaxed);
    ctx.reply.ok();
    Ok(())
}

/// `EXEC` -> array: the replies of the queued commands, which run as one; null if a watched key has changed.
///
/// An error of one command does not undo the others. If a command could not be queued, nothing runs.
pub fn exec(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    let Some(transaction) = ctx.session.end_transaction() else {
        return Err(CommandError::Fixed("ERR EXEC without MULTI"));
    };
    if transaction.is_refused {
        ctx.session.unwatch(ctx.services);
        return Err(CommandError::Fixed("EXECABORT Transaction discarded because of previous errors."));
    }
    // The gate runs it: the locks of all its keys come first.
    ctx.session.ready = Some(transaction);
    Ok(())
}

/// `DISCARD` -> OK: forgets the queued commands and all watches.
pub fn discard(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    if ctx.session.end_transaction().is_none() {
        return Err(CommandError::Fixed("ERR DISCARD without MULTI"));
    }
    ctx.session.unwatch(ctx.services);
    ctx.reply.ok();
    Ok(())
}

/// `WATCH key [key ...]` -> OK: the next EXEC does nothing if one of the keys has changed until then.
pub fn watch(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    if ctx.session.transaction.is_some() {
        return Err(CommandError::Fixed("ERR WATCH inside MULTI is not allowed"));
    }
    for key in args.rest() {
        let watched = (ctx.session.database, Box::from(key));
        if !ctx.session.watched.insert(watched) {
            continue;
        }
        ctx.session.client.keep_name(key);
        // What is due goes now, so that its going does not break the transaction later.
        ctx.store.exists_quietly(key);
        ctx.services.changes.watches.add(&ctx.services.keyspace, ctx.session.database, key, &ctx.session.broken);
        // Whoever locks the key's shard after this sees that it is watched.
        ctx.store.exists_quietly(key);
    }
    ctx.session.client.watching.store(ctx.session.watched.len(), Ordering::Relaxed);
    ctx.reply.ok();
    Ok(())
}

/// `UNWATCH` -> OK: forgets all watches.
pub fn unwatch(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    ctx.session.unwatch(ctx.services);
    ctx.reply.ok();
    Ok(())
}
