//! Any words as rules of a user: none panics, and what is listed can be applied again and is listed the same.

use hashd::services::acl::known::Known;
use hashd::services::acl::rules::{Grammar, Rules, merge_selectors};
use std::sync::LazyLock;

static KNOWN: LazyLock<Known> = LazyLock::new(|| Known::new(&[]));

pub fn run(bytes: &[u8]) {
    let grammar = Grammar { known: &KNOWN, starts_with_all_channels: bytes.len().is_multiple_of(2) };
    let mut rules = Rules::new(grammar);
    let words = bytes.split(|&byte| byte == b'\n');
    for rule in merge_selectors(words).unwrap_or_default() {
        // A wrong rule changes nothing.
        let before = rules.describe();
        if rules.apply(&rule, grammar).is_err() {
            assert_eq!(rules.describe(), before);
        }
    }
    let listed = rules.describe();
    // As in Redis, a listing does not quote: what holds quotes or parentheses of its own cannot be read back.
    let count = |wanted: u8| listed.iter().filter(|&&byte| byte == wanted).count();
    let selectors = rules.selectors().count() - 1;
    if count(b'(') != selectors || count(b')') != selectors || listed.iter().any(|byte| b"\"'\\".contains(byte)) {
        return;
    }
    // Nor does Redis take a pattern of keys beside `~*`, which is how it lists `%RW~*` too.
    let is_of_keys = |word: &&[u8]| word.starts_with(b"~") || word.starts_with(b"%");
    for part in listed.split(|byte| b"()".contains(byte)) {
        let keys: Vec<&[u8]> = part.split(|&byte| byte == b' ').filter(is_of_keys).collect();
        if keys.len() > 1 && keys.contains(&&b"~*"[..]) {
            return;
        }
    }
    // The word `resetchannels` begins the listing wherever channels are not all allowed.
    let mut again = Rules::new(Grammar { starts_with_all_channels: false, ..grammar });
    for rule in merge_selectors(listed.split(|&byte| byte == b' ')).expect("what is listed is whole") {
        again.apply(&rule, grammar).expect("what is listed can be applied");
    }
    assert_eq!(again.describe(), listed, "{}", listed.escape_ascii());
}
