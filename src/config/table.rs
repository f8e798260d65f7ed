//! The parameters, one row each: everything else about the configuration is derived from these rows.
//!
//! A row reads `accessor: kind(arguments) = default, access, [aliases], help`. The name users type is the accessor with
//! `-` for `_`. "(no effect)" in the help marks a parameter that is stored for the sake of tools and of existing
//! configuration files, and changes nothing here.

use super::Config;
use super::kind::{self, Kind};

/// Who may change a parameter, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `CONFIG SET` may change it.
    Live,
    /// Only the start-up configuration sets it.
    Fixed,
    /// `CONFIG SET` may change it when `enable-protected-configs` allows.
    Guarded,
}

/// What the table says about one parameter.
#[derive(Debug)]
pub struct Row {
    /// The name of the parameter.
    pub name: &'static str,
    /// Other names of the same parameter; `CONFIG GET` reports them too.
    pub aliases: &'static [&'static str],
    /// How its value is read and shown.
    pub kind: Kind,
    /// Its value when nothing sets it, in the syntax of a configuration file.
    pub default: &'static str,
    /// Whether it can change at run time.
    pub access: Access,
    /// One sentence for `--help`.
    pub help: &'static str,
}

const YES_NO_LOCAL: &[&str] = &["no", "yes", "local"];
const DEBUG_LEVELS: &[&str] = &["debug", "verbose", "notice", "warning", "nothing"];
const SUPERVISORS: &[&str] = &["upstart", "systemd", "auto", "no"];
#[rustfmt::skip]
const POLICIES: &[&str] = &["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl", "volatile-lrm",
    "allkeys-lru", "allkeys-lfu", "allkeys-random", "allkeys-lrm", "noeviction"];
#[rustfmt::skip]
const FACILITIES: &[&str] = &["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"];
#[rustfmt::skip]
const SHUTDOWN_FLAGS: &[(&str, i64)] = &[("default", 0), ("save", 1), ("nosave", 2), ("now", 4), ("force", 8)];
const SLOT_STATISTICS: &[(&str, i64)] = &[("no", 0), ("yes", 7), ("cpu", 1), ("net", 2), ("mem", 4)];

const INT: i64 = i32::MAX as i64;
const LONG: i64 = i64::MAX;
const LONG_BYTES: u64 = i64::MAX as u64;

/// Turns an accessor's name into the parameter's, at compile time.
const fn dashed<const LENGTH: usize>(name: &str) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    let mut index = 0;
    while index < LENGTH {
        let byte = name.as_bytes()[index];
        bytes[index] = if byte == b'_' { b'-' } else { byte };
        index += 1;
    }
    bytes
}

macro_rules! kind {
    (bool) => {
        Kind::Bool
    };
    (int $min:expr, $max:expr) => {
        Kind::Integer { min: $min, max: $max }
    };
    (count $min:expr, $max:expr) => {
        Kind::Integer { min: $min, max: $max }
    };
    (port) => {
        Kind::Integer { min: 0, max: 65535 }
    };
    (octal $max:expr) => {
        Kind::Octal { max: $max }
    };
    (memory $min:expr, $max:expr) => {
        Kind::Memory { min: $min, max: $max }
    };
    (choice $names:expr) => {
        Kind::Choice($names)
    };
    (text) => {
        Kind::Text(kind::any_text)
    };
    (text $check:expr) => {
        Kind::Text($check)
    };
    (special $kind:expr) => {
        $kind
    };
}

