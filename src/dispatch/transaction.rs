//! Transactions at the gate: runs what MULTI has queued, with everything that it touches locked.

use std::sync::atomic::Ordering;

use super::{Command, EffectsEnd, Refusal, call, finish, locks, users};
use crate::commands::table;
use crate::handler::session::Transaction;
use crate::handler::{Args, CommandError, Session, Spec};
use crate::resp::reply::ReplyWriter;
use crate::services::Services;
use crate::services::stats::CommandId;

/// Runs a transaction as one, or answers null if a watched key has changed.
pub(super) fn execute(services: &Services, session: &mut Session, reply: &mut ReplyWriter, transaction: &Transaction) {
    let watched = session.watched.iter().map(|(database, key)| (*database, &**key));
    let wanted = locks::of_transaction(services, session.database, transaction, watched);
    let held = services.keyspace.lock(&wanted);
    let _unit = EffectsEnd(services);
    // The time of the batch may be before others reclaimed some of what is due: the rest must be due here too.
    let now = services.clock.now();
    let mut is_expired = false;
    for (database, key) in &session.watched {
        // That a watched key's time has come breaks the transaction like any other change.
        let mut store = services.keyspace.database(*database, now);
        store.use_held(&held);
        is_expired |= store.is_expired(key);
    }
    let is_broken = is_expired || session.broken.load(Ordering::Acquire);
    // From here on the client's own changes must not count.
    session.unwatch(services);
    if is_broken {
        reply.null_array();
        return;
    }
    reply.array(transaction.queue.len());
    session.is_executing = true;
    for queued in &transaction.queue {
        let Some(handler) = queued.spec.handler else { continue };
        let command = Command { spec: queued.spec, id: queued.id, handler };
        let mark = reply.mark();
        if let Err(error) = recheck(services, session, (queued.spec, queued.id), queued.args.as_args()) {
            finish(session, reply, mark, Err(error));
            continue;
        }
        let outcome = call(services, session, reply, &mut queued.args.as_args(), (now, Some(&held)), command);
        finish(session, reply, mark, outcome);
    }
    session.is_executing = false;
}

/// Asks once more whether the user may run a command: its rules may have changed since it was queued, and so may the user.
fn recheck(
    services: &Services,
    session: &mut Session,
    command: (&'static Spec, CommandId),
    args: Args<'_>,
) -> Result<(), CommandError> {
    if session.access.is_open(&services.acl) {
        return Ok(());
    }
    users::check(services, session, command, args).map_err(|denial| {
        users::log(services, session, command, args, denial);
        users::late_refusal(denial)
    })
}

/// What a refused command does to the transaction that it was to be part of, or to end; gives the error to reply.
pub(super) fn refused(services: &Services, session: &mut Session, refusal: Refusal) -> CommandError {
    if refusal.command.is_some_and(|(_, id)| id == table::Command::Exec.id()) {
        session.end_transaction();
        session.unwatch(services);
        let text = refusal.error.to_string();
        let why = text.strip_prefix("ERR ").unwrap_or(&text);
        return CommandError::text(format!("EXECABORT Transaction discarded because of: {why}"));
    }
    if let Some(transaction) = &mut session.transaction {
        transaction.is_refused = true;
    }
    refusal.error
}
