//! The rules of one user: whether and with which passwords it may come in, and what it may do.

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::known::Known;
use super::request::{Denial, Permissions, Request};
use super::selector::Selector;
use crate::base::{hex, words};

/// What is wrong with a rule, as Redis words it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// `+` or `-` with what is no command and no category.
    #[error("Unknown command or category name in ACL")]
    Unknown,
    /// No such rule, or a pattern with spaces.
    #[error("Syntax error")]
    Syntax,
    /// A pattern of keys where all are allowed.
    #[error(
        "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try \
         'resetkeys' to start with an empty list of patterns"
    )]
    AfterAllKeys,
    /// A pattern of channels where all are allowed.
    #[error(
        "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. \
         Try 'resetchannels' to start with an empty list of channels"
    )]
    AfterAllChannels,
    /// `<password` or `!hash` with one that the user does not have.
    #[error("The password you are trying to remove from the user does not exist")]
    NoSuchPassword,
    /// `#hash` with what is none.
    #[error("The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters")]
    BadHash,
    /// `+config|get|x`
    #[error("Allowing first-arg of a subcommand is not supported")]
    FirstArgOfSubcommand,
}

/// What rules are read against.
#[derive(Debug, Clone, Copy)]
pub struct Grammar<'a> {
    /// The commands that there are.
    pub known: &'a Known,
    /// Whether a new selector allows all channels (`acl-pubsub-default`).
    pub starts_with_all_channels: bool,
}

impl Grammar<'_> {
    fn selector(self) -> Selector {
        Selector::new(self.known, self.starts_with_all_channels)
    }
}

/// SHA-256 of a password.
type Hash = [u8; 32];

/// Rules of a user.
#[derive(Debug, Clone)]
pub struct Rules {
    is_on: bool,
    has_no_password: bool,
    skips_sanitizing: bool,
    passwords: Vec<Hash>,
    root: Selector,
    others: Vec<Selector>,
}

impl Rules {
    /// Those of a new user, who may do nothing.
    pub fn new(grammar: Grammar<'_>) -> Self {
        Self {
            is_on: false,
            has_no_password: false,
            skips_sanitizing: false,
            passwords: Vec::new(),
            root: grammar.selector(),
            others: Vec::new(),
        }
    }

    /// Those of the default user of a server that nobody has configured, who may do everything.
    pub fn unrestricted(grammar: Grammar<'_>) -> Self {
        let mut rules = Self { is_on: true, has_no_password: true, ..Self::new(grammar) };
        for rule in ["+@all", "~*", "&*"] {
            let applied = rules.root.apply(rule.as_bytes(), grammar.known);
            debug_assert!(applied.is_ok());
        }
        rules
    }

    /// Applies one rule (`on`, `>password`, `(+get ~key)`, `+@read`, ...).
    pub fn apply(&mut self, rule: &[u8], grammar: Grammar<'_>) -> Result<(), RuleError> {
        let text = until_nul(rule);
        let is = |word: &str| text.eq_ignore_ascii_case(word.as_bytes());
        match rule {
            [] => {}
            [b'>', password @ ..] => self.add_password(hash(password)),
            [b'#', hash @ ..] => self.add_password(parse_hash(hash)?),
            [b'<', password @ ..] => self.remove_password(hash(password))?,
            [b'!', hash @ ..] => self.remove_password(parse_hash(hash)?)?,
            [b'(', inner @ .., b')'] => {
                let mut selector = grammar.selector();
                for rule in words::split(inner).unwrap_or_default() {
                    selector.apply(&rule, grammar.known)?;
                }
                self.others.push(selector);
            }
            _ if is("on") || is("off") => self.is_on = is("on"),
            _ if is("skip-sanitize-payload") || is("sanitize-payload") => {
                self.skips_sanitizing = is("skip-sanitize-payload");
            }
            _ if is("nopass") || is("resetpass") => {
                self.has_no_password = is("nopass");
                self.passwords.clear();
            }
            _ if is("clearselectors") => self.others.clear(),
            _ if is("reset") => *self = Self::new(grammar),
            _ => self.root.apply(rule, grammar.known)?,
        }
        Ok(())
    }