macro_rules! accessor {
    (bool $id:ident $help:literal) => {
        #[doc = $help]
        #[inline]
        pub fn $id(&self) -> bool {
            self.number(Parameter::$id) != 0
        }
    };
    (int $id:ident $help:literal) => {
        #[doc = $help]
        #[inline]
        pub fn $id(&self) -> i64 {
            self.number(Parameter::$id)
        }
    };
    (count $id:ident $help:literal) => {
        #[doc = $help]
        #[inline]
        pub fn $id(&self) -> usize {
            usize::try_from(self.number(Parameter::$id)).unwrap_or(0)
        }
    };
    (port $id:ident $help:literal) => {
        #[doc = $help]
        #[inline]
        pub fn $id(&self) -> u16 {
            u16::try_from(self.number(Parameter::$id)).unwrap_or(0)
        }
    };
    (octal $id:ident $help:literal) => {
        #[doc = $help]
        #[inline]
        pub fn $id(&self) -> u32 {
            u32::try_from(self.number(Parameter::$id)).unwrap_or(0)
        }
    };
    (memory $id:ident $help:literal) => {
        #[doc = $help]
        #[inline]
        pub fn $id(&self) -> u64 {
            self.number(Parameter::$id).cast_unsigned()
        }
    };
    (choice $id:ident $help:literal) => {
        #[doc = $help]
        pub fn $id(&self) -> &'static str {
            self.choice(Parameter::$id)
        }
    };
    ($kind:ident $id:ident $help:literal) => {
        #[doc = $help]
        pub fn $id(&self) -> String {
            self.shown(Parameter::$id)
        }
    };
}

macro_rules! table {
    ($($id:ident: $kind:ident($($argument:tt)*) = $default:literal, $access:ident, [$($alias:literal),*],
        $help:literal;)*) => {
        /// A parameter, by its row.
        #[expect(non_camel_case_types, reason = "a variant is spelled as the accessor it stands for")]
        #[expect(missing_docs, reason = "the help sentence of the row documents the accessor")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Parameter { $($id),* }

        impl Parameter {
            /// Every parameter, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$id),*];
        }

        /// The rows, in the order of [`Parameter::ALL`].
        pub static ROWS: [Row; Parameter::ALL.len()] = [$(Row {
            name: {
                const BYTES: [u8; stringify!($id).len()] = dashed(stringify!($id));
                match std::str::from_utf8(&BYTES) { Ok(name) => name, Err(_) => stringify!($id) }
            },
            aliases: &[$($alias),*],
            kind: kind!($kind $($argument)*),
            default: $default,
            access: Access::$access,
            help: $help,
        }),*];

        /// One accessor a parameter; numbers and booleans are relaxed atomic loads, the rest copy a string.
        impl Config { $(accessor!($kind $id $help);)* }
    };
}

