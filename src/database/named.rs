//! Whom facts are of: the users and contacts by whose names whoever keeps answers hears of what was written.
//!
//! An answer about a user is made of the facts of one component ([`ask`](super::ask)). Each fact is *at* some users and
//! contacts: a link at both its ends, a merge at both ids, what was said at its contact, a change at its user. Whoever
//! writes a fact, or takes one out, names all that it is at; whoever keeps an answer keeps with it the names of the
//! component. If none of those is named, then no fact at any of them is another one than it was: they hang together
//! with nobody else now, and the answer is still the same. It takes no look at who hangs together with whom when
//! something is written, so it does not matter who else writes at that time, nor in which order it is committed.

use std::collections::{BTreeMap, BTreeSet};

use super::ask::bytes;
use super::head::{Distrust, key, unreadable};
use crate::rows::facts::{Facts, Key};

/// The most names that are written one by one.
const WRITTEN: usize = 100;

/// Users and contacts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) users: BTreeSet<Key>,
    pub(crate) contacts: BTreeSet<i64>,
}

impl Named {
    /// All that the facts of a user's answer are at, and the user: the component.
    pub(crate) fn of_answer(user: Key, facts: &Facts) -> Self {
        let mut all = Self::default();
        all.users.insert(user);
        for (user, vid) in facts.links.keys() {
            all.link(user, *vid);
        }
        for ids in facts.merges.keys() {
            all.merge(*ids);
        }
        all.contacts.extend(facts.contacts.keys());
        all.users.extend(facts.changes.values().filter_map(|change| change.user.clone()));
        all
    }

    /// Whom a look's text names: of each row the user in hexadecimal, a slash, and the contact, with commas between. Of
    /// neither, or of more rows than `most`, which are cut off there: everybody, which is none.
    pub(super) fn read(text: &str, most: usize) -> Result<Option<Self>, Distrust> {
        let mut all = Self::default();
        for (at, row) in text.split(',').filter(|_| !text.is_empty()).enumerate() {
            let none = || unreadable("the names of a look are none");
            let (user, contact) = row.split_once('/').ok_or_else(none)?;
            if at == most || (user.is_empty() && contact.is_empty()) {
                return Ok(None);
            }
            if !user.is_empty() {
                all.users.insert(key(user)?);
            }
            if !contact.is_empty() {
                all.contacts.insert(contact.parse().map_err(|_| none())?);
            }
        }
        Ok(Some(all))
    }

    fn link(&mut self, user: &Key, vid: i64) {
        self.users.insert(user.clone());
        self.contacts.insert(vid);
    }

    fn merge(&mut self, (old, into): (i64, i64)) {
        self.contacts.extend([old, into]);
    }

    /// In literals, two to a row: a user, a contact. A row has room for one of each, and says nothing of whether they
    /// belong together.
    pub(super) fn rows(&self) -> Vec<(Option<String>, Option<i64>)> {
        let users = self.users.iter().map(|user| bytes(user.tagged()));
        let (mut users, mut contacts) = (users, self.contacts.iter().copied());
        std::iter::from_fn(|| match (users.next(), contacts.next()) {
            (None, None) => None,
            both => Some(both),
        })
        .collect()
    }
}

/// Whom the facts that are new, other or there no more are of; none: everybody.
///
/// Whoever buries an email takes it from contacts that it has never asked for, so that is everybody's.
pub(crate) fn touched(before: &Facts, after: &Facts) -> Option<Named> {
    let mut all = Named::default();
    for (user, vid) in other(&before.links, &after.links) {
        all.link(user, *vid);
    }
    for ids in other(&before.merges, &after.merges) {
        all.merge(*ids);
    }
    all.contacts.extend(other(&before.contacts, &after.contacts));
    for token in other(&before.changes, &after.changes) {
        let whose = [before, after].into_iter().filter_map(|facts| facts.changes.get(token)?.user.clone());
        all.users.extend(whose);
    }
    let is_few = all.users.len() + all.contacts.len() <= WRITTEN;
    (is_few && before.erased == after.erased && before.buried == after.buried).then_some(all)
}

/// The changes that are new or other, of which the rows say whose they are by then.
pub(crate) fn changed(before: &Facts, after: &Facts) -> Vec<i64> {
    news(&before.changes, &after.changes).0.into_iter().map(|(token, _)| *token).collect()
}

/// The keys of what is new, other or there no more.
fn other<'m, K: Ord, V: PartialEq>(before: &'m BTreeMap<K, V>, after: &'m BTreeMap<K, V>) -> Vec<&'m K> {
    let (new, gone) = news(before, after);
    new.into_iter().map(|(key, _)| key).chain(gone).collect()
}

/// What is new or another in `after`, and the keys of what is there no more.
pub(super) fn news<'m, K: Ord, V: PartialEq>(
    before: &'m BTreeMap<K, V>,
    after: &'m BTreeMap<K, V>,
) -> (Vec<(&'m K, &'m V)>, Vec<&'m K>) {
    let new = after.iter().filter(|(key, value)| before.get(key) != Some(value)).collect();
    let gone = before.keys().filter(|key| !after.contains_key(key)).collect();
    (new, gone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::UserKey;

    #[test]
    fn names_are_read_as_a_look_writes_them_and_nothing_else_is() {
        let named = |users: &[i64], contacts: &[i64]| Named {
            users: users.iter().map(|id| Key::from(UserKey::from(*id))).collect(),
            contacts: contacts.iter().copied().collect(),
        };
        let read = |text: &str| Named::read(text, 3);
        assert_eq!(read(""), Ok(Some(Named::default())));
        let three = "010000000000000001/,/7,010000000000000002/-8";
        assert_eq!(read(three), Ok(Some(named(&[1, 2], &[7, -8]))));
        for everybody in ["/", "/7,/", &format!("{three},/9")] {
            assert_eq!(read(everybody), Ok(None), "{everybody}");
        }
        for text in ["7", ",", "x/", "01/", "/x", "7/7", "/7/", "/7,", "/9223372036854775808"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_row_has_a_user_and_a_contact() {
        let named = Named { users: BTreeSet::from([Key::from(UserKey::from(1i64))]), contacts: BTreeSet::from([7, 8]) };
        let rows = named.rows();
        assert_eq!(
            rows.iter().map(|(user, vid)| (user.is_some(), *vid)).collect::<Vec<_>>(),
            [(true, Some(7)), (false, Some(8))]
        );
    }
}
