//! Where settings come from: `redis.conf` syntax, the command line, the environment; and the units of values.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::kind::os_message;
use super::table::Parameter;
use crate::base::{glob, words};

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// A directive is unknown or its value is refused.
    #[error("\n*** FATAL CONFIG FILE ERROR (hashd {}) ***\nReading {place}\n>>> '{line}'\n{problem}", env!("CARGO_PKG_VERSION"))]
    Directive {
        /// Where the directive stands.
        place: String,
        /// The directive.
        line: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A configuration file cannot be read.
    #[error("Fatal error, can't open config file '{path}': {problem}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        problem: String,
    },
}

/// A directive and its values, wherever it comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Directive {
    /// Where it stands, for errors.
    pub(super) place: String,
    /// How it is written, for errors.
    pub(super) line: String,
    /// The directive in lower case, then its values.
    pub(super) words: Vec<Vec<u8>>,
}

impl Directive {
    /// The error that refuses this directive.
    pub(super) fn refused(&self, problem: impl Into<String>) -> StartupError {
        StartupError::Directive { place: self.place.clone(), line: self.line.clone(), problem: problem.into() }
    }
}

/// What the command line asks for.
#[derive(Debug, Default)]
pub(super) struct CommandLine {
    pub(super) file: Option<PathBuf>,
    pub(super) reads_stdin: bool,
    pub(super) wants_help: bool,
    pub(super) wants_version: bool,
    pub(super) directives: Vec<Directive>,
}

/// Included files may include others, but not without end.
const DEEPEST_INCLUDE: usize = 16;

const UNBALANCED: &str = "Unbalanced quotes in configuration line";

/// Reads the command line, whose first item is the name of the program.
///
/// As in Redis, an option takes the words up to the next `--`, and the first of them even if it begins with `--` itself;
/// only `--save` may be without any. Words before the first option are a directive, too, if a file is named before them.
pub(super) fn command_line(args: impl Iterator<Item = OsString>) -> Result<CommandLine, StartupError> {
    let mut parsed = CommandLine::default();
    let args: Vec<OsString> = args.skip(1).collect();
    let has_value = |index: usize| args.get(index).is_some_and(|next| !next.as_encoded_bytes().starts_with(b"--"));
    let mut is_complete = true;
    for (index, arg) in args.iter().enumerate() {
        let bytes = arg.as_encoded_bytes();
        match (bytes, parsed.directives.last_mut()) {
            (b"-h" | b"--help", _) if is_complete && (index == 0 || bytes.len() > 2) => parsed.wants_help = true,
            (b"-v" | b"--version", _) if is_complete && (index == 0 || bytes.len() > 2) => parsed.wants_version = true,
            (b"-", _) if index == 0 || index + 1 == args.len() => parsed.reads_stdin = true,
            ([b'-', b'-', option @ ..], _) if is_complete => {
                let mut directive = option_directive(option)?;
                if directive.words == [b"save"] && !has_value(index + 1) {
                    directive.words.push(Vec::new());
                }
                is_complete = directive.words.len() > 1;
                parsed.directives.push(directive);
            }
            (_, Some(directive)) => {
                directive.words.push(bytes.to_vec());
                is_complete = true;
            }
            (_, None) if index == 0 && !bytes.starts_with(b"-") => parsed.file = Some(PathBuf::from(arg)),
            (_, None) if parsed.file.is_some() => {
                parsed.directives.push(of_command_line(vec![bytes.to_ascii_lowercase()]));
            }
            (_, None) => {
                let stray = Directive { line: arg.to_string_lossy().into_owned(), ..of_command_line(Vec::new()) };
                return Err(stray.refused("Bad directive or wrong number of arguments; see hashd --help"));
            }
        }
    }
    for directive in &mut parsed.directives {
        directive.line = quoted(&directive.words);
    }
    Ok(parsed)
}

fn of_command_line(words: Vec<Vec<u8>>) -> Directive {
    Directive { place: "the command line".to_owned(), line: String::new(), words }
}

/// `--name`, `--name=value`, or `--name value` in one argument, which is quoted like a line of a file.
fn option_directive(option: &[u8]) -> Result<Directive, StartupError> {
    let at = option.iter().position(|byte| *byte == b'=' || byte.is_ascii_whitespace()).unwrap_or(option.len());
    let (name, rest) = option.split_at(at);
    let values = match rest {
        [b'=', value @ ..] => Some(vec![value.to_vec()]),
        rest => words::split(rest),
    };
    let shown = Directive { line: String::from_utf8_lossy(option).into_owned(), ..of_command_line(Vec::new()) };
    let values = values.ok_or_else(|| shown.refused(UNBALANCED))?;
    Ok(of_command_line(std::iter::once(name.to_ascii_lowercase()).chain(values).collect()))
}

/// A directive as a configuration file would spell it.
fn quoted(words: &[Vec<u8>]) -> String {
    let spelled = words.iter().enumerate().map(|(index, word)| {
        let word = String::from_utf8_lossy(word);
        if index == 0 { word.into_owned() } else { format!("{word:?}") }
    });
    spelled.collect::<Vec<_>>().join(" ")
}

