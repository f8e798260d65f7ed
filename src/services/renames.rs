//! `rename-command`: which commands answer to other names, and which to none.

use std::collections::HashMap;

/// The names that `rename-command` has changed.
#[derive(Debug, Default)]
pub struct Renames {
    /// By a name in lower case: the command that it stands for, none if nobody answers to it any more.
    names: HashMap<Vec<u8>, Option<&'static str>>,
}

impl Renames {
    /// Renames the command called `command`, as the table spells it; an empty name takes it away. The error is Redis's.
    pub fn rename(
        &mut self,
        command: &'static str,
        target: &[u8],
        is_command: impl Fn(&[u8]) -> bool,
    ) -> Result<(), &'static str> {
        let (old, new) = (command.as_bytes().to_vec(), target.to_ascii_lowercase());
        if self.original(&old) != Some(command.as_bytes()) {
            return Err("No such command in rename-command");
        }
        self.names.insert(old, None);
        if new.is_empty() {
            return Ok(());
        }
        if self.original(&new).is_some_and(is_command) {
            return Err("Target command name already exists");
        }
        self.names.insert(new, Some(command));
        Ok(())
    }

    /// The name by which the table knows what a client calls `name`; none if it may not call it so.
    #[inline]
    pub fn original<'a>(&'a self, name: &'a [u8]) -> Option<&'a [u8]> {
        if self.names.is_empty() { Some(name) } else { self.look_up(name) }
    }

    /// Whether a command, by its name in the table, has no name left.
    pub fn is_disabled(&self, command: &str) -> bool {
        self.names.get(command.as_bytes()).is_some_and(Option::is_none)
            && !self.names.values().flatten().any(|original| *original == command)
    }

    #[cold]
    fn look_up<'a>(&'a self, name: &'a [u8]) -> Option<&'a [u8]> {
        match self.names.get(&name.to_ascii_lowercase()) {
            Some(renamed) => renamed.map(str::as_bytes),
            None => Some(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_command(name: &[u8]) -> bool {
        [&b"hset"[..], b"hget", b"config"].contains(&name)
    }

    #[test]
    fn renamed_commands_answer_to_their_new_name_alone() {
        let mut renames = Renames::default();
        assert_eq!(renames.original(b"HSET"), Some(&b"HSET"[..]));
        renames.rename("hset", b"Put", is_command).unwrap();
        renames.rename("config", b"", is_command).unwrap();
        assert_eq!(renames.original(b"HSET"), None);
        assert_eq!(renames.original(b"pUT"), Some(&b"hset"[..]));
        assert_eq!(renames.original(b"CONFIG"), None);
        assert_eq!(renames.original(b"HGET"), Some(&b"HGET"[..]));
        assert!(renames.is_disabled("config") && !renames.is_disabled("hset") && !renames.is_disabled("hget"));
    }

    #[test]
    fn names_are_taken_once() {
        let mut renames = Renames::default();
        assert_eq!(renames.rename("hset", b"hget", is_command), Err("Target command name already exists"));
        let mut renames = Renames::default();
        renames.rename("hset", b"a", is_command).unwrap();
        assert_eq!(renames.rename("hset", b"b", is_command), Err("No such command in rename-command"));
        assert_eq!(renames.rename("hget", b"A", |name| name == b"hset"), Err("Target command name already exists"));
        renames.rename("config", b"hset", is_command).unwrap();
        assert_eq!(renames.original(b"HSET"), Some(&b"config"[..]));
    }
}
