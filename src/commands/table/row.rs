//! The builder of the table's rows: what a command is, in one expression.

use crate::handler::spec::{Channels, Docs, KeyFlags, Reach};
use crate::handler::{Acl, CommandFlags, Handler, KeySpec, Spec};

const RO: KeyFlags = KeyFlags::RO;
const INCOMPLETE: KeyFlags = KeyFlags::INCOMPLETE;
const RW: KeyFlags = KeyFlags::RW;
const OW: KeyFlags = KeyFlags::OW;
const RM: KeyFlags = KeyFlags::RM;
const ACCESS: KeyFlags = KeyFlags::ACCESS;
const UPDATE: KeyFlags = KeyFlags::UPDATE;
const INSERT: KeyFlags = KeyFlags::INSERT;
const DELETE: KeyFlags = KeyFlags::DELETE;

pub(super) const RW_UPDATE: &[KeySpec] = &[keys(1, 0, &[RW, UPDATE])];
pub(super) const RW_INSERT: &[KeySpec] = &[keys(1, 0, &[RW, INSERT])];
pub(super) const RW_DELETE: &[KeySpec] = &[keys(1, 0, &[RW, DELETE])];
pub(super) const RW_ACCESS_UPDATE: &[KeySpec] = &[keys(1, 0, &[RW, ACCESS, UPDATE])];
pub(super) const RW_TTL_UPDATE: &[KeySpec] =
    &[KeySpec { notes: Some("RW and UPDATE because it changes the TTL"), ..keys(1, 0, &[RW, ACCESS, UPDATE]) }];
pub(super) const RW_ACCESS_DELETE: &[KeySpec] = &[keys(1, 0, &[RW, ACCESS, DELETE])];
pub(super) const RO_ACCESS: &[KeySpec] = &[keys(1, 0, &[RO, ACCESS])];
pub(super) const RO_ONLY: &[KeySpec] = &[keys(1, 0, &[RO])];
pub(super) const RM_DELETE_EACH: &[KeySpec] = &[keys(1, -1, &[RM, DELETE])];
pub(super) const RO_EACH: &[KeySpec] = &[keys(1, -1, &[RO])];
pub(super) const RENAME_PAIR: &[KeySpec] = &[keys(1, 0, &[RW, ACCESS, DELETE]), keys(2, 0, &[OW, UPDATE])];
pub(super) const RENAMENX_PAIR: &[KeySpec] = &[keys(1, 0, &[RW, ACCESS, DELETE]), keys(2, 0, &[OW, INSERT])];
pub(super) const COPY_PAIR: &[KeySpec] = &[keys(1, 0, &[RO, ACCESS]), keys(2, 0, &[OW, UPDATE])];
pub(super) const RO_AT_2: &[KeySpec] = &[keys(2, 0, &[RO])];
pub(super) const OW_UPDATE: &[KeySpec] = &[keys(1, 0, &[OW, UPDATE])];
pub(super) const MIGRATE_KEYS: &[KeySpec] = &[
    keys(3, 0, &[RW, ACCESS, DELETE]),
    KeySpec { keyword: Some("KEYS"), ..keys(-2, -1, &[RW, ACCESS, DELETE, INCOMPLETE]) },
];
pub(super) const OW_UPDATE_AT_2: &[KeySpec] = &[keys(2, 0, &[OW, UPDATE])];

pub(super) const SHARD_CHANNEL: &[KeySpec] = &[keys(1, 0, &[KeyFlags::NOT_KEY])];
pub(super) const SHARD_CHANNELS: &[KeySpec] = &[keys(1, -1, &[KeyFlags::NOT_KEY])];

/// One key specification: the keys from `first` to `last` and what happens to them.
const fn keys(first: i32, last: i32, uses: &[KeyFlags]) -> KeySpec {
    let mut flags = KeyFlags::empty();
    let mut rest = uses;
    while let [flag, others @ ..] = rest {
        flags = flags.union(*flag);
        rest = others;
    }
    KeySpec { first, last, step: 1, flags, keyword: None, notes: None }
}

/// A row of the table: a [`Spec`] in the making, and what `COMMAND INFO` says beyond it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    full_name: &'static str,
    arity: i16,
    flags: CommandFlags,
    acl: Acl,
    keys: &'static [KeySpec],
    channels: Channels,
    reach: Reach,
    handler: Option<Handler>,
    group: &'static str,
    docs: [&'static str; 4],
    tips: &'static [&'static str],
}

/// A command that only reads data.
pub(super) const fn read(full_name: &'static str, arity: i16, handler: Handler) -> Row {
    other(full_name, arity, handler).flag(CommandFlags::READONLY).acl(Acl::READ)
}

/// A command that may change data.
pub(super) const fn write(full_name: &'static str, arity: i16, handler: Handler) -> Row {
    other(full_name, arity, handler).flag(CommandFlags::WRITE).acl(Acl::WRITE)
}

/// A command that has nothing to do with the data.
pub(super) const fn other(full_name: &'static str, arity: i16, handler: Handler) -> Row {
    Row { arity, handler: Some(handler), ..container(full_name) }
}

/// A command that has subcommands and does nothing without one.
pub(super) const fn container(full_name: &'static str) -> Row {
    Row {
        full_name,
        arity: -2,
        flags: CommandFlags::empty(),
        acl: Acl::empty(),
        keys: &[],
        channels: Channels::None,
        reach: Reach::Keys,
        handler: None,
        group: "server",
        docs: [""; 4],
        tips: &[],
    }
}

