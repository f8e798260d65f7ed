//! Server-wide passive state: who is connected, what has been counted. Acted on by commands and background tasks.

pub mod acl;
pub mod changes;
pub mod clients;
pub mod mailbox;
pub mod memory;
pub mod monitor;
pub mod notify;
pub mod pause;
pub mod pubsub;
pub mod stats;
pub mod tracking;
pub mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::clock::{Clock, UnixMillis};
use crate::config::Config;
use crate::store::{ChangeLog, Keyspace};
use acl::{Acl, Categories};
use changes::Changes;
use clients::Clients;
use memory::MemoryGauge;
use monitor::Monitors;
use pause::Pause;
use pubsub::PubSub;
use stats::Stats;

/// The version of Redis whose behaviour hashd follows, reported to clients that switch features by it.
pub const REDIS_VERSION: &str = "8.10.0";

/// hashd's own version.
pub const HASHD_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Everything server-wide that a handler may need.
#[derive(Debug)]
pub struct Services {
    /// Parameters.
    pub config: Arc<Config>,
    /// The data.
    pub keyspace: Arc<Keyspace>,
    /// Time.
    pub clock: Arc<Clock>,
    /// Users and what they may do.
    pub acl: Acl,
    /// Connected clients.
    pub clients: Clients,
    /// Who hears of changes of the data.
    pub changes: Arc<Changes>,
    /// Channels and who listens to them.
    pub pubsub: Arc<PubSub>,
    /// CLIENT PAUSE.
    pub pause: Pause,
    /// MONITOR.
    pub monitors: Monitors,
    /// Counters.
    pub stats: Stats,
    /// What memory is taken.
    pub memory: MemoryGauge,
    /// When the server started.
    pub started_at: UnixMillis,
    /// 40 hexadecimal digits that name this run of the server.
    pub run_id: String,
    /// Set when the server is to stop; `server.rs` waits on it.
    pub shutdown: tokio::sync::Notify,
    stopping: AtomicBool,
}

impl Services {
    /// Builds the services; `commands` are the full names of all commands with their ACL categories in the order of their
    /// ids.
    pub fn new(
        config: Arc<Config>,
        keyspace: Arc<Keyspace>,
        clock: Arc<Clock>,
        commands: &[(&'static str, Categories)],
    ) -> Self {
        let started_at = clock.now();
        let pubsub = Arc::new(PubSub::new(Arc::clone(&config)));
        let changes = Arc::new(Changes::new(&config, &clock, &pubsub));
        changes.notifications.apply_configuration(&keyspace);
        keyspace.report_changes_to(Arc::clone(&changes) as Arc<dyn ChangeLog>);
        Self {
            acl: Acl::new(Arc::clone(&config), commands),
            config,
            keyspace,
            clock,
            clients: Clients::default(),
            changes,
            pubsub,
            pause: Pause::default(),
            monitors: Monitors::default(),
            stats: Stats::new(commands.iter().map(|(name, _)| *name).collect()),
            memory: MemoryGauge::new(started_at),
            started_at,
            run_id: crate::base::random::Random::from_entropy().hex_id(),
            shutdown: tokio::sync::Notify::new(),
            stopping: AtomicBool::new(false),
        }
    }

    /// Asks the server to stop.
    pub fn request_shutdown(&self) {
        if !self.stopping.swap(true, Ordering::AcqRel) {
            self.shutdown.notify_waiters();
            self.shutdown.notify_one();
        }
    }
}
