//! Filling the file from what the app has long known: the vids in its users table, a HubSpot export.
//!
//! The same rows as `apply` would make, at a third of the statements: a row that meets nothing is inserted
//! at once, one that meets something goes the usual way.

use rusqlite::{CachedStatement, Connection, params};

use super::apply::apply;
use super::base::key;
use super::history::{log, log_everybody};
use super::lookup::{check_free, link_of};
use crate::email::Fingerprint;
use crate::error::Result;
use crate::event::{Event, Millis, What};
use crate::identity::{UserKey, Vid};

/// Up to how many users a batch names each in the history, so that only they leave the tables of other processes. A larger
/// batch empties the tables, which costs less than to read of so many.
const NAMED_AT_MOST: usize = 4096;

/// One user as the app has known them, before any answer was recorded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) user: UserKey<'a>,
    pub(crate) vid: Vid,
    /// Which email HubSpot held, and when, if the source says so.
    pub(crate) email: Option<(Fingerprint, Millis)>,
}

/// A batch in the caller's transaction. The link has no time, so any other link is later.
pub(crate) struct Import<'tx> {
    tx: &'tx Connection,
    contact: CachedStatement<'tx>,
    user: CachedStatement<'tx>,
    /// Nobody was ever merged, deleted, erased or linked twice, so a row that meets nothing means nothing else.
    plain: bool,
}

impl<'tx> Import<'tx> {
    pub(crate) fn new(tx: &'tx Connection) -> Result<Self> {
        let contact = tx.prepare_cached(
            "INSERT INTO contact (vid, user, email, email_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        )?;
        let user =
            tx.prepare_cached("INSERT INTO user (key, vid, linked_at) VALUES (?1, ?2, 0) ON CONFLICT DO NOTHING")?;
        let plain: bool = tx
            .prepare_cached(
                "SELECT NOT (EXISTS (SELECT 1 FROM past) OR EXISTS (SELECT 1 FROM erased) OR EXISTS (SELECT 1 FROM link))",
            )?
            .query_row([], |row| row.get(0))?;
        Ok(Self { tx, contact, user, plain })
    }

    /// Takes users in, and says how many: the others' contacts are another user's, and nothing of theirs was written.
    ///
    /// First the contacts in the order given, then the users in the order of their keys: a page of a B-tree is then
    /// written once for all that goes into it, where random UUIDs would come back to each again and again. Who met
    /// something goes the usual way at the end.
    pub(crate) fn put(&mut self, batch: &[Known<'_>]) -> Result<u64> {
        let named = batch.len() <= NAMED_AT_MOST;
        if !named {
            log_everybody(self.tx)?;
        }
        let mut new = Vec::with_capacity(batch.len());
        let mut usual = Vec::new();
        for known in batch {
            let &Known { user, vid, email } = known;
            let (print, at) = (email.map(|(print, _)| print.0), email.map(|(_, at)| at));
            if self.plain && self.contact.execute(params![vid.get(), user, print, at])? == 1 {
                new.push(known);
            } else {
                usual.push(known);
            }
        }
        new.sort_by_key(|known| *known.user.repr());
        let mut taken = 0;
        for known in new {
            if self.user.execute(params![known.user, known.vid.get()])? == 1 {
                taken += 1;
                if named {
                    log(self.tx, &key(known.user), What::Linked, Some(known.vid.get()), 0)?;
                }
            } else {
                // The user is known already: let the usual way decide which link stands.
                self.tx.prepare_cached("UPDATE contact SET user = NULL WHERE vid = ?1")?.execute([known.vid.get()])?;
                usual.push(known);
            }
        }
        for known in usual {
            taken += u64::from(self.put_usual(known)?);
        }
        Ok(taken)
    }

    /// One user, by way of `apply`. False: the contact is another user's.
    fn put_usual(&self, known: &Known<'_>) -> Result<bool> {
        let &Known { user, vid, email } = known;
        if check_free(self.tx, user, vid).is_err() {
            return Ok(false);
        }
        // A link that was made stands, and so does the external id that pages have given since.
        if link_of(self.tx, user)?.is_none() {
            apply(self.tx, &Event::Linked { user, vid, at: 0 })?;
        }
        if let Some((print, at)) = email {
            apply(self.tx, &Event::EmailObserved { vid, email: Some(print), at })?;
        }
        Ok(true)
    }
}
