//! What people and standing work ask of the tables, and a file that is copied into them.

use super::{Database, Errand};
use crate::cache::Vidcache;
use crate::cache::account::{self, Explanation};
use crate::cache::words::CLOCKS_APART;
use crate::database::ask::Names;
use crate::database::{statements, write};
use crate::email::Email;
use crate::error::{Error, Result};
use crate::identity::{Identity, UserKey, Vid};
use crate::refusal::Refusal;
use crate::rows;
use crate::rows::facts::{Facts, Key};

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

    /// Which contact the user is, as [`Vidcache::resolve`](crate::Vidcache::resolve). To be asked, and read by
    /// [`Errand::read`].
    pub fn resolve<'a>(&'a self, user: UserKey<'a>) -> Errand<'a, Option<Identity>> {
        let names = Names { users: vec![Key::from(user)], ..Names::default() };
        self.errand(names, move |rows, _| Ok(rows::user_state(rows, user)?.identity))
    }

    /// [`Database::resolve`] for many users, in their order: some thousand at a time. To be asked, and read by
    /// [`Errand::read`].
    pub fn resolve_many<'a>(&'a self, users: &[UserKey<'a>]) -> Errand<'a, Vec<Option<Identity>>> {
        let names = Names { users: users.iter().map(|user| Key::from(*user)).collect(), ..Names::default() };
        let users = users.to_vec();
        self.errand(names, move |rows, _| rows::identities(rows, &users))
    }

    /// Why HubSpot refused the user's email for good, as [`Vidcache::refusal`](crate::Vidcache::refusal). To be asked,
    /// and read by [`Errand::read`].
    pub fn refusal<'a>(&'a self, user: UserKey<'a>) -> Errand<'a, Option<Refusal>> {
        let names = Names { users: vec![Key::from(user)], ..Names::default() };
        self.errand(names, move |rows, _| account::refusal(rows, user, &self.key))
    }

    /// Whether anything is known of the user that a page or a worker depends on: a contact, a change that is
    /// outstanding, a refusal, an erasure. To be asked, and read by [`Errand::read`].
    pub fn knows<'a>(&'a self, user: UserKey<'a>) -> Errand<'a, bool> {
        let names = Names { users: vec![Key::from(user)], ..Names::default() };
        self.errand(names, move |rows, _| {
            let state = rows::user_state(rows, user)?;
            let known = state.identity.is_some() || state.changing;
            Ok(known || account::refusal(rows, user, &self.key)?.is_some())
        })
    }

    /// The statements that join all that a file knows to the tables, to be run one by one, in any number of
    /// transactions and as often as one likes, after [`Database::set_up`]: tables with rows cannot be set up any more.
    /// Which emails HubSpot holds goes with it where the file has the same key, which it has if it was made under the
    /// secret that the tables were set up with; else everybody is to be read once. For a file of a million users that
    /// is some hundred MB at once.
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
        Ok(write::copy(&self.tables, &facts))
    }

    /// Doubts all that HubSpot has said of every contact: for a database that was put back, before anything asks it. It
    /// is a row's word, and nothing where the tables are not set up.
    pub fn doubt_all(&self) -> String {
        statements::doubt(&self.tables, CLOCKS_APART)
    }

    /// What somebody has to run now and then, outside of any transaction of the app's, each statement by itself: takes
    /// out some changes that ended long ago and leases that are over, and writes this process's page deadline down
    /// anew, which counts for 30 days.
    pub fn upkeep(&self) -> Vec<String> {
        let mut all = statements::prune(&self.tables);
        all.push(self.announce());
        all
    }
}
