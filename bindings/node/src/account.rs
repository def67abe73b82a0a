//! One user for people to read, and the state of the file.

use napi::bindgen_prelude::{AsyncTask, Buffer};
use napi_derive::napi;
use vidcache::UserKey;

use crate::cache::{Native, owned};
use crate::edge::Job;
use crate::intake::count;
use crate::lookup::{self, Decision};

/// Why a page says what it says.
#[napi(object)]
pub struct Explanation {
    pub decision: Decision,
    pub sentences: Vec<String>,
}

/// What a handle has done since it was opened, in this process.
#[napi(object)]
pub struct Stats {
    // Made by bindings/tables.
    pub hits: i64,
    pub misses: i64,
    pub syncs: i64,
    pub evictions: i64,
    pub entries: i64,
    pub bytes: i64,
    pub revision: i64,
    pub reopened: i64,
    pub log_bytes: i64,
    pub passing: Option<String>,
    pub fallback: Option<String>,
    pub last_error: Option<String>,
}

#[napi]
impl Native {
    #[napi]
    pub fn explain(&self, user: String, email: Option<String>) -> AsyncTask<Job<Explanation>> {
        self.later(move |cache| {
            let email = lookup::email(email.as_deref())?;
            let found = cache.explain(UserKey::text(&user)?, email.as_ref())?;
            Ok(Explanation { decision: found.decision.into(), sentences: found.sentences })
        })
    }

    #[napi]
    pub fn forget(&self, user: String) -> AsyncTask<Job<bool>> {
        self.later(move |cache| cache.forget(UserKey::text(&user)?))
    }

    #[napi]
    pub fn export(&self, user: String) -> AsyncTask<Job<String>> {
        self.later(move |cache| cache.export(UserKey::text(&user)?))
    }

    #[napi]
    pub fn verify(&self) -> AsyncTask<Job<Vec<String>>> {
        self.later(|cache| cache.verify())
    }

    #[napi]
    pub fn backup(&self, path: Buffer) -> AsyncTask<Job<()>> {
        let path = owned(&path);
        self.later(move |cache| cache.backup(path))
    }

    #[napi]
    pub fn stats(&self) -> napi::Result<Stats> {
        self.now(|cache| {
            let stats = cache.stats();
            Ok(Stats {
                // Made by bindings/tables.
                hits: count(stats.hits),
                misses: count(stats.misses),
                syncs: count(stats.syncs),
                evictions: count(stats.evictions),
                entries: count(stats.entries),
                bytes: count(stats.bytes),
                revision: stats.revision,
                reopened: count(stats.reopened),
                log_bytes: count(stats.log_bytes),
                passing: stats.passing.map(Into::into),
                fallback: stats.fallback.map(Into::into),
                last_error: stats.last_error.map(|code| code.name().into()),
            })
        })
    }
}
