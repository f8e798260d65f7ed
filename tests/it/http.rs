//! HTTP: who is let in, what may be seen, what is refused, and what nobody notices.

mod browsing;
mod numbers;

use crate::Case;
use crate::client::{Client, Protocol, eventually, info};
use crate::network::outer_address;
use crate::server::{Kind, Server, free_port};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

pub const CASES: &[Case] = &[
    ("nobody_comes_in_without_a_password", no_way_in),
    ("users_come_in_with_theirs", users),
    ("a_right_that_is_taken_is_gone", rights_that_are_taken),
    ("refusals_are_in_acl_log", refusals_are_logged),
    ("protected_mode", protected_mode),
    ("only_reading_methods", methods),
    ("malformed_requests", malformed),
    ("names_that_are_not_ours", hosts),
    ("headers_of_every_answer", headers),
    ("readiness", readiness),
    ("slow_clients", slow_clients),
    ("clients_that_do_not_read", clients_that_do_not_read),
    ("off_unless_asked_for", off),
    ("files_are_left_for_it", files_are_left),
    ("keys_and_patterns", browsing::keys),
    ("fields_of_any_bytes", browsing::bytes),
    ("pages_of_small_and_big_hashes", browsing::pages),
    ("long_values", browsing::long_values),
    ("bad_questions", browsing::bad_questions),
    ("a_user_sees_its_own_keys", browsing::own_keys),
    ("slow_log_and_hot_keys", browsing::insight),
    ("metrics_have_the_names_of_redis_exporter", numbers::names),
    ("metrics_agree_with_info", numbers::agree_with_info),
    ("the_overview_agrees_with_info", numbers::overview),
    ("reports_take_no_memory", numbers::reports_take_no_memory),
];

/// Every path that there is behind the door, and some that there are not.
const PATHS: &[&str] = &[
    "/",
    "/page.css",
    "/page.js",
    "/icon.svg",
    "/metrics",
    "/readyz",
    "/api/overview",
    "/api/clients",
    "/api/keys",
    "/api/keys?match=*",
    "/api/hash?key=h",
    "/api/value?key=h&field=f",
    "/api/slowlog",
    "/api/hotkeys",
    "/api/nothing",
    "/nothing",
];

/// A server with its HTTP port.
pub struct Web {
    pub server: Server,
    pub port: u16,
}

