//! The manifest: which files make up the log, in the format of Redis 7 and later.
//!
//! A line a file: `file NAME seq NUMBER type TYPE`, where the type is `b` for the base, `i` for an increment, `h` for what
//! is of no use any more and may be removed.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::words;
use crate::config::Config;
use crate::persist::disk::{Disk, replace_file};

/// Where the files of the log are and how they are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// `dir`
    pub folder: PathBuf,
    /// `appenddirname`
    pub log_folder: String,
    /// `appendfilename`
    pub file: String,
}

impl Names {
    /// As the configuration says.
    pub fn of(config: &Config) -> Self {
        Self { folder: config.dir().into(), log_folder: config.appenddirname(), file: config.appendfilename() }
    }

    /// The folder of the log's files.
    pub fn log_folder(&self) -> PathBuf {
        self.folder.join(&self.log_folder)
    }

    /// A file of the log.
    pub fn path(&self, name: &str) -> PathBuf {
        self.log_folder().join(name)
    }

    /// The manifest.
    pub fn manifest(&self) -> PathBuf {
        self.path(&format!("{}.manifest", self.file))
    }
}

/// One file of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name in the log's folder.
    pub name: String,
    /// Its number among the files of its kind.
    pub number: u64,
}

/// The files of the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    /// What the increments go on from.
    pub base: Option<Part>,
    /// What has been logged since, in order.
    pub increments: Vec<Part>,
    /// What may be removed.
    pub history: Vec<Part>,
    last_base: u64,
    last_increment: u64,
}

/// How the base is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseFormat {
    /// As a snapshot.
    Rdb,
    /// As commands.
    Commands,
}

impl Manifest {
    /// Whether it names no file to load.
    pub fn is_empty(&self) -> bool {
        self.base.is_none() && self.increments.is_empty()
    }

    /// Names an increment that follows all others.
    pub fn next_increment(&mut self, names: &Names) -> Part {
        self.last_increment += 1;
        let number = self.last_increment;
        Part { name: format!("{}.{number}.incr.aof", names.file), number }
    }

    /// Names a base that follows all others.
    pub fn next_base(&mut self, names: &Names, format: BaseFormat) -> Part {
        self.last_base += 1;
        let number = self.last_base;
        let ending = match format {
            BaseFormat::Rdb => "rdb",
            BaseFormat::Commands => "aof",
        };
        Part { name: format!("{}.{number}.base.{ending}", names.file), number }
    }

    /// Replaces the base, and all increments before the `kept` last ones.
    pub fn rebase(&mut self, base: Part, kept: usize) {
        let replaced = self.increments.len().saturating_sub(kept);
        self.history.extend(self.base.replace(base));
        self.history.extend(self.increments.drain(..replaced));
    }

    /// All files that are loaded, in order.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.base.iter().chain(&self.increments)
    }

    /// The file's content.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let parts = self.base.iter().map(|part| (part, 'b'));
        let parts = parts.chain(self.history.iter().map(|part| (part, 'h')));
        for (part, kind) in parts.chain(self.increments.iter().map(|part| (part, 'i'))) {
            let _ = writeln!(text, "file {} seq {} type {kind}", quoted(&part.name), part.number);
        }
        text
    }

    /// Reads a file's content; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        const LONGEST_LINE: usize = 1024;
        if text.is_empty() {
            return Err("Found an empty AOF manifest".into());
        }
        let mut manifest = Self::default();
        for line in text.split_inclusive('\n') {
            if line.len() > LONGEST_LINE {
                return Err("The AOF manifest file contains too long line".into());
            }
            let line = line.strip_suffix('\n').ok_or("The AOF manifest file contains an invalid line format")?;
            if !line.starts_with('#') {
                manifest.add(line.trim())?;
            }
        }
        Ok(manifest)
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        const INVALID: &str = "Invalid AOF manifest file format";
        let words = words::split(line.as_bytes()).ok_or(INVALID)?;
        let words: Vec<String> =
            words.into_iter().map(String::from_utf8).collect::<Result<_, _>>().map_err(|_| INVALID)?;
        let (pairs, odd) = words.as_chunks::<2>();
        if words.len() < 6 || !odd.is_empty() {
            return Err(INVALID.into());
        }
        let value = |name: &str| pairs.iter().find(|[key, _]| key.eq_ignore_ascii_case(name)).map(|[_, value]| value);
        let name = value("file").filter(|name| !name.is_empty()).ok_or(INVALID)?.clone();
        if name.contains('/') {
            return Err("File can't be a path, just a filename".into());
        }
        let number = value("seq").and_then(|number| number.parse().ok()).filter(|&number| number > 0).ok_or(INVALID)?;
        let part = Part { name, number };
        match value("type").map(String::as_str) {
            Some("b") if self.base.is_some() => return Err("Found duplicate base file information".into()),
            Some("b") => {
                self.last_base = part.number;
                self.base = Some(part);
            }
            Some("i") if part.number <= self.last_increment => {
                return Err("Found a non-monotonic sequence number".into());
            }
            Some("i") => {
                self.last_increment = part.number;
                self.increments.push(part);
            }
            Some("h") => self.history.push(part),
            _ => return Err("Unknown AOF file type".into()),
        }
        Ok(())
    }

    /// Reads the manifest, if there is one.
    pub fn load(names: &Names) -> io::Result<Option<Self>> {
        let path = names.manifest();
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let refused = |problem| io::Error::other(format!("{}: {problem}", path.display()));
                Self::parse(&text).map(Some).map_err(refused)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        }
    }

    /// Writes the manifest in place of the one that is there.
    pub fn save(&self, disk: &dyn Disk, names: &Names) -> io::Result<()> {
        replace_file(disk, &names.manifest(), |out| out.write_all(self.to_text().as_bytes()))
    }

    /// Removes what is of no use any more, and forgets it. What cannot be removed stays until the next time.
    pub fn remove_history(&mut self, disk: &dyn Disk, names: &Names) -> io::Result<()> {
        if self.history.is_empty() {
            return Ok(());
        }
        self.history.retain(|part| match disk.remove(&names.path(&part.name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, file = part.name, "cannot remove an old file of the append-only log");
                true
            }
            _ => false,
        });
        self.save(disk, names)
    }
}

