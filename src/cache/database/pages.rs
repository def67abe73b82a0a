//! What a page asks, and what it may say.

use std::time::Duration;

use super::told::{Recalled, Reply};
use super::watch::{Known, Told};
use super::{Database, Distrust, Look, look};
use crate::database::answer::{self, Answer};
use crate::database::ask::{self, Depth};
use crate::database::named::Named;
use crate::database::watch::{self, Looked, Since, Snapshot};
use crate::decision::{self, Decision, UserState};
use crate::email::Email;
use crate::identity::{UserKey, Vid};
use crate::rows;
use crate::rows::facts::Key;
use crate::snippet::Page;

impl Database {
    /// The clocks, to be read before a page's statement is sent.
    pub fn look(&self) -> Look {
        Look::of_parts(self.clocks.map_or_else(look::clocks, |clocks| clocks()))
    }

    /// A page from memory, where answers are kept ([`Database::watching`]) and the user's is new enough: no statement
    /// is sent then. Else what the database is to be asked with, by whoever calls, at once: as a page needs it, and now
    /// and then, no oftener than twice in `max_age`, for what others have written meanwhile. `look` is from just
    /// before.
    pub fn recall<'a>(&'a self, user: UserKey<'_>, email: Option<&'a Email>, look: Look) -> Recalled<'a> {
        match &self.watch {
            None => Recalled::Ask(String::new()),
            Some(watch) => match watch.recall(user, look) {
                Known::State(state, age) => Recalled::Page(self.kept_page(&state, email, age, look)),
                Known::Ask => Recalled::Ask(watch.since(user, look).text()),
            },
        }
    }

    /// The page of [`Database::recall`] as long as nobody has to look, for a binding that would rather know that before
    /// it makes anything else ready. `None`: go on with [`Database::recall`].
    pub fn recall_new<'a>(&'a self, user: UserKey<'_>, email: Option<&'a Email>) -> Option<Page<'a>> {
        let watch = self.watch.as_ref()?;
        let look = self.look();
        let (state, age) = watch.recall_new(user, look)?;
        Some(self.kept_page(&state, email, age, look))
    }

    /// The decision of [`Database::recall_new`]'s page, for who shows none.
    pub fn recall_decision<'a>(&self, user: UserKey<'_>, email: Option<&'a Email>) -> Option<Decision<'a>> {
        let watch = self.watch.as_ref()?;
        // It says no time, so the clock of the day is not read.
        let since_boot = self.clocks.map_or_else(look::since_boot, |clocks| clocks().1);
        let (state, _) = watch.recall_new(user, Look::of_parts((0, since_boot)))?;
        Some(decision::decide(&state, email, |email| self.key.fingerprint(email)))
    }

    /// A page by what was known so long before the look.
    fn kept_page<'a>(&'a self, state: &UserState, email: Option<&'a Email>, age: Duration, look: Look) -> Page<'a> {
        let decision = decision::decide(state, email, |email| self.key.fingerprint(email));
        Page::with_left(&self.template, look.at(), decision, self.reader.deadline.saturating_sub(age))
    }

    /// The page where nobody answered, of a user whose email the app believes to be `email`: by what is in memory, as
    /// long as it may be believed, or the id alone; without memory it is [`Database::stale_page`].
    pub fn unanswered<'a>(&'a self, user: UserKey<'_>, email: Option<&'a Email>) -> Page<'a> {
        let look = self.look();
        let known = self.watch.as_ref().and_then(|watch| Some((watch, watch.remember(user, look)?)));
        match known {
            Some((watch, (state, age))) if watch.is_believed(age) => self.kept_page(&state, email, age, look),
            // What was first linked is so still, but for who is forgotten.
            Some((_, (state, age))) if age <= self.reader.deadline => {
                self.stale_page(look, state.identity.and_then(|identity| identity.external_id))
            }
            _ => self.stale_page(look, None),
        }
    }

    /// Asks for one user, for a page: one statement for all users, to be kept prepared where the client can, with
    /// [`Database::parameter`] as its one parameter, a text; where answers are kept, with that of [`Recalled::Ask`] as
    /// the second one. Like every statement that asks it gives one row of one column, a text.
    ///
    /// Send it through the connection that *writes*, past every cache of answers that the app's client has.
    pub fn prepared(&self) -> &str {
        &self.flat
    }

    /// Where answers are kept, what a page asks that looks for what was written meanwhile, with the same parameters.
    pub fn prepared_look(&self) -> Option<&str> {
        self.look.as_deref()
    }

    /// Which of both is meant by that second parameter.
    pub fn prepared_for(&self, since: &str) -> &str {
        self.look.as_deref().filter(|_| since.contains('/')).unwrap_or(&self.flat)
    }

    /// Whom [`Database::prepared`] asks for: hexadecimal digits.
    pub fn parameter(&self, user: UserKey<'_>) -> String {
        ask::parameter(&Key::from(user))
    }

    /// What [`Reply::More`] asks, to be kept prepared: the statement of all users, with the same parameters.
    pub fn prepared_walk(&self) -> &str {
        &self.walk
    }

    /// [`Database::prepared`] with the user in it, for a client or a pooler that keeps nothing prepared.
    pub fn ask(&self, user: UserKey<'_>) -> String {
        self.ask_since(user, "")
    }

    /// [`Database::ask`] with the second parameter in it, too; an empty one asks for no names.
    pub fn ask_since(&self, user: UserKey<'_>, since: &str) -> String {
        self.of(self.prepared_for(since), user, since)
    }

    fn of(&self, prepared: &str, user: UserKey<'_>, since: &str) -> String {
        // Digits and what is between them: there is nothing to quote.
        let is_plain = since.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'/' | b':' | b','));
        let since = if is_plain && !since.is_empty() { since } else { "0" };
        prepared.replace("$1", &format!("'{}'", self.parameter(user))).replace("$2", &format!("'{since}'"))
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
        let waited = look.waited(self.look());
        let left = match answer.head.for_page(&self.reader, waited) {
            // What was first linked is so still, however old the knowledge.
            Err(why @ Distrust::Old { .. }) => Err(why),
            Err(why) => {
                if let Some(watch) = &self.watch {
                    watch.forget();
                }
                return stale(None, why);
            }
            Ok(left) => Ok(left.saturating_add(waited)),
        };
        if left.is_ok() {
            self.heard_of(&answer.head);
        }
        let kept = self.watch.as_ref().zip(answer.sight.as_ref()).filter(|_| left.is_ok());
        if answer.more || answer.look.is_some() {
            let is_new = kept.is_some_and(|(watch, sight)| watch.keep(&answer.head, sight, None, look));
            // Who was looked for is in memory, unless something was written of them.
            let looked_for = is_new && answer.look == Some(Key::from(user));
            let known = self.watch.as_ref().filter(|_| looked_for).and_then(|watch| watch.remember(user, look));
            if let Some((state, age)) = known {
                return Reply::Page(self.kept_page(&state, email, age, look), None);
            }
            let since = answer.sight.as_ref().map_or(String::new(), |sight| sight.since.text());
            return Reply::More(self.of(&self.walk, user, &since));
        }
        let state = self.with(&answer, |rows| rows::user_state(rows, user));
        if let Some((watch, sight)) = kept {
            let named = Named::of_answer(Key::from(user), &answer.facts);
            let told = state.as_ref().ok().map(|state| Told { user, state, named });
            watch.keep(&answer.head, sight, told, look);
        }
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
        Page::new(&self.template, self.look().at(), Decision::ANONYMOUS)
    }

    /// The page of [`Vidcache::signed_out_page`](crate::Vidcache::signed_out_page).
    pub fn signed_out_page(&self) -> Page<'_> {
        Page::signed_out(&self.template, self.look().at())
    }

    /// Asks for nobody, by what is asked for besides where answers are kept, or written for those who keep them: for a
    /// check of the tables and of the app's connection.
    pub fn probe(&self) -> String {
        match self.watch {
            None => watch::probe(&self.tables),
            Some(_) => {
                let never = Since { life: 0, look: Some(Looked { snapshot: Snapshot::NEVER, clock: 0 }) };
                self.ask_since(UserKey::from(0), &never.text())
            }
        }
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
