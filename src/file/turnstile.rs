//! One at a time, whichever log and index they have: who writes, and who makes a log or an index.
//!
//! SQLite's own locks for that are in the index. Where the index is deleted, whoever still has the old one and whoever
//! makes a new one no longer exclude one another; where the log is, two have a log each. So on Linux one byte of the
//! database, which SQLite does not lock, is a turnstile. A writer passes it, and looks then whether the names still
//! lead to what it has open; if so, that stays right until its commit, since nobody makes another log or index
//! meanwhile (`index_locks` sees to it). What it acknowledges is in its log, wherever that log's name went.
//!
//! # In line
//! Who finds the turnstile taken tries again some time later, and whoever writes without a pause is there before him
//! each time, above all where they share one processor. So who has waited for a while holds one more byte, and whoever
//! had the turn last lets him go first.
//!
//! # Coming back
//! Whoever notices that a log or an index is gone leaves its connections and keeps the descriptor of the log. Under the
//! turnstile the first one back gives that log its name again (a copy, since a file without a name cannot have one
//! again), opens it, from which SQLite makes a new index, and marks the old index, for those who come after: they have
//! nothing to bring. Until then nobody new begins an empty log while others have the database open: he looks for theirs
//! (`unlinked`), or waits.
//!
//! # Written over, or cut
//! A file that was written over in place is the same file. So whoever writes signs the index first, and looks whether
//! it agrees with the log (`agreement`); while the signature is there, nobody has written over it since. An index that
//! only lacks the end of the log may be that of a writer who was killed: it is marked as none, and whoever reads next
//! has SQLite make it anew in its place, so that nobody is at another one. Of any other that does not agree the name is
//! taken away, so that everybody leaves it as one that was deleted, and SQLite makes another one of the log. An index
//! that was cut is left in the same way by whoever sees its length; whoever looks into its memory is ended
//! (docs/adr/0024).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use super::agreement::{Index, REGION, compare};
use super::guard::{Guard, Guards, Left, Log, Moved};
use super::location::cannot_open;
use super::lock::{INDEX_IN_USE, INDEX_WRITER, Range, SHARED, is_locked, is_taken, set_lock};
use super::names::{INDEX, LOG, beside, file_id, id_of};
use super::unlinked;
use crate::error::{Error, Result};

/// Behind SQLite's SHARED range.
const TURNSTILE: Range = (0x4000_0200, 1);
/// What the first of those holds who have waited for [`PATIENCE`]. Most writers do not: two that take turns strictly,
/// each asleep when the other one is done, are slower than two of whom now one is lucky and now the other.
const LINE: Range = (0x4000_0201, 1);
const PATIENCE: Duration = Duration::from_millis(100);
/// For how long whoever had the turn last lets go first who is in line: longer than those sleep between two tries
/// (`turn`), and short for all others if that one is stopped.
const COURTESY: Duration = Duration::from_millis(5);
/// Four bytes of the index that SQLite keeps for later (<https://sqlite.org/walformat.html>), and what says there that
/// the log has its name again.
const MARK_AT: u64 = 132;
const MARK: [u8; 4] = *b"left";
/// An empty log begins with a header; this is none, and to SQLite it is as empty. That there is one says that it was
/// not deleted.
const NO_FRAMES: [u8; 32] = [0; 32];
/// A header of an index that is none, both copies of it. Whoever has looked something up by the one before sees by its
/// stamp that it is another.
const NO_HEADER: [u8; 96] = [0; 96];

impl Guards {
    /// Lets the caller open a connection. True: it may make the log and the index, and has the turnstile for it, until
    /// [`Guards::end_turn`].
    pub(crate) fn admit(&mut self, path: &Path) -> Result<bool> {
        self.expected_log = None;
        if self.guard_of(path, SHARED)?.is_none() {
            return Ok(true); // There is nothing: SQLite will say so.
        }
        if self.left.is_none() && index_is_in_use(path)? && !is_cut(path) && file_id(&beside(path, LOG)).is_some() {
            return Ok(false);
        }
        self.take_turn()?;
        let may_make = if self.left.is_some() { self.put_back(path) } else { self.may_make(path) };
        if !matches!(may_make, Ok(true)) {
            self.end_turn();
        }
        may_make
    }

