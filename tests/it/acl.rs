//! Users: what they may do and what happens when that changes under them; the replies are in `acl/*.txt`.

mod lost; // rights and users that go while everything is going on
mod random; // random rules and dry runs beside Redis

use crate::Case;
use crate::client::{Client, Protocol, Value};
use crate::resp;
use crate::server::{self, Kind, Server, on_both, scratch_folder};
use std::io;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub const CASES: &[Case] = &[
    ("nothing_runs_without_a_password", no_password),
    ("nothing_runs_without_permission", no_permission),
    ("every_command_can_be_allowed_alone", one_command),
    ("what_is_taken_is_gone_at_once", taken_at_once),
    ("what_is_taken_is_gone_for_everybody", taken_from_everybody),
    ("deleted_users_are_disconnected", deleted),
    ("no_command_runs_when_rights_are_lost", lost::rights),
    ("no_command_runs_when_users_are_deleted", lost::users),
    ("listeners_who_may_not_listen_are_closed", listeners),
    ("files_keep_users", files),
    ("files_with_errors_change_nothing", bad_files),
    ("users_of_the_configuration", configured),
    ("wrong_users_end_the_start", wrong_configuration),
    ("monitor_shows_no_passwords", monitor),
    ("the_log_holds_no_more_than_it_may", log_limits),
];

pub const ORACLE: &[Case] = &[("known_commands", random::known_commands), ("random_rules", random::random_rules)];

const NOAUTH: &str = "-NOAUTH Authentication required.";
const NO_KEY: &str = "-NOPERM No permissions to access a key";

/// A new connection of a user whose password is `x` or any.
fn login(server: &Server, user: &str) -> Client {
    let mut client = server.client();
    assert_eq!(client.line(&format!("AUTH {user} x")), "+OK");
    client
}

fn assert_closed(client: &mut Client) {
    assert_eq!(client.read_to_close().unwrap(), b"");
}

/// Requests for every command and subcommand of a server that everybody may not run, with the right number of arguments.
fn all_requests(client: &mut Client) -> Vec<Vec<String>> {
    let infos = client.ask("COMMAND");
    let mut requests = Vec::new();
    let mut add = |info: &[Value]| {
        let is_open = info[2].items().iter().any(|flag| flag.text() == "no_auth");
        let mut request: Vec<String> = info[0].text().split('|').map(str::to_owned).collect();
        request.resize(info[1].int().unsigned_abs().max(request.len() as u64) as usize, "1".to_owned());
        if !is_open {
            requests.push(request);
        }
    };
    for info in infos.items() {
        add(info.items());
        info.items()[9].items().iter().for_each(|subcommand| add(subcommand.items()));
    }
    assert!(requests.len() > 100, "{} commands", requests.len());
    requests
}

/// Whether an error comes before anybody asks who the client is: a container without its subcommand, MODULE that is off.
fn comes_first(reply: &str) -> bool {
    reply.starts_with("-ERR unknown subcommand '1'") || reply.starts_with("-ERR MODULE command not allowed")
}

/// A reply as text; EXEC's error without what EXEC puts before it.
fn reason(reply: &[u8]) -> String {
    resp::render(reply).replace("EXECABORT Transaction discarded because of: ", "")
}

fn no_password() {
    on_both(&["--requirepass", "x"], |server| {
        let requests = all_requests(&mut login(server, "default"));
        for protocol in [
            "plain",
            "inline",
            "capital letters",
            "after a wrong password",
            "after a wrong greeting",
            "after RESET",
            "in a transaction",
        ] {
            let mut client = server.client();
            for request in &requests {
                let line = request.join(" ");
                match protocol {
                    "inline" => client.send_raw(format!("{line}\r\n").as_bytes()).unwrap(),
                    "capital letters" => client.send(&line.to_uppercase().split(' ').collect::<Vec<_>>()).unwrap(),
                    "after a wrong password" => {
                        assert!(client.line("AUTH default y").starts_with("-WRONGPASS"));
                        client.send(request).unwrap();
                    }
                    "after a wrong greeting" => {
                        assert!(client.line("HELLO 3 AUTH default y SETNAME me").starts_with("-WRONGPASS"));
                        client.send(request).unwrap();
                    }
                    // Whoever was in is out again.
                    "after RESET" => {
                        assert_eq!((client.line("AUTH x"), client.line("RESET")), ("+OK".into(), "+RESET".into()));
                        client.send(request).unwrap();
                    }
                    "in a transaction" => {
                        assert_eq!(client.line("MULTI"), NOAUTH);
                        client.send(request).unwrap();
                    }
                    _ => client.send(request).unwrap(),
                }
                let reply = reason(&client.reply().unwrap());
                assert!(reply == NOAUTH || comes_first(&reply), "{protocol}: {line}: {reply}");
            }
            assert_eq!(client.line("HELLO 3").split(' ').next(), Some("-NOAUTH"));
            assert_eq!(client.line("RESET"), "+RESET");
            assert_eq!(client.line("PING"), NOAUTH);
            assert_eq!(client.line("AUTH x"), "+OK");
            assert_eq!(client.line("PING"), "+PONG");
            assert_eq!(client.line("QUIT"), "+OK");
        }
    });
}

