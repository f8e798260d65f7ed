//! One client's loop: read, decode everything there is, run it, write all replies at once.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::work::{Stop, Work};
use crate::base::clock::UnixMillis;
use crate::dispatch::leave;
use crate::handler::Session;
use crate::handler::session::{Then, Wait};
use crate::services::Services;
use crate::services::clients::Client;
use crate::services::mailbox::Unblock;
use crate::services::stats::WorkerCounters;

/// Serves one client until it leaves or is told to.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    services: Arc<Services>,
    client: Arc<Client>,
    counters: Arc<WorkerCounters>,
) {
    let id = client.id;
    // Wakes this task for as long as it lives: a task's waker does not change.
    poll_fn(|cx| {
        client.mailbox.register(cx.waker());
        Poll::Ready(())
    })
    .await;
    let session = Session::new(client, services.acl.new_access(), counters);
    let work = Work::new(services, session);
    if let Err(error) = (Connection { stream }).run(work).await {
        tracing::debug!(client = id.0, %error, "connection ended");
    }
}

struct Connection<S> {
    stream: S,
}

/// What a connection that waits has been woken by.
enum Woken {
    Mail,
    Bytes,
    Deadline,
    Gone,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn run(&mut self, mut work: Work) -> std::io::Result<()> {
        loop {
            if matches!(self.wait(&mut work, None).await?, Woken::Gone) {
                return Ok(());
            }
            loop {
                let stop = work.execute();
                if stop == Stop::Long {
                    // Meanwhile the worker serves others; a panic in there ends this connection alone.
                    let long = tokio::task::spawn_blocking(move || {
                        work.run_long();
                        work
                    });
                    work = long.await?;
                }
                if !self.follow_up(&mut work, stop).await? {
                    return Ok(());
                }
                if stop == Stop::Drained {
                    break;
                }
            }
            work.drop_consumed();
        }
    }

    /// Sends the replies and does what the last command has asked for; false if the connection ends.
    async fn follow_up(&mut self, work: &mut Work, stop: Stop) -> std::io::Result<bool> {
        let then = std::mem::take(&mut work.session.then);
        if let Then::Sleep(duration) = then {
            tokio::time::sleep(duration).await;
        }
        self.send(work).await?;
        match then {
            Then::Continue | Then::Sleep(_) => {}
            Then::Close => {
                // Whoever sees the connection closed finds nothing left of it.
                leave(&work.services, &mut work.session);
                self.stream.shutdown().await?;
                return Ok(false);
            }
            Then::Shutdown => {
                work.services.request_shutdown();
                return Ok(false);
            }
            Then::Block(wait, until) => return self.block(work, wait, until).await,
        }
        if stop == Stop::Paused { self.sit_out_pause(work).await } else { Ok(true) }
    }

    /// Waits for bytes, which it reads once, for mail, or for the deadline.
    async fn wait(&mut self, work: &mut Work, deadline: Option<UnixMillis>) -> std::io::Result<Woken> {
        let limit = usize::try_from(work.services.config.client_query_buffer_limit()).unwrap_or(usize::MAX);
        if work.buffer.len() > limit {
            tracing::warn!(client = work.session.client.id.0, limit, "query buffer limit reached, closing the client");
            return Ok(Woken::Gone);
        }
        work.make_room();
        let mailbox = &work.session.client.mailbox;
        let mut read = pin!(self.stream.read_buf(&mut work.buffer));
        let woken =
            poll_fn(|cx| if mailbox.has_mail() { Poll::Ready(Ok(None)) } else { read.as_mut().poll(cx).map_ok(Some) });
        let woken = match deadline {
            None => woken.await?,
            Some(at) => {
                let left = u64::try_from(at.0 - work.services.clock.now().0).unwrap_or(0);
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
                work.session.client.bytes_in.add(count as u64);
                work.session.counters.bytes_in.add(count as u64);
                Ok(Woken::Bytes)
            }
        }
    }

    /// Waits as WAIT and WAITAOF do, while what the client sends gathers; false if it has left.
    async fn block(&mut self, work: &mut Work, wait: Wait, until: Option<UnixMillis>) -> std::io::Result<bool> {
        // What has come too late for the wait before.
        work.session.client.mailbox.take_unblock();
        work.session.client.blocked.store(true, Ordering::Release);
        let how = loop {
            match self.wait(work, until).await? {
                Woken::Gone => return Ok(false),
                Woken::Deadline => break Unblock::Timeout,
                Woken::Bytes => {}
                Woken::Mail => {
                    let how = work.session.client.mailbox.take_unblock();
                    work.session.client.mailbox.collect(&mut work.reply);
                    self.send(work).await?;
                    if let Some(how) = how {
                        break how;
                    }
                }
            }
        };
        work.session.client.blocked.store(false, Ordering::Release);
        match (how, wait) {
            (_, Wait::Unheard) => {}
            (Unblock::Error, _) => work.reply.error("UNBLOCKED client unblocked via CLIENT UNBLOCK"),
            (Unblock::Timeout, Wait::Replicas) => work.reply.integer(0),
            (Unblock::Timeout, Wait::AppendOnlyFile) => {
                work.reply.array(2);
                work.reply.integer(0);
                work.reply.integer(0);
            }
        }
        Ok(true)
    }

    /// Waits until CLIENT PAUSE may have ended; false if the client has left.
    async fn sit_out_pause(&mut self, work: &mut Work) -> std::io::Result<bool> {
        work.session.client.paused.store(true, Ordering::Relaxed);
        let woken = self.wait(work, work.services.pause.until()).await?;
        work.session.client.paused.store(false, Ordering::Relaxed);
        work.session.client.mailbox.collect(&mut work.reply);
        Ok(!matches!(woken, Woken::Gone))
    }

    /// Sends what has been written, unless the client is killed meanwhile.
    async fn send(&mut self, work: &mut Work) -> std::io::Result<()> {
        let bytes = work.reply.as_bytes();
        if bytes.is_empty() {
            return Ok(());
        }
        let mailbox = &work.session.client.mailbox;
        let mut write = pin!(self.stream.write_all(bytes));
        poll_fn(|cx| match write.as_mut().poll(cx) {
            Poll::Pending if mailbox.is_closed() => Poll::Ready(Err(std::io::ErrorKind::ConnectionAborted.into())),
            poll => poll,
        })
        .await?;
        work.session.client.bytes_out.add(bytes.len() as u64);
        work.session.counters.bytes_out.add(bytes.len() as u64);
        work.reply.clear();
        Ok(())
    }
}
