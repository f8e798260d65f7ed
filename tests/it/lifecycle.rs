//! Start, settings and end: signals, SHUTDOWN, maxclients, wrong options.

use crate::Case;
use crate::client::{Client, Protocol};
use crate::server::{self, Kind, Server};
use std::process::Command;
use std::time::Duration;

pub const CASES: &[Case] = &[
    ("sigterm_ends_with_0", sigterm),
    ("shutdown_ends_with_0", shutdown),
    ("wrong_options_end_with_1", wrong_options),
    ("help_lists_every_setting", help),
    ("maxclients", maxclients),
];

const LIMIT: Duration = Duration::from_secs(5);

fn sigterm() {
    let mut server = Server::start(Kind::Hashd);
    let _waiting = server.client();
    server.signal("TERM");
    assert_eq!(server.wait_for_exit(LIMIT), Some(0));
}

fn shutdown() {
    let mut server = Server::start(Kind::Hashd);
    let mut client = server.client();
    client.send(&["SHUTDOWN", "NOSAVE"]).unwrap();
    assert_eq!(client.read_to_close().unwrap(), b"");
    assert_eq!(server.wait_for_exit(LIMIT), Some(0));
}

fn wrong_options() {
    for options in [["--nonsense", "1"], ["--port", "x"], ["--maxclients", "-1"]] {
        let output = Command::new(server::program(Kind::Hashd)).args(options).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{options:?}");
        assert!(!output.stderr.is_empty() || !output.stdout.is_empty(), "{options:?} says nothing");
    }
}

fn help() {
    let server = Server::start(Kind::Hashd);
    let output = Command::new(server::program(Kind::Hashd)).arg("--help").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let settings = server.client().ask("CONFIG GET *");
    assert!(!settings.items().is_empty(), "CONFIG GET * is empty");
    // The ziplist and slave names are aliases of settings that have another name.
    let aliases = ["ziplist", "slave"];
    let missing: Vec<String> = settings
        .items()
        .chunks(2)
        .map(|pair| pair[0].text())
        .filter(|name| !aliases.iter().any(|alias| name.contains(alias)) && !text.contains(&format!("--{name}")))
        .collect();
    assert!(missing.is_empty(), "--help lacks {missing:?}");
}

fn maxclients() {
    let server = Server::start_with(Kind::Hashd, &["--maxclients", "2"]);
    // The probe of the start may be counted until its close is seen.
    std::thread::sleep(Duration::from_millis(100));
    let (mut one, mut two) = (server.client(), server.client());
    assert_eq!((one.line("PING"), two.line("PING")), ("+PONG".into(), "+PONG".into()));
    let mut three = Client::connect(server.port, Protocol::Resp2).unwrap();
    assert_eq!(three.read_to_close().unwrap(), b"-ERR max number of clients reached\r\n");
    assert_eq!(one.line("PING"), "+PONG");
}
