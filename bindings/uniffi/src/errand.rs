//! What is learnt, done or asked of the rows in the app's own database, as values: an errand of the core's borrows what
//! it is about, so it is put together anew for each of its steps.

use std::time::Duration;

use vidcache::in_database::{Database, Errand as OfCore, Turn as TurnOfCore};
use vidcache::{ChangeToken, Email, Error, Imported, Refusal, UserKey, Vid};

use crate::account::Explanation;
use crate::intake::{self, ImportReport, ImportRow, Observed, Recorded, WebhookReport};
use crate::lookup::{self, Identity};

/// One thing to be learnt, done or asked. Each is the method of that name of `Vidcache`. Users are text, an integer in
/// decimal.
#[derive(uniffi::Enum)]
#[allow(missing_docs)] // Each field is what the method of that name takes.
pub enum Errand {
    /// `link`, or, `shared`, `link_shared`. Gives `Done`.
    Link { user: String, vid: i64, shared: bool },
    /// Gives `Recorded`.
    Record { user: String, answer: Vec<u8>, change: Option<i64>, asked_at_ms: Option<i64> },
    /// Gives `Observed`.
    Observe { answer: Vec<u8>, asked_at_ms: Option<i64> },
    /// `apply_webhook`. Gives `WebhookApplied`.
    ApplyWebhook { body: Vec<u8> },
    /// `import_users`, some hundred at a time. Gives `Imported`.
    ImportUsers { rows: Vec<ImportRow> },
    /// `abandon_email_change`. Gives `Done`.
    Abandon { user: String, change: i64 },
    /// Gives `Done`.
    EndConflict { user: String },
    /// Gives `Flag`.
    Forget { user: String },
    /// Whether HubSpot may be told of the change, after the quiet period or after `at_least_ms`, whichever is longer.
    /// To be read, with the user's lease. Gives `Turn`.
    Turn { user: String, change: i64, at_least_ms: u64 },
    /// `is_change_outstanding`. To be read. Gives `Flag`.
    IsOutstanding { user: String, change: i64 },
    /// Of each user which contact they are; some thousand at a time. To be read. Gives `Identities`.
    Resolve { users: Vec<String> },
    /// Whether a page or a worker could depend on anything that is known of the user. To be read. Gives `Flag`.
    Knows { user: String },
    /// To be read. Gives `Text`.
    Refusal { user: String },
    /// To be read. Gives `Explained`.
    Explain { user: String, email: Option<String> },
    /// To be read. Gives `Text`.
    Export { user: String },
    /// To be read. Gives `Texts`.
    UsersOf { vid: i64 },
}

/// What came of an errand.
#[derive(Debug, uniffi::Enum)]
#[allow(missing_docs)] // As `Errand` says of each.
pub enum Outcome {
    /// Done, and there is nothing to say of it.
    Done,
    Flag {
        value: bool,
    },
    Recorded {
        recorded: Recorded,
    },
    Observed {
        observed: Observed,
    },
    WebhookApplied {
        report: WebhookReport,
    },
    Imported {
        report: ImportReport,
    },
    /// `ended`: there is nothing to tell. `see`: run `statement`, outside of any transaction, and ask again a quiet
    /// period later. `wait`: ask again in `wait_ms`. `now`: tell HubSpot.
    Turn {
        turn: String,
        wait_ms: Option<u64>,
        statement: Option<String>,
    },
    Identities {
        identities: Vec<Option<Identity>>,
    },
    Text {
        text: Option<String>,
    },
    Texts {
        texts: Vec<String>,
    },
    Explained {
        explanation: Explanation,
    },
}

/// What came of it, and an error that is to be told once what was written is committed.
pub(crate) type Done = (Outcome, Option<Error>);

/// What an errand of the core's borrows.
pub(crate) struct Borrowed<'a> {
    users: Vec<UserKey<'a>>,
    email: Option<Email>,
}

