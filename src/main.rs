//! The `hashd` program: reads the configuration, starts logging, runs the server.

use std::io::IsTerminal;
use std::process::ExitCode;

use hashd::config::{Config, Startup};
use hashd::server;
use tikv_jemalloc_ctl::{Access, AsName};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    if let Err(error) = keep_large_pages() {
        eprintln!("hashd: the allocator cannot be tuned: {error}");
    }
    match Config::from_command_line(std::env::args_os(), std::env::vars_os()) {
        Ok(Startup::Print(text)) => {
            println!("{}", text.trim_end());
            ExitCode::SUCCESS
        }
        Ok(Startup::Run(config)) => {
            start_logging(&config);
            match server::run(config) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    tracing::error!(%error, "cannot serve");
                    eprintln!("hashd: {error}");
                    ExitCode::FAILURE
                }
            }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Makes the allocator treat large memory as it does small: what is freed is kept for some seconds, then given back by a
/// thread of its own. It would give back each 8 MB at once, and a value of 10 MB then cost 2,400 page faults each way.
fn keep_large_pages() -> Result<(), tikv_jemalloc_ctl::Error> {
    tikv_jemalloc_ctl::background_thread::write(true)?;
    // The first large allocation makes the arena of large ones, which is the last.
    drop(std::hint::black_box(Vec::<u8>::with_capacity(8 << 20)));
    let last = tikv_jemalloc_ctl::arenas::narenas::read()?.saturating_sub(1);
    let decay_ms: isize = b"arenas.dirty_decay_ms\0".name().read()?;
    format!("arena.{last}.dirty_decay_ms\0").as_bytes().name().write(decay_ms)?;
    format!("arena.{last}.oversize_threshold\0").as_bytes().name().write(usize::MAX)
}

/// Logs to standard output at `loglevel`, as text or JSON by `logformat`.
fn start_logging(config: &Config) {
    let level = match config.loglevel() {
        "debug" => tracing::Level::TRACE,
        "verbose" => tracing::Level::DEBUG,
        "notice" => tracing::Level::INFO,
        "warning" => tracing::Level::WARN,
        _ => return,
    };
    let builder =
        tracing_subscriber::fmt().with_max_level(level).with_target(false).with_ansi(std::io::stdout().is_terminal());
    if config.logformat() == "json" { builder.json().init() } else { builder.init() }
}
