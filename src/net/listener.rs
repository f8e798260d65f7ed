//! Accepts clients on TCP and unix sockets and deals them out to the workers in turn.

use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::worker::{Incoming, Worker};
use crate::services::Services;
use crate::services::clients::{Client, Peer};

/// How long accepting pauses when the process has no file descriptors left.
const PAUSE: Duration = Duration::from_millis(50);

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

/// Deals clients out to the workers.
#[derive(Debug)]
pub struct Dealer {
    workers: Vec<Worker>,
    next: AtomicUsize,
    services: Arc<Services>,
}

impl Dealer {
    /// A dealer for `workers`.
    pub fn new(workers: Vec<Worker>, services: Arc<Services>) -> Self {
        Self { workers, next: AtomicUsize::new(0), services }
    }

    /// Stops all workers.
    pub fn stop(self) {
        self.workers.into_iter().for_each(Worker::stop);
    }

    fn admit(&self, peer: Peer) -> Option<Arc<Client>> {
        let stats = &self.services.stats;
        let limit = self.services.config.maxclients();
        let client = self.services.clients.connect(peer, self.services.clock.now(), limit);
        let counter = if client.is_some() { &stats.connections_received } else { &stats.connections_rejected };
        counter.fetch_add(1, Ordering::Relaxed);
        client
    }

    fn hand_over(&self, incoming: Incoming) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        if let Some(worker) = self.workers.get(turn % self.workers.len().max(1)) {
            worker.hand_over(incoming);
        }
    }

    /// Whether protected mode turns this client away.
    fn protects_from(&self, address: &SocketAddr) -> bool {
        let config = &self.services.config;
        config.protected_mode() && !address.ip().to_canonical().is_loopback() && self.services.acl.has_open_door()
    }

    /// Accepts TCP clients for ever.
    pub async fn accept_tcp(&self, listener: tokio::net::TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    if let Err(error) = self.take_tcp(stream, address) {
                        tracing::debug!(%error, "a client could not be taken");
                    }
                }
                Err(error) => pause(&error).await,
            }
        }
    }

    fn take_tcp(&self, stream: tokio::net::TcpStream, address: SocketAddr) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        let mut stream = stream.into_std()?;
        if self.protects_from(&address) {
            return stream.write_all(PROTECTED);
        }
        let keepalive = u64::try_from(self.services.config.tcp_keepalive()).unwrap_or(0);
        if keepalive > 0 {
            let time = Duration::from_secs(keepalive);
            let options = socket2::TcpKeepalive::new().with_time(time).with_interval(time / 3).with_retries(3);
            socket2::SockRef::from(&stream).set_tcp_keepalive(&options)?;
        }
        let peer = Peer {
            address: address.to_string(),
            local_address: local.to_string(),
            fd: i64::from(stream.as_raw_fd()),
            is_unix_socket: false,
        };
        match self.admit(peer) {
            Some(client) => self.hand_over(Incoming::Tcp(stream, client)),
            None => stream.write_all(TOO_MANY)?,
        }
        Ok(())
    }

    /// Accepts clients on a unix socket for ever.
    pub async fn accept_unix(&self, listener: tokio::net::UnixListener, path: String) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    if let Err(error) = self.take_unix(stream, &path) {
                        tracing::debug!(%error, "a client could not be taken");
                    }
                }
                Err(error) => pause(&error).await,
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
            Some(client) => self.hand_over(Incoming::Unix(stream, client)),
            None => stream.write_all(TOO_MANY)?,
        }
        Ok(())
    }
}

async fn pause(error: &std::io::Error) {
    tracing::warn!(%error, "cannot accept a client");
    tokio::time::sleep(PAUSE).await;
}

/// Opens the TCP listeners for the addresses of `bind`: `*` means every IPv4 address, `::*` or `-::*` every IPv6 one;
/// an address with a leading `-` may be unavailable.
pub fn bind_tcp(bind: &str, port: u16, backlog: u32) -> std::io::Result<Vec<tokio::net::TcpListener>> {
    let mut listeners = Vec::new();
    for word in bind.split_whitespace() {
        let (optional, name) = word.strip_prefix('-').map_or((false, word), |name| (true, name));
        let host = match name {
            "*" => "0.0.0.0",
            "::*" => "::",
            other => other,
        };
        let opened = (host, port).to_socket_addrs().and_then(|mut addresses| {
            let address = addresses.next().ok_or(std::io::ErrorKind::AddrNotAvailable)?;
            listen(address, backlog)
        });
        match opened {
            Ok(listener) => listeners.push(listener),
            Err(error) if optional => tracing::debug!(%error, host, "optional address not available"),
            Err(error) => return Err(std::io::Error::new(error.kind(), format!("{host}:{port}: {error}"))),
        }
    }
    Ok(listeners)
}

fn listen(address: SocketAddr, backlog: u32) -> std::io::Result<tokio::net::TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(511))?;
    tokio::net::TcpListener::from_std(socket.into())
}

/// Opens the unix socket at `path`, replacing a stale one, with the permissions `mode`.
pub fn bind_unix(path: &str, mode: Option<u32>) -> std::io::Result<tokio::net::UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    if Path::new(path).exists() && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    let listener = tokio::net::UnixListener::bind(path)?;
    if let Some(mode) = mode {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(listener)
}