/// A name as Redis writes it: in quotes if it would not be one plain word.
fn quoted(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
    if !name.is_empty() && name.bytes().all(is_plain) {
        return name.to_owned();
    }
    let mut text = String::from('"');
    for byte in name.bytes() {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            0x07 => text.push_str("\\a"),
            0x08 => text.push_str("\\b"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text.push('"');
    text
}

/// Whether a log from before Redis 7, which was one file, has to be taken over: its name is there, and what the manifest
/// says does not go beyond it.
pub fn is_old_log(names: &Names, manifest: Option<&Manifest>) -> bool {
    let is_file = |path: &Path| path.is_file();
    if !is_file(&names.folder.join(&names.file)) {
        return false;
    }
    let Some(manifest) = manifest else { return true };
    let is_begun = |base: &Part| base.name == names.file && !is_file(&names.path(&names.file));
    manifest.increments.is_empty() && manifest.base.as_ref().is_none_or(is_begun)
}

/// Makes the one file of an old log the base of a new one.
pub fn take_over_old_log(disk: &dyn Disk, names: &Names) -> io::Result<Manifest> {
    let mut manifest = Manifest { last_base: 1, ..Manifest::default() };
    manifest.base = Some(Part { name: names.file.clone(), number: 1 });
    disk.make_folder(&names.log_folder())?;
    manifest.save(disk, names)?;
    disk.rename(&names.folder.join(&names.file), &names.path(&names.file))?;
    disk.sync_folder(&names.log_folder())?;
    disk.sync_folder(&names.folder)?;
    tracing::info!(
        file = names.file,
        folder = names.log_folder,
        "migrated an append-only file of an old version into the folder of the log"
    );
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "file a.aof.2.base.rdb seq 2 type b\nfile a.aof.1.incr.aof seq 1 type h\n\
                        file \"a b\\x41.3.incr.aof\" seq 3 type i\n";

    #[test]
    fn as_redis_writes_it() {
        let text = "file a.2.base.rdb seq 2 type b\nfile a.4.incr.aof seq 4 type i startoffset 16\n";
        let mut manifest = Manifest::parse(&format!("# a comment\n{text}")).unwrap();
        assert_eq!(manifest.to_text(), text.replace(" startoffset 16", ""));
        let names = Names { folder: "x".into(), log_folder: "d".into(), file: "a".into() };
        let (increment, base) = (manifest.next_increment(&names), manifest.next_base(&names, BaseFormat::Rdb));
        assert_eq!((increment.name.as_str(), base.name.as_str()), ("a.5.incr.aof", "a.3.base.rdb"));
        manifest.increments.push(increment);
        manifest.rebase(base, 1);
        let wanted = "file a.3.base.rdb seq 3 type b\nfile a.2.base.rdb seq 2 type h\nfile a.4.incr.aof seq 4 type h\n\
                      file a.5.incr.aof seq 5 type i\n";
        assert_eq!(manifest.to_text(), wanted);
    }

    #[test]
    fn names_with_blanks_are_quoted() {
        assert_eq!(quoted("a b\"\\\n\u{7}"), "\"a b\\\"\\\\\\n\\a\"");
        let manifest = Manifest { base: Some(Part { name: "a \"b".into(), number: 1 }), ..Manifest::default() };
        assert_eq!(Manifest::parse(&manifest.to_text()).unwrap().base, manifest.base);
    }

    #[test]
    fn what_is_wrong_is_refused() {
        assert!(Manifest::parse(TEXT).is_ok());
        for (text, problem) in [
            ("", "empty"),
            ("\n", "Invalid"),
            ("file a seq 1 type b", "invalid line"),
            ("file a seq 1\n", "Invalid"),
            ("file a seq x type b\n", "Invalid"),
            ("file a/b seq 1 type b\n", "path"),
            ("file a seq 1 type x\n", "Unknown"),
            ("file a seq 1 type b\nfile b seq 2 type b\n", "duplicate"),
            ("file a seq 2 type i\nfile b seq 2 type i\n", "non-monotonic"),
        ] {
            let refused = Manifest::parse(text).unwrap_err();
            assert!(refused.contains(problem), "{text:?}: {refused}");
        }
    }
}
