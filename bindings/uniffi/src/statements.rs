//! The rows in the app's own PostgreSQL: statements go out as text, and what the database said to them comes in as
//! text. The language above sends them, by the client that the app has.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use vidcache::in_database::{self, Database, Distrust, Look as LookOfCore, Recalled, Reply};
use vidcache::{ChangeToken, LeaseToken, UserKey, Vid};

use crate::cache::{OpenOptions, Vidcache};
use crate::changes::StaleChange;
use crate::conflicts::Conflict;
use crate::edge::{edge, keep_panics_quiet};
use crate::errand::{self, Errand, Outcome};
use crate::error::{Failure, VidcacheError};
use crate::lists::{UserToRead, UsersToReadPart};
use crate::lookup;
use crate::page::{PageForm, PageStep};
use crate::time::milliseconds;

/// The tables of one portal in the app's own PostgreSQL, for a process that shares no disk with the others. It connects
/// to nothing. Safe to share between threads, and right on both sides of a fork.
#[derive(uniffi::Object)]
pub struct Statements {
    pub(crate) core: RwLock<Database>,
    portal: i64,
}

/// When a page began to ask, by two clocks: take one by `look` before its statement is sent.
#[derive(Debug, Clone, Copy, uniffi::Record)]
pub struct Look {
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// Milliseconds of a clock that goes on while the machine sleeps.
    pub since_boot_ms: i64,
}

/// The two questions of an errand that writes, in its order.
#[derive(Debug, uniffi::Record)]
pub struct Steps {
    /// Waits for others who write of the same users and contacts, in a READ COMMITTED transaction.
    pub lock: String,
    /// Asks, as a statement of its own: its one text goes to `finish`, or to `read`.
    pub ask: String,
}

/// What came of an errand, and what writes it.
#[derive(Debug, uniffi::Record)]
pub struct Finished {
    /// What came of it.
    pub outcome: Outcome,
    /// What is to be raised once the transaction is committed.
    pub refused: Option<Failure>,
    /// To be run, in this order, in the same transaction.
    pub statements: Vec<String>,
}

/// A number that names a change or a lease, and a statement to be run.
#[derive(Debug, uniffi::Record)]
pub struct Tokened {
    /// The token.
    pub token: i64,
    /// The statement.
    pub statement: String,
}

/// Some of a list, and from where it goes on.
#[derive(Debug, uniffi::Record)]
pub struct ConflictsPart {
    /// The conflicts.
    pub conflicts: Vec<Conflict>,
    /// The `after` of the next part; none: that was the last. Fewer than were asked for are not the end.
    pub next: Option<String>,
}

/// What was answered from memory.
#[derive(Debug, uniffi::Record)]
pub struct Kept {
    /// Pages that memory answered.
    pub hits: u64,
    /// Answers that brought it up to date.
    pub looks: u64,
    /// How often everything was forgotten, since it could not be shown that nothing was missed.
    pub forgotten: u64,
    /// Users in it.
    pub entries: u64,
    /// What they take.
    pub bytes: u64,
}

#[uniffi::export]
impl Statements {
    /// The tables in that schema of the database (`public`). Of the options a secret is needed, the same for every
    /// process; `busy_timeout_ms` and `full` say nothing, and `memory` only with `max_age_ms`: for how long answers are
    /// kept, from 1000 to half of the page's deadline; none: each page asks.
    ///
    /// # Errors
    /// `invalid_portal`, `invalid_secret`, `invalid_option`.
    #[uniffi::constructor]
    pub fn open(
        schema: &str,
        portal_id: i64,
        options: OpenOptions,
        max_age_ms: Option<u64>,
    ) -> Result<Arc<Self>, VidcacheError> {
        keep_panics_quiet();
        edge(|| {
            options.with(|options| {
                let mut core = Database::new(schema, portal_id, options)?;
                if let Some(max_age) = max_age_ms {
                    core = core.watching(Duration::from_millis(max_age), options.memory)?;
                }
                Ok(Arc::new(Self { core: RwLock::new(core), portal: portal_id }))
            })
        })
    }

    /// The HubSpot account that the tables belong to.
    pub fn portal_id(&self) -> i64 {
        self.portal
    }

    /// The statements of the app's migration.
    pub fn create(&self) -> Vec<String> {
        self.core().create()
    }