impl Row {
    /// Adds a flag.
    pub(super) const fn flag(self, flag: CommandFlags) -> Self {
        Self { flags: self.flags.union(flag), ..self }
    }

    /// Adds an ACL category.
    pub(super) const fn acl(self, category: Acl) -> Self {
        Self { acl: self.acl.union(category), ..self }
    }

    /// Puts the command into a documentation group.
    pub(super) const fn group(self, group: &'static str) -> Self {
        Self { group, ..self }
    }

    /// Takes constant or logarithmic time.
    pub(super) const fn fast(self) -> Self {
        self.flag(CommandFlags::FAST)
    }

    /// Refused when memory is short.
    pub(super) const fn denyoom(self) -> Self {
        self.flag(CommandFlags::DENYOOM)
    }

    /// For administrators.
    pub(super) const fn admin(self) -> Self {
        self.flag(CommandFlags::ADMIN).acl(Acl::ADMIN).acl(Acl::DANGEROUS)
    }

    /// For administrators by its categories alone.
    pub(super) const fn admin_command(self) -> Self {
        self.acl(Acl::ADMIN).acl(Acl::DANGEROUS)
    }

    /// Not allowed in scripts.
    pub(super) const fn noscript(self) -> Self {
        self.flag(CommandFlags::NOSCRIPT)
    }

    /// Served while a dataset loads and by a replica without its primary.
    pub(super) const fn any_state(self) -> Self {
        self.flag(CommandFlags::LOADING).flag(CommandFlags::STALE)
    }

    /// Served before authentication and while a script runs too long.
    pub(super) const fn open(self) -> Self {
        self.flag(CommandFlags::NO_AUTH).flag(CommandFlags::ALLOW_BUSY)
    }

    /// Part of transactions.
    pub(super) const fn transaction(self) -> Self {
        self.group("transactions").acl(Acl::TRANSACTION)
    }

    /// Part of Pub/Sub.
    pub(super) const fn pubsub(self) -> Self {
        self.group("pubsub").flag(CommandFlags::PUBSUB).acl(Acl::PUBSUB).any_state()
    }

    /// Of the hash family.
    pub(super) const fn hash(self) -> Self {
        self.group("hash").acl(Acl::HASH)
    }

    /// Works on keys of any type.
    pub(super) const fn keyspace(self) -> Self {
        self.group("generic").acl(Acl::KEYSPACE)
    }

    /// Works on the connection.
    pub(super) const fn connection(self) -> Self {
        self.group("connection").acl(Acl::CONNECTION)
    }

    /// Works on the server.
    pub(super) const fn server(self) -> Self {
        self.group("server")
    }

    /// Belongs to Redis Cluster.
    pub(super) const fn cluster(self) -> Self {
        self.group("cluster")
    }

    /// Says where the keys are.
    pub(super) const fn keys(self, keys: &'static [KeySpec]) -> Self {
        Self { keys, ..self }
    }

    /// Says which arguments are channels that it listens to or writes to.
    pub(super) const fn channels(self, channels: Channels) -> Self {
        Self { channels, ..self }
    }

    /// Says which data it touches, if not its keys alone.
    pub(super) const fn reach(self, reach: Reach) -> Self {
        Self { reach, ..self }
    }

    /// Adds the hints that `COMMAND INFO` gives to cluster proxies.
    pub(super) const fn tips(self, tips: &'static [&'static str]) -> Self {
        Self { tips, ..self }
    }

    /// Documents it: first version, complexity, summary, argument syntax.
    pub(super) const fn doc(
        self,
        since: &'static str,
        complexity: &'static str,
        summary: &'static str,
        syntax: &'static str,
    ) -> Self {
        Self { docs: [since, complexity, summary, syntax], ..self }
    }

    /// The hints given to cluster proxies.
    pub(super) const fn all_tips(self) -> &'static [&'static str] {
        self.tips
    }

    /// Lower-case name with its container.
    pub(super) const fn full_name(self) -> &'static str {
        self.full_name
    }

    /// The finished row, with its subcommands.
    pub(super) const fn spec(self, subcommands: &'static [Spec]) -> Spec {
        let speed = if self.flags.contains(CommandFlags::FAST) { Acl::FAST } else { Acl::SLOW };
        let [since, complexity, summary, syntax] = self.docs;
        Spec {
            name: own_name(self.full_name),
            full_name: self.full_name,
            arity: self.arity,
            flags: self.flags,
            acl: self.acl.union(speed),
            keys: self.keys,
            channels: self.channels,
            reach: self.reach,
            handler: self.handler,
            subcommands,
            docs: Docs { summary, since, group: self.group, complexity, syntax },
        }
    }
}

/// `setname` of `client|setname`.
const fn own_name(full_name: &'static str) -> &'static str {
    let mut rest = full_name.as_bytes();
    while let [byte, after @ ..] = rest {
        if *byte == b'|' {
            return full_name.split_at(full_name.len() - after.len()).1;
        }
        rest = after;
    }
    full_name
}

/// Whether a variant of `Command` is named after its command, so that the two cannot drift apart.
pub(super) const fn is_named_after(variant: &str, full_name: &str) -> bool {
    let (mut variant, mut name) = (variant.as_bytes(), full_name.as_bytes());
    loop {
        match (variant, name) {
            ([], []) => return true,
            (_, [b'|' | b'-' | b'_', rest @ ..]) => name = rest,
            ([first, variant_rest @ ..], [second, name_rest @ ..]) if first.eq_ignore_ascii_case(second) => {
                (variant, name) = (variant_rest, name_rest);
            }
            _ => return false,
        }
    }
}
