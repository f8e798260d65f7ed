//! Who asks: one of the users of ACL, for the length of a request.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap};

use super::Floor;
use super::answer::Answer;
use crate::dispatch;
use crate::handler::{OwnedArgs, Session};
use crate::services::Services;
use crate::services::acl::DEFAULT;
use crate::services::acl::log::{Event, Reason};
use crate::services::acl::selector::Selector;
use crate::services::clients::{Client, ClientId, Peer};
use crate::store::Database;

/// The id of whoever is no client of the RESP port: ACL LOG shows it, CLIENT LIST has nobody by it.
const NO_CLIENT: ClientId = ClientId(0);

/// Somebody who has been let in.
pub(super) struct Visitor<'f> {
    /// The server.
    pub(super) services: &'f Services,
    /// What the gate knows of whoever asks.
    session: Session,
}

impl<'f> Visitor<'f> {
    /// Lets in who needs no password, or knows it.
    pub(super) fn admit(floor: &'f Floor, peer: &Peer, headers: &HeaderMap) -> Result<Self, Answer> {
        let services = &*floor.services;
        let client = Arc::new(Client::new(NO_CLIENT, peer.clone(), services.clock.now()));
        let session = Session::new(client, services.acl.new_access(), Arc::clone(&floor.counters));
        let mut visitor = Self { services, session };
        if headers.contains_key(AUTHORIZATION) {
            let (name, password) = credentials(headers).ok_or_else(Answer::unauthorized)?;
            visitor.log_in(&name, &password)?;
        }
        if visitor.session.access.must_log_in(&services.acl) {
            return Err(Answer::unauthorized());
        }
        Ok(visitor)
    }

    /// As AUTH, and noted in ACL LOG as by it.
    fn log_in(&mut self, name: &[u8], password: &[u8]) -> Result<(), Answer> {
        let (services, session) = (self.services, &mut self.session);
        if services.acl.log_in(&session.client, &mut session.access, name, password) {
            return Ok(());
        }
        let now = services.clock.now();
        let event = Event {
            reason: Reason::Auth,
            in_multi: false,
            object: b"HTTP".to_vec(),
            username: name.to_vec(),
            client: session.client.describe(services, now),
        };
        services.acl.log.add(event, now, services.config.acllog_max_len());
        Err(Answer::unauthorized())
    }

    /// The name of the user.
    pub(super) fn name(&self) -> &[u8] {
        self.session.access.user().name()
    }

    /// Refuses, as the gate would, who may not send this request.
    pub(super) fn require(&mut self, request: &[&[u8]]) -> Result<(), Answer> {
        let request = OwnedArgs::of(request.iter().copied());
        dispatch::permit(self.services, &mut self.session, request.as_args()).map_err(|error| Answer::refused(&error))
    }

    /// Whether the gate would let this request through.
    pub(super) fn may(&mut self, request: &[&[u8]]) -> bool {
        let request = OwnedArgs::of(request.iter().copied());
        dispatch::would_permit(self.services, &mut self.session, request.as_args())
    }

    /// Whether the user may look at any key.
    pub(super) fn sees_all_keys(&mut self) -> bool {
        self.session.access.refresh(&self.services.acl);
        self.session.access.rules().selectors().any(Selector::has_all_keys)
    }

    /// A database, looked at without a trace in the access clocks of its keys.
    pub(super) fn database(&self, index: usize) -> Database<'f> {
        let mut database = self.services.keyspace.database(index, self.services.clock.now());
        database.without_touching();
        database
    }
}

/// Name and password of HTTP Basic; who names nobody means the default user, as `AUTH password` does.
fn credentials(headers: &HeaderMap) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else { return None };
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    let colon = decoded.iter().position(|&byte| byte == b':')?;
    let (name, password) = decoded.split_at(colon);
    let name = if name.is_empty() { DEFAULT } else { name };
    Some((name.to_vec(), password.get(1..)?.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        credentials(&headers)
    }

    #[test]
    fn names_and_passwords() {
        let pair = |name: &[u8], password: &[u8]| Some((name.to_vec(), password.to_vec()));
        assert_eq!(read(&["Basic YTpiOmM="]), pair(b"a", b"b:c"));
        assert_eq!(read(&["bAsIc  OmI="]), pair(b"default", b"b"));
        assert_eq!(read(&["Basic Og=="]), pair(b"default", b""));
        for bad in ["Basic", "Basic ", "Basic YWI=", "Basic !", "Bearer YTpi", "YTpi"] {
            assert_eq!(read(&[bad]), None, "{bad}");
        }
        assert_eq!(read(&["Basic YTpi", "Basic YTpi"]), None);
    }
}
