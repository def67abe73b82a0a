//! What is learnt, done or asked of the rows in the app's own database, as values.

use std::time::Duration;

use vidcache::in_database::{Database, Errand as OfCore, Outcome as OutcomeOfCore, Turn as TurnOfCore, Work};
use vidcache::{ChangeToken, Error, LeaseToken, Refusal, UserKey, Vid};

use crate::account::Explanation;
use crate::changes::StaleChange;
use crate::conflicts::Conflict;
use crate::error::Failure;
use crate::intake::{self, ImportReport, ImportRow, Observed, Recorded, WebhookReport};
use crate::lists::{UserToRead, UsersToReadPart};
use crate::lookup::{self, Decision, Identity};
use crate::page::PageForm;
use crate::time::milliseconds;

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
    // From here on: of an `Exchange` alone.
    /// What every process does when it begins: the tables are set up, unless somebody has, and their key is taken.
    SetUp,
    /// What a page may say. Never fails for the database. Gives `Page`.
    Page { user: String, email: Option<String>, form: PageForm },
    /// Begins a change, on the connection whose transaction changes the email. Gives `Token`.
    Begin { user: String },
    /// Says that a change is committed. Within a transaction it does nothing.
    See { change: i64 },
    /// Gives `Time`.
    QuietPeriod,
    /// Gives `Token`; none: another one has it.
    Lease { user: String, duration_ms: u64, renew: Option<i64> },
    /// Gives `Flag`.
    Release { user: String, lease: i64 },
    /// `doubt_all`, by one row.
    DoubtAll,
    /// Gives `StaleChanges`.
    StaleChanges { older_than_ms: u64, limit: u32 },
    /// Gives `UsersToRead`, which is empty at the end alone.
    UsersToRead { confirmed: bool, older_than_ms: u64, after: Option<i64>, limit: u32 },
    /// Gives `Conflicts`, which is empty at the end alone.
    Conflicts { after: Option<String>, limit: u32 },
    /// Whether the tables can be asked, written and believed. Gives `Texts`: what is wrong.
    Verify,
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
    /// period later; an `Exchange` has run it. `wait`: ask again in `wait_ms`. `now`: tell HubSpot.
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
    /// What `PageStep.Page` has.
    Page {
        decision: Decision,
        text: Option<String>,
        why: Option<Failure>,
    },
    Token {
        token: Option<i64>,
    },
    Time {
        ms: u64,
    },
    StaleChanges {
        changes: Vec<StaleChange>,
    },
    UsersToRead {
        part: UsersToReadPart,
    },
    Conflicts {
        conflicts: Vec<Conflict>,
    },
}

/// What came of it, and an error that is to be told once what was written is committed.
pub(crate) type Done = (Outcome, Option<Error>);

impl Errand {
    /// The core's, of what it is about.
    pub(crate) fn work(self) -> Result<Work, Error> {
        let token = |change: i64| ChangeToken::try_from(change);
        let email = |email: Option<String>| lookup::email(email.as_deref());
        let time = Duration::from_millis;
        Ok(match self {
            Self::Link { user, vid, shared } => Work::Link { user, vid: Vid::try_from(vid)?, shared },
            Self::Record { user, answer, change, asked_at_ms } => {
                Work::Record { user, answer, change: change.map(token).transpose()?, asked_at: asked_at_ms }
            }
            Self::Observe { answer, asked_at_ms } => Work::Observe { answer, asked_at: asked_at_ms },
            Self::ApplyWebhook { body } => Work::ApplyWebhook { body },
            Self::ImportUsers { rows } => {
                Work::Import { rows: rows.into_iter().map(intake::row).collect::<Result<_, _>>()? }
            }
            Self::Abandon { user, change } => Work::Abandon { user, change: token(change)? },
            Self::EndConflict { user } => Work::EndConflict { user },
            Self::Forget { user } => Work::Forget { user },
            Self::Turn { user, change, at_least_ms } => {
                Work::Turn { user, change: token(change)?, at_least: time(at_least_ms) }
            }
            Self::IsOutstanding { user, change } => Work::IsOutstanding { user, change: token(change)? },
            Self::Resolve { users } => Work::Resolve { users },
            Self::Knows { user } => Work::Knows { user },
            Self::Refusal { user } => Work::Refusal { user },
            Self::Explain { user, email: given } => Work::Explain { user, email: email(given)? },
            Self::Export { user } => Work::Export { user },
            Self::UsersOf { vid } => Work::UsersOf { vid: Vid::try_from(vid)? },
            Self::SetUp => Work::SetUp,
            Self::Page { user, email: given, form } => Work::Page { user, email: email(given)?, form: form.work() },
            Self::Begin { user } => Work::Begin { user },
            Self::See { change } => Work::See { change: token(change)? },
            Self::QuietPeriod => Work::QuietPeriod,
            Self::Lease { user, duration_ms, renew } => {
                Work::Lease { user, duration: time(duration_ms), held: renew.map(LeaseToken::from) }
            }
            Self::Release { user, lease } => Work::Release { user, held: LeaseToken::from(lease) },
            Self::DoubtAll => Work::DoubtAll,
            Self::StaleChanges { older_than_ms, limit } => {
                Work::StaleChanges { older_than: time(older_than_ms), limit }
            }
            Self::UsersToRead { confirmed, older_than_ms, after, limit } => {
                let after = after.map(Vid::try_from).transpose()?;
                Work::UsersToRead { confirmed, older_than: time(older_than_ms), after, limit }
            }
            Self::Conflicts { after, limit } => Work::Conflicts { after, limit },
            Self::Verify => Work::Verify,
        })
    }
}

