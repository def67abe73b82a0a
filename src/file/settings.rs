//! What to open, and how.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// How hard an acknowledged write is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// A write that returned survives a crash of the process, of the system, and a power failure
    /// (SQLite's `synchronous=FULL`).
    #[default]
    Full,
    /// A write that returned survives a crash of the process; a power failure can take the last ones (SQLite's
    /// `synchronous=NORMAL`). About five times faster where `fsync` is slow. Among the last ones may be the beginning
    /// of a change, and then a page may name an email that HubSpot holds no more: the rule holds with `Full` only.
    Normal,
}

/// What to open, and how. The facade's options, checked.
pub(crate) struct Settings<'a> {
    pub(crate) path: &'a Path,
    pub(crate) portal: i64,
    pub(crate) secret: Option<&'a [u8]>,
    /// What `secret` was before: the newest first.
    pub(crate) old_secrets: &'a [&'a [u8]],
    pub(crate) synchronous: Synchronous,
    pub(crate) busy_timeout: Duration,
    pub(crate) memory: usize,
}

impl<'a> Settings<'a> {
    /// The newest first.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &'a [u8]> {
        self.secret.into_iter().chain(self.old_secrets.iter().copied())
    }
}

/// A file that was opened before, and what must still be so of it: after a fork, say, the path may lead to another
/// file.
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) portal: i64,
    pub(crate) synchronous: Synchronous,
    pub(crate) key_check: [u8; 8],
}
