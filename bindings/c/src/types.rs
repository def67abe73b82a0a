//! What nearly every function is given: a handle, and a user.

use std::ffi::c_char;

use vidcache::Vidcache;

/// An open cache. Opaque; made by `vidcache_open`, freed by `vidcache_free`. Any thread may use it, also several at
/// once, and it stays right on both sides of a fork.
pub struct vidcache_handle(pub(crate) Vidcache);

/// The user is `id`.
pub const VIDCACHE_USER_ID: u32 = 1;
/// The user is `text`.
pub const VIDCACHE_USER_TEXT: u32 = 2;

/// The app's own id of a user: an integer, or text of 1 to 255 bytes of UTF-8 without a NUL (a UUID, say). Never an
/// email. The integer 42 and the text "42" are one user. Made by `vidcache_user_id` or `vidcache_user_text`; all zeros
/// is no user.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vidcache_user {
    /// VIDCACHE_USER_ID or VIDCACHE_USER_TEXT.
    pub kind: u32,
    /// The integer.
    pub id: i64,
    /// The text, which need not be NUL-terminated.
    pub text: *const c_char,
    /// The bytes of `text`.
    pub text_len: usize,
}
