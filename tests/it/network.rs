//! Listeners and what CONFIG SET does to them, renamed commands, protected mode, CONFIG REWRITE.

use crate::Case;
use crate::client::{Client, Protocol, eventually, info};
use crate::server::{self, Kind, Server, free_port, on_both};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

pub const CASES: &[Case] = &[
    ("port_follows_config_set", port),
    ("bind_follows_config_set", bind),
    ("clients_are_dealt_to_who_has_fewest", dealt),
    ("clients_that_have_left_are_not_served", left),
    ("unix_socket", unix_socket),
    ("protected_mode", protected_mode),
    ("renamed_commands", renamed),
    ("renaming_is_checked", renaming_is_checked),
    ("debug_needs_permission", debug_permission),
    ("protected_configs_open_to_local_clients", protected_configs),
    ("rewrite_as_redis_does", rewrite),
    ("rewrite_errors", rewrite_errors),
    ("every_setting_takes_its_own_value", own_values),
    ("files_that_redis_writes_are_read", files_of_redis),
];

fn set_error(name: &str, why: &str) -> String {
    format!("-ERR CONFIG SET failed (possibly related to argument '{name}') - {why}")
}

fn answers(address: &str, port: u16) -> bool {
    Client::connect_to(address, port, Protocol::Resp2).is_ok_and(|mut client| client.line("PING") == "+PONG")
}

fn port() {
    on_both(&[], |server| {
        let mut client = server.client();
        let other = free_port();
        assert_eq!(client.line(&format!("CONFIG SET port {other}")), "+OK");
        assert!(answers("127.0.0.1", other) && !answers("127.0.0.1", server.port));
        // At once again, and at one that is taken.
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let busy = taken.local_addr().unwrap().port();
        assert_eq!(client.line(&format!("CONFIG SET port {}", server.port)), "+OK");
        assert_eq!(
            client.line(&format!("CONFIG SET timeout 9 port {busy}")),
            set_error("port", "Unable to listen on this port. Check server logs.")
        );
        assert!(answers("127.0.0.1", server.port));
        assert_eq!(client.ask("CONFIG GET port").items()[1].text(), server.port.to_string());
        assert_eq!(client.ask("CONFIG GET timeout").items()[1].text(), "0");
        // No port at all: who is connected stays.
        assert_eq!(client.line("CONFIG SET port 0"), "+OK");
        assert!(!answers("127.0.0.1", server.port));
        assert_eq!(client.line(&format!("CONFIG SET port {}", server.port)), "+OK");
        assert!(answers("127.0.0.1", server.port));
    });
}

fn dealt() {
    let server = Server::start_with(Kind::Hashd, &["--io-threads", "4"]);
    let mut client = server.client();
    let shares = |client: &mut Client| -> Vec<usize> {
        let text = client.ask("INFO threads").text();
        let share = |line: &str| line.split_once(":clients=").map(|(_, rest)| rest.split(',').next().unwrap().parse());
        text.lines().filter_map(share).map(Result::unwrap).collect()
    };
    let answering = || {
        let mut client = server.client();
        assert_eq!(client.line("PING"), "+PONG");
        client
    };
    let mut others: Vec<Client> = (1..12).map(|_| answering()).collect();
    assert_eq!(shares(&mut client), [3; 4]);
    // Those of one worker, and some of others, leave: new ones go where they have been.
    others.drain(..5);
    eventually("they have left", || shares(&mut client).iter().sum::<usize>() == 7);
    others.extend((0..5).map(|_| answering()));
    assert_eq!(shares(&mut client), [3; 4]);
}

fn left() {
    let server = Server::start(Kind::Hashd);
    let mut client = server.client();
    let id = client.ask("CLIENT ID").int();
    let received = |client: &mut Client| info(client, "stats", "total_connections_received").parse::<u64>().unwrap();
    let before = received(&mut client);
    server.freeze();
    let connect = || TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    for _ in 0..50 {
        drop(connect());
    }
    // Who has asked for something gets it.
    let mut asking = connect();
    asking.write_all(b"CLIENT ID\r\n").unwrap();
    asking.shutdown(Shutdown::Write).unwrap();
    server.signal("CONT");
    let mut reply = String::new();
    asking.read_to_string(&mut reply).unwrap();
    assert_eq!(reply, format!(":{}\r\n", id + 1));
    assert_eq!(received(&mut client), before + 51);
}

