//! The numbers: metrics by name, and beside INFO.

use super::Web;
use crate::client::{Client, info};
use std::collections::{BTreeMap, BTreeSet};

/// Names that dashboards for redis_exporter ask for, with the kind that it gives them.
const NAMES: &str = include_str!("metrics.txt");

/// The families of an exposition with their kinds, and their samples by name and labels.
fn read(text: &str) -> (BTreeMap<String, String>, BTreeMap<String, f64>) {
    let (mut kinds, mut samples) = (BTreeMap::new(), BTreeMap::new());
    let mut helped = BTreeSet::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(helped.contains(name), "{name} has no help");
            assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            assert!(samples.insert(sample.to_owned(), value.parse().unwrap()).is_none(), "{sample} twice");
        }
    }
    (kinds, samples)
}

fn exercised() -> (Web, Client) {
    let web = Web::start(&[]);
    let mut client = web.server.client();
    for key in 0..50 {
        client.value(&["HSET", &format!("user:{key}"), "name", "Alice", "email", "alice@example.com"]);
    }
    client.line("EXPIRE user:1 1000");
    client.line("HEXPIRE user:2 1000 FIELDS 1 name");
    client.line("HGET user:1 name");
    client.line("HGET missing name");
    client.line("HINCRBY user:1 name 1");
    client.line("HGET");
    client.line("SELECT 2");
    client.line("HSET other f v");
    (web, client)
}

/// To ask what is in the databases does not make those that hold nothing.
pub fn reports_take_no_memory() {
    const DATABASE: u64 = 100_000;
    let web = Web::start(&[]);
    let mut client = web.server.client();
    client.line("HSET key field value");
    let used = |client: &mut Client| -> u64 { info(client, "memory", "used_memory").parse().unwrap() };
    let before = used(&mut client);
    client.value(&["INFO", "everything"]);
    client.value(&["MEMORY", "STATS"]);
    client.line("DEBUG DIGEST");
    for page in ["/metrics", "/api/overview"] {
        assert_eq!(web.get(page).status, 200, "{page}");
    }
    let grown = used(&mut client).saturating_sub(before);
    assert!(grown < DATABASE, "reports have taken {grown} bytes");
}

pub fn names() {
    let (web, _client) = exercised();
    let (kinds, samples) = read(&web.get("/metrics").text());
    let missing: Vec<&str> = NAMES
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            kinds.get(name).is_none_or(|there| there != kind)
        })
        .collect();
    assert!(missing.is_empty(), "not there, or of another kind: {missing:?}");
    for (name, kind) in &kinds {
        assert!(name.starts_with("redis_") || name.starts_with("hashd_"), "{name}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
    }
    for sample in samples.keys() {
        let name = sample.split('{').next().unwrap();
        let family = name.trim_end_matches("_sum").trim_end_matches("_count").trim_end_matches("_bucket");
        assert!(kinds.contains_key(name) || kinds.contains_key(family), "{sample} has no kind");
    }
}

