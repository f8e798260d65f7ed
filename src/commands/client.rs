//! `CLIENT` and its subcommands: what the server knows of its connections.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use super::reply_help;
use crate::base::clock::UnixMillis;
use crate::base::number;
use crate::handler::session::ReplyMode;
use crate::handler::{Args, CommandError, Context, Outcome};
use crate::services::Services;
use crate::services::clients::Client;

/// `CLIENT ID` -> integer: the connection's id.
pub fn id(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    ctx.reply.integer(i64::try_from(ctx.session.client.id.0).unwrap_or(i64::MAX));
    Ok(())
}

/// `CLIENT INFO` -> text: one line about this connection.
pub fn info(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    let mut text = Vec::new();
    describe(&mut text, &ctx.session.client, ctx.services, ctx.now);
    ctx.reply.verbatim(&text);
    Ok(())
}

/// `CLIENT LIST [TYPE type] [ID id [id ...]]` -> text: one line for each connection.
pub fn list(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let mut clients = ctx.services.clients.all();
    if args.remaining() == 2 && args.take_word("type") {
        let name = args.next_bytes()?;
        if !is_client_type(name) {
            let name = String::from_utf8_lossy(name);
            return Err(CommandError::text(format!("ERR Unknown client type '{name}'")));
        }
        clients.retain(|client| {
            let class = if client.is_listening() { "pubsub" } else { "normal" };
            name.eq_ignore_ascii_case(class.as_bytes())
        });
    } else if args.remaining() > 1 && args.take_word("id") {
        let mut ids = Vec::with_capacity(args.remaining());
        for id in args.rest() {
            ids.push(number::parse_i64(id).ok_or(CommandError::Fixed("ERR Invalid client ID"))?);
        }
        clients.retain(|client| i64::try_from(client.id.0).is_ok_and(|id| ids.contains(&id)));
    } else if !args.is_empty() {
        return Err(CommandError::Syntax);
    }
    let mut text = Vec::new();
    for client in &clients {
        describe(&mut text, client, ctx.services, ctx.now);
    }
    ctx.reply.verbatim(&text);
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
    reply_help(
        ctx.reply,
        "CLIENT",
        &[
            "GETNAME",
            "    Return the name of the current connection.",
            "ID",
            "    Return the ID of the current connection.",
            "INFO",
            "    Return information about the current client connection.",
            "LIST [options ...]",
            "    Return information about client connections. Options:",
            "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
            "      Return clients of specified type.",
            "REPLY (ON|OFF|SKIP)",
            "    Control the replies sent to the current connection.",
            "SETNAME <name>",
            "    Assign the name <name> to the current connection.",
            "SETINFO <option> <value>",
            "    Set client meta attr. Options are:",
            "    * LIB-NAME: the client lib name.",
            "    * LIB-VER: the client lib version.",
            "NO-EVICT (ON|OFF)",
            "    Protect current client connection from eviction.",
            "NO-TOUCH (ON|OFF)",
            "    Will not touch LRU/LFU stats when this mode is on.",
        ],
    );
    Ok(())
}

/// Whether a name or version can stand in a line of CLIENT LIST: no spaces, no control characters.
fn is_printable(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}

fn is_client_type(name: &[u8]) -> bool {
    ["normal", "master", "replica", "slave", "pubsub"].iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
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

/// Appends the line of CLIENT LIST that describes a connection.
fn describe(text: &mut Vec<u8>, client: &Client, services: &Services, now: UnixMillis) {
    let seconds_since = |then: i64| now.0.saturating_sub(then).max(0) / 1000;
    let (query, free) = (client.query_buffer.load(Ordering::Relaxed), client.query_buffer_free.load(Ordering::Relaxed));
    let memory = size_of::<Client>() + query + free + client.fieldset_memory.load(Ordering::Relaxed);
    let command = client.last_command().and_then(|id| services.stats.command_name(id)).unwrap_or("NULL");
    let identity = client.identity.lock().clone();

    let mut head = String::with_capacity(320);
    let _ = write!(head, "id={} addr={} laddr={} fd={}", client.id.0, client.address, client.local_address, client.fd);
    let mut middle = String::new();
    let _ = write!(
        middle,
        " age={} idle={} flags={} db={} sub={} psub={} ssub={} multi=-1 watch=0 qbuf={query} qbuf-free={free} argv-mem=0 \
         multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem={memory} events=r cmd={command} user=default redir=-1 \
         resp={}",
        seconds_since(client.connected_at.0),
        seconds_since(client.active_at.load(Ordering::Relaxed)),
        flags(client),
        client.database.load(Ordering::Relaxed),
        client.channels.load(Ordering::Relaxed),
        client.patterns.load(Ordering::Relaxed),
        client.shard_channels.load(Ordering::Relaxed),
        client.resp.load(Ordering::Relaxed),
    );
    let mut tail = String::new();
    let _ = writeln!(
        tail,
        " io-thread=0 tot-net-in={} tot-net-out={} tot-cmds={}",
        client.bytes_in.get(),
        client.bytes_out.get(),
        client.commands.get(),
    );
    for part in [
        head.as_bytes(),
        b" name=",
        &identity.name,
        middle.as_bytes(),
        b" lib-name=",
        &identity.library_name,
        b" lib-ver=",
        &identity.library_version,
        tail.as_bytes(),
    ] {
        text.extend_from_slice(part);
    }
}

/// The letters of `flags=`, in Redis's order.
fn flags(client: &Client) -> String {
    let letters = [
        (client.is_listening(), 'P'),
        (client.is_unix_socket, 'U'),
        (client.no_evict.load(Ordering::Relaxed), 'e'),
        (client.no_touch.load(Ordering::Relaxed), 'T'),
    ];
    let set: String = letters.iter().filter(|(is_set, _)| *is_set).map(|(_, letter)| *letter).collect();
    if set.is_empty() { "N".to_owned() } else { set }
}
