//! The table `log`: whose state changed, oldest first. The in-process tables of all processes learn from it whom to
//! forget, and `explain` tells of it.

use rusqlite::types::Value;
use rusqlite::{Connection, params};

use super::base::user_key;
use crate::error::Result;
use crate::event::{Millis, What};
use crate::identity::UserKey;

/// How many revisions the log keeps, 1 MiB or two. Pruned now and then, since each pruning is a write of its own.
const LOG_KEEP: i64 = 1 << 15;
const LOG_PRUNE: i64 = 256;

/// Notes that anybody's state may have changed, for the tables of all processes.
pub(super) fn log_everybody(tx: &Connection) -> Result<()> {
    tx.prepare_cached("INSERT INTO log (user) VALUES (NULL)")?.execute([])?;
    prune_log(tx, 1)
}

/// Notes that the user's state changed, and by what.
pub(super) fn log(tx: &Connection, user: &Value, what: What, vid: Option<i64>, at: Millis) -> Result<()> {
    tx.prepare_cached("INSERT INTO log (user, what, vid, at) VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        user,
        what as i64,
        vid,
        at
    ])?;
    prune_log(tx, 1)
}

/// Logs, as [`log`] does, a change of every user of a contact.
pub(super) fn log_users(tx: &Connection, vid: i64, what: What, at: Millis) -> Result<()> {
    let users = tx
        .prepare_cached(
            "INSERT INTO log (user, what, vid, at)
             SELECT user, ?2, ?1, ?3 FROM contact WHERE vid = ?1 AND user IS NOT NULL
             UNION ALL SELECT user, ?2, ?1, ?3 FROM sharer WHERE vid = ?1",
        )?
        .execute(params![vid, what as i64, at])?;
    prune_log(tx, users as i64)
}

/// To be called after `added` entries.
fn prune_log(tx: &Connection, added: i64) -> Result<()> {
    let last = tx.last_insert_rowid();
    if added > 0 && last / LOG_PRUNE != (last - added) / LOG_PRUNE {
        tx.prepare_cached("DELETE FROM log WHERE revision <= ?1")?.execute([last - LOG_KEEP])?;
    }
    Ok(())
}

/// Whose state changed after a revision.
pub(crate) enum Changes {
    /// The state of these users, each of whom is named at least once.
    Users,
    /// More than the log remembers.
    Everybody,
}

/// How many revisions are read one by one. To empty the table costs less than to read more.
const READ_AT_MOST: i64 = 4096;

/// Names every user whose state changed after revision `seen`, and says up to which revision that is. To be called in
/// one snapshot.
pub(crate) fn changes_since(
    connection: &Connection,
    seen: Option<i64>,
    mut changed: impl FnMut(UserKey<'_>),
) -> Result<(Changes, i64)> {
    let last: Option<i64> =
        connection.prepare_cached("SELECT max(revision) FROM log")?.query_row([], |row| row.get(0))?;
    let last = last.unwrap_or(0);
    let mut newest = match seen {
        Some(seen) if last - seen <= READ_AT_MOST => seen,
        _ => return Ok((Changes::Everybody, last)),
    };
    let mut statement =
        connection.prepare_cached("SELECT revision, user FROM log WHERE revision > ?1 ORDER BY revision")?;
    let mut rows = statement.query([newest])?;
    while let Some(row) = rows.next()? {
        let revision: i64 = row.get(0)?;
        // Revisions are handed out one by one, so a gap is what was pruned.
        let gap = revision != newest + 1;
        match user_key(row.get_ref(1)?) {
            Some(key) if !gap => changed(key),
            _ => return Ok((Changes::Everybody, last)),
        }
        newest = revision;
    }
    Ok((Changes::Users, newest))
}
