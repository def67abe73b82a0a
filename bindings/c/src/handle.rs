//! Opening and closing.

use std::ffi::{OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::time::Duration;

use vidcache::{Error, Options, Synchronous, Vidcache};

use crate::edge::{edge, free, keep_panics_quiet};
use crate::error::vidcache_result;
use crate::grows::{self, grows};
use crate::input::{self, Given, given, made, out};
use crate::text::vidcache_text;
use crate::types::vidcache_handle;

/// A write that returned survives a power failure. The default, and the only one with which the rule holds through one.
pub const VIDCACHE_SYNCHRONOUS_FULL: u32 = 1;
/// A write that returned survives a crash of the process; a power failure can take the last ones.
pub const VIDCACHE_SYNCHRONOUS_NORMAL: u32 = 2;

/// How to open a cache. Set `size` and let `vidcache_options_init` fill in the rest.
#[repr(C)]
pub struct vidcache_options {
    /// sizeof(vidcache_options), set by the caller.
    pub size: usize,
    // From here on: made by bindings/tables.
    /// What the file's key is wrapped under: at least 16 bytes, kept outside the file. Without one the key lies open in
    /// the file, so whoever has the file can test a guessed email against it.
    pub secret: *const c_char,
    /// The bytes of secret, at most 4096.
    pub secret_len: usize,
    /// The host of HubSpot's loader, copied from the portal's own embed code (in HubSpot: Settings, Tracking code),
    /// whose src is //HOST/PORTAL.js: js-eu1.hs-scripts.com for portals in the EU data centre, js-na2, js-ap1 and
    /// others elsewhere. Default: js.hs-scripts.com, which is not every portal's.
    pub loader_host: *const c_char,
    /// The bytes of loader_host, at most 4096.
    pub loader_host_len: usize,
    /// The most bytes that the in-process table takes. Default: 32 MiB, about 400,000 users.
    pub memory: u64,
    /// How long a call waits for other processes' writes before VIDCACHE_BUSY; the beginning of a change, which a
    /// visitor may be waiting for, 2 s at most. In milliseconds, at most 3600000. Default: 5000.
    pub busy_timeout_ms: u32,
    /// How long after it was rendered a page may name an email; a page that runs later gives the id alone. A worker
    /// tells HubSpot of a change when pages rendered before the change are older than this. Where processes that share
    /// a file have different ones, the longest counts. In milliseconds, from 100 to 3600000. Default: 10000.
    pub page_deadline_ms: u32,
    /// Whether a write that returned survives a power failure. VIDCACHE_SYNCHRONOUS_FULL (the default): it does.
    /// VIDCACHE_SYNCHRONOUS_NORMAL: it survives a crash of the process, and a power failure may take the last writes,
    /// the beginning of a change among them: then a page may name an email that HubSpot holds no more.
    pub synchronous: u32,
    /// How many old_secrets there are, at most 16. Default: 0.
    pub old_secrets_len: u32,
    /// What secret was before, the newest first. A file that was made or last opened with one of these is opened, and
    /// its key is wrapped anew under secret, which is one row: afterwards the old ones are not needed.
    pub old_secrets: *const vidcache_secret,
}

grows!(vidcache_options: old_secrets);

/// A secret that was before.
#[repr(C)]
pub struct vidcache_secret {
    /// At least 16 bytes.
    pub bytes: *const c_char,
    /// How many, at most 4096.
    pub len: usize,
}

/// Fills in the defaults. `options->size` must be set before.
///
/// Fails with VIDCACHE_INVALID_OPTION when `options` is NULL or its `size` is not one that this library knows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_options_init(options: *mut vidcache_options) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        unsafe { grows::theirs(options) }?.ok_or(input::null("options"))?.write(vidcache_options::default());
        Ok(())
    })
}

impl Default for vidcache_options {
    fn default() -> Self {
        let defaults = Options::default();
        let milliseconds = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        Self {
            size: size_of::<Self>(),
            // Made by bindings/tables.
            secret: ptr::null(),
            secret_len: 0,
            loader_host: ptr::null(),
            loader_host_len: 0,
            memory: defaults.memory as u64,
            busy_timeout_ms: milliseconds(defaults.busy_timeout),
            page_deadline_ms: milliseconds(defaults.page_deadline),
            synchronous: VIDCACHE_SYNCHRONOUS_FULL,
            old_secrets_len: 0,
            old_secrets: ptr::null(),
        }
    }
}

