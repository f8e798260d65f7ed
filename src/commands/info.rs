//! `INFO`: the state of the server as text. Only what is measured is reported.

use std::fmt::Write as _;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::clock;
use crate::base::memory::machine_bytes;
use crate::config::Config;
use crate::handler::{Args, Context, Outcome};
use crate::services::acl::log::Reason;
use crate::services::clients::Client;
use crate::services::memory::{MemoryReport, ratio};
use crate::services::pubsub::Kind;
use crate::services::stats::CommandCounts;
use crate::services::{HASHD_VERSION, REDIS_VERSION};
use crate::store::TemplateStats;

/// Writes the lines of one section.
type Section = fn(&mut Text, &Context<'_>);

/// The sections in order: name, title, whether they belong to the default ones, what writes them.
const SECTIONS: &[(&str, &str, bool, Section)] = &[
    ("server", "Server", true, server),
    ("clients", "Clients", true, clients),
    ("memory", "Memory", true, memory),
    ("persistence", "Persistence", true, persistence),
    ("stats", "Stats", true, stats),
    ("replication", "Replication", true, replication),
    ("cpu", "CPU", true, cpu),
    ("modules", "Modules", true, no_lines),
    ("commandstats", "Commandstats", false, command_stats),
    ("cluster", "Cluster", true, cluster),
    ("keyspace", "Keyspace", true, keyspace),
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
    text.line("connected_clients", ctx.services.clients.len());
    text.line("maxclients", ctx.services.config.maxclients());
    let clients = ctx.services.clients.all();
    let blocked = |client: &Client| client.blocked.load(Ordering::Relaxed) || client.paused.load(Ordering::Relaxed);
    text.line("blocked_clients", clients.iter().filter(|client| blocked(client)).count());
    text.line("tracking_clients", ctx.services.changes.tracking.totals().clients);
    text.line("pubsub_clients", clients.iter().filter(|client| client.is_listening()).count());
    let watching = |client: &Client| client.watching.load(Ordering::Relaxed) > 0;
    text.line("watching_clients", clients.iter().filter(|client| watching(client)).count());
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
    text.line("mem_clients_normal", report.clients);
    text.line("mem_allocator", "jemalloc");
}

fn persistence(text: &mut Text, _ctx: &Context<'_>) {
    for name in ["loading", "async_loading", "rdb_bgsave_in_progress", "aof_enabled", "aof_rewrite_in_progress"] {
        text.line(name, 0);
    }
}

fn stats(text: &mut Text, ctx: &Context<'_>) {
    let (server, store) = (&ctx.services.stats, &ctx.services.keyspace.stats);
    let totals = server.totals();
    text.counter("total_connections_received", &server.connections_received);
    text.line("total_commands_processed", totals.commands_processed);
    text.line("total_net_input_bytes", totals.bytes_in);
    text.line("total_net_output_bytes", totals.bytes_out);
    text.counter("rejected_connections", &server.connections_rejected);
    text.counter("expired_subkeys", &store.expired_fields);
    text.counter("expired_keys", &store.expired_keys);
    text.line("evicted_keys", 0);
    text.counter("evicted_clients", &server.clients_evicted);
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
    text.line("total_error_replies", totals.error_replies);
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

fn replication(text: &mut Text, _ctx: &Context<'_>) {
    text.line("role", "master");
    text.line("connected_slaves", 0);
}

/// Processor time, from the kernel's count in hundredths of a second.
fn cpu(text: &mut Text, _ctx: &Context<'_>) {
    let Some((user, system)) = processor_ticks() else { return };
    for (name, ticks) in [("used_cpu_sys", system), ("used_cpu_user", user)] {
        text.line(name, format_args!("{}.{:02}0000", ticks / 100, ticks % 100));
    }
}

/// Calls by command. Their times are not measured.
fn command_stats(text: &mut Text, ctx: &Context<'_>) {
    for (name, counters) in ctx.services.stats.all_commands() {
        let CommandCounts { calls, rejected, failed } = counters;
        if calls + rejected + failed > 0 {
            let counts = format_args!("calls={calls},rejected_calls={rejected},failed_calls={failed}");
            text.line(&format!("cmdstat_{name}"), counts);
        }
    }
}

fn cluster(text: &mut Text, _ctx: &Context<'_>) {
    text.line("cluster_enabled", 0);
}

fn keyspace(text: &mut Text, ctx: &Context<'_>) {
    let keyspace = &ctx.services.keyspace;
    for index in 0..keyspace.database_count() {
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

fn no_lines(_text: &mut Text, _ctx: &Context<'_>) {}

/// `Linux 6.1.0 x86_64`
fn operating_system() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {} {}", release.trim(), std::env::consts::ARCH)
}

/// User and system time of this process in hundredths of a second.
fn processor_ticks() -> Option<(u64, u64)> {
    let line = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, after_name) = line.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

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
