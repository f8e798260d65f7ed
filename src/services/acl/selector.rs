//! Selectors: which commands, keys and channels go together. A user has one at least.

use std::collections::BTreeMap;

use super::category::Categories;
use super::known::{Known, KnownId};
use super::request::{Denial, Permissions, Request};
use super::rules::{RuleError, until_nul};
use crate::base::glob;

/// A pattern of keys and what may be done with those that match.
#[derive(Debug, Clone, PartialEq, Eq)]
struct KeyPattern {
    pattern: Box<[u8]>,
    permissions: Permissions,
}

/// A rule about commands as it was given, for those who list rules.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CommandRule {
    allows: bool,
    /// A command, a command with a first argument, or a category with its `@`, in small letters.
    name: Vec<u8>,
}

bitflags::bitflags! {
    /// What a selector leaves free.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Free: u8 {
        /// All keys, for reading and writing.
        const KEYS = 1 << 0;
        /// All channels.
        const CHANNELS = 1 << 1;
        /// All commands: no rule has taken one away since `+@all`.
        const COMMANDS = 1 << 2;
    }
}

/// What a request may consist of.
#[derive(Debug, Clone)]
pub struct Selector {
    free: Free,
    /// Whether the rules start from `+@all`, not from `-@all`.
    starts_from_all: bool,
    /// A bit for each command that ACL knows.
    commands: Box<[u64]>,
    /// First arguments with which alone a command may run.
    first_args: BTreeMap<KnownId, Vec<Box<[u8]>>>,
    keys: Vec<KeyPattern>,
    channels: Vec<Box<[u8]>>,
    rules: Vec<CommandRule>,
}

impl Selector {
    /// Nothing is allowed, but for all channels if `has_all_channels`.
    pub fn new(known: &Known, has_all_channels: bool) -> Self {
        Self {
            free: if has_all_channels { Free::CHANNELS } else { Free::empty() },
            starts_from_all: false,
            commands: vec![0; known.len().div_ceil(64)].into_boxed_slice(),
            first_args: BTreeMap::new(),
            keys: Vec::new(),
            channels: Vec::new(),
            rules: Vec::new(),
        }
    }

    /// Applies one rule (`+get`, `~key:*`, `allchannels`, ...).
    pub fn apply(&mut self, rule: &[u8], known: &Known) -> Result<(), RuleError> {
        let text = until_nul(rule);
        let is = |word: &str| text.eq_ignore_ascii_case(word.as_bytes());
        if is("allkeys") || is("~*") || is("resetkeys") {
            self.free.set(Free::KEYS, !is("resetkeys"));
            self.keys.clear();
        } else if is("allchannels") || is("&*") || is("resetchannels") {
            self.free.set(Free::CHANNELS, !is("resetchannels"));
            self.channels.clear();
        } else if is("allcommands") || is("+@all") || is("nocommands") || is("-@all") {
            let all = is("allcommands") || is("+@all");
            self.commands.fill(if all { u64::MAX } else { 0 });
            self.free.set(Free::COMMANDS, all);
            self.starts_from_all = all;
            self.first_args.clear();
            self.rules.clear();
        } else {
            match rule {
                [b'~' | b'%', ..] if self.free.contains(Free::KEYS) => return Err(RuleError::AfterAllKeys),
                [b'~', pattern @ ..] => self.add_keys(pattern, Permissions::all())?,
                [b'%', rest @ ..] => {
                    let (permissions, pattern) = key_permissions(rest)?;
                    self.add_keys(pattern, permissions)?;
                }
                [b'&', pattern @ ..] => self.add_channels(pattern)?,
                [sign @ (b'+' | b'-'), category @ ..] if category.starts_with(b"@") => {
                    self.apply_category(*sign == b'+', until_nul(category), known)?;
                }
                [b'+', name @ ..] => self.allow(until_nul(name), known)?,
                [b'-', name @ ..] => {
                    let id = known.find(until_nul(name)).ok_or(RuleError::Unknown)?;
                    self.change_command(id, false, known);
                }
                _ => return Err(RuleError::Syntax),
            }
        }
        Ok(())
    }

    /// Whether it allows everything.
    pub fn is_unrestricted(&self) -> bool {
        self.free.is_all()
    }

    /// Whether it allows all keys, for reading and writing.
    pub fn has_all_keys(&self) -> bool {
        self.free.contains(Free::KEYS)
    }

