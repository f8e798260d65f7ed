//! Where log lines go.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::config::Config;

/// Logs to `logfile` or to standard output, at `loglevel`, as text or JSON by `logformat`.
pub fn start(config: &Config) -> io::Result<()> {
    let level = match config.loglevel() {
        "debug" => tracing::Level::TRACE,
        "verbose" => tracing::Level::DEBUG,
        "notice" => tracing::Level::INFO,
        "warning" => tracing::Level::WARN,
        _ => return Ok(()),
    };
    let path = config.logfile();
    let to_terminal = path.is_empty() && io::stdout().is_terminal();
    let writer = if path.is_empty() {
        BoxMakeWriter::new(io::stdout)
    } else {
        log_file(Path::new(&path))
            .map_err(|error| io::Error::new(error.kind(), format!("Can't open the log file: {error}")))?;
        BoxMakeWriter::new(move || writer_to(Path::new(&path)))
    };
    let builder = tracing_subscriber::fmt().with_max_level(level).with_target(false).with_ansi(to_terminal);
    let builder = builder.with_writer(writer);
    if config.logformat() == "json" {
        builder.json().init();
    } else {
        builder.init();
    }
    Ok(())
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
