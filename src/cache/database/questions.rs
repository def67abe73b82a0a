//! What people and standing work ask of the tables, and a file that is copied into them.

use std::time::Duration;

use super::{Database, Errand};
use crate::cache::Vidcache;
use crate::cache::account::Explanation;
use crate::database::answer;
use crate::database::ask::{self, Depth, Names};
use crate::database::write;
use crate::email::Email;
use crate::error::{Error, Result};
use crate::event::{ChangeToken, Millis};
use crate::identity::{UserKey, Vid};
use crate::rows::facts::{Facts, Key};
use crate::rows::{self, StaleChange};

impl Database {
    /// Why a page says of the user what it says, as [`Vidcache::explain`](crate::Vidcache::explain) but without the
    /// last events, which a file alone keeps. To be asked, and read by [`Errand::read`].
    pub fn explain<'a>(&'a self, user: UserKey<'a>, email: Option<&'a Email>) -> Errand<'a, Explanation<'a>> {
        let names = Names { users: vec![Key::from(user)], ..Names::default() };
        self.errand(names, move |rows, _| Explanation::of(rows, user, email, &self.key))
    }

    /// All that the tables hold on the user, as [`Vidcache::export`](crate::Vidcache::export). To be asked, and read by
    /// [`Errand::read`].
    pub fn export<'a>(&'a self, user: UserKey<'a>) -> Errand<'a, String> {
        let names = Names { users: vec![Key::from(user)], ..Names::default() };
        self.errand(names, move |rows, _| Ok(rows::account(rows, user, self.key.mark(user))?.json()))
    }

    /// All users of a contact, as [`Vidcache::users_of`](crate::Vidcache::users_of). To be asked, and read by
    /// [`Errand::read`].
    pub fn users_of(&self, vid: Vid) -> Errand<'_, Vec<String>> {
        let names = Names { vids: vec![vid.get()], ..Names::default() };
        self.errand(names, move |rows, _| rows::users_of_contact(rows, vid))
    }

    /// Asks for the changes that were begun so long ago and are outstanding, oldest first.
    pub fn ask_stale_changes(&self, older_than: Duration, limit: u32) -> String {
        ask::outstanding(&self.tables, Millis::try_from(older_than.as_millis()).unwrap_or(Millis::MAX), limit)
    }

    /// The changes of an answer to [`Database::ask_stale_changes`].
    ///
    /// # Errors
    /// [`Error::Storage`] for an answer that is not believed.
    pub fn stale_changes(&self, answer: &str) -> Result<Vec<StaleChange>> {
        let answer = answer::read(answer, Depth::Work)?;
        answer.head.for_writing(&self.reader)?;
        let changes = answer.facts.changes.into_iter().filter_map(|(token, change)| {
            let (user, begun_at) = (change.user?.user().to_text(), change.begun_at?);
            Some(StaleChange { user, token: ChangeToken::try_from(token).ok()?, begun_at })
        });
        let mut changes: Vec<_> = changes.collect();
        changes.sort_by_key(|change| (change.begun_at, change.token.get()));
        Ok(changes)
    }

    /// The statements that join all that a file knows to the tables, to be run one by one, in any number of
    /// transactions and as often as one likes. Which emails HubSpot holds goes with it where the file has the same key,
    /// which it has if it was made under the secret that the tables were set up with; else everybody is to be read
    /// once. For a file of a million users that is some hundred MB at once.
    ///
    /// # Errors
    /// As [`Vidcache::resolve`]; [`Error::WrongPortal`].
    pub fn copy(&self, file: &Vidcache) -> Result<Vec<String>> {
        if file.portal != self.portal {
            return Err(Error::WrongPortal { found: file.portal(), expected: self.portal.get() });
        }
        let mut facts = file.store.read_at_once(Facts::of)?;
        if file.store.key().check() != self.key.check() {
            facts.without_emails();
        }
        Ok(write::difference(&self.tables, &Facts::default(), &facts))
    }
}
