//! `Context`: everything a handler may touch.

use super::session::Session;
use crate::base::clock::UnixMillis;
use crate::resp::reply::ReplyWriter;
use crate::services::Services;
use crate::store::Database;

/// What a handler is given besides its arguments. The fields are separate so that a store closure can write replies.
pub struct Context<'a> {
    /// The client that sent the command.
    pub session: &'a mut Session,
    /// Where the reply goes: the connection's output buffer.
    pub reply: &'a mut ReplyWriter,
    /// The session's selected database, at the time of this batch.
    pub store: Database<'a>,
    /// Server-wide state.
    pub services: &'a Services,
    /// The time of this batch.
    pub now: UnixMillis,
}
