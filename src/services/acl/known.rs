//! The commands that ACL rules may name: all of Redis, whether they are served here or not.

use std::collections::HashMap;

use super::category::Categories;
use super::request::Permissions;
use crate::services::stats::CommandId;

mod keys;

/// What a real Redis says of its commands; its first lines tell how to read the others.
const COMMANDS: &str = include_str!("commands.txt");

/// The place of a command among those that ACL knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KnownId(u16);

impl KnownId {
    /// No command's: what nobody may run who may not run all.
    const NOBODYS: Self = Self(u16::MAX);

    /// The place as a number.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A command that ACL knows.
#[derive(Debug)]
pub struct KnownCommand {
    /// Name, with its container's if it is a subcommand, as Redis spells it.
    pub name: &'static str,
    /// Exact number of arguments with the name, or the least when negative.
    pub arity: i16,
    /// Where it belongs.
    pub categories: Categories,
    /// Its subcommands.
    pub subcommands: Vec<KnownId>,
    /// Whether it is a subcommand.
    pub has_parent: bool,
    /// Where its keys are, in the notation of the file.
    keys: &'static str,
}

impl KnownCommand {
    /// Whether `argc` arguments (with the command name) suit the command.
    pub fn accepts(&self, argc: usize) -> bool {
        let wanted = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 { argc >= wanted } else { argc == wanted }
    }
}

/// A command of this server as ACL knows it.
#[derive(Debug, Clone, Copy)]
struct Served {
    id: KnownId,
    /// Whether ACL tells its subcommands apart although the command table does not.
    is_undivided: bool,
}

/// All commands that ACL knows.
#[derive(Debug)]
pub struct Known {
    commands: Vec<KnownCommand>,
    /// By name in small letters.
    by_name: HashMap<String, KnownId>,
    served: Vec<Served>,
}

impl Known {
    /// Redis's commands and those of this server, which are given in the order of their ids.
    pub fn new(served: &[(&'static str, Categories)]) -> Self {
        let mut known = Self { commands: Vec::new(), by_name: HashMap::new(), served: Vec::new() };
        for line in COMMANDS.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.splitn(4, ' ');
            let (Some(name), Some(arity), Some(categories)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let categories = categories.split(',').filter_map(|name| Categories::named(name.as_bytes())).collect();
            known.add(name, arity.parse().unwrap_or(-1), categories, words.next().unwrap_or_default());
        }
        for (name, categories) in served {
            if known.find(name.as_bytes()).is_none() {
                known.add(name, -1, *categories, "");
            }
        }
        known.served = served.iter().map(|(name, _)| known.serve(name, served)).collect();
        known
    }

    fn add(&mut self, name: &'static str, arity: i16, categories: Categories, keys: &'static str) {
        let id = KnownId(u16::try_from(self.commands.len()).unwrap_or(u16::MAX));
        let parent = name.split_once('|').and_then(|(parent, _)| self.find(parent.as_bytes()));
        if let Some(parent) = parent.and_then(|parent| self.commands.get_mut(parent.index())) {
            parent.subcommands.push(id);
        }
        let has_parent = parent.is_some();
        self.commands.push(KnownCommand { name, arity, categories, subcommands: Vec::new(), has_parent, keys });
        self.by_name.insert(name.to_ascii_lowercase(), id);
    }

    fn serve(&self, name: &str, all: &[(&'static str, Categories)]) -> Served {
        let id = self.find(name.as_bytes()).unwrap_or(KnownId::NOBODYS);
        let is_part = |full: &str| full.split_once('|').is_some_and(|(container, _)| container == name);
        let is_divided = all.iter().any(|(other, _)| is_part(other));
        let has_subcommands = self.command(id).is_some_and(|command| !command.subcommands.is_empty());
        Served { id, is_undivided: has_subcommands && !is_divided }
    }

    /// The command called `name`, in any case; subcommands with their container (`config|get`).
    pub fn find(&self, name: &[u8]) -> Option<KnownId> {
        let name = std::str::from_utf8(name).ok()?;
        self.by_name.get(&name.to_ascii_lowercase()).copied()
    }

    /// What there is to know of a command.
    pub fn command(&self, id: KnownId) -> Option<&KnownCommand> {
        self.commands.get(id.index())
    }

    /// All commands with their ids.
    pub fn all(&self) -> impl Iterator<Item = (KnownId, &KnownCommand)> {
        (0..=u16::MAX).map(KnownId).zip(&self.commands)
    }

    /// Number of commands.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// A command of this server; `second` is its first argument, which may name a subcommand.
    pub fn served(&self, id: CommandId, second: Option<&[u8]>) -> KnownId {
        let Some(served) = self.served.get(usize::from(id.0)) else { return KnownId::NOBODYS };
        if !served.is_undivided {
            return served.id;
        }
        second.and_then(|second| self.subcommand(served.id, second)).unwrap_or(served.id)
    }

    /// Whether ACL tells subcommands of a command of this server apart although the command table does not.
    pub fn is_undivided(&self, id: CommandId) -> bool {
        self.served.get(usize::from(id.0)).is_some_and(|served| served.is_undivided)
    }

    /// The full name of a command of this server; see [`Known::served`].
    pub fn name_of_served(&self, id: CommandId, second: Option<&[u8]>) -> Option<&'static str> {
        self.command(self.served(id, second)).map(|command| command.name)
    }

    /// The subcommand of a container called `name`, in any case.
    pub fn subcommand(&self, container: KnownId, name: &[u8]) -> Option<KnownId> {
        let container = self.command(container)?.name;
        self.find(&[container.as_bytes(), b"|", name].concat())
    }

    /// Where the keys of a command are, with what it does to them, as its row in Redis's table says.
    pub fn keys(&self, id: KnownId, argv: &[&[u8]]) -> Vec<(usize, Permissions)> {
        self.command(id).map_or_else(Vec::new, |command| keys::of_command(command.name, command.keys, argv))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Permissions = Permissions::READ;
    const WRITE: Permissions = Permissions::WRITE;

    #[test]
    fn commands_are_found_with_their_subcommands() {
        let known =
            Known::new(&[("hget", Categories::READ), ("cluster", Categories::SLOW), ("own|sub", Categories::FAST)]);
        let name = |id: KnownId| known.command(id).unwrap().name;
        assert_eq!(name(known.find(b"CONFIG|get").unwrap()), "config|get");
        assert_eq!(name(known.served(CommandId(0), Some(b"info"))), "hget");
        assert_eq!(name(known.served(CommandId(1), Some(b"INFO"))), "cluster|info");
        assert_eq!(name(known.served(CommandId(1), Some(b"nope"))), "cluster");
        assert_eq!(name(known.served(CommandId(2), None)), "own|sub");
        assert!(known.is_undivided(CommandId(1)) && !known.is_undivided(CommandId(0)));
        assert!(known.find(b"config|nope").is_none() && known.find(b"").is_none() && known.find(b"\xff").is_none());
        assert!(known.len() > 400 && known.served(CommandId(9), None) == KnownId::NOBODYS);
    }

    #[test]
    fn keys_are_where_redis_finds_them() {
        let known = Known::new(&[]);
        for (line, keys) in [
            ("get k", vec![(1, READ)]),
            ("set k v", vec![(1, WRITE)]),
            ("set k v ex 1 get", vec![(1, READ | WRITE)]),
            ("mset a 1 b 2", vec![(1, WRITE), (3, WRITE)]),
            ("zunionstore d 2 a b weights", vec![(1, WRITE), (3, READ), (4, READ)]),
            ("zunionstore d 3 a b", vec![]),
            ("eval s 0 a", vec![]),
            ("xread count 1 streams a b 0 0", vec![(4, READ), (5, READ)]),
            ("georadius k 1 1 1 m store d", vec![(1, READ), (7, WRITE)]),
            ("sort k limit 0 store get store by x store d", vec![(1, READ), (10, WRITE)]),
            ("bitfield k get u8 0 overflow sat get u8 1", vec![(1, READ)]),
            ("bitfield k incrby u8 0 1", vec![(1, READ | WRITE)]),
            ("lmpop 2 a b left", vec![(2, READ | WRITE), (3, READ | WRITE)]),
            ("ping x", vec![]),
        ] {
            let argv: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            assert_eq!(known.keys(known.find(argv[0]).unwrap(), &argv), keys, "{line}");
        }
    }
}
