//! Changes of email: begun before the app's commit, finished by `record`, or abandoned.

use std::time::Duration;

use vidcache::{ChangeToken, LeaseToken, UserKey};

use crate::cache::Vidcache;
use crate::edge::edge;
use crate::error::VidcacheError;
use crate::time::milliseconds;

/// A change that was begun and is outstanding.
#[derive(Debug, uniffi::Record)]
pub struct StaleChange {
    /// The user as text, an integer in decimal.
    pub user: String,
    /// The token that a fresh answer must be recorded with.
    pub token: i64,
    /// When it was begun: milliseconds since 1970 UTC, by the app's clock.
    pub begun_at_ms: i64,
}

impl From<vidcache::StaleChange> for StaleChange {
    fn from(one: vidcache::StaleChange) -> Self {
        Self { user: one.user, token: one.token.get(), begun_at_ms: one.begun_at }
    }
}

#[uniffi::export]
impl Vidcache {
    /// Begins a change of the user's email. Returns its token, from 1 to 2^63 - 1. HubSpot must not be told sooner than
    /// the quiet period after this.
    ///
    /// # Errors
    /// `invalid_user_key`, `busy`, `storage`, `corrupt`, `closed`. Then no change was begun.
    pub fn begin_email_change(&self, user: &str) -> Result<i64, VidcacheError> {
        edge(|| Ok(self.0.begin_email_change(UserKey::text(user)?)?.get()))
    }

    /// Ends a change that did not happen.
    ///
    /// # Errors
    /// `unknown_change`, `foreign_change`, and as `begin_email_change`.
    pub fn abandon_email_change(&self, user: &str, change: i64) -> Result<(), VidcacheError> {
        edge(|| self.0.abandon_email_change(UserKey::text(user)?, ChangeToken::try_from(change)?))
    }

    /// Whether the user's change is outstanding.
    ///
    /// # Errors
    /// `unknown_change`, `foreign_change`, and as `resolve`.
    pub fn is_change_outstanding(&self, user: &str, change: i64) -> Result<bool, VidcacheError> {
        edge(|| self.0.is_change_outstanding(UserKey::text(user)?, ChangeToken::try_from(change)?))
    }

    /// Since when the user's change has counted for every page that could name the email of their contact: when it was
    /// begun, or when the contact became another user's too, if that was heard later. Milliseconds since 1970 UTC, by
    /// the app's clock; none once it has ended.
    ///
    /// # Errors
    /// As `is_change_outstanding`.
    pub fn change_outstanding_since(&self, user: &str, change: i64) -> Result<Option<i64>, VidcacheError> {
        edge(|| self.0.change_outstanding_since(UserKey::text(user)?, ChangeToken::try_from(change)?))
    }

    /// How long the worker must wait after the beginning of a change before it tells HubSpot, in milliseconds: the
    /// longest page deadline of any process that used the file within the last day, and 5 s more.
    ///
    /// # Errors
    /// `storage`, `corrupt`, `busy`, `closed`.
    pub fn quiet_period(&self) -> Result<u64, VidcacheError> {
        edge(|| Ok(milliseconds(self.0.quiet_period()?)))
    }

    /// Takes the user's lease for so long, from 1 ms to 1 hour: the right to tell HubSpot of the user, which one job
    /// has at a time. With `renew`, the token of a lease, that one goes on for so long from now. Returns its token;
    /// none: another job has it, or the one to be renewed had ended.
    ///
    /// # Errors
    /// `invalid_option`, and as `begin_email_change`.
    pub fn lease(&self, user: &str, duration_ms: u64, renew: Option<i64>) -> Result<Option<i64>, VidcacheError> {
        edge(|| {
            let (duration, held) = (Duration::from_millis(duration_ms), renew.map(LeaseToken::from));
            Ok(self.0.lease(UserKey::text(user)?, duration, held)?.map(LeaseToken::get))
        })
    }

    /// Ends the user's lease. False: it had ended already.
    ///
    /// # Errors
    /// As `begin_email_change`.
    pub fn release(&self, user: &str, lease: i64) -> Result<bool, VidcacheError> {
        edge(|| self.0.release(UserKey::text(user)?, LeaseToken::from(lease)))
    }

    /// The changes begun `older_than_ms` milliseconds ago or longer and still outstanding, oldest first.
    ///
    /// # Errors
    /// As `resolve`.
    pub fn stale_changes(&self, older_than_ms: u64, limit: u32) -> Result<Vec<StaleChange>, VidcacheError> {
        edge(|| {
            let found = self.0.stale_changes(Duration::from_millis(older_than_ms), limit)?;
            Ok(found.into_iter().map(StaleChange::from).collect())
        })
    }
}