/// Opens the file at `path` (bytes of a file name, at most 4096) for a portal, the HubSpot account's id, creating it
/// with mode 0600 where there is none. The folder must exist, on a local disk. `options` may be NULL for the defaults.
/// What is in an existing file that is refused stays as it was.
///
/// Fails with VIDCACHE_INVALID_PORTAL, VIDCACHE_INVALID_SECRET, VIDCACHE_INVALID_OPTION for the arguments;
/// VIDCACHE_CANNOT_OPEN, VIDCACHE_UNSUPPORTED_FILESYSTEM for the place; VIDCACHE_NOT_A_CACHE, VIDCACHE_NEWER_SCHEMA,
/// VIDCACHE_WRONG_PORTAL, VIDCACHE_WRONG_SECRET, VIDCACHE_CORRUPT for what is in the file; VIDCACHE_BUSY,
/// VIDCACHE_STORAGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_open(
    path: *const c_char,
    path_len: usize,
    portal: i64,
    options: *const vidcache_options,
    handle: *mut *mut vidcache_handle,
) -> vidcache_result {
    keep_panics_quiet();
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, opened) = unsafe {
            let (handle, path) = (out(handle, "handle")?, self::path(given(path, path_len))?);
            (handle, chosen(options, |options| Vidcache::open(path, portal, options))?)
        };
        handle.write(Box::into_raw(Box::new(vidcache_handle(opened))));
        Ok(())
    })
}

/// Gives `work` the core's options, which borrow from the caller's.
///
/// # Safety
/// `options` is NULL or what its type says, for the time of the call.
pub(crate) unsafe fn chosen<T>(
    options: *const vidcache_options,
    work: impl FnOnce(&Options<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    // SAFETY: this function's contract.
    unsafe {
        let options = match grows::theirs(options)? {
            Some(theirs) => theirs.read(vidcache_options::default())?,
            None => vidcache_options::default(),
        };
        let old_secrets = old_secrets(&options)?;
        work(&self::options(&options, &old_secrets)?)
    }
}

fn path(path: Given<'_>) -> Result<&Path, Error> {
    let wrong = |why| Error::InvalidOption { name: "path", why };
    let path = path.bytes(input::MAX_OPTION, wrong)?;
    if path.is_empty() || path.contains(&0) {
        return Err(wrong("it must not be empty, nor hold a NUL byte"));
    }
    Ok(Path::new(OsStr::from_bytes(path)))
}

/// Moves a file that will not open out of the way, with its log and index, so that vidcache_open can make a new one.
/// The library never does this by itself. The new file knows nothing of changes begun in the old one: their jobs get
/// VIDCACHE_UNKNOWN_CHANGE, and no page names an email until an answer is recorded again. `*moved_to`, where it is now,
/// is to be freed by vidcache_text_free.
///
/// Fails with VIDCACHE_BUSY while any process, this one included, has it open; VIDCACHE_CANNOT_OPEN when there is
/// nothing at `path` or it may not be moved; VIDCACHE_UNSUPPORTED_FILESYSTEM. Then nothing was moved.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_move_aside(
    path: *const c_char,
    path_len: usize,
    moved_to: *mut *mut vidcache_text,
) -> vidcache_result {
    keep_panics_quiet();
    edge(|| {
        // SAFETY: the caller's contract.
        let (moved_to, path) = unsafe { (out(moved_to, "moved_to")?, self::path(given(path, path_len))?) };
        let place = Vidcache::move_aside(path)?;
        moved_to.write(vidcache_text::new(place.to_string_lossy().into_owned()));
        Ok(())
    })
}

/// Copies the file, as of one commit, to a new file of mode 0600 at `path`, without companions; its key stays wrapped
/// under the secret. Nobody waits for it; the log grows meanwhile. A fork in this process begins it anew.
///
/// Fails with VIDCACHE_CANNOT_OPEN where `path` is there already or cannot be made, and as vidcache_resolve. Then there
/// is no new file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_backup(
    handle: *const vidcache_handle,
    path: *const c_char,
    path_len: usize,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, path) = unsafe { (made(handle, "handle")?, self::path(given(path, path_len))?) };
        handle.0.backup(path)
    })
}

