//! Connected clients, as `CLIENT LIST` shows them.

mod describe;
mod totals;

pub use totals::ClientTotals;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::acl::DEFAULT;
use super::acl::user::User;
use super::mailbox::Mailbox;
use super::stats::{CommandId, Counter};
use super::tracking::TrackingMode;
use super::watch::Broken;
use crate::base::clock::UnixMillis;
use crate::config::Config;

/// Names a connection for as long as the server runs; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// What may wait to be sent without being counted, as the fixed buffer of a client is not in Redis.
pub const FREE_OUTPUT: usize = 16 * 1024;

/// What a name that is watched or listened to takes beyond itself: its places in the tables of the client and of all.
const NAME_OVERHEAD: usize = 96;

/// Texts that a client has said of itself.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// `CLIENT SETNAME`
    pub name: Vec<u8>,
    /// `CLIENT SETINFO LIB-NAME`
    pub library_name: Vec<u8>,
    /// `CLIENT SETINFO LIB-VER`
    pub library_version: Vec<u8>,
}

/// The part of a connection that others can see. Its worker alone writes it; anyone may read.
#[derive(Debug)]
pub struct Client {
    /// Unique id.
    pub id: ClientId,
    /// Peer address (`127.0.0.1:40000`, or the socket's path with `:0`).
    pub address: String,
    /// Local address.
    pub local_address: String,
    /// File descriptor.
    pub fd: i64,
    /// Whether it came over the unix socket.
    pub is_unix_socket: bool,
    /// When it connected.
    pub connected_at: UnixMillis,
    /// When it last sent something.
    pub active_at: AtomicI64,
    /// Selected database.
    pub database: AtomicUsize,
    /// 2 or 3.
    pub resp: AtomicU8,
    /// The last command's id; `u64::MAX` for none.
    pub last_command: AtomicU64,
    /// Bytes received.
    pub bytes_in: Counter,
    /// Bytes sent.
    pub bytes_out: Counter,
    /// Commands run.
    pub commands: Counter,
    /// Bytes of read buffer in use.
    pub query_buffer: AtomicUsize,
    /// Bytes of read buffer free.
    pub query_buffer_free: AtomicUsize,
    /// Bytes of replies that wait because the client does not read.
    pub unsent: AtomicUsize,
    /// Bytes of reply buffer.
    pub reply_buffer: AtomicUsize,
    /// Bytes of the commands queued since MULTI.
    pub queued_memory: AtomicUsize,
    /// Whether it has been closed because of `client-output-buffer-limit`.
    pub let_too_much_gather: AtomicBool,
    /// Since when more than the soft limit waits to be sent; 0 if less does.
    over_soft_limit_since: AtomicI64,
    /// Bytes of memory held by HIMPORT fieldsets.
    pub fieldset_memory: AtomicUsize,
    /// Bytes of memory of what it watches and listens to.
    names_memory: AtomicUsize,
    /// `CLIENT NO-EVICT`
    pub no_evict: AtomicBool,
    /// `CLIENT NO-TOUCH`
    pub no_touch: AtomicBool,
    /// What others have to tell it.
    pub mailbox: Mailbox,
    /// Whether a command of it waits (WAIT, WAITAOF).
    pub blocked: AtomicBool,
    /// Whether a command of it runs beside its worker.
    pub runs_long: AtomicBool,
    /// Whether CLIENT PAUSE holds its next command back.
    pub paused: AtomicBool,
    /// Whether it is shown what all clients do (MONITOR).
    pub monitoring: AtomicBool,
    /// CLIENT TRACKING
    pub tracking: TrackingMode,
    /// Set when a key that it watches has changed.
    pub broken: Broken,
    /// Commands queued since MULTI; -1 outside a transaction.
    pub queued: AtomicI64,
    /// Keys watched.
    pub watching: AtomicUsize,
    /// Channels listened to.
    pub channels: AtomicUsize,
    /// Patterns listened to.
    pub patterns: AtomicUsize,
    /// Shard channels listened to.
    pub shard_channels: AtomicUsize,
    /// Name and library.
    pub identity: Mutex<Identity>,
    /// Who it is, if not the default user.
    user: Mutex<Option<Arc<User>>>,
}

