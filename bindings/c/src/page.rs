//! The way out, in a page's own form: HTML, and JSON for pages that the app makes itself.

use std::ffi::c_char;

use vidcache::Error;

use crate::edge::edge;
use crate::error::vidcache_result;
use crate::input::{self, Out, given, made, out};
use crate::types::{vidcache_handle, vidcache_user};

/// The HTML that puts the decision, and HubSpot's loader, on a page: two `<script>` elements, once per page. It is
/// written to the caller's `buffer` of `capacity` bytes, UTF-8, not NUL-terminated, and `*length` is how many bytes it
/// has: about 2000. `nonce` is the page's Content-Security-Policy nonce, at most 4096 bytes of UTF-8; NULL with a
/// length of 0: none. No allocation when memory has the user.
///
/// Fails with VIDCACHE_BUFFER_TOO_SMALL: then the buffer is all zeros and `*length` is how many bytes it takes, a few
/// more or less for the next call, as the decision is taken anew (`capacity` may be 0, with a `buffer` of NULL, to ask
/// that). Else as vidcache_decide.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_snippet(
    handle: *const vidcache_handle,
    user: *const vidcache_user,
    email: *const c_char,
    email_len: usize,
    nonce: *const c_char,
    nonce_len: usize,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, user, email, nonce, room) = unsafe {
            (
                made(handle, "handle")?,
                input::user(user)?,
                given(email, email_len),
                given(nonce, nonce_len),
                room(buffer, capacity, length)?,
            )
        };
        let (email, nonce) = (email.email()?, nonce.nonce()?);
        room.fill(|bytes| handle.0.page(user, email.as_ref())?.render_into(nonce, bytes))
    })
}

/// The HTML for a page whose visitor the app does not know: the loader, and no identity. Otherwise as vidcache_snippet.
///
/// Fails with VIDCACHE_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_anonymous_snippet(
    handle: *const vidcache_handle,
    nonce: *const c_char,
    nonce_len: usize,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, nonce, room) =
            unsafe { (made(handle, "handle")?, given(nonce, nonce_len).nonce()?, room(buffer, capacity, length)?) };
        room.fill(|bytes| handle.0.anonymous_page().render_into(nonce, bytes))
    })
}

/// The HTML for the page after a sign-out: that of vidcache_anonymous_snippet, and HubSpot's tracker gives the browser
/// a new usertoken, so that nothing it sends from here on belongs to the former user's contact. Otherwise as
/// vidcache_snippet.
///
/// Fails with VIDCACHE_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_signed_out_snippet(
    handle: *const vidcache_handle,
    nonce: *const c_char,
    nonce_len: usize,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, nonce, room) =
            unsafe { (made(handle, "handle")?, given(nonce, nonce_len).nonce()?, room(buffer, capacity, length)?) };
        room.fill(|bytes| handle.0.signed_out_page().render_into(nonce, bytes))
    })
}

/// What vidcache_snippet puts on a page, as a JSON object for a page that the app makes itself: `at`, the time of this
/// call in milliseconds since 1970 UTC; `ttl`, for how many milliseconds after that the email may be named; and, where
/// the decision has them, `id` ("vid:901", a text) and `email`. All of it is ASCII, about 100 bytes. It is for `show`
/// of page/vidcache.js, which keeps the email from being named late; a response with it must not be cached
/// (Cache-Control: private, no-store). `user` may be NULL: a visitor whom the app does not know; `email` is not named
/// then. `buffer`, `capacity` and `*length` as for vidcache_snippet.
///
/// Fails with VIDCACHE_BUFFER_TOO_SMALL, and as vidcache_decide.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_page_data(
    handle: *const vidcache_handle,
    user: *const vidcache_user,
    email: *const c_char,
    email_len: usize,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, user, email, room) = unsafe {
            (
                made(handle, "handle")?,
                input::optional_user(user)?,
                given(email, email_len),
                room(buffer, capacity, length)?,
            )
        };
        let email = email.email()?;
        let page = match user {
            Some(user) => handle.0.page(user, email.as_ref())?,
            None => handle.0.anonymous_page(),
        };
        room.fill(|bytes| copy(&page.data(), bytes))
    })
}

/// The JSON for a visitor who has just signed out: `at`, `ttl`, and `out`, which is true, as
/// vidcache_signed_out_snippet for a page. Otherwise as vidcache_page_data.
///
/// Fails with VIDCACHE_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_signed_out_page_data(
    handle: *const vidcache_handle,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, room) = unsafe { (made(handle, "handle")?, room(buffer, capacity, length)?) };
        room.fill(|bytes| copy(&handle.0.signed_out_page().data(), bytes))
    })
}

/// Into a buffer that takes it, or all zeros: half a text must not look like a whole one.
fn copy(text: &str, buffer: &mut [u8]) -> Result<usize, Error> {
    let Some(start) = buffer.get_mut(..text.len()) else {
        buffer.fill(0);
        return Err(Error::BufferTooSmall { needed: text.len() });
    };
    start.copy_from_slice(text.as_bytes());
    Ok(text.len())
}

/// The caller's buffer, and where its length goes.
struct Room<'a> {
    buffer: &'a mut [u8],
    length: Out<'a, usize>,
}

#[inline(always)]
unsafe fn room<'a>(buffer: *mut c_char, capacity: usize, length: *mut usize) -> Result<Room<'a>, Error> {
    // SAFETY: the caller's contract.
    unsafe { Ok(Room { length: out(length, "length")?, buffer: input::buffer(buffer, capacity)? }) }
}

impl Room<'_> {
    /// Hands `write` the buffer, and the caller the length that it came to or takes.
    #[inline(always)]
    fn fill(self, write: impl FnOnce(&mut [u8]) -> Result<usize, Error>) -> Result<(), Error> {
        let written = write(self.buffer);
        if let Ok(bytes) | Err(Error::BufferTooSmall { needed: bytes }) = &written {
            self.length.write(*bytes);
        }
        written.map(|_| ())
    }
}
