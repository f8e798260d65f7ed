//! `INFO`: the state of the server as text. Only what is measured is reported.

mod calls;
mod persistence;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::base::clock;
use crate::base::memory::machine_bytes;
use crate::base::process::operating_system;
use crate::base::processor::ProcessorTime;
use crate::config::Config;
use crate::handler::{Args, Context, Outcome};
use crate::services::acl::log::Reason;
use crate::services::clients::{Client, ClientTotals};
use crate::services::memory::{MemoryReport, ratio};
use crate::services::pubsub::Kind;
use crate::services::stats::Totals;
use crate::services::{HASHD_VERSION, REDIS_VERSION};
use crate::store::TemplateStats;

/// Writes the lines of one section.
type Section = fn(&mut Text, &Context<'_>);

/// The sections in order: name, title, whether they belong to the default ones, what writes them.
const SECTIONS: &[(&str, &str, bool, Section)] = &[
    ("server", "Server", true, server),
    ("clients", "Clients", true, clients),
    ("memory", "Memory", true, memory),
    ("persistence", "Persistence", true, persistence::write),
    ("threads", "Threads", true, threads),
    ("stats", "Stats", true, stats),
    ("replication", "Replication", true, replication),
    ("cpu", "CPU", true, cpu),
    ("hotkeys", "Hotkeys", true, calls::hot_keys),
    ("modules", "Modules", true, no_lines),
    ("commandstats", "Commandstats", false, calls::command_stats),
    ("errorstats", "Errorstats", true, calls::error_stats),
    ("latencystats", "Latencystats", false, calls::latency_stats),
    ("cluster", "Cluster", true, cluster),
    ("keyspace", "Keyspace", true, keyspace),
    ("keysizes", "Keysizes", true, key_sizes),
];

/// `INFO [section ...]` -> text: the sections asked for; `default` without any, `all` and `everything` for all.
pub fn info(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let wanted: Vec<&[u8]> = args.rest().collect();
    let is_named = |name: &str| wanted.iter().any(|word| word.eq_ignore_ascii_case(name.as_bytes()));
    let all = is_named("all") || is_named("everything");
    let default = wanted.is_empty() || is_named("default");
    let mut text = Text::default();
    for (name, title, is_default, write) in SECTIONS {
        if all || (default && *is_default) || is_named(name) {
            text.title(title);
            write(&mut text, ctx);
        }
    }
    ctx.reply.verbatim(text.0.as_bytes());
    Ok(())
}

/// The text in the making.
#[derive(Default)]
struct Text(String);

impl Text {
    fn title(&mut self, title: &str) {
        if !self.0.is_empty() {
            self.0.push_str("\r\n");
        }
        let _ = write!(self.0, "# {title}\r\n");
    }

    fn line(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = write!(self.0, "{name}:{value}\r\n");
    }

    /// Lines of what a server does not have that does without a feature of Redis.
    fn zeros(&mut self, names: &[&str]) {
        for name in names {
            self.line(name, 0);
        }
    }

    fn counter(&mut self, name: &str, counter: &AtomicU64) {
        self.line(name, counter.load(Ordering::Relaxed));
    }

    fn bytes(&mut self, name: &str, bytes: u64) {
        self.line(name, bytes);
        self.line(&format!("{name}_human"), human_bytes(bytes));
    }
}

fn server(text: &mut Text, ctx: &Context<'_>) {
    let services = ctx.services;
    let uptime = (ctx.now.0 - services.started_at.0).max(0) / 1000;
    text.line("redis_version", REDIS_VERSION);
    text.line("redis_git_sha1", "00000000");
    text.line("redis_git_dirty", 0);
    text.line("hashd_version", HASHD_VERSION);
    text.line("redis_mode", "standalone");
    text.line("os", operating_system());
    text.line("arch_bits", usize::BITS);
    text.line("multiplexing_api", "epoll");
    text.line("process_id", std::process::id());
    text.line("run_id", &services.run_id);
    text.line("process_supervised", supervisor(services.config.supervised()));
    text.line("tcp_port", services.config.port());
    text.line("server_time_usec", clock::unix_micros());
    text.line("uptime_in_seconds", uptime);
    text.line("uptime_in_days", uptime / 86_400);
    text.line("hz", services.config.hz().clamp(1, 500));
    text.line("configured_hz", services.config.hz());
    text.line("lru_clock", ctx.now.seconds() & 0xFF_FFFF);
    let executable = std::env::current_exe().map(|path| path.display().to_string());
    text.line("executable", executable.unwrap_or_default());
    let file = services.config.file().map(|path| path.display().to_string());
    text.line("config_file", file.unwrap_or_default());
    text.line("io_threads_active", i32::from(services.config.io_threads() > 1));
    listeners(text, &services.config);
}

/// Who is told that the server is ready.
fn supervisor(configured: &'static str) -> &'static str {
    match configured {
        "auto" if std::env::var_os("NOTIFY_SOCKET").is_some() => "systemd",
        "auto" | "no" => "no",
        other => other,
    }
}

/// One line for each kind of socket that is listened on.
fn listeners(text: &mut Text, config: &Config) {
    let addresses: Vec<String> = config.bind().split_whitespace().map(|word| format!("bind={word}")).collect();
    let mut kinds = Vec::new();
    for (name, port) in [("tcp", config.port()), ("tls", config.tls_port())] {
        if port != 0 {
            kinds.push(format!("name={name},{},port={port}", addresses.join(",")));
        }
    }
    let path = config.unixsocket();
    if !path.is_empty() {
        kinds.insert(1.min(kinds.len()), format!("name=unix,bind={path}"));
    }
    for (index, kind) in kinds.iter().enumerate() {
        text.line(&format!("listener{index}"), kind);
    }
}

fn clients(text: &mut Text, ctx: &Context<'_>) {
    let clients = ctx.services.clients.all();
    let most = |size: fn(&Client) -> usize| clients.iter().map(|client| size(client)).max().unwrap_or(0);
    let totals = ClientTotals::of(&ctx.services.clients);
    text.line("connected_clients", totals.connected);
    text.line("cluster_connections", 0);
    text.line("maxclients", ctx.services.config.maxclients());
    text.line("client_recent_max_input_buffer", most(|client| client.query_buffer.load(Ordering::Relaxed)));
    text.line("client_recent_max_output_buffer", most(Client::waiting_output));
    text.line("blocked_clients", totals.blocked);
    text.line("tracking_clients", ctx.services.changes.tracking.totals().clients);
    text.line("pubsub_clients", totals.listening);
    text.line("watching_clients", totals.watching);
    text.line("total_watched_keys", ctx.services.changes.watches.count());
    text.line("total_blocking_keys", 0);
    text.line("total_blocking_keys_on_nokey", 0);
}

fn memory(text: &mut Text, ctx: &Context<'_>) {
    let report = MemoryReport::of(ctx.services, ctx.now);
    let (allocator, limit) = (report.allocator, ctx.services.config.maxmemory());
    let difference = |whole: u64, part: u64| i128::from(whole) - i128::from(part);
    text.bytes("used_memory", allocator.allocated);
    text.bytes("used_memory_rss", report.resident);
    text.bytes("used_memory_peak", report.peak);
    text.line("used_memory_peak_time", report.peak_seconds);
    text.line("used_memory_peak_perc", format_args!("{:.2}%", 100.0 * ratio(allocator.allocated, report.peak)));
    text.line("used_memory_overhead", report.overhead());
    text.line("used_memory_startup", report.startup);
    text.line("used_memory_dataset", report.dataset());
    text.line("used_memory_dataset_perc", format_args!("{:.2}%", report.dataset_percentage()));
    text.line("used_memory_hash_templates", report.templates.memory);
    text.line("allocator_allocated", allocator.allocated);
    text.line("allocator_active", allocator.active);
    text.line("allocator_resident", allocator.resident);
    if let Some(total) = machine_bytes() {
        text.bytes("total_system_memory", total);
    }
    no_scripts(text);
    text.bytes("maxmemory", limit);
    text.line("maxmemory_policy", ctx.services.config.maxmemory_policy());
    let pairs = [
        ("allocator_frag", allocator.active, allocator.allocated),
        ("allocator_rss", allocator.resident, allocator.active),
        ("rss_overhead", report.resident, allocator.resident),
        ("mem_fragmentation", report.resident, allocator.allocated),
    ];
    for (name, whole, part) in pairs {
        text.line(&format!("{name}_ratio"), format_args!("{:.2}", ratio(whole, part)));
        text.line(&format!("{name}_bytes"), difference(whole, part));
    }
    let no_such_feature = [
        "mem_replication_backlog",
        "mem_total_replication_buffers",
        "mem_replica_full_sync_buffer",
        "mem_clients_slaves",
        "mem_cluster_slot_migration_output_buffer",
        "mem_cluster_slot_migration_input_buffer",
        "mem_cluster_slot_migration_input_buffer_peak",
        "mem_cluster_links",
        "mem_overhead_db_hashtable_rehashing",
        "active_defrag_running",
    ];
    text.zeros(&no_such_feature);
    text.line("mem_not_counted_for_evict", ctx.services.memory_not_counted());
    text.line("mem_aof_buffer", ctx.services.append_only.log.waiting_bytes());
    text.line("mem_clients_normal", report.clients);
    text.line("mem_allocator", "jemalloc");
    text.line("lazyfree_pending_objects", ctx.services.keyspace.removed_count());
    text.line("lazyfreed_objects", ctx.services.keyspace.freed_count());
}

/// There are no scripts and functions to take memory.
fn no_scripts(text: &mut Text) {
    text.line("used_memory_vm_eval", 0);
    text.bytes("used_memory_lua", 0);
    let counts = ["used_memory_scripts_eval", "number_of_cached_scripts", "number_of_functions", "number_of_libraries"];
    text.zeros(&counts);
    text.line("used_memory_vm_functions", 0);
    text.bytes("used_memory_vm_total", 0);
    text.line("used_memory_functions", 0);
    text.bytes("used_memory_scripts", 0);
}

fn stats(text: &mut Text, ctx: &Context<'_>) {
    let (server, store) = (&ctx.services.stats, &ctx.services.keyspace.stats);
    let totals = server.totals();
    let rates = server.per_second();
    text.counter("total_connections_received", &server.connections_received);
    text.line("total_commands_processed", totals.commands_processed);
    text.line("instantaneous_ops_per_sec", rates.commands);
    text.line("total_net_input_bytes", totals.bytes_in);
    text.line("total_net_output_bytes", totals.bytes_out);
    text.zeros(&["total_net_repl_input_bytes", "total_net_repl_output_bytes"]);
    text.line("instantaneous_input_kbps", format_args!("{:.2}", ratio(rates.bytes_in, 1024)));
    text.line("instantaneous_output_kbps", format_args!("{:.2}", ratio(rates.bytes_out, 1024)));
    text.line("instantaneous_input_repl_kbps", "0.00");
    text.line("instantaneous_output_repl_kbps", "0.00");
    text.counter("rejected_connections", &server.connections_rejected);
    text.zeros(&["sync_full", "sync_partial_ok", "sync_partial_err"]);
    text.counter("expired_subkeys", &store.expired_fields);
    text.counter("expired_subkeys_active", &store.expired_fields_unasked);
    text.counter("expired_keys", &store.expired_keys);
    text.counter("expired_keys_active", &store.expired_keys_unasked);
    text.counter("expired_time_cap_reached_count", &server.expire_cycles_cut);
    text.line("expire_cycle_cpu_milliseconds", server.expire_nanoseconds.load(Ordering::Relaxed) / 1_000_000);
    text.counter("evicted_keys", &ctx.services.keyspace.eviction.evicted_keys);
    text.counter("evicted_clients", &server.clients_evicted);
    text.line("evicted_scripts", 0);
    let (total, current) = ctx.services.evictions.short_ms(ctx.now);
    text.line("total_eviction_exceeded_time", total);
    text.line("current_eviction_exceeded_time", current);
    text.line("keyspace_hits", totals.hits);
    text.line("keyspace_misses", totals.misses);
    let templates = TemplateStats::now();
    text.line("hash_templates", templates.templates);
    text.line("hash_template_keys", templates.users);
    text.line("pubsub_channels", ctx.services.pubsub.active_count(Kind::Channel));
    text.line("pubsub_patterns", ctx.services.pubsub.active_count(Kind::Pattern));
    text.line("pubsubshard_channels", ctx.services.pubsub.active_count(Kind::Shard));
    let tracking = ctx.services.changes.tracking.totals();
    text.line("tracking_total_keys", tracking.keys);
    text.line("tracking_total_items", tracking.items);
    text.line("tracking_total_prefixes", tracking.prefixes);
    let no_such_feature = [
        "latest_fork_usec",
        "total_forks",
        "migrate_cached_sockets",
        "slave_expires_tracked_keys",
        "active_defrag_hits",
        "active_defrag_misses",
        "active_defrag_key_hits",
        "active_defrag_key_misses",
        "total_active_defrag_time",
        "current_active_defrag_time",
        "unexpected_error_replies",
    ];
    text.zeros(&no_such_feature);
    work(text, ctx, &totals);
    refusals(text, ctx);
}

/// What sockets and slow commands have taken.
fn work(text: &mut Text, ctx: &Context<'_>, totals: &Totals) {
    text.line("total_error_replies", totals.error_replies);
    text.line("total_reads_processed", totals.reads);
    text.line("total_writes_processed", totals.writes);
    let has_io_threads = ctx.services.config.io_threads() > 1;
    text.line("io_threaded_reads_processed", if has_io_threads { totals.reads } else { 0 });
    text.line("io_threaded_writes_processed", if has_io_threads { totals.writes } else { 0 });
    let slow = ctx.services.slow_log.totals();
    text.line("slowlog_commands_count", slow.calls);
    text.line("slowlog_commands_time_ms_sum", calls::milliseconds(slow.microseconds));
    text.line("slowlog_commands_time_ms_max", calls::milliseconds(slow.slowest_microseconds));
}

/// Who was refused or cut off, and why.
fn refusals(text: &mut Text, ctx: &Context<'_>) {
    let server = &ctx.services.stats;
    for (name, reason) in [
        ("auth", Reason::Auth),
        ("cmd", Reason::Command),
        ("key", Reason::Key),
        ("channel", Reason::Channel),
        ("tls_cert", Reason::Certificate),
    ] {
        text.line(&format!("acl_access_denied_{name}"), ctx.services.acl.log.count(reason));
    }
    text.counter("client_query_buffer_limit_disconnections", &server.query_buffers_exceeded);
    text.counter("client_output_buffer_limit_disconnections", &server.output_buffers_exceeded);
    text.counter("command_panics", &server.panics);
}

/// One line for each worker.
fn threads(text: &mut Text, ctx: &Context<'_>) {
    for (index, worker) in ctx.services.stats.workers().iter().enumerate() {
        let clients = worker.connections.load(Ordering::Relaxed);
        let counts = format_args!("clients={clients},reads={},writes={}", worker.reads.get(), worker.writes.get());
        text.line(&format!("io_thread_{index}"), counts);
    }
}

/// A primary without replicas.
fn replication(text: &mut Text, ctx: &Context<'_>) {
    text.line("role", "master");
    text.line("connected_slaves", 0);
    if ctx.services.config.wants_replicas() {
        text.line("min_slaves_good_slaves", 0);
    }
    text.line("master_failover_state", "no-failover");
    text.line("master_replid", &ctx.services.run_id);
    text.line("master_replid2", "0".repeat(ctx.services.run_id.len()));
    text.line("master_repl_offset", 0);
    text.line("second_repl_offset", -1);
    text.line("repl_backlog_active", 0);
    text.line("repl_backlog_size", ctx.services.config.repl_backlog_size());
    text.zeros(&["repl_backlog_first_byte_offset", "repl_backlog_histlen"]);
}

/// Processor time. There are no children.
fn cpu(text: &mut Text, _ctx: &Context<'_>) {
    let mut line = |name: &str, time: Duration| {
        text.line(name, format_args!("{}.{:06}", time.as_secs(), time.subsec_micros()));
    };
    let process = ProcessorTime::of_process();
    line("used_cpu_sys", process.system);
    line("used_cpu_user", process.user);
    line("used_cpu_sys_children", Duration::ZERO);
    line("used_cpu_user_children", Duration::ZERO);
    if let Some(main_thread) = ProcessorTime::of_main_thread() {
        line("used_cpu_sys_main_thread", main_thread.system);
        line("used_cpu_user_main_thread", main_thread.user);
    }
}

fn cluster(text: &mut Text, _ctx: &Context<'_>) {
    text.line("cluster_enabled", 0);
}

fn keyspace(text: &mut Text, ctx: &Context<'_>) {
    let keyspace = &ctx.services.keyspace;
    for index in keyspace.used_databases() {
        let stats = keyspace.database(index, ctx.now).stats();
        if stats.keys == 0 {
            continue;
        }
        let (keys, expires, average_ttl, subexpiry) =
            (stats.keys, stats.expires, stats.average_ttl_ms, stats.field_expires);
        let counts = format_args!("keys={keys},expires={expires},avg_ttl={average_ttl},subexpiry={subexpiry}");
        text.line(&format!("db{index}"), counts);
    }
}

/// How many hashes have how many fields: each number stands for those from there to the next.
fn key_sizes(text: &mut Text, ctx: &Context<'_>) {
    for index in ctx.services.keyspace.used_databases() {
        let database = ctx.services.keyspace.database(index, ctx.now);
        let sizes: Vec<_> = database.sizes().map(|(least, keys)| format!("{}={keys}", short_power(least))).collect();
        if !sizes.is_empty() {
            text.line(&format!("db{index}_distrib_hashes_items"), sizes.join(","));
        }
    }
}

/// `512`, `1K`, `2M`: a power of two as Redis writes it.
fn short_power(mut power: usize) -> String {
    for unit in ["", "K", "M", "G", "T", "P"] {
        if power < 1024 {
            return format!("{power}{unit}");
        }
        power /= 1024;
    }
    format!("{power}E")
}

fn no_lines(_text: &mut Text, _ctx: &Context<'_>) {}

/// `865.55K`, as Redis writes it.
fn human_bytes(bytes: u64) -> String {
    const STEP: u64 = 1024;
    let mut unit = STEP;
    for letter in ["K", "M", "G", "T"] {
        if bytes < unit {
            break;
        }
        if bytes / unit < STEP || letter == "T" {
            let hundredths = (u128::from(bytes) * 100 + u128::from(unit) / 2) / u128::from(unit);
            return format!("{}.{:02}{letter}", hundredths / 100, hundredths % 100);
        }
        unit *= STEP;
    }
    format!("{bytes}B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn human_readable_sizes() {
        assert_eq!(human_bytes(0), "0B");
        assert_eq!(human_bytes(1023), "1023B");
        assert_eq!(human_bytes(886_320), "865.55K");
        assert_eq!(human_bytes(15_720_448), "14.99M");
        assert_eq!(human_bytes(25_276_502_016), "23.54G");
    }
}
