//! What clients do to each other: KILL, PAUSE, UNBLOCK, MONITOR; the replies are in `connection/client_*.txt`.

use crate::Case;
use crate::client::{Client, Protocol, eventually, info};
use crate::server::{Kind, Server, on_both};
use crate::tracking::id_of;
use std::io;
use std::time::{Duration, Instant};

pub const CASES: &[Case] = &[
    ("kill_by_every_filter", kill_filters),
    ("kill_of_itself", kill_itself),
    ("kill_of_a_blocked_client", kill_blocked),
    ("kill_of_a_client_that_never_reads", kill_stalled),
    ("kill_of_a_paused_client", kill_paused),
    ("unblock", unblock),
    ("a_late_unblock_is_forgotten", late_unblock),
    ("pause_holds_back_expiry", pause_and_expiry),
    ("unpause_wakes_everybody", unpause_wakes),
    ("monitor_on_all_workers", monitor_everywhere),
    ("slow_monitor_is_closed", slow_monitor),
];

fn assert_closed(client: &mut Client) {
    assert_eq!(client.read_to_close().unwrap(), b"");
}

/// The value of a field in the line of CLIENT LIST that describes a client.
fn field(client: &mut Client, id: i64, name: &str) -> String {
    let line = client.ask(&format!("CLIENT LIST ID {id}")).text();
    line.split(' ').find_map(|field| field.strip_prefix(&format!("{name}="))).unwrap_or_default().to_owned()
}

fn kill_filters() {
    on_both(&[], |server| {
        let mut killer = server.client();
        for filter in ["ID", "ADDR", "old form", "ID and LADDR", "MAXAGE", "several"] {
            let (mut victim, mut other) = (server.client(), server.client());
            let (id, own) = (id_of(&mut victim), id_of(&mut killer));
            let (address, local) = (field(&mut killer, id, "addr"), field(&mut killer, id, "laddr"));
            let (line, reply) = match filter {
                "ID" => (format!("ID {id}"), ":1"),
                "ADDR" => (format!("ADDR {address}"), ":1"),
                "old form" => (address.clone(), "+OK"),
                "ID and LADDR" => (format!("LADDR {local} USER default SKIPME no ID {id}"), ":1"),
                "MAXAGE" => {
                    std::thread::sleep(Duration::from_millis(1100));
                    (format!("MAXAGE 1 TYPE normal ID {id}"), ":1")
                }
                _ => (format!("ID {own} ID {id}"), ":1"),
            };
            assert_eq!(killer.line(&format!("CLIENT KILL {line}")), reply, "{filter}");
            // It is gone for everybody at once.
            assert_eq!(killer.ask(&format!("CLIENT LIST ID {id}")).text(), "", "{filter}");
            assert_eq!(killer.line(&format!("CLIENT KILL ID {id}")), ":0", "{filter}");
            assert_closed(&mut victim);
            assert_eq!(other.line("PING"), "+PONG", "{filter}");
        }
        // The type alone spares only the one who asks.
        let mut victims = [server.client(), server.client()];
        victims.iter_mut().for_each(|victim| assert_eq!(victim.line("PING"), "+PONG"));
        assert!(killer.ask("CLIENT KILL TYPE normal SKIPME yes").int() >= 2);
        victims.iter_mut().for_each(assert_closed);
        assert_eq!(killer.line("PING"), "+PONG");
    });
}

fn kill_itself() {
    on_both(&[], |server| {
        let mut client = server.client();
        let id = id_of(&mut client);
        assert_eq!(client.line(&format!("CLIENT KILL ID {id}")), ":0");
        assert_eq!(client.line(&format!("CLIENT KILL ID {id} SKIPME NO")), ":1");
        assert_closed(&mut client);
        let mut client = server.client();
        let id = id_of(&mut client);
        let address = field(&mut client, id, "addr");
        assert_eq!(client.line(&format!("CLIENT KILL {address}")), "+OK");
        assert_closed(&mut client);
    });
}

