//! Commands for what is kept: snapshots, and single keys as bytes.

use std::sync::atomic::Ordering;

use crate::handler::{Args, CommandError, Context, Outcome};
use crate::services::persistence::{Busy, For, Parts, Payload, SaveError, dump as dump_of};
use crate::store::{NewHash, Replace, Usage};

const IN_PROGRESS: CommandError = CommandError::Fixed("ERR Background save already in progress");

/// `SAVE` -> OK: the snapshot has been written. Only this client waits for it.
pub fn save(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    match ctx.services.save() {
        Ok(()) => {
            ctx.reply.ok();
            Ok(())
        }
        Err(SaveError::Busy) => Err(IN_PROGRESS),
        // As Redis: the log tells more.
        Err(SaveError::Io(_)) => Err(CommandError::Fixed("ERR")),
    }
}

/// `BGSAVE [SCHEDULE]` -> status: a snapshot of the data as it is now is being written, or will be as soon as possible.
pub fn bgsave(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let schedule = args.take_word("schedule");
    if !args.is_empty() {
        return Err(CommandError::Syntax);
    }
    if ctx.session.is_executing {
        if ctx.services.persistence.history().running_since.is_some() {
            return Err(IN_PROGRESS);
        }
        ctx.services.schedule_save();
        ctx.reply.simple("Background saving scheduled");
        return Ok(());
    }
    match ctx.services.save_in_background() {
        Ok(()) => ctx.reply.simple("Background saving started"),
        Err(Busy::Snapshot) => return Err(IN_PROGRESS),
        Err(Busy::Other) if schedule => {
            ctx.services.schedule_save();
            ctx.reply.simple("Background saving scheduled");
        }
        Err(Busy::Other) => {
            return Err(CommandError::Fixed(
                "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to \
                 schedule a BGSAVE whenever possible.",
            ));
        }
    }
    Ok(())
}

/// `LASTSAVE` -> integer: when the last snapshot succeeded, or the server was started; seconds since the Unix epoch.
pub fn lastsave(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    ctx.reply.integer(ctx.services.persistence.history().last_success);
    Ok(())
}

/// `DUMP key` -> bulk string: the value as Redis writes it, with version and checksum; null if the key is missing.
pub fn dump(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, compression) = (args.next_key()?, ctx.services.config.rdbcompression());
    let (store, reply) = (&mut ctx.store, &mut ctx.reply);
    store.view_whole(key, |hash| {
        let payload = hash.image().map(|image| dump_of(&image, compression, For::Anybody));
        reply.bulk_or_null(payload.as_deref());
    });
    Ok(())
}

/// The options of RESTORE.
#[derive(Default)]
struct RestoreOptions {
    replace: bool,
    absolute_ttl: bool,
    usage: Option<Usage>,
}

impl RestoreOptions {
    fn read(args: &mut Args<'_>) -> Result<Self, CommandError> {
        let mut options = Self::default();
        while !args.is_empty() {
            if args.take_word("replace") {
                options.replace = true;
            } else if args.take_word("absttl") {
                options.absolute_ttl = true;
            } else if args.remaining() >= 2 && !options.has_frequency() && args.take_word("idletime") {
                let seconds = args.next_i64()?;
                if seconds < 0 {
                    return Err(CommandError::Fixed("ERR Invalid IDLETIME value, must be >= 0"));
                }
                options.usage = Some(Usage::IdleSeconds(seconds));
            } else if args.remaining() >= 2 && !options.has_idle_time() && args.take_word("freq") {
                let frequency = u8::try_from(args.next_i64()?)
                    .map_err(|_| CommandError::Fixed("ERR Invalid FREQ value, must be >= 0 and <= 255"))?;
                options.usage = Some(Usage::Frequency(frequency));
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }

    fn has_idle_time(&self) -> bool {
        matches!(self.usage, Some(Usage::IdleSeconds(_)))
    }

    fn has_frequency(&self) -> bool {
        matches!(self.usage, Some(Usage::Frequency(_)))
    }
}

/// `RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]` -> OK: the key is what DUMP has told
/// of it. The TTL is in milliseconds, 0 for none, from now on or since the Unix epoch.
pub fn restore(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    const WRONG: CommandError = CommandError::Fixed("ERR DUMP payload version or checksum are wrong");
    const BUSY: CommandError = CommandError::Fixed("BUSYKEY Target key name already exists.");
    let (key, ttl, payload) = (args.next_key()?, args.next_bytes()?, args.next_bytes()?);
    let options = RestoreOptions::read(args)?;
    if !options.replace && ctx.store.exists_quietly(key) {
        return Err(BUSY);
    }
    let ttl = crate::base::number::parse_i64(ttl).ok_or(CommandError::NotInteger)?;
    if ttl < 0 {
        return Err(CommandError::Fixed("ERR Invalid TTL value, must be >= 0"));
    }
    let mut parts = Parts::default();
    let skips = ctx.services.persistence.skips_checksums.load(Ordering::Relaxed);
    let payload = if skips { Payload::check_version(payload) } else { Payload::check(payload) }.ok_or(WRONG)?;
    let is_checked = ctx.services.config.sanitize_dump_payload() != "no";
    let is_sound = payload.read(&mut parts).is_ok() && (!is_checked || payload.is_in_order(&parts));
    if !is_sound {
        return Err(CommandError::Fixed("ERR Bad data format"));
    }
    let at = if options.absolute_ttl { ttl } else { ctx.now.0.saturating_add(ttl) };
    let expiry = (ttl != 0).then_some(crate::base::clock::UnixMillis(at));
    if expiry.is_some_and(|at| at <= ctx.store.now()) {
        if options.replace {
            ctx.store.remove(key);
        }
        ctx.services.keyspace.stats.expired_keys.fetch_add(1, Ordering::Relaxed);
        ctx.reply.ok();
        return Ok(());
    }
    let fields: Vec<_> = parts.fields().collect();
    let new = NewHash {
        key,
        expiry,
        usage: options.usage,
        fields: &fields,
        has_expiries: parts.has_expiries,
        is_measured: parts.is_measured,
    };
    let replace = if options.replace { Replace::Yes } else { Replace::No };
    if !ctx.store.restore(&new, replace) {
        return Err(BUSY);
    }
    ctx.reply.ok();
    Ok(())
}
