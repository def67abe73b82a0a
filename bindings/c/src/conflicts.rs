//! What a person or a standing job has to look at: conflicts, refusals, whose a contact is.

use std::ffi::c_char;

use vidcache::{Clash, Conflict, Error, Refusal, Vid};

use crate::edge::edge;
use crate::error::vidcache_result;
use crate::input::{self, made, out};
use crate::lists;
use crate::lookup::VIDCACHE_USER_SIZE;
use crate::types::{vidcache_handle, vidcache_user};

/// HubSpot holds the user's email for another contact than the user's.
pub const VIDCACHE_CONFLICT_EMAIL_HELD: i32 = 1;
/// HubSpot's answer about the user named a contact that is another user's.
pub const VIDCACHE_CONFLICT_VID_TAKEN: i32 = 2;

/// HubSpot blocked the email when it deleted a contact for privacy; or it deleted the user's own contact so.
pub const VIDCACHE_REFUSAL_PRIVACY_DELETION: i32 = 1;
/// HubSpot takes the email for none.
pub const VIDCACHE_REFUSAL_INVALID_EMAIL: i32 = 2;
/// The account requires a property that the contact does not have.
pub const VIDCACHE_REFUSAL_REQUIRED_PROPERTY: i32 = 3;

const _: () = assert!(
    VIDCACHE_CONFLICT_EMAIL_HELD as i64 == Clash::EmailHeld as i64
        && VIDCACHE_CONFLICT_VID_TAKEN as i64 == Clash::VidTaken as i64
        && VIDCACHE_REFUSAL_PRIVACY_DELETION as i64 == Refusal::PrivacyDeletion as i64
        && VIDCACHE_REFUSAL_INVALID_EMAIL as i64 == Refusal::InvalidEmail as i64
        && VIDCACHE_REFUSAL_REQUIRED_PROPERTY as i64 == Refusal::RequiredProperty as i64
);

/// A user whose contact is in question.
#[repr(C)]
pub struct vidcache_conflict {
    /// The user's contact, after merges; 0 where they are linked to none.
    pub vid: i64,
    /// The contact that holds the user's email, or that another user has, after merges; 0 where HubSpot did not name
    /// it.
    pub holder: i64,
    /// Since when this conflict stands: milliseconds since 1970 UTC, by the app's clock.
    pub since: i64,
    /// What it is about: one of VIDCACHE_CONFLICT_….
    pub why: i32,
    /// The bytes of `user` without its NUL.
    pub user_len: u32,
    /// The user as text (an integer in decimal), NUL-terminated. What comes after the NUL is undefined.
    pub user: [c_char; VIDCACHE_USER_SIZE],
}

/// A user key as text.
#[repr(C)]
pub struct vidcache_key {
    /// The bytes of `user` without its NUL.
    pub user_len: u32,
    /// The user as text (an integer in decimal), NUL-terminated. What comes after the NUL is undefined.
    pub user: [c_char; VIDCACHE_USER_SIZE],
}

pub(crate) fn key(user: &str) -> Result<vidcache_key, Error> {
    let (user_len, user) = lists::row(user)?;
    Ok(vidcache_key { user_len, user })
}

/// Users whose email another contact holds, or whose contact is another user's, as vidcache_record was told by
/// VIDCACHE_CONTACT_CONFLICT and VIDCACHE_VID_TAKEN: at most `capacity` of them, in the order of their keys, into the
/// caller's array; `*count` is how many. `after` is the user of the last of a list before, or NULL. One is out of the
/// list once HubSpot has merged the two contacts, the user was forgotten, or vidcache_end_conflict.
///
/// Any thread may call it, on either side of a fork. Fails as vidcache_resolve.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_conflicts(
    handle: *const vidcache_handle,
    after: *const vidcache_user,
    conflicts: *mut vidcache_conflict,
    capacity: usize,
    count: *mut usize,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract; `after` is NULL or a user as every other.
        let (handle, count, rows, after) = unsafe {
            let rows = input::outs(conflicts, capacity, "conflicts")?;
            let after = if after.is_null() { None } else { Some(input::user(after)?) };
            (made(handle, "handle")?, out(count, "count")?, rows, after)
        };
        let found = handle.0.conflicts(after, u32::try_from(capacity).unwrap_or(u32::MAX))?;
        let found = found.iter().map(conflict).collect::<Result<Vec<_>, _>>()?;
        count.write(found.len());
        for (one, place) in found.into_iter().zip(rows) {
            place.write(one);
        }
        Ok(())
    })
}

