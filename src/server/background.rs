//! What goes on beside the workers, on threads of its own, for as long as the server runs.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::base::process::run_on;
use crate::services::eviction::go_on_making_room;
use crate::services::latency;
use crate::services::limits::watch_clients;
use crate::services::{Services, hash_limits};
use crate::store::Candidates;

/// How often the background looks for what is due.
const EXPIRE_EVERY: Duration = Duration::from_millis(100);

/// How often it looks for what is to be freed.
const FREE_EVERY: Duration = Duration::from_millis(20);

/// How often it looks whether memory is short, unless it is called.
const EVICT_EVERY: Duration = Duration::from_millis(100);

/// How often it looks whether templates still pay.
const LOOK_AT_TEMPLATES_EVERY: Duration = Duration::from_secs(5);

/// How often it looks for clients that idle, or take too much.
const WATCH_EVERY: Duration = Duration::from_millis(250);

/// How often it looks whether the append-only file is to be rewritten.
const REWRITE_EVERY: Duration = Duration::from_millis(100);

/// How often it looks how much goes on.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// How long expiry may take each time: a quarter of one core.
const EXPIRE_BUDGET: Duration = Duration::from_millis(25);

/// Starts everything.
pub(super) fn start(services: &Arc<Services>) -> io::Result<()> {
    let (cpus, config) = (services.config.bio_cpulist(), &services.config);
    let repeat = |name, pause, work| repeat_on(&cpus, services, name, pause, work);
    repeat("expire", EXPIRE_EVERY, expire)?;
    let free = repeat("free", FREE_EVERY, free)?;
    let evict = repeat("evict", EVICT_EVERY, evict)?;
    services.evictions.helped_by([evict, free]);
    repeat("templates", LOOK_AT_TEMPLATES_EVERY, |services| {
        services.watch_latency(latency::TEMPLATE_CYCLE, || services.keyspace.give_up_rare_templates());
    })?;
    repeat("stats", SAMPLE_EVERY, sample)?;
    repeat("clients", WATCH_EVERY, |services| watch_clients(services, services.clock.now()))?;
    // These wait by themselves.
    repeat_on(&config.bgsave_cpulist(), services, "snapshots", Duration::ZERO, Services::save_what_is_due)?;
    repeat_on(&config.aof_rewrite_cpulist(), services, "aof-rewrite", Duration::ZERO, |services| {
        services.rewrite_append_only(REWRITE_EVERY);
    })?;
    Ok(())
}

/// Does `work` again and again, on a thread called `name` that runs on the CPUs of a list: after each pause, or when the
/// thread is woken.
fn repeat_on(
    cpus: &str,
    services: &Arc<Services>,
    name: &str,
    pause: Duration,
    work: fn(&Services),
) -> io::Result<Thread> {
    let (services, cpus) = (Arc::downgrade(services), cpus.to_owned());
    let handle = std::thread::Builder::new().name(name.into()).spawn(move || {
        run_on(&cpus);
        while let Some(services) = services.upgrade() {
            work(&services);
            drop(services);
            std::thread::park_timeout(pause);
        }
    })?;
    Ok(handle.thread().clone())
}

/// Frees what has been removed.
fn free(services: &Services) {
    services.watch_latency(latency::FREE, || services.keyspace.free_removed(|| services.memory.tell(0)));
}

/// Goes on where commands have stopped making room because it took them too long.
fn evict(services: &Services) {
    let mut candidates = Candidates::default();
    services.watch_latency(latency::EVICTION_CYCLE, || {
        while go_on_making_room(services, &mut candidates) {
            std::thread::yield_now();
        }
    });
}

/// Reclaims what is due, in slices that hold one shard for microseconds.
fn expire(services: &Services) {
    services.keyspace.set_limits(hash_limits(&services.config));
    services.memory.sample(services.clock.now());
    let is_loading = services.persistence.is_loading();
    if !is_loading && services.keyspace.active_expire() && services.pause.mode(services.clock.now()).is_none() {
        let started = Instant::now();
        let now = services.clock.now();
        let is_cut = services.watch_latency(latency::EXPIRE_CYCLE, || {
            services.keyspace.expire_due(now, || started.elapsed() < EXPIRE_BUDGET)
        });
        services.stats.expire_cycles_cut.fetch_add(u64::from(is_cut), Ordering::Relaxed);
        let took = u64::try_from(started.elapsed().as_nanos()).unwrap_or(0);
        services.stats.expire_nanoseconds.fetch_add(took, Ordering::Relaxed);
        services.changes.log.kick();
        services.memory.tell(0);
        services.changes.tracking.broadcast();
    }
}

/// Looks how much goes on, how long tables take to grow, whether hot keys have been looked for long enough, and whether too
/// many keys are remembered for the caches of clients.
fn sample(services: &Services) {
    services.note_latency(latency::TABLE_GROWTH, services.keyspace.take_longest_growth());
    services.stats.sample(&services.ticker);
    if services.hot_keys.stop_if_over(services.clock.now()) {
        services.set_look();
    }
    while services.changes.tracking.forget_some() {
        std::thread::yield_now();
    }
}
