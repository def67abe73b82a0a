//! The facade of the rows in the app's own database. Not public yet: no binding has a whole way to it.
//!
//! Every method gives statements, or takes what the database said to one. Nothing here waits for anything.

mod questions;

use std::sync::Mutex;
use std::time::Duration;

use rusqlite::Connection;
use zeroize::Zeroizing;

use super::intake::WebhookReport;
use super::now;
use super::words::{CLOCKS_APART, Recorded, Told, Words};
use crate::database::answer::{self, Answer};
use crate::database::ask::{self, Depth, Names};
use crate::database::component::Memory;
pub use crate::database::head::Distrust;
use crate::database::head::Reader;
pub use crate::database::quiet::Turn;
pub use crate::database::schema::Tables;
use crate::database::{quiet, statements, write};
use crate::decision::{self, Decision};
use crate::email::{Email, FingerprintKey};
use crate::error::{Error, Result};
use crate::event::{ChangeToken, Event, Millis};
use crate::file::envelope;
use crate::hubspot::webhook::{self, Notice};
use crate::identity::{UserKey, Vid};
use crate::limits::MIN_SECRET;
use crate::rows::facts::{Facts, Key};
use crate::rows::learn::{self, Clock};
use crate::rows::lease::LeaseToken;
use crate::rows::{self, TRANSIT};

/// The tables of one portal in the app's database, as one process uses them.
pub struct Database {
    tables: Tables,
    flat: String,
    reader: Reader,
    portal: Vid,
    key: FingerprintKey,
    /// The newest first.
    secrets: Vec<Zeroizing<Vec<u8>>>,
    memories: Mutex<Vec<Memory>>,
}

/// What became of an answer about one user.
#[derive(Debug)]
pub enum Reply<'e> {
    /// There is more to ask: this statement.
    More(String),
    /// What a page may say; if it names an email, for how long from now on; and why the answer was not believed, if it
    /// was not.
    Page(Decision<'e>, Duration, Option<Distrust>),
}

type Finish<'a, T> = Box<dyn Fn(&Connection, &Answer) -> Result<T> + 'a>;

/// Something that is learnt or done, in a transaction of the worker's own: run `lock`, then `ask`, then what
/// [`Errand::finish`] makes of the answer, and commit. After a deadlock or a broken connection the same may be run
/// again.
pub struct Errand<'a, T> {
    database: &'a Database,
    names: Names,
    work: Finish<'a, T>,
}

impl<'a, T: 'a> Errand<'a, T> {
    /// An errand that does what this one does, and of whose outcome something is made.
    pub fn map<U>(self, made: impl Fn(T) -> U + 'a) -> Errand<'a, U> {
        let Self { database, names, work } = self;
        Errand { database, names, work: Box::new(move |rows, answer| work(rows, answer).map(&made)) }
    }

    /// Waits for others who write of the same users and contacts.
    pub fn lock(&self) -> String {
        write::lock(self.names.users.iter(), self.names.vids.iter().copied())
    }

    /// Asks for all that hangs together with them. A statement of its own, after the lock.
    pub fn ask(&self) -> String {
        ask::walk(&self.database.tables, &self.names, Depth::Work)
    }

    /// What came of it where nothing is to be written, so that neither a lock nor a transaction is needed.
    ///
    /// # Errors
    /// As [`Errand::finish`].
    pub fn read(&self, answer: &str) -> Result<T> {
        let answer = answer::read(answer, Depth::Work)?;
        answer.head.for_writing(&self.database.reader)?;
        self.database.with(&answer, |rows| (self.work)(rows, &answer))
    }

    /// What came of it, and the statements that write it.
    ///
    /// # Errors
    /// [`Error::Storage`] for an answer that is not believed, and those of the work. Then there is nothing to be
    /// written.
    pub fn finish(&self, answer: &str) -> Result<(T, Vec<String>)> {
        let answer = answer::read(answer, Depth::Work)?;
        answer.head.for_writing(&self.database.reader)?;
        self.database.with(&answer, |rows| {
            let done = (self.work)(rows, &answer)?;
            let after = Facts::of(rows)?;
            Ok((done, write::difference(&self.database.tables, &answer.facts, &after)))
        })
    }
}

