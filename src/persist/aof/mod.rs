//! The append-only file, in Redis's format: a base, increments with what has changed since, and a manifest that names them.
//!
//! - [`log`] is what is logged and not yet on the disk, `writer` the threads that bring it there.
//! - [`load`] and [`replay`] read it at the start.
//! - [`rewrite`] replaces base and increments by a new base.
//!
//! Whatever moment the process or the machine stops at, the manifest names files that together are a whole log: a file is
//! named only when it is there, and removed only when it is named no more.

pub mod base;
mod command;
pub mod load;
pub mod log;
pub mod manifest;
pub mod replay;
pub mod rewrite;
mod unit;
mod writer;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;

use self::log::{Log, Offset, Target};
use self::manifest::{Manifest, Names, Part};
use self::rewrite::Rewrites;
use crate::config::Config;
use crate::persist::disk::{Disk, replace_file};

/// How long the end of the server waits for the disk.
const LAST_MOMENT: Duration = Duration::from_secs(10);

/// How long it waits when the disk has refused the log before.
const IN_TROUBLE: Duration = Duration::from_secs(1);

/// A base is written so much at a time.
const WRITE_BYTES: usize = 256 * 1024;

/// Whether there is a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// There is none.
    #[default]
    Off,
    /// There will be as soon as it has a base.
    Starting,
    /// There is.
    On,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// Where the files of the manifest are, once that is known: `dir` may change.
    names: Option<Names>,
    manifest: Manifest,
    writer_runs: bool,
}

impl State {
    /// Has the files looked for anew when they are wanted: another log may be elsewhere.
    fn forget_files(&mut self) {
        (self.names, self.manifest) = (None, Manifest::default());
    }
}

/// The append-only file.
#[derive(Debug)]
pub struct AppendOnly {
    /// What is logged.
    pub log: Arc<Log>,
    /// Its rewriting.
    pub rewrites: Rewrites,
    config: Arc<Config>,
    disk: Arc<dyn Disk>,
    state: Mutex<State>,
    /// Bytes of all files but the one that is written to.
    other_files: AtomicU64,
    /// Bytes of all files after the last rewrite.
    base_bytes: AtomicU64,
}

impl AppendOnly {
    /// None yet; what is logged goes through `log`.
    pub fn new(config: Arc<Config>, log: Arc<Log>, disk: Arc<dyn Disk>) -> Self {
        Self {
            log,
            rewrites: Rewrites::default(),
            config,
            disk,
            state: Mutex::default(),
            other_files: AtomicU64::new(0),
            base_bytes: AtomicU64::new(0),
        }
    }

    /// Whether there is a log.
    pub fn phase(&self) -> Phase {
        self.state.lock().phase
    }

    /// Bytes of all files.
    pub fn current_bytes(&self) -> u64 {
        self.other_files.load(Ordering::Relaxed) + self.log.file_length()
    }

    /// Whether all up to `end` is on the disk for good and part of the log.
    pub fn is_acknowledged(&self, end: Offset) -> bool {
        self.log.synced() >= end && self.phase() == Phase::On
    }