fn bind() {
    on_both(&["--bind", "127.0.0.1"], |server| {
        let mut client = server.client();
        assert!(!answers("127.0.0.2", server.port));
        assert_eq!(client.value(&["CONFIG", "SET", "bind", "127.0.0.1 127.0.0.2 -192.0.2.1"]).text(), "OK");
        assert!(answers("127.0.0.1", server.port) && answers("127.0.0.2", server.port));
        assert_eq!(client.line("CONFIG SET bind *"), "+OK");
        assert!(answers("127.0.0.1", server.port) && answers("127.0.0.3", server.port));
        let refused = set_error("bind", "Failed to bind to specified addresses.");
        assert_eq!(client.line("CONFIG SET bind 192.0.2.1"), refused);
        assert!(answers("127.0.0.3", server.port), "what was open is open again");
        assert_eq!(client.ask("CONFIG GET bind").items()[1].text(), "*");
        assert_eq!(client.line("CONFIG SET bind 127.0.0.2"), "+OK");
        assert!(answers("127.0.0.2", server.port) && !answers("127.0.0.1", server.port));
        assert_eq!(client.line("PING"), "+PONG");
        let seventeen = ["127.0.0.1"; 17].join(" ");
        let reply = client.raw(&["CONFIG", "SET", "bind", &seventeen]);
        let wanted = set_error("bind", "Too many bind addresses specified.");
        assert_eq!(String::from_utf8(reply).unwrap(), format!("{wanted}\r\n"));
    });
}

fn unix_socket() {
    let folder = server::scratch_folder();
    let path = folder.join("socket");
    // A socket that a crash has left behind is no obstacle.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let options = ["--unixsocket", path.to_str().unwrap(), "--unixsocketperm", "700"];
    let mut server = Server::start_with(Kind::Hashd, &options);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"PING\r\nCLIENT INFO\r\nQUIT\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("+PONG\r\n") && text.ends_with("+OK\r\n"), "{text}");
    assert!(text.contains(&format!("addr={}:0 ", path.display())) && text.contains(" flags=U "), "{text}");
    assert_eq!(server.client().line("PING"), "+PONG");
    server.signal("TERM");
    assert_eq!(server.wait_for_exit(std::time::Duration::from_secs(5)), Some(0));
    assert!(!path.exists(), "the socket is left behind");
    drop(std::fs::remove_dir_all(folder));
}

/// An address of this machine that is not of the loopback interface, if it has one. Nothing is sent.
pub fn outer_address() -> Option<String> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip().to_string()).filter(|address| !address.starts_with("127."))
}

fn protected_mode() {
    let Some(address) = outer_address() else { return };
    on_both(&["--protected-mode", "yes"], |server| {
        let connect = || Client::connect_to(&address, server.port, Protocol::Resp2).unwrap();
        let refusal = String::from_utf8(connect().read_to_close().unwrap()).unwrap();
        assert!(refusal.starts_with("-DENIED Redis is running in protected mode because protected mode is enabled"));
        assert!(refusal.ends_with("accepting connections from the outside.\r\n"), "{refusal}");
        let mut local = server.client();
        assert_eq!(local.line("CONFIG SET protected-mode no"), "+OK");
        assert_eq!(connect().line("PING"), "+PONG");
        assert_eq!(local.line("CONFIG SET protected-mode yes"), "+OK");
        assert_eq!(local.line("CONFIG SET requirepass secret"), "+OK");
        assert_eq!(connect().line("PING"), "-NOAUTH Authentication required.");
    });
}