pub fn agree_with_info() {
    let (web, mut client) = exercised();
    // So much that what comes and goes does not matter.
    let value = "x".repeat(64 << 10);
    for field in 0..400 {
        client.value(&["HSET", "other", &format!("field {field}"), &value]);
    }
    let (_, samples) = read(&web.get("/metrics").text());
    let value = |name: &str| *samples.get(name).unwrap_or_else(|| panic!("no {name}"));
    for (name, section, field) in [
        ("redis_connected_clients", "clients", "connected_clients"),
        ("redis_blocked_clients", "clients", "blocked_clients"),
        ("redis_config_maxclients", "clients", "maxclients"),
        ("redis_process_id", "server", "process_id"),
        ("redis_memory_max_bytes", "memory", "maxmemory"),
        ("redis_total_system_memory_bytes", "memory", "total_system_memory"),
        ("redis_memory_used_startup_bytes", "memory", "used_memory_startup"),
        ("redis_connections_received_total", "stats", "total_connections_received"),
        ("redis_rejected_connections_total", "stats", "rejected_connections"),
        ("redis_expired_keys_total", "stats", "expired_keys"),
        ("redis_evicted_keys_total", "stats", "evicted_keys"),
        ("redis_keyspace_hits_total", "stats", "keyspace_hits"),
        ("redis_keyspace_misses_total", "stats", "keyspace_misses"),
        ("redis_pubsub_channels", "stats", "pubsub_channels"),
        ("hashd_templates", "stats", "hash_templates"),
        ("hashd_template_hashes", "stats", "hash_template_keys"),
        ("hashd_expired_fields_total", "stats", "expired_subkeys"),
        ("redis_connected_slaves", "replication", "connected_slaves"),
        ("redis_loading_dump_file", "persistence", "loading"),
        ("redis_rdb_changes_since_last_save", "persistence", "rdb_changes_since_last_save"),
        ("redis_rdb_last_save_timestamp_seconds", "persistence", "rdb_last_save_time"),
        ("redis_rdb_last_bgsave_duration_sec", "persistence", "rdb_last_bgsave_time_sec"),
        ("redis_aof_enabled", "persistence", "aof_enabled"),
    ] {
        assert_eq!(value(name), info(&mut client, section, field).parse::<f64>().unwrap(), "{name}");
    }
    for (name, section, field) in [
        ("redis_memory_used_bytes", "memory", "used_memory"),
        ("redis_memory_used_rss_bytes", "memory", "used_memory_rss"),
        ("redis_memory_used_peak_bytes", "memory", "used_memory_peak"),
        ("redis_memory_used_dataset_bytes", "memory", "used_memory_dataset"),
    ] {
        // They move from one look to the next.
        let told: f64 = info(&mut client, section, field).parse().unwrap();
        assert!((value(name) / told - 1.0).abs() < 0.2, "{name}: {} and {told}", value(name));
    }
    let calls = info(&mut client, "commandstats", "cmdstat_hset");
    let usec: f64 = calls.split(',').find_map(|part| part.strip_prefix("usec=")).unwrap().parse().unwrap();
    let seconds = value("redis_commands_duration_seconds_total{cmd=\"hset\"}");
    assert!((seconds * 1e6 - usec).abs() <= 1.0, "{seconds} seconds and {usec} microseconds");
    let told = info(&mut client, "latencystats", "latency_percentiles_usec_hset");
    for (word, quantile) in [("p50=", "50"), ("p99=", "99"), ("p99.9=", "99.9")] {
        let percentile: f64 = told.split(',').find_map(|part| part.strip_prefix(word)).unwrap().parse().unwrap();
        let name = format!("redis_latency_percentiles_usec{{cmd=\"hset\",quantile=\"{quantile}\"}}");
        assert_eq!(value(&name), percentile, "{name}");
    }
    // The buckets are the steps of LATENCY HISTOGRAM; there is one for every step, and one for all calls.
    let histogram = client.ask("LATENCY HISTOGRAM hset");
    let steps = histogram.items()[1].items()[3].items();
    assert!(!steps.is_empty(), "{histogram:?}");
    for step in steps.chunks(2) {
        let name = format!("redis_latency_usec_bucket{{cmd=\"hset\",le=\"{}\"}}", step[0].int());
        assert_eq!(value(&name), step[1].int() as f64, "{name}");
    }
    let keyspace = info(&mut client, "keyspace", "db0");
    assert!(keyspace.starts_with("keys=50,expires=1,") && keyspace.ends_with("subexpiry=1"), "{keyspace}");
    for (name, expected) in [
        ("redis_up", 1.0),
        ("redis_db_keys{db=\"db0\"}", 50.0),
        ("redis_db_keys{db=\"db2\"}", 1.0),
        ("redis_db_keys_expiring{db=\"db0\"}", 1.0),
        ("redis_db_keys_with_expiring_items{db=\"db0\"}", 1.0),
        ("redis_commands_total{cmd=\"hset\"}", 451.0),
        ("redis_commands_total{cmd=\"hget\"}", 2.0),
        ("redis_commands_failed_calls_total{cmd=\"hincrby\"}", 1.0),
        ("redis_commands_rejected_calls_total{cmd=\"hget\"}", 1.0),
        ("redis_errors_total{err=\"ERR\"}", 2.0),
        ("redis_latency_percentiles_usec_count{cmd=\"hset\"}", 451.0),
        ("redis_latency_usec_bucket{cmd=\"hset\",le=\"+Inf\"}", 451.0),
        ("redis_latency_usec_count{cmd=\"hset\"}", 451.0),
        ("hashd_ready", 1.0),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    let lifetime = value("redis_db_avg_ttl_seconds{db=\"db0\"}");
    assert!((900.0..=1000.0).contains(&lifetime), "{lifetime}");
}

pub fn overview() {
    let (web, mut client) = exercised();
    let page = web.get("/api/overview").json();
    assert_eq!(page["user"], "default");
    assert_eq!(page["server"]["run_id"], *info(&mut client, "server", "run_id"));
    assert_eq!(page["clients"]["connected"].to_string(), info(&mut client, "clients", "connected_clients"));
    assert_eq!(page["counters"]["hits"].to_string(), info(&mut client, "stats", "keyspace_hits"));
    let databases: Vec<(u64, u64)> = page["databases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["db"].as_u64().unwrap(), line["keys"].as_u64().unwrap()))
        .collect();
    assert_eq!(databases, [(0, 50), (2, 1)]);
    let hashes: u64 = page["forms"].as_array().unwrap().iter().map(|form| form["hashes"].as_u64().unwrap()).sum();
    assert_eq!(hashes, 51);
    let template = &page["templates"][0];
    assert_eq!(template["fields"], serde_json::json!(["name", "email"]));
    assert_eq!(template["hashes"].to_string(), info(&mut client, "stats", "hash_template_keys"));
    let clients = web.get("/api/clients").json();
    assert_eq!(clients["total"].to_string(), info(&mut client, "clients", "connected_clients"));
    let me = client.ask("CLIENT ID").int();
    let lines = clients["clients"].as_array().unwrap();
    assert!(lines.iter().any(|line| line["id"] == me && line["user"] == "default" && line["db"] == 2), "{clients}");
}
