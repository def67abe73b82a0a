//! A text of the library's, for what has no bound.

use std::ffi::c_char;

use crate::edge::{edge, free};
use crate::error::vidcache_result;
use crate::input::{made, out};

/// A text that the library made. Opaque; freed by `vidcache_text_free`.
pub struct vidcache_text(String);

impl vidcache_text {
    pub(crate) fn new(text: String) -> *mut Self {
        Box::into_raw(Box::new(Self(text)))
    }
}

/// The bytes of a text: UTF-8, not NUL-terminated. They stay until the text is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_text_get(
    text: *const vidcache_text,
    bytes: *mut *const c_char,
    len: *mut usize,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (text, bytes, len) = unsafe { (made(text, "text")?, out(bytes, "bytes")?, out(len, "len")?) };
        bytes.write(text.0.as_ptr().cast());
        len.write(text.0.len());
        Ok(())
    })
}

/// Frees a text and makes `*text` NULL. NULL, and a text that is NULL, are allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_text_free(text: *mut *mut vidcache_text) {
    // SAFETY: the caller's contract.
    unsafe { free(text) }
}
