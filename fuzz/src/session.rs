//! Any bytes as a whole session: no command panics, each request gets exactly one reply, and every reply is valid RESP.

use std::sync::Arc;

use hashd::base::clock::{Clock, UnixMillis};
use hashd::commands::table;
use hashd::config::Config;
use hashd::dispatch::{Where, dispatch};
use hashd::handler::{Args, Session};
use hashd::resp::decode::{DecodeLimits, Decoder};
use hashd::resp::reply::{ReplyWriter, RespVersion};
use hashd::services::Services;
use hashd::services::clients::Peer;
use hashd::store::{HashLimits, Keyspace};

pub fn run(bytes: &[u8]) {
    let now = UnixMillis(1_800_000_000_000);
    let limits = HashLimits { max_listpack_entries: 4, max_listpack_value: 16 };
    let services = Services::new(
        Arc::new(Config::default()),
        Arc::new(Keyspace::new(16, limits)),
        Arc::new(Clock::fixed(now)),
        &table::acl_categories(),
    );
    let peer = Peer { address: "a:1".into(), local_address: "b:1".into(), fd: 1, is_unix_socket: false };
    let Some(client) = services.clients.connect(peer, now, 10) else { return };
    let mut session = Session::new(client, services.acl.new_access(), services.stats.add_worker());
    let mut reply = ReplyWriter::new(RespVersion::Resp2);
    let mut decoder = Decoder::default();
    let limits = DecodeLimits { max_bulk: 1 << 20, unauthenticated: false };
    while let Ok(()) = decoder.advance(bytes, limits, 16) {
        let Some((buffer, ranges)) = decoder.next(bytes) else { break };
        dispatch(&services, &mut session, &mut reply, (Args::new(buffer, ranges), now, Where::Aside));
        decoder.step();
        let text = reply.as_bytes();
        assert!(text.is_empty() || text.ends_with(b"\r\n"), "a reply that does not end");
        reply.clear();
    }
}
