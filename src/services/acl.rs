//! ACL: users, what they may do, and who was refused what.
//!
//! The lock of the users comes after those of shards and before those of clients, subscriptions and mailboxes. Rules are
//! replaced as a whole; a counter of generations tells every connection to look at them again.

pub mod access;
pub mod category;
mod file;
pub mod known;
pub mod log;
pub mod request;
pub mod rules;
pub mod selector;
pub mod user;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::Services;
use super::clients::Client;
use super::pubsub::Kind;
use crate::config::Config;
use access::Access;
pub use category::Categories;
use known::Known;
use log::Log;
use rules::{Grammar, Rules, merge_selectors, until_nul};
use selector::{Selector, allows_channel, has_spaces};
use user::User;

/// The user of connections that have named none.
pub const DEFAULT: &[u8] = b"default";

/// Why users are not changed: Redis's text, which quotes what it is about byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", String::from_utf8_lossy(.0))]
pub struct AclError(Vec<u8>);

impl AclError {
    fn new(parts: &[&[u8]]) -> Self {
        Self(parts.concat())
    }

    /// The text.
    pub fn text(&self) -> &[u8] {
        &self.0
    }
}

impl From<String> for AclError {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

type Users = BTreeMap<Box<[u8]>, Arc<User>>;

/// A counter on a cache line of its own, which every request reads and hardly any changes.
#[derive(Debug)]
#[repr(align(128))]
struct Generation(AtomicU64);

/// All users of the server.
#[derive(Debug)]
pub struct Acl {
    /// Changes whenever any user's rules do. Never 0.
    generation: Generation,
    config: Arc<Config>,
    known: Known,
    users: Mutex<Users>,
    default: Arc<User>,
    /// Held while the file is written, so that two writers do not mix.
    saving: Mutex<()>,
    /// Who was refused what.
    pub log: Log,
}

impl Acl {
    /// The default user alone, with the password of `requirepass`. `served` are the commands of this server with their
    /// categories, in the order of their ids.
    pub fn new(config: Arc<Config>, served: &[(&'static str, Categories)]) -> Self {
        let known = Known::new(served);
        let grammar = Grammar { known: &known, starts_with_all_channels: false };
        let default = Arc::new(User::new(DEFAULT, Rules::unrestricted(grammar)));
        let users = BTreeMap::from([(DEFAULT.into(), Arc::clone(&default))]);
        let generation = Generation(AtomicU64::new(1));
        let (users, saving, log) = (Mutex::new(users), Mutex::default(), Log::default());
        let acl = Self { generation, config, known, users, default, saving, log };
        let password = acl.config.requirepass();
        if !password.is_empty() {
            acl.require_password(&password);
        }
        acl
    }

    /// What connections compare to know whether their user may have changed.
    #[inline]
    pub(super) fn generation(&self) -> u64 {
        self.generation.0.load(Ordering::Acquire)
    }

    /// The commands that rules may name.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// What a new connection may do.
    pub fn new_access(&self) -> Access {
        Access::new(Arc::clone(&self.default))
    }

    /// Whether a connection that has named no user has to.
    pub fn asks_for_password(&self) -> bool {
        let rules = self.default.rules();
        !(rules.is_on() && rules.has_no_password())
    }

    /// Whether the default user needs no password, which is what protected mode asks.
    pub fn has_open_door(&self) -> bool {
        self.default.rules().has_no_password()
    }

    /// The user with this name.
    pub fn find(&self, name: &[u8]) -> Option<Arc<User>> {
        self.users.lock().get(name).cloned()
    }

    /// All users in the order of their names.
    pub fn all(&self) -> Vec<Arc<User>> {
        self.users.lock().values().cloned().collect()
    }

    /// Lets a connection in as a user; false if the name, or the password for it, is wrong.
    pub fn log_in(&self, client: &Client, access: &mut Access, name: &[u8], password: &[u8]) -> bool {
        // Who does not exist takes as long as who does.
        let rules = self.find(name).map_or_else(|| Arc::new(Rules::new(self.grammar())), |user| user.rules());
        if !rules.accept(password) {
            return false;
        }
        // With the users locked: whoever deletes the user meanwhile either finds this connection or has been faster.
        let users = self.users.lock();
        let Some(user) = users.get(name) else { return false };
        let current = user.rules();
        if !Arc::ptr_eq(&current, &rules) && !current.accept(password) {
            return false;
        }
        self.change_user(client, access, user);
        true
    }

    /// Lets a connection in as the user that its certificate names; false if there is none, or if it is off.
    pub fn log_in_by_certificate(&self, client: &Client, access: &mut Access, name: &[u8]) -> bool {
        let users = self.users.lock();
        let Some(user) = users.get(name).filter(|user| user.rules().is_on()) else { return false };
        self.change_user(client, access, user);
        true
    }

    /// Makes a connection the default user's again, as if it were new.
    pub fn log_out(&self, client: &Client, access: &mut Access) {
        *access = self.new_access();
        client.set_user(None);
    }

    fn change_user(&self, client: &Client, access: &mut Access, user: &Arc<User>) {
        access.become_user(user);
        client.set_user(Some(user).filter(|user| !Arc::ptr_eq(user, &self.default)).cloned());
    }

    /// `requirepass`: the one password of the default user; an empty one for none.
    pub fn require_password(&self, password: &str) {
        let users = self.users.lock();
        let mut rules = (*self.default.rules()).clone();
        let add = [b">", password.as_bytes()].concat();
        let added: &[u8] = if password.is_empty() { b"nopass" } else { &add };
        for rule in [b"resetpass", added] {
            let applied = rules.apply(rule, self.grammar());
            debug_assert!(applied.is_ok());
        }
        self.replace(&users, &self.default, rules);
    }

    /// Makes or changes a user by all of `modifiers`, or not at all if one of them is wrong. Its connections are bound by
    /// its new rules at once; those that listen to what they no longer may are closed.
    pub fn set_user(&self, services: &Services, name: &[u8], modifiers: &[&[u8]]) -> Result<(), AclError> {
        if has_spaces(name) {
            return Err(AclError::new(&[b"Usernames can't contain spaces or null characters"]));
        }
        let merged = merge_selectors(modifiers.iter().copied()).map_err(|at| {
            let start = until_nul(modifiers.get(at).copied().unwrap_or_default());
            AclError::new(&[b"Unmatched parenthesis in acl selector starting at '", start, b"'."])
        })?;
        let mut users = self.users.lock();
        let user = users.get(name).cloned();
        let mut rules = user.as_ref().map_or_else(|| Rules::new(self.grammar()), |user| (*user.rules()).clone());
        for modifier in &merged {
            rules.apply(modifier, self.grammar()).map_err(|problem| {
                let (modifier, problem) = (until_nul(modifier), problem.to_string());
                AclError::new(&[b"Error in ACL SETUSER modifier '", modifier, b"': ", problem.as_bytes()])
            })?;
        }
        match user {
            Some(user) => {
                let before = user.rules();
                self.replace(&users, &user, rules);
                self.close_listeners(services, &user, &before);
            }
            None => drop(users.insert(name.into(), Arc::new(User::new(name, rules)))),
        }
        Ok(())
    }

    /// Deletes users and closes their connections; gives the number of those that there were.
    pub fn delete<'a>(
        &self,
        services: &Services,
        mut names: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<usize, AclError> {
        if names.clone().any(|name| name == DEFAULT) {
            return Err(AclError::new(&[b"The 'default' user cannot be removed"]));
        }
        let mut users = self.users.lock();
        let deleted: Vec<Arc<User>> = names.by_ref().filter_map(|name| users.remove(name)).collect();
        for user in &deleted {
            self.abolish(&users, services, user);
        }
        Ok(deleted.len())
    }

    fn grammar(&self) -> Grammar<'_> {
        let starts_with_all_channels = self.config.acl_pubsub_default() == "allchannels";
        Grammar { known: &self.known, starts_with_all_channels }
    }

    /// Replaces a user's rules with the users locked, and tells everybody to look.
    fn replace(&self, _locked: &MutexGuard<'_, Users>, user: &User, rules: Rules) {
        user.set_rules(rules);
        self.generation.0.fetch_add(1, Ordering::AcqRel);
    }

    /// Ends the connections of a user that is no more; until they notice, they may do nothing.
    fn abolish(&self, locked: &MutexGuard<'_, Users>, services: &Services, user: &Arc<User>) {
        self.replace(locked, user, Rules::new(Grammar { known: &self.known, starts_with_all_channels: false }));
        for client in services.clients.all().iter().filter(|client| client.is_of(user)) {
            client.mailbox.close();
        }
        services.pubsub.close_listeners(|client| client.is_of(user), |_, _| false);
    }

    /// Closes the connections of a user that listen to what its rules allow no longer.
    fn close_listeners(&self, services: &Services, user: &Arc<User>, before: &Rules) {
        let rules = user.rules();
        if !loses_channels(before, &rules) {
            return;
        }
        let is_default = Arc::ptr_eq(user, &self.default);
        let concerned = |client: &Client| client.is_of(user) || (is_default && client.is_of_default());
        services.pubsub.close_listeners(concerned, |kind, name| may_listen(&rules, kind, name));
    }
}

/// Whether a user's rules let it listen to a name.
pub fn may_listen(rules: &Rules, kind: Kind, name: &[u8]) -> bool {
    let is_pattern = kind == Kind::Pattern;
    rules
        .selectors()
        .any(|selector| selector.has_all_channels() || allows_channel(selector.channels(), name, is_pattern))
}

/// Whether rules allow any channel that others do not.
fn loses_channels(before: &Rules, after: &Rules) -> bool {
    let is_kept =
        |pattern: &[u8]| after.selectors().any(|selector| selector.channels().iter().any(|kept| **kept == *pattern));
    !after.selectors().any(Selector::has_all_channels)
        && before
            .selectors()
            .any(|selector| selector.has_all_channels() || !selector.channels().iter().all(|pattern| is_kept(pattern)))
}
