//! Server-wide passive state: who is connected, what has been counted. Acted on by commands and background tasks.

pub mod acl;
pub mod append_only;
pub mod changes;
pub mod clients;
pub mod edge;
pub mod eviction;
pub mod hot_keys;
pub mod latency;
pub mod limits;
pub mod mailbox;
pub mod memory;
pub mod migration;
pub mod monitor;
pub mod notify;
pub mod oom_score;
pub mod pause;
pub mod persistence;
pub mod pubsub;
pub mod renames;
pub mod secrets;
pub mod slow_log;
pub mod stats;
pub mod tracking;
pub mod watch;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;

use crate::base::clock::{Clock, Ticker, UnixMillis};
use crate::base::memory::purge_in_background;
use crate::config::{Config, RewriteError, Rewriting, Shutdown};
use crate::persist::disk::FileSystem;
use crate::store::{ChangeLog, EvictionSettings, HashLimits, Keyspace};
use acl::{Acl, Categories};
use append_only::AppendOnly;
use changes::Changes;
use clients::Clients;
use edge::{Edge, Log, Refused};
use eviction::Evictions;
use hot_keys::HotKeys;
use latency::LatencyMonitor;
use memory::MemoryGauge;
use monitor::Monitors;
use oom_score::OomScore;
use pause::Pause;
use persistence::Persistence;
use pubsub::PubSub;
use renames::Renames;
use slow_log::SlowLog;
use stats::Stats;

/// The version of Redis whose behaviour hashd follows, reported to clients that switch features by it.
pub const REDIS_VERSION: &str = "8.10.0";

/// hashd's own version.
pub const HASHD_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Loads the append-only file into the data, which is empty.
pub type LoadLog = fn(&Services) -> Result<(), String>;

