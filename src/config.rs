//! The configuration: one table of parameters feeds `--help`, `redis.conf`, `HASHD_*` variables and `CONFIG GET` / `SET`.
//!
//! Numbers and booleans are atomics, so that hot paths read them without a lock; strings are behind one lock each.

mod events;
mod kind;
mod parse;
mod rewrite;
mod table;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

pub use events::KeyspaceEvents;
pub use kind::{CLASSES, Kind, OutputBufferLimit, Value};
pub use parse::{StartupError, memory_size, redis_integer};
pub use rewrite::{RewriteError, Rewriting};
pub use table::{Access, Parameter, ROWS, Row};

use parse::Directive;

/// The value of every parameter, shared by the whole server.
#[derive(Debug)]
pub struct Config {
    numbers: [AtomicI64; COUNT],
    texts: [RwLock<String>; COUNT],
    limits: [[AtomicU64; 3]; CLASSES.len()],
    /// Held while `CONFIG SET` checks and stores, so that two of them do not mix.
    writer: Mutex<()>,
    file: Option<PathBuf>,
    renamed_commands: Vec<Renaming>,
    users: Vec<Vec<Vec<u8>>>,
}

/// A `rename-command` directive.
#[derive(Debug, Clone)]
pub struct Renaming {
    /// The command.
    pub command: Vec<u8>,
    /// Its new name, empty for none.
    pub target: Vec<u8>,
    place: String,
    line: String,
}

impl Renaming {
    /// The error that refuses this directive.
    pub fn refused(&self, problem: &str) -> StartupError {
        StartupError::Directive { place: self.place.clone(), line: self.line.clone(), problem: problem.to_owned() }
    }
}

/// What a command line asks the program to do.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one, for a moment")]
pub enum Startup {
    /// Serve with this configuration.
    Run(Config),
    /// Print this and exit with success: `--help` or `--version`.
    Print(String),
}

/// What `CONFIG SET` has changed.
#[derive(Debug, Default)]
pub struct Change {
    /// The names of the parameters whose values are new.
    pub names: Vec<&'static str>,
    before: Vec<(Parameter, Value)>,
}

/// Where the client of a `CONFIG SET` is, which `enable-protected-configs local` asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The loopback interface or a Unix socket.
    Local,
    /// Anywhere else.
    Remote,
}

/// How the server is to be shut down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shutdown {
    /// Whether a snapshot is taken first; if nothing is said, then if `save` has any times.
    pub save: Option<bool>,
    /// Whether it stops even if that fails.
    pub force: bool,
}

impl Shutdown {
    fn of_flags(flags: i64) -> Self {
        const SAVE: i64 = 1;
        const NOSAVE: i64 = 2;
        const FORCE: i64 = 8;
        let save = if flags & SAVE != 0 { Some(true) } else { (flags & NOSAVE != 0).then_some(false) };
        Self { save, force: flags & FORCE != 0 }
    }
}

const COUNT: usize = Parameter::ALL.len();

impl Default for Config {
    fn default() -> Self {
        let config = Self {
            numbers: [const { AtomicI64::new(0) }; COUNT],
            texts: [const { RwLock::new(String::new()) }; COUNT],
            limits: [const { [const { AtomicU64::new(0) }; 3] }; CLASSES.len()],
            writer: Mutex::new(()),
            file: None,
            renamed_commands: Vec::new(),
            users: Vec::new(),
        };
        for parameter in Parameter::ALL {
            // A test checks that every default can be read; `dir` is the exception when its directory is gone.
            if let Ok(value) = config.read(*parameter, &default_words(*parameter)) {
                config.store(*parameter, value);
            }
        }
        config
    }
}

