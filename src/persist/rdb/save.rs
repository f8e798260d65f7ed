//! Writing a whole file.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use super::hash::{self, Forms};
use super::sink::Sink;
use super::{AUX, CHECKSUM, Checksum, END, EXPIRE_MILLIS, FREQUENCY, IDLE, RESIZE_DATABASE, SELECT_DATABASE};
use crate::base::clock::UnixMillis;
use crate::store::{KeptUsage, KeyImage, Snapshot, Usage};

/// So many bytes are written at a time.
const STEP: usize = 1 << 16;

/// How a file is written.
#[derive(Debug, Clone, Copy)]
pub struct SaveOptions {
    /// Whether strings are compressed.
    pub compression: bool,
    /// Whether the file ends in a checksum.
    pub checksum: bool,
    /// What of the use of keys is written.
    pub usage: KeptUsage,
    /// Whether the file is the base of an append-only file.
    pub is_log_base: bool,
    /// The time.
    pub now: UnixMillis,
    /// Bytes of memory in use.
    pub used_memory: u64,
    /// The version of Redis that is claimed.
    pub version: &'static str,
}

/// Writes a snapshot; `written` counts its keys as they are written.
pub fn write(snapshot: &Snapshot, out: &mut dyn Write, options: &SaveOptions, written: &AtomicU64) -> io::Result<()> {
    let forms = if snapshot.may_have_field_expiries() { Forms::All } else { Forms::Plain };
    let mut file = FileSink::begin(out, options, forms);
    for database in snapshot.databases().iter().filter(|database| database.keys > 0) {
        file.sink.byte(SELECT_DATABASE);
        file.sink.length(database.index as u64);
        file.sink.byte(RESIZE_DATABASE);
        file.sink.length(database.keys as u64);
        file.sink.length(database.expires as u64);
        snapshot.read(database, |image| {
            file.key(image, options);
            written.fetch_add(1, Ordering::Relaxed);
            if file.sink.bytes.len() >= STEP { file.flush(options.checksum) } else { Ok(()) }
        })?;
    }
    file.end(options)
}

/// Writes a file that no key is in.
pub fn write_empty(out: &mut dyn Write, options: &SaveOptions) -> io::Result<()> {
    FileSink::begin(out, options, Forms::Plain).end(options)
}

struct FileSink<'a> {
    sink: Sink,
    out: &'a mut dyn Write,
    sum: Checksum,
    forms: Forms,
}

impl<'a> FileSink<'a> {
    fn begin(out: &'a mut dyn Write, options: &SaveOptions, forms: Forms) -> Self {
        let mut file = Self { sink: Sink::new(options.compression), out, sum: CHECKSUM.digest(), forms };
        file.sink.bytes.extend_from_slice(match forms {
            // The oldest that a server has to know: Redis 7.0 and Valkey, or Redis 7.4.
            Forms::Plain => b"REDIS0010",
            Forms::All => b"REDIS0012",
        });
        let seconds = (options.now.0 / 1000).to_string();
        for (name, value) in [
            ("redis-ver", options.version),
            ("redis-bits", "64"),
            ("ctime", &seconds),
            ("used-mem", &options.used_memory.to_string()),
            ("aof-base", if options.is_log_base { "1" } else { "0" }),
        ] {
            file.sink.byte(AUX);
            file.sink.string(name.as_bytes());
            file.sink.string(value.as_bytes());
        }
        file
    }

    fn end(mut self, options: &SaveOptions) -> io::Result<()> {
        self.sink.byte(END);
        self.flush(options.checksum)?;
        let sum = if options.checksum { self.sum.finalize() } else { 0 };
        self.out.write_all(&sum.to_le_bytes())?;
        self.out.flush()
    }

    fn key(&mut self, image: &KeyImage, options: &SaveOptions) {
        if let Some(at) = image.expiry() {
            self.sink.byte(EXPIRE_MILLIS);
            self.sink.bytes.extend_from_slice(&at.0.to_le_bytes());
        }
        match image.usage(options.usage, options.now) {
            Some(Usage::IdleSeconds(seconds)) => {
                self.sink.byte(IDLE);
                self.sink.length(u64::try_from(seconds).unwrap_or_default());
            }
            Some(Usage::Frequency(frequency)) => {
                self.sink.byte(FREQUENCY);
                self.sink.byte(frequency);
            }
            None => {}
        }
        let hash = image.hash();
        let kind = hash::type_of(&hash, self.forms);
        self.sink.byte(kind);
        self.sink.string(image.key());
        hash::write(&mut self.sink, &hash, kind);
    }

    fn flush(&mut self, checksum: bool) -> io::Result<()> {
        /// A buffer that a large value has made larger is not kept.
        const KEEP: usize = 1 << 20;
        if checksum {
            self.sum.update(&self.sink.bytes);
        }
        self.out.write_all(&self.sink.bytes)?;
        self.sink.bytes.clear();
        self.sink.bytes.shrink_to(KEEP);
        Ok(())
    }
}