    /// Whoever has it is the only one of all processes and handles.
    pub(crate) fn take_turn(&mut self) -> Result<()> {
        let Some(database) = self.database() else { return Ok(()) };
        if self.in_turn {
            return Err(Error::Busy);
        }
        match set_lock(&database.file, libc::F_WRLCK as libc::c_short, TURNSTILE) {
            Ok(()) => self.is_alone = true,
            Err(e) if is_taken(&e) => return Err(Error::Busy),
            // A system without such locks: SQLite's own must do.
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {}
            Err(e) => return Err(Error::Storage(format!("no lock for writing: {e}"))),
        }
        self.in_turn = true;
        Ok(())
    }

    /// [`Guards::take_turn`] for a writer, who waits in line.
    pub(crate) fn take_turn_to_write(&mut self) -> Result<()> {
        let had_it_last = self.turn_ended.is_some_and(|at| at.elapsed() < COURTESY);
        if had_it_last && !self.in_line && self.is_line_taken() {
            return Err(Error::Busy);
        }
        match self.take_turn() {
            Err(Error::Busy) if !self.in_turn => {
                let waits_since = *self.waits_since.get_or_insert_with(Instant::now);
                if !self.in_line && waits_since.elapsed() >= PATIENCE {
                    self.in_line = self.lock_line(libc::F_WRLCK as libc::c_short);
                }
                Err(Error::Busy)
            }
            result => {
                self.leave_line();
                result
            }
        }
    }

    /// For whoever has the turn, or waits no longer.
    pub(crate) fn leave_line(&mut self) {
        self.waits_since = None;
        if std::mem::take(&mut self.in_line) {
            self.lock_line(libc::F_UNLCK as libc::c_short);
        }
    }

    fn lock_line(&self, kind: libc::c_short) -> bool {
        self.database().is_some_and(|database| set_lock(&database.file, kind, LINE).is_ok())
    }

    fn is_line_taken(&self) -> bool {
        self.database().is_some_and(|database| is_locked(&database.file, LINE).unwrap_or(false))
    }

    fn database(&self) -> Option<&Guard> {
        self.held.iter().rev().find(|guard| guard.range == SHARED)
    }

    /// Signs the index, before a transaction begins. The caller has the turnstile.
    pub(crate) fn sign(&mut self) {
        let Some(index) = self.index().filter(|_| self.is_alone) else { return };
        let signature = getrandom::u32().map(u32::to_ne_bytes).unwrap_or_default();
        if index.write_all_at(&signature, MARK_AT).is_ok() {
            self.signature = Some(signature);
        }
    }

    /// Whether nobody has written over the index since [`Guards::sign`].
    pub(crate) fn is_signed(&self) -> bool {
        let mut found = [0; 4];
        match (self.signature, self.index()) {
            (Some(signature), Some(index)) => match index.read_exact_at(&mut found, MARK_AT) {
                Ok(()) => found == signature,
                Err(e) => e.kind() != io::ErrorKind::UnexpectedEof,
            },
            _ => true,
        }
    }

    /// Whether the index is the log's. Where that cannot be read it is, and SQLite will say what it cannot read. The
    /// caller has the turnstile.
    pub(crate) fn is_agreed(&self) -> bool {
        self.compared() == Index::Own
    }

    fn compared(&self) -> Index {
        match (self.index(), &self.log) {
            (Some(index), Some(log)) if self.is_alone => compare(index, &log.file).unwrap_or(Index::Own),
            _ => Index::Own,
        }
    }

    /// Has an index made of the log that is not its own now: in its place, by whoever reads next, where it only lacks
    /// the end of the log; else everybody leaves it. The caller has the turnstile, and no transaction.
    pub(crate) fn mend_index(&self, path: &Path) {
        match (self.compared(), self.index()) {
            (Index::Behind, Some(index)) if self.is_signed() => {
                let _ = index.write_all_at(&NO_HEADER, 0);
            }
            _ => self.give_up_index(path),
        }
    }

    /// Makes everybody leave the index. The caller has the turnstile, under which it bore its name.
    fn give_up_index(&self, path: &Path) {
        if self.is_alone {
            let _ = fs::remove_file(beside(path, INDEX));
        }
    }

