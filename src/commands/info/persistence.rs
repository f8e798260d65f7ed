//! `INFO persistence`.

use std::sync::atomic::Ordering;

use super::Text;
use crate::handler::Context;
use crate::services::append_only::Phase;

pub(super) fn write(text: &mut Text, ctx: &Context<'_>) {
    let persistence = &ctx.services.persistence;
    let history = persistence.history();
    let (written, total) = if history.running_since.is_some() { persistence.keys_of_snapshot() } else { (0, 0) };
    let status = |succeeded: bool| if succeeded { "ok" } else { "err" };
    text.line("loading", i32::from(persistence.is_loading()));
    text.line("async_loading", 0);
    // A snapshot is taken without a fork: no page is copied on a write.
    text.zeros(&["current_cow_peak", "current_cow_size", "current_cow_size_age"]);
    text.line("current_fork_perc", percent(written, total));
    text.line("current_save_keys_processed", written);
    text.line("current_save_keys_total", total);
    text.line("rdb_changes_since_last_save", ctx.services.unsaved_changes() + ctx.store.changes());
    text.line("rdb_bgsave_in_progress", i32::from(history.running_since.is_some()));
    text.line("rdb_last_save_time", history.last_success);
    text.line("rdb_last_bgsave_status", status(history.last_succeeded));
    text.line("rdb_last_bgsave_time_sec", history.last_duration.unwrap_or(-1));
    let running = history.running_since.map_or(-1, |since| (ctx.now.0 - since.0).max(0) / 1000);
    text.line("rdb_current_bgsave_time_sec", running);
    text.line("rdb_saves", history.count);
    text.line("rdb_saves_consecutive_failures", history.failures);
    text.line("rdb_last_cow_size", 0);
    text.counter("rdb_last_load_keys_expired", &persistence.loading.keys_expired);
    text.counter("rdb_last_load_keys_loaded", &persistence.loading.keys_loaded);
    append_only(text, ctx);
    text.zeros(&["module_fork_in_progress", "module_fork_last_cow_size"]);
    if persistence.is_loading() {
        loading(text, ctx);
    }
}

fn append_only(text: &mut Text, ctx: &Context<'_>) {
    let append_only = &ctx.services.append_only;
    let (log, rewrites) = (&append_only.log, &append_only.rewrites);
    let status = |succeeded: bool| if succeeded { "ok" } else { "err" };
    let is_on = append_only.phase() != Phase::Off;
    let failures = rewrites.failures.load(Ordering::Relaxed);
    text.line("aof_enabled", i32::from(is_on));
    text.line("aof_rewrite_in_progress", i32::from(rewrites.runs.load(Ordering::Relaxed)));
    text.line("aof_rewrite_scheduled", i32::from(rewrites.is_scheduled.load(Ordering::Relaxed)));
    text.line("aof_last_rewrite_time_sec", rewrites.last_seconds());
    text.line("aof_current_rewrite_time_sec", rewrites.seconds(ctx.now));
    text.line("aof_last_bgrewrite_status", status(failures == 0));
    text.counter("aof_rewrites", &rewrites.succeeded);
    text.line("aof_rewrites_consecutive_failures", failures);
    text.line("aof_last_write_status", status(!log.in_trouble()));
    text.line("aof_last_cow_size", 0);
    if is_on {
        text.line("aof_current_size", append_only.current_bytes());
        text.line("aof_base_size", append_only.base_bytes());
        text.line("aof_pending_rewrite", i32::from(append_only.phase() == Phase::Starting));
        text.line("aof_buffer_length", log.waiting_bytes());
        text.line("aof_pending_bio_fsync", i32::from(log.sync_runs.load(Ordering::Relaxed)));
        text.counter("aof_delayed_fsync", &log.delayed_syncs);
    }
}

fn loading(text: &mut Text, ctx: &Context<'_>) {
    let progress = &ctx.services.persistence.loading;
    let started = progress.started_at.load(Ordering::Relaxed);
    let (total, loaded) = (progress.total.load(Ordering::Relaxed), progress.loaded.load(Ordering::Relaxed));
    let elapsed = u64::try_from((ctx.now.0 - started) / 1000).unwrap_or(0);
    let left = total.saturating_sub(loaded);
    text.line("loading_start_time", started / 1000);
    text.line("loading_total_bytes", total);
    text.line("loading_loaded_bytes", loaded);
    text.line("loading_loaded_perc", percent(loaded, total));
    text.line("loading_eta_seconds", (elapsed * left).checked_div(loaded).unwrap_or(1));
}

/// A share in per cent, with two decimals.
fn percent(part: u64, whole: u64) -> String {
    let hundredths = (part * 10_000).checked_div(whole).unwrap_or(0);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}
