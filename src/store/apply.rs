//! The one way in: events to rows.
//!
//! Every event joins what is there with what it says, and the join is the same in any order
//! and any number of times: the latest by time wins, the first by time wins, a token once ended
//! stays ended. `order` shuffles and repeats events against this.

use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Result;
use crate::event::{Event, Millis};
use crate::identity::{Repr, UserKey, Vid};

/// How long an ended change is remembered. Sidekiq, the longest of the job queues, retries
/// for 21 days.
const REMEMBER_ENDED: Millis = 30 * 24 * 3600 * 1000;

/// How many revisions the log keeps: a process that missed more empties its table, which costs less than
/// reading so many. Pruned now and then, since each pruning is a write of its own.
const LOG_KEEP: i64 = 4096;
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

/// Applies one event, inside the caller's transaction.
pub(crate) fn apply(tx: &Connection, event: &Event<'_>) -> Result<()> {
    match *event {
        Event::Linked { user, vid, at } => linked(tx, user, vid, at),
        Event::EmailObserved { vid, email, at } => {
            // One time, two emails: neither is known to be the later, so neither is named.
            let changed: Option<Value> = tx
                .prepare_cached(
                    "INSERT INTO contact (vid, email, email_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (vid) DO UPDATE SET
                   email = CASE WHEN email_at IS NULL OR excluded.email_at > email_at THEN excluded.email END,
                   email_at = excluded.email_at
                 WHERE email_at IS NULL OR excluded.email_at > email_at
                    OR (excluded.email_at = email_at AND email IS NOT excluded.email)
                 RETURNING user",
                )?
                .query_row(params![vid.get(), email.map(|f| f.0), at], |row| row.get(0))
                .optional()?;
            match changed {
                Some(user) if user != Value::Null => log(tx, user),
                _ => Ok(()),
            }
        }
        Event::ChangeBegun { user, token, at } => {
            tx.prepare_cached(
                "INSERT INTO change (token, user, begun_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (token) DO UPDATE SET begun_at = min(coalesce(begun_at, ?3), ?3)",
            )?
            .execute(params![token.get(), user, at])?;
            prune(tx, at)?;
            count_changes(tx, user)
        }
        Event::ChangeFinished { user, token, at } | Event::ChangeAbandoned { user, token, at } => {
            tx.prepare_cached(
                "INSERT INTO change (token, user, ended_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (token) DO UPDATE SET ended_at = min(coalesce(ended_at, ?3), ?3)",
            )?
            .execute(params![token.get(), user, at])?;
            count_changes(tx, user)
        }
    }
}

/// The latest link is the contact, the earliest is the external id; on one time the greater vid is
/// the later one, since HubSpot's ids grow.
fn linked(tx: &Connection, user: UserKey<'_>, vid: Vid, at: Millis) -> Result<()> {
    type Link = (Millis, i64);
    type LinkRow = (Option<Millis>, Option<i64>, Option<Millis>, Option<i64>);
    let old: Option<LinkRow> = tx
        .prepare_cached("SELECT linked_at, vid, first_at, first_vid FROM user WHERE key = ?1")?
        .query_row([user], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    let new: Link = (at, vid.get());
    let (mut last, mut first) = (new, new);
    if let Some((Some(linked_at), Some(old_vid), first_at, first_vid)) = old {
        let old_last = (linked_at, old_vid);
        last = last.max(old_last);
        first = first.min(first_at.zip(first_vid).unwrap_or(old_last));
    }
    let first = (first != last).then_some(first);
    tx.prepare_cached(
        "INSERT INTO user (key, linked_at, vid, first_at, first_vid) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (key) DO UPDATE SET
           linked_at = excluded.linked_at, vid = excluded.vid,
           first_at = excluded.first_at, first_vid = excluded.first_vid",
    )?
    .execute(params![user, last.0, last.1, first.map(|f| f.0), first.map(|f| f.1)])?;
    if let Some((_, Some(old_vid), _, _)) = old
        && old_vid != last.1
    {
        // The old contact goes back to nobody, and out of the file if nothing else is known of it.
        tx.prepare_cached("DELETE FROM contact WHERE vid = ?1 AND user = ?2 AND email_at IS NULL")?
            .execute(params![old_vid, user])?;
        tx.prepare_cached("UPDATE contact SET user = NULL WHERE vid = ?1 AND user = ?2")?
            .execute(params![old_vid, user])?;
    }
    tx.prepare_cached(
        "INSERT INTO contact (vid, user) VALUES (?1, ?2)
         ON CONFLICT (vid) DO UPDATE SET user = excluded.user WHERE user IS NOT excluded.user",
    )?
    .execute(params![last.1, user])?;
    log(tx, user)
}

/// Notes that anybody's state may have changed, for the tables of all processes.
pub(super) fn log_everybody(tx: &Connection) -> Result<()> {
    log(tx, Value::Null)
}

/// Notes that the user's state changed.
fn log(tx: &Connection, user: impl ToSql) -> Result<()> {
    tx.prepare_cached("INSERT INTO log (user) VALUES (?1)")?.execute([user])?;
    let revision = tx.last_insert_rowid();
    if revision % LOG_PRUNE == 0 {
        tx.prepare_cached("DELETE FROM log WHERE revision <= ?1")?.execute([revision - LOG_KEEP])?;
    }
    Ok(())
}

/// The user row carries the number of outstanding changes, so that a decision reads one row.
fn count_changes(tx: &Connection, user: UserKey<'_>) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO user (key, changes)
         SELECT ?1, (SELECT count(*) FROM change WHERE user = ?1 AND ended_at IS NULL)
         WHERE true
         ON CONFLICT (key) DO UPDATE SET changes = excluded.changes",
    )?
    .execute([user])?;
    log(tx, user)
}

fn prune(tx: &Connection, now: Millis) -> Result<()> {
    tx.prepare_cached(
        "DELETE FROM change WHERE token IN
           (SELECT token FROM change WHERE ended_at IS NOT NULL AND ended_at < ?1 LIMIT 16)",
    )?
    .execute([now - REMEMBER_ENDED])?;
    Ok(())
}
