//! The listeners that are open, and how they follow the configuration.

use std::io;
use std::net::Shutdown;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::listener::{Dealer, Door};
use super::open::{Place, SocketOptions, open_unix, places};
use super::tls;
use crate::config::Config;
use crate::services::Services;
use crate::services::edge::{Edge, Refused};
use crate::services::limits::HTTP_CONNECTIONS;

/// Files that are not clients: listeners, runtimes, standard streams (`CONFIG_MIN_RESERVED_FDS` of Redis).
const RESERVED_FILES: u64 = 32;

const BAD_TLS: &str = "Unable to update TLS configuration. Check server logs.";
const BAD_PORT: &str = "Unable to listen on this port. Check server logs.";
const BAD_BIND: &str = "Failed to bind to specified addresses.";

/// Everything that listens for clients.
#[derive(Debug)]
pub struct Listeners {
    /// Where the accepting tasks run.
    runtime: Handle,
    dealer: Arc<Dealer>,
    config: Arc<Config>,
    open: Mutex<Vec<Listener>>,
}

/// A place that is listened on, and the task that accepts there.
#[derive(Debug)]
struct Listener {
    place: Place,
    socket: Arc<tokio::net::TcpListener>,
    task: AbortHandle,
}

impl Listener {
    /// Listens no more. The task may be one of the thread that this runs on, and end later: the address is free for the next
    /// who wants it all the same.
    fn close(self) -> Place {
        if let Err(error) = socket2::SockRef::from(&*self.socket).shutdown(Shutdown::Both) {
            tracing::warn!(%error, "a listening socket could not be shut down");
        }
        self.task.abort();
        self.place
    }
}

impl Listeners {
    /// Starts to listen where `services.config` says; clients are accepted on the thread of the first worker.
    pub fn open(services: &Arc<Services>, dealer: Arc<Dealer>) -> io::Result<Arc<Self>> {
        let config = Arc::clone(&services.config);
        let listeners = Arc::new(Self {
            runtime: dealer.runtime().cloned().unwrap_or_else(Handle::current),
            dealer,
            config,
            open: Mutex::default(),
        });
        let refused = |()| io::Error::other("Failed to configure TLS. Check logs for more info.");
        listeners.set_up_tls().map_err(refused)?;
        listeners.rebind(&mut listeners.open.lock())?;
        let path = listeners.config.unixsocket();
        if !path.is_empty() {
            let socket = open_unix(&path, listeners.config.unixsocketperm())?;
            listeners.accept_unix(socket, path)?;
        } else if listeners.open.lock().is_empty() {
            return Err(io::Error::other("Configured to not listen anywhere, exiting."));
        }
        let edge: Weak<dyn Edge> = Arc::<Self>::downgrade(&listeners);
        services.serve_at(edge);
        Ok(listeners)
    }

    /// Listens no more.
    pub fn close(&self) {
        self.open.lock().drain(..).for_each(|listener| drop(listener.close()));
        let path = self.config.unixsocket();
        if !path.is_empty() {
            drop(std::fs::remove_file(&path));
        }
    }

    fn accept_unix(&self, socket: std::os::unix::net::UnixListener, path: String) -> io::Result<()> {
        let _runtime = self.runtime.enter();
        let (socket, dealer) = (tokio::net::UnixListener::from_std(socket)?, Arc::clone(&self.dealer));
        self.runtime.spawn(async move { dealer.accept_unix(&socket, &path).await });
        Ok(())
    }

    /// Closes what the configuration no longer names and opens what it names. If something cannot be opened, what was
    /// open stays so.
    fn rebind(&self, open: &mut Vec<Listener>) -> io::Result<()> {
        let config = &self.config;
        let mut wanted = places(&config.bind(), config.port(), false);
        wanted.extend(places(&config.bind(), config.tls_port(), true));
        let (kept, obsolete): (Vec<_>, Vec<_>) = open.drain(..).partition(|there| wanted.contains(&there.place));
        wanted.retain(|place| !kept.iter().any(|there| there.place == *place));
        *open = kept;
        // First with the old ones open, so that nobody is turned away when it does not work.
        if let Ok(new) = self.open_all(&wanted) {
            for listener in obsolete {
                listener.close();
            }
            open.extend(new);
            return Ok(());
        }
        // An old one may be in the way: `*` and `127.0.0.1` on the same port.
        let before: Vec<Place> = obsolete.into_iter().map(Listener::close).collect();
        let (new, outcome) = match self.open_all(&wanted) {
            Ok(new) => (new, Ok(())),
            Err(error) => (self.open_all(&before).unwrap_or_default(), Err(error)),
        };
        open.extend(new);
        outcome
    }

