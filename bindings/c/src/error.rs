//! Codes, their names, and what the last failed call had to say.

use std::ffi::{CString, c_char};
use std::sync::OnceLock;

use vidcache::{ErrorCode, Vid};

use crate::edge;
use crate::grows::{self, grows};

/// What a function returns: VIDCACHE_OK, or the number of what went wrong.
pub type vidcache_result = i32;

/// What a failed call had to say.
#[repr(C)]
pub struct vidcache_error {
    /// sizeof(vidcache_error), set by the caller.
    pub size: usize,
    /// The call's code; VIDCACHE_OK when no call of this thread has failed yet.
    pub code: vidcache_result,
    /// The contact that the failure is about (VIDCACHE_VID_TAKEN, VIDCACHE_CONTACT_CONFLICT), else 0.
    pub vid: i64,
    /// VIDCACHE_RATE_LIMITED: how long the limit lasts at most, in milliseconds, where HubSpot's answer tells; else 0.
    pub retry_after_ms: u64,
    /// Words for a person, NUL-terminated UTF-8, never NULL. No email, secret or value of an answer is in it. It is the
    /// library's, and stays until the thread's next failed call.
    pub message: *const c_char,
    /// The bytes of `message`, without its NUL.
    pub message_len: usize,
}

grows!(vidcache_error: message_len);

/// The static text of a code, NUL-terminated, in snake case: "invalid_user_key". Every language has this name.
/// VIDCACHE_OK is "ok", and a number that is no code is "unknown".
#[unsafe(no_mangle)]
pub extern "C" fn vidcache_error_name(code: vidcache_result) -> *const c_char {
    static NAMES: OnceLock<Vec<(i32, CString)>> = OnceLock::new();
    if code == 0 {
        return c"ok".as_ptr();
    }
    let names = NAMES.get_or_init(|| {
        ErrorCode::ALL.iter().filter_map(|code| Some((code.number(), CString::new(code.name()).ok()?))).collect()
    });
    names.iter().find(|(number, _)| *number == code).map_or(c"unknown", |(_, name)| name).as_ptr()
}

/// What the last call of this thread that failed had to say. Other threads' failures, and calls that succeed, leave it
/// as it is; so does this function.
///
/// Fails with VIDCACHE_INVALID_OPTION when `error` is NULL or its `size` is not one that this library knows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_last_error(error: *mut vidcache_error) -> vidcache_result {
    // SAFETY: the caller's contract.
    let Ok(Some(theirs)) = (unsafe { grows::theirs(error) }) else { return ErrorCode::InvalidOption.number() };
    let found = edge::last(|failure| vidcache_error {
        size: size_of::<vidcache_error>(),
        code: failure.error.code().number(),
        vid: failure.error.vid().map_or(0, Vid::get),
        retry_after_ms: failure
            .error
            .retry_after()
            .map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        message: failure.message.as_ptr(),
        message_len: failure.message.count_bytes(),
    });
    let none = vidcache_error {
        size: size_of::<vidcache_error>(),
        code: 0,
        vid: 0,
        retry_after_ms: 0,
        message: c"".as_ptr(),
        message_len: 0,
    };
    theirs.write(found.unwrap_or(none));
    0
}
