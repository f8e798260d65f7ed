//! Accepts clients on TCP, TLS and unix sockets and deals them out to the workers.

use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;

use super::open::{keepalive_of, tune};
use super::worker::{Incoming, Socket, Tcp, Worker};
use crate::services::Services;
use crate::services::clients::{Client, Peer};

/// How long accepting pauses at first when the process has no file descriptors or memory left.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// How long it pauses at most.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

const TOO_MANY: &[u8] = b"-ERR max number of clients reached\r\n";

const PROTECTED: &[u8] =
    b"-DENIED Redis is running in protected mode because protected mode is enabled and no password \
is set for the default user. In this mode connections are only accepted from the loopback interface. If you want to \
connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode \
sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same \
host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG \
REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by editing the Redis \
configuration file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started \
the server manually just for testing, restart it with the '--protected-mode no' option. 4) Set up an authentication \
password for the default user. NOTE: You only need to do one of the above things in order for the server to start \
accepting connections from the outside.\r\n";

/// What clients of a TCP listener come with.
#[derive(Debug, Clone, Copy)]
pub struct Door {
    /// Whether they are to speak TLS.
    pub is_secure: bool,
    /// Seconds of keepalive that they have from the listener.
    pub keepalive: u64,
}

/// Deals clients out to the workers.
#[derive(Debug)]
pub struct Dealer {
    workers: Vec<Worker>,
    services: Arc<Services>,
    /// Whether clients are accepted yet.
    is_open: watch::Sender<bool>,
    /// What TLS clients are accepted with.
    tls: RwLock<Option<Arc<ServerConfig>>>,
    /// Whether the last client has been turned away because of `maxclients`.
    is_full: AtomicBool,
}

impl Dealer {
    /// A dealer for `workers`.
    pub fn new(workers: Vec<Worker>, services: Arc<Services>) -> Self {
        let (is_open, is_full) = (watch::Sender::new(false), AtomicBool::new(false));
        Self { workers, services, is_open, tls: RwLock::new(None), is_full }
    }

    /// Begins to accept clients, those included that have come since the first socket was opened.
    pub fn begin(&self) {
        self.is_open.send_replace(true);
    }

    async fn until_open(&self) {
        // It does not go before this.
        drop(self.is_open.subscribe().wait_for(|is_open| *is_open).await);
    }

    /// Where clients are to be accepted: on the thread of one of the workers, so that no other has to wake for each.
    pub fn runtime(&self) -> Option<&Handle> {
        self.workers.first().map(Worker::runtime)
    }

    /// Stops all workers: they serve what runs until `patience` is over.
    pub fn stop(&self, patience: Duration) {
        self.workers.iter().for_each(|worker| worker.finish(patience));
        self.workers.iter().for_each(Worker::join);
    }

    /// Has TLS clients accepted with `tls` from now on; those there are keep what they have.
    pub fn use_tls(&self, tls: Option<Arc<ServerConfig>>) {
        *self.tls.write() = tls;
    }

    fn admit(&self, peer: Peer) -> Option<Arc<Client>> {
        let stats = &self.services.stats;
        let limit = self.services.config.maxclients();
        let client = self.services.clients.connect(peer, self.services.clock.now(), limit);
        if client.is_some() {
            stats.connections_received.fetch_add(1, Ordering::Relaxed);
            self.is_full.store(false, Ordering::Relaxed);
        } else {
            stats.connections_rejected.fetch_add(1, Ordering::Relaxed);
            if !self.is_full.swap(true, Ordering::Relaxed) {
                tracing::warn!(maxclients = limit, "max number of clients reached, turning clients away");
            }
        }
        client
    }

    /// The number of the worker that has the fewest clients: of several the first, so that clients that come and go one
    /// after the other stay on the thread that accepts them.
    fn least_busy(&self) -> usize {
        let fewest = self.workers.iter().enumerate().min_by_key(|(_, worker)| worker.connections());
        fewest.map_or(0, |(number, _)| number)
    }

    fn hand_over(&self, number: usize, socket: Socket, client: Arc<Client>) {
        if let Some(worker) = self.workers.get(number) {
            worker.hand_over(Incoming { socket, client });
        }
    }

