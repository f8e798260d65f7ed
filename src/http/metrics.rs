//! `/metrics`: what INFO says, in the names that `redis_exporter` has given it, so that dashboards made for that work here;
//! and what only this server has, as `hashd_..`.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::answer::Answer;
use super::exposition::{Exposition, Kind, MEDIA_TYPE};
use super::query::Query;
use super::visitor::Visitor;
use crate::base::clock::UnixMillis;
use crate::base::memory::machine_bytes;
use crate::base::process::operating_system;
use crate::base::processor::ProcessorTime;
use crate::services::acl::log::Reason;
use crate::services::append_only::Phase;
use crate::services::clients::ClientTotals;
use crate::services::memory::{MemoryReport, ratio};
use crate::services::pubsub::Kind as Listening;
use crate::services::stats::CommandCounts;
use crate::services::{HASHD_VERSION, REDIS_VERSION, Services};

/// `/metrics`; needs the right to run INFO.
pub(super) fn metrics(visitor: &mut Visitor<'_>, _query: &Query) -> Result<Answer, Answer> {
    visitor.require(&[b"info"])?;
    let services = visitor.services;
    let (began, now) = (services.ticker.read(), services.clock.now());
    let mut text = Exposition::default();
    server(&mut text, services, now);
    clients(&mut text, services);
    memory(&mut text, services, now);
    text.gauge("hashd_ready", "Whether clients are served.", u8::from(services.is_ready()));
    snapshots(&mut text, services, now);
    append_only(&mut text, services, now);
    stats(&mut text, services);
    commands(&mut text, services);
    latency(&mut text, services);
    latency_histograms(&mut text, services);
    slow_calls(&mut text, services);
    keyspace(&mut text, services, now);
    let took = services.ticker.nanoseconds(began, services.ticker.read());
    scrapes(&mut text, services, took);
    Ok(Answer::found(MEDIA_TYPE, text.into_text()))
}

/// What `redis_exporter` says of its own work.
fn scrapes(text: &mut Exposition, services: &Services, took: u64) {
    let count = services.stats.scrapes.fetch_add(1, Ordering::Relaxed) + 1;
    text.counter("redis_exporter_scrapes_total", "Readings of these metrics.", count);
    let seconds = Duration::from_nanos(took).as_secs_f64();
    text.gauge("redis_exporter_last_scrape_duration_seconds", "What this one took.", seconds);
    let name = "redis_exporter_last_scrape_error";
    text.family(name, Kind::Gauge, "Whether this one failed.");
    text.sample(name, &[("err", "")], 0);
}

fn server(text: &mut Exposition, services: &Services, now: UnixMillis) {
    let config = &services.config;
    text.gauge("redis_up", "Whether the server answers.", 1);
    let (port, process) = (config.port().to_string(), std::process::id().to_string());
    let name = "redis_instance_info";
    text.family(name, Kind::Gauge, "Which server this is.");
    let labels = [
        ("role", "master"),
        ("redis_version", REDIS_VERSION),
        ("redis_build_id", ""),
        ("redis_mode", "standalone"),
        ("os", &operating_system()),
        ("maxmemory_policy", config.maxmemory_policy()),
        ("tcp_port", &port),
        ("run_id", &services.run_id),
        ("process_id", &process),
        ("master_replid", ""),
    ];
    text.sample(name, &labels, 1);
    for (name, help) in [
        ("redis_exporter_build_info", "Version of what exports these metrics: hashd itself."),
        ("hashd_build_info", "Version of hashd."),
    ] {
        text.family(name, Kind::Gauge, help);
        text.sample(name, &[("version", HASHD_VERSION)], 1);
    }
    let uptime = (now.0 - services.started_at.0).max(0) / 1000;
    text.gauge("redis_uptime_in_seconds", "Seconds since the start.", uptime);
    text.gauge("redis_start_time_seconds", "When the server started, since the Unix epoch.", now.seconds() - uptime);
    text.gauge("redis_process_id", "Process id.", process);
    text.gauge("redis_connected_slaves", "Replicas.", 0);
    text.gauge("hashd_workers", "Threads that serve clients.", config.io_threads().max(1));
    let time = ProcessorTime::of_process();
    let (system, user) = (time.system.as_secs_f64(), time.user.as_secs_f64());
    text.counter("redis_cpu_sys_seconds_total", "Processor time in the kernel.", system);
    text.counter("redis_cpu_user_seconds_total", "Processor time in the program.", user);
}

