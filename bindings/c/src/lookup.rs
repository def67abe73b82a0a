//! The way out: who a user is, and what may be said of them.

use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;
use std::sync::OnceLock;

use vidcache::{Email, Identity, Reason, Vid};

use crate::edge::edge;
use crate::error::vidcache_result;
use crate::input::{self, given, made, out};
use crate::types::{vidcache_handle, vidcache_user};

/// Room for any email and its NUL.
pub const VIDCACHE_EMAIL_SIZE: usize = 255;
/// Room for any user key as text and its NUL.
pub const VIDCACHE_USER_SIZE: usize = 256;

const _: () = assert!(VIDCACHE_EMAIL_SIZE == Email::MAX_LEN + 1 && VIDCACHE_USER_SIZE == input::MAX_KEY + 1);

/// Which contact a user is. The vid is 0 where they are linked to none.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vidcache_identity {
    /// The contact that the user is linked to now.
    pub vid: i64,
    /// What a page gives as HubSpot's external id: the vid as it was first linked; 0 where another user gives that one.
    pub external_id: i64,
}

/// What a page may say of a user: email and id, id alone, or nothing.
#[repr(C)]
pub struct vidcache_decision {
    /// The external id to give; 0: none.
    pub id: i64,
    /// Why: one of VIDCACHE_REASON_….
    pub reason: i32,
    /// The bytes of `email` without its NUL; 0: no email may be named. Only ever more than 0 with an id, and when the
    /// reason is VIDCACHE_REASON_AGREED.
    pub email_len: u32,
    /// The email to name, normalised, NUL-terminated. What comes after the NUL is undefined.
    pub email: [c_char; VIDCACHE_EMAIL_SIZE],
}

pub(crate) fn identity(found: Option<Identity>) -> vidcache_identity {
    found.map_or(vidcache_identity { vid: 0, external_id: 0 }, |identity| vidcache_identity {
        vid: identity.vid.get(),
        external_id: identity.external_id.map_or(0, |vid| vid.get()),
    })
}

/// The static text of a reason, NUL-terminated, in snake case: "change_outstanding"; "unknown" for a number that is
/// none.
#[unsafe(no_mangle)]
pub extern "C" fn vidcache_reason_name(reason: i32) -> *const c_char {
    static NAMES: OnceLock<Vec<(i32, CString)>> = OnceLock::new();
    let names = NAMES.get_or_init(|| {
        Reason::ALL.iter().filter_map(|&reason| Some((reason.number(), CString::new(reason.name()).ok()?))).collect()
    });
    names.iter().find(|(number, _)| *number == reason).map_or(c"unknown", |(_, name)| name).as_ptr()
}

/// Which contact the user is. Nanoseconds, and no allocation, when memory has the answer.
///
/// Fails with VIDCACHE_INVALID_USER_KEY, VIDCACHE_BUSY, VIDCACHE_STORAGE, VIDCACHE_CORRUPT, VIDCACHE_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_resolve(
    handle: *const vidcache_handle,
    user: *const vidcache_user,
    identity: *mut vidcache_identity,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, user, out) = unsafe { (made(handle, "handle")?, input::user(user)?, out(identity, "identity")?) };
        let found = self::identity(handle.0.resolve(user)?);
        out.write(found);
        Ok(())
    })
}

/// The user's contact, as vidcache_resolve gives it, from memory alone: `*known` says whether memory has it. This call
/// never waits and never reads the file: it is for a thread that must not, such as that of an event loop.
///
/// Fails with VIDCACHE_INVALID_USER_KEY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_recall(
    handle: *const vidcache_handle,
    user: *const vidcache_user,
    identity: *mut vidcache_identity,
    known: *mut bool,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, user, identity, known) =
            unsafe { (made(handle, "handle")?, input::user(user)?, out(identity, "identity")?, out(known, "known")?) };
        let found = handle.0.recall(&user);
        identity.write(self::identity(found.flatten()));
        known.write(found.is_some());
        Ok(())
    })
}

/// What a page may say of the user, whose email the app believes to be `email`: UTF-8, NULL with a length of 0 where
/// the app has none.
///
/// Fails with VIDCACHE_INVALID_EMAIL, and as vidcache_resolve.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_decide(
    handle: *const vidcache_handle,
    user: *const vidcache_user,
    email: *const c_char,
    email_len: usize,
    decision: *mut vidcache_decision,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, user, email, out) = unsafe {
            (made(handle, "handle")?, input::user(user)?, given(email, email_len), out(decision, "decision")?)
        };
        let email = email.email()?;
        let decided = handle.0.decide(user, email.as_ref())?;
        write_decision(&decided, out.slot());
        Ok(())
    })
}

pub(crate) fn write_decision(decided: &vidcache::Decision<'_>, room: &mut MaybeUninit<vidcache_decision>) {
    write(decided.email(), decided.id(), decided.reason(), room);
}

/// The parts of a decision, of an email that is one.
pub(crate) fn write(email: Option<&str>, id: Option<Vid>, reason: Reason, room: &mut MaybeUninit<vidcache_decision>) {
    let out = room.as_mut_ptr();
    let email = email.unwrap_or_default();
    // SAFETY: inside `room`, field by field since most of `email` is left as it is; it is longer than any email by its
    // NUL (asserted above).
    unsafe {
        (&raw mut (*out).id).write(id.map_or(0, Vid::get));
        (&raw mut (*out).reason).write(reason.number());
        (&raw mut (*out).email_len).write(email.len() as u32);
        let text = (&raw mut (*out).email).cast::<u8>();
        text.copy_from_nonoverlapping(email.as_ptr(), email.len());
        text.add(email.len()).write(0);
    }
}
