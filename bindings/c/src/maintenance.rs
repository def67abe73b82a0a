//! Looking at the cache itself.

use std::ffi::c_char;
use std::ptr;

use crate::edge::edge;
use crate::error::vidcache_result;
use crate::grows::{self, grows};
use crate::input::{self, made, out};
use crate::text::vidcache_text;
use crate::types::vidcache_handle;

/// What a handle has done since it was opened, in this process.
#[repr(C)]
pub struct vidcache_stats {
    /// sizeof(vidcache_stats), set by the caller.
    pub size: usize,
    /// Look-ups answered from memory.
    pub hits: u64,
    /// Look-ups that read the file.
    pub misses: u64,
    /// How often the table was brought up to date after commits.
    pub syncs: u64,
    /// Users put out of the table to make room.
    pub evictions: u64,
    /// Users in the table.
    pub entries: u64,
    /// Bytes that the table takes.
    pub bytes: u64,
    /// The newest revision that the table has seen.
    pub revision: i64,
    /// How often the file, or its WAL index, was replaced under us and opened again.
    pub reopened: u64,
    /// The code of the handle's last failure, VIDCACHE_OK when there was none.
    pub last_error: vidcache_result,
    /// Why every look-up reads the file: a static text, not NUL-terminated; NULL when none does.
    pub fallback: *const c_char,
    /// The bytes of `fallback`.
    pub fallback_len: usize,
    /// Bytes of the log beside the file, which grows behind a reader that stays, such as a backup.
    pub log_bytes: u64,
    /// Why the file will not last where it is: a static text, not NUL-terminated; NULL when it will.
    pub passing: *const c_char,
    /// The bytes of `passing`.
    pub passing_len: usize,
}

grows!(vidcache_stats: fallback_len, passing_len);

/// What the handle has done in this process. Cheap. `stats->size` must be set before.
///
/// Fails with VIDCACHE_INVALID_OPTION when that is not a size that this library knows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_get_stats(
    handle: *const vidcache_handle,
    stats: *mut vidcache_stats,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, theirs) = unsafe { (made(handle, "handle")?, grows::theirs(stats)?.ok_or(input::null("stats"))?) };
        let stats = handle.0.stats();
        theirs.write(vidcache_stats {
            size: size_of::<vidcache_stats>(),
            hits: stats.hits,
            misses: stats.misses,
            syncs: stats.syncs,
            evictions: stats.evictions,
            entries: stats.entries,
            bytes: stats.bytes,
            revision: stats.revision,
            reopened: stats.reopened,
            last_error: stats.last_error.map_or(0, |code| code.number()),
            fallback: stats.fallback.map_or(ptr::null(), |text| text.as_ptr().cast()),
            fallback_len: stats.fallback.map_or(0, str::len),
            log_bytes: stats.log_bytes,
            passing: stats.passing.map_or(ptr::null(), |text| text.as_ptr().cast()),
            passing_len: stats.passing.map_or(0, str::len),
        });
        Ok(())
    })
}

/// Runs SQLite's own check of the file and the library's of its rows. `*count` is how many things are wrong and
/// `*problems` says which, one a line; it is to be freed by vidcache_text_free also when nothing is. Reads the whole
/// file, minutes at millions of users; nobody waits for it meanwhile.
///
/// Fails as vidcache_resolve.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_verify(
    handle: *const vidcache_handle,
    problems: *mut *mut vidcache_text,
    count: *mut usize,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (handle, problems, count) =
            unsafe { (made(handle, "handle")?, out(problems, "problems")?, out(count, "count")?) };
        let found = handle.0.verify()?;
        count.write(found.len());
        problems.write(vidcache_text::new(found.join("\n")));
        Ok(())
    })
}
