//! BCAST: prefixes of keys, the clients that want to hear of them, and the keys that have changed since they last heard.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::services::clients::ClientId;

/// Prefixes and changed keys.
#[derive(Debug, Default)]
pub(super) struct Broadcast {
    prefixes: BTreeMap<Box<[u8]>, BTreeSet<ClientId>>,
    /// Each with the client who changed it last.
    changed: BTreeMap<Box<[u8]>, u64>,
}

/// The message that is due to those who listen to a prefix.
#[derive(Debug)]
pub(super) struct Due<'a> {
    /// Who listens.
    pub(super) listeners: &'a BTreeSet<ClientId>,
    prefix: &'a [u8],
    changed: &'a BTreeMap<Box<[u8]>, u64>,
}

impl Broadcast {
    /// Lets a client listen to a prefix; false if it does already.
    pub(super) fn listen(&mut self, client: ClientId, prefix: &[u8]) -> bool {
        self.prefixes.entry(prefix.into()).or_default().insert(client)
    }

    /// Takes a client off all prefixes.
    pub(super) fn leave(&mut self, client: ClientId) {
        self.prefixes.retain(|_, listeners| {
            listeners.remove(&client);
            !listeners.is_empty()
        });
    }

    /// The prefixes of a client, in order.
    pub(super) fn prefixes_of(&self, client: ClientId) -> Vec<Box<[u8]>> {
        let its = self.prefixes.iter().filter(|(_, listeners)| listeners.contains(&client));
        its.map(|(prefix, _)| prefix.clone()).collect()
    }

    /// Number of prefixes.
    pub(super) fn len(&self) -> usize {
        self.prefixes.len()
    }

    /// Notes a change if somebody listens; tells whether it did.
    pub(super) fn note(&mut self, key: &[u8], origin: u64) -> bool {
        if !self.prefixes.keys().any(|prefix| key.starts_with(prefix)) {
            return false;
        }
        match self.changed.get_mut(key) {
            Some(last) => *last = origin,
            None => drop(self.changed.insert(key.into(), origin)),
        }
        true
    }

    /// Gives the messages that are due to `send` and forgets the changes.
    pub(super) fn flush(&mut self, mut send: impl FnMut(&Due<'_>)) {
        let changed = std::mem::take(&mut self.changed);
        for (prefix, listeners) in &self.prefixes {
            send(&Due { listeners, prefix, changed: &changed });
        }
    }
}

impl Due<'_> {
    /// The array of the keys that have changed; those whose last change is of `but` are left out. None if none is left.
    pub(super) fn keys(&self, but: Option<ClientId>) -> Option<Vec<u8>> {
        let from = self.changed.range::<[u8], _>((Bound::Included(self.prefix), Bound::Unbounded));
        let keys: Vec<&[u8]> = from
            .take_while(|(key, _)| key.starts_with(self.prefix))
            .filter(|&(_, &origin)| but != Some(ClientId(origin)))
            .map(|(key, _)| &**key)
            .collect();
        (!keys.is_empty()).then(|| super::array_of(&keys))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_prefix_hears_of_its_keys_once_in_order() {
        let mut broadcast = Broadcast::default();
        broadcast.listen(ClientId(1), b"a");
        broadcast.listen(ClientId(2), b"");
        assert!(broadcast.note(b"b", 9));
        for (key, origin) in [(&b"ab"[..], 1), (b"aa", 2), (b"ab", 2), (b"ac", 1)] {
            broadcast.note(key, origin);
        }
        let mut due = Vec::new();
        broadcast.flush(|message| {
            due.push((message.listeners.clone(), message.keys(None), message.keys(Some(ClientId(2)))));
        });
        let array = |keys: &[&[u8]]| Some(super::super::array_of(keys));
        assert_eq!(due[0], (BTreeSet::from([ClientId(2)]), array(&[b"aa", b"ab", b"ac", b"b"]), array(&[b"ac", b"b"])));
        assert_eq!(due[1], (BTreeSet::from([ClientId(1)]), array(&[b"aa", b"ab", b"ac"]), array(&[b"ac"])));
        broadcast.leave(ClientId(2));
        assert!(!broadcast.note(b"b", 9));
        assert_eq!((broadcast.len(), broadcast.prefixes_of(ClientId(1))), (1, vec![b"a".to_vec().into_boxed_slice()]));
    }
}