impl Database {
    /// The tables in that schema of the database. `secrets`: the app's, and what it was before, the newest first.
    /// `page_deadline` as for a file.
    ///
    /// # Errors
    /// [`Error::InvalidPortal`], [`Error::InvalidSecret`], [`Error::InvalidOption`].
    pub fn new(schema: &str, portal: i64, secrets: &[&[u8]], page_deadline: Duration) -> Result<Self> {
        let portal_id = Vid::try_from(portal).map_err(|_| Error::InvalidPortal)?;
        let Some(secret) = secrets.first().filter(|_| secrets.iter().all(|secret| secret.len() >= MIN_SECRET)) else {
            return Err(Error::InvalidSecret);
        };
        // Every host has the same secret, so each makes the same key of it.
        let first = envelope::first(secret);
        let key = FingerprintKey::of(&first);
        let key_check = data_encoding::HEXLOWER.encode(&key.check());
        let tables = Tables::of(schema)?;
        Ok(Self {
            flat: ask::flat(&tables),
            tables,
            reader: Reader { portal, key_check, deadline: page_deadline },
            portal: portal_id,
            key,
            secrets: secrets.iter().map(|secret| Zeroizing::new(secret.to_vec())).collect(),
            memories: Mutex::default(),
        })
    }

    /// The statements of the migration.
    pub fn create(&self) -> Vec<String> {
        self.tables.create()
    }

    /// What every process runs when it begins: it sets the tables up, writes its page deadline down, and asks for the
    /// key, which the last statement gives as one text for [`Database::take_key`].
    ///
    /// # Errors
    /// [`Error::Storage`]: there are no random numbers.
    pub fn set_up(&self) -> Result<[String; 3]> {
        let ms = u64::try_from(self.reader.deadline.as_millis()).unwrap_or(u64::MAX);
        let (portal, secret) = (self.portal.get(), &self.secrets[0]);
        let wrapped = envelope::wrap(&envelope::first(secret), secret, portal)?;
        Ok([
            statements::set_up(&self.tables, portal, &self.key.check(), &wrapped),
            statements::announce(&self.tables, ms),
            statements::key(&self.tables),
        ])
    }

    /// Takes the key that the tables have, of whichever secret. The statement that comes back wraps it under the newest
    /// one, if it was another; no fingerprint changes.
    ///
    /// # Errors
    /// [`Error::WrongSecret`]: it is another portal's, or under none of the secrets. [`Error::Storage`].
    pub fn take_key(&mut self, text: &str) -> Result<Option<String>> {
        let portal = self.portal.get();
        let envelope = data_encoding::HEXLOWER.decode(text.as_bytes()).map_err(|_| Error::WrongSecret)?;
        let opened = self
            .secrets
            .iter()
            .enumerate()
            .find_map(|(at, secret)| envelope::unwrap(&envelope, secret, portal).map(|key| (at, key)));
        let (at, key) = opened.ok_or(Error::WrongSecret)?;
        self.key = FingerprintKey::of(&key);
        self.reader.key_check = data_encoding::HEXLOWER.encode(&self.key.check());
        if at == 0 {
            return Ok(None);
        }
        let anew = envelope::wrap(&key, &self.secrets[0], portal)?;
        Ok(Some(statements::wrap_anew(&self.tables, &envelope, &anew)))
    }

    /// Asks for one user, for a page: one statement for all users, to be kept prepared where the client can, with
    /// [`Database::parameter`] as its one parameter, a text.
    pub fn prepared(&self) -> &str {
        &self.flat
    }

    /// Whom [`Database::prepared`] asks for.
    pub fn parameter(&self, user: UserKey<'_>) -> String {
        ask::parameter(&Key::from(user))
    }

    /// [`Database::prepared`] with the user in it, for a client or a pooler that keeps nothing prepared.
    pub fn ask(&self, user: UserKey<'_>) -> String {
        // Digits alone: there is nothing to quote.
        self.flat.replace("$1", &format!("'{}'", self.parameter(user)))
    }

