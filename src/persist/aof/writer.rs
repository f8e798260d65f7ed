//! The threads that bring the log to the disk: one writes, one syncs where writing need not wait for it.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::command::{self, Read};
use super::log::{Log, Offset, Target, message};
use crate::persist::disk::LogFile;

/// How long the writer lets more gather after it has written, when nobody waits for a sync: many small writes would
/// cost more than what they write.
const GATHER_FOR: Duration = Duration::from_millis(1);

/// How often what has been written is synced with `appendfsync everysec`.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// How long after a failure the disk is tried again.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// A buffer larger than this is given back after use.
const KEEP_BYTES: usize = 4 * 1024 * 1024;

/// The file that is written to.
#[derive(Debug)]
struct Current {
    file: Arc<dyn LogFile>,
    length: u64,
    /// What it has to be cut to before anything else is written to it.
    cut_to: Option<u64>,
    /// Its length when it was last synced.
    synced_length: u64,
}

/// What the writer has taken and not got rid of.
#[derive(Debug)]
struct Writer {
    log: Arc<Log>,
    current: Option<Current>,
    chunk: Vec<u8>,
    /// Where the chunk begins.
    start: Offset,
    /// How much of it has been written.
    done: usize,
    switches: VecDeque<(Offset, Option<Target>)>,
    syncer: mpsc::Sender<(Arc<dyn LogFile>, Offset)>,
    last_sync: Instant,
    /// Up to where a sync has been asked for.
    asked: Offset,
}

/// Starts the threads.
pub(super) fn start(log: &Arc<Log>) -> io::Result<()> {
    let (syncer, jobs) = mpsc::channel::<(Arc<dyn LogFile>, Offset)>();
    let log_of_syncer = Arc::clone(log);
    std::thread::Builder::new().name("aof-sync".into()).spawn(move || {
        for (file, end) in jobs {
            sync_aside(&log_of_syncer, &*file, end);
        }
    })?;
    let writer = Writer {
        log: Arc::clone(log),
        current: None,
        chunk: Vec::new(),
        start: 0,
        done: 0,
        switches: VecDeque::new(),
        syncer,
        last_sync: Instant::now(),
        asked: 0,
    };
    std::thread::Builder::new().name("aof-write".into()).spawn(move || writer.run())?;
    Ok(())
}

fn sync_aside(log: &Log, file: &dyn LogFile, end: Offset) {
    let outcome = file.sync();
    match outcome {
        Ok(()) => {
            log.note_trouble(|trouble| trouble.sync = None);
            log.note_synced(end);
        }
        Err(error) => {
            tracing::warn!(%error, "cannot sync the append-only file");
            log.lost_sync.store(true, Ordering::Relaxed);
            log.note_trouble(|trouble| trouble.sync = Some(message(&error)));
        }
    }
    log.sync_runs.store(false, Ordering::Release);
}

impl Writer {
    fn run(mut self) {
        loop {
            if self.chunk.is_empty() && self.switches.is_empty() {
                self.start = self.log.take(&mut self.chunk, &mut self.switches);
                self.done = 0;
            }
            let has_work = !self.chunk.is_empty() || !self.switches.is_empty();
            match self.advance() {
                Ok(()) => {
                    self.chunk.clear();
                    self.chunk.shrink_to(KEEP_BYTES);
                    if has_work && !self.log.waits_for_sync() {
                        std::thread::sleep(GATHER_FOR);
                    }
                }
                Err(error) => {
                    if self.log.gives_up.swap(false, Ordering::AcqRel) {
                        self.forget();
                        continue;
                    }
                    self.give_in(&error);
                    std::thread::sleep(TRY_AGAIN_AFTER);
                }
            }
        }
    }

    /// Writes the chunk, through all switches of files in it, and syncs it as `appendfsync` says.
    fn advance(&mut self) -> Result<(), Failure> {
        self.cut()?;
        while let Some((at, _)) = self.switches.front() {
            let until = usize::try_from(at - self.start).unwrap_or(usize::MAX);
            self.write_until(until)?;
            // What comes first must be there first, also if the machine fails.
            self.sync_now()?;
            let target = self.switches.pop_front().and_then(|(_, target)| target);
            self.current = target.map(|(file, length)| Current { file, length, cut_to: None, synced_length: length });
        }
        self.write_until(self.chunk.len())?;
        match self.log.config.appendfsync() {
            "always" if may_sync(&self.log) => self.sync_now()?,
            "always" => {
                self.log.release(self.end());
                self.log.wake_all();
            }
            "everysec" => self.sync_each_second(),
            _ => {}
        }
        Ok(())
    }

    /// The place up to where everything has been written.
    fn end(&self) -> Offset {
        self.start + self.done as u64
    }

