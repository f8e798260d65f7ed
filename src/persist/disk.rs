//! What is done to files. Behind a trait, so that tests can have a disk that is full or broken.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file that is being written.
pub trait DiskFile: Write + Send + Debug {
    /// Makes what has been written survive a loss of power.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file that is only ever written to at its end, also while it is being synced.
pub trait LogFile: Send + Sync + Debug {
    /// Writes some of the bytes; gives how many.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Makes what has been written survive a loss of power.
    fn sync(&self) -> io::Result<()>;

    /// Cuts the file to a length.
    fn truncate(&self, length: u64) -> io::Result<()>;
}

/// Where files are.
pub trait Disk: Send + Sync + Debug {
    /// Begins a new file, in place of one of that name.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file to write to its end, which is new if there is none; gives its length too.
    fn append_to(&self, path: &Path) -> io::Result<(Arc<dyn LogFile>, u64)>;

    /// Makes a folder, if there is none.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name, in place of one that has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder survive a loss of power.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// The file system.
#[derive(Debug, Default, Clone, Copy)]
pub struct FileSystem;

impl DiskFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

impl LogFile for File {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut &*self, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

impl Disk for FileSystem {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        Ok(Box::new(file))
    }

    fn append_to(&self, path: &Path) -> io::Result<(Arc<dyn LogFile>, u64)> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let length = file.metadata()?.len();
        Ok((Arc::new(file), length))
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        match std::fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            outcome => outcome,
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

/// Writes a file under a passing name and gives it its own when it is whole and safe: nobody ever sees a part of it.
pub fn replace_file(
    disk: &dyn Disk,
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let passing = passing_name(path);
    let outcome = disk.create(&passing).and_then(|file| {
        let mut file = SyncedAsItGrows { file, unsynced: 0 };
        write(&mut file)?;
        file.file.sync()?;
        drop(file);
        disk.rename(&passing, path)?;
        path.parent().map_or(Ok(()), |folder| disk.sync_folder(folder))
    });
    if outcome.is_err() {
        // It may not even have come to be.
        drop(disk.remove(&passing));
    }
    outcome
}

fn passing_name(path: &Path) -> PathBuf {
    path.with_file_name(format!("temp-{}.rdb", std::process::id()))
}

/// A file that is synced now and then, so that the last time does not take long for all of it.
#[derive(Debug)]
struct SyncedAsItGrows {
    file: Box<dyn DiskFile>,
    unsynced: usize,
}

impl Write for SyncedAsItGrows {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        const STEP: usize = 4 << 20;
        let written = self.file.write(bytes)?;
        self.unsynced += written;
        if self.unsynced >= STEP {
            self.file.sync()?;
            self.unsynced = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