fn clients(text: &mut Exposition, services: &Services) {
    let totals = ClientTotals::of(&services.clients);
    let tracking = services.changes.tracking.totals();
    text.gauge("redis_connected_clients", "Clients connected.", totals.connected);
    text.gauge("redis_blocked_clients", "Clients that wait for a command of theirs, or are paused.", totals.blocked);
    text.gauge("redis_tracking_clients", "Clients that cache.", tracking.clients);
    text.gauge("redis_config_maxclients", "Clients that may connect.", services.config.maxclients());
    text.gauge("hashd_pubsub_clients", "Clients that listen to channels.", totals.listening);
    text.gauge("hashd_watching_clients", "Clients that watch keys.", totals.watching);
    text.gauge("hashd_tracked_keys", "Keys that clients cache.", tracking.keys);
}

fn memory(text: &mut Exposition, services: &Services, now: UnixMillis) {
    let report = MemoryReport::of(services, now);
    let (allocator, limit) = (report.allocator, services.config.maxmemory());
    let bytes = [
        ("redis_memory_used_bytes", "Memory given out by the allocator.", allocator.allocated),
        ("redis_memory_used_rss_bytes", "Physical memory of the process.", report.resident),
        ("redis_memory_used_peak_bytes", "Memory given out at most.", report.peak),
        ("redis_memory_used_overhead_bytes", "Memory that is not data.", report.overhead()),
        ("redis_memory_used_startup_bytes", "Memory given out at the start.", report.startup),
        ("redis_memory_used_dataset_bytes", "Memory of the data.", report.dataset()),
        ("redis_memory_max_bytes", "Limit of memory (maxmemory), 0 for none.", limit),
        ("redis_config_maxmemory", "Limit of memory (maxmemory), 0 for none.", limit),
        ("redis_mem_clients_normal", "Memory of connections.", report.clients),
        ("redis_allocator_allocated_bytes", "Memory given out by the allocator.", allocator.allocated),
        ("redis_allocator_active_bytes", "Memory of the pages that is in.", allocator.active),
        ("redis_allocator_resident_bytes", "Physical memory that the allocator holds.", allocator.resident),
        ("hashd_template_memory_bytes", "Memory of templates.", report.templates.memory as u64),
    ];
    for (name, help, value) in bytes {
        text.gauge(name, help, value);
    }
    if let Some(total) = machine_bytes() {
        text.gauge("redis_total_system_memory_bytes", "Memory of the machine.", total);
    }
    let pairs = [
        ("redis_allocator_frag", "Pages in use to memory given out", allocator.active, allocator.allocated),
        (
            "redis_allocator_rss",
            "Physical memory of the allocator to pages in use",
            allocator.resident,
            allocator.active,
        ),
        ("redis_mem_fragmentation", "Physical memory to memory given out", report.resident, allocator.allocated),
    ];
    for (name, help, whole, part) in pairs {
        text.gauge(&format!("{name}_ratio"), &format!("{help}, as a ratio."), ratio(whole, part));
        let difference = i128::from(whole) - i128::from(part);
        text.gauge(&format!("{name}_bytes"), &format!("{help}, as a difference."), difference);
    }
    let (templates, hashes) = (report.templates.templates, report.templates.users);
    text.gauge("hashd_templates", "Sets of field names that hashes share.", templates);
    text.gauge("hashd_template_hashes", "Hashes that share their field names.", hashes);
}

