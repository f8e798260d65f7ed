//! A tiny blocking client: sends requests, hands back the raw bytes of one reply, its text form, or its decoded value.

use crate::resp;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Which protocol a connection speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// The protocol every connection starts with.
    Resp2,
    /// After `HELLO 3`.
    Resp3,
}

/// A decoded reply; `redis-protocol` does the decoding.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Any of the three nulls.
    Null,
    /// An integer.
    Int(i64),
    /// A bulk, simple or verbatim string.
    Bytes(Vec<u8>),
    /// An error line.
    Error(String),
    /// An array, set or push.
    Array(Vec<Value>),
    /// A RESP3 map, in no particular order.
    Map(Vec<(Value, Value)>),
    /// A RESP3 double.
    Double(f64),
    /// A RESP3 boolean.
    Bool(bool),
}

impl Value {
    /// The integer of an integer reply.
    pub fn int(&self) -> i64 {
        if let Self::Int(number) = self { *number } else { panic!("not an integer: {self:?}") }
    }

    /// A string reply as text.
    pub fn text(&self) -> String {
        match self {
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("not a string: {other:?}"),
        }
    }

    /// The elements of an array reply.
    pub fn items(&self) -> &[Value] {
        if let Self::Array(items) = self { items } else { panic!("not an array: {self:?}") }
    }
}

/// One connection.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    /// What the connection speaks; decoding depends on it.
    pub protocol: Protocol,
}

impl Client {
    /// Connects to a local port, with a time limit on every read so that a missing reply fails instead of hanging.
    pub fn connect(port: u16, protocol: Protocol) -> io::Result<Self> {
        Self::connect_to("127.0.0.1", port, protocol)
    }

