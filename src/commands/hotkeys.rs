//! `HOTKEYS` and its subcommands.

use super::reply_help;
use crate::base::number;
use crate::handler::{Args, CommandError, Context, Outcome};
use crate::services::hot_keys::Wanted;

/// Keys that are reported if nothing is said.
const DEFAULT_COUNT: usize = 10;

/// The last hash slot: all slots are looked at, as there is no cluster.
const LAST_SLOT: i64 = 16_383;

/// `HOTKEYS START METRICS count [CPU] [NET] [COUNT k] [DURATION seconds] [SAMPLE ratio]` -> OK: finds out from now on which `k`
/// keys (10; 64 at most) take the most processor time, the most bytes of requests and replies, or both; of one call in
/// `ratio`; until STOP, or for so many seconds.
///
/// SLOTS is for clusters alone.
pub fn start(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    if ctx.services.hot_keys.is_active() {
        return Err(IN_PROGRESS);
    }
    let wanted = options(args)?;
    if !ctx.services.hot_keys.start(wanted, ctx.services.clock.now()) {
        return Err(IN_PROGRESS);
    }
    ctx.services.set_look();
    ctx.reply.ok();
    Ok(())
}

const IN_PROGRESS: CommandError = CommandError::Fixed("ERR hotkey tracking session already in progress");

