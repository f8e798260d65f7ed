//! `CLIENT PAUSE`: until when whose commands are held back.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use crate::base::clock::UnixMillis;

/// Which commands a pause holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseMode {
    /// Those that may change data.
    Write,
    /// All.
    All,
}

/// The pause there is, if there is one.
#[derive(Debug, Default)]
pub struct Pause {
    /// 0 for none.
    until: AtomicI64,
    all: AtomicBool,
}

impl Pause {
    /// Pauses until then. A pause never shortens or weakens one that is still on.
    pub fn start(&self, until: UnixMillis, mode: PauseMode, now: UnixMillis) {
        let goes_on = self.until.load(Ordering::Acquire) > now.0;
        self.all.store(mode == PauseMode::All || (goes_on && self.all.load(Ordering::Acquire)), Ordering::Release);
        self.until
            .store(if goes_on { self.until.load(Ordering::Acquire).max(until.0) } else { until.0 }, Ordering::Release);
    }

    /// Ends the pause.
    pub fn end(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// When the pause ends; it may have ended already.
    #[inline]
    pub fn until(&self) -> Option<UnixMillis> {
        Some(self.until.load(Ordering::Acquire)).filter(|&until| until != 0).map(UnixMillis)
    }

    /// What is held back now.
    pub fn mode(&self, now: UnixMillis) -> Option<PauseMode> {
        self.until().filter(|&until| until > now)?;
        Some(if self.all.load(Ordering::Acquire) { PauseMode::All } else { PauseMode::Write })
    }
}
