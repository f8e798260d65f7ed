//! `ReplyWriter`: replies in RESP2 or RESP3, written straight into the connection's output buffer.
//!
//! The only place where the two protocols differ. Writing replies directly instead of building a frame tree for
//! redis-protocol's encoder costs a fifth of the time (`benches/codec.rs` shows both).

/// The protocol that a client has chosen by `HELLO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RespVersion {
    /// RESP2, the protocol every connection starts with.
    #[default]
    Resp2,
    /// RESP3.
    Resp3,
}

impl RespVersion {
    /// 2 or 3.
    pub fn number(self) -> u8 {
        match self {
            Self::Resp2 => 2,
            Self::Resp3 => 3,
        }
    }
}

/// Writes replies to an output buffer.
#[derive(Debug, Default)]
pub struct ReplyWriter {
    out: Vec<u8>,
    version: RespVersion,
}

impl ReplyWriter {
    /// An empty writer for `version`.
    pub fn new(version: RespVersion) -> Self {
        Self { out: Vec::new(), version }
    }

    /// The protocol in use.
    pub fn version(&self) -> RespVersion {
        self.version
    }

    /// Changes the protocol; what has been written stays as it is.
    pub fn set_version(&mut self, version: RespVersion) {
        self.version = version;
    }

    /// Bytes written and not yet taken by the connection.
    pub fn as_bytes(&self) -> &[u8] {
        &self.out
    }

    /// Forgets everything written, and gives back the memory of an unusually large buffer: the next large reply allocates
    /// what it needs, where to grow a rest of this one would copy it.
    pub fn clear(&mut self) {
        const KEEP: usize = 64 * 1024;
        self.out.clear();
        if self.out.capacity() > KEEP {
            self.out = Vec::new();
        }
    }

    /// Whether there is memory to write to.
    pub fn has_memory(&self) -> bool {
        self.out.capacity() > 0
    }

    /// Bytes of memory to write to.
    pub fn capacity(&self) -> usize {
        self.out.capacity()
    }

    /// Gives an empty writer `memory` to write to.
    pub fn lend(&mut self, memory: Vec<u8>) {
        self.out = memory;
    }

    /// Takes the memory back, and with it everything written.
    pub fn take(&mut self) -> Vec<u8> {
        let mut memory = std::mem::take(&mut self.out);
        memory.clear();
        memory
    }

    /// Forgets the first `count` bytes, which have been sent.
    pub fn drop_first(&mut self, count: usize) {
        self.out.drain(..count.min(self.out.len()));
    }

    /// A point to which [`ReplyWriter::truncate`] can return.
    pub fn mark(&self) -> usize {
        self.out.len()
    }

    /// Takes back everything written since `mark`.
    pub fn truncate(&mut self, mark: usize) {
        self.out.truncate(mark);
    }

    /// Bytes that are whole replies or messages already.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// `+text`. The text must not hold CR or LF.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// `+OK`
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// `-text`; CR and LF at its end are dropped and others become spaces, so that user data cannot forge a reply.
    pub fn error(&mut self, text: &str) {
        self.error_bytes(text.as_bytes());
    }

