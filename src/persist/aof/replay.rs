//! Reading a file of the log: command by command, transactions as a whole.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::command::{self, Read};
use crate::resp::decode::ArgRange;

/// So much is read at a time.
const READ_BYTES: usize = 1024 * 1024;

/// What is done with each command. The error says why it cannot be.
pub type Apply<'a> = dyn FnMut(&[u8], &[ArgRange]) -> Result<(), String> + 'a;

/// How a file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With a whole command.
    Whole,
    /// In the middle of a command or of a transaction; up to there it is whole.
    Truncated(u64),
    /// With something that is no command; up to there it is whole.
    Malformed(u64),
}

/// Why a file cannot be replayed.
#[derive(Debug)]
pub enum ReplayError {
    /// The system says so.
    Io(io::Error),
    /// A command cannot be run.
    Refused(String),
}

impl From<io::Error> for ReplayError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Commands that wait for EXEC: their bytes, and where in those each one's words are.
#[derive(Debug, Default)]
struct Transaction {
    bytes: Vec<u8>,
    commands: Vec<(usize, Vec<ArgRange>)>,
}

/// Runs all commands of a file from `offset` on; `progress` is told how many bytes have been read.
pub fn replay(path: &Path, offset: u64, apply: &mut Apply<'_>, progress: &dyn Fn(u64)) -> Result<End, ReplayError> {
    let mut file = File::open(path)?;
    io::Seek::seek(&mut file, io::SeekFrom::Start(offset))?;
    let mut replay = Replay { buffer: Vec::new(), at: 0, place: offset, whole: offset, transaction: None };
    let mut words = Vec::new();
    loop {
        match command::read(replay.buffer.get(replay.at..).unwrap_or_default(), &mut words) {
            Read::Command(used) => replay.command(&words, used, apply)?,
            Read::Annotation(used) => replay.step(used),
            Read::Malformed => return Ok(End::Malformed(replay.whole)),
            Read::Incomplete => {
                if replay.fill(&mut file)? == 0 {
                    let is_whole = replay.at == replay.buffer.len() && replay.transaction.is_none();
                    return Ok(if is_whole { End::Whole } else { End::Truncated(replay.whole) });
                }
                progress(replay.place);
            }
        }
    }
}

struct Replay {
    buffer: Vec<u8>,
    /// Where in the buffer the next command begins, and where in the file.
    at: usize,
    place: u64,
    /// The end of the last command outside a transaction.
    whole: u64,
    transaction: Option<Transaction>,
}

impl Replay {
    /// Reads on, as much as the rest of a long command may need.
    fn fill(&mut self, file: &mut File) -> io::Result<usize> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let room = READ_BYTES.max(self.buffer.len()) as u64;
        file.take(room).read_to_end(&mut self.buffer)
    }

    fn step(&mut self, used: usize) {
        self.at += used;
        self.place += used as u64;
        if self.transaction.is_none() {
            self.whole = self.place;
        }
    }

    fn command(&mut self, words: &[ArgRange], used: usize, apply: &mut Apply<'_>) -> Result<(), ReplayError> {
        let bytes = self.buffer.get(self.at..self.at + used).unwrap_or_default();
        let name = words.first().map_or(&[][..], |word| word.of(bytes));
        if self.transaction.is_some() && name.eq_ignore_ascii_case(b"exec") {
            let queued = self.transaction.take().unwrap_or_default();
            for (start, words) in &queued.commands {
                apply(queued.bytes.get(*start..).unwrap_or_default(), words).map_err(ReplayError::Refused)?;
            }
        } else if let Some(queued) = &mut self.transaction {
            queued.commands.push((queued.bytes.len(), words.to_vec()));
            queued.bytes.extend_from_slice(bytes);
        } else if name.eq_ignore_ascii_case(b"multi") {
            self.transaction = Some(Transaction::default());
        } else {
            apply(bytes, words).map_err(ReplayError::Refused)?;
        }
        self.step(used);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(content: &[u8]) -> (String, End) {
        let path = std::env::temp_dir().join(format!("hashd-replay-{}-{:p}", std::process::id(), content));
        std::fs::write(&path, content).unwrap();
        let mut ran = Vec::new();
        let mut apply = |bytes: &[u8], words: &[ArgRange]| {
            ran.push(words.iter().map(|word| String::from_utf8_lossy(word.of(bytes))).collect::<Vec<_>>().join(" "));
            Ok(())
        };
        let end = replay(&path, 0, &mut apply, &|_| ()).unwrap();
        std::fs::remove_file(&path).unwrap();
        (ran.join("; "), end)
    }

    #[test]
    fn cut_anywhere_only_whole_units_run() {
        let mut content = Vec::new();
        let mut ends = vec![(0, "")];
        let mut write = |words: &[&[u8]]| {
            command::write(&mut content, words);
            content.len() as u64
        };
        ends.push((write(&[b"SELECT", b"0"]), "SELECT 0"));
        ends.push((write(&[b"DEL", b"a"]), "SELECT 0; DEL a"));
        write(&[b"MULTI"]);
        write(&[b"DEL", b"b"]);
        ends.push((write(&[b"EXEC"]), "SELECT 0; DEL a; DEL b"));
        content.extend_from_slice(b"#TS:5\r\n");
        let all = content.len();
        ends.push((all as u64, "SELECT 0; DEL a; DEL b"));
        for length in 0..=all {
            let (whole, ran) = *ends.iter().rev().find(|&&(end, _)| end <= length as u64).unwrap();
            let end = if whole == length as u64 { End::Whole } else { End::Truncated(whole) };
            assert_eq!(run(&content[..length]), (ran.to_owned(), end), "{length}");
        }
        content.push(0);
        assert_eq!(run(&content).1, End::Malformed(all as u64));
    }
}
