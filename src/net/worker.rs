//! A worker: one thread with a single-threaded runtime. Its connections never move to another.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::connection;
use crate::services::Services;
use crate::services::clients::Client;
use crate::services::stats::WorkerCounters;

/// Threads of a worker for requests that take long.
const LONG_AT_A_TIME: usize = 4;

/// A client socket on its way from the listener to its worker.
#[derive(Debug)]
pub enum Incoming {
    /// Over TCP.
    Tcp(std::net::TcpStream, Arc<Client>),
    /// Over a unix socket.
    Unix(std::os::unix::net::UnixStream, Arc<Client>),
}

/// The listener's end of a worker.
#[derive(Debug)]
pub struct Worker {
    incoming: mpsc::UnboundedSender<Incoming>,
    thread: std::thread::JoinHandle<()>,
}

impl Worker {
    /// Starts worker `index`.
    pub fn start(index: usize, services: Arc<Services>) -> std::io::Result<Self> {
        let counters = services.stats.add_worker();
        let (incoming, receiver) = mpsc::unbounded_channel();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(LONG_AT_A_TIME).build()?;
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            tokio::task::LocalSet::new().block_on(&runtime, accept(receiver, services, counters));
        })?;
        Ok(Self { incoming, thread })
    }

    /// Hands a client over. If the worker has stopped, the client is disconnected.
    pub fn hand_over(&self, incoming: Incoming) {
        if self.incoming.send(incoming).is_err() {
            tracing::warn!("a worker has stopped; its client is disconnected");
        }
    }

    /// Lets the worker end what runs now, and waits for it. Its connections are closed.
    pub fn stop(self) {
        drop(self.incoming);
        if self.thread.join().is_err() {
            tracing::error!("a worker ended by a panic");
        }
    }
}

async fn accept(
    mut receiver: mpsc::UnboundedReceiver<Incoming>,
    services: Arc<Services>,
    counters: Arc<WorkerCounters>,
) {
    while let Some(incoming) = receiver.recv().await {
        let (services, counters) = (Arc::clone(&services), Arc::clone(&counters));
        match incoming {
            Incoming::Tcp(stream, client) => match tokio::net::TcpStream::from_std(stream) {
                Ok(stream) => drop(tokio::task::spawn_local(connection::serve(stream, services, client, counters))),
                Err(error) => refuse(&services, &client, &error),
            },
            Incoming::Unix(stream, client) => match tokio::net::UnixStream::from_std(stream) {
                Ok(stream) => drop(tokio::task::spawn_local(connection::serve(stream, services, client, counters))),
                Err(error) => refuse(&services, &client, &error),
            },
        }
    }
}

fn refuse(services: &Services, client: &Client, error: &std::io::Error) {
    tracing::warn!(client = client.id.0, %error, "cannot serve the client");
    services.clients.disconnect(client.id);
}
