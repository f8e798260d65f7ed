//! hashd: a Redis-compatible in-memory server for hashes.
//!
//! The code in reading order; each module may use only those below it:
//!
//! - [`server`] wires everything together; `main.rs` only parses the command line and calls it.
//! - [`net`] is the only place that awaits client sockets: listeners, workers, one loop per connection.
//! - [`dispatch`] is the gate every command passes; [`commands`] holds the command table and one function per command.
//! - [`handler`] is what such a function is given; [`services`] is the server-wide state behind it.
//! - [`store`] is the data: hashes by key, sharded; [`resp`] is the wire format.
//! - [`config`] and [`base`] are below everything.
//!
//! Invariants:
//!
//! 1. Nothing below `net` awaits. A command runs start to end on its connection's worker.
//! 2. No lock outlives a store closure, and none is taken while another is held, except two shards in ascending order.
//! 3. Operations on two keys (RENAME, COPY, MOVE) hold both shards: they are atomic.
//! 4. Everything has a limit: arguments, bulk sizes, query buffers, reply buffers, the time expiry takes.
//! 5. Time comes from [`base::clock`], read once per batch of requests, and anew by whoever locks several shards.
//! 6. No input makes the server panic, overflow its stack or hold memory beyond its limits. A panic in a command ends
//!    that client's connection, not the process.

pub mod base;
pub mod commands;
pub mod config;
pub mod dispatch;
pub mod handler;
pub mod net;
pub mod resp;
pub mod server;
pub mod services;
pub mod store;
