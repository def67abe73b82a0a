//! The facade of the rows in the app's own database: what a binding wraps where processes share no disk.
//!
//! Every method gives statements, or takes what the database said to one. Nothing here waits for anything but the
//! memory of one component.

mod changes;
mod components;
mod intake;
mod lists;
mod look;
mod memories;
mod pages;
mod questions;
mod told;
mod watch;

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use zeroize::Zeroizing;

pub use self::look::{Clocks, Look};
use self::memories::Memories;
pub use self::told::{Part, Recalled, Reply};
use self::watch::Watch;
pub use self::watch::WatchStats;
use super::options::Options;
use super::words::Words;
use crate::database::answer::{self, Answer};
use crate::database::ask::{self, Depth, Names};
pub use crate::database::head::Distrust;
use crate::database::head::{Head, Reader};
pub use crate::database::quiet::Turn;
use crate::database::schema::Tables;
use crate::database::{self, failure, head, statements, write};
use crate::email::FingerprintKey;
use crate::error::{Error, Result};
use crate::event::Millis;
use crate::file::envelope;
use crate::identity::Vid;
use crate::limits::MIN_SECRET;
use crate::rows::facts::Facts;
use crate::snippet::Template;

/// The tables of one portal in the app's database, as one process uses them.
pub struct Database {
    tables: Tables,
    flat: String,
    /// Where answers are kept.
    look: Option<String>,
    walk: String,
    reader: Reader,
    portal: Vid,
    key: FingerprintKey,
    /// The newest first.
    secrets: Vec<Zeroizing<Vec<u8>>>,
    template: Template,
    /// When the tables were set up that the last believed answer was of, or [`UNKNOWN`].
    made_at: AtomicI64,
    memories: Memories,
    /// Where answers are kept.
    watch: Option<Watch>,
    /// Others than the machine's.
    clocks: Option<Clocks>,
    /// When the standing work was done last, by the clock that goes on in suspend.
    kept_up_at: AtomicI64,
}

/// What no time is.
const UNKNOWN: Millis = Millis::MIN;

/// How often a process says anew for how long its pages name an email, and takes out what ended long ago.
const UPKEEP_EVERY: Millis = 3_600_000;

type Finish<'a, T> = Box<dyn Fn(&Connection, &Answer) -> Result<T> + 'a>;

/// Something that is learnt or done, in a transaction of the worker's own: run `lock`, then `ask`, then what
/// [`Errand::finish`] makes of the answer, and commit. After a deadlock or a broken connection the same may be run
/// again.
pub struct Errand<'a, T> {
    database: &'a Database,
    names: Names,
    work: Finish<'a, T>,
    /// What is to be run besides.
    beside: Vec<String>,
}

impl<'a, T: 'a> Errand<'a, T> {
    /// An errand that does what this one does, and of whose outcome something is made.
    pub fn map<U>(self, made: impl Fn(T) -> U + 'a) -> Errand<'a, U> {
        let Self { database, names, work, beside } = self;
        Errand { database, names, work: Box::new(move |rows, answer| work(rows, answer).map(&made)), beside }
    }

    /// Waits for others who write of the same users and contacts.
    pub fn lock(&self) -> String {
        write::lock(&self.names)
    }

    /// Asks for all that hangs together with them. A statement of its own, after the lock.
    pub fn ask(&self) -> String {
        ask::walk(&self.database.tables, &self.names)
    }

    /// What came of it where nothing is to be written, so that neither a lock nor a transaction is needed.
    ///
    /// # Errors
    /// As [`Errand::finish`].
    pub fn read(&self, answer: &str) -> Result<T> {
        let answer = self.database.believed(answer::read(answer, Depth::Work)?)?;
        self.database.with(&answer, |rows| (self.work)(rows, &answer))
    }

    /// What came of it, and the statements that write it.
    ///
    /// # Errors
    /// [`Error::WrongPortal`], [`Error::WrongSecret`], [`Error::NewerSchema`], [`Error::TablesUnusable`] for an answer
    /// that is not believed, [`Error::Corrupt`] for rows that cannot be, and those of the work. Then nothing is to be
    /// written.
    pub fn finish(&self, answer: &str) -> Result<(T, Vec<String>)> {
        let answer = self.database.certain(answer::read(answer, Depth::Work)?)?;
        self.database.with(&answer, |rows| {
            let done = (self.work)(rows, &answer)?;
            let after = Facts::of(rows)?;
            let mut statements = write::difference(&self.database.tables, &answer.facts, &after);
            statements.extend_from_slice(&self.beside);
            Ok((done, statements))
        })
    }
}

