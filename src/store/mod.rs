//! An answer as new as the last commit: `rows` of a file that is shared by every process of the host.
//!
//! A [`Store`] has two connections, both opened when first needed: readers never wait behind a
//! writer of their own process. No transaction outlives a call, so checkpoints are never held up.
//! `fork` closes both connections beforehand and they open again on either side (see `file::fork`).
//!
//! Users' states are answered from memory while the commit stamp says that nobody has committed (`coherent`).

mod coherent;
mod reader;
mod stamp;
mod stats;

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};

use self::reader::Reader;
use crate::cancel;
use crate::email::FingerprintKey;
use crate::error::{Error, Result};
use crate::event::Millis;
use crate::file::fork::{self, AtFork};
use crate::file::group::{Group, Turns, Work};
use crate::file::guard::Guards;
use crate::file::turn::retry;
use crate::file::{self, Place, Settings, guard, names, open, schema};
use crate::hot::Hot;
use crate::rows;

pub use stats::Stats;

/// One file, as this process uses it.
pub(crate) struct Store {
    shared: Arc<Shared>,
    busy_timeout: Duration,
    key: FingerprintKey,
}

/// What `fork` must reach: the connections and what it takes to open them again.
struct Shared {
    place: Place,
    reader: Mutex<Option<Reader>>,
    writer: Mutex<Option<Connection>>,
    guards: Mutex<guard::Guards>,
    turns: Turns,
    closed: AtomicBool,
    hot: Hot,
    stamp: stamp::Stamp,
    stats: stats::Counters,
    /// When this process last wrote its page deadline into the file, or tried to; 0 where it is due.
    announced_at: AtomicI64,
    /// Whether the next connection may be to another file, which was not told.
    announce_anew: AtomicBool,
    /// Whether what was to leave the log is still in it.
    owes_empty_log: AtomicBool,
}

impl Store {
    /// Opens the file, creating it where there is none.
    pub(crate) fn open(settings: &Settings<'_>) -> Result<Self> {
        fork::close_forgotten();
        let (is_stranded, is_replaced) = (Cell::new(false), Cell::new(false));
        let guards = RefCell::new(Guards::default());
        let look = || {
            if is_stranded.take() {
                fork::leave_all();
            }
            if is_replaced.take() {
                let _gate = fork::enter_alone();
                guards.borrow_mut().close();
            }
            Ok(())
        };
        let opened = retry(settings.busy_timeout, look, || {
            let hot = Hot::new(settings.memory)?;
            let stamp =
                stamp::Stamp::new().map_err(|e| Error::Storage(format!("no memory for the commit stamp: {e}")))?;
            let path = open::find(settings)?;
            let mut guards = guards.borrow_mut();
            let may_make = guards.admit(&path)?;
            let opened = open::first(settings, &path, may_make).and_then(|opened| {
                guards.hold(&path, opened.seen).inspect_err(|_| keep_names(&opened.connection))?;
                Ok(opened)
            });
            if may_make {
                guards.end_turn();
            }
            is_stranded.set(guards.is_stranded());
            is_replaced.set(opened.is_err() && guards.moved(&path).database);
            let opened = opened?;
            let shared = Arc::new(Shared {
                place: Place {
                    path,
                    portal: settings.portal,
                    synchronous: settings.synchronous,
                    key_check: opened.key.check(),
                },
                reader: Mutex::new(None),
                writer: Mutex::new(Some(opened.connection)),
                guards: Mutex::new(std::mem::take(&mut *guards)),
                turns: Turns::default(),
                closed: AtomicBool::new(false),
                hot,
                stamp,
                stats: stats::Counters::default(),
                announced_at: AtomicI64::new(0),
                announce_anew: AtomicBool::new(false),
                owes_empty_log: AtomicBool::new(false),
            });
            // Still inside the gate: a fork between the two would leave the child a connection that nobody closed.
            let opener: Weak<dyn AtFork> = Arc::downgrade(&(Arc::clone(&shared) as Arc<dyn AtFork>));
            fork::register(opener)?;
            Ok((shared, opened.key))
        });
        if opened.is_err() {
            // Closing them drops the POSIX locks of other handles, which must not be in a transaction.
            let _gate = fork::enter_alone();
            guards.borrow_mut().close();
        }
        let (shared, key) = opened.map_err(file::with_setting)?;
        Ok(Self { shared, busy_timeout: settings.busy_timeout, key })
    }

