//! When somebody looked: the clocks, read before a statement is sent.

use crate::cache::now;
use crate::event::Millis;

/// The time at which a page began to ask, by two clocks: that of the day, which the page says, and one that goes on
/// while the machine sleeps and is never set, by which the age of the answer is told.
///
/// Take one by [`Database::look`](super::Database::look) *before* the statement is sent, so that no page is younger
/// than what it says. One look serves one page: both of its statements, if it takes two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    at: Millis,
    since_boot: Millis,
}

impl Look {
    pub(super) fn now() -> Self {
        Self { at: now(), since_boot: since_boot() }
    }

    /// The two numbers, in milliseconds, for a binding that keeps them as such between its two calls.
    pub const fn parts(self) -> (Millis, Millis) {
        (self.at, self.since_boot)
    }

    /// The look of these [`Look::parts`], in the process that took it.
    pub const fn of_parts((at, since_boot): (Millis, Millis)) -> Self {
        Self { at, since_boot }
    }

    /// Milliseconds since 1970.
    pub(super) const fn at(self) -> Millis {
        self.at
    }

    /// For how long it was waited since then; for ever, by a look of the future, which is none of this machine's.
    pub(super) fn waited(self) -> std::time::Duration {
        // Rounded up: each of the two readings may be as much as a millisecond old.
        let ms = since_boot().saturating_sub(self.since_boot).saturating_add(1);
        u64::try_from(ms).ok().filter(|ms| *ms > 0).map_or(std::time::Duration::MAX, std::time::Duration::from_millis)
    }
}

/// Milliseconds of a clock that goes on in suspend.
fn since_boot() -> Millis {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_BOOTTIME;
    // Which goes on in suspend on macOS.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` outlives the call, which fills it in.
    unsafe { libc::clock_gettime(CLOCK, &raw mut now) };
    #[allow(clippy::useless_conversion)] // Of 32 bits on some machines.
    (i64::from(now.tv_sec) * 1_000 + i64::from(now.tv_nsec) / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_was_waited_is_at_least_the_time_that_went_by_and_a_look_of_another_machine_is_as_old_as_can_be() {
        let (look, began) = (Look::now(), std::time::Instant::now());
        std::thread::sleep(Duration::from_millis(3));
        let went_by = began.elapsed();
        assert!(look.waited() + Duration::from_millis(1) >= went_by && look.waited() < Duration::from_secs(60));
        assert_eq!(Look::of_parts(look.parts()), look);
        assert_eq!(Look::of_parts((0, i64::MAX)).waited(), Duration::MAX);
        assert_eq!(Look::of_parts((0, i64::MIN)).waited(), Duration::from_millis(i64::MAX.unsigned_abs()));
    }
}
