//! Conflicts: which users' email another contact holds, or whose contact is another user's. Nothing is decided by them;
//! they are kept so that somebody can merge the two, or the reading job finds that it is over.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};

use super::base::{fate, key};
use super::lookup::key_text;
use crate::error::Result;
use crate::event::{Clash, Millis};
use crate::identity::{UserKey, Vid};

/// A user whose contact is in question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The user, as text (an integer key in decimal).
    pub user: String,
    /// Their contact, after merges; `None` where they are linked to none.
    pub vid: Option<Vid>,
    /// The contact that holds their email, or that another user has, after merges; `None` where HubSpot did not name
    /// it.
    pub holder: Option<Vid>,
    /// What it is about.
    pub why: Clash,
    /// Since when it stands: when it was first heard of after the last one of that user was over, or was another one;
    /// milliseconds since 1970, by the app's clock.
    pub since: Millis,
}

pub(super) fn conflicted(
    tx: &Connection,
    user: &Value,
    holder: Option<Vid>,
    why: Clash,
    since: Millis,
    at: Millis,
) -> Result<bool> {
    let holder = match holder {
        Some(vid) if fate(tx, vid.get())?.0 => None,
        holder => holder.map(Vid::get),
    };
    let changed = tx
        .prepare_cached(
            "INSERT INTO conflict (user, holder, why, since, last_at) VALUES (?1, ?2, ?3, ?5, ?4)
             ON CONFLICT (user) DO UPDATE SET holder = ?2, why = ?3, since = ?5, last_at = ?4
             WHERE last_at IS NULL OR (?4, ifnull(?2, 0), ?3, -?5) > (last_at, ifnull(holder, 0), why, -since)",
        )?
        .execute(params![user, holder, why as i64, at, since])?;
    Ok(changed > 0)
}

pub(super) fn ended(tx: &Connection, user: &Value, at: Millis) -> Result<bool> {
    let changed = tx
        .prepare_cached(
            "INSERT INTO conflict (user, ended_at) VALUES (?1, ?2)
             ON CONFLICT (user) DO UPDATE SET ended_at = ?2 WHERE ifnull(ended_at < ?2, true)",
        )?
        .execute(params![user, at])?;
    Ok(changed > 0)
}

/// When the user's conflict was last said to be over.
pub(super) fn last_end(tx: &Connection, user: &Value) -> Result<Option<Millis>> {
    let end = tx
        .prepare_cached("SELECT ended_at FROM conflict WHERE user = ?1")?
        .query_row([user], |row| row.get(0))
        .optional()?;
    Ok(end.flatten())
}

const OPEN: &str = "SELECT c.user, u.vid, coalesce(p.canonical, c.holder), c.why,
      iif(c.since > ifnull(c.ended_at, -1), c.since, c.last_at) FROM conflict c
    LEFT JOIN user u ON u.key = c.user LEFT JOIN past p ON p.vid = c.holder
    WHERE c.last_at > ifnull(c.ended_at, -1) AND (u.vid IS NULL OR coalesce(p.canonical, c.holder) IS NOT u.vid)";

/// The conflicts that are not over, in the order of the users' keys, of those after one.
pub(crate) fn conflicts(rows: &Connection, after: Option<UserKey<'_>>, limit: u32) -> Result<Vec<Conflict>> {
    let sql = format!("{OPEN} AND (?1 IS NULL OR c.user > ?1) ORDER BY c.user LIMIT ?2");
    let mut statement = rows.prepare_cached(&sql)?;
    let found = statement.query_map(params![after.map(key), limit], conflict)?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// Since when the conflict stands that is heard of now: it may be one that is not over.
pub(super) fn since(tx: &Connection, user: &Value, holder: Option<Vid>, why: Clash, now: Millis) -> Result<Millis> {
    let holder = match holder {
        Some(vid) => fate(tx, vid.get())?.1.or(Some(vid.get())),
        None => None,
    };
    let same = |open: &Conflict| open.why == why && open.holder.map(Vid::get) == holder;
    Ok(conflict_of(tx, user)?.filter(same).map_or(now, |open| open.since.min(now)))
}

/// The user's, if it is not over.
pub(super) fn conflict_of(rows: &Connection, user: &Value) -> Result<Option<Conflict>> {
    let sql = format!("{OPEN} AND c.user = ?1");
    Ok(rows.prepare_cached(&sql)?.query_row([user], conflict).optional()?)
}

fn conflict(row: &rusqlite::Row<'_>) -> rusqlite::Result<Conflict> {
    let why = if row.get::<_, i64>(3)? == Clash::VidTaken as i64 { Clash::VidTaken } else { Clash::EmailHeld };
    let vid = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.and_then(Vid::new));
    Ok(Conflict { user: key_text(row.get(0)?), vid: vid(1)?, holder: vid(2)?, why, since: row.get(4)? })
}
