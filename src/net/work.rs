//! What a connection works with, apart from its socket: a request that takes long is run with it on another thread.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Buf, BytesMut};

use crate::base::clock::UnixMillis;
use crate::dispatch::{Where, dispatch, is_paused, leave, prefetch};
use crate::handler::session::Then;
use crate::handler::{Args, Session};
use crate::resp::decode::{DecodeLimits, Decoder, ProtocolError};
use crate::resp::reply::{ReplyWriter, RespVersion};
use crate::services::Services;

/// Room for one read, as Redis's `PROTO_IOBUF_LEN`.
const READ_ROOM: usize = 16 * 1024;

/// Requests decoded ahead: as many as the processor can usefully load for at a time.
const BATCH: usize = 32;

/// Replies are sent when this much is waiting, in the middle of a pipeline too: a client that does not read its
/// replies makes its own connection wait, and holds no more memory than this and one reply.
const SEND_AT: usize = 1024 * 1024;

/// A read buffer larger than this is given back when what it was for has run.
const KEEP_BUFFER: usize = 64 * 1024;

/// Room is made at once for the rest of an argument up to this size, or up to this multiple of what has come. Room that
/// nothing has been written to is no memory yet, only addresses.
const TRUSTED: usize = 16 * 1024 * 1024;
const TRUSTED_MULTIPLE: usize = 8;

/// A connection's requests, replies and session.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) services: Arc<Services>,
    pub(super) session: Session,
    pub(super) buffer: BytesMut,
    pub(super) reply: ReplyWriter,
    decoder: Decoder,
}

/// Takes the client off all lists however its loop ends, also by a panic.
impl Drop for Work {
    fn drop(&mut self) {
        leave(&self.services, &mut self.session);
    }
}

/// Why the requests in the buffer are not run further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// All that is complete has run.
    Drained,
    /// Much is waiting to be sent.
    Full,
    /// A command has asked for something, or the connection ends.
    Then,
    /// CLIENT PAUSE holds the next request back.
    Paused,
    /// The next request takes long.
    Long,
}

impl Work {
    pub(super) fn new(services: Arc<Services>, session: Session) -> Self {
        Self {
            services,
            session,
            buffer: BytesMut::with_capacity(READ_ROOM),
            reply: ReplyWriter::new(RespVersion::Resp2),
            decoder: Decoder::default(),
        }
    }

    /// Makes room for the next read. A large argument gets room for all that is missing of it and no more: it is read to
    /// where it is run from, and what follows it does not make it move.
    pub(super) fn make_room(&mut self) {
        let buffered = self.buffer.len();
        let missing = self.decoder.missing_of_argument(buffered, READ_ROOM);
        let room = missing.map_or(READ_ROOM, |missing| missing.min(TRUSTED.max(buffered * TRUSTED_MULTIPLE)));
        self.buffer.reserve(room);
    }

    /// Runs the requests in the buffer.
    pub(super) fn execute(&mut self) -> Stop {
        let now = self.services.clock.now();
        let mut commands = 0;
        let stop = loop {
            if self.session.client.mailbox.has_mail() {
                self.session.client.mailbox.collect(&mut self.reply);
                if self.session.client.mailbox.is_closed() {
                    self.session.then = Then::Close;
                }
            }
            if self.session.then != Then::Continue {
                break Stop::Then;
            }
            if self.reply.as_bytes().len() >= SEND_AT {
                break Stop::Full;
            }
            if let Err(error) = self.decode() {
                tracing::debug!(client = self.session.client.id.0, %error, "protocol error");
                self.reply.error(&format!("ERR Protocol error: {error}"));
                self.session.then = Then::Close;
                break Stop::Then;
            }
            let Some((bytes, ranges)) = self.decoder.next(&self.buffer) else { break Stop::Drained };
            let args = Args::new(bytes, ranges);
            if self.services.pause.until().is_some() && is_paused(&self.services, &mut self.session, args, now) {
                break Stop::Paused;
            }
            if !dispatch(&self.services, &mut self.session, &mut self.reply, (args, now, Where::Worker)) {
                break Stop::Long;
            }
            self.decoder.step();
            commands += 1;
        };
        self.services.changes.tracking.broadcast();
        self.account(commands, now);
        stop
    }

    /// Makes sure that the next request is decoded if it is there, and a batch behind it. What the batch will touch is on
    /// its way into the cache while its first requests run.
    fn decode(&mut self) -> Result<(), ProtocolError> {
        if self.decoder.has_waiting() {
            return Ok(());
        }
        // What may be sent changes with AUTH, so requests before it are decoded one by one.
        let unauthenticated = self.session.access.must_log_in(&self.services.acl);
        let max_bulk = usize::try_from(self.services.config.proto_max_bulk_len()).unwrap_or(usize::MAX);
        let batch = if unauthenticated { 1 } else { BATCH };
        self.decoder.advance(&self.buffer, DecodeLimits { max_bulk, unauthenticated }, batch)?;
        if self.decoder.waiting(&self.buffer).len() > 1 {
            let requests = self.decoder.waiting(&self.buffer).map(|(bytes, ranges)| Args::new(bytes, ranges));
            prefetch(&self.services, &self.session, requests);
        }
        Ok(())
    }

    fn account(&self, commands: u64, now: UnixMillis) {
        let client = &self.session.client;
        client.active_at.store(now.0, Ordering::Relaxed);
        client.commands.add(commands);
        client.query_buffer.store(self.buffer.len(), Ordering::Relaxed);
        client.query_buffer_free.store(self.buffer.capacity() - self.buffer.len(), Ordering::Relaxed);
        self.session.counters.commands_processed.add(commands);
    }

    /// Runs the next request, which takes long, on a thread that may take its time.
    pub(super) fn run_long(&mut self) {
        // The worker counts on while this thread does: each needs counters of its own.
        let aside = self.services.stats.counters_aside();
        let counters = std::mem::replace(&mut self.session.counters, aside);
        if let Some((bytes, ranges)) = self.decoder.next(&self.buffer) {
            let now = self.services.clock.now();
            let call = (Args::new(bytes, ranges), now, Where::Aside);
            dispatch(&self.services, &mut self.session, &mut self.reply, call);
            self.decoder.step();
            self.services.changes.tracking.broadcast();
        }
        let aside = std::mem::replace(&mut self.session.counters, counters);
        self.session.counters.absorb(&aside);
        self.account(1, self.services.clock.now());
    }

    /// Forgets the requests that have run.
    pub(super) fn drop_consumed(&mut self) {
        let consumed = self.decoder.take_consumed();
        let (rest, is_large) = (self.buffer.len() - consumed, self.buffer.capacity() > KEEP_BUFFER);
        if is_large && rest <= READ_ROOM {
            self.buffer = BytesMut::from(self.buffer.get(consumed..).unwrap_or_default());
        } else if rest > 0 {
            self.buffer.advance(consumed);
        } else {
            self.buffer.clear();
        }
    }
}
