//! The way in: what the app and HubSpot say.

use napi::bindgen_prelude::{AsyncTask, Buffer};
use napi_derive::napi;
use vidcache::{ChangeToken, Error, Imported, UserKey, Vid};

use crate::cache::Native;
use crate::changes::token;
use crate::edge::Job;
use crate::lookup::{self, text};

/// What `record` learnt.
#[napi(object)]
pub struct Recorded {
    pub vid: String,
    pub canonical: bool,
    pub created: Option<bool>,
    pub email_observed: bool,
}

/// What `observe` learnt.
#[napi(object)]
pub struct Observed {
    pub contacts: Vec<String>,
    pub missing: Vec<String>,
}

/// What `apply_webhook` did with the events of a body.
#[napi(object)]
pub struct WebhookReport {
    pub applied: i64,
    pub repeated: i64,
    pub ignored: i64,
}

/// A user whom `import_users` takes in.
#[napi(object)]
pub struct ImportRow {
    pub user: String,
    pub vid: String,
    pub email: Option<String>,
    pub email_at_ms: i64,
}

/// What `import_users` did.
#[napi(object)]
pub struct ImportReport {
    pub imported: i64,
    pub vid_taken: i64,
}

impl From<vidcache::Recorded> for Recorded {
    fn from(done: vidcache::Recorded) -> Self {
        let (vid, email_observed) = (text(done.vid), done.email_observed);
        Self { vid, canonical: done.canonical, created: done.created, email_observed }
    }
}

impl From<vidcache::Observed> for Observed {
    fn from(done: vidcache::Observed) -> Self {
        let texts = |vids: Vec<Vid>| vids.into_iter().map(text).collect();
        Self { contacts: texts(done.contacts), missing: texts(done.missing) }
    }
}

impl From<vidcache::WebhookReport> for WebhookReport {
    fn from(done: vidcache::WebhookReport) -> Self {
        Self { applied: count(done.applied), repeated: count(done.repeated), ignored: count(done.ignored) }
    }
}

impl From<vidcache::ImportReport> for ImportReport {
    fn from(done: vidcache::ImportReport) -> Self {
        Self { imported: count(done.imported), vid_taken: count(done.vid_taken) }
    }
}

/// JavaScript's numbers count so far exactly.
pub(crate) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[napi]
impl Native {
    #[napi]
    pub fn link(&self, user: String, vid: String) -> AsyncTask<Job<()>> {
        self.later(move |cache| cache.link(UserKey::text(&user)?, vid.parse()?))
    }

    #[napi]
    pub fn link_shared(&self, user: String, vid: String) -> AsyncTask<Job<()>> {
        self.later(move |cache| cache.link_shared(UserKey::text(&user)?, vid.parse()?))
    }

    #[napi]
    pub fn record(
        &self,
        user: String,
        answer: Buffer,
        change: Option<String>,
        asked_at_ms: Option<i64>,
    ) -> AsyncTask<Job<Recorded>> {
        let answer = answer.to_vec();
        self.later(move |cache| {
            let user = UserKey::text(&user)?;
            let change: Option<ChangeToken> = change.as_deref().map(token).transpose()?;
            let done = match asked_at_ms {
                Some(asked_at) => cache.record_read(user, &answer, change, asked_at)?,
                None => cache.record(user, &answer, change)?,
            };
            Ok(done.into())
        })
    }

    #[napi]
    pub fn observe(&self, answer: Buffer, asked_at_ms: Option<i64>) -> AsyncTask<Job<Observed>> {
        let answer = answer.to_vec();
        self.later(move |cache| {
            let done = match asked_at_ms {
                Some(asked_at) => cache.observe_read(&answer, asked_at)?,
                None => cache.observe(&answer)?,
            };
            Ok(done.into())
        })
    }

    #[napi]
    pub fn apply_webhook(&self, body: Buffer) -> AsyncTask<Job<WebhookReport>> {
        let body = body.to_vec();
        self.later(move |cache| Ok(cache.apply_webhook(&body)?.into()))
    }

    #[napi]
    pub fn import_users(&self, rows: Vec<ImportRow>) -> AsyncTask<Job<ImportReport>> {
        self.later(move |cache| {
            let rows = rows
                .iter()
                .map(|row| {
                    let email = lookup::email(row.email.as_deref())?.map(|email| (email, row.email_at_ms));
                    Ok(Imported { user: UserKey::text(&row.user)?, vid: row.vid.parse()?, email })
                })
                .collect::<Result<Vec<_>, Error>>()?;
            Ok(cache.import(rows.into_iter().map(Ok))?.into())
        })
    }
}
