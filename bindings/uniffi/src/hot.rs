//! The one hot call beside UniFFI, whose own way of a call from Python takes several times what the look-up does: what
//! memory knows of a user, current to the last commit. Never waits, fails or reads the file, so the caller may hold the
//! GIL. Whatever is not answered here is asked again through UniFFI, which has the errors.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use vidcache::UserKey;

use crate::cache::Vidcache;

/// Memory does not know; ask `resolve`.
const ASK: i64 = -1;

#[uniffi::export]
impl Vidcache {
    /// Where the handle is, for `vidcache_recall_id` and `vidcache_recall_text`: good while the caller keeps this object.
    pub fn address(self: Arc<Self>) -> u64 {
        Arc::as_ptr(&self) as usize as u64
    }
}

/// The user's contact; 0 when they have none; -1 when memory does not know.
///
/// # Safety
/// `cache` is what `address` returned of an object that is kept for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_recall_id(cache: *const Vidcache, id: i64) -> i64 {
    // SAFETY: the caller's contract.
    recall(unsafe { &*cache }, || Some(UserKey::from(id)))
}

/// The same for a text of `len` bytes of UTF-8.
///
/// # Safety
/// As `vidcache_recall_id`; `text` has `len` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_recall_text(cache: *const Vidcache, text: *const u8, len: usize) -> i64 {
    if text.is_null() {
        return ASK;
    }
    // SAFETY: the caller's contract; not NULL.
    let bytes = unsafe { std::slice::from_raw_parts(text, len) };
    // SAFETY: the caller's contract.
    recall(unsafe { &*cache }, || UserKey::bytes(bytes).ok())
}

fn recall<'k>(cache: &Vidcache, key: impl FnOnce() -> Option<UserKey<'k>>) -> i64 {
    let look = || cache.0.recall(&key()?).map(|found| found.map_or(0, |identity| identity.vid.get()));
    catch_unwind(AssertUnwindSafe(look)).ok().flatten().unwrap_or(ASK)
}
