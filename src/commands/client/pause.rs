//! `CLIENT PAUSE`, `UNPAUSE` and `UNBLOCK`: holds commands back and lets go of them.

use std::sync::atomic::Ordering;

use crate::base::clock::UnixMillis;
use crate::handler::{Args, CommandError, Context, Outcome};
use crate::services::clients::ClientId;
use crate::services::mailbox::Unblock;
use crate::services::pause::PauseMode;

/// `CLIENT PAUSE milliseconds [WRITE|ALL]` -> OK: holds back all commands of all clients, or those that may change data.
pub fn pause(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    if args.remaining() > 2 {
        return Err(wrong_arity("PAUSE"));
    }
    let mut rest = *args;
    rest.next_bytes()?;
    let mode = if rest.is_empty() || rest.take_word("all") {
        PauseMode::All
    } else if rest.take_word("write") {
        PauseMode::Write
    } else {
        return Err(CommandError::Fixed("ERR CLIENT PAUSE mode must be WRITE or ALL"));
    };
    let until = ctx.now.0.checked_add(args.next_timeout()?);
    let until = until.ok_or(CommandError::Fixed("ERR timeout is out of range"))?;
    ctx.services.pause.start(UnixMillis(until), mode, ctx.now);
    ctx.reply.ok();
    Ok(())
}

/// `CLIENT UNPAUSE` -> OK: ends what CLIENT PAUSE has begun.
pub fn unpause(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    ctx.services.pause.end();
    for client in ctx.services.clients.all() {
        client.mailbox.nudge();
    }
    ctx.reply.ok();
    Ok(())
}

/// `CLIENT UNBLOCK id [TIMEOUT|ERROR]` -> integer: 1 if a command of that client waited, which ends as if its time were
/// up or with an error; 0 if none did.
pub fn unblock(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    if args.remaining() > 2 {
        return Err(wrong_arity("UNBLOCK"));
    }
    let mut rest = *args;
    rest.next_bytes()?;
    let how = if rest.is_empty() || rest.take_word("timeout") {
        Unblock::Timeout
    } else if rest.take_word("error") {
        Unblock::Error
    } else {
        return Err(CommandError::Fixed("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
    };
    let id = args.next_i64()?;
    let client = u64::try_from(id).ok().and_then(|id| ctx.services.clients.find(ClientId(id)));
    let blocked = client.filter(|client| client.blocked.load(Ordering::Acquire));
    if let Some(client) = &blocked {
        client.mailbox.unblock(how);
    }
    ctx.reply.integer(i64::from(blocked.is_some()));
    Ok(())
}

fn wrong_arity(subcommand: &str) -> CommandError {
    CommandError::text(format!(
        "ERR unknown subcommand or wrong number of arguments for '{subcommand}'. Try CLIENT HELP."
    ))
}
