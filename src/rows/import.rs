//! Filling the file from what the app has long known: the vids in its users table, a HubSpot export.
//!
//! The same rows as `apply` would make, at a third of the statements: a row whose user and contact are both unknown is
//! inserted at once, every other becomes events. `tests::import` holds the two ways against each other.

use std::collections::BTreeSet;

use rusqlite::{CachedStatement, Connection, params};

use super::apply::apply;
use super::base::{filled, key};
use super::history::{log, log_everybody};
use super::link::drop_empty;
use super::lookup::{check_free, link_of};
use crate::email::Fingerprint;
use crate::error::{Error, Result};
use crate::event::{Event, Millis, What};
use crate::identity::{UserKey, Vid};

/// Up to how many users a batch names each in the history, so that only they leave the tables of other processes. A
/// larger batch empties the tables, which costs less than to read of so many.
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
    /// True while the file has no merge, deletion, erasure, buried email or second link. Only then may a row be
    /// inserted at once: if neither its user nor its contact is there, nothing else in the file depends on it. An
    /// answer of the tables may have an email that is buried without the contact that was erased.
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
                "SELECT NOT (EXISTS (SELECT 1 FROM past) OR EXISTS (SELECT 1 FROM erased) OR EXISTS (SELECT 1 FROM link)
                   OR EXISTS (SELECT 1 FROM buried))",
            )?
            .query_row([], |row| row.get(0))?;
        Ok(Self { tx, contact, user, plain })
    }

    /// Takes users in, and says how many: the others' contacts are another user's, and nothing of theirs was written.
    ///
    /// First the contacts in the order given, then the users in the order of their keys: a page of a B-tree is then
    /// written once for all that goes into it, where random UUIDs would come back to each again and again. Rows whose
    /// user or contact is known become events at the end, in the order given.
    pub(crate) fn put(&mut self, batch: &[Known<'_>]) -> Result<u64> {
        let named = batch.len() <= NAMED_AT_MOST;
        if !named {
            log_everybody(self.tx)?;
        }
        let mut new = Vec::with_capacity(batch.len());
        let mut events = Vec::new();
        for (at_row, known) in batch.iter().enumerate() {
            let &Known { user, vid, email } = known;
            let (print, at) = (email.map(|(print, _)| print.0), email.map(|(_, at)| at));
            if self.plain && self.contact.execute(params![vid.get(), user, print, at])? == 1 {
                new.push((at_row, known));
            } else {
                events.push((at_row, known));
            }
        }
        new.sort_unstable_by_key(|(at_row, known)| (*known.user.repr(), *at_row));
        // Whom a row names that becomes events is left to events altogether: which of two links is the first counts.
        let met: BTreeSet<_> = filled(events.iter().map(|(_, known)| *known.user.repr()));
        let mut taken = 0;
        for (at_row, known) in new {
            let alone = !met.contains(known.user.repr());
            if alone && self.user.execute(params![known.user, known.vid.get()])? == 1 {
                taken += 1;
                if named {
                    log(self.tx, &key(known.user), What::Linked, Some(known.vid.get()), 0)?;
                }
            } else {
                // The user is known already: events decide which link stands.
                self.tx.prepare_cached("UPDATE contact SET user = NULL WHERE vid = ?1")?.execute([known.vid.get()])?;
                drop_empty(self.tx, known.vid.get())?;
                events.push((at_row, known));
            }
        }
        // In the order given: of two users with one contact the first has it.
        events.sort_unstable_by_key(|(at_row, _)| *at_row);
        for (_, known) in events {
            taken += u64::from(self.put_events(known)?);
        }
        Ok(taken)
    }

    /// One user, by way of `apply`. False: the contact is another user's.
    fn put_events(&self, known: &Known<'_>) -> Result<bool> {
        let &Known { user, vid, email } = known;
        match check_free(self.tx, user, vid) {
            Err(Error::VidTaken { .. }) => return Ok(false),
            free => free?,
        }
        // A link that was made stands, and so does the external id that pages have given since.
        if link_of(self.tx, user)?.is_none() {
            apply(self.tx, &Event::Linked { user, vid, at: 0 })?;
        }
        if let Some((print, at)) = email {
            apply(self.tx, &Event::EmailObserved { vid, email: Some(print), at, read_at: None })?;
        }
        Ok(true)
    }
}
