//! The way in, where HubSpot names no user: searches, batches, webhooks.

use std::ffi::c_char;

use vidcache::Vid;

use crate::edge::{edge, free};
use crate::error::vidcache_result;
use crate::input::{given, made, out};
use crate::types::vidcache_handle;

/// What vidcache_observe learnt. Opaque; freed by `vidcache_observed_free`.
pub struct vidcache_observed {
    contacts: Vec<i64>,
    missing: Vec<i64>,
}

/// What vidcache_apply_webhook did with the events of a body.
#[repr(C)]
pub struct vidcache_webhook_report {
    /// Events that told something new.
    pub applied: u64,
    /// Events that came before, or were overtaken by something newer.
    pub repeated: u64,
    /// Events of other types, objects, properties or portals.
    pub ignored: u64,
}

/// Takes in what an answer says of contacts, without saying whose they are: the JSON body of a search, a batch read or
/// upsert, or of any call that vidcache_record understands. All of it or nothing.
///
/// Fails as vidcache_record, of its codes those that are not about a user or a change.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_observe(
    handle: *const vidcache_handle,
    answer: *const c_char,
    answer_len: usize,
    observed: *mut *mut vidcache_observed,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, answer, out) =
            unsafe { (made(handle, "handle")?, given(answer, answer_len).answer()?, out(observed, "observed")?) };
        out.write(learnt(handle.0.observe(answer)?));
        Ok(())
    })
}

/// vidcache_observe of an answer to a call that was begun at `asked_at`: see vidcache_record_read. Not for a search,
/// which finds contacts as they were a while ago.
///
/// Fails as vidcache_observe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_observe_read(
    handle: *const vidcache_handle,
    answer: *const c_char,
    answer_len: usize,
    asked_at: i64,
    observed: *mut *mut vidcache_observed,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, answer, out) =
            unsafe { (made(handle, "handle")?, given(answer, answer_len).answer()?, out(observed, "observed")?) };
        out.write(learnt(handle.0.observe_read(answer, asked_at)?));
        Ok(())
    })
}

fn learnt(found: vidcache::Observed) -> *mut vidcache_observed {
    let numbers = |vids: Vec<Vid>| vids.into_iter().map(Vid::get).collect();
    let found = vidcache_observed { contacts: numbers(found.contacts), missing: numbers(found.missing) };
    Box::into_raw(Box::new(found))
}

/// The contacts that the answer described, by the ids that live. They stay until `observed` is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_observed_contacts(
    observed: *const vidcache_observed,
    vids: *mut *const i64,
    count: *mut usize,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (observed, vids, count) =
            unsafe { (made(observed, "observed")?, out(vids, "vids")?, out(count, "count")?) };
        vids.write(observed.contacts.as_ptr());
        count.write(observed.contacts.len());
        Ok(())
    })
}

/// The ids for which HubSpot says it has no contact. An id that is neither here nor among the contacts although it was
/// asked for was merged into another: HubSpot leaves it out without a word. Read it by itself and observe that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_observed_missing(
    observed: *const vidcache_observed,
    vids: *mut *const i64,
    count: *mut usize,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (observed, vids, count) =
            unsafe { (made(observed, "observed")?, out(vids, "vids")?, out(count, "count")?) };
        vids.write(observed.missing.as_ptr());
        count.write(observed.missing.len());
        Ok(())
    })
}

/// Frees what was observed and makes `*observed` NULL. NULL, and what is NULL, are allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_observed_free(observed: *mut *mut vidcache_observed) {
    // SAFETY: the caller's contract.
    unsafe { free(observed) }
}

/// Takes in the body of a webhook: up to some hundred events, in any order, however often they come. All of it, or,
/// where an event that matters cannot be read, what of it erases a contact.
/// Check the signature first: vidcache_verify_signature. When an event says that a contact was erased for privacy,
/// nothing of it is left on return, nor of users who were linked to it alone.
///
/// Fails with VIDCACHE_INVALID_WEBHOOK: nothing was written, and the same body will fail again. Else as vidcache_link:
/// answer HubSpot with a 5xx, so that it sends the body again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_apply_webhook(
    handle: *const vidcache_handle,
    body: *const c_char,
    body_len: usize,
    report: *mut vidcache_webhook_report,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, body, out) =
            unsafe { (made(handle, "handle")?, given(body, body_len).webhook()?, out(report, "report")?) };
        let done = handle.0.apply_webhook(body)?;
        out.write(done.into());
        Ok(())
    })
}

impl From<vidcache::WebhookReport> for vidcache_webhook_report {
    fn from(done: vidcache::WebhookReport) -> Self {
        Self { applied: done.applied, repeated: done.repeated, ignored: done.ignored }
    }
}
