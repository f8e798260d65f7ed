//! Commands on keys and databases, whatever the keys hold.

use crate::base::clock::UnixMillis;
use crate::base::glob;
use crate::base::number::parse_i64;
use crate::handler::args::existing_database;
use crate::handler::{Args, CommandError, Context, Outcome};
use crate::store::{Database, KeyExpiry, Replace, Transfer};

// What EXPIRE, TTL and their kin report of a key.
const NO_KEY: i64 = -2;
const NO_EXPIRY: i64 = -1;

const SAME_OBJECTS: CommandError = CommandError::Fixed("ERR source and destination objects are the same");

/// `DEL key [key ...]` -> integer: number of keys removed.
pub fn del(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    count_keys(ctx, args, Database::remove);
    Ok(())
}

/// `UNLINK key [key ...]` -> integer: number of keys removed; their memory is given back as by DEL.
pub fn unlink(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    count_keys(ctx, args, Database::remove);
    Ok(())
}

/// `EXISTS key [key ...]` -> integer: number of arguments that name an existing key, repeated ones counted again.
pub fn exists(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    count_keys(ctx, args, Database::exists);
    Ok(())
}

/// `TOUCH key [key ...]` -> integer: number of existing keys, whose access clock is moved.
pub fn touch(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    count_keys(ctx, args, Database::touch);
    Ok(())
}

/// `TYPE key` -> simple string: `hash`, or `none` if the key is missing.
pub fn type_of(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let exists = ctx.store.key_expiry(args.next_key()?) != KeyExpiry::Missing;
    ctx.reply.simple(if exists { "hash" } else { "none" });
    Ok(())
}

/// `RENAME key newkey` -> OK: the key has the new name, in place of a key that had it.
pub fn rename(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let (from, to) = (args.next_key()?, args.next_key()?);
    if ctx.store.rename(from, to, Replace::Yes) == Transfer::NoSource {
        return Err(CommandError::NoSuchKey);
    }
    ctx.reply.ok();
    Ok(())
}

/// `RENAMENX key newkey` -> integer: 1 if the key has the new name, 0 if another key has it.
pub fn renamenx(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let (from, to) = (args.next_key()?, args.next_key()?);
    let transfer = ctx.store.rename(from, to, Replace::No);
    if transfer == Transfer::NoSource {
        return Err(CommandError::NoSuchKey);
    }
    ctx.reply.integer(i64::from(transfer == Transfer::Done));
    Ok(())
}

