//! Buffers for what is built in memory and then copied to where it stays: each thread keeps a few for the next time.

use std::cell::RefCell;

/// A larger buffer is not kept.
const MOST_BYTES: usize = 64 * 1024;
/// As many as are in use at a time.
const MOST_BUFFERS: usize = 3;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer.
pub(super) fn take() -> Vec<u8> {
    BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Keeps a buffer for the next one who needs it.
pub(super) fn keep(mut buffer: Vec<u8>) {
    if buffer.capacity() > MOST_BYTES {
        return;
    }
    buffer.clear();
    BUFFERS.with_borrow_mut(|buffers| {
        if buffers.len() < MOST_BUFFERS {
            buffers.push(buffer);
        }
    });
}
