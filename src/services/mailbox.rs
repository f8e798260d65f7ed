//! `Mailbox`: what other threads have to tell a connection: messages to send, that it is killed, that it is unblocked.
//!
//! A leaf among the locks: nothing is locked while a mailbox is. A connection that has no mail pays one load per wake-up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use parking_lot::Mutex;

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
}

/// A connection's mailbox. Anyone may put something in; the connection alone takes it out.
#[derive(Debug, Default)]
pub struct Mailbox {
    has_mail: AtomicBool,
    closed: AtomicBool,
    state: Mutex<State>,
}

impl Mailbox {
    /// Leaves a message; gives the size of all that wait now, none if the client has been told to go.
    pub fn push(&self, frame: &[u8]) -> Option<usize> {
        let mut state = self.state.lock();
        if self.is_closed() {
            return None;
        }
        state.frames.extend_from_slice(frame);
        self.wake(&state);
        Some(state.frames.len())
    }

    /// Tells the connection to end.
    pub fn close(&self) {
        self.close_once();
    }

    /// Tells the connection to end, and forgets the messages; false if it has been told before.
    pub fn close_once(&self) -> bool {
        let mut state = self.state.lock();
        let is_first = !self.closed.swap(true, Ordering::AcqRel);
        state.frames = Vec::new();
        self.wake(&state);
        is_first
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

    #[test]
    fn messages_come_out_whole_and_once() {
        let mailbox = Mailbox::default();
        assert!(!mailbox.has_mail());
        assert_eq!((mailbox.push(b"one"), mailbox.push(b"two")), (Some(3), Some(6)));
        assert!(mailbox.has_mail());
        let mut reply = ReplyWriter::new(RespVersion::Resp2);
        mailbox.collect(&mut reply);
        mailbox.collect(&mut reply);
        assert_eq!(reply.as_bytes(), b"onetwo");
        assert!(!mailbox.has_mail());
    }

    #[test]
    fn a_closed_mailbox_takes_nothing() {
        let mailbox = Mailbox::default();
        mailbox.push(b"one");
        assert!(mailbox.close_once() && !mailbox.close_once());
        assert!(mailbox.is_closed() && mailbox.has_mail());
        assert_eq!((mailbox.push(b"two"), mailbox.size()), (None, 0));
    }
}
