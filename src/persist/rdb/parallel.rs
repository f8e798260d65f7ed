//! Reading a file with several threads: one finds where the hashes begin and end, the others make them.
//!
//! Batches have numbers, and of several errors the one in the first batch counts, so that what is said of a file does not
//! depend on which thread was faster.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use parking_lot::Mutex;

use super::hash::{self, Templates};
use super::load::{Head, Incoming, LoadOptions, Maker, Summary, read_with};
use super::source::{Memory, Stream};
use super::{RdbError, Result};

/// A batch is handed over when it has so many bytes, or so many hashes.
const BATCH_BYTES: usize = 1 << 18;
const BATCH_HASHES: usize = if cfg!(test) { 8 } else { 2048 };

/// A larger hash is made by the thread that reads: it would not fit into a batch.
const MOST_BYTES: usize = 1 << 16;

/// Batches that wait, for each thread that makes hashes.
const WAITING: usize = 2;

/// A file that is smaller is read by one thread.
const SMALL_FILE: u64 = if cfg!(test) { 1 } else { 1 << 20 };

/// Hashes that have yet to be made.
#[derive(Debug, Default)]
struct Batch {
    number: u64,
    bytes: Vec<u8>,
    hashes: Vec<Raw>,
}

/// A hash in a batch: where its key and its value are.
#[derive(Debug)]
struct Raw {
    head: Head,
    key: Range<usize>,
    value: Range<usize>,
}

/// Where the thread that reads hands hashes over.
#[derive(Debug)]
pub(super) struct Batches {
    batch: Batch,
    sender: SyncSender<Batch>,
    outcome: Arc<Outcome>,
}

impl Batches {
    /// Takes a hash whose value comes next in the stream; false, and nothing taken, if it has to be made at once.
    pub(super) fn take<R: Read>(&mut self, stream: &mut Stream<R>, head: Head, key: &[u8]) -> Result<bool> {
        let Some(value) = stream.capture(MOST_BYTES, |source| hash::skip(source, head.kind, head.dialect)) else {
            return Ok(false);
        };
        let bytes = &mut self.batch.bytes;
        let start = bytes.len();
        bytes.extend_from_slice(key);
        let end = bytes.len();
        bytes.extend_from_slice(value);
        self.batch.hashes.push(Raw { head, key: start..end, value: end..bytes.len() });
        if self.batch.bytes.len() >= BATCH_BYTES || self.batch.hashes.len() >= BATCH_HASHES {
            self.hand_over()?;
        }
        Ok(true)
    }

    /// Hands over what has been taken.
    fn hand_over(&mut self) -> Result<()> {
        let next = Batch {
            number: self.batch.number + 1,
            bytes: Vec::with_capacity(BATCH_BYTES + MOST_BYTES),
            hashes: Vec::with_capacity(self.batch.hashes.len()),
        };
        let batch = std::mem::replace(&mut self.batch, next);
        // Whatever stopped the others counts, not this.
        if self.outcome.has_failed() || self.sender.send(batch).is_err() {
            return Err(RdbError::Malformed("it cannot be read to its end"));
        }
        Ok(())
    }
}

/// What the threads that make hashes have come to.
#[derive(Debug)]
struct Outcome {
    loaded: AtomicU64,
    expired: AtomicU64,
    /// The number of the first batch with an error, [`u64::MAX`] if there is none.
    failed: AtomicU64,
    error: Mutex<Option<(u64, RdbError)>>,
}

impl Outcome {
    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed) != u64::MAX
    }

    fn note_error(&self, number: u64, error: RdbError) {
        let mut first = self.error.lock();
        if first.as_ref().is_none_or(|&(earlier, _)| number < earlier) {
            *first = Some((number, error));
            self.failed.store(number, Ordering::Relaxed);
        }
    }
}

/// As [`super::load::read`], with so many threads that make hashes. Each has a `receiver` of its own, and keys come to them
/// in no particular order.
pub fn read_in_parallel<R: Read, F: FnMut(usize, Incoming<'_>) -> Result<()>>(
    stream: &mut Stream<R>,
    options: &LoadOptions,
    (position, threads): (&AtomicU64, usize),
    receiver: impl Fn() -> F + Sync,
) -> Result<Summary> {
    if threads < 2 || stream.remaining() < SMALL_FILE {
        return read_with(stream, options, position, (receiver(), None));
    }
    let outcome = Arc::new(Outcome {
        loaded: AtomicU64::new(0),
        expired: AtomicU64::new(0),
        failed: AtomicU64::new(u64::MAX),
        error: Mutex::default(),
    });
    let read = std::thread::scope(|scope| {
        let (sender, waiting) = sync_channel(threads * WAITING);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..threads {
            let (waiting, outcome, receiver) = (Arc::clone(&waiting), Arc::clone(&outcome), &receiver);
            let work = move || make_all(&waiting, &outcome, Maker::new(*options, receiver()));
            std::thread::Builder::new().name("load".to_owned()).spawn_scoped(scope, work)?;
        }
        // Who reads must not wait for threads that are gone.
        drop(waiting);
        let batches = Batches { batch: Batch::default(), sender, outcome: Arc::clone(&outcome) };
        read_with(stream, options, position, (receiver(), Some(batches)))
    });
    if let Some((_, error)) = outcome.error.lock().take() {
        return Err(error);
    }
    let mut summary = read?;
    summary.loaded += outcome.loaded.load(Ordering::Relaxed);
    summary.expired += outcome.expired.load(Ordering::Relaxed);
    Ok(summary)
}

impl Drop for Batches {
    /// What has been taken comes before the error, or the end, because of which there is no more.
    fn drop(&mut self) {
        if !self.batch.hashes.is_empty() {
            drop(self.hand_over());
        }
    }
}

/// Makes hashes until there are no more batches.
fn make_all<F: FnMut(usize, Incoming<'_>) -> Result<()>>(
    waiting: &Mutex<Receiver<Batch>>,
    outcome: &Outcome,
    mut maker: Maker<F>,
) {
    loop {
        let next = waiting.lock().recv();
        let Ok(batch) = next else { break };
        // An earlier batch may hold an earlier error.
        if batch.number > outcome.failed.load(Ordering::Relaxed) {
            continue;
        }
        if let Err(error) = make(&batch, &mut maker) {
            outcome.note_error(batch.number, error);
        }
    }
    outcome.loaded.fetch_add(maker.loaded, Ordering::Relaxed);
    outcome.expired.fetch_add(maker.expired, Ordering::Relaxed);
}

fn make<F: FnMut(usize, Incoming<'_>) -> Result<()>>(batch: &Batch, maker: &mut Maker<F>) -> Result<()> {
    // Hashes that refer to templates are made where they are read.
    let templates = Templates::default();
    let part = |range: &Range<usize>| batch.bytes.get(range.clone()).unwrap_or_default();
    for Raw { head, key, value } in &batch.hashes {
        maker.make(&mut Memory(part(value)), head, part(key), &templates)?;
    }
    Ok(())
}