    /// Whether it allows all channels.
    pub fn has_all_channels(&self) -> bool {
        self.free.contains(Free::CHANNELS)
    }

    /// The patterns of channels that it allows.
    pub fn channels(&self) -> &[Box<[u8]>] {
        &self.channels
    }

    /// Whether it allows a request.
    pub fn check<'r, A, K>(&self, request: &Request<A, K>) -> Result<(), Denial>
    where
        A: Fn(usize) -> Option<&'r [u8]>,
        K: Iterator<Item = (usize, Permissions)> + Clone,
    {
        let at = &request.at;
        if request
            .command
            .is_some_and(|command| !self.free.contains(Free::COMMANDS) && !self.allows_command(command, at(1)))
        {
            return Err(Denial::Command);
        }
        if !self.free.contains(Free::KEYS) {
            for (position, permissions) in request.keys.clone() {
                if at(position).is_some_and(|key| !self.allows_key(key, permissions)) {
                    return Err(Denial::Key(position));
                }
            }
        }
        if !self.free.contains(Free::CHANNELS) {
            for position in request.channels.clone() {
                if at(position).is_some_and(|name| !allows_channel(&self.channels, name, request.are_patterns)) {
                    return Err(Denial::Channel(position));
                }
            }
        }
        Ok(())
    }

    /// The rules about commands as ACL LIST shows them.
    pub fn describe_commands(&self) -> Vec<u8> {
        let mut text = if self.starts_from_all { b"+@all".to_vec() } else { b"-@all".to_vec() };
        for rule in &self.rules {
            text.extend_from_slice(if rule.allows { b" +" } else { b" -" });
            text.extend_from_slice(&rule.name);
        }
        text
    }

    /// The patterns of keys as ACL GETUSER shows them.
    pub fn describe_keys(&self) -> Vec<u8> {
        if self.free.contains(Free::KEYS) {
            return b"~*".to_vec();
        }
        let shown: Vec<_> = self.keys.iter().map(KeyPattern::show).collect();
        shown.join(&b' ')
    }

    /// The patterns of channels as ACL GETUSER shows them.
    pub fn describe_channels(&self) -> Vec<u8> {
        if self.free.contains(Free::CHANNELS) {
            return b"&*".to_vec();
        }
        let shown: Vec<_> = self.channels.iter().map(|pattern| [b"&", &**pattern].concat()).collect();
        shown.join(&b' ')
    }

    /// All of it as ACL LIST shows it.
    pub fn describe(&self) -> Vec<u8> {
        let reset: &[u8] = if self.free.contains(Free::CHANNELS) { b"" } else { b"resetchannels" };
        let parts = [&*self.describe_keys(), reset, &self.describe_channels(), &self.describe_commands()];
        let parts: Vec<&[u8]> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(&b' ')
    }

