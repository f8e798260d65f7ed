//! What is not to be seen of a request in MONITOR and SLOWLOG: passwords, and whom ACL commands are about.

/// Stands for a secret.
const REDACTED: &[u8] = b"(redacted)";

/// The parameters whose values are secrets.
const PARAMETERS: [&str; 5] =
    ["requirepass", "masterauth", "masteruser", "tls-key-file-pass", "tls-client-key-file-pass"];

/// The arguments of a request with its secrets hidden, as far as Redis hides them.
pub fn hidden<'a>(argv: impl Iterator<Item = &'a [u8]>) -> Vec<&'a [u8]> {
    let mut shown: Vec<&[u8]> = argv.collect();
    let Some((name, rest)) = shown.split_first_mut() else { return shown };
    if is(name, "auth") && rest.len() <= 2 {
        rest.fill(REDACTED);
    } else if is(name, "hello") {
        hide_after(rest, |word| match word {
            word if is(word, "auth") => (2, 2),
            word if is(word, "setname") => (1, 0),
            _ => (0, 0),
        });
    } else if is(name, "migrate") {
        hide_after(rest, |word| match word {
            word if is(word, "auth") => (1, 1),
            word if is(word, "auth2") => (2, 2),
            _ => (0, 0),
        });
    } else if is(name, "acl") {
        if let Some((subcommand, rest)) = rest.split_first_mut()
            && ["setuser", "deluser", "getuser"].iter().any(|name| is(subcommand, name))
        {
            rest.fill(REDACTED);
        }
    } else if is(name, "config")
        && let Some((subcommand, pairs)) = rest.split_first_mut()
        && is(subcommand, "set")
    {
        for pair in pairs.chunks_exact_mut(2) {
            if let [parameter, value] = pair
                && PARAMETERS.iter().any(|name| is(parameter, name))
            {
                *value = REDACTED;
            }
        }
    }
    shown
}

fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

/// Goes over the words: `take` says how many arguments belong to one, and how many of those are secrets.
fn hide_after(words: &mut [&[u8]], take: impl Fn(&[u8]) -> (usize, usize)) {
    let mut words = words.iter_mut();
    while let Some(word) = words.next() {
        let (arguments, secrets) = take(word);
        for (index, argument) in words.by_ref().take(arguments).enumerate() {
            if index < secrets {
                *argument = REDACTED;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(request: &str) -> String {
        let words = hidden(request.split(' ').map(str::as_bytes));
        words.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn secrets_are_hidden() {
        for (request, expected) in [
            ("AUTH secret", "AUTH (redacted)"),
            ("auth user secret", "auth (redacted) (redacted)"),
            ("HELLO 3 AUTH user secret SETNAME auth", "HELLO 3 AUTH (redacted) (redacted) SETNAME auth"),
            ("ACL SETUSER user >secret", "ACL SETUSER (redacted) (redacted)"),
            ("ACL LOG RESET", "ACL LOG RESET"),
            ("CONFIG SET hz 10 RequirePass secret maxclients", "CONFIG SET hz 10 RequirePass (redacted) maxclients"),
            ("CONFIG GET requirepass", "CONFIG GET requirepass"),
            ("MIGRATE h 1 k 0 9 AUTH secret KEYS k", "MIGRATE h 1 k 0 9 AUTH (redacted) KEYS k"),
            ("migrate h 1 k 0 9 auth2 user secret", "migrate h 1 k 0 9 auth2 (redacted) (redacted)"),
            ("HSET auth secret 1", "HSET auth secret 1"),
        ] {
            assert_eq!(shown(request), expected);
        }
    }
}