    /// [`ReplyWriter::error`] for a text that may hold arbitrary bytes.
    pub fn error_bytes(&mut self, text: &[u8]) {
        let end = text.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
        self.out.push(b'-');
        self.out.extend(text.iter().take(end).map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
        self.crlf();
    }

    /// `:value`
    pub fn integer(&mut self, value: i64) {
        match value {
            0 => self.out.extend_from_slice(b":0\r\n"),
            1 => self.out.extend_from_slice(b":1\r\n"),
            _ => self.line(b':', itoa::Buffer::new().format(value).as_bytes()),
        }
    }

    /// `:count`, for lengths.
    pub fn count(&mut self, count: usize) {
        self.integer(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A bulk string.
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 16);
        self.header(b'$', bytes.len());
        self.out.extend_from_slice(bytes);
        self.crlf();
    }

    /// A bulk string of two parts.
    pub fn bulk_of_two(&mut self, start: &[u8], rest: &[u8]) {
        self.out.reserve(start.len() + rest.len() + 16);
        self.header(b'$', start.len() + rest.len());
        self.out.extend_from_slice(start);
        self.out.extend_from_slice(rest);
        self.crlf();
    }

    /// A bulk string holding a decimal number.
    pub fn bulk_integer(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// A bulk string or null.
    pub fn bulk_or_null(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// Text: a verbatim string (`=n` with the `txt:` prefix) in RESP3, a bulk string in RESP2.
    pub fn verbatim(&mut self, text: &[u8]) {
        match self.version {
            RespVersion::Resp2 => self.bulk(text),
            RespVersion::Resp3 => {
                self.header(b'=', text.len() + 4);
                self.out.extend_from_slice(b"txt:");
                self.out.extend_from_slice(text);
                self.crlf();
            }
        }
    }

    /// Null: `_` in RESP3, the null bulk string in RESP2.
    pub fn null(&mut self) {
        self.out.extend_from_slice(match self.version {
            RespVersion::Resp2 => b"$-1\r\n",
            RespVersion::Resp3 => b"_\r\n",
        });
    }

    /// A null where RESP2 has a null array.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(match self.version {
            RespVersion::Resp2 => b"*-1\r\n",
            RespVersion::Resp3 => b"_\r\n",
        });
    }

    /// A truth value: `#t` / `#f` in RESP3, 1 / 0 in RESP2.
    pub fn boolean(&mut self, value: bool) {
        match self.version {
            RespVersion::Resp2 => self.integer(i64::from(value)),
            RespVersion::Resp3 => self.out.extend_from_slice(if value { b"#t\r\n" } else { b"#f\r\n" }),
        }
    }

    /// A double given by its text: `,text` in RESP3, a bulk string in RESP2.
    pub fn double(&mut self, text: &str) {
        match self.version {
            RespVersion::Resp2 => self.bulk(text.as_bytes()),
            RespVersion::Resp3 => self.line(b',', text.as_bytes()),
        }
    }

    /// A big number given by its digits: `(digits` in RESP3, a bulk string in RESP2.
    pub fn big_number(&mut self, digits: &str) {
        match self.version {
            RespVersion::Resp2 => self.bulk(digits.as_bytes()),
            RespVersion::Resp3 => self.line(b'(', digits.as_bytes()),
        }
    }

    /// Head of an array of `length` elements, which must follow.
    pub fn array(&mut self, length: usize) {
        self.header(b'*', length);
    }

    /// Head of a map of `pairs` pairs, which must follow; a flat array in RESP2.
    pub fn map(&mut self, pairs: usize) {
        match self.version {
            RespVersion::Resp2 => self.header(b'*', pairs * 2),
            RespVersion::Resp3 => self.header(b'%', pairs),
        }
    }

    /// Head of a set of `length` elements, which must follow; an array in RESP2.
    pub fn set(&mut self, length: usize) {
        match self.version {
            RespVersion::Resp2 => self.header(b'*', length),
            RespVersion::Resp3 => self.header(b'~', length),
        }
    }

    /// Head of a push message of `length` elements, which must follow; an array in RESP2.
    pub fn push(&mut self, length: usize) {
        match self.version {
            RespVersion::Resp2 => self.header(b'*', length),
            RespVersion::Resp3 => self.header(b'>', length),
        }
    }

    /// Head of an attribute of `pairs` pairs; RESP3 only, where the caller must have checked the version.
    pub fn attribute(&mut self, pairs: usize) {
        self.header(b'|', pairs);
    }

    fn header(&mut self, kind: u8, length: usize) {
        self.line(kind, itoa::Buffer::new().format(length).as_bytes());
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.push(kind);
        self.out.extend_from_slice(text);
        self.crlf();
    }

