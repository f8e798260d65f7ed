//! Pub/Sub: SUBSCRIBE and its kin, PUBLISH, PUBSUB.
//!
//! Confirmations look like messages: arrays in RESP2, push messages in RESP3, which not even CLIENT REPLY OFF holds back.

use super::reply_help;
use crate::base::glob;
use crate::handler::session::Then;
use crate::handler::{Args, CommandError, Context, Outcome};
use crate::services::acl::may_listen;
use crate::services::pubsub::Kind;

/// `SUBSCRIBE channel [channel ...]` -> for each channel a message `subscribe`, channel, number of channels and patterns
/// that the client listens to.
pub fn subscribe(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    start_to_listen(ctx, args, "subscribe", Kind::Channel);
    Ok(())
}

/// `PSUBSCRIBE pattern [pattern ...]` -> for each pattern a message `psubscribe`, pattern, number of channels and
/// patterns that the client listens to.
pub fn psubscribe(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    start_to_listen(ctx, args, "psubscribe", Kind::Pattern);
    Ok(())
}

/// `SSUBSCRIBE shardchannel [shardchannel ...]` -> for each shard channel a message `ssubscribe`, channel, number of shard
/// channels that the client listens to.
///
/// Not in transactions, where SUBSCRIBE is allowed for the sake of old clients only.
pub fn ssubscribe(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    if ctx.session.is_executing {
        return Err(CommandError::Fixed("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"));
    }
    start_to_listen(ctx, args, "ssubscribe", Kind::Shard);
    Ok(())
}

/// `UNSUBSCRIBE [channel [channel ...]]` -> for each channel, or for all that the client listens to, a message
/// `unsubscribe`, channel, number of channels and patterns left; one with a null for channel if there is none.
pub fn unsubscribe(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    cease_to_listen(ctx, args, "unsubscribe", Kind::Channel);
    Ok(())
}

/// `PUNSUBSCRIBE [pattern [pattern ...]]` -> as UNSUBSCRIBE: messages `punsubscribe`, pattern, number of channels and
/// patterns left.
pub fn punsubscribe(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    cease_to_listen(ctx, args, "punsubscribe", Kind::Pattern);
    Ok(())
}

/// `SUNSUBSCRIBE [shardchannel [shardchannel ...]]` -> as UNSUBSCRIBE: messages `sunsubscribe`, shard channel, number of
/// shard channels left.
pub fn sunsubscribe(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    cease_to_listen(ctx, args, "sunsubscribe", Kind::Shard);
    Ok(())
}

/// `PUBLISH channel message` -> integer: number of subscriptions that the message was passed on for. Their clients get
/// `message`, channel, message, or `pmessage`, pattern, channel, message.
pub fn publish(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let (channel, message) = (args.next_bytes()?, args.next_bytes()?);
    let count = ctx.services.pubsub.publish(channel, message, ctx.now);
    ctx.reply.count(count);
    Ok(())
}

/// `SPUBLISH shardchannel message` -> integer: number of clients that the message was passed on to. They get `smessage`,
/// shard channel, message.
pub fn spublish(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let (channel, message) = (args.next_bytes()?, args.next_bytes()?);
    let count = ctx.services.pubsub.publish_to_shard(channel, message, ctx.now);
    ctx.reply.count(count);
    Ok(())
}

/// `PUBSUB CHANNELS [pattern]` -> array: the channels that somebody listens to, not by a pattern.
pub fn channels(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    reply_active(ctx, args, "CHANNELS", Kind::Channel)
}

/// `PUBSUB SHARDCHANNELS [pattern]` -> array: the shard channels that somebody listens to.
pub fn shardchannels(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    reply_active(ctx, args, "SHARDCHANNELS", Kind::Shard)
}

/// `PUBSUB NUMSUB [channel [channel ...]]` -> array: each channel with the number of its listeners, those by a pattern not
/// counted; a flat list in RESP3 too.
pub fn numsub(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    reply_listeners(ctx, args, Kind::Channel);
    Ok(())
}

