//! Locks that other code in this process cannot drop.
//!
//! SQLite's locks on the database are POSIX locks: they belong to the process, and when *any* code in it opens and
//! closes the file, a backup, a checksum, a second SQLite, they are gone without a word. Another process that closes
//! the file then takes itself for the last one and deletes the log, with rows in it that were acknowledged: 100
//! inserts were lost that way. So beside them we hold open-file-description locks (Linux), which belong to our
//! descriptors, on the bytes that say "somebody has this open" (<https://sqlite.org/walformat.html>, "WAL Locks";
//! <https://sqlite.org/c3ref/io_methods.html>, SHARED). Of the index SQLite's own locks are such locks already
//! (`index_locks`); there the descriptor of a guard is what a file is left by.
//!
//! The guards also know which database, log and index these are, so that a look at the folder tells when one is no
//! longer there ([`Guards::moved`]), and how to leave it then ([`Guards::abandon`]).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};

/// Device and inode.
type FileId = (u64, u64);
/// A range of a file's bytes: where it starts, and how many.
pub(super) type Range = (libc::off_t, libc::off_t);

/// SQLite's SHARED range of the database, and the byte of the WAL index that every user of it holds.
pub(super) const SHARED: Range = (0x4000_0002, 510);
pub(super) const INDEX_IN_USE: Range = (128, 1);

/// What SQLite locks to let a reader in (PENDING), and to write to the log.
const NEWCOMERS: Range = (0x4000_0000, 1);
const WRITERS: Range = (120, 1);
/// A byte of the index that SQLite does not lock: whoever holds it has saved what is in the log, and nobody else need.
const LEFT: Range = (135, 1);
/// How often a thread asks for each of the locks that it takes to leave a file, and how long it waits in between.
const TRIES: u32 = 20;
const TRY_EVERY: Duration = Duration::from_millis(1);
/// Indexes that were left are held for those processes that have not noticed yet; a second would do.
const LEFT_AT_MOST: usize = 4;

/// The database and its WAL index, held; and which log is theirs.
#[derive(Default)]
pub(crate) struct Guards {
    held: Vec<Guard>,
    log: Option<FileId>,
    /// Indexes that were left, with their writers' lock: see [`Guards::abandon`]. Never let go of, only closed, so a
    /// forked child that has them too does no harm.
    left: Vec<File>,
}

/// Which of the files are no longer the ones that are held.
#[derive(Clone, Copy, Default)]
pub(crate) struct Moved {
    pub(crate) database: bool,
    pub(crate) log: bool,
    pub(crate) index: bool,
}

impl Moved {
    pub(crate) fn any(self) -> bool {
        self.database || self.log || self.index
    }
}

/// How an index was left.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Abandoned {
    /// Nobody may write there any more, this process included, which alone may save what is in the log.
    ByUs,
    /// Another process does so, or did before us.
    ByOthers,
    /// Somebody is writing at this moment.
    NotYet,
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
        // Of each connection SQLite opens the log anew, by its name: two of one process must have the same.
        let log = file_id(&beside(path, LOG));
        if self.log.is_some() && self.log != log {
            return Err(Error::Busy);
        }
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
                    let mut how = OpenOptions::new();
                    let file = how.read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(&path).map_err(failed)?;
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
        self.log = log;
        Ok(())
    }

    /// Which files are no longer the ones that are held. Three calls of `stat`.
    pub(crate) fn moved(&self, path: &Path) -> Moved {
        let is_other = |range: Range, path: &Path| {
            let held = self.held.iter().rev().find(|guard| guard.range == range);
            held.is_some_and(|guard| Some(guard.id) != file_id(path))
        };
        Moved {
            database: is_other(SHARED, path),
            log: self.log.is_some() && self.log != file_id(&beside(path, LOG)),
            index: is_other(INDEX_IN_USE, &beside(path, INDEX)),
        }
    }

    /// Ends all writing through the index that is held, in every process, so that whoever has not yet noticed that a
    /// file is gone writes nothing more to a log that nobody will read: it is told "busy", looks, and comes after us.
    pub(crate) fn abandon(&mut self) -> Abandoned {
        let Some(at) = self.held.iter().rposition(|guard| guard.range == INDEX_IN_USE) else {
            return Abandoned::ByOthers;
        };
        let take = |range| set_lock(&self.held[at].file, libc::F_WRLCK as libc::c_short, range);
        if take(LEFT).is_err() {
            return Abandoned::ByOthers;
        }
        for _ in 0..TRIES {
            if take(WRITERS).is_ok() {
                self.left.push(self.held.remove(at).file);
                let old = self.left.len().saturating_sub(LEFT_AT_MOST);
                self.left.drain(..old);
                return Abandoned::ByUs;
            }
            std::thread::sleep(TRY_EVERY);
        }
        let _ = set_lock(&self.held[at].file, libc::F_UNLCK as libc::c_short, LEFT);
        Abandoned::NotYet
    }

    /// Does `save`, which copies the log into the database, while nobody begins to read the database, unless somebody
    /// has begun to do so through a new log or index: what he knows of the database would be changed under him. Then
    /// removes the log and the index that were left, if they are still there, so that whoever comes makes new ones,
    /// and those who have not noticed yet read the old ones as they are. To be called after [`Guards::abandon`].
    pub(crate) fn save(&self, path: &Path, mut save: impl FnMut() -> bool) {
        let database = self.held.iter().rev().find(|guard| guard.range == SHARED);
        let (Some(database), Some(left)) = (database, self.left.last()) else { return };
        let alone = (0..TRIES).any(|_| {
            let alone = set_lock(&database.file, libc::F_WRLCK as libc::c_short, NEWCOMERS).is_ok();
            if !alone {
                std::thread::sleep(TRY_EVERY);
            }
            alone
        });
        if !alone {
            return;
        }
        let (log, index) = (beside(path, LOG), beside(path, INDEX));
        let index_left = left.metadata().ok().map(|found| (found.dev(), found.ino()));
        let (log_now, index_now) = (file_id(&log), file_id(&index));
        let is_empty = |file: &Path| std::fs::metadata(file).is_ok_and(|found| found.len() == 0);
        let nobody_came = (index_now.is_none() || index_now == index_left)
            && (log_now.is_none() || log_now == self.log || is_empty(&log));
        let saved = nobody_came
            && (0..TRIES).any(|_| {
                let saved = save();
                if !saved {
                    std::thread::sleep(TRY_EVERY);
                }
                saved
            });
        if index_now.is_some() && index_now == index_left {
            let _ = std::fs::remove_file(index);
        }
        if saved && log_now.is_some() && log_now == self.log {
            let _ = std::fs::remove_file(log);
        }
        let _ = set_lock(&database.file, libc::F_UNLCK as libc::c_short, NEWCOMERS);
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
        self.log = None;
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
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

pub(crate) const LOG: &str = "-wal";
pub(super) const INDEX: &str = "-shm";

/// What is at this path now.
pub(super) fn file_id(path: &Path) -> Option<FileId> {
    std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}
