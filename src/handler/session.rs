//! `Session`: what the server knows about one connected client and what only that client can see.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::services::clients::Client;
use crate::services::stats::WorkerCounters;

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

/// A fieldset of `HIMPORT PREPARE`: field names in the order in which the values will come.
pub type Fieldset = Box<[Box<[u8]>]>;

/// The state of one connection.
#[derive(Debug)]
pub struct Session {
    /// The part other clients can see (CLIENT LIST) and act on.
    pub client: Arc<Client>,
    /// The selected database.
    pub database: usize,
    /// Whether commands other than AUTH, HELLO, QUIT and RESET may run.
    pub authenticated: bool,
    /// Which replies are sent.
    pub reply_mode: ReplyMode,
    /// What happens after the flush.
    pub then: Then,
    /// The counters of the worker that serves the client.
    pub counters: Arc<WorkerCounters>,
    /// Prepared HIMPORT fieldsets by name; they die with RESET and with the connection.
    pub fieldsets: HashMap<Box<[u8]>, Fieldset>,
}

impl Session {
    /// A fresh session for `client`; `authenticated` tells whether the server asks no password.
    pub fn new(client: Arc<Client>, authenticated: bool, counters: Arc<WorkerCounters>) -> Self {
        Self {
            client,
            counters,
            database: 0,
            authenticated,
            reply_mode: ReplyMode::On,
            then: Then::Continue,
            fieldsets: HashMap::new(),
        }
    }
}