fn options(args: &mut Args<'_>) -> Result<Wanted, CommandError> {
    if args.remaining() < 2 || !args.take_word("metrics") {
        return Err(CommandError::Fixed("ERR METRICS parameter is required"));
    }
    let metrics = within(args, (1, 2), "ERR METRICS count must be > 0 and <= 2")?;
    let mut wanted = Wanted { cpu: false, net: false, count: DEFAULT_COUNT, duration_ms: None, sample_ratio: 1 };
    for _ in 0..metrics {
        if args.is_empty() {
            return Err(CommandError::Fixed("ERR METRICS count does not match number of metric types provided"));
        }
        if args.take_word("cpu") {
            if std::mem::replace(&mut wanted.cpu, true) {
                return Err(CommandError::Fixed("ERR METRICS CPU defined more than once!"));
            }
        } else if args.take_word("net") {
            if std::mem::replace(&mut wanted.net, true) {
                return Err(CommandError::Fixed("ERR METRICS NET defined more than once!"));
            }
        } else {
            // Metrics that are not known are passed over if there is one that is.
            args.next_bytes()?;
        }
    }
    if !wanted.cpu && !wanted.net {
        return Err(CommandError::Fixed("ERR METRICS no valid metrics passed. Supported: CPU|NET"));
    }
    while !args.is_empty() {
        if args.remaining() < 2 {
            return Err(CommandError::Syntax);
        } else if args.take_word("count") {
            let count = within(args, (1, 64), "ERR COUNT must be between 1 and 64")?;
            wanted.count = usize::try_from(count).unwrap_or(DEFAULT_COUNT);
        } else if args.take_word("duration") {
            let seconds = within(args, (1, 1_000_000), "ERR DURATION must be between 1 and 1000000")?;
            wanted.duration_ms = u64::try_from(seconds * 1000).ok();
        } else if args.take_word("sample") {
            let ratio = within(args, (1, i64::from(i32::MAX)), "ERR SAMPLE ratio must be positive")?;
            wanted.sample_ratio = u32::try_from(ratio).unwrap_or(1);
        } else if args.take_word("slots") {
            return Err(CommandError::Fixed("ERR SLOTS parameter cannot be used in non-cluster mode"));
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(wanted)
}

/// The next argument, if it is an integer from the first bound to the second.
fn within(args: &mut Args<'_>, (least, most): (i64, i64), refusal: &'static str) -> Result<i64, CommandError> {
    let value = args.next_optional().and_then(number::parse_i64);
    value.filter(|value| (least..=most).contains(value)).ok_or(CommandError::Fixed(refusal))
}

/// `HOTKEYS STOP` -> OK: collects no more, what has been found stays; null if nothing was collected.
pub fn stop(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    let now = ctx.services.clock.now();
    let is_over = ctx.services.hot_keys.stop_if_over(now);
    let has_stopped = !is_over && ctx.services.hot_keys.stop(now);
    ctx.services.set_look();
    if has_stopped {
        ctx.reply.ok();
    } else {
        ctx.reply.null();
    }
    Ok(())
}

/// `HOTKEYS RESET` -> OK: forgets what was found.
pub fn reset(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    if !ctx.services.hot_keys.reset() {
        return Err(CommandError::Fixed("ERR hotkey tracking session in progress, stop tracking first"));
    }
    ctx.reply.ok();
    Ok(())
}

/// `HOTKEYS GET` -> array of one map: what has been found, the keys as an array of key and microseconds, or key and bytes,
/// hottest first; null if nothing was collected.
///
/// A key's share is never reported as more than it is; how much less it may be, [`crate::services::hot_keys`] says.
pub fn get(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    let Some(found) = ctx.services.hot_keys.found(ctx.services.clock.now()) else {
        ctx.reply.null();
        return Ok(());
    };
    let (reply, wanted) = (&mut *ctx.reply, found.wanted);
    let integer = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let milliseconds = |time: std::time::Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    reply.array(1);
    reply.map(7 + if wanted.cpu { 3 } else { 0 } + if wanted.net { 2 } else { 0 });
    let mut field = |name: &str, value: i64| {
        reply.bulk(name.as_bytes());
        reply.integer(value);
    };
    field("tracking-active", i64::from(found.is_active));
    field("sample-ratio", i64::from(wanted.sample_ratio));
    reply.bulk(b"selected-slots");
    reply.array(1);
    reply.array(2);
    reply.integer(0);
    reply.integer(LAST_SLOT);
    let mut field = |name: &str, value: i64| {
        reply.bulk(name.as_bytes());
        reply.integer(value);
    };
    field("all-commands-all-slots-us", integer(found.all.nanoseconds / 1000));
    field("net-bytes-all-commands-all-slots", integer(found.all.bytes));
    field("collection-start-time-unix-ms", found.started_at.0);
    field("collection-duration-ms", integer(found.collected_ms));
    if wanted.cpu {
        field("total-cpu-time-user-ms", milliseconds(found.processor.user));
        field("total-cpu-time-sys-ms", milliseconds(found.processor.system));
    }
    if wanted.net {
        field("total-net-bytes", integer(found.sampled_bytes));
    }
    let mut list = |name: &str, keys: &[(Box<[u8]>, u64)], unit: u64| {
        reply.bulk(name.as_bytes());
        reply.array(2 * keys.len());
        for (key, amount) in keys {
            reply.bulk(key);
            reply.integer(integer(amount / unit));
        }
    };
    if wanted.cpu {
        list("by-cpu-time-us", &found.by_time, 1000);
    }
    if wanted.net {
        list("by-net-bytes", &found.by_bytes, 1);
    }
    Ok(())
}

/// `HOTKEYS HELP` -> array: what the subcommands do.
pub fn help(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    reply_help(
        ctx.reply,
        "HOTKEYS",
        &[
            "START <METRICS count [CPU] [NET]> [COUNT k] [DURATION duration] [SAMPLE ratio] [SLOTS count slot...]",
            "    Starts hotkeys tracking with specified metrics.",
            "    * METRICS count [CPU] [NET]",
            "        Specify count of metrics and choose amongst:",
            "        - CPU: Track hotkeys by CPU time percentage",
            "        - NET: Track hotkeys by network bytes percentage",
            "    * COUNT k",
            "        Specifies the value of K for the top-K hotkeys tracking. Default: 10",
            "    * DURATION duration",
            "        Specifies tracking duration in seconds. 0 means tracking will continue until manually stopped. Default: 0",
            "    * SAMPLE ratio",
            "        Keys are tracked with probability 1/ratio. Default: 1 (tracks every key)",
            "    * SLOTS count slot...",
            "        Specify which slots to track keys from. Only available in cluster mode. Default: empty (track all slots)",
            "STOP",
            "    Stop hotkeys tracking. Results are still available via GET",
            "GET",
            "    Get results from hotkeys tracking.",
            "RESET",
            "    Reset memory used for hotkeys tracking. Tracking must have been stopped.",
            "    Results will no longer be available after this command.",
        ],
    );
    Ok(())
}
