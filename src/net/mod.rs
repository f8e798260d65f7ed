//! The only place that awaits client sockets.

pub mod connection;
pub mod edge;
pub mod listener;
pub mod open;
mod spare;
pub mod tls;
mod work;
pub mod worker;
