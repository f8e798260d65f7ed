//! Where the keys of commands are that nobody serves: ACL DRYRUN tells what a user could do with them elsewhere.

use super::Permissions;
use crate::base::number;

const READ: Permissions = Permissions::READ;
const WRITE: Permissions = Permissions::WRITE;
const BOTH: Permissions = Permissions::READ.union(Permissions::WRITE);

/// The keys of a request; `specs` are those of the file, with `*` for a command whose options tell.
pub(super) fn of_command(name: &str, specs: &str, argv: &[&[u8]]) -> Vec<(usize, Permissions)> {
    if specs == "*" {
        return by_options(name, argv);
    }
    let keys: Option<Vec<_>> = specs.split_whitespace().map(|spec| by_spec(spec, argv)).collect();
    // As in Redis, a request that is wrong has no keys.
    keys.unwrap_or_default().concat()
}

/// The keys that one specification stands for; `None` if the request is too short for them or has no number of keys.
fn by_spec(spec: &str, argv: &[&[u8]]) -> Option<Vec<(usize, Permissions)>> {
    let mut parts = spec.split(':');
    let (begin, find, uses) = (parts.next()?, parts.next()?, parts.next()?);
    let mut first = match begin.split_once('@') {
        None => begin.parse().ok()?,
        Some((keyword, from)) => {
            let from = from.parse().ok()?;
            let found = argv.iter().skip(from).position(|word| word.eq_ignore_ascii_case(keyword.as_bytes()));
            // Such a part of a request may be left out.
            let Some(at) = found else { return Some(Vec::new()) };
            from + at + 1
        }
    };
    let (kind, numbers) = find.split_at_checked(1)?;
    let mut numbers = numbers.split('/').map(|number| number.parse::<isize>().unwrap_or(0));
    let (one, two, three) = (numbers.next()?, numbers.next()?, numbers.next()?);
    let length = argv.len();
    let (last, step) = match kind {
        "r" if one >= 0 => (first.checked_add_signed(one)?, two),
        "r" if three <= 1 => (length.checked_add_signed(one)?, two),
        "r" => ((first + length.checked_sub(first)? / three.unsigned_abs()).checked_add_signed(one)?, two),
        _ => {
            let count = argv.get(first.checked_add_signed(one)?).and_then(|count| number::parse_i64(count))?;
            let count = usize::try_from(count).ok()?;
            first = first.checked_add_signed(two)?;
            (count.checked_sub(1)?.checked_mul(three.unsigned_abs())?.checked_add(first)?, three)
        }
    };
    if last >= length || last < first {
        return None;
    }
    let uses = match uses {
        "r" => READ,
        "w" => WRITE,
        "rw" => BOTH,
        _ => Permissions::empty(),
    };
    Some((first..=last).step_by(step.unsigned_abs().max(1)).map(|at| (at, uses)).collect())
}

/// The keys of commands that take them, or do with them, what their options say; of those that hashd does not serve.
fn by_options(name: &str, argv: &[&[u8]]) -> Vec<(usize, Permissions)> {
    let is = |at: usize, word: &str| argv.get(at).is_some_and(|text| text.eq_ignore_ascii_case(word.as_bytes()));
    match name {
        "set" if (3..argv.len()).any(|at| is(at, "get")) => vec![(1, BOTH)],
        "set" | "delex" => vec![(1, WRITE)],
        "bitfield" => vec![(1, if only_gets(argv) { READ } else { BOTH })],
        "sort_ro" => vec![(1, READ)],
        "sort" => std::iter::once((1, READ)).chain(store_of_sort(argv).map(|at| (at, WRITE))).collect(),
        _ => Vec::new(),
    }
}

/// Whether BITFIELD reads alone.
fn only_gets(argv: &[&[u8]]) -> bool {
    let mut at = 2;
    while let Some(word) = argv.get(at) {
        let left = argv.len() - at - 1;
        if word.eq_ignore_ascii_case(b"get") && left >= 2 {
            at += 3;
        } else if word.eq_ignore_ascii_case(b"overflow") && left >= 1 {
            at += 2;
        } else {
            return false;
        }
    }
    true
}

/// Where the key behind SORT's STORE is.
fn store_of_sort(argv: &[&[u8]]) -> Option<usize> {
    let (mut at, mut store) = (2, None);
    while let Some(word) = argv.get(at) {
        let left = argv.len() - at - 1;
        if word.eq_ignore_ascii_case(b"limit") {
            at += 2;
        } else if word.eq_ignore_ascii_case(b"get") || word.eq_ignore_ascii_case(b"by") {
            at += 1;
        } else if word.eq_ignore_ascii_case(b"store") && left >= 1 {
            store = Some(at + 1);
            at += 1;
        }
        at += 1;
    }
    store
}
