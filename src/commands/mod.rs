//! Every command the server knows: one function each, in one file per family, and one row each in [`table`].

pub mod acl;
pub mod admin;
pub mod append_only;
pub mod client;
pub mod config;
pub mod connection;
pub mod debug;
pub mod hash;
pub mod hotkeys;
pub mod info;
pub mod introspect;
pub mod keys;
pub mod latency;
pub mod memory;
pub mod migrate;
pub mod persistence;
pub mod pubsub;
pub mod slowlog;
pub mod table;
pub mod transaction;
pub mod wait;

use crate::handler::ReplyWriter;

/// The reply of a container's HELP: the standard first line, `lines`, and the entry of HELP itself.
pub(crate) fn reply_help(reply: &mut ReplyWriter, container: &str, lines: &[&str]) {
    reply.array(lines.len() + 3);
    reply.simple(&format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for line in lines {
        reply.simple(line);
    }
    reply.simple("HELP");
    reply.simple("    Print this help.");
}