fn snapshots(text: &mut Exposition, services: &Services, now: UnixMillis) {
    let persistence = &services.persistence;
    let history = persistence.history();
    let running = history.running_since.map_or(-1, |since| (now.0 - since.0).max(0) / 1000);
    let loaded = |counter: &std::sync::atomic::AtomicU64| i64::try_from(counter.load(Ordering::Relaxed)).unwrap_or(-1);
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let gauges = [
        ("loading_dump_file", "Whether data is being loaded.", i64::from(persistence.is_loading())),
        ("rdb_changes_since_last_save", "Changes that no snapshot has.", count(services.unsaved_changes())),
        ("rdb_bgsave_in_progress", "Whether a snapshot is being written.", i64::from(history.running_since.is_some())),
        ("rdb_last_save_timestamp_seconds", "When the last snapshot was complete.", history.last_success),
        ("rdb_last_bgsave_status", "Whether the last snapshot succeeded.", i64::from(history.last_succeeded)),
        ("rdb_last_bgsave_duration_sec", "What the last snapshot took.", history.last_duration.unwrap_or(-1)),
        ("rdb_current_bgsave_duration_sec", "What the running snapshot has taken.", running),
        ("rdb_last_load_expired_keys", "Keys left out by the last load.", loaded(&persistence.loading.keys_expired)),
        ("rdb_last_load_loaded_keys", "Keys loaded last.", loaded(&persistence.loading.keys_loaded)),
    ];
    for (name, help, value) in gauges {
        text.gauge(&format!("redis_{name}"), help, value);
    }
}

fn append_only(text: &mut Exposition, services: &Services, now: UnixMillis) {
    let append_only = &services.append_only;
    let (log, rewrites, phase) = (&append_only.log, &append_only.rewrites, append_only.phase());
    let flag = |flag: &std::sync::atomic::AtomicBool| i64::from(flag.load(Ordering::Relaxed));
    let failures = rewrites.failures.load(Ordering::Relaxed);
    let gauges = [
        ("enabled", "Whether there is an append-only file.", i64::from(phase != Phase::Off)),
        ("rewrite_in_progress", "Whether it is being rewritten.", flag(&rewrites.runs)),
        ("rewrite_scheduled", "Whether a rewrite waits for a snapshot.", flag(&rewrites.is_scheduled)),
        ("last_rewrite_duration_sec", "What the last rewrite took.", rewrites.last_seconds()),
        ("current_rewrite_duration_sec", "What the running rewrite has taken.", rewrites.seconds(now)),
        ("last_bgrewrite_status", "Whether the last rewrite succeeded.", i64::from(failures == 0)),
        ("last_write_status", "Whether the last write succeeded.", i64::from(!log.in_trouble())),
    ];
    for (name, help, value) in gauges {
        text.gauge(&format!("redis_aof_{name}"), help, value);
    }
    if phase != Phase::Off {
        text.gauge("redis_aof_current_size_bytes", "Bytes of the append-only file.", append_only.current_bytes());
        text.gauge("redis_aof_base_size_bytes", "Bytes of it at the last rewrite.", append_only.base_bytes());
        text.gauge("redis_aof_buffer_length", "Bytes that wait to be written.", log.waiting_bytes());
        text.gauge("redis_aof_pending_bio_fsync", "Whether a sync runs.", flag(&log.sync_runs));
        let delayed = log.delayed_syncs.load(Ordering::Relaxed);
        text.gauge("redis_aof_delayed_fsync", "Syncs that writes had to wait for.", delayed);
    }
}