    /// What the page may say. `waited`: the time since before the statement was sent, by a clock that goes on in
    /// suspend.
    pub fn reply<'e>(&self, user: UserKey<'_>, email: Option<&'e Email>, answer: &str, waited: Duration) -> Reply<'e> {
        let stale = |id, why| Reply::Page(Decision::stale(id), Duration::ZERO, Some(why));
        let answer = match answer::read(answer, Depth::Page) {
            Ok(answer) => answer,
            Err(why) => return stale(None, why),
        };
        let left = match answer.head.for_page(&self.reader, waited) {
            // What was first linked is so still, however old the knowledge.
            Err(why @ Distrust::Old { .. }) => Err(why),
            Err(why) => return stale(None, why),
            Ok(left) => Ok(left),
        };
        if answer.more {
            let names = Names { users: vec![Key::from(user)], ..Names::default() };
            return Reply::More(ask::walk(&self.tables, &names, Depth::Page));
        }
        match (left, self.with(&answer, |rows| rows::user_state(rows, user))) {
            (Ok(left), Ok(state)) => {
                let decision = decision::decide(&state, email, |email| self.key.fingerprint(email));
                Reply::Page(decision, left, None)
            }
            (Err(why), Ok(state)) => stale(state.identity.and_then(|identity| identity.external_id), why),
            (_, Err(error)) => stale(None, Distrust::Unreadable(error.to_string())),
        }
    }

    /// Begins a change: its token, and the statement to be run in the transaction that changes the email.
    ///
    /// # Errors
    /// [`Error::Storage`]: there are no random numbers.
    pub fn begin(&self, user: UserKey<'_>) -> Result<(ChangeToken, String)> {
        let token = ChangeToken::random()?;
        Ok((token, statements::begin(&self.tables, &Key::from(user), token)))
    }

    /// Whether the worker may tell HubSpot of the change now. Where it has to be seen first, the statements say so.
    pub fn turn<'a>(&'a self, user: UserKey<'a>, token: ChangeToken) -> Errand<'a, (Turn, Option<String>)> {
        let names = Names { users: vec![Key::from(user)], tokens: vec![token.get()], ..Names::default() };
        self.errand(names, move |rows, answer| {
            let clock = answer.head.clock;
            let since = rows::outstanding_since(rows, user, token, clock)?;
            let seen = answer.seen.iter().find(|(of, _)| *of == token.get()).and_then(|(_, seen)| *seen);
            let longest = answer.head.deadline.map_or(Duration::ZERO, Duration::from_millis);
            let turn = quiet::turn(since, seen, clock, longest.max(self.reader.deadline) + TRANSIT);
            let see = (turn == Turn::See).then(|| statements::see(&self.tables, token, since.unwrap_or(0)));
            Ok((turn, see))
        })
    }

    /// Links the user, as [`Vidcache::link`](crate::Vidcache::link) or `link_shared`.
    pub fn link<'a>(&'a self, user: UserKey<'a>, vid: Vid, shared: bool) -> Errand<'a, ()> {
        let names = Names { users: vec![Key::from(user)], vids: vec![vid.get()], ..Names::default() };
        self.errand(names, move |rows, answer| match shared {
            true => learn::link_shared(rows, user, vid, answer.head.clock),
            false => learn::link(rows, user, vid, answer.head.clock),
        })
    }

