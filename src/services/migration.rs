//! `Target`: another server to which MIGRATE sends keys.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Another server.
#[derive(Debug)]
pub struct Target {
    stream: BufReader<TcpStream>,
}

/// A key to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Restore<'a> {
    /// Its name.
    pub key: &'a [u8],
    /// Milliseconds that it has to live, 0 for no limit.
    pub ttl_ms: i64,
    /// What DUMP tells of it.
    pub payload: &'a [u8],
    /// Whether it may replace another there.
    pub replace: bool,
}

/// What went wrong; `Display` is the error reply.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// There is no connection.
    #[error("IOERR error or timeout connecting to the client")]
    Connecting,
    /// A request could not be sent.
    #[error("IOERR error or timeout writing to target instance")]
    Writing,
    /// No reply has come.
    #[error("IOERR error or timeout reading from target instance")]
    Reading,
    /// The server has replied with an error.
    #[error("ERR Target instance replied with error: {0}")]
    Refused(String),
    /// The key is changed here faster than it can be sent.
    #[error("IOERR the key is being changed too often to be moved")]
    Changing,
}

impl Target {
    /// Connects to a server, of which every reply has to come within a time; a second if that is not positive.
    pub fn connect(host: &[u8], port: &[u8], timeout_ms: i64) -> Result<Self, TargetError> {
        const SECOND: u64 = 1000;
        let timeout = u64::try_from(timeout_ms).ok().filter(|&timeout| timeout > 0).unwrap_or(SECOND);
        let timeout = Duration::from_millis(timeout);
        let address = format!("{}:{}", String::from_utf8_lossy(host), String::from_utf8_lossy(port));
        let mut addresses = address.to_socket_addrs().map_err(|_| TargetError::Connecting)?;
        let address = addresses.next().ok_or(TargetError::Connecting)?;
        let stream = TcpStream::connect_timeout(&address, timeout).map_err(|error| match error.kind() {
            // Redis finds out that nobody listens when it writes.
            io::ErrorKind::ConnectionRefused => TargetError::Writing,
            _ => TargetError::Connecting,
        })?;
        let prepared = stream.set_read_timeout(Some(timeout)).and_then(|()| stream.set_write_timeout(Some(timeout)));
        prepared.and_then(|()| stream.set_nodelay(true)).map_err(|_| TargetError::Connecting)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Logs in, if need be, and selects a database.
    pub fn enter(&mut self, login: Option<(Option<&[u8]>, &[u8])>, database: i64) -> Result<(), TargetError> {
        match login {
            Some((Some(user), password)) => self.ask(&[b"AUTH", user, password])?,
            Some((None, password)) => self.ask(&[b"AUTH", password])?,
            None => {}
        }
        self.ask(&[b"SELECT", database.to_string().as_bytes()])
    }

    /// Sends a key.
    pub fn restore(&mut self, restore: &Restore<'_>) -> Result<(), TargetError> {
        let ttl = restore.ttl_ms.to_string();
        let mut request: Vec<&[u8]> = vec![b"RESTORE", restore.key, ttl.as_bytes(), restore.payload];
        if restore.replace {
            request.push(b"REPLACE");
        }
        self.ask(&request)
    }

    /// Sends a request and reads its reply, which is a line.
    fn ask(&mut self, request: &[&[u8]]) -> Result<(), TargetError> {
        const LONGEST_LINE: u64 = 64 * 1024;
        let mut bytes = format!("*{}\r\n", request.len()).into_bytes();
        for argument in request {
            bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
            bytes.extend_from_slice(argument);
            bytes.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&bytes).map_err(|_| TargetError::Writing)?;
        let mut line = Vec::new();
        let mut limited = io::Read::take(&mut self.stream, LONGEST_LINE);
        limited.read_until(b'\n', &mut line).map_err(|_| TargetError::Reading)?;
        match line.strip_suffix(b"\r\n") {
            Some([b'-', error @ ..]) => Err(TargetError::Refused(String::from_utf8_lossy(error).into_owned())),
            Some([b'+', ..]) => Ok(()),
            _ => Err(TargetError::Reading),
        }
    }
}