/// What came back.
pub struct Response {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

impl Response {
    fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(bytes.len());
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head, body: bytes.get(end + 4..).unwrap_or_default().to_vec() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{}", self.text());
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// The limit of open files leaves room for HTTP, however many clients there are.
fn files_are_left() {
    let maxclients = |server: &Server| server.client().ask("CONFIG GET maxclients").items()[1].text();
    let without = Server::start_with_files(Kind::Hashd, 100, &[]);
    assert_eq!(maxclients(&without), "68");
    let port = free_port();
    let server = Server::start_with_files(Kind::Hashd, 100, &["--http-port", &port.to_string()]);
    assert_eq!(maxclients(&server), "36");
    let clients: Vec<TcpStream> = (0..60).map(|_| TcpStream::connect(("127.0.0.1", server.port)).unwrap()).collect();
    let web = Web { server, port };
    for _ in 0..20 {
        let idle = web.connect();
        assert_eq!(web.get("/healthz").status, 200);
        drop(idle);
    }
    drop(clients);
}

impl Web {
    pub fn start(options: &[&str]) -> Self {
        let port = free_port();
        let server = Server::start_with(Kind::Hashd, &[&["--http-port", &port.to_string()], options].concat());
        Self { server, port }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Sends bytes and reads until the server closes.
    pub fn send(&self, request: &[u8]) -> Response {
        let mut stream = self.connect();
        // The server may have refused and closed before everything is sent.
        drop(stream.write_all(request));
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        Response::read(&answer)
    }

    /// Asks for a path with more header lines.
    pub fn ask(&self, path: &str, lines: &[&str]) -> Response {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n").as_bytes())
    }

    pub fn get(&self, path: &str) -> Response {
        self.ask(path, &[])
    }

    pub fn get_as(&self, user: &str, password: &str, path: &str) -> Response {
        self.ask(path, &[&basic(user, password)])
    }
}

/// The header line of HTTP Basic.
fn basic(user: &str, password: &str) -> String {
    use base64::Engine;
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Authorization: Basic {encoded}")
}

fn no_way_in() {
    let web = Web::start(&["--requirepass", "secret"]);
    let mut admin = web.server.client();
    assert_eq!(admin.line("AUTH secret"), "+OK");
    assert_eq!(admin.line("ACL SETUSER shut off >right ~* +@all"), "+OK");
    assert_eq!(admin.line("HSET h f v"), ":1");
    let right = basic("default", "secret");
    let lines: &[&[&str]] = &[
        &[],
        &[&basic("default", "wrong")],
        &[&basic("default", "")],
        &[&basic("", "")],
        &[&basic("nobody", "secret")],
        &[&basic("shut", "right")],
        &[&basic("DEFAULT", "secret")],
        &["Authorization: Basic"],
        &["Authorization: Basic c2VjcmV0"],
        &["Authorization: Basic !!!"],
        &["Authorization: Bearer secret"],
        &["Authorization: secret"],
        &["X-Authorization: Basic ZGVmYXVsdDpzZWNyZXQ="],
        &["Proxy-Authorization: Basic ZGVmYXVsdDpzZWNyZXQ="],
        &["Cookie: user=default; password=secret"],
        &[&right, &right],
        &[&basic("default", "wrong"), &right],
    ];
    for path in PATHS {
        for lines in lines {
            let answer = web.ask(path, lines);
            assert_eq!(answer.status, 401, "{path} with {lines:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"hashd\", charset=\"UTF-8\""));
            assert!(!answer.text().contains("hashd") && answer.body.len() < 100, "{path}: {}", answer.text());
        }
        assert_ne!(web.ask(path, &[&right]).status, 401, "{path}");
        assert_ne!(web.ask(path, &[&basic("", "secret")]).status, 401, "{path}");
    }
    assert_eq!((web.get("/healthz").status, web.get("/healthz?x=/metrics").status), (200, 200));
    // Whatever looks like the open path, or writes another one differently, is behind the door too.
    for path in [
        "/healthz/../metrics",
        "/healthz/",
        "/healthz%2f..%2fmetrics",
        "//metrics",
        "/./metrics",
        "/%6detrics",
        "/METRICS",
        "/healthz;/metrics",
        "http://localhost/metrics",
        "http://default:secret@localhost/metrics",
        "/metrics?/healthz",
        "*",
    ] {
        let status = web.get(path).status;
        assert!([400, 401, 421].contains(&status), "{path}: {status}");
    }
}

fn users() {
    let web = Web::start(&[]);
    let mut admin = web.server.client();
    assert_eq!(admin.line("ACL SETUSER shop on >s3cret ~cart:* -@all +scan +hscan +hget"), "+OK");
    assert_eq!(admin.line("ACL SETUSER watch on >w +info"), "+OK");
    assert_eq!(admin.line("HSET cart:1 apple 2"), ":1");
    assert_eq!(admin.line("HSET user:1 name Alice"), ":1");
    // The default user needs no password here: whoever names nobody is it, and whoever names somebody must know theirs.
    assert_eq!(web.get("/metrics").status, 200);
    assert_eq!(web.get_as("shop", "wrong", "/metrics").status, 401);
    let shop = |path: &str| web.get_as("shop", "s3cret", path);
    assert_eq!(shop("/").status, 200);
    assert_eq!(shop("/readyz").status, 200);
    for (path, command) in [("/metrics", "info"), ("/api/overview", "info"), ("/api/clients", "client|list")] {
        let answer = shop(path);
        let error = format!("NOPERM User shop has no permissions to run the '{command}' command");
        assert_eq!((answer.status, answer.json()["error"].as_str()), (403, Some(&*error)), "{path}");
    }
    assert_eq!(shop("/api/hash?key=cart:1").json()["items"][0]["value"], "2");
    assert_eq!(shop("/api/value?key=cart:1&field=apple").json()["value"], "2");
    for path in ["/api/hash?key=user:1", "/api/value?key=user:1&field=name", "/api/hash?key=missing"] {
        let answer = shop(path);
        assert_eq!(
            (answer.status, &*answer.json()["error"].to_string()),
            (403, "\"NOPERM No permissions to access a key\"")
        );
    }
    assert_eq!(web.get_as("watch", "w", "/metrics").status, 200);
    assert_eq!(web.get_as("watch", "w", "/api/keys").status, 403);
    // Names of fields are data of keys that this user may not read.
    let overview = web.get_as("watch", "w", "/api/overview").json();
    assert_eq!((&overview["shows_templates"], &overview["templates"]), (&false.into(), &serde_json::json!([])));
    // Without any right a user sees the empty page.
    assert_eq!(admin.line("ACL SETUSER none on nopass"), "+OK");
    assert_eq!(web.get_as("none", "whatever", "/").status, 200);
    assert_eq!(web.get_as("none", "whatever", "/api/keys").status, 403);
}

fn rights_that_are_taken() {
    let web = Web::start(&["--requirepass", "secret"]);
    let mut admin = web.server.client();
    assert_eq!(admin.line("AUTH secret"), "+OK");
    assert_eq!(admin.line("ACL SETUSER u on >p ~* +@all"), "+OK");
    // One connection, asked again and again.
    let mut stream = web.connect();
    let mut ask = || {
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n{}\r\n\r\n", basic("u", "p")).unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let response = Response::read(&head);
        let length: usize = response.header("content-length").unwrap().parse().unwrap();
        stream.read_exact(&mut vec![0; length]).unwrap();
        response.status
    };
    assert_eq!(ask(), 200);
    for (change, status) in
        [("-info", 403), ("+info", 200), ("off", 401), ("on", 200), ("resetpass", 401), (">p", 200), ("-@all", 403)]
    {
        assert_eq!(admin.line(&format!("ACL SETUSER u {change}")), "+OK");
        assert_eq!(ask(), status, "after {change}");
    }
    assert_eq!(admin.line("ACL DELUSER u"), ":1");
    assert_eq!(ask(), 401);
}

fn refusals_are_logged() {
    let web = Web::start(&["--requirepass", "secret"]);
    let mut admin = web.server.client();
    assert_eq!(admin.line("AUTH secret"), "+OK");
    assert_eq!(admin.line("ACL SETUSER u on >p ~mine +hscan"), "+OK");
    assert_eq!(admin.line("ACL LOG RESET"), "+OK");
    assert_eq!(web.get("/metrics").status, 401);
    assert_eq!(admin.ask("ACL LOG").items().len(), 0, "asking without a password is how browsers begin");
    assert_eq!(web.get_as("u", "wrong", "/metrics").status, 401);
    assert_eq!(web.get_as("u", "p", "/metrics").status, 403);
    assert_eq!(web.get_as("u", "p", "/api/hash?key=theirs").status, 403);
    let log = admin.ask("ACL LOG");
    let facts: Vec<Vec<String>> =
        log.items().iter().map(|entry| [3, 7, 9].iter().map(|&at| entry.items()[at].text()).collect()).collect();
    assert_eq!(facts, [["key", "theirs", "u"], ["command", "info", "u"], ["auth", "HTTP", "u"]]);
    assert!(log.items()[0].items()[13].text().contains("addr=127.0.0.1:"));
    assert_eq!(info(&mut admin, "stats", "acl_access_denied_auth"), "1");
    // What is only a question leaves no trace.
    assert_eq!(admin.line("ACL SETUSER u +scan"), "+OK");
    assert_eq!(web.get_as("u", "p", "/api/keys").status, 200);
    assert_eq!(admin.ask("ACL LOG").items().len(), 3);
}

fn protected_mode() {
    let Some(address) = outer_address() else { return };
    let web = Web::start(&["--http-bind", "0.0.0.0"]);
    let status = |path: &str| {
        let mut stream = TcpStream::connect((&*address, web.port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        Response::read(&answer).status
    };
    assert_eq!((status("/metrics"), status("/"), status("/healthz")), (403, 403, 200));
    let mut admin = web.server.client();
    assert_eq!(admin.line("CONFIG SET protected-mode no"), "+OK");
    assert_eq!(status("/metrics"), 200);
    assert_eq!(admin.line("CONFIG SET protected-mode yes"), "+OK");
    assert_eq!(admin.line("CONFIG SET requirepass secret"), "+OK");
    assert_eq!(status("/metrics"), 401);
}

fn methods() {
    let web = Web::start(&[]);
    let ask = |method: &str, path: &str| {
        web.send(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())
    };
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "FLUSHALL"] {
        let answer = ask(method, "/metrics");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    for path in PATHS.iter().chain(&["/healthz"]) {
        let (head, full) = (ask("HEAD", path), ask("GET", path));
        assert_eq!((head.status, head.body.len()), (full.status, 0), "{path}");
        assert_eq!(head.header("content-type"), full.header("content-type"));
        assert!(head.header("content-length").is_some_and(|length| length != "0"), "{path}");
    }
    // A body would be read by nobody.
    let with_body = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello";
    let chunked =
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_eq!((web.send(with_body).status, web.send(chunked).status), (413, 413));
    let none = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert_eq!(web.send(none).status, 200);
}

fn malformed() {
    let web = Web::start(&[]);
    let long = |length: usize| "a".repeat(length);
    let many: String = (0..200).map(|index| format!("X-{index}: 1\r\n")).collect();
    let requests: Vec<Vec<u8>> = vec![
        b"\x00\x01\x02\xff\xfe\r\n\r\n".to_vec(),
        b"*1\r\n$4\r\nPING\r\n".to_vec(),
        b"GET\r\n\r\n".to_vec(),
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\n : x\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(20),
        format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", long(40_000)).into_bytes(),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", long(40_000)).into_bytes(),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n").into_bytes(),
        format!("{} / HTTP/1.1\r\nHost: localhost\r\n\r\n", long(40_000)).into_bytes(),
    ];
    for request in requests {
        let answer = web.send(&request);
        let shown = String::from_utf8_lossy(&request[..request.len().min(60)]).into_owned();
        // Closed without a word, or an error of the client's.
        assert!(answer.status == 0 || (400..=431).contains(&answer.status), "{shown:?}: {}", answer.status);
        assert_eq!(web.get("/healthz").status, 200, "after {shown:?}");
    }
    web.server.assert_alive();
    assert!(!web.server.log().contains("panicked"), "{}", web.server.log());
}

fn hosts() {
    let web = Web::start(&[]);
    let ask = |target: &str, lines: &str| {
        web.send(format!("GET {target} HTTP/1.1\r\nConnection: close\r\n{lines}\r\n").as_bytes()).status
    };
    for own in ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:80", "192.0.2.7", "page.localhost"] {
        assert_eq!(ask("/metrics", &format!("Host: {own}\r\n")), 200, "{own}");
    }
    for lines in
        ["Host: evil.example\r\n", "Host: localhost.evil.example\r\n", "Host: a@localhost\r\n", "Host: \r\n", ""]
    {
        for path in ["/", "/metrics", "/api/keys", "/readyz"] {
            let status = ask(path, lines);
            assert!([400, 421].contains(&status), "{path} with {lines:?}: {status}");
        }
        assert!([200, 400].contains(&ask("/healthz", lines)));
    }
    assert_eq!(ask("/metrics", "Host: localhost\r\nHost: evil.example\r\n"), 421);
    assert_eq!(ask("http://evil.example/metrics", "Host: localhost\r\n"), 421);
    assert_eq!(web.server.client().line("CONFIG SET http-hosts db.example"), "+OK");
    assert_eq!(ask("/metrics", "Host: db.example:9121\r\n"), 200);
    assert_eq!(ask("/metrics", "Host: evil.example\r\n"), 421);
    // What a browser says of who asks.
    for (site, path, status) in [
        ("cross-site", "/api/keys", 403),
        ("cross-site", "/metrics", 403),
        ("same-site", "/api/keys", 403),
        ("cross-site", "/", 200),
        ("same-origin", "/api/keys", 200),
        ("none", "/metrics", 200),
    ] {
        assert_eq!(ask(path, &format!("Host: localhost\r\nSec-Fetch-Site: {site}\r\n")), status, "{site} {path}");
    }
}

fn headers() {
    let web = Web::start(&["--requirepass", "secret"]);
    let line = basic("default", "secret");
    for path in PATHS.iter().chain(&["/healthz"]) {
        for lines in [&[][..], &[&*line]] {
            let answer = web.ask(path, lines);
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
            assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
            assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
            assert_eq!(answer.header("server"), None, "{path}");
            let policy = answer.header("content-security-policy").unwrap();
            assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
            assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'), "{policy}");
        }
    }
    let answer = web.ask("/metrics", &[&line, "Origin: http://evil.example"]);
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, None));
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let page = web.ask("/", &[&line]).text();
    for foreign in ["http://", "https://", "style=", "<style", "onclick", "javascript:"] {
        assert!(!page.contains(foreign), "the page contains {foreign}");
    }
}

