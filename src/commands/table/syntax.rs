//! The argument syntax of the table's rows (`key [NX | XX] FIELDS numfields field [field ...]`), parsed into the
//! tree that COMMAND DOCS sends. A word or a closing bracket may carry notes without a space: a name, a version, a
//! version from which it is deprecated, and that it may be repeated (`[NX | XX]=condition@7.0.0~8.0.0+`).

/// What an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value; the text is Redis's name of its type (`string`, `integer`, `key`, ...).
    Value(&'static str),
    /// A keyword that stands for itself.
    PureToken,
    /// One of its arguments.
    OneOf,
    /// All of its arguments, in order.
    Block,
}

impl Kind {
    /// The name in COMMAND DOCS.
    pub fn name(self) -> &'static str {
        match self {
            Self::Value(name) => name,
            Self::PureToken => "pure-token",
            Self::OneOf => "oneof",
            Self::Block => "block",
        }
    }
}

/// One argument of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Lower-case name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The keyword before it, or itself for a pure token.
    pub token: Option<&'static str>,
    /// How the documentation shows a value, if not by its name.
    pub display: Option<&'static str>,
    /// The version that brought it, if its command is older.
    pub since: Option<&'static str>,
    /// The version that advises against it.
    pub deprecated_since: Option<&'static str>,
    /// Whether it may be left out.
    pub optional: bool,
    /// Whether it may be repeated.
    pub multiple: bool,
    /// Whether its keyword is repeated with it.
    pub multiple_token: bool,
    /// The parts of a block, the alternatives of a choice.
    pub arguments: Vec<Argument>,
}

impl Argument {
    fn named(name: String) -> Self {
        Self {
            name,
            kind: Kind::Value("string"),
            token: None,
            display: None,
            since: None,
            deprecated_since: None,
            optional: false,
            multiple: false,
            multiple_token: false,
            arguments: Vec::new(),
        }
    }

    /// Applies notes: `=name`, `@version`, `~version` and `+`, in any order.
    fn noted(mut self, notes: &'static str) -> Self {
        let mut rest = notes;
        while let Some((sign, after)) = rest.split_at_checked(1) {
            let (note, others) = after.split_at(after.find(NOTES).unwrap_or(after.len()));
            match sign {
                "=" => note.clone_into(&mut self.name),
                "@" => self.since = Some(note),
                "~" => self.deprecated_since = Some(note),
                _ => self.multiple = true,
            }
            rest = others;
        }
        self
    }
}

/// Parses a syntax text; brackets that do not match are ignored.
pub fn parse(syntax: &'static str) -> Vec<Argument> {
    let mut words = Words { text: syntax };
    let mut arguments = Vec::new();
    while !words.text.is_empty() {
        let (mut alternatives, _) = words.alternatives();
        arguments.append(&mut alternatives.pop().unwrap_or_default());
    }
    arguments
}

/// What begins a note.
const NOTES: [char; 4] = ['=', '@', '~', '+'];

/// The words and brackets of a syntax text that have not been read.
struct Words {
    text: &'static str,
}

impl Words {
    /// The next word or bracket.
    fn next(&mut self) -> Option<&'static str> {
        let text = self.text.trim_start();
        let is_bracket = |letter: char| matches!(letter, '[' | ']' | '<' | '>' | '|');
        let end = match text.find(|letter: char| letter == ' ' || is_bracket(letter)) {
            Some(0) => 1,
            Some(at) => at,
            None => text.len(),
        };
        let (word, rest) = text.split_at_checked(end)?;
        self.text = rest.trim_start();
        (!word.is_empty()).then_some(word)
    }

    /// The note on the bracket that has just been read; empty if there is none.
    fn note(&mut self) -> &'static str {
        if self.text.starts_with(NOTES) { self.next().unwrap_or_default() } else { "" }
    }

    /// Reads up to the closing bracket: the alternatives in it, and whether it ended in `...`.
    fn alternatives(&mut self) -> (Vec<Vec<Argument>>, bool) {
        let (mut alternatives, mut sequence, mut repeats) = (Vec::new(), Vec::new(), false);
        while let Some(word) = self.next() {
            match word {
                "]" | ">" => break,
                "|" => alternatives.push(attach_tokens(std::mem::take(&mut sequence))),
                "..." => repeats = true,
                "<" => {
                    let (choices, _) = self.alternatives();
                    sequence.push(fold(choices).noted(self.note()));
                }
                "[" => match self.alternatives() {
                    (choices, true) => repeat_last(&mut sequence, choices.iter().map(Vec::len).sum(), self.note()),
                    (choices, false) => {
                        sequence.push(Argument { optional: true, ..fold(choices) }.noted(self.note()));
                    }
                },
                word => sequence.push(leaf(word)),
            }
        }
        if repeats {
            // Only the number of words to repeat matters to the caller.
            alternatives.push(sequence);
        } else {
            alternatives.push(attach_tokens(sequence));
        }
        (alternatives, repeats)
    }
}

/// Marks the last `count` arguments as one that may be repeated.
fn repeat_last(sequence: &mut Vec<Argument>, count: usize, note: &'static str) {
    let repeated = attach_tokens(sequence.split_off(sequence.len().saturating_sub(count)));
    let argument = fold(vec![repeated]);
    let multiple_token = argument.token.is_some();
    sequence.push(Argument { multiple: true, multiple_token, ..argument }.noted(note));
}

