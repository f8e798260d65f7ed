//! One client's loop: read, decode everything there is, run it, write all replies at once. One loop for every kind of
//! stream, compiled for each.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::work::{Stop, Work};
use crate::base::clock::UnixMillis;
use crate::dispatch::leave;
use crate::handler::Session;
use crate::handler::session::{LogWait, Then, Wait};
use crate::services::Services;
use crate::services::acl::log::{Event, Reason};
use crate::services::append_only::Phase;
use crate::services::clients::Client;
use crate::services::mailbox::Unblock;
use crate::services::stats::WorkerCounters;

/// How long saying goodbye may take a client that does not read.
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);

/// What clients are connected by: TCP, TLS, or a unix socket.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Stream for S {}

/// Serves one client until it leaves or is told to; `user` is whom its certificate names, if that is to be its user.
pub async fn serve<S: Stream>(
    stream: S,
    services: Arc<Services>,
    client: Arc<Client>,
    counters: Arc<WorkerCounters>,
    user: Option<Vec<u8>>,
) {
    let id = client.id;
    // Wakes this task for as long as it lives: a task's waker does not change.
    poll_fn(|cx| {
        client.mailbox.register(cx.waker());
        Poll::Ready(())
    })
    .await;
    let mut session = Session::new(client, services.acl.new_access(), counters);
    if let Some(user) = user {
        certify(&services, &mut session, user);
    }
    let work = Work::new(services, session);
    if let Err(error) = (Connection { stream, holds_back: false }).run(work).await {
        tracing::debug!(client = id.0, %error, "connection ended");
    }
}

/// Makes the client the user that its certificate names. As in Redis, one that names nobody who may come in leaves the
/// client what it would be without.
fn certify(services: &Services, session: &mut Session, username: Vec<u8>) {
    if services.acl.log_in_by_certificate(&session.client, &mut session.access, &username) {
        tracing::debug!(client = session.client.id.0, "logged in by its certificate");
        return;
    }
    let now = services.clock.now();
    let client = session.client.describe(services, now);
    let event = Event { reason: Reason::Certificate, in_multi: false, object: Vec::new(), username, client };
    services.acl.log.add(event, now, services.config.acllog_max_len());
}

struct Connection<S> {
    stream: S,
    /// Whether TLS has taken bytes that the socket has not.
    holds_back: bool,
}

/// What a connection that waits has been woken by.
enum Woken {
    Mail,
    Bytes,
    Deadline,
    Gone,
}

