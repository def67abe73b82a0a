//! What C hands over, as the core's types. A length is checked before a byte is looked at: what cannot be right is a
//! code, however wrong the pointer beside it.

use std::ffi::c_char;
use std::slice;

use vidcache::{ChangeToken, Email, Error, UserKey};

use crate::types::{VIDCACHE_USER_ID, VIDCACHE_USER_TEXT, vidcache_handle, vidcache_user};

type Result<T> = std::result::Result<T, Error>;

/// The longest of each, in bytes: far above what can be meant, and below what would read somebody else's memory.
pub(crate) const MAX_KEY: usize = 255;
pub(crate) const MAX_EMAIL: usize = 4096;
pub(crate) const MAX_NONCE: usize = 4096;
pub(crate) const MAX_OPTION: usize = 4096;
pub(crate) const MAX_ANSWER: usize = 1 << 30;

pub(crate) fn null(name: &'static str) -> Error {
    Error::InvalidOption { name, why: "it must not be NULL" }
}

/// The handle, if there is one.
#[inline(always)]
pub(crate) unsafe fn handle<'a>(handle: *const vidcache_handle) -> Result<&'a vidcache_handle> {
    // SAFETY: NULL, or made by `vidcache_open` and not freed, by the caller's contract.
    unsafe { handle.as_ref() }.ok_or(null("handle"))
}

/// Where an output goes. It is written when the call has succeeded, and may be uninitialised until then.
#[inline(always)]
pub(crate) fn out<T>(pointer: *mut T, name: &'static str) -> Result<*mut T> {
    if pointer.is_null() { Err(null(name)) } else { Ok(pointer) }
}

/// The bytes of a text, None where the pointer is NULL and the length 0.
#[inline(always)]
pub(crate) unsafe fn optional_bytes<'a>(
    bytes: *const c_char,
    len: usize,
    max: usize,
    wrong: impl FnOnce(&'static str) -> Error,
) -> Result<Option<&'a [u8]>> {
    if len > max {
        return Err(wrong("it is too long"));
    }
    match (bytes.is_null(), len) {
        (true, 0) => Ok(None),
        (true, _) => Err(wrong("it is NULL, with a length")),
        // SAFETY: not NULL, at most `max` bytes, and readable for the call by the caller's contract.
        (false, len) => Ok(Some(unsafe { slice::from_raw_parts(bytes.cast(), len) })),
    }
}

/// A text that must be given: NULL is refused, as a NULL with a length is everywhere.
#[inline(always)]
pub(crate) unsafe fn bytes<'a>(
    bytes: *const c_char,
    len: usize,
    max: usize,
    wrong: impl Fn(&'static str) -> Error,
) -> Result<&'a [u8]> {
    // SAFETY: the caller's contract.
    unsafe { optional_bytes(bytes, len, max, &wrong) }?.ok_or_else(|| wrong("it is NULL"))
}

fn utf8(bytes: &[u8], wrong: impl FnOnce(&'static str) -> Error) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8"))
}

/// A text that may be left out, by its name in the header.
pub(crate) unsafe fn text<'a>(
    text: *const c_char,
    len: usize,
    max: usize,
    name: &'static str,
) -> Result<Option<&'a str>> {
    let wrong = |why| Error::InvalidOption { name, why };
    // SAFETY: the caller's contract.
    let bytes = unsafe { optional_bytes(text, len, max, wrong) }?;
    bytes.map(|bytes| utf8(bytes, wrong)).transpose()
}

#[inline(always)]
pub(crate) unsafe fn user<'a>(user: *const vidcache_user) -> Result<UserKey<'a>> {
    // SAFETY: NULL or readable, by the caller's contract.
    let user = unsafe { user.as_ref() }.ok_or(Error::InvalidUserKey("it is NULL"))?;
    // SAFETY: the caller's contract.
    unsafe { key(user) }
}

/// The key that a user is: the text is the caller's, and lives as long as the call.
#[inline(always)]
pub(crate) unsafe fn key<'a>(user: &vidcache_user) -> Result<UserKey<'a>> {
    match user.kind {
        VIDCACHE_USER_ID => Ok(UserKey::from(user.id)),
        VIDCACHE_USER_TEXT => {
            // SAFETY: the caller's contract.
            let text = unsafe { bytes(user.text, user.text_len, MAX_KEY, Error::InvalidUserKey) }?;
            UserKey::bytes(text)
        }
        _ => Err(Error::InvalidUserKey("its kind is neither VIDCACHE_USER_ID nor VIDCACHE_USER_TEXT")),
    }
}

/// The user's email as the app has it; None where it has none.
#[inline(always)]
pub(crate) unsafe fn email(text: *const c_char, len: usize) -> Result<Option<Email>> {
    // SAFETY: the caller's contract.
    let bytes = unsafe { optional_bytes(text, len, MAX_EMAIL, Error::InvalidEmail) }?;
    bytes.map(|bytes| Email::parse(utf8(bytes, Error::InvalidEmail)?)).transpose()
}

pub(crate) unsafe fn nonce<'a>(nonce: *const c_char, len: usize) -> Result<Option<&'a str>> {
    // SAFETY: the caller's contract.
    unsafe { text(nonce, len, MAX_NONCE, "nonce") }
}

pub(crate) unsafe fn answer<'a>(answer: *const c_char, len: usize) -> Result<&'a [u8]> {
    // SAFETY: the caller's contract.
    unsafe { bytes(answer, len, MAX_ANSWER, |why| Error::InvalidAnswer(why.into())) }
}

/// A change's token; 0 stands for none.
pub(crate) fn change(token: i64) -> Result<Option<ChangeToken>> {
    if token == 0 { Ok(None) } else { ChangeToken::try_from(token).map(Some) }
}

/// An array of the caller's. NULL is none, with a count of 0.
pub(crate) unsafe fn array<'a, T>(items: *const T, count: usize, name: &'static str) -> Result<&'a [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    if items.is_null() {
        return Err(null(name));
    }
    fits::<T>(count, name)?;
    // SAFETY: not NULL, of a size that memory may have, and `count` readable items by the caller's contract.
    Ok(unsafe { slice::from_raw_parts(items, count) })
}

/// More than the memory of a machine is a mistake, not a length.
pub(crate) fn fits<T>(count: usize, name: &'static str) -> Result<()> {
    match count.checked_mul(size_of::<T>()) {
        Some(bytes) if bytes <= 1 << 40 => Ok(()),
        _ => Err(Error::InvalidOption { name, why: "it is too long" }),
    }
}
