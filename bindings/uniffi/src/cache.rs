//! Opening and closing.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;
use std::time::Duration;

use vidcache::{Options, Synchronous};

use crate::edge::{edge, keep_panics_quiet};
use crate::error::VidcacheError;

/// How to open a cache. What is left out has the core's default.
#[derive(uniffi::Record)]
pub struct OpenOptions {
    /// What the file's key is wrapped under: at least 16 bytes. Without it the key lies open in the file.
    #[uniffi(default = None)]
    pub secret: Option<Vec<u8>>,
    /// What `secret` was before, the newest first. A file of one of these is opened, and its key wrapped anew under
    /// `secret`.
    #[uniffi(default = [])]
    pub old_secrets: Vec<Vec<u8>>,
    /// Whether a write that returned survives a power failure.
    #[uniffi(default = true)]
    pub full: bool,
    /// How long a call waits for other processes' writes, in milliseconds.
    #[uniffi(default = None)]
    pub busy_timeout_ms: Option<u64>,
    /// The most bytes that the in-process table takes.
    #[uniffi(default = None)]
    pub memory: Option<u64>,
    /// How long after it was rendered a page may name an email, in milliseconds.
    #[uniffi(default = None)]
    pub page_deadline_ms: Option<u64>,
    /// The host of HubSpot's loader, copied from the portal's own embed code.
    #[uniffi(default = None)]
    pub loader_host: Option<String>,
}

/// A user → contact cache in one SQLite file, for one HubSpot portal. Safe to share between threads, and
/// right on both sides of a fork.
#[derive(uniffi::Object)]
pub struct Vidcache(pub(crate) vidcache::Vidcache);

#[uniffi::export]
impl Vidcache {
    /// Opens the file at `path`, the bytes of a file name, creating it where there is none.
    ///
    /// # Errors
    /// Every code of opening: the arguments, the place, what is in the file.
    #[uniffi::constructor]
    pub fn open(path: Vec<u8>, portal_id: i64, options: OpenOptions) -> Result<Arc<Self>, VidcacheError> {
        keep_panics_quiet();
        edge(|| {
            let old_secrets: Vec<&[u8]> = options.old_secrets.iter().map(Vec::as_slice).collect();
            let mut opening =
                Options { secret: options.secret.as_deref(), old_secrets: &old_secrets, ..Options::default() };
            if !options.full {
                opening.synchronous = Synchronous::Normal;
            }
            if let Some(time) = options.busy_timeout_ms {
                opening.busy_timeout = Duration::from_millis(time);
            }
            if let Some(bytes) = options.memory {
                opening.memory = usize::try_from(bytes).unwrap_or(usize::MAX);
            }
            if let Some(time) = options.page_deadline_ms {
                opening.page_deadline = Duration::from_millis(time);
            }
            if let Some(host) = options.loader_host.as_deref() {
                opening.loader_host = host;
            }
            Ok(Arc::new(Self(vidcache::Vidcache::open(OsString::from_vec(path), portal_id, &opening)?)))
        })
    }

    /// Closes the file; every later call fails with code `closed`, and closing again does nothing.
    ///
    /// # Errors
    /// `internal`.
    pub fn close(&self) -> Result<(), VidcacheError> {
        edge(|| {
            self.0.close();
            Ok(())
        })
    }

    /// The HubSpot account that the file belongs to.
    pub fn portal_id(&self) -> i64 {
        self.0.portal()
    }
}

/// Moves a file that will not open out of the way. Returns where it is now, the bytes of a file name.
///
/// # Errors
/// `busy`, `cannot_open`, `unsupported_filesystem`. Then nothing was moved.
#[uniffi::export]
pub fn move_aside(path: Vec<u8>) -> Result<Vec<u8>, VidcacheError> {
    keep_panics_quiet();
    edge(|| Ok(vidcache::Vidcache::move_aside(OsString::from_vec(path))?.into_os_string().into_vec()))
}

/// Puts a copy of the backup `from` in the place of the file at `path`, while nobody has that open. Returns where what
/// was there is now, the bytes of a file name, if there was anything.
///
/// # Errors
/// `busy`, `cannot_open`, `unsupported_filesystem`, `not_a_cache`, `newer_schema`, `corrupt`. Then the file is as it
/// was, or moved aside.
#[uniffi::export]
pub fn restore(from: Vec<u8>, path: Vec<u8>) -> Result<Option<Vec<u8>>, VidcacheError> {
    keep_panics_quiet();
    edge(|| {
        let old = vidcache::Vidcache::restore(OsString::from_vec(from), OsString::from_vec(path))?;
        Ok(old.map(|old| old.into_os_string().into_vec()))
    })
}
