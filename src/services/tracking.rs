//! Client-side caching: who is told that a key has changed, so that it drops the key from a cache of its own.
//!
//! A client that tracks hears of the keys it has read, each once, or (BCAST) of all keys with its prefixes. Reads are
//! remembered and changes are recorded with the key's shard locked, so that no change falls between a read and the
//! note of it. Locks are taken in the order clients, broadcast, table, mailbox, all after the shards.

mod broadcast;
mod mode;
mod table;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

use super::clients::{Client, ClientId};
use crate::base::clock::Clock;
use crate::base::random::Random;
use crate::config::Config;
use crate::resp::reply::{ReplyWriter, RespVersion};
use crate::store::{Change, Interest, Keyspace};
use broadcast::Broadcast;
pub use mode::{TrackingFlags, TrackingMode};
use table::Table;

/// The channel that a client in RESP2 gets the messages on that are redirected to it.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// Keys that are forgotten at once, which takes some tens of microseconds.
const FORGOTTEN_AT_ONCE: usize = 100;

/// What `CLIENT TRACKING ON` asks for.
#[derive(Debug, Default)]
pub struct TrackingOptions<'a> {
    /// BCAST, OPTIN, OPTOUT and NOLOOP.
    pub flags: TrackingFlags,
    /// Who gets the messages, if not the client itself.
    pub redirect: Option<Arc<Client>>,
    /// Prefixes of keys to hear of.
    pub prefixes: Vec<&'a [u8]>,
}

/// A client that tracks.
#[derive(Debug)]
struct Tracker {
    client: Arc<Client>,
    redirect: Option<Arc<Client>>,
}

/// All tracking.
#[derive(Debug)]
pub struct Tracking {
    config: Arc<Config>,
    clock: Arc<Clock>,
    trackers: RwLock<HashMap<ClientId, Tracker>>,
    table: Table,
    broadcast: Mutex<Broadcast>,
    /// Number of prefixes that somebody listens to.
    prefixes: AtomicUsize,
    /// Whether keys have changed that somebody listens to.
    is_broadcast_due: AtomicBool,
    random: Mutex<Random>,
}

impl Tracking {
    /// Nobody tracks.
    pub fn new(config: Arc<Config>, clock: Arc<Clock>) -> Self {
        Self {
            config,
            clock,
            trackers: RwLock::default(),
            table: Table::default(),
            broadcast: Mutex::default(),
            prefixes: AtomicUsize::new(0),
            is_broadcast_due: AtomicBool::new(false),
            random: Mutex::new(Random::from_entropy()),
        }
    }

    /// `CLIENT TRACKING ON`: replaces what was set before, but adds to the prefixes.
    pub fn enable(&self, keyspace: &Keyspace, client: &Arc<Client>, options: TrackingOptions<'_>) {
        let mut trackers = self.trackers.write();
        let caching = client.tracking.flags() & TrackingFlags::CACHING;
        let redirect = options.redirect.as_ref().map_or(0, |redirect| redirect.id.0);
        if options.flags.contains(TrackingFlags::BCAST) {
            let mut broadcast = self.broadcast.lock();
            let everything: &[&[u8]] = &[b""];
            let prefixes = if options.prefixes.is_empty() { everything } else { &options.prefixes };
            for prefix in prefixes {
                if broadcast.listen(client.id, prefix) {
                    client.keep_name(prefix);
                }
            }
            self.prefixes.store(broadcast.len(), Ordering::Relaxed);
        }
        trackers.insert(client.id, Tracker { client: Arc::clone(client), redirect: options.redirect });
        client.tracking.set(options.flags | TrackingFlags::ON | caching, redirect);
        keyspace.add_interest(Interest::TRACKING);
    }

    /// `CLIENT TRACKING OFF`, RESET, or the end of the connection. What the client has read is forgotten when it changes.
    pub fn disable(&self, keyspace: &Keyspace, client: &Client) {
        if !client.tracking.flags().contains(TrackingFlags::ON) {
            return;
        }
        let mut trackers = self.trackers.write();
        trackers.remove(&client.id);
        let mut broadcast = self.broadcast.lock();
        if client.tracking.flags().contains(TrackingFlags::BCAST) {
            broadcast.prefixes_of(client.id).iter().for_each(|prefix| client.drop_name(prefix));
        }
        broadcast.leave(client.id);
        self.prefixes.store(broadcast.len(), Ordering::Relaxed);
        client.tracking.set(TrackingFlags::empty(), 0);
        if trackers.is_empty() {
            keyspace.drop_interest(Interest::TRACKING);
            self.table.clear();
        }
    }

