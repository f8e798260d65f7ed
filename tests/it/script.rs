//! Golden scripts. A file under `tests/scripts` is a list of blocks with an empty line between them:
//!
//! ```text
//! # A comment.
//! HSET k f "binary\x00"        one request a line, quoted as redis-cli reads it
//! HGETALL k
//! ---
//! :1                           one expected reply a request, as `resp::render` writes it
//! 2| ["f", "binary\x00"]       two lines where RESP2 and RESP3 differ
//! 3| {"f": "binary\x00"}
//! ```
//!
//! A bare word `{a*65}` stands for 65 times `a`, `{f:1-9}` for f1 to f9, `{f:1-9=v}` for f1 v f2 v to f9 v. Lines that
//! start with `@` say something of the next request or of the whole run:
//!
//! - `@sorted`, `@pairs`, `@cursor`, `@cursor-pairs`: the reply has no order (elements, pairs, or those behind a cursor)
//! - `@like REGEX`: the reply differs from run to run and has only to match
//! - `@none`: no reply comes; `@again`: wait for one more reply to the request before
//! - `@sleep MS`; `@conn NAME`: the following requests of the block go over another connection
//! - `@raw "bytes"`: a request as bytes; `@closed`: the server has closed the connection
//! - `@oracle valkey` or `@oracle none` at the top of a file: who knows the right replies if Redis does not
//!
//! `HASHD_RECORD=1` writes the expectations anew, from the oracle, never from hashd.

use crate::allowed;
use crate::client::{Client, Protocol};
use crate::resp::{self, Order};
use crate::server::{self, Kind, Server};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A parsed script file.
pub struct Script {
    /// Its path below `tests/scripts`, without the ending.
    pub name: String,
    path: PathBuf,
    /// The server whose replies it holds, if any has the commands.
    pub oracle: Option<Kind>,
    blocks: Vec<Block>,
}

struct Block {
    head: Vec<String>,
    steps: Vec<Step>,
    expected: Vec<(usize, String)>,
}

enum Action {
    Request(Vec<Vec<u8>>),
    Raw(Vec<u8>),
    Again,
    Sleep(u64),
    Closed,
}

struct Step {
    line: usize,
    text: String,
    action: Action,
    connection: String,
    order: Order,
    like: Option<String>,
    silent: bool,
}

/// What one request of a script got.
pub struct Outcome {
    line: usize,
    /// The request as written.
    pub request: String,
    /// The reply as text, brought into an order where it has none.
    pub reply: String,
    /// The pattern of a reply that varies.
    pub like: Option<String>,
}

/// The folder of the scripts.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts")
}

/// All scripts, in the order of their names.
pub fn all() -> Vec<Script> {
    let mut paths = Vec::new();
    let mut folders = vec![folder()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "txt") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths.into_iter().map(|path| Script::read(&path)).collect()
}

