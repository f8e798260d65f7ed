//! The command table: every command and subcommand the server knows, one row each.
//!
//! Everything users see about commands (COMMAND, COMMAND DOCS, ACL categories, key extraction) derives from it.
//! To add a command, write its handler and add a row here.

mod find;
pub mod history;
mod inside;
mod name_index;
mod persistence;
mod row;
mod rows;
pub mod syntax;
mod users;

pub use find::{acl_categories, all, lookup, lookup_full_name, lookup_subcommand, names, subcommands, tips, top_level};

use super::client::{kill, list, pause, tracking};
use super::{
    admin, append_only, client, config, connection, debug, hash, info, introspect, keys, migrate, persistence as kept,
    pubsub, transaction, wait,
};
use crate::handler::Reach::{Database, Everything, KeysElsewhere, NamedDatabases};
use crate::handler::spec::Channels;
use crate::handler::{Acl, CommandFlags, Spec};
use crate::services::stats::CommandId;
use persistence::with_persistence;
use row::{
    COPY_PAIR, MIGRATE_KEYS, OW_UPDATE, OW_UPDATE_AT_2, RENAME_PAIR, RENAMENX_PAIR, RM_DELETE_EACH, RO_ACCESS, RO_AT_2,
    RO_EACH, RO_ONLY, RW_ACCESS_DELETE, RW_ACCESS_UPDATE, RW_DELETE, RW_INSERT, RW_TTL_UPDATE, RW_UPDATE, Row,
    SHARD_CHANNEL, SHARD_CHANNELS, container, is_named_after, other, read, write,
};
use rows::commands;

