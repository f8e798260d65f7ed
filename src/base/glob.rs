//! Glob patterns as `KEYS`, `SCAN MATCH` and `CONFIG GET` match them: Redis's `stringmatchlen` with all its quirks,
//! but iterative. A mismatch only ever returns to the last star, and letters after a star are searched for at once: the
//! time is that of reading pattern and text, and bounded by their product where classes or question marks follow a star.

use memchr::memmem;

/// Redis gives up when this many stars are open at once; a pattern with more of them matches nothing.
const MAX_STARS: usize = 1000;

/// Whether `text` matches `pattern`: Redis's `stringmatchlen` with `nocase` 0.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    run(pattern, text, |byte| byte, skip_what_cannot_match)
}

/// Whether `text` matches `pattern`, ASCII letters of either case being equal: `stringmatchlen` with `nocase` 1.
///
/// As in Redis an escaped byte in a class (`[\A]`) keeps its case.
pub fn matches_ignore_case(pattern: &[u8], text: &[u8]) -> bool {
    run(pattern, text, |byte| byte.to_ascii_lowercase(), Some)
}

/// What is left to match from a point on.
#[derive(Clone, Copy)]
struct Rest<'a> {
    pattern: &'a [u8],
    text: &'a [u8],
}

/// After a star: the earliest place of the text where the pattern's letters up to its next special element stand; `None` if
/// they stand nowhere.
fn skip_what_cannot_match(Rest { pattern, text }: Rest<'_>) -> Option<Rest<'_>> {
    let letters = pattern.iter().position(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\')).unwrap_or(pattern.len());
    let at = if letters == pattern.len() {
        text.len().checked_sub(letters)?
    } else {
        memmem::find(text, pattern.get(..letters)?)?
    };
    Some(Rest { pattern, text: text.get(at..)? })
}

fn run<'a>(
    pattern: &'a [u8],
    text: &'a [u8],
    fold: impl Fn(u8) -> u8 + Copy,
    skip: impl Fn(Rest<'a>) -> Option<Rest<'a>>,
) -> bool {
    // Redis's loop never starts on an empty text, so not even a star matches it; callers treat "*" alone beforehand.
    if text.is_empty() {
        return pattern.is_empty();
    }
    let mut rest = Rest { pattern, text };
    let mut after_star: Option<Rest> = None;
    let mut stars = 0;
    loop {
        if let [b'*', ..] = rest.pattern {
            rest.pattern = skip_stars(rest.pattern);
            if rest.pattern.is_empty() {
                return true;
            }
            // What follows a star takes at least one byte.
            if rest.text.is_empty() {
                return false;
            }
            stars += 1;
            if stars > MAX_STARS {
                return false;
            }
            let Some(ahead) = skip(rest) else { return false };
            rest = ahead;
            after_star = Some(rest);
        }
        if rest.pattern.is_empty() && rest.text.is_empty() {
            return true;
        }
        if let Some(next) = step(rest, fold) {
            rest = next;
            continue;
        }
        // Let the last star take one byte more; an earlier star could only leave less text for the same remainder.
        let Some(Rest { pattern, text: [_, text @ ..] }) = after_star else { return false };
        if text.is_empty() {
            return false;
        }
        let Some(ahead) = skip(Rest { pattern, text }) else { return false };
        rest = ahead;
        after_star = Some(rest);
    }
}

fn skip_stars(mut pattern: &[u8]) -> &[u8] {
    while let [b'*', tail @ ..] = pattern {
        pattern = tail;
    }
    pattern
}

/// Matches one pattern element other than a star against one byte; `None` when it does not fit.
fn step(rest: Rest<'_>, fold: impl Fn(u8) -> u8) -> Option<Rest<'_>> {
    let (&byte, text) = rest.text.split_first()?;
    let (fits, pattern) = match rest.pattern {
        [] => return None,
        [b'?', tail @ ..] => (true, tail),
        [b'[', b'^', tail @ ..] => {
            let (found, tail) = class(tail, byte, fold);
            (!found, tail)
        }
        [b'[', tail @ ..] => class(tail, byte, fold),
        // A trailing backslash stands for itself, by the arm after this one.
        [b'\\', literal, tail @ ..] | [literal, tail @ ..] => (fold(*literal) == fold(byte), tail),
    };
    fits.then_some(Rest { pattern, text })
}

/// Reads a class after its `[` or `[^`: whether `byte` is in it, and the pattern behind it. An unterminated class ends
/// with the pattern; a `]` may be the end of a range, so `[a-]` is unterminated.
fn class(mut pattern: &[u8], byte: u8, fold: impl Fn(u8) -> u8) -> (bool, &[u8]) {
    let mut found = false;
    loop {
        pattern = match pattern {
            [] => return (found, pattern),
            [b'\\', literal, tail @ ..] => {
                found |= *literal == byte;
                tail
            }
            [b']', tail @ ..] => return (found, tail),
            [from, b'-', to, tail @ ..] => {
                found |= in_range(*from, *to, byte, &fold);
                tail
            }
            [literal, tail @ ..] => {
                found |= fold(*literal) == fold(byte);
                tail
            }
        };
    }
}

/// Redis compares C's `char`s, signed on x86-64, and puts the ends in order before it folds their case.
fn in_range(from: u8, to: u8, byte: u8, fold: impl Fn(u8) -> u8) -> bool {
    let (low, high) = if from.cast_signed() > to.cast_signed() { (to, from) } else { (from, to) };
    (fold(low).cast_signed()..=fold(high).cast_signed()).contains(&fold(byte).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
    }

    #[test]
    fn stars_and_question_marks() {
        for pattern in ["*", "**", "h*", "*o", "h*o", "h?llo", "*l*l*", "?????", "hello*", "***hello***", "h**o"] {
            check(pattern, "hello", true);
        }
        for pattern in ["", "h", "?", "hell", "hello?", "*x*", "??????", "h*l", "*h", "Hello"] {
            check(pattern, "hello", false);
        }
    }

    #[test]
    fn an_empty_text_matches_only_an_empty_pattern() {
        check("", "", true);
        check("*", "", false);
        check("**", "", false);
        check("?", "", false);
    }

    #[test]
    fn classes() {
        for pattern in ["[abc]", "[a-c]", "[c-a]", "[^x]", "[^]", "[^", "[b", "[\\b]", "[a-", "[]b", "[x]"] {
            let expected = !matches!(pattern, "[a-" | "[]b" | "[x]");
            check(pattern, "b", expected);
        }
        check("[a-]", "a", true);
        check("[a-]", "]", true);
        check("[a-]x", "ax", false);
        check("[", "[", false);
        check("[\\", "\\", true);
        check("[\\]]", "]", true);
        check("[a-c", "b", true);
        check("[--0]", ".", true);
    }

    #[test]
    fn a_range_is_of_signed_bytes() {
        assert!(matches(b"[\x80-a]", b"\xff"));
        assert!(matches(b"[\x80-a]", b"A"));
        assert!(!matches(b"[a-\xff]", b"b"));
    }

    #[test]
    fn escapes() {
        check("\\*", "*", true);
        check("\\*", "a", false);
        check("a\\", "a\\", true);
        check("\\\\", "\\", true);
        check("*\\", "x\\", true);
    }

    #[test]
    fn case_is_ignored_except_for_an_escape_in_a_class() {
        assert!(matches_ignore_case(b"HeL[K-M]o", b"hElLO"));
        assert!(matches_ignore_case(b"\\A", b"a"));
        assert!(!matches_ignore_case(b"[\\A]", b"a"));
        assert!(!matches(b"A", b"a"));
    }

    #[test]
    fn too_many_stars_match_nothing() {
        let text = [b'a'; 5000];
        assert!(matches(&b"*a".repeat(1000), &text));
        assert!(!matches(&b"*a".repeat(1001), &text));
    }

    /// Comparisons of bytes, which is all that takes time.
    fn steps<'a>(pattern: &'a [u8], text: &'a [u8], skip: impl Fn(Rest<'a>) -> Option<Rest<'a>>) -> usize {
        let steps = std::cell::Cell::new(0);
        let counting = |byte| {
            steps.set(steps.get() + 1);
            byte
        };
        run(pattern, text, counting, skip);
        steps.get()
    }

    #[test]
    fn a_hostile_pattern_takes_no_more_steps_than_pattern_times_text() {
        let bombs: [Vec<u8>; 6] = [
            [b"a*".repeat(500), b"b".to_vec()].concat(),
            [b"*a".repeat(500), b"*b".to_vec()].concat(),
            [b"*".to_vec(), b"a".repeat(1000), b"b".to_vec()].concat(),
            [b"*[a-z]".repeat(200), b"b".to_vec()].concat(),
            [b"*?".repeat(500), b"b".to_vec()].concat(),
            b"*[^b]".repeat(200),
        ];
        for bomb in bombs {
            for length in [10, 1000, 20_000] {
                let text = b"a".repeat(length);
                // Both sides are folded, and both ends of a range.
                let (folding, not) = (steps(&bomb, &text, Some), steps(&bomb, &text, skip_what_cannot_match));
                let most = 4 * bomb.len() * length;
                assert!(folding <= most && not <= most, "{folding}, {not} for {} on {length}", bomb.escape_ascii());
                if !bomb.contains(&b'?') && !bomb.contains(&b'[') {
                    assert!(not <= 4 * (bomb.len() + length), "{not} for {} on {length}", bomb.escape_ascii());
                }
            }
        }
    }
}