/// Picks the `HASHD_*` variables and turns each into a directive.
pub(super) fn environment(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<Directive>, StartupError> {
    let mut directives = Vec::new();
    for (name, value) in variables {
        let Some(suffix) = name.as_encoded_bytes().strip_prefix(b"HASHD_") else { continue };
        let value = value.as_encoded_bytes();
        if is_service_link(suffix, value) || OF_THE_TESTS.contains(&suffix) {
            continue;
        }
        let wanted = suffix.to_ascii_lowercase();
        let parameter = Parameter::ALL
            .iter()
            .find(|parameter| parameter.names().any(|name| name.replace('-', "_").as_bytes() == wanted));
        let mut directive = Directive {
            place: "the environment".to_owned(),
            line: format!("{}={}", name.to_string_lossy(), String::from_utf8_lossy(value)),
            words: Vec::new(),
        };
        let Some(parameter) = parameter else {
            return Err(directive.refused("No such parameter; see hashd --help"));
        };
        directive.words.push(parameter.row().name.as_bytes().to_vec());
        if parameter.row().kind.takes_words() && !value.is_empty() {
            directive.words.extend(words::split(value).ok_or_else(|| directive.refused(UNBALANCED))?);
        } else {
            directive.words.push(value.to_vec());
        }
        directives.push(directive);
    }
    Ok(directives)
}

/// Variables by which the test suite and the benches find what they need; a server they start inherits them.
const OF_THE_TESTS: [&[u8]; 8] =
    [b"CRASH_ROUNDS", b"PEERS", b"BIN", b"RECORD", b"SEED", b"FUZZ_SECONDS", b"STAND_IN", b"TIME_LIMIT"];

/// Kubernetes gives every container such variables about a service named `hashd`; they are not settings.
fn is_service_link(suffix: &[u8], value: &[u8]) -> bool {
    suffix.starts_with(b"SERVICE_") || suffix.starts_with(b"PORT_") || suffix == b"PORT" && value.starts_with(b"tcp://")
}

/// Reads a configuration file and the files it includes.
pub(super) fn file(path: &Path) -> Result<Vec<Directive>, StartupError> {
    let mut directives = Vec::new();
    include(path, 0, &mut directives)?;
    Ok(directives)
}

/// Reads a configuration from any reader, as for `hashd -`.
pub(super) fn reader(mut source: impl Read) -> Result<Vec<Directive>, StartupError> {
    let mut content = Vec::new();
    source.read_to_end(&mut content).map_err(|error| unreadable(Path::new("-"), &error))?;
    let mut directives = Vec::new();
    text(&content, "the standard input", 0, &mut directives)?;
    Ok(directives)
}

fn unreadable(path: &Path, error: &std::io::Error) -> StartupError {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    StartupError::Unreadable { path: path.display().to_string(), problem: os_message(error) }
}

fn include(path: &Path, depth: usize, directives: &mut Vec<Directive>) -> Result<(), StartupError> {
    let content = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    text(&content, &format!("the configuration file {}", path.display()), depth, directives)
}

fn text(content: &[u8], source: &str, depth: usize, directives: &mut Vec<Directive>) -> Result<(), StartupError> {
    for (index, line) in content.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let mut directive = Directive {
            place: format!("{source}, at line {}", index + 1),
            line: String::from_utf8_lossy(line).into_owned(),
            words: Vec::new(),
        };
        directive.words = words::split(line).ok_or_else(|| directive.refused(UNBALANCED))?;
        if let Some(name) = directive.words.first_mut() {
            name.make_ascii_lowercase();
        }
        match directive.words.as_slice() {
            [] => {}
            [name, _] if name == b"include" && depth == DEEPEST_INCLUDE => {
                return Err(directive.refused("Too many nested includes"));
            }
            [name, path] if name == b"include" => {
                for path in matching_files(&String::from_utf8_lossy(path)) {
                    include(&path, depth + 1, directives)?;
                }
            }
            _ => directives.push(directive),
        }
    }
    Ok(())
}

