//! One table of stable error codes, and the error type that carries them.
//!
//! Every binding maps [`ErrorCode`] to its own exception or return code, by
//! number or by name. A number, once released, keeps its meaning for ever.
//!
//! What may be in an error: the library's own words, a vid, a portal, a path,
//! SQLite's message, the *name* of a field; a user key only where two users must be told apart
//! ([`Error::VidTaken`]). What may not: an email, a secret, or any part of an answer's values (a HubSpot error message
//! can quote an email, so it is never repeated).

use std::path::PathBuf;
use std::time::Duration;

use crate::identity::Vid;
use crate::refusal::Refusal;

/// What names the path of the file that is opened, in the words of each binding's user. A backup's is named by whoever
/// asks for it.
pub(crate) const SETTING: &str = "the path is the one given to open: config.vidcache.path in Rails, VIDCACHE[\"path\"] in Django, \
                       VIDCACHE_PATH in Flask";

/// The result of every fallible call of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, in words for a person and with a code for a program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The user key cannot be a key: text is 1 to 255 bytes of UTF-8 without NUL.
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
    /// The secret is too short to key the fingerprints: it takes at least 16 bytes.
    #[error("invalid secret: it must have at least {min} bytes", min = crate::limits::MIN_SECRET)]
    InvalidSecret,
    /// An option, or another argument, is of the wrong type or out of its range.
    #[error("invalid option {name}: {why}")]
    InvalidOption {
        /// The option's name.
        name: &'static str,
        /// What its range is.
        why: &'static str,
    },
    /// The caller's buffer is too small for what was to be written to it. Only callers in C hand one over.
    #[error("the buffer is too small: {needed} bytes are needed")]
    BufferTooSmall {
        /// How many bytes it takes.
        needed: usize,
    },
    /// The answer is not JSON, or a field that matters has the wrong type.
    #[error("invalid answer: {0}")]
    InvalidAnswer(String),
    /// The answer is JSON but names no contact. What was asked for may have been done all the same, so read the
    /// contact.
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
    /// applied but its erasures.
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
    /// The change token belongs to another user, or to one who was forgotten.
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
    /// HubSpot refused: another contact holds the email (409, or a 400 that means the same).
    #[error("HubSpot refused: {} holds that email already", .vid.map_or("another contact".into(), |vid| format!("contact {vid}")))]
    ContactConflict {
        /// The contact that holds it, where the answer names it.
        vid: Option<Vid>,
    },
    /// HubSpot has no such contact (404, in HubSpot's own words). It may pass: so it is right after a create.
    #[error("HubSpot has no such contact")]
    ContactMissing,
    /// HubSpot asks to wait, and the call was not carried out: its rate limit was reached (429), or it is at work (423,
    /// 477, 503).
    #[error("HubSpot asks to wait{}", .retry_after.map(|t| format!("; try again in {} s", t.as_secs())).unwrap_or_default())]
    RateLimited {
        /// How long that limit lasts at most, where the answer names one whose length is known.
        retry_after: Option<Duration>,
    },
    /// HubSpot will not take the email, however often it is told (400): the change has ended, and the message says what
    /// to do.
    #[error("HubSpot refused: {}", .why.words())]
    Refused {
        /// Why.
        why: Refusal,
    },
    /// HubSpot answered with an error that says nothing of a contact: no access, a failure of its own. Try again later.
    #[error("HubSpot answered with an error{}", .category.as_ref().map(|word| format!(" of category {word}")).unwrap_or_default())]
    HubspotError {
        /// HubSpot's word for it, where the answer has one.
        category: Option<String>,
    },

    /// The file belongs to another HubSpot portal.
    #[error("the cache belongs to portal {found}, not to portal {expected}")]
    WrongPortal {
        /// The portal recorded in the file.
        found: i64,
        /// The portal given by the caller.
        expected: i64,
    },
    /// The file's key is wrapped under another secret.
    #[error(
        "the cache's key is wrapped under another secret. If the secret was changed, give the one before as an old secret \
         too: the key is wrapped anew at once, and nothing is lost. Without it nobody can open the cache: stop every process \
         that has a file open and move it aside with its -wal and -shm, or empty all tables of a database; until it has \
         filled again, by HubSpot's answers or an import, pages name nobody"
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
    #[error("the cache has schema version {found}; this version knows up to {known}; it was left as it is")]
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
    #[error(
        "{path} is on {kind}, where SQLite's write-ahead log is not safe; use a local disk (Docker Desktop: a named volume \
         and not a folder of the host; WSL: a folder of Linux's own, not one below /mnt); {SETTING}",
        path = .path.display()
    )]
    UnsupportedFilesystem {
        /// The file.
        path: PathBuf,
        /// The kind of file system.
        kind: &'static str,
    },

    /// vidcache's tables in the app's database cannot be used: they are missing or half migrated, were not set up, may
    /// not be written, were asked on a replica or in a transaction that sees them as they were, or hold what cannot be.
    #[error("vidcache's tables in the app's database cannot be used: {0}")]
    TablesUnusable(String),

    /// Another process held the write lock for longer than the busy timeout.
    #[error("others held the lock for too long")]
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