impl Client {
    /// A client that connects now.
    pub fn new(id: ClientId, peer: Peer, now: UnixMillis) -> Self {
        Self {
            id,
            address: peer.address,
            local_address: peer.local_address,
            fd: peer.fd,
            is_unix_socket: peer.is_unix_socket,
            connected_at: now,
            active_at: AtomicI64::new(now.0),
            database: AtomicUsize::new(0),
            resp: AtomicU8::new(2),
            last_command: AtomicU64::new(u64::MAX),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            commands: Counter::default(),
            query_buffer: AtomicUsize::new(0),
            query_buffer_free: AtomicUsize::new(0),
            unsent: AtomicUsize::new(0),
            reply_buffer: AtomicUsize::new(0),
            queued_memory: AtomicUsize::new(0),
            let_too_much_gather: AtomicBool::new(false),
            over_soft_limit_since: AtomicI64::new(0),
            fieldset_memory: AtomicUsize::new(0),
            names_memory: AtomicUsize::new(0),
            no_evict: AtomicBool::new(false),
            no_touch: AtomicBool::new(false),
            mailbox: Mailbox::default(),
            blocked: AtomicBool::new(false),
            runs_long: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            monitoring: AtomicBool::new(false),
            tracking: TrackingMode::default(),
            broken: Broken::default(),
            queued: AtomicI64::new(-1),
            watching: AtomicUsize::new(0),
            channels: AtomicUsize::new(0),
            patterns: AtomicUsize::new(0),
            shard_channels: AtomicUsize::new(0),
            identity: Mutex::new(Identity::default()),
            user: Mutex::new(None),
        }
    }

    /// Shows others who it is: nobody for the default user.
    pub(super) fn set_user(&self, user: Option<Arc<User>>) {
        *self.user.lock() = user;
    }

    /// Whether it is a user other than the default one.
    pub fn is_of(&self, user: &Arc<User>) -> bool {
        self.user.lock().as_ref().is_some_and(|own| Arc::ptr_eq(own, user))
    }

    /// Whether it is the default user.
    pub fn is_of_default(&self) -> bool {
        self.user.lock().is_none()
    }

    /// The name of its user.
    pub fn user_name(&self) -> Vec<u8> {
        self.user.lock().as_ref().map_or(DEFAULT, |user| user.name()).to_vec()
    }

    /// Whether it listens to anything.
    pub fn is_listening(&self) -> bool {
        [&self.channels, &self.patterns, &self.shard_channels].iter().any(|count| count.load(Ordering::Relaxed) > 0)
    }

    /// What CLIENT LIST and CLIENT KILL call its type, of which [`Client::tell`] also takes its limits.
    pub fn class(&self) -> Class {
        if self.is_listening() { Class::PubSub } else { Class::Normal }
    }

    /// Leaves a message, unless so many gather that `client-output-buffer-limit` closes the client.
    pub fn tell(&self, message: &[u8], config: &Config, now: UnixMillis) {
        if let Some(waiting) = self.mailbox.push(message) {
            self.bound_output(waiting + self.unsent.load(Ordering::Relaxed), config, now);
        }
    }

    /// Closes the client if `size` bytes that wait to be sent to it are more than `client-output-buffer-limit` bears.
    pub fn bound_output(&self, size: usize, config: &Config, now: UnixMillis) {
        let limit = config.output_buffer_limit(self.class() as usize);
        let counted = size.saturating_sub(FREE_OUTPUT) as u64;
        let over = |bound: u64| bound > 0 && counted > bound;
        let since = self.over_soft_limit_since.load(Ordering::Relaxed);
        let too_long = over(limit.soft_bytes) && since != 0 && {
            let milliseconds = u64::try_from(now.0 - since).unwrap_or(0);
            milliseconds > limit.soft_seconds.saturating_mul(1000)
        };
        if over(limit.hard_bytes) || too_long {
            self.close_for_output(size);
        } else if !over(limit.soft_bytes) {
            self.over_soft_limit_since.store(0, Ordering::Relaxed);
        } else if since == 0 {
            self.over_soft_limit_since.store(now.0, Ordering::Relaxed);
        }
    }

    /// How many bytes may wait to be sent to the client without it being closed for that at once, if there is a limit.
    pub fn most_output(&self, config: &Config) -> Option<usize> {
        match config.output_buffer_limit(self.class() as usize).hard_bytes {
            0 => None,
            bytes => Some(usize::try_from(bytes).unwrap_or(usize::MAX).saturating_add(FREE_OUTPUT)),
        }
    }

    /// Closes the client because `size` bytes are more than may wait to be sent to it.
    pub fn close_for_output(&self, size: usize) {
        if self.mailbox.close_once() {
            self.let_too_much_gather.store(true, Ordering::Relaxed);
            tracing::warn!(client = self.id.0, size, "output buffer limit reached, closing the client");
        }
    }

    /// Whether anything waits to be sent; asks for no lock.
    pub fn has_waiting_output(&self) -> bool {
        self.unsent.load(Ordering::Relaxed) > 0 || self.mailbox.has_mail()
    }

    /// Bytes that wait to be sent.
    pub fn waiting_output(&self) -> usize {
        self.unsent.load(Ordering::Relaxed) + self.mailbox.size()
    }

    /// Counts a key that it watches, or a channel, pattern or prefix that it listens to.
    pub fn keep_name(&self, name: &[u8]) {
        self.names_memory.fetch_add(name.len() + NAME_OVERHEAD, Ordering::Relaxed);
    }

