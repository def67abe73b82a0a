//! One user for people to read, and the state of the file.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use vidcache::UserKey;

use crate::cache::Vidcache;
use crate::edge::edge;
use crate::error::VidcacheError;
use crate::lookup::{self, Decision};

/// Why a page says what it says.
#[derive(Debug, uniffi::Record)]
pub struct Explanation {
    /// What the page may say.
    pub decision: Decision,
    /// What that rests on.
    pub sentences: Vec<String>,
}

impl From<vidcache::Explanation<'_>> for Explanation {
    fn from(found: vidcache::Explanation<'_>) -> Self {
        Self { decision: found.decision.into(), sentences: found.sentences }
    }
}

/// What a handle has done since it was opened, in this process. The fields are the core's.
#[derive(Debug, uniffi::Record)]
#[allow(missing_docs)] // Each is documented at the field of `vidcache::Stats` with the same name.
pub struct Stats {
    // Made by bindings/tables.
    pub hits: u64,
    pub misses: u64,
    pub syncs: u64,
    pub evictions: u64,
    pub entries: u64,
    pub bytes: u64,
    pub revision: i64,
    pub reopened: u64,
    pub log_bytes: u64,
    pub passing: Option<String>,
    pub fallback: Option<String>,
    pub last_error: Option<String>,
}

#[uniffi::export]
impl Vidcache {
    /// Why a page says of the user what it says.
    ///
    /// # Errors
    /// As `decide`.
    pub fn explain(&self, user: &str, email: Option<String>) -> Result<Explanation, VidcacheError> {
        edge(|| {
            let email = lookup::email(email.as_deref())?;
            let found = self.0.explain(UserKey::text(user)?, email.as_ref())?;
            Ok(found.into())
        })
    }

    /// Takes out all that is held on the user. False: nothing was held.
    ///
    /// # Errors
    /// As `begin_email_change`; after `busy`, call again.
    pub fn forget(&self, user: &str) -> Result<bool, VidcacheError> {
        edge(|| self.0.forget(UserKey::text(user)?))
    }

    /// All that the file holds on the user, as a JSON object.
    ///
    /// # Errors
    /// As `resolve`.
    pub fn export(&self, user: &str) -> Result<String, VidcacheError> {
        edge(|| self.0.export(UserKey::text(user)?))
    }

    /// What is wrong with the file. Empty: nothing.
    ///
    /// # Errors
    /// As `resolve`.
    pub fn verify(&self) -> Result<Vec<String>, VidcacheError> {
        edge(|| self.0.verify())
    }

    /// Copies the file, as of one commit, to a new file at `path`, the bytes of a file name.
    ///
    /// # Errors
    /// `cannot_open` where it is there already or cannot be made, and as `resolve`.
    pub fn backup(&self, path: Vec<u8>) -> Result<(), VidcacheError> {
        edge(|| self.0.backup(OsString::from_vec(path)))
    }

    /// What this handle has done in this process.
    ///
    /// # Errors
    /// `internal`.
    pub fn stats(&self) -> Result<Stats, VidcacheError> {
        edge(|| {
            let stats = self.0.stats();
            Ok(Stats {
                // Made by bindings/tables.
                hits: stats.hits,
                misses: stats.misses,
                syncs: stats.syncs,
                evictions: stats.evictions,
                entries: stats.entries,
                bytes: stats.bytes,
                revision: stats.revision,
                reopened: stats.reopened,
                log_bytes: stats.log_bytes,
                passing: stats.passing.map(Into::into),
                fallback: stats.fallback.map(Into::into),
                last_error: stats.last_error.map(|code| code.name().into()),
            })
        })
    }
}