    /// What every process runs when it begins: the first sets the tables up, unless somebody has; the third gives a
    /// text for `take_key`; once that has taken it, the second writes the process's page deadline down.
    ///
    /// # Errors
    /// `storage`: there are no random numbers.
    pub fn set_up(&self) -> Result<Vec<String>, VidcacheError> {
        edge(|| Ok(self.core().set_up()?.into()))
    }

    /// Takes the key that the tables have. The statement that comes back, if one does, is to be run.
    ///
    /// # Errors
    /// `wrong_portal`, `wrong_secret`, `newer_schema`, `tables_unusable`.
    pub fn take_key(&self, text: &str) -> Result<Option<String>, VidcacheError> {
        edge(|| self.core.write().unwrap_or_else(PoisonError::into_inner).take_key(text))
    }

    /// When the tables were set up, in milliseconds since 1970 by PostgreSQL's clock; none before `take_key`.
    pub fn made_at_ms(&self) -> Option<i64> {
        self.core().made_at()
    }

    /// A page's statement, the same for all users, with the parameters of `PageStep.Ask`: to be kept prepared where the
    /// client can. Send it to the server that is written to.
    pub fn prepared(&self) -> String {
        self.core().prepared().to_owned()
    }

    /// The statement of a page that looks, with the same parameters.
    pub fn prepared_look(&self) -> String {
        let core = self.core();
        core.prepared_look().unwrap_or(core.prepared()).to_owned()
    }

    /// The second statement of a page whose user shares a contact, or did.
    pub fn prepared_walk(&self) -> String {
        self.core().prepared_walk().to_owned()
    }

    /// The clocks, to be read before a page's statement is sent.
    pub fn look(&self) -> Look {
        let (at_ms, since_boot_ms) = self.core().look().parts();
        Look { at_ms, since_boot_ms }
    }

    /// The beginning of a page: from memory, where answers are kept, or what is to be asked.
    ///
    /// # Errors
    /// `invalid_user_key`, `invalid_email`.
    pub fn page(
        &self,
        user: &str,
        email: Option<String>,
        form: PageForm,
        look: Look,
    ) -> Result<PageStep, VidcacheError> {
        edge(|| {
            let (user, email, core) = (UserKey::text(user)?, lookup::email(email.as_deref())?, self.core());
            match core.recall(user, email.as_ref(), look.of_core()) {
                Recalled::Page(page) => form.of(&page, None),
                Recalled::Ask(since) => {
                    let looks = core.prepared_for(&since) != core.prepared();
                    let since = core.watch_stats().map(|_| since);
                    Ok(PageStep::Ask { looks, parameters: [core.parameter(user)].into_iter().chain(since).collect() })
                }
            }
        })
    }

    /// What the page may say by the answer; none: nobody answered.
    ///
    /// # Errors
    /// As `page`, and `invalid_option` of a nonce. What cannot be believed is a page that says less.
    pub fn reply(
        &self,
        user: &str,
        email: Option<String>,
        form: PageForm,
        look: Look,
        answer: Option<String>,
    ) -> Result<PageStep, VidcacheError> {
        edge(|| {
            let (user, email, core) = (UserKey::text(user)?, lookup::email(email.as_deref())?, self.core());
            let Some(answer) = answer else { return form.of(&core.unanswered(user, email.as_ref()), None) };
            match core.reply(user, email.as_ref(), &answer, look.of_core()) {
                Reply::Page(page, why) => form.of(&page, why.map(|why| self.failure_of(why))),
                Reply::More(_) => Ok(PageStep::More),
            }
        })
    }

    /// The page of a visitor whom the app does not know.
    ///
    /// # Errors
    /// `invalid_option` of a nonce.
    pub fn anonymous_page(&self, form: PageForm) -> Result<PageStep, VidcacheError> {
        edge(|| form.of(&self.core().anonymous_page(), None))
    }

    /// The page after a sign-out.
    ///
    /// # Errors
    /// `invalid_option` of a nonce.
    pub fn signed_out_page(&self, form: PageForm) -> Result<PageStep, VidcacheError> {
        edge(|| form.of(&self.core().signed_out_page(), None))
    }

    /// What was answered from memory; none where no answers are kept.
    pub fn kept(&self) -> Option<Kept> {
        let stats = self.core().watch_stats()?;
        let (hits, looks, forgotten) = (stats.hits, stats.looks, stats.forgotten);
        Some(Kept { hits, looks, forgotten, entries: stats.entries, bytes: stats.bytes })
    }

