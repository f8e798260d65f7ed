//! Processor time that the process has used.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

/// Processor time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessorTime {
    /// Spent in the program.
    pub user: Duration,
    /// Spent in the kernel for it.
    pub system: Duration,
}

impl ProcessorTime {
    /// All threads together.
    pub fn of_process() -> Self {
        let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Self::default() };
        let duration = |microseconds: i64| Duration::from_micros(u64::try_from(microseconds).unwrap_or(0));
        Self {
            user: duration(usage.user_time().num_microseconds()),
            system: duration(usage.system_time().num_microseconds()),
        }
    }

    /// The thread that `main` runs on, in hundredths of a second, which is what the kernel tells of other threads.
    pub fn of_main_thread() -> Option<Self> {
        let id = std::process::id();
        let line = std::fs::read_to_string(format!("/proc/self/task/{id}/stat")).ok()?;
        let (_, after_name) = line.rsplit_once(')')?;
        let mut fields = after_name.split_whitespace().skip(11).map(str::parse::<u64>);
        let mut next = || Some(Duration::from_millis(fields.next()?.ok()? * 10));
        Some(Self { user: next()?, system: next()? })
    }

    /// What has been used since an earlier time.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self { user: self.user.saturating_sub(earlier.user), system: self.system.saturating_sub(earlier.system) }
    }
}
