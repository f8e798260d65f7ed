//! What a connection works with, apart from its socket: a request that takes long is run with it on another thread.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Buf, BytesMut};

use super::spare;
use crate::base::clock::UnixMillis;
use crate::dispatch::{Where, dispatch, is_paused, leave, prefetch};
use crate::handler::session::Then;
use crate::handler::{Args, Session};
use crate::resp::decode::{DecodeLimits, Decoder, ProtocolError};
use crate::resp::reply::{ReplyWriter, RespVersion};
use crate::services::append_only::Log;
use crate::services::clients::FREE_OUTPUT;
use crate::services::{Services, eviction, limits};

/// Requests decoded ahead: as many as the processor can usefully load for at a time.
const BATCH: usize = 32;

/// Replies are sent when this much is waiting, in the middle of a pipeline too: a client that does not read its
/// replies makes its own connection wait, and holds no more memory than this and one reply.
const SEND_AT: usize = 256 * 1024;

/// How much may wait, beyond what is free, for a client that has not said who it is and does not read.
const UNAUTHENTICATED_OUTPUT: usize = 1024;

/// A read buffer larger than this is given back when what it was for has run.
const KEEP_BUFFER: usize = 64 * 1024;

/// Room is made at once for the rest of an argument up to this size, or up to this multiple of what has come. Room that
/// nothing has been written to is no memory yet, only addresses.
const TRUSTED: usize = 16 * 1024 * 1024;
const TRUSTED_MULTIPLE: usize = 8;
/// The longest request before authentication, as in Redis.
const UNAUTHENTICATED_BUFFER: usize = 1024 * 1024;

/// The longest request if `client-query-buffer-limit` does not allow for longer ones.
const LONGEST_REQUEST: usize = 1 << 30;

/// The longest there can be: places in a request are 32-bit numbers.
const MOST_ADDRESSABLE: usize = (1 << 32) - (1 << 20);

/// By how much a connection's memory grows before `maxmemory-clients` is looked at again.
const MEMORY_STEP: usize = 64 * 1024;

/// Turns that a connection may take in a row while others wait: reads that find something at once.
const TURNS: u8 = 4;

/// A connection's requests, replies and session.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) services: Arc<Services>,
    pub(super) session: Session,
    pub(super) buffer: BytesMut,
    pub(super) reply: ReplyWriter,
    decoder: Decoder,
    /// Bytes of `reply` that have been sent.
    sent: usize,
    /// Unsent bytes from which no further request is run.
    full_at: usize,
    /// Whether others may know of unsent replies.
    is_noted: bool,
    /// The most memory that has been looked at with `maxmemory-clients` in mind.
    noted_memory: usize,
    /// Turns taken since the connection last had nothing to do.
    turns: u8,
}