    /// Whether somebody may come in as this user.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Whether any password will do.
    pub fn has_no_password(&self) -> bool {
        self.has_no_password
    }

    /// Whether one may come in with this password. Takes as long whatever the passwords are.
    pub fn accept(&self, password: &[u8]) -> bool {
        let given = hash(password);
        let is_known = self.passwords.iter().fold(Choice::from(0), |found, known| found | given.ct_eq(known));
        self.is_on && (self.has_no_password || bool::from(is_known))
    }

    /// Whether everything is allowed.
    pub fn is_unrestricted(&self) -> bool {
        self.selectors().any(Selector::is_unrestricted)
    }

    /// Whether one of the selectors allows a request; why not, otherwise.
    pub fn check<'r, A, K>(&self, request: &Request<A, K>) -> Result<(), Denial>
    where
        A: Fn(usize) -> Option<&'r [u8]>,
        K: Iterator<Item = (usize, Permissions)> + Clone,
    {
        let mut greatest = Denial::Command;
        for selector in self.selectors() {
            match selector.check(request) {
                Ok(()) => return Ok(()),
                Err(denial) => greatest = greatest.max(denial),
            }
        }
        Err(greatest)
    }

    /// All selectors, the root first.
    pub fn selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.root).chain(&self.others)
    }

    /// The words for what is on, as ACL GETUSER gives them.
    pub fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.is_on { "on" } else { "off" }];
        if self.has_no_password {
            flags.push("nopass");
        }
        flags.push(if self.skips_sanitizing { "skip-sanitize-payload" } else { "sanitize-payload" });
        flags
    }

    /// The hashes of the passwords in hexadecimal digits.
    pub fn passwords(&self) -> impl ExactSizeIterator<Item = String> {
        self.passwords.iter().map(|hash| hex::encode(hash))
    }

    /// All rules in one line, as ACL LIST shows them and a file holds them.
    pub fn describe(&self) -> Vec<u8> {
        let mut line = self.flags().join(" ").into_bytes();
        for password in self.passwords() {
            line.extend_from_slice(b" #");
            line.extend_from_slice(password.as_bytes());
        }
        line.push(b' ');
        line.extend_from_slice(&self.root.describe());
        for selector in &self.others {
            line.extend_from_slice(&[b" (", &*selector.describe(), b")"].concat());
        }
        line
    }

    fn add_password(&mut self, hash: Hash) {
        if !self.passwords.contains(&hash) {
            self.passwords.push(hash);
        }
        self.has_no_password = false;
    }

    fn remove_password(&mut self, hash: Hash) -> Result<(), RuleError> {
        let position = self.passwords.iter().position(|known| *known == hash).ok_or(RuleError::NoSuchPassword)?;
        self.passwords.remove(position);
        Ok(())
    }
}

/// What C takes for the whole of a text: Redis reads words so.
pub fn until_nul(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Joins selectors that were sent as several arguments: `(+get`, `~key)`. Gives the position of a parenthesis that is not
/// closed otherwise.
pub fn merge_selectors<'a>(rules: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Vec<u8>>, usize> {
    let mut merged: Vec<Vec<u8>> = Vec::new();
    let mut open = None;
    for (position, rule) in rules.enumerate() {
        let ends = rule.ends_with(b")");
        if let (Some(_), Some(selector)) = (open, merged.last_mut()) {
            selector.push(b' ');
            selector.extend_from_slice(until_nul(rule));
            open = open.filter(|_| !ends);
        } else {
            open = (rule.starts_with(b"(") && !ends).then_some(position);
            merged.push(rule.to_vec());
        }
    }
    open.map_or(Ok(merged), Err)
}

fn hash(password: &[u8]) -> Hash {
    Sha256::digest(password).into()
}

