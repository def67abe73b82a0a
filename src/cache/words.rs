//! HubSpot's words as they are kept: emails become fingerprints here, under the key of the file or of the tables.

use rusqlite::Connection;

use crate::email::{Email, Fingerprint, FingerprintKey};
use crate::error::{Error, Result};
use crate::event::{ChangeToken, Clash, Event, Millis};
use crate::hubspot::fact::{Answer, Contact};
use crate::hubspot::response;
use crate::hubspot::webhook::Notice;
use crate::identity::{UserKey, Vid};
use crate::refusal::Refusal;
use crate::rows::Known;
use crate::rows::learn::{self, Clock, Described, Link};

/// How much HubSpot's clock may be ahead of the app's, in milliseconds.
pub(super) const CLOCKS_APART: Millis = 5_000;

/// How far HubSpot's clock may be ahead of ours: as far as it may be for a webhook's signature. No time zone is as near
/// to another.
const CLOCKS_DIFFER: Millis = 5 * 60 * 1000;

/// What [`Vidcache::apply_webhook`](crate::Vidcache::apply_webhook) did with the events of a body.
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

/// What [`Vidcache::observe`](crate::Vidcache::observe) learnt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Observed {
    /// The contacts that the answer described, by the ids that live.
    pub contacts: Vec<Vid>,
    /// The ids for which HubSpot says it has no contact. No page names their emails any more, unless HubSpot says
    /// something newer of them. An id that is neither here nor in `contacts` although it was asked for was merged into
    /// another: HubSpot leaves it out without a word. Read it by itself and observe that.
    pub missing: Vec<Vid>,
}

/// A user whom [`Vidcache::import`](crate::Vidcache::import) takes in.
#[derive(Debug, Clone, Copy)]
pub struct Imported<'a> {
    /// The user.
    pub user: UserKey<'a>,
    /// Their contact.
    pub vid: Vid,
    /// The email that HubSpot held for it, and when (`updatedAt`, in milliseconds), if known.
    pub email: Option<(Email, Millis)>,
}

/// What [`Vidcache::record`](crate::Vidcache::record) learnt.
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

/// What an answer says of contacts, without saying whose they are.
pub(super) struct Seen {
    pub(super) described: Vec<Described>,
    pub(super) missing: Vec<Vid>,
}

impl Seen {
    /// What is told of it once it is committed.
    pub(super) fn observed(&self) -> Observed {
        Observed { contacts: self.described.iter().map(|one| one.vid).collect(), missing: self.missing.clone() }
    }
}

/// Whose fingerprints, and of which portal the words must be.
pub(super) struct Words<'a> {
    pub(super) key: &'a FingerprintKey,
    pub(super) portal: Vid,
}

/// What an answer about one user says.
pub(super) enum Told {
    /// HubSpot has no such contact.
    Missing,
    /// Another contact holds the email: this one, if HubSpot says which.
    Held(Option<Vid>),
    /// HubSpot will never take the email.
    Refused(Refusal),
    Contact(Described, Recorded),
}

