//! Reading rows. Nothing here writes.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::base::{fate, key};
use super::link::users_of;
use crate::decision::UserState;
use crate::email::Fingerprint;
use crate::error::{Error, Result};
use crate::event::{ChangeToken, Millis};
use crate::identity::{Identity, UserKey, Vid, uuid_text};
use crate::refusal::Refusal;

/// All that a decision about one user depends on.
pub(crate) fn user_state(connection: &Connection, user: UserKey<'_>) -> Result<UserState> {
    let state = connection
        .prepare_cached(
            "SELECT vid, coalesce(first_vid, vid), (SELECT email FROM contact c WHERE c.vid = u.vid), changes
             FROM user u WHERE key = ?1",
        )?
        .query_row([user], |row| {
            Ok(UserState {
                identity: match vid(row, 0)? {
                    // A negative `first_vid` is an id that another user gives to pages: `Vid::new` makes it None.
                    Some(vid) => Some(Identity { vid, external_id: Vid::new(row.get(1)?) }),
                    None => None,
                },
                confirmed: row.get::<_, Option<[u8; 16]>>(2)?.map(Fingerprint),
                changing: row.get::<_, i64>(3)? != 0,
            })
        })
        .optional()?;
    Ok(state.unwrap_or_default())
}

/// Which contacts users are, in their order.
pub(crate) fn identities(connection: &Connection, users: &[UserKey<'_>]) -> Result<Vec<Option<Identity>>> {
    let mut statement = connection
        .prepare_cached("SELECT vid, coalesce(first_vid, vid) FROM user WHERE key = ?1 AND vid IS NOT NULL")?;
    let mut identity = |user: &UserKey<'_>| {
        let found = statement.query_row([user], |row| Ok((vid(row, 0)?, Vid::new(row.get(1)?)))).optional()?;
        Ok(found.and_then(|(vid, external_id)| Some(Identity { vid: vid?, external_id })))
    };
    users.iter().map(&mut identity).collect()
}

/// The user's latest link and when it was made.
pub(super) fn link_of(connection: &Connection, user: UserKey<'_>) -> Result<Option<(Vid, Millis)>> {
    let link = connection
        .prepare_cached("SELECT vid, linked_at FROM user WHERE key = ?1 AND vid IS NOT NULL")?
        .query_row([user], |row| Ok((vid(row, 0)?, row.get(1)?)))
        .optional()?;
    Ok(link.and_then(|(vid, at)| Some((vid?, at))))
}

/// Whether HubSpot has said something newer than `at` of the contact that the user has, which is not `vid`.
pub(super) fn is_overtaken(connection: &Connection, user: UserKey<'_>, vid: Vid, at: Millis) -> Result<bool> {
    let vid = canonical(connection, vid)?;
    let sql =
        "SELECT 1 FROM user u JOIN contact c ON c.vid = u.vid WHERE u.key = ?1 AND u.vid <> ?2 AND c.email_at > ?3";
    Ok(connection.prepare_cached(sql)?.exists(params![user, vid.get(), at])?)
}

/// Whether the contact was erased, so that what comes late of it is taken out of others too.
pub(super) fn is_erased(connection: &Connection, vid: Vid) -> Result<bool> {
    Ok(fate(connection, vid.get())?.0)
}

/// When HubSpot last said which email the contact holds, as far as that counts.
pub(super) fn last_observed(connection: &Connection, vid: Vid) -> Result<Option<Millis>> {
    let vid = canonical(connection, vid)?;
    let at: Option<Option<Millis>> = connection
        .prepare_cached("SELECT email_at FROM contact WHERE vid = ?1")?
        .query_row([vid.get()], |row| row.get(0))
        .optional()?;
    Ok(at.flatten())
}

/// Whether another email of the contact is known at that time of HubSpot's clock.
pub(super) fn contradicts(connection: &Connection, vid: Vid, email: Option<Fingerprint>, at: Millis) -> Result<bool> {
    let sql = "SELECT 1 FROM contact WHERE vid = ?1 AND email_at = ?2 AND email IS NOT NULL AND email IS NOT ?3";
    Ok(connection.prepare_cached(sql)?.exists(params![vid.get(), at, email.map(|email| email.0)])?)
}

/// The contact that a vid stands for after merges.
pub(crate) fn canonical(connection: &Connection, vid: Vid) -> Result<Vid> {
    Ok(fate(connection, vid.get())?.1.and_then(Vid::new).unwrap_or(vid))
}

/// Refuses to link a contact that another user has: most often that is a mistake of the app's, and one of the two
/// pages would be about somebody else. Who has it already, because HubSpot merged two contacts, may keep it.
pub(super) fn check_free(connection: &Connection, user: UserKey<'_>, vid: Vid) -> Result<()> {
    let users = users_of(connection, canonical(connection, vid)?.get())?;
    if users.contains(&key(user)) {
        return Ok(());
    }
    match users.into_iter().next().map(key_text) {
        None => Ok(()),
        Some(linked_to) => Err(Error::VidTaken { vid, linked_to, user: user.to_text() }),
    }
}

