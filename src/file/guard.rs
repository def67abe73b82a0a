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
//! longer there ([`Guards::moved`]), and who may write or open at this moment (`turnstile`).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Instant;

use super::agreement::REGION;
use super::index_locks::{Seen, is_open};
use super::location::cannot_open;
use super::lock::{INDEX_IN_USE, Range, SHARED, is_taken, set_lock};
use super::names::{FileId, INDEX, LOG, beside, file_id, id_of};
use crate::error::{Error, Result};

/// The database and its WAL index, held; and which log is theirs.
#[derive(Default)]
pub(crate) struct Guards {
    pub(super) held: Vec<Guard>,
    pub(super) log: Option<Log>,
    /// Whether this handle has the turnstile, and files that it left and has not come back from: see `turnstile`.
    pub(super) in_turn: bool,
    /// Whether the turnstile is a lock, and what the index was signed with since: see `turnstile`.
    pub(super) is_alone: bool,
    pub(super) signature: Option<[u8; 4]>,
    /// When the last turn ended; since when a writer waits for the next, and whether in line: see `turnstile`.
    pub(super) turn_ended: Option<Instant>,
    pub(super) waits_since: Option<Instant>,
    pub(super) in_line: bool,
    pub(super) left: Option<Left>,
    /// The log that the connection must have which is being opened.
    pub(super) expected_log: Option<FileId>,
    /// Whether SQLite has another index in this process than the one of that name, because a connection of another
    /// handle has it open: all of them have to be closed.
    pub(super) is_stranded: bool,
}

/// Files that were left, until we are back: see `turnstile`.
pub(super) struct Left {
    pub(super) log: Log,
    pub(super) index: Option<File>,
}

/// The log that the connections have open. To close it drops no lock: SQLite has none on it.
pub(super) struct Log {
    pub(super) file: File,
    pub(super) id: FileId,
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

pub(super) struct Guard {
    pub(super) file: File,
    pub(super) id: FileId,
    pub(super) range: Range,
    /// False until the lock could be had: the descriptor stays for the next try, since it must not be closed.
    pub(super) done: bool,
}

impl Guards {
    /// Holds the files that a connection of ours has just opened, of which `seen` says which they are. The connection
    /// holds them SHARED. [`Error::Busy`] where these are not the files of these names, or not those of this handle's
    /// other connection: while that one was opened, somebody may have replaced or deleted them, and made others.
    ///
    /// Closes no descriptor of the database: that is what drops SQLite's locks. A guard of a file that is no longer
    /// there stays until [`Guards::close`].
    pub(crate) fn hold(&mut self, path: &Path, seen: Seen) -> Result<()> {
        self.is_stranded = false;
        let log_path = beside(path, LOG);
        let file = open_for_locks(&log_path).map_err(|e| unguarded(&log_path, e))?;
        let log = Log { id: id_of(&file).map_err(|e| unguarded(&log_path, e))?, file };
        // Of each connection SQLite opens the log anew, by its name: two of one process must have the same.
        let known = [self.log.as_ref().map(|log| log.id), seen.log, self.expected_log];
        if known.into_iter().flatten().any(|known| known != log.id) {
            return Err(Error::Busy);
        }
        for (path, range) in [(path.to_owned(), SHARED), (beside(path, INDEX), INDEX_IN_USE)] {
            let at = self.guard_of(&path, range)?;
            let id = at.map(|at| self.held[at].id);
            if self.held_of(range).is_some_and(|held| Some(held.id) != id) {
                return Err(Error::Busy);
            }
            let is_sqlites = |id| match seen.index {
                _ if range == SHARED => true,
                Some(seen) => seen == id,
                None => is_open(&path, id),
            };
            let Some(at) = at.filter(|_| id.is_some_and(is_sqlites)) else {
                self.is_stranded = range == INDEX_IN_USE && seen.index.is_none();
                return Err(Error::Busy);
            };
            let guard = &mut self.held[at];
            if guard.done {
                continue;
            }
            match set_lock(&guard.file, libc::F_RDLCK as libc::c_short, range) {
                Ok(()) => guard.done = true,
                // Somebody is closing or recovering the file at this moment.
                Err(e) if is_taken(&e) => return Err(Error::Busy),
                // A kernel without such locks: SQLite's own must do.
                Err(e) if e.raw_os_error() == Some(libc::EINVAL) => guard.done = true,
                Err(e) => return Err(unguarded(&path, e)),
            }
        }
        self.log = Some(log);
        self.arrive();
        Ok(())
    }

