//! The HTTP endpoint: metrics for Prometheus, a page for people, both read-only. Beside `net`, another door to the same
//! gate: who may not send a command does not see here what its reply would tell.
//!
//! It runs on one thread of its own. Connections, headers, and what one request may look at are bounded, so that workers
//! do not notice it: the most that they wait for is a lock of one shard, as for any client.

mod answer;
mod browse;
mod exposition;
mod host;
mod insight;
mod metrics;
mod overview;
mod page;
mod query;
mod route;
mod text;
mod visitor;

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio_io_timeout::TimeoutStream;

use crate::services::Services;
use crate::services::limits::HTTP_CONNECTIONS;
use crate::services::stats::WorkerCounters;

/// Header fields of a request, and bytes of all of them with the request line.
const HEADERS: usize = 64;
const HEADER_BYTES: usize = 16 * 1024;

/// How long a request's header may take to arrive, and a connection may idle.
const HEADER_WITHIN: Duration = Duration::from_secs(10);

/// How long a client may take to make room for more of its answer.
const TAKE_WITHIN: Duration = Duration::from_secs(10);

/// How long a connection may last, and then its last request.
const LIFETIME: Duration = Duration::from_secs(300);
const LAST_REQUEST: Duration = Duration::from_secs(10);

/// How long accepting pauses when it fails.
const PAUSE: Duration = Duration::from_millis(200);

/// How long requests that are being answered are waited for when the server ends.
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// The running endpoint.
#[derive(Debug)]
pub struct Endpoint {
    end: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

/// What all connections share.
struct Floor {
    services: Arc<Services>,
    /// What is counted on this thread.
    counters: Arc<WorkerCounters>,
    places: Arc<Semaphore>,
    ending: Notify,
}

impl Endpoint {
    /// Serves HTTP on `sockets`, on a thread of its own.
    pub fn start(sockets: Vec<std::net::TcpListener>, services: Arc<Services>) -> io::Result<Self> {
        let (end, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let counters = services.stats.add_worker();
        let places = Arc::new(Semaphore::new(HTTP_CONNECTIONS));
        let floor = Arc::new(Floor { services, counters, places, ending: Notify::new() });
        let listeners = {
            let _runtime = runtime.enter();
            sockets.into_iter().map(TcpListener::from_std).collect::<io::Result<Vec<_>>>()?
        };
        let thread = std::thread::Builder::new().name("http".into()).spawn(move || {
            runtime.block_on(async {
                for listener in listeners {
                    tokio::spawn(accept(listener, Arc::clone(&floor)));
                }
                // Also when the endpoint is dropped.
                let _ = ended.await;
                floor.places.close();
                floor.ending.notify_waiters();
            });
            runtime.shutdown_timeout(LAST_MOMENT);
        })?;
        Ok(Self { end, thread })
    }

    /// Answers no more.
    pub fn stop(self) {
        // The thread may have ended already.
        let _ = self.end.send(());
        if self.thread.join().is_err() {
            tracing::error!("the HTTP endpoint ended by a panic");
        }
    }
}

/// Accepts clients until the server ends.
async fn accept(listener: TcpListener, floor: Arc<Floor>) {
    while let Ok(place) = Arc::clone(&floor.places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, address)) => {
                let floor = Arc::clone(&floor);
                tokio::spawn(async move {
                    if let Err(error) = converse(stream, address, &floor).await {
                        tracing::debug!(%error, %address, "an HTTP connection ended");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "an HTTP client could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Serves one connection for as long as it may last.
async fn converse(stream: TcpStream, address: SocketAddr, floor: &Arc<Floor>) -> hyper::Result<()> {
    let peer = route::peer(&stream, address);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(TAKE_WITHIN));
    let service = service_fn(|request| {
        let response = route::answer(floor, (&peer, address), &request);
        ready(Ok::<_, Infallible>(response))
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_WITHIN)
            .max_headers(HEADERS)
            .max_buf_size(HEADER_BYTES)
            .serve_connection(TokioIo::new(Box::pin(stream)), service)
    );
    tokio::select! {
        outcome = connection.as_mut() => return outcome,
        () = floor.ending.notified() => {}
        () = tokio::time::sleep(LIFETIME) => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::time::timeout(LAST_REQUEST, connection).await.unwrap_or(Ok(()))
}