impl Config {
    /// Reads the configuration: defaults, then the configuration file, then the environment, then the command line.
    ///
    /// `args` starts with the name of the program, as `std::env::args_os()` does; `environment` is
    /// `std::env::vars_os()`. The configuration file and its includes are read here.
    pub fn from_command_line(
        args: impl Iterator<Item = OsString>,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Startup, StartupError> {
        let line = parse::command_line(args)?;
        if line.wants_help {
            return Ok(Startup::Print(help()));
        }
        if line.wants_version {
            return Ok(Startup::Print(format!("hashd v={} bits={}\n", env!("CARGO_PKG_VERSION"), usize::BITS)));
        }
        let mut config = Self::default();
        let mut from_files = Vec::new();
        if let Some(file) = line.file {
            from_files = parse::file(&file)?;
            config.file = Some(std::path::absolute(&file).unwrap_or(file));
        }
        if line.reads_stdin {
            from_files.extend(parse::reader(std::io::stdin())?);
        }
        for layer in [from_files, parse::environment(environment)?, line.directives] {
            config.apply(&layer)?;
        }
        Ok(Startup::Run(config))
    }

    /// Reads the text of a configuration file, on top of the defaults.
    pub fn from_text(text: &[u8]) -> Result<Self, StartupError> {
        let mut config = Self::default();
        config.apply(&parse::reader(text)?)?;
        Ok(config)
    }

    /// The parameters that any of the patterns matches, each once under each of its names, in the order of the table.
    ///
    /// Patterns match in any case; `glob` takes a pattern and a name. A name asked for without `*`, `?` and `[` is
    /// reported as it was spelled; some names are reported only so.
    pub fn get(&self, patterns: &[&[u8]], glob: fn(&[u8], &[u8]) -> bool) -> Vec<(String, String)> {
        let spelled = |name: &str| {
            let asked = patterns.iter().find(|pattern| pattern.eq_ignore_ascii_case(name.as_bytes()));
            asked.map_or_else(|| name.to_owned(), |asked| String::from_utf8_lossy(asked).into_owned())
        };
        let lower: Vec<_> = patterns.iter().map(|pattern| pattern.to_ascii_lowercase()).collect();
        let names = Parameter::ALL.iter().flat_map(|parameter| parameter.names().map(|name| (*parameter, name)));
        names
            .filter(|(_, name)| {
                let is_hidden = table::HIDDEN.contains(name);
                lower.iter().any(|pattern| pattern == name.as_bytes() || !is_hidden && glob(pattern, name.as_bytes()))
            })
            .map(|(parameter, name)| (spelled(name), self.shown(parameter)))
            .collect()
    }

    /// Sets all pairs or none, for a client that is not local; see [`Config::set_from`].
    pub fn set(&self, pairs: &[(&[u8], &[u8])]) -> Result<Vec<&'static str>, Vec<u8>> {
        self.set_from(pairs, Origin::Remote).map(|change| change.names)
    }

    /// Sets all pairs or none and tells what has changed; or else Redis' error.
    ///
    /// Some changes need the caller to act (`port`, `bind`, `maxclients`, ..); when that fails, the caller undoes them.
    pub fn set_from(&self, pairs: &[(&[u8], &[u8])], origin: Origin) -> Result<Change, Vec<u8>> {
        let _writing = self.writer.lock();
        let mut named = Vec::with_capacity(pairs.len());
        for (name, value) in pairs {
            let (parameter, spelled) = self.settable(name, origin)?;
            if named.iter().any(|(_, other, _)| *other == spelled) {
                return Err(set_error(spelled, "duplicate parameter"));
            }
            named.push((parameter, spelled, *value));
        }
        // Every value is read before any is stored, so that a failure leaves nothing to undo and nobody sees half a change.
        let mut read = Vec::with_capacity(named.len());
        for (parameter, spelled, value) in named {
            let takes_words = parameter.row().kind.takes_words();
            let words = if takes_words { value.split(|byte| *byte == b' ').collect() } else { vec![value] };
            let new = self.read(parameter, &words).map_err(|problem| set_error(spelled, &problem))?;
            read.push((parameter, new));
        }
        let mut change = Change::default();
        for (parameter, new) in read {
            let (name, before) = (parameter.row().name, self.value(parameter));
            if before != new && !change.names.contains(&name) {
                change.names.push(name);
                change.before.push((parameter, before));
            }
            self.store(parameter, new);
        }
        Ok(change)
    }

    /// Gives the parameters the values that they had before a change.
    pub fn undo(&self, change: Change) {
        let _writing = self.writer.lock();
        for (parameter, value) in change.before {
            self.store(parameter, value);
        }
    }

    /// The absolute path of the configuration file, if there is one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The commands that `rename-command` renames, with their new names; an empty one disables the command.
    pub fn renamed_commands(&self) -> &[Renaming] {
        &self.renamed_commands
    }

    /// The `user` directives of the configuration file: the name of the user, then its rules.
    pub fn users(&self) -> &[Vec<Vec<u8>>] {
        &self.users
    }

    /// The output buffer limit of a class of clients, one of [`CLASSES`] by its index.
    pub fn output_buffer_limit(&self, class: usize) -> OutputBufferLimit {
        let Some([hard, soft, seconds]) = self.limits.get(class) else { return OutputBufferLimit::default() };
        OutputBufferLimit {
            hard_bytes: hard.load(Ordering::Relaxed),
            soft_bytes: soft.load(Ordering::Relaxed),
            soft_seconds: seconds.load(Ordering::Relaxed),
        }
    }

