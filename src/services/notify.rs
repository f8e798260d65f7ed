//! Keyspace notifications: changes of the data as messages on channels.
//!
//! Besides the channels that name keys there are those of Redis 8.8 that name the fields concerned. Formats and rules are
//! those of <https://redis.io/docs/latest/develop/pubsub/subkeyspace-notifications/>; redis/redis#14958 brought them.

use std::sync::Arc;

use parking_lot::Mutex;

use super::pubsub::PubSub;
use crate::config::{Config, KeyspaceEvents};
use crate::store::{Change, Event, Interest, Keyspace};

/// Publishes changes as `notify-keyspace-events` says.
#[derive(Debug)]
pub struct Notifications {
    config: Arc<Config>,
    /// Held while the configuration is applied, so that the last one stays.
    applying: Mutex<()>,
    pubsub: Arc<PubSub>,
}

/// What has to be told of the data when this is wanted.
fn interest(wanted: KeyspaceEvents) -> Interest {
    let mut interest = Interest::empty();
    if wanted.intersects(KeyspaceEvents::OF_KEYS | KeyspaceEvents::OF_FIELDS) {
        interest |= Interest::NOTIFY;
    }
    if wanted.intersects(KeyspaceEvents::OF_KEYS) && wanted.contains(KeyspaceEvents::MISS) {
        interest |= Interest::MISSES;
    }
    // Redis, too, publishes the fields of an event only if the class of the event is among those wanted.
    if wanted.intersects(KeyspaceEvents::OF_FIELDS) && wanted.contains(KeyspaceEvents::HASH) {
        interest |= Interest::FIELDS;
    }
    interest
}

impl Notifications {
    /// Publishes by `pubsub`.
    pub fn new(config: Arc<Config>, pubsub: Arc<PubSub>) -> Self {
        Self { config, applying: Mutex::new(()), pubsub }
    }

    /// Asks the keyspace to tell what `notify-keyspace-events` wants to be published; to be called when that has changed.
    pub fn apply_configuration(&self, keyspace: &Keyspace) {
        let _applying = self.applying.lock();
        let interest = interest(self.config.keyspace_events());
        keyspace.drop_interest((Interest::NOTIFY | Interest::MISSES | Interest::FIELDS) - interest);
        keyspace.add_interest(interest);
    }

    /// Publishes a change if it is wanted and anybody may listen. The key's shard is locked, which makes the messages
    /// about a key come in the order of its changes.
    pub fn publish(&self, change: &Change<'_>) {
        let wanted = self.config.keyspace_events();
        if wanted.is_empty() || !self.pubsub.has_listeners() {
            return;
        }
        let Some((event, _)) = describe(change.event).filter(|(_, class)| wanted.intersects(*class)) else { return };
        for (channel, message) in messages(change, event, wanted) {
            self.pubsub.publish(&channel, &message, change.now);
        }
    }
}

/// Name and class of an event.
fn describe(event: Event) -> Option<(&'static str, KeyspaceEvents)> {
    Some(match event {
        Event::New => ("new", KeyspaceEvents::NEW),
        Event::HSet => ("hset", KeyspaceEvents::HASH),
        Event::HIncrBy => ("hincrby", KeyspaceEvents::HASH),
        Event::HIncrByFloat => ("hincrbyfloat", KeyspaceEvents::HASH),
        Event::HDel => ("hdel", KeyspaceEvents::HASH),
        Event::HExpire => ("hexpire", KeyspaceEvents::HASH),
        Event::HPersist => ("hpersist", KeyspaceEvents::HASH),
        Event::HExpired => ("hexpired", KeyspaceEvents::HASH),
        Event::Del => ("del", KeyspaceEvents::GENERIC),
        Event::Expire => ("expire", KeyspaceEvents::GENERIC),
        Event::Persist => ("persist", KeyspaceEvents::GENERIC),
        Event::Expired => ("expired", KeyspaceEvents::EXPIRED),
        Event::Evicted => ("evicted", KeyspaceEvents::EVICTED),
        Event::RenameFrom => ("rename_from", KeyspaceEvents::GENERIC),
        Event::RenameTo => ("rename_to", KeyspaceEvents::GENERIC),
        Event::Restore => ("restore", KeyspaceEvents::GENERIC),
        Event::CopyTo => ("copy_to", KeyspaceEvents::GENERIC),
        Event::MoveFrom => ("move_from", KeyspaceEvents::GENERIC),
        Event::MoveTo => ("move_to", KeyspaceEvents::GENERIC),
        Event::Overwritten => ("overwritten", KeyspaceEvents::OVERWRITTEN),
        Event::Miss => ("keymiss", KeyspaceEvents::MISS),
        Event::Replaced => return None,
    })
}

/// A channel and what is published on it.
type Message = (Vec<u8>, Vec<u8>);