    /// Begins a change: its token, and the statement to be run in the transaction that changes the email. It is begun
    /// if and only if that is committed.
    ///
    /// # Errors
    /// `invalid_user_key`, `storage`.
    pub fn begin(&self, user: &str) -> Result<Tokened, VidcacheError> {
        edge(|| {
            let (token, statement) = self.core().begin(UserKey::text(user)?)?;
            Ok(Tokened { token: token.get(), statement })
        })
    }

    /// Says that a change is committed, for whoever has seen the COMMIT succeed; in a transaction of its own.
    ///
    /// # Errors
    /// `unknown_change`.
    pub fn see(&self, change: i64) -> Result<String, VidcacheError> {
        edge(|| Ok(self.core().see(ChangeToken::try_from(change)?)))
    }

    /// Asks for what `quiet_period` reads.
    pub fn ask_quiet_period(&self) -> String {
        self.core().ask_quiet_period()
    }

    /// How long a worker waits after it has seen a change, in milliseconds.
    ///
    /// # Errors
    /// Those of an answer that is not believed.
    pub fn quiet_period(&self, answer: &str) -> Result<u64, VidcacheError> {
        edge(|| Ok(milliseconds(self.core().quiet_period(answer)?)))
    }

    /// Takes the user's lease for so long, or goes on with it, as `Vidcache.lease`: a statement that gives a row if and
    /// only if it is the holder's then. In no transaction of the app's.
    ///
    /// # Errors
    /// `invalid_user_key`, `invalid_option`, `storage`.
    pub fn lease(&self, user: &str, duration_ms: u64, renew: Option<i64>) -> Result<Tokened, VidcacheError> {
        edge(|| {
            let (duration, held) = (Duration::from_millis(duration_ms), renew.map(LeaseToken::from));
            let (token, statement) = self.core().lease(UserKey::text(user)?, duration, held)?;
            Ok(Tokened { token: token.get(), statement })
        })
    }

    /// Ends a lease: a statement that gives a row if the holder had it still.
    ///
    /// # Errors
    /// `invalid_user_key`.
    pub fn release(&self, user: &str, lease: i64) -> Result<String, VidcacheError> {
        edge(|| Ok(self.core().release(UserKey::text(user)?, LeaseToken::from(lease))))
    }

    /// The questions of an errand.
    ///
    /// # Errors
    /// Those of what it is about; then there is nothing to ask.
    pub fn steps(&self, errand: Errand) -> Result<Steps, VidcacheError> {
        edge(|| {
            let (core, work) = (self.core(), errand.work()?);
            let errand = errand::of_core(&work, &core)?;
            Ok(Steps { lock: errand.lock(), ask: errand.ask() })
        })
    }

    /// What came of an errand that writes nothing.
    ///
    /// # Errors
    /// The errand's, and `wrong_portal`, `wrong_secret`, `newer_schema`, `tables_unusable` of an answer that is not
    /// believed.
    pub fn read(&self, errand: Errand, answer: &str) -> Result<Outcome, VidcacheError> {
        edge(|| {
            let (core, work) = (self.core(), errand.work()?);
            let (outcome, refused) = errand::of_core(&work, &core)?.read(answer)?;
            refused.map_or(Ok(outcome), Err)
        })
    }

    /// What came of an errand, and the statements that write it. After a deadlock the same may be run again.
    ///
    /// # Errors
    /// As `read`. Then nothing is to be written, and the transaction is to be rolled back.
    pub fn finish(&self, errand: Errand, answer: &str) -> Result<Finished, VidcacheError> {
        edge(|| {
            let (core, work) = (self.core(), errand.work()?);
            let ((outcome, refused), statements) = errand::of_core(&work, &core)?.finish(answer)?;
            Ok(Finished { outcome, refused: refused.map(Failure::from), statements })
        })
    }

    /// Asks for the changes that were begun so long ago and are outstanding, oldest first.
    pub fn ask_stale_changes(&self, older_than_ms: u64, limit: u32) -> String {
        self.core().ask_stale_changes(Duration::from_millis(older_than_ms), limit)
    }

