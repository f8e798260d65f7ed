//! The gate: what every command must pass before it runs, in Redis's order; then the call and its accounting.

mod foreign;
mod hindrances;
mod locks;
mod long;
mod observe;
mod replay;
mod timing;
mod transaction;
mod users;

pub use foreign::make_way_for_foreign;
pub use replay::{ReplayError, replay};

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use crate::base::clock::UnixMillis;
use crate::commands::table;
use crate::handler::session::{Queued, ReplyMode, Then};
use crate::handler::{Args, CommandError, CommandFlags, Context, Handler, Outcome, Session, Spec};
use crate::resp::reply::ReplyWriter;
use crate::services::Services;
use crate::services::acl::request::Denial;
use crate::services::eviction::make_room;
use crate::services::pause::PauseMode;
use crate::services::stats::CommandId;
use crate::store::LockedShards;

/// Longest part of a name or of arguments that an error quotes, as in Redis.
const QUOTED: usize = 128;

/// What a client that listens may do in RESP2.
const SERVED_TO_LISTENERS: [table::Command; 9] = [
    table::Command::Subscribe,
    table::Command::Unsubscribe,
    table::Command::PSubscribe,
    table::Command::PUnsubscribe,
    table::Command::SSubscribe,
    table::Command::SUnsubscribe,
    table::Command::Ping,
    table::Command::Quit,
    table::Command::Reset,
];

const DEBUG_NOT_ALLOWED: CommandError = CommandError::Fixed(
    "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local \
     connection, otherwise you need to set this option in the configuration file, and then restart the server.",
);

const OUT_OF_MEMORY: CommandError = CommandError::Fixed("OOM command not allowed when used memory > 'maxmemory'.");

/// On which thread a request runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// On a worker, which has other clients to serve.
    Worker,
    /// On a thread of its own.
    Aside,
}

