//! What a foreign program cannot provoke or see. The rest is tested from Python and Kotlin: python/tests, kotlin/tests.

use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use vidcache::Error;

use crate::edge::edge;
use crate::hot::{vidcache_try_resolve_id, vidcache_try_resolve_text, vidcache_try_snippet};
use crate::{Decision, OpenOptions, Vidcache, VidcacheError};

fn open(dir: &tempfile::TempDir) -> Arc<Vidcache> {
    let options = OpenOptions {
        secret: None,
        old_secrets: Vec::new(),
        full: true,
        busy_timeout_ms: None,
        memory: None,
        page_deadline_ms: None,
        loader_host: None,
    };
    Vidcache::open(dir.path().join("u.vidcache").as_os_str().as_bytes().to_vec(), 1, options).expect("opens")
}

fn code<T: std::fmt::Debug>(result: Result<T, VidcacheError>) -> String {
    let VidcacheError::Failed { code, .. } = result.expect_err("fails");
    code
}

#[test]
fn a_foreign_caller_opens_decides_and_closes() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let cache = open(&dir);
    cache.link("7", 901).expect("linked");
    assert_eq!(cache.resolve("7").expect("an answer").map(|found| found.vid), Some(901));
    let decision = cache.decide("7", Some("a@x.test".into())).expect("an answer");
    assert_eq!(decision, Decision { email: None, id: Some(901), reason: "email_unconfirmed".into() });
    assert_eq!(code(cache.decide("7", Some("ann".into()))), "invalid_email");
    cache.close().expect("closed");
    assert_eq!(code(cache.resolve("7")), "closed");
}

#[test]
fn the_direct_way_answers_as_the_other_and_leaves_errors_to_it() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let cache = open(&dir);
    cache.link("7", 901).expect("linked");
    let at = Arc::clone(&cache).address() as usize as *const Vidcache;
    // SAFETY: `cache` is kept, and the texts have these lengths.
    let (id, text) = (
        |id| unsafe { vidcache_try_resolve_id(at, id) },
        |key: &[u8]| unsafe { vidcache_try_resolve_text(at, key.as_ptr(), key.len()) },
    );
    assert_eq!((id(7), text(b"7"), id(8)), (901, 901, 0));
    assert_eq!((text(b""), text(b"\xff")), (-1, -1), "left to resolve, which says why");
    cache.link("8", 902).expect("linked");
    assert_eq!(id(8), 902);

    let snippet = |user: Option<&[u8]>, email: &[u8], room: usize| {
        let (mut html, user) = (vec![0; room], user.map_or((std::ptr::null(), 0), |user| (user.as_ptr(), user.len())));
        // SAFETY: as above, and `html` has so much room.
        let len = unsafe {
            let (email, html) = (email, html.as_mut_ptr());
            vidcache_try_snippet(
                at,
                user.0,
                user.1,
                email.as_ptr(),
                email.len(),
                c"r4nd0m".as_ptr().cast(),
                6,
                html,
                room,
            )
        };
        usize::try_from(len).ok().map(|len| String::from_utf8(html[..len].to_vec()).expect("UTF-8"))
    };
    assert!(snippet(Some(b"7"), b"ann@shop.test", 4096).expect("an answer").contains("\"vid:901\""));
    assert!(!snippet(None, b"", 4096).expect("an answer").contains("\"id\""));
    for nothing in
        [snippet(Some(b""), b"a@x.test", 4096), snippet(Some(b"7"), b"a", 4096), snippet(Some(b"7"), b"a@x", 9)]
    {
        assert_eq!(nothing, None);
    }
    cache.close().expect("closed");
    assert_eq!((id(7), snippet(Some(b"7"), b"ann@shop.test", 4096)), (-1, None));
}

#[test]
fn a_panic_is_a_code_and_its_words_are_kept_to_itself() {
    let VidcacheError::Failed { code, text, .. } =
        edge(|| -> Result<(), Error> { panic!("about ann@shop.test") }).expect_err("fails");
    assert_eq!(code, "internal");
    assert!(text.starts_with("internal error: a panic at ") && !text.contains("ann"), "{text}");
}
