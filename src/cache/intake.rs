//! What comes in from HubSpot and from the app's own tables: from facts to events.

use rusqlite::Connection;

use super::{Vidcache, link, now};
use crate::email::Email;
use crate::error::{Error, Result};
use crate::event::{ChangeToken, Event, LATEST, Millis};
use crate::hubspot::response::{self, Answer, Contact};
use crate::hubspot::webhook::{self, Notice};
use crate::identity::{UserKey, Vid};
use crate::rows;

/// What [`Vidcache::record`] learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded {
    /// The contact that the answer described: the user's now, unless HubSpot has said something newer of another one.
    pub vid: Vid,
    /// Whether that is the id that was asked for. If not, the id that was asked for was merged into it.
    pub canonical: bool,
    /// Whether the call made the contact, if the answer says so.
    pub created: Option<bool>,
    /// Whether the answer said which email that contact holds, and since when. Without that no
    /// page names an email on the strength of it.
    pub email_observed: bool,
}

/// What [`Vidcache::observe`] learnt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Observed {
    /// The contacts that the answer described, by the ids that live.
    pub contacts: Vec<Vid>,
    /// The ids for which HubSpot says it has no contact. No page names their emails any more, unless HubSpot says something
    /// newer of them. An id that is neither here nor in `contacts` although it was asked for was merged into another: HubSpot
    /// leaves it out without a word. Read it by itself and observe that.
    pub missing: Vec<Vid>,
}

/// What [`Vidcache::apply_webhook`] did with the events of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct WebhookReport {
    /// Events that told something new.
    pub applied: u64,
    /// Events that came before, or were overtaken by something newer.
    pub repeated: u64,
    /// Events of other types, objects, properties or portals.
    pub ignored: u64,
}

/// A user whom [`Vidcache::import`] takes in.
#[derive(Debug, Clone, Copy)]
pub struct Imported<'a> {
    /// The user.
    pub user: UserKey<'a>,
    /// Their contact.
    pub vid: Vid,
    /// The email that HubSpot held for it, and when (`updatedAt`, in milliseconds), if known.
    pub email: Option<(Email, Millis)>,
}

/// What [`Vidcache::import`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportReport {
    /// Users taken in, or known already.
    pub imported: u64,
    /// Users left out because another user has their contact.
    pub vid_taken: u64,
}

/// Rows to a transaction: enough that many go into a page each time it is written (random UUIDs: 95,000 rows a second
/// with 10,000, 200,000 with this), few enough that others need not wait a second.
const IMPORT_BATCH: usize = 100_000;

impl Vidcache {
    /// Records what a HubSpot API call about the user answered: the body of a v1 `createOrUpdate`, profile or delete
    /// answer, of a v3 contact (create, get, update, merge), or of a search or batch that found one. They are told apart by
    /// shape.
    ///
    /// With the token of a change it also finishes that change. That takes an answer that says which email
    /// the contact holds and since when, read after HubSpot was told: an answer without a time could have
    /// been overtaken by another worker's. Recording the same answer again changes nothing, and neither
    /// does an older answer that comes late. Of a contact that was erased for privacy nothing is recorded.
    ///
    /// # Errors
    /// [`Error::ContactConflict`]: another contact holds the email; nothing was changed at HubSpot, the change is still
    /// outstanding, and the two contacts may want merging. [`Error::ContactMissing`]: HubSpot found none; no page names
    /// the email of the user's contact until an answer that is newer is recorded. [`Error::RateLimited`]: as HubSpot answered.
    /// [`Error::InvalidAnswer`], [`Error::AnswerWithoutId`], [`Error::AnswerWithoutEmail`], [`Error::UnknownChange`],
    /// [`Error::ForeignChange`], [`Error::Busy`], [`Error::Cancelled`], [`Error::Storage`], [`Error::Corrupt`],
    /// [`Error::Closed`]. With all but `ContactMissing` nothing is written. [`Error::VidTaken`]: nothing about the
    /// user is written, but what HubSpot said of the contact is believed, whoever has it. [`Error::Busy`] for an answer that
    /// names an erased contact: as with [`Vidcache::apply_webhook`], call again.
    pub fn record(&self, user: UserKey<'_>, answer: &[u8], change: Option<ChangeToken>) -> Result<Recorded> {
        let contact = match response::contact(answer) {
            Err(Error::ContactMissing) => {
                self.store.write(|tx| doubt(tx, user))?;
                return Err(Error::ContactMissing);
            }
            read => read?,
        };
        self.check_portal(&contact)?;
        if change.is_some() && contact.email.is_none() {
            return Err(Error::AnswerWithoutEmail);
        }
        let about_user = |tx: &Connection| -> Result<()> {
            let outstanding = change.map_or(Ok(false), |token| rows::is_outstanding(tx, user, token))?;
            let overtaken = match contact.email {
                Some(fact) if !outstanding => rows::is_overtaken(tx, user, contact.vid, fact.at)?,
                _ => false,
            };
            if !overtaken {
                rows::check_free(tx, user, contact.vid)?;
                link(tx, user, contact.vid)?;
            }
            match change {
                Some(token) => rows::apply(tx, &Event::ChangeFinished { user, token, at: now() }),
                None => Ok(()),
            }
        };
        let (erased, done) = self.store.write(|tx| {
            // What HubSpot says of a contact is believed, whoever has the contact.
            let erased = self.take_in(tx, &contact)?;
            match about_user(tx) {
                Err(refused @ Error::VidTaken { .. }) => Ok((erased, Err(refused))),
                done => done.map(|()| (erased, Ok(()))),
            }
        })?;
        if erased {
            self.store.empty_wal()?;
        }
        done?;
        Ok(Recorded {
            vid: contact.vid,
            canonical: contact.asked.is_none(),
            created: contact.created,
            email_observed: contact.email.is_some(),
        })
    }

