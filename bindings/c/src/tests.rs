//! What a C program cannot provoke or see. The rest is tested from C: tests/c.

use std::ffi::CStr;

use vidcache::{Error, ErrorCode, Reason};

use crate::edge::{edge, last};
use crate::error::vidcache_error_name;
use crate::lookup::vidcache_reason_name;

#[test]
fn a_panic_is_a_code_and_its_words_are_kept_to_itself() {
    let code = edge(|| -> Result<(), Error> { panic!("about ann@shop.test") });
    assert_eq!(code, ErrorCode::Internal.number());
    let message = last(|failure| failure.message.to_string_lossy().into_owned()).expect("a failure");
    assert!(message.starts_with("internal error: a panic at ") && !message.contains("ann"), "{message}");
}

#[test]
fn a_failure_is_its_own_thread_s() {
    assert_eq!(edge(|| Err(Error::Closed)), ErrorCode::Closed.number());
    std::thread::spawn(|| assert!(last(|_| ()).is_none())).join().expect("it ends");
    assert_eq!(edge(|| Ok(())), 0);
    assert_eq!(last(|failure| failure.error.clone()), Some(Error::Closed), "a success leaves it");
}

#[test]
fn every_code_and_every_reason_has_its_name_in_c() {
    // SAFETY: static, NUL-terminated texts.
    let text = |name| unsafe { CStr::from_ptr(name) }.to_str().expect("ASCII");
    for code in ErrorCode::ALL {
        assert_eq!(text(vidcache_error_name(code.number())), code.name());
    }
    assert_eq!((text(vidcache_error_name(0)), text(vidcache_error_name(-1))), ("ok", "unknown"));
    for &each in Reason::ALL {
        assert_eq!(text(vidcache_reason_name(each.number())), each.name());
    }
    assert_eq!(text(vidcache_reason_name(0)), "unknown");
}
