//! Users in files: `aclfile`, which ACL LOAD and ACL SAVE read and write, and the `user` lines of the configuration.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::rules::{RuleError, Rules, merge_selectors};
use super::selector::has_spaces;
use super::user::User;
use super::{Acl, AclError, DEFAULT, Services};
use crate::base::clock::UnixMillis;

const NO_FILE: &str = "This Redis instance is not configured to use an ACL file. You may want to specify users via the \
    ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to \
    store users in the Redis configuration.";

const NOT_SAVED: &str = "There was an error trying to save the ACLs. Please check the server logs for more information";

const MIXED: &str = "Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is \
    invalid. This setup is very likely to lead to configuration errors and security holes, please define either an ACL \
    file or declare users directly in your redis.conf, but not both.";

/// Users and their rules by name.
type Loaded = BTreeMap<Box<[u8]>, Rules>;

impl Acl {
    /// Reads the users that the configuration names or has in its file, before anybody is served.
    pub fn load_at_start(&self, services: &Services) -> Result<(), AclError> {
        let configured = self.config.users();
        let has_file = !self.config.aclfile().is_empty();
        if has_file && !configured.is_empty() {
            return Err(AclError::new(&[MIXED.as_bytes()]));
        }
        if has_file {
            return self
                .load(services)
                .map_err(|error| AclError::from(format!("Aborting Redis startup because of ACL errors: {error}")));
        }
        let mut loaded = Loaded::new();
        for line in configured {
            self.load_configured(&mut loaded, line)?;
        }
        for (name, rules) in loaded {
            if !rules.is_on() {
                let user = String::from_utf8_lossy(&name);
                tracing::info!(%user, "the user is disabled: there is no 'on' modifier in the user description");
            }
            self.put(&name, rules);
        }
        Ok(())
    }

    /// Reads `aclfile` anew: all of it, or nothing if it has errors. Connections of users that are gone are closed.
    pub fn load(&self, services: &Services) -> Result<(), AclError> {
        let name = self.config.aclfile();
        let path = self.path()?;
        let text = fs::read(&path).map_err(|error| {
            let error = error.to_string();
            let why = error.split(" (os error").next().unwrap_or_default();
            AclError::from(format!("Error loading ACLs, opening file '{name}': {why}"))
        })?;
        let mut loaded = self.parse(&name, &text)?;
        loaded.entry(DEFAULT.into()).or_insert_with(|| Rules::unrestricted(self.grammar()));
        let mut users = self.users.lock();
        let gone: Vec<_> = users.values().filter(|user| !loaded.contains_key(user.name())).cloned().collect();
        for user in gone {
            users.remove(user.name());
            self.abolish(&users, services, &user);
        }
        for (name, rules) in loaded {
            let Some(user) = users.get(&name).cloned() else {
                users.insert(name.clone(), Arc::new(User::new(&name, rules)));
                continue;
            };
            let before = user.rules();
            self.replace(&users, &user, rules);
            self.close_listeners(services, &user, &before);
        }
        Ok(())
    }

    /// Writes all users to `aclfile`, which is never seen half written.
    pub fn save(&self, now: UnixMillis) -> Result<(), AclError> {
        let path = self.path()?;
        let _saving = self.saving.lock();
        let text: Vec<u8> = self.all().iter().flat_map(|user| [user.describe(), b"\n".to_vec()].concat()).collect();
        let temporary = path.with_file_name(format!(
            "{}.tmp-{}-{}",
            path.file_name().unwrap_or_default().to_string_lossy(),
            std::process::id(),
            now.0
        ));
        write_through(&temporary, &path, &text).map_err(|error| {
            tracing::warn!(%error, path = %path.display(), "ACL SAVE failed");
            // What there is of it is of no use; that it cannot be removed changes nothing.
            drop(fs::remove_file(&temporary));
            AclError::new(&[NOT_SAVED.as_bytes()])
        })
    }

    /// Where `aclfile` is: relative to `dir`.
    fn path(&self) -> Result<PathBuf, AclError> {
        let name = self.config.aclfile();
        if name.is_empty() {
            return Err(AclError::new(&[NO_FILE.as_bytes()]));
        }
        Ok(Path::new(&self.config.dir()).join(name))
    }

    /// Sets the rules of a user at the start.
    fn put(&self, name: &[u8], rules: Rules) {
        let mut users = self.users.lock();
        match users.get(name).cloned() {
            Some(user) => self.replace(&users, &user, rules),
            None => drop(users.insert(name.into(), Arc::new(User::new(name, rules)))),
        }
    }

