//! Finding commands in the table, by name and in order.

use super::name_index::NameIndex;
use super::{IDS, NAMES, ROWS, TABLE};
use crate::handler::{Acl, Spec};
use crate::services::stats::CommandId;

static INDEX: NameIndex<{ NAMES.len() }> = NameIndex::new(&NAMES);

/// The command called `name`, in any case.
#[inline]
pub fn lookup(name: &[u8]) -> Option<(&'static Spec, CommandId)> {
    let position = INDEX.find(name)?;
    TABLE.get(position).zip(IDS.get(position).copied())
}

/// The subcommand called `name`, in any case, of the container that [`lookup`] gave.
#[inline]
pub fn lookup_subcommand(
    container: &'static Spec,
    container_id: CommandId,
    name: &[u8],
) -> Option<(&'static Spec, CommandId)> {
    let (spec, id) =
        subcommands(container, container_id).find(|(spec, _)| spec.name.as_bytes().eq_ignore_ascii_case(name))?;
    Some((spec, id))
}

/// The command called `name`, which may be the full name of a subcommand (`client|setname`).
pub fn lookup_full_name(name: &[u8]) -> Option<(&'static Spec, CommandId)> {
    match name.iter().position(|&byte| byte == b'|').and_then(|at| name.split_at_checked(at)) {
        None => lookup(name),
        Some((container, rest)) => {
            let (spec, id) = lookup(container)?;
            lookup_subcommand(spec, id, rest.get(1..)?)
        }
    }
}

/// The commands that are no subcommands.
pub fn top_level() -> impl ExactSizeIterator<Item = (&'static Spec, CommandId)> {
    TABLE.iter().zip(IDS.iter().copied())
}

/// The subcommands of a container.
pub fn subcommands(
    container: &'static Spec,
    container_id: CommandId,
) -> impl ExactSizeIterator<Item = (&'static Spec, CommandId)> {
    let ids = (1..=u16::MAX).map(move |offset| CommandId(container_id.0.saturating_add(offset)));
    container.subcommands.iter().zip(ids)
}

/// All commands, each followed by its subcommands: in the order of their ids.
pub fn all() -> impl Iterator<Item = (&'static Spec, CommandId)> {
    top_level().flat_map(|(spec, id)| std::iter::once((spec, id)).chain(subcommands(spec, id)))
}

/// Full names of all commands in the order of their ids.
pub fn names() -> Vec<&'static str> {
    ROWS.iter().map(|row| row.full_name()).collect()
}

/// Full names of all commands, with the ACL categories they are in, in the order of their ids.
pub fn acl_categories() -> Vec<(&'static str, Acl)> {
    all().map(|(spec, _)| (spec.full_name, spec.acl)).collect()
}

/// The hints that `COMMAND INFO` gives to cluster proxies about a command.
pub fn tips(id: CommandId) -> &'static [&'static str] {
    ROWS.get(usize::from(id.0)).map_or(&[], |row| row.all_tips())
}

#[cfg(test)]
mod tests {
    use super::super::syntax;
    use super::*;

    #[test]
    fn ids_names_and_lookups_agree() {
        let all: Vec<_> = all().collect();
        assert_eq!(all.iter().map(|(spec, _)| spec.full_name).collect::<Vec<_>>(), names());
        for (position, (spec, id)) in all.iter().enumerate() {
            assert_eq!(usize::from(id.0), position);
            let upper = spec.full_name.to_ascii_uppercase();
            let (found, found_id) = lookup_full_name(upper.as_bytes()).unwrap();
            assert_eq!((found.full_name, found_id), (spec.full_name, *id));
        }
        assert!(lookup(b"get").is_none() && lookup(b"").is_none() && lookup(&[b'h'; 1000]).is_none());
        for unknown in [&b"h"[..], b"hset\0", b"hse", b"h3et", b"hset ", b"del\0", b"hincrbyfloa", b"HSET|x"] {
            assert!(lookup(unknown).is_none(), "{}", unknown.escape_ascii());
        }
    }

    #[test]
    fn every_syntax_is_well_formed() {
        for (spec, _) in all() {
            let words = spec.docs.syntax.split_whitespace().count();
            assert_eq!(syntax::parse(spec.docs.syntax).is_empty(), words == 0, "{}", spec.full_name);
        }
    }
}