    /// Takes in what an answer says of contacts, without saying whose they are: of a search, a batch read or upsert,
    /// or of any call that [`Vidcache::record`] understands. One transaction.
    ///
    /// # Errors
    /// As [`Vidcache::record`], of those that are not about a user or a change. Nothing is written then.
    pub fn observe(&self, answer: &[u8]) -> Result<Observed> {
        let (contacts, missing) = match response::answer(answer)? {
            Answer::Contact(contact) => (vec![contact], Vec::new()),
            Answer::Contacts(list) => (list.contacts, list.missing),
            Answer::Done => return Ok(Observed::default()),
            Answer::Conflict { vid } => return Err(Error::ContactConflict { vid }),
            Answer::Missing => return Err(Error::ContactMissing),
            Answer::RateLimited { retry_after } => return Err(Error::RateLimited { retry_after }),
        };
        contacts.iter().try_for_each(|contact| self.check_portal(contact))?;
        if !contacts.is_empty() || !missing.is_empty() {
            let erased = self.store.write(|tx| {
                missing.iter().try_for_each(|&vid| deleted(tx, vid, None))?;
                contacts.iter().try_fold(false, |erased, contact| Ok(self.take_in(tx, contact)? || erased))
            })?;
            if erased {
                self.store.empty_wal()?;
            }
        }
        Ok(Observed { contacts: contacts.iter().map(|contact| contact.vid).collect(), missing })
    }

    /// Takes in the body of a webhook: up to some hundred events, in any order, however often they come. All of it in
    /// one transaction, or none but its erasures. Check the signature first ([`signature::verify`]).
    ///
    /// When an event says that a contact was erased for privacy, or was merged with one that was, then on return nothing
    /// of the contact is left, nor of users who were linked to it alone: not in the file, its free pages or its log. That
    /// takes a look at every contact, seconds at ten million.
    ///
    /// # Errors
    /// [`Error::InvalidWebhook`]: an event that matters cannot be read, and the same body will fail again. Of its other events
    /// those were taken in that erase a contact, and nothing else was written. Others as [`Vidcache::begin_email_change`]:
    /// answer HubSpot with a 5xx, so that it sends the body again.
    ///
    /// [`signature::verify`]: crate::signature::verify
    pub fn apply_webhook(&self, body: &[u8]) -> Result<WebhookReport> {
        let batch = webhook::notices(body, self.portal)?;
        let (mut report, mut erased) = (WebhookReport::default(), false);
        if !batch.notices.is_empty() {
            (report, erased) = self.store.write(|tx| {
                let (mut report, mut erased) = (WebhookReport::default(), false);
                for notice in &batch.notices {
                    let before = tx.total_changes();
                    self.notice(tx, notice, &mut erased)?;
                    match tx.total_changes() == before {
                        true => report.repeated += 1,
                        false => report.applied += 1,
                    }
                }
                Ok((report, erased))
            })?;
        }
        if erased {
            // Even if it came before: that time it may not have come this far.
            self.store.empty_wal()?;
        }
        report.ignored += batch.ignored as u64;
        batch.refused.map_or(Ok(report), Err)
    }

