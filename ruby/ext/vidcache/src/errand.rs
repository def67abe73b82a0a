//! What is learnt or done in the app's own database, as values: an errand of the core's borrows all that it is about,
//! which no object of Ruby's can, so it is put together anew for each of its steps.

use std::time::Duration;

use magnus::{IntoValue, RArray, RString, Ruby, Symbol, Value, prelude::*};
use vidcache_core::in_database::{Database, Errand, Turn};
use vidcache_core::{
    ChangeToken, Email, Error, Identity, ImportReport, Imported, Observed, Recorded, Refusal, UserKey, Vid,
    WebhookReport,
};

use crate::convert::{self, Key};
use crate::error::Failure;
use crate::{cache, intake};

/// Of which kind it is, and what it is about.
pub(crate) enum Question {
    Turn(Key, ChangeToken, Duration),
    IsOutstanding(Key, ChangeToken),
    OutstandingSince(Key, ChangeToken),
    Link(Key, Vid, bool),
    Abandon(Key, ChangeToken),
    Record(Key, Vec<u8>, Option<ChangeToken>, Option<i64>),
    Webhook(Vec<u8>),
    Observe(Vec<u8>, Option<i64>),
    Import(Vec<intake::Row>),
    EndConflict(Key),
    Forget(Key),
    Knows(Key),
    Resolve(Key),
    ResolveMany(Vec<Key>),
    Refusal(Key),
    Explain(Key, Option<Box<Email>>),
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
    Observed(Observed),
    Imported(ImportReport),
    At(Option<i64>),
    Contacts(Vec<Option<i64>>),
    Refusal(Option<Refusal>),
    Text(String),
    Texts(Vec<String>),
}

impl Question {
    /// `about`: as the Ruby layer gives it for each kind.
    pub(crate) fn new(ruby: &Ruby, kind: Symbol, about: RArray) -> Result<Self, Failure> {
        let user = || Key::new(ruby, about.entry(0)?);
        let token = || -> Result<_, Failure> { Ok(convert::token(about.entry(1)?)?) };
        Ok(match &*kind.name()? {
            "turn" => Self::Turn(user()?, token()?, convert::seconds(ruby, about.entry(2)?, "quiet_period")?),
            "is_outstanding" => Self::IsOutstanding(user()?, token()?),
            "outstanding_since" => Self::OutstandingSince(user()?, token()?),
            "link" => Self::Link(user()?, convert::vid(ruby, about.entry(1)?)?, false),
            "link_shared" => Self::Link(user()?, convert::vid(ruby, about.entry(1)?)?, true),
            "abandon" => Self::Abandon(user()?, token()?),
            "record" => {
                let (user, answer) = (user()?, convert::bytes(about.entry::<RString>(1)?));
                let change = convert::token_or_none(about.entry(2)?)?;
                Self::Record(user, answer, change, convert::milliseconds(about.entry(3)?)?)
            }
            "webhook" => Self::Webhook(intake::webhook_body(about.entry(0)?)?),
            "observe" => {
                Self::Observe(convert::bytes(about.entry::<RString>(0)?), convert::milliseconds(about.entry(1)?)?)
            }
            "import" => Self::Import(intake::rows(ruby, about)?),
            "end_conflict" => Self::EndConflict(user()?),
            "knows" => Self::Knows(user()?),
            "resolve" => Self::Resolve(user()?),
            "resolve_many" => {
                Self::ResolveMany(about.into_iter().map(|user| Key::new(ruby, user)).collect::<Result<_, _>>()?)
            }
            "refusal" => Self::Refusal(user()?),
            "forget" => Self::Forget(user()?),
            "explain" => Self::Explain(user()?, convert::email(ruby, about.entry(1)?)?.map(Box::new)),
            "export" => Self::Export(user()?),
            "users_of" => Self::UsersOf(convert::vid(ruby, about.entry(0)?)?),
            _ => return Err(Error::Internal("an errand of no kind".into()).into()),
        })
    }