    fn crlf(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use redis_protocol::resp2::types::OwnedFrame as Frame2;
    use redis_protocol::resp3::types::OwnedFrame as Frame3;

    /// What a command may reply.
    #[derive(Debug, Clone)]
    enum Value {
        Bulk(Vec<u8>),
        Integer(i64),
        Null,
        Simple(String),
        Error(String),
        Boolean(bool),
        Array(Vec<Value>),
        Pairs(Vec<(Vec<u8>, Value)>),
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<Vec<u8>>().prop_map(Value::Bulk),
            any::<i64>().prop_map(Value::Integer),
            Just(Value::Null),
            "[a-z ]{0,20}".prop_map(Value::Simple),
            "ERR [a-z\r\n]{1,20}x".prop_map(Value::Error),
            any::<bool>().prop_map(Value::Boolean),
        ];
        leaf.prop_recursive(3, 30, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                prop::collection::btree_map(any::<Vec<u8>>(), inner, 0..5)
                    .prop_map(|pairs| Value::Pairs(pairs.into_iter().collect())),
            ]
        })
    }

    fn write(reply: &mut ReplyWriter, value: &Value) {
        match value {
            Value::Bulk(bytes) => reply.bulk(bytes),
            Value::Integer(number) => reply.integer(*number),
            Value::Null => reply.null(),
            Value::Simple(text) => reply.simple(text),
            Value::Error(text) => reply.error(text),
            Value::Boolean(truth) => reply.boolean(*truth),
            Value::Array(values) => {
                reply.array(values.len());
                for value in values {
                    write(reply, value);
                }
            }
            Value::Pairs(pairs) => {
                reply.map(pairs.len());
                for (name, value) in pairs {
                    reply.bulk(name);
                    write(reply, value);
                }
            }
        }
    }

    fn one_line(text: &str) -> String {
        text.replace(['\r', '\n'], " ")
    }

    fn resp2(value: &Value) -> Frame2 {
        match value {
            Value::Bulk(bytes) => Frame2::BulkString(bytes.clone()),
            Value::Integer(number) => Frame2::Integer(*number),
            Value::Null => Frame2::Null,
            Value::Simple(text) => Frame2::SimpleString(text.clone().into_bytes()),
            Value::Error(text) => Frame2::Error(one_line(text)),
            Value::Boolean(truth) => Frame2::Integer(i64::from(*truth)),
            Value::Array(values) => Frame2::Array(values.iter().map(resp2).collect()),
            Value::Pairs(pairs) => Frame2::Array(
                pairs.iter().flat_map(|(name, value)| [Frame2::BulkString(name.clone()), resp2(value)]).collect(),
            ),
        }
    }

    fn resp3(value: &Value) -> Frame3 {
        let bulk = |bytes: &[u8]| Frame3::BlobString { data: bytes.to_vec(), attributes: None };
        match value {
            Value::Bulk(bytes) => bulk(bytes),
            Value::Integer(number) => Frame3::Number { data: *number, attributes: None },
            Value::Null => Frame3::Null,
            Value::Simple(text) => Frame3::SimpleString { data: text.clone().into_bytes(), attributes: None },
            Value::Error(text) => Frame3::SimpleError { data: one_line(text), attributes: None },
            Value::Boolean(truth) => Frame3::Boolean { data: *truth, attributes: None },
            Value::Array(values) => Frame3::Array { data: values.iter().map(resp3).collect(), attributes: None },
            Value::Pairs(pairs) => Frame3::Map {
                data: pairs.iter().map(|(name, value)| (bulk(name), resp3(value))).collect(),
                attributes: None,
            },
        }
    }

    proptest! {
        #[test]
        fn redis_protocol_decodes_what_we_write(value in value()) {
            let mut reply = ReplyWriter::new(RespVersion::Resp2);
            write(&mut reply, &value);
            let (frame, length) = redis_protocol::resp2::decode::decode(reply.as_bytes()).unwrap().unwrap();
            prop_assert_eq!((frame, length), (resp2(&value), reply.as_bytes().len()));

            let mut reply = ReplyWriter::new(RespVersion::Resp3);
            write(&mut reply, &value);
            let (frame, length) = redis_protocol::resp3::decode::complete::decode(reply.as_bytes()).unwrap().unwrap();
            prop_assert_eq!((frame, length), (resp3(&value), reply.as_bytes().len()));
        }
    }

    #[test]
    fn errors_stay_on_one_line() {
        let mut reply = ReplyWriter::default();
        reply.error("ERR a\r\nb\r\n");
        assert_eq!(reply.as_bytes(), b"-ERR a  b\r\n");
    }
}