    /// Mends an index that is not that of the log; whether there was something to mend. [`Error::Busy`] where that
    /// cannot be seen at this moment.
    pub(crate) fn look_into_index(&mut self, path: &Path) -> Result<bool> {
        self.take_turn()?;
        // A writer without a turnstile, such as another SQLite, has its frames in the log before they are in the index.
        let is_anothers = || self.index().is_some_and(|index| is_locked(index, INDEX_WRITER).unwrap_or(true));
        let is_spoiled = !self.moved(path).any() && !self.is_agreed() && !is_anothers() && !self.is_agreed();
        if is_spoiled {
            self.mend_index(path);
        }
        self.end_turn();
        Ok(is_spoiled)
    }

    /// Which files are no longer the ones that are held, once an index that is not that of the log was mended, if that
    /// can be seen at this moment.
    pub(crate) fn look(&mut self, path: &Path) -> Moved {
        let _ = self.look_into_index(path);
        self.moved(path)
    }

    /// Whether nobody writes or opens the file until [`Guards::close`], so that the log may be deleted.
    pub(crate) fn turn_to_close(&mut self) -> bool {
        self.held.iter().any(|guard| guard.range == SHARED) && self.take_turn().is_ok()
    }

    pub(crate) fn end_turn(&mut self) {
        if self.in_turn {
            self.turn_ended = Some(Instant::now());
        }
        (self.in_turn, self.is_alone, self.signature) = (false, false, None);
        for guard in self.held.iter().filter(|guard| guard.range == SHARED) {
            let _ = set_lock(&guard.file, libc::F_UNLCK as libc::c_short, TURNSTILE);
        }
    }

    /// Lets go of the log and the index, whose connections were closed. If they are gone, what is in the log is kept
    /// for [`Guards::admit`]. Of another database nothing is: nobody in this process may be inside SQLite then.
    pub(crate) fn part(&mut self, moved: Moved) {
        if moved.database {
            return self.close();
        }
        self.is_stranded = false;
        let index = self.held.iter().position(|guard| guard.range == INDEX_IN_USE && guard.done);
        let index = index.map(|at| self.held.remove(at).file);
        self.held.retain(|guard| guard.range == SHARED);
        if let Some(log) = self.log.take().filter(|_| moved.any() && self.left.is_none()) {
            self.left = Some(Left { log, index });
        }
    }

    /// Gives a log that was left its name again, for good, where no connection is to be opened.
    pub(crate) fn bring_back(&mut self, path: &Path) {
        if self.left.is_some() && matches!(self.admit(path), Ok(true)) {
            self.arrive();
            self.end_turn();
        }
    }

    /// The log that was left has its name again, and somebody has it open.
    pub(super) fn arrive(&mut self) {
        if let Some(Left { index: Some(index), .. }) = self.left.take() {
            let _ = index.write_all_at(&MARK, MARK_AT);
        }
    }

    /// Whether a log and an index may be made, as the turnstile's holder sees it.
    fn may_make(&mut self, path: &Path) -> Result<bool> {
        let log = fs::metadata(beside(path, LOG)).ok();
        let is_in_use = index_is_in_use(path)?;
        if is_in_use && is_cut(path) {
            // SQLite would make it longer again, of zeros, which somebody in a transaction would take for an index.
            fs::remove_file(beside(path, INDEX)).map_err(|e| cannot_open(path, e))?;
        } else if is_in_use {
            return if log.is_some() { Ok(false) } else { self.find_left(path) };
        }
        let in_use = self.database().is_some_and(|database| is_locked(&database.file, SHARED).unwrap_or(false));
        let index_is_gone = file_id(&beside(path, INDEX)).is_none();
        if in_use && index_is_gone && log.as_ref().is_none_or(|log| log.len() == 0) {
            // The index was deleted; and with it perhaps a log that had frames, in whose place somebody else's program
            // made this one.
            return self.find_left(path);
        }
        self.expected_log = file_id(&beside(path, LOG));
        Ok(true)
    }

    /// Others have a log that has no name any more, or an index to it that has none, and have not noticed: the log is
    /// brought back for them where it can be found. Where it cannot, they will bring it.
    fn find_left(&mut self, path: &Path) -> Result<bool> {
        let Some(database) = file_id(path) else { return Err(Error::Busy) };
        let named = file_id(&beside(path, INDEX));
        let is_current = |index: &File| match named {
            Some(named) => id_of(index).is_ok_and(|id| id == named) && !is_marked(index),
            None => !is_marked(index),
        };
        let (log, index) = unlinked::log(path, database, is_current).ok_or(Error::Busy)?;
        let id = id_of(&log).map_err(|e| cannot_open(path, e))?;
        self.left = Some(Left { log: Log { file: log, id }, index: Some(index) });
        self.put_back(path)
    }

