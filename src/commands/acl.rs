//! `ACL` and its subcommands: users and what they may do.

use super::{reply_help, table};
use crate::base::{hex, number};
use crate::handler::{Acl, Args, CommandError, Context, Outcome, ReplyWriter, Spec};
use crate::services::acl::AclError;
use crate::services::acl::known::Known;
use crate::services::acl::log::Entry;
use crate::services::acl::request::{Denial, Request};
use crate::services::acl::rules::{Rules, until_nul};
use crate::services::acl::selector::Selector;
use crate::services::stats::CommandId;

/// What HELP says, without its first and last lines.
const HELP: &str = include_str!("acl/help.txt");

/// `ACL CAT [category]` -> array: the categories, or the commands of one, those that are not served here included.
pub fn cat(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let Some(name) = only_argument(args)? else {
        ctx.reply.array(Acl::NAMES.len());
        for (_, name) in Acl::NAMES {
            ctx.reply.bulk(name.trim_start_matches('@').as_bytes());
        }
        return Ok(());
    };
    let Some(category) = Acl::named(until_nul(name)) else {
        let name = name.get(..128).unwrap_or(name);
        return Err(CommandError::quoting("ERR Unknown category '", name, "'"));
    };
    let commands = ctx.services.acl.known().all().filter(|(_, command)| command.categories.contains(category));
    let names: Vec<&str> = commands.map(|(_, command)| command.name).collect();
    reply_bulks(ctx.reply, names.iter().map(|name| name.as_bytes()));
    Ok(())
}

/// `ACL WHOAMI` -> the name of the connection's user.
pub fn whoami(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    ctx.reply.bulk(ctx.session.access.user().name());
    Ok(())
}

/// `ACL USERS` -> array: the names of all users.
pub fn users(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    let users = ctx.services.acl.all();
    reply_bulks(ctx.reply, users.iter().map(|user| user.name()));
    Ok(())
}

/// `ACL LIST` -> array: for each user a line `user NAME RULES`, as files hold it.
pub fn list(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    let lines: Vec<Vec<u8>> = ctx.services.acl.all().iter().map(|user| user.describe()).collect();
    reply_bulks(ctx.reply, lines.iter().map(Vec::as_slice));
    Ok(())
}

/// `ACL SETUSER username [rule ...]` -> OK: makes or changes a user by all of the rules, or by none if one is wrong.
pub fn setuser(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let name = args.next_bytes()?;
    let rules: Vec<&[u8]> = args.rest().collect();
    ctx.services.acl.set_user(ctx.services, name, &rules).map_err(refused)?;
    ctx.reply.ok();
    Ok(())
}

/// `ACL DELUSER username [username ...]` -> integer: how many of the users there were; their connections end.
pub fn deluser(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let deleted = ctx.services.acl.delete(ctx.services, args.rest()).map_err(refused)?;
    ctx.reply.count(deleted);
    Ok(())
}

/// `ACL GETUSER username` -> map: flags, hashes of passwords, commands, keys, channels and further selectors of a user;
/// null if there is none.
pub fn getuser(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let Some(user) = ctx.services.acl.find(args.next_bytes()?) else {
        ctx.reply.null();
        return Ok(());
    };
    let rules = user.rules();
    let mut selectors = rules.selectors();
    ctx.reply.map(6);
    ctx.reply.bulk(b"flags");
    let flags = rules.flags();
    ctx.reply.set(flags.len());
    for flag in flags {
        ctx.reply.bulk(flag.as_bytes());
    }
    ctx.reply.bulk(b"passwords");
    let passwords: Vec<String> = rules.passwords().collect();
    reply_bulks(ctx.reply, passwords.iter().map(String::as_bytes));
    if let Some(root) = selectors.next() {
        write_selector(ctx.reply, root);
    }
    ctx.reply.bulk(b"selectors");
    let others: Vec<&Selector> = selectors.collect();
    ctx.reply.array(others.len());
    for selector in others {
        ctx.reply.map(3);
        write_selector(ctx.reply, selector);
    }
    Ok(())
}

