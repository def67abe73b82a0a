//! vidcache for Python, Kotlin and Swift through UniFFI: conversion of types over the facade, and nothing else.
//!
//! So far the smallest useful slice: open, resolve, decide, close. UniFFI itself turns a panic into the
//! foreign language's internal error.

use std::sync::Arc;

use vidcache::{Options, UserKey};

uniffi::setup_scaffolding!();

/// A failed call: the stable name of its code, and words for a person without personal data.
#[derive(Debug, thiserror::Error, uniffi::Error)]
pub enum VidcacheError {
    /// Every failure; `code` tells them apart (`invalid_user_key`, `busy`, …).
    #[error("{text}")]
    Failed {
        /// The stable name.
        code: String,
        /// What went wrong. Not called `message`: Kotlin's exceptions have one of their own.
        text: String,
    },
}

impl From<vidcache::Error> for VidcacheError {
    fn from(error: vidcache::Error) -> Self {
        Self::Failed { code: error.code().name().into(), text: error.to_string() }
    }
}

/// What a page may say of a user.
#[derive(Debug, PartialEq, Eq, uniffi::Record)]
pub struct Decision {
    /// The email to name, normalised, or none.
    pub email: Option<String>,
    /// The external id to give, or none.
    pub id: Option<i64>,
    /// Why: `agreed`, `change_outstanding`, …
    pub reason: String,
}

/// A user → contact cache in one SQLite file, for one HubSpot portal. Safe to share between threads, and
/// right on both sides of a fork.
#[derive(uniffi::Object)]
pub struct Vidcache(vidcache::Vidcache);

#[uniffi::export]
impl Vidcache {
    /// Opens the file at `path` for a portal, creating it where there is none. `secret` has at least 16
    /// bytes; without one a random key is kept in the file.
    ///
    /// # Errors
    /// Every code of opening: the arguments, the place, what is in the file.
    #[uniffi::constructor]
    pub fn open(path: String, portal_id: i64, secret: Option<Vec<u8>>) -> Result<Arc<Self>, VidcacheError> {
        let options = Options { secret: secret.as_deref(), ..Options::default() };
        Ok(Arc::new(Self(vidcache::Vidcache::open(path, portal_id, &options)?)))
    }

    /// The contact of the user, or none.
    ///
    /// # Errors
    /// `invalid_user_key`, `storage`, `corrupt`, `busy`, `closed`.
    pub fn resolve(&self, user: &str) -> Result<Option<i64>, VidcacheError> {
        Ok(self.0.resolve(UserKey::text(user)?)?.map(|identity| identity.vid.get()))
    }

    /// What a page may say of the user, whose email the app believes to be `email`.
    ///
    /// # Errors
    /// As `resolve`, and `invalid_email`.
    pub fn decide(&self, user: &str, email: Option<String>) -> Result<Decision, VidcacheError> {
        let email = email.as_deref().map(vidcache::Email::parse).transpose()?;
        let decision = self.0.decide(UserKey::text(user)?, email.as_ref())?;
        Ok(Decision {
            email: decision.email.map(str::to_owned),
            id: decision.id.map(vidcache::Vid::get),
            reason: decision.reason.name().into(),
        })
    }

    /// Closes the file; every later call fails with code `closed`.
    pub fn close(&self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_caller_opens_decides_and_closes() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("u.vidcache").to_str().expect("UTF-8").to_owned();
        let cache = Vidcache::open(path, 1, None).expect("opens");
        cache.0.link(UserKey::from(7), vidcache::Vid::try_from(901).expect("positive")).expect("linked");
        assert_eq!(cache.resolve("7").expect("an answer"), Some(901));
        let decision = cache.decide("7", Some("a@x.test".into())).expect("an answer");
        assert_eq!(decision, Decision { email: None, id: Some(901), reason: "email_unconfirmed".into() });
        cache.close();
        let VidcacheError::Failed { code, text } = cache.resolve("7").expect_err("closed");
        assert_eq!((code.as_str(), text.as_str()), ("closed", "the cache is closed"));
        let VidcacheError::Failed { code, .. } = cache.decide("7", Some("ann".into())).expect_err("no email");
        assert_eq!(code, "invalid_email");
    }
}
