//! Counters that `INFO` reports. Workers add to counters of their own; readers sum them up.

use std::sync::atomic::{AtomicU64, Ordering};

/// A command's index in the table of all commands and subcommands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandId(pub u16);

/// Counters of one command.
#[derive(Debug, Default)]
pub struct CommandCounters {
    /// Calls that ran.
    pub calls: AtomicU64,
    /// Calls refused before they ran.
    pub rejected: AtomicU64,
    /// Calls that ran and answered with an error.
    pub failed: AtomicU64,
}

/// Server-wide counters.
#[derive(Debug, Default)]
pub struct Stats {
    names: Vec<&'static str>,
    commands: Vec<CommandCounters>,
    /// Connections accepted.
    pub connections_received: AtomicU64,
    /// Connections refused because of `maxclients`.
    pub connections_rejected: AtomicU64,
    /// Bytes received.
    pub bytes_in: AtomicU64,
    /// Bytes sent.
    pub bytes_out: AtomicU64,
    /// Commands run.
    pub commands_processed: AtomicU64,
    /// Error replies sent.
    pub error_replies: AtomicU64,
}

impl Stats {
    /// All zero; `names` are the full names of all commands in the order of their ids.
    pub fn new(names: Vec<&'static str>) -> Self {
        let commands = names.iter().map(|_| CommandCounters::default()).collect();
        Self { names, commands, ..Self::default() }
    }

    /// The counters of a command.
    pub fn command(&self, id: CommandId) -> Option<&CommandCounters> {
        self.commands.get(usize::from(id.0))
    }

    /// The full name of a command (`client|setname`).
    pub fn command_name(&self, id: CommandId) -> Option<&'static str> {
        self.names.get(usize::from(id.0)).copied()
    }

    /// Names and counters of all commands.
    pub fn all_commands(&self) -> impl Iterator<Item = (&'static str, &CommandCounters)> {
        self.names.iter().copied().zip(&self.commands)
    }

    /// `CONFIG RESETSTAT`
    pub fn reset(&self) {
        for counters in &self.commands {
            counters.calls.store(0, Ordering::Relaxed);
            counters.rejected.store(0, Ordering::Relaxed);
            counters.failed.store(0, Ordering::Relaxed);
        }
        for counter in [
            &self.connections_received,
            &self.connections_rejected,
            &self.bytes_in,
            &self.bytes_out,
            &self.commands_processed,
            &self.error_replies,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}