pub(crate) fn conflict(one: &Conflict) -> Result<vidcache_conflict, Error> {
    let (user_len, user) = lists::row(&one.user)?;
    let (vid, holder) = (one.vid.map_or(0, Vid::get), one.holder.map_or(0, Vid::get));
    Ok(vidcache_conflict { vid, holder, since: one.since, why: one.why as i32, user_len, user })
}

/// Says that the user's conflict is over: they are agreed, or somebody has decided. Without one it does nothing.
///
/// Any thread may call it, on either side of a fork. Fails as vidcache_link.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_end_conflict(
    handle: *const vidcache_handle,
    user: *const vidcache_user,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, user) = unsafe { (made(handle, "handle")?, input::user(user)?) };
        handle.0.end_conflict(user)
    })
}

/// Why HubSpot refused the email of a user for good whom the cache knows no contact of: `*why` is one of
/// VIDCACHE_REFUSAL_…, or 0: it did not. A worker that makes contacts of such users need not try. 0 for a user with a
/// contact, and with a change outstanding, which is the way to tell HubSpot of the user's next email; but
/// VIDCACHE_REFUSAL_PRIVACY_DELETION, with or without one, for a user whose contact was erased for privacy and who has
/// none now: no worker may make them one until the app has called vidcache_link or vidcache_forget for them.
///
/// Any thread may call it, on either side of a fork. Fails as vidcache_resolve.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_refusal(
    handle: *const vidcache_handle,
    user: *const vidcache_user,
    why: *mut i32,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, user, out) = unsafe { (made(handle, "handle")?, input::user(user)?, out(why, "why")?) };
        let why = handle.0.refusal(user)?;
        out.write(why.map_or(0, |why| why as i32));
        Ok(())
    })
}

/// All users of a contact, by any of the ids that were merged into it, the first `capacity` of them into the caller's
/// array; `*count` is how many there are, which may be more.
///
/// Any thread may call it, on either side of a fork. Fails with VIDCACHE_INVALID_VID, and as vidcache_resolve.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_users_of(
    handle: *const vidcache_handle,
    vid: i64,
    users: *mut vidcache_key,
    capacity: usize,
    count: *mut usize,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, count, rows) =
            unsafe { (made(handle, "handle")?, out(count, "count")?, input::outs(users, capacity, "users")?) };
        let found = handle.0.users_of(Vid::try_from(vid)?)?;
        let keys = found.iter().map(|user| key(user)).collect::<Result<Vec<_>, _>>()?;
        count.write(keys.len());
        for (key, place) in keys.into_iter().zip(rows) {
            place.write(key);
        }
        Ok(())
    })
}

/// Doubts all that HubSpot has said of every contact: for an old copy of the file that was put back, before anything
/// renders pages. On return no page names an email until HubSpot says something newer of the contact or it is read
/// again by a call that is begun 5 s later (vidcache_users_to_read lists them). Who has which contact stays. Some 20 s
/// for a million contacts, with others' writes in between; after an error, call it again.
///
/// Any thread may call it, on either side of a fork. Fails as vidcache_link.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_doubt_all(handle: *const vidcache_handle) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let handle = unsafe { made(handle, "handle")? };
        handle.0.doubt_all()
    })
}
