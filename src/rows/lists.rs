//! Whom to read: users by what is known of their contacts, each list by an index of its own, so that those who need
//! nothing cost nothing.

use rusqlite::{Connection, Row, params};

use super::base::key;
use super::link::users_of;
use super::lookup::{canonical, key_text, user_text};
use crate::error::{Error, Result};
use crate::event::Millis;
use crate::identity::{UserKey, Vid};

/// A user whose contact is to be read, and where they stand in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserToRead {
    /// The user, as text (an integer key in decimal); of several who share the contact, one.
    pub user: String,
    /// Their contact.
    pub vid: Vid,
    /// When it was last read, or else when HubSpot last confirmed its email: milliseconds since 1970. 0: never.
    pub read_at: Millis,
}

/// Which users are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// HubSpot has not said which email it holds for the contact now.
    Unconfirmed,
    /// HubSpot has.
    Confirmed,
}

impl Which {
    /// Users of one time, from a contact on; and users from one time to another.
    pub(super) fn statements(self) -> [String; 2] {
        let (index, at, is) = match self {
            Self::Unconfirmed => ("contact_unconfirmed", "ifnull(read_at, 0)", "NULL"),
            Self::Confirmed => ("contact_confirmed", "ifnull(read_at, email_at)", "NOT NULL"),
        };
        let list = format!(
            "SELECT user, vid, {at} FROM contact INDEXED BY {index} WHERE user IS NOT NULL AND email IS {is} AND {at}"
        );
        [
            format!("{list} = ?1 AND vid > ?2 AND ?1 < ?3 ORDER BY vid LIMIT ?4"),
            format!("{list} > ?1 AND {at} < ?2 ORDER BY {at}, vid LIMIT ?3"),
        ]
    }
}

/// The users whose contacts were last read before a time, the longest unread first, those that come after a place in
/// the list.
pub(crate) fn users_to_read(
    rows: &Connection,
    which: Which,
    before: Millis,
    after: Option<(Millis, Vid)>,
    limit: u32,
) -> Result<Vec<UserToRead>> {
    let [of_one_time, later] = which.statements();
    let mut users = Vec::new();
    let (at, vid) = after.map_or((Millis::MIN, 0), |(at, vid)| (at, vid.get()));
    if after.is_some() {
        let mut statement = rows.prepare_cached(&of_one_time)?;
        for found in statement.query_map(params![at, vid, before, limit], user_to_read)? {
            users.push(found?);
        }
    }
    let left = limit - users.len() as u32;
    if left > 0 {
        let mut statement = rows.prepare_cached(&later)?;
        for found in statement.query_map(params![at, before, left], user_to_read)? {
            users.push(found?);
        }
    }
    users
        .into_iter()
        .map(|(user, vid, read_at)| {
            let vid = Vid::new(vid).ok_or_else(|| Error::Corrupt("a contact's id is not positive".into()))?;
            Ok(UserToRead { user, vid, read_at })
        })
        .collect()
}

/// The users who are linked to a contact, in the order of their keys, those after one.
pub(crate) fn linked_users(rows: &Connection, after: Option<UserKey<'_>>, limit: u32) -> Result<Vec<(String, Vid)>> {
    // Two statements, so that each walks the table from its place on.
    let list = |bound| format!("SELECT key, vid FROM user WHERE vid IS NOT NULL {bound} ORDER BY key LIMIT ?1");
    let read = |row: &Row<'_>| Ok((user_text(row, 0)?, row.get::<_, i64>(1)?));
    let found: Vec<_> = match after {
        Some(after) => rows
            .prepare_cached(&list("AND key > ?2"))?
            .query_map(params![limit, key(after)], read)?
            .collect::<rusqlite::Result<_>>()?,
        None => rows.prepare_cached(&list(""))?.query_map([limit], read)?.collect::<rusqlite::Result<_>>()?,
    };
    let with_vid = |(user, vid)| {
        let vid = Vid::new(vid).ok_or_else(|| Error::Corrupt("a contact's id is not positive".into()))?;
        Ok((user, vid))
    };
    found.into_iter().map(with_vid).collect()
}

/// All users of a contact, by any of its ids.
pub(crate) fn users_of_contact(rows: &Connection, vid: Vid) -> Result<Vec<String>> {
    Ok(users_of(rows, canonical(rows, vid)?.get())?.into_iter().map(key_text).collect())
}

fn user_to_read(row: &Row<'_>) -> rusqlite::Result<(String, i64, Millis)> {
    Ok((user_text(row, 0)?, row.get(1)?, row.get(2)?))
}
