//! What standing work goes through: whose contact is to be read, whose change is stale, which conflicts there are.

use std::time::Duration;

use super::Database;
use crate::database::answer;
use crate::database::ask::{self, Depth};
use crate::error::Result;
use crate::event::{ChangeToken, Millis};
use crate::rows::StaleChange;

impl Database {
    /// Asks for the changes that were begun so long ago and are outstanding, oldest first.
    pub fn ask_stale_changes(&self, older_than: Duration, limit: u32) -> String {
        ask::outstanding(&self.tables, Millis::try_from(older_than.as_millis()).unwrap_or(Millis::MAX), limit)
    }

    /// The changes of an answer to [`Database::ask_stale_changes`].
    ///
    /// # Errors
    /// [`Error::Storage`] for an answer that is not believed.
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
}