/// `ACL DRYRUN username command [arg ...]` -> OK, or a text that says what the user may not do.
pub fn dryrun(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let acl = &ctx.services.acl;
    let name = args.next_bytes()?;
    let user = acl.find(name).ok_or_else(|| CommandError::quoting("ERR User '", name, "' not found"))?;
    let request = args.from_index(args.position());
    let (denial, command) = try_request(ctx, &user.rules(), request)?;
    let Err(denial) = denial else {
        ctx.reply.ok();
        return Ok(());
    };
    let object = until_nul(request.at(denial.position()).unwrap_or_default());
    let (verb, object, kind): (&[u8], &[u8], &[u8]) = match denial {
        Denial::Command => (b"run the '", command.as_bytes(), b"' command"),
        Denial::Key(_) => (b"access the '", object, b"' key"),
        Denial::Channel(_) => (b"access the '", object, b"' channel"),
    };
    ctx.reply.bulk(&[b"User ", user.name(), b" has no permissions to ", verb, object, kind].concat());
    Ok(())
}

/// `ACL GENPASS [bits]` -> a password of random hexadecimal digits, for 256 bits or as many as asked for.
pub fn genpass(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    const MOST_BITS: usize = 4096;
    const BAD: CommandError = CommandError::Fixed(
        "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096",
    );
    let bits = match only_argument(args)? {
        None => 256,
        Some(bits) => number::parse_i64(bits).ok_or(CommandError::NotInteger)?,
    };
    let bits = usize::try_from(bits).ok().filter(|bits| (1..=MOST_BITS).contains(bits)).ok_or(BAD)?;
    let mut random = [0; MOST_BITS / 8];
    getrandom::fill(&mut random).map_err(|_| CommandError::Fixed("ERR the system has no random numbers to give"))?;
    let digits = hex::encode(&random);
    ctx.reply.bulk(digits.get(..bits.div_ceil(4)).unwrap_or(&digits).as_bytes());
    Ok(())
}

/// `ACL LOG [count | RESET]` -> array: the latest entries (10 if not said otherwise), each a map of who was refused what;
/// OK for RESET, which forgets all.
pub fn log(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    /// Entries that are shown if the client does not say.
    const SHOWN: i64 = 10;
    let count = match only_argument(args)? {
        None => SHOWN,
        Some(word) if word.eq_ignore_ascii_case(b"reset") => {
            ctx.services.acl.log.clear();
            ctx.reply.ok();
            return Ok(());
        }
        Some(count) => number::parse_i64(count).ok_or(CommandError::NotInteger)?,
    };
    let entries = ctx.services.acl.log.latest(usize::try_from(count).unwrap_or(0));
    ctx.reply.array(entries.len());
    for entry in &entries {
        write_entry(ctx, entry);
    }
    Ok(())
}

/// `ACL LOAD` -> OK: reads the users from `aclfile`; nothing changes if it has errors.
pub fn load(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    ctx.services.acl.load(ctx.services).map_err(refused)?;
    ctx.reply.ok();
    Ok(())
}

/// `ACL SAVE` -> OK: writes the users to `aclfile`.
pub fn save(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    ctx.services.acl.save(ctx.now).map_err(refused)?;
    ctx.reply.ok();
    Ok(())
}

/// `ACL HELP` -> array: what the subcommands do.
pub fn help(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    let lines: Vec<&str> = HELP.lines().collect();
    reply_help(ctx.reply, "ACL", &lines);
    Ok(())
}

/// The one argument that a subcommand may have.
fn only_argument<'a>(args: &mut Args<'a>) -> Result<Option<&'a [u8]>, CommandError> {
    if args.remaining() > 1 {
        let subcommand = args.at(1).unwrap_or_default();
        let subcommand = subcommand.get(..128).unwrap_or(subcommand);
        let before = "ERR unknown subcommand or wrong number of arguments for '";
        return Err(CommandError::quoting(before, subcommand, "'. Try ACL HELP."));
    }
    Ok(args.next_optional())
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that map_err asks for")]
fn refused(error: AclError) -> CommandError {
    CommandError::text([b"ERR ", error.text()].concat())
}

