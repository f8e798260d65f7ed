//! Which requests take so long that the worker's other clients should not wait for them.

use super::Command;
use crate::base::clock::UnixMillis;
use crate::base::number;
use crate::commands::table;
use crate::handler::session::Queued;
use crate::handler::{Args, CommandFlags, Session, Spec};
use crate::services::Services;

/// So many arguments, fields or keys take about a millisecond.
const LONG: usize = 8192;

/// Whether a request takes long.
#[inline]
pub(super) fn takes_long(services: &Services, session: &Session, command: Command, args: Args<'_>) -> bool {
    if args.argc() > LONG {
        return true;
    }
    if command.id == table::Command::Exec.id() {
        return session.transaction.as_ref().is_some_and(|transaction| {
            let is_long = |queued: &Queued| {
                let args = queued.args.as_args();
                args.argc() > LONG || looks_at_much(services, session, queued.spec, args)
            };
            transaction.queue.len() > LONG || transaction.queue.iter().any(is_long)
        });
    }
    // What MULTI queues takes its time at EXEC.
    session.transaction.is_none() && looks_at_much(services, session, command.spec, args)
}

fn looks_at_much(services: &Services, session: &Session, spec: &Spec, args: Args<'_>) -> bool {
    if !spec.flags.intersects(CommandFlags::WHOLE | CommandFlags::FILES) {
        return false;
    }
    if spec.flags.contains(CommandFlags::FILES) {
        return true;
    }
    // Nothing is read, so it matters to nobody what time it is.
    let mut store = services.keyspace.database(session.database, UnixMillis(0));
    match spec.key_positions(args.argc()).next() {
        None => store.len() > LONG,
        // A sample is as long as it is asked for (HRANDFIELD).
        Some(_) if args.at(2).and_then(number::parse_i64).is_some_and(|count| count.unsigned_abs() < LONG as u64) => {
            false
        }
        Some((at, _)) => args.at(at).is_some_and(|key| store.is_long(key)),
    }
}
