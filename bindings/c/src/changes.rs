//! Changes of email: begun before the app's commit, finished by `vidcache_record`, or abandoned.

use std::ffi::c_char;
use std::time::Duration;

use vidcache::{ChangeToken, Error, LeaseToken, StaleChange};

use crate::edge::edge;
use crate::error::vidcache_result;
use crate::input::{self, made, out};
use crate::lists;
use crate::lookup::VIDCACHE_USER_SIZE;
use crate::types::{vidcache_handle, vidcache_user};

/// A change that was begun and is outstanding.
#[repr(C)]
pub struct vidcache_stale_change {
    /// The token that a fresh answer must be recorded with.
    pub token: i64,
    /// When it was begun: milliseconds since 1970 UTC, by the app's clock.
    pub begun_at: i64,
    /// The bytes of `user` without its NUL.
    pub user_len: u32,
    /// The user as text (an integer in decimal), NUL-terminated. What comes after the NUL is undefined.
    pub user: [c_char; VIDCACHE_USER_SIZE],
}

/// Begins a change of the user's email: until it is finished or abandoned, no page names one. Call it before the app's
/// own commit. The worker tells HubSpot vidcache_quiet_period later, only while the change is outstanding
/// (vidcache_is_change_outstanding), and then finishes the change by vidcache_record. `*token` is from 1 to 2^63 - 1.
///
/// Fails as vidcache_link. Then no change was begun, and the app must not change the email.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_begin_email_change(
    handle: *const vidcache_handle,
    user: *const vidcache_user,
    token: *mut i64,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, user, out) = unsafe { (made(handle, "handle")?, input::user(user)?, out(token, "token")?) };
        let token = handle.0.begin_email_change(user)?;
        out.write(token.get());
        Ok(())
    })
}

/// Ends a change that did not happen: the app rolled back, and HubSpot was not told. Ending an ended change again does
/// nothing.
///
/// Fails with VIDCACHE_UNKNOWN_CHANGE, VIDCACHE_FOREIGN_CHANGE, and as vidcache_link.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_abandon_email_change(
    handle: *const vidcache_handle,
    user: *const vidcache_user,
    token: i64,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, user) = unsafe { (made(handle, "handle")?, input::user(user)?) };
        handle.0.abandon_email_change(user, ChangeToken::try_from(token)?)
    })
}

/// Whether the user's change is outstanding. A worker asks this before it tells HubSpot, with the user's other jobs
/// locked out.
///
/// Fails with VIDCACHE_UNKNOWN_CHANGE, VIDCACHE_FOREIGN_CHANGE, and as vidcache_resolve.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_is_change_outstanding(
    handle: *const vidcache_handle,
    user: *const vidcache_user,
    token: i64,
    outstanding: *mut bool,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, user, out) =
            unsafe { (made(handle, "handle")?, input::user(user)?, out(outstanding, "outstanding")?) };
        let is = handle.0.is_change_outstanding(user, ChangeToken::try_from(token)?)?;
        out.write(is);
        Ok(())
    })
}

/// Since when the user's change has counted for every page that could name the email of their contact, by the app's
/// clock: `*begun_at` in milliseconds since 1970 UTC, and `*outstanding` is true; once it has ended, 0 and false. That
/// is when it was begun, or, where the contact has become another user's too meanwhile, when that was heard. A worker
/// asks when it runs, and waits until it is a vidcache_quiet_period ago.
///
/// Fails as vidcache_is_change_outstanding.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_change_outstanding_since(
    handle: *const vidcache_handle,
    user: *const vidcache_user,
    token: i64,
    begun_at: *mut i64,
    outstanding: *mut bool,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, user, begun_at, outstanding) = unsafe {
            (made(handle, "handle")?, input::user(user)?, out(begun_at, "begun_at")?, out(outstanding, "outstanding")?)
        };
        let since = handle.0.change_outstanding_since(user, ChangeToken::try_from(token)?)?;
        begun_at.write(since.unwrap_or(0));
        outstanding.write(since.is_some());
        Ok(())
    })
}

