//! What comes in from HubSpot and from the app: bytes become facts here, and `rows::learn` makes events of them.

use super::words::{Imported, Observed, Recorded, WebhookReport, Words};
use super::{Vidcache, now};
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::event::{ChangeToken, Millis};
use crate::hubspot::webhook;
use crate::identity::UserKey;
use crate::rows::Import;
use crate::rows::learn::{self, Clock};

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
    /// answer, of a v3 contact (create, get, update, merge), or of a search or batch that found one. They are told
    /// apart by shape.
    ///
    /// With the token of a change it also finishes that change. That takes an answer that says which email
    /// the contact holds and since when, read after HubSpot was told: an answer without a time could have
    /// been overtaken by another worker's. Recording the same answer again changes nothing, and neither
    /// does an older answer that comes late. Of a contact that was erased for privacy nothing is recorded.
    ///
    /// # Errors
    /// [`Error::ContactConflict`]: another contact holds the email; nothing was changed at HubSpot, the change is still
    /// outstanding, and the two contacts may want merging. [`Error::ContactMissing`]: HubSpot found none; no page names
    /// the email of the user's contact until an answer that is newer is recorded. [`Error::Refused`]: HubSpot will not
    /// take the email however often it is told, so the change has ended, the reason is kept for [`Vidcache::explain`],
    /// and no page names the email of the user's contact until an answer that is newer than the refusal is recorded.
    /// [`Error::RateLimited`], [`Error::HubspotError`]: as HubSpot answered; try again. [`Error::InvalidAnswer`],
    /// [`Error::AnswerWithoutId`], [`Error::AnswerWithoutEmail`], [`Error::UnknownChange`], [`Error::ForeignChange`],
    /// [`Error::Busy`], [`Error::Cancelled`], [`Error::Storage`], [`Error::Corrupt`], [`Error::Closed`]. With all but
    /// `ContactMissing` and `Refused` nothing is written. [`Error::VidTaken`]: nothing about the user is written, but
    /// what HubSpot said of the contact is believed, whoever has it. [`Error::Busy`] for an answer that names an erased
    /// contact: as with [`Vidcache::apply_webhook`], call again.
    pub fn record(&self, user: UserKey<'_>, answer: &[u8], change: Option<ChangeToken>) -> Result<Recorded> {
        self.take(user, answer, change, None)
    }

    /// [`Vidcache::record`] of an answer to a call that was begun at `asked_at`: milliseconds since 1970 by the app's
    /// clock, read before the call. After a merge, a deletion, a restoration, a 404 or [`Vidcache::forget`], what
    /// HubSpot said before does not count, and HubSpot's own time of the contact may not move for years. An answer to a
    /// call that was begun 5 s after that was heard, or later, is believed all the same. A time more than 5 s in the
    /// future says nothing.
    ///
    /// # Errors
    /// As [`Vidcache::record`].
    pub fn record_read(
        &self,
        user: UserKey<'_>,
        answer: &[u8],
        change: Option<ChangeToken>,
        asked_at: Millis,
    ) -> Result<Recorded> {
        self.take(user, answer, change, Some(asked_at))
    }

    fn take(
        &self,
        user: UserKey<'_>,
        answer: &[u8],
        change: Option<ChangeToken>,
        asked_at: Option<Millis>,
    ) -> Result<Recorded> {
        let clock = Clock::new(now(), asked_at);
        let words = self.words();
        let told = words.told(answer, change)?;
        let (heard, erased) = self.store.write(|tx| words.learn(tx, user, &told, change, (clock, now())))?;
        if erased {
            self.store.empty_wal()?;
        }
        heard
    }

    /// Takes in what an answer says of contacts, without saying whose they are: of a search, a batch read or upsert,
    /// or of any call that [`Vidcache::record`] understands. One transaction.
    ///
    /// # Errors
    /// As [`Vidcache::record`], of those that are not about a user or a change. Nothing is written then.
    pub fn observe(&self, answer: &[u8]) -> Result<Observed> {
        self.look(answer, None)
    }

    /// [`Vidcache::observe`] of an answer to a call that was begun at `asked_at`: see [`Vidcache::record_read`]. Not
    /// for a search, which finds contacts as they were a while ago.
    ///
    /// # Errors
    /// As [`Vidcache::observe`].
    pub fn observe_read(&self, answer: &[u8], asked_at: Millis) -> Result<Observed> {
        self.look(answer, Some(asked_at))
    }

    fn look(&self, answer: &[u8], asked_at: Option<Millis>) -> Result<Observed> {
        let clock = Clock::new(now(), asked_at);
        let seen = self.words().seen(answer)?;
        if !seen.described.is_empty() || !seen.missing.is_empty() {
            let erased = self.store.write_much(|tx| {
                let erased = learn::observe(tx, &seen.described, &seen.missing, clock)?;
                erased.note(tx, |user| self.store.key().mark(user))?;
                Ok(erased.any)
            })?;
            if erased {
                self.store.empty_wal()?;
            }
        }
        Ok(seen.observed())
    }

    /// Takes in the body of a webhook: up to some hundred events, in any order, however often they come. All of it in
    /// one transaction, or none but its erasures. Check the signature first ([`signature::verify`]).
    ///
    /// When an event says that a contact was erased for privacy, or was merged with one that was, then on return
    /// nothing of the contact is left, nor of users who were linked to it alone: not in the file, its free pages or its
    /// log. That takes a look at every contact, seconds at ten million.
    ///
    /// # Errors
    /// [`Error::InvalidWebhook`]: an event that matters cannot be read, and the same body will fail again. Of its other
    /// events those were taken in that erase a contact, and nothing else was written. Others as
    /// [`Vidcache::begin_email_change`]: answer HubSpot with a 5xx, so that it sends the body again.
    ///
    /// [`signature::verify`]: crate::signature::verify
    pub fn apply_webhook(&self, body: &[u8]) -> Result<WebhookReport> {
        let batch = webhook::notices(body, self.portal)?;
        let (mut report, mut erased) = (WebhookReport::default(), false);
        if !batch.notices.is_empty() {
            (report, erased) = self.store.write_much(|tx| self.words().hear(tx, &batch.notices, now))?;
        }
        if erased {
            // Even if it came before: that time it may not have come this far.
            self.store.empty_wal()?;
        }
        report.ignored += batch.ignored as u64;
        batch.refused.map_or(Ok(report), Err)
    }

    /// HubSpot's words, as this file keeps them.
    fn words(&self) -> Words<'_> {
        Words { key: self.store.key(), portal: self.portal }
    }

    /// Takes in what the app has long known: users and their contacts, and which email HubSpot held at
    /// which time, if the source says so. For a first fill: half a million rows a second, 100,000 to a
    /// transaction, others' writes in between. A link that was made by [`Vidcache::link`] or
    /// [`Vidcache::record`] stands against an imported one, and so does a later email. Importing again changes nothing.
    ///
    /// # Errors
    /// [`Error::InvalidAnswer`] for a time of an email that is before 1970, or more than five minutes in the future;
    /// [`Error::Busy`], [`Error::Cancelled`], [`Error::Storage`], [`Error::Corrupt`], [`Error::Closed`]; the first
    /// error of `users`. Whole transactions before it stay.
    pub fn import<'a>(&self, users: impl IntoIterator<Item = Result<Imported<'a>>>) -> Result<ImportReport> {
        let mut report = ImportReport::default();
        let mut users = users.into_iter();
        loop {
            let known = |row: Imported<'a>| self.words().known(&row, now());
            let batch = users.by_ref().take(IMPORT_BATCH).map(|row| row.and_then(known)).collect::<Result<Vec<_>>>()?;
            if batch.is_empty() {
                return Ok(report);
            }
            let taken = self.store.write_much(|tx| Import::new(tx)?.put(&batch))?;
            report.imported += taken;
            report.vid_taken += batch.len() as u64 - taken;
        }
    }
}
