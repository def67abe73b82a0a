//! Bounds, in one table: what is longer, or more, cannot be right.

use std::ops::RangeInclusive;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// How long a call may wait for other processes' writes.
pub(crate) const BUSY_TIMEOUT: RangeInclusive<Duration> = Duration::ZERO..=HOUR;

/// How long the beginning of a change may wait at most, whatever the busy timeout: a visitor may be waiting for the
/// save that it is a part of, and with them a thread of the server and a transaction of the app's database. A
/// transaction of an import, of 100,000 rows, was measured to take 0.3 s with sorted integers and 1.6 s with random
/// UUIDs among ten million (docs/benchmarks).
pub(crate) const PATIENCE_OF_A_SAVE: Duration = Duration::from_secs(2);

/// How long after it was rendered a page may name an email.
pub(crate) const PAGE_DEADLINE: RangeInclusive<Duration> = Duration::from_millis(100)..=HOUR;

/// The longest text key of a user, in bytes.
pub(crate) const MAX_USER_KEY: usize = 255;

/// The longest email, in bytes after normalising: RFC 5321's bound. HubSpot documents none.
pub(crate) const MAX_EMAIL: usize = 254;

/// The shortest secret, in bytes.
pub(crate) const MIN_SECRET: usize = 16;

/// The most contacts, or errors, of one answer: batches have 100 and a page of a search 200.
pub(crate) const MAX_RESULTS: usize = 1000;

/// The most ids that one list of an answer may have: HubSpot merges at most 250 contacts into one.
pub(crate) const MAX_IDS: usize = 10_000;

/// The longest body of HubSpot's that is read, in bytes. A hundred contacts with all of their properties are a few
/// megabytes.
pub(crate) const MAX_BODY: usize = 16 << 20;

/// The most secondary emails of a contact: each of the 250 contacts that may be merged into it can bring some.
pub(crate) const MAX_EMAILS: usize = 500;

/// The most events of a webhook's batch. HubSpot sends 100 at most; a batch that is larger than this is not HubSpot's.
pub(crate) const MAX_EVENTS: usize = 1000;

/// The most contacts that an event of a merge names. HubSpot merges at most 250 into one, two at a time.
pub(crate) const MAX_MERGED: usize = 1000;
