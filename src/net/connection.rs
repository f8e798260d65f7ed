//! One client's loop: read, decode everything there is, run it, write all replies at once.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::base::clock::UnixMillis;
use crate::dispatch::{dispatch, is_paused, leave, prefetch};
use crate::handler::session::{Then, Wait};
use crate::handler::{Args, Session};
use crate::resp::decode::{DecodeLimits, Decoder, ProtocolError};
use crate::resp::reply::{ReplyWriter, RespVersion};
use crate::services::Services;
use crate::services::clients::Client;
use crate::services::mailbox::Unblock;
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
    // Wakes this task for as long as it lives: a task's waker does not change.
    poll_fn(|cx| {
        client.mailbox.register(cx.waker());
        Poll::Ready(())
    })
    .await;
    let mut connection = Connection {
        stream,
        services: &services,
        session: Session::new(client, authenticated, counters),
        decoder: Decoder::default(),
        buffer: BytesMut::with_capacity(READ_ROOM),
        reply: ReplyWriter::new(RespVersion::Resp2),
    };
    if let Err(error) = connection.run().await {
        tracing::debug!(client = id.0, %error, "connection ended");
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

/// Takes the client off all lists however its loop ends, also by a panic.
impl<S> Drop for Connection<'_, S> {
    fn drop(&mut self) {
        leave(self.services, &mut self.session);
    }
}

/// Why the requests in the buffer are not run further.
enum Stop {
    /// All that is complete has run.
    Drained,
    /// Much is waiting to be sent.
    Full,
    /// A command has asked for something, or the connection ends.
    Then,
    /// CLIENT PAUSE holds the next request back.
    Paused,
}

/// What a connection that waits has been woken by.
enum Woken {
    Mail,
    Bytes,
    Deadline,
    Gone,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    async fn run(&mut self) -> std::io::Result<()> {
        loop {
            match self.wait(None).await? {
                Woken::Gone => return Ok(()),
                Woken::Bytes | Woken::Mail | Woken::Deadline => {}
            }
            loop {
                let stop = self.execute();
                let then = std::mem::take(&mut self.session.then);
                if let Then::Sleep(duration) = then {
                    tokio::time::sleep(duration).await;
                }
                self.send().await?;
                match then {
                    Then::Continue | Then::Sleep(_) => {}
                    Then::Close => return self.stream.shutdown().await,
                    Then::Shutdown => {
                        self.services.request_shutdown();
                        return Ok(());
                    }
                    Then::Block(wait, until) => {
                        if !self.block(wait, until).await? {
                            return Ok(());
                        }
                    }
                }
                match stop {
                    Stop::Drained => break,
                    Stop::Full | Stop::Then => {}
                    Stop::Paused => {
                        if !self.sit_out_pause().await? {
                            return Ok(());
                        }
                    }
                }
            }
            self.drop_consumed();
        }
    }

    /// Waits for bytes, which it reads once, for mail, or for the deadline.
    async fn wait(&mut self, deadline: Option<UnixMillis>) -> std::io::Result<Woken> {
        let limit = usize::try_from(self.services.config.client_query_buffer_limit()).unwrap_or(usize::MAX);
        if self.buffer.len() > limit {
            tracing::warn!(client = self.session.client.id.0, limit, "query buffer limit reached, closing the client");
            return Ok(Woken::Gone);
        }
        // What is known to come is made room for in steps, so that an announcement alone takes no memory.
        let wanted = self.decoder.wanted(self.buffer.len()).min(self.buffer.len());
        self.buffer.reserve(wanted.max(READ_ROOM));
        let mailbox = &self.session.client.mailbox;
        let mut read = pin!(self.stream.read_buf(&mut self.buffer));
        let woken =
            poll_fn(|cx| if mailbox.has_mail() { Poll::Ready(Ok(None)) } else { read.as_mut().poll(cx).map_ok(Some) });
        let woken = match deadline {
            None => woken.await?,
            Some(at) => {
                let left = u64::try_from(at.0 - self.services.clock.now().0).unwrap_or(0);
                match tokio::time::timeout(Duration::from_millis(left), woken).await {
                    Ok(woken) => woken?,
                    Err(_) => return Ok(Woken::Deadline),
                }
            }
        };
        match woken {
            None if mailbox.is_closed() => Ok(Woken::Gone),
            None => Ok(Woken::Mail),
            Some(0) => Ok(Woken::Gone),
            Some(count) => {
                self.session.client.bytes_in.add(count as u64);
                self.session.counters.bytes_in.add(count as u64);
                Ok(Woken::Bytes)
            }
        }
    }

