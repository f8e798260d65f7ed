//! `WAIT` and `WAITAOF`: wait for replicas, of which this server has none, and for the log.

use crate::base::clock::UnixMillis;
use crate::base::number;
use crate::handler::session::{LogWait, ReplyMode, Then, Wait};
use crate::handler::{Args, CommandError, Context, Outcome, Session};
use crate::services::append_only::{Log, Phase};

/// `WAIT numreplicas timeout` -> integer: how many replicas have what this client has written, which is none; waits so
/// many milliseconds for more (0: for ever), but not in a transaction.
pub fn wait(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let replicas = args.next_i64()?;
    let until = next_deadline(args, ctx.now)?;
    if replicas <= 0 || ctx.session.is_executing {
        ctx.reply.integer(0);
    } else {
        block(ctx.session, Wait::Replicas, until);
    }
    Ok(())
}

/// `WAITAOF numlocal numreplicas timeout` -> array: 1 if this server's log is on the disk with all that this client has
/// written, else 0; and how many replicas' logs are, which is 0. Waits so many milliseconds for as many as it is given (0:
/// for ever), but not in a transaction.
pub fn waitaof(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let local = args.next_i64()?;
    if !(0..=1).contains(&local) {
        return Err(CommandError::Fixed("ERR value is out of range, value must between 0 and 1"));
    }
    let replicas = number::parse_i64(args.next_bytes()?).filter(|&replicas| replicas >= 0);
    let replicas = replicas.ok_or(CommandError::Fixed("ERR value is out of range, must be positive"))?;
    let until = next_deadline(args, ctx.now)?;
    let log = &ctx.services.append_only;
    if local > 0 && log.phase() == Phase::Off {
        return Err(CommandError::Fixed("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."));
    }
    let end = Log::own_end().unwrap_or(ctx.session.logged_up_to);
    let is_synced = log.is_acknowledged(end);
    if (replicas == 0 && (is_synced || local == 0)) || ctx.session.is_executing {
        ctx.reply.array(2);
        ctx.reply.integer(i64::from(is_synced));
        ctx.reply.integer(0);
    } else {
        block(ctx.session, Wait::AppendOnlyFile(LogWait { end, is_wanted: local > 0, is_all: replicas == 0 }), until);
    }
    Ok(())
}

/// Makes the client wait. The reply comes after the command has ended, and with it CLIENT REPLY SKIP.
fn block(session: &mut Session, wait: Wait, until: Option<UnixMillis>) {
    let wait = match wait {
        wait if session.reply_mode == ReplyMode::On => wait,
        Wait::AppendOnlyFile(log) => Wait::Unheard(Some(log)),
        _ => Wait::Unheard(None),
    };
    session.then = Then::Block(wait, until);
}

/// Takes the next argument as a number of milliseconds from now; none for 0.
fn next_deadline(args: &mut Args<'_>, now: UnixMillis) -> Result<Option<UnixMillis>, CommandError> {
    let timeout = args.next_timeout()?;
    if timeout == 0 {
        return Ok(None);
    }
    let until = now.0.checked_add(timeout).ok_or(CommandError::Fixed("ERR timeout is out of range"))?;
    Ok(Some(UnixMillis(until)))
}
