//! `CLIENT` and its subcommands: what the server knows of its connections.

pub mod kill;
pub mod list;
pub mod pause;
pub mod tracking;

use std::sync::atomic::Ordering;

use super::reply_help;
use crate::handler::session::ReplyMode;
use crate::handler::{Args, CommandError, Context, Outcome};
use crate::services::clients::Class;

/// What HELP says, without its first and last lines.
const HELP: &str = include_str!("client/help.txt");

/// `CLIENT ID` -> integer: the connection's id.
pub fn id(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    ctx.reply.integer(i64::try_from(ctx.session.client.id.0).unwrap_or(i64::MAX));
    Ok(())
}

/// `CLIENT GETNAME` -> the connection's name, or null.
pub fn getname(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    let identity = ctx.session.client.identity.lock();
    ctx.reply.bulk_or_null(Some(identity.name.as_slice()).filter(|name| !name.is_empty()));
    Ok(())
}

/// `CLIENT SETNAME name` -> OK: names the connection; an empty name takes it away.
pub fn setname(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let name = args.next_bytes()?;
    if !is_printable(name) {
        return Err(CommandError::Fixed("ERR Client names cannot contain spaces, newlines or special characters."));
    }
    ctx.session.client.identity.lock().name = name.to_vec();
    ctx.reply.ok();
    Ok(())
}

/// `CLIENT SETINFO LIB-NAME name | LIB-VER version` -> OK: notes which client library is in use.
pub fn setinfo(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let (option, value) = (args.next_bytes()?, args.next_bytes()?);
    let quoted = String::from_utf8_lossy(option);
    let is_name = option.eq_ignore_ascii_case(b"lib-name");
    if !is_name && !option.eq_ignore_ascii_case(b"lib-ver") {
        return Err(CommandError::text(format!("ERR Unrecognized option '{quoted}'")));
    }
    if !is_printable(value) {
        let text = format!("ERR {quoted} cannot contain spaces, newlines or special characters.");
        return Err(CommandError::text(text));
    }
    let mut identity = ctx.session.client.identity.lock();
    let attribute = if is_name { &mut identity.library_name } else { &mut identity.library_version };
    *attribute = value.to_vec();
    ctx.reply.ok();
    Ok(())
}

/// `CLIENT REPLY ON|OFF|SKIP` -> OK for ON, nothing otherwise: says which replies this client wants.
pub fn reply(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    if args.take_word("on") {
        ctx.session.reply_mode = ReplyMode::On;
        ctx.reply.ok();
    } else if args.take_word("off") {
        ctx.session.reply_mode = ReplyMode::Off;
    } else if args.take_word("skip") {
        if ctx.session.reply_mode != ReplyMode::Off {
            ctx.session.reply_mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(CommandError::Syntax);
    }
    Ok(())
}

/// `CLIENT NO-EVICT ON|OFF` -> OK: keeps this connection when client memory is short.
pub fn no_evict(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let on = on_or_off(args)?;
    ctx.session.client.no_evict.store(on, Ordering::Relaxed);
    ctx.reply.ok();
    Ok(())
}

/// `CLIENT NO-TOUCH ON|OFF` -> OK: whether this client's reads count as uses of a key.
pub fn no_touch(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let on = on_or_off(args)?;
    ctx.session.client.no_touch.store(on, Ordering::Relaxed);
    ctx.reply.ok();
    Ok(())
}

/// `CLIENT HELP` -> array: what the subcommands do.
pub fn help(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    let lines: Vec<&str> = HELP.lines().collect();
    reply_help(ctx.reply, "CLIENT", &lines);
    Ok(())
}

/// Whether a name or version can stand in a line of CLIENT LIST: no spaces, no control characters.
fn is_printable(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}

fn on_or_off(args: &mut Args<'_>) -> Result<bool, CommandError> {
    if args.take_word("on") {
        Ok(true)
    } else if args.take_word("off") {
        Ok(false)
    } else {
        Err(CommandError::Syntax)
    }
}

/// The type of clients called `name`.
fn client_type(name: &[u8]) -> Result<Class, CommandError> {
    match name.to_ascii_lowercase().as_slice() {
        b"normal" => Ok(Class::Normal),
        b"slave" | b"replica" => Ok(Class::Replica),
        b"pubsub" => Ok(Class::PubSub),
        b"master" => Ok(Class::Primary),
        _ => {
            let name = String::from_utf8_lossy(name);
            Err(CommandError::text(format!("ERR Unknown client type '{name}'")))
        }
    }
}
