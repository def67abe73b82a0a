//! Which names an answer that is kept goes by, where the table does not say it itself.
//!
//! Nearly every answer is of one user and the one contact that their entry of the table names. What hangs together with
//! more is here: all users and contacts of one component, so that whichever of them is named, the answers of all its
//! users go.

use std::collections::HashMap;

use crate::database::named::Named;
use crate::rows::facts::Key;

/// A user or a contact.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Name {
    User(Key),
    Contact(i64),
}

impl Name {
    fn all(named: &Named) -> impl Iterator<Item = Self> + '_ {
        let users = named.users.iter().cloned().map(Self::User);
        users.chain(named.contacts.iter().copied().map(Self::Contact))
    }

    fn user(self) -> Option<Key> {
        match self {
            Self::User(user) => Some(user),
            Self::Contact(_) => None,
        }
    }
}

/// Components by each name in them. No name is in two: what shares one is taken for one component, also where it is one
/// no more; so a user may go for nothing, and never stays.
#[derive(Debug, Default)]
pub(super) struct Components {
    by_name: HashMap<Name, u64>,
    all: HashMap<u64, Vec<Name>>,
    last: u64,
}

impl Components {
    /// Puts a component in.
    pub(super) fn put(&mut self, named: &Named) {
        self.last += 1;
        let mut whole = Vec::new();
        for name in Name::all(named) {
            match self.by_name.insert(name.clone(), self.last) {
                None => whole.push(name),
                Some(of) if of == self.last => {}
                Some(other) => whole.extend(self.all.remove(&other).into_iter().flatten()),
            }
        }
        self.by_name.extend(whole.iter().map(|name| (name.clone(), self.last)));
        self.all.insert(self.last, whole);
    }

    /// Takes the components out of whom something was written, and gives their users.
    pub(super) fn take(&mut self, named: &Named) -> Vec<Key> {
        let mut gone = Vec::new();
        for name in Name::all(named) {
            let whole = self.by_name.get(&name).and_then(|of| self.all.remove(of));
            for name in whole.into_iter().flatten() {
                self.by_name.remove(&name);
                gone.extend(name.user());
            }
        }
        gone
    }

    /// Takes all out, and gives their users.
    pub(super) fn take_all(&mut self) -> Vec<Key> {
        std::mem::take(self).by_name.into_keys().filter_map(Name::user).collect()
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        // A name in the table and one in the list, each with a key that is somewhere else.
        const EACH: usize = 2 * (size_of::<Name>() + 32) + size_of::<u64>();
        self.by_name.len() * EACH
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::UserKey;

    fn named(users: &[i64], contacts: &[i64]) -> Named {
        Named {
            users: users.iter().map(|id| Key::from(UserKey::from(*id))).collect(),
            contacts: contacts.iter().copied().collect(),
        }
    }

    fn taken(all: &mut Components, users: &[i64], contacts: &[i64]) -> Vec<String> {
        let mut gone: Vec<_> = all.take(&named(users, contacts)).iter().map(|key| key.user().to_text()).collect();
        gone.sort();
        gone
    }

    #[test]
    fn whoever_is_named_takes_all_users_of_the_component_with_them() {
        let mut all = Components::default();
        all.put(&named(&[1, 2], &[7]));
        all.put(&named(&[3], &[8, 9]));
        assert_eq!(taken(&mut all, &[], &[6]), [""; 0]);
        assert_eq!(taken(&mut all, &[2], &[]), ["1", "2"]);
        assert_eq!(taken(&mut all, &[1, 2], &[7]), [""; 0], "once");
        assert_eq!(taken(&mut all, &[], &[9, 8]), ["3"]);
        assert_eq!(all.bytes(), 0);
    }

    #[test]
    fn what_shares_a_name_is_one_component_from_then_on() {
        let mut all = Components::default();
        all.put(&named(&[1], &[7, 8]));
        all.put(&named(&[2], &[9, 10]));
        all.put(&named(&[1], &[7, 8]));
        all.put(&named(&[3], &[8, 9, 11]));
        assert_eq!(taken(&mut all, &[], &[10]), ["1", "2", "3"]);
        assert_eq!((all.bytes(), all.take_all().len()), (0, 0));
        all.put(&named(&[1, 4], &[7]));
        assert_eq!(all.take_all().len(), 2);
        assert_eq!(taken(&mut all, &[1], &[7]), [""; 0]);
    }
}
