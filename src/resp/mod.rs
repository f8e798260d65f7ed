//! The wire format: requests in ([`decode`]), replies out ([`reply`]). Knows no command and no store.

pub mod decode;
pub mod reply;