/// The errand of the core's.
pub(crate) fn of_core<'a>(work: &'a Work, core: &'a Database) -> Result<OfCore<'a, Done>, Error> {
    Ok(match work {
        Work::Turn { user, change, at_least } => core
            .turn(UserKey::text(user)?, *change, *at_least)
            .map(|(turn, statement)| (of_turn(turn, statement), None)),
        work => work.errand(core)?.map(|(outcome, refused)| (outcome.into(), refused)),
    })
}

impl From<OutcomeOfCore> for Outcome {
    fn from(outcome: OutcomeOfCore) -> Self {
        use OutcomeOfCore as Of;
        match outcome {
            Of::Page { decision, text, why } => {
                Self::Page { decision: decision.into(), text, why: why.map(Failure::from) }
            }
            Of::Flag(value) => Self::Flag { value },
            Of::Change(token) => Self::Token { token: Some(token.get()) },
            Of::Lease(lease) => Self::Token { token: lease.map(LeaseToken::get) },
            Of::Time(time) => Self::Time { ms: milliseconds(time) },
            Of::Turn(turn) => of_turn(turn, None),
            Of::Recorded(recorded) => Self::Recorded { recorded: recorded.into() },
            Of::Observed(observed) => Self::Observed { observed: observed.into() },
            Of::WebhookApplied(report) => Self::WebhookApplied { report: report.into() },
            Of::Imported(report) => Self::Imported { report: report.into() },
            Of::Identities(found) => {
                Self::Identities { identities: found.into_iter().map(|one| one.map(Identity::from)).collect() }
            }
            Of::Refusal(why) => Self::Text { text: why.map(Refusal::name).map(str::to_owned) },
            Of::Text(text) => Self::Text { text: Some(text) },
            Of::Texts(texts) | Of::Users(texts) => Self::Texts { texts },
            Of::Explained { decision, sentences } => {
                Self::Explained { explanation: Explanation { decision: decision.into(), sentences } }
            }
            Of::StaleChanges(found) => {
                Self::StaleChanges { changes: found.into_iter().map(StaleChange::from).collect() }
            }
            Of::UsersToRead(found, next) => {
                let users = found.into_iter().map(UserToRead::from).collect();
                Self::UsersToRead { part: UsersToReadPart { users, next: next.map(Vid::get) } }
            }
            Of::Conflicts(found) => Self::Conflicts { conflicts: found.into_iter().map(Conflict::from).collect() },
            _ => Self::Done,
        }
    }
}

fn of_turn(turn: TurnOfCore, statement: Option<String>) -> Outcome {
    let (name, wait) = match turn {
        TurnOfCore::Ended => ("ended", None),
        TurnOfCore::See => ("see", None),
        TurnOfCore::Wait(left) => ("wait", Some(left)),
        TurnOfCore::Now => ("now", None),
    };
    let wait_ms = wait.map(milliseconds);
    Outcome::Turn { turn: name.into(), wait_ms, statement }
}