/// The files a path with `*` and `?` in its last component stands for; no match is no error, as in Redis.
fn matching_files(path: &str) -> Vec<PathBuf> {
    let path = Path::new(path);
    let pattern = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !pattern.contains(['*', '?']) {
        return vec![path.to_owned()];
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = entries
        .filter(|file| {
            let name = file.file_name().map(|name| name.as_encoded_bytes().to_vec()).unwrap_or_default();
            (!name.starts_with(b".") || pattern.starts_with('.')) && glob::matches(pattern.as_bytes(), &name)
        })
        .collect();
    files.sort();
    files
}

/// Reads an integer as strictly as Redis' `string2ll`: no plus sign, no leading zeros, no spaces.
pub fn redis_integer(word: &[u8]) -> Option<i64> {
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    match digits {
        [b'0'] if digits.len() == word.len() => Some(0),
        [b'1'..=b'9', ..] => std::str::from_utf8(word).ok()?.parse().ok(),
        _ => None,
    }
}

/// Reads a number of bytes as Redis' `memtoull` does: `1k` is 1000, `1kb` is 1024, no digits are 0.
pub fn memory_size(word: &[u8]) -> Option<u64> {
    let digits = word.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, unit) = word.split_at(digits);
    let scale = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let add = |number: u64, digit: &u8| number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(digits.iter().fold(0, add).saturating_mul(scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Option<Vec<String>> {
        let words = words::split(line.as_bytes())?;
        Some(words.into_iter().map(|word| String::from_utf8(word).unwrap()).collect())
    }

    #[test]
    fn quoting_follows_sdssplitargs() {
        assert_eq!(words("save  3600 1").unwrap(), ["save", "3600", "1"]);
        assert_eq!(words(r#"a "b c" 'd e' "" "#).unwrap(), ["a", "b c", "d e", ""]);
        assert_eq!(words(r#""\x41\n\"\q" 'it\'s \n'"#).unwrap(), ["A\n\"q", "it's \\n"]);
        assert_eq!(words(r#"ab"cd""#).unwrap(), ["abcd"]);
        assert_eq!(words(r#""ab"c"#), None);
        assert_eq!(words("'ab"), None);
        assert_eq!(words(r#"hz "a"#), None);
    }

    #[test]
    fn integers_are_strict() {
        assert_eq!(redis_integer(b"-2"), Some(-2));
        assert_eq!(redis_integer(b"0"), Some(0));
        for bad in ["", "-", "-0", "+1", " 1", "010", "1.0", "0x1", "99999999999999999999"] {
            assert_eq!(redis_integer(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn memory_units_follow_memtoull() {
        for (word, bytes) in
            [("", 0), ("kb", 0), ("1k", 1000), ("1KB", 1024), ("1g", 1_000_000_000), ("2Mb", 2 << 20), ("3b", 3)]
        {
            assert_eq!(memory_size(word.as_bytes()), Some(bytes), "{word}");
        }
        assert_eq!(memory_size(b"18446744073709551616"), Some(u64::MAX));
        for bad in ["-1", " 1", "1zb", "1.5", "1 kb"] {
            assert_eq!(memory_size(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn the_command_line_groups_values_under_options() {
        let args = ["hashd", "a.conf", "--bind", "127.0.0.1", "-::1", "--save", "", "--Port=7", "-"];
        let parsed = command_line(args.iter().map(OsString::from)).unwrap();
        assert_eq!(parsed.file.unwrap(), Path::new("a.conf"));
        assert!(parsed.reads_stdin);
        let lines: Vec<_> = parsed.directives.iter().map(|directive| directive.line.as_str()).collect();
        assert_eq!(lines, [r#"bind "127.0.0.1" "-::1""#, r#"save """#, r#"port "7""#]);
        assert!(command_line(["hashd", "--", "a"].iter().map(OsString::from)).is_ok());
        assert!(command_line(["hashd", "-x", "b"].iter().map(OsString::from)).is_err());
        assert!(command_line(["hashd", "--hz", "1", "--help"].iter().map(OsString::from)).unwrap().wants_help);
    }

    fn lines(args: &[&str]) -> Vec<String> {
        let args = std::iter::once(&"hashd").chain(args).map(OsString::from);
        command_line(args).unwrap().directives.into_iter().map(|directive| directive.line).collect()
    }

    #[test]
    fn values_are_taken_as_redis_takes_them() {
        // The first value of an option may look like an option.
        assert_eq!(lines(&["--requirepass", "--hz", "--hz", "2"]), [r#"requirepass "--hz""#, r#"hz "2""#]);
        assert_eq!(lines(&["--port", "--loglevel", "debug"]), [r#"port "--loglevel" "debug""#]);
        assert_eq!(lines(&["--requirepass", "--help"]), [r#"requirepass "--help""#]);
        for (args, expected) in [
            (&["--save", "--hz", "2"][..], &[r#"save """#, r#"hz "2""#][..]),
            (&["--hz", "2", "--save"], &[r#"hz "2""#, r#"save """#]),
            (&["--save", "60", "1", "--hz", "2"], &[r#"save "60" "1""#, r#"hz "2""#]),
        ] {
            assert_eq!(lines(args), expected);
        }
        // Name and value in one argument, and a directive without dashes behind the file.
        assert_eq!(lines(&["--maxmemory '700 mb'", "--HZ 2"]), [r#"maxmemory "700 mb""#, r#"hz "2""#]);
        assert_eq!(lines(&["a.conf", "HZ", "2", "--port=3 4"]), [r#"hz "2""#, r#"port "3 4""#]);
        assert!(command_line(["hashd", "--logfile 'x"].iter().map(OsString::from)).is_err());
    }

    #[test]
    fn service_links_are_not_settings() {
        let variables = [("HASHD_PORT", "tcp://10.0.0.1:6379"), ("HASHD_SERVICE_HOST", "10.0.0.1"), ("PATH", "/bin")];
        let variables = variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        assert_eq!(environment(variables.into_iter()).unwrap(), []);
    }
}
