//! The way in: what the app and HubSpot say.

use std::ffi::c_char;

use vidcache::{Error, Imported, Vid};

use crate::edge::edge;
use crate::error::vidcache_result;
use crate::input::{self, given, made, out};
use crate::types::{vidcache_handle, vidcache_user};

/// What a recorded answer said.
#[repr(C)]
pub struct vidcache_recorded {
    /// The contact that the answer described.
    pub vid: i64,
    /// Whether the call made the contact: 1 yes, 0 no, -1 the answer does not say.
    pub created: i32,
    /// Whether `vid` is the id that was asked for. If not, the id that was asked for was merged into it.
    pub canonical: bool,
    /// Whether the answer said which email the contact holds, and since when.
    pub email_observed: bool,
}

/// Says that the user is the contact `vid`, without saying which email HubSpot holds for it. It is durable when this
/// returns.
///
/// Fails with VIDCACHE_INVALID_USER_KEY, VIDCACHE_INVALID_VID, VIDCACHE_VID_TAKEN, VIDCACHE_BUSY, VIDCACHE_STORAGE,
/// VIDCACHE_CORRUPT, VIDCACHE_CLOSED; nothing is written then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_link(
    handle: *const vidcache_handle,
    user: *const vidcache_user,
    vid: i64,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, user) = unsafe { (made(handle, "handle")?, input::user(user)?) };
        handle.0.link(user, Vid::try_from(vid)?)
    })
}

/// Links the user to a contact that may be another user's too: the explicit choice that they share it. A change of
/// one's email then keeps all of them from naming theirs.
///
/// Fails as vidcache_link, but for VIDCACHE_VID_TAKEN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_link_shared(
    handle: *const vidcache_handle,
    user: *const vidcache_user,
    vid: i64,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, user) = unsafe { (made(handle, "handle")?, input::user(user)?) };
        handle.0.link_shared(user, Vid::try_from(vid)?)
    })
}

/// Records what a HubSpot API call about the user answered: the JSON body of a v1 createOrUpdate or profile answer, or
/// of a v3 contact, told apart by shape; at most 16 MiB. It is durable when this returns. Recording an answer again, or
/// an older one late, changes nothing. `change` is the token of the change that this finishes, 0 for none: that takes
/// an answer that says which email the contact holds and since when, read after HubSpot was told.
///
/// Fails with VIDCACHE_INVALID_ANSWER, VIDCACHE_ANSWER_WITHOUT_ID, VIDCACHE_ANSWER_WITHOUT_EMAIL,
/// VIDCACHE_CONTACT_CONFLICT, VIDCACHE_CONTACT_MISSING, VIDCACHE_RATE_LIMITED, VIDCACHE_REFUSED,
/// VIDCACHE_HUBSPOT_ERROR, VIDCACHE_UNKNOWN_CHANGE, VIDCACHE_FOREIGN_CHANGE, VIDCACHE_VID_TAKEN, and as vidcache_link;
/// nothing about the user is written then. After VIDCACHE_VID_TAKEN what the answer said of the contact is kept; after
/// VIDCACHE_REFUSED the change has ended; after that and VIDCACHE_CONTACT_MISSING no page names the email of the user's
/// contact until a newer answer is recorded.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_record(
    handle: *const vidcache_handle,
    user: *const vidcache_user,
    answer: *const c_char,
    answer_len: usize,
    change: i64,
    recorded: *mut vidcache_recorded,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, user, answer, out) = unsafe {
            (
                made(handle, "handle")?,
                input::user(user)?,
                given(answer, answer_len).answer()?,
                out(recorded, "recorded")?,
            )
        };
        out.write(learnt(&handle.0.record(user, answer, input::change(change)?)?));
        Ok(())
    })
}

/// vidcache_record of an answer to a call that was begun at `asked_at`, in milliseconds since 1970 UTC by the app's
/// clock. After a merge, a deletion, a restoration, a 404 or vidcache_forget what HubSpot said before does not count,
/// and HubSpot's own time of the contact may not move for years: an answer to a call that was begun 5 s after that was
/// heard, or later, is believed all the same. A time more than 5 s in the future says nothing.
///
/// Fails as vidcache_record.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_record_read(
    handle: *const vidcache_handle,
    user: *const vidcache_user,
    answer: *const c_char,
    answer_len: usize,
    change: i64,
    asked_at: i64,
    recorded: *mut vidcache_recorded,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, user, answer, out) = unsafe {
            (
                made(handle, "handle")?,
                input::user(user)?,
                given(answer, answer_len).answer()?,
                out(recorded, "recorded")?,
            )
        };
        out.write(learnt(&handle.0.record_read(user, answer, input::change(change)?, asked_at)?));
        Ok(())
    })
}

pub(crate) fn learnt(done: &vidcache::Recorded) -> vidcache_recorded {
    vidcache_recorded {
        vid: done.vid.get(),
        created: done.created.map_or(-1, i32::from),
        canonical: done.canonical,
        email_observed: done.email_observed,
    }
}

/// A user whom vidcache_import takes in.
#[repr(C)]
pub struct vidcache_import_row {
    /// The user.
    pub user: vidcache_user,
    /// Their contact.
    pub vid: i64,
    /// The email that HubSpot held for it; NULL with a length of 0 where that is not known.
    pub email: *const c_char,
    /// The bytes of `email`.
    pub email_len: usize,
    /// Since when, HubSpot's updatedAt: milliseconds since 1970 UTC.
    pub email_at: i64,
}

/// The core's. Its user is the caller's, and lives as long as the call.
///
/// # Safety
/// The row's pointers are what their fields say, for the time of the call.
pub(crate) unsafe fn imported<'a>(row: &vidcache_import_row) -> Result<Imported<'a>, Error> {
    // SAFETY: this function's contract.
    let (user, email) = unsafe { (input::key(&row.user)?, given(row.email, row.email_len).email()?) };
    Ok(Imported { user, vid: Vid::try_from(row.vid)?, email: email.map(|email| (email, row.email_at)) })
}

/// What vidcache_import did.
#[repr(C)]
pub struct vidcache_import_report {
    /// Users taken in, or known already.
    pub imported: u64,
    /// Users left out because another user has their contact.
    pub vid_taken: u64,
}

/// Takes in what the app has long known: users and their contacts, for a first fill. 100,000 rows to a transaction,
/// others' writes in between. A link that was made otherwise stands against an imported one, and so does a later email.
/// Importing again changes nothing.
///
/// Fails with the code of the first row that cannot be right, and as vidcache_link. Whole transactions before it stay.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_import(
    handle: *const vidcache_handle,
    rows: *const vidcache_import_row,
    count: usize,
    report: *mut vidcache_import_report,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, rows, out) = unsafe {
            let rows = input::array(rows, count, "rows")?.iter().map(|row| imported(row));
            (made(handle, "handle")?, rows, out(report, "report")?)
        };
        let done = handle.0.import(rows)?;
        out.write(done.into());
        Ok(())
    })
}

impl From<vidcache::ImportReport> for vidcache_import_report {
    fn from(done: vidcache::ImportReport) -> Self {
        Self { imported: done.imported, vid_taken: done.vid_taken }
    }
}
