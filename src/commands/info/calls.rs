//! The sections of INFO on calls: how many, how long they took, how they ended, and on which keys.

use super::Text;
use crate::handler::Context;
use crate::services::memory::ratio;
use crate::services::stats::CommandCounts;

/// Calls by command, and what they took.
pub(super) fn command_stats(text: &mut Text, ctx: &Context<'_>) {
    for (name, counters) in ctx.services.stats.all_commands() {
        let CommandCounts { calls, rejected, failed, nanoseconds } = counters;
        if calls + rejected + failed > 0 {
            let (usec, usec_per_call) = (nanoseconds / 1000, ratio(nanoseconds, calls.max(1)) / 1000.0);
            let counts = format_args!(
                "calls={calls},usec={usec},usec_per_call={usec_per_call:.2},rejected_calls={rejected},failed_calls={failed}"
            );
            text.line(&format!("cmdstat_{name}"), counts);
        }
    }
}

/// Error replies by their first word.
pub(super) fn error_stats(text: &mut Text, ctx: &Context<'_>) {
    for (kind, count) in ctx.services.stats.errors() {
        text.line(&format!("errorstat_{kind}"), format_args!("count={count}"));
    }
}

/// The percentiles of what calls took, by command.
pub(super) fn latency_stats(text: &mut Text, ctx: &Context<'_>) {
    if !ctx.services.config.latency_tracking() {
        return;
    }
    let wanted = ctx.services.config.latency_tracking_info_percentiles();
    for (name, latency) in ctx.services.stats.all_latencies() {
        let percentiles = wanted.split_whitespace().filter_map(|word| {
            let nanoseconds = latency.percentile(word.parse().ok()?);
            Some(format!("p{word}={}.{:03}", nanoseconds / 1000, nanoseconds % 1000))
        });
        let line = percentiles.collect::<Vec<_>>().join(",");
        text.line(&format!("latency_percentiles_usec_{name}"), line);
    }
}

/// Whether hot keys are looked for; nothing if they never were.
pub(super) fn hot_keys(text: &mut Text, ctx: &Context<'_>) {
    if ctx.services.hot_keys.has_any() {
        text.line("hotkeys-tracking-active", i32::from(ctx.services.hot_keys.is_active()));
    }
}
