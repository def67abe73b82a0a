//! One table of stable error codes, and the error type that carries them.
//!
//! Every binding maps [`ErrorCode`] to its own exception or return code, by
//! number or by name. A number, once released, keeps its meaning for ever.
//!
//! What may be in an error: the library's own words, a vid, a portal, a path,
//! SQLite's message, the *name* of a field; a user key only where two users must be told apart
//! ([`Error::VidTaken`]). What may not: an email, a secret, or any part of an answer's values (a HubSpot error message can
//! quote an email, so it is never repeated).

use std::path::PathBuf;
use std::time::Duration;

use crate::identity::Vid;

/// The result of every fallible call of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, in words for a person and with a code for a program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The user key cannot be a key.
    #[error("invalid user key: {0}")]
    InvalidUserKey(&'static str),
    /// The vid is not an integer from 1 to 2^63 - 1.
    #[error("invalid vid: {0}")]
    InvalidVid(&'static str),
    /// The email cannot be an address.
    #[error("invalid email: {0}")]
    InvalidEmail(&'static str),
    /// The portal id is not an integer from 1 to 2^63 - 1.
    #[error("invalid portal id: it must be an integer from 1 to 2^63 - 1")]
    InvalidPortal,
    /// The secret is too short to key the fingerprints.
    #[error("invalid secret: it must have at least {min} bytes", min = crate::limits::MIN_SECRET)]
    InvalidSecret,
    /// An option is out of its range.
    #[error("invalid option {name}: {why}")]
    InvalidOption {
        /// The option's name.
        name: &'static str,
        /// What its range is.
        why: &'static str,
    },
    /// The caller's buffer is too small for what was to be written to it.
    #[error("the buffer is too small: {needed} bytes are needed")]
    BufferTooSmall {
        /// How many bytes it takes.
        needed: usize,
    },
    /// The answer is not JSON, or a field that matters has the wrong type.
    #[error("invalid answer: {0}")]
    InvalidAnswer(String),
    /// The answer is JSON but names no contact.
    #[error("the answer names no contact: {0}")]
    AnswerWithoutId(String),
    /// The answer names a contact but not which email it holds and since when,
    /// so it cannot finish a change.
    #[error(
        "the answer does not say which email HubSpot holds and since when, so it cannot finish a \
         change: read the contact (v1 profile, v3 get) and record that"
    )]
    AnswerWithoutEmail,
    /// The webhook's body is not a batch of events, or a field that matters has the wrong type. Nothing of the batch is
    /// applied.
    #[error("invalid webhook: {}{field}: {why}", .event.map(|n| format!("event {n}, ")).unwrap_or_default())]
    InvalidWebhook {
        /// Which event of the batch, from 0. `None` when it is the body itself.
        event: Option<usize>,
        /// The field's name; `body` when it is the body itself.
        field: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The request was not signed by HubSpot with this secret, or was signed at another time.
    #[error("invalid signature: {0}")]
    InvalidSignature(&'static str),

    /// No change with this token is known.
    #[error("unknown change token")]
    UnknownChange,
    /// The change token belongs to another user.
    #[error("the change token belongs to another user")]
    ForeignChange,
    /// The contact is linked to another user.
    #[error("contact {vid} is linked to user {linked_to} already, and cannot be user {user}'s too")]
    VidTaken {
        /// The contact.
        vid: Vid,
        /// The user who has it, as text.
        linked_to: String,
        /// The user who was to get it, as text.
        user: String,
    },
    /// HubSpot refused: another contact holds the email (409).
    #[error("HubSpot refused: {} holds that email already", .vid.map_or("another contact".into(), |vid| format!("contact {vid}")))]
    ContactConflict {
        /// The contact that holds it, where the answer names it.
        vid: Option<Vid>,
    },
    /// HubSpot has no such contact (404).
    #[error("HubSpot has no such contact")]
    ContactMissing,
    /// HubSpot's rate limit was reached, and the call was not carried out (429).
    #[error("HubSpot's rate limit was reached{}", .retry_after.map(|t| format!("; try again in {} s", t.as_secs())).unwrap_or_default())]
    RateLimited {
        /// How long that limit lasts at most, where the answer names one whose length is known.
        retry_after: Option<Duration>,
    },

    /// The file belongs to another HubSpot portal.
    #[error("the file belongs to portal {found}, not to portal {expected}")]
    WrongPortal {
        /// The portal recorded in the file.
        found: i64,
        /// The portal given by the caller.
        expected: i64,
    },
    /// The file's fingerprints were made with another secret.
    #[error(
        "the file's fingerprints were made with another secret; open it with that secret, or stop \
         every process that has it open, move it aside with its -wal and -shm, and let it fill again"
    )]
    WrongSecret,
    /// The file is not a database of this library.
    #[error("{path} is not a vidcache file ({why}); it was left as it is", path = .path.display())]
    NotACache {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        why: &'static str,
    },
    /// The file was written by a newer version of this library.
    #[error("the file has schema version {found}; this version knows up to {known}; it was left as it is")]
    NewerSchema {
        /// The version found in the file.
        found: i64,
        /// The newest version this library knows.
        known: i64,
    },
    /// The file cannot be opened or created.
    #[error("cannot open {path}: {why}", path = .path.display())]
    CannotOpen {
        /// The file.
        path: PathBuf,
        /// The operating system's or SQLite's reason.
        why: String,
    },
    /// The file system cannot carry a database that several processes share.
    #[error("{path} is on {kind}, where SQLite's write-ahead log is not safe; use a local disk", path = .path.display())]
    UnsupportedFilesystem {
        /// The file.
        path: PathBuf,
        /// The kind of file system.
        kind: &'static str,
    },

    /// Another process held the write lock for longer than the busy timeout.
    #[error("the file was locked by another process for too long")]
    Busy,
    /// The call was cancelled while it waited; nothing was written.
    #[error("the call was cancelled while it waited; nothing was written")]
    Cancelled,
    /// SQLite or the disk failed; nothing of this call was written.
    #[error("storage failed: {0}")]
    Storage(String),
    /// The file is damaged.
    #[error("the file is damaged: {0}")]
    Corrupt(String),
    /// The handle was closed.
    #[error("the cache is closed")]
    Closed,
    /// A defect of this library, caught at a binding's edge.
    #[error("internal error: {0}")]
    Internal(String),
}

