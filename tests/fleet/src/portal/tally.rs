//! What is counted.

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pages that were rendered.
    pub pages: u64,
    /// Of these, those that took a second statement, since their contact may be others' too.
    pub walked: u64,
    /// Of all, those that named an email.
    pub named: u64,
    /// Of these, those that named an email which HubSpot did not hold at some time at which they could: each of them
    /// makes a duplicate.
    pub wrong: u64,
    /// Wrong by what was done inside HubSpot and not heard yet.
    pub excused: u64,
    /// How often HubSpot was told of an email.
    pub told: u64,
    /// How often two contacts were merged.
    pub merged: u64,
    /// How many contacts were erased.
    pub erased: u64,
    /// What the first wrong page was.
    pub first: Option<String>,
}