    fn allows_command(&self, command: KnownId, first_arg: Option<&[u8]>) -> bool {
        let word = self.commands.get(command.index() / 64).copied().unwrap_or(0);
        if word >> (command.index() % 64) & 1 == 1 {
            return true;
        }
        let (Some(allowed), Some(first_arg)) = (self.first_args.get(&command), first_arg) else { return false };
        allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(first_arg))
    }

    fn allows_key(&self, key: &[u8], needed: Permissions) -> bool {
        self.keys.iter().any(|keys| keys.permissions.contains(needed) && glob::matches(&keys.pattern, key))
    }

    fn add_keys(&mut self, pattern: &[u8], permissions: Permissions) -> Result<(), RuleError> {
        if has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        match self.keys.iter_mut().find(|keys| *keys.pattern == *pattern) {
            Some(keys) => keys.permissions |= permissions,
            None => self.keys.push(KeyPattern { pattern: pattern.into(), permissions }),
        }
        Ok(())
    }

    fn add_channels(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        if self.free.contains(Free::CHANNELS) {
            return Err(RuleError::AfterAllChannels);
        }
        if has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        if !self.channels.iter().any(|known| **known == *pattern) {
            self.channels.push(pattern.into());
        }
        Ok(())
    }

    /// `+@read`: the category with its `@`.
    fn apply_category(&mut self, allows: bool, category: &[u8], known: &Known) -> Result<(), RuleError> {
        let wanted = category.get(1..).and_then(Categories::named).ok_or(RuleError::Unknown)?;
        self.remember(category, allows);
        for (id, _) in known.all().filter(|(_, command)| command.categories.contains(wanted)) {
            self.set(id, allows, known);
        }
        Ok(())
    }

    /// `+get`, `+config|get`, `+select|0`.
    fn allow(&mut self, name: &[u8], known: &Known) -> Result<(), RuleError> {
        let Some(bar) = name.iter().rposition(|&byte| byte == b'|') else {
            let id = known.find(name).ok_or(RuleError::Unknown)?;
            self.change_command(id, true, known);
            return Ok(());
        };
        let (container, rest) = name.split_at(bar);
        let first_arg = rest.get(1..).unwrap_or_default();
        let id = known.find(container).ok_or(RuleError::Unknown)?;
        let command = known.command(id).ok_or(RuleError::Unknown)?;
        if command.has_parent {
            return Err(RuleError::FirstArgOfSubcommand);
        }
        // Spaces would make two rules of one where rules are listed.
        if first_arg.is_empty() || has_spaces(first_arg) {
            return Err(RuleError::Syntax);
        }
        if !command.subcommands.is_empty() {
            let id = known.subcommand(id, first_arg).ok_or(RuleError::Unknown)?;
            self.change_command(id, true, known);
            return Ok(());
        }
        self.remember(name, true);
        let allowed = self.first_args.entry(id).or_default();
        if !allowed.iter().any(|known| known.eq_ignore_ascii_case(first_arg)) {
            allowed.push(first_arg.into());
        }
        Ok(())
    }

    fn change_command(&mut self, id: KnownId, allows: bool, known: &Known) {
        if let Some(command) = known.command(id) {
            self.remember(command.name.as_bytes(), allows);
            self.set(id, allows, known);
        }
    }

    /// Allows or denies a command with all its subcommands.
    fn set(&mut self, id: KnownId, allows: bool, known: &Known) {
        self.first_args.remove(&id);
        let subcommands = known.command(id).map_or(&[][..], |command| &command.subcommands);
        for id in std::iter::once(&id).chain(subcommands) {
            let Some(word) = self.commands.get_mut(id.index() / 64) else { continue };
            let bit = 1 << (id.index() % 64);
            if allows {
                *word |= bit;
            } else {
                *word &= !bit;
                self.free.remove(Free::COMMANDS);
            }
        }
    }

    /// Keeps a rule for those who list rules, in place of those that it makes void.
    fn remember(&mut self, name: &[u8], allows: bool) {
        let name = name.to_ascii_lowercase();
        let is_void = |rule: &CommandRule| {
            rule.name.strip_prefix(&*name).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"|"))
        };
        self.rules.retain(|rule| !is_void(rule));
        self.rules.push(CommandRule { allows, name });
    }
}

impl KeyPattern {
    fn show(&self) -> Vec<u8> {
        let prefix: &[u8] = if self.permissions == Permissions::READ {
            b"%R~"
        } else if self.permissions == Permissions::WRITE {
            b"%W~"
        } else {
            b"~"
        };
        [prefix, &self.pattern].concat()
    }
}

/// Whether one of `allowed` matches a channel, or is the same as a pattern of channels.
pub fn allows_channel(allowed: &[Box<[u8]>], name: &[u8], is_pattern: bool) -> bool {
    allowed.iter().any(|pattern| if is_pattern { **pattern == *name } else { glob::matches(pattern, name) })
}

/// Whether a name has white space or a NUL, which no file of rules could hold.
pub fn has_spaces(name: &[u8]) -> bool {
    name.iter().any(|&byte| byte.is_ascii_whitespace() || byte == 0x0b || byte == 0)
}

/// `RW~pattern`, with either letter or both; what stands before the tilde and behind it.
fn key_permissions(rest: &[u8]) -> Result<(Permissions, &[u8]), RuleError> {
    let mut permissions = Permissions::empty();
    for (position, byte) in rest.iter().enumerate() {
        let wanted = match byte.to_ascii_uppercase() {
            b'R' => Permissions::READ,
            b'W' => Permissions::WRITE,
            b'~' if !permissions.is_empty() => return Ok((permissions, rest.get(position + 1..).unwrap_or_default())),
            _ => return Err(RuleError::Syntax),
        };
        if permissions.contains(wanted) {
            return Err(RuleError::Syntax);
        }
        permissions |= wanted;
    }
    // As in Redis, where `%R` alone is `%R~`.
    if permissions.is_empty() { Err(RuleError::Syntax) } else { Ok((permissions, b"")) }
}
