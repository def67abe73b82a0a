//! The way in: what the app and HubSpot say.

use vidcache::in_database::ImportedRow;
use vidcache::{ChangeToken, Error, Imported, UserKey, Vid};

use crate::cache::Vidcache;
use crate::edge::edge;
use crate::error::VidcacheError;
use crate::lookup;

/// What `record` learnt.
#[derive(Debug, uniffi::Record)]
pub struct Recorded {
    /// The contact that the answer described.
    pub vid: i64,
    /// Whether that is the id that was asked for; if not, that one was merged into it.
    pub canonical: bool,
    /// Whether the call made the contact, if the answer says so.
    pub created: Option<bool>,
    /// Whether the answer said which email the contact holds, and since when.
    pub email_observed: bool,
}

/// What `observe` learnt.
#[derive(Debug, uniffi::Record)]
pub struct Observed {
    /// The contacts that the answer described.
    pub contacts: Vec<i64>,
    /// The ids for which HubSpot says it has no contact.
    pub missing: Vec<i64>,
}

/// What `apply_webhook` did with the events of a body.
#[derive(Debug, uniffi::Record)]
pub struct WebhookReport {
    /// Events that told something new.
    pub applied: u64,
    /// Events that came before, or were overtaken.
    pub repeated: u64,
    /// Events of other kinds.
    pub ignored: u64,
}

/// A user whom `import_users` takes in.
#[derive(uniffi::Record)]
pub struct ImportRow {
    /// The user.
    pub user: String,
    /// Their contact.
    pub vid: i64,
    /// The email that HubSpot held for it, if known.
    pub email: Option<String>,
    /// Since when, HubSpot's updatedAt: milliseconds since 1970 UTC.
    pub email_at_ms: i64,
}

/// What `import_users` did.
#[derive(Debug, uniffi::Record)]
pub struct ImportReport {
    /// Users taken in, or known already.
    pub imported: u64,
    /// Users left out because another user has their contact.
    pub vid_taken: u64,
}

impl From<vidcache::Recorded> for Recorded {
    fn from(done: vidcache::Recorded) -> Self {
        let vidcache::Recorded { vid, canonical, created, email_observed, .. } = done;
        Self { vid: vid.get(), canonical, created, email_observed }
    }
}

impl From<vidcache::Observed> for Observed {
    fn from(done: vidcache::Observed) -> Self {
        let ids = |vids: Vec<Vid>| vids.into_iter().map(Vid::get).collect();
        Self { contacts: ids(done.contacts), missing: ids(done.missing) }
    }
}

impl From<vidcache::WebhookReport> for WebhookReport {
    fn from(done: vidcache::WebhookReport) -> Self {
        Self { applied: done.applied, repeated: done.repeated, ignored: done.ignored }
    }
}

impl From<vidcache::ImportReport> for ImportReport {
    fn from(done: vidcache::ImportReport) -> Self {
        Self { imported: done.imported, vid_taken: done.vid_taken }
    }
}

/// The rows as the core takes them in.
pub(crate) fn imported(rows: &[ImportRow]) -> Result<Vec<Imported<'_>>, Error> {
    rows.iter()
        .map(|row| {
            let email = lookup::email(row.email.as_deref())?.map(|email| (email, row.email_at_ms));
            Ok(Imported { user: UserKey::text(&row.user)?, vid: Vid::try_from(row.vid)?, email })
        })
        .collect()
}

/// A row that borrows nothing.
pub(crate) fn row(row: ImportRow) -> Result<ImportedRow, Error> {
    let email = lookup::email(row.email.as_deref())?.map(|email| (email, row.email_at_ms));
    Ok(ImportedRow { user: row.user, vid: Vid::try_from(row.vid)?, email })
}

#[uniffi::export]
impl Vidcache {
    /// Says that the user is this contact.
    ///
    /// # Errors
    /// `invalid_user_key`, `invalid_vid`, `vid_taken`, `busy`, `storage`, `corrupt`, `closed`; nothing is written then.
    pub fn link(&self, user: &str, vid: i64) -> Result<(), VidcacheError> {
        edge(|| self.0.link(UserKey::text(user)?, Vid::try_from(vid)?))
    }

    /// Links the user to a contact that may be another user's too: the explicit choice that they share it.
    ///
    /// # Errors
    /// As `link`, without `vid_taken`.
    pub fn link_shared(&self, user: &str, vid: i64) -> Result<(), VidcacheError> {
        edge(|| self.0.link_shared(UserKey::text(user)?, Vid::try_from(vid)?))
    }

    /// Records what a HubSpot API call about the user answered, and finishes the change where one is named.
    ///
    /// # Errors
    /// `invalid_answer`, `answer_without_id`, `answer_without_email`, `contact_conflict`, `contact_missing`,
    /// `rate_limited`, `refused`, `hubspot_error`, `unknown_change`, `foreign_change`, and as `link`; nothing about the
    /// user is written then, but `refused` has ended the change.
    ///
    /// `asked_at_ms` is when the call was begun, in milliseconds since 1970 UTC by the app's clock: an answer to a call
    /// that was begun 5 s after a merge, a deletion, a restoration or a 404 was heard, or later, is believed although
    /// HubSpot's own time of the contact has not moved.
    #[uniffi::method(default(change = None, asked_at_ms = None))]
    pub fn record(
        &self,
        user: &str,
        answer: Vec<u8>,
        change: Option<i64>,
        asked_at_ms: Option<i64>,
    ) -> Result<Recorded, VidcacheError> {
        edge(|| {
            let (user, change) = (UserKey::text(user)?, change.map(ChangeToken::try_from).transpose()?);
            let done = match asked_at_ms {
                Some(asked_at) => self.0.record_read(user, &answer, change, asked_at)?,
                None => self.0.record(user, &answer, change)?,
            };
            Ok(done.into())
        })
    }

    /// Takes in what an answer says of contacts, without saying whose they are. `asked_at_ms` as for `record`; not for
    /// a search.
    ///
    /// # Errors
    /// As `record`, of those that are not about a user or a change.
    #[uniffi::method(default(asked_at_ms = None))]
    pub fn observe(&self, answer: Vec<u8>, asked_at_ms: Option<i64>) -> Result<Observed, VidcacheError> {
        edge(|| {
            let done = match asked_at_ms {
                Some(asked_at) => self.0.observe_read(&answer, asked_at)?,
                None => self.0.observe(&answer)?,
            };
            Ok(done.into())
        })
    }

    /// Takes in the body of a webhook, whose signature was checked: all of it, or what of it erases a contact.
    ///
    /// # Errors
    /// `invalid_webhook`, and as `begin_email_change`.
    pub fn apply_webhook(&self, body: Vec<u8>) -> Result<WebhookReport, VidcacheError> {
        edge(|| Ok(self.0.apply_webhook(&body)?.into()))
    }

    /// Takes in what the app has long known.
    ///
    /// # Errors
    /// The code of the first row whose user, vid or email cannot be right, before anything is written; `invalid_answer`
    /// for a time that is not from 1970 to 9999, when whole 100,000s of rows before it stay; else as `link`.
    pub fn import_users(&self, rows: Vec<ImportRow>) -> Result<ImportReport, VidcacheError> {
        edge(|| Ok(self.0.import(imported(&rows)?.into_iter().map(Ok))?.into()))
    }
}