    /// Reads one `user` line of the configuration: the name, then the rules.
    fn load_configured(&self, loaded: &mut Loaded, line: &[Vec<u8>]) -> Result<(), AclError> {
        let Some((name, modifiers)) = line.split_first() else { return Ok(()) };
        let shown = String::from_utf8_lossy(name);
        if has_spaces(name) {
            return Err(AclError::new(&[b"Spaces not allowed in ACL usernames"]));
        }
        if loaded.contains_key(&**name) {
            return Err(AclError::from(format!(
                "Error loading the user named '{shown}': Duplicate user found. A user can only be defined once in config files"
            )));
        }
        let merged = merge_selectors(modifiers.iter().map(Vec::as_slice)).map_err(|at| {
            let rule = modifiers.get(at).map(|rule| String::from_utf8_lossy(rule).into_owned()).unwrap_or_default();
            format!("Unmatched parenthesis in acl selector starting at '{rule}' for the user named '{shown}'")
        })?;
        let mut rules = Rules::new(self.grammar());
        for rule in merged {
            rules.apply(&rule, self.grammar()).map_err(|problem| {
                let rule = String::from_utf8_lossy(&rule);
                format!("Error loading ACL rule '{rule}' for the user named '{shown}': {problem}")
            })?;
        }
        loaded.insert(name.clone().into(), rules);
        Ok(())
    }

    /// Reads the text of a file; all errors in one line, if there are any.
    fn parse(&self, file: &str, text: &[u8]) -> Result<Loaded, String> {
        let (mut loaded, mut errors) = (Loaded::new(), String::new());
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let line = trim(line, b" \t\r\n");
            if !line.is_empty() {
                errors.push_str(&self.parse_line(&mut loaded, line, &format!("{file}:{}", index + 1)));
            }
        }
        if errors.is_empty() {
            return Ok(loaded);
        }
        errors.push_str("WARNING: ACL errors detected, no change to the previously active ACL rules was performed");
        Err(errors)
    }

    /// Reads one line of a file, which stands at `place`; what is wrong with it, if anything.
    fn parse_line(&self, loaded: &mut Loaded, line: &[u8], place: &str) -> String {
        let mut words = line.split(|&byte| byte == b' ');
        let (Some(b"user"), Some(name)) = (words.next(), words.next()) else {
            return format!("{place} should start with user keyword followed by the username. ");
        };
        let shown = String::from_utf8_lossy(name);
        if has_spaces(name) {
            return format!("'{place}: username '{shown}' contains invalid characters. ");
        }
        if loaded.contains_key(name) {
            let (_, line) = place.rsplit_once(':').unwrap_or_default();
            return format!("WARNING: Duplicate user '{shown}' found on line {line}. ");
        }
        let (mut rules, mut errors, mut is_wrong) = (Rules::new(self.grammar()), String::new(), false);
        let Ok(merged) = merge_selectors(words) else {
            return format!("{place}: Unmatched parenthesis in selector definition.");
        };
        for rule in &merged {
            let rule = trim(rule, b"\t\r\n");
            // Writing to a String cannot fail.
            let _ = match rules.apply(rule, self.grammar()) {
                Ok(()) => Ok(()),
                Err(problem @ RuleError::Unknown) => {
                    let rule = String::from_utf8_lossy(rule);
                    write!(errors, "{place}: Error in applying operation '{rule}': {problem}. ")
                }
                // Others may only follow from the first.
                Err(_) if is_wrong => Ok(()),
                Err(problem) => {
                    is_wrong = true;
                    write!(errors, "{place}: {problem}. ")
                }
            };
        }
        loaded.insert(name.into(), rules);
        errors
    }
}

/// A text without any of `bytes` at its ends.
fn trim<'a>(text: &'a [u8], bytes: &[u8]) -> &'a [u8] {
    let is_kept = |byte: &u8| !bytes.contains(byte);
    let Some(first) = text.iter().position(is_kept) else { return &[] };
    let end = text.iter().rposition(is_kept).map_or(first, |last| last + 1);
    text.get(first..end).unwrap_or_default()
}

/// Writes a file by way of a temporary one beside it, down to the disk.
fn write_through(temporary: &Path, path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(temporary)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(temporary, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder)?.sync_all()
}
