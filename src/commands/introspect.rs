//! `COMMAND` and its subcommands: what the command table says, in Redis's shapes.

use super::table::history;
use super::table::syntax::{self, Argument, Kind};
use super::{reply_help, table};
use crate::base::glob;
use crate::handler::ReplyWriter;
use crate::handler::spec::KeyFlags;
use crate::handler::{Acl, Args, CommandError, CommandFlags, Context, KeySpec, Outcome, Spec};
use crate::services::Services;
use crate::services::stats::CommandId;

/// Flags in the order in which Redis lists them.
const FLAG_NAMES: &[(CommandFlags, &str)] = &[
    (CommandFlags::WRITE, "write"),
    (CommandFlags::READONLY, "readonly"),
    (CommandFlags::DENYOOM, "denyoom"),
    (CommandFlags::ADMIN, "admin"),
    (CommandFlags::PUBSUB, "pubsub"),
    (CommandFlags::NOSCRIPT, "noscript"),
    (CommandFlags::BLOCKING, "blocking"),
    (CommandFlags::LOADING, "loading"),
    (CommandFlags::STALE, "stale"),
    (CommandFlags::SKIP_MONITOR, "skip_monitor"),
    (CommandFlags::SKIP_SLOWLOG, "skip_slowlog"),
    (CommandFlags::FAST, "fast"),
    (CommandFlags::NO_AUTH, "no_auth"),
    (CommandFlags::NO_ASYNC_LOADING, "no_async_loading"),
    (CommandFlags::NO_MULTI, "no_multi"),
    (CommandFlags::MOVABLEKEYS, "movablekeys"),
    (CommandFlags::ALLOW_BUSY, "allow_busy"),
];

const KEY_FLAG_NAMES: &[(KeyFlags, &str)] = &[
    (KeyFlags::RO, "RO"),
    (KeyFlags::RW, "RW"),
    (KeyFlags::OW, "OW"),
    (KeyFlags::RM, "RM"),
    (KeyFlags::ACCESS, "access"),
    (KeyFlags::UPDATE, "update"),
    (KeyFlags::INSERT, "insert"),
    (KeyFlags::DELETE, "delete"),
    (KeyFlags::NOT_KEY, "not_key"),
    (KeyFlags::INCOMPLETE, "incomplete"),
    (KeyFlags::VARIABLE_FLAGS, "variable_flags"),
];

/// Commands for those who work on the server.
const SYSTEM_COMMANDS: &[&str] = &["debug"];

/// `COMMAND` -> array: one entry for each command.
pub fn command(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    let commands = named_commands(ctx.services);
    ctx.reply.array(commands.len());
    for (spec, id) in commands {
        write_info(ctx.reply, spec, id);
    }
    Ok(())
}

/// `COMMAND COUNT` -> integer: number of commands, subcommands not counted.
pub fn count(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    ctx.reply.count(named_commands(ctx.services).len());
    Ok(())
}