/// `COPY source destination [DB index] [REPLACE]` -> integer: 1 if copied, 0 if the source is missing or the destination
/// is in the way.
pub fn copy(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let (from, to) = (args.next_key()?, args.next_key()?);
    let (mut database, mut replace) = (ctx.store.index(), Replace::No);
    while !args.is_empty() {
        if args.take_word("REPLACE") {
            replace = Replace::Yes;
        } else if args.take_word("DB") {
            database = args.next_database(ctx.services.keyspace.database_count())?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    if database == ctx.store.index() && from == to {
        return Err(SAME_OBJECTS);
    }
    let transfer = ctx.store.copy_to(database, from, to, replace);
    ctx.reply.integer(i64::from(transfer == Transfer::Done));
    Ok(())
}

/// `MOVE key index` -> integer: 1 if the key has gone to the other database, 0 if it is missing here or exists there.
pub fn move_key(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.next_key()?;
    let database = args.next_database(ctx.services.keyspace.database_count())?;
    if database == ctx.store.index() {
        return Err(SAME_OBJECTS);
    }
    let transfer = ctx.store.move_to(database, key);
    ctx.reply.integer(i64::from(transfer == Transfer::Done));
    Ok(())
}

/// `SWAPDB index1 index2` -> OK: the two databases have changed places for everyone.
pub fn swapdb(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let one = parse_i32(args.next_bytes()?).ok_or(CommandError::Fixed("ERR invalid first DB index"))?;
    let other = parse_i32(args.next_bytes()?).ok_or(CommandError::Fixed("ERR invalid second DB index"))?;
    let count = ctx.services.keyspace.database_count();
    let (one, other) = (existing_database(one, count)?, existing_database(other, count)?);
    ctx.store.swap(one, other);
    ctx.reply.ok();
    Ok(())
}

/// `RANDOMKEY` -> bulk string: a key at random; null if there is none.
pub fn randomkey(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    let key = ctx.store.random_key();
    ctx.reply.bulk_or_null(key.as_deref());
    Ok(())
}

/// `KEYS pattern` -> array: all keys that match the pattern.
pub fn keys(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let pattern = args.next_bytes()?;
    let mut found: Vec<Box<[u8]>> = Vec::new();
    ctx.store.for_each_key(|key| {
        if pattern == b"*" || glob::matches(pattern, key) {
            found.push(key.into());
        }
    });
    ctx.reply.array(found.len());
    for key in &found {
        ctx.reply.bulk(key);
    }
    Ok(())
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]` -> array: next cursor, then the keys found on the way to it.
pub fn scan(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let cursor = args.next_cursor()?;
    let options = ScanOptions::parse(args)?;
    let mut found: Vec<Box<[u8]>> = Vec::new();
    let next = ctx.store.scan(cursor, options.count, |key| {
        if options.hashes_wanted && options.pattern.is_none_or(|pattern| glob::matches(pattern, key)) {
            found.push(key.into());
        }
    });
    ctx.reply.array(2);
    ctx.reply.bulk(itoa::Buffer::new().format(next.0).as_bytes());
    ctx.reply.array(found.len());
    for key in &found {
        ctx.reply.bulk(key);
    }
    Ok(())
}

/// `DBSIZE` -> integer: number of keys in the selected database.
pub fn dbsize(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    ctx.reply.count(ctx.store.len());
    Ok(())
}

/// `FLUSHDB [ASYNC | SYNC]` -> OK: the selected database is empty.
pub fn flushdb(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    check_flush_mode(args)?;
    ctx.store.flush();
    ctx.reply.ok();
    Ok(())
}

/// `FLUSHALL [ASYNC | SYNC]` -> OK: all databases are empty.
pub fn flushall(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    check_flush_mode(args)?;
    ctx.store.flush_all();
    ctx.services.note_flushed(ctx.store.changes());
    ctx.reply.ok();
    Ok(())
}

/// `EXPIRE key seconds [NX | XX | GT | LT]` -> integer: 1 if the expiry is set (a time that has passed deletes the key),
/// 0 if the key is missing or the condition not met.
pub fn expire(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    expire_key(ctx, args, "expire", TimeForm { milliseconds: 1000, start: ctx.now })
}

/// `PEXPIRE key milliseconds [NX | XX | GT | LT]` -> integer: as EXPIRE.
pub fn pexpire(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    expire_key(ctx, args, "pexpire", TimeForm { milliseconds: 1, start: ctx.now })
}

/// `EXPIREAT key unix-seconds [NX | XX | GT | LT]` -> integer: as EXPIRE.
pub fn expireat(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    expire_key(ctx, args, "expireat", TimeForm { milliseconds: 1000, start: UnixMillis(0) })
}

/// `PEXPIREAT key unix-milliseconds [NX | XX | GT | LT]` -> integer: as EXPIRE.
pub fn pexpireat(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    expire_key(ctx, args, "pexpireat", TimeForm { milliseconds: 1, start: UnixMillis(0) })
}

/// `TTL key` -> integer: seconds left, rounded; -1 no expiry, -2 no such key.
pub fn ttl(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    report_expiry(ctx, args, |at, now| rounded_seconds(time_left(at, now)))
}

/// `PTTL key` -> integer: milliseconds left; -1 no expiry, -2 no such key.
pub fn pttl(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    report_expiry(ctx, args, time_left)
}

/// `EXPIRETIME key` -> integer: expiry in Unix seconds, rounded; -1 no expiry, -2 no such key.
pub fn expiretime(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    report_expiry(ctx, args, |at, _| rounded_seconds(at.0))
}

/// `PEXPIRETIME key` -> integer: expiry in Unix milliseconds; -1 no expiry, -2 no such key.
pub fn pexpiretime(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    report_expiry(ctx, args, |at, _| at.0)
}

/// `PERSIST key` -> integer: 1 if the key had an expiry, which is taken away; 0 if not.
pub fn persist(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let persisted = ctx.store.persist(args.next_key()?);
    ctx.reply.integer(i64::from(persisted));
    Ok(())
}

/// `OBJECT ENCODING key` -> bulk string: the encoding that Redis would use; null if the key is missing.
pub fn object_encoding(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let encoding = ctx.store.encoding(args.next_key()?);
    ctx.reply.bulk_or_null(encoding.map(|encoding| encoding.name().as_bytes()));
    Ok(())
}

/// `OBJECT FREQ key` -> integer: how often the key is used, from 0 to 255 on a logarithmic scale; null if the key is
/// missing, an error if uses are not counted.
pub fn object_freq(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let Some(frequency) = ctx.store.frequency(args.next_key()?) else {
        ctx.reply.null();
        return Ok(());
    };
    if !ctx.services.keyspace.eviction.counts_uses() {
        return Err(CommandError::Fixed(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
             between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    ctx.reply.integer(i64::from(frequency));
    Ok(())
}

/// `OBJECT IDLETIME key` -> integer: seconds since the last access (since the last write where the policy goes by writes);
/// null if the key is missing, an error if uses are counted instead.
pub fn object_idletime(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let Some(seconds) = ctx.store.idle_seconds(args.next_key()?) else {
        ctx.reply.null();
        return Ok(());
    };
    if ctx.services.keyspace.eviction.counts_uses() {
        return Err(CommandError::Fixed(
            "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between \
             policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    ctx.reply.integer(seconds);
    Ok(())
}

/// `OBJECT REFCOUNT key` -> integer: 1, since hashes are not shared; null if the key is missing.
pub fn object_refcount(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    match ctx.store.encoding(args.next_key()?) {
        Some(_) => ctx.reply.integer(1),
        None => ctx.reply.null(),
    }
    Ok(())
}

/// `OBJECT HELP` -> array of simple strings: the subcommands.
pub fn object_help(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    const LINES: [&str; 12] = [
        "ENCODING <key>",
        "    Return the kind of internal representation used in order to store the value",
        "    associated with a <key>.",
        "FREQ <key>",
        "    Return the access frequency index of the <key>. The returned integer is",
        "    proportional to the logarithm of the recent access frequency of the key.",
        "IDLETIME <key>",
        "    Return the idle time of the <key>, that is the approximated number of",
        "    seconds elapsed since the last access to the key.",
        "REFCOUNT <key>",
        "    Return the number of references of the value associated with the specified",
        "    <key>.",
    ];
    super::reply_help(ctx.reply, "OBJECT", &LINES);
    Ok(())
}

/// Replies how many of the keys `visit` is true for.
fn count_keys<'s>(ctx: &mut Context<'s>, args: &mut Args<'_>, visit: fn(&mut Database<'s>, &[u8]) -> bool) {
    let count = args.rest().filter(|key| visit(&mut ctx.store, key)).count();
    ctx.reply.count(count);
}

/// How the time of EXPIRE and its kin is written.
#[derive(Clone, Copy)]
struct TimeForm {
    /// Milliseconds in a unit.
    milliseconds: i64,
    /// What it counts from.
    start: UnixMillis,
}

impl TimeForm {
    fn parse(self, text: &[u8], command: &'static str) -> Result<UnixMillis, CommandError> {
        let time = parse_i64(text).ok_or(CommandError::NotInteger)?;
        time.checked_mul(self.milliseconds)
            .and_then(|milliseconds| milliseconds.checked_add(self.start.0))
            .map(UnixMillis)
            .ok_or(CommandError::InvalidExpire(command))
    }
}

fn expire_key(ctx: &mut Context<'_>, args: &mut Args<'_>, command: &'static str, form: TimeForm) -> Outcome {
    let (key, time) = (args.next_key()?, args.next_bytes()?);
    // Options come after the time, but Redis complains of them first.
    let conditions = ExpireConditions::parse(args)?;
    let at = form.parse(time, command)?;
    let set = ctx.store.expire_key(key, at, |current| conditions.allow(current, at));
    ctx.reply.integer(i64::from(set));
    Ok(())
}

bitflags::bitflags! {
    /// When EXPIRE may change a key's expiry. A key without one counts as expiring never.
    #[derive(Clone, Copy, PartialEq, Eq)]
    struct ExpireConditions: u8 {
        const NX = 1 << 0;
        const XX = 1 << 1;
        const GT = 1 << 2;
        const LT = 1 << 3;
    }
}

impl ExpireConditions {
    fn parse(args: &mut Args<'_>) -> Result<Self, CommandError> {
        let mut conditions = Self::empty();
        while let Some(word) = args.next_optional() {
            let known = Self::all().iter_names().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
            let Some((_, condition)) = known else {
                return Err(CommandError::quoting("ERR Unsupported option ", word, ""));
            };
            conditions |= condition;
        }
        if conditions.contains(Self::NX) && conditions != Self::NX {
            return Err(CommandError::Fixed("ERR NX and XX, GT or LT options at the same time are not compatible"));
        }
        if conditions.contains(Self::GT | Self::LT) {
            return Err(CommandError::Fixed("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    fn allow(self, current: Option<UnixMillis>, at: UnixMillis) -> bool {
        self.iter().all(|condition| match (condition, current) {
            (Self::NX, current) => current.is_none(),
            (Self::XX, current) => current.is_some(),
            (Self::GT, current) => current.is_some_and(|current| at > current),
            (_, current) => current.is_none_or(|current| at < current),
        })
    }
}

fn report_expiry(
    ctx: &mut Context<'_>,
    args: &mut Args<'_>,
    report: fn(at: UnixMillis, now: UnixMillis) -> i64,
) -> Outcome {
    let expiry = ctx.store.key_expiry(args.next_key()?);
    ctx.reply.integer(match expiry {
        KeyExpiry::Missing => NO_KEY,
        KeyExpiry::Persistent => NO_EXPIRY,
        KeyExpiry::At(at) => report(at, ctx.now),
    });
    Ok(())
}

fn time_left(at: UnixMillis, now: UnixMillis) -> i64 {
    at.0.saturating_sub(now.0).max(0)
}

fn rounded_seconds(milliseconds: i64) -> i64 {
    let remainder = milliseconds % 1000;
    milliseconds / 1000 + i64::from(remainder >= 500)
}

/// The options of SCAN.
struct ScanOptions<'a> {
    /// `None` matches everything.
    pattern: Option<&'a [u8]>,
    count: usize,
    /// Whether keys of type `hash` are wanted: there are no others.
    hashes_wanted: bool,
}

impl<'a> ScanOptions<'a> {
    fn parse(args: &mut Args<'a>) -> Result<Self, CommandError> {
        let mut options = Self { pattern: None, count: 10, hashes_wanted: true };
        while !args.is_empty() {
            if args.take_word("MATCH") {
                options.pattern = Some(args.next_bytes()?).filter(|&pattern| pattern != b"*");
            } else if args.take_word("COUNT") {
                options.count = args.next_scan_count()?;
            } else if args.take_word("TYPE") {
                options.hashes_wanted = args.next_bytes()?.eq_ignore_ascii_case(b"hash");
            } else if args.take_word("NOVALUES") {
                return Err(CommandError::Fixed("ERR NOVALUES option can only be used in HSCAN"));
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }
}

fn check_flush_mode(args: &mut Args<'_>) -> Outcome {
    let known = args.is_empty() || args.take_word("ASYNC") || args.take_word("SYNC");
    if known && args.is_empty() { Ok(()) } else { Err(CommandError::Syntax) }
}

fn parse_i32(text: &[u8]) -> Option<i32> {
    parse_i64(text).and_then(|number| i32::try_from(number).ok())
}
