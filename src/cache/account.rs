//! One user, for people to read: why a page says what it says, what is held, and forgetting it.

use std::fmt;

use rusqlite::Connection;

use super::Vidcache;
use crate::decision::{self, Decision, Reason};
use crate::email::{Email, FingerprintKey};
use crate::error::Result;
use crate::event::Event;
use crate::identity::UserKey;
use crate::refusal::Refusal;
use crate::rows;

/// Why a page says what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation<'e> {
    /// What the page may say, and the reason in one word.
    pub decision: Decision<'e>,
    /// What that rests on, a sentence each, then the user's last events, oldest first. They name contacts and times,
    /// no email and no user.
    pub sentences: Vec<String>,
}

/// A sentence to a line.
impl fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentences.join("\n"))
    }
}

impl<'e> Explanation<'e> {
    /// In the light of these rows.
    pub(super) fn of(
        rows: &Connection,
        user: UserKey<'_>,
        email: Option<&'e Email>,
        key: &FingerprintKey,
    ) -> Result<Self> {
        let state = rows::user_state(rows, user)?;
        let decision = decision::decide(&state, email, |email| key.fingerprint(email));
        let mut sentences = vec![sentence(&decision)];
        let other = email.filter(|_| decision.reason() != Reason::Agreed);
        let print = other.map(|email| key.fingerprint(email.as_str()));
        let account = rows::account(rows, user, key.mark(user))?;
        sentences.extend(account.sentences(print, decision.email().is_some()));
        Ok(Self { decision, sentences })
    }
}

impl Vidcache {
    /// Why a page says of the user what it says, for whoever asks. Reads the file: tens of microseconds and more, so
    /// not for a page itself.
    ///
    /// The events come from the file's log, which keeps the last 32,768 of all users.
    ///
    /// # Errors
    /// As [`Vidcache::resolve`].
    pub fn explain<'e>(&self, user: UserKey<'_>, email: Option<&'e Email>) -> Result<Explanation<'e>> {
        self.store.read_at_once(|rows| Explanation::of(rows, user, email, self.store.key()))
    }

    /// Why HubSpot refused the email of a user for good whom it has no contact of: for a worker that makes contacts of
    /// such users, and need not try again. `None` for a user with a contact, or with a change outstanding, which is the
    /// way to tell HubSpot of a user's next email. [`Vidcache::explain`] and [`Vidcache::export`] tell of every user.
    ///
    /// [`Refusal::PrivacyDeletion`] for a user whose contact was erased for privacy and who has none now, whether or
    /// not a change is outstanding: no worker may make them a contact again of its own accord. The app may:
    /// [`Vidcache::link`]s them, or [`Vidcache::forget`]s them, and with them that they were erased.
    ///
    /// # Errors
    /// As [`Vidcache::resolve`].
    pub fn refusal(&self, user: UserKey<'_>) -> Result<Option<Refusal>> {
        self.store.read(|rows| refusal(rows, user, self.store.key()))
    }

    /// All that the file holds on the user, as a JSON object: links, what HubSpot said of the contact, changes, and the
    /// last events. Of emails the file holds keyed fingerprints only; vids are text. For an unknown user it is as
    /// empty.
    ///
    /// # Errors
    /// As [`Vidcache::resolve`].
    pub fn export(&self, user: UserKey<'_>) -> Result<String> {
        self.store.read_at_once(|rows| Ok(rows::account(rows, user, self.store.key().mark(user))?.json()))
    }

    /// Takes out all that is held on the user, and what HubSpot said of their contact unless it is another user's too.
    /// False: nothing was held. When this returns, nothing of it is left in the file, its free pages or its log. That
    /// their contact was erased for privacy goes with the rest ([`Vidcache::refusal`]).
    ///
    /// A change that is outstanding goes with it, and a job that asks for it is told [`Error::UnknownChange`]: it must
    /// not tell HubSpot. One that has asked already may be doing so, so call this with the user's jobs locked out. Who
    /// comes back is named once HubSpot says something newer than it did before. Where the contact is shared the change
    /// becomes another user's, and stays outstanding ([`Vidcache::stale_changes`]).
    ///
    /// # Errors
    /// As [`Vidcache::begin_email_change`]. After [`Error::Busy`] the rows may be gone and the log not emptied yet,
    /// because somebody was reading it: `log_bytes` of [`Vidcache::stats`] is not 0 then. It is emptied by a later call
    /// of any kind of this handle, once they have ended, by the last process that closes the file, or by calling this
    /// again.
    ///
    /// [`Error::UnknownChange`]: crate::Error::UnknownChange
    /// [`Error::Busy`]: crate::Error::Busy
    pub fn forget(&self, user: UserKey<'_>) -> Result<bool> {
        let mark = self.store.key().mark(user);
        let known = self.store.write_much(|tx| {
            let erased = rows::apply(tx, &Event::UserErasureForgotten { mark })?;
            Ok(rows::apply(tx, &Event::Forgotten { user })? || erased)
        })?;
        // Even if nothing was: an earlier call may have come this far.
        self.store.empty_wal()?;
        Ok(known)
    }
}

/// Why a user has no contact, and shall get none.
pub(super) fn refusal(rows: &Connection, user: UserKey<'_>, key: &FingerprintKey) -> Result<Option<Refusal>> {
    match rows::user_state(rows, user)?.identity {
        None if rows::was_erased(rows, key.mark(user))? => Ok(Some(Refusal::PrivacyDeletion)),
        _ => rows::refusal(rows, user),
    }
}

fn sentence(decision: &Decision<'_>) -> String {
    let says = match (decision.email(), decision.id()) {
        (Some(_), Some(id)) => format!("The page names the email and the id {id}"),
        (Some(_), None) => "The page names the email".into(),
        (None, Some(id)) => format!("The page gives the id {id} alone"),
        (None, None) => "The page says nothing".into(),
    };
    let why = match decision.reason() {
        Reason::Agreed => "the app and HubSpot agree on it, and no change of it is outstanding",
        Reason::ChangeOutstanding => "a change of the email is outstanding",
        Reason::EmailDiffers => "HubSpot holds another email for the contact than the app",
        Reason::EmailUnconfirmed => "HubSpot has not said which email it holds for the contact now",
        Reason::EmailAbsent => "the app has no email for the user",
        Reason::NotLinked => "the user is linked to no contact",
        Reason::Stale => "what is known is older than a page may be, or nobody could be asked",
    };
    format!("{says}: {why}.")
}
