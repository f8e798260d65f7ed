//! `Session`: what the server knows about one connected client and what only that client can see.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::args::OwnedArgs;
use super::spec::Spec;
use crate::base::clock::{Ticks, UnixMillis};
use crate::resp::reply::{ReplyWriter, RespVersion};
use crate::services::Services;
use crate::services::acl::access::Access;
use crate::services::append_only::Offset;
use crate::services::clients::Client;
use crate::services::pubsub::Subscriptions;
use crate::services::stats::{CommandId, WorkerCounters};
use crate::services::watch::Broken;

/// What the connection does next. All but waiting comes after the replies so far have been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Then {
    /// Reads on.
    #[default]
    Continue,
    /// Closes (QUIT, a protocol error).
    Close,
    /// Makes this client alone wait (DEBUG SLEEP), then sends the replies and reads on.
    Sleep(Duration),
    /// Stops the whole server (SHUTDOWN).
    Shutdown,
    /// Waits until the time has come, if there is one, or until CLIENT UNBLOCK; then replies as `Wait` says.
    Block(Wait, Option<UnixMillis>),
}

/// What a blocked client waits for. As no replica ever answers, it waits for those in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// WAIT: replies how many replicas have confirmed.
    Replicas,
    /// WAITAOF: replies whether the log is synced here up to this place, and on how many replicas.
    AppendOnlyFile(LogWait),
    /// Either of a client that wants no reply, and what ends it.
    Unheard(Option<LogWait>),
}

/// What WAITAOF waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogWait {
    /// Up to where the log is to be synced.
    pub end: Offset,
    /// Whether it is waited for.
    pub is_wanted: bool,
    /// Whether that is all that is waited for.
    pub is_all: bool,
}

/// Which replies the client wants (`CLIENT REPLY`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplyMode {
    /// All of them.
    #[default]
    On,
    /// None until `CLIENT REPLY ON`.
    Off,
    /// All but that of the next command; becomes [`ReplyMode::Skipping`] when this command ends.
    SkipNext,
    /// Not that of this command.
    Skipping,
}

/// A command that waits for EXEC.
#[derive(Debug)]
pub struct Queued {
    /// What it is.
    pub spec: &'static Spec,
    /// Its id.
    pub id: CommandId,
    /// What it was sent with.
    pub args: OwnedArgs,
}

/// What has come since MULTI.
#[derive(Debug, Default)]
pub struct Transaction {
    /// The commands, in order.
    pub queue: Vec<Queued>,
    /// Bytes that their arguments take.
    pub memory: usize,
    /// Whether a command was refused, so that EXEC will be.
    pub is_refused: bool,
}

/// A fieldset of `HIMPORT PREPARE`: field names in the order in which the values will come.
pub type Fieldset = Box<[Box<[u8]>]>;

/// The state of one connection.
#[derive(Debug)]
pub struct Session {
    /// The part other clients can see (CLIENT LIST) and act on.
    pub client: Arc<Client>,
    /// The selected database.
    pub database: usize,
    /// Who the client is and what it may do.
    pub access: Access,
    /// Which replies are sent.
    pub reply_mode: ReplyMode,
    /// What happens after the flush.
    pub then: Then,
    /// The counters of the worker that serves the client.
    pub counters: Arc<WorkerCounters>,
    /// When the last call ended, or when the one that runs began.
    pub timed_from: Ticks,
    /// What has been queued since MULTI.
    pub transaction: Option<Transaction>,
    /// A transaction that EXEC has released; it runs before anything else does.
    pub ready: Option<Transaction>,
    /// Whether commands run as part of a transaction.
    pub is_executing: bool,
    /// Watched keys with their databases.
    pub watched: HashSet<(usize, Box<[u8]>)>,
    /// Set by whoever changes a watched key.
    pub broken: Broken,
    /// What the client listens to.
    pub subscriptions: Subscriptions,
    /// Whether what the command has written are messages, which the client gets whatever replies it wants.
    pub has_pushed: bool,
    /// Up to where the append-only file holds what the client has done; 0 if it has done nothing.
    pub logged_up_to: Offset,
    /// Prepared HIMPORT fieldsets by name; they die with RESET and with the connection.
    pub fieldsets: HashMap<Box<[u8]>, Fieldset>,
}

impl Session {
    /// A fresh session for `client`, which may do what `access` says.
    pub fn new(client: Arc<Client>, access: Access, counters: Arc<WorkerCounters>) -> Self {
        Self {
            broken: Arc::clone(&client.broken),
            client,
            counters,
            timed_from: Ticks::default(),
            database: 0,
            access,
            reply_mode: ReplyMode::On,
            then: Then::Continue,
            transaction: None,
            ready: None,
            is_executing: false,
            watched: HashSet::new(),
            subscriptions: Subscriptions::default(),
            has_pushed: false,
            logged_up_to: 0,
            fieldsets: HashMap::new(),
        }
    }

    /// Leaves the state that MULTI began; gives what has been queued.
    pub fn end_transaction(&mut self) -> Option<Transaction> {
        self.client.queued.store(-1, Ordering::Relaxed);
        self.client.queued_memory.store(0, Ordering::Relaxed);
        self.transaction.take()
    }

    /// Whether the client can do nothing but listen: in RESP2 it could not tell replies from messages.
    pub fn only_listens(&self) -> bool {
        !self.subscriptions.is_empty() && self.client.resp.load(Ordering::Relaxed) == RespVersion::Resp2.number()
    }

    /// Puts the messages that have come so far before what the command is about to reply. In a transaction they have to
    /// wait: they would be taken for elements of EXEC's reply.
    pub fn collect_mail(&self, reply: &mut ReplyWriter) {
        let mailbox = &self.client.mailbox;
        if self.is_executing || !mailbox.has_mail() {
            return;
        }
        mailbox.collect(reply);
        if mailbox.is_closed() {
            // The connection must not miss it.
            mailbox.nudge();
        }
    }

    /// Forgets all watches.
    pub fn unwatch(&mut self, services: &Services) {
        for (database, key) in std::mem::take(&mut self.watched) {
            services.changes.watches.remove(&services.keyspace, database, &key, &self.broken);
            self.client.drop_name(&key);
        }
        self.broken.store(false, Ordering::Relaxed);
        self.client.watching.store(0, Ordering::Relaxed);
    }
}
