//! What the page shows of the server: numbers, memory, clients.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde_json::{Value as Json, json};

use super::answer::Answer;
use super::query::Query;
use super::text::{beginning, text};
use super::visitor::Visitor;
use crate::base::memory::machine_bytes;
use crate::base::processor::ProcessorTime;
use crate::services::clients::{Client, ClientTotals};
use crate::services::memory::MemoryReport;
use crate::services::stats::{CommandCounts, Distribution};
use crate::services::{HASHD_VERSION, REDIS_VERSION, Services};
use crate::store::{FormSample, TemplateUse};

/// Small hashes that the memory of all is estimated from.
const SAMPLE: usize = 512;

/// Templates that are shown, and bytes of a field name of theirs.
const TEMPLATES: usize = 10;
const FIELD_NAME: usize = 64;

/// Of what calls take.
const PERCENTILES: [f64; 3] = [50.0, 99.0, 99.9];

/// Clients that are shown, and bytes of a name of theirs.
const CLIENTS: usize = 100;
const CLIENT_NAME: usize = 128;

/// `/api/overview`: what INFO tells; needs the right to run it. Names of fields only for who may read any key.
pub(super) fn overview(visitor: &mut Visitor<'_>, _query: &Query) -> Result<Answer, Answer> {
    visitor.require(&[b"info"])?;
    let services = visitor.services;
    let shows_templates = visitor.sees_all_keys();
    let templates = if shows_templates { TemplateUse::greatest(TEMPLATES) } else { Vec::new() };
    let now = services.clock.now();
    let report = MemoryReport::of(services, now);
    let time = ProcessorTime::of_process();
    Ok(Answer::json(&json!({
        "user": text(visitor.name()),
        "server": {
            "version": HASHD_VERSION,
            "redis_version": REDIS_VERSION,
            "run_id": services.run_id,
            "process_id": std::process::id(),
            "port": services.config.port(),
            "workers": services.config.io_threads().max(1),
            "started_at_ms": services.started_at.0,
            "is_ready": services.is_ready(),
        },
        "now_ms": now.0,
        "processor_ms": u64::try_from((time.user + time.system).as_millis()).unwrap_or(u64::MAX),
        "clients": client_totals(services),
        "counters": counters(services),
        "memory": memory(services, &report),
        "forms": forms(services, &report),
        "template_memory": report.templates.memory,
        "shows_templates": shows_templates,
        "templates": templates.iter().map(template).collect::<Vec<_>>(),
        "databases": databases(services),
        "percentiles": PERCENTILES.map(|percentile| format!("p{percentile}")),
        "commands": commands(services, &PERCENTILES),
    })))
}

fn client_totals(services: &Services) -> Json {
    let totals = ClientTotals::of(&services.clients);
    json!({
        "connected": totals.connected,
        "most": services.config.maxclients(),
        "blocked": totals.blocked,
        "listening": totals.listening,
        "watching": totals.watching,
    })
}

fn counters(services: &Services) -> Json {
    let (totals, store) = (services.stats.totals(), &services.keyspace.stats);
    json!({
        "commands": totals.commands_processed,
        "bytes_in": totals.bytes_in,
        "bytes_out": totals.bytes_out,
        "hits": totals.hits,
        "misses": totals.misses,
        "errors": totals.error_replies,
        "expired_keys": store.expired_keys.load(Ordering::Relaxed),
        "expired_fields": store.expired_fields.load(Ordering::Relaxed),
        "connections": services.stats.connections_received.load(Ordering::Relaxed),
    })
}

fn memory(services: &Services, report: &MemoryReport) -> Json {
    json!({
        "used": report.allocator.allocated,
        "resident": report.resident,
        "peak": report.peak,
        "startup": report.startup,
        "overhead": report.overhead(),
        "dataset": report.dataset(),
        "clients": report.clients,
        "limit": services.config.maxmemory(),
        "machine": machine_bytes(),
        "policy": services.config.maxmemory_policy(),
    })
}

