//! `DEBUG`: what test suites ask of a server. The gate refuses it unless `enable-debug-command` allows it.

mod digest;

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::reply_help;
use crate::base::number;
use crate::handler::RespVersion;
use crate::handler::session::Then;
use crate::handler::{Args, CommandError, Context, Outcome};
use crate::services::persistence::Reload;
use crate::store::Encoding;

/// `DEBUG subcommand [arg ...]` -> depends on the subcommand; `DEBUG HELP` lists them.
pub fn debug(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let subcommand = args.next_bytes()?;
    match (subcommand.to_ascii_lowercase().as_slice(), args.remaining()) {
        (b"sleep", 1) => sleep(ctx, args),
        (b"set-active-expire" | b"pause-cron" | b"set-allow-access-expired" | b"set-skip-checksum-validation", 1) => {
            switch(ctx, subcommand, args)
        }
        (b"object", 1) => object(ctx, args),
        (b"listpack", 1) => listpack(ctx, args),
        (b"protocol", 1) => protocol(ctx, args),
        (b"error", 1) => Err(CommandError::text(args.next_bytes()?)),
        (b"log", 1) => log(ctx, args),
        (b"config-rewrite-force-all", 0) => rewrite_configuration(ctx),
        (b"dict-resizing" | b"reply-copy-avoidance", 1) | (b"replybuffer", 2) => {
            nothing_to_switch(ctx, subcommand, args)
        }
        (b"digest-value", _) => {
            digest_value(ctx, args);
            Ok(())
        }
        (b"digest", 0) => {
            let digest = digest::of_all(ctx.services, ctx.now);
            ctx.reply.simple(&digest::hex(&digest));
            Ok(())
        }
        (b"reload", _) => reload(ctx, args),
        (b"loadaof", 0) => load_log(ctx),
        (b"panic", 0) => panic(ctx),
        (b"help", 0) => {
            help(ctx);
            Ok(())
        }
        _ => {
            let name = subcommand.get(..128).unwrap_or(subcommand);
            let why = "ERR unknown subcommand or wrong number of arguments for '";
            Err(CommandError::quoting(why, name, "'. Try DEBUG HELP."))
        }
    }
}