fn no_permission() {
    on_both(&[], |server| {
        let mut admin = server.client();
        let requests = all_requests(&mut admin);
        assert_eq!(admin.line("ACL SETUSER nobody on nopass ~* &*"), "+OK");
        let mut client = login(server, "nobody");
        for request in &requests {
            let reply = reason(&client.raw(request));
            assert!(
                reply.starts_with("-NOPERM User nobody has no permissions to run the '") || comes_first(&reply),
                "{request:?}: {reply}"
            );
        }
        // As many commands, but no keys and no channels.
        assert_eq!(admin.line("ACL SETUSER nobody reset on nopass +@all -@dangerous -@blocking"), "+OK");
        for line in ["HGET k f", "HSET k f v", "DEL a b", "EXISTS a", "OBJECT ENCODING k", "COPY a b", "WATCH k"] {
            assert_eq!(client.line(line), NO_KEY, "{line}");
        }
        for line in ["PUBLISH c m", "SPUBLISH c m", "SUBSCRIBE c", "PSUBSCRIBE c", "SSUBSCRIBE c"] {
            assert_eq!(client.line(line), "-NOPERM No permissions to access a channel", "{line}");
        }
        assert_eq!(client.line("PING"), "+PONG");
    });
}

fn one_command() {
    let server = Server::start(Kind::Hashd);
    let mut admin = server.client();
    let requests = all_requests(&mut admin);
    for request in &requests {
        let is_subcommand =
            !admin.ask(&format!("COMMAND INFO {}|{}", request[0], request.get(1).map_or("", |s| s))).items()[0]
                .eq(&Value::Null);
        let full_name = if is_subcommand { format!("{}|{}", request[0], request[1]) } else { request[0].clone() };
        assert_eq!(admin.line(&format!("ACL SETUSER one reset ~* &* +{full_name}")), "+OK");
        let dry = |admin: &mut Client, request: &[String]| {
            let words: Vec<&str> =
                ["ACL", "DRYRUN", "one"].into_iter().chain(request.iter().map(String::as_str)).collect();
            resp::render(&admin.raw(&words))
        };
        let reply = dry(&mut admin, request);
        assert!(reply == "+OK" || reply.starts_with("-ERR"), "{request:?}: {reply}");
        // A container brings its subcommands, and nothing else brings anything.
        let allowed =
            requests.iter().filter(|other| other[0] != request[0]).filter(|other| dry(&mut admin, other) == "+OK");
        assert_eq!(allowed.collect::<Vec<_>>(), Vec::<&Vec<String>>::new(), "{request:?}");
    }
}

fn taken_at_once() {
    on_both(&[], |server| {
        let mut admin = server.client();
        admin.line("ACL SETUSER u on nopass ~* &* +@all");
        let (mut one, mut two) = (login(server, "u"), login(server, "u"));
        assert_eq!((one.line("HSET k f v"), two.line("HGET k f")), (":1".into(), "\"v\"".into()));
        admin.line("ACL SETUSER u -hget");
        assert_eq!(two.line("HGET k f"), "-NOPERM User u has no permissions to run the 'hget' command");
        assert_eq!(one.line("HSET k f w"), ":0");
        admin.line("ACL SETUSER u resetkeys %R~k");
        assert_eq!((one.line("HSET k f w"), two.line("HGETALL k")), (NO_KEY.into(), "[\"f\", \"w\"]".into()));
        // Who is off may stay, but nobody may come.
        admin.line("ACL SETUSER u off +hget");
        assert_eq!(two.line("HGET k f"), "\"w\"");
        assert!(server.client().line("AUTH u x").starts_with("-WRONGPASS"));
        // New passwords do not concern those who are in.
        admin.line("ACL SETUSER u on resetpass >y");
        assert_eq!(two.line("ACL WHOAMI"), "\"u\"");
        assert!(server.client().line("AUTH u x").starts_with("-WRONGPASS"));
        assert_eq!(server.client().line("AUTH u y"), "+OK");
        admin.line("ACL SETUSER u reset");
        for client in [&mut one, &mut two] {
            assert_eq!(client.line("PING"), "-NOPERM User u has no permissions to run the 'ping' command");
        }
    });
}

