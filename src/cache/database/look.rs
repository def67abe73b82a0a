//! When somebody looked: the clocks, read before a statement is sent.

use std::time::Duration;

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

/// The two clocks, read one after the other: [`Look::parts`].
pub type Clocks = fn() -> (Millis, Millis);

/// The machine's clocks.
pub(super) fn clocks() -> (Millis, Millis) {
    (now(), since_boot())
}

impl Look {
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

    /// How long before this look that time was, by the clock that goes on in suspend; none, of a time that is none of
    /// this machine's, since it is yet to come.
    pub(super) fn since(self, since_boot: Millis) -> Option<Duration> {
        // Rounded up: each of the two readings may be as much as a millisecond old.
        let ms = self.since_boot.checked_sub(since_boot)?.checked_add(1)?;
        u64::try_from(ms).ok().filter(|ms| *ms > 0).map(Duration::from_millis)
    }

    /// For how long it was waited until now; for ever, by a look of another machine.
    pub(super) fn waited(self, now: Self) -> Duration {
        now.since(self.since_boot).unwrap_or(Duration::MAX)
    }
}

/// Milliseconds of a clock that goes on in suspend.
pub(super) fn since_boot() -> Millis {
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

    fn look() -> Look {
        Look::of_parts(clocks())
    }

    #[test]
    fn what_was_waited_is_at_least_the_time_that_went_by_and_a_look_of_another_machine_is_as_old_as_can_be() {
        let (before, began) = (look(), std::time::Instant::now());
        std::thread::sleep(Duration::from_millis(3));
        let went_by = began.elapsed();
        let waited = before.waited(look());
        assert!(waited + Duration::from_millis(1) >= went_by && waited < Duration::from_secs(60));
        assert_eq!(Look::of_parts(before.parts()), before);
        for never in [i64::MAX, i64::MIN] {
            assert_eq!(Look::of_parts((0, never)).waited(look()), Duration::MAX);
        }
    }
}
