//! What is asked, learnt or done, as values that borrow nothing: for the languages that have an [`Exchange`] each.
//!
//! [`Exchange`]: super::Exchange

use std::time::Duration;

use crate::cache::database::{Database, Errand, Turn};
use crate::cache::intake::ImportReport;
use crate::cache::words::{Imported, Observed, Recorded, WebhookReport};
use crate::decision::{Decision, Reason};
use crate::email::Email;
use crate::error::{Error, Result};
use crate::event::{ChangeToken, Millis};
use crate::identity::{Identity, UserKey, Vid};
use crate::refusal::Refusal;
use crate::rows::lease::LeaseToken;
use crate::rows::{Conflict, StaleChange, UserToRead};

/// One thing to be asked, learnt or done: each is the method of [`Database`] or of [`Vidcache`](crate::Vidcache) that
/// has its name. Users are text, an integer in decimal.
#[derive(Clone)]
#[non_exhaustive]
#[allow(missing_docs)] // Each field is what the method of that name takes.
pub enum Work {
    /// What every process does when it begins: the tables are set up, unless somebody has, and their key is taken.
    SetUp,
    /// What a page may say. Never fails for the database. Gives [`Outcome::Page`], and so it alone.
    Page {
        user: String,
        email: Option<Email>,
        form: Form,
    },
    /// The page of a visitor whom the app does not know; nothing is asked.
    Anonymous {
        form: Form,
    },
    /// The page after a sign-out; nothing is asked.
    SignedOut {
        form: Form,
    },
    /// Begins a change, on the connection whose transaction changes the email. Gives [`Outcome::Change`].
    Begin {
        user: String,
    },
    /// Says that a change is committed: its quiet period begins. Within a transaction it does nothing.
    See {
        change: ChangeToken,
    },
    /// Ends a change that did not happen.
    Abandon {
        user: String,
        change: ChangeToken,
    },
    /// Gives [`Outcome::Flag`].
    IsOutstanding {
        user: String,
        change: ChangeToken,
    },
    /// Whether HubSpot may be told, by whoever has the user's lease. A change that nobody has seen is seen by this,
    /// unless a transaction is open. Gives [`Outcome::Turn`].
    Turn {
        user: String,
        change: ChangeToken,
        at_least: Duration,
    },
    /// Gives [`Outcome::Time`].
    QuietPeriod,
    /// Gives [`Outcome::Lease`]. In no transaction: others would wait for its end.
    Lease {
        user: String,
        duration: Duration,
        held: Option<LeaseToken>,
    },
    /// Gives [`Outcome::Flag`].
    Release {
        user: String,
        held: LeaseToken,
    },
    Link {
        user: String,
        vid: Vid,
        shared: bool,
    },
    /// Gives [`Outcome::Recorded`].
    Record {
        user: String,
        answer: Vec<u8>,
        change: Option<ChangeToken>,
        asked_at: Option<Millis>,
    },
    /// Gives [`Outcome::Observed`].
    Observe {
        answer: Vec<u8>,
        asked_at: Option<Millis>,
    },
    /// Gives [`Outcome::WebhookApplied`].
    ApplyWebhook {
        body: Vec<u8>,
    },
    /// Some hundred users at a time. Gives [`Outcome::Imported`].
    Import {
        rows: Vec<ImportedRow>,
    },
    EndConflict {
        user: String,
    },
    /// Gives [`Outcome::Flag`].
    Forget {
        user: String,
    },
    DoubtAll,
    /// Of each user which contact they are, some hundred at a time. Gives [`Outcome::Identities`].
    Resolve {
        users: Vec<String>,
    },
    /// Gives [`Outcome::Flag`].
    Knows {
        user: String,
    },
    /// Gives [`Outcome::Refusal`].
    Refusal {
        user: String,
    },
    /// Gives [`Outcome::Explained`].
    Explain {
        user: String,
        email: Option<Email>,
    },
    /// Gives [`Outcome::Text`].
    Export {
        user: String,
    },
    /// Gives [`Outcome::Users`].
    UsersOf {
        vid: Vid,
    },
    /// Gives [`Outcome::StaleChanges`].
    StaleChanges {
        older_than: Duration,
        limit: u32,
    },
    /// Gives [`Outcome::UsersToRead`], which is empty at the end alone.
    UsersToRead {
        confirmed: bool,
        older_than: Duration,
        after: Option<Vid>,
        limit: u32,
    },
    /// Gives [`Outcome::Conflicts`], which is empty at the end alone.
    Conflicts {
        after: Option<String>,
        limit: u32,
    },
    /// Whether the tables can be asked, written and believed. Gives [`Outcome::Texts`]: what is wrong.
    Verify,
}

/// In which form a page is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// The decision alone.
    Decision,
    /// HTML, with the nonce of the page's Content-Security-Policy.
    Snippet(Option<String>),
    /// JSON, for a page that the app makes itself.
    Data,
}

/// [`Imported`], as a value that borrows nothing.
#[derive(Clone)]
pub struct ImportedRow {
    /// The user, as text.
    pub user: String,
    /// Their contact.
    pub vid: Vid,
    /// The email that HubSpot held for it, and when, if known.
    pub email: Option<(Email, Millis)>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)] // As `Work` says of each.
