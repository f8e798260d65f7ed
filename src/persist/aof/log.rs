//! `Log`: what has been logged and is on its way to the disk, and who waits for it to get there.
//!
//! There is one buffer, filled under the locks of the shards concerned: the order in it is the order of execution, and
//! every beginning of it, up to the end of a unit, is a state that clients could have seen. Places in the log are counted
//! in bytes since the process started, whatever file they come to be in.
//!
//! The buffer's lock comes after the shards', and nothing is locked while it is held.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::command;
use super::unit::Unit;
use crate::base::clock::{Clock, UnixMillis};
use crate::config::Config;
use crate::persist::disk::LogFile;
use crate::store::Effect;

/// How much may wait to be written before those who write have to wait too.
const MOST_WAITING: u64 = 64 * 1024 * 1024;

/// How long the writer sleeps when nobody wakes it.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);

thread_local! {
    static UNIT: RefCell<Unit> = const { RefCell::new(Unit::new()) };
    /// Up to where this thread has logged since [`Log::begin_batch`]; 0 if it has not.
    static OWN_END: Cell<u64> = const { Cell::new(0) };
}

/// A place in the log: bytes logged before it since the process started.
pub type Offset = u64;

/// A file that the log goes on in, with its length.
pub type Target = (Arc<dyn LogFile>, u64);

/// What waits to be written.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    pub(super) bytes: Vec<u8>,
    /// Where `bytes` begin.
    pub(super) start: Offset,
    /// From where on the log goes on in another file, or in none.
    pub(super) switches: VecDeque<(Offset, Option<Target>)>,
    /// The database that a reader of the file has selected at the end.
    database: Option<usize>,
    /// The second that the last annotation names.
    annotated: i64,
    /// Whether the writer has done everything.
    pub(super) is_idle: bool,
}

impl Buffer {
    fn end(&self) -> Offset {
        self.start + self.bytes.len() as u64
    }
}

/// What may go wrong with the disk, and has.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// Why the last write failed.
    pub(super) write: Option<String>,
    /// Why the last sync failed.
    pub(super) sync: Option<String>,
}

/// The log.
#[derive(Debug)]
pub struct Log {
    pub(super) config: Arc<Config>,
    clock: Arc<Clock>,
    pub(super) buffer: Mutex<Buffer>,
    /// Wakes the writer.
    pub(super) filled: Condvar,
    /// Whether the writer waits to be woken.
    sleeps: AtomicBool,
    /// Told when the writer has done everything.
    pub(super) drained: Condvar,
    appended: AtomicU64,
    written: AtomicU64,
    synced: AtomicU64,
    /// Up to where replies may be sent.
    released: AtomicU64,
    /// Whether replies may have to wait.
    holds_replies: AtomicBool,
    /// Whether the disk refuses something.
    in_trouble: AtomicBool,
    pub(super) trouble: Mutex<Trouble>,
    waiting: Mutex<Vec<Waker>>,
    /// The length of the file that is written to.
    pub(super) file_length: AtomicU64,
    /// Syncs that were due while the one before still ran.
    pub delayed_syncs: AtomicU64,
    /// Whether a sync runs.
    pub sync_runs: AtomicBool,
    /// Whether what cannot be written is to be forgotten.
    pub(super) gives_up: AtomicBool,
    /// Whether the log is being rewritten.
    pub is_rewriting: AtomicBool,
    /// Whether a sync has failed since the last rewrite: what was to be synced may be lost, though later syncs succeed.
    pub lost_sync: AtomicBool,
}

impl Log {
    /// A log that nothing is written to yet.
    pub fn new(config: Arc<Config>, clock: Arc<Clock>) -> Self {
        Self {
            config,
            clock,
            buffer: Mutex::new(Buffer { is_idle: true, ..Buffer::default() }),
            filled: Condvar::new(),
            sleeps: AtomicBool::new(false),
            drained: Condvar::new(),
            appended: AtomicU64::new(0),
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            released: AtomicU64::new(0),
            holds_replies: AtomicBool::new(false),
            in_trouble: AtomicBool::new(false),
            trouble: Mutex::default(),
            waiting: Mutex::default(),
            file_length: AtomicU64::new(0),
            delayed_syncs: AtomicU64::new(0),
            sync_runs: AtomicBool::new(false),
            gives_up: AtomicBool::new(false),
            is_rewriting: AtomicBool::new(false),
            lost_sync: AtomicBool::new(false),
        }
    }

