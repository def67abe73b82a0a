//! The core's errors, as one that UniFFI can carry.

use vidcache::{Error, Vid};

use crate::time::milliseconds;

/// A failed call. No email, secret or value of an answer is in it.
#[derive(Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
pub enum VidcacheError {
    /// Every failure; `code` tells them apart.
    #[error("{text}")]
    Failed {
        /// The stable name of the code: `invalid_user_key`, `busy`, …
        code: String,
        /// The code's stable number.
        number: i32,
        /// What went wrong, for a person. Not called `message`: Kotlin's exceptions have one of their own.
        text: String,
        /// The contact that the failure is about (`vid_taken`, `contact_conflict`).
        vid: Option<i64>,
        /// `rate_limited`: how long the limit lasts at most, in milliseconds, where HubSpot's answer tells.
        retry_after_ms: Option<u64>,
    },
}

impl From<Error> for VidcacheError {
    fn from(error: Error) -> Self {
        let vid = error.vid().map(Vid::get);
        let retry_after_ms = error.retry_after().map(milliseconds);
        let code = error.code();
        Self::Failed { code: code.name().into(), number: code.number(), text: error.to_string(), vid, retry_after_ms }
    }
}

/// An error, as a value.
#[derive(Debug, Clone, uniffi::Record)]
#[allow(missing_docs)] // As `VidcacheError` has them.
pub struct Failure {
    pub code: String,
    pub number: i32,
    pub text: String,
    pub vid: Option<i64>,
    pub retry_after_ms: Option<u64>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let VidcacheError::Failed { code, number, text, vid, retry_after_ms } = error.into();
        Self { code, number, text, vid, retry_after_ms }
    }
}
