//! `SLOWLOG` and its subcommands.

use super::reply_help;
use crate::base::number;
use crate::handler::{Args, CommandError, Context, Outcome};

/// Entries that SLOWLOG GET gives unasked.
const DEFAULT_COUNT: usize = 10;

/// `SLOWLOG GET [count]` -> array: the newest `count` slow calls (10, all for -1), newest first. Each is an array: id, time in
/// seconds since the Unix epoch, duration in microseconds, arguments, client address, client name, number of arguments.
///
/// Errors: `ERR count should be greater than or equal to -1`.
pub fn get(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    if args.remaining() > 1 {
        let subcommand = args.at(1).unwrap_or_default();
        let before = "ERR unknown subcommand or wrong number of arguments for '";
        return Err(CommandError::quoting(before, subcommand, "'. Try SLOWLOG HELP."));
    }
    let count = match args.next_optional().map(number::parse_i64) {
        None => DEFAULT_COUNT,
        Some(Some(-1)) => usize::MAX,
        Some(count) => count
            .and_then(|count| usize::try_from(count).ok())
            .ok_or(CommandError::Fixed("ERR count should be greater than or equal to -1"))?,
    };
    let calls = ctx.services.slow_log.newest(count);
    let integer = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    ctx.reply.array(calls.len());
    for call in &calls {
        ctx.reply.array(7);
        ctx.reply.integer(integer(call.id));
        ctx.reply.integer(call.at.seconds());
        ctx.reply.integer(integer(call.microseconds));
        ctx.reply.array(call.arguments.len());
        for argument in &call.arguments {
            ctx.reply.bulk(argument);
        }
        ctx.reply.bulk(call.address.as_bytes());
        ctx.reply.bulk(&call.name);
        ctx.reply.count(call.argument_count);
    }
    Ok(())
}

/// `SLOWLOG LEN` -> integer: number of entries.
pub fn len(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    ctx.reply.count(ctx.services.slow_log.len());
    Ok(())
}

/// `SLOWLOG RESET` -> OK: drops all entries.
pub fn reset(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    ctx.services.slow_log.clear();
    ctx.reply.ok();
    Ok(())
}

/// `SLOWLOG HELP` -> array: what the subcommands do.
pub fn help(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    reply_help(
        ctx.reply,
        "SLOWLOG",
        &[
            "GET [<count>]",
            "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
            "    Entries are made of:",
            "    id, timestamp, time in microseconds, arguments array, client IP and port,",
            "    client name",
            "LEN",
            "    Return the length of the slowlog.",
            "RESET",
            "    Reset the slowlog.",
        ],
    );
    Ok(())
}