/// Clients on all workers send without a pause while a right comes and goes: as long as it is away, nobody has it.
fn taken_from_everybody() {
    let server = Server::start_with(Kind::Hashd, &["--io-threads", "4"]);
    let mut admin = server.client();
    admin.line("ACL SETUSER u on nopass ~* +hget +hset");
    admin.line("HSET k f v");
    // Divided by 4: 0 allowed, 1 on its way to denied, 2 denied, 3 on its way back.
    let (state, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let (allowed, denied) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut client = login(&server, "u");
                while !done.load(Ordering::SeqCst) {
                    let before = state.load(Ordering::SeqCst);
                    let reply = client.line("HGET k f");
                    if state.load(Ordering::SeqCst) != before {
                        continue;
                    }
                    match before % 4 {
                        0 => assert_eq!(reply, "\"v\""),
                        2 => assert!(reply.starts_with("-NOPERM"), "{reply}"),
                        _ => continue,
                    }
                    let count = if before % 4 == 0 { &allowed } else { &denied };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..150 {
            for rule in ["-hget", "+hget"] {
                state.fetch_add(1, Ordering::SeqCst);
                assert_eq!(admin.line(&format!("ACL SETUSER u {rule}")), "+OK");
                state.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        }
        done.store(true, Ordering::SeqCst);
    });
    let (allowed, denied) = (allowed.into_inner(), denied.into_inner());
    assert!(allowed > 100 && denied > 100, "{allowed} allowed, {denied} denied");
}

fn deleted() {
    on_both(&[], |server| {
        let mut admin = server.client();
        admin.line("ACL SETUSER u on nopass ~* &* +@all");
        admin.line("ACL SETUSER v on nopass ~* &* +@all");
        let (mut one, mut two, mut other) = (login(server, "u"), login(server, "u"), login(server, "v"));
        assert_eq!(admin.line("CLIENT KILL USER v"), ":1");
        assert_closed(&mut other);
        let mut other = login(server, "v");
        assert!(admin.ask("CLIENT LIST").text().lines().filter(|line| line.contains(" user=u ")).count() == 2);
        two.line("MULTI");
        two.line("HSET k f v");
        assert_eq!(admin.line("ACL DELUSER u w"), ":1");
        assert_closed(&mut one);
        assert_closed(&mut two);
        assert_eq!((admin.line("EXISTS k"), admin.line("ACL USERS")), (":0".into(), "[\"default\", \"v\"]".into()));
        assert!(server.client().line("AUTH u x").starts_with("-WRONGPASS"));
        // Who comes back by the same name is somebody else.
        admin.line("ACL SETUSER u on nopass +ping");
        assert_eq!(login(server, "u").line("PING"), "+PONG");
        // Whoever deletes itself gets its reply, and nothing after it.
        other.send_raw(b"ACL DELUSER v\r\nPING\r\n").unwrap();
        assert_eq!(other.read_to_close().unwrap(), b":1\r\n");
    });
}

fn listeners() {
    on_both(&[], |server| {
        let mut admin = server.client();
        let reset = "ACL SETUSER u reset on nopass +@all &a* &p* &b*";
        let cases = [
            ("SUBSCRIBE a1", "resetchannels &b* &p*", true),
            ("SSUBSCRIBE a1", "resetchannels &b*", true),
            ("PSUBSCRIBE p*", "resetchannels &a* &b*", true),
            ("PSUBSCRIBE p*", "resetchannels &p*", false),
            ("SUBSCRIBE a1", "resetchannels &a1 &p*", false),
            ("SUBSCRIBE a1", "allchannels", false),
            ("SUBSCRIBE a1", "resetchannels (&a* +get)", false),
            ("SUBSCRIBE a1", "-subscribe", false),
        ];
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            for (subscribe, rules, is_closed) in cases {
                admin.line(reset);
                let mut listener = server.connect(protocol);
                listener.line("AUTH u x");
                listener.line(subscribe);
                let mut idle = login(server, "u");
                assert_eq!(admin.line(&format!("ACL SETUSER u {rules}")), "+OK");
                if is_closed {
                    assert_eq!(
                        admin.line("PUBSUB NUMPAT") + &admin.line("PUBLISH a1 m"),
                        ":0:0",
                        "{subscribe} {rules}"
                    );
                    assert_closed(&mut listener);
                } else {
                    assert_ne!(listener.raw(&["PING"]), b"", "{subscribe} {rules}");
                }
                assert_eq!(idle.line("PING"), "+PONG", "{subscribe} {rules}");
                admin.line("ACL DELUSER u");
            }
        }
        // The default user too.
        let mut listener = server.client();
        listener.line("SUBSCRIBE c");
        admin.line("ACL SETUSER default resetchannels &d");
        assert_closed(&mut listener);
    });
}

