//! Where log lines go, and how many of them.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use syslog_tracing::{Facility, Options, Syslog};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

use crate::config::Config;
use crate::services::edge::Log;

/// The log of this process, whose level can be changed.
#[derive(Debug)]
pub struct Logging(reload::Handle<LevelFilter, Registry>);

impl Log for Logging {
    fn set_level(&self, loglevel: &str) {
        // It fails when there is no log any more.
        drop(self.0.reload(level(loglevel)));
    }
}

/// Logs to `logfile` or to standard output, from `loglevel` on, as text or JSON by `logformat`; and to syslog, if
/// `syslog-enabled` says so.
pub fn start(config: &Config) -> io::Result<Logging> {
    let path = config.logfile();
    let to_terminal = path.is_empty() && io::stdout().is_terminal();
    let writer = if path.is_empty() {
        BoxMakeWriter::new(io::stdout)
    } else {
        log_file(Path::new(&path))
            .map_err(|error| io::Error::new(error.kind(), format!("Can't open the log file: {error}")))?;
        BoxMakeWriter::new(move || writer_to(Path::new(&path)))
    };
    let lines = tracing_subscriber::fmt::layer().with_target(false).with_ansi(to_terminal).with_writer(writer);
    let lines = if config.logformat() == "json" { lines.json().boxed() } else { lines.boxed() };
    let (filter, handle) = reload::Layer::new(level(config.loglevel()));
    let syslog = syslog(config).map(|syslog| {
        tracing_subscriber::fmt::layer().with_target(false).with_ansi(false).without_time().with_writer(syslog)
    });
    tracing_subscriber::registry().with(filter).with(lines).with(syslog).init();
    Ok(Logging(handle))
}

/// The system's log, as `syslog-ident` and `syslog-facility` say, if it is wanted.
fn syslog(config: &Config) -> Option<Syslog> {
    if !config.syslog_enabled() {
        return None;
    }
    let facility = match config.syslog_facility() {
        "user" => Facility::User,
        "local1" => Facility::Local1,
        "local2" => Facility::Local2,
        "local3" => Facility::Local3,
        "local4" => Facility::Local4,
        "local5" => Facility::Local5,
        "local6" => Facility::Local6,
        "local7" => Facility::Local7,
        _ => Facility::Local0,
    };
    // Without a NUL, which no line of a configuration has, it is a C string.
    let ident = CString::new(config.syslog_ident()).unwrap_or_default();
    Syslog::new(ident, Options::LOG_PID, facility)
}

/// What a value of `loglevel` lets through.
fn level(loglevel: &str) -> LevelFilter {
    match loglevel {
        "debug" => LevelFilter::TRACE,
        "verbose" => LevelFilter::DEBUG,
        "notice" => LevelFilter::INFO,
        "warning" => LevelFilter::WARN,
        _ => LevelFilter::OFF,
    }
}

fn log_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Opens the log file for one line, as Redis does, so that it can be moved away and made anew at any time.
fn writer_to(path: &Path) -> Box<dyn Write> {
    match log_file(path) {
        Ok(file) => Box::new(file),
        Err(_) => Box::new(io::stdout()),
    }
}
