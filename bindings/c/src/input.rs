//! What C hands over, as the core's types. A length is checked before a byte is looked at: what cannot be right is a
//! code, however wrong the pointer beside it.

use std::ffi::c_char;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::slice;

use vidcache::{ChangeToken, Email, Error, UserKey};

use crate::types::{VIDCACHE_USER_ID, VIDCACHE_USER_TEXT, vidcache_user};

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

/// What the library made, and nobody has freed.
#[inline(always)]
pub(crate) unsafe fn made<'a, T>(pointer: *const T, name: &'static str) -> Result<&'a T> {
    // SAFETY: NULL, or from `Box::into_raw` here and not freed, by the caller's contract.
    unsafe { pointer.as_ref() }.ok_or(null(name))
}

/// Where an output goes, for the time of the call. It is written when the call has succeeded, and may be uninitialised
/// until then.
pub(crate) struct Out<'a, T>(*mut T, PhantomData<&'a mut T>);

#[inline(always)]
pub(crate) unsafe fn out<'a, T>(pointer: *mut T, name: &'static str) -> Result<Out<'a, T>> {
    if pointer.is_null() { Err(null(name)) } else { Ok(Out(pointer, PhantomData)) }
}

impl<'a, T> Out<'a, T> {
    #[inline(always)]
    pub(crate) fn write(self, value: T) {
        self.slot().write(value);
    }

    /// For what is written a part at a time.
    #[inline(always)]
    pub(crate) fn slot(self) -> &'a mut MaybeUninit<T> {
        // SAFETY: not NULL, and writable by the contract of `out`.
        unsafe { &mut *self.0.cast() }
    }
}

/// An array of the caller's for `count` outputs. NULL is none, with a count of 0.
#[inline(always)]
pub(crate) unsafe fn outs<'a, T>(items: *mut T, count: usize, name: &'static str) -> Result<&'a mut [MaybeUninit<T>]> {
    if count == 0 {
        return Ok(&mut []);
    }
    if items.is_null() {
        return Err(null(name));
    }
    fits::<T>(count, name)?;
    // SAFETY: not NULL, of a size that memory may have, and `count` items that are writable and the caller's alone by
    // their contract.
    Ok(unsafe { slice::from_raw_parts_mut(items.cast(), count) })
}

/// A pointer and a length of the caller's, for the time of the call. Nothing of it is read before the length is
/// checked.
#[derive(Clone, Copy)]
pub(crate) struct Given<'a>(*const c_char, usize, PhantomData<&'a [u8]>);

#[inline(always)]
pub(crate) unsafe fn given<'a>(bytes: *const c_char, len: usize) -> Given<'a> {
    Given(bytes, len, PhantomData)
}

impl<'a> Given<'a> {
    /// The bytes, None where the pointer is NULL and the length 0.
    #[inline(always)]
    pub(crate) fn optional(self, max: usize, wrong: impl FnOnce(&'static str) -> Error) -> Result<Option<&'a [u8]>> {
        let Self(bytes, len, _) = self;
        if len > max {
            return Err(wrong("it is too long"));
        }
        match (bytes.is_null(), len) {
            (true, 0) => Ok(None),
            (true, _) => Err(wrong("it is NULL, with a length")),
            // SAFETY: not NULL, at most `max` bytes, and readable for the call by the contract of `given`.
            (false, len) => Ok(Some(unsafe { slice::from_raw_parts(bytes.cast(), len) })),
        }
    }

    /// Bytes that must be given: NULL is refused, as a NULL with a length is everywhere.
    #[inline(always)]
    pub(crate) fn bytes(self, max: usize, wrong: impl Fn(&'static str) -> Error) -> Result<&'a [u8]> {
        self.optional(max, &wrong)?.ok_or_else(|| wrong("it is NULL"))
    }

    /// A text that may be left out, by its name in the header.
    pub(crate) fn text(self, max: usize, name: &'static str) -> Result<Option<&'a str>> {
        let wrong = |why| Error::InvalidOption { name, why };
        self.optional(max, wrong)?.map(|bytes| utf8(bytes, wrong)).transpose()
    }

    pub(crate) fn nonce(self) -> Result<Option<&'a str>> {
        self.text(MAX_NONCE, "nonce")
    }

    /// The user's email as the app has it; None where it has none.
    #[inline(always)]
    pub(crate) fn email(self) -> Result<Option<Email>> {
        let bytes = self.optional(MAX_EMAIL, Error::InvalidEmail)?;
        bytes.map(|bytes| Email::parse(utf8(bytes, Error::InvalidEmail)?)).transpose()
    }

    pub(crate) fn answer(self) -> Result<&'a [u8]> {
        self.bytes(MAX_ANSWER, |why| Error::InvalidAnswer(why.into()))
    }

    pub(crate) fn webhook(self) -> Result<&'a [u8]> {
        self.bytes(MAX_ANSWER, |why| Error::InvalidWebhook { event: None, field: "body", why })
    }
}

fn utf8(bytes: &[u8], wrong: impl FnOnce(&'static str) -> Error) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8"))
}

#[inline(always)]
pub(crate) unsafe fn user<'a>(user: *const vidcache_user) -> Result<UserKey<'a>> {
    // SAFETY: the caller's contract.
    unsafe { optional_user(user) }?.ok_or(Error::InvalidUserKey("it is NULL"))
}

/// The user's key; None for NULL, where nobody is signed in.
#[inline(always)]
pub(crate) unsafe fn optional_user<'a>(user: *const vidcache_user) -> Result<Option<UserKey<'a>>> {
    // SAFETY: NULL or readable, and so is its text, by the caller's contract.
    unsafe { user.as_ref().map(|user| key(user)).transpose() }
}

/// The key that a user is: the text is the caller's, and lives as long as the call.
#[inline(always)]
pub(crate) unsafe fn key<'a>(user: &vidcache_user) -> Result<UserKey<'a>> {
    match user.kind {
        VIDCACHE_USER_ID => Ok(UserKey::from(user.id)),
        VIDCACHE_USER_TEXT => {
            // SAFETY: the caller's contract.
            let text = unsafe { given(user.text, user.text_len) };
            UserKey::bytes(text.bytes(MAX_KEY, Error::InvalidUserKey)?)
        }
        _ => Err(Error::InvalidUserKey("its kind is neither VIDCACHE_USER_ID nor VIDCACHE_USER_TEXT")),
    }
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

/// The caller's buffer, which may be uninitialised: it is only written. NULL is none, with a capacity of 0.
#[inline(always)]
pub(crate) unsafe fn buffer<'a>(buffer: *mut c_char, capacity: usize) -> Result<&'a mut [u8]> {
    fits::<u8>(capacity, "capacity")?;
    match (buffer.is_null(), capacity) {
        (true, 0) => Ok(&mut []),
        (true, _) => Err(null("buffer")),
        // SAFETY: not NULL, of a size that memory may have, writable and the caller's alone by their contract.
        (false, _) => Ok(unsafe { slice::from_raw_parts_mut(buffer.cast(), capacity) }),
    }
}

/// The most bytes of an argument.
const MOST_BYTES: u64 = 1 << if usize::BITS > 32 { 40 } else { 30 };

/// More than the memory of a machine is a mistake, not a length.
fn fits<T>(count: usize, name: &'static str) -> Result<()> {
    match count.checked_mul(size_of::<T>()) {
        Some(bytes) if bytes as u64 <= MOST_BYTES => Ok(()),
        _ => Err(Error::InvalidOption { name, why: "it is too long" }),
    }
}
