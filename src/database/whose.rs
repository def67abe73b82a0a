//! Whose a contact is, in a column of its row, so that a page asks of one row where it would have to look into five
//! tables: whether the user's contact was ever another one's too, or merged, or erased. docs/adr/0022.
//!
//! It is joined to the row by the same transaction that writes the link, the merge or the erasure, and never lowered.
//! So whatever a statement sees in one snapshot, nothing is in the other tables of which the column does not know; that
//! it knows of more than there is only makes a page ask for the whole component.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::rows::facts::{Facts, Key};
use crate::rows::filled;

/// Whose a contact is, as far as its row says. No row, or a null, says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whose {
    /// One user was linked to it, and nobody else ever; it was never merged nor erased.
    One(Key),
    /// Anything else.
    Several,
}

impl Whose {
    /// The greater of both.
    pub(crate) fn join(self, other: Self) -> Self {
        if self == other { self } else { Self::Several }
    }

    /// What stands in the column: the user's key, or no byte, which is nobody's key.
    pub(crate) fn column(&self) -> &[u8] {
        match self {
            Self::One(user) => user.tagged(),
            Self::Several => &[],
        }
    }
}

/// What is to be joined to the column of each contact, for facts that were `before` and are `after`. Of a link that was
/// there before the row should know; but where somebody comes to a contact, all that is known of it counts, so that a
/// row that was never told anything, though others are linked to its contact, does not become the last one's.
pub(crate) fn raised(before: &Facts, after: &Facts) -> BTreeMap<i64, Whose> {
    let mut all = BTreeMap::new();
    let linked = after.links.keys().filter(|name| !before.links.contains_key(name)).map(|(_, vid)| *vid);
    let linked: BTreeSet<i64> = filled(linked);
    for (user, vid) in after.links.keys().filter(|(_, vid)| linked.contains(vid)) {
        raise(&mut all, *vid, Whose::One(user.clone()));
    }
    for ids @ (old, into) in after.merges.keys() {
        let is_new = !before.merges.contains_key(ids);
        for vid in [old, into].into_iter().filter(|vid| is_new || linked.contains(vid)) {
            raise(&mut all, *vid, Whose::Several);
        }
    }
    for vid in after.erased.iter().filter(|vid| !before.erased.contains(vid) || linked.contains(vid)) {
        raise(&mut all, *vid, Whose::Several);
    }
    all
}

/// Joins to what is known of a contact.
pub(crate) fn raise(all: &mut BTreeMap<i64, Whose>, vid: i64, whose: Whose) {
    match all.entry(vid) {
        Entry::Vacant(entry) => drop(entry.insert(whose)),
        Entry::Occupied(mut entry) => {
            let known = entry.get().clone();
            entry.insert(known.join(whose));
        }
    }
}
