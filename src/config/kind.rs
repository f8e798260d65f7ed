//! The kinds of parameters: how a value is read from its words and how it is shown, with Redis' error texts.

use std::borrow::Cow;
use std::path::Path;

use super::events::KeyspaceEvents;
use super::parse::{memory_size, redis_integer};

/// What is wrong with a value, as Redis words it.
pub(super) type Problem = Cow<'static, str>;

/// What a parameter accepts.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `yes` or `no`.
    Bool,
    /// A whole number within bounds.
    Integer {
        /// Smallest value accepted.
        min: i64,
        /// Largest value accepted.
        max: i64,
    },
    /// Permissions, in octal.
    Octal {
        /// Largest value accepted.
        max: i64,
    },
    /// A number of bytes with an optional unit, as in `100mb`.
    Memory {
        /// Smallest value accepted.
        min: u64,
        /// Largest value accepted.
        max: u64,
    },
    /// A number of bytes, or a percentage, which is stored negative.
    MemoryOrPercent,
    /// One of some words.
    Choice(&'static [&'static str]),
    /// Any of some words together, each with its bits.
    Flags {
        /// The words and their bits.
        names: &'static [(&'static str, i64)],
        /// Bits that may not all be set, 0 for none.
        conflict: i64,
    },
    /// Any string the function has nothing against.
    Text(fn(&str) -> Result<(), &'static str>),
    /// An existing directory.
    Directory,
    /// Addresses to listen on.
    Bind,
    /// Pairs of seconds and changes.
    Save,
    /// Groups of class, hard limit, soft limit and seconds.
    OutputBufferLimits,
    /// Percentages.
    Percentiles,
    /// Letters that stand for classes of keyspace events.
    KeyspaceEvents,
    /// Three scores.
    OomScores,
    /// Host and port, or `no one`.
    ReplicaOf,
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number, a boolean, an index into the words of a choice, or bits.
    Number(i64),
    /// Anything else.
    Text(String),
    /// The output buffer limits of each class of clients.
    Limits([OutputBufferLimit; CLASSES.len()]),
}

/// What may wait to be sent to a client before the client is closed; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputBufferLimit {
    /// Bytes at which the client is closed at once.
    pub hard_bytes: u64,
    /// Bytes at which the client is closed when they stay for `soft_seconds`.
    pub soft_bytes: u64,
    /// How long `soft_bytes` are borne.
    pub soft_seconds: u64,
}

/// The classes of clients that output buffer limits tell apart, in the order they are shown.
pub const CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

const BAD_INTEGER: &str = "argument couldn't be parsed into an integer";
const BAD_COUNT: &str = "wrong number of arguments";
const BAD_OOM_SCORES: &str = "Invalid oom-score-adj-values, elements must be between -2000 and 2000.";
const BAD_PERCENTILE: &str = "Invalid latency-tracking-info-percentiles parameters";

impl Kind {
    /// Whether a value may consist of several words.
    pub fn takes_words(self) -> bool {
        !matches!(
            self,
            Self::Bool
                | Self::Integer { .. }
                | Self::Octal { .. }
                | Self::Memory { .. }
                | Self::MemoryOrPercent
                | Self::Choice(_)
                | Self::Text(_)
                | Self::Directory
                | Self::KeyspaceEvents
        )
    }

    /// Reads a value; `current` matters to parameters that can be set in part.
    pub fn read(self, words: &[&[u8]], current: &Value) -> Result<Value, Problem> {
        // Redis takes one empty word for no word, so that `save ""` clears the list.
        let words = if self.takes_words() && words == [b""] { &[] } else { words };
        match self {
            Self::Flags { names, conflict } => flags(words, names, conflict).map(Value::Number),
            Self::Bind => bind(words).map(Value::Text),
            Self::Save => save(words).map(Value::Text),
            Self::OutputBufferLimits => output_buffer_limits(words, current).map(Value::Limits),
            Self::Percentiles => percentiles(words).map(Value::Text),
            Self::OomScores => oom_scores(words).map(Value::Text),
            Self::ReplicaOf => replica_of(words).map(Value::Text),
            _ => match words {
                [word] => self.read_word(word),
                _ => Err(BAD_COUNT.into()),
            },
        }
    }

