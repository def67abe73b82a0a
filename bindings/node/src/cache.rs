//! Opening and closing.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use napi::bindgen_prelude::{AsyncTask, Buffer, ToNapiValue, TypeName};
use napi_derive::napi;
use vidcache::{Error, Options, Synchronous, Vidcache};

use crate::changes::milliseconds;
use crate::edge::{Job, edge, keep_panics_quiet, later};

/// How to open a cache. What is left out has the core's default.
#[napi(object)]
pub struct OpenOptions {
    // Made by bindings/tables.
    pub secret: Option<Buffer>,
    pub loader_host: Option<String>,
    pub memory: Option<i64>,
    pub busy_timeout_ms: Option<i64>,
    pub page_deadline_ms: Option<i64>,
    pub durable: bool,
    pub old_secrets: Vec<Buffer>,
}

impl OpenOptions {
    /// Gives `work` the core's options, which borrow from these.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Options<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let old_secrets: Vec<&[u8]> = self.old_secrets.iter().map(AsRef::as_ref).collect();
        let defaults = Options::default();
        work(&Options {
            // Made by bindings/tables.
            secret: self.secret.as_deref(),
            loader_host: self.loader_host.as_deref().unwrap_or(defaults.loader_host),
            memory: self.memory.map_or(defaults.memory, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
            busy_timeout: self.busy_timeout_ms.map_or(defaults.busy_timeout, milliseconds),
            page_deadline: self.page_deadline_ms.map_or(defaults.page_deadline, milliseconds),
            synchronous: if self.durable { Synchronous::Full } else { Synchronous::Normal },
            old_secrets: &old_secrets,
        })
    }
}

/// The core's one type; `Cache` of `lib/cache.js` is around it.
#[napi]
pub struct Native(Arc<Vidcache>);

#[napi]
impl Native {
    #[napi(constructor)]
    pub fn new(path: Buffer, portal_id: String, options: OpenOptions) -> napi::Result<Self> {
        keep_panics_quiet();
        edge(|| {
            // No portal is 0: the core refuses it with what is none.
            let portal = portal_id.parse().unwrap_or(0);
            options.with(|options| Ok(Self(Arc::new(Vidcache::open(owned(&path), portal, options)?))))
        })
    }

    /// Closes the file; every later call fails with code `closed`, and closing again does nothing.
    #[napi]
    pub fn close(&self) -> napi::Result<()> {
        self.now(|cache| {
            cache.close();
            Ok(())
        })
    }

    /// The HubSpot account that the file belongs to.
    #[napi]
    pub fn portal(&self) -> String {
        self.0.portal().to_string()
    }
}

impl Native {
    /// An answer at once, on JavaScript's own thread.
    pub(crate) fn now<T>(&self, body: impl FnOnce(&Vidcache) -> Result<T, Error>) -> napi::Result<T> {
        edge(|| body(&self.0))
    }

    /// An answer later, on a thread of Node's pool, which keeps the cache until then.
    pub(crate) fn later<T>(
        &self,
        body: impl FnOnce(&Vidcache) -> Result<T, Error> + Send + 'static,
    ) -> AsyncTask<Job<T>>
    where
        T: ToNapiValue + TypeName + Send + 'static,
    {
        let cache = self.0.clone();
        later(move || body(&cache))
    }
}

impl Drop for Native {
    /// The collector lets go of a cache that nobody closed: JavaScript must not wait for the disk then.
    fn drop(&mut self) {
        if Arc::strong_count(&self.0) == 1 {
            self.0.close_later();
        }
    }
}

/// A path of its own, from the bytes of a file name.
pub(crate) fn owned(path: &Buffer) -> OsString {
    OsString::from_vec(path.to_vec())
}

/// Moves a file that will not open out of the way. Returns where it is now.
#[napi]
pub fn move_aside(path: Buffer) -> AsyncTask<Job<Buffer>> {
    keep_panics_quiet();
    let path = owned(&path);
    later(move || Ok(Vidcache::move_aside(path)?.into_os_string().into_vec().into()))
}

/// Puts a copy of the backup `from` in the place of the file at `path`, while nobody has that open. Returns where what
/// was there is now, if there was anything.
#[napi]
pub fn restore(from: Buffer, path: Buffer) -> AsyncTask<Job<Option<Buffer>>> {
    keep_panics_quiet();
    let (from, path) = (owned(&from), owned(&path));
    later(move || Ok(Vidcache::restore(from, path)?.map(|old| old.into_os_string().into_vec().into())))
}