    /// Opens all of `places` or none, but those that may be missing.
    fn open_all(&self, places: &[Place]) -> io::Result<Vec<Listener>> {
        let options = SocketOptions::of(&self.config);
        let mut sockets = Vec::with_capacity(places.len());
        for place in places {
            if let Some(socket) = place.open(options)? {
                sockets.push((place.clone(), socket));
            }
        }
        sockets.into_iter().map(|(place, socket)| self.accept(place, socket, options.keepalive)).collect()
    }

    fn accept(&self, place: Place, socket: std::net::TcpListener, keepalive: u64) -> io::Result<Listener> {
        let _runtime = self.runtime.enter();
        let socket = Arc::new(tokio::net::TcpListener::from_std(socket)?);
        let (dealer, door) = (Arc::clone(&self.dealer), Door { is_secure: place.is_secure, keepalive });
        let accepted = Arc::clone(&socket);
        let task = self.runtime.spawn(async move { dealer.accept_tcp(&accepted, door).await }).abort_handle();
        Ok(Listener { place, socket, task })
    }

    /// Reads the certificates anew. Without a TLS port they are not looked at, as in Redis.
    fn set_up_tls(&self) -> Result<(), ()> {
        if self.config.tls_port() == 0 {
            self.dealer.use_tls(None);
            return Ok(());
        }
        match tls::server_config(&self.config) {
            Ok(tls) => {
                self.dealer.use_tls(Some(tls));
                Ok(())
            }
            Err(problem) => {
                tracing::warn!("{problem}");
                Err(())
            }
        }
    }
}

impl Edge for Listeners {
    fn apply(&self, changed: &[&'static str]) -> Result<(), Refused> {
        // Held throughout: two changes at a time would find each other's sockets in their way.
        let mut open = self.open.lock();
        let find = |wanted: &[&'static str]| changed.iter().find(|name| wanted.contains(name)).copied();
        if let Some(name) = find(&["maxclients"]) {
            let possible = allow_open_files(&self.config);
            if possible < self.config.maxclients() {
                let text = "The operating system is not able to handle the specified number of clients, try with";
                return Err(Refused::new(name, format!("{text} {possible}")));
            }
        }
        if let Some(&name) = changed.iter().find(|name| name.starts_with("tls-")) {
            self.set_up_tls().map_err(|()| Refused::new(name, BAD_TLS))?;
        }
        if let Some(name) = find(&["port", "tls-port", "bind"]) {
            self.rebind(&mut open).map_err(|error| {
                tracing::warn!("could not listen: {error}");
                Refused::new(name, if name == "bind" { BAD_BIND } else { BAD_PORT })
            })?;
        }
        Ok(())
    }
}

/// Raises the process's limit of open files to what `maxclients` needs beside the rest, as far as it may; gives how many
/// clients it allows.
pub fn allow_open_files(config: &Config) -> usize {
    let clients = config.maxclients();
    let reserved = RESERVED_FILES + if config.http_port() == 0 { 0 } else { HTTP_CONNECTIONS as u64 };
    let wanted = clients as u64 + reserved;
    let (_, hard) = rlimit::getrlimit(rlimit::Resource::NOFILE).unwrap_or_default();
    if wanted > hard {
        // Only a process with the right to may do so; others get what they can below.
        drop(rlimit::setrlimit(rlimit::Resource::NOFILE, wanted, wanted));
    }
    let limit = match rlimit::increase_nofile_limit(wanted) {
        Ok(limit) => limit,
        Err(error) => {
            tracing::warn!(%error, "cannot raise the limit of open files");
            rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(wanted, |(soft, _)| soft)
        }
    };
    let possible = usize::try_from(limit.saturating_sub(reserved)).unwrap_or(usize::MAX);
    possible.clamp(1, clients.max(1))
}