    /// The file of this kind that the connections have open.
    fn held_of(&self, range: Range) -> Option<&Guard> {
        self.held.iter().find(|guard| guard.range == range && guard.done)
    }

    /// Where the guard of the file at `path` is, which is opened if need be; `None` where there is no such file.
    pub(super) fn guard_of(&mut self, path: &Path, range: Range) -> Result<Option<usize>> {
        let Some(id) = file_id(path) else { return Ok(None) };
        if let Some(at) = self.held.iter().position(|guard| guard.id == id) {
            return Ok(Some(at));
        }
        let file = open_for_locks(path).map_err(|e| unguarded(path, e))?;
        let id = id_of(&file).map_err(|e| unguarded(path, e))?;
        self.held.push(Guard { file, id, range, done: false });
        Ok(Some(self.held.len() - 1))
    }

    /// Which files are no longer the ones that are held; an index that was cut is not either. Three calls of `stat`.
    pub(crate) fn moved(&self, path: &Path) -> Moved {
        let is_other =
            |range: Range, path: &Path| self.held_of(range).is_some_and(|held| Some(held.id) != file_id(path));
        Moved {
            database: is_other(SHARED, path),
            log: self.log.as_ref().is_some_and(|log| Some(log.id) != file_id(&beside(path, LOG))),
            index: self.is_stranded || is_other(INDEX_IN_USE, &beside(path, INDEX)) || self.index().is_some_and(is_cut),
        }
    }

    /// Whether all connections of this process have to be closed before this handle can open one.
    pub(crate) fn is_stranded(&self) -> bool {
        self.is_stranded
    }

    /// The index that the connections have mapped.
    pub(super) fn index(&self) -> Option<&File> {
        self.held_of(INDEX_IN_USE).map(|guard| &guard.file)
    }

    /// Lets go without closing, so that a connection that closes next may be the last one out.
    pub(crate) fn let_go(&self) {
        for guard in &self.held {
            let _ = set_lock(&guard.file, libc::F_UNLCK as libc::c_short, guard.range);
        }
    }

    /// Closes the descriptors. Nobody in this process may be inside SQLite.
    ///
    /// Their locks are let go of first, since closing may not do that: a child that was forked while the file was being
    /// opened has the same descriptors, and would keep everybody out for as long as it lives.
    pub(crate) fn close(&mut self) {
        self.let_go();
        self.end_turn();
        self.leave_line();
        *self = Self::default();
    }
}

/// Whether there is less of an index than SQLite maps at once.
fn is_cut(index: &File) -> bool {
    index.metadata().is_ok_and(|found| found.len() < REGION)
}

fn open_for_locks(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(path)
}

fn unguarded(path: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => cannot_open(path, error),
        // Gone since a line ago: somebody is making or closing the file at this moment.
        io::ErrorKind::NotFound => Error::Busy,
        _ => Error::Storage(format!("cannot guard {}: {error}", path.display())),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;

    use super::*;

    /// The second connection has the index of the first one, whatever has its name by then.
    #[test]
    fn an_index_that_was_made_while_the_other_connection_was_opened_is_not_held() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("database");
        let index = beside(&path, INDEX);
        for file in [&path, &beside(&path, LOG), &index] {
            fs::write(file, vec![0; REGION as usize]).expect("a file");
        }
        let of = |suffix| file_id(&beside(&path, suffix));
        let mut guards = Guards::default();
        assert_eq!(guards.hold(&path, Seen { log: of(LOG), index: of(INDEX), missing: false }), Ok(()));
        assert!(!guards.moved(&path).any());
        fs::copy(&index, beside(&path, ".new")).expect("a copy");
        fs::rename(beside(&path, ".new"), &index).expect("another index");
        assert_eq!(guards.hold(&path, Seen { log: of(LOG), index: None, missing: false }), Err(Error::Busy));
        assert!(guards.moved(&path).index, "so that both are left");
    }
}
