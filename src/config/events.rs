//! `notify-keyspace-events`: which events are published, and on which channels.

bitflags::bitflags! {
    /// Classes of keyspace events, and the kinds of channels to publish them on; each is a letter of
    /// `notify-keyspace-events`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct KeyspaceEvents: u32 {
        /// `K`: publish on `__keyspace@<db>__:<key>`.
        const KEYSPACE = 1 << 0;
        /// `E`: publish on `__keyevent@<db>__:<event>`.
        const KEYEVENT = 1 << 1;
        /// `g`: commands on keys of any type.
        const GENERIC = 1 << 2;
        /// `$`: strings.
        const STRING = 1 << 3;
        /// `l`: lists.
        const LIST = 1 << 4;
        /// `s`: sets.
        const SET = 1 << 5;
        /// `h`: hashes.
        const HASH = 1 << 6;
        /// `z`: sorted sets.
        const SORTED_SET = 1 << 7;
        /// `x`: keys whose time has come.
        const EXPIRED = 1 << 8;
        /// `e`: keys that had to go because memory is short.
        const EVICTED = 1 << 9;
        /// `t`: streams.
        const STREAM = 1 << 10;
        /// `m`: lookups of missing keys.
        const MISS = 1 << 11;
        /// `d`: types of modules.
        const MODULE = 1 << 13;
        /// `n`: keys that are new.
        const NEW = 1 << 14;
        /// `o`: keys that have been overwritten.
        const OVERWRITTEN = 1 << 15;
        /// `c`: keys that hold another type.
        const TYPE_CHANGED = 1 << 16;
        /// `S`: publish on `__subkeyspace@<db>__:<key>`.
        const SUBKEYSPACE = 1 << 17;
        /// `T`: publish on `__subkeyevent@<db>__:<event>`.
        const SUBKEYEVENT = 1 << 18;
        /// `I`: publish on `__subkeyspaceitem@<db>__:<key>\n<field>`.
        const SUBKEYSPACEITEM = 1 << 19;
        /// `V`: publish on `__subkeyspaceevent@<db>__:<event>|<key>`.
        const SUBKEYSPACEEVENT = 1 << 20;
    }
}

/// The letters in the order in which Redis shows them.
const LETTERS: [(u8, KeyspaceEvents); 20] = [
    (b'g', KeyspaceEvents::GENERIC),
    (b'$', KeyspaceEvents::STRING),
    (b'l', KeyspaceEvents::LIST),
    (b's', KeyspaceEvents::SET),
    (b'h', KeyspaceEvents::HASH),
    (b'z', KeyspaceEvents::SORTED_SET),
    (b'x', KeyspaceEvents::EXPIRED),
    (b'e', KeyspaceEvents::EVICTED),
    (b't', KeyspaceEvents::STREAM),
    (b'd', KeyspaceEvents::MODULE),
    (b'n', KeyspaceEvents::NEW),
    (b'o', KeyspaceEvents::OVERWRITTEN),
    (b'c', KeyspaceEvents::TYPE_CHANGED),
    (b'K', KeyspaceEvents::KEYSPACE),
    (b'E', KeyspaceEvents::KEYEVENT),
    (b'm', KeyspaceEvents::MISS),
    (b'S', KeyspaceEvents::SUBKEYSPACE),
    (b'T', KeyspaceEvents::SUBKEYEVENT),
    (b'I', KeyspaceEvents::SUBKEYSPACEITEM),
    (b'V', KeyspaceEvents::SUBKEYSPACEEVENT),
];

impl KeyspaceEvents {
    /// What the letter `A` stands for: every class but those that are left out for the sake of old clients.
    pub const ALL_OLD: Self = Self::GENERIC
        .union(Self::STRING)
        .union(Self::LIST)
        .union(Self::SET)
        .union(Self::HASH)
        .union(Self::SORTED_SET)
        .union(Self::EXPIRED)
        .union(Self::EVICTED)
        .union(Self::STREAM)
        .union(Self::MODULE);

    /// The channels that name keys.
    pub const OF_KEYS: Self = Self::KEYSPACE.union(Self::KEYEVENT);

    /// The channels that name fields.
    pub const OF_FIELDS: Self =
        Self::SUBKEYSPACE.union(Self::SUBKEYEVENT).union(Self::SUBKEYSPACEITEM).union(Self::SUBKEYSPACEEVENT);

    /// Reads the letters; `None` if one is unknown.
    pub(super) fn parse(letters: &[u8]) -> Option<Self> {
        letters.iter().try_fold(Self::empty(), |events, letter| {
            if *letter == b'A' {
                return Some(events | Self::ALL_OLD);
            }
            LETTERS.iter().find(|(known, _)| known == letter).map(|(_, event)| events | *event)
        })
    }

    /// The letters in Redis's order. With all of `A` set, Redis leaves out the classes that `A` does not include, too.
    pub(super) fn show(self) -> String {
        let all = self.contains(Self::ALL_OLD);
        let hidden =
            if all { Self::ALL_OLD | Self::NEW | Self::OVERWRITTEN | Self::TYPE_CHANGED } else { Self::empty() };
        let letters = LETTERS.iter().filter(|(_, event)| self.contains(*event) && !hidden.contains(*event));
        all.then_some('A').into_iter().chain(letters.map(|(letter, _)| char::from(*letter))).collect()
    }
}
