//! The rows in the app's own PostgreSQL: what is asked, learnt or done, each as an exchange whose statements JavaScript
//! sends. Nothing here waits, so all of it is answered at once.

use std::sync::{Arc, PoisonError, RwLock};

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;
use vidcache::in_database::{self, Database, Form, ImportedRow, Work};
use vidcache::{ChangeToken, Error, LeaseToken, Vid};

use crate::cache::OpenOptions;
use crate::changes::{held, milliseconds, token};
use crate::edge::{edge, keep_panics_quiet};
use crate::exchange::Exchange;
use crate::intake::{ImportRow, count};
use crate::lookup;

/// The tables of one portal.
#[napi]
pub struct Tables(Arc<RwLock<Database>>);

/// What was answered from memory.
#[napi(object)]
pub struct Kept {
    pub hits: i64,
    pub looks: i64,
    pub forgotten: i64,
    pub entries: i64,
    pub bytes: i64,
}

/// The statements that make the tables in a schema of the app's database.
#[napi]
pub fn migration(schema: String) -> napi::Result<Vec<String>> {
    keep_panics_quiet();
    edge(|| in_database::migration(&schema))
}

#[napi]
impl Tables {
    #[napi(constructor)]
    pub fn new(schema: String, portal_id: String, options: OpenOptions, max_age_ms: i64) -> napi::Result<Self> {
        keep_panics_quiet();
        edge(|| {
            options.with(|options| {
                let mut core = Database::new(&schema, portal_id.parse().unwrap_or(0), options)?;
                if max_age_ms != 0 {
                    core = core.watching(milliseconds(max_age_ms), options.memory)?;
                }
                Ok(Self(Arc::new(RwLock::new(core))))
            })
        })
    }

    #[napi]
    pub fn portal(&self) -> String {
        self.read(|core| core.portal().to_string())
    }

    #[napi]
    pub fn kept(&self) -> Option<Kept> {
        let stats = self.read(Database::watch_stats)?;
        let (hits, looks, forgotten) = (count(stats.hits), count(stats.looks), count(stats.forgotten));
        Some(Kept { hits, looks, forgotten, entries: count(stats.entries), bytes: count(stats.bytes) })
    }

    #[napi]
    pub fn anonymous_snippet(&self, nonce: Option<String>) -> String {
        self.read(|core| core.anonymous_page().render(nonce.as_deref()))
    }

    #[napi]
    pub fn signed_out_snippet(&self, nonce: Option<String>) -> String {
        self.read(|core| core.signed_out_page().render(nonce.as_deref()))
    }

    #[napi]
    pub fn anonymous_page_data(&self) -> String {
        self.read(|core| core.anonymous_page().data())
    }

    #[napi]
    pub fn signed_out_page_data(&self) -> String {
        self.read(|core| core.signed_out_page().data())
    }

    #[napi]
    pub fn set_up(&self, inside: bool) -> Exchange {
        self.about(inside, Work::SetUp)
    }

    #[napi]
    pub fn decide(&self, inside: bool, user: String, email: Option<String>) -> napi::Result<Exchange> {
        self.page(inside, user, email.as_deref(), Form::Decision)
    }

    #[napi]
    pub fn snippet(
        &self,
        inside: bool,
        user: String,
        email: Option<String>,
        nonce: Option<String>,
    ) -> napi::Result<Exchange> {
        self.page(inside, user, email.as_deref(), Form::Snippet(nonce))
    }

    #[napi]
    pub fn page_data(&self, inside: bool, user: String, email: Option<String>) -> napi::Result<Exchange> {
        self.page(inside, user, email.as_deref(), Form::Data)
    }

    #[napi]
    pub fn begin(&self, inside: bool, user: String) -> Exchange {
        self.about(inside, Work::Begin { user })
    }

    #[napi]
    pub fn see(&self, inside: bool, change: String) -> napi::Result<Exchange> {
        self.of(inside, || Ok(Work::See { change: token(&change)? }))
    }

    #[napi]
    pub fn abandon(&self, inside: bool, user: String, change: String) -> napi::Result<Exchange> {
        self.of(inside, || Ok(Work::Abandon { user, change: token(&change)? }))
    }

    #[napi]
    pub fn is_outstanding(&self, inside: bool, user: String, change: String) -> napi::Result<Exchange> {
        self.of(inside, || Ok(Work::IsOutstanding { user, change: token(&change)? }))
    }

    #[napi]
    pub fn turn(&self, inside: bool, user: String, change: String, at_least_ms: i64) -> napi::Result<Exchange> {
        let at_least = milliseconds(at_least_ms);
        self.of(inside, || Ok(Work::Turn { user, change: token(&change)?, at_least }))
    }

    #[napi]
    pub fn quiet_period(&self, inside: bool) -> Exchange {
        self.about(inside, Work::QuietPeriod)
    }

    #[napi]
    pub fn lease(&self, inside: bool, user: String, duration_ms: i64, renew: Option<String>) -> Exchange {
        let held: Option<LeaseToken> = renew.as_deref().map(held);
        self.about(inside, Work::Lease { user, duration: milliseconds(duration_ms), held })
    }

