//! What comes in from HubSpot and from the app.

use super::{Database, Errand};
use crate::cache::intake::ImportReport;
use crate::cache::now;
use crate::cache::words::{Imported, Observed, Recorded, Told, WebhookReport};
use crate::database::answer::Answer;
use crate::database::ask::Names;
use crate::database::statements;
use crate::error::{Error, Result};
use crate::event::{ChangeToken, Event, Millis};
use crate::hubspot::webhook::{self, Notice};
use crate::identity::{UserKey, Vid};
use crate::rows::facts::Key;
use crate::rows::learn::{self, Clock, Described};
use crate::rows::{self, Import};

impl Database {
    /// Links the user, as [`Vidcache::link`](crate::Vidcache::link), or, `shared`, as
    /// [`Vidcache::link_shared`](crate::Vidcache::link_shared).
    pub fn link<'a>(&'a self, user: UserKey<'a>, vid: Vid, shared: bool) -> Errand<'a, ()> {
        let names = Names { users: vec![Key::from(user)], vids: vec![vid.get()], ..Names::default() };
        self.errand(names, move |rows, answer| match shared {
            true => learn::link_shared(rows, user, vid, answer.head.clock),
            false => learn::link(rows, user, vid, answer.head.clock),
        })
    }

    /// Takes in an answer about a user, as [`Vidcache::record_read`](crate::Vidcache::record_read); the inner error is
    /// to be told once the statements are committed.
    ///
    /// # Errors
    /// Those of an answer of HubSpot's that says nothing to be kept.
    pub fn record<'a>(
        &'a self,
        user: UserKey<'a>,
        answer: &[u8],
        change: Option<ChangeToken>,
        asked_at: Option<Millis>,
    ) -> Result<Errand<'a, Result<Recorded>>> {
        let tokens = change.iter().map(|token| token.get()).collect();
        let mut names = Names { users: vec![Key::from(user)], tokens, ..Names::default() };
        let told = self.words().told(answer, change)?;
        match &told {
            Told::Missing | Told::Refused(_) => {}
            Told::Held(vid) => names.vids.extend(vid.map(Vid::get)),
            Told::Contact(described, _) => names.describe(described),
        }
        Ok(self.errand(names, move |rows, answer| {
            let clock = (clock(answer, asked_at), answer.head.clock);
            Ok(self.words().learn(rows, user, &told, change, clock)?.0)
        }))
    }

    /// Takes in an answer about contacts, as [`Vidcache::observe`](crate::Vidcache::observe), or, with `asked_at`, as
    /// [`Vidcache::observe_read`](crate::Vidcache::observe_read).
    ///
    /// # Errors
    /// Those of an answer that says nothing to be kept.
    pub fn observe(&self, answer: &[u8], asked_at: Option<Millis>) -> Result<Errand<'_, Observed>> {
        let seen = self.words().seen(answer)?;
        let mut names = Names { vids: seen.missing.iter().map(|vid| vid.get()).collect(), ..Names::default() };
        for described in &seen.described {
            names.describe(described);
        }
        Ok(self.errand(names, move |rows, answer| {
            let erased = learn::observe(rows, &seen.described, &seen.missing, clock(answer, asked_at))?;
            erased.note(rows, |user| self.key.mark(user))?;
            Ok(seen.observed())
        }))
    }

    /// Takes in what the app has long known, as [`Vidcache::import`](crate::Vidcache::import): some hundred users at a
    /// time.
    ///
    /// # Errors
    /// [`Error::InvalidAnswer`] for a time of an email that cannot be.
    pub fn import<'a>(&'a self, users: &[Imported<'a>]) -> Result<Errand<'a, ImportReport>> {
        let known = users.iter().map(|row| self.words().known(row, now())).collect::<Result<Vec<_>>>()?;
        let names = Names {
            users: users.iter().map(|row| Key::from(row.user)).collect(),
            vids: users.iter().map(|row| row.vid.get()).collect(),
            graves: known.iter().filter_map(|row| row.email).map(|(email, _)| rows::grave(&email.0)).collect(),
            ..Names::default()
        };
        Ok(self.errand(names, move |rows, _| {
            let imported = Import::new(rows)?.put(&known)?;
            Ok(ImportReport { imported, vid_taken: known.len() as u64 - imported })
        }))
    }

    /// Says that the user's conflict is over, as [`Vidcache::end_conflict`](crate::Vidcache::end_conflict).
    pub fn end_conflict<'a>(&'a self, user: UserKey<'a>) -> Errand<'a, ()> {
        let names = Names { users: vec![Key::from(user)], ..Names::default() };
        self.errand(names, move |rows, answer| {
            rows::apply(rows, &Event::ConflictEnded { user, at: answer.head.clock }).map(drop)
        })
    }

    /// Takes in a webhook's body, as [`Vidcache::apply_webhook`](crate::Vidcache::apply_webhook); the error beside it
    /// is to be told once the statements are committed.
    ///
    /// # Errors
    /// [`Error::InvalidWebhook`] for a body of which nothing is to be kept.
    pub fn apply_webhook(&self, body: &[u8]) -> Result<Errand<'_, (WebhookReport, Option<Error>)>> {
        let batch = webhook::notices(body, self.portal)?;
        let mut names = Names::default();
        for notice in &batch.notices {
            match notice {
                Notice::Merged { from, into, .. } => {
                    names.vids.extend(from.iter().chain([into]).map(|vid| vid.get()));
                }
                Notice::EmailChanged { vid, email, .. } => {
                    names.vids.push(vid.get());
                    names.graves.extend(email.map(|email| rows::grave(&self.words().fingerprint(&email).0)));
                }
                Notice::Deleted { vid, .. } | Notice::Restored { vid, .. } => names.vids.push(vid.get()),
                Notice::Erased { vid } => {
                    names.vids.push(vid.get());
                    names.erases = true;
                }
            }
        }
        Ok(self.errand(names, move |rows, answer| {
            let (mut report, _) = self.words().hear(rows, &batch.notices, || answer.head.clock)?;
            report.ignored += batch.ignored as u64;
            Ok((report, batch.refused.clone()))
        }))
    }

    /// Takes out all that is held on the user, as [`Vidcache::forget`](crate::Vidcache::forget).
    pub fn forget<'a>(&'a self, user: UserKey<'a>) -> Errand<'a, bool> {
        let names = Names { users: vec![Key::from(user)], ..Names::default() };
        let mark = self.key.mark(user);
        let mut errand = self.errand(names, move |rows, _| {
            let erased = rows::apply(rows, &Event::UserErasureForgotten { mark })?;
            Ok(rows::apply(rows, &Event::Forgotten { user })? || erased)
        });
        errand.beside.push(statements::forget_lease(&self.tables, &Key::from(user)));
        errand
    }
}

impl Names {
    /// All that an answer about a contact names.
    fn describe(&mut self, contact: &Described) {
        self.vids.extend(contact.merged.iter().chain([&contact.vid]).map(|vid| vid.get()));
        let emails = contact.email.and_then(|(email, _)| email).into_iter().chain(contact.secondary.iter().copied());
        self.graves.extend(emails.map(|email| rows::grave(&email.0)));
    }
}

/// PostgreSQL's clock, and by it the time at which the call to HubSpot was begun, of which the host's clock alone
/// knows: as long ago as the host says. Its clock is read after the answer has come, so the call was begun no later
/// than that.
fn clock(answer: &Answer, asked_at: Option<Millis>) -> Clock {
    let clock = answer.head.clock;
    Clock::new(clock, asked_at.map(|at| clock.saturating_sub(now().saturating_sub(at))))
}