/// Since when no page that could name the email of the user's contact has been rendered, if the change is outstanding:
/// since it was begun, or since the contact became another user's too. Refuses a token that is not known, or not this
/// user's.
pub(crate) fn outstanding_since(
    connection: &Connection,
    user: UserKey<'_>,
    token: ChangeToken,
    now: Millis,
) -> Result<Option<Millis>> {
    match begun_at(connection, user, token)? {
        Some(begun_at) => {
            let shared_at = shared_since(connection, user)?.filter(|at| *at <= now + CLOCK_WENT_BACK);
            Ok(Some(begun_at.max(shared_at.unwrap_or(begun_at))))
        }
        None => Ok(None),
    }
}

/// A time that is later than this in the future was written by a clock that was wrong. No quiet period is longer.
const CLOCK_WENT_BACK: Millis = 3_600_000;

/// The latest time, by the app's clock, at which somebody came to the contact that the user has: by a link, or by a
/// merge that was heard of then. `None` where it is, and ever was, the user's alone. Until that time others' pages
/// could name the contact's email, whatever the user had begun.
fn shared_since(connection: &Connection, user: UserKey<'_>) -> Result<Option<Millis>> {
    let Some((vid, _)) = link_of(connection, user)? else { return Ok(None) };
    Ok(connection
        .prepare_cached(
            "WITH ids (vid) AS MATERIALIZED (SELECT ?1 UNION SELECT vid FROM past WHERE canonical = ?1),
               us (user) AS MATERIALIZED (SELECT user FROM contact WHERE vid = ?1 AND user IS NOT NULL
                 UNION SELECT user FROM sharer WHERE vid = ?1),
               came (at) AS (SELECT linked_at FROM user WHERE key IN us
                 UNION ALL SELECT heard_at FROM merge WHERE old IN ids)
             SELECT max(at) FROM came
             WHERE (SELECT count(*) FROM (SELECT user FROM us UNION SELECT user FROM link WHERE vid IN ids)) > 1",
        )?
        .query_row([vid.get()], |row| row.get(0))?)
}

/// When a change was begun, if it is outstanding.
fn begun_at(connection: &Connection, user: UserKey<'_>, token: ChangeToken) -> Result<Option<Millis>> {
    let change: Option<(bool, Option<Millis>)> = connection
        .prepare_cached("SELECT user IS ?2, iif(ended_at IS NULL, begun_at, NULL) FROM change WHERE token = ?1")?
        .query_row(params![token.get(), user], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match change {
        Some((true, begun_at)) => Ok(begun_at),
        Some((false, _)) => Err(Error::ForeignChange),
        None => Err(Error::UnknownChange),
    }
}

/// Whether a change is outstanding. Refuses as [`outstanding_since`].
pub(crate) fn is_outstanding(connection: &Connection, user: UserKey<'_>, token: ChangeToken) -> Result<bool> {
    Ok(begun_at(connection, user, token)?.is_some())
}

/// Why HubSpot refused the email of a user for good who has no contact and no change outstanding.
pub(crate) fn refusal(connection: &Connection, user: UserKey<'_>) -> Result<Option<Refusal>> {
    // Whoever has either has a row.
    let why: Option<i64> = connection
        .prepare_cached(
            "SELECT refused FROM change WHERE user = ?1 AND refused IS NOT NULL
               AND NOT EXISTS (SELECT 1 FROM user WHERE key = ?1) ORDER BY ended_at DESC, refused DESC LIMIT 1",
        )?
        .query_row([user], |row| row.get(0))
        .optional()?;
    Ok(why.and_then(Refusal::of))
}

/// A change that has been outstanding for a while: its job was lost, or the app died between
/// beginning it and committing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleChange {
    /// The user, as text (an integer key in decimal).
    pub user: String,
    /// The token that a fresh answer must be recorded with.
    pub token: ChangeToken,
    /// When it was begun: milliseconds since 1970, by the app's clock.
    pub begun_at: Millis,
}

/// The changes begun at `begun_before` or earlier, the oldest first; and, at the end, those begun after `at`, by a
/// clock that has gone back since: how old they are nobody knows.
pub(crate) fn stale_changes(
    connection: &Connection,
    begun_before: Millis,
    at: Millis,
    limit: u32,
) -> Result<Vec<StaleChange>> {
    let mut statement = connection.prepare_cached(
        "SELECT user, token, begun_at FROM change
         WHERE ended_at IS NULL AND (begun_at <= ?1 OR begun_at > ?2) ORDER BY begun_at, token LIMIT ?3",
    )?;
    let rows = statement
        .query_map((begun_before, at, limit), |row| Ok((user_text(row, 0)?, row.get::<_, i64>(1)?, row.get(2)?)))?;
    rows.map(|row| {
        let (user, token, begun_at) = row?;
        let token =
            ChangeToken::try_from(token).map_err(|_| Error::Corrupt("a change token is not positive".into()))?;
        Ok(StaleChange { user, token, begun_at })
    })
    .collect()
}

fn vid(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Vid>> {
    let id: Option<i64> = row.get(column)?;
    id.map(|id| Vid::try_from(id).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, id))).transpose()
}

pub(super) fn user_text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(key_text(row.get(column)?))
}

/// A user key of the file, as the app would write it.
pub(super) fn key_text(key: Value) -> String {
    match key {
        Value::Integer(id) => id.to_string(),
        Value::Text(text) => text,
        Value::Blob(bytes) => bytes.try_into().map_or_else(|_| String::new(), |uuid| uuid_text(&uuid)),
        Value::Null | Value::Real(_) => String::new(),
    }
}