fn renamed() {
    let options =
        ["--rename-command", "HSET", "Psut", "--rename-command", "FLUSHALL", "", "--rename-command", "CONFIG", "cfg"];
    on_both(&options, |server| {
        let mut client = server.client();
        for (line, reply) in [
            ("HSET k f v", "-ERR unknown command 'HSET', with args beginning with: 'k' 'f' 'v' "),
            // Redis looks at the second letter to tell HSET from HMSET.
            ("pSUT k f v", ":1"),
            ("Psut k", "-ERR wrong number of arguments for 'hset' command"),
            ("FLUSHALL", "-ERR unknown command 'FLUSHALL'"),
            ("CONFIG GET port", "-ERR unknown command 'CONFIG', with args beginning with: 'GET' 'port' "),
            ("cfg SET timeout 0", "+OK"),
            ("cfg nope", "-ERR unknown subcommand 'nope'. Try CFG HELP."),
            ("COMMAND INFO hset flushall", "[nil$, nil$]"),
            ("COMMAND GETKEYS hset k f v", "-ERR Invalid command specified"),
            ("COMMAND GETKEYS psut k f v", "[\"k\"]"),
            ("COMMAND LIST FILTERBY PATTERN psut", "[]"),
            ("COMMAND LIST FILTERBY PATTERN flushal?", "[]"),
            ("COMMAND LIST FILTERBY PATTERN hset", "[\"hset\"]"),
        ] {
            assert_eq!(client.line(line), reply, "{line}");
        }
        assert_eq!(client.ask("COMMAND INFO psut cfg|get").items()[0].items()[0].text(), "hset");
        assert_eq!(client.ask("COMMAND DOCS psut").items()[0].text(), "hset");
    });
}

fn renaming_is_checked() {
    for (options, problem) in [
        (["--rename-command", "NOSUCH", "x"], "No such command in rename-command"),
        (["--rename-command", "HSET", "hget"], "Target command name already exists"),
    ] {
        for kind in [Kind::Hashd, Kind::Redis].into_iter().filter(|&kind| kind == Kind::Hashd || server::has(kind)) {
            let port = free_port().to_string();
            let mut command = std::process::Command::new(server::program(kind));
            let output = command.args(["--port", &port]).args(options).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{options:?}");
            let text = [output.stdout, output.stderr].concat();
            assert!(String::from_utf8_lossy(&text).contains(problem), "{options:?}");
        }
    }
}

const NO_DEBUG: &str = "-ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run \
                        it from a local connection, otherwise you need to set this option in the configuration file, and \
                        then restart the server.";

fn debug_permission() {
    on_both(&["--enable-debug-command", "no", "--protected-mode", "no"], |server| {
        assert_eq!(server.client().line("DEBUG SLEEP 0"), NO_DEBUG);
        let refused = set_error("enable-debug-command", "can't set immutable config");
        assert_eq!(server.client().line("CONFIG SET enable-debug-command yes"), refused);
    });
    let Some(address) = outer_address() else { return };
    on_both(&["--enable-debug-command", "local", "--protected-mode", "no"], |server| {
        assert_eq!(server.client().line("DEBUG SLEEP 0"), "+OK");
        let mut remote = Client::connect_to(&address, server.port, Protocol::Resp2).unwrap();
        assert_eq!(remote.line("DEBUG SLEEP 0"), NO_DEBUG);
    });
}

fn protected_configs() {
    on_both(&["--enable-protected-configs", "local"], |server| {
        assert_eq!(server.client().line("CONFIG SET dbfilename other.rdb"), "+OK");
    });
    on_both(&[], |server| {
        let refused = set_error("dbfilename", "can't set protected config");
        assert_eq!(server.client().line("CONFIG SET dbfilename other.rdb"), refused);
    });
}

