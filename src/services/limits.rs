//! What clients may take of the server's time and memory: `timeout`, the soft output limits, `maxmemory-clients`.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Services;
use super::clients::Client;
use crate::base::clock::UnixMillis;

/// Connections to the HTTP endpoint at a time; more wait to be accepted.
pub const HTTP_CONNECTIONS: usize = 32;

/// Less than this is no useful limit for all clients together, as in Redis.
const LEAST_FOR_CLIENTS: u64 = 128 * 1024;

/// Closes the clients that idle for too long, or that have not read for too long. Called a few times a second.
pub fn watch_clients(services: &Services, now: UnixMillis) {
    let timeout = services.config.timeout();
    services.clients.each(|client| {
        if client.has_waiting_output() {
            client.bound_output(client.waiting_output(), &services.config, now);
        }
        if timeout > 0 && is_idle(client, now, timeout) && client.mailbox.close_once() {
            tracing::debug!(client = client.id.0, "closing an idle client");
        }
    });
    evict_clients(services);
}

/// Whether a client has done nothing for more than `seconds`, and is not one that waits for something.
fn is_idle(client: &Client, now: UnixMillis, seconds: i64) -> bool {
    let since = now.0 - client.active_at.load(Ordering::Relaxed);
    let waits = [&client.blocked, &client.paused, &client.monitoring, &client.runs_long];
    since / 1000 > seconds && !waits.iter().any(|waits| waits.load(Ordering::Relaxed)) && !client.is_listening()
}

/// Closes the clients that take the most memory until all together take less than `maxmemory-clients`.
pub fn evict_clients(services: &Services) {
    let Some(limit) = limit_of_clients(services) else { return };
    let mut total = 0;
    let mut clients: Vec<(usize, Arc<Client>)> = Vec::new();
    services.clients.each(|client| {
        if !client.mailbox.is_closed() {
            let memory = client.memory();
            total += memory as u64;
            if !client.no_evict.load(Ordering::Relaxed) {
                clients.push((memory, Arc::clone(client)));
            }
        }
    });
    if total < limit {
        return;
    }
    clients.sort_by_key(|(memory, _)| Reverse(*memory));
    for (memory, client) in clients {
        if total < limit {
            return;
        }
        if client.mailbox.close_once() {
            services.stats.clients_evicted.fetch_add(1, Ordering::Relaxed);
            tracing::info!(client = client.id.0, memory, "evicting a client: maxmemory-clients is reached");
        }
        total = total.saturating_sub(memory as u64);
    }
}

/// `maxmemory-clients` in bytes, if there is such a limit.
#[inline]
pub fn limit_of_clients(services: &Services) -> Option<u64> {
    match services.config.maxmemory_clients_bytes() {
        0 => None,
        limit => Some(limit.max(LEAST_FOR_CLIENTS)),
    }
}
