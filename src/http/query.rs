//! What follows the `?`: names and values, percent-encoded, of any bytes.

use std::borrow::Cow;

use hyper::Uri;
use percent_encoding::percent_decode_str;

/// The parameters of a request.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, Vec<u8>)>);

impl Query {
    /// Those of a target.
    pub(super) fn of(uri: &Uri) -> Self {
        let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        let decode = |(name, value): (&str, &str)| (name.to_owned(), Cow::from(percent_decode_str(value)).into_owned());
        Self(pairs.map(decode).collect())
    }

    /// The bytes of a parameter.
    pub(super) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    /// A number, or `default` if there is none.
    pub(super) fn number(&self, name: &str, default: usize) -> Option<usize> {
        self.bytes(name).map_or(Some(default), |value| std::str::from_utf8(value).ok()?.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes() {
        let query = Query::of(&"/x?key=%00%ff%2B+a%26&count=7&empty=&bare&bad=x&odd=%zz".parse().unwrap());
        assert_eq!(query.bytes("key"), Some(&b"\x00\xff++a&"[..]));
        assert_eq!(query.bytes("empty"), Some(&b""[..]));
        assert_eq!(query.bytes("odd"), Some(&b"%zz"[..]));
        assert_eq!((query.bytes("bare"), query.bytes("none")), (None, None));
        assert_eq!(
            (query.number("count", 1), query.number("none", 1), query.number("bad", 1)),
            (Some(7), Some(1), None)
        );
    }
}