/// Puts a copy of the backup `from` in the place of the file at `path`, while nobody has that open. All that HubSpot
/// said of every contact is doubted in it first: no page names an email until the contact was read again. What was at
/// `path` is moved aside, and `*moved_to`, where it is now, is to be freed by vidcache_text_free; it is empty where
/// there was nothing. The portal and the secret are looked at when the file is opened.
///
/// Fails with VIDCACHE_BUSY while any process, this one included, has the file at `path` open; VIDCACHE_NOT_A_CACHE,
/// VIDCACHE_NEWER_SCHEMA and VIDCACHE_CORRUPT for what is in `from`; VIDCACHE_CANNOT_OPEN,
/// VIDCACHE_UNSUPPORTED_FILESYSTEM. Then the file is as it was, or moved aside.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_restore(
    from: *const c_char,
    from_len: usize,
    path: *const c_char,
    path_len: usize,
    moved_to: *mut *mut vidcache_text,
) -> vidcache_result {
    keep_panics_quiet();
    edge(|| {
        // SAFETY: the caller's contract.
        let (moved_to, from, path) = unsafe {
            (out(moved_to, "moved_to")?, self::path(given(from, from_len))?, self::path(given(path, path_len))?)
        };
        let old = Vidcache::restore(from, path)?;
        moved_to.write(vidcache_text::new(old.map_or_else(String::new, |old| old.to_string_lossy().into_owned())));
        Ok(())
    })
}

/// The most that an app has reason to remember.
const MAX_OLD_SECRETS: u32 = 16;

unsafe fn old_secrets<'a>(options: &vidcache_options) -> Result<Vec<&'a [u8]>, Error> {
    let wrong = |why| Error::InvalidOption { name: "old_secrets", why };
    if options.old_secrets_len > MAX_OLD_SECRETS {
        return Err(wrong("there must be at most 16"));
    }
    // SAFETY: the caller's contract.
    unsafe {
        let secrets = input::array(options.old_secrets, options.old_secrets_len as usize, "old_secrets")?;
        secrets.iter().map(|secret| given(secret.bytes, secret.len).bytes(input::MAX_OPTION, wrong)).collect()
    }
}

unsafe fn options<'a>(options: &vidcache_options, old_secrets: &'a [&'a [u8]]) -> Result<Options<'a>, Error> {
    let wrong = |name| move |why| Error::InvalidOption { name, why };
    let defaults = Options::default();
    // SAFETY: the caller's contract.
    unsafe {
        Ok(Options {
            // Made by bindings/tables.
            secret: given(options.secret, options.secret_len).optional(input::MAX_OPTION, wrong("secret"))?,
            loader_host: given(options.loader_host, options.loader_host_len)
                .text(input::MAX_OPTION, "loader_host")?
                .unwrap_or(defaults.loader_host),
            memory: usize::try_from(options.memory).unwrap_or(usize::MAX),
            busy_timeout: Duration::from_millis(options.busy_timeout_ms.into()),
            page_deadline: Duration::from_millis(options.page_deadline_ms.into()),
            synchronous: synchronous(options.synchronous)?,
            old_secrets,
        })
    }
}

fn synchronous(given: u32) -> Result<Synchronous, Error> {
    match given {
        VIDCACHE_SYNCHRONOUS_FULL => Ok(Synchronous::Full),
        VIDCACHE_SYNCHRONOUS_NORMAL => Ok(Synchronous::Normal),
        _ => Err(Error::InvalidOption {
            name: "synchronous",
            why: "it must be VIDCACHE_SYNCHRONOUS_FULL or VIDCACHE_SYNCHRONOUS_NORMAL",
        }),
    }
}

/// Closes the file, for this process, and leaves the handle: every later call with it fails with VIDCACHE_CLOSED. Other
/// threads may be using it; their calls end first or fail. Closing again does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_close(handle: *const vidcache_handle) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        unsafe { made(handle, "handle") }?.0.close();
        Ok(())
    })
}

/// Closes and frees a handle, and makes `*handle` NULL, so that freeing it again does nothing. NULL, and a handle that
/// is NULL, are allowed. No other thread may be using the handle, nor use a copy of the pointer afterwards:
/// `vidcache_close` it first, where they might.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_free(handle: *mut *mut vidcache_handle) {
    // SAFETY: the caller's contract.
    unsafe { free(handle) }
}

/// The portal of the file. It is known after closing, too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_portal(handle: *const vidcache_handle, portal: *mut i64) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, portal) = unsafe { (made(handle, "handle")?, out(portal, "portal")?) };
        portal.write(handle.0.portal());
        Ok(())
    })
}