    /// The users of whom there are many, for [`Question::errand`], which borrows them.
    pub(crate) fn keys(&self) -> Result<Vec<UserKey<'_>>, Error> {
        match self {
            Self::ResolveMany(users) => users.iter().map(Key::get).collect(),
            _ => Ok(Vec::new()),
        }
    }

    pub(crate) fn errand<'a>(
        &'a self,
        keys: &'a [UserKey<'a>],
        database: &'a Database,
    ) -> Result<Errand<'a, Outcome>, Error> {
        Ok(match self {
            Self::Turn(user, token, at_least) => {
                database.turn(user.get()?, *token, *at_least).map(|(turn, see)| Outcome::Turn(turn, see))
            }
            Self::IsOutstanding(user, token) => database.is_change_outstanding(user.get()?, *token).map(Outcome::Flag),
            Self::OutstandingSince(user, token) => {
                database.change_outstanding_since(user.get()?, *token).map(Outcome::At)
            }
            Self::Link(user, vid, shared) => database.link(user.get()?, *vid, *shared).map(|()| Outcome::Nothing),
            Self::Abandon(user, token) => database.abandon(user.get()?, *token).map(|()| Outcome::Nothing),
            Self::Record(user, answer, change, asked_at) => {
                database.record(user.get()?, answer, *change, *asked_at)?.map(Outcome::Recorded)
            }
            Self::Webhook(body) => {
                database.apply_webhook(body)?.map(|(report, refused)| Outcome::Webhook(report, refused))
            }
            Self::Observe(answer, asked_at) => database.observe(answer, *asked_at)?.map(Outcome::Observed),
            Self::Import(rows) => {
                let rows =
                    rows.iter().map(|(key, vid, email)| Ok(Imported { user: key.get()?, vid: *vid, email: *email }));
                database.import(&rows.collect::<Result<Vec<_>, Error>>()?)?.map(Outcome::Imported)
            }
            Self::EndConflict(user) => database.end_conflict(user.get()?).map(|()| Outcome::Nothing),
            Self::Knows(user) => database.knows(user.get()?).map(Outcome::Flag),
            Self::Resolve(user) => database.resolve(user.get()?).map(|found| Outcome::Contacts(vec![vid(found)])),
            Self::ResolveMany(_) => {
                database.resolve_many(keys).map(|found| Outcome::Contacts(found.into_iter().map(vid).collect()))
            }
            Self::Refusal(user) => database.refusal(user.get()?).map(Outcome::Refusal),
            Self::Forget(user) => database.forget(user.get()?).map(Outcome::Flag),
            Self::Explain(user, email) => {
                database.explain(user.get()?, email.as_deref()).map(|told| Outcome::Texts(told.sentences))
            }
            Self::Export(user) => database.export(user.get()?).map(Outcome::Text),
            Self::UsersOf(vid) => database.users_of(*vid).map(Outcome::Texts),
        })
    }
}

impl Outcome {
    /// What Ruby sees of it, and the error that is to be raised once what was written is committed.
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
            Self::Recorded(Ok(recorded)) => (cache::recorded(ruby, recorded)?, None),
            Self::Recorded(Err(error)) => (ruby.qnil().as_value(), Some(error)),
            Self::Webhook(report, refused) => (intake::webhook_report(ruby, report)?, refused),
            Self::Observed(observed) => (intake::observed(ruby, observed)?, None),
            Self::Imported(report) => (intake::import_report(ruby, report)?, None),
            Self::At(at) => (at.map(|at| convert::time(ruby, at)).transpose()?.into_value_with(ruby), None),
            Self::Contacts(vids) => (ruby.ary_from_iter(vids).into_value_with(ruby), None),
            Self::Refusal(why) => (why.map(|why| ruby.to_symbol(why.name())).into_value_with(ruby), None),
            Self::Text(text) => (text.into_value_with(ruby), None),
            Self::Texts(texts) => (texts.into_value_with(ruby), None),
        })
    }
}

fn vid(found: Option<Identity>) -> Option<i64> {
    found.map(|identity| identity.vid.get())
}
