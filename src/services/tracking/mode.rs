//! How one client tracks: what `CLIENT TRACKING` and `CLIENT CACHING` have set.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

bitflags::bitflags! {
    /// The state of `CLIENT TRACKING` for one client.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct TrackingFlags: u8 {
        /// It tracks.
        const ON = 1 << 0;
        /// It hears of all keys with its prefixes instead of those it has read.
        const BCAST = 1 << 1;
        /// Reads are remembered only after `CLIENT CACHING YES`.
        const OPTIN = 1 << 2;
        /// Reads are remembered unless after `CLIENT CACHING NO`.
        const OPTOUT = 1 << 3;
        /// It does not hear of its own changes.
        const NOLOOP = 1 << 4;
        /// `CLIENT CACHING` has been given for the next command.
        const CACHING = 1 << 5;
        /// The client that was to get its messages is gone.
        const BROKEN_REDIRECT = 1 << 6;
    }
}

/// A client's tracking, for its own worker to change and for all to read.
#[derive(Debug, Default)]
pub struct TrackingMode {
    flags: AtomicU8,
    /// Id of the client that gets the messages; 0 for itself.
    redirect: AtomicU64,
}

impl TrackingMode {
    /// What is set.
    #[inline]
    pub fn flags(&self) -> TrackingFlags {
        TrackingFlags::from_bits_truncate(self.flags.load(Ordering::Relaxed))
    }

    /// Whether the keys that its next command reads are to be remembered.
    #[inline]
    pub fn remembers(&self) -> bool {
        let flags = self.flags();
        flags.contains(TrackingFlags::ON)
            && !flags.contains(TrackingFlags::BCAST)
            && (!flags.contains(TrackingFlags::OPTIN) || flags.contains(TrackingFlags::CACHING))
            && !flags.contains(TrackingFlags::OPTOUT | TrackingFlags::CACHING)
    }

    /// Id of the client that gets the messages, 0 if it is the client itself; none if it does not track.
    pub fn redirect(&self) -> Option<u64> {
        self.flags().contains(TrackingFlags::ON).then(|| self.redirect.load(Ordering::Relaxed))
    }

    /// Adds flags.
    pub fn insert(&self, flags: TrackingFlags) {
        self.flags.fetch_or(flags.bits(), Ordering::Relaxed);
    }

    /// Takes flags away.
    pub fn remove(&self, flags: TrackingFlags) {
        self.flags.fetch_and(!flags.bits(), Ordering::Relaxed);
    }

    /// Replaces all that `CLIENT TRACKING` sets.
    pub(super) fn set(&self, flags: TrackingFlags, redirect: u64) {
        self.redirect.store(redirect, Ordering::Relaxed);
        self.flags.store(flags.bits(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caching_turns_the_default_of_the_mode_around() {
        let (on, caching) = (TrackingFlags::ON, TrackingFlags::CACHING);
        for (flags, remembers) in [
            (TrackingFlags::empty(), false),
            (on, true),
            (on | TrackingFlags::NOLOOP, true),
            (on | TrackingFlags::BCAST, false),
            (on | TrackingFlags::OPTIN, false),
            (on | TrackingFlags::OPTIN | caching, true),
            (on | TrackingFlags::OPTOUT, true),
            (on | TrackingFlags::OPTOUT | caching, false),
        ] {
            let mode = TrackingMode::default();
            mode.set(flags, 7);
            assert_eq!(mode.remembers(), remembers, "{flags:?}");
            assert_eq!(mode.redirect(), flags.contains(on).then_some(7));
        }
    }
}