fn kill_blocked() {
    on_both(&[], |server| {
        let (mut killer, mut victim) = (server.client(), server.client());
        let id = id_of(&mut victim);
        victim.send(&["WAIT", "1", "0"]).unwrap();
        eventually("blocked", || field(&mut killer, id, "flags") == "b");
        assert_eq!(info(&mut killer, "clients", "blocked_clients"), "1");
        assert_eq!(killer.line(&format!("CLIENT KILL ID {id}")), ":1");
        assert_closed(&mut victim);
        eventually("nobody blocked", || info(&mut killer, "clients", "blocked_clients") == "0");
    });
}

fn kill_stalled() {
    on_both(&[], |server| {
        let (mut killer, mut victim) = (server.client(), server.client());
        let id = id_of(&mut victim);
        let value = "v".repeat(1 << 20);
        killer.line(&format!("HSET big f {value}"));
        // So many replies that the sockets are full of them.
        for _ in 0..64 {
            victim.send(&["HGET", "big", "f"]).unwrap();
        }
        std::thread::sleep(Duration::from_millis(200));
        let connected = || info(&mut server.client(), "clients", "connected_clients");
        assert_eq!(killer.line(&format!("CLIENT KILL ID {id}")), ":1");
        eventually("gone", || connected() == "2");
    });
}

fn kill_paused() {
    on_both(&[], |server| {
        let (mut killer, mut victim) = (server.client(), server.client());
        let id = id_of(&mut victim);
        killer.line("CLIENT PAUSE 100000 WRITE");
        victim.send(&["HSET", "k", "f", "v"]).unwrap();
        eventually("paused", || field(&mut killer, id, "flags") == "b");
        assert_eq!(killer.line(&format!("CLIENT UNBLOCK {id}")), ":0");
        assert_eq!(killer.line(&format!("CLIENT KILL ID {id}")), ":1");
        assert_closed(&mut victim);
        killer.line("CLIENT UNPAUSE");
        assert_eq!(killer.line("EXISTS k"), ":0");
    });
}

fn unblock() {
    on_both(&[], |server| {
        let (mut other, mut waiter) = (server.client(), server.client());
        let id = id_of(&mut waiter);
        assert_eq!(other.line(&format!("CLIENT UNBLOCK {id}")), ":0");
        for (command, how, reply) in [
            ("WAIT 1 0", "", ":0"),
            ("WAIT 1 100000", " TIMEOUT", ":0"),
            ("WAIT 1 0", " ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK"),
            ("WAITAOF 0 1 0", "", "[:0, :0]"),
            ("WAITAOF 0 1 0", " error", "-UNBLOCKED client unblocked via CLIENT UNBLOCK"),
        ] {
            waiter.send(&command.split(' ').collect::<Vec<_>>()).unwrap();
            waiter.send(&["PING"]).unwrap();
            eventually("blocked", || field(&mut other, id, "flags") == "b");
            assert_eq!(other.line(&format!("CLIENT UNBLOCK {id}{how}")), ":1");
            assert_eq!(crate::resp::render(&waiter.reply().unwrap()), reply, "{command}{how}");
            // What was sent behind it runs now.
            assert_eq!(crate::resp::render(&waiter.reply().unwrap()), "+PONG");
        }
    });
}

/// An unblocking that came when the wait had just ended must not end the next one.
fn late_unblock() {
    let server = Server::start_with(Kind::Hashd, &["--io-threads", "2"]);
    let (mut other, mut waiter) = (server.client(), server.client());
    let id = id_of(&mut waiter);
    for _ in 0..100 {
        waiter.send(&["WAIT", "1", "2"]).unwrap();
        other.line(&format!("CLIENT UNBLOCK {id} ERROR"));
        waiter.reply().unwrap();
        let started = Instant::now();
        assert_eq!(waiter.line("WAIT 1 5"), ":0");
        assert!(started.elapsed() >= Duration::from_millis(4));
    }
}