/// The statements of the app's migration, which make the tables in that schema of its database: [`Database::create`]
/// without a portal or a secret.
///
/// # Errors
/// [`Error::InvalidOption`].
pub fn migration(schema: &str) -> Result<Vec<String>> {
    Ok(Tables::of(schema)?.create())
}

impl Database {
    /// The tables in that schema of the database (`public`, say), for a portal (the HubSpot account's id). The options
    /// are those of a file: a `secret` is needed, the same on every host, and `memory`, `busy_timeout` and
    /// `synchronous` say nothing here.
    ///
    /// # Errors
    /// [`Error::InvalidPortal`], [`Error::InvalidSecret`], [`Error::InvalidOption`].
    pub fn new(schema: &str, portal: i64, options: &Options<'_>) -> Result<Self> {
        let portal_id = Vid::try_from(portal).map_err(|_| Error::InvalidPortal)?;
        options.check()?;
        let secrets: Vec<_> = options.secret.iter().chain(options.old_secrets).collect();
        if options.secret.is_none() || secrets.iter().any(|secret| secret.len() < MIN_SECRET) {
            return Err(Error::InvalidSecret);
        }
        // Every host has the same secret, so each makes the same key of it.
        let key = FingerprintKey::of(&envelope::first(secrets[0]));
        let key_check = base16ct::lower::encode_string(&key.check());
        let tables = Tables::of(schema)?;
        let deadline = options.page_deadline;
        Ok(Self {
            flat: ask::flat(&tables),
            look: None,
            walk: ask::page_walk(&tables),
            tables,
            reader: Reader { portal, key_check, deadline },
            portal: portal_id,
            key,
            secrets: secrets.into_iter().map(|secret| Zeroizing::new(secret.to_vec())).collect(),
            template: Template::new(portal, options.loader_host, deadline),
            made_at: AtomicI64::new(UNKNOWN),
            memories: Memories::new()?,
            watch: None,
            clocks: None,
            kept_up_at: AtomicI64::new(Millis::MIN),
        })
    }

    /// Has the answers of these tables kept in memory: a page knows what was committed up to `max_age` ago, from 1 s
    /// to half of the page's deadline, which is shortened by as much as its knowledge is old. `memory`: the most bytes
    /// that this takes, as [`Options::memory`]. There is no thread: pages themselves look, by [`Database::recall`].
    ///
    /// Not for machines that are paused from outside and go on later: nothing tells the guest how long that was.
    ///
    /// # Errors
    /// [`Error::InvalidOption`]; [`Error::Storage`]: there is no memory, or no random numbers.
    pub fn watching(self, max_age: Duration, memory: usize) -> Result<Self> {
        if max_age < Duration::from_secs(1) || max_age > self.reader.deadline / 2 {
            return Err(Error::InvalidOption {
                name: "max_age",
                why: "it must be 1 s at least, and half of page_deadline at most",
            });
        }
        Ok(Self {
            flat: database::watch::flat(&self.tables),
            look: Some(database::watch::look(&self.tables)),
            walk: database::watch::walk(&self.tables),
            watch: Some(Watch::new(max_age, memory)?),
            ..self
        })
    }

    /// By other clocks than the machine's: for tests of what time does.
    #[doc(hidden)]
    #[must_use]
    pub fn by_clocks(self, clocks: Clocks) -> Self {
        Self { clocks: Some(clocks), ..self }
    }

    /// What was answered from memory, if answers are kept.
    pub fn watch_stats(&self) -> Option<WatchStats> {
        self.watch.as_ref().map(Watch::stats)
    }

    /// The statements of the migration.
    pub fn create(&self) -> Vec<String> {
        self.tables.create()
    }

    /// What every process runs when it begins: the first statement sets the tables up, unless somebody has; the last
    /// one asks for the key, and gives one text for [`Database::take_key`]; once that has taken it, the second one
    /// writes the process's page deadline down.
    ///
    /// # Errors
    /// [`Error::Storage`]: there are no random numbers.
    pub fn set_up(&self) -> Result<[String; 3]> {
        let (portal, secret) = (self.portal.get(), &self.secrets[0]);
        let wrapped = envelope::wrap(&envelope::first(secret), secret, portal)?;
        Ok([
            statements::set_up(&self.tables, portal, &self.key.check(), &wrapped),
            self.announce(),
            statements::key(&self.tables),
        ])
    }

