//! Loading the log at the start.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::manifest::{self, Manifest, Part};
use super::replay::{Apply, End, ReplayError, replay};
use super::{AppendOnly, Phase};

/// How the parts of a log get into the data.
pub struct Loader<'a> {
    /// Runs a command.
    pub apply: &'a mut Apply<'a>,
    /// Loads the snapshot that a file begins with; gives where it ends.
    pub snapshot: &'a mut dyn FnMut(&Path) -> Result<u64, String>,
    /// Is told how many bytes have been loaded.
    pub progress: &'a dyn Fn(u64),
}

impl AppendOnly {
    /// Finds the log, also one from before Redis 7; `None` if there is none. Gives the bytes to load.
    pub fn find(&self) -> io::Result<Option<u64>> {
        let names = self.names(&mut self.state.lock());
        let found = Manifest::load(&names)?;
        let manifest = if manifest::is_old_log(&names, found.as_ref()) {
            Some(manifest::take_over_old_log(&*self.disk, &names)?)
        } else {
            found
        };
        let Some(manifest) = manifest else { return Ok(None) };
        let bytes = manifest.parts().filter_map(|part| std::fs::metadata(names.path(&part.name)).ok());
        let bytes = bytes.map(|metadata| metadata.len()).sum();
        let is_empty = manifest.is_empty();
        self.state.lock().manifest = manifest;
        Ok(Some(bytes).filter(|_| !is_empty))
    }

    /// Loads the log that [`AppendOnly::find`] has found. The error says what is wrong with it and what to do.
    pub fn load(&self, loader: &mut Loader<'_>) -> Result<(), String> {
        let (names, manifest) = {
            let mut state = self.state.lock();
            (self.names(&mut state), state.manifest.clone())
        };
        let parts: Vec<&Part> = manifest.parts().collect();
        let mut before = 0;
        for (index, part) in parts.iter().enumerate() {
            let path = names.path(&part.name);
            let length = match std::fs::metadata(&path) {
                Ok(metadata) => metadata.len(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(format!("The AOF file {} doesn't exist", part.name));
                }
                Err(error) => return Err(format!("{}: {error}", path.display())),
            };
            let begins_at = before;
            let end = load_part(&path, loader, begins_at)?;
            self.settle(&path, (end, length), index + 1 == parts.len())?;
            before += length;
            tracing::info!(file = part.name, bytes = length, "loaded a file of the append-only log");
        }
        Ok(())
    }

    /// Has `load` load what a rewrite has written while there is no log.
    pub fn with_found(&self, load: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
        let found = self.find().map_err(|error| error.to_string());
        let outcome = found.and_then(|bytes| bytes.map_or(Err("there is no log".to_owned()), |_| load()));
        let mut state = self.state.lock();
        if state.phase == Phase::Off {
            state.forget_files();
        }
        outcome
    }

    /// Decides what becomes of a file that does not end as it should.
    fn settle(&self, path: &Path, (end, length): (End, u64), is_last: bool) -> Result<(), String> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let whole = match end {
            End::Whole => return Ok(()),
            End::Truncated(whole) if is_last && self.config.aof_load_truncated() => whole,
            End::Malformed(whole) if is_last && length - whole <= self.bearable() => whole,
            End::Truncated(_) if !is_last => {
                return Err(format!("Fatal error: the truncated file {name} is not the last file"));
            }
            End::Truncated(_) => {
                return Err(format!(
                    "Unexpected end of file reading the append only file {name}. You can: 1) Make a backup of your AOF \
                     file, then use ./redis-check-aof --fix <filename.manifest>. 2) Alternatively you can set the \
                     'aof-load-truncated' configuration option to yes and restart the server."
                ));
            }
            End::Malformed(_) => {
                return Err(format!(
                    "Bad file format reading the append only file {name}: make a backup of your AOF file, then use \
                     ./redis-check-aof --fix <filename.manifest>"
                ));
            }
        };
        tracing::warn!(file = %name, length, whole, "the append-only log ends in the midst of a command, which is cut off");
        let cut = || {
            let (file, _) = self.disk.append_to(path)?;
            file.truncate(whole)?;
            file.sync()
        };
        cut().map_err(|error: io::Error| format!("Error truncating the AOF file {name}: {error}"))
    }

    /// `aof-load-corrupt-tail-max-size`
    fn bearable(&self) -> u64 {
        u64::try_from(self.config.aof_load_corrupt_tail_max_size()).unwrap_or(0)
    }
}

fn load_part(path: &Path, loader: &mut Loader<'_>, begins_at: u64) -> Result<End, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let offset = match begins_with_snapshot(path) {
        Ok(true) => (loader.snapshot)(path).map_err(|error| failed(&error))?,
        Ok(false) => 0,
        Err(error) => return Err(failed(&error)),
    };
    let progress = |place| (loader.progress)(begins_at + place);
    replay(path, offset, loader.apply, &progress).map_err(|error| match error {
        ReplayError::Io(error) => failed(&error),
        ReplayError::Refused(why) => failed(&why),
    })
}

fn begins_with_snapshot(path: &Path) -> io::Result<bool> {
    const MAGIC: &[u8] = b"REDIS";
    let mut beginning = Vec::new();
    File::open(path)?.take(MAGIC.len() as u64).read_to_end(&mut beginning)?;
    Ok(beginning == MAGIC)
}
