//! The one way in: events to rows.
//!
//! Every event joins what is there with what it says, and the join is the same in any order
//! and any number of times: the latest by time wins, the first by time wins, a token once ended
//! stays ended, ids once merged stay merged. What follows from several such facts is derived from them
//! anew. `order` shuffles and repeats events against this.

use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, params};

use super::{contact, link};
use crate::error::Result;
use crate::event::{ChangeToken, Event, Millis, What};
use crate::identity::{Repr, UserKey};

/// How long an ended change is remembered. Sidekiq, the longest of the job queues, retries
/// for 21 days.
const REMEMBER_ENDED: Millis = 30 * 24 * 3600 * 1000;

/// How many revisions the log keeps, 1 MiB or two. Pruned now and then, since each pruning is a write of its own.
const LOG_KEEP: i64 = 1 << 15;
const LOG_PRUNE: i64 = 256;

impl ToSql for UserKey<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.repr() {
            Repr::Int(id) => ToSqlOutput::from(*id),
            Repr::Uuid(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Repr::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

/// A user key as the file has it.
pub(super) fn key(user: UserKey<'_>) -> Value {
    match *user.repr() {
        Repr::Int(id) => Value::Integer(id),
        Repr::Uuid(bytes) => Value::Blob(bytes.into()),
        Repr::Text(text) => Value::Text(text.into()),
    }
}

/// Applies one event, inside the caller's transaction.
pub(crate) fn apply(tx: &Connection, event: &Event<'_>) -> Result<()> {
    match *event {
        Event::Linked { user, vid, at } => link::linked(tx, &key(user), vid, at),
        Event::EmailObserved { vid, email, at } => contact::observed(tx, vid, email, at),
        Event::SecondaryObserved { vid, email, at } => contact::secondary(tx, vid, email, at),
        Event::Merged { old, into, at, born } => contact::merged(tx, old, into, at, born),
        Event::Deleted { vid, at } => contact::deleted(tx, vid, at),
        Event::Restored { vid, at } => contact::restored(tx, vid, at),
        Event::Erased { vid } => contact::erased(tx, vid.get()),
        Event::ChangeBegun { user, token, at } => {
            tx.prepare_cached(
                "INSERT INTO change (token, user, begun_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (token) DO UPDATE SET begun_at = min(coalesce(begun_at, ?3), ?3)",
            )?
            .execute(params![token.get(), user, at])?;
            prune(tx, at)?;
            count_changes(tx, user, What::ChangeBegun, at)
        }
        Event::ChangeFinished { user, token, at } => end(tx, user, token, at, What::ChangeFinished),
        Event::ChangeAbandoned { user, token, at } => end(tx, user, token, at, What::ChangeAbandoned),
    }
}

fn end(tx: &Connection, user: UserKey<'_>, token: ChangeToken, at: Millis, what: What) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO change (token, user, ended_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (token) DO UPDATE SET ended_at = min(coalesce(ended_at, ?3), ?3)",
    )?
    .execute(params![token.get(), user, at])?;
    count_changes(tx, user, what, at)
}

/// Every user row of a contact carries the number of outstanding changes of all who have or had it, so that a decision
/// reads one row. A user who has neither a contact nor an outstanding change has no row.
fn count_changes(tx: &Connection, user: UserKey<'_>, what: What, at: Millis) -> Result<()> {
    let vid: Option<i64> = tx
        .prepare_cached(
            "INSERT INTO user (key, changes)
             SELECT ?1, (SELECT count(*) FROM change WHERE user = ?1 AND ended_at IS NULL)
             WHERE true
             ON CONFLICT (key) DO UPDATE SET changes = excluded.changes
             RETURNING vid",
        )?
        .query_row([user], |row| row.get(0))?;
    link::recount_all(tx, &key(user), vid, what, at)?;
    if vid.is_none() {
        drop_unknown(tx, &key(user))?;
    }
    log(tx, &key(user), what, vid, at)
}

/// Takes a user's row away that says nothing.
pub(super) fn drop_unknown(tx: &Connection, user: &Value) -> Result<()> {
    tx.prepare_cached("DELETE FROM user WHERE key = ?1 AND vid IS NULL AND changes = 0")?.execute([user])?;
    Ok(())
}

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

/// The same, of every user of a contact.
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

fn prune(tx: &Connection, now: Millis) -> Result<()> {
    tx.prepare_cached(
        "DELETE FROM change WHERE token IN
           (SELECT token FROM change WHERE ended_at IS NOT NULL AND ended_at < ?1 LIMIT 16)",
    )?
    .execute([now - REMEMBER_ENDED])?;
    Ok(())
}

/// The first column of the rows that a statement finds.
pub(super) fn keys(tx: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<Vec<Value>> {
    Ok(tx.prepare_cached(sql)?.query_map(params, |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// Whether a contact id was erased, and which id lives for it if it has a past.
pub(super) fn fate(tx: &Connection, vid: i64) -> Result<(bool, Option<i64>)> {
    Ok(tx
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM erased WHERE vid = ?1), (SELECT canonical FROM past WHERE vid = ?1)",
        )?
        .query_row([vid], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .unwrap_or_default())
}
