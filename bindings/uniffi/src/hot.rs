//! What a page asks, beside UniFFI, whose own way of a call from Python or a JVM takes many times what the answer does:
//! the same answers by C functions that never wait for another thread or process, so that Python may hold the GIL. What
//! they do not answer, an error above all, is asked again through UniFFI, which has the errors.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use vidcache::{Email, Error, Reason, UserKey, Vid, without_waiting};

use crate::cache::Vidcache;

/// No answer; ask through UniFFI.
const ASK: i64 = -1;

/// The part of a decision that is no number.
#[repr(C)]
pub struct TriedDecision {
    /// The external id; 0: none.
    id: i64,
    /// The email to name, which a NUL ends: no email holds one. Empty: none.
    email: [u8; Email::MAX_LEN + 1],
}

#[uniffi::export]
impl Vidcache {
    /// Where the handle is, for the functions named `vidcache_try_…`: good while the caller keeps this object.
    pub fn address(self: Arc<Self>) -> u64 {
        Arc::as_ptr(&self) as usize as u64
    }
}

/// The names of the reasons, at the numbers that `vidcache_try_decide` returns.
#[uniffi::export]
pub fn reasons() -> Vec<String> {
    Reason::ALL.iter().map(|reason| reason.name().into()).collect()
}

/// The user's contact; 0 when they have none; -1: ask `resolve`.
///
/// # Safety
/// `cache` is what `address` returned of an object that is kept for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_try_resolve_id(cache: *const Vidcache, id: i64) -> i64 {
    // SAFETY: the caller's contract.
    let cache = unsafe { &*cache };
    attempt(|| resolve(cache, UserKey::from(id)))
}

/// The contact of the user whose key is a text of `len` bytes of UTF-8; else as `vidcache_try_resolve_id`.
///
/// # Safety
/// As `vidcache_try_resolve_id`; `user` has `len` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_try_resolve_text(cache: *const Vidcache, user: *const u8, len: usize) -> i64 {
    // SAFETY: the caller's contract.
    let (cache, user) = unsafe { (&*cache, bytes(user, len)) };
    attempt(|| resolve(cache, key(user)?))
}

/// What a page may say of the user: the number of the reason, and the rest in `out`; or -1: ask `decide`. Texts are
/// UTF-8; `email` is NULL where the app has none.
///
/// # Safety
/// As `vidcache_try_resolve_id`; the texts have so many readable bytes, and `out` can be written to. It need not be
/// aligned: a JVM's array is not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_try_decide(
    cache: *const Vidcache,
    user: *const u8,
    user_len: usize,
    email: *const u8,
    email_len: usize,
    out: *mut TriedDecision,
) -> i64 {
    // SAFETY: the caller's contract.
    let (cache, user, email) = unsafe { (&*cache, bytes(user, user_len), bytes(email, email_len)) };
    attempt(|| {
        let email = self::email(email)?;
        let decision = cache.0.decide(key(user)?, email.as_ref())?;
        let mut tried = TriedDecision { id: decision.id().map_or(0, Vid::get), email: [0; Email::MAX_LEN + 1] };
        let named = decision.email().unwrap_or_default().as_bytes();
        tried.email[..named.len()].copy_from_slice(named);
        // SAFETY: the caller's contract.
        unsafe { out.write_unaligned(tried) };
        Ok(Reason::ALL.iter().position(|reason| *reason == decision.reason()).map_or(ASK, |at| at as i64))
    })
}

/// The HTML for the page, into `html`: its length; or -1: ask `snippet`, where `room` was too little too. A `user` of
/// NULL is a visitor whom the app does not know. `nonce` is NULL where the page has none.
///
/// # Safety
/// As `vidcache_try_decide`; `html` has `room` bytes, all of them initialised, that nobody else uses meanwhile.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)] // Each text is two.
pub unsafe extern "C" fn vidcache_try_snippet(
    cache: *const Vidcache,
    user: *const u8,
    user_len: usize,
    email: *const u8,
    email_len: usize,
    nonce: *const u8,
    nonce_len: usize,
    html: *mut u8,
    room: usize,
) -> i64 {
    // SAFETY: the caller's contract.
    let (cache, user, email, nonce) =
        unsafe { (&*cache, bytes(user, user_len), bytes(email, email_len), bytes(nonce, nonce_len)) };
    // SAFETY: the caller's contract.
    let html = unsafe { std::slice::from_raw_parts_mut(html, room) };
    attempt(|| {
        let nonce = nonce.map(text).transpose()?;
        let len = match user {
            Some(_) => cache.0.page(key(user)?, self::email(email)?.as_ref())?.render_into(nonce, html),
            None => cache.0.anonymous_page().render_into(nonce, html),
        }?;
        Ok(i64::try_from(len).unwrap_or(ASK))
    })
}

fn attempt(work: impl FnOnce() -> Result<i64, Error>) -> i64 {
    let done = catch_unwind(AssertUnwindSafe(|| without_waiting(work)));
    done.ok().and_then(Result::ok).unwrap_or(ASK)
}

/// # Safety
/// `start` is NULL or has `len` readable bytes for as long as the result lives.
unsafe fn bytes<'a>(start: *const u8, len: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's contract; not NULL.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start, len) })
}

fn resolve(cache: &Vidcache, user: UserKey<'_>) -> Result<i64, Error> {
    Ok(cache.0.resolve(user)?.map_or(0, |identity| identity.vid.get()))
}

fn key(user: Option<&[u8]>) -> Result<UserKey<'_>, Error> {
    UserKey::bytes(user.unwrap_or_default())
}

fn email(given: Option<&[u8]>) -> Result<Option<Email>, Error> {
    given.map(|bytes| Email::parse(text(bytes)?)).transpose()
}

/// Which error it is does not matter: UniFFI finds it again.
fn text(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|_| Error::InvalidOption { name: "text", why: "it is not UTF-8" })
}