fn stats(text: &mut Exposition, services: &Services) {
    let (server, keyspace, totals) = (&services.stats, &services.keyspace, services.stats.totals());
    let store = &keyspace.stats;
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let counters = [
        ("redis_connections_received_total", "Connections accepted.", count(&server.connections_received)),
        ("redis_rejected_connections_total", "Connections turned away.", count(&server.connections_rejected)),
        ("redis_commands_processed_total", "Commands run.", totals.commands_processed),
        ("redis_net_input_bytes_total", "Bytes received.", totals.bytes_in),
        ("redis_net_output_bytes_total", "Bytes sent.", totals.bytes_out),
        ("redis_expired_keys_total", "Keys that have expired.", count(&store.expired_keys)),
        ("redis_evicted_keys_total", "Keys evicted because of maxmemory.", count(&keyspace.eviction.evicted_keys)),
        ("redis_keyspace_hits_total", "Lookups that found their key.", totals.hits),
        ("redis_keyspace_misses_total", "Lookups that did not.", totals.misses),
        ("hashd_expired_fields_total", "Fields that have expired.", count(&store.expired_fields)),
        ("hashd_error_replies_total", "Error replies.", totals.error_replies),
        ("hashd_evicted_clients_total", "Clients closed by maxmemory-clients.", count(&server.clients_evicted)),
        ("hashd_command_panics_total", "Commands that have panicked.", count(&server.panics)),
    ];
    for (name, help, value) in counters {
        text.counter(name, help, value);
    }
    text.gauge("redis_pubsub_channels", "Channels listened to.", services.pubsub.active_count(Listening::Channel));
    text.gauge("redis_pubsub_patterns", "Patterns listened to.", services.pubsub.active_count(Listening::Pattern));
    let name = "hashd_acl_access_denied_total";
    text.family(name, Kind::Counter, "What users were refused, and failed logins.");
    for reason in Reason::ALL {
        text.sample(name, &[("reason", reason.name())], services.acl.log.count(reason));
    }
    let name = "hashd_client_limit_disconnections_total";
    text.family(name, Kind::Counter, "Clients closed by client-query-buffer-limit and client-output-buffer-limit.");
    text.sample(name, &[("buffer", "query")], count(&server.query_buffers_exceeded));
    text.sample(name, &[("buffer", "output")], count(&server.output_buffers_exceeded));
}

/// One line for each command that has been sent.
fn commands(text: &mut Exposition, services: &Services) {
    type Count = fn(&CommandCounts<u64>) -> u64;
    let commands: Vec<_> = services
        .stats
        .all_commands()
        .filter(|(_, counts)| counts.calls + counts.rejected + counts.failed > 0)
        .collect();
    let families: [(&str, &str, Count); 3] = [
        ("redis_commands_total", "Calls that ran.", |counts| counts.calls),
        ("redis_commands_rejected_calls_total", "Calls refused before they ran.", |counts| counts.rejected),
        ("redis_commands_failed_calls_total", "Calls that ran and failed.", |counts| counts.failed),
    ];
    for (name, help, count) in families {
        text.family(name, Kind::Counter, help);
        for (command, counts) in &commands {
            text.sample(name, &[("cmd", command)], count(counts));
        }
    }
}

/// How long calls have taken: their sum, and the percentiles of `latency-tracking-info-percentiles`.
fn latency(text: &mut Exposition, services: &Services) {
    let name = "redis_commands_duration_seconds_total";
    text.family(name, Kind::Counter, "Time that calls took.");
    let called: Vec<_> = services.stats.all_commands().filter(|(_, counts)| counts.calls > 0).collect();
    for (command, counts) in &called {
        text.sample(name, &[("cmd", command)], Duration::from_nanos(counts.nanoseconds).as_secs_f64());
    }
    let name = "redis_errors_total";
    text.family(name, Kind::Counter, "Error replies by their first word.");
    for (word, count) in services.stats.errors() {
        text.sample(name, &[("err", &word)], count);
    }
    if !services.config.latency_tracking() {
        return;
    }
    let percentiles = services.config.latency_tracking_info_percentiles();
    let name = "redis_latency_percentiles_usec";
    text.family(name, Kind::Summary, "Percentiles of what calls took, in microseconds.");
    let sums: BTreeMap<_, _> = called.iter().map(|(command, counts)| (*command, counts.nanoseconds / 1000)).collect();
    for (command, latency) in services.stats.all_latencies() {
        for word in percentiles.split_whitespace() {
            let Ok(percentile) = word.parse() else { continue };
            let nanoseconds = latency.percentile(percentile);
            let microseconds = format!("{}.{:03}", nanoseconds / 1000, nanoseconds % 1000);
            text.sample(name, &[("cmd", command), ("quantile", word)], microseconds);
        }
        text.sample(&format!("{name}_sum"), &[("cmd", command)], sums.get(command).unwrap_or(&0));
        text.sample(&format!("{name}_count"), &[("cmd", command)], latency.calls());
    }
}