    #[napi]
    pub fn release(&self, inside: bool, user: String, lease: String) -> Exchange {
        self.about(inside, Work::Release { user, held: held(&lease) })
    }

    #[napi]
    pub fn link(&self, inside: bool, user: String, vid: String, shared: bool) -> napi::Result<Exchange> {
        self.of(inside, || Ok(Work::Link { user, vid: vid.parse()?, shared }))
    }

    #[napi]
    pub fn record(
        &self,
        inside: bool,
        user: String,
        answer: Buffer,
        change: Option<String>,
        asked_at: Option<i64>,
    ) -> napi::Result<Exchange> {
        self.of(inside, || {
            let change: Option<ChangeToken> = change.as_deref().map(token).transpose()?;
            Ok(Work::Record { user, answer: answer.to_vec(), change, asked_at })
        })
    }

    #[napi]
    pub fn observe(&self, inside: bool, answer: Buffer, asked_at: Option<i64>) -> Exchange {
        self.about(inside, Work::Observe { answer: answer.to_vec(), asked_at })
    }

    #[napi]
    pub fn apply_webhook(&self, inside: bool, body: Buffer) -> Exchange {
        self.about(inside, Work::ApplyWebhook { body: body.to_vec() })
    }

    #[napi]
    pub fn import_users(&self, inside: bool, rows: Vec<ImportRow>) -> napi::Result<Exchange> {
        self.of(inside, || {
            let convert = |row: ImportRow| {
                let email = lookup::email(row.email.as_deref())?.map(|email| (email, row.email_at_ms));
                Ok::<_, Error>(ImportedRow { user: row.user, vid: row.vid.parse()?, email })
            };
            Ok(Work::Import { rows: rows.into_iter().map(convert).collect::<Result<_, _>>()? })
        })
    }

    #[napi]
    pub fn end_conflict(&self, inside: bool, user: String) -> Exchange {
        self.about(inside, Work::EndConflict { user })
    }

    #[napi]
    pub fn forget(&self, inside: bool, user: String) -> Exchange {
        self.about(inside, Work::Forget { user })
    }

    #[napi]
    pub fn doubt_all(&self, inside: bool) -> Exchange {
        self.about(inside, Work::DoubtAll)
    }

    #[napi]
    pub fn resolve_many(&self, inside: bool, users: Vec<String>) -> Exchange {
        self.about(inside, Work::Resolve { users })
    }

    #[napi]
    pub fn is_known(&self, inside: bool, user: String) -> Exchange {
        self.about(inside, Work::Knows { user })
    }

    #[napi]
    pub fn refusal(&self, inside: bool, user: String) -> Exchange {
        self.about(inside, Work::Refusal { user })
    }

    #[napi]
    pub fn explain(&self, inside: bool, user: String, email: Option<String>) -> napi::Result<Exchange> {
        self.of(inside, || Ok(Work::Explain { user, email: lookup::email(email.as_deref())? }))
    }

    #[napi]
    pub fn export(&self, inside: bool, user: String) -> Exchange {
        self.about(inside, Work::Export { user })
    }

    #[napi]
    pub fn users_of(&self, inside: bool, vid: String) -> napi::Result<Exchange> {
        self.of(inside, || Ok(Work::UsersOf { vid: vid.parse()? }))
    }

    #[napi]
    pub fn stale_changes(&self, inside: bool, older_than_ms: i64, limit: u32) -> Exchange {
        self.about(inside, Work::StaleChanges { older_than: milliseconds(older_than_ms), limit })
    }

    #[napi]
    pub fn users_to_read(
        &self,
        inside: bool,
        confirmed: bool,
        older_than_ms: i64,
        after: Option<String>,
        limit: u32,
    ) -> napi::Result<Exchange> {
        self.of(inside, || {
            let after: Option<Vid> = after.as_deref().map(str::parse).transpose()?;
            Ok(Work::UsersToRead { confirmed, older_than: milliseconds(older_than_ms), after, limit })
        })
    }

    #[napi]
    pub fn conflicts(&self, inside: bool, after: Option<String>, limit: u32) -> Exchange {
        self.about(inside, Work::Conflicts { after, limit })
    }

    #[napi]
    pub fn verify(&self, inside: bool) -> Exchange {
        self.about(inside, Work::Verify)
    }
}

impl Tables {
    fn read<T>(&self, body: impl FnOnce(&Database) -> T) -> T {
        body(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn about(&self, inside: bool, work: Work) -> Exchange {
        Exchange::new(self.0.clone(), work, inside)
    }

    fn of(&self, inside: bool, work: impl FnOnce() -> Result<Work, Error>) -> napi::Result<Exchange> {
        edge(|| Ok(self.about(inside, work()?)))
    }

    fn page(&self, inside: bool, user: String, email: Option<&str>, form: Form) -> napi::Result<Exchange> {
        self.of(inside, || Ok(Work::Page { user, email: lookup::email(email)?, form }))
    }
}
