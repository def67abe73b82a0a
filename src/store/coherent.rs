//! Answers from memory that are as new as the file.
//!
//! A look-up first asks the commit stamp. Unchanged: the table's entry is current. Changed: the log
//! names the users whose state changed since, they leave the table, and the stamp is taken anew. Where
//! no stamp can be had every look-up reads SQLite, and `stats` says why.
//!
//! # Why it is right
//! The stamp is read before the log, so the log holds at least every commit that made it; and an entry is read
//! from the file after the stamp was taken, by the only thread that holds the reader's lock. So an entry is never
//! older than the stamp beside it, and any later commit changes the stamp before it returns.

use std::sync::atomic::Ordering;

use super::reader::{Reader, Snapshot};
use super::{Shared, Store, wait_for};
use crate::cancel;
use crate::decision::UserState;
use crate::error::{Error, Result};
use crate::file::turn::retry;
use crate::file::{fork, open, schema};
use crate::identity::{Identity, UserKey};
use crate::rows::{self, Changes};

impl Store {
    /// Which contact the user is, as of the last commit.
    #[inline(always)]
    pub(crate) fn identity(&self, user: UserKey<'_>) -> Result<Option<Identity>> {
        match self.recall(&user) {
            Some(identity) => Ok(identity),
            None => Ok(self.load(user)?.identity),
        }
    }

    /// [`Store::identity`] from memory alone: `None` if the file would have to be read. Always inlined, because
    /// returning an `Option<Option<Identity>>` through the stack costs as much as the look-up.
    #[inline(always)]
    pub(crate) fn recall(&self, user: &UserKey<'_>) -> Option<Option<Identity>> {
        if !self.shared.stamp.is_current() {
            return None;
        }
        let identity = self.shared.hot.identity(user)?;
        self.count_hit();
        Some(identity)
    }

    /// All that a decision about the user depends on, as of the last commit.
    #[inline(always)]
    pub(crate) fn user_state(&self, user: UserKey<'_>) -> Result<UserState> {
        match self.recall_state(&user) {
            Some(state) => Ok(state),
            None => self.load(user),
        }
    }

    /// [`Store::user_state`] from memory alone: `None` if the file would have to be read.
    #[inline(always)]
    pub(crate) fn recall_state(&self, user: &UserKey<'_>) -> Option<UserState> {
        if !self.shared.stamp.is_current() {
            return None;
        }
        let state = self.shared.hot.state(user)?;
        self.count_hit();
        Some(state)
    }

    #[inline]
    fn count_hit(&self) {
        if self.shared.stats.hit() {
            self.shared.glance_at_files();
        }
    }

    /// Brings the table up to date and the user into it.
    #[cold]
    fn load(&self, user: UserKey<'_>) -> Result<UserState> {
        let look = || self.shared.check_files();
        self.noting(retry(self.busy_timeout, look, || {
            self.shared.unless_moved(|| {
                let mut slot = self.shared.lock(&self.shared.reader)?;
                let reader = self.shared.reader(&mut slot)?;
                if reader.stamped {
                    self.shared.catch_up(reader)?;
                    // Most commits are about other users, so this one may be in the table still; or another thread has
                    // put the user in meanwhile.
                    if let Some(state) = self.shared.hot.state(&user) {
                        self.shared.stats.hit();
                        return Ok(state);
                    }
                } else {
                    schema::check_version(&reader.connection)?;
                }
                self.shared.stats.misses.fetch_add(1, Ordering::Relaxed);
                let state = rows::user_state(&reader.connection, user)?;
                if reader.stamped {
                    self.shared.hot.put(user, &state);
                }
                Ok(state)
            })
        }))
    }
}

impl Shared {
    /// The reader, opened if need be. With a new connection comes an empty table: what happened to the file
    /// while none was open is unknown, and a new WAL index can look just like the old one.
    pub(super) fn reader<'a>(&self, slot: &'a mut Option<Reader>) -> Result<&'a mut Reader> {
        let reader = match slot.take() {
            Some(reader) => reader,
            None => {
                let connection = self.connect(open::Access::Read)?;
                let attached = self.stamp.attach(&connection);
                self.stats.fall_back(attached.err());
                Reader { connection, seen: None, stamped: attached.is_ok() }
            }
        };
        Ok(slot.insert(reader))
    }

    /// Takes everybody out of the table whose state changed since it was last current.
    fn catch_up(&self, reader: &mut Reader) -> Result<()> {
        if self.stamp.is_current() {
            return Ok(());
        }
        let header = self.stamp.read();
        let snapshot = Snapshot::begin(&reader.connection)?;
        schema::check_version(&reader.connection)?;
        let (changes, newest) = rows::changes_since(&reader.connection, reader.seen, |user| self.hot.remove(user))?;
        drop(snapshot);
        if matches!(changes, Changes::Everybody) {
            self.hot.clear();
        }
        reader.seen = Some(newest);
        self.stats.revision.store(newest, Ordering::Relaxed);
        self.stats.syncs.fetch_add(1, Ordering::Relaxed);
        self.stamp.publish(header);
        Ok(())
    }

    /// Once a second: are the file, its log and its WAL index still the ones that are open? A file replaced by rename,
    /// or a companion that a clean-up deleted under us, leaves SQLite itself at the old one for ever. Then open what
    /// is there now.
    ///
    /// # Errors
    /// [`Error::Cancelled`] where that would have to wait and the caller must not.
    pub(super) fn check_files(&self) -> Result<()> {
        if self.stats.is_due() { self.look_at_files() } else { Ok(()) }
    }

    /// Looks at the files now. Fails as [`Shared::check_files`].
    pub(super) fn look_at_files(&self) -> Result<()> {
        let gate = fork::enter()?;
        let moved = wait_for(&self.guards)?.look(&self.place.path);
        if !moved.any() {
            if self.owes_empty_log.load(Ordering::Relaxed) && !cancel::is_impatient() {
                // Whoever reads is in the way still; the next look tries again.
                let _ = self.empty_log_now();
            }
            return Ok(());
        }
        if cancel::is_impatient() {
            // To leave the files takes everybody out of SQLite.
            self.stats.make_due();
            return Err(Error::Cancelled);
        }
        if !moved.log && !moved.index {
            // The log beside the new database is still the old one's, and SQLite would read the one through the
            // other. Emptied, it is right for both.
            self.each_connection(|connection| {
                let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            });
        }
        self.stats.reopened.fetch_add(1, Ordering::Relaxed);
        self.announce_anew.store(true, Ordering::Relaxed);
        drop(gate);
        fork::leave_all();
        Ok(())
    }

    /// Looks at the files after a hit, which waits for nobody: a file that moved empties nothing and closes nothing
    /// here, but takes from the table what it is believed by, so that the next look-up goes through [`Store::load`],
    /// which leaves the files. Where anybody is in the way, the next hit looks again.
    #[cold]
    fn glance_at_files(&self) {
        let looked = (|| {
            let _gate = fork::try_enter()?;
            let moved = self.guards.try_lock().ok()?.look(&self.place.path).any()
                || self.owes_empty_log.load(Ordering::Relaxed);
            if moved {
                // Held by whoever publishes a stamp.
                let _reader = self.reader.try_lock().ok()?;
                self.stamp.doubt();
            }
            Some(moved)
        })();
        if looked != Some(false) {
            self.stats.make_due();
        }
    }
}