fn readiness() {
    let mut web = Web::start(&["--shutdown-timeout", "5"]);
    // Commands are served a moment earlier.
    eventually("ready", || web.get("/readyz").status == 200);
    assert_eq!(web.get("/readyz").text(), "ready\n");
    // A request that takes long keeps the server up for a while after SIGTERM.
    let mut busy = web.server.client();
    busy.send(&["DEBUG", "SLEEP", "2"]).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    web.server.signal("TERM");
    eventually("not ready", || web.get("/readyz").status == 503);
    assert_eq!(web.get("/healthz").status, 200);
    assert_eq!(web.server.wait_for_exit(Duration::from_secs(10)), Some(0));
    assert!(TcpStream::connect(("127.0.0.1", web.port)).is_err());
}

fn slow_clients() {
    let web = Web::start(&[]);
    // More than may be connected at a time, none of which ends its request; one keeps sending.
    let mut idle: Vec<TcpStream> = (0..40).map(|_| web.connect()).collect();
    for stream in &mut idle {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: lo").unwrap();
    }
    let started = Instant::now();
    let mut admin = web.server.client();
    for _ in 0..20 {
        assert_eq!(admin.line("PING"), "+PONG");
    }
    // They give up their places: the 41st is served.
    assert_eq!(web.get("/healthz").status, 200);
    assert!(started.elapsed() < Duration::from_secs(40));
    let mut rest = Vec::new();
    idle[0].read_to_end(&mut rest).unwrap();
    assert!(!String::from_utf8_lossy(&rest).starts_with("HTTP/1.1 200"), "half a request was answered");
}