/// `COMMAND INFO [name ...]` -> array: an entry for each name, null for an unknown one; all commands without names.
pub fn info(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    if args.is_empty() {
        return command(ctx, args);
    }
    let names = args.rest();
    ctx.reply.array(names.len());
    for name in names {
        match find(ctx.services, name) {
            Some((spec, id)) => write_info(ctx.reply, spec, id),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

/// `COMMAND DOCS [name ...]` -> map: documentation by name, without the unknown ones; all commands without names.
pub fn docs(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let found: Vec<&'static Spec> = if args.is_empty() {
        named_commands(ctx.services).into_iter().map(|(spec, _)| spec).collect()
    } else {
        args.rest().filter_map(|name| find(ctx.services, name)).map(|(spec, _)| spec).collect()
    };
    ctx.reply.map(found.len());
    for spec in found {
        write_docs(ctx.reply, spec);
    }
    Ok(())
}

/// `COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]` -> array: names, with subcommands.
pub fn list(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let mut commands: Vec<&'static Spec> = table::all().map(|(spec, _)| spec).collect();
    commands.retain(|spec| !ctx.services.renames.is_disabled(spec.full_name.split('|').next().unwrap_or_default()));
    if args.remaining() == 3 && args.take_word("filterby") {
        if args.take_word("module") {
            args.next_bytes()?;
            commands.clear();
        } else if args.take_word("aclcat") {
            let category = Acl::named(args.next_bytes()?);
            commands.retain(|spec| category.is_some_and(|category| spec.acl.contains(category)));
        } else if args.take_word("pattern") {
            let pattern = args.next_bytes()?;
            commands.retain(|spec| glob::matches_ignore_case(pattern, spec.full_name.as_bytes()));
        } else {
            return Err(CommandError::Syntax);
        }
    } else if !args.is_empty() {
        return Err(CommandError::Syntax);
    }
    ctx.reply.array(commands.len());
    for spec in commands {
        ctx.reply.bulk(spec.full_name.as_bytes());
    }
    Ok(())
}

/// `COMMAND GETKEYS command [arg ...]` -> array: the keys among the arguments.
pub fn getkeys(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let keys = keys_of(ctx.services, args)?;
    ctx.reply.array(keys.len());
    for (key, _) in keys {
        ctx.reply.bulk(key);
    }
    Ok(())
}

/// `COMMAND GETKEYSANDFLAGS command [arg ...]` -> array: pairs of a key and what the command does with it.
pub fn getkeysandflags(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let keys = keys_of(ctx.services, args)?;
    ctx.reply.array(keys.len());
    for (key, spec) in keys {
        ctx.reply.array(2);
        ctx.reply.bulk(key);
        write_key_flags(ctx.reply, spec);
    }
    Ok(())
}

/// `COMMAND HELP` -> array: what the subcommands do.
pub fn help(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    reply_help(
        ctx.reply,
        "COMMAND",
        &[
            "(no subcommand)",
            "    Return details about all Redis commands.",
            "COUNT",
            "    Return the total number of commands in this Redis server.",
            "LIST",
            "    Return a list of all commands in this Redis server.",
            "INFO [<command-name> ...]",
            "    Return details about multiple Redis commands.",
            "    If no command names are given, documentation details for all",
            "    commands are returned.",
            "DOCS [<command-name> ...]",
            "    Return documentation details about multiple Redis commands.",
            "    If no command names are given, documentation details for all",
            "    commands are returned.",
            "GETKEYS <full-command>",
            "    Return the keys from a full Redis command.",
            "GETKEYSANDFLAGS <full-command>",
            "    Return the keys and the access flags from a full Redis command.",
        ],
    );
    Ok(())
}

/// The commands that are no subcommands and that clients may use: `rename-command` takes some away.
fn named_commands(services: &Services) -> Vec<(&'static Spec, CommandId)> {
    table::top_level().filter(|(spec, _)| !services.renames.is_disabled(spec.name)).collect()
}

/// What clients call `name`, which may be the full name of a subcommand.
fn find(services: &Services, name: &[u8]) -> Option<(&'static Spec, CommandId)> {
    let (container, rest) = name.split_at(name.iter().position(|&byte| byte == b'|').unwrap_or(name.len()));
    table::lookup_full_name(&[services.renames.original(container)?, rest].concat())
}

/// The keys among the arguments of the command that the remaining arguments make up.
fn keys_of<'a>(services: &Services, args: &mut Args<'a>) -> Result<Vec<(&'a [u8], KeySpec)>, CommandError> {
    const UNKNOWN: CommandError = CommandError::Fixed("ERR Invalid command specified");
    let request: Vec<&[u8]> = args.rest().collect();
    let name = request.first().ok_or(UNKNOWN)?;
    let (mut spec, id) = services.renames.original(name).and_then(table::lookup).ok_or(UNKNOWN)?;
    if let Some(subcommand) = request.get(1).filter(|_| !spec.subcommands.is_empty()) {
        (spec, _) = table::lookup_subcommand(spec, id, subcommand).ok_or(UNKNOWN)?;
    }
    if spec.keys.iter().all(|keys| keys.flags.contains(KeyFlags::NOT_KEY)) {
        return Err(CommandError::Fixed("ERR The command has no key arguments"));
    }
    if !spec.accepts(request.len()) {
        return Err(CommandError::Fixed("ERR Invalid number of arguments specified for command"));
    }
    let key = |(at, spec): (usize, KeySpec)| Some((*request.get(at)?, spec));
    let keys: Vec<_> = spec.key_positions(request.len(), |at| request.get(at).copied()).filter_map(key).collect();
    if keys.is_empty() {
        return Err(CommandError::Fixed("ERR Invalid arguments specified for command"));
    }
    Ok(keys)
}

/// First key, last key and step, as COMMAND told before there were key specifications.
fn legacy_range(keys: &[KeySpec]) -> (i32, i32, i32) {
    let mut indexed = keys.iter().filter(|keys| keys.keyword.is_none());
    let Some(first) = indexed.next() else { return (0, 0, 0) };
    let last = indexed.next_back().unwrap_or(first);
    let end = if last.last < 0 { last.last } else { last.first + last.last };
    (first.first, end, first.step)
}

/// The ten elements that COMMAND and COMMAND INFO give for a command.
fn write_info(reply: &mut ReplyWriter, spec: &'static Spec, id: CommandId) {
    let (first, last, step) = legacy_range(spec.keys);
    reply.array(10);
    reply.bulk(spec.full_name.as_bytes());
    reply.integer(i64::from(spec.arity));
    write_names(reply, FLAG_NAMES, |flag| spec.flags.contains(flag));
    reply.integer(i64::from(first));
    reply.integer(i64::from(last));
    reply.integer(i64::from(step));
    write_names(reply, Acl::NAMES, |category| spec.acl.contains(category));
    let tips = table::tips(id);
    reply.set(tips.len());
    for tip in tips {
        reply.bulk(tip.as_bytes());
    }
    reply.set(spec.keys.len());
    for &key_spec in spec.keys {
        write_key_spec(reply, key_spec);
    }
    if spec.subcommands.is_empty() {
        reply.set(0);
        return;
    }
    reply.array(spec.subcommands.len());
    for (subcommand, id) in table::subcommands(spec, id) {
        write_info(reply, subcommand, id);
    }
}

/// The names of the flags that are set, as a set of simple strings.
fn write_names<F: Copy>(reply: &mut ReplyWriter, names: &[(F, &str)], is_set: impl Fn(F) -> bool) {
    reply.set(names.iter().filter(|(flag, _)| is_set(*flag)).count());
    for (_, name) in names.iter().filter(|(flag, _)| is_set(*flag)) {
        reply.simple(name);
    }
}

fn write_key_flags(reply: &mut ReplyWriter, spec: KeySpec) {
    write_names(reply, KEY_FLAG_NAMES, |flag| spec.flags.contains(flag));
}

fn write_key_spec(reply: &mut ReplyWriter, spec: KeySpec) {
    reply.map(3 + usize::from(spec.notes.is_some()));
    if let Some(notes) = spec.notes {
        write_pair(reply, "notes", notes);
    }
    reply.bulk(b"flags");
    write_key_flags(reply, spec);
    reply.bulk(b"begin_search");
    reply.map(2);
    if let Some(keyword) = spec.keyword {
        write_pair(reply, "type", "keyword");
        reply.bulk(b"spec");
        reply.map(2);
        write_pair(reply, "keyword", keyword);
        reply.bulk(b"startfrom");
        reply.integer(i64::from(spec.first));
    } else {
        write_pair(reply, "type", "index");
        reply.bulk(b"spec");
        write_numbers(reply, &[("index", spec.first)]);
    }
    reply.bulk(b"find_keys");
    reply.map(2);
    write_pair(reply, "type", "range");
    reply.bulk(b"spec");
    write_numbers(reply, &[("lastkey", spec.last), ("keystep", spec.step), ("limit", 0)]);
}

fn write_numbers(reply: &mut ReplyWriter, numbers: &[(&str, i32)]) {
    reply.map(numbers.len());
    for (name, number) in numbers {
        reply.bulk(name.as_bytes());
        reply.integer(i64::from(*number));
    }
}

fn write_pair(reply: &mut ReplyWriter, name: &str, value: &str) {
    reply.bulk(name.as_bytes());
    reply.bulk(value.as_bytes());
}

/// A command's full name and its documentation, as a pair of the map that COMMAND DOCS gives.
fn write_docs(reply: &mut ReplyWriter, spec: &'static Spec) {
    let docs = &spec.docs;
    let arguments = syntax::parse(docs.syntax);
    let (changes, deprecation) = (history::changes(spec.full_name), history::deprecation(spec.full_name));
    let is_system = SYSTEM_COMMANDS.contains(&spec.full_name);
    let has_complexity = !docs.complexity.is_empty();
    let has_flags = is_system || deprecation.is_some();
    let parts = [has_complexity, has_flags, !changes.is_empty(), !arguments.is_empty(), !spec.subcommands.is_empty()];
    reply.bulk(spec.full_name.as_bytes());
    reply.map(3 + parts.iter().filter(|part| **part).count() + deprecation.map_or(0, |_| 2));
    write_pair(reply, "summary", docs.summary);
    write_pair(reply, "since", docs.since);
    write_pair(reply, "group", docs.group);
    if has_complexity {
        write_pair(reply, "complexity", docs.complexity);
    }
    if has_flags {
        reply.bulk(b"doc_flags");
        write_names(reply, &[(deprecation.is_some(), "deprecated"), (is_system, "syscmd")], |is_set| is_set);
    }
    if let Some((since, replacement)) = deprecation {
        write_pair(reply, "deprecated_since", since);
        write_pair(reply, "replaced_by", replacement);
    }
    if !changes.is_empty() {
        write_changes(reply, changes);
    }
    if !arguments.is_empty() {
        reply.bulk(b"arguments");
        write_arguments(reply, &arguments, &mut 0);
    }
    if !spec.subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(spec.subcommands.len());
        for subcommand in spec.subcommands {
            write_docs(reply, subcommand);
        }
    }
}