    /// Accepts TCP clients until the socket listens no more.
    pub async fn accept_tcp(&self, listener: &tokio::net::TcpListener, door: Door) {
        let config = &self.services.config;
        let at_a_time = || {
            if door.is_secure {
                config.max_new_tls_connections_per_cycle()
            } else {
                config.max_new_connections_per_cycle()
            }
        };
        let mut pace = Pace::default();
        self.until_open().await;
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    if let Err(error) = self.take_tcp(stream, address, door) {
                        tracing::debug!(%error, "a client could not be taken");
                    }
                    pace.go_on(at_a_time()).await;
                }
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return,
                Err(error) => pace.sit_out(&error).await,
            }
        }
    }

    fn take_tcp(&self, stream: tokio::net::TcpStream, address: SocketAddr, door: Door) -> std::io::Result<()> {
        let Door { is_secure, keepalive } = door;
        let tls = if is_secure { self.tls.read().clone() } else { None };
        if is_secure && tls.is_none() {
            return Ok(());
        }
        // Nobody could read what is written before the handshake.
        let refuse = |text: &[u8]| if is_secure { Ok(0) } else { socket2::SockRef::from(&stream).send(text) };
        if self.services.protects_from(&address) {
            self.services.stats.connections_rejected.fetch_add(1, Ordering::Relaxed);
            return refuse(PROTECTED).map(drop);
        }
        if has_left(&stream) {
            self.services.stats.connections_received.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        let peer = Peer {
            address: address.to_string(),
            local_address: stream.local_addr()?.to_string(),
            fd: i64::from(stream.as_raw_fd()),
            is_unix_socket: false,
        };
        let wanted = keepalive_of(&self.services.config);
        if wanted != keepalive {
            tune(&socket2::SockRef::from(&stream), wanted)?;
        }
        let Some(client) = self.admit(peer) else { return refuse(TOO_MANY).map(drop) };
        let number = self.least_busy();
        // The first worker's runtime, which has accepted it, knows it already.
        let stream = if number == 0 { Ok(Tcp::Known(stream)) } else { stream.into_std().map(Tcp::New) };
        let socket = stream.map(|stream| match tls {
            Some(tls) => Socket::Tls(stream, tls),
            None => Socket::Tcp(stream),
        });
        match socket {
            Ok(socket) => self.hand_over(number, socket, client),
            Err(error) => {
                self.services.clients.disconnect(client.id);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Accepts clients on a unix socket for ever.
    pub async fn accept_unix(&self, listener: &tokio::net::UnixListener, path: &str) {
        let mut pace = Pace::default();
        self.until_open().await;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    if let Err(error) = self.take_unix(stream, path) {
                        tracing::debug!(%error, "a client could not be taken");
                    }
                    pace.go_on(self.services.config.max_new_connections_per_cycle()).await;
                }
                Err(error) => pace.sit_out(&error).await,
            }
        }
    }

    fn take_unix(&self, stream: tokio::net::UnixStream, path: &str) -> std::io::Result<()> {
        let mut stream = stream.into_std()?;
        let peer = Peer {
            address: format!("{path}:0"),
            local_address: format!("{path}:0"),
            fd: i64::from(stream.as_raw_fd()),
            is_unix_socket: true,
        };
        match self.admit(peer) {
            Some(client) => self.hand_over(self.least_busy(), Socket::Unix(stream), client),
            None => stream.write_all(TOO_MANY)?,
        }
        Ok(())
    }
}

/// Whether a client has hung up, having sent nothing, before its turn to be accepted has come, as those do who lose
/// patience when many connect at once. To find that out here costs a small part of what it costs to serve one.
fn has_left(stream: &tokio::net::TcpStream) -> bool {
    match socket2::SockRef::from(stream).peek(&mut [std::mem::MaybeUninit::uninit()]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

/// How fast clients are accepted.
#[derive(Debug, Default)]
struct Pace {
    /// Clients accepted since others had their turn.
    accepted: usize,
    /// How long accepting pauses because the process has no file descriptors or memory left. That is logged when it begins
    /// and when it ends, however many clients wait meanwhile.
    pause: Option<Duration>,
}

impl Pace {
    /// Goes on after a client has been accepted: after `at_a_time` of them, the worker's connections have a turn.
    async fn go_on(&mut self, at_a_time: usize) {
        if self.pause.take().is_some() {
            tracing::info!("accepting clients again");
        }
        self.accepted += 1;
        if self.accepted >= at_a_time {
            self.accepted = 0;
            tokio::task::yield_now().await;
        }
    }

    /// Waits before the next try, longer each time. A client that has left before it was accepted is no reason to wait.
    async fn sit_out(&mut self, error: &std::io::Error) {
        if !matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)) {
            tracing::debug!(%error, "a client could not be accepted");
            return tokio::task::yield_now().await;
        }
        if self.pause.is_none() {
            tracing::warn!(%error, "cannot accept clients");
        }
        let pause = self.pause.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
        self.pause = Some(pause);
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn others_have_a_turn_after_as_many_clients_as_may_be_accepted_at_a_time() {
        let mut pace = Pace::default();
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..2 {
            for accepted in 1..=3 {
                let mut turn = pin!(pace.go_on(3));
                let wait = turn.as_mut().poll(&mut cx);
                assert_eq!(wait.is_pending(), accepted == 3, "after {accepted}");
                assert!(wait.is_ready() || turn.poll(&mut cx).is_ready());
            }
        }
    }
}
