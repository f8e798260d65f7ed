//! A worker: one thread with a single-threaded runtime. Its connections never move to another.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tracing::Instrument;

use super::{connection, tls};
use crate::base::process::run_on;
use crate::services::clients::Client;
use crate::services::stats::WorkerCounters;
use crate::services::{Services, eviction};

/// Threads of a worker for requests that take long.
const LONG_AT_A_TIME: usize = 4;

/// How long a TLS handshake may take.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// How long threads of requests that take long are waited for when connections are no longer.
const LAST_MOMENT: Duration = Duration::from_millis(100);

/// A client on its way from the listener to its worker.
#[derive(Debug)]
pub struct Incoming {
    /// How it is connected.
    pub socket: Socket,
    /// Who it is.
    pub client: Arc<Client>,
}

/// A client's socket.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(Tcp),
    /// TCP on which TLS is to be spoken.
    Tls(Tcp, Arc<ServerConfig>),
    /// A unix socket.
    Unix(std::os::unix::net::UnixStream),
}

/// A TCP socket, in which the runtime that accepted it takes an interest or not.
#[derive(Debug)]
pub enum Tcp {
    /// It does, and is that of the worker.
    Known(tokio::net::TcpStream),
    /// It does not.
    New(std::net::TcpStream),
}

impl Tcp {
    fn into_stream(self) -> std::io::Result<tokio::net::TcpStream> {
        match self {
            Self::Known(stream) => Ok(stream),
            Self::New(stream) => tokio::net::TcpStream::from_std(stream),
        }
    }
}

/// The listener's end of a worker.
#[derive(Debug)]
pub struct Worker {
    incoming: mpsc::UnboundedSender<Incoming>,
    /// Taken when the worker is to stop.
    end: Mutex<Option<oneshot::Sender<Duration>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    runtime: tokio::runtime::Handle,
    counters: Arc<WorkerCounters>,
}

impl Worker {
    /// Starts worker `index`.
    pub fn start(index: usize, services: Arc<Services>) -> std::io::Result<Self> {
        let counters = services.stats.add_worker();
        let mine = Arc::clone(&counters);
        let (incoming, receiver) = mpsc::unbounded_channel();
        let (end, ended) = oneshot::channel();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(LONG_AT_A_TIME).build()?;
        let handle = runtime.handle().clone();
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            run_on(&services.config.server_cpulist());
            let floor = Rc::new(Floor { services, counters, open: Cell::new(0), emptied: Notify::new() });
            tokio::task::LocalSet::new().block_on(&runtime, work(floor, receiver, ended));
            runtime.shutdown_timeout(LAST_MOMENT);
        })?;
        Ok(Self {
            incoming,
            end: Mutex::new(Some(end)),
            thread: Mutex::new(Some(thread)),
            runtime: handle,
            counters: mine,
        })
    }

    /// Where tasks run on its thread.
    pub fn runtime(&self) -> &tokio::runtime::Handle {
        &self.runtime
    }

    /// How many clients it has.
    pub fn connections(&self) -> usize {
        self.counters.connections.load(Ordering::Relaxed)
    }

    /// Hands a client over. If the worker has stopped, the client is disconnected.
    pub fn hand_over(&self, incoming: Incoming) {
        self.counters.connections.fetch_add(1, Ordering::Relaxed);
        if self.incoming.send(incoming).is_err() {
            self.counters.connections.fetch_sub(1, Ordering::Relaxed);
            tracing::warn!("a worker has stopped; its client is disconnected");
        }
    }

    /// Lets the worker end when its connections have, or when `patience` is over.
    pub fn finish(&self, patience: Duration) {
        if let Some(end) = self.end.lock().take() {
            // The worker may have ended already.
            let _ = end.send(patience);
        }
    }

    /// Waits until the worker has ended.
    pub fn join(&self) {
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("a worker ended by a panic");
        }
    }
}