#[rustfmt::skip]
table! {
    // Network.
    bind: special(Kind::Bind) = "* -::*", Live, [], "Addresses to listen on; a leading - tolerates an address that is missing.";
    port: port() = "6379", Live, [], "TCP port to listen on, 0 for none.";
    unixsocket: text() = "", Fixed, [], "Path of the Unix socket to listen on.";
    unixsocketperm: octal(0o777) = "0", Fixed, [], "Permissions of the Unix socket, in octal.";
    tcp_backlog: int(0, INT) = "511", Fixed, [], "Connections the kernel queues before they are accepted.";
    tcp_keepalive: int(0, INT) = "300", Live, [], "Seconds between TCP keepalive probes, 0 for none.";
    timeout: int(0, INT) = "0", Live, [], "Seconds after which an idle client is closed, 0 for never.";
    maxclients: count(1, 4_294_967_295) = "10000", Live, [], "Largest number of clients connected at once.";
    max_new_connections_per_cycle: count(1, 1000) = "10", Live, [], "Connections accepted before others are served again.";
    http_port: port() = "0", Fixed, [], "TCP port of the metrics and the page for browsers, over HTTP; 0 for none.";
    http_bind: special(Kind::Bind) = "127.0.0.1", Fixed, [], "Addresses to listen on for HTTP.";
    http_hosts: text() = "", Live, [], "Names besides localhost by which HTTP clients may call this server, * for any.";
    protected_mode: bool() = "yes", Live, [], "Refuse remote clients as long as no password is set.";
    bind_source_addr: text() = "", Live, [], "Address of connections to a primary (no effect).";
    socket_mark_id: int(0, 4_294_967_295) = "0", Fixed, [], "Mark of the listening sockets' packets, for routing and filtering; 0 for none.";
    io_threads: count(1, 1024) = "", Fixed, ["threads"], "Threads that serve clients; one a core by default.";

    // Limits of a client.
    proto_max_bulk_len: memory(1 << 20, LONG_BYTES) = "512mb", Live, [], "Largest single argument of a request.";
    client_query_buffer_limit: memory(1 << 20, LONG_BYTES) = "1gb", Live, [], "Largest request of a client.";
    client_output_buffer_limit: special(Kind::OutputBufferLimits) = "normal 0 0 0 slave 256mb 64mb 60 pubsub 32mb 8mb 60", Live, [], "CLASS HARD SOFT SECONDS for each class of clients: what may wait to be sent before the client is closed.";
    lookahead: int(1, INT) = "16", Live, [], "Commands parsed ahead of the one that runs (no effect).";

    // Security.
    requirepass: text() = "", Live, [], "Password of the default user.";
    aclfile: text() = "", Fixed, [], "File that holds the ACL users.";
    acllog_max_len: count(0, LONG) = "128", Live, [], "Entries that ACL LOG keeps.";
    acl_pubsub_default: choice(&["allchannels", "resetchannels"]) = "resetchannels", Live, [], "Channels a new ACL user may use.";
    enable_debug_command: choice(YES_NO_LOCAL) = "no", Fixed, [], "Who may run DEBUG.";
    enable_module_command: choice(YES_NO_LOCAL) = "no", Fixed, [], "Who may run MODULE (no effect).";
    enable_protected_configs: choice(YES_NO_LOCAL) = "no", Fixed, [], "Who may CONFIG SET dir and dbfilename.";

    // Databases and memory.
    databases: count(1, INT) = "16", Fixed, [], "Number of databases.";
    maxmemory: memory(0, u64::MAX) = "0", Live, [], "Memory above which keys are evicted, 0 for no limit.";
    maxmemory_policy: choice(POLICIES) = "noeviction", Live, [], "Which keys are evicted.";
    maxmemory_samples: count(1, 64) = "5", Live, [], "Keys sampled to choose the one to evict.";
    maxmemory_eviction_tenacity: count(0, 100) = "10", Live, [], "How much time eviction may take, 0 to 100.";
    maxmemory_clients: special(Kind::MemoryOrPercent) = "0", Live, [], "Memory (or percentage of maxmemory) all clients may use together.";
    lfu_log_factor: count(0, INT) = "10", Live, [], "How slowly the LFU counter of a key saturates.";
    lfu_decay_time: count(0, INT) = "1", Live, [], "Minutes after which the LFU counter of a key decays.";
    active_expire_effort: count(1, 10) = "1", Live, [], "How hard expired keys and fields are looked for, 1 to 10.";
    lazyfree_lazy_eviction: bool() = "yes", Live, [], "Free evicted keys in the background.";
    lazyfree_lazy_expire: bool() = "yes", Live, [], "Free expired keys in the background.";
    lazyfree_lazy_server_del: bool() = "yes", Live, [], "Free overwritten keys in the background.";
    lazyfree_lazy_user_del: bool() = "yes", Live, [], "Make DEL behave as UNLINK.";
    lazyfree_lazy_user_flush: bool() = "yes", Live, [], "Make FLUSHALL and FLUSHDB asynchronous by default.";
    activerehashing: bool() = "yes", Live, [], "Resize tables in the background.";
    hz: count(0, INT) = "10", Live, [], "Background rounds a second, 1 to 500.";
    dynamic_hz: bool() = "yes", Live, [], "Run background tasks more often with many clients (no effect).";
    tracking_table_max_keys: count(0, LONG) = "1000000", Live, [], "Keys the client tracking table remembers, 0 for no limit.";
    notify_keyspace_events: special(Kind::KeyspaceEvents) = "", Live, [], "Classes of keyspace events to publish, as in KEA.";
    key_memory_histograms: bool() = "no", Live, [], "Keep histograms of key sizes (no effect).";

    // Encodings.
    hash_max_listpack_entries: count(0, LONG) = "512", Live, ["hash-max-ziplist-entries"], "Fields up to which a hash reports the listpack encoding.";
    hash_max_listpack_value: memory(0, LONG_BYTES) = "64", Live, ["hash-max-ziplist-value"], "Bytes up to which a field or value fits the listpack encoding.";
    hash_min_template_entries: count(0, LONG) = "0", Live, [], "Fields from which HIMPORT stores a hash as a template.";
    hash_max_template_entries: count(0, LONG) = "0", Live, [], "Fields up to which HIMPORT stores a hash as a template, 0 for no limit.";
    hash_rdb_load_min_template_entries: count(0, LONG) = "0", Live, [], "Fields from which a loaded hash becomes a template (no effect).";
    hash_rdb_load_max_template_entries: count(0, LONG) = "0", Live, [], "Fields up to which a loaded hash becomes a template (no effect).";
    hash_rdb_load_template_disassembly_threshold: count(0, LONG) = "0", Live, [], "Hashes below which a loaded template is dissolved (no effect).";
    list_max_listpack_size: int(-INT - 1, INT) = "-2", Live, ["list-max-ziplist-size"], "Encoding of lists (no effect).";
    list_compress_depth: int(0, INT) = "0", Live, [], "Encoding of lists (no effect).";
    set_max_intset_entries: count(0, LONG) = "512", Live, [], "Encoding of sets (no effect).";
    set_max_listpack_entries: count(0, LONG) = "128", Live, [], "Encoding of sets (no effect).";
    set_max_listpack_value: count(0, LONG) = "64", Live, [], "Encoding of sets (no effect).";
    zset_max_listpack_entries: count(0, LONG) = "128", Live, ["zset-max-ziplist-entries"], "Encoding of sorted sets (no effect).";
    zset_max_listpack_value: memory(0, LONG_BYTES) = "64", Live, ["zset-max-ziplist-value"], "Encoding of sorted sets (no effect).";

    hll_sparse_max_bytes: memory(0, LONG_BYTES) = "3000", Live, [], "Encoding of hyperloglogs (no effect).";
    stream_node_max_bytes: memory(0, LONG_BYTES) = "4096", Live, [], "Encoding of streams (no effect).";
    stream_node_max_entries: int(0, LONG) = "100", Live, [], "Encoding of streams (no effect).";
    stream_idmp_duration: int(1, 86_400) = "100", Live, [], "Streams (no effect).";
    stream_idmp_maxsize: int(1, 10_000) = "100", Live, [], "Streams (no effect).";

    // Logs and monitoring.
    loglevel: choice(DEBUG_LEVELS) = "notice", Live, [], "Least severe messages to log.";
    logformat: choice(&["text", "json"]) = "text", Fixed, [], "Format of the log lines.";
    logfile: text() = "", Fixed, [], "File to log to, empty for the standard output.";
    hide_user_data_from_log: bool() = "no", Live, [], "Keep what clients send out of the log.";
    slowlog_log_slower_than: int(-1, LONG) = "10000", Live, [], "Microseconds from which SLOWLOG records a command, -1 for never.";
    slowlog_max_len: count(0, LONG) = "128", Live, [], "Entries that SLOWLOG keeps.";
    slowlog_entry_max_argc: int(2, INT) = "32", Live, [], "Arguments that SLOWLOG keeps of a command.";
    slowlog_entry_max_string_len: count(1, LONG) = "128", Live, [], "Bytes that SLOWLOG keeps of an argument.";
    latency_monitor_threshold: int(0, LONG) = "0", Live, [], "Milliseconds from which LATENCY records an event, 0 for never.";
    latency_tracking: bool() = "yes", Live, [], "Keep a latency histogram for each command.";
    latency_tracking_info_percentiles: special(Kind::Percentiles) = "50 99 99.9", Live, [], "Percentiles that INFO latencystats reports.";
    busy_reply_threshold: int(0, LONG) = "5000", Live, ["lua-time-limit"], "Milliseconds a script may run before others get BUSY (no effect).";
    syslog_enabled: bool() = "no", Fixed, [], "Log to syslog too.";
    syslog_ident: text() = "redis", Fixed, [], "Identity in syslog.";
    syslog_facility: choice(FACILITIES) = "local0", Fixed, [], "Facility in syslog: user, or local0 to local7.";
    crash_log_enabled: bool() = "yes", Live, [], "Log crashes; they always are (no effect).";
    crash_memcheck_enabled: bool() = "yes", Live, [], "Check the memory after a crash (no effect).";
    ignore_warnings: text() = "", Live, [], "Start-up warnings to ignore (no effect).";

    // Process.
    daemonize: bool() = "no", Fixed, [], "Run in the background.";
    supervised: choice(SUPERVISORS) = "no", Fixed, [], "Supervisor to tell that the server is ready: systemd, or auto to find out.";
    pidfile: text() = "", Fixed, [], "File to write the process id to.";
    dir: special(Kind::Directory) = "", Guarded, [], "Working directory.";
    shutdown_timeout: count(0, INT) = "10", Live, [], "Seconds a shutdown waits for what still runs.";
    shutdown_on_sigint: special(Kind::Flags { names: SHUTDOWN_FLAGS, conflict: 3 }) = "default", Live, [], "How SIGINT shuts the server down.";
    shutdown_on_sigterm: special(Kind::Flags { names: SHUTDOWN_FLAGS, conflict: 3 }) = "default", Live, [], "How SIGTERM shuts the server down.";
    always_show_logo: bool() = "no", Fixed, [], "Show the logo at start-up (no effect).";
    set_proc_title: bool() = "yes", Fixed, [], "Set the title of the process (no effect).";
    proc_title_template: text(kind::process_title) = "{title} {listen-addr} {server-mode}", Live, [], "Title of the process (no effect).";
    oom_score_adj: choice(&["no", "yes", "relative", "absolute"]) = "no", Live, [], "Whether to tell the kernel what to kill first: relative (or yes) to the score there is, or absolute.";
    oom_score_adj_values: special(Kind::OomScores) = "0 200 800", Live, [], "Scores of a primary, a replica and a child process, of which the first is used.";
    locale_collate: text() = "", Live, [], "Order of letters, for SORT (no effect).";
    disable_thp: bool() = "yes", Fixed, [], "Disable transparent huge pages; snapshots need no fork, which they would slow down (no effect).";
    jemalloc_bg_thread: bool() = "yes", Live, [], "Let the allocator give memory back by threads of its own.";
    server_cpulist: text() = "", Fixed, ["server_cpulist"], "CPUs of the threads that serve clients, as in 0-7:2 or 1,3.";
    bio_cpulist: text() = "", Fixed, ["bio_cpulist"], "CPUs of the background threads.";
    aof_rewrite_cpulist: text() = "", Fixed, ["aof_rewrite_cpulist"], "CPUs of the AOF rewrite.";
    bgsave_cpulist: text() = "", Fixed, ["bgsave_cpulist"], "CPUs of the snapshot.";
    activedefrag: bool() = "no", Live, [], "Defragment memory (no effect).";
    active_defrag_ignore_bytes: memory(1, LONG_BYTES) = "100mb", Live, [], "Defragmentation (no effect).";
    active_defrag_threshold_lower: int(0, 1000) = "10", Live, [], "Defragmentation (no effect).";
    active_defrag_threshold_upper: int(0, 1000) = "100", Live, [], "Defragmentation (no effect).";
    active_defrag_cycle_min: int(1, 99) = "1", Live, [], "Defragmentation (no effect).";
    active_defrag_cycle_max: int(1, 99) = "25", Live, [], "Defragmentation (no effect).";
    active_defrag_max_scan_fields: int(1, LONG) = "1000", Live, [], "Defragmentation (no effect).";

    // Persistence: hashd keeps everything in memory.
    save: special(Kind::Save) = "", Live, [], "SECONDS CHANGES pairs after which to save; empty for never.";
    dbfilename: text(kind::file_name) = "dump.rdb", Guarded, [], "Name of the snapshot.";
    rdbcompression: bool() = "yes", Live, [], "Compress the strings of snapshots.";
    rdbchecksum: bool() = "yes", Fixed, [], "Write, and check, a checksum at the end of snapshots.";
    rdb_del_sync_files: bool() = "no", Live, [], "Snapshots (no effect).";
    rdb_save_incremental_fsync: bool() = "yes", Live, [], "Sync snapshots while they are written (always so).";
    rdb_foreign_types: choice(&["refuse", "skip"]) = "refuse", Live, [], "What becomes of a snapshot's keys that are no hashes: the file is refused, or they are left out.";
    sanitize_dump_payload: choice(&["no", "yes", "clients"]) = "no", Live, [], "Also look at the order of the fields in the payload of RESTORE; all else is always looked at.";
    stop_writes_on_bgsave_error: bool() = "yes", Live, [], "Refuse writes while snapshots cannot be written.";
    appendonly: bool() = "no", Live, [], "Whether an append-only file is kept.";
    appendfsync: choice(&["everysec", "always", "no"]) = "everysec", Live, [], "When the append-only file is synced.";
    appendfilename: text(kind::append_file_name) = "appendonly.aof", Fixed, [], "Beginning of the names of the append-only files.";
    appenddirname: text(kind::directory_name) = "appendonlydir", Fixed, [], "Folder of the append-only files, in dir.";
    no_appendfsync_on_rewrite: bool() = "no", Live, [], "Whether the append-only file is not synced while it is rewritten.";
    auto_aof_rewrite_percentage: int(0, INT) = "100", Live, [], "Growth of the append-only file that has it rewritten.";
    auto_aof_rewrite_min_size: memory(0, LONG_BYTES) = "64mb", Live, [], "Size from which the append-only file is rewritten by itself.";
    aof_load_truncated: bool() = "yes", Live, [], "Whether an append-only file that ends in the midst of a command is loaded.";
    aof_load_corrupt_tail_max_size: int(0, LONG) = "0", Live, [], "Bytes at the end of the append-only file that may be no commands.";
    aof_rewrite_incremental_fsync: bool() = "yes", Live, [], "A rewrite is always synced as it grows (no effect).";
    aof_timestamp_enabled: bool() = "no", Live, [], "Whether the append-only file says when its commands ran.";
    aof_use_rdb_preamble: bool() = "yes", Live, [], "Whether the base of the append-only file is a snapshot rather than commands.";

    // Replication.
    replicaof: special(Kind::ReplicaOf) = "", Fixed, ["slaveof"], "Host and port of the primary to replicate (no effect).";
    masterauth: text() = "", Live, [], "Password of the primary (no effect).";
    masteruser: text() = "", Live, [], "User at the primary (no effect).";
    replica_read_only: bool() = "yes", Live, ["slave-read-only"], "Replication (no effect).";
    replica_serve_stale_data: bool() = "yes", Live, ["slave-serve-stale-data"], "Replication (no effect).";
    replica_lazy_flush: bool() = "yes", Live, ["slave-lazy-flush"], "Replication (no effect).";
    replica_ignore_maxmemory: bool() = "yes", Live, ["slave-ignore-maxmemory"], "Replication (no effect).";
    replica_ignore_disk_write_errors: bool() = "no", Live, [], "Replication (no effect).";
    replica_priority: int(0, INT) = "100", Live, ["slave-priority"], "Replication (no effect).";
    replica_announced: bool() = "yes", Live, [], "Replication (no effect).";
    replica_announce_ip: text() = "", Live, ["slave-announce-ip"], "Replication (no effect).";
    replica_announce_port: port() = "0", Live, ["slave-announce-port"], "Replication (no effect).";
    replica_full_sync_buffer_limit: memory(0, LONG_BYTES) = "0", Live, [], "Replication (no effect).";
    close_on_replica_write: bool() = "yes", Live, [], "Replication (no effect).";
    repl_diskless_sync: bool() = "yes", Live, [], "Replication (no effect).";
    repl_diskless_sync_delay: int(0, INT) = "5", Live, [], "Replication (no effect).";
    repl_diskless_sync_max_replicas: int(0, INT) = "0", Live, [], "Replication (no effect).";
    repl_diskless_load: choice(&["disabled", "on-empty-db", "swapdb", "flushdb"]) = "disabled", Live, [], "Replication (no effect).";
    repl_disable_tcp_nodelay: bool() = "no", Live, [], "Replication (no effect).";
    repl_ping_replica_period: int(1, INT) = "10", Live, ["repl-ping-slave-period"], "Replication (no effect).";
    repl_timeout: int(1, INT) = "60", Live, [], "Replication (no effect).";
    repl_backlog_size: memory(1, LONG_BYTES) = "1mb", Live, [], "Replication (no effect).";
    repl_backlog_ttl: int(0, LONG) = "3600", Live, [], "Replication (no effect).";
    min_replicas_to_write: int(0, INT) = "0", Live, ["min-slaves-to-write"], "Replicas without which nobody may write; there are none.";
    min_replicas_max_lag: int(0, INT) = "10", Live, ["min-slaves-max-lag"], "Seconds that such replicas may be late, 0 for no need of any.";
    propagation_error_behavior: choice(&["ignore", "panic", "panic-on-replicas"]) = "ignore", Live, [], "Replication (no effect).";

    // Cluster.
    cluster_enabled: bool() = "no", Fixed, [], "Cluster mode (no effect).";
    cluster_config_file: text() = "nodes.conf", Fixed, [], "Cluster mode (no effect).";
    cluster_port: port() = "0", Fixed, [], "Cluster mode (no effect).";
    cluster_node_timeout: int(0, LONG) = "15000", Live, [], "Cluster mode (no effect).";
    cluster_announce_ip: text(kind::ip_address) = "", Live, [], "Cluster mode (no effect).";
    cluster_announce_port: port() = "0", Live, [], "Cluster mode (no effect).";
    cluster_announce_tls_port: port() = "0", Live, [], "Cluster mode (no effect).";
    cluster_announce_bus_port: port() = "0", Live, [], "Cluster mode (no effect).";
    cluster_announce_hostname: text() = "", Live, [], "Cluster mode (no effect).";
    cluster_announce_human_nodename: text() = "", Live, [], "Cluster mode (no effect).";
    cluster_preferred_endpoint_type: choice(&["ip", "hostname", "unknown-endpoint"]) = "ip", Live, [], "Cluster mode (no effect).";
    cluster_require_full_coverage: bool() = "yes", Live, [], "Cluster mode (no effect).";
    cluster_allow_reads_when_down: bool() = "no", Live, [], "Cluster mode (no effect).";
    cluster_allow_pubsubshard_when_down: bool() = "yes", Live, [], "Cluster mode (no effect).";
    cluster_allow_replica_migration: bool() = "yes", Live, [], "Cluster mode (no effect).";
    cluster_migration_barrier: int(0, INT) = "1", Live, [], "Cluster mode (no effect).";
    cluster_replica_no_failover: bool() = "no", Live, ["cluster-slave-no-failover"], "Cluster mode (no effect).";
    cluster_replica_validity_factor: int(0, INT) = "10", Live, ["cluster-slave-validity-factor"], "Cluster mode (no effect).";
    cluster_link_sendbuf_limit: memory(0, u64::MAX) = "0", Live, [], "Cluster mode (no effect).";
    cluster_compatibility_sample_ratio: int(0, 100) = "0", Live, [], "Cluster mode (no effect).";
    cluster_slot_stats_enabled: special(Kind::Flags { names: SLOT_STATISTICS, conflict: 0 }) = "no", Live, [], "Cluster mode (no effect).";
    cluster_slot_migration_handoff_max_lag_bytes: memory(0, LONG_BYTES) = "1mb", Live, [], "Cluster mode (no effect).";
    cluster_slot_migration_write_pause_timeout: int(0, LONG) = "10000", Live, [], "Cluster mode (no effect).";

    // TLS.
    tls_port: port() = "0", Live, [], "TCP port to listen on for TLS, 0 for none.";
    tls_cert_file: text() = "", Live, [], "Certificate chain of the server, PEM.";
    tls_key_file: text() = "", Live, [], "Private key of the server, PEM.";
    tls_key_file_pass: text() = "", Live, [], "Password of the private key.";
    tls_client_cert_file: text() = "", Live, [], "TLS (no effect).";
    tls_client_key_file: text() = "", Live, [], "TLS (no effect).";
    tls_client_key_file_pass: text() = "", Live, [], "TLS (no effect).";
    tls_dh_params_file: text() = "", Live, [], "TLS (no effect).";
    tls_ca_cert_file: text() = "", Live, [], "Certificates that those of clients must descend from, PEM.";
    tls_ca_cert_dir: text() = "", Live, [], "Folder of such certificates.";
    tls_auth_clients: choice(&["no", "yes", "optional"]) = "yes", Live, [], "Whether TLS clients must show a certificate.";
    tls_auth_clients_user: choice(&["CN", "off"]) = "off", Live, [], "Which name in the certificate of a client is that of its user: CN, the common name, or off.";
    tls_replication: bool() = "no", Live, [], "TLS (no effect).";
    tls_cluster: bool() = "no", Live, [], "TLS (no effect).";
    tls_protocols: text() = "", Live, [], "Versions of TLS spoken, of TLSv1.2 and TLSv1.3; both by default.";
    tls_ciphers: text() = "", Live, [], "Ciphers of TLS 1.2, by their names in OpenSSL.";
    tls_ciphersuites: text() = "", Live, [], "Ciphers of TLS 1.3.";
    tls_prefer_server_ciphers: bool() = "no", Live, [], "Prefer the order of the server's ciphers to the client's.";
    tls_session_caching: bool() = "yes", Live, [], "Let TLS clients resume sessions.";
    tls_session_cache_size: int(0, INT) = "20480", Live, [], "TLS sessions remembered.";
    tls_session_cache_timeout: int(0, INT) = "300", Live, [], "TLS (no effect).";
    max_new_tls_connections_per_cycle: count(1, 1000) = "1", Live, [], "TLS connections accepted before others are served again.";

    // For test suites: as in Redis, only who asks for them by name sees them.
    aof_disable_auto_gc: bool() = "no", Live, [], "For tests (no effect).";
    cluster_ping_interval: int(0, LONG) = "0", Live, [], "For tests (no effect).";
    cluster_slot_migration_max_archived_tasks: int(1, INT) = "32", Live, [], "For tests (no effect).";
    cluster_slot_migration_sync_buffer_drain_timeout: int(0, LONG) = "60000", Live, [], "For tests (no effect).";
    key_load_delay: int(-INT - 1, INT) = "0", Live, [], "For tests (no effect).";
    lazyexpire_nested_arbitrary_keys: bool() = "yes", Live, [], "For tests (no effect).";
    loading_process_events_interval_bytes: int(1024, INT) = "524288", Live, [], "For tests (no effect).";
    lua_enable_deprecated_api: bool() = "no", Fixed, [], "For tests (no effect).";
    prefetch_batch_max_size: int(0, 128) = "16", Live, [], "For tests (no effect).";
    rdb_key_save_delay: int(-INT - 1, INT) = "0", Live, [], "For tests (no effect).";
    repl_rdb_channel: bool() = "yes", Live, [], "For tests (no effect).";
    use_exit_on_panic: bool() = "no", Live, [], "For tests (no effect).";
    watchdog_period: int(0, INT) = "0", Live, [], "For tests (no effect).";
}