    /// Writes down how long pages of this process name an email.
    fn announce(&self) -> String {
        statements::announce(&self.tables, u64::try_from(self.reader.deadline.as_millis()).unwrap_or(u64::MAX))
    }

    /// Takes the key that the tables have, of whichever secret, from the text that the last statement of
    /// [`Database::set_up`] gave. The statement that comes back, if one does, is to be run: it wraps the key under the
    /// newest secret, since it was under another; no fingerprint changes.
    ///
    /// # Errors
    /// [`Error::WrongPortal`]; [`Error::WrongSecret`]: the key is under none of the secrets; [`Error::NewerSchema`];
    /// [`Error::TablesUnusable`]: the tables were not set up, or that is no such text.
    pub fn take_key(&mut self, text: &str) -> Result<Option<String>> {
        let portal = self.portal.get();
        let (envelope, made_at) = head::envelope(text, portal)?;
        let opened = self
            .secrets
            .iter()
            .enumerate()
            .find_map(|(at, secret)| envelope::unwrap(&envelope, secret, portal).map(|key| (at, key)));
        let (at, key) = opened.ok_or(Error::WrongSecret)?;
        *self.made_at.get_mut() = made_at;
        if let Some(watch) = &self.watch {
            // Its fingerprints may be another key's.
            watch.forget();
        }
        self.key = FingerprintKey::of(&key);
        self.reader.key_check = base16ct::lower::encode_string(&self.key.check());
        if at == 0 {
            return Ok(None);
        }
        let anew = envelope::wrap(&key, &self.secrets[0], portal)?;
        Ok(Some(statements::wrap_anew(&self.tables, &envelope, &anew)))
    }

    /// The error of a statement that the server refused, by its SQLSTATE, five letters; `""` where there is none, since
    /// the server cannot be reached. It says what to do, and repeats nothing of the server's words, which may quote a
    /// row. [`Error::Busy`], of a lock or a deadlock, is worth another try.
    pub fn failure(&self, sqlstate: &str) -> Error {
        failure::error(&self.tables, sqlstate)
    }

    /// When the tables were set up, in milliseconds since 1970 by PostgreSQL's clock: they may have been emptied and
    /// set up anew since [`Database::take_key`], as an answer has said that was believed. `None` before that.
    pub fn made_at(&self) -> Option<Millis> {
        Some(self.made_at.load(Ordering::Relaxed)).filter(|at| *at != UNKNOWN)
    }

    /// Of which tables an answer is that is believed. Of two that were set up one after the other the later ones are
    /// there, whichever answer comes last.
    fn heard_of(&self, head: &Head) {
        if let Some(meta) = head.meta.as_ref().filter(|_| head.is_read_committed()) {
            self.made_at.fetch_max(meta.made_at, Ordering::Relaxed);
        }
    }

    /// The portal of the tables.
    pub fn portal(&self) -> i64 {
        self.portal.get()
    }

    /// The answer, if it may be told to somebody who asks.
    fn believed(&self, answer: Answer) -> Result<Answer> {
        answer.head.for_reading(&self.reader).map_err(|why| why.error(self.reader.portal))?;
        self.heard_of(&answer.head);
        Ok(answer)
    }

    /// The answer, if somebody may write on the strength of it.
    fn certain(&self, answer: Answer) -> Result<Answer> {
        answer.head.for_writing(&self.reader).map_err(|why| why.error(self.reader.portal))?;
        self.heard_of(&answer.head);
        Ok(answer)
    }

    /// [`Database::upkeep`], where it is due; `done`: it was done just now.
    pub(super) fn upkeep_that_is_due(&self, done: bool) -> Vec<String> {
        let (now, last) = (self.look().parts().1, self.kept_up_at.load(Ordering::Relaxed));
        let is_due = done || now.saturating_sub(last) >= UPKEEP_EVERY;
        let is_ours =
            is_due && self.kept_up_at.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_ours && !done { self.upkeep() } else { Vec::new() }
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
        Errand { database: self, names, work: Box::new(work), beside: Vec::new() }
    }

    /// Does `work` on rows in memory that are the facts of an answer.
    fn with<T>(&self, answer: &Answer, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.memories.with(|memory| memory.with(&answer.facts, answer.head.meta.as_ref(), work))
    }
}
