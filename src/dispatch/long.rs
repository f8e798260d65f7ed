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
    if !spec.flags.intersects(CommandFlags::WHOLE | CommandFlags::BY_COUNT | CommandFlags::FILES) {
        return false;
    }
    if spec.flags.contains(CommandFlags::FILES) {
        return true;
    }
    if asks_for_few(spec, args) {
        return false;
    }
    // Nothing is read, so it matters to nobody what time it is.
    let mut store = services.keyspace.database(session.database, UnixMillis(0));
    match spec.key_positions(args.argc(), |at| args.at(at)).next() {
        None => store.len() > LONG,
        Some((at, _)) => args.at(at).is_some_and(|key| store.is_long(key)),
    }
}

/// Whether the request says how much it wants, and that is little: HRANDFIELD by its argument, SCAN and HSCAN by COUNT.
fn asks_for_few(spec: &Spec, args: Args<'_>) -> bool {
    let is_few = |count: &[u8]| number::parse_i64(count).is_none_or(|count| count.unsigned_abs() < LONG as u64);
    if spec.flags.contains(CommandFlags::BY_COUNT) {
        let is_count = |at: usize| args.at(at).is_some_and(|word| word.eq_ignore_ascii_case(b"count"));
        return !(1..args.argc()).any(|at| is_count(at) && args.at(at + 1).is_some_and(|count| !is_few(count)));
    }
    args.at(2).is_some_and(|count| number::parse_i64(count).is_some() && is_few(count))
}