    /// `notify-keyspace-events`
    #[inline]
    pub fn keyspace_events(&self) -> KeyspaceEvents {
        kind::events_of(self.number(Parameter::notify_keyspace_events))
    }

    /// `maxmemory-clients` in bytes, its percentage resolved against `maxmemory`.
    pub fn maxmemory_clients_bytes(&self) -> u64 {
        let limit = self.number(Parameter::maxmemory_clients);
        match u64::try_from(limit) {
            Ok(bytes) => bytes,
            Err(_) => (self.maxmemory() / 100).saturating_mul(limit.unsigned_abs()),
        }
    }

    /// `socket-mark-id`
    pub fn socket_mark(&self) -> u32 {
        u32::try_from(self.socket_mark_id()).unwrap_or(0)
    }

    /// Whether writes need replicas: `min-replicas-to-write` and `min-replicas-max-lag`, of which 0 says no.
    pub fn wants_replicas(&self) -> bool {
        self.min_replicas_to_write() > 0 && self.min_replicas_max_lag() > 0
    }

    /// `shutdown-on-sigterm`
    pub fn shutdown_by_sigterm(&self) -> Shutdown {
        Shutdown::of_flags(self.number(Parameter::shutdown_on_sigterm))
    }

    /// `shutdown-on-sigint`
    pub fn shutdown_by_sigint(&self) -> Shutdown {
        Shutdown::of_flags(self.number(Parameter::shutdown_on_sigint))
    }

    #[inline]
    fn number(&self, parameter: Parameter) -> i64 {
        self.numbers[parameter as usize].load(Ordering::Relaxed)
    }

    fn choice(&self, parameter: Parameter) -> &'static str {
        let Kind::Choice(names) = parameter.row().kind else { return "unknown" };
        kind::chosen(names, self.number(parameter))
    }

    fn shown(&self, parameter: Parameter) -> String {
        parameter.row().kind.show(&self.value(parameter))
    }

    fn value(&self, parameter: Parameter) -> Value {
        match parameter.row().kind {
            Kind::OutputBufferLimits => Value::Limits(std::array::from_fn(|class| self.output_buffer_limit(class))),
            Kind::Text(_)
            | Kind::Directory
            | Kind::Bind
            | Kind::Save
            | Kind::Percentiles
            | Kind::OomScores
            | Kind::ReplicaOf => Value::Text(self.texts[parameter as usize].read().clone()),
            _ => Value::Number(self.number(parameter)),
        }
    }

    fn store(&self, parameter: Parameter, value: Value) {
        match value {
            Value::Number(number) => self.numbers[parameter as usize].store(number, Ordering::Relaxed),
            Value::Text(text) => *self.texts[parameter as usize].write() = text,
            Value::Limits(limits) => {
                for ([hard, soft, seconds], limit) in self.limits.iter().zip(limits) {
                    hard.store(limit.hard_bytes, Ordering::Relaxed);
                    soft.store(limit.soft_bytes, Ordering::Relaxed);
                    seconds.store(limit.soft_seconds, Ordering::Relaxed);
                }
            }
        }
    }

    fn read(&self, parameter: Parameter, words: &[&[u8]]) -> Result<Value, kind::Problem> {
        let value = parameter.row().kind.read(words, &self.value(parameter))?;
        // Redis takes any number for these and brings it into bounds.
        Ok(match (parameter, value) {
            (Parameter::hz, Value::Number(hz)) => Value::Number(hz.clamp(1, 500)),
            (Parameter::repl_backlog_size, Value::Number(bytes)) => Value::Number(bytes.max(16384)),
            (_, value) => value,
        })
    }

    fn settable(&self, name: &[u8], origin: Origin) -> Result<(Parameter, &'static str), Vec<u8>> {
        let Some((parameter, spelled)) = Parameter::find(name) else {
            let shown = name.split(|&byte| byte == 0).next().unwrap_or_default();
            let text = b"ERR Unknown option or number of arguments for CONFIG SET - '";
            return Err([text, shown, b"'"].concat());
        };
        let allowed = match parameter.row().access {
            Access::Live => true,
            Access::Fixed => return Err(set_error(spelled, "can't set immutable config")),
            Access::Guarded => match self.enable_protected_configs() {
                "yes" => true,
                "local" => origin == Origin::Local,
                _ => false,
            },
        };
        if allowed { Ok((parameter, spelled)) } else { Err(set_error(spelled, "can't set protected config")) }
    }

    /// Applies the directives of one source; its first `save` replaces what earlier sources say, the next ones add.
    fn apply(&mut self, directives: &[Directive]) -> Result<(), StartupError> {
        let mut saves = false;
        for directive in directives {
            let words: Vec<&[u8]> = directive.words.iter().map(Vec::as_slice).collect();
            let Some((name, values)) = words.split_first() else { continue };
            let Some((parameter, _)) = Parameter::find(name) else {
                self.apply_other(directive)?;
                continue;
            };
            let before = if saves && parameter == Parameter::save { self.save() } else { String::new() };
            let words = startup_words(parameter, &before, values);
            let value = self.read(parameter, &words).map_err(|problem| directive.refused(problem))?;
            self.store(parameter, value);
            saves |= parameter == Parameter::save;
        }
        Ok(())
    }

    /// Applies a directive that is no parameter.
    fn apply_other(&mut self, directive: &Directive) -> Result<(), StartupError> {
        const RETIRED: [&[u8]; 4] =
            [b"list-max-ziplist-entries", b"list-max-ziplist-value", b"lua-replicate-commands", b"io-threads-do-reads"];
        match directive.words.as_slice() {
            [name, command, target] if name == b"rename-command" => {
                let (place, line) = (directive.place.clone(), directive.line.clone());
                self.renamed_commands.push(Renaming { command: command.clone(), target: target.clone(), place, line });
            }
            [name, user @ ..] if name == b"user" && !user.is_empty() => self.users.push(user.to_vec()),
            [name, _] if RETIRED.contains(&name.as_slice()) => {}
            _ => return Err(directive.refused("Bad directive or wrong number of arguments")),
        }
        Ok(())
    }
}

