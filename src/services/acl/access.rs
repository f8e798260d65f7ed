//! What one connection may do now: who it is, and whether that has changed.

use std::sync::Arc;

use super::Acl;
use super::request::{Denial, Permissions, Request};
use super::rules::Rules;
use super::user::User;

/// Never a generation.
const NEVER: u64 = 0;

/// Who a connection is, with what it found its user to be allowed when it last looked.
#[derive(Debug)]
pub struct Access {
    user: Arc<User>,
    is_authenticated: bool,
    /// The generation in which nothing was forbidden to it, if that was so when it last looked.
    open_at: u64,
    /// When it last looked.
    seen_at: u64,
    needs_password: bool,
    rules: Arc<Rules>,
}

impl Access {
    /// A new connection's: the default user's.
    pub(super) fn new(user: Arc<User>) -> Self {
        let rules = user.rules();
        Self {
            user,
            is_authenticated: rules.is_on() && rules.has_no_password(),
            open_at: NEVER,
            seen_at: NEVER,
            needs_password: true,
            rules,
        }
    }

    /// The connection comes in as a user.
    pub(super) fn become_user(&mut self, user: &Arc<User>) {
        *self = Self { is_authenticated: true, ..Self::new(Arc::clone(user)) };
    }

    /// Whether nothing is forbidden: one compare for those who have never heard of users.
    #[inline]
    pub fn is_open(&self, acl: &Acl) -> bool {
        self.open_at == acl.generation()
    }

    /// Whether AUTH has to come first.
    #[inline]
    pub fn must_log_in(&mut self, acl: &Acl) -> bool {
        if self.is_open(acl) {
            return false;
        }
        self.refresh(acl);
        self.needs_password
    }

    /// Looks again if anybody's rules have changed.
    #[cold]
    pub fn refresh(&mut self, acl: &Acl) {
        let generation = acl.generation();
        if self.seen_at == generation {
            return;
        }
        self.rules = self.user.rules();
        self.needs_password = !self.is_authenticated && acl.asks_for_password();
        self.open_at = if !self.needs_password && self.rules.is_unrestricted() { generation } else { NEVER };
        self.seen_at = generation;
    }

    /// Whether the connection has come in by AUTH, or without one when none was asked for.
    pub fn is_authenticated(&self) -> bool {
        self.is_authenticated
    }

    /// Whether rules have changed since the last look.
    pub fn is_outdated(&self, acl: &Acl) -> bool {
        self.seen_at != acl.generation()
    }

    /// The user.
    pub fn user(&self) -> &Arc<User> {
        &self.user
    }

    /// The user's rules as of the last look.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether a request is allowed, as of the last look.
    pub fn check<'r, A, K>(&self, request: &Request<A, K>) -> Result<(), Denial>
    where
        A: Fn(usize) -> Option<&'r [u8]>,
        K: Iterator<Item = (usize, Permissions)> + Clone,
    {
        self.rules.check(request)
    }
}
