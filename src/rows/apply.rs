//! The one way in: events to rows.
//!
//! Every event joins what is there with what it says, and the join is the same in any order
//! and any number of times: the latest by time wins, the first by time wins, a token once ended
//! stays ended, ids once merged stay merged. What follows from several such facts is derived from them
//! anew. `tests::order` shuffles and repeats events against this. To forget a user is no join: what comes after it
//! counts as new.

use rusqlite::types::Value;
use rusqlite::{Connection, ToSql, params};

use super::base::{drop_unknown, key};
use super::history::log;
use super::{conflict, contact, forget, link};
use crate::error::Result;
use crate::event::{ChangeToken, Event, Millis, What};
use crate::identity::UserKey;
use crate::refusal::Refusal;

/// How long an ended change is remembered. Sidekiq, the longest of the job queues, retries
/// for 21 days.
const REMEMBER_ENDED: Millis = 30 * 24 * 3600 * 1000;

/// Applies one event, inside the caller's transaction. False: it said nothing new, or came too late, and no row changed
/// but for housekeeping.
pub(crate) fn apply(tx: &Connection, event: &Event<'_>) -> Result<bool> {
    match *event {
        Event::Linked { user, vid, at } => link::linked(tx, &key(user), vid, at),
        Event::EmailObserved { vid, email, at, read_at } => contact::observed(tx, vid, email, at, read_at),
        Event::SecondaryObserved { vid, email, at } => contact::secondary(tx, vid, email, at),
        Event::Merged { old, into, at, born, heard } => contact::merged(tx, old, into, at, born, heard),
        Event::Deleted { vid, at } => contact::deleted(tx, vid, at),
        Event::Restored { vid, at } => contact::restored(tx, vid, at),
        Event::Doubted { vid, to, at, read_at } => contact::doubted(tx, vid, to, at, read_at),
        Event::Erased { vid } => contact::erased(tx, vid.get()),
        Event::ChangeBegun { user, token, at } => {
            prune(tx, user, at)?;
            const SQL: &str = "INSERT INTO change (token, user, begun_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (token) DO UPDATE SET begun_at = excluded.begun_at
                 WHERE user IS NOT NULL AND (begun_at IS NULL OR excluded.begun_at < begun_at)";
            change(tx, SQL, params![token.get(), user, at], at, What::ChangeBegun)
        }
        Event::ChangeFinished { user, token, at } => end(tx, user, token, at, None, What::ChangeFinished),
        Event::ChangeRefused { user, token, why, at } => end(tx, user, token, at, Some(why), What::ChangeRefused),
        Event::ChangeAbandoned { user, token, at } => end(tx, user, token, at, None, What::ChangeAbandoned),
        Event::Conflicted { user, holder, why, since, at } => {
            conflict::conflicted(tx, &key(user), holder, why, since, at)
        }
        Event::ConflictEnded { user, at } => conflict::ended(tx, &key(user), at),
        Event::UserErased { mark } => forget::marked(tx, mark),
        Event::UserErasureForgotten { mark } => forget::unmarked(tx, mark),
        Event::Forgotten { user } => forget::forgotten(tx, &key(user)),
    }
}

/// The first end counts, and of two at one time the refusal: it has a reason to be told.
fn end(
    tx: &Connection,
    user: UserKey<'_>,
    token: ChangeToken,
    at: Millis,
    refused: Option<Refusal>,
    what: What,
) -> Result<bool> {
    const SQL: &str = "INSERT INTO change (token, user, ended_at, refused) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (token) DO UPDATE SET ended_at = excluded.ended_at, refused = excluded.refused
         WHERE user IS NOT NULL AND (ended_at IS NULL OR excluded.ended_at < ended_at
            OR (excluded.ended_at = ended_at AND excluded.refused > ifnull(refused, 0)))";
    change(tx, SQL, params![token.get(), user, at, refused.map(|why| why as i64)], at, what)
}

/// The token is the first of the values.
fn change(tx: &Connection, sql: &str, values: &[&dyn ToSql], at: Millis, what: What) -> Result<bool> {
    if tx.prepare_cached(sql)?.execute(values)? == 0 {
        return Ok(false);
    }
    // Whose change it is, the row knows: when a user who shared a contact was forgotten it became another one's. What
    // comes late of one that became nobody's changes nothing.
    let owner: Value =
        tx.prepare_cached("SELECT user FROM change WHERE token = ?1")?.query_row(&values[..1], |row| row.get(0))?;
    count_changes(tx, &owner, what, at).map(|()| true)
}

/// Every user row of a contact carries the number of outstanding changes of all who have or had it, so that a decision
/// reads one row. A user who has neither a contact nor an outstanding change has no row.
fn count_changes(tx: &Connection, user: &Value, what: What, at: Millis) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO user (key, changes)
         SELECT ?1, (SELECT count(*) FROM change WHERE user = ?1 AND ended_at IS NULL)
         WHERE true
         ON CONFLICT (key) DO UPDATE SET changes = excluded.changes",
    )?
    .execute([user])?;
    let vid: Option<i64> =
        tx.prepare_cached("SELECT vid FROM user WHERE key = ?1")?.query_row([user], |row| row.get(0))?;
    link::recount_all(tx, user, vid, what, at)?;
    if vid.is_none() {
        drop_unknown(tx, user)?;
    }
    log(tx, user, what, vid, at)
}

/// What HubSpot refused is remembered longer, since pages say less because of it: until the user's next change.
fn prune(tx: &Connection, user: UserKey<'_>, now: Millis) -> Result<()> {
    tx.prepare_cached(
        "DELETE FROM change WHERE token IN
           (SELECT token FROM change WHERE ended_at IS NOT NULL AND refused IS NULL AND ended_at < ?1 LIMIT 16)",
    )?
    .execute([now - REMEMBER_ENDED])?;
    tx.prepare_cached("DELETE FROM change WHERE user = ?1 AND refused IS NOT NULL AND ended_at < ?2")?
        .execute(params![user, now - REMEMBER_ENDED])?;
    Ok(())
}
