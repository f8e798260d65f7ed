//! `Spec`: one command's row in the table, from which everything users see about it is derived.

use std::ops::Range;

use super::{Args, Context, Outcome};
use crate::services::acl::Acl as Users;
pub use crate::services::acl::Categories as Acl;
use crate::services::acl::request::{Permissions, Request};
use crate::services::stats::CommandId;

/// A handler: one free function per command.
pub type Handler = fn(&mut Context<'_>, &mut Args<'_>) -> Outcome;

bitflags::bitflags! {
    /// What the gate needs to know of a command; the names are Redis's (`COMMAND INFO` prints them in this order).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct CommandFlags: u32 {
        /// May change data.
        const WRITE = 1 << 0;
        /// Only reads data.
        const READONLY = 1 << 1;
        /// Refused when memory is short.
        const DENYOOM = 1 << 2;
        /// For administrators.
        const ADMIN = 1 << 3;
        /// Belongs to Pub/Sub.
        const PUBSUB = 1 << 4;
        /// Not allowed in scripts.
        const NOSCRIPT = 1 << 5;
        /// May block the client.
        const BLOCKING = 1 << 6;
        /// Served while a dataset loads.
        const LOADING = 1 << 7;
        /// Served by a replica that has lost its primary.
        const STALE = 1 << 8;
        /// Not shown by MONITOR.
        const SKIP_MONITOR = 1 << 9;
        /// Not shown in the slow log.
        const SKIP_SLOWLOG = 1 << 10;
        /// Takes constant or logarithmic time.
        const FAST = 1 << 11;
        /// Served before authentication.
        const NO_AUTH = 1 << 12;
        /// Refused inside MULTI.
        const NO_MULTI = 1 << 13;
        /// Keys cannot be told from a fixed position alone.
        const MOVABLEKEYS = 1 << 14;
        /// Served while a script runs too long.
        const ALLOW_BUSY = 1 << 15;
        /// Runs in asynchronous loading.
        const NO_ASYNC_LOADING = 1 << 16;
        /// Held back by CLIENT PAUSE WRITE although it changes no data; `COMMAND INFO` does not tell.
        const MAY_REPLICATE = 1 << 17;
        /// Runs at once inside MULTI; `COMMAND INFO` does not tell.
        const NOT_QUEUED = 1 << 19;
        /// Looks at all fields of a hash, or at all keys, which may take long; `COMMAND INFO` does not tell.
        const WHOLE = 1 << 20;
        /// Looks at as many fields or keys as its option COUNT says, which may take long; `COMMAND INFO` does not tell.
        const BY_COUNT = 1 << 22;
        /// Reads or writes a file, which may take long; `COMMAND INFO` does not tell.
        const FILES = 1 << 21;
        /// Refused unless the configuration allows it to this client; `COMMAND INFO` does not tell.
        const PROTECTED = 1 << 18;
    }
}

bitflags::bitflags! {
    /// What a command does with a key (`COMMAND INFO`'s key specification flags).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct KeyFlags: u16 {
        /// `RO`
        const RO = 1 << 0;
        /// `RW`
        const RW = 1 << 1;
        /// `OW`
        const OW = 1 << 2;
        /// `RM`
        const RM = 1 << 3;
        /// `access`
        const ACCESS = 1 << 4;
        /// `update`
        const UPDATE = 1 << 5;
        /// `insert`
        const INSERT = 1 << 6;
        /// `delete`
        const DELETE = 1 << 7;
        /// `not_key`
        const NOT_KEY = 1 << 8;
        /// `incomplete`
        const INCOMPLETE = 1 << 9;
        /// `variable_flags`
        const VARIABLE_FLAGS = 1 << 10;
    }
}

impl KeyFlags {
    /// What a user needs to be allowed to do with such a key.
    pub fn permissions(self) -> Permissions {
        let mut needed = Permissions::empty();
        needed.set(Permissions::READ, self.contains(Self::ACCESS));
        needed.set(Permissions::WRITE, self.intersects(Self::UPDATE.union(Self::INSERT).union(Self::DELETE)));
        needed
    }
}

/// Which of a command's arguments name channels that it listens to or writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    /// None.
    None,
    /// The first.
    First,
    /// All.
    Each,
    /// All, which are patterns of channels.
    EachPattern,
}

impl Channels {
    /// Where they are in a request of `argc` arguments.
    fn positions(self, argc: usize) -> Range<usize> {
        match self {
            Self::None => 0..0,
            Self::First => 1..2,
            Self::Each | Self::EachPattern => 1..argc,
        }
    }
}

/// Where a command's keys are among its arguments: from `first` to `last` (negative: from the end), every `step`th.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySpec {
    /// Index of the first key; 0 is the command name.
    pub first: i32,
    /// Index of the last key relative to the first (0: the same; -1: the last argument).
    pub last: i32,
    /// Distance from one key to the next.
    pub step: i32,
    /// What happens to these keys.
    pub flags: KeyFlags,
    /// A word after which the keys come wherever it stands, in place of the index: it is looked for from `first` on, which
    /// counts from the end if it is negative.
    pub keyword: Option<&'static str>,
    /// A remark for readers of `COMMAND INFO`.
    pub notes: Option<&'static str>,
}

impl KeySpec {
    /// Where the keys are in a request of `argc` arguments.
    pub fn positions(self, argc: usize) -> impl Iterator<Item = usize> + Clone + use<> {
        let first = usize::try_from(self.first).unwrap_or(0);
        let offset = usize::try_from(self.last.unsigned_abs()).unwrap_or(usize::MAX);
        let last = if self.last < 0 { argc.saturating_sub(offset) } else { first + offset };
        (first..=last).step_by(usize::try_from(self.step).unwrap_or(1).max(1))
    }
}