/// `DEBUG SLEEP seconds`: this client alone waits, where Redis stops the whole server.
fn sleep(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let seconds = number::parse_f64(args.next_bytes()?).unwrap_or(0.0);
    ctx.session.then = Then::Sleep(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    ctx.reply.ok();
    Ok(())
}

/// `DEBUG LOADAOF`: empties all databases and loads the append-only file.
fn load_log(ctx: &mut Context<'_>) -> Outcome {
    if ctx.session.is_executing {
        return Err(CommandError::Fixed("ERR DEBUG LOADAOF is not served in a transaction"));
    }
    if let Err(error) = ctx.services.load_log_again() {
        tracing::error!(error, "the append-only file cannot be loaded");
        return Err(CommandError::Fixed("ERR Error trying to load the AOF files, check server logs."));
    }
    ctx.reply.ok();
    Ok(())
}

/// `DEBUG PANIC`: shows what a mistake in a command does: it closes its client, where Redis's crashes the server.
#[expect(clippy::panic, reason = "it is what is asked for")]
fn panic(ctx: &mut Context<'_>) -> Outcome {
    panic!("asked for by client {}", ctx.session.client.id.0)
}

/// `DEBUG SET-ACTIVE-EXPIRE|PAUSE-CRON|SET-ALLOW-ACCESS-EXPIRED|SET-SKIP-CHECKSUM-VALIDATION 0|1`. Expiry is all that the
/// cron job does, so that pausing it is switching active expiry off.
fn switch(ctx: &mut Context<'_>, subcommand: &[u8], args: &mut Args<'_>) -> Outcome {
    let on = number::parse_i64(args.next_bytes()?).unwrap_or(0) != 0;
    let keyspace = &ctx.services.keyspace;
    if subcommand.eq_ignore_ascii_case(b"set-active-expire") {
        keyspace.set_active_expire(on);
    } else if subcommand.eq_ignore_ascii_case(b"pause-cron") {
        keyspace.set_active_expire(!on);
    } else if subcommand.eq_ignore_ascii_case(b"set-skip-checksum-validation") {
        ctx.services.persistence.skips_checksums.store(on, Ordering::Relaxed);
    } else {
        keyspace.set_allow_access_expired(on);
    }
    ctx.reply.ok();
    Ok(())
}

/// `DEBUG RELOAD [MERGE] [NOFLUSH] [NOSAVE]`: saves all data and loads it again, while other clients wait. What they change
/// between the two is lost.
fn reload(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let mut how = Reload::default();
    while !args.is_empty() {
        if args.take_word("merge") {
            how.merge = true;
        } else if args.take_word("noflush") {
            how.keep = true;
        } else if args.take_word("nosave") {
            how.no_save = true;
        } else {
            return Err(CommandError::Fixed("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options."));
        }
    }
    if ctx.session.is_executing {
        return Err(CommandError::Fixed("ERR DEBUG RELOAD is not served in a transaction"));
    }
    if !how.no_save && ctx.services.save_at_end().is_err() {
        return Err(CommandError::Fixed("ERR"));
    }
    if let Err(error) = ctx.services.reload(how) {
        tracing::warn!(%error, "DEBUG RELOAD has failed");
        return Err(CommandError::Fixed("ERR Error trying to load the RDB dump, check server logs"));
    }
    ctx.reply.ok();
    Ok(())
}

/// `DEBUG LOG message`: writes it to the server's log.
fn log(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    tracing::warn!(message = %args.next_bytes()?.escape_ascii(), "DEBUG LOG");
    ctx.reply.ok();
    Ok(())
}

/// `DEBUG CONFIG-REWRITE-FORCE-ALL`: CONFIG REWRITE that leaves nothing out because it is at its default.
fn rewrite_configuration(ctx: &mut Context<'_>) -> Outcome {
    match ctx.services.rewrite_configuration(true) {
        Ok(()) => ctx.reply.ok(),
        Err(error) => return Err(CommandError::text(format!("ERR CONFIG-REWRITE-FORCE-ALL failed: {error}"))),
    }
    Ok(())
}

/// `DEBUG DICT-RESIZING|REPLY-COPY-AVOIDANCE 0|1` and `DEBUG REPLYBUFFER PEAK-RESET-TIME|RESIZING value`: test suites switch
/// parts of Redis off that there are none of here, so that their steps are accepted and change nothing.
fn nothing_to_switch(ctx: &mut Context<'_>, subcommand: &[u8], args: &mut Args<'_>) -> Outcome {
    if subcommand.eq_ignore_ascii_case(b"replybuffer") {
        let what = args.next_bytes()?.to_ascii_lowercase();
        let value = args.next_bytes()?;
        match what.as_slice() {
            b"peak-reset-time" if [&b"never"[..], b"reset"].iter().any(|word| value.eq_ignore_ascii_case(word)) => {}
            b"peak-reset-time" => drop(number::parse_i64(value).ok_or(CommandError::NotInteger)?),
            b"resizing" => {}
            _ => {
                let why = "ERR unknown subcommand or wrong number of arguments for '";
                return Err(CommandError::quoting(why, subcommand, "'. Try DEBUG HELP."));
            }
        }
    }
    ctx.reply.ok();
    Ok(())
}

/// `DEBUG OBJECT key`: encoding and idle time. The address and the serialized length of Redis's reply are left out.
fn object(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    const CLOCK_BITS: i64 = 0x00ff_ffff;
    let key = args.next_key()?;
    let encoding = ctx.store.encoding(key).ok_or(CommandError::NoSuchKey)?.name();
    let idle = ctx.store.idle_seconds(key).ok_or(CommandError::NoSuchKey)?;
    let clock = (ctx.now.seconds() - idle) & CLOCK_BITS;
    ctx.reply.simple(&format!("Value at:0x0 refcount:1 encoding:{encoding} lru:{clock} lru_seconds_idle:{idle}"));
    Ok(())
}

/// `DEBUG LISTPACK key`: writes the fields of a small hash to the server's log.
fn listpack(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.next_key()?;
    match ctx.store.encoding(key) {
        None => return Err(CommandError::NoSuchKey),
        Some(Encoding::Listpack | Encoding::ListpackEx) => {}
        Some(Encoding::Hashtable) => return Err(CommandError::Fixed("ERR Not a listpack encoded object.")),
    }
    ctx.store.view(key, |hash| {
        for (index, (field, value)) in hash.iter().enumerate() {
            tracing::info!(index, field = %field.escape_ascii(), value = %value.text().escape_ascii(), "listpack entry");
        }
    });
    ctx.reply.simple("Listpack structure printed on stdout");
    Ok(())
}

/// `DEBUG PROTOCOL type`: a reply of each type that RESP knows.
fn protocol(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let is_resp3 = ctx.reply.version() == RespVersion::Resp3;
    let reply = &mut *ctx.reply;
    match args.next_bytes()?.to_ascii_lowercase().as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.integer(12345),
        b"double" => reply.double("3.141"),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            for number in 0..3 {
                reply.integer(number);
            }
        }
        b"set" => {
            reply.set(3);
            for number in 0..3 {
                reply.integer(number);
            }
        }
        b"map" => {
            reply.map(3);
            for number in 0..3 {
                reply.integer(number);
                reply.boolean(number == 1);
            }
        }
        b"attrib" => {
            if is_resp3 {
                reply.attribute(1);
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.integer(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" => {
            if !is_resp3 {
                return Err(CommandError::Fixed("ERR RESP2 is not supported by this command"));
            }
            reply.bulk(b"Some real reply following the push reply");
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.integer(42);
        }
        b"verbatim" => reply.verbatim(b"This is a verbatim\nstring"),
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        b"bignum" => reply.big_number("1234567999999999999999999999999999999"),
        _ => {
            return Err(CommandError::Fixed(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}

/// `DEBUG DIGEST-VALUE key [key ...]`: a fingerprint of each key, equal to Redis's for the same hash.
fn digest_value(ctx: &mut Context<'_>, args: &mut Args<'_>) {
    let keys = args.rest();
    ctx.reply.array(keys.len());
    for key in keys {
        let digest = digest::of_key(&mut ctx.store, key);
        ctx.reply.simple(&digest::hex(&digest));
    }
}

fn help(ctx: &mut Context<'_>) {
    reply_help(
        ctx.reply,
        "DEBUG",
        &[
            "DIGEST",
            "    Output a hex signature representing the current DB content.",
            "CONFIG-REWRITE-FORCE-ALL",
            "    Like CONFIG REWRITE but writes all configuration options, including",
            "    keywords not listed in original configuration file or default values.",
            "DICT-RESIZING <0|1>",
            "    Accepted for test suites; there is nothing to switch.",
            "DIGEST-VALUE <key> [<key> ...]",
            "    Output a hex signature of the values of all the specified keys.",
            "ERROR <string>",
            "    Return a Redis protocol error with <string> as message. Useful for clients",
            "    unit tests to simulate Redis errors.",
            "LOADAOF",
            "    Flush the AOF buffers on disk and reload the AOF in memory.",
            "LOG <message>",
            "    Write <message> to the server log.",
            "OBJECT <key>",
            "    Show low level info about `key` and associated value.",
            "PANIC",
            "    Make the command fail as a mistake in it would: its client is closed.",
            "PROTOCOL <type>",
            "    Reply with a test value of the specified type. <type> can be: string,",
            "    integer, double, bignum, null, array, set, map, attrib, push, verbatim,",
            "    true, false.",
            "RELOAD [option ...]",
            "    Save the RDB on disk and reload it back to memory. Valid <option> values:",
            "    * MERGE: conflicting keys will be loaded from RDB.",
            "    * NOFLUSH: the existing database will not be removed before load, but",
            "      conflicting keys will generate an exception and kill the server.",
            "    * NOSAVE: the database will be loaded from an existing RDB file.",
            "    Examples:",
            "    * DEBUG RELOAD: verify that the server is able to persist, flush and reload",
            "      the database.",
            "    * DEBUG RELOAD NOSAVE: replace the current database with the contents of an",
            "      existing RDB file.",
            "    * DEBUG RELOAD NOSAVE NOFLUSH MERGE: add the contents of an existing RDB",
            "      file to the database.",
            "REPLY-COPY-AVOIDANCE <0|1>",
            "REPLYBUFFER PEAK-RESET-TIME|RESIZING <value>",
            "    Accepted for test suites; there is nothing to switch.",
            "SET-ACTIVE-EXPIRE <0|1>",
            "    Setting it to 0 disables expiring keys (and hash-fields) in background ",
            "    when they are not accessed (otherwise the Redis behavior). Setting it",
            "    to 1 reenables back the default.",
            "SET-ALLOW-ACCESS-EXPIRED <0|1>",
            "    Setting it to 0 prevents access to expired keys (and hash-fields),",
            "    simulating the standard Redis behavior. Setting it to 1 allows",
            "    access to expired keys (and hash-fields) without triggering deletion.",
            "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
            "    Enables or disables the check of the checksum of RESTORE's payload.",
            "SLEEP <seconds>",
            "    Stop the server for <seconds>. Decimals allowed.",
            "LISTPACK <key>",
            "    Show low level info about the listpack encoding of <key>.",
            "PAUSE-CRON <0|1>",
            "    Stop periodic cron job processing.",
        ],
    );
}
