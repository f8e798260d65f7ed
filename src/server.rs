//! Wiring: builds the services, starts listeners, workers and background tasks, and stops them in order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::base::clock::Clock;
use crate::commands::table;
use crate::config::Config;
use crate::net::listener::{Dealer, bind_tcp, bind_unix};
use crate::net::worker::Worker;
use crate::services::{HASHD_VERSION, Services};
use crate::store::{HashLimits, Keyspace};

/// How often the background looks for what is due.
const EXPIRE_EVERY: Duration = Duration::from_millis(100);

/// How often it looks for what is to be freed.
const FREE_EVERY: Duration = Duration::from_millis(20);

/// How often it looks whether templates still pay.
const LOOK_AT_TEMPLATES_EVERY: Duration = Duration::from_secs(5);

/// How long expiry may take each time: a quarter of one core.
const EXPIRE_BUDGET: Duration = Duration::from_millis(25);

/// Runs the server until a signal or SHUTDOWN stops it.
pub fn run(config: Config) -> std::io::Result<()> {
    allow_open_files(&config);
    let config = Arc::new(config);
    let databases = config.databases();
    let keyspace = Arc::new(Keyspace::new(databases, limits(&config)));
    let clock = Arc::new(Clock::system());
    let services = Arc::new(Services::new(config, keyspace, clock, &table::acl_categories()));
    services.acl.load_at_start(&services).map_err(std::io::Error::other)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(services))
}

async fn serve(services: Arc<Services>) -> std::io::Result<()> {
    let config = Arc::clone(&services.config);
    let port = config.port();
    let backlog = u32::try_from(config.tcp_backlog()).unwrap_or(511);
    let tcp = if port == 0 { Vec::new() } else { bind_tcp(&config.bind(), port, backlog)? };
    let path = config.unixsocket();
    let unix = if path.is_empty() { None } else { Some(bind_unix(&path, socket_mode(&config))?) };

    let workers = config.io_threads().max(1);
    let workers: Vec<Worker> =
        (0..workers).map(|index| Worker::start(index, Arc::clone(&services))).collect::<Result<_, _>>()?;
    let threads = workers.len();
    let dealer = Arc::new(Dealer::new(workers, Arc::clone(&services)));
    let mut tasks = tokio::task::JoinSet::new();
    for listener in tcp {
        let dealer = Arc::clone(&dealer);
        tasks.spawn(async move { dealer.accept_tcp(listener).await });
    }
    if let Some(listener) = unix {
        let (dealer, path) = (Arc::clone(&dealer), path.clone());
        tasks.spawn(async move { dealer.accept_unix(listener, path).await });
    }
    start_expiry(&services)?;
    start_freeing(&services)?;
    tracing::info!(version = HASHD_VERSION, port, bind = config.bind(), threads, "ready to accept connections");
    services.memory.note_ready(services.clock.now());

    let why = stop_signal(&services).await?;
    tracing::info!(why, "stopping");
    tasks.shutdown().await;
    if !path.is_empty() {
        drop(std::fs::remove_file(&path));
    }
    if let Ok(dealer) = Arc::try_unwrap(dealer) {
        dealer.stop();
    }
    tracing::info!("bye");
    Ok(())
}

async fn stop_signal(services: &Services) -> std::io::Result<&'static str> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        () = services.shutdown.notified() => "SHUTDOWN",
    })
}

/// Reclaims what is due, on a thread of its own, in slices that hold one shard for microseconds.
fn start_expiry(services: &Arc<Services>) -> std::io::Result<()> {
    let services = Arc::downgrade(services);
    std::thread::Builder::new().name("expire".into()).spawn(move || {
        while let Some(services) = services.upgrade() {
            services.keyspace.set_limits(limits(&services.config));
            services.memory.sample(services.clock.now());
            if services.keyspace.active_expire() && services.pause.mode(services.clock.now()).is_none() {
                let started = Instant::now();
                let now = services.clock.now();
                services.keyspace.expire_due(now, || started.elapsed() < EXPIRE_BUDGET);
                services.changes.tracking.broadcast();
            }
            drop(services);
            std::thread::sleep(EXPIRE_EVERY);
        }
    })?;
    Ok(())
}

/// Frees what has been removed and is big, on a thread of its own.
fn start_freeing(services: &Arc<Services>) -> std::io::Result<()> {
    let services = Arc::downgrade(services);
    std::thread::Builder::new().name("free".into()).spawn(move || {
        let mut looked = Instant::now();
        while let Some(services) = services.upgrade() {
            services.keyspace.free_removed();
            if looked.elapsed() > LOOK_AT_TEMPLATES_EVERY {
                services.keyspace.give_up_rare_templates();
                looked = Instant::now();
            }
            drop(services);
            std::thread::sleep(FREE_EVERY);
        }
    })?;
    Ok(())
}

/// Raises the process's limit of open files to what `maxclients` needs, as far as it may.
fn allow_open_files(config: &Config) {
    /// Files that are not clients: listeners, runtimes, standard streams (`CONFIG_MIN_RESERVED_FDS` of Redis).
    const RESERVED: u64 = 32;
    let wanted = config.maxclients() as u64 + RESERVED;
    match rlimit::increase_nofile_limit(wanted) {
        Ok(limit) if limit < wanted => {
            tracing::warn!(limit, maxclients = config.maxclients(), "the limit of open files is below maxclients");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "cannot raise the limit of open files"),
    }
}

fn limits(config: &Config) -> HashLimits {
    HashLimits {
        max_listpack_entries: config.hash_max_listpack_entries(),
        max_listpack_value: usize::try_from(config.hash_max_listpack_value()).unwrap_or(usize::MAX),
    }
}

/// `unixsocketperm`; 0 leaves the permissions to the umask.
fn socket_mode(config: &Config) -> Option<u32> {
    let mode = config.unixsocketperm();
    (mode != 0).then_some(mode)
}
