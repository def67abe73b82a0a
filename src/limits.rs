//! Bounds, in one table: what is longer, or more, cannot be right.

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