fn write_changes(reply: &mut ReplyWriter, changes: &[(&str, &str)]) {
    reply.bulk(b"history");
    reply.set(changes.len());
    for (version, change) in changes {
        reply.array(2);
        reply.bulk(version.as_bytes());
        reply.bulk(change.as_bytes());
    }
}

/// The arguments of a command or block; `next_key` counts the keys met so far.
fn write_arguments(reply: &mut ReplyWriter, arguments: &[Argument], next_key: &mut i64) {
    reply.array(arguments.len());
    for argument in arguments {
        write_argument(reply, argument, next_key);
    }
}

fn write_argument(reply: &mut ReplyWriter, argument: &Argument, next_key: &mut i64) {
    let is_leaf = argument.arguments.is_empty();
    let is_key = argument.kind == Kind::Value("key");
    let has_flags = argument.optional || argument.multiple;
    let dates = [("since", argument.since), ("deprecated_since", argument.deprecated_since)];
    let parts = [is_leaf, is_key, argument.token.is_some(), has_flags, !is_leaf];
    let dates_known = dates.iter().filter(|(_, version)| version.is_some()).count();
    reply.map(2 + dates_known + parts.iter().filter(|part| **part).count());
    write_pair(reply, "name", &argument.name);
    write_pair(reply, "type", argument.kind.name());
    if is_leaf {
        write_pair(reply, "display_text", argument.display.unwrap_or(&argument.name));
    }
    if is_key {
        reply.bulk(b"key_spec_index");
        reply.integer(*next_key);
        *next_key += 1;
    }
    if let Some(token) = argument.token {
        write_pair(reply, "token", token);
    }
    for (name, version) in dates {
        if let Some(version) = version {
            write_pair(reply, name, version);
        }
    }
    if has_flags {
        reply.bulk(b"flags");
        let flags = [
            (argument.optional, "optional"),
            (argument.multiple, "multiple"),
            (argument.multiple_token, "multiple_token"),
        ];
        write_names(reply, &flags, |is_set| is_set);
    }
    if !is_leaf {
        reply.bulk(b"arguments");
        write_arguments(reply, &argument.arguments, next_key);
    }
}
