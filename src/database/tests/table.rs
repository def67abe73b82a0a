//! What the statements do, in Rust: the joins of `write`, the walk and the flat question of `ask`.

use std::collections::{BTreeMap, BTreeSet};

use crate::database::whose::{Whose, raise, raised};
use crate::rows::facts::{Change, Dispute, Facts, Key, Linked, Merge};

/// Facts of two hosts, joined as the tables join them.
pub(crate) fn join(all: &mut Facts, more: &Facts) {
    for (name, link) in &more.links {
        let known = all.links.entry(name.clone()).or_insert(*link);
        *known = Linked { first_at: known.first_at.min(link.first_at), last_at: known.last_at.max(link.last_at) };
    }
    for (vid, said) in &more.contacts {
        let known = all.contacts.entry(*vid).or_insert(*said);
        *known = known.join(*said);
    }
    for (ids, merge) in &more.merges {
        let known = all.merges.entry(*ids).or_insert(*merge);
        *known = Merge {
            at: known.at.max(merge.at),
            born: known.born || merge.born,
            heard_at: known.heard_at.min(merge.heard_at),
        };
    }
    for (name, at) in &more.secondaries {
        let known = all.secondaries.entry(*name).or_insert(*at);
        *known = (*known).max(*at);
    }
    for (token, change) in &more.changes {
        let known = all.changes.entry(*token).or_insert_with(|| change.clone());
        if known.user.is_some() {
            let first = |a: Option<i64>, b: Option<i64>| a.into_iter().chain(b).min();
            let refused = match first(known.ended_at, change.ended_at) {
                end if known.ended_at == change.ended_at => known.refused.max(change.refused).filter(|_| end.is_some()),
                end if end == change.ended_at => change.refused,
                _ => known.refused,
            };
            *known = Change {
                user: known.user.clone(),
                begun_at: first(known.begun_at, change.begun_at),
                ended_at: first(known.ended_at, change.ended_at),
                refused,
            };
        }
    }
    for (user, dispute) in &more.disputes {
        let known = all.disputes.entry(user.clone()).or_insert(*dispute);
        let last = |of: &Dispute| of.last_at.map(|at| (at, of.holder.unwrap_or(0), of.why, of.since.map(|at| -at)));
        let newest = if last(dispute) > last(known) { *dispute } else { *known };
        *known = Dispute { ended_at: known.ended_at.max(dispute.ended_at), ..newest };
    }
    all.erased.extend(&more.erased);
    all.buried.extend(&more.buried);
    all.marks.extend(&more.marks);
}

/// Along what a component is walked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Along {
    /// What `ask::walk` walks.
    All,
    /// Not from a merged id to the one that lives, nor back.
    LinksOnly,
    /// Not from a contact to its other users.
    OwnLinksAndMerges,
}

/// The facts of a user's component, for a page.
pub(crate) fn walk(facts: &Facts, user: &Key, along: Along) -> Facts {
    let (mut users, mut vids) = (BTreeSet::from([user.clone()]), BTreeSet::new());
    loop {
        let before = (users.len(), vids.len());
        for (other, vid) in facts.links.keys() {
            if users.contains(other) || (vids.contains(vid) && along != Along::OwnLinksAndMerges) {
                users.insert(other.clone());
                vids.insert(*vid);
            }
        }
        for (old, into) in facts.merges.keys() {
            if along != Along::LinksOnly && (vids.contains(old) || vids.contains(into)) {
                vids.extend([*old, *into]);
            }
        }
        if before == (users.len(), vids.len()) {
            break;
        }
    }
    part(facts, &users, &vids)
}

/// The column `whose` of every contact.
pub(crate) type Column = BTreeMap<i64, Whose>;

/// Raises the column as a host does that writes what is new in `after`.
pub(crate) fn raise_all(column: &mut Column, before: &Facts, after: &Facts) {
    for (vid, whose) in raised(before, after) {
        raise(column, vid, whose);
    }
    for gone in before.contacts.keys().filter(|vid| !after.contacts.contains_key(vid)) {
        raise(column, *gone, Whose::Several);
    }
}

/// The answer to `ask::flat`, and whether there is more.
pub(crate) fn flat(facts: &Facts, column: &Column, user: &Key) -> (Facts, bool) {
    let vids: BTreeSet<i64> = facts.links.keys().filter(|(of, _)| of == user).map(|(_, vid)| *vid).collect();
    let whose = Whose::One(user.clone());
    let more = vids.len() > 1 || vids.iter().any(|vid| column.get(vid) != Some(&whose));
    let mut part = part(facts, &BTreeSet::from([user.clone()]), &vids);
    // It asks for none of these.
    (part.merges, part.erased, part.buried) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    (part, more)
}

/// What an answer for a page has of some users and contacts.
fn part(facts: &Facts, users: &BTreeSet<Key>, vids: &BTreeSet<i64>) -> Facts {
    let mut part = facts.clone();
    part.links.retain(|(user, _), _| users.contains(user));
    part.contacts.retain(|vid, _| vids.contains(vid));
    part.merges.retain(|(old, _), _| vids.contains(old));
    part.secondaries.clear();
    part.changes
        .retain(|_, change| change.ended_at.is_none() && change.user.as_ref().is_some_and(|u| users.contains(u)));
    part.disputes.clear();
    part.erased.retain(|vid| vids.contains(vid));
    part
}
