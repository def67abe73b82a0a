//! What standing work goes through: whose contact is to be read, whose change is stale, which conflicts there are, who
//! is linked. Each is asked for by one method and read by another.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Database;
use super::told::Part;
use crate::cache::words::CLOCKS_APART;
use crate::database::answer::{self, Answer};
use crate::database::ask::Depth;
use crate::database::lists;
use crate::error::Result;
use crate::event::{ChangeToken, Millis};
use crate::identity::{UserKey, Vid};
use crate::rows::facts::Key;
use crate::rows::{self, Conflict, StaleChange, UserToRead, Which};

impl Database {
    /// Asks for the changes that were begun so long ago and are outstanding, oldest first; after them those that were
    /// begun in the future, by the clock of a server that was the database's before.
    pub fn ask_stale_changes(&self, older_than: Duration, limit: u32) -> String {
        lists::outstanding(&self.tables, milliseconds(older_than), CLOCKS_APART, limit)
    }

    /// The changes of an answer to [`Database::ask_stale_changes`].
    ///
    /// # Errors
    /// Those of an answer that is not believed.
    pub fn stale_changes(&self, answer: &str) -> Result<Vec<StaleChange>> {
        let answer = self.believed(answer::read(answer, Depth::Work)?)?;
        let changes = answer.facts.changes.into_iter().filter_map(|(token, change)| {
            let (user, begun_at) = (change.user?.user().to_text(), change.begun_at?);
            Some(StaleChange { user, token: ChangeToken::try_from(token).ok()?, begun_at })
        });
        let mut changes: Vec<_> = changes.collect();
        changes.sort_by_key(|change| (change.begun_at, change.token.get()));
        Ok(changes)
    }

    /// Asks for linked users whose contacts a job is to read, as
    /// [`Vidcache::users_to_read`](crate::Vidcache::users_to_read), in the order of the ids that they were linked to,
    /// those after one. A pass looks at every link: some seconds a million.
    pub fn ask_users_to_read(&self, confirmed: bool, older_than: Duration, after: Option<Vid>, limit: u32) -> String {
        let after = after.map_or(0, Vid::get);
        lists::to_read(&self.tables, which(confirmed), milliseconds(older_than), after, limit)
    }

    /// The users of an answer to [`Database::ask_users_to_read`] of the same `confirmed` and `older_than`, at most its
    /// limit.
    ///
    /// # Errors
    /// Those of an answer that is not believed.
    pub fn users_to_read(&self, confirmed: bool, older_than: Duration, answer: &str) -> Result<Part<UserToRead, Vid>> {
        let answer = self.believed(answer::read(answer, Depth::Work)?)?;
        let before = answer.head.clock.saturating_sub(milliseconds(older_than));
        let items = self.with(&answer, |rows| {
            let living = answer.found.iter().filter_map(|vid| Vid::new(*vid)).map(|vid| rows::canonical(rows, vid));
            let living = living.collect::<Result<BTreeSet<_>>>()?;
            let mut users = rows::users_to_read(rows, which(confirmed), before, None, u32::MAX)?;
            users.retain(|user| living.contains(&user.vid));
            Ok(users)
        })?;
        Ok(Part { items, next: answer.last.and_then(Vid::new) })
    }

    /// Asks for users whose contact is in question, as [`Vidcache::conflicts`](crate::Vidcache::conflicts), in an order
    /// of their keys, those after one.
    pub fn ask_conflicts(&self, after: Option<UserKey<'_>>, limit: u32) -> String {
        lists::conflicts(&self.tables, after.map(Key::from).as_ref(), limit)
    }

    /// The conflicts of an answer to [`Database::ask_conflicts`], at most its limit.
    ///
    /// # Errors
    /// Those of an answer that is not believed.
    pub fn conflicts(&self, answer: &str) -> Result<Part<Conflict, String>> {
        let answer = self.believed(answer::read(answer, Depth::Work)?)?;
        let all = self.with(&answer, |rows| rows::conflicts(rows, None, u32::MAX))?;
        Ok(of_users(&answer, all, |conflict| &conflict.user))
    }

    /// Asks for the users who are linked, as [`Vidcache::linked_users`](crate::Vidcache::linked_users), in an order of
    /// their keys, those after one.
    pub fn ask_linked_users(&self, after: Option<UserKey<'_>>, limit: u32) -> String {
        lists::linked(&self.tables, after.map(Key::from).as_ref(), limit)
    }

    /// The users of an answer to [`Database::ask_linked_users`], at most its limit, and their contacts.
    ///
    /// # Errors
    /// Those of an answer that is not believed.
    pub fn linked_users(&self, answer: &str) -> Result<Part<(String, Vid), String>> {
        let answer = self.believed(answer::read(answer, Depth::Work)?)?;
        let all = self.with(&answer, |rows| rows::linked_users(rows, None, u32::MAX))?;
        Ok(of_users(&answer, all, |(user, _)| user))
    }
}

/// The items of the users that a list has found, in its order: others hang together with them.
fn of_users<T>(answer: &Answer, all: Vec<T>, user: impl Fn(&T) -> &str) -> Part<T, String> {
    let found: Vec<String> = answer.whose.iter().map(|key| key.user().to_text()).collect();
    let place = |item: &T| found.iter().position(|one| one == user(item));
    let mut items: Vec<_> = all.into_iter().filter_map(|item| Some((place(&item)?, item))).collect();
    items.sort_by_key(|(place, _)| *place);
    let next = answer.last.and(found.last().cloned());
    Part { items: items.into_iter().map(|(_, item)| item).collect(), next }
}

const fn which(confirmed: bool) -> Which {
    if confirmed { Which::Confirmed } else { Which::Unconfirmed }
}

fn milliseconds(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}
