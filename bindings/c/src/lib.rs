//! vidcache for C: conversion of types over the facade, and nothing else.
//!
//! So far the smallest useful slice: open, resolve, close, and the names of the errors. Conventions of
//! every function: a result code is returned, 0 for success or the number of an [`ErrorCode`]; outputs come last and
//! are written only on success; pointers are checked; a panic becomes `internal`.

use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::slice;

use vidcache::{Error, ErrorCode, Options, UserKey, Vidcache};

/// An open cache. Opaque; made by `vidcache_open`, freed by `vidcache_free`.
pub struct Cache(Vidcache);

/// Runs `body` and turns its error, or its panic, into a code.
fn guard(body: impl FnOnce() -> Result<(), Error>) -> i32 {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => error.code().number(),
        Err(_) => ErrorCode::Internal.number(),
    }
}

fn null(name: &'static str) -> Error {
    Error::InvalidOption { name, why: "it must not be NULL" }
}

/// The bytes of a string given as pointer and length.
///
/// # Safety
/// `bytes` is NULL or points to `len` readable bytes that do not change for `'a`.
unsafe fn bytes<'a>(bytes: *const u8, len: usize, name: &'static str) -> Result<&'a [u8], Error> {
    if bytes.is_null() || isize::try_from(len).is_err() {
        return Err(null(name));
    }
    // SAFETY: not NULL, at most isize::MAX long, and readable by this function's contract.
    Ok(unsafe { slice::from_raw_parts(bytes, len) })
}

/// Opens the file at `path` for a portal, creating it where there is none.
///
/// `path` is UTF-8 of `path_len` bytes. `secret` keys the fingerprints and has at least 16 bytes; NULL keeps a
/// random key in the file. On success `*cache` is a handle that any thread may use, and that stays right in a
/// forked child.
///
/// # Safety
/// `path` and `secret` are NULL or point to that many readable bytes; `cache` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_open(
    path: *const u8,
    path_len: usize,
    portal_id: i64,
    secret: *const u8,
    secret_len: usize,
    cache: *mut *mut Cache,
) -> i32 {
    guard(|| {
        if cache.is_null() {
            return Err(null("cache"));
        }
        // SAFETY: this function's own contract.
        let path = unsafe { bytes(path, path_len, "path") }?;
        let path =
            std::str::from_utf8(path).map_err(|_| Error::InvalidOption { name: "path", why: "it must be UTF-8" })?;
        let secret = match secret.is_null() {
            true => None,
            // SAFETY: this function's own contract.
            false => Some(unsafe { bytes(secret, secret_len, "secret") }?),
        };
        let opened = Vidcache::open(Path::new(path), portal_id, &Options { secret, ..Options::default() })?;
        // SAFETY: checked for NULL above, writable by this function's contract.
        unsafe { *cache = Box::into_raw(Box::new(Cache(opened))) };
        Ok(())
    })
}

/// Which contact the user with an integer key is: `*vid` is the contact's id, or 0 where there is none.
///
/// # Safety
/// `cache` is NULL or a handle that was not freed; `vid` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_resolve(cache: *const Cache, user: i64, vid: *mut i64) -> i32 {
    guard(|| {
        // SAFETY: NULL or a live handle, by this function's contract.
        let cache = unsafe { cache.as_ref() }.ok_or(null("cache"))?;
        // SAFETY: NULL or writable, by this function's contract.
        let out = unsafe { vid.as_mut() }.ok_or(null("vid"))?;
        *out = cache.0.resolve(UserKey::from(user))?.map_or(0, |identity| identity.vid.get());
        Ok(())
    })
}

/// Closes and frees a handle. NULL is allowed.
///
/// # Safety
/// `cache` is NULL or a handle that was not freed, and no other thread is using it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_free(cache: *mut Cache) {
    if !cache.is_null() {
        // SAFETY: made by `vidcache_open` and not freed before, by this function's contract.
        let cache = unsafe { Box::from_raw(cache) };
        guard(|| {
            drop(cache);
            Ok(())
        });
    }
}

/// The name of an error code as a static C string, or `"unknown"`.
#[unsafe(no_mangle)]
pub extern "C" fn vidcache_error_name(code: i32) -> *const c_char {
    static NAMES: std::sync::OnceLock<Vec<(i32, std::ffi::CString)>> = std::sync::OnceLock::new();
    const UNKNOWN: &CStr = c"unknown";
    let names = NAMES.get_or_init(|| {
        ErrorCode::ALL.iter().filter_map(|c| Some((c.number(), std::ffi::CString::new(c.name()).ok()?))).collect()
    });
    names.iter().find(|(number, _)| *number == code).map_or(UNKNOWN, |(_, name)| name).as_ptr()
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    #[test]
    fn a_c_caller_opens_resolves_and_frees() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("c.vidcache");
        let path = path.to_str().expect("UTF-8");
        let mut cache = ptr::null_mut();
        let mut vid = -1;
        // SAFETY: every pointer is NULL, which is allowed to be checked, or to a live local.
        unsafe {
            assert_eq!(vidcache_open(path.as_ptr(), path.len(), 1, ptr::null(), 0, &mut cache), 0);
            (*cache).0.link(UserKey::from(7), vidcache::Vid::try_from(901).expect("positive")).expect("linked");
            assert_eq!((vidcache_resolve(cache, 7, &mut vid), vid), (0, 901));
            assert_eq!((vidcache_resolve(cache, 8, &mut vid), vid), (0, 0));
            vidcache_free(cache);
            vidcache_free(ptr::null_mut());
        }
    }

    #[test]
    fn null_pointers_and_bad_input_are_codes_and_write_nothing() {
        let mut cache = ptr::null_mut();
        let invalid = ErrorCode::InvalidOption.number();
        // SAFETY: NULL pointers are checked, the others are to live locals or static bytes.
        unsafe {
            assert_eq!(vidcache_open(ptr::null(), 0, 1, ptr::null(), 0, &mut cache), invalid);
            assert_eq!(vidcache_open(b"x".as_ptr(), usize::MAX, 1, ptr::null(), 0, &mut cache), invalid);
            assert_eq!(vidcache_open(b"\xff".as_ptr(), 1, 1, ptr::null(), 0, &mut cache), invalid);
            assert_eq!(vidcache_open(b"x".as_ptr(), 1, 1, ptr::null(), 0, ptr::null_mut()), invalid);
            let portal = ErrorCode::InvalidPortal.number();
            assert_eq!(vidcache_open(b"x".as_ptr(), 1, 0, ptr::null(), 0, &mut cache), portal);
            assert!(cache.is_null());
            assert_eq!(vidcache_resolve(ptr::null(), 1, &mut 0), invalid);
        }
    }

    #[test]
    fn every_code_has_its_name_in_c() {
        for code in ErrorCode::ALL {
            // SAFETY: a static, NUL-terminated string.
            let name = unsafe { CStr::from_ptr(vidcache_error_name(code.number())) };
            assert_eq!(name.to_str(), Ok(code.name()));
        }
        // SAFETY: as above.
        assert_eq!(unsafe { CStr::from_ptr(vidcache_error_name(0)) }, c"unknown");
    }
}
