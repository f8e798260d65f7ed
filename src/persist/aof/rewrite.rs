//! BGREWRITEAOF: a new base that holds everything, so that what has been logged before is of no use any more.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};

use super::manifest::{Manifest, Names, Part};
use super::{AppendOnly, Phase};
use crate::base::clock::UnixMillis;

/// Has a base written: the second argument is called at the moment that the base shows, with all shards held.
pub type WriteBase<'a> = dyn Fn(&mut dyn io::Write, &dyn Fn()) -> io::Result<()> + 'a;

/// What is known of rewrites.
#[derive(Debug)]
pub struct Rewrites {
    /// Whether one runs.
    pub runs: AtomicBool,
    /// Whether one is to run when nothing stands in its way.
    pub is_scheduled: AtomicBool,
    /// How many have succeeded.
    pub succeeded: AtomicU64,
    /// How many have failed since the last that has not.
    pub failures: AtomicU64,
    /// When the one that runs began.
    began_at: AtomicI64,
    /// How long the last one took; -1 if there was none.
    last_seconds: AtomicI64,
    wanted: Mutex<bool>,
    told: Condvar,
}

/// Keeps rewrites away for as long as it lives.
pub struct KeptAway<'a>(&'a Rewrites);

impl Drop for KeptAway<'_> {
    fn drop(&mut self) {
        self.0.runs.store(false, Ordering::Release);
    }
}

impl Default for Rewrites {
    fn default() -> Self {
        Self {
            runs: AtomicBool::new(false),
            is_scheduled: AtomicBool::new(false),
            succeeded: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            began_at: AtomicI64::new(0),
            last_seconds: AtomicI64::new(-1),
            wanted: Mutex::new(false),
            told: Condvar::new(),
        }
    }
}

impl Rewrites {
    /// Lets a rewrite begin; false if one runs.
    pub fn request(&self) -> bool {
        if self.runs.swap(true, Ordering::AcqRel) {
            return false;
        }
        self.is_scheduled.store(false, Ordering::Relaxed);
        *self.wanted.lock() = true;
        self.told.notify_one();
        true
    }

    /// Keeps rewrites away for as long as what it gives lives; `None` if one runs.
    pub fn keep_away(&self) -> Option<KeptAway<'_>> {
        let is_free = !self.runs.swap(true, Ordering::AcqRel);
        is_free.then_some(KeptAway(self))
    }

    /// Waits until a rewrite has been requested, or a while; true if one has.
    pub fn wait(&self, patience: std::time::Duration) -> bool {
        let mut wanted = self.wanted.lock();
        if !*wanted {
            self.told.wait_for(&mut wanted, patience);
        }
        std::mem::take(&mut *wanted)
    }

    /// Whether a rewrite may be tried that nobody has asked for: after failures less and less often, up to an hour.
    pub fn may_try(&self, now: UnixMillis) -> bool {
        const LONGEST_PAUSE: i64 = 3600;
        let failures = self.failures.load(Ordering::Relaxed);
        let pause = if failures == 0 { 0 } else { (1_i64 << failures.min(12)).min(LONGEST_PAUSE) };
        now.seconds() - self.began_at.load(Ordering::Relaxed) >= pause
    }

    /// How many seconds the one that runs has taken; -1 if none runs.
    pub fn seconds(&self, now: UnixMillis) -> i64 {
        if self.runs.load(Ordering::Relaxed) {
            now.seconds().saturating_sub(self.began_at.load(Ordering::Relaxed)).max(0)
        } else {
            -1
        }
    }

    /// How many seconds the last one took; -1 if there was none.
    pub fn last_seconds(&self) -> i64 {
        self.last_seconds.load(Ordering::Relaxed)
    }

    fn note(&self, outcome: &io::Result<()>, now: UnixMillis) {
        self.last_seconds.store(self.seconds(now), Ordering::Relaxed);
        match outcome {
            Ok(()) => {
                self.succeeded.fetch_add(1, Ordering::Relaxed);
                self.failures.store(0, Ordering::Relaxed);
            }
            Err(_) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.runs.store(false, Ordering::Release);
    }
}

impl AppendOnly {
    /// By how many per cent the log has grown, if it is so much that it is to be rewritten.
    pub fn growth(&self) -> Option<u64> {
        let (current, base) = (self.current_bytes(), self.base_bytes().max(1));
        let percentage = u64::try_from(self.config.auto_aof_rewrite_percentage()).unwrap_or(0);
        if percentage == 0 || current <= self.config.auto_aof_rewrite_min_size() {
            return None;
        }
        let growth = (current.saturating_mul(100) / base).saturating_sub(100);
        Some(growth).filter(|&growth| growth >= percentage)
    }

