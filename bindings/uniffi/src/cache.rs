//! Opening and closing.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;
use std::time::Duration;

use vidcache::{Error, Options, Synchronous};

use crate::edge::{edge, keep_panics_quiet};
use crate::error::VidcacheError;

/// How to open a cache. What is left out has the core's default.
#[derive(uniffi::Record)]
pub struct OpenOptions {
    // Made by bindings/tables.
    /// What the file's key is wrapped under: at least 16 bytes, kept outside the file. Without one the key lies open in
    /// the file, so whoever has the file can test a guessed email against it.
    #[uniffi(default = None)]
    pub secret: Option<Vec<u8>>,
    /// The host of HubSpot's loader, copied from the portal's own embed code (in HubSpot: Settings, Tracking code),
    /// whose src is `//HOST/PORTAL.js`: `js-eu1.hs-scripts.com` for portals in the EU data centre, `js-na2`, `js-ap1`
    /// and others elsewhere. Default: `js.hs-scripts.com`, which is not every portal's.
    #[uniffi(default = None)]
    pub loader_host: Option<String>,
    /// The most bytes that the in-process table takes. Default: 32 MiB, about 400,000 users.
    #[uniffi(default = None)]
    pub memory: Option<u64>,
    /// How long a call waits for other processes' writes before `busy`; the beginning of a change, which a visitor may
    /// be waiting for, 2 s at most. In milliseconds, at most 3600000. Default: 5000.
    #[uniffi(default = None)]
    pub busy_timeout_ms: Option<u64>,
    /// How long after it was rendered a page may name an email; a page that runs later gives the id alone. A worker
    /// tells HubSpot of a change when pages rendered before the change are older than this. Where processes that share
    /// a file have different ones, the longest counts. In milliseconds, from 100 to 3600000. Default: 10000.
    #[uniffi(default = None)]
    pub page_deadline_ms: Option<u64>,
    /// Whether a write that returned survives a power failure. If not, it survives a crash of the process, and a power
    /// failure may take the last writes, the beginning of a change among them: then a page may name an email that
    /// HubSpot holds no more. Default: true.
    #[uniffi(default = true)]
    pub full: bool,
    /// What `secret` was before, the newest first. A file that was made or last opened with one of these is opened, and
    /// its key is wrapped anew under `secret`, which is one row: afterwards the old ones are not needed.
    #[uniffi(default = [])]
    pub old_secrets: Vec<Vec<u8>>,
}

impl OpenOptions {
    /// Does `work` with them as the core has them.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Options<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let old_secrets: Vec<&[u8]> = self.old_secrets.iter().map(Vec::as_slice).collect();
        let defaults = Options::default();
        work(&Options {
            // Made by bindings/tables.
            secret: self.secret.as_deref(),
            loader_host: self.loader_host.as_deref().unwrap_or(defaults.loader_host),
            memory: self.memory.map_or(defaults.memory, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
            busy_timeout: self.busy_timeout_ms.map_or(defaults.busy_timeout, Duration::from_millis),
            page_deadline: self.page_deadline_ms.map_or(defaults.page_deadline, Duration::from_millis),
            synchronous: if self.full { Synchronous::Full } else { Synchronous::Normal },
            old_secrets: &old_secrets,
        })
    }
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
            options.with(|options| {
                Ok(Arc::new(Self(vidcache::Vidcache::open(OsString::from_vec(path), portal_id, options)?)))
            })
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