impl Words<'_> {
    /// Reads an answer about a user, which finishes the change if there is one.
    ///
    /// # Errors
    /// Those of an answer that says nothing to be kept.
    pub(super) fn told(&self, answer: &[u8], change: Option<ChangeToken>) -> Result<Told> {
        let contact = match response::contact(answer) {
            Err(Error::ContactMissing) => return Ok(Told::Missing),
            Err(Error::ContactConflict { vid }) => return Ok(Told::Held(vid)),
            Err(Error::Refused { why }) => return Ok(Told::Refused(why)),
            read => read?,
        };
        self.check_portal(&contact)?;
        if change.is_some() && contact.email.is_none() {
            return Err(Error::AnswerWithoutEmail);
        }
        let recorded = Recorded {
            vid: contact.vid,
            canonical: contact.asked.is_none(),
            created: contact.created,
            email_observed: contact.email.is_some(),
        };
        Ok(Told::Contact(self.described(&contact), recorded))
    }

    /// Reads an answer about contacts.
    ///
    /// # Errors
    /// Those of an answer that says nothing to be kept.
    pub(super) fn seen(&self, answer: &[u8]) -> Result<Seen> {
        let (contacts, missing) = match response::answer(answer)? {
            Answer::Contact(contact) => (vec![contact], Vec::new()),
            Answer::Contacts(list) => (list.contacts, list.missing),
            Answer::Done => (Vec::new(), Vec::new()),
            Answer::Conflict { vid } => return Err(Error::ContactConflict { vid }),
            Answer::Missing => return Err(Error::ContactMissing),
            Answer::Refused { why } => return Err(Error::Refused { why }),
            Answer::RateLimited { retry_after } => return Err(Error::RateLimited { retry_after }),
        };
        contacts.iter().try_for_each(|contact| self.check_portal(contact))?;
        Ok(Seen { described: contacts.iter().map(|contact| self.described(contact)).collect(), missing })
    }

    /// A user as the app has long known them.
    ///
    /// # Errors
    /// [`Error::InvalidAnswer`] for a time of an email that cannot be.
    pub(super) fn known<'a>(&self, row: &Imported<'a>, now: Millis) -> Result<Known<'a>> {
        if row.email.is_some_and(|(_, at)| at < 0) {
            return Err(Error::InvalidAnswer("the time of an email is before 1970".into()));
        }
        if row.email.is_some_and(|(_, at)| at > now + CLOCKS_DIFFER) {
            return Err(Error::InvalidAnswer(
                "the time of an email is in the future, so that all that HubSpot says until then would count as \
                 older: it is in milliseconds since 1970 UTC, and a time zone may be missing"
                    .into(),
            ));
        }
        let email = row.email.map(|(email, at)| (self.fingerprint(&email), at));
        Ok(Known { user: row.user, vid: row.vid, email })
    }

    /// Writes down what was told of a user at `now`: what the caller hears of it once that is committed, and whether a
    /// contact was named that is erased.
    pub(super) fn learn(
        &self,
        rows: &Connection,
        user: UserKey<'_>,
        told: &Told,
        change: Option<ChangeToken>,
        (clock, now): (Clock, Millis),
    ) -> Result<(Result<Recorded>, bool)> {
        let error = match told {
            Told::Contact(described, recorded) => {
                let learnt = learn::record(rows, user, described, change, clock)?;
                learnt.erased.note(rows, |user| self.key.mark(user))?;
                let heard = match learnt.link {
                    Link::Refused(error) => Err(error),
                    Link::Settled => Ok(*recorded),
                };
                return Ok((heard, learnt.erased.any));
            }
            Told::Missing => {
                learn::found_none(rows, user, clock)?;
                Error::ContactMissing
            }
            &Told::Held(vid) => {
                learn::conflicted(rows, user, vid, Clash::EmailHeld, now)?;
                Error::ContactConflict { vid }
            }
            &Told::Refused(why) => {
                learn::refused(rows, user, change, why, now, now + CLOCKS_APART)?;
                Error::Refused { why }
            }
        };
        Ok((Err(error), false))
    }

    /// Writes down what a webhook's notices tell, heard by the clock `now`: what became of each, and whether a contact
    /// was erased by one of them.
    pub(super) fn hear(
        &self,
        rows: &Connection,
        notices: &[Notice],
        now: impl Fn() -> Millis,
    ) -> Result<(WebhookReport, bool)> {
        let (mut report, mut erased) = (WebhookReport::default(), false);
        for notice in notices {
            let mut changed = false;
            for event in &self.events(notice, now()) {
                let told = learn::tell(rows, event, now())?;
                changed |= told.changed;
                erased |= told.erased.any;
                told.erased.note(rows, |user| self.key.mark(user))?;
            }
            match changed {
                true => report.applied += 1,
                false => report.repeated += 1,
            }
        }
        Ok((report, erased))
    }

    /// What a notice tells that is heard now.
    fn events(&self, notice: &Notice, heard: Millis) -> Vec<Event<'static>> {
        match *notice {
            Notice::EmailChanged { vid, email, at } => {
                let email = email.map(|email| self.fingerprint(&email));
                vec![Event::EmailObserved { vid, email, at, read_at: None }]
            }
            Notice::Merged { ref from, into, at, born } => {
                from.iter().map(|&old| Event::Merged { old, into, at, born, heard }).collect()
            }
            Notice::Deleted { vid, at } => vec![Event::Deleted { vid, at }],
            Notice::Restored { vid, at } => vec![Event::Restored { vid, at }],
            Notice::Erased { vid } => vec![Event::Erased { vid }],
        }
    }

    /// What an answer says of a contact, without its emails: they stay outside.
    pub(super) fn described(&self, contact: &Contact) -> Described {
        Described {
            vid: contact.vid,
            merged: contact.merged.clone(),
            deleted: contact.deleted,
            email: contact.email.map(|fact| (fact.email.map(|email| self.fingerprint(&email)), fact.at)),
            secondary: contact.secondary.iter().flatten().map(|email| self.fingerprint(email)).collect(),
            at: contact.at,
        }
    }

    pub(super) fn fingerprint(&self, email: &Email) -> Fingerprint {
        self.key.fingerprint(email.as_str())
    }

    /// An answer of another portal, asked for with another account's token, is about other contacts of the same ids.
    pub(super) fn check_portal(&self, contact: &Contact) -> Result<()> {
        match contact.portal {
            Some(portal) if portal != self.portal => {
                Err(Error::InvalidAnswer("field portal-id: it is of another portal".into()))
            }
            _ => Ok(()),
        }
    }
}