    pub(crate) fn key(&self) -> &FingerprintKey {
        &self.key
    }

    /// Reads the rows as of the last commit.
    ///
    /// In WAL mode a read waits for nobody, but for the moment in which another process recovers
    /// the log of one that crashed.
    pub(crate) fn read<T>(&self, mut work: impl FnMut(&Connection) -> Result<T>) -> Result<T> {
        let mut read = None;
        self.read_work(&mut |rows| {
            read = Some(work(rows)?);
            Ok(())
        })?;
        read.ok_or_else(|| Error::Internal("a read without an outcome".into()))
    }

    /// [`Store::read`] of work that hands nothing over, so that it is compiled once and not for each outcome.
    fn read_work(&self, work: &mut dyn FnMut(&Connection) -> Result<()>) -> Result<()> {
        let look = || self.shared.check_files();
        self.noting(retry(self.busy_timeout, look, || {
            self.shared.unless_moved(|| {
                let mut slot = self.shared.lock(&self.shared.reader)?;
                let connection = &self.shared.reader(&mut slot)?.connection;
                schema::check_version(connection)?;
                work(connection)
            })
        }))
    }

    /// [`Store::read`] where `work` reads several times: all of them as of one commit.
    pub(crate) fn read_at_once<T>(&self, mut work: impl FnMut(&Connection) -> Result<T>) -> Result<T> {
        self.read(|rows| work(&*rows.unchecked_transaction()?))
    }

    /// Does `work` in one transaction and makes it durable. On any error nothing of it remains.
    ///
    /// Waits for other writers up to the busy timeout, in turn, holding no lock while it waits. Another thread of this
    /// handle may do the work meanwhile, in its own transaction (`file::group`), so it must be short, and of the rows
    /// alone: see [`Store::write_much`].
    pub(crate) fn write<T: Send>(&self, work: impl FnMut(&Connection) -> Result<T> + Send) -> Result<T> {
        self.write_within(self.busy_timeout, work)
    }

    /// [`Store::write`], which waits for no longer than `limit`, nor than the busy timeout.
    pub(crate) fn write_within<T: Send>(
        &self,
        limit: Duration,
        work: impl FnMut(&Connection) -> Result<T> + Send,
    ) -> Result<T> {
        self.write_in_turn(limit, true, work)
    }

    /// [`Store::write`] of what may take long: no other thread does it, nor is another's work done in its transaction,
    /// whose own write would take as long.
    pub(crate) fn write_much<T: Send>(&self, work: impl FnMut(&Connection) -> Result<T> + Send) -> Result<T> {
        self.write_in_turn(self.busy_timeout, false, work)
    }

    fn write_in_turn<T: Send>(
        &self,
        limit: Duration,
        lends: bool,
        mut work: impl FnMut(&Connection) -> Result<T> + Send,
    ) -> Result<T> {
        if !cancel::is_impatient() {
            fork::close_forgotten();
        }
        let mut written = None;
        self.write_work(limit.min(self.busy_timeout), lends, &mut |tx| {
            written = Some(work(tx)?);
            Ok(())
        })?;
        written.ok_or_else(|| Error::Internal("a write without an outcome".into()))
    }

    /// [`Store::write_in_turn`] of work that hands nothing over, so that it is compiled once and not for each outcome.
    fn write_work(&self, limit: Duration, lends: bool, work: &mut Work<'_>) -> Result<()> {
        self.in_turn(limit, work, lends, |connection, turn, group| {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            turn.check_index(Guards::is_agreed)?;
            schema::check_version(&tx)?;
            group.write(&tx)?;
            turn.check_index(Guards::is_signed)?;
            tx.commit()?;
            // It is in the log, so it is done; what the index says of it may be gone.
            let _ = turn.check_index(Guards::is_signed);
            Ok(())
        })
    }