    /// Counts such a name no longer.
    pub fn drop_name(&self, name: &[u8]) {
        self.names_memory.fetch_sub(name.len() + NAME_OVERHEAD, Ordering::Relaxed);
    }

    /// Bytes of memory that the connection takes.
    pub fn memory(&self) -> usize {
        let parts = [
            &self.query_buffer,
            &self.query_buffer_free,
            &self.reply_buffer,
            &self.queued_memory,
            &self.fieldset_memory,
            &self.names_memory,
        ];
        let parts: usize = parts.iter().map(|part| part.load(Ordering::Relaxed)).sum();
        size_of::<Self>() + parts + self.mailbox.size()
    }

    /// Whether it is on this machine: a unix socket or the loopback interface.
    pub fn is_local(&self) -> bool {
        self.is_unix_socket || self.address.starts_with("127.") || self.address.starts_with("[::1]")
    }

    /// The last command, if there was one.
    pub fn last_command(&self) -> Option<CommandId> {
        u16::try_from(self.last_command.load(Ordering::Relaxed)).ok().map(CommandId)
    }
}

/// The types of clients that `client-output-buffer-limit` tells apart, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Neither of the others; those that MONITOR too.
    Normal,
    /// A replica of this server; there are none.
    Replica,
    /// Subscribed to something.
    PubSub,
    /// The primary of this server; there is none, and no limits for it.
    Primary,
}

/// Where a connection comes from.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Peer address as text.
    pub address: String,
    /// Local address as text.
    pub local_address: String,
    /// File descriptor.
    pub fd: i64,
    /// Whether it is a unix socket.
    pub is_unix_socket: bool,
}

/// All connected clients by id.
#[derive(Debug, Default)]
pub struct Clients {
    next_id: AtomicU64,
    connected: Mutex<BTreeMap<ClientId, Arc<Client>>>,
}

impl Clients {
    /// Registers a new connection unless `limit` are connected already.
    pub fn connect(&self, peer: Peer, now: UnixMillis, limit: usize) -> Option<Arc<Client>> {
        let mut connected = self.connected.lock();
        if connected.len() >= limit {
            return None;
        }
        let id = ClientId(self.next_id.fetch_add(1, Ordering::Relaxed) + 1);
        let client = Arc::new(Client::new(id, peer, now));
        connected.insert(id, Arc::clone(&client));
        Some(client)
    }

    /// Forgets a connection that has ended.
    pub fn disconnect(&self, id: ClientId) {
        self.connected.lock().remove(&id);
    }

    /// Everyone connected now, oldest first, but those that have been told to go.
    pub fn all(&self) -> Vec<Arc<Client>> {
        self.connected.lock().values().filter(|client| !client.mailbox.is_closed()).cloned().collect()
    }

    /// Calls `visit` for everyone connected, oldest first. It must not ask for a lock other than the client's own.
    pub fn each(&self, visit: impl FnMut(&Arc<Client>)) {
        self.connected.lock().values().for_each(visit);
    }

    /// The client with an id, unless it has been told to go.
    pub fn find(&self, id: ClientId) -> Option<Arc<Client>> {
        self.connected.lock().get(&id).filter(|client| !client.mailbox.is_closed()).cloned()
    }

    /// Number of connections.
    pub fn len(&self) -> usize {
        self.connected.lock().len()
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited() -> (Client, Config) {
        let peer = Peer { address: String::new(), local_address: String::new(), fd: 0, is_unix_socket: false };
        let config = Config::default();
        config.set(&[(b"client-output-buffer-limit", b"normal 100 10 5")]).unwrap();
        (Client::new(ClientId(1), peer, UnixMillis(1)), config)
    }

    #[test]
    fn the_hard_limit_closes_at_once() {
        let (client, config) = limited();
        client.tell(&vec![0; FREE_OUTPUT + 100], &config, UnixMillis(1));
        assert!(!client.mailbox.is_closed());
        client.tell(b"x", &config, UnixMillis(1));
        assert!(client.mailbox.is_closed() && client.let_too_much_gather.load(Ordering::Relaxed));
        let (client, config) = limited();
        client.unsent.store(60, Ordering::Relaxed);
        client.tell(&vec![0; FREE_OUTPUT + 41], &config, UnixMillis(1));
        assert!(client.mailbox.is_closed());
    }

    #[test]
    fn the_soft_limit_closes_when_it_lasts() {
        let (client, config) = limited();
        let wait = |size: usize, now| client.bound_output(FREE_OUTPUT + size, &config, UnixMillis(now));
        wait(11, 1);
        wait(11, 5_001);
        assert!(!client.mailbox.is_closed());
        wait(10, 5_002);
        wait(11, 9_000);
        wait(11, 14_000);
        assert!(!client.mailbox.is_closed());
        wait(11, 14_001);
        assert!(client.mailbox.is_closed());
    }
}
