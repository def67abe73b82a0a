//! Locks that other code in this process cannot drop.
//!
//! SQLite's own locks are POSIX locks: they belong to the process, and when *any* code in it opens and closes the
//! file, a backup, a checksum, a second SQLite, they are gone without a word. Another process that closes the
//! file then takes itself for the last one and deletes the log, with rows in it that were acknowledged: 100 inserts
//! were lost that way. So beside them we hold open-file-description locks (Linux), which belong to our descriptors, on
//! the bytes that say "somebody has this open" (<https://sqlite.org/walformat.html>, "WAL Locks";
//! <https://sqlite.org/c3ref/io_methods.html>, SHARED).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Device and inode.
type FileId = (u64, u64);
/// A range of a file's bytes: where it starts, and how many.
pub(super) type Range = (libc::off_t, libc::off_t);

/// SQLite's SHARED range of the database, and the byte of the WAL index that every user of it holds.
pub(super) const SHARED: Range = (0x4000_0002, 510);
pub(super) const INDEX_IN_USE: Range = (128, 1);

/// The database and its WAL index, held.
#[derive(Default)]
pub(crate) struct Guards {
    held: Vec<Guard>,
}

struct Guard {
    file: File,
    id: FileId,
    range: Range,
    /// False until the lock could be had: the descriptor stays for the next try, since it must not be closed.
    done: bool,
}

impl Guards {
    /// Holds the files that are at `path` now. To be called with a connection open, which holds them SHARED.
    ///
    /// Closes nothing: closing a descriptor is what drops SQLite's locks. A guard of a file that is no longer there
    /// stays until [`Guards::close`].
    pub(crate) fn hold(&mut self, path: &Path) -> Result<()> {
        for (path, range) in [(path.to_owned(), SHARED), (beside(path, INDEX), INDEX_IN_USE)] {
            let Some(id) = file_id(&path) else { continue };
            let failed = |e: io::Error| match e.kind() {
                // Gone since a line ago: somebody is making or closing the file at this moment.
                io::ErrorKind::NotFound => Error::Busy,
                _ => Error::Storage(format!("cannot guard {}: {e}", path.display())),
            };
            let at = match self.held.iter().position(|guard| guard.id == id) {
                Some(at) => at,
                None => {
                    let file =
                        OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(&path).map_err(failed)?;
                    let found = file.metadata().map_err(failed)?;
                    self.held.push(Guard { file, id: (found.dev(), found.ino()), range, done: false });
                    self.held.len() - 1
                }
            };
            let guard = &mut self.held[at];
            if guard.done {
                continue;
            }
            match set_lock(&guard.file, libc::F_RDLCK as libc::c_short, range) {
                Ok(()) => guard.done = true,
                // Somebody is closing or recovering the file at this moment.
                Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => return Err(Error::Busy),
                // A kernel without such locks: SQLite's own must do.
                Err(e) if e.raw_os_error() == Some(libc::EINVAL) => guard.done = true,
                Err(e) => return Err(failed(e)),
            }
        }
        Ok(())
    }

    /// Whether the database, and its WAL index, are no longer the ones that are held.
    pub(crate) fn moved(&self, path: &Path) -> [bool; 2] {
        [(path.to_owned(), SHARED), (beside(path, INDEX), INDEX_IN_USE)].map(|(path, range)| {
            let held = self.held.iter().rev().find(|guard| guard.range == range);
            held.is_some_and(|guard| Some(guard.id) != file_id(&path))
        })
    }

    /// Lets go without closing, so that a connection that closes next may be the last one out.
    pub(crate) fn let_go(&self) {
        for guard in &self.held {
            let _ = set_lock(&guard.file, libc::F_UNLCK as libc::c_short, guard.range);
        }
    }

    /// Closes the descriptors. Nobody in this process may be inside SQLite.
    pub(crate) fn close(&mut self) {
        self.held.clear();
    }
}

#[cfg(target_os = "linux")]
pub(super) fn set_lock(file: &File, kind: libc::c_short, range: Range) -> io::Result<()> {
    let lock = libc::flock {
        l_type: kind,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: range.0,
        l_len: range.1,
        l_pid: 0, // Required to be 0 for these locks.
    };
    // SAFETY: the descriptor is open and `lock` outlives the call.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn set_lock(_file: &File, _kind: libc::c_short, _range: Range) -> io::Result<()> {
    Err(io::Error::from_raw_os_error(libc::EINVAL))
}

/// What SQLite has beside a database: its log with `LOG`, its WAL index with `INDEX`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

pub(super) const LOG: &str = "-wal";
pub(super) const INDEX: &str = "-shm";

/// What is at this path now.
pub(super) fn file_id(path: &Path) -> Option<FileId> {
    std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}