/// Makes [`ErrorCode`] of the table below, and [`Error::code`], which only compiles while every variant of [`Error`]
/// has a row of the same name.
macro_rules! codes {
    ($($code:ident = $number:literal, $name:literal;)*) => {
        /// A stable code: the number for C, the name for every other language.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        #[repr(i32)]
        #[allow(missing_docs)] // Each is documented at the variant of `Error` with the same name.
        pub enum ErrorCode {
            $($code = $number,)*
        }

        impl ErrorCode {
            /// Every code, in numeric order.
            pub const ALL: &'static [ErrorCode] = &[$(Self::$code),*];

            /// The name, in snake case: `invalid_user_key`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$code => $name,)*
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
                    $(Self::$code { .. } => ErrorCode::$code,)*
                }
            }
        }
    };
}

codes! {
    // 1xx: the caller's input.
    InvalidUserKey = 101, "invalid_user_key";
    InvalidVid = 102, "invalid_vid";
    InvalidEmail = 103, "invalid_email";
    InvalidPortal = 104, "invalid_portal";
    InvalidSecret = 105, "invalid_secret";
    InvalidOption = 106, "invalid_option";
    BufferTooSmall = 107, "buffer_too_small";
    InvalidAnswer = 111, "invalid_answer";
    AnswerWithoutId = 112, "answer_without_id";
    AnswerWithoutEmail = 113, "answer_without_email";
    InvalidWebhook = 114, "invalid_webhook";
    InvalidSignature = 115, "invalid_signature";
    // 2xx: what the rows, or HubSpot, say against it.
    UnknownChange = 201, "unknown_change";
    ForeignChange = 202, "foreign_change";
    VidTaken = 203, "vid_taken";
    ContactConflict = 204, "contact_conflict";
    ContactMissing = 205, "contact_missing";
    RateLimited = 206, "rate_limited";
    Refused = 207, "refused";
    HubspotError = 208, "hubspot_error";
    // 3xx: the file.
    WrongPortal = 301, "wrong_portal";
    WrongSecret = 302, "wrong_secret";
    NotACache = 303, "not_a_cache";
    NewerSchema = 304, "newer_schema";
    CannotOpen = 305, "cannot_open";
    UnsupportedFilesystem = 306, "unsupported_filesystem";
    TablesUnusable = 307, "tables_unusable";
    // 4xx: while working.
    Busy = 401, "busy";
    Cancelled = 402, "cancelled";
    Storage = 403, "storage";
    Corrupt = 404, "corrupt";
    Closed = 405, "closed";
    // 5xx: defects.
    Internal = 501, "internal";
}

impl Error {
    /// The contact that the error is about ([`Error::VidTaken`], [`Error::ContactConflict`]), where one is known.
    pub const fn vid(&self) -> Option<Vid> {
        match self {
            Self::VidTaken { vid, .. } => Some(*vid),
            Self::ContactConflict { vid } => *vid,
            _ => None,
        }
    }

    /// How long HubSpot's limit lasts at most ([`Error::RateLimited`]), where the answer told.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } => *retry_after,
            _ => None,
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
