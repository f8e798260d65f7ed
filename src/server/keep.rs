//! Loading what was kept when the server starts, and saving it when it stops.

use std::io;
use std::sync::Arc;

use super::{Signals, append_only};
use crate::base::memory::purge;
use crate::config::Shutdown;
use crate::services::Services;

/// Loads the data, while clients are told to wait.
pub(super) async fn load(services: &Arc<Services>) -> io::Result<()> {
    let loading = Arc::clone(services);
    let load = move || {
        if loading.config.appendonly() {
            append_only::load(&loading)
        } else {
            loading.load_snapshot().map_err(io::Error::other)
        }
    };
    tokio::task::spawn_blocking(load).await??;
    if services.persistence.is_loading() {
        // What a big hash is read into is several times what it takes.
        purge();
    }
    services.end_loading();
    Ok(())
}

/// Waits until the server is to stop, and saves its data if that is wanted. SHUTDOWN has done so itself.
pub(super) async fn until_stopped(services: &Arc<Services>, signals: &mut Signals) -> Shutdown {
    loop {
        let why = signals.next(services).await;
        tracing::info!(why, "stopping");
        let how = match why {
            "SIGTERM" => services.config.shutdown_by_sigterm(),
            "SIGINT" => services.config.shutdown_by_sigint(),
            _ => return *services.shutdown_as.lock(),
        };
        if !services.saves_at_end(how) {
            return how;
        }
        let saving = Arc::clone(services);
        match tokio::task::spawn_blocking(move || saving.save_at_end()).await {
            Ok(Ok(())) => return how,
            _ if how.force => return how,
            _ => tracing::error!(why, "the data cannot be saved, so the server goes on"),
        }
    }
}

/// Saves what has changed since the data was saved, now that all clients are gone.
pub(super) fn save_the_rest(services: &Services, how: Shutdown) -> io::Result<()> {
    if !services.saves_at_end(how) || services.unsaved_changes() == 0 {
        return Ok(());
    }
    services.save_at_end().map_err(io::Error::other)
}