/// How long the worker must wait after the beginning of a change before it tells HubSpot, in milliseconds: the longest
/// page deadline of any process that used the file within the last day, and 5000 more, which a page view may take to
/// reach HubSpot. From 5100 to 3605000.
///
/// Fails with VIDCACHE_BUSY, VIDCACHE_STORAGE, VIDCACHE_CORRUPT, VIDCACHE_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_quiet_period(
    handle: *const vidcache_handle,
    milliseconds: *mut u64,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, milliseconds) = unsafe { (made(handle, "handle")?, out(milliseconds, "milliseconds")?) };
        let period = handle.0.quiet_period()?;
        milliseconds.write(u64::try_from(period.as_millis()).unwrap_or(u64::MAX));
        Ok(())
    })
}

/// Takes the user's lease for so many milliseconds, from 1 to 3600000: the right to tell HubSpot of the user, which one
/// job has at a time, over all processes that use the file. `*token` is from 1 to 2^63 - 1; 0: another job has it.
/// With `held`, the token of a lease, that one goes on for so long from now, and `*token` is the same; 0: its holder
/// was slower than its deadline, and must not tell HubSpot. `held` is 0 to take it.
///
/// A worker takes it before it reads the user's email from the app's database, and renews it before each call that
/// writes to HubSpot, for longer than the call can take. A process that dies with it leaves it to run out.
///
/// Fails with VIDCACHE_INVALID_OPTION for the time, and as vidcache_link.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_lease(
    handle: *const vidcache_handle,
    user: *const vidcache_user,
    milliseconds: u64,
    held: i64,
    token: *mut i64,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, user, out) = unsafe { (made(handle, "handle")?, input::user(user)?, out(token, "token")?) };
        let held = (held != 0).then(|| LeaseToken::from(held));
        let given = handle.0.lease(user, Duration::from_millis(milliseconds), held)?;
        out.write(given.map_or(0, LeaseToken::get));
        Ok(())
    })
}

/// Ends the user's lease, so that the next job need not wait for its deadline. `*released` is false where the holder
/// had none any more.
///
/// Fails as vidcache_link.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_release(
    handle: *const vidcache_handle,
    user: *const vidcache_user,
    held: i64,
    released: *mut bool,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, user, out) = unsafe { (made(handle, "handle")?, input::user(user)?, out(released, "released")?) };
        out.write(handle.0.release(user, LeaseToken::from(held))?);
        Ok(())
    })
}

/// The changes begun `older_than_ms` milliseconds ago or longer and still outstanding, oldest first, at most `capacity`
/// of them, into the caller's array; `*count` is how many. Their users' pages give the id alone until an answer that is
/// read now is recorded with the token.
///
/// Fails as vidcache_resolve.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_stale_changes(
    handle: *const vidcache_handle,
    older_than_ms: u64,
    changes: *mut vidcache_stale_change,
    capacity: usize,
    count: *mut usize,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, count, rows) =
            unsafe { (made(handle, "handle")?, out(count, "count")?, input::outs(changes, capacity, "changes")?) };
        let limit = u32::try_from(capacity).unwrap_or(u32::MAX);
        let found = handle.0.stale_changes(Duration::from_millis(older_than_ms), limit)?;
        let found = found.iter().map(stale).collect::<Result<Vec<_>, _>>()?;
        count.write(found.len());
        for (change, row) in found.into_iter().zip(rows) {
            row.write(change);
        }
        Ok(())
    })
}

pub(crate) fn stale(change: &StaleChange) -> Result<vidcache_stale_change, Error> {
    let (user_len, user) = lists::row(&change.user)?;
    Ok(vidcache_stale_change { token: change.token.get(), begun_at: change.begun_at, user_len, user })
}
