//! Counters that are cheap enough to leave on.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, ErrorCode};

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
    /// How often the file, its log or its WAL index was replaced or deleted under us, and opened again.
    pub reopened: u64,
    /// Bytes of the log beside the file, which grows behind a reader that stays, such as a backup.
    pub log_bytes: u64,
    /// Why the file will not last where it is, if it will not: it is on a container's own layer, or in memory.
    pub passing: Option<&'static str>,
    /// Why every look-up reads the file, if it does.
    pub fallback: Option<&'static str>,
    /// The code of the last failure, such as `busy`.
    pub last_error: Option<ErrorCode>,
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
    last_error: Mutex<Option<ErrorCode>>,
}

/// A counter on a cache line of its own, so that threads do not wait for one another's.
#[repr(align(64))]
#[derive(Default)]
struct Stripe {
    count: AtomicU64,
    /// At which count the clock is read next.
    next_look: AtomicU64,
    /// When the clock last moved, and the count then.
    tick: AtomicI64,
    count_at_tick: AtomicU64,
}

/// So many look-ups in one tick of the coarse clock (1 to 10 ms) are a loop of nothing else, whose time the clock would
/// be a part of: it reads it every 16th time. All others read it each time, which of them is a thousandth at the most.
const LOOP: u64 = 1024;
const EACH_IN_LOOP: u64 = 16;
/// A tick, and one more for a thread that was put aside.
const TICK: i64 = 20_000_000;

impl Counters {
    /// Counts a hit. True about once a second: the files must be looked at.
    #[inline]
    pub(super) fn hit(&self) -> bool {
        // Threads have stacks far apart, so an address on the stack tells them apart for nothing, where a
        // thread-local variable is a function call in a shared library.
        let here = 0u8;
        let stack = (&raw const here).addr() >> 16;
        let at = stack.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as usize) >> (usize::BITS - 5);
        let stripe = &self.hits[at];
        let count = stripe.count.load(Ordering::Relaxed);
        stripe.count.store(count + 1, Ordering::Relaxed);
        count >= stripe.next_look.load(Ordering::Relaxed) && self.look(stripe, count)
    }

    /// Reads the clock, and says when to read it next.
    #[inline(never)]
    fn look(&self, stripe: &Stripe, count: u64) -> bool {
        let now = coarse_nanoseconds();
        let tick = stripe.tick.load(Ordering::Relaxed);
        let in_loop = count.wrapping_sub(stripe.count_at_tick.load(Ordering::Relaxed)) >= LOOP && now - tick <= TICK;
        stripe.next_look.store(count + if in_loop { EACH_IN_LOOP } else { 1 }, Ordering::Relaxed);
        if now != tick {
            stripe.tick.store(now, Ordering::Relaxed);
            stripe.count_at_tick.store(count, Ordering::Relaxed);
        }
        self.is_due_at(now)
    }

    /// Whether a second has begun since this last said yes.
    pub(super) fn is_due(&self) -> bool {
        self.is_due_at(coarse_nanoseconds())
    }

    fn is_due_at(&self, now: i64) -> bool {
        let (now, last) = (now / 1_000_000_000, self.looked_at.load(Ordering::Relaxed));
        now != last && self.looked_at.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Makes the next who asks look at the files.
    pub(super) fn make_due(&self) {
        self.looked_at.store(0, Ordering::Relaxed);
    }

    pub(super) fn fall_back(&self, reason: Option<&'static str>) {
        *self.fallback.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    pub(super) fn note(&self, error: &Error) {
        // A call that must not wait was cancelled and starts again: no failure.
        if *error != Error::Cancelled {
            *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.code());
        }
    }

    /// The counts, beside the table's `(users, bytes, evictions)`, the size of the log and what is said of the place.
    pub(super) fn read(
        &self,
        (entries, bytes, evictions): (usize, usize, u64),
        log_bytes: u64,
        passing: Option<&'static str>,
    ) -> Stats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            hits: self.hits.iter().map(|stripe| load(&stripe.count)).sum(),
            misses: load(&self.misses),
            syncs: load(&self.syncs),
            evictions,
            entries: entries as u64,
            bytes: bytes as u64,
            revision: self.revision.load(Ordering::Relaxed),
            reopened: load(&self.reopened),
            log_bytes,
            passing,
            fallback: *self.fallback.lock().unwrap_or_else(PoisonError::into_inner),
            last_error: *self.last_error.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// Five nanoseconds, and exact to some milliseconds.
fn coarse_nanoseconds() -> i64 {
    #[cfg(target_os = "linux")]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC_COARSE;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` outlives the call, which fills it in.
    unsafe { libc::clock_gettime(CLOCK, &raw mut now) };
    #[allow(clippy::useless_conversion)] // Of 32 bits on some machines.
    let (seconds, nanoseconds) = (i64::from(now.tv_sec), i64::from(now.tv_nsec));
    seconds * 1_000_000_000 + nanoseconds
}