/// The messages that a change makes, in Redis's order.
fn messages(change: &Change<'_>, event: &str, wanted: KeyspaceEvents) -> Vec<Message> {
    let (key, event) = (change.key, event.as_bytes());
    let channel = |kind: &str, rest: &[&[u8]]| {
        let mut channel = format!("__{kind}@{}__:", change.database).into_bytes();
        channel.extend_from_slice(&rest.concat());
        channel
    };
    let mut messages = Vec::new();
    if wanted.contains(KeyspaceEvents::KEYSPACE) {
        messages.push((channel("keyspace", &[key]), event.to_vec()));
    }
    if wanted.contains(KeyspaceEvents::KEYEVENT) {
        messages.push((channel("keyevent", &[event]), key.to_vec()));
    }
    if change.fields.is_empty() || !wanted.intersects(KeyspaceEvents::OF_FIELDS) {
        return messages;
    }
    let fields = with_lengths(change.fields.iter().map(|field| &**field));
    // No name of an event holds the `|` that would make these ambiguous, so none has to be left out for it.
    if wanted.contains(KeyspaceEvents::SUBKEYSPACE) {
        messages.push((channel("subkeyspace", &[key]), [event, b"|", &fields].concat()));
    }
    if wanted.contains(KeyspaceEvents::SUBKEYEVENT) {
        let key = with_lengths(std::iter::once(key));
        messages.push((channel("subkeyevent", &[event]), [&key, b"|".as_slice(), &fields].concat()));
    }
    // A line feed parts key and field, so that a key with one in it would be read as another key.
    if wanted.contains(KeyspaceEvents::SUBKEYSPACEITEM) && !key.contains(&b'\n') {
        let items =
            change.fields.iter().map(|field| (channel("subkeyspaceitem", &[key, b"\n", field]), event.to_vec()));
        messages.extend(items);
    }
    if wanted.contains(KeyspaceEvents::SUBKEYSPACEEVENT) {
        messages.push((channel("subkeyspaceevent", &[event, b"|", key]), fields));
    }
    messages
}

/// Names, each with its length before it: `4:name,3:age`.
fn with_lengths<'n>(names: impl Iterator<Item = &'n [u8]>) -> Vec<u8> {
    let mut text = Vec::new();
    for name in names {
        if !text.is_empty() {
            text.push(b',');
        }
        text.extend_from_slice(itoa::Buffer::new().format(name.len()).as_bytes());
        text.push(b':');
        text.extend_from_slice(name);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::UnixMillis;

    fn shown(key: &[u8], fields: &[&[u8]], wanted: KeyspaceEvents) -> Vec<String> {
        let fields: Vec<Box<[u8]>> = fields.iter().map(|field| Box::from(*field)).collect();
        let change = Change { database: 3, key, event: Event::HSet, fields: &fields, origin: 0, now: UnixMillis(0) };
        let text = |(channel, message): Message| format!("{} {}", channel.escape_ascii(), message.escape_ascii());
        messages(&change, "hset", wanted).into_iter().map(text).collect()
    }

    #[test]
    fn channels_and_payloads() {
        let all = KeyspaceEvents::OF_KEYS | KeyspaceEvents::OF_FIELDS;
        assert_eq!(
            shown(b"my|hash", &[b"field1", b"a,\n2"], all),
            [
                "__keyspace@3__:my|hash hset",
                "__keyevent@3__:hset my|hash",
                "__subkeyspace@3__:my|hash hset|6:field1,4:a,\\n2",
                "__subkeyevent@3__:hset 7:my|hash|6:field1,4:a,\\n2",
                "__subkeyspaceitem@3__:my|hash\\nfield1 hset",
                "__subkeyspaceitem@3__:my|hash\\na,\\n2 hset",
                "__subkeyspaceevent@3__:hset|my|hash 6:field1,4:a,\\n2",
            ]
        );
        assert_eq!(shown(b"k", &[], all), ["__keyspace@3__:k hset", "__keyevent@3__:hset k"]);
        assert_eq!(shown(b"two\nlines", &[b"f"], KeyspaceEvents::SUBKEYSPACEITEM), Vec::<String>::new());
    }

    #[test]
    fn only_what_is_wanted_costs() {
        assert_eq!(interest(KeyspaceEvents::ALL_OLD | KeyspaceEvents::MISS), Interest::empty());
        assert_eq!(interest(KeyspaceEvents::KEYSPACE | KeyspaceEvents::HASH), Interest::NOTIFY);
        assert_eq!(interest(KeyspaceEvents::KEYEVENT | KeyspaceEvents::MISS), Interest::NOTIFY | Interest::MISSES);
        assert_eq!(interest(KeyspaceEvents::SUBKEYEVENT | KeyspaceEvents::HASH), Interest::NOTIFY | Interest::FIELDS);
        assert_eq!(interest(KeyspaceEvents::SUBKEYEVENT), Interest::NOTIFY);
    }
}
