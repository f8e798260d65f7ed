//! Pub/Sub: who listens to which channels, and the passing on of messages.
//!
//! One lock for all of it, so that all listeners see the messages in the same order. It is the last but one among the
//! locks: shards may be locked when it is taken, and nothing but mailboxes is locked while it is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::clients::{Client, ClientId};
use crate::base::clock::UnixMillis;
use crate::base::glob;
use crate::config::Config;
use crate::resp::reply::{ReplyWriter, RespVersion};

/// What a name that somebody listens to means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A channel of PUBLISH.
    Channel,
    /// A pattern for channels of PUBLISH.
    Pattern,
    /// A channel of SPUBLISH.
    Shard,
}

/// One value for each [`Kind`].
#[derive(Debug, Default)]
struct PerKind<T> {
    channels: T,
    patterns: T,
    shards: T,
}

impl<T> PerKind<T> {
    fn of(&self, kind: Kind) -> &T {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
            Kind::Shard => &self.shards,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut T {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shards,
        }
    }
}

/// What one client listens to, for that client alone to see.
#[derive(Debug, Default)]
pub struct Subscriptions(PerKind<HashSet<Box<[u8]>>>);

impl Subscriptions {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.channels.is_empty() && self.0.patterns.is_empty() && self.0.shards.is_empty()
    }

    /// Number of names that confirmations for `kind` report: channels and patterns are counted together.
    pub fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Channel | Kind::Pattern => self.0.channels.len() + self.0.patterns.len(),
            Kind::Shard => self.0.shards.len(),
        }
    }

    /// The names of one kind.
    pub fn names(&self, kind: Kind) -> Vec<Box<[u8]>> {
        self.0.of(kind).iter().cloned().collect()
    }

    /// Shows others how many there are.
    fn report(&self, client: &Client) {
        client.channels.store(self.0.channels.len(), Ordering::Relaxed);
        client.patterns.store(self.0.patterns.len(), Ordering::Relaxed);
        client.shard_channels.store(self.0.shards.len(), Ordering::Relaxed);
    }
}

/// Listeners by the name that they listen to; no name is without any.
type Listeners = HashMap<Box<[u8]>, BTreeMap<ClientId, Arc<Client>>>;

/// All subscriptions of the server.
#[derive(Debug)]
pub struct PubSub {
    config: Arc<Config>,
    /// Number of names that anybody listens to, so that a message for nobody takes no lock.
    names: AtomicUsize,
    listeners: Mutex<PerKind<Listeners>>,
}

impl PubSub {
    /// Nobody listens; `config` has the limit of what may wait for a listener.
    pub fn new(config: Arc<Config>) -> Self {
        Self { config, names: AtomicUsize::new(0), listeners: Mutex::default() }
    }

    /// Makes a client, whose subscriptions `own` are, listen to a name.
    pub fn subscribe(&self, client: &Arc<Client>, own: &mut Subscriptions, kind: Kind, name: &[u8]) {
        if !own.0.of_mut(kind).insert(name.into()) {
            return;
        }
        client.keep_name(name);
        own.report(client);
        let mut listeners = self.listeners.lock();
        let of_name = listeners.of_mut(kind).entry(name.into()).or_default();
        if of_name.is_empty() {
            self.names.fetch_add(1, Ordering::Release);
        }
        of_name.insert(client.id, Arc::clone(client));
    }

    /// Makes a client listen to a name no longer: when this returns, no more messages for it come.
    pub fn unsubscribe(&self, client: &Client, own: &mut Subscriptions, kind: Kind, name: &[u8]) {
        if !own.0.of_mut(kind).remove(name) {
            return;
        }
        client.drop_name(name);
        own.report(client);
        let mut listeners = self.listeners.lock();
        let of_kind = listeners.of_mut(kind);
        if let Some(of_name) = of_kind.get_mut(name) {
            of_name.remove(&client.id);
            if of_name.is_empty() {
                of_kind.remove(name);
                self.names.fetch_sub(1, Ordering::Release);
            }
        }
    }