/// A file with everything that makes rewriting hard.
const FILE: &str = "# A comment\n\nport PORT\n  # indented\nbind 127.0.0.1   -::1\n\n\nTIMEOUT 0\nsave 900 1\nsave 300 10\n\
    # between\nhash-max-ziplist-entries 100\nslave-read-only yes\nclient-output-buffer-limit normal 0 0 0\n\
    client-output-buffer-limit pubsub 32mb 8mb 60\nmaxmemory 100mb\nmasterauth \"a b\\n\\\"c\"\n\
    notify-keyspace-events KEA\nrename-command FLUSHALL \"\"\ntimeout 5\ntcp-keepalive 300\nloglevel warning\ndir .\n\
    unixsocketperm 700\nmaxmemory-policy noeviction\nproto-max-bulk-len 536870912\n\nenable-debug-command local\n\
    proc-title-template \"{title} {listen-addr}\"\ntls-protocols \"TLSv1.2 TLSv1.3\"\n\
    latency-tracking-info-percentiles 50 99\n";

/// What the server's CONFIG REWRITE makes of [`FILE`], once after changes and once after more: the part that was there,
/// and the lines added, in no order, as Redis has none.
fn rewritten(kind: Kind) -> Vec<(String, Vec<String>)> {
    let folder = server::scratch_folder();
    let path = folder.join("redis.conf");
    let name = path.to_str().unwrap().to_owned();
    let server = Server::start_by(kind, &[], |program| {
        let mut command = std::process::Command::new(program);
        // The options that follow decide, so that the port of the file does not matter.
        std::fs::write(&path, FILE.replace("PORT", "1")).unwrap();
        command.arg(&name);
        command
    });
    let mut client = server.client();
    assert_eq!(client.line("ACL SETUSER alice on >secret ~cart:* &* +@hash (+del ~old)"), "+OK");
    let mut versions = Vec::new();
    for changes in [
        &["maxclients", "50", "timeout", "7", "hz", "20", "hash-max-listpack-value", "128", "maxmemory", "104857601"][..],
        &[
            "client-output-buffer-limit",
            "normal 1mb 2mb 3",
            "tls-session-caching",
            "no",
            "masterauth",
            "x\"y",
            "save",
            "",
        ],
        &["maxmemory-clients", "5%", "oom-score-adj-values", "1 2 3", "bind", "*", "notify-keyspace-events", ""],
        &["proto-max-bulk-len", "1gb", "slowlog-max-len", "5", "save", "60 5 7 8 9 10", "maxmemory-clients", "1025"],
        &[
            "latency-tracking-info-percentiles",
            "",
            "masterauth",
            "",
            "save",
            "60 5",
            "hz",
            "10",
            "bind",
            "127.0.0.1 -::1",
        ],
    ] {
        let request: Vec<&str> = ["CONFIG", "SET"].iter().chain(changes).copied().collect();
        assert_eq!(client.value(&request).text(), "OK", "{kind:?} {changes:?}");
        assert_eq!(client.line("CONFIG REWRITE"), "+OK");
        let text = std::fs::read_to_string(&path).unwrap();
        // Theirs alone: the server's own port and folder.
        let text = text.replace(&format!("port {}\n", server.port), "port PORT\n");
        let text = text.replace(&server.file("").trim_end_matches('/').to_owned(), "FOLDER");
        let (kept, added) = text.split_once("# Generated by CONFIG REWRITE\n").unwrap();
        let mut added: Vec<String> = added.lines().map(str::to_owned).collect();
        added.retain(|line| !line.is_empty());
        added.sort();
        versions.push((kept.to_owned(), added));
    }
    drop(std::fs::remove_dir_all(folder));
    versions
}

fn rewrite() {
    let ours = rewritten(Kind::Hashd);
    assert!(
        ours[0].0.starts_with("# A comment\n\nport PORT\n# indented\nbind 127.0.0.1 -::1\n\ntimeout 7\n"),
        "{}",
        ours[0].0
    );
    if server::has(Kind::Redis) {
        for (ours, theirs) in ours.iter().zip(rewritten(Kind::Redis)) {
            assert_eq!(ours.0, theirs.0);
            assert_eq!(ours.1, theirs.1);
        }
    }
}

