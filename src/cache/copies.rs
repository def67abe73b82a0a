//! Copies of the file, and the way back from one.

use std::path::{Path, PathBuf};

use rusqlite::TransactionBehavior;

use super::lists::DOUBTED_AT_ONCE;
use super::words::CLOCKS_APART;
use super::{Vidcache, now};
use crate::error::Result;
use crate::file;
use crate::rows::learn::{self, Clock};

impl Vidcache {
    /// Copies the file, as of one commit, to a new file of mode 0600 that has no companions. Its key stays wrapped
    /// under the secret. Nobody waits for it; the log grows meanwhile. A fork in this process begins it anew.
    ///
    /// # Errors
    /// [`Error::CannotOpen`](crate::Error::CannotOpen) where `to` is there already or cannot be made, and as
    /// [`Vidcache::resolve`]. Then there is no new file.
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<()> {
        self.store.backup(to.as_ref())
    }

    /// Puts a copy of the backup `from` in the place of the file at `path`, while nobody has that open. An old copy
    /// knows nothing of what has happened since, so all that HubSpot said of every contact is doubted in it first, as
    /// by [`Vidcache::doubt_all`]: no page names an email until the contact was read again. Who has which contact is
    /// as it was in the backup, and whoever was forgotten since is to be forgotten once more.
    ///
    /// What was at `path` is moved aside, and returned is where it is now; `None` where there was nothing. `from` stays
    /// as it is. Its portal and its secret are looked at when it is opened.
    ///
    /// # Errors
    /// [`Error::Busy`](crate::Error::Busy) while any process, this one included, has the file at `path` open: end them
    /// all, and call again. [`Error::NotACache`](crate::Error::NotACache),
    /// [`Error::NewerSchema`](crate::Error::NewerSchema) and [`Error::Corrupt`](crate::Error::Corrupt) for what is in
    /// `from`; [`Error::CannotOpen`](crate::Error::CannotOpen),
    /// [`Error::UnsupportedFilesystem`](crate::Error::UnsupportedFilesystem) for the places. After an error the file is
    /// as it was, or moved aside.
    pub fn restore(from: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<Option<PathBuf>> {
        file::restore(from.as_ref(), path.as_ref(), |connection| {
            let (heard, mut last) = (now(), Some(0));
            while let Some(after) = last {
                let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                last = learn::doubt_some(&tx, after, DOUBTED_AT_ONCE, Clock::new(heard, None), heard + CLOCKS_APART)?;
                tx.commit()?;
            }
            Ok(())
        })
    }
}