fn set_error(name: &str, problem: &str) -> Vec<u8> {
    format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {problem}").into_bytes()
}

/// The words of a directive: those `before` it, which it adds to, then its own, of which one may hold several.
fn startup_words<'a>(parameter: Parameter, before: &'a str, values: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let earlier = before.split_ascii_whitespace().map(str::as_bytes);
    match values {
        // `--save "3600 1"` is one argument of the command line and two words.
        [value] if parameter.row().kind.takes_words() => match value.trim_ascii() {
            b"" => vec![b""],
            value => {
                let own = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
                earlier.chain(own).collect()
            }
        },
        _ => earlier.chain(values.iter().copied()).collect(),
    }
}

/// The default of a parameter in words; those that depend on the machine are found here.
fn default_words(parameter: Parameter) -> Vec<&'static [u8]> {
    static CORES: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        std::thread::available_parallelism().map_or(1, |cores| cores.get().min(1024)).to_string()
    });
    let row = parameter.row();
    match parameter {
        Parameter::io_threads => vec![CORES.as_bytes()],
        Parameter::dir => vec![b"."],
        _ if row.kind.takes_words() => row.default.split(' ').map(str::as_bytes).collect(),
        _ => vec![row.default.as_bytes()],
    }
}

/// The text of `--help`.
fn help() -> String {
    let mut command = clap::Command::new("hashd")
        .about("A Redis-compatible in-memory server for hashes")
        .override_usage(
            "hashd [/path/to/redis.conf] [--NAME VALUE...]... [-]\n       hashd -     (reads the configuration from the standard input)",
        )
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(flag("help", 'h', "Print this help"))
        .arg(flag("version", 'v', "Print the version"))
        .after_help(
            "Every parameter can also stand in the configuration file (`maxclients 100`) and in the environment \
             (HASHD_MAXCLIENTS=100, with _ for -). The command line comes before the environment, the environment \
             before the file. Parameters marked (no effect) are accepted for compatibility.",
        );
    for row in &ROWS {
        let mut sentence = row.help.to_owned();
        if !row.aliases.is_empty() {
            sentence = format!("{sentence} [alias: --{}]", row.aliases.join(", --"));
        }
        if !row.default.is_empty() {
            sentence = format!("{sentence} [default: {}]", row.default);
        }
        let values = clap::Arg::new(row.name).long(row.name).value_name("VALUE").help(sentence);
        command = command.arg(values.num_args(if row.kind.takes_words() { 1..=64 } else { 1..=1 }));
    }
    command.render_help().to_string()
}

fn flag(name: &'static str, short: char, sentence: &'static str) -> clap::Arg {
    clap::Arg::new(name).long(name).short(short).action(clap::ArgAction::SetTrue).help(sentence)
}

#[cfg(test)]
mod tests;