/// Takes the client off all lists however its loop ends, also by a panic.
impl Drop for Work {
    fn drop(&mut self) {
        if self.session.client.let_too_much_gather.load(Ordering::Relaxed) {
            self.services.stats.output_buffers_exceeded.fetch_add(1, Ordering::Relaxed);
        }
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
            buffer: BytesMut::new(),
            reply: ReplyWriter::new(RespVersion::Resp2),
            decoder: Decoder::default(),
            sent: 0,
            full_at: SEND_AT,
            is_noted: false,
            noted_memory: 0,
            turns: 0,
        }
    }

    /// Makes room for the next read; gives how much may be read, none if the request is too long already. A large
    /// argument gets room for all that is missing of it and no more: it is read to where it is run from, and what follows
    /// it does not make it move.
    ///
    /// As in Redis, `client-query-buffer-limit` is for what has not been decoded: one argument, or a line. All arguments
    /// of a request together have a limit of their own here.
    #[inline]
    pub(super) fn make_room(&mut self) -> Option<usize> {
        spare::lend_read(&mut self.buffer);
        let limit = usize::try_from(self.services.config.client_query_buffer_limit()).unwrap_or(usize::MAX);
        let unauthenticated = self.session.access.must_log_in(&self.services.acl);
        let limit = if unauthenticated { limit.min(UNAUTHENTICATED_BUFFER) } else { limit };
        let buffered = self.buffer.len();
        let left = limit.saturating_sub(buffered - self.decoder.decoded().min(buffered));
        let left = left.min(limit.clamp(LONGEST_REQUEST, MOST_ADDRESSABLE).saturating_sub(buffered));
        if left == 0 {
            let client = self.session.client.id.0;
            tracing::warn!(client, limit, "query buffer limit reached, closing the client");
            self.services.stats.query_buffers_exceeded.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let missing = self.decoder.missing_of_argument(buffered, spare::READ_ROOM);
        let room = missing.map_or(spare::READ_ROOM, |missing| missing.min(TRUSTED.max(buffered * TRUSTED_MULTIPLE)));
        self.buffer.reserve(room);
        Some(left)
    }

    /// Gives the buffers back, as there is nothing to do.
    #[inline]
    pub(super) fn rest(&mut self) {
        self.turns = 0;
        if self.buffer.is_empty() {
            spare::take_read(&mut self.buffer);
            self.session.client.query_buffer_free.store(0, Ordering::Relaxed);
        }
        if self.reply.as_bytes().is_empty() {
            spare::take_reply(&mut self.reply);
        }
        eviction::note_taken(&self.services);
    }

    /// Whether it is time to let others do something.
    #[inline]
    pub(super) fn has_had_its_turns(&mut self) -> bool {
        self.turns += 1;
        let is_over = self.turns >= TURNS;
        if is_over {
            self.turns = 0;
        }
        is_over
    }

    /// Bytes of replies that have not been sent.
    #[inline]
    pub(super) fn unsent(&self) -> usize {
        self.reply.as_bytes().len() - self.sent
    }

    /// Whether so much is unsent that no further request is run.
    pub(super) fn is_full(&self) -> bool {
        self.unsent() >= self.full_at
    }

    /// What is to be sent next.
    #[inline]
    pub(super) fn next_to_send(&self) -> Option<&[u8]> {
        self.reply.as_bytes().get(self.sent..).filter(|bytes| !bytes.is_empty())
    }

    /// Notes that `count` bytes have been sent.
    #[inline]
    pub(super) fn sent(&mut self, count: usize) {
        self.sent += count;
        self.session.client.bytes_out.add(count as u64);
        self.session.counters.bytes_out.add(count as u64);
        self.session.counters.writes.add(1);
    }

    /// Notes that all has been sent.
    #[inline]
    pub(super) fn all_sent(&mut self) {
        self.reply.clear();
        self.sent = 0;
        if self.is_noted {
            self.is_noted = false;
            self.session.client.unsent.store(0, Ordering::Relaxed);
            self.full_at = SEND_AT;
            self.bound_output_to(0);
        }
    }

    /// Notes that the socket takes no more, and lets go of what has been sent.
    #[cold]
    pub(super) fn note_unsent(&mut self) {
        if self.sent > 0 && self.sent >= self.unsent() {
            self.reply.drop_first(self.sent);
            self.sent = 0;
        }
        self.is_noted = true;
        let client = &self.session.client;
        let before = client.unsent.swap(self.unsent(), Ordering::Relaxed);
        if before != self.unsent() {
            client.active_at.store(self.services.clock.now().0, Ordering::Relaxed);
        }
        client.reply_buffer.store(self.reply.capacity(), Ordering::Relaxed);
        let unsent = self.unsent();
        if unsent > FREE_OUTPUT + UNAUTHENTICATED_OUTPUT && self.session.access.must_log_in(&self.services.acl) {
            self.session.client.close_for_output(unsent);
            return;
        }
        self.bound_output();
    }

    /// Closes the client if more is unsent than `client-output-buffer-limit` bears; false then.
    #[inline]
    pub(super) fn bound_output(&mut self) -> bool {
        self.unsent() <= FREE_OUTPUT || {
            self.is_noted = true;
            self.bound_output_to(self.unsent());
            !self.session.client.mailbox.is_closed()
        }
    }

    fn bound_output_to(&self, unsent: usize) {
        let client = &self.session.client;
        client.bound_output(unsent + client.mailbox.size(), &self.services.config, self.services.clock.now());
    }

    /// Whether further requests may be run although their replies gather: as Redis does up to `client-output-buffer-limit`,
    /// where there is such a limit.
    pub(super) fn may_gather(&mut self) -> bool {
        let limit = self.services.config.output_buffer_limit(self.session.client.class() as usize);
        let bound = match limit.hard_bytes.max(limit.soft_bytes) {
            0 => 0,
            bytes => usize::try_from(bytes).unwrap_or(usize::MAX).saturating_add(FREE_OUTPUT),
        };
        // One more than is borne, so that the limit is noticed.
        self.full_at = SEND_AT.max(bound.saturating_add(1));
        self.unsent() <= bound
    }

    /// Notes that a command has panicked; the connection ends.
    #[cold]
    pub(super) fn note_panic(&self) {
        let client = &self.session.client;
        let name = client.last_command().and_then(|id| self.services.stats.command_name(id)).unwrap_or("none");
        self.services.stats.panics.fetch_add(1, Ordering::Relaxed);
        tracing::error!(client = client.id.0, command = name, "a command has panicked, closing its client");
    }

    /// Runs the requests in the buffer.
    pub(super) fn execute(&mut self) -> Stop {
        spare::lend_reply(&mut self.reply);
        let now = self.services.clock.now();
        Log::begin_batch();
        if self.decoder.has_waiting() {
            self.session.timed_from = self.services.ticker.read();
        }
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
            if self.is_full() {
                break Stop::Full;
            }
            if let Err(error) = self.decode() {
                tracing::debug!(client = self.session.client.id.0, %error, "protocol error");
                let text = format!("ERR Protocol error: {error}");
                self.session.counters.count_error(text.as_bytes());
                self.reply.error(&text);
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
        self.note_logged();
        self.account(commands, now);
        stop
    }

    /// Lets what has been logged by this thread be written.
    #[inline]
    fn note_logged(&mut self) {
        if let Some(end) = Log::own_end() {
            self.session.logged_up_to = end;
            self.services.changes.log.kick();
        }
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
        // What follows is the first request's time.
        self.session.timed_from = self.services.ticker.read();
        Ok(())
    }

    fn account(&mut self, commands: u64, now: UnixMillis) {
        let client = &self.session.client;
        client.active_at.store(now.0, Ordering::Relaxed);
        client.commands.add(commands);
        let undecoded = self.buffer.len().saturating_sub(self.decoder.decoded());
        client.query_buffer.store(undecoded, Ordering::Relaxed);
        client.query_buffer_free.store(self.buffer.capacity() - undecoded, Ordering::Relaxed);
        self.session.counters.commands_processed.add(commands);
        if limits::limit_of_clients(&self.services).is_some() {
            self.look_at_memory();
        }
    }

    /// Has clients evicted if this one has grown by much and all together take more than `maxmemory-clients`.
    #[cold]
    fn look_at_memory(&mut self) {
        self.session.client.reply_buffer.store(self.reply.capacity(), Ordering::Relaxed);
        let memory = self.session.client.memory();
        if memory >= self.noted_memory + MEMORY_STEP {
            limits::evict_clients(&self.services);
            self.noted_memory = memory;
        } else {
            self.noted_memory = self.noted_memory.min(memory);
        }
    }

    /// Runs the next request, which takes long, on a thread that may take its time.
    pub(super) fn run_long(&mut self) {
        self.session.client.runs_long.store(true, Ordering::Relaxed);
        // The worker counts on while this thread does: each needs counters of its own.
        let aside = self.services.stats.counters_aside();
        let counters = std::mem::replace(&mut self.session.counters, aside);
        if let Some((bytes, ranges)) = self.decoder.next(&self.buffer) {
            let now = self.services.clock.now();
            self.session.timed_from = self.services.ticker.read();
            let call = (Args::new(bytes, ranges), now, Where::Aside);
            Log::begin_batch();
            dispatch(&self.services, &mut self.session, &mut self.reply, call);
            self.decoder.step();
            self.services.changes.tracking.broadcast();
            self.note_logged();
        }
        let aside = std::mem::replace(&mut self.session.counters, counters);
        self.session.counters.absorb(&aside);
        self.account(1, self.services.clock.now());
        self.session.client.runs_long.store(false, Ordering::Relaxed);
    }

    /// Forgets the requests that have run.
    pub(super) fn drop_consumed(&mut self) {
        let consumed = self.decoder.take_consumed();
        let (rest, is_large) = (self.buffer.len() - consumed, self.buffer.capacity() > KEEP_BUFFER);
        if is_large && rest <= spare::READ_ROOM {
            self.buffer = BytesMut::from(self.buffer.get(consumed..).unwrap_or_default());
        } else if rest > 0 {
            self.buffer.advance(consumed);
        } else {
            self.buffer.clear();
        }
    }
}