/// Names that no pattern of `CONFIG GET` finds: those that Redis hides, and those that Redis does not have, so that what
/// reads all parameters of a Redis can set them all on another.
pub(super) const HIDDEN: &[&str] = &[
    "aof-disable-auto-gc",
    "cluster-ping-interval",
    "cluster-slot-migration-max-archived-tasks",
    "cluster-slot-migration-sync-buffer-drain-timeout",
    "key-load-delay",
    "lazyexpire-nested-arbitrary-keys",
    "loading-process-events-interval-bytes",
    "logformat",
    "lua-enable-deprecated-api",
    "prefetch-batch-max-size",
    "rdb-key-save-delay",
    "repl-rdb-channel",
    "threads",
    "use-exit-on-panic",
    "watchdog-period",
];

impl Parameter {
    /// The row of this parameter.
    pub fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// Finds a parameter by its name or an alias, in any case; the second half is the name as the table spells it.
    pub fn find(name: &[u8]) -> Option<(Self, &'static str)> {
        Self::ALL.iter().find_map(|parameter| {
            let spelled = parameter.names().find(|known| known.as_bytes().eq_ignore_ascii_case(name))?;
            Some((*parameter, spelled))
        })
    }

    /// The name of this parameter, then its aliases.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.row().name).chain(self.row().aliases.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_found_in_any_case() {
        let mut seen = HashSet::new();
        for parameter in Parameter::ALL {
            for name in parameter.names() {
                assert!(seen.insert(name), "{name} appears twice");
                assert_eq!(Parameter::find(name.to_uppercase().as_bytes()), Some((*parameter, name)));
            }
        }
        assert_eq!(Parameter::find(b"nosuch"), None);
    }

    #[test]
    fn the_name_is_the_accessor_with_dashes() {
        assert_eq!(Parameter::hash_max_listpack_entries.row().name, "hash-max-listpack-entries");
    }
}