    /// Connects to an address of this machine.
    pub fn connect_to(address: &str, port: u16, protocol: Protocol) -> io::Result<Self> {
        let stream = TcpStream::connect((address, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut client = Self { stream, buffer: Vec::new(), start: 0, protocol };
        if protocol == Protocol::Resp3 {
            client.send_raw(b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n")?;
            client.reply()?;
        }
        Ok(client)
    }

    /// Changes how long a read waits.
    pub fn set_timeout(&self, limit: Duration) {
        self.stream.set_read_timeout(Some(limit)).unwrap();
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The socket, to send from another thread while this one reads replies.
    pub fn sender(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }

    /// Sends one request.
    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<()> {
        let request = encode(args);
        self.send_raw(&request)
    }

    /// The raw bytes of the next reply.
    pub fn reply(&mut self) -> io::Result<Vec<u8>> {
        let mut wanted = 0;
        loop {
            let pending = &self.buffer[self.start..];
            if pending.len() > wanted {
                match resp::frame_len(pending) {
                    Err(why) => {
                        let seen = resp::escape(&pending[..pending.len().min(200)], true);
                        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{why} in \"{seen}\"")));
                    }
                    Ok(Some(len)) => {
                        let reply = pending[..len].to_vec();
                        self.start += len;
                        if self.start == self.buffer.len() || self.start > 1 << 20 {
                            self.buffer.drain(..self.start);
                            self.start = 0;
                        }
                        return Ok(reply);
                    }
                    // A long reply is not scanned again before it has grown by half.
                    Ok(None) => wanted = if pending.len() > 1 << 16 { pending.len() * 3 / 2 } else { 0 },
                }
            }
            if let Err(error) = self.fill() {
                let pending = &self.buffer[self.start..];
                if wanted > 0 && resp::frame_len(pending).is_ok_and(|len| len.is_some()) {
                    wanted = 0;
                    continue;
                }
                return Err(error);
            }
            // The reply may be complete just below the mark: look when the socket has nothing more to give.
            if wanted > 0 && !self.has_input() {
                wanted = 0;
            }
        }
    }

    fn has_input(&self) -> bool {
        // Not by making the socket non-blocking: another thread may be sending.
        let mut byte = [std::mem::MaybeUninit::uninit()];
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        socket2::SockRef::from(&self.stream).recv_with_flags(&mut byte, flags).is_ok()
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = vec![0; 1 << 16];
        let count = self.stream.read(&mut chunk)?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "connection closed by the server"));
        }
        self.buffer.extend_from_slice(&chunk[..count]);
        Ok(())
    }

    /// Everything the server sends until it closes the connection.
    pub fn read_to_close(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.fill() {
                Ok(()) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
                    return Ok(self.buffer.split_off(self.start));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// One request, the raw bytes of its reply.
    pub fn raw<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Vec<u8> {
        self.send(args).unwrap();
        self.reply().unwrap_or_else(|error| panic!("no reply to {}: {error}", show(args)))
    }

    /// One request written as a line (words split at spaces), its reply as text.
    pub fn line(&mut self, line: &str) -> String {
        let args: Vec<&str> = line.split(' ').collect();
        resp::render(&self.raw(&args))
    }

    /// One request, its decoded reply.
    pub fn value<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Value {
        let reply = self.raw(args);
        decode(&reply, self.protocol)
    }

    /// The next reply, decoded.
    pub fn next_value(&mut self) -> Value {
        let reply = self.reply().unwrap();
        decode(&reply, self.protocol)
    }

    /// One request written as a line, its decoded reply.
    pub fn ask(&mut self, line: &str) -> Value {
        let args: Vec<&str> = line.split(' ').collect();
        self.value(&args)
    }
}

/// Waits until something is so.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(5);
    while !is_so() {
        assert!(Instant::now() < give_up, "still not: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// One line of `INFO section`, by its name.
pub fn info(client: &mut Client, section: &str, name: &str) -> String {
    let text = client.value(&["INFO", section]).text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned));
    line.unwrap_or_default()
}

/// A request as RESP bytes.
pub fn encode<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend_from_slice(format!("${}\r\n", arg.as_ref().len()).as_bytes());
        bytes.extend_from_slice(arg.as_ref());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// A request as a line that redis-cli would read back.
pub fn show<A: AsRef<[u8]>>(args: &[A]) -> String {
    let words = args.iter().map(|arg| {
        let bytes = arg.as_ref();
        let plain = !bytes.is_empty() && bytes.iter().all(|b| b.is_ascii_graphic() && !b"\"'\\{".contains(b));
        if plain { String::from_utf8_lossy(bytes).into_owned() } else { format!("\"{}\"", resp::escape(bytes, true)) }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// One complete reply as a value.
pub fn decode(reply: &[u8], protocol: Protocol) -> Value {
    use redis_protocol::{resp2, resp3};
    let (value, len) = match protocol {
        Protocol::Resp2 => {
            let (frame, len) = resp2::decode::decode(reply).unwrap().unwrap();
            (from_resp2(frame), len)
        }
        Protocol::Resp3 => {
            let (frame, len) = resp3::decode::complete::decode(reply).unwrap().unwrap();
            (from_resp3(frame), len)
        }
    };
    assert_eq!(len, reply.len(), "redis-protocol reads {len} of {} bytes", reply.len());
    value
}

fn from_resp2(frame: redis_protocol::resp2::types::OwnedFrame) -> Value {
    use redis_protocol::resp2::types::OwnedFrame as F;
    match frame {
        F::SimpleString(data) | F::BulkString(data) => Value::Bytes(data),
        F::Error(text) => Value::Error(text),
        F::Integer(number) => Value::Int(number),
        F::Array(items) => Value::Array(items.into_iter().map(from_resp2).collect()),
        F::Null => Value::Null,
    }
}

fn from_resp3(frame: redis_protocol::resp3::types::OwnedFrame) -> Value {
    use redis_protocol::resp3::types::OwnedFrame as F;
    match frame {
        F::BlobString { data, .. } | F::SimpleString { data, .. } | F::BigNumber { data, .. } => Value::Bytes(data),
        F::VerbatimString { data, .. } | F::ChunkedString(data) => Value::Bytes(data),
        F::BlobError { data, .. } => Value::Error(String::from_utf8_lossy(&data).into_owned()),
        F::SimpleError { data, .. } => Value::Error(data),
        F::Boolean { data, .. } => Value::Bool(data),
        F::Number { data, .. } => Value::Int(data),
        F::Double { data, .. } => Value::Double(data),
        F::Array { data, .. } | F::Push { data, .. } => Value::Array(data.into_iter().map(from_resp3).collect()),
        F::Set { data, .. } => Value::Array(data.into_iter().map(from_resp3).collect()),
        F::Map { data, .. } => Value::Map(data.into_iter().map(|(k, v)| (from_resp3(k), from_resp3(v))).collect()),
        F::Null | F::Hello { .. } => Value::Null,
    }
}
