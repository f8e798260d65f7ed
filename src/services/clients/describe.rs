//! The lines of CLIENT LIST.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use super::Client;
use crate::base::clock::UnixMillis;
use crate::services::Services;
use crate::services::tracking::TrackingFlags;

impl Client {
    /// The line of CLIENT LIST that describes the connection, without its end.
    pub fn describe(&self, services: &Services, now: UnixMillis) -> Vec<u8> {
        let client = self;
        let seconds_since = |then: i64| now.0.saturating_sub(then).max(0) / 1000;
        let (query, free) =
            (client.query_buffer.load(Ordering::Relaxed), client.query_buffer_free.load(Ordering::Relaxed));
        let waiting = client.waiting_output();
        let memory = client.memory();
        let command = client.last_command().and_then(|id| services.stats.command_name(id)).unwrap_or("NULL");
        let redirect = client.tracking.redirect().map_or(-1, |id| i64::try_from(id).unwrap_or(i64::MAX));
        // As in Redis, where the first of the watched keys to change ends all watches.
        let is_broken = client.broken.load(Ordering::Relaxed);
        let identity = client.identity.lock().clone();

        let mut head = String::with_capacity(320);
        let _ =
            write!(head, "id={} addr={} laddr={} fd={}", client.id.0, client.address, client.local_address, client.fd);
        let mut middle = String::new();
        let _ = write!(
            middle,
            " age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} watch={} \
         qbuf={query} qbuf-free={free} argv-mem=0 multi-mem={} rbs=0 rbp=0 obl=0 oll={} omem={waiting} \
         tot-mem={memory} events=r cmd={command} user=",
            seconds_since(client.connected_at.0),
            seconds_since(client.active_at.load(Ordering::Relaxed)),
            flags(client),
            client.database.load(Ordering::Relaxed),
            client.channels.load(Ordering::Relaxed),
            client.patterns.load(Ordering::Relaxed),
            client.shard_channels.load(Ordering::Relaxed),
            client.queued.load(Ordering::Relaxed),
            if is_broken { 0 } else { client.watching.load(Ordering::Relaxed) },
            client.queued_memory.load(Ordering::Relaxed),
            usize::from(waiting > 0),
        );
        let mut tail = String::new();
        let _ = write!(
            tail,
            " io-thread=0 tot-net-in={} tot-net-out={} tot-cmds={}",
            client.bytes_in.get(),
            client.bytes_out.get(),
            client.commands.get(),
        );
        [
            head.as_bytes(),
            b" name=",
            &identity.name,
            middle.as_bytes(),
            &client.user_name(),
            format!(" redir={redirect} resp={}", client.resp.load(Ordering::Relaxed)).as_bytes(),
            b" lib-name=",
            &identity.library_name,
            b" lib-ver=",
            &identity.library_version,
            tail.as_bytes(),
        ]
        .concat()
    }
}

/// The letters of `flags=`, in Redis's order.
fn flags(client: &Client) -> String {
    let tracking = client.tracking.flags();
    let waits = client.blocked.load(Ordering::Relaxed) || client.paused.load(Ordering::Relaxed);
    let letters = [
        (client.monitoring.load(Ordering::Relaxed), 'O'),
        (client.is_listening(), 'P'),
        (client.queued.load(Ordering::Relaxed) >= 0, 'x'),
        (waits, 'b'),
        (tracking.contains(TrackingFlags::ON), 't'),
        (tracking.contains(TrackingFlags::BROKEN_REDIRECT), 'R'),
        (tracking.contains(TrackingFlags::BCAST), 'B'),
        (client.broken.load(Ordering::Relaxed), 'd'),
        (client.is_unix_socket, 'U'),
        (client.no_evict.load(Ordering::Relaxed), 'e'),
        (client.no_touch.load(Ordering::Relaxed), 'T'),
    ];
    let set: String = letters.iter().filter(|(is_set, _)| *is_set).map(|(_, letter)| *letter).collect();
    if set.is_empty() { "N".to_owned() } else { set }
}
