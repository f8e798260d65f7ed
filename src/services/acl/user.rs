//! A user: a name, and rules that change under the connections that it has.

use std::sync::Arc;

use parking_lot::RwLock;

use super::rules::Rules;

/// A user. Connections keep it while its rules are replaced.
#[derive(Debug)]
pub struct User {
    name: Box<[u8]>,
    rules: RwLock<Arc<Rules>>,
}

impl User {
    /// A user with these rules.
    pub(super) fn new(name: &[u8], rules: Rules) -> Self {
        Self { name: name.into(), rules: RwLock::new(Arc::new(rules)) }
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Its rules now.
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read())
    }

    /// Replaces its rules.
    pub(super) fn set_rules(&self, rules: Rules) {
        *self.rules.write() = Arc::new(rules);
    }

    /// `user NAME RULES`, as ACL LIST shows it and a file holds it.
    pub fn describe(&self) -> Vec<u8> {
        [b"user ", &*self.name, b" ", &self.rules().describe()].concat()
    }
}
