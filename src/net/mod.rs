//! The only place that awaits client sockets.

pub mod connection;
pub mod listener;
mod work;
pub mod worker;
