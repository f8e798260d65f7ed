//! The `hashd` program: reads the configuration, starts logging, runs the server.

#[cfg(feature = "jemalloc")]
mod allocator;

use std::io::IsTerminal;
use std::process::ExitCode;

use hashd::config::{Config, Startup};
use hashd::server;

fn main() -> ExitCode {
    #[cfg(feature = "jemalloc")]
    allocator::keep_large_pages();
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
