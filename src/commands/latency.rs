//! `LATENCY` and its subcommands.

mod report;

use super::reply_help;
use crate::commands::table;
use crate::handler::{Args, CommandError, Context, Outcome};
use crate::services::latency::Spike;
use crate::services::stats::{CommandId, Distribution};

/// `LATENCY LATEST` -> array: for each event its name, the time of the newest spike in seconds since the Unix epoch, what that
/// took, and what the longest of all time took, in milliseconds.
pub fn latest(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    let events = ctx.services.latency.all();
    ctx.reply.array(events.len());
    for (event, series) in &events {
        let newest = series.newest().unwrap_or(Spike { at_seconds: 0, milliseconds: 0 });
        ctx.reply.array(4);
        ctx.reply.bulk(event.as_bytes());
        ctx.reply.integer(newest.at_seconds);
        ctx.reply.integer(integer(newest.milliseconds));
        ctx.reply.integer(integer(series.longest_milliseconds));
    }
    Ok(())
}

/// `LATENCY HISTORY event` -> array: the spikes of an event, oldest first: seconds since the Unix epoch, and milliseconds.
pub fn history(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let series = ctx.services.latency.series(args.next_bytes()?).map(|(_, series)| series).unwrap_or_default();
    ctx.reply.array(series.spikes().len());
    for spike in series.spikes() {
        ctx.reply.array(2);
        ctx.reply.integer(spike.at_seconds);
        ctx.reply.integer(integer(spike.milliseconds));
    }
    Ok(())
}

/// `LATENCY RESET [event ...]` -> integer: how many events were forgotten; all without arguments.
pub fn reset(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let monitor = &ctx.services.latency;
    let forgotten =
        if args.is_empty() { monitor.forget_all() } else { args.rest().filter(|event| monitor.forget(event)).count() };
    ctx.reply.count(forgotten);
    Ok(())
}

/// `LATENCY GRAPH event` -> text: the spikes of an event drawn.
///
/// Errors: `ERR No samples available for event '...'`.
pub fn graph(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let event = args.next_bytes()?;
    let Some((name, series)) = ctx.services.latency.series(event) else {
        return Err(CommandError::quoting("ERR No samples available for event '", event, "'"));
    };
    ctx.reply.verbatim(report::graph(name, &series, ctx.now).as_bytes());
    Ok(())
}

/// `LATENCY DOCTOR` -> text: what has been slow, and what can be done.
pub fn doctor(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    let report = report::doctor(&ctx.services.latency.all(), &ctx.services.config, ctx.now);
    ctx.reply.verbatim(report.as_bytes());
    Ok(())
}

/// `LATENCY HISTOGRAM [command ...]` -> map: for each command that has been called, or each of those named, a map of `calls` and
/// of `histogram_usec`: how many calls took up to so many microseconds. A container stands for its subcommands.
pub fn histogram(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let found: Vec<(&str, Distribution)> = if args.is_empty() {
        ctx.services.stats.all_latencies().collect()
    } else {
        let named = args.rest().flat_map(ids).filter_map(|id| Some((ctx.services.stats.command_name(id)?, id)));
        let latencies = named.map(|(name, id)| (name, ctx.services.stats.latency(id)));
        latencies.filter(|(_, latency)| latency.calls() > 0).collect()
    };
    ctx.reply.map(found.len());
    for (name, latency) in &found {
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.map(2);
        ctx.reply.bulk(b"calls");
        ctx.reply.integer(integer(latency.calls()));
        ctx.reply.bulk(b"histogram_usec");
        let steps = latency.cumulative();
        ctx.reply.map(steps.len());
        for (microseconds, calls) in steps {
            ctx.reply.integer(integer(microseconds));
            ctx.reply.integer(integer(calls));
        }
    }
    Ok(())
}

/// The ids that a name stands for: a command's own, or those of its subcommands, if it has any.
fn ids(name: &[u8]) -> Vec<CommandId> {
    match table::lookup_full_name(name) {
        None => Vec::new(),
        Some((spec, id)) if spec.subcommands.is_empty() => vec![id],
        Some((spec, id)) => table::subcommands(spec, id).map(|(_, id)| id).collect(),
    }
}

/// `LATENCY HELP` -> array: what the subcommands do.
pub fn help(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    reply_help(
        ctx.reply,
        "LATENCY",
        &[
            "DOCTOR",
            "    Return a human readable latency analysis report.",
            "GRAPH <event>",
            "    Return an ASCII latency graph for the <event> class.",
            "HISTORY <event>",
            "    Return time-latency samples for the <event> class.",
            "LATEST",
            "    Return the latest latency samples for all events.",
            "RESET [<event> ...]",
            "    Reset latency data of one or more <event> classes.",
            "    (default: reset all data for all event classes)",
            "HISTOGRAM [COMMAND ...]",
            "    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.",
            "    If no commands are specified then all histograms are replied.",
        ],
    );
    Ok(())
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