impl Script {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.strip_prefix(folder()).unwrap().with_extension("").to_string_lossy().replace('\\', "/");
        let mut oracle = Some(Kind::Redis);
        let mut blocks = Vec::new();
        let mut lines: Vec<(usize, &str)> = Vec::new();
        for (index, line) in text.lines().chain([""]).enumerate() {
            match line.trim_end() {
                "@oracle valkey" => oracle = Some(Kind::Valkey),
                "@oracle none" => oracle = None,
                _ => {}
            }
            if !line.trim().is_empty() {
                lines.push((index + 1, line));
            } else if !lines.is_empty() {
                blocks.push(Block::parse(&name, &lines));
                lines.clear();
            }
        }
        Self { name, path: path.to_owned(), oracle, blocks }
    }

    /// Runs every request on a server.
    pub fn run(&self, server: &Server, protocol: Protocol) -> Vec<Outcome> {
        let mut connections: HashMap<&str, Client> = HashMap::new();
        let mut outcomes = Vec::new();
        for step in self.blocks.iter().flat_map(|block| &block.steps) {
            let client = connections.entry(&step.connection).or_insert_with(|| {
                let client = server.connect(protocol);
                client.set_timeout(Duration::from_secs(3));
                client
            });
            let sent = match &step.action {
                Action::Sleep(ms) => {
                    std::thread::sleep(Duration::from_millis(*ms));
                    continue;
                }
                Action::Request(args) => client.send(args),
                Action::Raw(bytes) => client.send_raw(bytes),
                Action::Again | Action::Closed => Ok(()),
            };
            if step.silent {
                continue;
            }
            let reply = if matches!(step.action, Action::Closed) {
                match client.read_to_close() {
                    Ok(rest) if rest.is_empty() => "closed".into(),
                    Ok(rest) => format!("closed after \"{}\"", resp::escape(&rest, true)),
                    Err(error) => format!("not closed: {error}"),
                }
            } else {
                match sent.and_then(|()| client.reply()) {
                    Ok(bytes) => resp::render_with(&bytes, step.order),
                    Err(error) => format!("no reply: {error}"),
                }
            };
            outcomes.push(Outcome { line: step.line, request: step.text.clone(), reply, like: step.like.clone() });
        }
        outcomes
    }

    /// Whether it changes settings, so that its server cannot serve another script.
    fn leaves_traces(&self) -> bool {
        self.blocks.iter().flat_map(|block| &block.steps).any(|step| {
            let text = step.text.to_ascii_uppercase();
            text.contains("CONFIG") || text.contains("ACL ") || text.contains("SET-ALLOW") || text.contains("SHUTDOWN")
        })
    }

    /// Runs it on a borrowed server of a kind.
    pub fn run_on(&self, kind: Kind, protocol: Protocol) -> Vec<Outcome> {
        let server = server::borrow(kind);
        let outcomes = self.run(&server, protocol);
        if !self.leaves_traces() {
            server::give_back(server);
        }
        outcomes
    }

    /// Compares hashd with the expectations, in both protocols; all mismatches at once.
    pub fn check(&self) -> Result<(), String> {
        let mut report = String::new();
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let expected: Vec<&str> = self.blocks.iter().flat_map(|block| block.expectations(protocol)).collect();
            let outcomes = self.run_on(Kind::Hashd, protocol);
            if expected.len() != outcomes.len() {
                return Err(format!("{} replies, {} expectations: record them", outcomes.len(), expected.len()));
            }
            for (outcome, expected) in outcomes.iter().zip(expected) {
                let matches = match &outcome.like {
                    Some(pattern) => full_match(pattern, &outcome.reply),
                    None => outcome.reply == expected,
                };
                if !matches && !allowed::covers(&outcome.request, expected, &outcome.reply) {
                    let (line, request, got) = (outcome.line, &outcome.request, &outcome.reply);
                    writeln!(report, "line {line} {protocol:?}: {request}\n  expected {expected}\n  got      {got}")
                        .unwrap();
                }
            }
        }
        if report.is_empty() { Ok(()) } else { Err(format!("{}.txt\n{report}", self.name)) }
    }

    /// Writes the expectations anew from the oracle.
    pub fn record(&self) -> Result<(), String> {
        let Some(kind) = self.oracle else { return Ok(()) };
        let (two, three) = (self.run_on(kind, Protocol::Resp2), self.run_on(kind, Protocol::Resp3));
        let mut replies = two.iter().zip(&three);
        let mut blocks = Vec::new();
        for block in &self.blocks {
            let mut text = block.head.join("\n");
            if block.steps.iter().any(Step::replies) {
                text.push_str("\n---");
            }
            for _ in block.steps.iter().filter(|step| step.replies()) {
                let Some((two, three)) = replies.next() else { return Err("replies are missing".into()) };
                for outcome in [two, three] {
                    if let Some(pattern) =
                        outcome.like.as_deref().filter(|pattern| !full_match(pattern, &outcome.reply))
                    {
                        return Err(format!("line {}: {} is not like {pattern}", outcome.line, outcome.reply));
                    }
                    if outcome.reply.starts_with("no reply") || outcome.reply.starts_with("not closed") {
                        return Err(format!("line {}: {} got {}", outcome.line, outcome.request, outcome.reply));
                    }
                }
                match &two.like {
                    Some(pattern) => write!(text, "\n~ {pattern}").unwrap(),
                    None if two.reply == three.reply => write!(text, "\n{}", two.reply).unwrap(),
                    None => write!(text, "\n2| {}\n3| {}", two.reply, three.reply).unwrap(),
                }
            }
            blocks.push(text);
        }
        std::fs::write(&self.path, blocks.join("\n\n") + "\n").map_err(|error| error.to_string())
    }
}

impl Step {
    fn replies(&self) -> bool {
        !self.silent && !matches!(self.action, Action::Sleep(_))
    }
}

