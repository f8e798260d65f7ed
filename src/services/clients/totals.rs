//! How many clients there are, and what they are at.

use std::sync::atomic::Ordering;

use super::Clients;

/// The numbers of INFO clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientTotals {
    /// Connected.
    pub connected: usize,
    /// That wait: for a command of theirs, or because of CLIENT PAUSE.
    pub blocked: usize,
    /// That listen to channels.
    pub listening: usize,
    /// That watch keys.
    pub watching: usize,
}

impl ClientTotals {
    /// The numbers of now.
    pub fn of(clients: &Clients) -> Self {
        let mut totals = Self { connected: clients.len(), ..Self::default() };
        for client in clients.all() {
            let waits = client.blocked.load(Ordering::Relaxed) || client.paused.load(Ordering::Relaxed);
            totals.blocked += usize::from(waits);
            totals.listening += usize::from(client.is_listening());
            totals.watching += usize::from(client.watching.load(Ordering::Relaxed) > 0);
        }
        totals
    }
}
