//! How commands have changed: the part of COMMAND DOCS that few rows of the table have something to say on.

/// What each of these commands learned, by version.
const CHANGES: &[(&str, &[(&str, &str)])] = &[
    ("hset", &[("4.0.0", "Accepts multiple `field` and `value` arguments.")]),
    ("hdel", &[("2.4.0", "Accepts multiple `field` arguments.")]),
    ("exists", &[("3.0.3", "Accepts multiple `key` arguments.")]),
    (
        "renamenx",
        &[("3.2.0", "The command no longer returns an error when source and destination names are the same.")],
    ),
    ("scan", &[("6.0.0", "Added the `TYPE` subcommand.")]),
    (
        "flushdb",
        &[
            ("4.0.0", "Added the `ASYNC` flushing mode modifier."),
            ("6.2.0", "Added the `SYNC` flushing mode modifier."),
        ],
    ),
    (
        "flushall",
        &[
            ("4.0.0", "Added the `ASYNC` flushing mode modifier."),
            ("6.2.0", "Added the `SYNC` flushing mode modifier."),
        ],
    ),
    ("expire", &[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")]),
    ("pexpire", &[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")]),
    ("expireat", &[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")]),
    ("pexpireat", &[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")]),
    ("ttl", &[("2.8.0", "Added the -2 reply.")]),
    ("pttl", &[("2.8.0", "Added the -2 reply.")]),
    (
        "hello",
        &[(
            "6.2.0",
            "`protover` made optional; when called without arguments the command reports the current connection's context.",
        )],
    ),
    ("acl|log", &[("7.2.0", "Added entry ID, timestamp created, and timestamp last updated.")]),
    (
        "acl|setuser",
        &[("6.2.0", "Added Pub/Sub channel patterns."), ("7.0.0", "Added selectors and key based permissions.")],
    ),
    (
        "acl|getuser",
        &[
            ("6.2.0", "Added Pub/Sub channel patterns."),
            (
                "7.0.0",
                "Added selectors and changed the format of key and channel patterns from a list to their rule representation.",
            ),
        ],
    ),
    ("slowlog|get", &[("4.0.0", "Added client IP address, port and name to the reply.")]),
    ("auth", &[("6.0.0", "Added ACL style (username and password).")]),
    (
        "client|list",
        &[
            ("2.8.12", "Added unique client `id` field."),
            ("5.0.0", "Added optional `TYPE` filter."),
            ("6.0.0", "Added `user` field."),
            ("6.2.0", "Added `argv-mem`, `tot-mem`, `laddr` and `redir` fields and the optional `ID` filter."),
            ("7.0.0", "Added `resp`, `multi-mem`, `rbs` and `rbp` fields."),
            ("7.0.3", "Added `ssub` field."),
            ("7.2.0", "Added `lib-name` and `lib-ver` fields."),
            ("7.4.0", "Added `watch` field."),
            ("8.0.0", "Added `io-thread` field."),
        ],
    ),
    (
        "client|kill",
        &[
            ("2.8.12", "Added new filter format."),
            ("2.8.12", "`ID` option."),
            ("3.2.0", "Added `master` type in for `TYPE` option."),
            ("5.0.0", "Replaced `slave` `TYPE` with `replica`. `slave` still supported for backward compatibility."),
            ("6.2.0", "`LADDR` option."),
            ("7.4.0", "`MAXAGE` option."),
        ],
    ),
    ("client|pause", &[("6.2.0", "`CLIENT PAUSE WRITE` mode added along with the `mode` option.")]),
    ("command|info", &[("7.0.0", "Allowed to be called with no argument to get info on all commands.")]),
    ("info", &[("7.0.0", "Added support for taking multiple section arguments.")]),
    ("config|get", &[("7.0.0", "Added the ability to pass multiple pattern parameters in one call")]),
    ("config|set", &[("7.0.0", "Added the ability to set multiple parameters in one call.")]),
    ("shutdown", &[("7.0.0", "Added the `NOW`, `FORCE` and `ABORT` modifiers.")]),
];

/// Commands that Redis advises against: name, since when, what to use instead.
const DEPRECATED: &[(&str, &str, &str)] =
    &[("hmset", "4.0.0", "`HSET` with multiple field-value pairs"), ("quit", "7.2.0", "just closing the connection")];

/// The changes of a command, as pairs of a version and what it brought.
pub fn changes(full_name: &str) -> &'static [(&'static str, &'static str)] {
    CHANGES.iter().find(|(name, _)| *name == full_name).map_or(&[], |(_, changes)| *changes)
}

/// Since when a command is advised against, and what to use instead.
pub fn deprecation(full_name: &str) -> Option<(&'static str, &'static str)> {
    DEPRECATED.iter().find(|(name, ..)| *name == full_name).map(|(_, since, instead)| (*since, *instead))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::table;

    #[test]
    fn every_name_is_in_the_table() {
        for name in CHANGES.iter().map(|(name, _)| name).chain(DEPRECATED.iter().map(|(name, ..)| name)) {
            assert!(table::lookup_full_name(name.as_bytes()).is_some(), "{name}");
        }
    }
}
