//! TLS beside plain TCP and the unix socket: versions, certificates of clients, certificates that change.

use crate::Case;
use crate::client::{Client, encode, eventually, info};
use crate::server::{self, Kind, Server, free_port};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

pub const CASES: &[Case] = &[
    ("both_versions", both_versions),
    ("plain_tls_and_unix_side_by_side", side_by_side),
    ("certificates_of_clients", client_certificates),
    ("certificates_name_users", users),
    ("certificates_are_reloaded", reloaded),
    ("encrypted_keys", encrypted_keys),
    ("protocols_and_ciphers", protocols_and_ciphers),
    ("wrong_settings_change_nothing", wrong_settings),
    ("server_does_not_start_without_certificate", no_certificate),
    ("pipelines_and_big_replies", pipelines),
    ("garbage_and_half_handshakes", garbage),
    ("redis_cli", redis_cli),
];

/// Certificates in a folder of their own: an authority, and what it has signed.
struct Certificates {
    folder: PathBuf,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Certificates {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = server::scratch_folder();
        std::fs::write(folder.join("ca.crt"), authority.pem()).unwrap();
        let certificates = Self { folder, authority };
        certificates.sign("server");
        certificates.sign("client");
        certificates
    }

    /// Writes `name.crt` and `name.key`; the certificate is for 127.0.0.1 and names `name`.
    fn sign(&self, name: &str) {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        std::fs::write(self.folder.join(format!("{name}.crt")), certificate.pem()).unwrap();
        std::fs::write(self.folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }

    /// The options of a server with TLS on `port`.
    fn options(&self, port: u16, more: &[&str]) -> Vec<String> {
        let own = [("tls-port", port.to_string()), ("tls-cert-file", self.path("server.crt"))];
        let files = [("tls-key-file", self.path("server.key")), ("tls-ca-cert-file", self.path("ca.crt"))];
        let options = own.into_iter().chain(files).flat_map(|(name, value)| [format!("--{name}"), value]);
        options.chain(more.iter().map(|word| (*word).to_owned())).collect()
    }

    /// A server with TLS, and the port where it is spoken.
    fn serve(&self, more: &[&str]) -> (Server, u16) {
        let port = free_port();
        let options = self.options(port, more);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        (Server::start_with(Kind::Hashd, &options), port)
    }

    fn connect(
        &self,
        port: u16,
        certificate: Option<&str>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> io::Result<Secure> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.crt")).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_protocol_versions(versions).unwrap().with_root_certificates(roots);
        let config = match certificate {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let chain = vec![CertificateDer::from_pem_file(self.path(&format!("{name}.crt"))).unwrap()];
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        Ok(Secure { stream: BufReader::new(StreamOwned::new(connection, socket)) })
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// A connection over TLS.
struct Secure {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

impl Secure {
    /// The first line of the reply to an inline request.
    fn line(&mut self, request: &str) -> io::Result<String> {
        self.stream.get_mut().write_all(format!("{request}\r\n").as_bytes())?;
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    fn version(&self) -> Option<ProtocolVersion> {
        self.stream.get_ref().conn.protocol_version()
    }

    /// The certificate that the server has shown.
    fn certificate(&self) -> Vec<u8> {
        self.stream.get_ref().conn.peer_certificates().unwrap()[0].to_vec()
    }
}

const BOTH: &[&SupportedProtocolVersion] = &[&TLS12, &TLS13];

fn both_versions() {
    let certificates = Certificates::new();
    let (_server, port) = certificates.serve(&["--tls-auth-clients", "no"]);
    for (wanted, version) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let mut client = certificates.connect(port, None, &[wanted]).unwrap();
        assert_eq!(client.line("PING").unwrap(), "+PONG");
        assert_eq!(client.version(), Some(version));
        assert_eq!(client.line("QUIT").unwrap(), "+OK");
        // A proper goodbye, not a cut.
        assert_eq!(client.stream.read(&mut [0]).unwrap(), 0);
    }
}

fn side_by_side() {
    let certificates = Certificates::new();
    let socket = certificates.path("socket");
    let (server, port) = certificates.serve(&["--tls-auth-clients", "no", "--unixsocket", &socket]);
    let mut secure = certificates.connect(port, None, BOTH).unwrap();
    let mut plain = server.client();
    let mut unix = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    assert_eq!(secure.line("HSET k f 1").unwrap(), ":1");
    assert_eq!(plain.line("HINCRBY k f 1"), ":2");
    unix.write_all(b"HINCRBY k f 1\r\n").unwrap();
    let mut reply = [0; 4];
    unix.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b":3\r\n");
    assert_eq!(secure.line("HINCRBY k f 1").unwrap(), ":4");
    let listeners: Vec<String> = (0..3).map(|n| info(&mut plain, "server", &format!("listener{n}"))).collect();
    for (line, kind) in listeners.iter().zip(["tcp", "unix", "tls"]) {
        assert!(line.starts_with(&format!("name={kind},bind=")), "{listeners:?}");
    }
    // Messages cross from one to the other.
    assert_eq!(secure.line("SUBSCRIBE c").unwrap(), "*3");
    assert_eq!(plain.line("PUBLISH c m"), ":1");
    // The port can change, and go, while others are served.
    let other = free_port();
    assert_eq!(plain.line(&format!("CONFIG SET tls-port {other}")), "+OK");
    assert_eq!(certificates.connect(other, None, BOTH).unwrap().line("PING").unwrap(), "+PONG");
    assert_eq!(plain.line("CONFIG SET tls-port 0"), "+OK");
    assert!(certificates.connect(other, None, BOTH).is_err());
    assert_eq!(plain.line("PING"), "+PONG");
}

fn client_certificates() {
    let certificates = Certificates::new();
    let strangers = Certificates::new();
    std::fs::copy(strangers.path("client.crt"), certificates.path("stranger.crt")).unwrap();
    std::fs::copy(strangers.path("client.key"), certificates.path("stranger.key")).unwrap();
    let (server, port) = certificates.serve(&[]);
    let mut plain = server.client();
    for (wanted, none, own, stranger) in
        [("yes", false, true, false), ("optional", true, true, false), ("no", true, true, true)]
    {
        assert_eq!(plain.line(&format!("CONFIG SET tls-auth-clients {wanted}")), "+OK");
        for versions in [&[&TLS12][..], &[&TLS13]] {
            for (certificate, may) in [(None, none), (Some("client"), own), (Some("stranger"), stranger)] {
                let reply =
                    certificates.connect(port, certificate, versions).and_then(|mut client| client.line("PING"));
                assert_eq!(reply.is_ok(), may, "{wanted} {certificate:?}: {reply:?}");
            }
        }
    }
    // Authorities may come from a folder too, in which other files lie.
    let folder = certificates.folder.to_str().unwrap();
    assert_eq!(plain.line(&format!("CONFIG SET tls-auth-clients yes tls-ca-cert-dir {folder}")), "+OK");
    assert_eq!(certificates.connect(port, Some("client"), BOTH).unwrap().line("PING").unwrap(), "+PONG");
    let gone = eventually_alone(&mut plain);
    assert!(gone, "refused clients are still counted");
}

/// Whether the one who asks is soon the only client.
fn eventually_alone(client: &mut Client) -> bool {
    eventually("alone", || info(client, "clients", "connected_clients") == "1");
    true
}

fn users() {
    let certificates = Certificates::new();
    certificates.sign("nobody");
    let (server, port) = certificates.serve(&["--tls-auth-clients", "optional", "--requirepass", "x"]);
    let connect = |name| certificates.connect(port, name, &[&TLS13]).unwrap();
    let mut admin = server.client();
    assert_eq!(admin.line("AUTH x"), "+OK");
    assert_eq!(admin.line("ACL SETUSER client on >y ~* +@all"), "+OK");
    // As long as it is off, a certificate is none's name.
    assert_eq!(connect(Some("client")).line("PING").unwrap(), "-NOAUTH Authentication required.");
    assert_eq!(admin.line("CONFIG SET tls-auth-clients-user CN"), "+OK");
    let mut client = connect(Some("client"));
    assert_eq!(client.line("HSET k f v").unwrap(), ":1");
    assert!(admin.ask("CLIENT LIST").text().contains(" user=client "));
    // RESET forgets it, as in Redis.
    assert_eq!(client.line("RESET").unwrap(), "+RESET");
    assert_eq!(client.line("PING").unwrap(), "-NOAUTH Authentication required.");
    // No certificate, a name that nobody has, and a user who is off.
    assert_eq!(connect(None).line("PING").unwrap(), "-NOAUTH Authentication required.");
    assert_eq!(connect(Some("nobody")).line("PING").unwrap(), "-NOAUTH Authentication required.");
    assert_eq!(admin.line("ACL SETUSER client off"), "+OK");
    assert_eq!(connect(Some("client")).line("PING").unwrap(), "-NOAUTH Authentication required.");
    let log = admin.ask("ACL LOG");
    let said: Vec<(String, String)> =
        log.items().iter().map(|entry| (entry.items()[3].text(), entry.items()[9].text())).collect();
    let expected = [("tls-cert", "client"), ("tls-cert", "nobody")].map(|(why, who)| (why.to_owned(), who.to_owned()));
    assert_eq!(said, expected);
    assert_eq!(info(&mut admin, "stats", "acl_access_denied_tls_cert"), "2");
}

fn reloaded() {
    let certificates = Certificates::new();
    let (server, port) = certificates.serve(&["--tls-auth-clients", "no"]);
    let mut plain = server.client();
    let mut old = certificates.connect(port, None, BOTH).unwrap();
    assert_eq!(old.line("PING").unwrap(), "+PONG");
    // Other files.
    certificates.sign("second");
    let (certificate, key) = (certificates.path("second.crt"), certificates.path("second.key"));
    assert_eq!(plain.line(&format!("CONFIG SET tls-cert-file {certificate} tls-key-file {key}")), "+OK");
    let mut new = certificates.connect(port, None, BOTH).unwrap();
    assert_eq!(new.line("PING").unwrap(), "+PONG");
    assert_ne!(old.certificate(), new.certificate());
    assert_eq!(old.line("PING").unwrap(), "+PONG");
    // The same files with other content.
    certificates.sign("second");
    assert_eq!(plain.line(&format!("CONFIG SET tls-cert-file {certificate}")), "+OK");
    let mut newest = certificates.connect(port, None, BOTH).unwrap();
    assert_eq!(newest.line("PING").unwrap(), "+PONG");
    assert_ne!(new.certificate(), newest.certificate());
    for client in [&mut old, &mut new] {
        assert_eq!(client.line("PING").unwrap(), "+PONG");
    }
}

/// Of the two files in `tls/`, one is the other as `openssl pkcs8 -topk8 -v2 aes-256-cbc` has encrypted it.
fn encrypted_keys() {
    let certificates = Certificates::new();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "server");
    let key = KeyPair::from_pem(include_str!("tls/plain.key")).unwrap();
    let certificate = params.signed_by(&key, &certificates.authority).unwrap();
    std::fs::write(certificates.path("server.crt"), certificate.pem()).unwrap();
    std::fs::write(certificates.path("server.key"), include_str!("tls/encrypted.key")).unwrap();
    let (server, port) = certificates.serve(&["--tls-auth-clients", "no", "--tls-key-file-pass", "secret"]);
    assert_eq!(certificates.connect(port, None, BOTH).unwrap().line("PING").unwrap(), "+PONG");
    let mut plain = server.client();
    for wrong in ["guess", ""] {
        let refused = format!("-ERR CONFIG SET failed (possibly related to argument 'tls-key-file-pass') - {BAD_TLS}");
        let reply = plain.raw(&["CONFIG", "SET", "tls-key-file-pass", wrong]);
        assert_eq!(crate::resp::render(&reply), refused, "{wrong}");
    }
    assert!(server.log().contains("wrong tls-key-file-pass") && server.log().contains("there is no tls-key-file-pass"));
    assert_eq!(certificates.connect(port, None, BOTH).unwrap().line("PING").unwrap(), "+PONG");
    // A password of a key that needs none is not looked at, as in OpenSSL.
    std::fs::write(certificates.path("server.key"), include_str!("tls/plain.key")).unwrap();
    assert_eq!(plain.line("CONFIG SET tls-key-file-pass guess"), "+OK");
    assert_eq!(certificates.connect(port, None, BOTH).unwrap().line("PING").unwrap(), "+PONG");
}

fn protocols_and_ciphers() {
    let certificates = Certificates::new();
    let (server, port) = certificates.serve(&["--tls-auth-clients", "no", "--tls-protocols", "TLSv1.3"]);
    let mut plain = server.client();
    let speaks =
        |version| certificates.connect(port, None, &[version]).and_then(|mut client| client.line("PING")).is_ok();
    assert!(!speaks(&TLS12) && speaks(&TLS13));
    assert_eq!(plain.value(&["CONFIG", "SET", "tls-protocols", "TLSv1.2"]).text(), "OK");
    assert!(speaks(&TLS12) && !speaks(&TLS13));
    assert_eq!(plain.value(&["CONFIG", "SET", "tls-protocols", ""]).text(), "OK");
    assert_eq!(plain.line("CONFIG SET tls-ciphersuites TLS_CHACHA20_POLY1305_SHA256"), "+OK");
    let mut client = certificates.connect(port, None, &[&TLS13]).unwrap();
    assert_eq!(client.line("PING").unwrap(), "+PONG");
    let suite = client.stream.get_ref().conn.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(format!("{suite:?}"), "TLS13_CHACHA20_POLY1305_SHA256");
    assert_eq!(plain.line("CONFIG SET tls-session-caching no tls-prefer-server-ciphers yes"), "+OK");
    assert!(speaks(&TLS12) && speaks(&TLS13));
}

const BAD_TLS: &str = "Unable to update TLS configuration. Check server logs.";

fn wrong_settings() {
    let certificates = Certificates::new();
    let (server, port) = certificates.serve(&["--tls-auth-clients", "no"]);
    let mut plain = server.client();
    std::fs::write(certificates.path("garbage"), "no certificate").unwrap();
    let garbage = certificates.path("garbage");
    for (name, value) in [
        ("tls-cert-file", "/nonexistent"),
        ("tls-cert-file", garbage.as_str()),
        // Not the key of the certificate.
        ("tls-key-file", &certificates.path("client.key")),
        ("tls-protocols", "SSLv3"),
        ("tls-protocols", "TLSv1.1"),
        ("tls-ciphersuites", "nonsense"),
    ] {
        let before = plain.ask(&format!("CONFIG GET {name}"));
        let wanted = format!("-ERR CONFIG SET failed (possibly related to argument '{name}') - {BAD_TLS}");
        assert_eq!(plain.line(&format!("CONFIG SET {name} {value}")), wanted, "{value}");
        assert_eq!(plain.ask(&format!("CONFIG GET {name}")), before);
        assert_eq!(certificates.connect(port, None, BOTH).unwrap().line("PING").unwrap(), "+PONG");
    }
    assert!(server.log().contains("Failed to load"), "{}", server.log());
    // Without a TLS port nothing of this is looked at, as in Redis.
    server::on_both(&[], |server| {
        let mut client = server.client();
        assert_eq!(client.line("CONFIG SET tls-cert-file /nonexistent tls-protocols SSLv3"), "+OK");
        let wanted = format!("-ERR CONFIG SET failed (possibly related to argument 'tls-port') - {BAD_TLS}");
        assert_eq!(client.line(&format!("CONFIG SET tls-port {}", free_port())), wanted);
        assert_eq!(client.ask("CONFIG GET tls-port").items()[1].text(), "0");
    });
}

fn no_certificate() {
    let port = free_port().to_string();
    let output = std::process::Command::new(server::program(Kind::Hashd))
        .args(["--port", "0", "--tls-port", &port])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Failed to configure TLS"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("No tls-cert-file configured!"));
}

fn pipelines() {
    let certificates = Certificates::new();
    let (server, port) = certificates.serve(&["--tls-auth-clients", "no"]);
    let mut client = certificates.connect(port, None, BOTH).unwrap();
    let value = "v".repeat(300_000);
    server.client().value(&["HSET", "k", "f", &value]);
    for _ in 0..3 {
        let requests: Vec<u8> = (0..40).flat_map(|_| encode(&["HGET", "k", "f"])).collect();
        client.stream.get_mut().write_all(&requests).unwrap();
        for _ in 0..40 {
            let mut reply = vec![0; value.len() + 11];
            client.stream.read_exact(&mut reply).unwrap();
            assert!(reply.starts_with(b"$300000\r\nvv") && reply.ends_with(b"vv\r\n"));
        }
    }
    let bytes: Vec<u8> = (0..10_000).flat_map(|n| encode(&["ECHO", &n.to_string()])).collect();
    client.stream.get_mut().write_all(&bytes).unwrap();
    for n in 0..10_000 {
        let mut lines = [String::new(), String::new()];
        for line in &mut lines {
            client.stream.read_line(line).unwrap();
        }
        assert_eq!(lines[1].trim_end(), n.to_string());
    }
}

fn garbage() {
    let certificates = Certificates::new();
    let (server, port) = certificates.serve(&["--tls-auth-clients", "no"]);
    let mut plain = server.client();
    for bytes in [&b"PING\r\n"[..], b"\x16\x03\x01\xff\xff", &[0xff; 70_000]] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        drop(stream.write_all(bytes));
        drop(stream.shutdown(std::net::Shutdown::Write));
        drop(stream.read_to_end(&mut Vec::new()));
    }
    // Those who never say anything do not keep others from it, and CLIENT KILL ends them.
    let silent: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    assert_eq!(certificates.connect(port, None, BOTH).unwrap().line("PING").unwrap(), "+PONG");
    eventually("all accepted", || info(&mut plain, "clients", "connected_clients") == "51");
    assert!(plain.ask("CLIENT KILL TYPE normal").int() >= 50);
    eventually_alone(&mut plain);
    drop(silent);
    server.assert_alive();
}

fn redis_cli() {
    let Some(cli) = server::peers().map(|peers| peers.join("bin/redis-cli")).filter(|cli| Path::new(cli).exists())
    else {
        return;
    };
    let certificates = Certificates::new();
    let (_server, port) = certificates.serve(&[]);
    let run = |more: &[&str]| {
        let mut command = std::process::Command::new(&cli);
        command.args(["-p", &port.to_string(), "--tls", "--cacert", &certificates.path("ca.crt")]);
        command.args(["--cert", &certificates.path("client.crt"), "--key", &certificates.path("client.key")]);
        String::from_utf8(command.args(more).output().unwrap().stdout).unwrap()
    };
    assert_eq!(run(&["HSET", "k", "f", "v"]), "1\n");
    assert_eq!(run(&["-3", "HGETALL", "k"]), "f v\n");
    assert_eq!(run(&["--tls-ciphersuites", "TLS_AES_128_GCM_SHA256", "HGET", "k", "f"]), "v\n");
}