/// `PUBSUB SHARDNUMSUB [shardchannel [shardchannel ...]]` -> array: as PUBSUB NUMSUB.
pub fn shardnumsub(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    reply_listeners(ctx, args, Kind::Shard);
    Ok(())
}

/// `PUBSUB NUMPAT` -> integer: number of patterns that somebody listens to.
pub fn numpat(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    ctx.reply.count(ctx.services.pubsub.active_count(Kind::Pattern));
    Ok(())
}

/// `PUBSUB HELP` -> array: what the subcommands do.
pub fn help(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    reply_help(
        ctx.reply,
        "PUBSUB",
        &[
            "CHANNELS [<pattern>]",
            "    Return the currently active channels matching a <pattern> (default: '*').",
            "NUMPAT",
            "    Return number of subscriptions to patterns.",
            "NUMSUB [<channel> ...]",
            "    Return the number of subscribers for the specified channels, excluding",
            "    pattern subscriptions(default: no channels).",
            "SHARDCHANNELS [<pattern>]",
            "    Return the currently active shard level channels matching a <pattern> (default: '*').",
            "SHARDNUMSUB [<shardchannel> ...]",
            "    Return the number of subscribers for the specified shard level channel(s)",
        ],
    );
    Ok(())
}

fn start_to_listen(ctx: &mut Context<'_>, args: &mut Args<'_>, word: &str, kind: Kind) {
    let mut names = args.rest();
    for name in names.clone() {
        let session = &mut *ctx.session;
        ctx.services.pubsub.subscribe(&session.client, &mut session.subscriptions, kind, name);
        confirm(ctx, word, Some(name), kind);
    }
    // Whoever has taken the right away meanwhile may have looked for listeners too early to find this one.
    let access = &mut ctx.session.access;
    if access.is_outdated(&ctx.services.acl) {
        access.refresh(&ctx.services.acl);
        if !names.all(|name| may_listen(access.rules(), kind, name)) {
            ctx.session.then = Then::Close;
        }
    }
}

fn cease_to_listen(ctx: &mut Context<'_>, args: &mut Args<'_>, word: &str, kind: Kind) {
    let all = if args.is_empty() { ctx.session.subscriptions.names(kind) } else { Vec::new() };
    if args.is_empty() && all.is_empty() {
        confirm(ctx, word, None, kind);
    }
    let mut names: Vec<&[u8]> = args.rest().collect();
    names.extend(all.iter().map(|name| &**name));
    for name in names {
        let session = &mut *ctx.session;
        ctx.services.pubsub.unsubscribe(&session.client, &mut session.subscriptions, kind, name);
        // Whoever reads the confirmation may rely on having read all messages.
        session.collect_mail(ctx.reply);
        confirm(ctx, word, Some(name), kind);
    }
}

/// Writes what is both a reply and a message: that the client listens to a name, or does so no longer.
fn confirm(ctx: &mut Context<'_>, word: &str, name: Option<&[u8]>, kind: Kind) {
    ctx.session.has_pushed = !ctx.session.is_executing;
    ctx.reply.push(3);
    ctx.reply.bulk(word.as_bytes());
    ctx.reply.bulk_or_null(name);
    ctx.reply.count(ctx.session.subscriptions.count(kind));
}

fn reply_active(ctx: &mut Context<'_>, args: &mut Args<'_>, subcommand: &str, kind: Kind) -> Outcome {
    let pattern = args.next_optional();
    if !args.is_empty() {
        return Err(CommandError::text(format!(
            "ERR unknown subcommand or wrong number of arguments for '{subcommand}'. Try PUBSUB HELP."
        )));
    }
    let wanted = |name: &[u8]| pattern.is_none_or(|pattern| glob::matches(pattern, name));
    let names = ctx.services.pubsub.active(kind, wanted);
    ctx.reply.array(names.len());
    for name in &names {
        ctx.reply.bulk(name);
    }
    Ok(())
}

fn reply_listeners(ctx: &mut Context<'_>, args: &mut Args<'_>, kind: Kind) {
    let names = args.rest();
    ctx.reply.array(names.len() * 2);
    for name in names {
        ctx.reply.bulk(name);
        ctx.reply.count(ctx.services.pubsub.listener_count(kind, name));
    }
}
