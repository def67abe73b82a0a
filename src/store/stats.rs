//! Counters that are cheap enough to leave on.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::Error;

/// What a handle has done since it was opened, in this process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Look-ups answered from memory. Threads count beside each other without a lock, so this may miss a few.
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
    /// Why every look-up reads the file, if it does.
    pub fallback: Option<&'static str>,
    /// The code of the last failure, such as `busy`.
    pub last_error: Option<&'static str>,
}

#[derive(Default)]
pub(super) struct Counters {
    hits: [Stripe; 32],
    pub(super) misses: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) revision: AtomicI64,
    pub(super) reopened: AtomicU64,
    /// When the files were last looked at, in seconds of a clock that starts anywhere.
    looked_at: AtomicI64,
    fallback: Mutex<Option<&'static str>>,
    last_error: Mutex<Option<&'static str>>,
}

/// A counter on a cache line of its own, so that threads do not wait for one another's.
#[repr(align(64))]
#[derive(Default)]
struct Stripe(AtomicU64);

impl Counters {
    /// Counts a hit. True now and then: time to ask [`Counters::is_due`], whose clock would cost as much as the
    /// whole look-up.
    #[inline]
    pub(super) fn hit(&self) -> bool {
        // Threads have stacks far apart, so an address on the stack tells them apart for nothing, where a
        // thread-local variable is a function call in a shared library.
        let here = 0u8;
        let stack = (&raw const here).addr() >> 16;
        let stripe = stack.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as usize) >> (usize::BITS - 5);
        let counter = &self.hits[stripe].0;
        let count = counter.load(Ordering::Relaxed);
        counter.store(count + 1, Ordering::Relaxed);
        count.is_multiple_of(16)
    }

    /// Whether a second has begun since this last said yes.
    pub(super) fn is_due(&self) -> bool {
        let now = coarse_seconds();
        let last = self.looked_at.load(Ordering::Relaxed);
        now != last && self.looked_at.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    pub(super) fn fall_back(&self, reason: Option<&'static str>) {
        *self.fallback.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    pub(super) fn note(&self, error: &Error) {
        // A call that must not wait was cancelled and starts again: no failure.
        if *error != Error::Cancelled {
            *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.code().name());
        }
    }

    /// The counts, beside the table's `(users, bytes, evictions)`.
    pub(super) fn read(&self, (entries, bytes, evictions): (usize, usize, u64)) -> Stats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            hits: self.hits.iter().map(|stripe| load(&stripe.0)).sum(),
            misses: load(&self.misses),
            syncs: load(&self.syncs),
            evictions,
            entries: entries as u64,
            bytes: bytes as u64,
            revision: self.revision.load(Ordering::Relaxed),
            reopened: load(&self.reopened),
            fallback: *self.fallback.lock().unwrap_or_else(PoisonError::into_inner),
            last_error: *self.last_error.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// Five nanoseconds, and exact to some milliseconds.
fn coarse_seconds() -> i64 {
    #[cfg(target_os = "linux")]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC_COARSE;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` outlives the call, which fills it in.
    unsafe { libc::clock_gettime(CLOCK, &raw mut now) };
    now.tv_sec
}
