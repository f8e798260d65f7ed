//! `CLIENT TRACKING` and its kin: help for caches that clients keep of what they have read.

use std::sync::Arc;

use crate::handler::{Args, CommandError, Context, Outcome};
use crate::services::clients::{Client, ClientId};
use crate::services::tracking::{TrackingFlags, TrackingOptions};

const NO_CLIENT: CommandError = CommandError::Fixed("ERR The client ID you want redirect to does not exist");
const NOT_CACHING: CommandError = CommandError::Fixed(
    "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
);
const NOT_OPTIN: CommandError =
    CommandError::Fixed("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
const NOT_OPTOUT: CommandError =
    CommandError::Fixed("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
const OTHER_BCAST: CommandError = CommandError::Fixed(
    "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a \
     different mode.",
);
const OTHER_OPT: CommandError = CommandError::Fixed(
    "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a \
     different mode.",
);

/// `CLIENT TRACKING ON|OFF [REDIRECT id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]` -> OK:
/// tells this client from now on when a key changes that it has read, or (BCAST) one with such a prefix.
pub fn tracking(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let switch = args.next_bytes()?;
    let options = parse(ctx, args)?;
    let tracking = &ctx.services.changes.tracking;
    if switch.eq_ignore_ascii_case(b"on") {
        check_options(ctx, &options)?;
        tracking.enable(&ctx.services.keyspace, &ctx.session.client, options);
    } else if switch.eq_ignore_ascii_case(b"off") {
        tracking.disable(&ctx.services.keyspace, &ctx.session.client);
    } else {
        return Err(CommandError::Syntax);
    }
    ctx.reply.ok();
    Ok(())
}

fn parse<'a>(ctx: &Context<'_>, args: &mut Args<'a>) -> Result<TrackingOptions<'a>, CommandError> {
    let mut options = TrackingOptions::default();
    while !args.is_empty() {
        let has_value = args.remaining() > 1;
        if has_value && args.take_word("redirect") {
            if options.redirect.is_some() {
                return Err(CommandError::Fixed("ERR A client can only redirect to a single other client"));
            }
            options.redirect = Some(next_client(ctx, args)?);
        } else if has_value && args.take_word("prefix") {
            options.prefixes.push(args.next_bytes()?);
        } else if args.take_word("bcast") {
            options.flags |= TrackingFlags::BCAST;
        } else if args.take_word("optin") {
            options.flags |= TrackingFlags::OPTIN;
        } else if args.take_word("optout") {
            options.flags |= TrackingFlags::OPTOUT;
        } else if args.take_word("noloop") {
            options.flags |= TrackingFlags::NOLOOP;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(options)
}

fn next_client(ctx: &Context<'_>, args: &mut Args<'_>) -> Result<Arc<Client>, CommandError> {
    let id = u64::try_from(args.next_i64()?).map_err(|_| NO_CLIENT)?;
    ctx.services.clients.find(ClientId(id)).ok_or(NO_CLIENT)
}

/// Whether the options suit each other and what is set already.
fn check_options(ctx: &Context<'_>, options: &TrackingOptions<'_>) -> Outcome {
    use TrackingFlags as F;
    let (new, old) = (options.flags, ctx.session.client.tracking.flags());
    if !new.contains(F::BCAST) && !options.prefixes.is_empty() {
        return Err(CommandError::Fixed("ERR PREFIX option requires BCAST mode to be enabled"));
    }
    if old.contains(F::ON) && old.contains(F::BCAST) != new.contains(F::BCAST) {
        return Err(OTHER_BCAST);
    }
    if new.contains(F::BCAST) && new.intersects(F::OPTIN | F::OPTOUT) {
        return Err(CommandError::Fixed("ERR OPTIN and OPTOUT are not compatible with BCAST"));
    }
    if new.contains(F::OPTIN | F::OPTOUT) {
        return Err(CommandError::Fixed("ERR You can't specify both OPTIN mode and OPTOUT mode"));
    }
    if (old | new).contains(F::OPTIN | F::OPTOUT) {
        return Err(OTHER_OPT);
    }
    check_prefixes(ctx, &options.prefixes)
}

/// No key may have two prefixes of one client, which would hear of it twice.
fn check_prefixes(ctx: &Context<'_>, prefixes: &[&[u8]]) -> Outcome {
    let overlaps = |one: &[u8], other: &[u8]| one.starts_with(other) || other.starts_with(one);
    let refuse = |new: &[u8], which: &str, other: &[u8]| {
        let (new, other) = (String::from_utf8_lossy(new), String::from_utf8_lossy(other));
        let text = format!(
            "ERR Prefix '{new}' overlaps with {which} prefix '{other}'. Prefixes for a single client must not overlap."
        );
        Err(CommandError::text(text))
    };
    let existing = ctx.services.changes.tracking.prefixes_of(&ctx.session.client);
    for (at, new) in prefixes.iter().enumerate() {
        if let Some(other) = existing.iter().find(|other| overlaps(new, other)) {
            return refuse(new, "an existing", other);
        }
        if let Some(other) = prefixes.iter().skip(at + 1).find(|other| overlaps(new, other)) {
            return refuse(new, "another provided", other);
        }
    }
    Ok(())
}

/// `CLIENT CACHING YES|NO` -> OK: whether what the next command, or transaction, reads is remembered; YES for clients
/// that track with OPTIN, NO for those with OPTOUT.
pub fn caching(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let tracking = &ctx.session.client.tracking;
    let flags = tracking.flags();
    if !flags.contains(TrackingFlags::ON) {
        return Err(NOT_CACHING);
    }
    let (needed, refusal) = if args.take_word("yes") {
        (TrackingFlags::OPTIN, NOT_OPTIN)
    } else if args.take_word("no") {
        (TrackingFlags::OPTOUT, NOT_OPTOUT)
    } else {
        return Err(CommandError::Syntax);
    };
    if !flags.contains(needed) {
        return Err(refusal);
    }
    tracking.insert(TrackingFlags::CACHING);
    ctx.reply.ok();
    Ok(())
}

/// `CLIENT TRACKINGINFO` -> map: `flags`, `redirect` (an id, 0 for itself, -1 if it does not track) and `prefixes`.
pub fn trackinginfo(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    use TrackingFlags as F;
    let client = &ctx.session.client;
    let flags = client.tracking.flags();
    let names = [
        (!flags.contains(F::ON), "off"),
        (flags.contains(F::ON), "on"),
        (flags.contains(F::BCAST), "bcast"),
        (flags.contains(F::OPTIN), "optin"),
        (flags.contains(F::OPTIN | F::CACHING), "caching-yes"),
        (flags.contains(F::OPTOUT), "optout"),
        (flags.contains(F::OPTOUT | F::CACHING), "caching-no"),
        (flags.contains(F::NOLOOP), "noloop"),
        (flags.contains(F::BROKEN_REDIRECT), "broken_redirect"),
    ];
    ctx.reply.map(3);
    ctx.reply.bulk(b"flags");
    ctx.reply.set(names.iter().filter(|(is_set, _)| *is_set).count());
    for (_, name) in names.iter().filter(|(is_set, _)| *is_set) {
        ctx.reply.bulk(name.as_bytes());
    }
    ctx.reply.bulk(b"redirect");
    ctx.reply.integer(redirect(client));
    let prefixes = ctx.services.changes.tracking.prefixes_of(client);
    ctx.reply.bulk(b"prefixes");
    ctx.reply.array(prefixes.len());
    for prefix in prefixes {
        ctx.reply.bulk(&prefix);
    }
    Ok(())
}

/// `CLIENT GETREDIR` -> integer: id of the client that gets this one's messages, 0 for itself, -1 if it does not track.
pub fn getredir(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    ctx.reply.integer(redirect(&ctx.session.client));
    Ok(())
}

fn redirect(client: &Client) -> i64 {
    client.tracking.redirect().map_or(-1, |id| i64::try_from(id).unwrap_or(i64::MAX))
}
