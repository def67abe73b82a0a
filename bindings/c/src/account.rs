//! One user, for people to read, and forgetting them.

use std::ffi::c_char;

use crate::edge::edge;
use crate::error::vidcache_result;
use crate::input::{self, given, made, out};
use crate::lookup::{vidcache_decision, write_decision};
use crate::text::vidcache_text;
use crate::types::{vidcache_handle, vidcache_user};

/// Why a page says of the user what it says: the decision, and a sentence to a line of what it rests on and of the
/// user's last events, oldest first. The sentences name contacts and times, no email and no user; they are to be freed
/// by vidcache_text_free. Reads the file, so it is not for a page itself.
///
/// Fails as vidcache_decide.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_explain(
    handle: *const vidcache_handle,
    user: *const vidcache_user,
    email: *const c_char,
    email_len: usize,
    decision: *mut vidcache_decision,
    sentences: *mut *mut vidcache_text,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, user, email, decision, sentences) = unsafe {
            (
                made(handle, "handle")?,
                input::user(user)?,
                given(email, email_len),
                out(decision, "decision")?,
                out(sentences, "sentences")?,
            )
        };
        let email = email.email()?;
        let explained = handle.0.explain(user, email.as_ref())?;
        write_decision(&explained.decision, decision.slot());
        sentences.write(vidcache_text::new(explained.to_string()));
        Ok(())
    })
}

/// All that the file holds on the user, as a JSON object: links, what HubSpot said of the contact, changes, and the
/// last events. Of emails the file holds keyed fingerprints only. To be freed by vidcache_text_free.
///
/// Fails as vidcache_resolve.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_export(
    handle: *const vidcache_handle,
    user: *const vidcache_user,
    json: *mut *mut vidcache_text,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, user, out) = unsafe { (made(handle, "handle")?, input::user(user)?, out(json, "json")?) };
        let json = handle.0.export(user)?;
        out.write(vidcache_text::new(json));
        Ok(())
    })
}

/// Takes out all that is held on the user, and what HubSpot said of their contact unless it is another user's too.
/// `*known` says whether anything was. When this returns, nothing of it is left in the file, its free pages or its log.
///
/// A change that is outstanding goes with it, and a job that asks for it is told VIDCACHE_UNKNOWN_CHANGE: it must not
/// tell HubSpot. Where the contact is shared the change becomes another user's, and stays outstanding.
///
/// Fails as vidcache_link. After VIDCACHE_BUSY the rows may be gone and the log not emptied yet: call again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_forget(
    handle: *const vidcache_handle,
    user: *const vidcache_user,
    known: *mut bool,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, user, out) = unsafe { (made(handle, "handle")?, input::user(user)?, out(known, "known")?) };
        let known = handle.0.forget(user)?;
        out.write(known);
        Ok(())
    })
}
