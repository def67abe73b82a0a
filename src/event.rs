//! The one write vocabulary: every input becomes events, and `rows::apply` is all that
//! turns events into rows.
//!
//! Events may come in any order and more than once; the rows end the same. Each carries
//! what that takes: a time, or a token. Only what the app forgets has its place among the others.

use crate::email::Fingerprint;
use crate::error::{Error, Result};
use crate::identity::{UserKey, Vid};
use crate::refusal::Refusal;

/// Milliseconds since 1970-01-01 UTC.
pub type Millis = i64;

/// The latest time that HubSpot is believed, the end of the year 9999: RFC 3339 has none after it. Microseconds taken
/// for milliseconds are later than that, and all that is said afterwards would count as older.
pub(crate) const LATEST: Millis = 253_402_300_799_999;

/// Something that happened, in the app or at HubSpot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// The app says: this user is that contact. `at` is the app's clock; the latest wins.
    Linked { user: UserKey<'a>, vid: Vid, at: Millis },
    /// HubSpot said: this contact held that email (or none that a page could name) at that time.
    /// `at` is HubSpot's own clock; the latest wins, and of one time the read that was begun last. `read_at`: when
    /// that was, by the app's clock; `None` where nobody knows. Two emails at one time are neither.
    EmailObserved { vid: Vid, email: Option<Fingerprint>, at: Millis, read_at: Option<Millis> },
    /// HubSpot said: that is another email of the contact, at that time. The latest time is kept.
    SecondaryObserved { vid: Vid, email: Fingerprint, at: Millis },
    /// HubSpot merged `old` into `into`: from then on `old` stands for it. `born`: the merge made `into`, so all that
    /// was ever said of that id is newer than the merge. `at` is HubSpot's clock; 0 where it is unknown. `heard` is the
    /// app's clock when it was told; the first counts.
    Merged { old: Vid, into: Vid, at: Millis, born: bool, heard: Millis },
    /// HubSpot deleted the contact. It may be restored, and merging it away deletes it too.
    Deleted { vid: Vid, at: Millis },
    /// HubSpot restored the contact.
    Restored { vid: Vid, at: Millis },
    /// What HubSpot said of the contact may not be so any more. Nothing counts that it held up to `to` of HubSpot's
    /// clock, but what a read says that was begun at `at` of the app's clock or later. `read_at`: when the read was
    /// begun that raised the doubt.
    Doubted { vid: Vid, to: Option<Millis>, at: Millis, read_at: Option<Millis> },
    /// HubSpot erased the contact for privacy. Final, whatever else is said at whatever time.
    Erased { vid: Vid },
    /// The app is about to change the user's email.
    ChangeBegun { user: UserKey<'a>, token: ChangeToken, at: Millis },
    /// HubSpot was told of the change, or refused it, and what it holds was observed.
    ChangeFinished { user: UserKey<'a>, token: ChangeToken, at: Millis },
    /// HubSpot was told of the change and will not take the email, however often it is told.
    ChangeRefused { user: UserKey<'a>, token: ChangeToken, why: Refusal, at: Millis },
    /// The change did not happen, and HubSpot was not told of it.
    ChangeAbandoned { user: UserKey<'a>, token: ChangeToken, at: Millis },
    /// HubSpot said that another contact holds the user's email, or the file that another user has their contact:
    /// `holder`, where it is named. `at` is the app's clock; the latest is kept, with `since` when it has stood then.
    Conflicted { user: UserKey<'a>, holder: Option<Vid>, why: Clash, since: Millis, at: Millis },
    /// Whatever conflict there was up to then is over.
    ConflictEnded { user: UserKey<'a>, at: Millis },
    /// A contact that was erased for privacy was the user's for whom the mark stands. The file must not name them.
    UserErased { mark: Fingerprint },
    /// The app has forgotten that user. As with [`Event::Forgotten`], its place among the others matters.
    UserErasureForgotten { mark: Fingerprint },
    /// All that is held on the user is to be taken out. What is said of them afterwards counts as if they were new, so
    /// its place among the others matters.
    Forgotten { user: UserKey<'a> },
}

/// What a conflict is about: its number in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[repr(i64)]
pub enum Clash {
    /// HubSpot holds the user's email for another contact than the user's.
    EmailHeld = 1,
    /// HubSpot's answer about the user names a contact that is another user's.
    VidTaken = 2,
}

impl Clash {
    /// The name, in snake case: `email_held`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EmailHeld => "email_held",
            Self::VidTaken => "vid_taken",
        }
    }
}

/// What an entry of the log says has happened: its number in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
pub(crate) enum What {
    Linked = 1,
    EmailObserved = 2,
    Merged = 3,
    Deleted = 4,
    Restored = 5,
    ChangeBegun = 7,
    ChangeFinished = 8,
    ChangeAbandoned = 9,
    /// Another user's link decides who gives an external id.
    ExternalId = 10,
    Doubted = 11,
    ChangeRefused = 12,
}

impl What {
    /// What happened, as a sentence's end.
    pub(crate) const fn words(number: i64) -> &'static str {
        match number {
            1 => "the user was linked to a contact",
            2 => "HubSpot said which email the contact holds",
            3 => "the contact was merged",
            4 => "the contact was deleted",
            5 => "the contact was restored",
            7 => "an email change began",
            8 => "an email change was finished by HubSpot's answer",
            9 => "an email change was abandoned",
            10 => "it was settled anew which user gives the external id",
            11 => "what HubSpot had said of the contact's email was put in doubt",
            12 => "HubSpot refused the email of a change, which ended it",
            _ => "something happened that this version does not know",
        }
    }
}

/// From 1 to 2^63 - 1.
pub(crate) fn random_number() -> Result<i64> {
    let bits = getrandom::u64().map_err(|e| Error::Storage(format!("no random numbers: {e}")))?;
    Ok(((bits >> 1) as i64).max(1))
}

/// An outstanding email change: begun, and not yet finished or abandoned.
///
/// A random number from 1 to 2^63 - 1, so that tokens of several hosts never meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChangeToken(i64);

impl ChangeToken {
    pub(crate) fn random() -> Result<Self> {
        random_number().map(Self)
    }

    /// The token as a number, to be handed to a job.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for ChangeToken {
    type Error = Error;
    /// A number that cannot be a token is an unknown token.
    fn try_from(number: i64) -> Result<Self> {
        if number > 0 { Ok(Self(number)) } else { Err(Error::UnknownChange) }
    }
}
