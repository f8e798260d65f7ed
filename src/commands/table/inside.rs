//! Rows of the commands that show what goes on inside: MEMORY, MODULE, SLOWLOG, LATENCY, HOTKEYS.

use super::row::{RO_AT_2, Row, other, read};
use crate::commands::{admin, hotkeys, latency, memory, slowlog};
use crate::handler::Handler;

pub(super) const MEMORY_DOCTOR: Row = other("memory|doctor", 2, memory::doctor)
    .server()
    .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
    .doc("4.0.0", "O(1)", "Outputs a memory problems report.", "");
pub(super) const MEMORY_MALLOC_STATS: Row = other("memory|malloc-stats", 2, memory::malloc_stats)
    .server()
    .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
    .doc("4.0.0", "Depends on how much memory is allocated, could be slow", "Returns the allocator statistics.", "");
pub(super) const MEMORY_PURGE: Row = other("memory|purge", 2, memory::purge_pages)
    .server()
    .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
    .doc(
        "4.0.0",
        "Depends on how much memory is allocated, could be slow",
        "Asks the allocator to release memory.",
        "",
    );
pub(super) const MEMORY_STATS: Row = other("memory|stats", 2, memory::stats)
    .server()
    .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
    .doc("4.0.0", "O(1)", "Returns details about memory usage.", "");
pub(super) const MEMORY_USAGE: Row = read("memory|usage", -3, memory::usage).server().keys(RO_AT_2).doc(
    "4.0.0",
    "O(N) where N is the number of samples.",
    "Estimates the memory usage of a key.",
    "key [SAMPLES count]",
);
pub(super) const MEMORY_HELP: Row = other("memory|help", 2, memory::help).any_state().server().doc(
    "4.0.0",
    "O(1)",
    "Returns helpful text about the different subcommands.",
    "",
);

pub(super) const MODULE_LIST: Row = other("module|list", 2, admin::module_list)
    .admin()
    .noscript()
    .server()
    .tips(&["nondeterministic_output_order"])
    .doc("4.0.0", "O(N) where N is the number of loaded modules.", "Returns all loaded modules.", "");
pub(super) const MODULE_HELP: Row = other("module|help", 2, admin::module_help).any_state().server().doc(
    "5.0.0",
    "O(1)",
    "Returns helpful text about the different subcommands.",
    "",
);

pub(super) const SLOW_LOG_GET: Row = other("slowlog|get", -2, slowlog::get)
    .any_state()
    .admin()
    .server()
    .tips(&["request_policy:all_nodes", "nondeterministic_output"])
    .doc("2.2.12", "O(N) where N is the number of entries returned", "Returns the slow log's entries.", "[count]");
pub(super) const SLOW_LOG_HELP: Row = other("slowlog|help", 2, slowlog::help).any_state().server().doc(
    "6.2.0",
    "O(1)",
    "Show helpful text about the different subcommands",
    "",
);
pub(super) const SLOW_LOG_LEN: Row = other("slowlog|len", 2, slowlog::len)
    .any_state()
    .admin()
    .server()
    .tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"])
    .doc("2.2.12", "O(1)", "Returns the number of entries in the slow log.", "");
pub(super) const SLOW_LOG_RESET: Row = other("slowlog|reset", 2, slowlog::reset)
    .any_state()
    .admin()
    .server()
    .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
    .doc("2.2.12", "O(N) where N is the number of entries in the slowlog", "Clears all entries from the slow log.", "");
pub(super) const LATENCY_DOCTOR: Row = reading("latency|doctor", 2, latency::doctor).doc(
    "2.8.13",
    "O(1)",
    "Returns a human-readable latency analysis report.",
    "",
);
pub(super) const LATENCY_GRAPH: Row =
    reading("latency|graph", 3, latency::graph).doc("2.8.13", "O(1)", "Returns a latency graph for an event.", "event");
pub(super) const LATENCY_HISTOGRAM: Row = reading("latency|histogram", -2, latency::histogram).doc(
    "7.0.0",
    "O(N) where N is the number of commands with latency information being retrieved.",
    "Returns the cumulative distribution of latencies of a subset or all commands.",
    "[command [command ...]]",
);
pub(super) const LATENCY_HISTORY: Row = reading("latency|history", 3, latency::history).doc(
    "2.8.13",
    "O(1)",
    "Returns timestamp-latency samples for an event.",
    "event",
);
pub(super) const LATENCY_LATEST: Row = reading("latency|latest", 2, latency::latest).doc(
    "2.8.13",
    "O(1)",
    "Returns the latest latency samples for all events.",
    "",
);
pub(super) const LATENCY_RESET: Row = other("latency|reset", -2, latency::reset)
    .any_state()
    .admin()
    .noscript()
    .server()
    .tips(&["request_policy:all_nodes", "response_policy:agg_sum"])
    .doc("2.8.13", "O(1)", "Resets the latency data for one or more events.", "[event [event ...]]");
pub(super) const LATENCY_HELP: Row = other("latency|help", 2, latency::help).any_state().server().doc(
    "2.8.13",
    "O(1)",
    "Returns helpful text about the different subcommands.",
    "",
);

/// A subcommand of LATENCY that tells what has been measured.
const fn reading(full_name: &'static str, arity: i16, handler: Handler) -> Row {
    other(full_name, arity, handler).any_state().admin().noscript().server().tips(&[
        "nondeterministic_output",
        "request_policy:all_nodes",
        "response_policy:special",
    ])
}

pub(super) const HOT_KEYS_GET: Row = other("hotkeys|get", 2, hotkeys::get)
    .admin()
    .noscript()
    .server()
    .tips(&["nondeterministic_output", "request_policy:special", "response_policy:special"])
    .doc(
        "8.6.0",
        "O(K) where K is the number of hotkeys returned.",
        "Returns lists of top K hotkeys depending on metrics chosen in HOTKEYS START command.",
        "",
    );
pub(super) const HOT_KEYS_HELP: Row = other("hotkeys|help", 2, hotkeys::help).any_state().server().doc(
    "8.6.1",
    "O(1)",
    "Return helpful text about HOTKEYS command parameters.",
    "",
);
pub(super) const HOT_KEYS_RESET: Row = other("hotkeys|reset", 2, hotkeys::reset)
    .admin()
    .noscript()
    .server()
    .tips(&["request_policy:special"])
    .doc("8.6.0", "O(1)", "Release the resources used for hotkey tracking.", "");
pub(super) const HOT_KEYS_START: Row =
    other("hotkeys|start", -2, hotkeys::start).admin().noscript().server().tips(&["request_policy:special"]).doc(
        "8.6.0",
        "O(1)",
        "Starts hotkeys tracking.",
        "METRICS count [CPU] [NET] [COUNT k] [DURATION seconds] [SAMPLE ratio] [SLOTS count slot [slot ...]]",
    );
pub(super) const HOT_KEYS_STOP: Row = other("hotkeys|stop", 2, hotkeys::stop)
    .admin()
    .noscript()
    .server()
    .tips(&["request_policy:special"])
    .doc("8.6.0", "O(1)", "Stops hotkeys tracking.", "");