    /// Remembers that a client has read keys, whose shards are locked. Above `tracking-table-max-keys`, other keys are
    /// forgotten, of which their readers hear as if they had changed.
    pub fn remember<'k>(&self, client: &Client, keys: impl Iterator<Item = &'k [u8]>) {
        for key in keys {
            self.table.add(key, client.id);
        }
        self.forget_some();
    }

    /// Forgets keys above the limit, some at a time; tells whether there are more. They may be many when the limit has been
    /// lowered.
    pub fn forget_some(&self) -> bool {
        let limit = self.config.tracking_table_max_keys();
        let is_over = || limit > 0 && self.table.keys() > limit;
        for _ in 0..FORGOTTEN_AT_ONCE {
            if !is_over() {
                return false;
            }
            let Some((key, readers)) = self.table.take_random(&mut self.random.lock()) else { return false };
            self.tell_readers(&key, &readers, 0);
        }
        is_over()
    }

    /// Passes a change on; the key's shard is locked.
    pub(super) fn record(&self, change: &Change<'_>) {
        if self.prefixes.load(Ordering::Relaxed) > 0 && self.broadcast.lock().note(change.key, change.origin) {
            self.is_broadcast_due.store(true, Ordering::Release);
        }
        if self.table.keys() > 0 {
            let readers = self.table.take(change.key);
            self.tell_readers(change.key, &readers, change.origin);
        }
    }

    /// Tells everybody that all keys are gone; the shards are locked.
    pub(super) fn flushed(&self) {
        let trackers = self.trackers.read();
        for tracker in trackers.values() {
            self.send(tracker, None);
        }
        self.table.clear();
    }

    /// Sends what BCAST has gathered: once a batch of commands, so that many changes make one message.
    #[inline]
    pub fn broadcast(&self) {
        if self.is_broadcast_due.load(Ordering::Acquire) {
            self.send_broadcast();
        }
    }

    fn send_broadcast(&self) {
        let trackers = self.trackers.read();
        // Held until all is sent: whoever finds nothing due may rely on it that everybody has been told.
        let mut broadcast = self.broadcast.lock();
        self.is_broadcast_due.store(false, Ordering::Release);
        broadcast.flush(|due| {
            let Some(everything) = due.keys(None) else { return };
            for tracker in due.listeners.iter().filter_map(|client| trackers.get(client)) {
                if !tracker.client.tracking.flags().contains(TrackingFlags::NOLOOP) {
                    self.send(tracker, Some(&everything));
                } else if let Some(keys) = due.keys(Some(tracker.client.id)) {
                    self.send(tracker, Some(&keys));
                }
            }
        });
    }

    fn tell_readers(&self, key: &[u8], readers: &[ClientId], origin: u64) {
        if readers.is_empty() {
            return;
        }
        let (trackers, keys) = (self.trackers.read(), array_of(&[key]));
        for reader in readers {
            let Some(tracker) = trackers.get(reader) else { continue };
            let flags = tracker.client.tracking.flags();
            let is_loop = flags.contains(TrackingFlags::NOLOOP) && reader.0 == origin;
            if !is_loop && !flags.contains(TrackingFlags::BCAST) {
                self.send(tracker, Some(&keys));
            }
        }
    }

    /// Sends one message: `keys` is an array of keys; without it all keys are meant.
    fn send(&self, tracker: &Tracker, keys: Option<&[u8]>) {
        let Tracker { client, redirect } = tracker;
        if let Some(gone) = redirect.as_ref().filter(|target| target.mailbox.is_closed()) {
            client.tracking.insert(TrackingFlags::BROKEN_REDIRECT);
            self.tell(client, |reply| {
                reply.push(2);
                reply.bulk(b"tracking-redir-broken");
                reply.integer(i64::try_from(gone.id.0).unwrap_or(i64::MAX));
            });
            return;
        }
        let target = redirect.as_ref().unwrap_or(client);
        let is_message = redirect.is_some() && target.is_listening();
        self.tell(target, |reply| {
            match reply.version() {
                RespVersion::Resp3 => {
                    reply.push(2);
                    reply.bulk(b"invalidate");
                }
                RespVersion::Resp2 if is_message => {
                    reply.array(3);
                    reply.bulk(b"message");
                    reply.bulk(CHANNEL);
                }
                RespVersion::Resp2 => return,
            }
            match keys {
                Some(keys) => reply.raw(keys),
                None => reply.null(),
            }
        });
    }

    fn tell(&self, client: &Client, write: impl FnOnce(&mut ReplyWriter)) {
        let is_resp3 = client.resp.load(Ordering::Relaxed) == RespVersion::Resp3.number();
        let mut message = ReplyWriter::new(if is_resp3 { RespVersion::Resp3 } else { RespVersion::Resp2 });
        write(&mut message);
        if !message.as_bytes().is_empty() {
            client.tell(message.as_bytes(), &self.config, self.clock.now());
        }
    }

    /// The prefixes that a client listens to, in order.
    pub fn prefixes_of(&self, client: &Client) -> Vec<Box<[u8]>> {
        self.broadcast.lock().prefixes_of(client.id)
    }

    /// How much there is of what.
    pub fn totals(&self) -> TrackingTotals {
        TrackingTotals {
            clients: self.trackers.read().len(),
            keys: self.table.keys(),
            items: self.table.items(),
            prefixes: self.prefixes.load(Ordering::Relaxed),
        }
    }
}

/// What INFO says of tracking.
#[derive(Debug, Clone, Copy)]
pub struct TrackingTotals {
    /// Clients that track.
    pub clients: usize,
    /// Keys that somebody has read.
    pub keys: usize,
    /// Pairs of such a key and a client.
    pub items: usize,
    /// Prefixes that somebody listens to.
    pub prefixes: usize,
}

/// An array of bulk strings, which looks the same in both protocols.
fn array_of(keys: &[&[u8]]) -> Vec<u8> {
    let mut array = ReplyWriter::default();
    array.array(keys.len());
    for key in keys {
        array.bulk(key);
    }
    array.as_bytes().to_vec()
}
