//! `DEBUG`: what test suites ask of a server. The gate refuses it unless `enable-debug-command` allows it.

use std::fmt::Write as _;
use std::time::Duration;

use super::reply_help;
use crate::base::number;
use crate::handler::RespVersion;
use crate::handler::session::Then;
use crate::handler::{Args, CommandError, Context, Outcome};
use crate::store::{Database, FieldExpiry, HashView, KeyExpiry};

/// `DEBUG subcommand [arg ...]` -> depends on the subcommand; `DEBUG HELP` lists them.
pub fn debug(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let subcommand = args.next_bytes()?;
    match (subcommand.to_ascii_lowercase().as_slice(), args.remaining()) {
        (b"sleep", 1) => sleep(ctx, args),
        (b"set-active-expire" | b"pause-cron" | b"set-allow-access-expired", 1) => switch(ctx, subcommand, args),
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

/// `DEBUG PANIC`: shows what a mistake in a command does: it closes its client, where Redis's crashes the server.
#[expect(clippy::panic, reason = "it is what is asked for")]
fn panic(ctx: &mut Context<'_>) -> Outcome {
    panic!("asked for by client {}", ctx.session.client.id.0)
}

/// `DEBUG SET-ACTIVE-EXPIRE|PAUSE-CRON|SET-ALLOW-ACCESS-EXPIRED 0|1`. Expiry is all that the cron job does, so that
/// pausing it is switching active expiry off.
fn switch(ctx: &mut Context<'_>, subcommand: &[u8], args: &mut Args<'_>) -> Outcome {
    let on = number::parse_i64(args.next_bytes()?).unwrap_or(0) != 0;
    let keyspace = &ctx.services.keyspace;
    if subcommand.eq_ignore_ascii_case(b"set-active-expire") {
        keyspace.set_active_expire(on);
    } else if subcommand.eq_ignore_ascii_case(b"pause-cron") {
        keyspace.set_active_expire(!on);
    } else {
        keyspace.set_allow_access_expired(on);
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
    let encoding = ctx.store.encoding(key).ok_or(CommandError::NoSuchKey)?;
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
        Some("listpack" | "listpackex") => {}
        Some(_) => return Err(CommandError::Fixed("ERR Not a listpack encoded object.")),
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
        let digest = key_digest(&mut ctx.store, key);
        ctx.reply.simple(&hex(&digest));
    }
}

fn help(ctx: &mut Context<'_>) {
    reply_help(
        ctx.reply,
        "DEBUG",
        &[
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
            "SLEEP <seconds>",
            "    Stop the server for <seconds>. Decimals allowed.",
            "LISTPACK <key>",
            "    Show low level info about the listpack encoding of <key>.",
            "PAUSE-CRON <0|1>",
            "    Stop periodic cron job processing.",
        ],
    );
}

/// A SHA-1 sum.
type Digest = [u8; 20];

/// The digest of a key: zeros for a missing one.
fn key_digest(store: &mut Database<'_>, key: &[u8]) -> Digest {
    let has_expiry = matches!(store.key_expiry(key), KeyExpiry::At(_));
    let mut digest = store.view(key, hash_digest);
    if has_expiry {
        add(&mut digest, b"!!expire!!");
    }
    digest
}

/// The digest of a hash, which does not depend on the order of its fields.
fn hash_digest(hash: &HashView<'_>) -> Digest {
    const HASH_TYPE: [u8; 4] = [0, 0, 0, 4];
    let mut digest = Digest::default();
    if hash.is_missing() {
        return digest;
    }
    mix(&mut digest, &HASH_TYPE);
    for (field, value) in hash.iter() {
        let mut element = Digest::default();
        mix(&mut element, field);
        mix(&mut element, &value.text());
        if matches!(hash.field_expiry(field), FieldExpiry::At(_)) {
            add(&mut element, b"!!hexpire!!");
        }
        add(&mut digest, &element);
    }
    digest
}

/// 40 hexadecimal digits.
fn hex(digest: &Digest) -> String {
    let mut text = String::with_capacity(40);
    for byte in digest {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Adds `bytes` so that the order of additions does not matter.
fn add(digest: &mut Digest, bytes: &[u8]) {
    for (byte, other) in digest.iter_mut().zip(sha1(bytes)) {
        *byte ^= other;
    }
}

/// Adds `bytes` so that the order matters.
fn mix(digest: &mut Digest, bytes: &[u8]) {
    add(digest, bytes);
    *digest = sha1(digest.as_slice());
}

/// SHA-1 (FIPS 180-4). Fit for fingerprints in tests only.
fn sha1(message: &[u8]) -> Digest {
    let mut state: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize((padded.len() + 8).next_multiple_of(64) - 8, 0);
    padded.extend_from_slice(&(message.len() as u64 * 8).to_be_bytes());
    for block in padded.as_chunks::<64>().0 {
        sha1_block(&mut state, block);
    }
    let mut digest = Digest::default();
    for (to, byte) in digest.iter_mut().zip(state.iter().flat_map(|word| word.to_be_bytes())) {
        *to = byte;
    }
    digest
}

#[expect(clippy::many_single_char_names, reason = "the standard names them so")]
fn sha1_block(state: &mut [u32; 5], block: &[u8; 64]) {
    let mut words: Vec<u32> = block.as_chunks::<4>().0.iter().map(|bytes| u32::from_be_bytes(*bytes)).collect();
    for at in 16..80 {
        let back = |distance: usize| words.get(at - distance).copied().unwrap_or_default();
        words.push((back(3) ^ back(8) ^ back(14) ^ back(16)).rotate_left(1));
    }
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    for (round, word) in words.iter().enumerate() {
        let (chosen, constant) = match round {
            0..20 => ((b & c) | (!b & d), 0x5a82_7999),
            20..40 => (b ^ c ^ d, 0x6ed9_eba1),
            40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc_u32),
            _ => (b ^ c ^ d, 0xca62_c1d6),
        };
        let next = a.rotate_left(5).wrapping_add(chosen).wrapping_add(e).wrapping_add(constant).wrapping_add(*word);
        (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
    }
    for (total, part) in state.iter_mut().zip([a, b, c, d, e]) {
        *total = total.wrapping_add(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha1_of_the_standards_examples() {
        assert_eq!(hex(&sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
        let long = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        assert_eq!(hex(&sha1(long)), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    }
}
