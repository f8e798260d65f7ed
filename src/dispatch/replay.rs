//! Commands from the append-only file, which nobody is to be answered.

use super::{Command, EffectsEnd, locks, resolve_subcommand};
use crate::base::clock::UnixMillis;
use crate::commands::table;
use crate::handler::{Args, CommandFlags, Context, Session};
use crate::resp::reply::ReplyWriter;
use crate::services::Services;
use crate::services::persistence::Payload;

/// Why a command cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayError {
    /// It is not served here.
    Unknown(String),
    /// It restores a value that is no hash.
    Foreign(String),
    /// It has too few arguments, or too many.
    WrongArity(String),
}

/// Runs a command as it ran when it was logged: nothing is due, whatever the time is, because what went because of its time
/// is in the log as well.
///
/// What does not change data is left out. Errors that the command had, it has again; they change nothing.
pub fn replay(
    services: &Services,
    session: &mut Session,
    reply: &mut ReplyWriter,
    mut args: Args<'_>,
) -> Result<(), ReplayError> {
    let name = args.next_optional().unwrap_or_default();
    let shown = || String::from_utf8_lossy(name).into_owned();
    let (spec, id) = table::lookup(name).ok_or_else(|| ReplayError::Unknown(shown()))?;
    let (spec, id) = resolve_subcommand(name, spec, id, &mut args).map_err(|_| ReplayError::Unknown(shown()))?;
    if !spec.accepts(args.argc()) {
        return Err(ReplayError::WrongArity(shown()));
    }
    if is_foreign_restore(args) {
        return Err(ReplayError::Foreign(shown()));
    }
    let is_kept_in_session = id == table::Command::Select.id() || spec.full_name.starts_with("himport|");
    let Some(handler) = spec.handler.filter(|_| is_kept_in_session || spec.flags.contains(CommandFlags::WRITE)) else {
        return Ok(());
    };
    let command = Command { spec, id, handler };
    if locks::needs_locks(spec, id, args) {
        let wanted = locks::of_command(services, session.database, spec, args);
        let held = services.keyspace.lock(&wanted);
        let _unit = EffectsEnd(services);
        let mut context = context(services, session, reply);
        context.store.use_held(&held);
        run(context, command, args);
    } else {
        run(context(services, session, reply), command, args);
    }
    Ok(())
}

/// Whether a command restores a value that is no hash.
pub(super) fn is_foreign_restore(args: Args<'_>) -> bool {
    let is_restore = args.at(0).is_some_and(|name| name.eq_ignore_ascii_case(b"restore"));
    is_restore && args.at(3).and_then(Payload::check).is_some_and(|payload| payload.is_foreign())
}

pub(super) fn context<'a>(services: &'a Services, session: &'a mut Session, reply: &'a mut ReplyWriter) -> Context<'a> {
    let now = services.clock.now();
    let mut store = services.keyspace.database(session.database, UnixMillis(0));
    store.set_access_time(now);
    Context { session, reply, store, services, now }
}

fn run(mut context: Context<'_>, command: Command, mut args: Args<'_>) {
    let mark = context.reply.mark();
    // An error is not news: whoever sent the command has been told.
    drop((command.handler)(&mut context, &mut args));
    context.reply.truncate(mark);
}