/// The keys behind MIGRATE's word KEYS, which its second specification is about, in place of the single one of the first:
/// none if that is given too, which MIGRATE complains of. A password or the name of a user may look like the word. As in
/// Redis, a word at the very end alone is not noticed.
fn listed_keys<'a>(argc: usize, specs: &[KeySpec], at: impl Fn(usize) -> Option<&'a [u8]>) -> Option<KeySpec> {
    const OPTIONS_FROM: usize = 6;
    let [single, listed] = specs else { return None };
    let keyword = listed.keyword?;
    let is = |place: usize, word: &str| at(place).is_some_and(|given| given.eq_ignore_ascii_case(word.as_bytes()));
    if !(2..argc.saturating_sub(1)).any(|place| is(place, keyword)) {
        return None;
    }
    let mut place = OPTIONS_FROM;
    loop {
        place += match () {
            () if place >= argc => return None,
            () if is(place, keyword) => break,
            () if is(place, "auth") => 2,
            () if is(place, "auth2") => 3,
            () => 1,
        };
    }
    let is_alone = at(usize::try_from(single.first).ok()?)?.is_empty();
    let first = if is_alone { place + 1 } else { argc };
    // The flags of the listed ones tell besides that they are not all there is.
    Some(KeySpec { first: i32::try_from(first).ok()?, last: listed.last, ..*single })
}

/// Which data a command touches: what EXEC, and the command itself if it touches several places, must lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Its keys in the selected database.
    Keys,
    /// Its keys in the selected database and in those that its arguments name.
    KeysElsewhere,
    /// The selected database.
    Database,
    /// The databases that its arguments name.
    NamedDatabases,
    /// All databases.
    Everything,
}

/// One command or subcommand.
#[derive(Debug)]
pub struct Spec {
    /// Lower-case name (`hset`; `setname` for the subcommand).
    pub name: &'static str,
    /// Lower-case name with its container (`client|setname`); equal to `name` otherwise.
    pub full_name: &'static str,
    /// Exact number of arguments with the name, or the least when negative.
    pub arity: i16,
    /// The gate's flags.
    pub flags: CommandFlags,
    /// ACL categories, complete (with the implied `@read`, `@write`, `@fast`, `@slow`, ...).
    pub acl: Acl,
    /// Where the keys are.
    pub keys: &'static [KeySpec],
    /// Which arguments are channels.
    pub channels: Channels,
    /// Which data it touches.
    pub reach: Reach,
    /// The function that serves it. Container commands have one only if they may be called without a subcommand.
    pub handler: Option<Handler>,
    /// The subcommands of a container.
    pub subcommands: &'static [Spec],
    /// Documentation.
    pub docs: Docs,
}

/// What `COMMAND DOCS` says of a command.
#[derive(Debug, Clone, Copy)]
pub struct Docs {
    /// One sentence.
    pub summary: &'static str,
    /// First version of Redis that has the command.
    pub since: &'static str,
    /// Group (`hash`, `generic`, `connection`, `server`).
    pub group: &'static str,
    /// Time complexity.
    pub complexity: &'static str,
    /// Arguments in the syntax of the Redis documentation: `key field value [field value ...]`. A word or bracket may
    /// carry a name and a version: `[NX | XX]=condition@7.0.0`.
    pub syntax: &'static str,
}

impl Spec {
    /// Whether `argc` arguments (with the command name) suit the command.
    pub fn accepts(&self, argc: usize) -> bool {
        let wanted = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 { argc >= wanted } else { argc == wanted }
    }

    /// Whether MULTI does not queue it: what ends a transaction, and what complains of being in one.
    pub fn runs_in_multi(&self) -> bool {
        self.flags.contains(CommandFlags::NOT_QUEUED)
    }

    /// Where all keys are in a request of `argc` arguments, which `at` gives, with what is done to them.
    pub fn key_positions<'a, A: Fn(usize) -> Option<&'a [u8]>>(
        &self,
        argc: usize,
        at: A,
    ) -> impl Iterator<Item = (usize, KeySpec)> + Clone + use<A> {
        let listed =
            if self.flags.contains(CommandFlags::MOVABLEKEYS) { listed_keys(argc, self.keys, at) } else { None };
        let in_spec = move |keys: &KeySpec| {
            let keys = listed.unwrap_or(*keys);
            // A shard channel stands where a key would, so that cluster clients find the right node.
            let are_keys = !keys.flags.contains(KeyFlags::NOT_KEY);
            keys.positions(argc).filter(move |_| are_keys).map(move |at| (at, keys))
        };
        self.keys.iter().filter(|keys| keys.keyword.is_none()).flat_map(in_spec)
    }

    /// What a request for this command, whose id is `id`, wants to do, for users' rules to be asked about.
    pub fn acl_request<'a>(
        &self,
        id: CommandId,
        args: Args<'a>,
        users: &Users,
    ) -> Request<impl Fn(usize) -> Option<&'a [u8]>, impl Iterator<Item = (usize, Permissions)> + Clone + use<'a>> {
        let is_for_all = self.flags.contains(CommandFlags::NO_AUTH);
        Request {
            command: if is_for_all { None } else { Some(users.known().served(id, args.at(1))) },
            at: move |position| args.at(position),
            keys: self
                .key_positions(args.argc(), move |at| args.at(at))
                .map(|(at, keys)| (at, keys.flags.permissions())),
            channels: self.channels.positions(args.argc()),
            are_patterns: self.channels == Channels::EachPattern,
        }
    }

    /// The subcommand called `name`, in any case.
    pub fn subcommand(&self, name: &[u8]) -> Option<&'static Spec> {
        self.subcommands.iter().find(|spec| name.eq_ignore_ascii_case(spec.name.as_bytes()))
    }
}
