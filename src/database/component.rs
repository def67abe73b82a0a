//! A component in memory: the facts of one answer as rows of an SQLite database that is nobody else's, on which all
//! that works on a file's rows works unchanged.

use rusqlite::Connection;

use super::head::Meta;
use crate::error::Result;
use crate::event::{Event, Millis};
use crate::identity::Vid;
use crate::rows::facts::Facts;
use crate::rows::{self, SCHEMAS};

/// An empty database in memory. To make one takes longer than to use it, so it is used again: whatever was in it is
/// rolled back.
pub(crate) struct Memory(Connection);

impl Memory {
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage): there is no memory.
    pub(crate) fn new() -> Result<Self> {
        let connection = Connection::open_in_memory()?;
        connection.set_prepared_statement_cache_capacity(96);
        for schema in SCHEMAS {
            connection.execute_batch(schema)?;
        }
        Ok(Self(connection))
    }

    /// Does `work` on rows that are the facts, and rolls it all back.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::Error::Corrupt) for what cannot be a fact; those of `work`.
    pub(crate) fn with<T>(
        &self,
        facts: &Facts,
        meta: Option<&Meta>,
        work: impl FnOnce(&Connection) -> Result<T>,
    ) -> Result<T> {
        // Dropped without a commit.
        let rows = self.0.unchecked_transaction()?;
        facts.put(&rows)?;
        if let Some((to, at)) = meta.and_then(|meta| meta.doubted_to.zip(meta.doubted_at)) {
            doubt_all(&rows, facts, to, at)?;
        }
        work(&rows)
    }
}

/// Doubts what was said of every contact, as a database that was put back is doubted by one row.
fn doubt_all(rows: &Connection, facts: &Facts, to: Millis, at: Millis) -> Result<()> {
    for vid in facts.contacts.keys().copied().filter_map(Vid::new) {
        rows::apply(rows, &Event::Doubted { vid, to: Some(to), at, read_at: None })?;
    }
    rows.prepare_cached("DELETE FROM log")?.execute([])?;
    Ok(())
}