/// Whether rules allow a request, and the full name of its command; an error if there is no such request.
fn try_request(
    ctx: &Context<'_>,
    rules: &Rules,
    request: Args<'_>,
) -> Result<(Result<(), Denial>, &'static str), CommandError> {
    let known = ctx.services.acl.known();
    let arity_error = |name: &'static str| CommandError::WrongArity(name.into());
    let name = request.at(0).unwrap_or_default();
    let not_found = || CommandError::quoting("ERR Command '", name, "' not found");
    if let Some((spec, id)) = served(known, request) {
        if !spec.accepts(request.argc()) {
            return Err(arity_error(spec.full_name));
        }
        return Ok((rules.check(&spec.acl_request(id, request, &ctx.services.acl)), spec.full_name));
    }
    // Served by nobody here, but rules may be meant for other servers too.
    let mut id = known.find(name).filter(|_| !name.contains(&b'|')).ok_or_else(not_found)?;
    let mut command = known.command(id).ok_or_else(not_found)?;
    if let Some(subcommand) = request.at(1).filter(|_| !command.subcommands.is_empty()) {
        id = known.subcommand(id, subcommand).ok_or_else(not_found)?;
        command = known.command(id).ok_or_else(not_found)?;
    }
    let argv: Vec<&[u8]> = request.argv().collect();
    if !command.accepts(argv.len()) {
        return Err(arity_error(command.name));
    }
    let keys = known.keys(id, &argv).into_iter();
    let at = |position: usize| request.at(position);
    Ok((rules.check(&Request { command: Some(id), at, keys, channels: 0..0, are_patterns: false }), command.name))
}

/// The row of the command that a request is for, unless ACL tells subcommands of it apart that have none.
fn served(known: &Known, request: Args<'_>) -> Option<(&'static Spec, CommandId)> {
    let (spec, id) = table::lookup(request.at(0)?)?;
    match request.at(1) {
        _ if known.is_undivided(id) => None,
        Some(subcommand) if !spec.subcommands.is_empty() => table::lookup_subcommand(spec, id, subcommand),
        _ => Some((spec, id)),
    }
}

fn reply_bulks<'a>(reply: &mut ReplyWriter, texts: impl ExactSizeIterator<Item = &'a [u8]>) {
    reply.array(texts.len());
    for text in texts {
        reply.bulk(text);
    }
}

/// Three pairs of the map that describes a user or a selector.
fn write_selector(reply: &mut ReplyWriter, selector: &Selector) {
    let parts = [
        ("commands", selector.describe_commands()),
        ("keys", selector.describe_keys()),
        ("channels", selector.describe_channels()),
    ];
    for (name, text) in parts {
        reply.bulk(name.as_bytes());
        reply.bulk(&text);
    }
}

fn write_entry(ctx: &mut Context<'_>, entry: &Entry) {
    let event = &entry.event;
    let age = (ctx.now.0 - entry.updated_at.0).max(0);
    let integer = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let reply = &mut *ctx.reply;
    reply.map(10);
    reply.bulk(b"count");
    reply.integer(integer(entry.count));
    let texts: [(&str, &[u8]); 4] = [
        ("reason", event.reason.name().as_bytes()),
        ("context", if event.in_multi { b"multi" } else { b"toplevel" }),
        ("object", &event.object),
        ("username", &event.username),
    ];
    for (name, text) in texts {
        reply.bulk(name.as_bytes());
        reply.bulk(text);
    }
    reply.bulk(b"age-seconds");
    reply.double(&seconds(age));
    reply.bulk(b"client-info");
    reply.bulk(&event.client);
    let numbers = [
        ("entry-id", integer(entry.id)),
        ("timestamp-created", entry.created_at.0),
        ("timestamp-last-updated", entry.updated_at.0),
    ];
    for (name, number) in numbers {
        reply.bulk(name.as_bytes());
        reply.integer(number);
    }
}

/// Milliseconds as seconds, without zeros at the end.
fn seconds(millis: i64) -> String {
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