    /// Does `write` through the writing connection, as the only one of all processes that writes.
    fn in_turn(
        &self,
        timeout: Duration,
        work: &mut Work<'_>,
        lends: bool,
        mut write: impl FnMut(&mut Connection, &Turn<'_>, &Group<'_>) -> Result<()>,
    ) -> Result<()> {
        let look = || self.shared.check_files();
        let result = self.shared.turns.take(timeout, look, work, lends, |group| {
            self.shared.unless_moved(|| {
                let mut slot = self.shared.lock(&self.shared.writer)?;
                let connection = match &mut *slot {
                    Some(connection) => connection,
                    none => none.insert(self.shared.connect(open::Access::Write)?),
                };
                let turn = self.shared.turn()?;
                let result = write(connection, &turn, group);
                if is_of_the_files(&result) {
                    turn.check_index(|guards| guards.is_signed() && guards.is_agreed())?;
                }
                result
            })
        });
        if matches!(result, Err(Error::Busy | Error::Cancelled)) {
            let _gate = fork::enter_anyway();
            self.shared.guards.lock().unwrap_or_else(PoisonError::into_inner).leave_line();
        }
        self.noting(result)
    }

    /// Writes the process's page deadline down, unless that was done lately. See `rows::deadline`. The last step of
    /// opening.
    pub(crate) fn announce(&self, deadline: Duration, at: Millis) -> Result<()> {
        let named = |error| open::named(&self.shared.place.path, error);
        self.shared.announced_at.store(at, Ordering::Relaxed);
        if self.read(|rows| rows::is_due(rows, deadline, at)).map_err(named)? {
            self.write(|tx| rows::announce(tx, deadline, at)).map_err(named)?;
        }
        Ok(())
    }

    /// Whether a process that renders pages must write its deadline down again: after a quarter of a day, and at once
    /// when the file was opened anew, since it may be another one that nobody told.
    #[inline]
    pub(crate) fn must_announce(&self, at: Millis) -> bool {
        at - self.shared.announced_at.load(Ordering::Relaxed) > rows::RENEWED
    }

    #[cfg(test)]
    pub(crate) fn announced_at(&self) -> &AtomicI64 {
        &self.shared.announced_at
    }

    /// [`Store::announce`] without waiting: where it would have to, the next call after a minute tries again.
    #[cold]
    pub(crate) fn announce_again(&self, deadline: Duration, at: Millis) {
        if cancel::without_waiting(|| self.announce(deadline, at)).is_err() {
            self.shared.announced_at.store(at - rows::RENEWED + 60_000, Ordering::Relaxed);
        }
    }

    /// How long after the beginning of a change the worker must wait before it tells HubSpot.
    pub(crate) fn quiet_period(&self, own: Duration, at: Millis) -> Result<Duration> {
        self.read(|rows| rows::quiet_period(rows, own, at))
    }

    /// Empties the write-ahead log into the file, so that nothing which was deleted is left in it.
    ///
    /// Waits like a write, and for whoever is reading. If that takes too long, a later call of this handle does it,
    /// once they have ended: at most one in a second tries.
    pub(crate) fn empty_wal(&self) -> Result<()> {
        let mut nothing = |_: &Connection| Ok(());
        let result =
            self.in_turn(self.busy_timeout, &mut nothing, false, |connection, turn, _| empty(connection, turn));
        self.shared.owes_empty_log.store(result.is_err(), Ordering::Relaxed);
        result
    }

    /// Everything that is wrong with the file; empty when nothing is. Reads all of it, through a connection of its own,
    /// so that nobody waits for it; who waits for a fork ends it, and it begins again.
    pub(crate) fn verify(&self) -> Result<Vec<String>> {
        let look = || self.shared.look_at_files();
        self.noting(retry(self.busy_timeout, look, || {
            if self.shared.closed.load(Ordering::SeqCst) {
                return Err(Error::Closed);
            }
            let mut connection = self.shared.connect(open::Access::Read)?;
            connection.progress_handler(1000, Some(|| fork::somebody_waits() || cancel::cancelled()))?;
            let mut found = file::exposed(&self.shared.place.path);
            found.extend(rows::verify(&connection)?);
            Ok(found)
        }))
    }

