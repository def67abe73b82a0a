//! What the C functions cost beside the Rust calls: in the shared library as it is shipped, not in a copy that the
//! compiler could see through.

use std::ffi::{CStr, c_char, c_void};
use std::path::Path;
use std::ptr;

use vidcache::UserKey;

use crate::fact::Fact;
use crate::keys::{PORTAL, SECRET, email, email_text, vid};
use crate::lookups::resolve;
use crate::measure::{interleave, per_key, per_key_in_turn};
use crate::{Result, Run, open};

/// As in vidcache.h.
#[repr(C)]
struct User {
    kind: u32,
    id: i64,
    text: *const c_char,
    text_len: usize,
}

#[repr(C)]
struct Identity {
    vid: i64,
    external_id: i64,
}

#[repr(C)]
struct Options {
    size: usize,
    secret: *const c_char,
    secret_len: usize,
    rest: [u64; 6],
}

type Init = unsafe extern "C" fn(*mut Options) -> i32;
type Open = unsafe extern "C" fn(*const c_char, usize, i64, *const Options, *mut *mut c_void) -> i32;
type Resolve = unsafe extern "C" fn(*const c_void, *const User, *mut Identity) -> i32;
type Text = *const c_char;
type Snippet =
    unsafe extern "C" fn(*const c_void, *const User, Text, usize, Text, usize, *mut c_char, usize, *mut usize) -> i32;

struct Library {
    handle: *mut c_void,
    resolve: Resolve,
    snippet: Snippet,
}

impl Library {
    /// The one that was built beside this program, with the file open in it.
    fn open(path: &Path) -> Result<Self> {
        let library = std::env::current_exe()?.with_file_name("libvidcache_c.so");
        let name = std::ffi::CString::new(library.as_os_str().as_encoded_bytes())?;
        // SAFETY: a C string; the library's start-up code is Rust's and does nothing of note. It is never closed.
        let loaded = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if loaded.is_null() {
            return Err(format!("{} cannot be loaded: cargo build --release -p vidcache-c", library.display()).into());
        }
        let find = |name: &CStr| {
            // SAFETY: a loaded library and a C string.
            let symbol = unsafe { libc::dlsym(loaded, name.as_ptr()) };
            assert!(!symbol.is_null(), "{name:?} is missing");
            symbol
        };
        // SAFETY: each is the function of that name, with the signature that vidcache.h gives it.
        let (init, open, resolve, snippet) = unsafe {
            (
                std::mem::transmute::<*mut c_void, Init>(find(c"vidcache_options_init")),
                std::mem::transmute::<*mut c_void, Open>(find(c"vidcache_open")),
                std::mem::transmute::<*mut c_void, Resolve>(find(c"vidcache_resolve")),
                std::mem::transmute::<*mut c_void, Snippet>(find(c"vidcache_snippet")),
            )
        };
        let mut options = Options { size: size_of::<Options>(), secret: ptr::null(), secret_len: 0, rest: [0; 6] };
        let mut handle = ptr::null_mut();
        let path = path.as_os_str().as_encoded_bytes();
        // SAFETY: the pointers are to live locals with the lengths beside them.
        let code = unsafe {
            assert_eq!(init(&raw mut options), 0, "another struct than the header's");
            (options.secret, options.secret_len) = (SECRET.as_ptr().cast(), SECRET.len());
            open(path.as_ptr().cast(), path.len(), PORTAL, &raw const options, &raw mut handle)
        };
        if code == 0 { Ok(Self { handle, resolve, snippet }) } else { Err(format!("code {code}").into()) }
    }

    fn resolve(&self, user: i64) -> i64 {
        let user = User { kind: 1, id: user, text: ptr::null(), text_len: 0 };
        let mut identity = Identity { vid: 0, external_id: 0 };
        // SAFETY: an open handle, and live locals.
        unsafe { (self.resolve)(self.handle, &raw const user, &raw mut identity) };
        identity.vid
    }

    fn snippet(&self, user: i64, email: &str, buffer: &mut [u8]) -> usize {
        let user = User { kind: 1, id: user, text: ptr::null(), text_len: 0 };
        let mut length = 0;
        // SAFETY: an open handle, and live locals with their lengths.
        unsafe {
            (self.snippet)(
                self.handle,
                &raw const user,
                email.as_ptr().cast(),
                email.len(),
                ptr::null(),
                0,
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                &raw mut length,
            )
        };
        length
    }
}

pub(crate) fn run(run: &Run, path: &Path, users: &[i64]) -> Result<()> {
    // A file of its own: two SQLites in one process must not share one.
    let copy = run.folder.join("c.vidcache");
    std::fs::copy(path, &copy)?;
    let (cache, library) = (open(path)?, Library::open(&copy)?);
    for &user in users {
        assert_eq!(
            (library.resolve(user), resolve(&cache, user)),
            (vid(user).get(), vid(user).get()),
            "a wrong answer"
        );
    }
    let few = &users[..64];
    let emails: Vec<_> = few.iter().map(|&user| (email(user), email_text(user))).collect();
    let numbers: Vec<i64> = (0..few.len() as i64).collect();
    let mut buffer = [0; 4096];
    let mut in_c = |n: i64| library.snippet(few[n as usize], &emails[n as usize].1, &mut buffer) as i64;
    let in_rust = |n: i64| {
        let html = cache.snippet(UserKey::from(few[n as usize]), Some(&emails[n as usize].0), None);
        html.expect("a snippet").len() as i64
    };
    assert!(in_c(0) > 1000 && in_c(0) == in_rust(0), "no snippet");
    let [rust, c, rust_in_turn, c_in_turn, rust_snippet, c_snippet] = interleave(
        run.rounds(21),
        [
            &mut || per_key(users, 3, |user| resolve(&cache, user)),
            &mut || per_key(users, 3, |user| library.resolve(user)),
            &mut || per_key_in_turn(users, 2, |user| resolve(&cache, user)),
            &mut || per_key_in_turn(users, 2, |user| library.resolve(user)),
            &mut || per_key(&numbers, 100, in_rust),
            &mut || per_key(&numbers, 100, &mut in_c),
        ],
    );
    run.fact(Fact::beside("c_resolve", &c, &rust));
    run.fact(Fact::beside("c_resolve_in_turn", &c_in_turn, &rust_in_turn));
    run.fact(Fact::beside("c_snippet", &c_snippet, &rust_snippet));
    Ok(())
}