    /// Waits as WAIT and WAITAOF do, while what the client sends gathers; false if it has left.
    async fn block(&mut self, wait: Wait, until: Option<UnixMillis>) -> std::io::Result<bool> {
        // What has come too late for the wait before.
        self.session.client.mailbox.take_unblock();
        self.session.client.blocked.store(true, Ordering::Release);
        let how = loop {
            match self.wait(until).await? {
                Woken::Gone => return Ok(false),
                Woken::Deadline => break Unblock::Timeout,
                Woken::Bytes => {}
                Woken::Mail => {
                    let how = self.session.client.mailbox.take_unblock();
                    self.session.client.mailbox.collect(&mut self.reply);
                    self.send().await?;
                    if let Some(how) = how {
                        break how;
                    }
                }
            }
        };
        self.session.client.blocked.store(false, Ordering::Release);
        match (how, wait) {
            (_, Wait::Unheard) => {}
            (Unblock::Error, _) => self.reply.error("UNBLOCKED client unblocked via CLIENT UNBLOCK"),
            (Unblock::Timeout, Wait::Replicas) => self.reply.integer(0),
            (Unblock::Timeout, Wait::AppendOnlyFile) => {
                self.reply.array(2);
                self.reply.integer(0);
                self.reply.integer(0);
            }
        }
        Ok(true)
    }

    /// Waits until CLIENT PAUSE may have ended; false if the client has left.
    async fn sit_out_pause(&mut self) -> std::io::Result<bool> {
        self.session.client.paused.store(true, Ordering::Relaxed);
        let woken = self.wait(self.services.pause.until()).await?;
        self.session.client.paused.store(false, Ordering::Relaxed);
        self.session.client.mailbox.collect(&mut self.reply);
        Ok(!matches!(woken, Woken::Gone))
    }

    /// Runs the requests in the buffer.
    fn execute(&mut self) -> Stop {
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
            if self.services.pause.until().is_some() && is_paused(self.services, &self.session, args, now) {
                break Stop::Paused;
            }
            dispatch(self.services, &mut self.session, &mut self.reply, args, now);
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
        let unauthenticated = !self.session.authenticated;
        let max_bulk = usize::try_from(self.services.config.proto_max_bulk_len()).unwrap_or(usize::MAX);
        let batch = if unauthenticated { 1 } else { BATCH };
        self.decoder.advance(&self.buffer, DecodeLimits { max_bulk, unauthenticated }, batch)?;
        if self.decoder.waiting(&self.buffer).len() > 1 {
            let requests = self.decoder.waiting(&self.buffer).map(|(bytes, ranges)| Args::new(bytes, ranges));
            prefetch(self.services, &self.session, requests);
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

    /// Sends what has been written, unless the client is killed meanwhile.
    async fn send(&mut self) -> std::io::Result<()> {
        let bytes = self.reply.as_bytes();
        if bytes.is_empty() {
            return Ok(());
        }
        let mailbox = &self.session.client.mailbox;
        let mut write = pin!(self.stream.write_all(bytes));
        poll_fn(|cx| match write.as_mut().poll(cx) {
            Poll::Pending if mailbox.is_closed() => Poll::Ready(Err(std::io::ErrorKind::ConnectionAborted.into())),
            poll => poll,
        })
        .await?;
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
