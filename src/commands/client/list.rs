//! `CLIENT LIST` and `CLIENT INFO`: what connections are and do.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use super::client_type;
use crate::base::clock::UnixMillis;
use crate::base::number;
use crate::handler::{Args, CommandError, Context, Outcome};
use crate::services::Services;
use crate::services::clients::Client;
use crate::services::tracking::TrackingFlags;

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
        let class = client_type(args.next_bytes()?)?;
        clients.retain(|client| client.class() == class);
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

/// Appends the line of CLIENT LIST that describes a connection.
fn describe(text: &mut Vec<u8>, client: &Client, services: &Services, now: UnixMillis) {
    let seconds_since = |then: i64| now.0.saturating_sub(then).max(0) / 1000;
    let (query, free) = (client.query_buffer.load(Ordering::Relaxed), client.query_buffer_free.load(Ordering::Relaxed));
    let waiting = client.waiting_output();
    let command = client.last_command().and_then(|id| services.stats.command_name(id)).unwrap_or("NULL");
    let redirect = client.tracking.redirect().map_or(-1, |id| i64::try_from(id).unwrap_or(i64::MAX));
    // As in Redis, where the first of the watched keys to change ends all watches.
    let is_broken = client.broken.load(Ordering::Relaxed);
    let identity = client.identity.lock().clone();

    let mut head = String::with_capacity(320);
    let _ = write!(head, "id={} addr={} laddr={} fd={}", client.id.0, client.address, client.local_address, client.fd);
    let mut middle = String::new();
    let _ = write!(
        middle,
        " age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} watch={} \
         qbuf={query} qbuf-free={free} argv-mem=0 multi-mem={} rbs=0 rbp=0 obl=0 oll={} omem={waiting} \
         tot-mem={} events=r cmd={command} user=default redir={redirect} resp={}",
        seconds_since(client.connected_at.0),
        seconds_since(client.active_at.load(Ordering::Relaxed)),
        flags(client),
        client.database.load(Ordering::Relaxed),
        client.channels.load(Ordering::Relaxed),
        client.patterns.load(Ordering::Relaxed),
        client.shard_channels.load(Ordering::Relaxed),
        client.queued.load(Ordering::Relaxed),
        if is_broken { 0 } else { client.watching.load(Ordering::Relaxed) },
        client.queued_memory.load(Ordering::Relaxed),
        usize::from(waiting > 0),
        client.memory(),
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
    let tracking = client.tracking.flags();
    let waits = client.blocked.load(Ordering::Relaxed) || client.paused.load(Ordering::Relaxed);
    let letters = [
        (client.monitoring.load(Ordering::Relaxed), 'O'),
        (client.is_listening(), 'P'),
        (client.queued.load(Ordering::Relaxed) >= 0, 'x'),
        (waits, 'b'),
        (tracking.contains(TrackingFlags::ON), 't'),
        (tracking.contains(TrackingFlags::BROKEN_REDIRECT), 'R'),
        (tracking.contains(TrackingFlags::BCAST), 'B'),
        (client.broken.load(Ordering::Relaxed), 'd'),
        (client.is_unix_socket, 'U'),
        (client.no_evict.load(Ordering::Relaxed), 'e'),
        (client.no_touch.load(Ordering::Relaxed), 'T'),
    ];
    let set: String = letters.iter().filter(|(is_set, _)| *is_set).map(|(_, letter)| *letter).collect();
    if set.is_empty() { "N".to_owned() } else { set }
}
