//! `Mailbox`: what other threads have to tell a connection: messages to send, that it is killed, that it is unblocked.
//!
//! A leaf among the locks: nothing is locked while a mailbox is. A connection that has no mail pays one load per wake-up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use parking_lot::Mutex;

use crate::base::clock::UnixMillis;
use crate::config::OutputBufferLimit;
use crate::resp::reply::ReplyWriter;

/// How `CLIENT UNBLOCK` ends a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unblock {
    /// As if its time were up.
    Timeout,
    /// With an error.
    Error,
}

#[derive(Debug, Default)]
struct State {
    /// Whole messages in the client's protocol.
    frames: Vec<u8>,
    unblock: Option<Unblock>,
    /// Wakes the connection's task.
    waker: Option<Waker>,
    /// Since when `frames` has been over the soft limit.
    over_soft_limit_since: Option<UnixMillis>,
}

/// A connection's mailbox. Anyone may put something in; the connection alone takes it out.
#[derive(Debug, Default)]
pub struct Mailbox {
    /// The client's id, for the log.
    owner: u64,
    has_mail: AtomicBool,
    closed: AtomicBool,
    state: Mutex<State>,
}

impl Mailbox {
    /// The mailbox of the client with this id.
    pub fn of(owner: u64) -> Self {
        Self { owner, ..Self::default() }
    }

    /// Leaves a message. A client that has let too many gather is closed instead, as `client-output-buffer-limit` says;
    /// false then, and for a client that is closed already.
    pub fn push(&self, frame: &[u8], limit: OutputBufferLimit, now: UnixMillis) -> bool {
        let mut state = self.state.lock();
        // Asked with the lock held: whoever closes it for its size does so, and says so, once.
        if self.is_closed() {
            return false;
        }
        let size = (state.frames.len() + frame.len()) as u64;
        let over = |bound: u64| bound > 0 && size > bound;
        let since = over(limit.soft_bytes).then(|| state.over_soft_limit_since.unwrap_or(now));
        state.over_soft_limit_since = since;
        let too_long = since.is_some_and(|since| (now.0 - since.0).unsigned_abs() >= limit.soft_seconds * 1000);
        if over(limit.hard_bytes) || (too_long && since != Some(now)) {
            state.frames = Vec::new();
            self.closed.store(true, Ordering::Release);
            self.wake(&state);
            drop(state);
            tracing::warn!(client = self.owner, size, "output buffer limit reached, closing the client");
            return false;
        }
        state.frames.extend_from_slice(frame);
        self.wake(&state);
        true
    }

    /// Tells the connection to end.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.wake(&self.state.lock());
    }

    /// Whether the connection has been told to end.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Tells a blocked connection to wait no longer.
    pub fn unblock(&self, how: Unblock) {
        let mut state = self.state.lock();
        state.unblock = Some(how);
        self.wake(&state);
    }

    /// Takes what [`Mailbox::unblock`] has left.
    pub fn take_unblock(&self) -> Option<Unblock> {
        self.state.lock().unblock.take()
    }

    /// Makes the connection look around: something that it waits for may have changed.
    pub fn nudge(&self) {
        self.wake(&self.state.lock());
    }

    /// Whether there is anything to look at.
    #[inline]
    pub fn has_mail(&self) -> bool {
        self.has_mail.load(Ordering::Acquire)
    }

    /// Moves the messages to the end of the replies.
    pub fn collect(&self, reply: &mut ReplyWriter) {
        let mut state = self.state.lock();
        self.has_mail.store(false, Ordering::Release);
        reply.raw(&state.frames);
        state.frames.clear();
        state.frames.shrink_to(4096);
        state.over_soft_limit_since = None;
    }

    /// Bytes of messages that wait.
    pub fn size(&self) -> usize {
        self.state.lock().frames.len()
    }

    /// Says how to wake the connection.
    pub fn register(&self, waker: &Waker) {
        self.state.lock().waker = Some(waker.clone());
    }

    fn wake(&self, state: &State) {
        self.has_mail.store(true, Ordering::Release);
        if let Some(waker) = &state.waker {
            waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::reply::RespVersion;

    const LIMIT: OutputBufferLimit = OutputBufferLimit { hard_bytes: 100, soft_bytes: 10, soft_seconds: 5 };

    #[test]
    fn messages_come_out_whole_and_once() {
        let mailbox = Mailbox::default();
        assert!(!mailbox.has_mail());
        assert!(mailbox.push(b"one", LIMIT, UnixMillis(0)));
        assert!(mailbox.push(b"two", LIMIT, UnixMillis(0)));
        assert!(mailbox.has_mail());
        let mut reply = ReplyWriter::new(RespVersion::Resp2);
        mailbox.collect(&mut reply);
        mailbox.collect(&mut reply);
        assert_eq!(reply.as_bytes(), b"onetwo");
        assert!(!mailbox.has_mail());
    }

    #[test]
    fn limits_close_a_client_that_does_not_read() {
        let hard = Mailbox::default();
        assert!(!hard.push(&[0; 101], LIMIT, UnixMillis(0)));
        assert!(hard.is_closed() && hard.has_mail());
        let soft = Mailbox::default();
        assert!(soft.push(&[0; 11], LIMIT, UnixMillis(0)));
        assert!(soft.push(b"x", LIMIT, UnixMillis(4_999)));
        assert!(!soft.push(b"x", LIMIT, UnixMillis(5_000)));
        assert!(soft.is_closed());
    }

    #[test]
    fn reading_forgives_the_soft_limit() {
        let mailbox = Mailbox::default();
        assert!(mailbox.push(&[0; 11], LIMIT, UnixMillis(0)));
        mailbox.collect(&mut ReplyWriter::new(RespVersion::Resp2));
        assert!(mailbox.push(&[0; 11], LIMIT, UnixMillis(9_000)));
        assert!(mailbox.push(b"x", LIMIT, UnixMillis(9_001)));
    }
}
