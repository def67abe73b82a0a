//! What an API answer says of contacts: the facts that every shape of an answer comes down to.

use std::time::Duration;

use crate::email::Email;
use crate::event::Millis;
use crate::identity::Vid;
use crate::refusal::Refusal;

/// What HubSpot answered.
// Made once for a call and taken apart at once: nothing holds a row of these.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// One contact: created, read, updated, merged or deleted.
    Contact(Contact),
    /// A search, a batch read or a batch upsert.
    Contacts(Contacts),
    /// 409, or a 400 that means the same: another contact, where it is named, holds the email.
    Conflict { vid: Option<Vid> },
    /// 404, in HubSpot's own words.
    Missing,
    /// 400: HubSpot will not take the email, however often it is told.
    Refused { why: Refusal },
    /// 429, and how long that limit lasts at most, where it is known.
    RateLimited { retry_after: Option<Duration> },
    /// The call was carried out, and the answer says no more: a 204 without a body, or a v1 merge's text `SUCCESS`.
    Done,
}

/// A contact as an answer describes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Contact {
    /// The id that is alive: `canonical-vid` where the answer has one.
    pub(crate) vid: Vid,
    /// The id that was asked for, where the answer repeats it and it is not the living one.
    pub(crate) asked: Option<Vid>,
    /// The portal, where the answer names it.
    pub(crate) portal: Option<Vid>,
    /// Whether this call made the contact, where the answer says so.
    pub(crate) created: Option<bool>,
    /// Whether the contact is in the archive, or this call put it there. Then it holds no email that a page may name.
    pub(crate) deleted: bool,
    /// A time, of HubSpot's clock, at which all this was so.
    pub(crate) at: Option<Millis>,
    /// Which email it holds, and a time at which it held it. `None` when the answer lacks either.
    pub(crate) email: Option<EmailFact>,
    /// The contact's other emails. `None` when the answer does not speak of them.
    pub(crate) secondary: Option<Vec<Email>>,
    /// Ids that were merged into it, `asked` among them, each once; not necessarily all.
    pub(crate) merged: Vec<Vid>,
}

/// HubSpot held this email (or none that could be named) at this time of its own clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct EmailFact {
    pub(crate) email: Option<Email>,
    pub(crate) at: Millis,
}

/// Contacts in no particular order, and what was asked for in vain.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Contacts {
    pub(crate) contacts: Vec<Contact>,
    /// The ids that HubSpot says it has no contact for.
    pub(crate) missing: Vec<Vid>,
    /// How many it has no contact for that were not asked for by id, but by email, say.
    pub(crate) missing_unnamed: usize,
}
