//! Commands for running the server: time, memory, modules, shutdown.

use std::sync::atomic::Ordering;

use super::reply_help;
use crate::base::clock;
use crate::config::Shutdown;
use crate::handler::session::Then;
use crate::handler::{Args, CommandError, Context, Outcome};
use crate::services::REDIS_VERSION;

/// `MONITOR` -> OK, and from then on a line for every command that any client runs, until RESET.
///
/// Asked again, it says nothing, as in Redis.
pub fn monitor(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    if ctx.session.is_executing {
        return Err(CommandError::Fixed("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    if !ctx.session.client.monitoring.load(Ordering::Relaxed) {
        ctx.services.monitors.add(&ctx.session.client);
        ctx.reply.ok();
    }
    Ok(())
}

/// `TIME` -> array: seconds since the Unix epoch, and microseconds within the second.
pub fn time(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    let now = i64::try_from(clock::unix_micros()).unwrap_or(i64::MAX);
    ctx.reply.array(2);
    ctx.reply.bulk_integer(now / 1_000_000);
    ctx.reply.bulk_integer(now % 1_000_000);
    Ok(())
}

/// `LOLWUT [VERSION version]` -> text: a small picture, and the version.
pub fn lolwut(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    if args.remaining() > 1 && args.take_word("version") {
        args.next_i64()?;
    }
    ctx.reply.verbatim(format!("{}\nRedis ver. {REDIS_VERSION}\n", sierpinski()).as_bytes());
    Ok(())
}

/// A triangle in which a place is filled when row and column share no bit.
fn sierpinski() -> String {
    const ROWS: usize = 16;
    let mut picture = String::new();
    for row in (0..ROWS).rev() {
        picture.push_str(&" ".repeat(row));
        let line: String = (0..ROWS - row).map(|column| if row & column == 0 { "# " } else { "  " }).collect();
        picture.push_str(line.trim_end());
        picture.push('\n');
    }
    picture
}

/// `SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]` -> nothing: stops the server, after a snapshot if SAVE or the times of
/// `save` ask for one. If that fails the server goes on, unless FORCE says to stop all the same.
pub fn shutdown(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let (mut nosave, mut save, mut force, mut now, mut abort) = (false, false, false, false, false);
    while !args.is_empty() {
        if args.take_word("nosave") {
            nosave = true;
        } else if args.take_word("save") {
            save = true;
        } else if args.take_word("force") {
            force = true;
        } else if args.take_word("now") {
            now = true;
        } else if args.take_word("abort") {
            abort = true;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    if (abort && (nosave || save || force || now)) || (nosave && save) {
        return Err(CommandError::Syntax);
    }
    if abort {
        return Err(CommandError::Fixed("ERR No shutdown in progress."));
    }
    let how = Shutdown { save: if save { Some(true) } else { nosave.then_some(false) }, force };
    // What changes from now on is saved when all clients are gone.
    if ctx.services.saves_at_end(how) && ctx.services.save_at_end().is_err() && !force {
        return Err(CommandError::Fixed("ERR Errors trying to SHUTDOWN. Check logs."));
    }
    ctx.services.request_shutdown(how);
    ctx.session.then = Then::Shutdown;
    Ok(())
}

/// The subcommands of CLUSTER, all refused for the same reason.
const CLUSTER_SUBCOMMANDS: &str = "addslots addslotsrange bumpepoch count-failure-reports countkeysinslot delslots \
    delslotsrange failover flushslots forget getkeysinslot help info keyslot links meet migration myid myshardid nodes \
    replicas replicate reset saveconfig set-config-epoch setslot shards slaves slot-stats slots syncslots";

/// `CLUSTER subcommand ...` -> error: there is no cluster.
pub fn cluster(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let name = args.next_bytes()?;
    if CLUSTER_SUBCOMMANDS.split_whitespace().any(|known| name.eq_ignore_ascii_case(known.as_bytes())) {
        return cluster_disabled(ctx, args);
    }
    let name = name.get(..128).unwrap_or(name);
    Err(CommandError::quoting("ERR unknown subcommand '", name, "'. Try CLUSTER HELP."))
}

/// `READONLY`, `READWRITE`, `ASKING` -> error: there is no cluster.
pub fn cluster_disabled(_ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    Err(CommandError::Fixed("ERR This instance has cluster support disabled"))
}

/// `MODULE LIST` -> array: empty, as there are no modules.
pub fn module_list(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    ctx.reply.array(0);
    Ok(())
}

/// `MODULE HELP` -> array: what the subcommands do.
pub fn module_help(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    reply_help(ctx.reply, "MODULE", &["LIST", "    Return a list of loaded modules."]);
    Ok(())
}