/// A stable code: the number for C, the name for every other language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(i32)]
#[allow(missing_docs)] // Each is documented at the variant of `Error` with the same name.
pub enum ErrorCode {
    // 1xx: the caller's input.
    InvalidUserKey = 101,
    InvalidVid = 102,
    InvalidEmail = 103,
    InvalidPortal = 104,
    InvalidSecret = 105,
    InvalidOption = 106,
    BufferTooSmall = 107,
    InvalidAnswer = 111,
    AnswerWithoutId = 112,
    AnswerWithoutEmail = 113,
    InvalidWebhook = 114,
    InvalidSignature = 115,
    // 2xx: what the rows, or HubSpot, say against it.
    UnknownChange = 201,
    ForeignChange = 202,
    VidTaken = 203,
    ContactConflict = 204,
    ContactMissing = 205,
    RateLimited = 206,
    // 3xx: the file.
    WrongPortal = 301,
    WrongSecret = 302,
    NotACache = 303,
    NewerSchema = 304,
    CannotOpen = 305,
    UnsupportedFilesystem = 306,
    // 4xx: while working.
    Busy = 401,
    Cancelled = 402,
    Storage = 403,
    Corrupt = 404,
    Closed = 405,
    // 5xx: defects.
    Internal = 501,
}

impl ErrorCode {
    /// Every code, in numeric order.
    pub const ALL: &'static [ErrorCode] = &[
        Self::InvalidUserKey,
        Self::InvalidVid,
        Self::InvalidEmail,
        Self::InvalidPortal,
        Self::InvalidSecret,
        Self::InvalidOption,
        Self::BufferTooSmall,
        Self::InvalidAnswer,
        Self::AnswerWithoutId,
        Self::AnswerWithoutEmail,
        Self::InvalidWebhook,
        Self::InvalidSignature,
        Self::UnknownChange,
        Self::ForeignChange,
        Self::VidTaken,
        Self::ContactConflict,
        Self::ContactMissing,
        Self::RateLimited,
        Self::WrongPortal,
        Self::WrongSecret,
        Self::NotACache,
        Self::NewerSchema,
        Self::CannotOpen,
        Self::UnsupportedFilesystem,
        Self::Busy,
        Self::Cancelled,
        Self::Storage,
        Self::Corrupt,
        Self::Closed,
        Self::Internal,
    ];

    /// The name, in snake case: `invalid_user_key`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidUserKey => "invalid_user_key",
            Self::InvalidVid => "invalid_vid",
            Self::InvalidEmail => "invalid_email",
            Self::InvalidPortal => "invalid_portal",
            Self::InvalidSecret => "invalid_secret",
            Self::InvalidOption => "invalid_option",
            Self::BufferTooSmall => "buffer_too_small",
            Self::InvalidAnswer => "invalid_answer",
            Self::AnswerWithoutId => "answer_without_id",
            Self::AnswerWithoutEmail => "answer_without_email",
            Self::InvalidWebhook => "invalid_webhook",
            Self::InvalidSignature => "invalid_signature",
            Self::UnknownChange => "unknown_change",
            Self::ForeignChange => "foreign_change",
            Self::VidTaken => "vid_taken",
            Self::ContactConflict => "contact_conflict",
            Self::ContactMissing => "contact_missing",
            Self::RateLimited => "rate_limited",
            Self::WrongPortal => "wrong_portal",
            Self::WrongSecret => "wrong_secret",
            Self::NotACache => "not_a_cache",
            Self::NewerSchema => "newer_schema",
            Self::CannotOpen => "cannot_open",
            Self::UnsupportedFilesystem => "unsupported_filesystem",
            Self::Busy => "busy",
            Self::Cancelled => "cancelled",
            Self::Storage => "storage",
            Self::Corrupt => "corrupt",
            Self::Closed => "closed",
            Self::Internal => "internal",
        }
    }

    /// The number, as C sees it. Zero is never an error.
    pub const fn number(self) -> i32 {
        self as i32
    }
}