    /// Makes the log begin: a rewrite gives it its base.
    pub fn prepare_start(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.phase != Phase::Off {
            return Ok(());
        }
        let names = self.names(&mut state);
        if state.manifest.is_empty() {
            state.manifest = Manifest::load(&names)?.unwrap_or_default();
        }
        self.disk.make_folder(&names.log_folder())?;
        self.start_writer(&mut state)?;
        state.phase = Phase::Starting;
        Ok(())
    }

    /// Rewrites the log, from where [`Rewrites::request`] has been granted. `log_from_now` is called when logging begins,
    /// if it has not yet.
    pub fn rewrite(&self, write_base: &WriteBase<'_>, log_from_now: &dyn Fn(), now: &dyn Fn() -> UnixMillis) {
        self.rewrites.began_at.store(now().seconds(), Ordering::Relaxed);
        self.log.is_rewriting.store(true, Ordering::Relaxed);
        tracing::info!("background append only file rewriting started");
        let outcome = self.try_rewrite(write_base, log_from_now);
        self.log.is_rewriting.store(false, Ordering::Relaxed);
        match &outcome {
            Ok(()) => tracing::info!("background AOF rewrite finished successfully"),
            Err(error) => tracing::error!(%error, "the append-only file could not be rewritten"),
        }
        self.rewrites.note(&outcome, now());
    }

    fn try_rewrite(&self, write_base: &WriteBase<'_>, log_from_now: &dyn Fn()) -> io::Result<()> {
        let names = self.names(&mut self.state.lock());
        let (phase, base, increment) = self.name_parts(&names)?;
        if phase == Phase::Off {
            // BGREWRITEAOF of a server without a log writes a base all the same, as Redis does.
            self.place_base(&names, &base, &|out| write_base(out, &|| ()))?;
            return self.adopt(&names, base, None, Phase::Off);
        }
        self.remove_leftover(&names, &increment);
        let target = self.disk.append_to(&names.path(&increment.name))?;
        if phase == Phase::On {
            let mut state = self.state.lock();
            let mut manifest = state.manifest.clone();
            manifest.increments.push(increment.clone());
            manifest.save(&*self.disk, &names).inspect_err(|_| self.remove_leftover(&names, &increment))?;
            state.manifest = manifest;
        }
        let (file, length) = target;
        let other_files = self.current_bytes();
        let switch = || {
            if self.phase() == Phase::Off {
                // It has been switched off meanwhile.
                return;
            }
            self.log.switch(Some((std::sync::Arc::clone(&file), length)));
            self.other_files.store(other_files, Ordering::Relaxed);
            if phase == Phase::Starting {
                log_from_now();
            }
        };
        let outcome = self.place_base(&names, &base, &|out| write_base(out, &switch));
        let outcome = outcome.and_then(|()| self.adopt(&names, base, Some(increment.clone()), phase));
        if outcome.is_err() && phase == Phase::Starting {
            // The next try begins anew.
            self.remove_leftover(&names, &increment);
        }
        outcome
    }

    /// Names what a rewrite makes.
    fn name_parts(&self, names: &Names) -> io::Result<(Phase, Part, Part)> {
        self.disk.make_folder(&names.log_folder())?;
        let mut state = self.state.lock();
        if state.manifest.is_empty() {
            state.manifest = Manifest::load(names)?.unwrap_or_default();
        }
        let base = state.manifest.next_base(names, self.base_format());
        let phase = state.phase;
        let increment = state.manifest.next_increment(names);
        Ok((phase, base, increment))
    }

    /// Makes the new base, and what has been logged since, the log.
    fn adopt(&self, names: &Names, base: Part, increment: Option<Part>, phase: Phase) -> io::Result<()> {
        let mut state = self.state.lock();
        if phase != Phase::Off && state.phase == Phase::Off {
            return Err(io::Error::other("the append-only file has been switched off meanwhile"));
        }
        let mut manifest = state.manifest.clone();
        if phase == Phase::Starting {
            manifest.increments.extend(increment);
        }
        manifest.rebase(base, usize::from(phase != Phase::Off));
        manifest.save(&*self.disk, names)?;
        if phase == Phase::Starting {
            state.phase = Phase::On;
            self.log.wake_all();
        }
        let length = |part: &Part| std::fs::metadata(names.path(&part.name)).map_or(0, |metadata| metadata.len());
        let base_length = manifest.base.as_ref().map_or(0, length);
        self.other_files.store(base_length, Ordering::Relaxed);
        self.base_bytes.store(self.current_bytes(), Ordering::Relaxed);
        self.log.lost_sync.store(false, Ordering::Relaxed);
        let removed = manifest.remove_history(&*self.disk, names);
        state.manifest = manifest;
        if phase == Phase::Off {
            state.forget_files();
        }
        if let Err(error) = removed {
            tracing::warn!(%error, "the manifest still names files that have been removed");
        }
        Ok(())
    }
}
