//! Users who lose their rights, or are deleted, in the midst of everything: no command of theirs runs any more.

use super::{all_requests, assert_closed, comes_first, login, reason};
use crate::client::{Client, Protocol, eventually, info};
use crate::server::{Server, on_both};

/// What the client does when its rights go.
const STATES: [&str; 5] = ["nothing", "a transaction", "listening", "tracking", "watching"];

const ALLOWED: &str = "ACL SETUSER u reset on nopass ~* &* +@all";

/// A client of the user `u` in a state.
fn client_in(server: &Server, state: &str) -> Client {
    let mut client = if state == "nothing" { server.client() } else { server.connect(Protocol::Resp3) };
    assert_eq!(client.line("AUTH u x"), "+OK");
    enter(&mut client, state);
    client
}

fn enter(client: &mut Client, state: &str) {
    let lines: &[&str] = match state {
        "a transaction" => &["MULTI", "HSET k f v"],
        "listening" => &["SUBSCRIBE c"],
        "tracking" => &["CLIENT TRACKING ON BCAST"],
        "watching" => &["WATCH k"],
        _ => &[],
    };
    for line in lines {
        let reply = client.line(line);
        // Once it has begun, a transaction goes on.
        assert!(!reply.starts_with('-') || reply.contains("nested"), "{line}: {reply}");
    }
}

pub(super) fn rights() {
    on_both(&[], |server| {
        let mut admin = server.client();
        let requests = all_requests(&mut admin);
        for state in STATES {
            assert_eq!(admin.line(ALLOWED), "+OK");
            let mut client = client_in(server, state);
            for request in &requests {
                assert_eq!(admin.line(ALLOWED), "+OK");
                if state == "a transaction" {
                    enter(&mut client, state);
                }
                assert_eq!(admin.line("ACL SETUSER u -@all"), "+OK");
                let reply = reason(&client.raw(request));
                let is_refused = reply.starts_with("-NOPERM User u has no permissions to run the '");
                // That comes before users are asked about.
                let is_misplaced = state == "a transaction" && reply == "-ERR Command not allowed inside a transaction";
                assert!(is_refused || is_misplaced || comes_first(&reply), "{state}: {request:?}: {reply}");
            }
        }
        assert_eq!(admin.line("EXISTS k"), ":0");
    });
}

pub(super) fn users() {
    on_both(&[], |server| {
        let mut admin = server.client();
        let requests = all_requests(&mut admin);
        for (number, request) in requests.iter().enumerate() {
            assert_eq!(admin.line(ALLOWED), "+OK");
            let mut client = client_in(server, STATES[number % STATES.len()]);
            assert_eq!(admin.line("ACL DELUSER u"), ":1");
            // It may be closed before it sends, or while it does.
            drop(client.send(request));
            assert_eq!(client.read_to_close().unwrap_or_default(), b"", "{request:?}");
        }
        assert_eq!(admin.line("EXISTS k"), ":0");
        // Who waits is closed too.
        assert_eq!(admin.line(ALLOWED), "+OK");
        let mut waiting = login(server, "u");
        waiting.send(&["WAIT", "1", "0"]).unwrap();
        eventually("it waits", || info(&mut admin, "clients", "blocked_clients") == "1");
        assert_eq!(admin.line("ACL DELUSER u"), ":1");
        assert_closed(&mut waiting);
        eventually("nobody waits", || info(&mut admin, "clients", "blocked_clients") == "0");
    });
}