/// Runs one request and writes exactly one reply (or none, if the client wants none). False if nothing has been done
/// because the request takes too long for a worker.
pub fn dispatch(
    services: &Services,
    session: &mut Session,
    reply: &mut ReplyWriter,
    (mut args, now, place): (Args<'_>, UnixMillis, Where),
) -> bool {
    let mark = reply.mark();
    let outcome = match admit(services, session, &mut args) {
        Ok(command) if place == Where::Worker && long::takes_long(services, session, command, args) => return false,
        Ok(command) if session.transaction.is_some() && !command.spec.runs_in_multi() => {
            queue(services, session, command, args);
            reply.simple("QUEUED");
            Ok(())
        }
        Ok(command) => run(services, session, reply, now, (command, args)),
        Err(Refusal { error: CommandError::Attack, .. }) => {
            services.warn_of_attack(now);
            session.then = Then::Close;
            Ok(())
        }
        Err(refusal) => {
            note_refusal(services, session, &refusal, args);
            Err(transaction::refused(services, session, refusal))
        }
    };
    finish(session, reply, mark, outcome);
    // FLUSHALL, also within EXEC, does not run on a worker.
    if place == Where::Aside {
        services.save_flushed();
    }
    observe::end_caching(session, args);
    let has_pushed = std::mem::take(&mut session.has_pushed);
    if session.reply_mode != ReplyMode::On && !has_pushed {
        reply.truncate(mark);
    }
    session.reply_mode = match session.reply_mode {
        ReplyMode::SkipNext => ReplyMode::Skipping,
        ReplyMode::Skipping => ReplyMode::On,
        lasting => lasting,
    };
    true
}

/// Whether a request would run, which it does not; a refusal is counted and noted as that of one that has been sent. For
/// those who answer by other means than replies.
pub fn permit(services: &Services, session: &mut Session, mut args: Args<'_>) -> Result<(), CommandError> {
    match admit(services, session, &mut args) {
        Ok(_) => Ok(()),
        Err(refusal) => {
            note_refusal(services, session, &refusal, args);
            Err(refusal.error)
        }
    }
}

/// Whether a request would run: a question that leaves no trace.
pub fn would_permit(services: &Services, session: &mut Session, mut args: Args<'_>) -> bool {
    admit(services, session, &mut args).is_ok()
}

/// Counts a refusal, and notes it in ACL LOG if the client's user is why.
fn note_refusal(services: &Services, session: &Session, refusal: &Refusal, args: Args<'_>) {
    if let Some(counts) = refusal.command.and_then(|(_, id)| session.counters.command(id)) {
        counts.rejected.add(1);
    }
    if let (Some(command), Some(denial)) = (refusal.command, refusal.denial) {
        session.client.last_command.store(u64::from(command.1.0), Ordering::Relaxed);
        users::log(services, session, command, args, denial);
    }
}

/// Writes the error, if there is one, in place of what the handler has written since `mark`.
fn finish(session: &Session, reply: &mut ReplyWriter, mark: usize, outcome: Outcome) {
    if let Err(error) = outcome {
        reply.truncate(mark);
        write_error(reply, session, &error);
    }
}

/// Runs a command that comes by itself, with all that it touches locked if it touches several places.
fn run(
    services: &Services,
    session: &mut Session,
    reply: &mut ReplyWriter,
    now: UnixMillis,
    (command, mut args): (Command, Args<'_>),
) -> Outcome {
    if locks::needs_locks(command.spec, command.id, args) || observe::remembers(session, command.spec) {
        let locks = locks::of_command(services, session.database, command.spec, args);
        let held = services.keyspace.lock(&locks);
        let _unit = EffectsEnd(services);
        // Not the batch's time, which may be before others reclaimed some of what is due: the rest is due here too.
        return call(services, session, reply, &mut args, (services.clock.now(), Some(&held)), command);
    }
    let began = session.timed_from;
    let outcome = call(services, session, reply, &mut args, (now, None), command);
    if let Some(transaction) = session.ready.take() {
        transaction::execute(services, session, reply, &transaction);
        timing::note(services, session, &command, &args, (began, 0));
    }
    if command.id == table::Command::Exec.id() {
        observe::show(services, session, args);
    }
    outcome
}

/// Queues a command until EXEC.
fn queue(services: &Services, session: &mut Session, command: Command, args: Args<'_>) {
    let Some(transaction) = &mut session.transaction else { return };
    let args = args.to_owned();
    transaction.memory += args.memory();
    transaction.queue.push(Queued { spec: command.spec, id: command.id, args });
    if transaction.memory as u64 > services.config.client_query_buffer_limit() {
        tracing::warn!(client = session.client.id.0, "query buffer limit reached by MULTI, closing the client");
        services.stats.query_buffers_exceeded.fetch_add(1, Ordering::Relaxed);
        session.then = Then::Close;
    }
    session.client.queued_memory.store(transaction.memory, Ordering::Relaxed);
    session.client.queued.store(i64::try_from(transaction.queue.len()).unwrap_or(i64::MAX), Ordering::Relaxed);
}

/// Whether CLIENT PAUSE holds a request back.
pub fn is_paused(services: &Services, session: &mut Session, mut args: Args<'_>, now: UnixMillis) -> bool {
    match services.pause.mode(now) {
        None => false,
        _ if session.client.monitoring.load(Ordering::Relaxed) => false,
        Some(PauseMode::All) => admit(services, session, &mut args).is_ok(),
        Some(PauseMode::Write) => admit(services, session, &mut args).is_ok_and(|command| {
            let flags = observe::flags_with_queue(session, command.spec, command.id);
            flags.intersects(CommandFlags::WRITE | CommandFlags::MAY_REPLICATE)
        }),
    }
}

/// Takes a client that has left off all lists.
pub fn leave(services: &Services, session: &mut Session) {
    session.unwatch(services);
    services.pubsub.leave(&session.client, &mut session.subscriptions);
    services.changes.tracking.disable(&services.keyspace, &session.client);
    services.monitors.remove(&session.client);
    // Whoever still knows the client takes it for gone.
    session.client.mailbox.close();
    services.clients.disconnect(session.client.id);
}

/// Starts to load what some requests will touch: the record of the first key of each.
pub fn prefetch<'a>(services: &Services, session: &Session, requests: impl Iterator<Item = Args<'a>>) {
    let keys = requests.filter_map(|mut args| {
        let (spec, _) = args.next_optional().and_then(table::lookup)?;
        args.at(usize::try_from(spec.keys.first()?.first).ok()?)
    });
    // Nothing is read, so it matters to nobody what time it is.
    services.keyspace.database(session.database, UnixMillis(0)).prefetch(keys);
}

/// Writes an error reply, and counts it.
fn write_error(reply: &mut ReplyWriter, session: &Session, error: &CommandError) {
    let text = error.bytes();
    session.counters.count_error(&text);
    reply.error_bytes(&text);
}

/// A command that has passed the gate.
#[derive(Debug, Clone, Copy)]
struct Command {
    spec: &'static Spec,
    id: CommandId,
    handler: Handler,
}

fn call(
    services: &Services,
    session: &mut Session,
    reply: &mut ReplyWriter,
    args: &mut Args<'_>,
    (now, held): (UnixMillis, Option<&LockedShards<'_>>),
    command: Command,
) -> Outcome {
    let mut store = services.keyspace.database(session.database, now);
    store.set_origin(session.client.id.0);
    if let Some(held) = held {
        store.use_held(held);
    }
    if session.client.no_touch.load(Ordering::Relaxed) {
        store.without_touching();
    }
    let mut context = Context { session, reply, store, services, now };
    context.session.client.last_command.store(u64::from(command.id.0), Ordering::Relaxed);
    let mark = context.reply.mark();
    let outcome = (command.handler)(&mut context, args);
    observe::after(&context, command.spec, *args);
    let (lookups, counters) = (context.store.lookups(), &context.session.counters);
    counters.hits.add(lookups.hits);
    counters.misses.add(lookups.misses);
    counters.changes.add(context.store.changes());
    if let Some(counts) = counters.command(command.id) {
        counts.calls.add(1);
        if outcome.is_err() {
            counts.failed.add(1);
        }
    }
    // EXEC ends when what it has released has run.
    if session.ready.is_none() {
        let replied = reply.mark().saturating_sub(mark);
        let began = session.timed_from;
        timing::note(services, session, &command, args, (began, replied));
    }
    outcome
}

/// Says that the effects of what runs with several shards held are complete, right before the shards are let go.
struct EffectsEnd<'a>(&'a Services);

impl Drop for EffectsEnd<'_> {
    fn drop(&mut self) {
        self.0.keyspace.end_effects();
    }
}