fn rewrite_errors() {
    on_both(&[], |server| {
        assert_eq!(server.client().line("CONFIG REWRITE"), "-ERR The server is running without a config file");
    });
    let folder = server::scratch_folder();
    let path = folder.join("hashd.conf");
    let server = Server::start_by(Kind::Hashd, &[], |program| {
        std::fs::write(&path, "# nothing\n").unwrap();
        let mut command = std::process::Command::new(program);
        command.arg(&path);
        command
    });
    let mut client = server.client();
    // A file that has gone is written anew; a folder that has gone is an error, and nothing else happens.
    std::fs::remove_file(&path).unwrap();
    assert_eq!(client.line("CONFIG REWRITE"), "+OK");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("# Generated by CONFIG REWRITE\n") && text.contains(&format!("port {}\n", server.port)));
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(client.line("CONFIG REWRITE"), "-ERR Rewriting config file: No such file or directory");
    assert_eq!(client.line("PING"), "+PONG");
}

/// Every parameter that a server shows, with the error with which it refuses its own value, if it does.
fn refusals(server: &Server) -> Vec<(String, String)> {
    let mut client = server.client();
    let shown = client.value(&["CONFIG", "GET", "*"]);
    let mut refusals = Vec::new();
    for pair in shown.items().chunks(2) {
        let (name, value) = (pair[0].text(), pair[1].text());
        let reply = client.raw(&["CONFIG", "SET", &name, &value]);
        let text = String::from_utf8(reply).unwrap();
        refusals.push((name, text.trim_end().trim_start_matches("+OK").to_owned()));
    }
    refusals
}

fn own_values() {
    let ours = refusals(&Server::start(Kind::Hashd));
    let why = |refusals: &[(String, String)], name: &str| {
        refusals.iter().find(|(known, _)| known == name).map(|(_, why)| why.clone())
    };
    if !server::has(Kind::Redis) {
        let may_refuse = ["", "can't set immutable config", "can't set protected config"];
        assert!(ours.iter().all(|(_, why)| may_refuse.iter().any(|end| why.ends_with(end))), "{ours:?}");
        return;
    }
    let theirs = refusals(&Server::start(Kind::Redis));
    for (name, refusal) in &ours {
        match why(&theirs, name) {
            Some(as_in_redis) => assert_eq!(*refusal, as_in_redis, "{name}"),
            // Those of hashd alone can be set, or are for the start alone.
            None => assert!(refusal.is_empty() || refusal.ends_with("can't set immutable config"), "{name}: {refusal}"),
        }
    }
    // It has them all, but for those of modules.
    let missing: Vec<_> = theirs.iter().filter(|(name, _)| why(&ours, name).is_none()).collect();
    assert!(missing.iter().all(|(name, _)| name.starts_with("vset-")), "{missing:?}");
}

fn files_of_redis() {
    if !server::has(Kind::Redis) {
        return;
    }
    let folder = server::scratch_folder();
    let path = folder.join("redis.conf");
    let with_file = |program| {
        let mut command = std::process::Command::new(program);
        command.arg(&path);
        command
    };
    std::fs::write(&path, "# All of them.\n").unwrap();
    let redis = Server::start_by(Kind::Redis, &[], with_file);
    assert_eq!(redis.client().line("ACL SETUSER alice on >secret ~a* +@hash"), "+OK");
    assert_eq!(redis.client().line("DEBUG CONFIG-REWRITE-FORCE-ALL"), "+OK");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.lines().count() > 150, "{text}");
    // What modules bring is not for others; `dir` goes with that server.
    let is_kept = |line: &&str| !line.starts_with("vset-") && !line.starts_with("dir ");
    std::fs::write(&path, text.lines().filter(is_kept).collect::<Vec<_>>().join("\n")).unwrap();
    let hashd = Server::start_by(Kind::Hashd, &[], with_file);
    let mut client = hashd.client();
    assert_eq!(client.line("ACL USERS"), "[\"alice\", \"default\"]");
    // And back again: nothing is added to it, and nothing is lost.
    assert_eq!(client.line("DEBUG CONFIG-REWRITE-FORCE-ALL"), "+OK");
    let again = std::fs::read_to_string(&path).unwrap();
    assert!(!again.contains("???"), "{again}");
    drop(std::fs::remove_dir_all(folder));
}
