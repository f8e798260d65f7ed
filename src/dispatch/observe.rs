//! Those who look on at the gate: client-side caching, which remembers what is read, and MONITOR.

use crate::commands::table;
use crate::handler::{Args, CommandFlags, Context, Session, Spec};
use crate::services::Services;
use crate::services::monitor::Shown;
use crate::services::stats::CommandId;
use crate::services::tracking::TrackingFlags;

/// Stands for a password in what MONITOR shows.
const REDACTED: &[u8] = b"(redacted)";

/// Whether the keys of a command are to be remembered for the client. Its shards are locked then, so that no change of
/// the keys can come between the reading and the remembering.
pub(super) fn remembers(session: &Session, spec: &Spec) -> bool {
    session.client.tracking.remembers() && spec.flags.contains(CommandFlags::READONLY) && !spec.keys.is_empty()
}

/// Lets a command that has run be remembered and shown.
pub(super) fn after(ctx: &Context<'_>, spec: &Spec, args: Args<'_>) {
    if remembers(ctx.session, spec) {
        let keys = spec.key_positions(args.argc()).filter_map(|(at, _)| args.at(at));
        ctx.services.changes.tracking.remember(&ctx.session.client, keys);
    }
    if !spec.flags.intersects(CommandFlags::SKIP_MONITOR | CommandFlags::ADMIN) {
        show(ctx.services, ctx.session, args);
    }
}

/// Shows a command to those who MONITOR.
#[inline]
pub(super) fn show(services: &Services, session: &Session, args: Args<'_>) {
    if services.monitors.any() {
        let shown = Shown { client: &session.client, database: session.database, arguments: without_passwords(args) };
        services.monitors.show(&shown, &services.config, services.clock.now());
    }
}

/// The arguments of a command, but for the passwords of AUTH and HELLO.
fn without_passwords(args: Args<'_>) -> Vec<&[u8]> {
    let mut shown: Vec<&[u8]> = args.argv().collect();
    let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    let Some((name, rest)) = shown.split_first_mut() else { return shown };
    if is(name, "auth") && rest.len() <= 2 {
        rest.fill(REDACTED);
    } else if is(name, "hello") {
        let mut rest = rest.iter_mut();
        while let Some(word) = rest.next() {
            if is(word, "auth") {
                rest.by_ref().take(2).for_each(|secret| *secret = REDACTED);
            } else if is(word, "setname") {
                rest.next();
            }
        }
    }
    shown
}

/// `CLIENT CACHING` ends with the command behind it, or with the transaction that is this command.
pub(super) fn end_caching(session: &Session, args: Args<'_>) {
    if session.client.tracking.flags().contains(TrackingFlags::CACHING)
        && session.transaction.is_none()
        && !args.at(0).is_some_and(|name| name.eq_ignore_ascii_case(b"client"))
    {
        session.client.tracking.remove(TrackingFlags::CACHING);
    }
}

/// Whether a command, or for EXEC one of those queued, reads or changes data.
pub(super) fn may_touch_data(session: &Session, spec: &Spec, id: CommandId) -> bool {
    let data = CommandFlags::WRITE | CommandFlags::READONLY | CommandFlags::MAY_REPLICATE;
    flags_with_queue(session, spec, id).intersects(data)
}

/// The flags of a command; for EXEC those of all commands queued too.
pub(super) fn flags_with_queue(session: &Session, spec: &Spec, id: CommandId) -> CommandFlags {
    let is_exec = id == table::Command::Exec.id();
    let queued = session.transaction.iter().filter(|_| is_exec).flat_map(|transaction| &transaction.queue);
    queued.fold(spec.flags, |flags, queued| flags | queued.spec.flags)
}
