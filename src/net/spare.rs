//! Buffers that no connection uses just now. A connection has buffers only while it has something in them: of ten
//! thousand idle ones none keeps any, and those that work on a thread hand the same two on, which stay in its cache.

use std::cell::Cell;

use bytes::BytesMut;

use crate::resp::reply::ReplyWriter;

/// Room for one read, as Redis's `PROTO_IOBUF_LEN`.
pub(super) const READ_ROOM: usize = 16 * 1024;

/// A buffer larger than this is not kept.
const LARGEST: usize = 64 * 1024;

thread_local! {
    static READ: Cell<Option<BytesMut>> = const { Cell::new(None) };
    static REPLY: Cell<Option<Vec<u8>>> = const { Cell::new(None) };
}

/// Gives `buffer` memory, if it has none.
#[inline]
pub(super) fn lend_read(buffer: &mut BytesMut) {
    if buffer.capacity() == 0 {
        *buffer = READ.take().unwrap_or_else(|| BytesMut::with_capacity(READ_ROOM));
    }
}

/// Takes the memory of a read buffer that is empty.
#[inline]
pub(super) fn take_read(buffer: &mut BytesMut) {
    if buffer.capacity() > 0 {
        let mut buffer = std::mem::take(buffer);
        // What has been read may lie before the part that is left: reclaiming gets the whole of it back.
        let is_whole = buffer.capacity() >= READ_ROOM || buffer.try_reclaim(READ_ROOM);
        if is_whole && buffer.capacity() <= LARGEST {
            READ.set(Some(buffer));
        }
    }
}

/// Gives `reply` memory, if it has none.
#[inline]
pub(super) fn lend_reply(reply: &mut ReplyWriter) {
    if !reply.has_memory()
        && let Some(memory) = REPLY.take()
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
            REPLY.set(Some(memory));
        }
    }
}
