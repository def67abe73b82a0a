//! What is learnt or done in the app's own database, as values: an errand of the core's borrows all that it is about,
//! which no object of Ruby's can, so it is put together anew for each of its steps.

use magnus::value::Lazy;
use magnus::{Class, IntoValue, RArray, RClass, RString, Ruby, Symbol, Value, prelude::*};
use vidcache_core::in_database::{Database, Errand, Turn};
use vidcache_core::{ChangeToken, Email, Error, Recorded, Vid, WebhookReport};

use crate::convert::{self, Key, value_class};
use crate::error::Failure;

static RECORDED: Lazy<RClass> = value_class!("Recorded");
static WEBHOOK_REPORT: Lazy<RClass> = value_class!("WebhookReport");

pub(crate) fn define(ruby: &Ruby) {
    for class in [&RECORDED, &WEBHOOK_REPORT] {
        Lazy::force(class, ruby);
    }
}

/// Of which kind it is, and what it is about.
pub(crate) enum Question {
    Turn(Key, ChangeToken),
    Link(Key, Vid, bool),
    Abandon(Key, ChangeToken),
    Record(Key, Vec<u8>, Option<ChangeToken>, Option<i64>),
    Webhook(Vec<u8>),
    Forget(Key),
    Explain(Key, Option<Email>),
    Export(Key),
    UsersOf(Vid),
}

/// What came of it. An error beside it is to be told once what was written is committed.
pub(crate) enum Outcome {
    Nothing,
    Flag(bool),
    Turn(Turn, Option<String>),
    Recorded(Result<Recorded, Error>),
    Webhook(WebhookReport, Option<Error>),
    Text(String),
    Texts(Vec<String>),
}

impl Question {
    /// `about`: as the Ruby layer gives it for each kind.
    pub(crate) fn new(ruby: &Ruby, kind: Symbol, about: RArray) -> Result<Self, Failure> {
        let user = || Key::new(ruby, about.entry(0)?);
        let token = || -> Result<_, Failure> { Ok(convert::token(about.entry(1)?)?) };
        Ok(match &*kind.name()? {
            "turn" => Self::Turn(user()?, token()?),
            "link" => Self::Link(user()?, convert::vid(ruby, about.entry(1)?)?, false),
            "link_shared" => Self::Link(user()?, convert::vid(ruby, about.entry(1)?)?, true),
            "abandon" => Self::Abandon(user()?, token()?),
            "record" => {
                let (user, answer) = (user()?, convert::bytes(about.entry::<RString>(1)?));
                let change: Value = about.entry(2)?;
                let change = if change.is_nil() { None } else { Some(convert::token(change)?) };
                Self::Record(user, answer, change, convert::milliseconds(about.entry(3)?)?)
            }
            "webhook" => Self::Webhook(RString::from_value(about.entry(0)?).map(convert::bytes).ok_or(
                Error::InvalidWebhook { event: None, field: "body", why: "it is not a String" },
            )?),
            "forget" => Self::Forget(user()?),
            "explain" => Self::Explain(user()?, convert::email(ruby, about.entry(1)?)?),
            "export" => Self::Export(user()?),
            "users_of" => Self::UsersOf(convert::vid(ruby, about.entry(0)?)?),
            _ => return Err(Error::Internal("an errand of no kind".into()).into()),
        })
    }

    pub(crate) fn errand<'a>(&'a self, database: &'a Database) -> Result<Errand<'a, Outcome>, Error> {
        Ok(match self {
            Self::Turn(user, token) => database.turn(user.get()?, *token).map(|(turn, see)| Outcome::Turn(turn, see)),
            Self::Link(user, vid, shared) => database.link(user.get()?, *vid, *shared).map(|()| Outcome::Nothing),
            Self::Abandon(user, token) => database.abandon(user.get()?, *token).map(|()| Outcome::Nothing),
            Self::Record(user, answer, change, asked_at) => {
                database.record(user.get()?, answer, *change, *asked_at)?.map(Outcome::Recorded)
            }
            Self::Webhook(body) => {
                database.apply_webhook(body)?.map(|(report, refused)| Outcome::Webhook(report, refused))
            }
            Self::Forget(user) => database.forget(user.get()?).map(Outcome::Flag),
            Self::Explain(user, email) => {
                database.explain(user.get()?, email.as_ref()).map(|told| Outcome::Texts(told.sentences))
            }
            Self::Export(user) => database.export(user.get()?).map(Outcome::Text),
            Self::UsersOf(vid) => database.users_of(*vid).map(Outcome::Texts),
        })
    }
}

impl Outcome {
    /// As Ruby sees it, and the error that is to be raised once what was written is committed.
    pub(crate) fn told(self, ruby: &Ruby) -> Result<(Value, Option<Error>), Failure> {
        Ok(match self {
            Self::Nothing => (ruby.qnil().as_value(), None),
            Self::Flag(flag) => (flag.into_value_with(ruby), None),
            Self::Turn(turn, see) => {
                let (name, wait) = match turn {
                    Turn::Ended => ("ended", None),
                    Turn::See => ("see", None),
                    Turn::Wait(left) => ("wait", Some(left.as_secs_f64())),
                    Turn::Now => ("now", None),
                };
                ((ruby.to_symbol(name), wait, see).into_value_with(ruby), None)
            }
            Self::Recorded(Ok(recorded)) => {
                let fields =
                    (recorded.vid.get(), recorded.canonical, recorded.created, recorded.email_observed);
                (ruby.get_inner(&RECORDED).new_instance(fields)?, None)
            }
            Self::Recorded(Err(error)) => (ruby.qnil().as_value(), Some(error)),
            Self::Webhook(report, refused) => {
                let counts = (report.applied, report.repeated, report.ignored);
                (ruby.get_inner(&WEBHOOK_REPORT).new_instance(counts)?, refused)
            }
            Self::Text(text) => (text.into_value_with(ruby), None),
            Self::Texts(texts) => (texts.into_value_with(ruby), None),
        })
    }
}
