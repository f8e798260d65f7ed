//! Opens listening sockets as `bind`, `port` and `unixsocket` say.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use crate::config::Config;

/// A TCP address to listen on, as a word of `bind` and a port say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// An address, or a name that stands for one.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether clients have to speak TLS.
    pub is_secure: bool,
    /// Whether the machine may lack the address.
    pub is_optional: bool,
}

/// The places that the words of `bind` name: `*` means every IPv4 address, `::*` every IPv6 one; an address with a leading
/// `-` may be unavailable. None if `port` is 0.
pub fn places(bind: &str, port: u16, is_secure: bool) -> Vec<Place> {
    if port == 0 {
        return Vec::new();
    }
    let place = |word: &str| {
        let (is_optional, name) = word.strip_prefix('-').map_or((false, word), |name| (true, name));
        let host = match name {
            "*" => "0.0.0.0",
            "::*" => "::",
            other => other,
        };
        Place { host: host.to_owned(), port, is_secure, is_optional }
    };
    bind.split_whitespace().map(place).collect()
}

impl Place {
    /// Opens the socket; none if it may be, and is, unavailable. As in Redis, a kind of address that the machine does not
    /// know at all is no error either.
    pub fn open(&self, options: SocketOptions) -> io::Result<Option<std::net::TcpListener>> {
        let opened = (self.host.as_str(), self.port).to_socket_addrs().and_then(|mut addresses| {
            let address = addresses.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
            listen(address, options)
        });
        match opened {
            Ok(listener) => Ok(Some(listener)),
            Err(error) if self.may_lack(&error) => {
                tracing::debug!(%error, host = self.host, "address not available");
                Ok(None)
            }
            Err(error) => Err(io::Error::new(error.kind(), format!("{}:{}: {error}", self.host, self.port))),
        }
    }

    fn may_lack(&self, error: &io::Error) -> bool {
        const UNKNOWN_KINDS: [i32; 5] =
            [libc::ENOPROTOOPT, libc::EPROTONOSUPPORT, libc::ESOCKTNOSUPPORT, libc::EPFNOSUPPORT, libc::EAFNOSUPPORT];
        match error.raw_os_error() {
            // Without a code: a name that stands for no address.
            None | Some(libc::EADDRNOTAVAIL) => self.is_optional,
            Some(code) => UNKNOWN_KINDS.contains(&code),
        }
    }
}

/// How a socket listens.
#[derive(Debug, Clone, Copy)]
pub struct SocketOptions {
    /// How many clients may wait to be accepted (`tcp-backlog`).
    pub backlog: i32,
    /// If it is not 0, tells routing and filtering about the packets (`socket-mark-id`).
    pub mark: u32,
    /// Of the clients: see [`tune`].
    pub keepalive: u64,
}

impl SocketOptions {
    /// As configured now.
    pub fn of(config: &Config) -> Self {
        let backlog = i32::try_from(config.tcp_backlog()).unwrap_or(i32::MAX);
        Self { backlog, mark: config.socket_mark(), keepalive: keepalive_of(config) }
    }
}

/// The longest that Linux waits, in seconds (`MAX_TCP_KEEPIDLE`): it refuses more.
const LONGEST_KEEPALIVE: u64 = 32767;

/// `tcp-keepalive`: seconds.
pub fn keepalive_of(config: &Config) -> u64 {
    u64::try_from(config.tcp_keepalive()).unwrap_or(0)
}

/// Sets what clients' sockets need, on one of them or on a listener, from which they have it then: small replies are sent
/// at once, and a client that nothing has been heard of for `keepalive` seconds is asked for a sign of life, if not 0.
pub fn tune(socket: &socket2::SockRef<'_>, keepalive: u64) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    if keepalive == 0 {
        return socket.set_keepalive(false);
    }
    let keepalive = keepalive.min(LONGEST_KEEPALIVE);
    let interval = Duration::from_secs((keepalive / 3).max(1));
    let options = socket2::TcpKeepalive::new().with_time(Duration::from_secs(keepalive));
    socket.set_tcp_keepalive(&options.with_interval(interval).with_retries(3))
}

fn listen(address: SocketAddr, options: SocketOptions) -> io::Result<std::net::TcpListener> {
    let SocketOptions { backlog, mark, keepalive } = options;
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // As in Redis, it serves without a mark if it may not set one.
    if mark > 0
        && let Err(error) = socket.set_mark(mark)
    {
        tracing::warn!(%error, mark, "cannot mark a listening socket");
    }
    socket.set_nonblocking(true)?;
    tune(&socket2::SockRef::from(&socket), keepalive)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// Opens the unix socket at `path`, replacing a stale one, with the permissions `mode`, if it is not 0.
pub fn open_unix(path: &str, mode: u32) -> io::Result<std::os::unix::net::UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    if Path::new(path).exists() && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    if mode != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: SocketOptions = SocketOptions { backlog: 8, mark: 0, keepalive: 77 };

    #[test]
    fn clients_have_the_options_of_the_listener() {
        let place = Place { host: "127.0.0.1".into(), port: 0, is_secure: false, is_optional: false };
        let listener = place.open(OPTIONS).unwrap().unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let socket = socket2::SockRef::from(&accepted);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(77));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(25));
        tune(&socket, 0).unwrap();
        assert!(!socket.keepalive().unwrap());
        tune(&socket, 2_000_000_000).unwrap();
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(LONGEST_KEEPALIVE));
    }

    #[test]
    fn words_of_bind() {
        let place = |host: &str, is_optional| Place { host: host.into(), port: 7, is_secure: false, is_optional };
        assert_eq!(
            places("* -::*  127.0.0.1 -10.0.0.1", 7, false),
            [place("0.0.0.0", false), place("::", true), place("127.0.0.1", false), place("10.0.0.1", true)]
        );
        assert_eq!(places("*", 0, false), []);
        assert_eq!(places("", 7, false), []);
    }

    #[test]
    fn only_an_optional_address_may_be_missing() {
        // Of a range kept for documentation, so nobody's.
        let absent = |is_optional| Place { host: "192.0.2.1".into(), port: 0, is_secure: false, is_optional };
        assert!(absent(true).open(OPTIONS).unwrap().is_none());
        assert_eq!(absent(false).open(OPTIONS).unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    }
}