fn pause_and_expiry() {
    on_both(&[], |server| {
        let mut client = server.client();
        client.line("HSET k f v");
        client.line("CLIENT PAUSE 100000 WRITE");
        assert_eq!(client.line("CLIENT UNPAUSE"), "+OK");
        client.line("PEXPIRE k 30");
        client.line("CLIENT PAUSE 100000 WRITE");
        std::thread::sleep(Duration::from_millis(400));
        assert_eq!(client.line("DBSIZE"), ":1");
        client.line("CLIENT UNPAUSE");
        eventually("expired", || client.line("DBSIZE") == ":0");
    });
}

fn unpause_wakes() {
    let server = Server::start_with(Kind::Hashd, &["--io-threads", "3"]);
    let mut main = server.client();
    let mut writers: Vec<Client> = (0..9).map(|_| server.client()).collect();
    writers.iter_mut().for_each(|writer| assert_eq!(writer.line("PING"), "+PONG"));
    for round in 0..20 {
        main.line("CLIENT PAUSE 100000 WRITE");
        for writer in &mut writers {
            writer.send(&["HINCRBY", "k", "f", "1"]).unwrap();
            writer.set_timeout(Duration::from_secs(5));
        }
        if round % 2 == 0 {
            eventually("all paused", || info(&mut main, "clients", "blocked_clients") == "9");
        }
        main.line("CLIENT UNPAUSE");
        writers.iter_mut().for_each(|writer| drop(writer.reply().unwrap()));
    }
    assert_eq!(main.line("HGET k f"), "\"180\"");
}

fn monitor_everywhere() {
    let server = Server::start_with(Kind::Hashd, &["--io-threads", "3"]);
    let mut monitors: Vec<Client> = (0..3).map(|_| server.client()).collect();
    monitors.iter_mut().for_each(|monitor| assert_eq!(monitor.line("MONITOR"), "+OK"));
    std::thread::scope(|scope| {
        for client in 0..4 {
            let server = &server;
            scope.spawn(move || {
                let mut client_connection = server.client();
                for n in 0..200 {
                    client_connection.line(&format!("HSET k{client} f {n}"));
                }
            });
        }
    });
    let mut seen: Vec<Vec<String>> = Vec::new();
    for monitor in &mut monitors {
        seen.push((0..800).map(|_| crate::resp::render(&monitor.reply().unwrap())).collect());
        // In the order of their times, and each client's in its own order.
        assert!(seen.last().unwrap().is_sorted_by_key(|line| line.split(' ').next().unwrap().to_owned()));
    }
    assert!(seen.iter().all(|lines| *lines == seen[0]), "the monitors have seen different things");
    for client in 0..4 {
        let key = format!("\"HSET\" \"k{client}\" \"f\" ");
        let values = seen[0].iter().filter_map(|line| line.split_once(&key).map(|(_, value)| value.to_owned()));
        assert!(values.eq((0..200).map(|n| format!("\"{n}\""))), "client {client}");
    }
}

/// A monitor that does not read is closed when too much has gathered.
fn slow_monitor() {
    on_both(&["--client-output-buffer-limit", "normal 1mb 0 0"], |server| {
        let mut monitor = server.client();
        assert_eq!(monitor.line("MONITOR"), "+OK");
        let id = {
            let mut other = server.client();
            let list = other.ask("CLIENT LIST").text();
            let line = list.lines().find(|line| line.contains(" flags=O ")).expect("a monitor").to_owned();
            line.split(' ').next().unwrap().trim_start_matches("id=").parse::<i64>().unwrap()
        };
        let mut client = server.connect(Protocol::Resp2);
        let value = "v".repeat(100_000);
        for _ in 0..200 {
            client.line(&format!("HSET k f {value}"));
        }
        eventually("closed", || client.ask(&format!("CLIENT LIST ID {id}")).text().is_empty());
        monitor.set_timeout(Duration::from_secs(5));
        match monitor.read_to_close() {
            Ok(_) => {}
            Err(error) => assert_ne!(error.kind(), io::ErrorKind::WouldBlock),
        }
    });
}