    fn write_until(&mut self, until: usize) -> Result<(), Failure> {
        let Some(current) = &mut self.current else {
            // Logging has ended, or not begun.
            self.done = until.min(self.chunk.len());
            return Ok(());
        };
        let had_any = self.done < until;
        while self.done < until {
            match current.file.write(self.chunk.get(self.done..until).unwrap_or_default()) {
                Ok(0) => return Err(Failure::Write(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    self.done += count;
                    current.length += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::Write(error)),
            }
        }
        if had_any {
            let (end, length) = (self.end(), self.current.as_ref().map_or(0, |current| current.length));
            self.log.note_written(end, length);
            if self.log.in_trouble() {
                self.log.note_trouble(|trouble| trouble.write = None);
            }
        }
        Ok(())
    }

    /// Syncs what has been written, unless it is.
    fn sync_now(&mut self) -> Result<(), Failure> {
        let end = self.end();
        if let Some(current) = &mut self.current
            && current.synced_length != current.length
        {
            current.file.sync().map_err(Failure::Sync)?;
            current.synced_length = current.length;
            self.last_sync = Instant::now();
            self.asked = end;
            if self.log.in_trouble() {
                self.log.note_trouble(|trouble| trouble.sync = None);
            }
        }
        self.log.note_written(end, self.current.as_ref().map_or(0, |current| current.length));
        self.log.note_synced(end);
        Ok(())
    }

    /// Asks for a sync if a second is over and there is something to sync.
    fn sync_each_second(&mut self) {
        let Some(current) = &mut self.current else { return };
        let failed_before = self.log.in_trouble();
        let is_due = self.asked < self.start + self.done as u64 || failed_before;
        if !is_due || self.last_sync.elapsed() < SYNC_EVERY || (!failed_before && !may_sync(&self.log)) {
            return;
        }
        if self.log.sync_runs.swap(true, Ordering::AcqRel) {
            if self.last_sync.elapsed() >= 2 * SYNC_EVERY {
                self.log.delayed_syncs.fetch_add(1, Ordering::Relaxed);
                self.last_sync = Instant::now();
            }
            return;
        }
        self.last_sync = Instant::now();
        self.asked = self.start + self.done as u64;
        current.synced_length = current.length;
        // The thread ends only with the process.
        drop(self.syncer.send((Arc::clone(&current.file), self.asked)));
    }

    /// Forgets what cannot be written, as the log has ended.
    fn forget(&mut self) {
        if let Some((_, target)) = self.switches.drain(..).next_back() {
            self.current = target.map(|(file, length)| Current { file, length, cut_to: None, synced_length: length });
        }
        self.done = self.chunk.len();
        let end = self.end();
        self.chunk.clear();
        self.log.note_trouble(|trouble| (trouble.write, trouble.sync) = (None, None));
        self.log.note_written(end, self.current.as_ref().map_or(0, |current| current.length));
        self.log.note_synced(end);
    }

    /// Takes back what has been written in part, and tells everybody.
    fn give_in(&mut self, failure: &Failure) {
        let (Failure::Write(error) | Failure::Sync(error)) = failure;
        let text = message(error);
        let is_new = self.log.trouble().as_ref() != Some(&text);
        if is_new {
            tracing::error!(%error, "cannot write the append-only file, writing commands are refused until it can be");
        }
        if let Some(current) = &mut self.current
            && current.cut_to.is_none()
        {
            let begun = usize::try_from(current.length - current.synced_length).unwrap_or(usize::MAX);
            let back = match failure {
                // What a failed sync was to keep may be gone: all of it is written anew.
                Failure::Sync(_) => {
                    if begun > self.done {
                        self.log.lost_sync.store(true, Ordering::Relaxed);
                    }
                    begun.min(self.done)
                }
                Failure::Write(_) => half_unit(self.chunk.get(..self.done).unwrap_or_default()),
            };
            self.done -= back;
            current.cut_to = Some(current.length - back as u64).filter(|_| back > 0);
        }
        drop(self.cut());
        self.log.note_trouble(|trouble| match failure {
            Failure::Write(_) => trouble.write = Some(text),
            Failure::Sync(_) => trouble.sync = Some(text),
        });
    }

    /// Cuts off what has been taken back.
    fn cut(&mut self) -> Result<(), Failure> {
        let Some(current) = &mut self.current else { return Ok(()) };
        if let Some(length) = current.cut_to {
            current.file.truncate(length).map_err(Failure::Write)?;
            current.length = length;
            current.cut_to = None;
            current.synced_length = current.synced_length.min(length);
        }
        Ok(())
    }
}

/// `no-appendfsync-on-rewrite`
fn may_sync(log: &Log) -> bool {
    !(log.config.no_appendfsync_on_rewrite() && log.is_rewriting.load(Ordering::Relaxed))
}

/// What failed.
#[derive(Debug)]
enum Failure {
    Write(io::Error),
    Sync(io::Error),
}

/// Bytes at the end of `written`, which begins with a whole unit, that belong to a unit that is not whole.
fn half_unit(written: &[u8]) -> usize {
    let (mut at, mut whole, mut in_transaction) = (0, 0, false);
    let mut words = Vec::new();
    loop {
        let rest = written.get(at..).unwrap_or_default();
        match command::read(rest, &mut words) {
            Read::Command(used) => {
                let name = words.first().map_or(&[][..], |word| word.of(rest));
                in_transaction = (in_transaction || name == b"MULTI") && name != b"EXEC";
                at += used;
            }
            Read::Annotation(used) => at += used,
            Read::Incomplete | Read::Malformed => return written.len() - whole,
        }
        if !in_transaction {
            whole = at;
        }
    }
}