/// Makes one argument of several: a choice between sequences, a block of a sequence, or the only argument there is.
fn fold(mut alternatives: Vec<Vec<Argument>>) -> Argument {
    if alternatives.len() > 1 {
        let arguments = alternatives.into_iter().map(|sequence| fold(vec![sequence])).collect();
        return group(Kind::OneOf, None, arguments);
    }
    let mut sequence = alternatives.pop().unwrap_or_default();
    match (sequence.len(), sequence.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            sequence.extend(last);
            group(Kind::Block, None, sequence)
        }
    }
}

fn group(kind: Kind, token: Option<&'static str>, arguments: Vec<Argument>) -> Argument {
    let name = match token {
        Some(token) => token.to_ascii_lowercase(),
        None => arguments.iter().map(|argument| argument.name.as_str()).collect::<Vec<_>>().join("-"),
    };
    Argument { kind, token, arguments, ..Argument::named(name) }
}

/// Joins keywords to the values behind them: `MATCH pattern` is one argument, `AUTH username password` a block.
fn attach_tokens(sequence: Vec<Argument>) -> Vec<Argument> {
    let mut joined = Vec::new();
    let mut rest = sequence.into_iter().peekable();
    while let Some(argument) = rest.next() {
        if argument.kind != Kind::PureToken || argument.optional {
            joined.push(argument);
            continue;
        }
        let mut values = Vec::new();
        while let Some(value) = rest.next_if(|next| next.kind != Kind::PureToken && !next.optional) {
            values.push(value);
        }
        joined.push(match (values.len(), values.pop()) {
            (_, None) => argument,
            (1, Some(value)) if value.token.is_none() => Argument { token: argument.token, ..value },
            (_, Some(last)) => {
                values.push(last);
                group(Kind::Block, argument.token, values)
            }
        });
    }
    joined
}

/// A word by itself: a keyword when it is in capitals, otherwise a value whose type its name tells.
fn leaf(word: &'static str) -> Argument {
    let (word, note) = word.split_at(word.find(NOTES).unwrap_or(word.len()));
    let is_token = word.bytes().any(|byte| byte.is_ascii_uppercase());
    let kind = match word {
        _ if is_token => Kind::PureToken,
        "key" | "newkey" | "source" | "destination" => Kind::Value("key"),
        "pattern" => Kind::Value("pattern"),
        "unix-time-seconds" | "unix-time-milliseconds" => Kind::Value("unix-time"),
        "float-increment" => Kind::Value("double"),
        "seconds" | "milliseconds" | "count" | "numfields" | "cursor" | "increment" | "index" | "index1" | "index2"
        | "db" | "destination-db" | "protover" | "version" | "client-id" | "maxage" | "timeout" | "numreplicas"
        | "numlocal" | "bits" | "k" | "ratio" | "slot" => Kind::Value("integer"),
        _ => Kind::Value("string"),
    };
    let token = is_token.then_some(word);
    // A colon stands in no name.
    let display = word.contains(':').then_some(word);
    Argument { kind, token, display, ..Argument::named(word.to_ascii_lowercase()) }.noted(note)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_expiry_syntax() {
        let arguments = parse("key seconds [NX | XX] FIELDS numfields field [field ...]");
        let [key, seconds, condition, fields] = arguments.as_slice() else { panic!("{arguments:?}") };
        assert_eq!((key.kind, seconds.kind), (Kind::Value("key"), Kind::Value("integer")));
        assert_eq!((condition.kind, condition.optional, condition.arguments.len()), (Kind::OneOf, true, 2));
        assert_eq!((fields.kind, fields.token, fields.arguments.len()), (Kind::Block, Some("FIELDS"), 2));
        assert!(fields.arguments.last().unwrap().multiple);
    }

    #[test]
    fn nested_options_and_repeated_pairs() {
        let arguments = parse("[protover [AUTH username password] [SETNAME clientname]]");
        let [hello] = arguments.as_slice() else { panic!("{arguments:?}") };
        let [_, auth, name] = hello.arguments.as_slice() else { panic!("{hello:?}") };
        assert_eq!((auth.kind, auth.token, auth.arguments.len()), (Kind::Block, Some("AUTH"), 2));
        assert_eq!((name.kind, name.token, name.optional), (Kind::Value("string"), Some("SETNAME"), true));
        let arguments = parse("key field value [field value ...]");
        let [_, data] = arguments.as_slice() else { panic!("{arguments:?}") };
        assert_eq!((data.kind, data.multiple, data.arguments.len()), (Kind::Block, true, 2));
    }

    #[test]
    fn notes_name_and_date_arguments() {
        let arguments = parse("[TYPE type@6.0.0] [NX | XX@2.0.0]=condition field value [field value ...]=data@1.0.0");
        let seen: Vec<_> = arguments.iter().map(|argument| (argument.name.as_str(), argument.since)).collect();
        assert_eq!(seen, [("type", Some("6.0.0")), ("condition", None), ("data", Some("1.0.0"))]);
        let [.., condition, _] = arguments.as_slice() else { panic!("{arguments:?}") };
        let alternatives: Vec<_> = condition.arguments.iter().map(|argument| argument.since).collect();
        assert_eq!(alternatives, [None, Some("2.0.0")]);
    }
}
