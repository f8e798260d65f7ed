//! Buffers that no connection uses just now. A connection has buffers only while it has something in them: of ten
//! thousand idle ones none keeps any, and those that work on a thread hand the same few on, which stay in its cache.

use std::cell::RefCell;

use bytes::BytesMut;

use crate::resp::reply::ReplyWriter;

/// Room for one read, as Redis's `PROTO_IOBUF_LEN`.
pub(super) const READ_ROOM: usize = 16 * 1024;

/// Buffers kept by a thread.
const KEPT: usize = 8;

/// A buffer larger than this is not kept.
const LARGEST: usize = 64 * 1024;

thread_local! {
    static READ: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
    static REPLY: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Gives `buffer` memory, if it has none.
#[inline]
pub(super) fn lend_read(buffer: &mut BytesMut) {
    if buffer.capacity() == 0 {
        *buffer = READ.with_borrow_mut(Vec::pop).unwrap_or_else(|| BytesMut::with_capacity(READ_ROOM));
    }
}

/// Takes the memory of a read buffer that is empty.
#[inline]
pub(super) fn take_read(buffer: &mut BytesMut) {
    if buffer.capacity() > 0 {
        let mut buffer = std::mem::take(buffer);
        buffer.clear();
        // What has been read lies before the part that is left: this gets the whole of it back.
        if buffer.try_reclaim(READ_ROOM) && buffer.capacity() <= LARGEST {
            READ.with_borrow_mut(|kept| {
                if kept.len() < KEPT {
                    kept.push(buffer);
                }
            });
        }
    }
}

/// Gives `reply` memory, if it has none.
#[inline]
pub(super) fn lend_reply(reply: &mut ReplyWriter) {
    if !reply.has_memory()
        && let Some(memory) = REPLY.with_borrow_mut(Vec::pop)
    {
        reply.lend(memory);
    }
}

/// Takes the memory of replies that have all been sent.
#[inline]
pub(super) fn take_reply(reply: &mut ReplyWriter) {
    if reply.has_memory() {
        let memory = reply.take();
        if memory.capacity() <= LARGEST {
            REPLY.with_borrow_mut(|kept| {
                if kept.len() < KEPT {
                    kept.push(memory);
                }
            });
        }
    }
}
