//! `CONFIG` and its subcommands.

use std::sync::atomic::Ordering;

use super::reply_help;
use crate::base::glob;
use crate::config::{Origin, Parameter};
use crate::handler::{Args, CommandError, Context, Outcome};
use crate::services::limits;

/// Parameters that name files. Set again to what they are, they have the files read again, as in Redis.
const FILES: [Parameter; 4] =
    [Parameter::tls_cert_file, Parameter::tls_key_file, Parameter::tls_ca_cert_file, Parameter::tls_ca_cert_dir];

/// `CONFIG GET parameter [parameter ...]` -> map: names and values of the parameters that match the patterns.
pub fn get(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let patterns: Vec<&[u8]> = args.rest().collect();
    let found = ctx.services.config.get(&patterns, glob::matches_ignore_case);
    ctx.reply.map(found.len());
    for (name, value) in found {
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.bulk(value.as_bytes());
    }
    Ok(())
}

/// `CONFIG SET parameter value [parameter value ...]` -> OK: changes all of the parameters or none.
pub fn set(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    if !args.remaining().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    let services = ctx.services;
    let pairs: Vec<(&[u8], &[u8])> = args.pairs().collect();
    let origin = if ctx.session.client.is_local() { Origin::Local } else { Origin::Remote };
    // One at a time: what one sets, another must not undo.
    let _configuring = services.configuring.lock();
    let change = services.config.set_from(&pairs, origin).map_err(CommandError::text)?;
    let parameters = pairs.iter().filter_map(|(name, _)| Parameter::find(name));
    let files =
        parameters.filter(|(parameter, _)| FILES.contains(parameter)).map(|(parameter, _)| parameter.row().name);
    let names: Vec<&'static str> = change.names.iter().copied().chain(files).collect();
    if let Err(refused) = services.apply_configuration(&names) {
        services.config.undo(change);
        // What was so a moment ago can be so again; if it cannot, the log says why.
        drop(services.apply_configuration(&names));
        let (name, why) = (refused.parameter, refused.why);
        let text = format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}");
        return Err(CommandError::text(text));
    }
    if names.iter().any(|name| matches!(*name, "maxmemory-clients" | "maxmemory")) {
        limits::evict_clients(services);
    }
    ctx.reply.ok();
    Ok(())
}

/// `CONFIG REWRITE` -> OK: writes the parameters and the users into the configuration file, whose comments and order stay.
pub fn rewrite(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    if let Err(error) = ctx.services.rewrite_configuration(false) {
        tracing::warn!(%error, "CONFIG REWRITE failed");
        return Err(CommandError::text(format!("ERR {error}")));
    }
    tracing::info!("CONFIG REWRITE executed with success");
    ctx.reply.ok();
    Ok(())
}

/// `CONFIG RESETSTAT` -> OK: sets the counters that INFO reports to zero.
pub fn resetstat(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    ctx.services.stats.reset();
    ctx.services.slow_log.reset_totals();
    ctx.services.evictions.reset();
    let keyspace = &ctx.services.keyspace;
    let expired = &keyspace.stats;
    let unasked = [&expired.expired_keys_unasked, &expired.expired_fields_unasked, &keyspace.eviction.evicted_keys];
    for counter in [&expired.expired_keys, &expired.expired_fields].into_iter().chain(unasked) {
        counter.store(0, Ordering::Relaxed);
    }
    ctx.reply.ok();
    Ok(())
}

/// `CONFIG HELP` -> array: what the subcommands do.
pub fn help(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    reply_help(
        ctx.reply,
        "CONFIG",
        &[
            "GET <pattern>",
            "    Return parameters matching the glob-like <pattern> and their values.",
            "SET <directive> <value>",
            "    Set the configuration <directive> to <value>.",
            "RESETSTAT",
            "    Reset statistics reported by the INFO command.",
            "REWRITE",
            "    Rewrite the configuration file.",
        ],
    );
    Ok(())
}
