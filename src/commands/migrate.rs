//! `MIGRATE`: keys move to another server.

use crate::base::clock::UnixMillis;
use crate::handler::{Args, CommandError, Context, Outcome};
use crate::services::migration::{Restore, Target, TargetError};
use crate::services::persistence::{For, dump};
use crate::store::{KeyExpiry, RemoveIf};

/// What a MIGRATE asks for.
struct Wanted<'a> {
    keys: Vec<&'a [u8]>,
    copy: bool,
    replace: bool,
    login: Option<(Option<&'a [u8]>, &'a [u8])>,
}

/// `MIGRATE host port key|"" database timeout [COPY] [REPLACE] [AUTH password | AUTH2 username password] [KEYS key ...]` ->
/// OK: the keys are there and, but for COPY, no longer here; NOKEY if there are none.
///
/// Only this client waits, and no key is locked while the other server does its part. A key that has been changed here
/// before that server has confirmed it is sent again before it is deleted.
pub fn migrate(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let (host, port, key) = (args.next_bytes()?, args.next_bytes()?, args.next_key()?);
    let (database, timeout) = (args.next_bytes()?, args.next_bytes()?);
    let wanted = read_options(key, args)?;
    let integer = |text| crate::base::number::parse_i64(text).ok_or(CommandError::NotInteger);
    let (timeout, database) = (integer(timeout)?, integer(database)?);
    let keys: Vec<&[u8]> = wanted.keys.iter().copied().filter(|key| ctx.store.exists(key)).collect();
    if keys.is_empty() {
        ctx.reply.simple("NOKEY");
        return Ok(());
    }
    let mut target = Target::connect(host, port, timeout).map_err(|error| reply_of(&error))?;
    target.enter(wanted.login, database).map_err(|error| reply_of(&error))?;
    let mut failed = None;
    for key in keys {
        match move_key(ctx, &mut target, &wanted, key) {
            Ok(()) => {}
            // The keys behind may still go.
            Err(error @ TargetError::Refused(_)) => drop(failed.get_or_insert(error)),
            Err(error) => return Err(reply_of(&error)),
        }
    }
    if let Some(error) = failed {
        return Err(reply_of(&error));
    }
    ctx.reply.ok();
    Ok(())
}

fn read_options<'a>(key: &'a [u8], args: &mut Args<'a>) -> Result<Wanted<'a>, CommandError> {
    let mut wanted = Wanted { keys: vec![key], copy: false, replace: false, login: None };
    while !args.is_empty() {
        if args.take_word("copy") {
            wanted.copy = true;
        } else if args.take_word("replace") {
            wanted.replace = true;
        } else if args.take_word("auth") {
            wanted.login = Some((None, args.next_bytes()?));
        } else if args.take_word("auth2") {
            wanted.login = Some((Some(args.next_bytes()?), args.next_bytes()?));
        } else if args.take_word("keys") {
            if !key.is_empty() {
                return Err(CommandError::Fixed(
                    "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
                ));
            }
            wanted.keys = args.rest().collect();
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(wanted)
}

/// Sends a key, and deletes it here if it is still as it was sent.
fn move_key(ctx: &mut Context<'_>, target: &mut Target, wanted: &Wanted<'_>, key: &[u8]) -> Result<(), TargetError> {
    const TRIES: usize = 16;
    let compression = ctx.services.config.rdbcompression();
    let mut replace = wanted.replace;
    for _ in 0..TRIES {
        let expiry = match ctx.store.key_expiry(key) {
            KeyExpiry::Missing => return Ok(()),
            KeyExpiry::Persistent => None,
            KeyExpiry::At(at) => Some(at),
        };
        let payload = ctx.store.view(key, |hash| hash.image().map(|image| dump(&image, compression, For::Server)));
        let Some(payload) = payload else { return Ok(()) };
        let ttl_ms = expiry.map_or(0, |UnixMillis(at)| (at - ctx.services.clock.now().0).max(1));
        target.restore(&Restore { key, ttl_ms, payload: &payload, replace })?;
        if wanted.copy {
            return Ok(());
        }
        let is_same = |image: &crate::store::HashImage<'_>, now: Option<UnixMillis>| {
            now == expiry && dump(image, compression, For::Server) == payload
        };
        if ctx.store.remove_if(key, is_same) != RemoveIf::Changed {
            return Ok(());
        }
        replace = true;
    }
    Err(TargetError::Changing)
}

fn reply_of(error: &TargetError) -> CommandError {
    CommandError::text(error.to_string())
}
