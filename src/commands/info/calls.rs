//! The sections of INFO on calls: how many, how long they took, how they ended, and on which keys.

use super::Text;
use crate::handler::Context;
use crate::services::memory::ratio;
use crate::services::slow_log::SlowTotals;
use crate::services::stats::CommandCounts;

/// Calls by command, and what they took; of commands that have been in the slow log, what they took there.
pub(super) fn command_stats(text: &mut Text, ctx: &Context<'_>) {
    let slow_totals = ctx.services.slow_log.totals_by_command();
    for (name, counters) in ctx.services.stats.all_commands() {
        let CommandCounts { calls, rejected, failed, nanoseconds } = counters;
        if calls + rejected + failed > 0 {
            let (usec, usec_per_call) = (nanoseconds / 1000, ratio(nanoseconds, calls.max(1)) / 1000.0);
            let counts = format_args!(
                "calls={calls},usec={usec},usec_per_call={usec_per_call:.2},rejected_calls={rejected},failed_calls={failed}"
            );
            let slow = slow_totals.get(name).map(slow_fields).unwrap_or_default();
            text.line(&format!("cmdstat_{name}"), format_args!("{counts}{slow}"));
        }
    }
}

/// What Redis 8.8 and newer add to the line of a command that has been slow.
fn slow_fields(slow: &SlowTotals) -> String {
    let (sum, most) = (milliseconds(slow.microseconds), milliseconds(slow.slowest_microseconds));
    format!(",slowlog_count={},slowlog_time_ms_sum={sum},slowlog_time_ms_max={most}", slow.calls)
}

/// Milliseconds with two decimals.
pub(super) fn milliseconds(microseconds: u64) -> String {
    format!("{:.2}", ratio(microseconds, 1000))
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
