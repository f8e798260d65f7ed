//! Commands of other types in the append-only file: what they left where there was a hash.

use super::replay::{context, is_foreign_restore};
use crate::handler::{Args, Session};
use crate::resp::reply::{ReplyWriter, RespVersion};
use crate::services::Services;

/// Where the keys are whose values a command replaces.
enum Targets {
    /// The first argument.
    First,
    /// The second argument.
    Second,
    /// Every second argument from the first on.
    Pairs,
    /// The first argument says how many such pairs follow it.
    CountedPairs,
    /// What follows one of these words.
    After(&'static [&'static str]),
}

/// Commands for other types that replace a value of any type. The rest want one of their own, or none.
const REPLACING: [(&str, Targets); 19] = [
    ("bitop", Targets::Second),
    ("georadius", Targets::After(&["store", "storedist"])),
    ("georadiusbymember", Targets::After(&["store", "storedist"])),
    ("geosearchstore", Targets::First),
    ("getset", Targets::First),
    ("mset", Targets::Pairs),
    ("msetex", Targets::CountedPairs),
    ("msetnx", Targets::Pairs),
    ("psetex", Targets::First),
    ("sdiffstore", Targets::First),
    ("set", Targets::First),
    ("setex", Targets::First),
    ("sinterstore", Targets::First),
    ("sort", Targets::After(&["store"])),
    ("sunionstore", Targets::First),
    ("zdiffstore", Targets::First),
    ("zinterstore", Targets::First),
    ("zrangestore", Targets::First),
    ("zunionstore", Targets::First),
];

/// Removes the hashes that a logged command has replaced by what is no hash, and so is left out. To be called before the
/// command is replayed: a RENAME or COPY of a key that is not there was one of a key that has been left out.
pub fn make_way_for_foreign(services: &Services, session: &mut Session, args: Args<'_>) {
    let database = session.database;
    for (database, key) in replaced(services, session, args) {
        session.database = database;
        context(services, session, &mut ReplyWriter::new(RespVersion::Resp2)).store.remove(key);
    }
    session.database = database;
}

fn replaced<'a>(services: &Services, session: &mut Session, args: Args<'a>) -> Vec<(usize, &'a [u8])> {
    let name = args.at(0).unwrap_or_default();
    let database = session.database;
    if let Some((_, targets)) = REPLACING.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes())) {
        return keys(targets, args).into_iter().map(|key| (database, key)).collect();
    }
    let mut is_missing = |key| {
        let mut reply = ReplyWriter::new(RespVersion::Resp2);
        !context(services, session, &mut reply).store.exists_quietly(key)
    };
    let key = match (name.to_ascii_lowercase().as_slice(), args.at(1), args.at(2)) {
        (b"rename", Some(source), Some(target)) if is_missing(source) => Some((database, target)),
        (b"copy", Some(source), Some(target)) if is_missing(source) && has_word(args, 3, b"replace") => {
            let database =
                word_after(args, 3, &["db"]).and_then(|number| std::str::from_utf8(number).ok()?.parse().ok());
            Some((database.unwrap_or(session.database), target))
        }
        (b"restore", Some(target), _) if is_foreign_restore(args) && has_word(args, 4, b"replace") => {
            Some((database, target))
        }
        _ => None,
    };
    key.into_iter().filter(|(database, _)| *database < services.config.databases()).collect()
}

fn keys<'a>(targets: &Targets, args: Args<'a>) -> Vec<&'a [u8]> {
    match targets {
        Targets::First => args.at(1).into_iter().collect(),
        Targets::Second => args.at(2).into_iter().collect(),
        Targets::Pairs => args.argv().skip(1).step_by(2).collect(),
        Targets::CountedPairs => {
            let count = args.at(1).and_then(|count| std::str::from_utf8(count).ok()?.parse().ok()).unwrap_or(0);
            args.argv().skip(2).step_by(2).take(count).collect()
        }
        Targets::After(words) => word_after(args, 2, words).into_iter().collect(),
    }
}

fn has_word(args: Args<'_>, from: usize, word: &[u8]) -> bool {
    args.argv().skip(from).any(|argument| argument.eq_ignore_ascii_case(word))
}

/// What follows the last of `words`, as commands of which one counts take it.
fn word_after<'a>(args: Args<'a>, from: usize, words: &[&str]) -> Option<&'a [u8]> {
    let rest: Vec<&[u8]> = args.argv().skip(from).collect();
    let is_one = |argument: &[u8]| words.iter().any(|word| argument.eq_ignore_ascii_case(word.as_bytes()));
    rest.windows(2).rev().find_map(|pair| match pair {
        [word, next] if is_one(word) => Some(*next),
        _ => None,
    })
}