fn files() {
    on_both(&[], |other| {
        // A second server, whose file is where it may write.
        let kind = other.kind();
        let folder = scratch_folder();
        let path = folder.join("users.acl");
        std::fs::write(
            &path,
            "user default on nopass ~* &* +@all\nuser alice on >x ~a:* resetchannels -@all +hget\n\n",
        )
        .unwrap();
        let name = path.to_string_lossy().into_owned();
        let server = Server::start_with(kind, &["--aclfile", &name]);
        let mut admin = server.client();
        let mut alice = login(&server, "alice");
        assert_eq!(alice.line("HGET b f"), NO_KEY);
        admin.line("ACL SETUSER bob on nopass +ping (+hget ~b)");
        admin.line("ACL SETUSER carol on nopass &c +subscribe +ping");
        let (mut bob, mut carol) = (login(&server, "bob"), login(&server, "carol"));
        carol.line("SUBSCRIBE c");
        let before = admin.line("ACL LIST");
        assert_eq!(admin.line("ACL SAVE"), "+OK");
        let saved = std::fs::read_to_string(&path).unwrap();
        assert!(saved.lines().all(|line| before.contains(line)) && saved.lines().count() == 4, "{saved}");
        admin.line("ACL SETUSER alice +@all");
        admin.line("ACL SETUSER dave on nopass +@all");
        let mut dave = login(&server, "dave");
        assert_eq!(admin.line("ACL LOAD"), "+OK");
        assert_eq!(admin.line("ACL LIST"), before);
        assert_closed(&mut dave);
        assert_eq!((bob.line("PING"), alice.line("HGET b f")), ("+PONG".into(), NO_KEY.into()));
        assert_ne!(carol.line("PING"), "+PONG");
        // Without a line for the default user it may do all again; users that are gone are closed.
        std::fs::write(&path, "user carol on nopass &d +ping").unwrap();
        admin.line("ACL SETUSER default -hset");
        assert_eq!(admin.line("ACL LOAD"), "+OK");
        assert_closed(&mut bob);
        assert_closed(&mut carol);
        assert_eq!(admin.line("HSET k f v"), ":1");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(
            admin.line("ACL LOAD"),
            format!("-ERR Error loading ACLs, opening file '{name}': No such file or directory")
        );
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(admin.line("ACL SAVE").starts_with("-ERR There was an error trying to save the ACLs."));
    });
}

fn bad_files() {
    on_both(&[], |other| {
        let folder = scratch_folder();
        let path = folder.join("users.acl");
        std::fs::write(&path, "").unwrap();
        let name = path.to_string_lossy().into_owned();
        let server = Server::start_with(other.kind(), &["--aclfile", &name]);
        let mut admin = server.client();
        let end = "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";
        for (text, problem) in [
            ("nonsense", format!("{name}:1 should start with user keyword followed by the username. ")),
            ("\n  user", format!("{name}:2 should start with user keyword followed by the username. ")),
            ("USER a on", format!("{name}:1 should start with user keyword followed by the username. ")),
            ("user a\tb on", format!("'{name}:1: username 'a\tb' contains invalid characters. ")),
            ("user a on\nuser b\nuser a off", "WARNING: Duplicate user 'a' found on line 3. ".into()),
            (
                "user a on +nope -@nope",
                format!(
                    "{name}:1: Error in applying operation '+nope': Unknown command or category name in ACL. \
                 {name}:1: Error in applying operation '-@nope': Unknown command or category name in ACL. "
                ),
            ),
            (
                "user a nonsense\nuser b #x >y !z",
                format!(
                    "{name}:1: Syntax error. {name}:2: The password hash must be exactly 64 characters and contain only \
                 lowercase hexadecimal characters. "
                ),
            ),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(admin.line("ACL LOAD"), format!("-ERR {}{end}", problem.replace('\t', "\\t")), "{text}");
            assert_eq!(admin.line("ACL USERS"), "[\"default\"]");
        }
        std::fs::write(&path, "user  on\r\nuser a   on \t+get  (~a   +set) \r\n").unwrap();
        assert_eq!(admin.line("ACL LOAD"), "+OK");
        assert_eq!(admin.ask("ACL LIST").items().len(), 3);
        std::fs::remove_dir_all(&folder).unwrap();
    });
}