    /// The changes of an answer to `ask_stale_changes`.
    ///
    /// # Errors
    /// Those of an answer that is not believed.
    pub fn stale_changes(&self, answer: &str) -> Result<Vec<StaleChange>, VidcacheError> {
        edge(|| Ok(self.core().stale_changes(answer)?.into_iter().map(StaleChange::from).collect()))
    }

    /// Asks for `Vidcache.users_to_read`, in the order of the ids that they were linked to.
    ///
    /// # Errors
    /// `invalid_vid`.
    pub fn ask_users_to_read(
        &self,
        confirmed: bool,
        older_than_ms: u64,
        after: Option<i64>,
        limit: u32,
    ) -> Result<String, VidcacheError> {
        edge(|| {
            let after = after.map(Vid::try_from).transpose()?;
            Ok(self.core().ask_users_to_read(confirmed, Duration::from_millis(older_than_ms), after, limit))
        })
    }

    /// The users of an answer to `ask_users_to_read` of the same `confirmed` and `older_than_ms`.
    ///
    /// # Errors
    /// Those of an answer that is not believed.
    pub fn users_to_read(
        &self,
        confirmed: bool,
        older_than_ms: u64,
        answer: &str,
    ) -> Result<UsersToReadPart, VidcacheError> {
        edge(|| {
            let part = self.core().users_to_read(confirmed, Duration::from_millis(older_than_ms), answer)?;
            let users = part.items.into_iter().map(UserToRead::from).collect();
            Ok(UsersToReadPart { users, next: part.next.map(Vid::get) })
        })
    }

    /// Asks for `Vidcache.conflicts`.
    ///
    /// # Errors
    /// `invalid_user_key`.
    pub fn ask_conflicts(&self, after: Option<String>, limit: u32) -> Result<String, VidcacheError> {
        edge(|| Ok(self.core().ask_conflicts(after.as_deref().map(UserKey::text).transpose()?, limit)))
    }

    /// The conflicts of an answer to `ask_conflicts`.
    ///
    /// # Errors
    /// Those of an answer that is not believed.
    pub fn conflicts(&self, answer: &str) -> Result<ConflictsPart, VidcacheError> {
        edge(|| {
            let part = self.core().conflicts(answer)?;
            Ok(ConflictsPart { conflicts: part.items.into_iter().map(Conflict::from).collect(), next: part.next })
        })
    }

    /// Asks for nobody, by all that a page asks for: for a check of the tables and of the app's connection.
    pub fn probe(&self) -> String {
        self.core().probe()
    }

    /// Why an answer is not believed, if it is not: for a check by a person.
    pub fn distrust(&self, answer: &str) -> Option<Failure> {
        let why = self.core().distrust(answer)?;
        Some(self.failure_of(why))
    }

    /// The error of a statement that the server refused, by the five letters of its SQLSTATE; `""` where no server
    /// answered. Its text quotes nothing of the server's.
    pub fn failure(&self, sqlstate: &str) -> Failure {
        self.core().failure(sqlstate).into()
    }

    /// Doubts all that HubSpot has said of every contact, for a database that was put back: a statement.
    pub fn doubt_all(&self) -> String {
        self.core().doubt_all()
    }

    /// What is to be run now and then, each by itself and in no transaction of the app's.
    pub fn upkeep(&self) -> Vec<String> {
        self.core().upkeep()
    }

    /// The statements that join all that a file knows to the tables, to be run one by one, as often as one likes.
    ///
    /// # Errors
    /// `wrong_portal`, and as `Vidcache.resolve`.
    pub fn copy(&self, file: Arc<Vidcache>) -> Result<Vec<String>, VidcacheError> {
        edge(|| self.core().copy(&file.0))
    }
}

/// The statements of the app's migration, which make the tables in that schema: `Statements.create` without a portal or
/// a secret.
///
/// # Errors
/// `invalid_option`.
#[uniffi::export]
pub fn migration(schema: &str) -> Result<Vec<String>, VidcacheError> {
    keep_panics_quiet();
    edge(|| in_database::migration(schema))
}

impl Statements {
    fn core(&self) -> RwLockReadGuard<'_, Database> {
        self.core.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure_of(&self, why: Distrust) -> Failure {
        why.error(self.portal).into()
    }
}

impl Look {
    fn of_core(self) -> LookOfCore {
        LookOfCore::of_parts((self.at_ms, self.since_boot_ms))
    }
}
