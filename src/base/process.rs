//! The process and the machine it runs on, as the operating system counts.

use std::fs;

/// Processor time of this process, in the kernel's hundredths of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessorTime {
    /// Spent in the program.
    pub user: u64,
    /// Spent in the kernel for it.
    pub system: u64,
}

impl ProcessorTime {
    /// What has been spent so far.
    pub fn now() -> Option<Self> {
        let line = fs::read_to_string("/proc/self/stat").ok()?;
        let (_, after_name) = line.rsplit_once(')')?;
        let mut fields = after_name.split_whitespace().skip(11);
        Some(Self { user: fields.next()?.parse().ok()?, system: fields.next()?.parse().ok()? })
    }
}

/// `Linux 6.1.0 x86_64`
pub fn operating_system() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {} {}", release.trim(), std::env::consts::ARCH)
}