    /// Copies the file as of one commit, through a connection of its own: nobody waits for it, and the log grows
    /// meanwhile. Who waits for a fork ends it, and it begins again.
    pub(crate) fn backup(&self, to: &Path) -> Result<()> {
        let look = || self.shared.look_at_files();
        self.noting(retry(self.busy_timeout, look, || {
            if self.shared.closed.load(Ordering::SeqCst) {
                return Err(Error::Closed);
            }
            let mut connection = self.shared.connect(open::Access::Write)?;
            connection.progress_handler(1000, Some(|| fork::somebody_waits() || cancel::cancelled()))?;
            file::backup(&connection, to)
        }))
    }

    /// What this handle has done in this process.
    pub(crate) fn stats(&self) -> Stats {
        // A child must not inherit a lock that is taken here.
        let _gate = fork::enter();
        let log = names::beside(&self.shared.place.path, names::LOG);
        let log_bytes = std::fs::metadata(log).map_or(0, |found| found.len());
        let passing = file::passing(&self.shared.place.path);
        self.shared.stats.read(self.shared.hot.size(), log_bytes, passing)
    }

    /// Closes the connections. Later calls fail with [`Error::Closed`]; closing again is fine.
    pub(crate) fn close(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        let _gate = fork::enter_alone();
        self.shared.retire();
    }

    /// Closes when somebody may wait for it: see [`fork::close_later`].
    pub(crate) fn close_later(&self) {
        if !self.shared.closed.swap(true, Ordering::SeqCst) {
            fork::close_later(Arc::clone(&self.shared) as Arc<dyn AtFork>);
        }
    }

    fn noting<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            // Inside the gate: a child must not inherit a lock that was taken for this.
            if let Ok(_gate) = fork::enter() {
                self.shared.stats.note(error);
            }
        }
        result
    }
}

/// The turn to write, or to make a log and an index, until it is dropped.
struct Turn<'a> {
    shared: &'a Shared,
    /// Whether the index has to be mended, once the transaction has ended.
    is_spoiled: Cell<bool>,
}

impl<'a> Turn<'a> {
    fn of(shared: &'a Shared) -> Self {
        Self { shared, is_spoiled: Cell::new(false) }
    }

    /// An index that was written over or cut is made anew, and the call is tried again.
    fn check_index(&self, is_right: impl FnOnce(&Guards) -> bool) -> Result<()> {
        if is_right(&self.shared.guards.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(());
        }
        self.is_spoiled.set(true);
        Err(Error::Busy)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut guards = self.shared.guards.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_spoiled.get() {
            guards.mend_index(&self.shared.place.path);
            self.shared.stats.make_due();
        }
        guards.end_turn();
    }
}

/// Whether it failed by what SQLite found in the files, or could not find.
fn is_of_the_files<T>(result: &Result<T>) -> bool {
    use Error::{CannotOpen, Corrupt, NotACache, Storage};
    matches!(result, Err(Storage(_) | Corrupt(_) | NotACache { .. } | CannotOpen { .. }))
}

fn empty(connection: &Connection, turn: &Turn<'_>) -> Result<()> {
    turn.check_index(Guards::is_agreed)?;
    let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy { Err(Error::Busy) } else { Ok(()) }
}

/// The log of that name may be another process's by now. The last one out would delete it, with whatever was
/// acknowledged in it.
fn keep_names(connection: &Connection) {
    let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
}

/// A panic in a transaction has rolled it back when its guard was dropped, so the connection is sound.
fn wait_for<T>(slot: &Mutex<T>) -> Result<MutexGuard<'_, T>> {
    match slot.try_lock() {
        Ok(guard) => Ok(guard),
        Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
        // A caller that must not wait for another process must not wait for another thread either.
        Err(TryLockError::WouldBlock) if cancel::cancelled() => Err(Error::Cancelled),
        Err(TryLockError::WouldBlock) => Ok(slot.lock().unwrap_or_else(PoisonError::into_inner)),
    }
}

impl AtFork for Shared {
    fn before(&self) {
        let mut guards = self.guards.lock().unwrap_or_else(PoisonError::into_inner);
        self.part(&mut guards);
        guards.bring_back(&self.place.path);
        // A lock of an open file description would be shared with the child, and either side's letting go would
        // take it from the other.
        guards.close();
    }