/// What the connections of a worker share.
struct Floor {
    services: Arc<Services>,
    counters: Arc<WorkerCounters>,
    /// Connections that are served.
    open: Cell<usize>,
    /// Told when there are none any more.
    emptied: Notify,
}

/// Counts a connection for as long as it lives, and takes it off the list of clients then.
struct Served {
    floor: Rc<Floor>,
    client: Arc<Client>,
}

impl Served {
    fn new(floor: &Rc<Floor>, client: Arc<Client>) -> Self {
        floor.open.set(floor.open.get() + 1);
        Self { floor: Rc::clone(floor), client }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.floor.services.clients.disconnect(self.client.id);
        eviction::note_taken(&self.floor.services);
        self.floor.open.set(self.floor.open.get().saturating_sub(1));
        self.floor.counters.connections.fetch_sub(1, Ordering::Relaxed);
        if self.floor.open.get() == 0 {
            self.floor.emptied.notify_one();
        }
    }
}

async fn work(
    floor: Rc<Floor>,
    mut receiver: mpsc::UnboundedReceiver<Incoming>,
    mut ended: oneshot::Receiver<Duration>,
) {
    let patience = loop {
        tokio::select! {
            Some(incoming) = receiver.recv() => take(&floor, incoming),
            patience = &mut ended => break patience.unwrap_or_default(),
        }
    };
    let emptied = async {
        while floor.open.get() > 0 {
            floor.emptied.notified().await;
        }
    };
    if tokio::time::timeout(patience, emptied).await.is_err() {
        tracing::warn!(connections = floor.open.get(), "out of time: closing what still runs");
    }
}

/// Starts to serve a client.
fn take(floor: &Rc<Floor>, incoming: Incoming) {
    let Incoming { socket, client } = incoming;
    let served = Served::new(floor, client);
    if floor.services.is_stopping() {
        return;
    }
    let outcome = match socket {
        Socket::Tcp(stream) => stream.into_stream().map(|stream| {
            tokio::task::spawn_local(serve(stream, served, None));
        }),
        Socket::Unix(stream) => tokio::net::UnixStream::from_std(stream).map(|stream| {
            tokio::task::spawn_local(serve(stream, served, None));
        }),
        Socket::Tls(stream, tls) => stream.into_stream().map(|stream| {
            tokio::task::spawn_local(serve_securely(stream, TlsAcceptor::from(tls), served));
        }),
    };
    if let Err(error) = outcome {
        tracing::warn!(%error, "cannot serve a client");
    }
}

async fn serve<S: connection::Stream>(stream: S, served: Served, user: Option<Vec<u8>>) {
    let Floor { services, counters, .. } = &*served.floor;
    let client = Arc::clone(&served.client);
    let span = tracing::debug_span!("connection", client = client.id.0, address = %client.address);
    connection::serve(stream, Arc::clone(services), client, Arc::clone(counters), user).instrument(span).await;
}

async fn serve_securely(stream: tokio::net::TcpStream, acceptor: TlsAcceptor, served: Served) {
    let told_to_go = poll_fn(|cx| {
        served.client.mailbox.register(cx.waker());
        let goes = served.client.mailbox.is_closed() || served.floor.services.is_stopping();
        if goes { Poll::Ready(()) } else { Poll::Pending }
    });
    let accepted = tokio::select! {
        accepted = tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)) => accepted,
        () = told_to_go => return,
    };
    match accepted {
        Ok(Ok(stream)) => {
            let wants_user = served.floor.services.config.tls_auth_clients_user() == "CN";
            let user = if wants_user { tls::common_name(stream.get_ref().1.peer_certificates()) } else { None };
            serve(stream, served, user).await;
        }
        Ok(Err(error)) => tracing::debug!(client = served.client.id.0, %error, "no TLS handshake"),
        Err(_) => tracing::debug!(client = served.client.id.0, "the TLS handshake takes too long"),
    }
}