fn parse_hash(digits: &[u8]) -> Result<Hash, RuleError> {
    hex::decode(digits).ok_or(RuleError::BadHash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::acl::known::KnownId;

    fn known() -> Known {
        Known::new(&[])
    }

    fn rules(known: &Known, words: &str) -> Rules {
        let grammar = Grammar { known, starts_with_all_channels: false };
        let mut rules = Rules::new(grammar);
        for word in merge_selectors(words.split(' ').map(str::as_bytes)).unwrap() {
            rules.apply(&word, grammar).unwrap_or_else(|problem| panic!("{}: {problem}", word.escape_ascii()));
        }
        rules
    }

    fn request<'a>(
        command: KnownId,
        argv: &'a [&'a str],
        keys: &'a [(usize, Permissions)],
    ) -> Request<impl Fn(usize) -> Option<&'a [u8]>, impl Iterator<Item = (usize, Permissions)> + Clone> {
        let at = |position: usize| argv.get(position).map(|text| text.as_bytes());
        Request { command: Some(command), at, keys: keys.iter().copied(), channels: 0..0, are_patterns: false }
    }

    #[test]
    fn passwords_are_kept_as_hashes() {
        let known = known();
        let mut user = rules(&known, "on >secret >other");
        assert!(user.accept(b"secret") && user.accept(b"other") && !user.accept(b"") && !user.accept(b"Secret"));
        let hash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
        assert_eq!(user.passwords().next().unwrap(), hash);
        let grammar = Grammar { known: &known, starts_with_all_channels: false };
        user.apply(format!("!{hash}").as_bytes(), grammar).unwrap();
        assert!(!user.accept(b"secret") && user.accept(b"other"));
        user.apply(b"off", grammar).unwrap();
        assert!(!user.accept(b"other"));
        assert!(rules(&known, "on nopass").accept(b"anything") && !rules(&known, "nopass").accept(b""));
    }

    #[test]
    fn one_selector_has_to_allow_all_of_a_request() {
        let known = known();
        let (get, set) = (known.find(b"get").unwrap(), known.find(b"set").unwrap());
        let user = rules(&known, "+get ~a* (+set ~b %R~c)");
        let (read, write) = ([(1, Permissions::READ)], [(1, Permissions::WRITE)]);
        assert_eq!(user.check(&request(get, &["get", "ab"], &read)), Ok(()));
        assert_eq!(user.check(&request(get, &["get", "b"], &read)), Err(Denial::Key(1)));
        assert_eq!(user.check(&request(set, &["set", "b"], &write)), Ok(()));
        assert_eq!(user.check(&request(set, &["set", "a"], &write)), Err(Denial::Key(1)));
        assert_eq!(user.check(&request(set, &["set", "c"], &write)), Err(Denial::Key(1)));
        assert_eq!(user.check(&request(known.find(b"del").unwrap(), &["del", "a"], &write)), Err(Denial::Command));
    }

    #[test]
    fn only_a_user_without_any_limit_is_unrestricted() {
        let known = known();
        for (words, is_unrestricted) in [
            ("+@all ~* &*", true),
            ("allcommands allkeys allchannels off", true),
            ("+@all ~* &* -get", false),
            ("+@all ~* &* -get +get", false),
            ("+@all ~*", false),
            ("+@all ~** &*", false),
            ("(+@all ~* &*)", true),
            ("+@all ~* (&*)", false),
        ] {
            assert_eq!(rules(&known, words).is_unrestricted(), is_unrestricted, "{words}");
        }
    }

    #[test]
    fn what_is_listed_can_be_applied_again() {
        let known = known();
        let words = "on >x ~a %R~b &c +@all -config|set +select|0 -@read +get (%W~d -@all +config|get) (+set)";
        let listed = String::from_utf8(rules(&known, words).describe()).unwrap();
        let again = String::from_utf8(rules(&known, &listed).describe()).unwrap();
        assert_eq!(listed, again);
    }

    #[test]
    fn selectors_may_be_cut_into_arguments() {
        let merge = |words: &str| merge_selectors(words.split(' ').map(str::as_bytes));
        assert_eq!(merge("on (+get ~a) (+set)").unwrap(), [&b"on"[..], b"(+get ~a)", b"(+set)"]);
        assert_eq!(merge("on (+get (~a (+set"), Err(1));
        assert_eq!(merge("(a (b) (c"), Err(2));
    }
}
