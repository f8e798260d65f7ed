//! From a request to its answer: who may ask at all, and what for.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpStream;

use super::answer::Answer;
use super::query::Query;
use super::visitor::Visitor;
use super::{Floor, browse, host, insight, metrics, overview, page};
use crate::services::clients::Peer;

/// Answers a request for one path.
type Route = fn(&mut Visitor<'_>, &Query) -> Result<Answer, Answer>;

/// Everything that there is, for those who are let in.
const ROUTES: &[(&str, Route)] = &[
    ("/", page::index),
    ("/page.css", page::style),
    ("/page.js", page::script),
    ("/icon.svg", page::icon),
    ("/metrics", metrics::metrics),
    ("/readyz", readiness),
    ("/api/overview", overview::overview),
    ("/api/clients", overview::clients),
    ("/api/slowlog", insight::slow_log),
    ("/api/hotkeys", insight::hot_keys),
    ("/api/keys", browse::keys),
    ("/api/hash", browse::hash),
    ("/api/value", browse::value),
];

/// Where a connection comes from.
pub(super) fn peer(stream: &TcpStream, address: SocketAddr) -> Peer {
    Peer {
        address: address.to_string(),
        local_address: stream.local_addr().map(|address| address.to_string()).unwrap_or_default(),
        fd: i64::from(stream.as_raw_fd()),
        is_unix_socket: false,
    }
}

/// The answer to a request.
pub(super) fn answer(floor: &Floor, from: (&Peer, SocketAddr), request: &Request<Incoming>) -> Response<Full<Bytes>> {
    respond(floor, from, request).unwrap_or_else(|refusal| refusal).into_response()
}

fn respond(floor: &Floor, (peer, address): (&Peer, SocketAddr), request: &Request<Incoming>) -> Result<Answer, Answer> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Answer::method_not_allowed());
    }
    if !request.body().is_end_stream() {
        return Err(Answer::has_body());
    }
    let path = request.uri().path();
    if path == "/healthz" {
        return Ok(Answer::line(StatusCode::OK, "alive"));
    }
    if !host::is_ours(&floor.services.config, request) {
        return Err(Answer::line(
            StatusCode::MISDIRECTED_REQUEST,
            "This server is not known by that name; http-hosts says by which it is.",
        ));
    }
    if host::is_asked_by_another_site(request) && path != "/" {
        return Err(Answer::line(StatusCode::FORBIDDEN, "Pages of other sites may not read this."));
    }
    if floor.services.protects_from(&address) {
        return Err(Answer::line(
            StatusCode::FORBIDDEN,
            "Protected mode: without a password for the default user only this machine is served.",
        ));
    }
    let mut visitor = Visitor::admit(floor, peer, request.headers())?;
    match ROUTES.iter().find(|(known, _)| *known == path) {
        Some((_, route)) => route(&mut visitor, &Query::of(request.uri())),
        None => Err(Answer::line(StatusCode::NOT_FOUND, "There is nothing here.")),
    }
}

/// `/readyz`: whether clients are served.
#[expect(clippy::unnecessary_wraps, reason = "as every route")]
fn readiness(visitor: &mut Visitor<'_>, _query: &Query) -> Result<Answer, Answer> {
    let (status, word) = if visitor.services.is_ready() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    Ok(Answer::line(status, word))
}
