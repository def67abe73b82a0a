//! Changes of email: begun before the app's commit, finished by `record`, or abandoned.

use std::time::Duration;

use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;
use vidcache::{ChangeToken, Error, LeaseToken, UserKey};

use crate::cache::Native;
use crate::edge::Job;

/// A change that was begun and is outstanding.
#[napi(object)]
pub struct StaleChange {
    pub user: String,
    pub token: String,
    pub begun_at_ms: i64,
}

impl From<vidcache::StaleChange> for StaleChange {
    fn from(change: vidcache::StaleChange) -> Self {
        Self { user: change.user, token: change.token.get().to_string(), begun_at_ms: change.begun_at }
    }
}

/// What is no number of 64 bits is an unknown token, as a number is that was never given out.
pub(crate) fn token(text: &str) -> Result<ChangeToken, Error> {
    ChangeToken::try_from(text.parse().unwrap_or(0))
}

/// A number that was never given out holds nothing.
pub(crate) fn held(text: &str) -> LeaseToken {
    LeaseToken::from(text.parse().unwrap_or(0))
}

/// The layer over this gives none below 0.
pub(crate) fn milliseconds(number: i64) -> Duration {
    Duration::from_millis(u64::try_from(number).unwrap_or(0))
}

#[napi]
impl Native {
    #[napi]
    pub fn begin_email_change(&self, user: String) -> AsyncTask<Job<String>> {
        self.later(move |cache| Ok(cache.begin_email_change(UserKey::text(&user)?)?.get().to_string()))
    }

    #[napi]
    pub fn abandon_email_change(&self, user: String, change: String) -> AsyncTask<Job<()>> {
        self.later(move |cache| cache.abandon_email_change(UserKey::text(&user)?, token(&change)?))
    }

    #[napi]
    pub fn is_change_outstanding(&self, user: String, change: String) -> AsyncTask<Job<bool>> {
        self.later(move |cache| cache.is_change_outstanding(UserKey::text(&user)?, token(&change)?))
    }

    #[napi]
    pub fn change_outstanding_since(&self, user: String, change: String) -> AsyncTask<Job<Option<i64>>> {
        self.later(move |cache| cache.change_outstanding_since(UserKey::text(&user)?, token(&change)?))
    }

    #[napi]
    pub fn quiet_period_ms(&self) -> AsyncTask<Job<i64>> {
        self.later(|cache| Ok(i64::try_from(cache.quiet_period()?.as_millis()).unwrap_or(i64::MAX)))
    }

    #[napi]
    pub fn lease(&self, user: String, duration_ms: i64, renew: Option<String>) -> AsyncTask<Job<Option<String>>> {
        self.later(move |cache| {
            let taken = cache.lease(UserKey::text(&user)?, milliseconds(duration_ms), renew.as_deref().map(held))?;
            Ok(taken.map(|lease| lease.get().to_string()))
        })
    }

    #[napi]
    pub fn release(&self, user: String, lease: String) -> AsyncTask<Job<bool>> {
        self.later(move |cache| cache.release(UserKey::text(&user)?, held(&lease)))
    }

    #[napi]
    pub fn stale_changes(&self, older_than_ms: i64, limit: u32) -> AsyncTask<Job<Vec<StaleChange>>> {
        self.later(move |cache| {
            let found = cache.stale_changes(milliseconds(older_than_ms), limit)?;
            Ok(found.into_iter().map(StaleChange::from).collect())
        })
    }
}
