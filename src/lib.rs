//! hashd: a Redis-compatible in-memory server for hashes.
//!
//! The code in reading order; each module may use only those below it:
//!
//! - [`server`] wires everything together; `main.rs` only parses the command line and calls it, `allocator.rs` beside it
//!   chooses and tunes the allocator.
//! - [`net`] is the only place that awaits client sockets: listeners, workers, one loop per connection.
//! - [`http`] stands beside it: metrics and a page for people, read-only, on a thread of its own. It asks the gate who may
//!   see what, and reads the services and the store itself, in pages, because a reply may be longer than a page should be.
//! - [`dispatch`] is the gate every command passes; [`commands`] holds the command table and one function per command.
//! - [`handler`] is what such a function is given; [`services`] is the server-wide state behind it.
//! - [`persist`] is what stays when the process does not: snapshots and the append-only file, in Redis's formats.
//! - [`store`] is the data: hashes by key, sharded; [`resp`] is the wire format.
//! - [`config`] and [`base`] are below everything.
//!
//! Invariants:
//!
//! 1. Nothing below `net` awaits. A command runs start to end on its connection's worker.
//! 2. A command on one key locks one shard, for the length of a store closure. Whatever touches several places (EXEC, DEL
//!    of two keys, RENAME, SWAPDB, FLUSHALL) locks all shards concerned, each once, in ascending order of database and
//!    shard, so that it is atomic and nobody waits in a circle.
//! 3. A change is reported to `services::changes` under the lock of its shard. The locks behind that (users, watches,
//!    subscriptions, tracking, mailboxes) come after the shards: the store is not called while one is held, and nothing
//!    locked but what follows in the order that its module names. Mailboxes are last.
//!    The append-only file gets the effects of changes there too, a command's or a transaction's in one piece before any of
//!    its shards is let go: so its order is that of execution.
//! 4. Everything has a limit: arguments, bulk sizes, query buffers, reply buffers, mailboxes, the queue of MULTI, the time
//!    expiry takes. What another thread must tell a connection goes through its mailbox.
//! 5. Time comes from [`base::clock`], read once per batch of requests, and anew by whoever locks several shards.
//! 6. `unsafe` is in four places, each behind a safe interface: [`base::prefetch`], [`base::thin`], and
//!    `store`'s templates and records, of which a record is a counted user of its template.
//! 7. No input makes the server panic, overflow its stack or hold memory beyond its limits. A panic in a command ends
//!    that client's connection, not the process.

pub mod base;
pub mod commands;
pub mod config;
pub mod dispatch;
pub mod handler;
pub mod http;
pub mod net;
pub mod persist;
pub mod resp;
pub mod server;
pub mod services;
pub mod store;
