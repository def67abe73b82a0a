//! How long pages may name an email, over all processes that use the file.
//!
//! The worker may tell HubSpot of a change only when every page that was rendered before the change is past its
//! deadline: also a page of another process, whose `page_deadline` may be longer, and of one that a deploy has just
//! ended. So each process writes its deadline down when it opens the file, and again while it renders pages; the
//! longest of the last day counts.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use crate::error::Result;
use crate::event::Millis;

/// How long a deadline counts after a process last wrote it down, in milliseconds.
const KEPT: Millis = 24 * 60 * 60 * 1000;

/// How often a process that renders pages writes its deadline down again, in milliseconds.
pub(crate) const RENEWED: Millis = KEPT / 4;

/// How long a page view may take from the browser to HubSpot. A quiet period is longer than the deadline by this.
pub(crate) const TRANSIT: Duration = Duration::from_secs(5);

/// Whether a deadline must be written down, since nobody has lately.
pub(crate) fn is_due(rows: &Connection, deadline: Duration, at: Millis) -> Result<bool> {
    let seen: Option<Millis> = rows
        .prepare_cached("SELECT seen_at FROM deadline WHERE ms = ?1")?
        .query_row([millis(deadline)], |row| row.get(0))
        .optional()?;
    Ok(seen.is_none_or(|seen| seen < at - RENEWED / 2))
}

/// Writes a deadline down. Those of processes that are long gone stay, a row for each deadline that there ever was: a
/// clock that was ahead for a moment must not take out the others.
pub(crate) fn announce(tx: &Connection, deadline: Duration, at: Millis) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO deadline (ms, seen_at) VALUES (?1, ?2)
         ON CONFLICT (ms) DO UPDATE SET seen_at = max(seen_at, excluded.seen_at)",
    )?
    .execute([millis(deadline), at])?;
    Ok(())
}

/// How long after the beginning of a change the worker must wait before it tells HubSpot.
pub(crate) fn quiet_period(rows: &Connection, own: Duration, at: Millis) -> Result<Duration> {
    let longest: Option<i64> = rows
        .prepare_cached("SELECT max(ms) FROM deadline WHERE seen_at >= ?1")?
        .query_row([at - KEPT], |row| row.get(0))?;
    let longest = longest.and_then(|ms| u64::try_from(ms).ok()).map_or(own, Duration::from_millis);
    Ok(longest.max(own) + TRANSIT)
}

/// A deadline is at most an hour.
fn millis(deadline: Duration) -> i64 {
    i64::try_from(deadline.as_millis()).unwrap_or(i64::MAX)
}
