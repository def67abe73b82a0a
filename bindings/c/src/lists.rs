//! Whom a reading job is to read.

use std::ffi::c_char;
use std::time::Duration;

use vidcache::{Error, UserToRead, Vid};

use crate::edge::edge;
use crate::error::vidcache_result;
use crate::input::{self, made, out};
use crate::lookup::VIDCACHE_USER_SIZE;
use crate::types::vidcache_handle;

/// A linked user whose contact is to be read.
#[repr(C)]
pub struct vidcache_user_to_read {
    /// The contact.
    pub vid: i64,
    /// When it was last read, or else when HubSpot last confirmed its email: milliseconds since 1970 UTC. 0: never.
    pub read_at: i64,
    /// The bytes of `user` without its NUL.
    pub user_len: u32,
    /// The user as text (an integer in decimal), NUL-terminated; of several who share the contact, one. What comes
    /// after the NUL is undefined.
    pub user: [c_char; VIDCACHE_USER_SIZE],
}

/// Linked users whose contacts a job is to read from HubSpot, the longest unread first, at most `capacity` of them,
/// into the caller's array; `*count` is how many. `after` is the last of a list before, or NULL: those that come after
/// it.
///
/// With `confirmed` false, those whose pages give the id alone since HubSpot has not said which email it holds for the
/// contact now; left out is who was read within `older_than_ms` milliseconds and has not become doubtful since. With
/// true, those whose contact was last read, or its email last confirmed, longer ago than that. Read them by
/// vidcache_observe_read. Finding nobody takes microseconds, however many users there are.
///
/// Fails as vidcache_resolve.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_users_to_read(
    handle: *const vidcache_handle,
    confirmed: bool,
    older_than_ms: u64,
    after: *const vidcache_user_to_read,
    users: *mut vidcache_user_to_read,
    capacity: usize,
    count: *mut usize,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract; `after` is NULL or was written by this function.
        let (handle, count, rows, after) = unsafe {
            let rows = input::outs(users, capacity, "users")?;
            (made(handle, "handle")?, out(count, "count")?, rows, after.as_ref())
        };
        let after = match after {
            Some(last) => {
                Some(UserToRead { user: String::new(), vid: Vid::try_from(last.vid)?, read_at: last.read_at })
            }
            None => None,
        };
        let limit = u32::try_from(capacity).unwrap_or(u32::MAX);
        let found = handle.0.users_to_read(confirmed, Duration::from_millis(older_than_ms), after.as_ref(), limit)?;
        let found = found.iter().map(to_read).collect::<Result<Vec<_>, _>>()?;
        count.write(found.len());
        for (one, row) in found.into_iter().zip(rows) {
            row.write(one);
        }
        Ok(())
    })
}

pub(crate) fn to_read(one: &UserToRead) -> Result<vidcache_user_to_read, Error> {
    let (user_len, user) = row(&one.user)?;
    Ok(vidcache_user_to_read { vid: one.vid.get(), read_at: one.read_at, user_len, user })
}

pub(crate) fn row(user: &str) -> Result<(u32, [c_char; VIDCACHE_USER_SIZE]), Error> {
    match user.len() {
        len @ 0..VIDCACHE_USER_SIZE => Ok((len as u32, text(user))),
        _ => Err(Error::Corrupt("a user key is too long".into())),
    }
}

/// A user key, which is shorter than this, with zeros after it.
fn text(key: &str) -> [c_char; VIDCACHE_USER_SIZE] {
    let mut user = [0; VIDCACHE_USER_SIZE];
    for (to, byte) in user.iter_mut().zip(key.bytes()) {
        *to = byte as c_char;
    }
    user
}