    fn read_word(self, word: &[u8]) -> Result<Value, Problem> {
        match self {
            Self::Bool if word.eq_ignore_ascii_case(b"yes") => Ok(Value::Number(1)),
            Self::Bool if word.eq_ignore_ascii_case(b"no") => Ok(Value::Number(0)),
            Self::Bool => Err("argument must be 'yes' or 'no'".into()),
            Self::Integer { min, max } => integer(word, min, max).map(Value::Number),
            Self::Octal { max } => octal(word, max).map(Value::Number),
            Self::Memory { min, max } => memory(word, min, max).map(Value::Number),
            Self::MemoryOrPercent => memory_or_percent(word).map(Value::Number),
            Self::Choice(names) => choice(word, names).map(Value::Number),
            Self::KeyspaceEvents => keyspace_events(word).map(Value::Number),
            Self::Directory => directory(text(word)?).map(Value::Text),
            Self::Text(check) => {
                let word = text(word)?;
                check(word)?;
                Ok(Value::Text(word.to_owned()))
            }
            _ => Err(BAD_COUNT.into()),
        }
    }

    /// Shows a value as `CONFIG GET` does.
    pub fn show(self, value: &Value) -> String {
        match (self, value) {
            (Self::Bool, Value::Number(number)) => if *number == 0 { "no" } else { "yes" }.to_owned(),
            (Self::Octal { .. }, Value::Number(number)) => format!("{number:o}"),
            (Self::Memory { .. }, Value::Number(number)) => number.cast_unsigned().to_string(),
            (Self::MemoryOrPercent, Value::Number(number)) if *number < 0 => format!("{}%", number.unsigned_abs()),
            (Self::Choice(names), Value::Number(number)) => chosen(names, *number).to_owned(),
            (Self::Flags { names, .. }, Value::Number(bits)) => show_flags(names, *bits),
            (Self::KeyspaceEvents, Value::Number(bits)) => events_of(*bits).show(),
            (_, Value::Number(number)) => number.to_string(),
            (_, Value::Text(text)) => text.clone(),
            (_, Value::Limits(limits)) => show_limits(limits),
        }
    }
}