    /// Ends all subscriptions of a client.
    pub fn leave(&self, client: &Client, own: &mut Subscriptions) {
        for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
            for name in own.names(kind) {
                self.unsubscribe(client, own, kind, &name);
            }
        }
    }

    /// Closes those of the clients that `concerned` is true for that listen to a name which is not `allowed`; when this
    /// returns, nobody counts them.
    pub fn close_listeners(&self, concerned: impl Fn(&Client) -> bool, allowed: impl Fn(Kind, &[u8]) -> bool) {
        const KINDS: [Kind; 3] = [Kind::Channel, Kind::Pattern, Kind::Shard];
        if !self.has_listeners() {
            return;
        }
        let mut listeners = self.listeners.lock();
        let mut closed = HashSet::new();
        for kind in KINDS {
            for (_, of_name) in listeners.of(kind).iter().filter(|(name, _)| !allowed(kind, name)) {
                for client in of_name.values().filter(|client| concerned(client)) {
                    client.mailbox.close();
                    closed.insert(client.id);
                }
            }
        }
        if closed.is_empty() {
            return;
        }
        for kind in KINDS {
            listeners.of_mut(kind).retain(|_, of_name| {
                of_name.retain(|id, _| !closed.contains(id));
                let has_gone = of_name.is_empty();
                self.names.fetch_sub(usize::from(has_gone), Ordering::Release);
                !has_gone
            });
        }
    }

    /// Switches a client's protocol between two messages.
    pub fn set_version(&self, client: &Client, version: RespVersion) {
        let _listeners = self.listeners.lock();
        client.resp.store(version.number(), Ordering::Relaxed);
    }

    /// Whether anybody listens to anything.
    #[inline]
    pub fn has_listeners(&self) -> bool {
        self.names.load(Ordering::Acquire) > 0
    }

    /// Passes a message on to all who listen to the channel, or to a pattern that it matches: a message for each of their
    /// subscriptions. Gives the number of messages.
    pub fn publish(&self, channel: &[u8], message: &[u8], now: UnixMillis) -> usize {
        if !self.has_listeners() {
            return 0;
        }
        let listeners = self.listeners.lock();
        let delivery = Delivery { config: &self.config, now };
        let mut count = 0;
        if let Some(of_channel) = listeners.channels.get(channel) {
            count += delivery.send(of_channel.values(), &[b"message", channel, message]);
        }
        for (pattern, of_pattern) in &listeners.patterns {
            if glob::matches(pattern, channel) {
                count += delivery.send(of_pattern.values(), &[b"pmessage", pattern, channel, message]);
            }
        }
        count
    }

    /// Passes a message on to all who listen to the shard channel; gives their number.
    pub fn publish_to_shard(&self, channel: &[u8], message: &[u8], now: UnixMillis) -> usize {
        if !self.has_listeners() {
            return 0;
        }
        let listeners = self.listeners.lock();
        let Some(of_channel) = listeners.shards.get(channel) else { return 0 };
        let delivery = Delivery { config: &self.config, now };
        delivery.send(of_channel.values(), &[b"smessage", channel, message])
    }

    /// The names of a kind that somebody listens to and `wanted` is true for.
    pub fn active(&self, kind: Kind, wanted: impl Fn(&[u8]) -> bool) -> Vec<Box<[u8]>> {
        self.listeners.lock().of(kind).keys().filter(|name| wanted(name)).cloned().collect()
    }

    /// Number of names of a kind that somebody listens to.
    pub fn active_count(&self, kind: Kind) -> usize {
        self.listeners.lock().of(kind).len()
    }

    /// Number of clients that listen to a name.
    pub fn listener_count(&self, kind: Kind, name: &[u8]) -> usize {
        self.listeners.lock().of(kind).get(name).map_or(0, BTreeMap::len)
    }
}

/// The circumstances under which messages are left in mailboxes.
struct Delivery<'a> {
    config: &'a Config,
    now: UnixMillis,
}