/// How many hashes are kept in which form, and what that takes: of small ones as far as a sample tells, of big ones what
/// is left of the data.
fn forms(services: &Services, report: &MemoryReport) -> Json {
    let forms = services.keyspace.sample_forms(SAMPLE);
    let templated = report.templates.users.min(forms.keys);
    let packed = forms.keys.saturating_sub(forms.tables + templated);
    let (templated_bytes, packed_bytes) = (estimate(forms.templated, templated), estimate(forms.packed, packed));
    let dataset = usize::try_from(report.dataset()).unwrap_or(usize::MAX);
    let rest = dataset.saturating_sub(templated_bytes + packed_bytes);
    json!([
        { "name": "template", "hashes": templated, "bytes": templated_bytes },
        { "name": "packed", "hashes": packed, "bytes": packed_bytes },
        { "name": "table", "hashes": forms.tables, "bytes": if forms.tables > 0 { rest } else { 0 } },
    ])
}

fn estimate(sample: FormSample, hashes: usize) -> usize {
    sample.bytes.saturating_mul(hashes).checked_div(sample.hashes).unwrap_or(0)
}

fn template(template: &TemplateUse) -> Json {
    json!({
        "fields": template.fields.iter().map(|name| beginning(name, FIELD_NAME)).collect::<Vec<_>>(),
        "hashes": template.users,
        "bytes": template.memory,
    })
}

fn databases(services: &Services) -> Vec<Json> {
    let keyspace = &services.keyspace;
    let shown = (0..keyspace.database_count()).filter(|&index| index == 0 || keyspace.is_used(index));
    let all = shown.map(|index| (index, keyspace.database(index, services.clock.now()).stats()));
    all.filter(|(index, stats)| stats.keys > 0 || *index == 0)
        .map(|(index, stats)| {
            json!({
                "db": index,
                "keys": stats.keys,
                "expires": stats.expires,
                "average_ttl_ms": stats.average_ttl_ms,
                "with_field_expiry": stats.field_expires,
            })
        })
        .collect()
}

/// What has been called, how often, and how long that has taken: on average, and by percentiles in microseconds.
#[expect(clippy::cast_precision_loss, reason = "no call takes so many nanoseconds")]
fn commands(services: &Services, percentiles: &[f64]) -> Vec<Json> {
    let latencies: BTreeMap<&str, Distribution> = services.stats.all_latencies().collect();
    let microseconds = |nanoseconds: u64| nanoseconds as f64 / 1000.0;
    let line = |(name, counts): (&str, CommandCounts<u64>)| {
        let at = |latency: &Distribution| -> Vec<f64> {
            percentiles.iter().map(|&percentile| microseconds(latency.percentile(percentile))).collect()
        };
        json!({
            "name": name,
            "calls": counts.calls,
            "rejected": counts.rejected,
            "failed": counts.failed,
            "usec": microseconds(counts.nanoseconds),
            "percentiles": latencies.get(name).map(at),
        })
    };
    let called = services.stats.all_commands().filter(|(_, counts)| counts.calls + counts.rejected > 0);
    called.map(line).collect()
}

/// `/api/clients`: the clients that have been connected longest; needs the right to CLIENT LIST.
pub(super) fn clients(visitor: &mut Visitor<'_>, _query: &Query) -> Result<Answer, Answer> {
    visitor.require(&[b"client", b"list"])?;
    let services = visitor.services;
    let now = services.clock.now();
    let clients = services.clients.all();
    let seconds_since = |then: i64| now.0.saturating_sub(then).max(0) / 1000;
    let line = |client: &Client| {
        let identity = client.identity.lock().clone();
        json!({
            "id": client.id.0,
            "address": client.address,
            "name": beginning(&identity.name, CLIENT_NAME),
            "library": beginning(&identity.library_name, CLIENT_NAME),
            "user": beginning(&client.user_name(), CLIENT_NAME),
            "db": client.database.load(Ordering::Relaxed),
            "age": seconds_since(client.connected_at.0),
            "idle": seconds_since(client.active_at.load(Ordering::Relaxed)),
            "command": client.last_command().and_then(|id| services.stats.command_name(id)),
            "commands": client.commands.get(),
            "bytes": client.memory(),
        })
    };
    let shown: Vec<Json> = clients.iter().take(CLIENTS).map(|client| line(client)).collect();
    Ok(Answer::json(&json!({ "total": clients.len(), "clients": shown })))
}
