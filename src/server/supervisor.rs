//! `supervised`: tells systemd when the server is ready, and when it stops.

use sd_notify::NotifyState;

use crate::config::Config;

/// Says that clients are served from now on, if a supervisor is to be told.
pub(super) fn ready(config: &Config) {
    match config.supervised() {
        "systemd" if !is_supervised() => tracing::warn!("systemd supervision error: NOTIFY_SOCKET not found!"),
        "systemd" | "auto" => tell(&[NotifyState::Status("Ready to accept connections"), NotifyState::Ready]),
        _ => {}
    }
}

/// Says that the server stops; nobody listens unless [`ready`] has told somebody.
pub(super) fn stopping(config: &Config) {
    if matches!(config.supervised(), "systemd" | "auto") {
        tell(&[NotifyState::Stopping]);
    }
}

fn is_supervised() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

fn tell(state: &[NotifyState<'_>]) {
    if is_supervised()
        && let Err(error) = sd_notify::notify(state)
    {
        tracing::warn!(%error, "systemd supervision error: sd_notify");
    }
}