/// How many calls took up to how many microseconds, as `LATENCY HISTOGRAM` tells, by command.
fn latency_histograms(text: &mut Exposition, services: &Services) {
    if !services.config.latency_tracking() {
        return;
    }
    let name = "redis_latency_usec";
    text.family(name, Kind::Histogram, "What calls took, in microseconds.");
    let sums: BTreeMap<_, _> =
        services.stats.all_commands().map(|(command, counts)| (command, counts.nanoseconds / 1000)).collect();
    for (command, latency) in services.stats.all_latencies() {
        let bucket = format!("{name}_bucket");
        for (microseconds, calls) in latency.cumulative() {
            text.sample(&bucket, &[("cmd", command), ("le", &microseconds.to_string())], calls);
        }
        text.sample(&bucket, &[("cmd", command), ("le", "+Inf")], latency.calls());
        text.sample(&format!("{name}_sum"), &[("cmd", command)], sums.get(command).unwrap_or(&0));
        text.sample(&format!("{name}_count"), &[("cmd", command)], latency.calls());
    }
}

fn slow_calls(text: &mut Exposition, services: &Services) {
    let last = services.slow_log.newest(1).pop();
    let (id, took) = last.map_or((0, 0), |call| (call.id, call.microseconds));
    text.gauge("redis_slowlog_length", "Entries of the slow log.", services.slow_log.len());
    text.gauge("redis_slowlog_last_id", "Number of its latest entry.", id);
    let took = Duration::from_micros(took).as_secs_f64();
    text.gauge("redis_last_slow_execution_duration_seconds", "What the latest slow call took.", took);
    let spikes: Vec<_> = services.latency.all();
    let spikes: Vec<_> = spikes.iter().filter_map(|(event, series)| Some((*event, series.newest()?))).collect();
    let name = "redis_latency_spike_last";
    text.family(name, Kind::Gauge, "When something last took long, since the Unix epoch.");
    for (event, spike) in &spikes {
        text.sample(name, &[("event_name", event)], spike.at_seconds);
    }
    let name = "redis_latency_spike_duration_seconds";
    text.family(name, Kind::Gauge, "How long it took then.");
    for (event, spike) in &spikes {
        text.sample(name, &[("event_name", event)], Duration::from_millis(spike.milliseconds).as_secs_f64());
    }
    let is_active = u8::from(services.hot_keys.is_active());
    text.gauge("hashd_hotkeys_active", "Whether hot keys are looked for.", is_active);
}

fn keyspace(text: &mut Exposition, services: &Services, now: UnixMillis) {
    let keyspace = &services.keyspace;
    let databases: Vec<_> = keyspace
        .used_databases()
        .map(|index| (format!("db{index}"), keyspace.database(index, now).stats()))
        .filter(|(_, stats)| stats.keys > 0)
        .collect();
    let mut family = |name: &str, help: &str, value: &dyn Fn(&crate::store::DatabaseStats) -> String| {
        text.family(name, Kind::Gauge, help);
        for (database, stats) in &databases {
            text.sample(name, &[("db", database)], value(stats));
        }
    };
    family("redis_db_keys", "Keys.", &|stats| stats.keys.to_string());
    family("redis_db_keys_expiring", "Keys that expire.", &|stats| stats.expires.to_string());
    family("redis_db_avg_ttl_seconds", "Average time to live of keys that expire.", &|stats| {
        format!("{}.{:03}", stats.average_ttl_ms / 1000, stats.average_ttl_ms % 1000)
    });
    family("redis_db_keys_with_expiring_items", "Hashes with fields that expire.", &|stats| {
        stats.field_expires.to_string()
    });
}
