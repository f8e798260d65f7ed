//! `supervised`: tells systemd when the server is ready, and when it stops. `daemonize`: the other way to run as a service.

use std::io;

use sd_notify::NotifyState;

use crate::config::Config;

/// Where the process id of a server in the background is, unless `pidfile` says so; as in Redis.
const PID_FILE: &str = "/var/run/redis.pid";

/// Goes on in a process of its own, without a terminal, if `daemonize` says so and no supervisor looks after this one. To be
/// called while the process has one thread: others do not come along.
pub fn go_to_background(config: &Config) -> io::Result<()> {
    if goes_to_background(config) { nix::unistd::daemon(true, false).map_err(io::Error::from) } else { Ok(()) }
}

fn goes_to_background(config: &Config) -> bool {
    config.daemonize() && !(config.supervised() != "no" && is_supervised())
}

/// Where the process id is to be written, empty for nowhere.
pub(super) fn pid_file(config: &Config) -> String {
    match config.pidfile() {
        path if path.is_empty() && goes_to_background(config) => PID_FILE.to_owned(),
        path => path,
    }
}

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
