//! Error replies by their first word, as `INFO errorstats` reports them.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// Kinds that are told apart. All come from the server's own texts, so that there are a few.
const KINDS: usize = 128;

/// Longest word that names a kind; a text without such a word is an `ERR`.
const LONGEST: usize = 32;

/// What stands in place of everything when there have been too many kinds.
const TOO_MANY: &str = "ERRORSTATS_DISABLED";

/// Counts errors by kind. Each worker has one of its own, so that nobody waits for its lock.
#[derive(Debug, Default)]
pub(super) struct ErrorCounts(Mutex<BTreeMap<Box<str>, u64>>);

impl ErrorCounts {
    /// Counts an error by its text, which has no leading `-`.
    pub(super) fn count(&self, text: &[u8]) {
        let mut kinds = self.0.lock();
        let kind = kind_of(text);
        if let Some(count) = kinds.get_mut(kind) {
            *count += 1;
        } else if !kinds.contains_key(TOO_MANY) {
            if kinds.len() >= KINDS {
                kinds.clear();
                kinds.insert(TOO_MANY.into(), 1);
                tracing::warn!("there are too many kinds of errors: they are no longer counted by kind");
            } else {
                kinds.insert(kind.into(), 1);
            }
        }
    }

    /// Adds the counts to `sums`.
    pub(super) fn add_to(&self, sums: &mut BTreeMap<Box<str>, u64>) {
        for (kind, count) in &*self.0.lock() {
            match sums.get_mut(kind) {
                Some(sum) => *sum += count,
                None => drop(sums.insert(kind.clone(), *count)),
            }
        }
        if sums.contains_key(TOO_MANY) {
            sums.clear();
            sums.insert(TOO_MANY.into(), 1);
        }
    }

    /// Adds what another has counted.
    pub(super) fn absorb(&self, other: &Self) {
        other.add_to(&mut self.0.lock());
    }

    /// Forgets everything.
    pub(super) fn reset(&self) {
        self.0.lock().clear();
    }
}

fn kind_of(text: &[u8]) -> &str {
    let word = text.get(..LONGEST).unwrap_or(text).split_inclusive(|&byte| byte == b' ').next().unwrap_or_default();
    word.strip_suffix(b" ").and_then(|word| std::str::from_utf8(word).ok()).unwrap_or("ERR")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_of_the_kind_that_its_first_word_names() {
        assert_eq!(kind_of(b"NOAUTH Authentication required."), "NOAUTH");
        assert_eq!(kind_of(b"ERR"), "ERR");
        assert_eq!(kind_of(&[b'A'; 40]), "ERR");
        assert_eq!(kind_of(b""), "ERR");
    }

    #[test]
    fn kinds_are_bounded() {
        let errors = ErrorCounts::default();
        let sums = |errors: &ErrorCounts| {
            let mut sums = BTreeMap::new();
            errors.add_to(&mut sums);
            sums
        };
        for kind in 0..KINDS {
            errors.count(format!("E{kind} text").as_bytes());
            errors.count(format!("E{kind} text").as_bytes());
        }
        assert_eq!((sums(&errors).len(), sums(&errors)["E7"]), (KINDS, 2));
        errors.count(b"ONE more");
        errors.count(b"TWO more");
        assert_eq!(sums(&errors), BTreeMap::from([(TOO_MANY.into(), 1)]));
        errors.reset();
        errors.count(b"ONE more");
        assert_eq!(sums(&errors), BTreeMap::from([("ONE".into(), 1)]));
    }
}