/// Why a command does not run.
struct Refusal {
    command: Option<(&'static Spec, CommandId)>,
    error: CommandError,
    /// What the user may not do, if that is why.
    denial: Option<Denial>,
}

/// Finds the command and checks that it may run; leaves `args` behind its name.
fn admit(services: &Services, session: &mut Session, args: &mut Args<'_>) -> Result<Command, Refusal> {
    let name = args.next_optional().unwrap_or_default();
    let unnamed = |error| Refusal { command: None, error, denial: None };
    let Some((spec, id)) = services.renames.original(name).and_then(table::lookup) else {
        // What a browser sends when a page makes it speak to this server.
        let is_attack = [&b"post"[..], b"host:"].iter().any(|word| name.eq_ignore_ascii_case(word));
        return Err(unnamed(if is_attack { CommandError::Attack } else { unknown_command(name, *args) }));
    };
    let (spec, id) = resolve_subcommand(name, spec, id, args).map_err(unnamed)?;
    let refuse = |error| Err(Refusal { command: Some((spec, id)), error, denial: None });
    if !spec.accepts(args.argc()) {
        return refuse(CommandError::WrongArity(Cow::Borrowed(spec.full_name)));
    }
    if spec.flags.contains(CommandFlags::PROTECTED) && !may_debug(services, session) {
        return refuse(DEBUG_NOT_ALLOWED);
    }
    if !spec.flags.contains(CommandFlags::NO_AUTH) && session.access.must_log_in(&services.acl) {
        return refuse(CommandError::Fixed("NOAUTH Authentication required."));
    }
    if session.transaction.is_some() && spec.flags.contains(CommandFlags::NO_MULTI) {
        return refuse(CommandError::Fixed("ERR Command not allowed inside a transaction"));
    }
    if !session.access.is_open(&services.acl)
        && let Err(denial) = users::check(services, session, (spec, id), *args)
    {
        let error = users::refusal(services, session, (spec, id), *args, denial);
        return Err(Refusal { command: Some((spec, id)), error, denial: Some(denial) });
    }
    if services.config.maxmemory() != 0
        && !make_room(services)
        && observe::flags_with_queue(session, spec, id).contains(CommandFlags::DENYOOM)
    {
        return refuse(OUT_OF_MEMORY);
    }
    let hindrances = services.persistence.hindrances();
    if (!hindrances.is_empty() || services.append_only.log.in_trouble())
        && let Some(error) = hindrances::refusal(services, session, (spec, id), hindrances)
    {
        return refuse(error);
    }
    if session.only_listens() && !SERVED_TO_LISTENERS.iter().any(|allowed| allowed.id() == id) {
        return refuse(CommandError::text(format!(
            "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
            spec.full_name
        )));
    }
    if session.client.monitoring.load(Ordering::Relaxed) && observe::may_touch_data(session, spec, id) {
        return refuse(CommandError::Fixed("ERR Replica can't interact with the keyspace"));
    }
    match spec.handler {
        Some(handler) => Ok(Command { spec, id, handler }),
        None => refuse(CommandError::WrongArity(Cow::Borrowed(spec.full_name))),
    }
}

/// Whether `enable-debug-command` lets this client use DEBUG.
fn may_debug(services: &Services, session: &Session) -> bool {
    match services.config.enable_debug_command() {
        "yes" => true,
        "local" => session.client.is_local(),
        _ => false,
    }
}

fn resolve_subcommand(
    called: &[u8],
    spec: &'static Spec,
    id: CommandId,
    args: &mut Args<'_>,
) -> Result<(&'static Spec, CommandId), CommandError> {
    if spec.subcommands.is_empty() {
        return Ok((spec, id));
    }
    let Some(name) = args.next_optional() else { return Ok((spec, id)) };
    table::lookup_subcommand(spec, id, name).ok_or_else(|| {
        let help = format!("'. Try {} HELP.", called.to_ascii_uppercase().escape_ascii());
        CommandError::quoting("ERR unknown subcommand '", first_bytes(name, QUOTED), &help)
    })
}

fn unknown_command(name: &[u8], mut args: Args<'_>) -> CommandError {
    let until_nul = |text: &[u8]| text.split(|&byte| byte == 0).next().unwrap_or_default().to_vec();
    let mut quoted_args = Vec::new();
    for argument in args.rest() {
        if quoted_args.len() >= QUOTED {
            break;
        }
        let shown = until_nul(first_bytes(argument, QUOTED - quoted_args.len()));
        quoted_args.extend_from_slice(&[b"'", &*shown, b"' "].concat());
    }
    let name = until_nul(first_bytes(name, QUOTED));
    CommandError::text(if quoted_args.is_empty() {
        [b"ERR unknown command '", &*name, b"'"].concat()
    } else {
        [b"ERR unknown command '", &*name, b"', with args beginning with: ", &*quoted_args].concat()
    })
}

fn first_bytes(argument: &[u8], limit: usize) -> &[u8] {
    argument.get(..limit).unwrap_or(argument)
}
