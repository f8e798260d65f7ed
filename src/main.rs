//! The `hashd` program: reads the configuration, starts logging, runs the server.

#[cfg(feature = "jemalloc")]
mod allocator;

use std::process::ExitCode;

use hashd::config::{Config, Startup};
use hashd::server::{self, logging, supervisor};

fn main() -> ExitCode {
    #[cfg(feature = "jemalloc")]
    allocator::keep_large_pages();
    match Config::from_command_line(std::env::args_os(), std::env::vars_os()) {
        Ok(Startup::Print(text)) => {
            println!("{}", text.trim_end());
            ExitCode::SUCCESS
        }
        Ok(Startup::Run(config)) => {
            let outcome = supervisor::go_to_background(&config).and_then(|()| logging::start(&config));
            match outcome.and_then(|logging| server::run(config, logging)) {
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