fn configured() {
    on_both(
        &["--user", "alice", "on", ">x", "~a", "+hget", "--user", "default", "on", ">y", "+@all", "~*"],
        |server| {
            let mut client = server.client();
            assert_eq!(client.line("PING"), NOAUTH);
            assert_eq!(client.line("AUTH y"), "+OK");
            assert!(client.line("PUBLISH c m").starts_with("-NOPERM"));
            assert_eq!(client.line("CONFIG GET requirepass"), "[\"requirepass\", \"\"]");
            let mut alice = login(server, "alice");
            assert_eq!((alice.line("HGET a f"), alice.line("HGET b f")), ("nil$".into(), NO_KEY.into()));
        },
    );
    on_both(&["--requirepass", "x", "--user", "bob", "on", "nopass", "(+hget", "~b)"], |server| {
        assert_eq!(login(server, "bob").line("HGET b f"), "nil$");
        assert_eq!(server.client().line("PING"), NOAUTH);
        login(server, "default");
    });
}

fn wrong_configuration() {
    let folder = scratch_folder();
    let bad = folder.join("bad.acl");
    std::fs::write(&bad, "user a +nope\n").unwrap();
    let bad = bad.to_string_lossy().into_owned();
    for (options, problem) in [
        (vec!["--user", "a", "+nope"], "Unknown command or category name in ACL"),
        (vec!["--user", "a", "on", "--user", "a", "off"], "Duplicate user"),
        (vec!["--user", "a", "(+get"], "Unmatched parenthesis"),
        (vec!["--aclfile", &bad], "Unknown command or category name in ACL"),
        (vec!["--aclfile", "/nonexistent/file"], "No such file or directory"),
        (vec!["--aclfile", &bad, "--user", "a", "on"], "not both"),
    ] {
        let mut child = Command::new(server::program(Kind::Hashd))
            .args(["--port", "0"])
            .args(&options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1), "{options:?}");
        let message = io::read_to_string(child.stderr.take().unwrap()).unwrap();
        assert!(message.contains(problem), "{options:?}: {message}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

fn monitor() {
    on_both(&[], |server| {
        let mut watcher = server.client();
        watcher.line("MONITOR");
        let mut client = server.client();
        for line in [
            "ACL SETUSER u on >topsecret",
            "AUTH u topsecret",
            "AUTH topsecret",
            "HELLO 2 AUTH u topsecret SETNAME me",
            "CONFIG SET requirepass topsecret",
            "ACL DELUSER topsecret",
        ] {
            client.line(line);
        }
        server.client().line("ECHO end");
        let mut seen = String::new();
        while !seen.contains("NOAUTH") && !seen.contains("end") {
            match watcher.reply() {
                Ok(line) => seen += &String::from_utf8_lossy(&line),
                Err(_) => break,
            }
            if seen.contains("(redacted)\" \"(redacted)\" \"SETNAME") {
                break;
            }
        }
        assert!(!seen.contains("topsecret"), "{seen}");
    });
}

fn log_limits() {
    let server = Server::start_with(Kind::Hashd, &["--acllog-max-len", "3"]);
    let mut admin = server.client();
    admin.line("ACL SETUSER u on nopass +hget");
    let mut client = login(&server, "u");
    for number in 0..20 {
        let key = format!("{number}{}", "k".repeat(1 << 20));
        client.send_raw(&crate::client::encode(&["HGET", &key, "f"])).unwrap();
        client.reply().unwrap();
    }
    let log = admin.ask("ACL LOG 100");
    assert_eq!(log.items().len(), 3);
    let object = log.items()[0].items()[7].text();
    assert!(object.starts_with("19k") && object.len() == 4096, "{} bytes", object.len());
}