impl Errand {
    pub(crate) fn borrowed(&self) -> Result<Borrowed<'_>, Error> {
        let users: Vec<&str> = match self {
            Self::Link { user, .. }
            | Self::Record { user, .. }
            | Self::Abandon { user, .. }
            | Self::EndConflict { user }
            | Self::Forget { user }
            | Self::Turn { user, .. }
            | Self::IsOutstanding { user, .. }
            | Self::Knows { user }
            | Self::Refusal { user }
            | Self::Explain { user, .. }
            | Self::Export { user } => vec![user],
            Self::Resolve { users } => users.iter().map(String::as_str).collect(),
            Self::Observe { .. } | Self::ApplyWebhook { .. } | Self::ImportUsers { .. } | Self::UsersOf { .. } => {
                vec![]
            }
        };
        let email = match self {
            Self::Explain { email, .. } => lookup::email(email.as_deref())?,
            _ => None,
        };
        Ok(Borrowed { users: users.into_iter().map(UserKey::text).collect::<Result<_, _>>()?, email })
    }

    /// The errand of the core's.
    pub(crate) fn of_core<'a>(
        &'a self,
        borrowed: &'a Borrowed<'a>,
        core: &'a Database,
    ) -> Result<OfCore<'a, Done>, Error> {
        let token = |change: i64| ChangeToken::try_from(change);
        let done = |outcome: Outcome| (outcome, None);
        let flag = |value: bool| (Outcome::Flag { value }, None);
        let text = |text: Option<String>| (Outcome::Text { text }, None);
        Ok(match (self, borrowed.users.as_slice()) {
            (Self::Link { vid, shared, .. }, [user]) => {
                core.link(*user, Vid::try_from(*vid)?, *shared).map(move |()| done(Outcome::Done))
            }
            (Self::Record { answer, change, asked_at_ms, .. }, [user]) => {
                let change = change.map(token).transpose()?;
                core.record(*user, answer, change, *asked_at_ms)?.map(|recorded| match recorded {
                    Ok(recorded) => (Outcome::Recorded { recorded: recorded.into() }, None),
                    Err(refused) => (Outcome::Done, Some(refused)),
                })
            }
            (Self::Abandon { change, .. }, [user]) => {
                core.abandon(*user, token(*change)?).map(move |()| done(Outcome::Done))
            }
            (Self::EndConflict { .. }, [user]) => core.end_conflict(*user).map(move |()| done(Outcome::Done)),
            (Self::Forget { .. }, [user]) => core.forget(*user).map(flag),
            (Self::Turn { change, at_least_ms, .. }, [user]) => {
                let at_least = Duration::from_millis(*at_least_ms);
                core.turn(*user, token(*change)?, at_least).map(|(turn, statement)| (of_turn(turn, statement), None))
            }
            (Self::IsOutstanding { change, .. }, [user]) => {
                core.is_change_outstanding(*user, token(*change)?).map(flag)
            }
            (Self::Knows { .. }, [user]) => core.knows(*user).map(flag),
            (Self::Refusal { .. }, [user]) => {
                core.refusal(*user).map(move |why| text(why.map(Refusal::name).map(str::to_owned)))
            }
            (Self::Explain { .. }, [user]) => core
                .explain(*user, borrowed.email.as_ref())
                .map(move |explanation| done(Outcome::Explained { explanation: explanation.into() })),
            (Self::Export { .. }, [user]) => core.export(*user).map(move |found| text(Some(found))),
            (Self::Resolve { .. }, users) => core.resolve_many(users).map(move |found| {
                let identities = found.into_iter().map(|one| one.map(Identity::from)).collect();
                done(Outcome::Identities { identities })
            }),
            (Self::Observe { answer, asked_at_ms }, _) => core
                .observe(answer, *asked_at_ms)?
                .map(move |observed| done(Outcome::Observed { observed: observed.into() })),
            (Self::ApplyWebhook { body }, _) => core
                .apply_webhook(body)?
                .map(|(report, refused)| (Outcome::WebhookApplied { report: report.into() }, refused)),
            (Self::ImportUsers { rows }, _) => {
                let rows: Vec<Imported<'_>> = intake::imported(rows)?;
                core.import(&rows)?.map(move |report| done(Outcome::Imported { report: report.into() }))
            }
            (Self::UsersOf { vid }, _) => {
                core.users_of(Vid::try_from(*vid)?).map(move |texts| done(Outcome::Texts { texts }))
            }
            _ => return Err(Error::Internal("an errand of one user has another number of them".into())),
        })
    }
}

fn of_turn(turn: TurnOfCore, statement: Option<String>) -> Outcome {
    let (name, wait) = match turn {
        TurnOfCore::Ended => ("ended", None),
        TurnOfCore::See => ("see", None),
        TurnOfCore::Wait(left) => ("wait", Some(left)),
        TurnOfCore::Now => ("now", None),
    };
    let wait_ms = wait.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
    Outcome::Turn { turn: name.into(), wait_ms, statement }
}
