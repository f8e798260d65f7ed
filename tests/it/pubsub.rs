//! Pub/Sub among many connections at once: order, silence after UNSUBSCRIBE, listeners that do not read or just go.

use crate::Case;
use crate::client::{Client, Protocol, info};
use crate::resp;
use crate::server::{Kind, Server};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub const CASES: &[Case] = &[
    ("a_listener_that_does_not_read_is_closed", slow_listener),
    ("all_listeners_see_the_same_order", order),
    ("nothing_comes_after_unsubscribe", silence),
    ("nothing_is_left_of_a_client_that_leaves", leaving),
    ("a_pause_holds_messages_back", pause),
    ("a_protocol_is_switched_between_two_messages", protocol_switch),
];

fn listener(server: &Server, protocol: Protocol, channel: &str) -> Client {
    let mut client = server.connect(protocol);
    let confirmation = client.line(&format!("SUBSCRIBE {channel}"));
    assert!(confirmation.ends_with(&format!("[\"subscribe\", \"{channel}\", :1]")), "{confirmation}");
    client
}

fn next(client: &mut Client) -> String {
    resp::render(&client.reply().unwrap())
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < give_up, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn slow_listener() {
    const LIMIT: &[&str] = &["--client-output-buffer-limit", "pubsub 1mb 0 0"];
    let server = Server::start_with(Kind::Hashd, LIMIT);
    let slow = [listener(&server, Protocol::Resp2, "news"), listener(&server, Protocol::Resp3, "news")];
    let mut reader = listener(&server, Protocol::Resp2, "news");
    let padding = "x".repeat(32 * 1024);
    let read = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while next(&mut reader).contains(&format!("\"{} ", read.load(Ordering::Relaxed))) {
                read.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut publisher = server.client();
        let mut sent = 0;
        let give_up = Instant::now() + Duration::from_secs(30);
        // The kernel buffers some megabytes before the server has to.
        while publisher.line("PUBSUB NUMSUB news") != "[\"news\", :1]" {
            assert!(Instant::now() < give_up, "the slow listeners stay after {sent} messages");
            publisher.raw(&["PUBLISH", "news", &format!("{sent} {padding}")]);
            sent += 1;
            // Never so far ahead that a slow machine would have this one closed, too.
            wait_until("the reader does not get on", || read.load(Ordering::Relaxed) + 8 >= sent);
        }
        publisher.raw(&["PUBLISH", "news", "end"]);
        reader.join().unwrap();
        assert_eq!(read.load(Ordering::Relaxed), sent);
    });
    for mut client in slow {
        client.set_timeout(Duration::from_secs(5));
        while let Ok(frame) = client.reply() {
            drop(frame);
        }
        assert!(client.send(&["PING"]).and_then(|()| client.reply()).is_err(), "a slow listener is still connected");
    }
    server.assert_alive();
}

fn order() {
    const EACH: usize = 500;
    let server = Server::start(Kind::Hashd);
    let mut listeners: Vec<Client> =
        (0..4).map(|n| listener(&server, [Protocol::Resp2, Protocol::Resp3][n % 2], "c")).collect();
    std::thread::scope(|scope| {
        for publisher in 0..3 {
            let mut client = server.client();
            scope.spawn(move || {
                for n in 0..EACH {
                    assert_eq!(client.line(&format!("PUBLISH c {publisher}-{n}")), ":4");
                }
            });
        }
    });
    let mut seen = listeners.iter_mut().map(|client| {
        let all: Vec<String> = (0..3 * EACH).map(|_| next(client).trim_start_matches('>').to_owned()).collect();
        all
    });
    let first = seen.next().unwrap();
    assert!(seen.all(|other| other == first));
}

fn silence() {
    let server = Server::start(Kind::Hashd);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&stop);
        for _ in 0..2 {
            scope.spawn(|| publish_until(&server, &stop));
        }
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let mut client = server.connect(protocol);
            for _ in 0..200 {
                client.send(&["SUBSCRIBE", "c"]).unwrap();
                assert!(next(&mut client).contains("\"subscribe\""));
                client.send(&["UNSUBSCRIBE", "c"]).unwrap();
                while next(&mut client).contains("\"message\"") {}
                client.send(&["PING"]).unwrap();
                assert_eq!(next(&mut client), "+PONG");
            }
        }
    });
}

fn leaving() {
    let server = Server::start(Kind::Hashd);
    let mut client = server.client();
    let mut leaver = server.connect(Protocol::Resp3);
    for n in 0..50 {
        leaver.line(&format!("SUBSCRIBE c{n}"));
    }
    leaver.line("PSUBSCRIBE p*");
    leaver.line("SSUBSCRIBE s");
    let id = leaver.ask("CLIENT ID").int();
    let line = client.ask(&format!("CLIENT LIST ID {id}")).text();
    assert!(line.contains(" flags=P ") && line.contains(" sub=50 psub=1 ssub=1 "), "{line}");
    assert!(client.ask("CLIENT LIST TYPE pubsub").text().starts_with(&format!("id={id} ")));
    assert_eq!(info(&mut client, "clients", "pubsub_clients"), "1");
    let counts = |client: &mut Client| {
        ["pubsub_channels", "pubsub_patterns", "pubsubshard_channels"].map(|name| info(client, "stats", name))
    };
    assert_eq!(counts(&mut client), ["50", "1", "1"]);
    drop(leaver);
    wait_until("subscriptions stay", || counts(&mut client) == ["0", "0", "0"]);
    assert_eq!(client.line("PUBLISH c1 m"), ":0");
}

fn protocol_switch() {
    let server = Server::start(Kind::Hashd);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&stop);
        scope.spawn(|| publish_until(&server, &stop));
        for _ in 0..100 {
            let mut client = listener(&server, Protocol::Resp3, "c");
            client.send(&["HELLO", "2"]).unwrap();
            loop {
                let frame = next(&mut client);
                if frame.contains("\"server\"") {
                    break;
                }
                assert!(frame.starts_with(">["), "{frame} before HELLO 2");
            }
            for _ in 0..3 {
                let frame = next(&mut client);
                assert!(frame.starts_with('['), "{frame} after HELLO 2");
            }
        }
    });
}

/// Ends the threads of a scope, also when its main thread fails.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn publish_until(server: &Server, stop: &AtomicBool) {
    let mut publisher = server.client();
    while !stop.load(Ordering::Relaxed) {
        publisher.line("PUBLISH c m");
    }
}

/// As Redis holds back all that it would replicate.
fn pause() {
    let server = Server::start(Kind::Hashd);
    let mut client = server.client();
    for line in ["PUBLISH c m", "SPUBLISH c m"] {
        assert_eq!(client.line("CLIENT PAUSE 300 WRITE"), "+OK");
        let started = Instant::now();
        assert_eq!(client.line(line), ":0");
        assert!(started.elapsed() >= Duration::from_millis(250), "{line} after {:?}", started.elapsed());
    }
}