/// The word of a choice that a stored number stands for.
pub(super) fn chosen(names: &[&'static str], number: i64) -> &'static str {
    usize::try_from(number).ok().and_then(|index| names.get(index)).copied().unwrap_or("unknown")
}

fn text(word: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(word).map_err(|_| "argument must be valid UTF-8".into())
}

fn integer(word: &[u8], min: i64, max: i64) -> Result<i64, Problem> {
    let number = redis_integer(word).ok_or(BAD_INTEGER)?;
    if number < min || number > max {
        return Err(format!("argument must be between {min} and {max} inclusive").into());
    }
    Ok(number)
}

fn octal(word: &[u8], max: i64) -> Result<i64, Problem> {
    let digits = text(word)?;
    let number = i64::from_str_radix(digits, 8).map_err(|_| "argument couldn't be parsed as an octal number")?;
    if number < 0 || number > max {
        return Err(format!("argument must be between 0 and {max:o} inclusive").into());
    }
    Ok(number)
}

fn memory(word: &[u8], min: u64, max: u64) -> Result<i64, Problem> {
    let bytes = memory_size(word).ok_or("argument must be a memory value")?;
    if bytes < min || bytes > max {
        return Err(format!("argument must be between {min} and {max} inclusive").into());
    }
    Ok(bytes.cast_signed())
}

fn memory_or_percent(word: &[u8]) -> Result<i64, Problem> {
    const BAD: &str = "argument must be a memory or percent value";
    if let Some(percentage) = word.strip_suffix(b"%").and_then(redis_integer).filter(|number| *number >= 0) {
        if percentage > 100 {
            return Err("percentage argument must be less or equal to 100".into());
        }
        return Ok(-percentage);
    }
    let bytes = memory_size(word).ok_or(BAD)?;
    i64::try_from(bytes).map_err(|_| format!("argument must be between -100 and {} inclusive", i64::MAX).into())
}

fn one_of(names: impl Iterator<Item = &'static str>) -> Problem {
    let names: Vec<_> = names.collect();
    format!("argument(s) must be one of the following: {}", names.join(", ")).into()
}

fn choice(word: &[u8], names: &[&'static str]) -> Result<i64, Problem> {
    let index = names.iter().position(|name| name.as_bytes().eq_ignore_ascii_case(word));
    index.and_then(|index| i64::try_from(index).ok()).ok_or_else(|| one_of(names.iter().copied()))
}

fn flags(words: &[&[u8]], names: &[(&'static str, i64)], conflict: i64) -> Result<i64, Problem> {
    let mut bits = 0;
    for word in words {
        let known = names.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word));
        bits |= known.ok_or_else(|| one_of(names.iter().map(|(name, _)| *name)))?.1;
    }
    if words.is_empty() {
        return Err(one_of(names.iter().map(|(name, _)| *name)));
    }
    if conflict != 0 && bits & conflict == conflict {
        return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".into());
    }
    Ok(bits)
}

fn show_flags(names: &[(&'static str, i64)], bits: i64) -> String {
    if let Some((name, _)) = names.iter().find(|(_, known)| *known == bits) {
        return (*name).to_owned();
    }
    let set: Vec<_> = names.iter().filter(|(_, known)| *known != 0 && bits & known == *known).collect();
    set.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
}

fn bind(words: &[&[u8]]) -> Result<String, Problem> {
    if words.len() > 16 {
        return Err("Too many bind addresses specified.".into());
    }
    joined(words)
}

fn joined(words: &[&[u8]]) -> Result<String, Problem> {
    let words = words.iter().map(|word| text(word)).collect::<Result<Vec<_>, _>>()?;
    Ok(words.join(" "))
}

fn save(words: &[&[u8]]) -> Result<String, Problem> {
    const BAD: &str = "Invalid save parameters";
    if !words.len().is_multiple_of(2) {
        return Err(BAD.into());
    }
    let mut points = Vec::with_capacity(words.len());
    for (index, word) in words.iter().enumerate() {
        let least = i64::from(index % 2 == 0);
        let number = redis_integer(word).filter(|number| *number >= least).ok_or(BAD)?;
        points.push(number.to_string());
    }
    Ok(points.join(" "))
}

fn output_buffer_limits(words: &[&[u8]], current: &Value) -> Result<[OutputBufferLimit; CLASSES.len()], Problem> {
    const BAD: &str = "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
    let mut limits = if let Value::Limits(limits) = current { *limits } else { Default::default() };
    let (groups, rest) = words.as_chunks::<4>();
    if !rest.is_empty() {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    }
    for [class, hard, soft, seconds] in groups {
        let class = if class.eq_ignore_ascii_case(b"replica") { b"slave" } else { *class };
        let index = CLASSES.iter().position(|known| known.as_bytes().eq_ignore_ascii_case(class));
        let limit = index.and_then(|index| limits.get_mut(index));
        let limit = limit.ok_or("Invalid client class specified in buffer limit configuration.")?;
        let seconds = redis_integer(seconds).and_then(|seconds| u64::try_from(seconds).ok());
        *limit = OutputBufferLimit {
            hard_bytes: memory_size(hard).ok_or(BAD)?,
            soft_bytes: memory_size(soft).ok_or(BAD)?,
            soft_seconds: seconds.filter(|seconds| i32::try_from(*seconds).is_ok()).ok_or(BAD)?,
        };
    }
    Ok(limits)
}

fn show_limits(limits: &[OutputBufferLimit; CLASSES.len()]) -> String {
    let shown: Vec<_> = CLASSES
        .iter()
        .zip(limits)
        .map(|(class, limit)| format!("{class} {} {} {}", limit.hard_bytes, limit.soft_bytes, limit.soft_seconds))
        .collect();
    shown.join(" ")
}

fn percentiles(words: &[&[u8]]) -> Result<String, Problem> {
    let mut shown = Vec::with_capacity(words.len());
    for word in words {
        let percentile: f64 = text(word)?.parse().map_err(|_| BAD_PERCENTILE)?;
        if !(0.0..=100.0).contains(&percentile) {
            return Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".into());
        }
        let digits = format!("{percentile:.6}");
        shown.push(digits.trim_end_matches('0').trim_end_matches('.').to_owned());
    }
    Ok(shown.join(" "))
}

fn keyspace_events(word: &[u8]) -> Result<i64, Problem> {
    let events = KeyspaceEvents::parse(word).ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?;
    Ok(i64::from(events.bits()))
}

/// The keyspace events that a stored number stands for.
pub(super) fn events_of(bits: i64) -> KeyspaceEvents {
    KeyspaceEvents::from_bits_truncate(u32::try_from(bits).unwrap_or_default())
}

fn oom_scores(words: &[&[u8]]) -> Result<String, Problem> {
    if words.len() != 3 {
        return Err(BAD_COUNT.into());
    }
    for word in words {
        redis_integer(word).filter(|score| (-2000..=2000).contains(score)).ok_or(BAD_OOM_SCORES)?;
    }
    joined(words)
}

fn replica_of(words: &[&[u8]]) -> Result<String, Problem> {
    match words {
        [] => Ok(String::new()),
        [no, one] if no.eq_ignore_ascii_case(b"no") && one.eq_ignore_ascii_case(b"one") => Ok(String::new()),
        [_, port] if redis_integer(port).is_none_or(|port| !(0..=65535).contains(&port)) => {
            Err("Invalid master port".into())
        }
        [_, _] => joined(words),
        _ => Err(BAD_COUNT.into()),
    }
}

fn directory(path: &str) -> Result<String, Problem> {
    let found = Path::new(path).canonicalize().map_err(|error| os_message(&error))?;
    if !found.is_dir() {
        return Err("Not a directory".into());
    }
    Ok(found.to_string_lossy().into_owned())
}

/// The system's words for an error, without the number that Rust appends.
pub(super) fn os_message(error: &std::io::Error) -> String {
    let message = error.to_string();
    message.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Has nothing against any string.
#[expect(clippy::unnecessary_wraps, reason = "the signature that Kind::Text asks for")]
pub(super) fn any_text(_: &str) -> Result<(), &'static str> {
    Ok(())
}

/// Refuses paths as the name of the snapshot.
pub(super) fn file_name(name: &str) -> Result<(), &'static str> {
    if name.contains('/') { Err("dbfilename can't be a path, just a filename") } else { Ok(()) }
}

/// Refuses paths as the name of the append-only file.
pub(super) fn append_file_name(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("appendfilename can't be empty"),
        _ if name.contains('/') => Err("appendfilename can't be a path, just a filename"),
        _ => Ok(()),
    }
}

/// Refuses paths as the name of the directory of append-only files.
pub(super) fn directory_name(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("appenddirname can't be empty"),
        _ if name.contains('/') => Err("appenddirname can't be a path, just a dirname"),
        _ => Ok(()),
    }
}

/// Accepts an address of either family, or none.
pub(super) fn ip_address(address: &str) -> Result<(), &'static str> {
    if address.is_empty() || address.parse::<std::net::IpAddr>().is_ok() {
        return Ok(());
    }
    Err("Cluster announce IP must be a valid IPv4 or IPv6 address")
}

/// Accepts the variables Redis knows in the title of the process.
pub(super) fn process_title(template: &str) -> Result<(), &'static str> {
    const BAD: &str = "template format is invalid or contains unknown variables";
    #[rustfmt::skip]
    const KNOWN: [&str; 7] =
        ["title", "listen-addr", "server-mode", "port", "tls-port", "unixsocket", "config-file"];
    let mut rest = template;
    while let Some((_, variable)) = rest.split_once('{') {
        let (name, after) = variable.split_once('}').ok_or(BAD)?;
        if !KNOWN.contains(&name) {
            return Err(BAD);
        }
        rest = after;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, words: &str) -> Result<String, String> {
        let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        let value = kind.read(&words, &Value::Limits(Default::default())).map_err(Problem::into_owned)?;
        Ok(kind.show(&value))
    }

    #[test]
    fn keyspace_events_are_normalised_as_redis_does() {
        for (given, shown) in [
            ("KEA", "AKE"),
            ("Kg", "gK"),
            ("Ex", "xE"),
            ("g$lshzxetd", "A"),
            ("KEg$lshzxetdmn", "AKEm"),
            ("Kn", "nK"),
            ("oc", "oc"),
            ("AKEoc", "AKE"),
            ("VITSEKhA", "AKESTIV"),
            ("hV", "hV"),
            ("", ""),
        ] {
            assert_eq!(read(Kind::KeyspaceEvents, given).unwrap(), shown);
        }
        assert_eq!(
            read(Kind::KeyspaceEvents, "Kr").unwrap_err(),
            "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."
        );
    }

    #[test]
    fn lists_are_checked_and_shown() {
        assert_eq!(read(Kind::Save, "3600 1 300 100").unwrap(), "3600 1 300 100");
        assert_eq!(read(Kind::Save, "").unwrap(), "");
        for bad in ["3600", "0 1", "a b", "1 -1", "1  2"] {
            assert_eq!(read(Kind::Save, bad).unwrap_err(), "Invalid save parameters");
        }
        assert_eq!(read(Kind::Percentiles, "50 99.9999999").unwrap(), "50 100");
        assert_eq!(read(Kind::Percentiles, "0.0").unwrap(), "0");
        assert!(read(Kind::Percentiles, "101").is_err());
        assert!(read(Kind::OomScores, "1 2 3000").unwrap_err().starts_with("Invalid oom-score-adj-values"));
        assert_eq!(read(Kind::OomScores, "1 2").unwrap_err(), "wrong number of arguments");
    }

    #[test]
    fn output_buffer_limits_can_be_set_in_part() {
        let kind = Kind::OutputBufferLimits;
        assert_eq!(read(kind, "replica 1kb 2 3").unwrap(), "normal 0 0 0 slave 1024 2 3 pubsub 0 0 0");
        assert_eq!(read(kind, "normal 1 1 1 NORMAL 2 2 2").unwrap(), "normal 2 2 2 slave 0 0 0 pubsub 0 0 0");
        assert!(read(kind, "normal 1 2").unwrap_err().starts_with("Wrong number"));
        assert!(read(kind, "master 1 2 3").unwrap_err().starts_with("Invalid client class"));
        assert!(read(kind, "normal -1 2 3").unwrap_err().starts_with("Error in hard"));
    }

    #[test]
    fn flags_and_percentages() {
        let names = &[("no", 0), ("yes", 7), ("cpu", 1), ("net", 2), ("mem", 4)];
        let kind = Kind::Flags { names, conflict: 0 };
        assert_eq!(read(kind, "cpu net").unwrap(), "cpu net");
        assert_eq!(read(kind, "yes cpu").unwrap(), "yes");
        assert_eq!(read(kind, "no").unwrap(), "no");
        assert!(read(kind, "x").unwrap_err().ends_with("no, yes, cpu, net, mem"));
        assert_eq!(read(Kind::MemoryOrPercent, "5%").unwrap(), "5%");
        assert!(read(Kind::MemoryOrPercent, "101%").unwrap_err().starts_with("percentage"));
        assert!(read(Kind::MemoryOrPercent, "-5").unwrap_err().starts_with("argument must be a memory or"));
        assert_eq!(read(Kind::Octal { max: 0o777 }, "700").unwrap(), "700");
    }

    #[test]
    fn titles_may_only_use_known_variables() {
        assert!(process_title("{title} {listen-addr}").is_ok());
        assert!(process_title("{foo}").is_err());
        assert!(process_title("{title").is_err());
    }
}