    /// Adds an effect to those of this thread.
    pub fn add(&self, database: usize, effect: Effect<'_>) {
        UNIT.with_borrow_mut(|unit| unit.add(database, effect));
    }

    /// Appends the effects of this thread, as a transaction if there are several.
    pub fn commit(&self) {
        UNIT.with_borrow_mut(|unit| {
            if unit.is_empty() {
                return;
            }
            let mut buffer = self.buffer.lock();
            let annotation = self.config.aof_timestamp_enabled().then(|| self.clock.now());
            if let Some(end) = buffer.append(unit, annotation) {
                self.appended.store(end, Ordering::Release);
                OWN_END.set(end);
            }
            drop(buffer);
            unit.clear();
        });
    }

    /// Begins a batch of requests on this thread.
    #[inline]
    pub fn begin_batch() {
        OWN_END.set(0);
    }

    /// Up to where this thread has logged in this batch.
    #[inline]
    pub fn own_end() -> Option<Offset> {
        Some(OWN_END.get()).filter(|&end| end > 0)
    }

    /// Lets what has been appended be written.
    pub fn kick(&self) {
        if self.is_far_behind() {
            self.holds_replies.store(true, Ordering::Release);
        }
        // It sleeps only if it has found nothing under the lock of the buffer, which what was appended was put in under.
        if self.sleeps.load(Ordering::Relaxed) && self.sleeps.swap(false, Ordering::AcqRel) {
            self.filled.notify_one();
        }
    }

    /// From what is appended next on, the log goes on in another file, or in none. Whoever calls holds all shards.
    pub fn switch(&self, to: Option<Target>) {
        let mut buffer = self.buffer.lock();
        let end = buffer.end();
        buffer.switches.push_back((end, to));
        buffer.is_idle = false;
        buffer.database = None;
        buffer.annotated = 0;
        drop(buffer);
        self.kick();
    }

    /// Waits until everything appended so far is on the disk, or the writer has given up; true if it is.
    pub fn drain(&self, patience: Duration) -> bool {
        self.kick();
        let mut buffer = self.buffer.lock();
        let wanted = buffer.end();
        let is_done = |buffer: &Buffer| buffer.is_idle && self.written.load(Ordering::Acquire) >= wanted;
        while !is_done(&buffer) {
            if self.drained.wait_for(&mut buffer, patience).timed_out() {
                return is_done(&buffer);
            }
        }
        true
    }

    /// Lets the writer forget what it cannot write: the log has ended.
    pub(super) fn give_up(&self) {
        self.gives_up.store(true, Ordering::Release);
    }

    /// The end of the log.
    pub fn appended(&self) -> Offset {
        self.appended.load(Ordering::Acquire)
    }

    /// Up to where it is on the disk for good.
    pub fn synced(&self) -> Offset {
        self.synced.load(Ordering::Acquire)
    }

    /// Bytes that wait to be written.
    pub fn waiting_bytes(&self) -> u64 {
        self.appended().saturating_sub(self.written.load(Ordering::Acquire))
    }

    /// Whether so much waits to be written that those who write have to wait too.
    pub fn is_far_behind(&self) -> bool {
        self.waiting_bytes() > MOST_WAITING
    }

    /// The length of the file that is written to.
    pub fn file_length(&self) -> u64 {
        self.file_length.load(Ordering::Relaxed)
    }

    /// Whether replies may have to wait; [`Log::poll_release`] tells.
    #[inline]
    pub fn holds_replies(&self) -> bool {
        self.holds_replies.load(Ordering::Relaxed)
    }