    /// Gives the log that was left its name again, unless somebody was there first.
    fn put_back(&mut self, path: &Path) -> Result<bool> {
        let Some(left) = &self.left else { return Ok(false) };
        let own = left.index.as_ref().and_then(|index| id_of(index).ok());
        let index = beside(path, INDEX);
        let is_anothers = file_id(&index).is_some_and(|id| Some(id) != own);
        if left.index.as_ref().is_some_and(is_marked) || is_anothers && index_is_in_use(path)? {
            self.left = None;
            return self.may_make(path);
        }
        let log = beside(path, LOG);
        if file_id(&log) != Some(left.log.id) {
            copy(&left.log.file, path).map_err(|e| cannot_open(path, e))?;
        }
        self.expected_log = file_id(&log);
        match fs::remove_file(&index) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(cannot_open(path, e)),
            _ => Ok(true),
        }
    }
}

/// Whether anybody has the index open that is beside the file.
fn index_is_in_use(path: &Path) -> Result<bool> {
    let index = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(beside(path, INDEX));
    match index.and_then(|index| is_locked(&index, INDEX_IN_USE)) {
        Ok(is_locked) => Ok(is_locked),
        Err(e) if e.kind() == io::ErrorKind::NotFound || e.raw_os_error() == Some(libc::EINVAL) => Ok(false),
        Err(e) => Err(cannot_open(path, e)),
    }
}

/// Whether there is less of the index beside the file than SQLite maps at once. Who has made it has the turnstile until
/// there is more.
fn is_cut(path: &Path) -> bool {
    fs::metadata(beside(path, INDEX)).is_ok_and(|found| found.len() < REGION)
}

fn is_marked(index: &File) -> bool {
    let mut found = [0; 4];
    index.read_exact_at(&mut found, MARK_AT).is_ok() && found == MARK
}

/// Makes the file's log one that has all of `log`.
fn copy(log: &File, path: &Path) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.log.new"));
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let (mut from, start) = (log, io::SeekFrom::Start(0));
    from.seek(start)?;
    if io::copy(&mut from, &mut file)? == 0 {
        file.write_all_at(&NO_FRAMES, 0)?;
    }
    file.sync_all()?;
    fs::rename(&new, beside(path, LOG))?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Two handles on one database, the second of which has waited for long while the first one had the turn.
    fn one_in_line() -> (tempfile::TempDir, Guards, Guards) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("database");
        fs::write(&path, [0; 100]).expect("a file");
        let [mut writer, mut waiter] = [Guards::default(), Guards::default()];
        for guards in [&mut writer, &mut waiter] {
            assert_eq!(guards.guard_of(&path, SHARED), Ok(Some(0)));
        }
        assert_eq!(writer.take_turn_to_write(), Ok(()));
        assert_eq!(waiter.take_turn_to_write(), Err(Error::Busy));
        assert!(!waiter.in_line, "who waits for a moment is not in line");
        waiter.waits_since = Instant::now().checked_sub(PATIENCE);
        assert_eq!(waiter.take_turn_to_write(), Err(Error::Busy));
        assert!(waiter.in_line);
        writer.end_turn();
        // A moment ago, however long this test is kept from going on.
        writer.turn_ended = Instant::now().checked_add(Duration::from_secs(3600));
        (dir, writer, waiter)
    }

    #[test]
    fn whoever_wrote_last_lets_go_first_who_has_waited_for_long() {
        let (_dir, mut writer, mut waiter) = one_in_line();
        assert_eq!(writer.take_turn_to_write(), Err(Error::Busy));
        assert_eq!(waiter.take_turn_to_write(), Ok(()));
        waiter.end_turn();
        assert_eq!(writer.take_turn_to_write(), Ok(()), "nobody is in line any more");
    }

    #[test]
    fn who_gives_up_leaves_the_line_and_who_is_stopped_in_it_is_not_waited_for() {
        let (_dir, mut writer, mut waiter) = one_in_line();
        waiter.leave_line();
        assert_eq!(writer.take_turn_to_write(), Ok(()));
        let (_dir, mut writer, _stopped) = one_in_line();
        writer.turn_ended = Instant::now().checked_sub(COURTESY);
        assert_eq!(writer.take_turn_to_write(), Ok(()));
    }
}
