//! Clients that leave in the middle of MULTI or WATCH: nothing of what they had queued happens, and nothing stays.

use super::crew::{Crew, Member, report};
use crate::client::{Client, Protocol, encode, info};
use crate::server::Server;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Waits until only the asking client is left, and sees that nothing is left of the others.
fn assert_clean(server: &Server) {
    let mut client = server.client();
    let give_up = Instant::now() + Duration::from_secs(10);
    loop {
        let list = client.ask("CLIENT LIST").text();
        let mut count = |name| info(&mut client, "clients", name);
        // A connection that is accepted only now, though its client has left already, comes and goes.
        if list.lines().count() == 1 && count("connected_clients") == "1" {
            assert!(list.contains(" multi=-1 ") && list.contains(" watch=0 "), "{list}");
            for name in ["watching_clients", "total_watched_keys"] {
                let found = count(name);
                assert!(found == "0" || found.is_empty(), "{name}: {found}");
            }
            break;
        }
        assert!(Instant::now() < give_up, "clients are left over:\n{list}");
    }
    // Whoever watches now is alone: the writes of others break the transaction, its own do not.
    for line in ["WATCH left", "MULTI", "HSET left f v"] {
        client.line(line);
    }
    assert_eq!(client.line("EXEC"), "[:1]");
    client.line("WATCH left");
    server.client().line("DEL left");
    client.line("MULTI");
    assert_eq!(client.line("EXEC"), "nil*");
    assert_eq!(client.line("FLUSHALL"), "+OK");
}

/// Clients that queue half a transaction over 30 kB and leave, some in the middle of a request.
pub fn leave() {
    let server = super::start();
    let (left, mut sizes) = (AtomicU64::new(0), Vec::new());
    let mut requests = 0;
    for _ in 0..2 {
        requests += Crew::new(&server)
            .each("leaver", 8, |member| {
                leave_in_the_middle(member, server.port);
                left.fetch_add(1, Ordering::Relaxed);
            })
            .each("writer", 2, |member| {
                let n = member.random.u8(..8);
                member.int(&format!("HINCRBY counter f{n} 1"));
                // Nothing that was only queued is ever there.
                assert_eq!(member.int(&format!("EXISTS queued:{n}")), 0);
            })
            .run();
        assert_eq!(server.client().ask("EXISTS queued:0 queued:1 queued:2 queued:3").int(), 0);
        assert_clean(&server);
        sizes.push(server.rss());
    }
    // The second half finds the room that the first has taken; a queue kept per client would need megabytes more.
    let growth = sizes[1].saturating_sub(sizes[0]);
    assert!(growth < 16 << 20, "{growth} bytes more after the second half: {sizes:?}");
    report("clients that leave", requests, &format!("{} clients, {growth} bytes more", left.into_inner()));
}

fn leave_in_the_middle(member: &mut Member<'_>, port: u16) {
    member.notes("connecting, queueing and leaving");
    let mut client = Client::connect(port, Protocol::Resp2).unwrap();
    let big = "x".repeat(10_000);
    let n = member.random.usize(..8);
    let queued = format!("queued:{n}");
    let mut requests = vec![
        encode(&["WATCH", &queued, "counter", "left"]),
        encode(&["WATCH", &format!("watched:{}", member.random.u32(..))]),
        encode(&["MULTI"]),
    ];
    requests.extend((0..3).map(|_| encode(&["HSET", &queued, "f", &big])));
    requests.truncate(member.random.usize(1..=requests.len()));
    let mut bytes = requests.concat();
    if member.random.bool() {
        let request = encode(&["HSET", &queued, "f", &big]);
        bytes.extend_from_slice(&request[..member.random.usize(1..request.len())]);
    }
    client.send_raw(&bytes).unwrap();
    // Who has read nothing resets the connection, who has read all closes it.
    if member.random.bool() {
        for _ in &requests {
            client.reply().unwrap();
        }
    }
}

/// Clients that send a whole transaction and leave without waiting: it runs whole or not at all.
pub fn exec_and_leave() {
    let server = super::start();
    let next = AtomicU64::new(0);
    let requests = Crew::new(&server)
        .each("leaver", 6, |member| {
            let n = next.fetch_add(1, Ordering::Relaxed);
            member.notes("sending a transaction and leaving");
            let mut client = Client::connect(server.port, Protocol::Resp2).unwrap();
            let (left, right) = (format!("left:{n}"), format!("right:{n}"));
            let lines: [&[&str]; 4] = [&["MULTI"], &["HSET", &left, "f", "v"], &["HSET", &right, "f", "v"], &["EXEC"]];
            client.send_raw(&lines.map(encode).concat()).unwrap();
        })
        .each("observer", 2, |member| {
            let n = next.load(Ordering::Relaxed).saturating_sub(member.random.u64(..20));
            let count = member.int(&format!("EXISTS right:{n} left:{n}"));
            assert!(count != 1, "half a transaction");
        })
        .run();
    let (mut client, sent) = (server.client(), next.into_inner());
    let mut ran = 0;
    for n in 0..sent {
        let count = client.ask(&format!("EXISTS left:{n} right:{n}")).int();
        assert!(count != 1, "half a transaction");
        ran += count / 2;
    }
    drop(client);
    assert_clean(&server);
    report("exec and leave", requests, &format!("{sent} transactions sent, {ran} ran"));
}

/// Clients that are killed by others with a transaction open.
pub fn killed() {
    let server = super::start();
    // There is nothing to see of a server that cannot kill.
    if server.client().line("CLIENT KILL ID 9999999") != ":0" {
        return;
    }
    let killed = AtomicU64::new(0);
    let requests = Crew::new(&server)
        .each("victim", 6, |member| {
            member.notes("waiting to be killed");
            let mut client = Client::connect(server.port, Protocol::Resp2).unwrap();
            let id = client.ask("CLIENT ID").int();
            for line in ["WATCH left right", "MULTI", "HSET victim f v"] {
                client.line(line);
            }
            assert_eq!(member.int(&format!("CLIENT KILL ID {id}")), 1);
            client.send(&["EXEC"]).ok();
            assert_eq!(client.read_to_close().unwrap(), b"", "a killed client is answered");
            killed.fetch_add(1, Ordering::Relaxed);
        })
        .each("observer", 2, |member| assert_eq!(member.int("EXISTS victim"), 0))
        .run();
    assert_clean(&server);
    report("killed clients", requests, &format!("{} clients", killed.into_inner()));
}