impl Block {
    fn parse(name: &str, lines: &[(usize, &str)]) -> Self {
        let middle = lines.iter().position(|(_, line)| *line == "---").unwrap_or(lines.len());
        let head = lines[..middle].iter().map(|(_, line)| (*line).to_owned()).collect();
        let expected = lines.iter().skip(middle + 1).map(|(at, line)| (*at, (*line).to_owned())).collect();
        let mut steps = Vec::new();
        let (mut connection, mut order, mut like, mut silent) = (String::from("main"), Order::AsSent, None, false);
        for &(line, text) in &lines[..middle] {
            let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
            let action = match word {
                "@oracle" => continue,
                _ if word.starts_with('#') => continue,
                "@conn" => {
                    rest.clone_into(&mut connection);
                    continue;
                }
                "@sorted" | "@pairs" | "@cursor" | "@cursor-pairs" => {
                    order = match word {
                        "@sorted" => Order::Sorted,
                        "@pairs" => Order::SortedPairs,
                        "@cursor" => Order::SortedSecond,
                        _ => Order::SortedSecondPairs,
                    };
                    continue;
                }
                "@like" => {
                    like = Some(rest.to_owned());
                    continue;
                }
                "@none" => {
                    silent = true;
                    continue;
                }
                "@sleep" => Action::Sleep(rest.parse().unwrap()),
                "@again" => Action::Again,
                "@closed" => Action::Closed,
                "@raw" => Action::Raw(words(rest).concat()),
                _ if word.starts_with('@') => panic!("{name}.txt line {line}: what is {word}?"),
                _ => Action::Request(words(text)),
            };
            steps.push(Step {
                line,
                text: text.to_owned(),
                action,
                connection: connection.clone(),
                order,
                like,
                silent,
            });
            (order, like, silent) = (Order::AsSent, None, false);
        }
        Self { head, steps, expected }
    }

    fn expectations(&self, protocol: Protocol) -> impl Iterator<Item = &str> {
        let other = if protocol == Protocol::Resp2 { "3| " } else { "2| " };
        let mine = if protocol == Protocol::Resp2 { "2| " } else { "3| " };
        self.expected
            .iter()
            .filter(move |(_, line)| !line.starts_with(other))
            .map(move |(_, line)| line.strip_prefix(mine).unwrap_or(line))
    }
}

/// Whether a pattern matches the whole text.
pub fn full_match(pattern: &str, text: &str) -> bool {
    regex_lite::Regex::new(&format!("^(?s:{pattern})$")).unwrap_or_else(|e| panic!("{pattern}: {e}")).is_match(text)
}

/// Splits a line as redis-cli does and expands the bare words in braces.
fn words(line: &str) -> Vec<Vec<u8>> {
    let bytes = line.as_bytes();
    let mut words = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b' ' => at += 1,
            quote @ (b'"' | b'\'') => {
                let (word, end) = quoted(bytes, at + 1, quote);
                words.push(word);
                at = end;
            }
            _ => {
                let end = bytes[at..].iter().position(|&b| b == b' ').map_or(bytes.len(), |len| at + len);
                expand(&line[at..end], &mut words);
                at = end;
            }
        }
    }
    words
}

fn quoted(bytes: &[u8], mut at: usize, quote: u8) -> (Vec<u8>, usize) {
    let mut word = Vec::new();
    while bytes[at] != quote {
        let mut byte = bytes[at];
        if byte == b'\\' && (quote == b'"' || bytes[at + 1] == b'\'') {
            at += 1;
            byte = match bytes[at] {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'b' => 8,
                b'a' => 7,
                b'x' => {
                    let hex = std::str::from_utf8(&bytes[at + 1..at + 3]).unwrap();
                    at += 2;
                    u8::from_str_radix(hex, 16).unwrap()
                }
                other => other,
            };
        }
        word.push(byte);
        at += 1;
    }
    (word, at + 1)
}

fn expand(word: &str, words: &mut Vec<Vec<u8>>) {
    let inner = word.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    if let Some((text, count)) = inner.and_then(|inner| inner.split_once('*')) {
        words.push(text.repeat(count.parse().unwrap()).into_bytes());
    } else if let Some((name, range)) = inner.and_then(|inner| inner.split_once(':')) {
        let (range, value) = range.split_once('=').map_or((range, None), |(range, value)| (range, Some(value)));
        let (first, last) = range.split_once('-').unwrap();
        for number in first.parse::<u32>().unwrap()..=last.parse().unwrap() {
            words.push(format!("{name}{number}").into_bytes());
            words.extend(value.map(|value| value.as_bytes().to_vec()));
        }
    } else {
        words.push(word.as_bytes().to_vec());
    }
}
