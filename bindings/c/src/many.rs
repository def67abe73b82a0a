//! Many users at once: one call for a list of them, where a foreign call costs more than the look-up.

use std::ffi::c_char;

use vidcache::Error;

use crate::edge::edge;
use crate::error::vidcache_result;
use crate::input::{self, given, made};
use crate::lookup::{identity, vidcache_decision, vidcache_identity, write_decision};
use crate::types::{vidcache_handle, vidcache_user};

/// A user, and the email that the app believes to be theirs.
#[repr(C)]
pub struct vidcache_question {
    /// The user.
    pub user: vidcache_user,
    /// The email; NULL with a length of 0 where the app has none.
    pub email: *const c_char,
    /// The bytes of `email`.
    pub email_len: usize,
}

/// vidcache_resolve for `count` users, into as many identities in the same order.
///
/// Fails as vidcache_resolve, and then no identity is written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_resolve_many(
    handle: *const vidcache_handle,
    users: *const vidcache_user,
    count: usize,
    identities: *mut vidcache_identity,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, keys, identities) = unsafe {
            let users = input::array(users, count, "users")?.iter();
            (
                made(handle, "handle")?,
                users.map(|user| input::key(user)).collect::<Result<Vec<_>, _>>()?,
                input::outs(identities, count, "identities")?,
            )
        };
        for (found, room) in handle.0.resolve_many(&keys)?.into_iter().zip(identities) {
            room.write(identity(found));
        }
        Ok(())
    })
}

/// vidcache_decide for `count` users, into as many decisions in the same order. Each is current as of this call; they
/// need not be of one commit, since none depends on another user.
///
/// Fails as vidcache_decide, and then no decision is written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_decide_many(
    handle: *const vidcache_handle,
    questions: *const vidcache_question,
    count: usize,
    decisions: *mut vidcache_decision,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, asked, decisions) = unsafe {
            let asked = input::array(questions, count, "questions")?
                .iter()
                .map(|question| Ok((input::key(&question.user)?, given(question.email, question.email_len).email()?)));
            (
                made(handle, "handle")?,
                asked.collect::<Result<Vec<_>, Error>>()?,
                input::outs(decisions, count, "decisions")?,
            )
        };
        for (decided, room) in handle.0.decide_many(&asked)?.iter().zip(decisions) {
            write_decision(decided, room);
        }
        Ok(())
    })
}