pub enum Outcome {
    /// There is nothing to say of it.
    Done,
    /// What a page may say, in the form that was wanted (`None` of [`Form::Decision`]), and why it says less, if it
    /// does: that is to be reported.
    Page {
        decision: Decided,
        text: Option<String>,
        why: Option<Error>,
    },
    Flag(bool),
    Change(ChangeToken),
    /// `None`: another one has it.
    Lease(Option<LeaseToken>),
    Time(Duration),
    /// [`Turn::See`]: it was seen now, so come again a quiet period later.
    Turn(Turn),
    Recorded(Recorded),
    Observed(Observed),
    WebhookApplied(WebhookReport),
    Imported(ImportReport),
    Identities(Vec<Option<Identity>>),
    Refusal(Option<Refusal>),
    Text(String),
    Texts(Vec<String>),
    Users(Vec<String>),
    Explained {
        decision: Decided,
        sentences: Vec<String>,
    },
    StaleChanges(Vec<StaleChange>),
    /// And the `after` of the next part; none: that was the last.
    UsersToRead(Vec<UserToRead>, Option<Vid>),
    Conflicts(Vec<Conflict>),
}

/// A [`Decision`] whose email is its own. Its `Debug` shows none.
#[derive(Clone, PartialEq, Eq)]
pub struct Decided {
    /// The email to name.
    pub email: Option<String>,
    /// The external id to give.
    pub id: Option<Vid>,
    /// Why.
    pub reason: Reason,
}

impl std::fmt::Debug for Decided {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decided").field("id", &self.id).field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl From<Decision<'_>> for Decided {
    fn from(decision: Decision<'_>) -> Self {
        Self { email: decision.email().map(str::to_owned), id: decision.id(), reason: decision.reason() }
    }
}

/// What came of an errand, and an error that is to be told once what was written is committed.
pub(super) type Ended = (Outcome, Option<Error>);

impl Work {
    /// Whether it has a transaction of its own.
    pub(super) const fn is_written(&self) -> bool {
        matches!(
            self,
            Self::Abandon { .. }
                | Self::Link { .. }
                | Self::Record { .. }
                | Self::Observe { .. }
                | Self::ApplyWebhook { .. }
                | Self::Import { .. }
                | Self::EndConflict { .. }
                | Self::Forget { .. }
        )
    }

    /// The errand that it is, and what came of that, with an error that is to be told once what was written is
    /// committed: for a client that sends an errand's statements itself.
    ///
    /// # Errors
    /// Those of what it is about; [`Error::Internal`] of what is no errand, and of [`Work::Turn`], which has
    /// [`Database::turn`].
    pub fn errand<'a>(&'a self, tables: &'a Database) -> Result<Errand<'a, (Outcome, Option<Error>)>> {
        let key = UserKey::text;
        let done = |()| (Outcome::Done, None);
        let flag = |flag| (Outcome::Flag(flag), None);
        Ok(match self {
            Self::Abandon { user, change } => tables.abandon(key(user)?, *change).map(done),
            Self::Link { user, vid, shared } => tables.link(key(user)?, *vid, *shared).map(done),
            Self::Record { user, answer, change, asked_at } => {
                tables.record(key(user)?, answer, *change, *asked_at)?.map(|recorded| match recorded {
                    Ok(recorded) => (Outcome::Recorded(recorded), None),
                    Err(refused) => (Outcome::Done, Some(refused)),
                })
            }
            Self::Observe { answer, asked_at } => {
                tables.observe(answer, *asked_at)?.map(|observed| (Outcome::Observed(observed), None))
            }
            Self::ApplyWebhook { body } => {
                tables.apply_webhook(body)?.map(|(report, refused)| (Outcome::WebhookApplied(report), refused))
            }
            Self::Import { rows } => {
                let imported =
                    |row: &'a ImportedRow| Ok(Imported { user: key(&row.user)?, vid: row.vid, email: row.email });
                let rows = rows.iter().map(imported).collect::<Result<Vec<_>>>()?;
                tables.import(&rows)?.map(|report| (Outcome::Imported(report), None))
            }
            Self::EndConflict { user } => tables.end_conflict(key(user)?).map(done),
            Self::Forget { user } => tables.forget(key(user)?).map(flag),
            Self::IsOutstanding { user, change } => tables.is_change_outstanding(key(user)?, *change).map(flag),
            Self::Resolve { users } => {
                let users = users.iter().map(|user| key(user)).collect::<Result<Vec<_>>>()?;
                tables.resolve_many(&users).map(|found| (Outcome::Identities(found), None))
            }
            Self::Knows { user } => tables.knows(key(user)?).map(flag),
            Self::Refusal { user } => tables.refusal(key(user)?).map(|why| (Outcome::Refusal(why), None)),
            Self::Explain { user, email } => tables.explain(key(user)?, email.as_ref()).map(|found| {
                let (decision, sentences) = (found.decision.into(), found.sentences);
                (Outcome::Explained { decision, sentences }, None)
            }),
            Self::Export { user } => tables.export(key(user)?).map(|found| (Outcome::Text(found), None)),
            Self::UsersOf { vid } => tables.users_of(*vid).map(|users| (Outcome::Users(users), None)),
            _ => return Err(Error::Internal("this is no errand".into())),
        })
    }
}
