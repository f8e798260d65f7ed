//! Bytes in JSON: text where they are text, and otherwise base64, so that every key and value can be told from every
//! other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// `"text"`, or `{"base64": ".."}` for what is not UTF-8.
pub(super) fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

/// The first `most` bytes as [`text`]; of a text that is longer, whole characters.
pub(super) fn beginning(bytes: &[u8], most: usize) -> Value {
    let Some(start) = bytes.get(..most).filter(|_| bytes.len() > most) else { return text(bytes) };
    match std::str::from_utf8(start) {
        Err(error) if error.error_len().is_none() => text(start.get(..error.valid_up_to()).unwrap_or(start)),
        _ => text(start),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(text("a\u{0}ü<".as_bytes()), json!("a\u{0}ü<"));
        assert_eq!(text(b"\xff\x00"), json!({ "base64": "/wA=" }));
        assert_eq!(beginning("aü".as_bytes(), 2), json!("a"));
        assert_eq!(beginning("aü".as_bytes(), 3), json!("aü"));
        assert_eq!(beginning(b"a\xffbc", 3), json!({ "base64": "Yf9i" }));
    }
}
