//! Opens listening sockets as `bind`, `port` and `unixsocket` say.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

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
    pub fn open(&self, backlog: i32, mark: u32) -> io::Result<Option<std::net::TcpListener>> {
        let opened = (self.host.as_str(), self.port).to_socket_addrs().and_then(|mut addresses| {
            let address = addresses.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
            listen(address, backlog, mark)
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

/// Listens at an address; `mark`, if it is not 0, tells routing and filtering about the socket's packets (`socket-mark-id`).
fn listen(address: SocketAddr, backlog: i32, mark: u32) -> io::Result<std::net::TcpListener> {
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
        assert!(absent(true).open(1, 0).unwrap().is_none());
        assert_eq!(absent(false).open(1, 0).unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    }
}