    fn leave(&self) {
        self.part(&mut self.guards.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Closes both connections and the guards beside them.
    fn retire(&self) {
        let mut guards = self.guards.lock().unwrap_or_else(PoisonError::into_inner);
        if guards.look(&self.place.path).any() {
            self.part(&mut guards);
        }
        guards.bring_back(&self.place.path);
        // The last one out copies the log into the database and deletes it. Another copy of this library in the process
        // is not kept out by SQLite's lock for that, which is the process's, so the turnstile has to.
        if !guards.turn_to_close() {
            self.each_connection(keep_names);
        }
        guards.let_go();
        self.disconnect();
        // Closing them drops the POSIX locks of every other handle on this file in this process. With the gate to
        // ourselves none of them is in a transaction, and their own guards keep the file for them.
        guards.close();
    }

    fn in_child(&self) {
        self.turns.forget();
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Closed already, or handed to whoever closes it.
        if !self.shared.closed.load(Ordering::SeqCst) {
            self.close();
        }
    }
}

impl Shared {
    fn lock<'a, T>(&self, slot: &'a Mutex<T>) -> Result<MutexGuard<'a, T>> {
        let guard = wait_for(slot)?;
        if self.closed.load(Ordering::SeqCst) { Err(Error::Closed) } else { Ok(guard) }
    }

    fn connect(&self, access: open::Access) -> Result<Connection> {
        let path = &self.place.path;
        let mut guards = self.guards.lock().unwrap_or_else(PoisonError::into_inner);
        // A second connection through a log that is not the first one's would read it by the other's index.
        if guards.moved(path).any() {
            self.stats.make_due();
            return Err(Error::Busy);
        }
        let may_make = guards.admit(path)?;
        drop(guards);
        let _turn = may_make.then(|| Turn::of(self));
        let (connection, seen) = open::reopen(&self.place, access, may_make).map_err(file::with_setting)?;
        let held = self.guards.lock().unwrap_or_else(PoisonError::into_inner).hold(path, seen);
        held.inspect_err(|_| {
            keep_names(&connection);
            self.stats.make_due();
        })?;
        // It may be another file than the one that this was written to.
        if self.announce_anew.swap(false, Ordering::Relaxed) {
            self.announced_at.store(0, Ordering::Relaxed);
        }
        Ok(connection)
    }

    /// The turn to write, while the files are those that we have open.
    fn turn(&self) -> Result<Turn<'_>> {
        let mut guards = self.guards.lock().unwrap_or_else(PoisonError::into_inner);
        guards.take_turn_to_write()?;
        if guards.moved(&self.place.path).any() {
            guards.end_turn();
            self.stats.make_due();
            return Err(Error::Busy);
        }
        guards.sign();
        Ok(Turn::of(self))
    }

    /// Empties the log where that could not be done when it was asked for. The caller is inside the gate.
    fn empty_log_now(&self) -> Result<()> {
        let writer = self.lock(&self.writer)?;
        if let Some(connection) = &*writer {
            let turn = self.turn()?;
            empty(connection, &turn)?;
            self.owes_empty_log.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Does the work. Where SQLite fails, the files are looked at: if they were replaced, deleted or written over, the
    /// error tells of files that are gone, so it becomes one that is tried again.
    fn unless_moved<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let result = work();
        if is_of_the_files(&result) {
            let mut guards = self.guards.lock().unwrap_or_else(PoisonError::into_inner);
            if guards.moved(&self.place.path).any() || guards.look_into_index(&self.place.path)? {
                self.stats.make_due();
                return Err(Error::Busy);
            }
        }
        result
    }

    /// Closes both connections and lets go of the log and the index. Of files that are gone, what is in the log is
    /// kept.
    fn part(&self, guards: &mut guard::Guards) {
        let moved = guards.moved(&self.place.path);
        if moved.any() {
            self.each_connection(keep_names);
        }
        self.disconnect();
        guards.part(moved);
    }

    fn each_connection(&self, mut work: impl FnMut(&Connection)) {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.iter().for_each(|reader| work(&reader.connection));
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(work);
    }

    /// Closes both connections; whoever needs one next opens it again. The caller is inside the gate.
    fn disconnect(&self) {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the connection goes: a look-up must not believe the stamp of a file that is not open.
        self.stamp.detach();
        reader.take();
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
