//! Whose turn it is to tell HubSpot of a user: one job at a time, until a deadline.
//!
//! A lock of the app's database would be open for as long as HubSpot takes to answer; a lease is two short writes. Who
//! holds one says so by a random number. Past its deadline it is nobody's, so a process that dies with it keeps the
//! user's other jobs waiting no longer than that; and who was slower than the deadline cannot renew it, and so must not
//! tell HubSpot any more.

use std::time::Duration;

use rusqlite::{Connection, params};

use crate::error::{Error, Result};
use crate::event::{Millis, random_number};
use crate::identity::UserKey;

/// The longest lease, in milliseconds. One that would end later was taken before the clock was set back: it has ended.
pub(crate) const LONGEST: Millis = 60 * 60 * 1000;

/// Who holds a lease: a random number, from 1 to 2^63 - 1. A number that was never given out holds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseToken(i64);

impl LeaseToken {
    pub(crate) fn random() -> Result<Self> {
        random_number().map(Self)
    }

    /// The token as a number, to be handed to another language.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl From<i64> for LeaseToken {
    fn from(number: i64) -> Self {
        Self(number)
    }
}

/// How long a lease is to be, in milliseconds.
///
/// # Errors
/// [`Error::InvalidOption`].
pub(crate) fn milliseconds(duration: Duration) -> Result<Millis> {
    let ms = Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX);
    match ms {
        1..=LONGEST => Ok(ms),
        _ => Err(Error::InvalidOption { name: "lease", why: "it must be from 1 ms to 1 hour" }),
    }
}

/// Takes the lease, unless somebody holds it. True: it is the holder's.
pub(crate) fn take(tx: &Connection, user: UserKey<'_>, holder: LeaseToken, now: Millis, until: Millis) -> Result<bool> {
    tx.prepare_cached("DELETE FROM lease WHERE until <= ?1 OR until > ?1 + ?2")?.execute([now, LONGEST])?;
    let sql = "INSERT INTO lease (user, holder, until) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    Ok(tx.prepare_cached(sql)?.execute(params![user, holder.0, until])? == 1)
}

/// Moves the deadline of a lease that has not ended. False: the holder has none.
pub(crate) fn renew(
    tx: &Connection,
    user: UserKey<'_>,
    holder: LeaseToken,
    now: Millis,
    until: Millis,
) -> Result<bool> {
    let sql = "UPDATE lease SET until = ?4 WHERE user = ?1 AND holder = ?2 AND until > ?3 AND until <= ?3 + ?5";
    Ok(tx.prepare_cached(sql)?.execute(params![user, holder.0, now, until, LONGEST])? == 1)
}

/// Ends the holder's lease. False: the holder has none.
pub(crate) fn release(tx: &Connection, user: UserKey<'_>, holder: LeaseToken) -> Result<bool> {
    Ok(tx.prepare_cached("DELETE FROM lease WHERE user = ?1 AND holder = ?2")?.execute(params![user, holder.0])? == 1)
}