impl<S: Stream> Connection<S> {
    async fn run(&mut self, mut work: Work) -> std::io::Result<()> {
        loop {
            if matches!(self.wait(&mut work, None).await?, Woken::Gone) {
                return Ok(());
            }
            loop {
                let Ok(stop) = catch_unwind(AssertUnwindSafe(|| work.execute())) else {
                    work.note_panic();
                    return Ok(());
                };
                if stop == Stop::Long {
                    // Meanwhile the worker serves others.
                    let long = tokio::task::spawn_blocking(move || {
                        let outcome = catch_unwind(AssertUnwindSafe(|| work.run_long()));
                        (work, outcome.is_ok())
                    });
                    let is_done;
                    (work, is_done) = long.await?;
                    if !is_done {
                        work.note_panic();
                        return Ok(());
                    }
                }
                if !self.follow_up(&mut work, stop).await? {
                    return Ok(());
                }
                if work.services.is_stopping() {
                    self.send(&mut work, Unread::Waits).await?;
                    return self.close(&mut work).await;
                }
                if stop == Stop::Full || work.has_had_its_turns() {
                    tokio::task::yield_now().await;
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
        self.send(work, if then == Then::Close { Unread::Waits } else { Unread::Gathers }).await?;
        match then {
            Then::Continue | Then::Sleep(_) => {}
            Then::Close => {
                self.close(work).await?;
                return Ok(false);
            }
            Then::Shutdown => return Ok(false),
            Then::Block(wait, until) => return self.block(work, wait, until).await,
        }
        if stop == Stop::Paused { self.sit_out_pause(work).await } else { Ok(true) }
    }

    async fn close(&mut self, work: &mut Work) -> std::io::Result<()> {
        // Whoever sees the connection closed finds nothing left of it.
        leave(&work.services, &mut work.session);
        tokio::time::timeout(GOODBYE_WITHIN, self.stream.shutdown()).await?
    }

    /// Waits for bytes, which it reads once, for mail, or for the deadline. Sends what is unsent meanwhile.
    async fn wait(&mut self, work: &mut Work, deadline: Option<UnixMillis>) -> std::io::Result<Woken> {
        let left = deadline.map(|at| u64::try_from(at.0 - work.services.clock.now().0).unwrap_or(0));
        let woken = poll_fn(|cx| {
            if work.session.client.mailbox.has_mail() {
                return Poll::Ready(Ok(None));
            }
            if self.has_unsent(work) && self.poll_send(cx, work)?.is_pending() && work.is_full() {
                return Poll::Pending;
            }
            self.poll_read(cx, work).map_ok(Some)
        });
        let woken = match left {
            None => woken.await?,
            Some(left) => match tokio::time::timeout(Duration::from_millis(left), woken).await {
                Ok(woken) => woken?,
                Err(_) => return Ok(Woken::Deadline),
            },
        };
        match woken {
            None if work.session.client.mailbox.is_closed() => Ok(Woken::Gone),
            None => Ok(Woken::Mail),
            Some(0) => Ok(Woken::Gone),
            Some(count) => {
                work.session.client.bytes_in.add(count as u64);
                work.session.counters.bytes_in.add(count as u64);
                work.session.counters.reads.add(1);
                Ok(Woken::Bytes)
            }
        }
    }

    /// Reads once; 0 at the end of the stream, and when the client may send no more.
    #[inline]
    fn poll_read(&mut self, cx: &mut Context<'_>, work: &mut Work) -> Poll<std::io::Result<usize>> {
        let Some(most) = work.make_room() else { return Poll::Ready(Ok(0)) };
        let mut room = (&mut work.buffer).limit(most);
        let poll = pin!(self.stream.read_buf(&mut room)).poll(cx);
        if poll.is_pending() {
            work.rest();
        }
        poll
    }

    /// Waits as WAIT and WAITAOF do, while what the client sends gathers; false if it has left.
    async fn block(&mut self, work: &mut Work, wait: Wait, until: Option<UnixMillis>) -> std::io::Result<bool> {
        // What has come too late for the wait before.
        work.session.client.mailbox.take_unblock();
        work.session.client.blocked.store(true, Ordering::Release);
        let how = loop {
            let services = Arc::clone(&work.services);
            let woken = tokio::select! {
                () = poll_fn(|cx| poll_log(&services, wait, cx)) => break Unblock::Timeout,
                woken = self.wait(work, until) => woken?,
            };
            match woken {
                Woken::Gone => return Ok(false),
                Woken::Deadline => break Unblock::Timeout,
                Woken::Bytes => {}
                Woken::Mail => {
                    let how = work.session.client.mailbox.take_unblock();
                    work.session.client.mailbox.collect(&mut work.reply);
                    self.send(work, Unread::Gathers).await?;
                    if work.services.is_stopping() {
                        return Ok(false);
                    }
                    if let Some(how) = how {
                        break how;
                    }
                }
            }
        };
        work.session.client.blocked.store(false, Ordering::Release);
        match (how, wait) {
            (_, Wait::Unheard(_)) => {}
            (Unblock::Error, _) => {
                const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
                work.session.counters.count_error(UNBLOCKED.as_bytes());
                work.reply.error(UNBLOCKED);
            }
            (Unblock::Timeout, Wait::Replicas) => work.reply.integer(0),
            (Unblock::Timeout, Wait::AppendOnlyFile(LogWait { is_wanted: true, .. }))
                if work.services.append_only.phase() == Phase::Off =>
            {
                work.reply.error("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");
            }
            (Unblock::Timeout, Wait::AppendOnlyFile(LogWait { end, .. })) => {
                work.reply.array(2);
                work.reply.integer(i64::from(work.services.append_only.is_acknowledged(end)));
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

    /// Sends what has been written, unless the client is killed meanwhile, or it may gather.
    async fn send(&mut self, work: &mut Work, unread: Unread) -> std::io::Result<()> {
        let (has_unsent, log) = (self.has_unsent(work), &work.services.append_only.log);
        // Who wants no replies must not run ahead of the disk either.
        if log.holds_replies() && (has_unsent || log.is_far_behind()) {
            wait_for_log(work).await?;
        }
        if !has_unsent {
            return Ok(());
        }
        if !work.bound_output() {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        poll_fn(|cx| match self.poll_send(cx, work) {
            Poll::Pending if work.session.client.mailbox.is_closed() => {
                Poll::Ready(Err(std::io::ErrorKind::ConnectionAborted.into()))
            }
            Poll::Pending if unread == Unread::Gathers && work.may_gather() => Poll::Ready(Ok(())),
            poll => poll,
        })
        .await
    }

    /// Whether there are replies that the socket has not taken.
    #[inline]
    fn has_unsent(&self, work: &Work) -> bool {
        self.holds_back || work.unsent() > 0
    }

    /// Sends as much as the socket takes; ready when that is all.
    #[inline]
    fn poll_send(&mut self, cx: &mut Context<'_>, work: &mut Work) -> Poll<std::io::Result<()>> {
        while let Some(bytes) = work.next_to_send() {
            match Pin::new(&mut self.stream).poll_write(cx, bytes) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => work.sent(count),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    work.note_unsent();
                    return Poll::Pending;
                }
            }
        }
        self.holds_back = true;
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.holds_back = false;
        work.all_sent();
        Poll::Ready(Ok(()))
    }
}

/// Ready when the log has got where a wait for it alone ends, or there is no log any more.
fn poll_log(services: &Services, wait: Wait, cx: &mut Context<'_>) -> Poll<()> {
    match wait {
        Wait::AppendOnlyFile(LogWait { end, is_wanted: true, is_all })
        | Wait::Unheard(Some(LogWait { end, is_wanted: true, is_all })) => {
            services.append_only.poll_acknowledged(cx, Some(end).filter(|_| is_all))
        }
        _ => Poll::Pending,
    }
}

/// Waits until what the replies may show is on the disk, with `appendfsync always`, or until the disk has caught up.
#[cold]
async fn wait_for_log(work: &Work) -> std::io::Result<()> {
    let (log, mailbox) = (&work.services.append_only.log, &work.session.client.mailbox);
    let seen = log.appended();
    poll_fn(|cx| {
        if mailbox.is_closed() {
            return Poll::Ready(Err(std::io::ErrorKind::ConnectionAborted.into()));
        }
        log.poll_release(cx, seen, work.session.logged_up_to).map(Ok)
    })
    .await
}

/// What happens to replies that the client does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unread {
    /// The connection waits until they have been sent.
    Waits,
    /// The connection goes on as far as `client-output-buffer-limit` says.
    Gathers,
}
