//! What a call took: for `INFO`, `SLOWLOG`, `LATENCY` and `HOTKEYS`.
//!
//! One reading of the clock ends a call and begins the next: while requests are waiting they follow each other at once.

use std::sync::atomic::Ordering;

use super::Command;
use crate::base::clock::Ticks;
use crate::commands::table;
use crate::handler::session::Then;
use crate::handler::{Args, CommandFlags, Session};
use crate::services::Services;
use crate::services::hot_keys::Cost;
use crate::services::latency::{COMMAND, FAST_COMMAND};

/// Notes a call that began at `began` and ends now, with `replied` bytes of reply.
#[expect(clippy::inline_always, reason = "saving and restoring registers would be a third of what it does")]
#[inline(always)]
pub(super) fn note(
    services: &Services,
    session: &mut Session,
    command: &Command,
    args: &Args<'_>,
    (began, replied): (Ticks, usize),
) {
    let ended = services.ticker.read();
    let mut nanoseconds = services.ticker.nanoseconds(began, ended);
    session.timed_from = ended;
    if command.id == table::Command::Debug.id() {
        nanoseconds += sleep_ahead(session);
    }
    let counters = &session.counters;
    if let Some(counts) = counters.command(command.id) {
        counts.nanoseconds.add(nanoseconds);
    }
    if services.config.latency_tracking() {
        counters.record(command.id, nanoseconds);
    }
    if nanoseconds >= services.look_from_nanoseconds.load(Ordering::Relaxed) {
        look(services, session, command, args, (nanoseconds, replied));
    }
}

/// How long DEBUG SLEEP is going to sleep when the replies before it have been sent, in nanoseconds.
#[cold]
fn sleep_ahead(session: &Session) -> u64 {
    match session.then {
        Then::Sleep(duration) => u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX),
        _ => 0,
    }
}

/// Looks closer at a call that somebody may want to know of.
#[cold]
fn look(
    services: &Services,
    session: &Session,
    command: &Command,
    args: &Args<'_>,
    (nanoseconds, replied): (u64, usize),
) {
    let (flags, args) = (command.spec.flags, *args);
    let microseconds = nanoseconds / 1000;
    let slow = u64::try_from(services.config.slowlog_log_slower_than()).is_ok_and(|slow| microseconds >= slow);
    if slow && !flags.contains(CommandFlags::SKIP_SLOWLOG) {
        let call = (command.spec.full_name, services.clock.now(), microseconds);
        services.slow_log.add(args.argv(), &session.client, call, &services.config);
    }
    let event = if flags.contains(CommandFlags::FAST) { FAST_COMMAND } else { COMMAND };
    services.note_latency(event, nanoseconds);
    if services.hot_keys.is_active() {
        let keys = command.spec.key_positions(args.argc(), |at| args.at(at)).filter_map(|(at, _)| args.at(at));
        let bytes = (request_bytes(args) + replied) as u64;
        services.hot_keys.note(session.client.id.0, keys, Cost { nanoseconds, bytes });
    }
}

/// Bytes of a request as clients send it.
fn request_bytes(args: Args<'_>) -> usize {
    let frame = |length: usize| 3 + length.checked_ilog10().unwrap_or(0) as usize + 1;
    frame(args.argc()) + args.argv().map(|argument| frame(argument.len()) + argument.len() + 2).sum::<usize>()
}
