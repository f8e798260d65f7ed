//! Commands of the connection itself: handshake, authentication, database, end.

use std::sync::atomic::Ordering;

use crate::base::number;
use crate::handler::RespVersion;
use crate::handler::session::{ReplyMode, Session, Then};
use crate::handler::{Args, CommandError, Context, Outcome};
use crate::services::REDIS_VERSION;
use crate::services::acl::DEFAULT;
use crate::services::acl::log::{Event, Reason};

const WRONG_PASSWORD: CommandError =
    CommandError::Fixed("WRONGPASS invalid username-password pair or user is disabled.");
const NO_PASSWORD_SET: CommandError = CommandError::Fixed(
    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration \
     is correct?",
);
const HELLO_NOT_AUTHENTICATED: CommandError = CommandError::Fixed(
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> \
     option can be used to authenticate the client and select the RESP protocol version at the same time",
);
const BAD_CLIENT_NAME: CommandError =
    CommandError::Fixed("ERR Client names cannot contain spaces, newlines or special characters.");

/// What HELLO asks for.
#[derive(Default)]
struct Hello<'a> {
    version: Option<RespVersion>,
    credentials: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

/// `HELLO [protover [AUTH username password] [SETNAME name]]` -> map: who the server is; switches the protocol.
pub fn hello(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let wanted = parse_hello(args)?;
    if let Some((user, password)) = wanted.credentials {
        log_in(ctx, args, user, password)?;
    }
    if !ctx.session.access.is_authenticated() {
        return Err(HELLO_NOT_AUTHENTICATED);
    }
    if let Some(name) = wanted.name {
        ctx.session.client.identity.lock().name = name.to_vec();
    }
    if let Some(version) = wanted.version {
        set_version(ctx, version);
    }
    let id = i64::try_from(ctx.session.client.id.0).unwrap_or(i64::MAX);
    ctx.reply.map(7);
    for (key, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        ctx.reply.bulk(key.as_bytes());
        ctx.reply.bulk(value.as_bytes());
    }
    for (key, value) in [("proto", i64::from(ctx.reply.version().number())), ("id", id)] {
        ctx.reply.bulk(key.as_bytes());
        ctx.reply.integer(value);
    }
    for (key, value) in [("mode", "standalone"), ("role", "master")] {
        ctx.reply.bulk(key.as_bytes());
        ctx.reply.bulk(value.as_bytes());
    }
    ctx.reply.bulk(b"modules");
    ctx.reply.array(0);
    Ok(())
}

/// `AUTH [username] password` -> OK: lets the client in.
pub fn auth(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let first = args.next_bytes()?;
    let second = args.next_optional();
    if !args.is_empty() {
        return Err(CommandError::Syntax);
    }
    match second {
        Some(password) => log_in(ctx, args, first, password)?,
        None if ctx.services.acl.has_open_door() => return Err(NO_PASSWORD_SET),
        None => log_in(ctx, args, DEFAULT, first)?,
    }
    ctx.reply.ok();
    Ok(())
}

/// `PING [message]` -> PONG, or the message; to a client that listens in RESP2 an array of `pong` and the message.
pub fn ping(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let message = args.next_optional();
    if !args.is_empty() {
        return Err(CommandError::WrongArity("ping".into()));
    }
    if ctx.session.only_listens() {
        ctx.reply.array(2);
        ctx.reply.bulk(b"pong");
        ctx.reply.bulk(message.unwrap_or_default());
        return Ok(());
    }
    match message {
        Some(message) => ctx.reply.bulk(message),
        None => ctx.reply.simple("PONG"),
    }
    Ok(())
}

/// `ECHO message` -> the message.
pub fn echo(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    ctx.reply.bulk(args.next_bytes()?);
    Ok(())
}

/// `SELECT index` -> OK: changes the database for the commands that follow.
pub fn select(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let database = args.next_database(ctx.services.keyspace.database_count())?;
    set_database(ctx.session, database);
    ctx.reply.ok();
    Ok(())
}

/// `QUIT` -> OK: closes the connection.
pub fn quit(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    ctx.session.then = Then::Close;
    ctx.reply.ok();
    Ok(())
}

/// `RESET` -> RESET: brings the connection back to the state of a new one.
pub fn reset(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    let session = &mut *ctx.session;
    ctx.services.pubsub.leave(&session.client, &mut session.subscriptions);
    set_version(ctx, RespVersion::Resp2);
    let session = &mut *ctx.session;
    set_database(session, 0);
    ctx.services.acl.log_out(&session.client, &mut session.access);
    session.reply_mode = ReplyMode::On;
    session.end_transaction();
    session.unwatch(ctx.services);
    ctx.services.changes.tracking.disable(&ctx.services.keyspace, &session.client);
    ctx.services.monitors.remove(&session.client);
    session.fieldsets.clear();
    session.client.fieldset_memory.store(0, Ordering::Relaxed);
    session.client.no_evict.store(false, Ordering::Relaxed);
    session.client.no_touch.store(false, Ordering::Relaxed);
    session.client.identity.lock().name.clear();
    ctx.reply.simple("RESET");
    Ok(())
}

/// Reads HELLO's arguments; nothing changes before all of them are known to be good.
fn parse_hello<'a>(args: &mut Args<'a>) -> Result<Hello<'a>, CommandError> {
    let mut wanted = Hello::default();
    let Some(version) = args.next_optional() else {
        return Ok(wanted);
    };
    wanted.version = match number::parse_i64(version) {
        Some(2) => Some(RespVersion::Resp2),
        Some(3) => Some(RespVersion::Resp3),
        Some(_) => return Err(CommandError::Fixed("NOPROTO unsupported protocol version")),
        None => return Err(CommandError::Fixed("ERR Protocol version is not an integer or out of range")),
    };
    while let Some(option) = args.peek() {
        if args.remaining() > 2 && args.take_word("auth") {
            wanted.credentials = Some((args.next_bytes()?, args.next_bytes()?));
        } else if args.remaining() > 1 && args.take_word("setname") {
            let name = args.next_bytes()?;
            if !name.iter().all(u8::is_ascii_graphic) {
                return Err(BAD_CLIENT_NAME);
            }
            wanted.name = Some(name);
        } else {
            return Err(CommandError::quoting("ERR Syntax error in HELLO option '", option, "'"));
        }
    }
    Ok(wanted)
}

/// Makes the client a user if the password is right; notes it in ACL LOG otherwise.
fn log_in(ctx: &mut Context<'_>, args: &Args<'_>, name: &[u8], password: &[u8]) -> Outcome {
    let session = &mut *ctx.session;
    if ctx.services.acl.log_in(&session.client, &mut session.access, name, password) {
        return Ok(());
    }
    let event = Event {
        reason: Reason::Auth,
        in_multi: session.is_executing,
        object: args.at(0).unwrap_or_default().to_vec(),
        username: name.to_vec(),
        client: session.client.describe(ctx.services, ctx.now),
    };
    ctx.services.acl.log.add(event, ctx.now, ctx.services.config.acllog_max_len());
    Err(WRONG_PASSWORD)
}

fn set_version(ctx: &mut Context<'_>, version: RespVersion) {
    ctx.services.pubsub.set_version(&ctx.session.client, version);
    // Messages in the old protocol come before the reply in the new one.
    ctx.session.collect_mail(ctx.reply);
    ctx.reply.set_version(version);
}

fn set_database(session: &mut Session, database: usize) {
    session.database = database;
    session.client.database.store(database, Ordering::Relaxed);
}