    /// Ends a change that did not happen, as [`Vidcache::abandon_email_change`](crate::Vidcache::abandon_email_change).
    pub fn abandon<'a>(&'a self, user: UserKey<'a>, token: ChangeToken) -> Errand<'a, ()> {
        let names = Names { users: vec![Key::from(user)], tokens: vec![token.get()], ..Names::default() };
        self.errand(names, move |rows, answer| learn::abandon(rows, user, token, answer.head.clock))
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
            Told::Contact(described, _) => {
                names.vids.extend(described.merged.iter().chain([&described.vid]).map(|vid| vid.get()));
                let emails =
                    described.email.and_then(|(email, _)| email).into_iter().chain(described.secondary.iter().copied());
                names.graves = emails.map(|email| rows::grave(&email.0)).collect();
            }
        }
        Ok(self.errand(names, move |rows, answer| {
            let clock = (clock(answer, asked_at), answer.head.clock);
            Ok(self.words().learn(rows, user, &told, change, clock)?.0)
        }))
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
                Notice::Deleted { vid, .. } | Notice::Restored { vid, .. } | Notice::Erased { vid } => {
                    names.vids.push(vid.get());
                }
            }
        }
        Ok(self.errand(names, move |rows, answer| {
            let now = answer.head.clock;
            let mut report = WebhookReport { ignored: batch.ignored as u64, ..WebhookReport::default() };
            for notice in &batch.notices {
                let mut changed = false;
                for event in &self.words().events(notice, now) {
                    let told = learn::tell(rows, event, now)?;
                    changed |= told.changed;
                    told.erased.note(rows, |user| self.key.mark(user))?;
                }
                match changed {
                    true => report.applied += 1,
                    false => report.repeated += 1,
                }
            }
            Ok((report, batch.refused.clone()))
        }))
    }

    /// Takes out all that is held on the user, as [`Vidcache::forget`](crate::Vidcache::forget).
    pub fn forget<'a>(&'a self, user: UserKey<'a>) -> Errand<'a, bool> {
        let names = Names { users: vec![Key::from(user)], ..Names::default() };
        let mark = self.key.mark(user);
        self.errand(names, move |rows, _| {
            let erased = rows::apply(rows, &Event::UserErasureForgotten { mark })?;
            Ok(rows::apply(rows, &Event::Forgotten { user })? || erased)
        })
    }

    /// Takes the user's lease, or goes on with it: a statement that gives a row if it is the holder's then.
    ///
    /// # Errors
    /// [`Error::Storage`]: there are no random numbers.
    pub fn lease(
        &self,
        user: UserKey<'_>,
        duration: Duration,
        held: Option<LeaseToken>,
    ) -> Result<(LeaseToken, String)> {
        let ms = Millis::try_from(duration.as_millis()).unwrap_or(rows::lease::LONGEST).min(rows::lease::LONGEST);
        let holder = held.map_or_else(LeaseToken::random, Ok)?;
        Ok((holder, statements::lease(&self.tables, &Key::from(user), holder, ms, held.is_some())))
    }

    /// Ends the holder's lease.
    pub fn release(&self, user: UserKey<'_>, held: LeaseToken) -> String {
        statements::release(&self.tables, &Key::from(user), held)
    }

    /// Doubts all that HubSpot has said of every contact: for a database that was put back, before anything asks it.
    pub fn doubt_all(&self) -> String {
        statements::doubt(&self.tables, CLOCKS_APART)
    }

    /// Takes out some changes that ended long ago.
    pub fn prune(&self) -> String {
        statements::prune(&self.tables)
    }

    fn words(&self) -> Words<'_> {
        Words { key: &self.key, portal: self.portal }
    }

    fn errand<'a, T>(
        &'a self,
        mut names: Names,
        work: impl Fn(&Connection, &Answer) -> Result<T> + 'a,
    ) -> Errand<'a, T> {
        names.marks = names.users.iter().map(|user| self.key.mark(user.user()).0).collect();
        Errand { database: self, names, work: Box::new(work) }
    }

    /// Does `work` on rows in memory that are the facts of an answer.
    fn with<T>(&self, answer: &Answer, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        // Where another thread has the list at this moment, or had it when the process forked, it is done without.
        let free = self.memories.try_lock().ok().and_then(|mut free| free.pop());
        let memory = free.map_or_else(Memory::new, Ok)?;
        let done = memory.with(&answer.facts, answer.head.meta.as_ref(), work);
        // A memory that failed, or that somebody panicked in, is not used again.
        if let (Ok(_), Ok(mut free)) = (&done, self.memories.try_lock()) {
            free.push(memory);
        }
        done
    }
}

/// PostgreSQL's clock, and by it the time at which the call to HubSpot was begun, of which the host's clock alone
/// knows: as long ago as the host says. Its clock is read after the answer has come, so the call was begun no later
/// than that.
fn clock(answer: &Answer, asked_at: Option<Millis>) -> Clock {
    let clock = answer.head.clock;
    Clock::new(clock, asked_at.map(|at| clock.saturating_sub(now().saturating_sub(at))))
}
