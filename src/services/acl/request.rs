//! What a request wants to do, as ACL sees it, and why it may not.

use std::ops::Range;

use super::known::KnownId;

bitflags::bitflags! {
    /// What may be done with a key.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Permissions: u8 {
        /// Its value may be told.
        const READ = 1 << 0;
        /// It may be changed.
        const WRITE = 1 << 1;
    }
}

/// A request: `at` gives its arguments, of which `keys` are keys.
#[derive(Debug)]
pub struct Request<A, K> {
    /// The command, unless everybody may run it.
    pub command: Option<KnownId>,
    /// Gives the argument at a place, 0 being the command's name.
    pub at: A,
    /// Where its keys are, and what it needs to do with them.
    pub keys: K,
    /// Where its channels are.
    pub channels: Range<usize>,
    /// Whether the channels are patterns, which rules have to name literally.
    pub are_patterns: bool,
}

/// Why a user may not run a request; the greater one is told if several selectors refuse it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denial {
    /// Because of the command.
    Command,
    /// Because of the key at this place.
    Key(usize),
    /// Because of the channel at this place.
    Channel(usize),
}

impl Denial {
    /// Which argument is to blame.
    pub fn position(self) -> usize {
        match self {
            Self::Command => 0,
            Self::Key(at) | Self::Channel(at) => at,
        }
    }
}
