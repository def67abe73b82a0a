//! When the worker may tell HubSpot of a change: a quiet period after every page that could name the former email.
//!
//! It is counted by PostgreSQL's clock, since hosts' clocks differ, and from when a worker first *saw* the change,
//! since the transaction that begins one may be open for minutes before it is committed, and until then pages know
//! nothing of it.

use std::time::Duration;

use crate::event::Millis;

/// Whether the worker may tell HubSpot of a change now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The change has ended: there is nothing to tell.
    Ended,
    /// Nobody has seen it as it is now: write down that it was seen, and come again after a quiet period.
    See,
    /// Come again after that long.
    Wait(Duration),
    /// HubSpot may be told.
    Now,
}

/// `since`: when the change was begun, or when another user came to the contact after that; `None`, it has ended.
/// `seen`: when a worker saw it. `clock`: PostgreSQL's, of the answer that says so.
pub(crate) fn turn(since: Option<Millis>, seen: Option<Millis>, clock: Millis, quiet: Duration) -> Turn {
    let Some(since) = since else { return Turn::Ended };
    // What was seen before somebody else came to the contact was another state of it.
    let Some(seen) = seen.filter(|seen| *seen > since) else { return Turn::See };
    let quiet = i64::try_from(quiet.as_millis()).unwrap_or(i64::MAX);
    match seen.saturating_add(quiet).saturating_sub(clock) {
        left if left <= 0 => Turn::Now,
        left => Turn::Wait(Duration::from_millis(left.unsigned_abs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_period_is_counted_from_when_the_change_was_seen_and_not_from_its_beginning() {
        let quiet = Duration::from_secs(15);
        assert_eq!(turn(None, Some(5), 99_999, quiet), Turn::Ended);
        assert_eq!(turn(Some(1_000), None, 99_999, quiet), Turn::See);
        assert_eq!(turn(Some(1_000), Some(60_000), 60_000, quiet), Turn::Wait(quiet));
        assert_eq!(turn(Some(1_000), Some(60_000), 74_999, quiet), Turn::Wait(Duration::from_millis(1)));
        assert_eq!(turn(Some(1_000), Some(60_000), 75_000, quiet), Turn::Now);
        // Somebody came to the contact at 70 s.
        assert_eq!(turn(Some(70_000), Some(60_000), 99_999, quiet), Turn::See);
    }
}