    /// Sets `erased` when somebody was, now or before.
    fn notice(&self, tx: &Connection, notice: &Notice, erased: &mut bool) -> Result<()> {
        match *notice {
            Notice::EmailChanged { vid, email, at } => {
                let email = email.map(|email| self.store.key().fingerprint(&email));
                rows::apply(tx, &Event::EmailObserved { vid, email, at })?;
                // Another contact that held it does so no more.
                *erased |= rows::is_erased(tx, vid)?;
            }
            Notice::Merged { ref from, into, at, born } => {
                for &old in from {
                    *erased |= rows::merge(tx, &Event::Merged { old, into, at, born })?;
                }
            }
            Notice::Deleted { vid, at } => rows::apply(tx, &Event::Deleted { vid, at })?,
            Notice::Restored { vid, at } => rows::apply(tx, &Event::Restored { vid, at })?,
            Notice::Erased { vid } => {
                rows::erase(tx, vid)?;
                *erased = true;
            }
        }
        Ok(())
    }

    /// An answer of another portal, asked for with another account's token, is about other contacts of the same ids.
    fn check_portal(&self, contact: &Contact) -> Result<()> {
        match contact.portal {
            Some(portal) if portal != self.portal => {
                Err(Error::InvalidAnswer("field portal-id: it is of another portal".into()))
            }
            _ => Ok(()),
        }
    }

    /// What an answer says of one contact. True: it is part of one that was erased, so nothing of it may stay.
    fn take_in(&self, tx: &Connection, contact: &Contact) -> Result<bool> {
        let &Contact { vid: into, at, email, .. } = contact;
        // When these were merged it does not say, nor by which merge.
        let mut erased = rows::is_erased(tx, into)?;
        for &old in &contact.merged {
            erased |= rows::merge(tx, &Event::Merged { old, into, at: 0, born: false })?;
        }
        if contact.deleted {
            deleted(tx, into, at)?;
        }
        if let Some(fact) = email {
            let email = fact.email.map(|email| self.store.key().fingerprint(&email));
            rows::apply(tx, &Event::EmailObserved { vid: into, email, at: fact.at })?;
        }
        for email in contact.secondary.iter().flatten() {
            let email = self.store.key().fingerprint(email);
            rows::apply(tx, &Event::SecondaryObserved { vid: into, email, at: at.unwrap_or(0) })?;
        }
        Ok(erased)
    }

    /// Takes in what the app has long known: users and their contacts, and which email HubSpot held at
    /// which time, if the source says so. For a first fill: half a million rows a second, 100,000 to a
    /// transaction, others' writes in between. A link that was made by [`Vidcache::link`] or
    /// [`Vidcache::record`] stands against an imported one, and so does a later email. Importing again changes nothing.
    ///
    /// # Errors
    /// [`Error::InvalidAnswer`] for a time of an email that is not from 1970 to 9999; [`Error::Busy`], [`Error::Cancelled`],
    /// [`Error::Storage`], [`Error::Corrupt`], [`Error::Closed`]; the first error of `users`. Whole transactions before it stay.
    pub fn import<'a>(&self, users: impl IntoIterator<Item = Result<Imported<'a>>>) -> Result<ImportReport> {
        let mut report = ImportReport::default();
        let mut users = users.into_iter();
        loop {
            let known = |row: Imported<'a>| {
                if row.email.is_some_and(|(_, at)| !(0..=LATEST).contains(&at)) {
                    return Err(Error::InvalidAnswer("the time of an email is not from 1970 to 9999".into()));
                }
                let email = row.email.map(|(email, at)| (self.store.key().fingerprint(&email), at));
                Ok(rows::Known { user: row.user, vid: row.vid, email })
            };
            let batch = users.by_ref().take(IMPORT_BATCH).map(|row| row.and_then(known)).collect::<Result<Vec<_>>>()?;
            if batch.is_empty() {
                return Ok(report);
            }
            let taken = self.store.write(|tx| rows::Import::new(tx)?.put(&batch))?;
            report.imported += taken;
            report.vid_taken += batch.len() as u64 - taken;
        }
    }
}

/// HubSpot found no contact. If it was the user's that was asked for, their email would make a new one; if not, they say
/// less until HubSpot says something newer. Nobody can tell which, and the answer has no time: so this is said at the time of what
/// was said last, and of two things at one time neither counts.
fn doubt(tx: &Connection, user: UserKey<'_>) -> Result<()> {
    if let Some((vid, _)) = rows::link_of(tx, user)?
        && let Some(at) = rows::last_observed(tx, vid)?
    {
        rows::apply(tx, &Event::EmailObserved { vid, email: None, at })?;
    }
    Ok(())
}

/// HubSpot said that the contact is gone. Without a time that is newer than all that is known of it: HubSpot's clock may be
/// ahead of ours.
fn deleted(tx: &Connection, vid: Vid, at: Option<Millis>) -> Result<()> {
    let at = match at {
        Some(at) => at,
        None => now().max(rows::last_observed(tx, vid)?.unwrap_or(0)),
    };
    rows::apply(tx, &Event::Deleted { vid, at })
}