    /// Ready when replies may be sent that show what was logged up to `seen`. While the disk refuses to take the log, what
    /// others have logged is not waited for, so that reading goes on; what the client itself has logged, up to `own`, is.
    pub fn poll_release(&self, cx: &mut Context<'_>, seen: Offset, own: Offset) -> Poll<()> {
        if self.may_release(seen, own) {
            return Poll::Ready(());
        }
        self.wake_later(cx.waker());
        // It may have got there in between.
        if self.may_release(seen, own) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn may_release(&self, seen: Offset, own: Offset) -> bool {
        let in_trouble = self.in_trouble();
        if !self.waits_for_sync() {
            return in_trouble || !self.is_far_behind();
        }
        let wanted = if in_trouble { own } else { seen };
        self.released.load(Ordering::Acquire) >= wanted
    }

    /// Wakes somebody when the log has got further.
    pub(super) fn wake_later(&self, waker: &Waker) {
        self.waiting.lock().push(waker.clone());
    }

    /// `appendfsync always`
    pub(super) fn waits_for_sync(&self) -> bool {
        self.config.appendfsync() == "always"
    }

    /// Follows a change of the configuration.
    pub fn apply_configuration(&self) {
        self.holds_replies.store(self.waits_for_sync(), Ordering::Release);
        self.kick();
        self.wake_all();
    }

    /// Whether the disk refuses something, so that nothing may be written.
    #[inline]
    pub fn in_trouble(&self) -> bool {
        self.in_trouble.load(Ordering::Relaxed)
    }

    /// What the disk refuses.
    pub fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock();
        trouble.write.clone().or_else(|| trouble.sync.clone())
    }

    /// Notes how it went with the disk.
    pub(super) fn note_trouble(&self, note: impl FnOnce(&mut Trouble)) {
        let mut trouble = self.trouble.lock();
        note(&mut trouble);
        let is_bad = trouble.write.is_some() || trouble.sync.is_some();
        let was_bad = self.in_trouble.swap(is_bad, Ordering::AcqRel);
        drop(trouble);
        if was_bad && !is_bad {
            tracing::warn!("the append-only file can be written again");
        }
        if was_bad != is_bad {
            self.wake_all();
        }
    }

    /// Notes that all up to `end` has been written; `length` is that of the file.
    pub(super) fn note_written(&self, end: Offset, length: u64) {
        self.written.store(end, Ordering::Release);
        self.file_length.store(length, Ordering::Relaxed);
        if !self.waits_for_sync() {
            self.release(end);
            if self.holds_replies() && !self.is_far_behind() {
                self.holds_replies.store(false, Ordering::Release);
                self.wake_all();
            }
        }
    }

    /// Notes that all up to `end` is on the disk for good.
    pub(super) fn note_synced(&self, end: Offset) {
        self.synced.fetch_max(end, Ordering::AcqRel);
        self.release(end);
        self.wake_all();
    }

    /// Lets replies that show what was logged up to `end` be sent.
    pub(super) fn release(&self, end: Offset) {
        self.released.fetch_max(end, Ordering::AcqRel);
    }

    pub(super) fn wake_all(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Takes what waits to be written; waits for a while if that is nothing.
    pub(super) fn take(&self, chunk: &mut Vec<u8>, switches: &mut VecDeque<(Offset, Option<Target>)>) -> Offset {
        let mut buffer = self.buffer.lock();
        if buffer.bytes.is_empty() && buffer.switches.is_empty() {
            buffer.is_idle = true;
            self.drained.notify_all();
            self.sleeps.store(true, Ordering::Release);
            self.filled.wait_for(&mut buffer, LONGEST_SLEEP);
            self.sleeps.store(false, Ordering::Release);
        }
        buffer.is_idle = buffer.bytes.is_empty() && buffer.switches.is_empty();
        let start = buffer.start;
        std::mem::swap(chunk, &mut buffer.bytes);
        switches.append(&mut buffer.switches);
        buffer.start += chunk.len() as u64;
        start
    }
}

impl Buffer {
    fn append(&mut self, unit: &mut Unit, now: Option<UnixMillis>) -> Option<Offset> {
        let (bytes, are_several, (first, last)) = unit.finish()?;
        if let Some(second) = now.map(UnixMillis::seconds).filter(|&second| second != self.annotated) {
            self.annotated = second;
            self.bytes.extend_from_slice(format!("#TS:{second}\r\n").as_bytes());
        }
        if self.database != Some(first) {
            command::write_select(&mut self.bytes, first);
        }
        if are_several {
            command::write(&mut self.bytes, &[b"MULTI"]);
        }
        self.bytes.extend_from_slice(bytes);
        if are_several {
            command::write(&mut self.bytes, &[b"EXEC"]);
        }
        self.database = Some(last);
        self.is_idle = false;
        Some(self.end())
    }
}

/// What the system says of an error, without the number that Rust appends.
pub(super) fn message(error: &io::Error) -> String {
    let message = error.to_string();
    message.split(" (os error").next().unwrap_or_default().to_owned()
}
