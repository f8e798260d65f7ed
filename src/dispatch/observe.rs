//! Those who look on at the gate: client-side caching, which remembers what is read, and MONITOR.

use crate::commands::table;
use crate::handler::{Args, CommandFlags, Context, Session, Spec};
use crate::services::Services;
use crate::services::monitor::Shown;
use crate::services::secrets;
use crate::services::stats::CommandId;
use crate::services::tracking::TrackingFlags;

/// Whether the keys of a command are to be remembered for the client. Its shards are locked then, so that no change of
/// the keys can come between the reading and the remembering.
pub(super) fn remembers(session: &Session, spec: &Spec) -> bool {
    session.client.tracking.remembers() && spec.flags.contains(CommandFlags::READONLY) && !spec.keys.is_empty()
}

/// Lets a command that has run be remembered and shown.
pub(super) fn after(ctx: &Context<'_>, spec: &Spec, args: Args<'_>) {
    if remembers(ctx.session, spec) {
        let keys = spec.key_positions(args.argc(), |at| args.at(at)).filter_map(|(at, _)| args.at(at));
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
        let shown =
            Shown { client: &session.client, database: session.database, arguments: secrets::hidden(args.argv()) };
        services.monitors.show(&shown, &services.config, services.clock.now());
    }
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
