//! One thing that is asked, learnt or done by the tables, statement by statement, and what came of it.

use std::sync::{Arc, RwLock};

use napi_derive::napi;
use vidcache::Refusal;
use vidcache::in_database::{self, Database, Decided, Said, Step, Turn, Work};

use crate::account::Explanation;
use crate::changes::StaleChange;
use crate::edge::{edge, text_of};
use crate::intake::{ImportReport, Observed, Recorded, WebhookReport};
use crate::lists::{Conflict, UserToRead};
use crate::lookup::{Decision, Identity, text};

/// What is next: a statement to be sent, or, without one, what came of all.
#[napi(object)]
pub struct Next {
    pub statement: Option<String>,
    pub parameters: Vec<String>,
    pub asks: bool,
    pub wait_ms: u32,
    pub outcome: Option<Outcome>,
}

/// What came of it, each kind in a field of its own.
#[napi(object)]
#[derive(Default)]
pub struct Outcome {
    pub decision: Option<Decision>,
    pub text: Option<String>,
    /// An error, as `lib/errors.js` reads it.
    pub why: Option<String>,
    pub flag: Option<bool>,
    /// Of a change or a lease.
    pub token: Option<String>,
    pub milliseconds: Option<i64>,
    pub turn: Option<String>,
    pub recorded: Option<Recorded>,
    pub observed: Option<Observed>,
    pub webhook: Option<WebhookReport>,
    pub imported: Option<ImportReport>,
    pub identities: Option<Vec<Option<Identity>>>,
    pub texts: Option<Vec<String>>,
    pub explanation: Option<Explanation>,
    pub stale_changes: Option<Vec<StaleChange>>,
    pub users_to_read: Option<Vec<UserToRead>>,
    pub conflicts: Option<Vec<Conflict>>,
}

/// An exchange with the app's database.
#[napi]
pub struct Exchange {
    tables: Arc<RwLock<Database>>,
    core: in_database::Exchange,
}

#[napi]
impl Exchange {
    /// What is next after what the last statement gave: nothing, of the first.
    #[napi]
    pub fn answered(&mut self, text: Option<String>) -> napi::Result<Next> {
        self.next(Said::Answer(text.as_deref()))
    }

    /// What is next after the last statement was refused, by its SQLSTATE; `''`: nobody answered.
    #[napi]
    pub fn refused(&mut self, state: String) -> napi::Result<Next> {
        self.next(Said::Refused(&state))
    }
}

impl Exchange {
    pub(crate) fn new(tables: Arc<RwLock<Database>>, work: Work, inside: bool) -> Self {
        Self { tables, core: in_database::Exchange::new(work, inside) }
    }

    fn next(&mut self, said: Said<'_>) -> napi::Result<Next> {
        edge(|| {
            Ok(match self.core.next(&self.tables, said)? {
                Step::Send(statement) => Next {
                    statement: Some(statement.text),
                    parameters: statement.parameters,
                    asks: statement.asks,
                    wait_ms: u32::try_from(statement.wait.as_millis()).unwrap_or(u32::MAX),
                    outcome: None,
                },
                Step::Done(outcome) => Next {
                    statement: None,
                    parameters: Vec::new(),
                    asks: false,
                    wait_ms: 0,
                    outcome: Some(outcome.into()),
                },
            })
        })
    }
}

impl From<Decided> for Decision {
    fn from(decided: Decided) -> Self {
        Self { email: decided.email, id: decided.id.map(text), reason: decided.reason.name().into() }
    }
}

impl From<in_database::Outcome> for Outcome {
    fn from(outcome: in_database::Outcome) -> Self {
        use in_database::Outcome as Of;
        let all = Self::default();
        match outcome {
            Of::Page { decision, text, why } => {
                Self { decision: Some(decision.into()), text, why: why.map(|why| text_of(&why)), ..all }
            }
            Of::Flag(flag) => Self { flag: Some(flag), ..all },
            Of::Change(token) => Self { token: Some(token.get().to_string()), ..all },
            Of::Lease(lease) => Self { token: lease.map(|lease| lease.get().to_string()), ..all },
            Of::Time(time) => Self { milliseconds: i64::try_from(time.as_millis()).ok(), ..all },
            Of::Turn(turn) => {
                let (name, wait) = match turn {
                    Turn::Ended => ("ended", None),
                    Turn::See => ("seen", None),
                    Turn::Wait(left) => ("wait", i64::try_from(left.as_millis()).ok()),
                    Turn::Now => ("now", None),
                };
                Self { turn: Some(name.into()), milliseconds: wait, ..all }
            }
            Of::Recorded(done) => Self { recorded: Some(done.into()), ..all },
            Of::Observed(done) => Self { observed: Some(done.into()), ..all },
            Of::WebhookApplied(done) => Self { webhook: Some(done.into()), ..all },
            Of::Imported(done) => Self { imported: Some(done.into()), ..all },
            Of::Identities(found) => {
                Self { identities: Some(found.into_iter().map(|one| one.map(Identity::from)).collect()), ..all }
            }
            Of::Refusal(why) => Self { text: why.map(Refusal::name).map(str::to_owned), ..all },
            Of::Text(found) => Self { text: Some(found), ..all },
            Of::Texts(found) | Of::Users(found) => Self { texts: Some(found), ..all },
            Of::Explained { decision, sentences } => {
                Self { explanation: Some(Explanation { decision: decision.into(), sentences }), ..all }
            }
            Of::StaleChanges(found) => {
                Self { stale_changes: Some(found.into_iter().map(StaleChange::from).collect()), ..all }
            }
            Of::UsersToRead(found, next) => Self {
                users_to_read: Some(found.into_iter().map(UserToRead::from).collect()),
                token: next.map(text),
                ..all
            },
            Of::Conflicts(found) => Self { conflicts: Some(found.into_iter().map(Conflict::from).collect()), ..all },
            _ => all,
        }
    }
}
