//! The rows of the commands for what is kept, which follow those of the table.

macro_rules! with_persistence {
    ($table:ident $($rows:tt)*) => {
        $table! {
            $($rows)*
            Dump => read("dump", 2, kept::dump).flag(CommandFlags::WHOLE).keyspace().keys(RO_ACCESS)
                .tips(&["nondeterministic_output"])
                .doc("2.6.0",
                    "O(1) to access the key and additional O(N*M) to serialize it, where N is the number of Redis objects \
                    composing the value and M their average size. For small string values the time complexity is thus \
                    O(1)+O(1*M) where M is small, so simply O(1).",
                    "Returns a serialized representation of the value stored at a key.", "key");
            Restore => write("restore", -4, kept::restore).denyoom().keyspace().acl(Acl::DANGEROUS).keys(OW_UPDATE)
                .doc("2.6.0",
                    "O(1) to create the new key and additional O(N*M) to reconstruct the serialized value, where N is the \
                    number of Redis objects composing the value and M their average size. For small string values the \
                    time complexity is thus O(1)+O(1*M) where M is small, so simply O(1). However for sorted set values \
                    the complexity is O(N*M*log(N)) because inserting values into sorted sets is O(log(N)).",
                    "Creates a key from the serialized representation of a value.",
                    "key ttl serialized-value [REPLACE@3.0.0] [ABSTTL@5.0.0] [IDLETIME seconds@5.0.0] [FREQ frequency@5.0.0]");
            Migrate => write("migrate", -6, migrate::migrate).flag(CommandFlags::FILES).flag(CommandFlags::MOVABLEKEYS)
                .keyspace().acl(Acl::DANGEROUS).keys(MIGRATE_KEYS).tips(&["nondeterministic_output"])
                .doc("2.6.0",
                    "This command actually executes a DUMP+DEL in the source instance, and a RESTORE in the target \
                    instance. See the pages of these commands for time complexity. Also an O(N) data transfer between \
                    the two instances is performed.",
                    "Atomically transfers a key from one Redis instance to another.",
                    "host port <key | \"\"=empty-string>=key-selector destination-db timeout [COPY@3.0.0] [REPLACE@3.0.0] \
                    [AUTH password@4.0.7 | AUTH2 username password@6.0.0]=authentication [KEYS key [key ...]@3.0.6]");
            Save => other("save", 1, kept::save).admin().noscript().flag(CommandFlags::NO_ASYNC_LOADING)
                .flag(CommandFlags::NO_MULTI).flag(CommandFlags::FILES).server()
                .doc("1.0.0", "O(N) where N is the total number of keys in all databases",
                    "Synchronously saves the database(s) to disk.", "");
            BgSave => other("bgsave", -1, kept::bgsave).admin().noscript().flag(CommandFlags::NO_ASYNC_LOADING).server()
                .doc("1.0.0", "O(1)", "Asynchronously saves the database(s) to disk.", "[SCHEDULE@3.2.2]");
            BgRewriteAof => other("bgrewriteaof", 1, append_only::bgrewriteaof).admin().noscript()
                .flag(CommandFlags::NO_ASYNC_LOADING).server()
                .doc("1.0.0", "O(1)", "Asynchronously rewrites the append-only file to disk.", "");
            LastSave => other("lastsave", 1, kept::lastsave).any_state().admin_command().fast().server()
                .tips(&["nondeterministic_output"])
                .doc("1.0.0", "O(1)", "Returns the Unix timestamp of the last successful save to disk.", "");
        }
    };
}

pub(super) use with_persistence;