/// Everything server-wide that a handler may need.
#[derive(Debug)]
pub struct Services {
    /// Parameters.
    pub config: Arc<Config>,
    /// The data.
    pub keyspace: Arc<Keyspace>,
    /// Time.
    pub clock: Arc<Clock>,
    /// What calls are timed by.
    pub ticker: Ticker,
    /// Users and what they may do.
    pub acl: Acl,
    /// Connected clients.
    pub clients: Clients,
    /// Who hears of changes of the data.
    pub changes: Arc<Changes>,
    /// The append-only file.
    pub append_only: AppendOnly,
    /// Channels and who listens to them.
    pub pubsub: Arc<PubSub>,
    /// CLIENT PAUSE.
    pub pause: Pause,
    /// MONITOR.
    pub monitors: Monitors,
    /// Counters.
    pub stats: Stats,
    /// What is kept in files.
    pub persistence: Persistence,
    /// The calls that took longest of late.
    pub slow_log: SlowLog,
    /// What took long, and when.
    pub latency: LatencyMonitor,
    /// The keys that take the most.
    pub hot_keys: HotKeys,
    /// How long a call must have taken for the slow log, the latency monitor or the hot keys to be asked about it.
    pub look_from_nanoseconds: AtomicU64,
    /// What memory is taken.
    pub memory: MemoryGauge,
    /// How eviction is doing.
    pub evictions: Evictions,
    /// `oom-score-adj`
    pub oom_score: OomScore,
    /// When the server started.
    pub started_at: UnixMillis,
    /// 40 hexadecimal digits that name this run of the server.
    pub run_id: String,
    /// How the server is to be stopped.
    pub shutdown_as: Mutex<Shutdown>,
    /// Set when the server is to stop; `server.rs` waits on it.
    pub shutdown: tokio::sync::Notify,
    /// `rename-command`
    pub renames: Renames,
    /// Held by CONFIG SET while its changes take effect.
    pub configuring: Mutex<()>,
    /// When the log last warned of a client that speaks HTTP.
    warned_of_attack_at: AtomicI64,
    /// Loads the append-only file into the data.
    log_loader: OnceLock<LoadLog>,
    edge: OnceLock<Weak<dyn Edge>>,
    /// What is logged to, if its level can be changed.
    pub log: Option<Box<dyn Log>>,
    /// Whether the start is over.
    ready: AtomicBool,
    /// Whether the server has been asked to stop.
    asked_to_stop: AtomicBool,
    /// Whether connections are to end.
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
        keyspace.set_eviction(eviction_settings(&config));
        keyspace.report_changes_to(Arc::clone(&changes) as Arc<dyn ChangeLog>);
        let append_only = AppendOnly::new(Arc::clone(&config), Arc::clone(&changes.log), Arc::new(FileSystem));
        let services = Self {
            acl: Acl::new(Arc::clone(&config), commands),
            config,
            keyspace,
            clock,
            ticker: Ticker::default(),
            clients: Clients::default(),
            append_only,
            changes,
            pubsub,
            pause: Pause::default(),
            monitors: Monitors::default(),
            stats: Stats::new(commands.iter().map(|(name, _)| *name).collect()),
            persistence: Persistence::new(started_at),
            slow_log: SlowLog::default(),
            latency: LatencyMonitor::default(),
            hot_keys: HotKeys::default(),
            look_from_nanoseconds: AtomicU64::new(0),
            memory: MemoryGauge::new(started_at),
            evictions: Evictions::default(),
            oom_score: OomScore::default(),
            started_at,
            run_id: crate::base::random::Random::from_entropy().hex_id(),
            shutdown_as: Mutex::default(),
            shutdown: tokio::sync::Notify::new(),
            renames: Renames::default(),
            configuring: Mutex::default(),
            warned_of_attack_at: AtomicI64::new(i64::MIN),
            log_loader: OnceLock::new(),
            edge: OnceLock::new(),
            log: None,
            ready: AtomicBool::new(false),
            asked_to_stop: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        };
        services.set_look();
        services.persistence.want_replicas(&services.config);
        services
    }

    /// Finds out how long a call must have taken for anybody to want to know of it. To be called when that may have changed.
    pub fn set_look(&self) {
        let threshold =
            |value: i64, unit: u64| u64::try_from(value).map_or(u64::MAX, |value| value.saturating_mul(unit));
        let slow = threshold(self.config.slowlog_log_slower_than(), 1_000);
        let late = match self.config.latency_monitor_threshold() {
            0 => u64::MAX,
            milliseconds => threshold(milliseconds, 1_000_000),
        };
        let from = if self.hot_keys.is_active() { 0 } else { slow.min(late) };
        self.look_from_nanoseconds.store(from, Ordering::Relaxed);
    }

    /// Notes that something has taken long, if it has by `latency-monitor-threshold`.
    pub fn note_latency(&self, event: &'static str, nanoseconds: u64) {
        let threshold = u64::try_from(self.config.latency_monitor_threshold()).unwrap_or(0);
        let milliseconds = nanoseconds / 1_000_000;
        if threshold > 0 && milliseconds >= threshold {
            self.latency.add(event, milliseconds, self.clock.now());
        }
    }

    /// Says who loads the append-only file, whose commands only those above can run.
    pub fn load_log_by(&self, load: LoadLog) {
        // There is one for as long as the server runs.
        let _ = self.log_loader.set(load);
    }

    /// Does some work and notes if it has taken long.
    pub fn watch_latency<R>(&self, event: &'static str, work: impl FnOnce() -> R) -> R {
        let began = self.ticker.read();
        let result = work();
        self.note_latency(event, self.ticker.nanoseconds(began, self.ticker.read()));
        result
    }

    /// Says who listens for clients.
    pub fn serve_at(&self, edge: Weak<dyn Edge>) {
        // There is one for as long as the server runs.
        drop(self.edge.set(edge));
    }

    /// Lets parameters that CONFIG SET has changed take effect where more than their value has to change.
    pub fn apply_configuration(&self, changed: &[&'static str]) -> Result<(), Refused> {
        if changed.contains(&"notify-keyspace-events") {
            self.changes.notifications.apply_configuration(&self.keyspace);
        }
        if changed.iter().any(|name| matches!(*name, "slowlog-log-slower-than" | "latency-monitor-threshold")) {
            self.set_look();
        }
        if changed.contains(&"requirepass") {
            self.acl.require_password(&self.config.requirepass());
        }
        if changed.iter().any(|name| name.starts_with("hash-max-")) {
            self.keyspace.set_limits(hash_limits(&self.config));
        }
        if changed.iter().any(|name| name.starts_with("maxmemory") || name.starts_with("lfu-")) {
            self.keyspace.set_eviction(eviction_settings(&self.config));
        }
        if changed.contains(&"maxmemory") {
            self.apply_maxmemory();
        }
        if changed.contains(&"loglevel")
            && let Some(log) = &self.log
        {
            log.set_level(self.config.loglevel());
        }
        if changed.iter().any(|name| name.starts_with("min-replicas-")) {
            self.persistence.want_replicas(&self.config);
        }
        if changed.contains(&"jemalloc-bg-thread") {
            purge_in_background(self.config.jemalloc_bg_thread());
        }
        if changed.iter().any(|name| name.starts_with("oom-score-adj")) {
            self.oom_score.apply(&self.config)?;
        }
        if changed.contains(&"appendfsync") {
            self.changes.log.apply_configuration();
        }
        if changed.contains(&"appendonly") {
            self.apply_appendonly().map_err(|error| Refused { parameter: "appendonly", why: error.to_string() })?;
        }
        match self.edge.get().and_then(Weak::upgrade) {
            Some(edge) => edge.apply(changed),
            None => Ok(()),
        }
    }

    /// Begins to keep to a `maxmemory` that has been set or changed.
    fn apply_maxmemory(&self) {
        let limit = self.config.maxmemory();
        if limit == 0 {
            return;
        }
        self.memory.begin(self.clock.now());
        let taken = self.memory.taken();
        if taken > limit {
            tracing::warn!(
                limit,
                taken,
                "maxmemory is below what is taken: keys are evicted, or new data refused, by maxmemory-policy"
            );
        }
        self.evictions.call_helpers();
    }

    /// Writes the configuration file anew, with the users unless they have a file of their own; all parameters if it is to be
    /// complete.
    pub fn rewrite_configuration(&self, is_complete: bool) -> Result<(), RewriteError> {
        let has_file = !self.config.aclfile().is_empty();
        let users = if has_file { Vec::new() } else { self.acl.all().iter().map(|user| user.describe()).collect() };
        self.config.rewrite(&Rewriting { users, is_complete })
    }

    /// Asks the server to stop.
    pub fn request_shutdown(&self, how: Shutdown) {
        *self.shutdown_as.lock() = how;
        if !self.asked_to_stop.swap(true, Ordering::AcqRel) {
            self.shutdown.notify_waiters();
            self.shutdown.notify_one();
        }
    }

    /// Whether protected mode turns away whoever comes from this address.
    pub fn protects_from(&self, address: &SocketAddr) -> bool {
        self.config.protected_mode() && !address.ip().to_canonical().is_loopback() && self.acl.has_open_door()
    }

    /// Says that clients are served from now on.
    pub fn note_ready(&self) {
        self.memory.note_ready(self.clock.now());
        self.ready.store(true, Ordering::Release);
    }

    /// Whether clients are served: not before the start is over, and no more when the server has been asked to stop.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && !self.asked_to_stop.load(Ordering::Acquire) && !self.is_stopping()
    }

    /// Warns of a client that speaks HTTP, once a minute at most, as Redis does.
    pub fn warn_of_attack(&self, now: UnixMillis) {
        const PAUSE: i64 = 60_000;
        let last = self.warned_of_attack_at.load(Ordering::Relaxed);
        if now.0.saturating_sub(last) > PAUSE {
            self.warned_of_attack_at.store(now.0, Ordering::Relaxed);
            tracing::warn!(
                "possible SECURITY ATTACK detected: somebody sends POST or Host: commands, likely to use cross protocol \
                 scripting; the connection is closed"
            );
        }
    }

    /// Makes every connection end once what it runs has been answered.
    pub fn end_connections(&self) {
        self.stopping.store(true, Ordering::Release);
        self.clients.each(|client| client.mailbox.nudge());
    }

    /// Whether connections are to end.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

/// The sizes up to which hashes stay compact.
pub fn hash_limits(config: &Config) -> HashLimits {
    HashLimits {
        max_listpack_entries: config.hash_max_listpack_entries(),
        max_listpack_value: usize::try_from(config.hash_max_listpack_value()).unwrap_or(usize::MAX),
    }
}

/// What goes first when memory is short.
fn eviction_settings(config: &Config) -> EvictionSettings<'static> {
    EvictionSettings {
        policy: config.maxmemory_policy(),
        samples: config.maxmemory_samples(),
        log_factor: config.lfu_log_factor(),
        decay_minutes: config.lfu_decay_time(),
    }
}