    /// Ready when all up to `end`, if that is given, is acknowledged, and when there is no log any more.
    pub fn poll_acknowledged(&self, cx: &mut Context<'_>, end: Option<Offset>) -> Poll<()> {
        let is_ready = || self.phase() == Phase::Off || end.is_some_and(|end| self.is_acknowledged(end));
        if is_ready() {
            return Poll::Ready(());
        }
        self.log.wake_later(cx.waker());
        if is_ready() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Bytes of all files after the last rewrite.
    pub fn base_bytes(&self) -> u64 {
        self.base_bytes.load(Ordering::Relaxed)
    }

    /// Goes on with the log that has been loaded, or begins one if there is none; nobody writes yet. `write_base` writes a
    /// base that holds what is loaded, which is nothing.
    pub fn begin(&self, write_base: &dyn Fn(&mut dyn io::Write) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state.lock();
        let names = self.names(&mut state);
        let mut manifest = state.manifest.clone();
        self.disk.make_folder(&names.log_folder())?;
        self.remove_temporary(&names);
        if manifest.is_empty() {
            let base = manifest.next_base(&names, self.base_format());
            tracing::info!(file = base.name, "creating the base of the append-only log");
            self.place_base(&names, &base, write_base)?;
            manifest.rebase(base, 0);
        }
        let is_new = manifest.increments.is_empty();
        if is_new {
            let increment = manifest.next_increment(&names);
            self.remove_leftover(&names, &increment);
            manifest.increments.push(increment);
        }
        let Some(increment) = manifest.increments.last() else { return Ok(()) };
        let target = self.disk.append_to(&names.path(&increment.name))?;
        if is_new {
            manifest.save(&*self.disk, &names)?;
        }
        manifest.remove_history(&*self.disk, &names)?;
        self.start_writer(&mut state)?;
        self.measure(&names, &manifest, &target);
        self.log.switch(Some(target));
        (state.manifest, state.phase) = (manifest, Phase::On);
        Ok(())
    }

    /// Ends the log: what has been logged gets to the disk first. `log_no_more` lets nobody log any more. False if the disk
    /// does not take it.
    pub fn end(&self, log_no_more: &dyn Fn()) -> bool {
        let before = {
            let mut state = self.state.lock();
            state.forget_files();
            std::mem::take(&mut state.phase)
        };
        if before == Phase::Off {
            return true;
        }
        log_no_more();
        self.log.switch(None);
        let patience = if self.log.in_trouble() { IN_TROUBLE } else { LAST_MOMENT };
        let is_done = self.log.drain(patience);
        if !is_done {
            tracing::error!("the end of the append-only log could not be written");
            self.log.give_up();
            self.log.drain(LAST_MOMENT);
        }
        self.log.wake_all();
        is_done
    }

    fn names(&self, state: &mut State) -> Names {
        state.names.get_or_insert_with(|| Names::of(&self.config)).clone()
    }

    fn start_writer(&self, state: &mut State) -> io::Result<()> {
        if !state.writer_runs {
            writer::start(&self.log)?;
            state.writer_runs = true;
        }
        self.log.apply_configuration();
        Ok(())
    }

    fn base_format(&self) -> manifest::BaseFormat {
        if self.config.aof_use_rdb_preamble() { manifest::BaseFormat::Rdb } else { manifest::BaseFormat::Commands }
    }

    /// Removes a file that a rewrite has left behind which did not come to its end.
    fn remove_leftover(&self, names: &Names, part: &Part) {
        drop(self.disk.remove(&names.path(&part.name)));
    }

    /// Removes what was being written when the process before this one ended.
    fn remove_temporary(&self, names: &Names) {
        let files = std::fs::read_dir(names.log_folder()).into_iter().flatten().flatten();
        for file in files.filter(|file| file.file_name().as_encoded_bytes().starts_with(b"temp-")) {
            drop(self.disk.remove(&file.path()));
        }
    }

    /// Lets `write` write a base, and puts it where it belongs when it is whole.
    fn place_base(
        &self,
        names: &Names,
        base: &Part,
        write: &dyn Fn(&mut dyn io::Write) -> io::Result<()>,
    ) -> io::Result<()> {
        replace_file(&*self.disk, &names.path(&base.name), |out| {
            let mut out = io::BufWriter::with_capacity(WRITE_BYTES, out);
            write(&mut out)?;
            io::Write::flush(&mut out)
        })
    }

    /// Notes how large the files are.
    fn measure(&self, names: &Names, manifest: &Manifest, target: &Target) {
        let length = |part: &Part| std::fs::metadata(names.path(&part.name)).map_or(0, |metadata| metadata.len());
        let all: u64 = manifest.parts().map(length).sum();
        self.other_files.store(all.saturating_sub(target.1), Ordering::Relaxed);
        self.log.file_length.store(target.1, Ordering::Relaxed);
        self.base_bytes.store(manifest.base.as_ref().map_or(0, length), Ordering::Relaxed);
    }
}
