//! What a page asks, and what it may say.

use std::time::Duration;

use super::told::Reply;
use super::{Database, Distrust, Look};
use crate::database::answer::{self, Answer};
use crate::database::ask::{self, Depth};
use crate::decision::{self, Decision};
use crate::email::Email;
use crate::identity::{UserKey, Vid};
use crate::rows;
use crate::rows::facts::Key;
use crate::snippet::Page;

impl Database {
    /// The clocks, to be read before a page's statement is sent.
    pub fn look(&self) -> Look {
        Look::now()
    }

    /// Asks for one user, for a page: one statement for all users, to be kept prepared where the client can, with
    /// [`Database::parameter`] as its one parameter, a text. Like every statement that asks it gives one row of one
    /// column, a text.
    ///
    /// Send it through the connection that *writes*, past every cache of answers that the app's client has.
    pub fn prepared(&self) -> &str {
        &self.flat
    }

    /// Whom [`Database::prepared`] asks for: hexadecimal digits.
    pub fn parameter(&self, user: UserKey<'_>) -> String {
        ask::parameter(&Key::from(user))
    }

    /// What [`Reply::More`] asks, to be kept prepared: the statement of all users, with the same parameter.
    pub fn prepared_walk(&self) -> &str {
        &self.walk
    }

    /// [`Database::prepared`] with the user in it, for a client or a pooler that keeps nothing prepared.
    pub fn ask(&self, user: UserKey<'_>) -> String {
        self.of(&self.flat, user)
    }

    fn of(&self, prepared: &str, user: UserKey<'_>) -> String {
        // Digits alone: there is nothing to quote.
        prepared.replace("$1", &format!("'{}'", self.parameter(user)))
    }

    /// What a page may say of the user, whose email the app believes to be `email`: the same as a file's
    /// [`Vidcache::page`](crate::Vidcache::page) of the same words, for as much of the page deadline as the age of the
    /// answer leaves. Never fails: what cannot be believed makes a page that says less.
    pub fn reply<'a>(&'a self, user: UserKey<'_>, email: Option<&'a Email>, answer: &str, look: Look) -> Reply<'a> {
        let stale = |id, why| Reply::Page(self.stale_page(look, id), Some(why));
        let answer = match answer::read(answer, Depth::Page) {
            Ok(answer) => answer,
            Err(why) => return stale(None, why),
        };
        let waited = look.waited();
        let left = match answer.head.for_page(&self.reader, waited) {
            // What was first linked is so still, however old the knowledge.
            Err(why @ Distrust::Old { .. }) => Err(why),
            Err(why) => return stale(None, why),
            Ok(left) => Ok(left.saturating_add(waited)),
        };
        if answer.more {
            return Reply::More(self.of(&self.walk, user));
        }
        let state = self.with(&answer, |rows| rows::user_state(rows, user));
        match (left, state) {
            (Ok(left), Ok(state)) => {
                let decision = decision::decide(&state, email, |email| self.key.fingerprint(email));
                // The page counts from the look on: what was waited since is no part of what is left.
                Reply::Page(Page::with_left(&self.template, look.at(), decision, left), None)
            }
            (Err(why), Ok(state)) => stale(state.identity.and_then(|identity| identity.external_id), why),
            (_, Err(error)) => stale(None, Distrust::Unreadable(error.to_string())),
        }
    }

    /// The page where nobody could be asked: no connection, a timeout, tables that are missing. It gives the id alone,
    /// if the app knows which one it gave before, or says nothing.
    pub fn stale_page(&self, look: Look, id: Option<Vid>) -> Page<'_> {
        Page::new(&self.template, look.at(), Decision::stale(id))
    }

    /// The page of [`Vidcache::anonymous_page`](crate::Vidcache::anonymous_page): there is nobody to ask for.
    pub fn anonymous_page(&self) -> Page<'_> {
        Page::new(&self.template, Look::now().at(), Decision::ANONYMOUS)
    }

    /// The page of [`Vidcache::signed_out_page`](crate::Vidcache::signed_out_page).
    pub fn signed_out_page(&self) -> Page<'_> {
        Page::signed_out(&self.template, Look::now().at())
    }

    /// Why an answer to any statement of this library is not believed, if it is not: for a check of the app's
    /// connection by a person.
    pub fn distrust(&self, answer: &str) -> Option<Distrust> {
        let read = answer::read(answer, Depth::Work).and_then(|Answer { head, .. }| {
            head.for_page(&self.reader, Duration::ZERO)?;
            head.for_writing(&self.reader)
        });
        read.err()
    }
}
