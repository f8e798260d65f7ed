//! One client's loop: read, decode everything there is, run it, write all replies at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::base::clock::UnixMillis;
use crate::dispatch::{dispatch, prefetch};
use crate::handler::session::Then;
use crate::handler::{Args, Session};
use crate::resp::decode::{DecodeLimits, Decoder, ProtocolError};
use crate::resp::reply::{ReplyWriter, RespVersion};
use crate::services::Services;
use crate::services::clients::Client;
use crate::services::stats::WorkerCounters;

/// Room for one read, as Redis's `PROTO_IOBUF_LEN`.
const READ_ROOM: usize = 16 * 1024;

/// Requests decoded ahead: as many as the processor can usefully load for at a time.
const BATCH: usize = 32;

/// Replies are sent when this much is waiting, in the middle of a pipeline too: a client that does not read its
/// replies makes its own connection wait, and holds no more memory than this and one reply.
const SEND_AT: usize = 1024 * 1024;

/// A read buffer larger than this is given back when it is empty.
const KEEP_BUFFER: usize = 64 * 1024;

/// Serves one client until it leaves or is told to.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    services: Arc<Services>,
    client: Arc<Client>,
    counters: Arc<WorkerCounters>,
) {
    let authenticated = services.config.requirepass().is_empty();
    let id = client.id;
    let _registered = Registered { services: &services, client: &client };
    let mut connection = Connection {
        stream,
        services: &services,
        session: Session::new(Arc::clone(&client), authenticated, counters),
        decoder: Decoder::default(),
        buffer: BytesMut::with_capacity(READ_ROOM),
        reply: ReplyWriter::new(RespVersion::Resp2),
    };
    if let Err(error) = connection.run().await {
        tracing::debug!(client = id.0, %error, "connection ended");
    }
}

/// Takes the client off the list however its loop ends.
struct Registered<'a> {
    services: &'a Services,
    client: &'a Client,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.services.clients.disconnect(self.client.id);
    }
}

struct Connection<'a, S> {
    stream: S,
    services: &'a Services,
    session: Session,
    decoder: Decoder,
    buffer: BytesMut,
    reply: ReplyWriter,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    async fn run(&mut self) -> std::io::Result<()> {
        loop {
            if !self.read().await? {
                return Ok(());
            }
            loop {
                let more = self.execute();
                let then = std::mem::take(&mut self.session.then);
                if let Then::Sleep(duration) = then {
                    tokio::time::sleep(duration).await;
                }
                self.send().await?;
                match then {
                    Then::Continue | Then::Sleep(_) if more => {}
                    Then::Continue | Then::Sleep(_) => break,
                    Then::Close => return self.stream.shutdown().await,
                    Then::Shutdown => {
                        self.services.request_shutdown();
                        return Ok(());
                    }
                }
            }
            self.drop_consumed();
        }
    }

    /// Reads once; false when the client has left or sends more than it may.
    async fn read(&mut self) -> std::io::Result<bool> {
        let limit = usize::try_from(self.services.config.client_query_buffer_limit()).unwrap_or(usize::MAX);
        if self.buffer.len() > limit {
            tracing::warn!(client = self.session.client.id.0, limit, "query buffer limit reached, closing the client");
            return Ok(false);
        }
        // What is known to come is made room for in steps, so that an announcement alone takes no memory.
        let wanted = self.decoder.wanted(self.buffer.len()).min(self.buffer.len());
        self.buffer.reserve(wanted.max(READ_ROOM));
        let count = self.stream.read_buf(&mut self.buffer).await?;
        self.session.client.bytes_in.add(count as u64);
        self.session.counters.bytes_in.add(count as u64);
        Ok(count > 0)
    }

    /// Runs the requests in the buffer; true if it stopped only because much is waiting to be sent.
    fn execute(&mut self) -> bool {
        let now = self.services.clock.now();
        let mut commands = 0;
        let more = loop {
            if let Err(error) = self.decode() {
                tracing::debug!(client = self.session.client.id.0, %error, "protocol error");
                self.reply.error(&format!("ERR Protocol error: {error}"));
                self.session.then = Then::Close;
                break true;
            }
            let Some((bytes, ranges)) = self.decoder.take(&self.buffer) else { break false };
            dispatch(self.services, &mut self.session, &mut self.reply, Args::new(bytes, ranges), now);
            commands += 1;
            if self.session.then != Then::Continue {
                break true;
            }
            if self.reply.as_bytes().len() >= SEND_AT {
                break true;
            }
        };
        self.account(commands, now);
        more
    }

    /// Makes sure that the next request is decoded if it is there, and a batch behind it. What the batch will touch is on
    /// its way into the cache while its first requests run.
    fn decode(&mut self) -> Result<(), ProtocolError> {
        if self.decoder.has_waiting() {
            return Ok(());
        }
        // What may be sent changes with AUTH, so requests before it are decoded one by one.
        let unauthenticated = !self.session.authenticated;
        let max_bulk = usize::try_from(self.services.config.proto_max_bulk_len()).unwrap_or(usize::MAX);
        let batch = if unauthenticated { 1 } else { BATCH };
        self.decoder.advance(&self.buffer, DecodeLimits { max_bulk, unauthenticated }, batch)?;
        if self.decoder.waiting(&self.buffer).len() > 1 {
            for (bytes, ranges) in self.decoder.waiting(&self.buffer) {
                prefetch(self.services, &self.session, Args::new(bytes, ranges));
            }
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

    async fn send(&mut self) -> std::io::Result<()> {
        let bytes = self.reply.as_bytes();
        if bytes.is_empty() {
            return Ok(());
        }
        self.stream.write_all(bytes).await?;
        self.session.client.bytes_out.add(bytes.len() as u64);
        self.session.counters.bytes_out.add(bytes.len() as u64);
        self.reply.clear();
        Ok(())
    }

    fn drop_consumed(&mut self) {
        let consumed = self.decoder.take_consumed();
        if consumed < self.buffer.len() {
            self.buffer.advance(consumed);
        } else if self.buffer.capacity() > KEEP_BUFFER {
            self.buffer = BytesMut::new();
        } else {
            self.buffer.clear();
        }
    }
}
