//! Wiring: builds the services, starts listeners, workers and background tasks, and stops them in order.

mod append_only;
mod background;
mod keep;
pub mod logging;
pub mod supervisor;
mod welcome;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::base::clock::Clock;
use crate::base::memory::purge_in_background;
use crate::base::process::run_on;
use crate::commands::table;
use crate::config::{Config, StartupError};
use crate::http::Endpoint;
use crate::net::edge::{Listeners, allow_open_files};
use crate::net::listener::Dealer;
use crate::net::open::{SocketOptions, places};
use crate::net::worker::Worker;
use crate::services::renames::Renames;
use crate::services::{HASHD_VERSION, Services, hash_limits};
use crate::store::Keyspace;
use logging::Logging;

/// Runs the server until a signal or SHUTDOWN stops it.
pub fn run(config: Config, logging: Logging) -> io::Result<()> {
    log_panics();
    fit_to_open_files(&config);
    let config = Arc::new(config);
    let databases = config.databases();
    let keyspace = Arc::new(Keyspace::new(databases, hash_limits(&config)));
    let clock = Arc::new(Clock::system());
    let mut services = Services::new(Arc::clone(&config), keyspace, clock, &table::acl_categories());
    services.renames = renames(&config).map_err(io::Error::other)?;
    services.log = Some(Box::new(logging));
    services.acl.load_at_start(&services).map_err(io::Error::other)?;
    welcome::show(&services);
    purge_in_background(config.jemalloc_bg_thread());
    // The log says so if it does not work; the server serves all the same, as Redis does.
    drop(services.oom_score.apply(&config));
    let services = Arc::new(services);
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(services))
}

/// Clients that come when so little is to be loaded that it takes no longer find it loaded.
const SOON: Duration = Duration::from_millis(20);

async fn serve(services: Arc<Services>) -> io::Result<()> {
    let config = Arc::clone(&services.config);
    let mut signals = Signals::new()?;
    let workers = config.io_threads().max(1);
    let workers: Vec<Worker> =
        (0..workers).map(|index| Worker::start(index, Arc::clone(&services))).collect::<Result<_, _>>()?;
    let threads = workers.len();
    let dealer = Arc::new(Dealer::new(workers, Arc::clone(&services)));
    services.load_log_by(append_only::load_found);
    if services.has_to_load() {
        services.begin_loading();
    }
    let listeners = Listeners::open(&services, Arc::clone(&dealer))?;
    let http = serve_http(&services)?;
    background::start(&services)?;
    run_on(&config.server_cpulist());
    let _pid_file = PidFile::write(supervisor::pid_file(&config));
    let mut loading = std::pin::pin!(keep::load(&services));
    tokio::select! {
        biased;
        loaded = &mut loading => loaded?,
        // Clients hear that it loads, if that takes any time.
        () = tokio::time::sleep(SOON) => tokio::select! {
            loaded = async {
                dealer.begin();
                loading.await
            } => loaded?,
            // What has been loaded is not all: there is nothing to save.
            why = signals.next(&services) => {
                tracing::info!(why, "stopping while the data is loaded");
                return Ok(());
            }
        },
    }
    let (port, tls_port, bind) = (config.port(), config.tls_port(), config.bind());
    tracing::info!(version = HASHD_VERSION, port, tls_port, bind, threads, "Ready to accept connections");
    supervisor::ready(&config);
    services.note_ready();
    dealer.begin();

    let how = keep::until_stopped(&services, &mut signals).await;
    supervisor::stopping(&config);
    let patience = Duration::from_secs(u64::try_from(config.shutdown_timeout()).unwrap_or(0));
    let stopping = Arc::clone(&services);
    let stopped = tokio::task::spawn_blocking(move || {
        listeners.close();
        stopping.end_connections();
        dealer.stop(patience);
        // Last, so that whoever asks whether the server is ready hears that it is not.
        if let Some(http) = http {
            http.stop();
        }
    });
    tokio::select! {
        stopped = stopped => stopped?,
        _ = signals.interrupt.recv() => {
            tracing::warn!("interrupted again, exiting at once");
            std::process::exit(1);
        }
    }
    keep::save_the_rest(&services, how)?;
    services.end_append_only();
    tracing::info!("bye");
    Ok(())
}

/// Serves HTTP, if there is a port for it.
fn serve_http(services: &Arc<Services>) -> io::Result<Option<Endpoint>> {
    let config = &services.config;
    let mut sockets = Vec::new();
    for place in places(&config.http_bind(), config.http_port(), false) {
        sockets.extend(place.open(SocketOptions::of(config))?);
    }
    if sockets.is_empty() {
        return Ok(None);
    }
    let (port, bind) = (config.http_port(), config.http_bind());
    tracing::info!(port, bind, "serving metrics and the page for browsers over HTTP");
    Endpoint::start(sockets, Arc::clone(services)).map(Some)
}

/// `pidfile`, which goes when the server does.
struct PidFile(String);

impl PidFile {
    /// Writes the process id, if there is a path. That it cannot be written is no reason not to serve, as in Redis.
    fn write(path: String) -> Option<Self> {
        if path.is_empty() {
            return None;
        }
        match std::fs::write(&path, format!("{}\n", std::process::id())) {
            Ok(()) => Some(Self(path)),
            Err(error) => {
                tracing::warn!(%error, path, "cannot write the pid file");
                None
            }
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// What asks the server to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits until the server is to stop; gives the reason.
    async fn next(&mut self, services: &Services) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            () = services.shutdown.notified() => "SHUTDOWN",
        }
    }
}

/// The commands that `rename-command` gives other names, or none.
fn renames(config: &Config) -> Result<Renames, StartupError> {
    let mut renames = Renames::default();
    for renaming in config.renamed_commands() {
        let known = renames.original(&renaming.command).and_then(table::lookup);
        let outcome = match known {
            Some((spec, _)) => renames.rename(spec.name, &renaming.target, |name| table::lookup(name).is_some()),
            None => Err("No such command in rename-command"),
        };
        outcome.map_err(|problem| renaming.refused(problem))?;
    }
    Ok(renames)
}

/// A panic ends the connection whose command it is; the log says where it was, and then which command.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        tracing::error!(thread = thread.name().unwrap_or_default(), "{panic}");
    }));
}

/// Raises the limit of open files to what `maxclients` needs, or lowers `maxclients` to what the limit allows.
fn fit_to_open_files(config: &Config) {
    let wanted = config.maxclients();
    let possible = allow_open_files(config);
    if possible < wanted {
        tracing::warn!(wanted, maxclients = possible, "maxclients has been reduced to fit the limit of open files");
        // It is within bounds, as it is less than what there was.
        drop(config.set(&[(b"maxclients", possible.to_string().as_bytes())]));
    }
}
