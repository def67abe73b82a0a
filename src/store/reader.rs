//! The connection that the table is filled through, and a read of several things as of one commit.

use rusqlite::Connection;

use crate::error::Result;

/// The connection that the table is filled through.
pub(super) struct Reader {
    pub(super) connection: Connection,
    /// The newest revision whose changes have left the table; `None`: nothing that is in it may be believed.
    pub(super) seen: Option<i64>,
    /// Whether the stamp could be had.
    pub(super) stamped: bool,
}

/// Several reads as of one commit, at the price of one: a third of a read is in taking SQLite's lock for it.
pub(super) struct Snapshot<'c>(&'c Connection);

impl<'c> Snapshot<'c> {
    pub(super) fn begin(connection: &'c Connection) -> Result<Self> {
        connection.prepare_cached("BEGIN")?.execute([])?;
        Ok(Self(connection))
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        // Nothing was written, so nothing is lost whatever it says; after some errors SQLite has ended it by itself.
        let _ = self.0.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        if !self.0.is_autocommit() {
            let _ = self.0.execute_batch("ROLLBACK");
        }
    }
}