with_persistence! { commands
    // Transactions
    Multi => other("multi", 1, transaction::multi).flag(CommandFlags::NOT_QUEUED).any_state().noscript().fast().transaction().flag(CommandFlags::ALLOW_BUSY)
        .doc("1.2.0", "O(1)", "Starts a transaction.", "");
    Exec => other("exec", 1, transaction::exec).flag(CommandFlags::NOT_QUEUED).any_state().noscript().transaction().flag(CommandFlags::SKIP_SLOWLOG)
        .flag(CommandFlags::SKIP_MONITOR)
        .doc("1.2.0", "Depends on commands in the transaction", "Executes all commands in a transaction.", "");
    Discard => other("discard", 1, transaction::discard).flag(CommandFlags::NOT_QUEUED).any_state().noscript().fast().transaction().flag(CommandFlags::ALLOW_BUSY)
        .doc("2.0.0", "O(N), when N is the number of queued commands", "Discards a transaction.", "");
    Watch => other("watch", -2, transaction::watch).flag(CommandFlags::NOT_QUEUED).any_state().noscript().fast().transaction().flag(CommandFlags::ALLOW_BUSY).keys(RO_EACH)
        .doc("2.2.0", "O(1) for every key.", "Monitors changes to keys to determine the execution of a transaction.",
            "key [key ...]");
    Unwatch => other("unwatch", 1, transaction::unwatch).any_state().noscript().fast().transaction().flag(CommandFlags::ALLOW_BUSY)
        .doc("2.2.0", "O(1)", "Forgets about watched keys of a transaction.", "");

    // Pub/Sub
    Subscribe => other("subscribe", -2, pubsub::subscribe).pubsub().channels(Channels::Each).denyoom().noscript()
        .doc("2.0.0", "O(N) where N is the number of channels to subscribe to.",
            "Listens for messages published to channels.", "channel [channel ...]");
    Unsubscribe => other("unsubscribe", -1, pubsub::unsubscribe).pubsub().noscript()
        .doc("2.0.0", "O(N) where N is the number of channels to unsubscribe.",
            "Stops listening to messages posted to channels.", "[channel [channel ...]]");
    PSubscribe => other("psubscribe", -2, pubsub::psubscribe).pubsub().channels(Channels::EachPattern).denyoom().noscript()
        .doc("2.0.0", "O(N) where N is the number of patterns to subscribe to.",
            "Listens for messages published to channels that match one or more patterns.", "pattern [pattern ...]");
    PUnsubscribe => other("punsubscribe", -1, pubsub::punsubscribe).pubsub().noscript()
        .doc("2.0.0", "O(N) where N is the number of patterns to unsubscribe.",
            "Stops listening to messages published to channels that match one or more patterns.",
            "[pattern [pattern ...]]");
    SSubscribe => other("ssubscribe", -2, pubsub::ssubscribe).pubsub().channels(Channels::Each).denyoom().noscript().keys(SHARD_CHANNELS)
        .doc("7.0.0", "O(N) where N is the number of shard channels to subscribe to.",
            "Listens for messages published to shard channels.", "shardchannel [shardchannel ...]");
    SUnsubscribe => other("sunsubscribe", -1, pubsub::sunsubscribe).pubsub().noscript().keys(SHARD_CHANNELS)
        .doc("7.0.0", "O(N) where N is the number of shard channels to unsubscribe.",
            "Stops listening to messages posted to shard channels.", "[shardchannel [shardchannel ...]]");
    Publish => other("publish", 3, pubsub::publish).pubsub().channels(Channels::First).fast().flag(CommandFlags::MAY_REPLICATE)
        .doc("2.0.0",
            "O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total number of \
            subscribed patterns (by any client).",
            "Posts a message to a channel.", "channel message");
    SPublish => other("spublish", 3, pubsub::spublish).pubsub().channels(Channels::First).fast().flag(CommandFlags::MAY_REPLICATE)
        .keys(SHARD_CHANNEL)
        .doc("7.0.0", "O(N) where N is the number of clients subscribed to the receiving shard channel.",
            "Post a message to a shard channel", "shardchannel message");
    PubSub => container("pubsub").group("pubsub")
        .doc("2.8.0", "Depends on subcommand.", "A container for Pub/Sub commands.", "")
    => {
        PubSubChannels => other("pubsub|channels", -2, pubsub::channels).pubsub()
            .doc("2.8.0",
                "O(N) where N is the number of active channels, and assuming constant time pattern matching \
                (relatively short channels and patterns)",
                "Returns the active channels.", "[pattern]"),
        PubSubNumSub => other("pubsub|numsub", -2, pubsub::numsub).pubsub()
            .doc("2.8.0", "O(N) for the NUMSUB subcommand, where N is the number of requested channels",
                "Returns a count of subscribers to channels.", "[channel [channel ...]]"),
        PubSubNumPat => other("pubsub|numpat", 2, pubsub::numpat).pubsub()
            .doc("2.8.0", "O(1)", "Returns a count of unique pattern subscriptions.", ""),
        PubSubShardChannels => other("pubsub|shardchannels", -2, pubsub::shardchannels).pubsub()
            .doc("7.0.0",
                "O(N) where N is the number of active shard channels, and assuming constant time pattern matching \
                (relatively short shard channels).",
                "Returns the active shard channels.", "[pattern]"),
        PubSubShardNumSub => other("pubsub|shardnumsub", -2, pubsub::shardnumsub).pubsub()
            .doc("7.0.0", "O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels",
                "Returns the count of subscribers of shard channels.", "[shardchannel [shardchannel ...]]"),
        PubSubHelp => other("pubsub|help", 2, pubsub::help).any_state().group("pubsub")
            .doc("6.2.0", "O(1)", "Returns helpful text about the different subcommands.", ""),
    };

    // Hashes
    HSet => write("hset", -4, hash::write::hset).denyoom().fast().hash().keys(RW_UPDATE)
        .doc("2.0.0",
            "O(1) for each field/value pair added, so O(N) to add N field/value pairs when the command is called with \
            multiple field/value pairs.",
            "Creates or modifies the value of a field in a hash.", "key field value [field value ...]=data");
    HmSet => write("hmset", -4, hash::write::hmset).denyoom().fast().hash().keys(RW_UPDATE)
        .doc("2.0.0", "O(N) where N is the number of fields being set.",
            "Sets the values of multiple fields.", "key field value [field value ...]=data");
    HSetNx => write("hsetnx", 4, hash::write::hsetnx).denyoom().fast().hash().keys(RW_INSERT)
        .doc("2.0.0", "O(1)",
            "Sets the value of a field in a hash only when the field doesn't exist.", "key field value");
    HDel => write("hdel", -3, hash::write::hdel).fast().hash().keys(RW_DELETE)
        .doc("2.0.0", "O(N) where N is the number of fields to be removed.",
            "Deletes one or more fields and their values from a hash. Deletes the hash if no fields remain.",
            "key field [field ...]");
    HIncrBy => write("hincrby", 4, hash::write::hincrby).denyoom().fast().hash().keys(RW_ACCESS_UPDATE)
        .doc("2.0.0", "O(1)",
            "Increments the integer value of a field in a hash by a number. Uses 0 as initial value if the field \
            doesn't exist.",
            "key field increment");
    HIncrByFloat => write("hincrbyfloat", 4, hash::write::hincrbyfloat).denyoom().fast().hash().keys(RW_ACCESS_UPDATE)
        .doc("2.6.0", "O(1)",
            "Increments the floating point value of a field by a number. Uses 0 as initial value if the field doesn't \
            exist.",
            "key field float-increment=increment");
    HGetDel => write("hgetdel", -5, hash::write::hgetdel).fast().hash().keys(RW_ACCESS_DELETE)
        .doc("8.0.0", "O(N) where N is the number of specified fields",
            "Returns the value of a field and deletes it from the hash.", "key FIELDS numfields field [field ...]");
    HGet => read("hget", 3, hash::read::hget).fast().hash().keys(RO_ACCESS)
        .doc("2.0.0", "O(1)", "Returns the value of a field in a hash.", "key field");
    HmGet => read("hmget", -3, hash::read::hmget).fast().hash().keys(RO_ACCESS)
        .doc("2.0.0", "O(N) where N is the number of fields being requested.",
            "Returns the values of all fields in a hash.", "key field [field ...]");
    HGetAll => read("hgetall", 2, hash::read::hgetall).flag(CommandFlags::WHOLE).hash().keys(RO_ACCESS).tips(&["nondeterministic_output_order"])
        .doc("2.0.0", "O(N) where N is the size of the hash.", "Returns all fields and values in a hash.", "key");
    HExists => read("hexists", 3, hash::read::hexists).fast().hash().keys(RO_ONLY)
        .doc("2.0.0", "O(1)", "Determines whether a field exists in a hash.", "key field");
    HLen => read("hlen", 2, hash::read::hlen).fast().hash().keys(RO_ONLY)
        .doc("2.0.0", "O(1)", "Returns the number of fields in a hash.", "key");
    HStrLen => read("hstrlen", 3, hash::read::hstrlen).fast().hash().keys(RO_ONLY)
        .doc("3.2.0", "O(1)", "Returns the length of the value of a field.", "key field");
    HKeys => read("hkeys", 2, hash::read::hkeys).flag(CommandFlags::WHOLE).hash().keys(RO_ACCESS).tips(&["nondeterministic_output_order"])
        .doc("2.0.0", "O(N) where N is the size of the hash.", "Returns all fields in a hash.", "key");
    HVals => read("hvals", 2, hash::read::hvals).flag(CommandFlags::WHOLE).hash().keys(RO_ACCESS).tips(&["nondeterministic_output_order"])
        .doc("2.0.0", "O(N) where N is the size of the hash.", "Returns all values in a hash.", "key");
    HScan => read("hscan", -3, hash::scan::hscan).flag(CommandFlags::BY_COUNT).hash().keys(RO_ACCESS).tips(&["nondeterministic_output"])
        .doc("2.8.0",
            "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to \
            return back to 0. N is the number of elements inside the collection.",
            "Iterates over fields and values of a hash.", "key cursor [MATCH pattern] [COUNT count] [NOVALUES]");
    HRandField => read("hrandfield", -2, hash::scan::hrandfield).flag(CommandFlags::WHOLE).hash().keys(RO_ACCESS)
        .tips(&["nondeterministic_output"])
        .doc("6.2.0", "O(N) where N is the number of fields returned",
            "Returns one or more random fields from a hash.", "key [count [WITHVALUES]]=options");
    HExpire => write("hexpire", -6, hash::field_ttl::hexpire).fast().hash().keys(RW_UPDATE)
        .doc("7.4.0", "O(N) where N is the number of specified fields",
            "Set expiry for hash field using relative time to expire (seconds)",
            "key seconds [NX | XX | GT | LT]=condition FIELDS numfields field [field ...]");
    HpExpire => write("hpexpire", -6, hash::field_ttl::hpexpire).fast().hash().keys(RW_UPDATE)
        .doc("7.4.0", "O(N) where N is the number of specified fields",
            "Set expiry for hash field using relative time to expire (milliseconds)",
            "key milliseconds [NX | XX | GT | LT]=condition FIELDS numfields field [field ...]");
    HExpireAt => write("hexpireat", -6, hash::field_ttl::hexpireat).fast().hash().keys(RW_UPDATE)
        .doc("7.4.0", "O(N) where N is the number of specified fields",
            "Set expiry for hash field using an absolute Unix timestamp (seconds)",
            "key unix-time-seconds [NX | XX | GT | LT]=condition FIELDS numfields field [field ...]");
    HpExpireAt => write("hpexpireat", -6, hash::field_ttl::hpexpireat).fast().hash().keys(RW_UPDATE)
        .doc("7.4.0", "O(N) where N is the number of specified fields",
            "Set expiry for hash field using an absolute Unix timestamp (milliseconds)",
            "key unix-time-milliseconds [NX | XX | GT | LT]=condition FIELDS numfields field [field ...]");
    HTtl => read("httl", -5, hash::field_ttl::httl).fast().hash().keys(RO_ACCESS).tips(&["nondeterministic_output"])
        .doc("7.4.0", "O(N) where N is the number of specified fields",
            "Returns the TTL in seconds of a hash field.", "key FIELDS numfields field [field ...]");
    HpTtl => read("hpttl", -5, hash::field_ttl::hpttl).fast().hash().keys(RO_ACCESS).tips(&["nondeterministic_output"])
        .doc("7.4.0", "O(N) where N is the number of specified fields",
            "Returns the TTL in milliseconds of a hash field.", "key FIELDS numfields field [field ...]");
    HExpireTime => read("hexpiretime", -5, hash::field_ttl::hexpiretime).fast().hash().keys(RO_ACCESS)
        .doc("7.4.0", "O(N) where N is the number of specified fields",
            "Returns the expiration time of a hash field as a Unix timestamp, in seconds.",
            "key FIELDS numfields field [field ...]");
    HpExpireTime => read("hpexpiretime", -5, hash::field_ttl::hpexpiretime).fast().hash().keys(RO_ACCESS)
        .doc("7.4.0", "O(N) where N is the number of specified fields",
            "Returns the expiration time of a hash field as a Unix timestamp, in msec.",
            "key FIELDS numfields field [field ...]");
    HPersist => write("hpersist", -5, hash::field_ttl::hpersist).fast().hash().keys(RW_UPDATE)
        .doc("7.4.0", "O(N) where N is the number of specified fields",
            "Removes the expiration time for each specified field", "key FIELDS numfields field [field ...]");
    HGetEx => write("hgetex", -5, hash::field_ttl::hgetex).fast().hash().keys(RW_TTL_UPDATE)
        .doc("8.0.0", "O(N) where N is the number of specified fields",
            "Get the value of one or more fields of a given hash key, and optionally set their expiration.",
            "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds \
            | PERSIST]=expiration FIELDS numfields field [field ...]");
    HSetEx => write("hsetex", -6, hash::field_ttl::hsetex).denyoom().fast().hash().keys(RW_UPDATE)
        .doc("8.0.0", "O(N) where N is the number of fields being set.",
            "Set the value of one or more fields of a given hash key, and optionally set their expiration.",
            "key [NX | XX] [FNX | FXX]=condition [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT \
            unix-time-milliseconds | KEEPTTL]=expiration FIELDS numfields field value [field value ...]=data");
    HImport => container("himport").hash()
        .doc("8.10.0", "Depends on subcommand.", "A container for importing hashes by prepared fieldsets.", "")
    => {
        HImportPrepare => other("himport|prepare", -4, hash::import::prepare).denyoom().hash()
            .tips(&["request_policy:all_shards"])
            .doc("8.10.0", "O(N*log(N)) where N is the number of fields.",
                "Gives this connection a name for a list of field names.", "fieldset-name field [field ...]"),
        HImportSet => write("himport|set", -5, hash::import::set).denyoom().hash().keys(OW_UPDATE_AT_2)
            .doc("8.10.0", "O(N) where N is the number of fields in the fieldset.",
                "Replaces a hash by values given in the order of a prepared fieldset.",
                "key fieldset-name value [value ...]"),
        HImportDiscard => other("himport|discard", 3, hash::import::discard).hash().tips(&["request_policy:all_shards"])
            .doc("8.10.0", "O(N) where N is the number of fieldsets of the connection.",
                "Forgets a prepared fieldset.", "fieldset-name"),
        HImportDiscardAll => other("himport|discardall", 2, hash::import::discard_all).hash()
            .tips(&["request_policy:all_shards"])
            .doc("8.10.0", "O(N) where N is the number of fieldsets of the connection.",
                "Forgets all prepared fieldsets of the connection.", ""),
    };
    // Keys
    Del => write("del", -2, keys::del).keyspace().keys(RM_DELETE_EACH)
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .doc("1.0.0",
            "O(N) where N is the number of keys that will be removed. When a key to remove holds a value other than a \
            string, the individual complexity for this key is O(M) where M is the number of elements in the list, \
            set, sorted set or hash. Removing a single key that holds a string value is O(1).",
            "Deletes one or more keys.", "key [key ...]");
    Unlink => write("unlink", -2, keys::unlink).fast().keyspace().keys(RM_DELETE_EACH)
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .doc("4.0.0",
            "O(1) for each key removed regardless of its size. Then the command does O(N) work in a different thread \
            in order to reclaim memory, where N is the number of allocations the deleted objects where composed of.",
            "Asynchronously deletes one or more keys.", "key [key ...]");
    Exists => read("exists", -2, keys::exists).fast().keyspace().keys(RO_EACH)
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .doc("1.0.0", "O(N) where N is the number of keys to check.",
            "Determines whether one or more keys exist.", "key [key ...]");
    Touch => read("touch", -2, keys::touch).fast().keyspace().keys(RO_EACH)
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .doc("3.2.1", "O(N) where N is the number of keys that will be touched.",
            "Returns the number of existing keys out of those specified after updating the time they were last \
            accessed.",
            "key [key ...]");
    Type => read("type", 2, keys::type_of).fast().keyspace().keys(RO_ONLY)
        .doc("1.0.0", "O(1)", "Determines the type of value stored at a key.", "key");
    Rename => write("rename", 3, keys::rename).keyspace().keys(RENAME_PAIR)
        .doc("1.0.0", "O(1)", "Renames a key and overwrites the destination.", "key newkey");
    RenameNx => write("renamenx", 3, keys::renamenx).fast().keyspace().keys(RENAMENX_PAIR)
        .doc("1.0.0", "O(1)", "Renames a key only when the target key name doesn't exist.", "key newkey");
    Copy => write("copy", -3, keys::copy).reach(KeysElsewhere).denyoom().keyspace().keys(COPY_PAIR)
        .doc("6.2.0", "O(N) worst case for collections, where N is the number of nested items. O(1) for string values.",
            "Copies the value of a key to a new key.", "source destination [DB destination-db] [REPLACE]");
    Move => write("move", 3, keys::move_key).reach(KeysElsewhere).fast().keyspace().keys(RW_ACCESS_UPDATE)
        .doc("1.0.0", "O(1)", "Moves a key to another database.", "key db");
    SwapDb => write("swapdb", 3, keys::swapdb).reach(NamedDatabases).fast().server().acl(Acl::DANGEROUS).acl(Acl::KEYSPACE)
        .doc("4.0.0", "O(N) where N is the count of clients watching or blocking on keys from both databases.",
            "Swaps two Redis databases.", "index1 index2");
    RandomKey => read("randomkey", 1, keys::randomkey).reach(Database).keyspace()
        .tips(&["request_policy:all_shards", "response_policy:special", "nondeterministic_output"])
        .doc("1.0.0", "O(1)", "Returns a random key name from the database.", "");
    Keys => read("keys", 2, keys::keys).flag(CommandFlags::WHOLE).reach(Database).keyspace().acl(Acl::DANGEROUS)
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"])
        .doc("1.0.0",
            "O(N) with N being the number of keys in the database, under the assumption that the key names in the \
            database and the given pattern have limited length.",
            "Returns all key names that match a pattern.", "pattern");
    Scan => read("scan", -2, keys::scan).flag(CommandFlags::BY_COUNT).reach(Database).keyspace()
        .tips(&["nondeterministic_output", "request_policy:special", "response_policy:special"])
        .doc("2.8.0",
            "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to \
            return back to 0. N is the number of elements inside the collection.",
            "Iterates over the key names in the database.", "cursor [MATCH pattern] [COUNT count] [TYPE type@6.0.0]");
    DbSize => read("dbsize", 1, keys::dbsize).reach(Database).fast().server().acl(Acl::KEYSPACE)
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"])
        .doc("1.0.0", "O(1)", "Returns the number of keys in the database.", "");
    FlushDb => write("flushdb", -1, keys::flushdb).reach(Database).server().acl(Acl::DANGEROUS).acl(Acl::KEYSPACE)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .doc("1.0.0", "O(N) where N is the number of keys in the selected database",
            "Remove all keys from the current database.", "[ASYNC@4.0.0 | SYNC@6.2.0]=flush-type");
    FlushAll => write("flushall", -1, keys::flushall).reach(Everything).flag(CommandFlags::FILES).server().acl(Acl::DANGEROUS).acl(Acl::KEYSPACE)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .doc("1.0.0", "O(N) where N is the total number of keys in all databases",
            "Removes all keys from all databases.", "[ASYNC@4.0.0 | SYNC@6.2.0]=flush-type");
    Expire => write("expire", -3, keys::expire).fast().keyspace().keys(RW_UPDATE)
        .doc("1.0.0", "O(1)", "Sets the expiration time of a key in seconds.",
            "key seconds [NX | XX | GT | LT]=condition@7.0.0");
    PExpire => write("pexpire", -3, keys::pexpire).fast().keyspace().keys(RW_UPDATE)
        .doc("2.6.0", "O(1)",
            "Sets the expiration time of a key in milliseconds.",
            "key milliseconds [NX | XX | GT | LT]=condition@7.0.0");
    ExpireAt => write("expireat", -3, keys::expireat).fast().keyspace().keys(RW_UPDATE)
        .doc("1.2.0", "O(1)",
            "Sets the expiration time of a key to a Unix timestamp.",
            "key unix-time-seconds [NX | XX | GT | LT]=condition@7.0.0");
    PExpireAt => write("pexpireat", -3, keys::pexpireat).fast().keyspace().keys(RW_UPDATE)
        .doc("2.6.0", "O(1)", "Sets the expiration time of a key to a Unix milliseconds timestamp.",
            "key unix-time-milliseconds [NX | XX | GT | LT]=condition@7.0.0");
    Ttl => read("ttl", 2, keys::ttl).fast().keyspace().keys(RO_ACCESS).tips(&["nondeterministic_output"])
        .doc("1.0.0", "O(1)", "Returns the expiration time in seconds of a key.", "key");
    PTtl => read("pttl", 2, keys::pttl).fast().keyspace().keys(RO_ACCESS).tips(&["nondeterministic_output"])
        .doc("2.6.0", "O(1)", "Returns the expiration time in milliseconds of a key.", "key");
    ExpireTime => read("expiretime", 2, keys::expiretime).fast().keyspace().keys(RO_ACCESS)
        .doc("7.0.0", "O(1)", "Returns the expiration time of a key as a Unix timestamp.", "key");
    PExpireTime => read("pexpiretime", 2, keys::pexpiretime).fast().keyspace().keys(RO_ACCESS)
        .doc("7.0.0", "O(1)", "Returns the expiration time of a key as a Unix milliseconds timestamp.", "key");
    Persist => write("persist", 2, keys::persist).fast().keyspace().keys(RW_UPDATE)
        .doc("2.2.0", "O(1)", "Removes the expiration time of a key.", "key");
    Object => container("object").group("generic")
        .doc("2.2.3", "Depends on subcommand.", "A container for object introspection commands.", "")
    => {
        ObjectEncoding => read("object|encoding", 3, keys::object_encoding).keyspace().keys(RO_AT_2)
            .tips(&["nondeterministic_output"])
            .doc("2.2.3", "O(1)", "Returns the internal encoding of a Redis object.", "key"),
        ObjectFreq => read("object|freq", 3, keys::object_freq).keyspace().keys(RO_AT_2)
            .tips(&["nondeterministic_output"])
            .doc("4.0.0", "O(1)", "Returns the logarithmic access frequency counter of a Redis object.", "key"),
        ObjectIdleTime => read("object|idletime", 3, keys::object_idletime).keyspace().keys(RO_AT_2)
            .tips(&["nondeterministic_output"])
            .doc("2.2.3", "O(1)", "Returns the time since the last access to a Redis object.", "key"),
        ObjectRefCount => read("object|refcount", 3, keys::object_refcount).keyspace().keys(RO_AT_2)
            .tips(&["nondeterministic_output"])
            .doc("2.2.3", "O(1)", "Returns the reference count of a value of a key.", "key"),
        ObjectHelp => other("object|help", 2, keys::object_help).any_state().keyspace()
            .doc("6.2.0", "O(1)", "Returns helpful text about the different subcommands.", ""),
    };
    // Connections
    Hello => other("hello", -1, connection::hello).any_state().open().noscript().fast().connection()
        .doc("6.0.0", "O(1)",
            "Handshakes with the Redis server.", "[protover [AUTH username password] [SETNAME clientname]]=arguments");
    Auth => other("auth", -2, connection::auth).any_state().open().noscript().fast().connection()
        .doc("1.0.0", "O(N) where N is the number of passwords defined for the user",
            "Authenticates the connection.", "[username@6.0.0] password");
    Ping => other("ping", -1, connection::ping).fast().connection()
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .doc("1.0.0", "O(1)", "Returns the server's liveliness response.", "[message]");
    Echo => other("echo", 2, connection::echo).any_state().fast().connection()
        .doc("1.0.0", "O(1)", "Returns the given string.", "message");
    Select => other("select", 2, connection::select).any_state().fast().connection()
        .doc("1.0.0", "O(1)", "Changes the selected database.", "index");
    Quit => other("quit", -1, connection::quit).flag(CommandFlags::NOT_QUEUED).any_state().open().noscript().fast().connection()
        .doc("1.0.0", "O(1)", "Closes the connection.", "");
    Reset => other("reset", 1, connection::reset).flag(CommandFlags::NOT_QUEUED).any_state().open().noscript().fast().connection()
        .doc("6.2.0", "O(1)", "Resets the connection.", "");
    Client => container("client").group("connection")
        .doc("2.4.0", "Depends on subcommand.", "A container for client connection commands.", "")
    => {
        ClientId => other("client|id", 2, client::id).any_state().noscript().connection()
            .doc("5.0.0", "O(1)", "Returns the unique client ID of the connection.", ""),
        ClientInfo => other("client|info", 2, list::info).any_state().noscript().connection()
            .tips(&["nondeterministic_output"])
            .doc("6.2.0", "O(1)", "Returns information about the connection.", ""),
        ClientList => other("client|list", -2, list::list).any_state().admin().noscript().connection()
            .tips(&["nondeterministic_output"])
            .doc("2.4.0", "O(N) where N is the number of client connections", "Lists open connections.",
                "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>=client-type@5.0.0] [ID client-id [client-id ...]@6.2.0]"),
        ClientGetName => other("client|getname", 2, client::getname).any_state().noscript().connection()
            .doc("2.6.9", "O(1)", "Returns the name of the connection.", ""),
        ClientSetName => other("client|setname", 3, client::setname).any_state().noscript().connection()
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
            .doc("2.6.9", "O(1)", "Sets the connection name.", "connection-name"),
        ClientSetInfo => other("client|setinfo", 4, client::setinfo).any_state().noscript().connection()
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
            .doc("7.2.0", "O(1)",
                "Sets information specific to the client or connection.", "<LIB-NAME libname | LIB-VER libver>=attr"),
        ClientReply => other("client|reply", 3, client::reply).any_state().noscript().connection()
            .doc("3.2.0", "O(1)", "Instructs the server whether to reply to commands.", "<ON | OFF | SKIP>=action"),
        ClientNoEvict => other("client|no-evict", 3, client::no_evict).any_state().admin().noscript().connection()
            .doc("7.0.0", "O(1)", "Sets the client eviction mode of the connection.", "<ON | OFF>=enabled"),
        ClientNoTouch => other("client|no-touch", 3, client::no_touch).any_state().noscript().connection()
            .doc("7.2.0", "O(1)",
                "Controls whether commands sent by the client affect the LRU/LFU of accessed keys.",
                "<ON | OFF>=enabled"),
        ClientKill => other("client|kill", -3, kill::kill).any_state().admin().noscript().connection()
            .doc("2.4.0", "O(N) where N is the number of client connections", "Terminates open connections.",
                "<ip:port=old-format~2.8.12 | <[ID client-id@2.8.12] | [TYPE <NORMAL | MASTER@3.2.0 | SLAVE | \
                REPLICA@5.0.0 | PUBSUB>=client-type@2.8.12] | [USER username] | [ADDR ip:port=addr] | [LADDR \
                ip:port=laddr@6.2.0] | [SKIPME <YES | NO>=skipme] | [MAXAGE maxage@7.4.0]>=new-format+>=filter"),
        ClientPause => other("client|pause", -3, pause::pause).any_state().admin().noscript().connection()
            .doc("3.0.0", "O(1)", "Suspends commands processing.", "timeout [WRITE | ALL]=mode@6.2.0"),
        ClientUnpause => other("client|unpause", 2, pause::unpause).any_state().admin().noscript().connection()
            .doc("6.2.0", "O(N) Where N is the number of paused clients",
                "Resumes processing commands from paused clients.", ""),
        ClientUnblock => other("client|unblock", -3, pause::unblock).any_state().admin().noscript().connection()
            .doc("5.0.0", "O(log N) where N is the number of client connections",
                "Unblocks a client blocked by a blocking command from a different connection.",
                "client-id [TIMEOUT | ERROR]=unblock-type"),
        ClientTracking => other("client|tracking", -3, tracking::tracking).any_state().noscript().connection()
            .doc("6.0.0", "O(1). Some options may introduce additional complexity.",
                "Controls server-assisted client-side caching for the connection.",
                "<ON | OFF>=status [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] \
                [NOLOOP]"),
        ClientTrackingInfo => other("client|trackinginfo", 2, tracking::trackinginfo).any_state().noscript()
            .connection()
            .doc("6.2.0", "O(1)",
                "Returns information about server-assisted client-side caching for the connection.", ""),
        ClientCaching => other("client|caching", 3, tracking::caching).any_state().noscript().connection()
            .doc("6.0.0", "O(1)", "Instructs the server whether to track the keys in the next request.",
                "<YES | NO>=mode"),
        ClientGetRedir => other("client|getredir", 2, tracking::getredir).any_state().noscript().connection()
            .doc("6.0.0", "O(1)",
                "Returns the client ID to which the connection's tracking notifications are redirected.", ""),
        ClientHelp => other("client|help", 2, client::help).any_state().connection()
            .doc("5.0.0", "O(1)", "Returns helpful text about the different subcommands.", ""),
    };
    Command => other("command", -1, introspect::command).any_state().server().acl(Acl::CONNECTION)
        .tips(&["nondeterministic_output_order"])
        .doc("2.8.13", "O(N) where N is the total number of Redis commands",
            "Returns detailed information about all commands.", "")
    => {
        CommandCount => other("command|count", 2, introspect::count).any_state().server().acl(Acl::CONNECTION)
            .doc("2.8.13", "O(1)", "Returns a count of commands.", ""),
        CommandDocs => other("command|docs", -2, introspect::docs).any_state().server().acl(Acl::CONNECTION)
            .tips(&["nondeterministic_output_order"])
            .doc("7.0.0", "O(N) where N is the number of commands to look up",
                "Returns documentary information about one, multiple or all commands.",
                "[command-name [command-name ...]]"),
        CommandInfo => other("command|info", -2, introspect::info).any_state().server().acl(Acl::CONNECTION)
            .tips(&["nondeterministic_output_order"])
            .doc("2.8.13", "O(N) where N is the number of commands to look up",
                "Returns information about one, multiple or all commands.", "[command-name [command-name ...]]"),
        CommandList => other("command|list", -2, introspect::list).any_state().server().acl(Acl::CONNECTION)
            .tips(&["nondeterministic_output_order"])
            .doc("7.0.0", "O(N) where N is the total number of Redis commands", "Returns a list of command names.",
                "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>=filterby]"),
        CommandGetKeys => other("command|getkeys", -3, introspect::getkeys).any_state().server().acl(Acl::CONNECTION)
            .doc("2.8.13", "O(N) where N is the number of arguments to the command",
                "Extracts the key names from an arbitrary command.", "command [arg [arg ...]]"),
        CommandGetKeysAndFlags => other("command|getkeysandflags", -3, introspect::getkeysandflags).any_state()
            .server().acl(Acl::CONNECTION)
            .doc("7.0.0", "O(N) where N is the number of arguments to the command",
                "Extracts the key names and access flags for an arbitrary command.", "command [arg [arg ...]]"),
        CommandHelp => other("command|help", 2, introspect::help).any_state().server().acl(Acl::CONNECTION)
            .doc("5.0.0", "O(1)", "Returns helpful text about the different subcommands.", ""),
    };
    // The server
    Info => other("info", -1, info::info).any_state().server().acl(Acl::DANGEROUS)
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
        .doc("1.0.0", "O(1)", "Returns information and statistics about the server.", "[section [section ...]]");
    Config => container("config").server()
        .doc("2.0.0", "Depends on subcommand.", "A container for server configuration commands.", "")
    => {
        ConfigGet => other("config|get", -3, config::get).any_state().admin().noscript().server()
            .doc("2.0.0", "O(N) when N is the number of configuration parameters provided",
                "Returns the effective values of configuration parameters.", "parameter [parameter ...]"),
        ConfigSet => other("config|set", -4, config::set).any_state().admin().noscript().server()
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
            .doc("2.0.0", "O(N) when N is the number of configuration parameters provided",
                "Sets configuration parameters in-flight.", "parameter value [parameter value ...]=data"),
        ConfigResetStat => other("config|resetstat", 2, config::resetstat).any_state().admin().noscript()
            .server().tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
            .doc("2.0.0", "O(1)", "Resets the server's statistics.", ""),
        ConfigRewrite => other("config|rewrite", 2, config::rewrite).any_state().admin().noscript()
            .server().tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
            .doc("2.8.0", "O(1)", "Persists the effective configuration to file.", ""),
        ConfigHelp => other("config|help", 2, config::help).any_state().server()
            .doc("5.0.0", "O(1)", "Returns helpful text about the different subcommands.", ""),
    };
    Acl => container("acl").server()
        .doc("6.0.0", "Depends on subcommand.", "A container for Access List Control commands.", "")
    => {
        AclCat => users::ACL_CAT,
        AclDelUser => users::ACL_DEL_USER,
        AclDryRun => users::ACL_DRY_RUN,
        AclGenPass => users::ACL_GEN_PASS,
        AclGetUser => users::ACL_GET_USER,
        AclHelp => users::ACL_HELP,
        AclList => users::ACL_LIST,
        AclLoad => users::ACL_LOAD,
        AclLog => users::ACL_LOG,
        AclSave => users::ACL_SAVE,
        AclSetUser => users::ACL_SET_USER,
        AclUsers => users::ACL_USERS,
        AclWhoAmI => users::ACL_WHO_AM_I,
    };
    Monitor => other("monitor", 1, admin::monitor).any_state().admin().noscript().server()
        .doc("1.0.0", "", "Listens for all requests received by the server in real-time.", "");
    Wait => other("wait", 3, wait::wait).flag(CommandFlags::BLOCKING).group("generic").acl(Acl::BLOCKING)
        .acl(Acl::CONNECTION).tips(&["request_policy:all_shards", "response_policy:agg_min"])
        .doc("3.0.0", "O(1)",
            "Blocks until the asynchronous replication of all preceding write commands sent by the connection is \
            completed.",
            "numreplicas timeout");
    WaitAof => other("waitaof", 4, wait::waitaof).flag(CommandFlags::BLOCKING).group("generic").acl(Acl::BLOCKING)
        .acl(Acl::CONNECTION).tips(&["request_policy:all_shards", "response_policy:agg_min"])
        .doc("7.2.0", "O(1)",
            "Blocks until all of the preceding write commands sent by the connection are written to the append-only \
            file of the master and/or replicas.",
            "numlocal numreplicas timeout");
    Time => other("time", 1, admin::time).any_state().fast().server().tips(&["nondeterministic_output"])
        .doc("2.6.0", "O(1)", "Returns the server time.", "");
    Lolwut => read("lolwut", -1, admin::lolwut).fast().server()
        .doc("5.0.0", "", "Displays computer art and the Redis version", "[VERSION version]");
    Shutdown => other("shutdown", -1, admin::shutdown).any_state().admin().noscript().flag(CommandFlags::NO_MULTI)
        .flag(CommandFlags::ALLOW_BUSY).flag(CommandFlags::FILES).server()
        .doc("1.0.0",
            "O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise O(1)",
            "Synchronously saves the database(s) to disk and shuts down the Redis server.",
            "[NOSAVE | SAVE]=save-selector [NOW@7.0.0] [FORCE@7.0.0] [ABORT@7.0.0]");
    ReadOnly => other("readonly", 1, admin::cluster_disabled).any_state().fast().cluster().acl(Acl::CONNECTION)
        .doc("3.0.0", "O(1)", "Enables read-only queries for a connection to a Redis Cluster replica node.", "");
    ReadWrite => other("readwrite", 1, admin::cluster_disabled).any_state().fast().cluster().acl(Acl::CONNECTION)
        .doc("3.0.0", "O(1)", "Enables read-write queries for a connection to a Redis Cluster replica node.", "");
    Cluster => other("cluster", -2, admin::cluster).cluster()
        .doc("3.0.0", "Depends on subcommand.", "A container for Redis Cluster commands.", "");
    Memory => container("memory").server()
        .doc("4.0.0", "Depends on subcommand.", "A container for memory diagnostics commands.", "")
    => {
        MemoryDoctor => inside::MEMORY_DOCTOR,
        MemoryMallocStats => inside::MEMORY_MALLOC_STATS,
        MemoryPurge => inside::MEMORY_PURGE,
        MemoryStats => inside::MEMORY_STATS,
        MemoryUsage => inside::MEMORY_USAGE,
        MemoryHelp => inside::MEMORY_HELP,
    };
    SlowLog => container("slowlog").server()
        .doc("2.2.12", "Depends on subcommand.", "A container for slow log commands.", "")
    => {
        SlowLogGet => inside::SLOW_LOG_GET,
        SlowLogHelp => inside::SLOW_LOG_HELP,
        SlowLogLen => inside::SLOW_LOG_LEN,
        SlowLogReset => inside::SLOW_LOG_RESET,
    };
    Latency => container("latency").server()
        .doc("2.8.13", "Depends on subcommand.", "A container for latency diagnostics commands.", "")
    => {
        LatencyDoctor => inside::LATENCY_DOCTOR,
        LatencyGraph => inside::LATENCY_GRAPH,
        LatencyHelp => inside::LATENCY_HELP,
        LatencyHistogram => inside::LATENCY_HISTOGRAM,
        LatencyHistory => inside::LATENCY_HISTORY,
        LatencyLatest => inside::LATENCY_LATEST,
        LatencyReset => inside::LATENCY_RESET,
    };
    HotKeys => container("hotkeys").server()
        .doc("8.6.0", "Depends on subcommand.", "A container for hotkeys tracking commands.", "")
    => {
        HotKeysGet => inside::HOT_KEYS_GET,
        HotKeysHelp => inside::HOT_KEYS_HELP,
        HotKeysReset => inside::HOT_KEYS_RESET,
        HotKeysStart => inside::HOT_KEYS_START,
        HotKeysStop => inside::HOT_KEYS_STOP,
    };
    Module => container("module").server()
        .doc("4.0.0", "Depends on subcommand.", "A container for module commands.", "")
    => {
        ModuleList => inside::MODULE_LIST,
        ModuleHelp => inside::MODULE_HELP,
    };
    Debug => other("debug", -2, debug::debug).reach(Database).flag(CommandFlags::FILES).flag(CommandFlags::PROTECTED).any_state().admin().noscript().server()
        .doc("1.0.0", "Depends on subcommand.", "A container for debugging commands.", "");
    Asking => other("asking", 1, admin::cluster_disabled).fast().cluster().acl(Acl::CONNECTION)
        .doc("3.0.0", "O(1)", "Signals that a cluster client is following an -ASK redirect.", "");
}

impl Command {
    /// The command's id.
    pub const fn id(self) -> CommandId {
        CommandId(self as u16)
    }
}