impl Delivery<'_> {
    /// Leaves a message with each of `clients`, encoded once for each protocol among them; gives their number.
    fn send<'c>(&self, clients: impl Iterator<Item = &'c Arc<Client>>, parts: &[&[u8]]) -> usize {
        let (mut resp2, mut resp3) = (None, None);
        let mut count = 0;
        for client in clients {
            let frame = if client.resp.load(Ordering::Relaxed) == RespVersion::Resp3.number() {
                resp3.get_or_insert_with(|| encode(RespVersion::Resp3, parts))
            } else {
                resp2.get_or_insert_with(|| encode(RespVersion::Resp2, parts))
            };
            client.tell(frame.as_bytes(), self.config, self.now);
            count += 1;
        }
        count
    }
}

fn encode(version: RespVersion, parts: &[&[u8]]) -> ReplyWriter {
    let mut frame = ReplyWriter::new(version);
    frame.push(parts.len());
    for part in parts {
        frame.bulk(part);
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::clients::Peer;

    const NOW: UnixMillis = UnixMillis(1);

    fn client(id: u64) -> Arc<Client> {
        let peer = Peer { address: String::new(), local_address: String::new(), fd: 0, is_unix_socket: false };
        Arc::new(Client::new(ClientId(id), peer, NOW))
    }

    fn mail(client: &Client) -> String {
        let mut reply = ReplyWriter::new(RespVersion::Resp2);
        client.mailbox.collect(&mut reply);
        String::from_utf8(reply.as_bytes().to_vec()).unwrap().replace("\r\n", " ")
    }

    #[test]
    fn every_subscription_gets_the_message_in_its_clients_protocol() {
        let pubsub = PubSub::new(Arc::default());
        let (old, new) = (client(1), client(2));
        new.resp.store(3, Ordering::Relaxed);
        let (mut olds, mut news) = (Subscriptions::default(), Subscriptions::default());
        assert_eq!(pubsub.publish(b"news", b"0", NOW), 0);
        pubsub.subscribe(&old, &mut olds, Kind::Channel, b"news");
        pubsub.subscribe(&old, &mut olds, Kind::Channel, b"news");
        pubsub.subscribe(&new, &mut news, Kind::Channel, b"news");
        pubsub.subscribe(&new, &mut news, Kind::Pattern, b"n*");
        pubsub.subscribe(&new, &mut news, Kind::Shard, b"news");
        assert_eq!(pubsub.publish(b"news", b"1", NOW), 3);
        assert_eq!(pubsub.publish_to_shard(b"news", b"2", NOW), 1);
        assert_eq!(pubsub.publish(b"other", b"3", NOW), 0);
        assert_eq!(mail(&old), "*3 $7 message $4 news $1 1 ");
        let shard = ">3 $8 smessage $4 news $1 2 ";
        assert_eq!(mail(&new), format!(">3 $7 message $4 news $1 1 >4 $8 pmessage $2 n* $4 news $1 1 {shard}"));
        assert_eq!((news.count(Kind::Pattern), news.count(Kind::Shard)), (2, 1));
        assert_eq!(new.patterns.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn nothing_is_left_of_a_client_that_leaves() {
        let pubsub = PubSub::new(Arc::default());
        let one = client(1);
        let mut own = Subscriptions::default();
        for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
            pubsub.subscribe(&one, &mut own, kind, b"a");
            pubsub.subscribe(&one, &mut own, kind, b"b");
        }
        pubsub.unsubscribe(&one, &mut own, Kind::Channel, b"a");
        pubsub.unsubscribe(&one, &mut own, Kind::Channel, b"never");
        assert_eq!(pubsub.active(Kind::Channel, |_| true), [Box::from(*b"b")]);
        assert!(pubsub.has_listeners());
        pubsub.leave(&one, &mut own);
        assert!(own.is_empty() && !pubsub.has_listeners());
        assert_eq!(pubsub.publish(b"a", b"1", NOW) + pubsub.active_count(Kind::Pattern), 0);
    }
}