impl Error {
    /// The stable code of this error.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidUserKey(_) => ErrorCode::InvalidUserKey,
            Self::InvalidVid(_) => ErrorCode::InvalidVid,
            Self::InvalidEmail(_) => ErrorCode::InvalidEmail,
            Self::InvalidPortal => ErrorCode::InvalidPortal,
            Self::InvalidSecret => ErrorCode::InvalidSecret,
            Self::InvalidOption { .. } => ErrorCode::InvalidOption,
            Self::BufferTooSmall { .. } => ErrorCode::BufferTooSmall,
            Self::InvalidAnswer(_) => ErrorCode::InvalidAnswer,
            Self::AnswerWithoutId(_) => ErrorCode::AnswerWithoutId,
            Self::AnswerWithoutEmail => ErrorCode::AnswerWithoutEmail,
            Self::InvalidWebhook { .. } => ErrorCode::InvalidWebhook,
            Self::InvalidSignature(_) => ErrorCode::InvalidSignature,
            Self::UnknownChange => ErrorCode::UnknownChange,
            Self::ForeignChange => ErrorCode::ForeignChange,
            Self::VidTaken { .. } => ErrorCode::VidTaken,
            Self::ContactConflict { .. } => ErrorCode::ContactConflict,
            Self::ContactMissing => ErrorCode::ContactMissing,
            Self::RateLimited { .. } => ErrorCode::RateLimited,
            Self::WrongPortal { .. } => ErrorCode::WrongPortal,
            Self::WrongSecret => ErrorCode::WrongSecret,
            Self::NotACache { .. } => ErrorCode::NotACache,
            Self::NewerSchema { .. } => ErrorCode::NewerSchema,
            Self::CannotOpen { .. } => ErrorCode::CannotOpen,
            Self::UnsupportedFilesystem { .. } => ErrorCode::UnsupportedFilesystem,
            Self::Busy => ErrorCode::Busy,
            Self::Cancelled => ErrorCode::Cancelled,
            Self::Storage(_) => ErrorCode::Storage,
            Self::Corrupt(_) => ErrorCode::Corrupt,
            Self::Closed => ErrorCode::Closed,
            Self::Internal(_) => ErrorCode::Internal,
        }
    }
}

impl From<rusqlite::Error> for Error {
    /// SQLite's own words carry no bound values, so they may be repeated.
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Sqlite;
        match error.sqlite_error_code() {
            // SQLITE_INTERRUPT comes from `verify` alone, whose progress handler stops when a fork is waiting or the
            // call was cancelled. As `Busy` it is tried again, or ends as cancelled.
            Some(Sqlite::DatabaseBusy | Sqlite::DatabaseLocked | Sqlite::OperationInterrupted) => Self::Busy,
            Some(Sqlite::DatabaseCorrupt | Sqlite::NotADatabase) => Self::Corrupt(error.to_string()),
            _ => Self::Storage(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_listed_once_in_numeric_order_with_names_of_their_own() {
        assert!(ErrorCode::ALL.windows(2).all(|w| w[0].number() < w[1].number()));
        let mut names: Vec<_> = ErrorCode::ALL.iter().map(|c| c.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ErrorCode::ALL.len());
        assert!(ErrorCode::ALL.iter().all(|c| c.number() > 0));
    }
}
