//! `CommandError`: what a handler returns instead of a reply; `Display` is the exact text Redis sends.

use std::borrow::Cow;

/// Why a command was refused. `Display` gives the error reply without its leading `-` and closing CRLF.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Options that do not fit the command's grammar.
    #[error("ERR syntax error")]
    Syntax,
    /// An argument that must be a 64-bit integer is not.
    #[error("ERR value is not an integer or out of range")]
    NotInteger,
    /// An argument that must be a 32-bit integer is one, but out of range.
    #[error("ERR value is out of range, value must between -2147483648 and 2147483647")]
    NotInt32,
    /// An argument that must be a floating point number is not.
    #[error("ERR value is not a valid float")]
    NotFloat,
    /// The stored value of a field is not an integer.
    #[error("ERR hash value is not an integer")]
    HashValueNotInteger,
    /// The stored value of a field is not a floating point number.
    #[error("ERR hash value is not a float")]
    HashValueNotFloat,
    /// An integer increment would leave the 64-bit range.
    #[error("ERR increment or decrement would overflow")]
    IncrementOverflow,
    /// A floating point increment would give NaN or infinity.
    #[error("ERR increment would produce NaN or Infinity")]
    IncrementNotFinite,
    /// The key does not exist (RENAME and its kin).
    #[error("ERR no such key")]
    NoSuchKey,
    /// A cursor that is not an unsigned integer.
    #[error("ERR invalid cursor")]
    InvalidCursor,
    /// A database index out of range.
    #[error("ERR DB index is out of range")]
    DatabaseOutOfRange,
    /// Too few or too many arguments; holds the full command name (`hset`, `client|setname`).
    #[error("ERR wrong number of arguments for '{0}' command")]
    WrongArity(Cow<'static, str>),
    /// An expire time that does not fit; holds the full command name.
    #[error("ERR invalid expire time in '{0}' command")]
    InvalidExpire(&'static str),
    /// `POST` or `Host:`: the client is closed without a word.
    #[error("ERR possible security attack")]
    Attack,
    /// Any other fixed text, complete with its code word.
    #[error("{0}")]
    Fixed(&'static str),
    /// Any other text, complete with its code word, that names user data; CR and LF become spaces when it is sent.
    #[error("{}", String::from_utf8_lossy(.0))]
    Text(Box<[u8]>),
}

impl CommandError {
    /// The text that is sent, as bytes: it may quote what a client has sent.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Fixed(text) => Cow::Borrowed(text.as_bytes()),
            Self::Text(text) => Cow::Borrowed(text),
            other => Cow::Owned(other.to_string().into_bytes()),
        }
    }

    /// An error whose text is made at run time, for example because it quotes an argument.
    pub fn text(text: impl Into<Vec<u8>>) -> Self {
        Self::Text(text.into().into_boxed_slice())
    }

    /// An error that quotes an argument between two texts: its bytes as they are, up to a NUL, as C's `%s` does.
    pub fn quoting(before: &str, argument: &[u8], after: &str) -> Self {
        let shown = argument.split(|&byte| byte == 0).next().unwrap_or_default();
        Self::text([before.as_bytes(), shown, after.as_bytes()].concat())
    }
}
