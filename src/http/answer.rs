//! What a request is answered with, and the headers that every answer has.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::Value;

use crate::handler::CommandError;

/// Nothing but what this server sends itself is run, shown or asked for, and nobody shows the page inside another.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

const ON_EVERY_ANSWER: [(HeaderName, &str); 7] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// An answer in the making; refusals are answers too.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    media_type: &'static str,
    body: Bytes,
    header: Option<(HeaderName, &'static str)>,
}

impl Answer {
    /// What was asked for.
    pub(super) fn found(media_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status: StatusCode::OK, media_type, body: body.into(), header: None }
    }

    /// Data for the page.
    pub(super) fn json(value: &Value) -> Self {
        Self::found("application/json", value.to_string())
    }

    /// One line of text.
    pub(super) fn line(status: StatusCode, text: &str) -> Self {
        Self { status, ..Self::found("text/plain; charset=utf-8", format!("{text}\n")) }
    }

    /// Says why there is no data.
    pub(super) fn problem(status: StatusCode, text: &str) -> Self {
        Self { status, ..Self::json(&serde_json::json!({ "error": text })) }
    }

    /// The gate's refusal of the command that would have told the same.
    pub(super) fn refused(error: &CommandError) -> Self {
        let text = error.to_string();
        let status = match text.split(' ').next() {
            Some("NOAUTH") => return Self::unauthorized(),
            Some("NOPERM") => StatusCode::FORBIDDEN,
            Some("LOADING") => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::problem(status, &text)
    }

    /// Asks for a name and a password.
    pub(super) fn unauthorized() -> Self {
        let ask = (header::WWW_AUTHENTICATE, "Basic realm=\"hashd\", charset=\"UTF-8\"");
        Self { header: Some(ask), ..Self::line(StatusCode::UNAUTHORIZED, "A user's name and password are needed.") }
    }

    /// Another method than those that read.
    pub(super) fn method_not_allowed() -> Self {
        let allowed = (header::ALLOW, "GET, HEAD");
        Self { header: Some(allowed), ..Self::line(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD are served.") }
    }

    /// A request with a body, which nobody would read.
    pub(super) fn has_body() -> Self {
        let close = (header::CONNECTION, "close");
        Self { header: Some(close), ..Self::line(StatusCode::PAYLOAD_TOO_LARGE, "A request has no body here.") }
    }

    /// The response as it is sent.
    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        for (name, value) in ON_EVERY_ANSWER.into_iter().chain(self.header) {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