fn clients_that_do_not_read() {
    let web = Web::start(&[]);
    let mut admin = web.server.client();
    let value = "x".repeat(900);
    for field in 0..400 {
        admin.value(&["HSET", "h", &format!("field {field}"), &value]);
    }
    let before = web.server.rss();
    let mut deaf = web.connect();
    deaf.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    let request = b"GET /api/hash?key=h&count=500 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for _ in 0..20_000 {
        if deaf.write_all(request).is_err() {
            break;
        }
    }
    assert_eq!(web.get("/healthz").status, 200);
    let grown = web.server.rss().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes for a client that does not read");
}

fn off() {
    let server = Server::start(Kind::Hashd);
    let mut client = server.client();
    assert_eq!(client.line("CONFIG GET http-*").matches("http-").count(), 3);
    assert_eq!(client.line("CONFIG GET http-port"), "[\"http-port\", \"0\"]");
    assert_eq!(client.line("CONFIG GET http-bind"), "[\"http-bind\", \"127.0.0.1\"]");
    assert!(client.line("CONFIG SET http-port 1234").contains("can't set immutable config"));
    // The RESP port speaks no HTTP.
    let mut stream = Client::connect(server.port, Protocol::Resp2).unwrap();
    stream.send_raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(!String::from_utf8_lossy(&stream.read_to_close().unwrap()).contains("HTTP/1.1 200"));
}
