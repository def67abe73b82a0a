//! The facade: one type that every binding wraps.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::decision::{self, Decision};
use crate::email::Email;
use crate::error::{Error, Result};
use crate::event::{ChangeToken, Event, Millis};
use crate::hubspot::response;
use crate::identity::{Identity, UserKey, Vid};
use crate::snippet::{self, Page};
use crate::store::{self, Settings, StaleChange, Stats, Store, Synchronous};

/// How to open a cache. `Options::default()` is right for most.
#[derive(Clone)]
pub struct Options<'a> {
    /// What keys the fingerprints: at least 16 bytes, kept outside the file. Without one a random
    /// key is made and kept *in* the file, so whoever has the file can test a guessed email against it.
    pub secret: Option<&'a [u8]>,
    /// How hard an acknowledged write is kept. Default: [`Synchronous::Full`].
    pub synchronous: Synchronous,
    /// How long a call waits for other processes' writes before [`Error::Busy`]. Default: 5 s; at
    /// most 1 hour.
    pub busy_timeout: Duration,
    /// The most bytes that the in-process table takes. Default: 32 MiB, about 200,000 users.
    pub memory: usize,
    /// How long after it was rendered a page may still name an email. A page that runs later gives the
    /// id alone. Default: 10 s; from 100 ms to 1 hour.
    ///
    /// The worker must not tell HubSpot of a change until pages rendered before the change began are
    /// older than this: see [`Vidcache::begin_email_change`].
    pub page_deadline: Duration,
    /// The host of HubSpot's loader. Default: `js.hs-scripts.com`; portals in the EU data
    /// centre have `js-eu1.hs-scripts.com`.
    pub loader_host: &'a str,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            secret: None,
            synchronous: Synchronous::Full,
            busy_timeout: Duration::from_secs(5),
            memory: 32 << 20,
            page_deadline: Duration::from_secs(10),
            loader_host: "js.hs-scripts.com",
        }
    }
}

/// A user whom [`Vidcache::import`] takes in.
#[derive(Debug, Clone, Copy)]
pub struct Imported<'a> {
    /// The user.
    pub user: UserKey<'a>,
    /// Their contact.
    pub vid: Vid,
    /// The email that HubSpot held for it, and when (`updatedAt`, in milliseconds), if known.
    pub email: Option<(Email, Millis)>,
}

/// What [`Vidcache::import`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportReport {
    /// Users taken in, or known already.
    pub imported: u64,
    /// Users left out because another user has their contact.
    pub vid_taken: u64,
}

/// Rows to a transaction: enough that its fsync costs little, few enough that others need not wait long.
const IMPORT_BATCH: usize = 10_000;

/// What [`Vidcache::record`] learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// The contact that the answer described: the user's now, unless HubSpot has said something newer of another one.
    pub vid: Vid,
    /// Whether the answer said which email that contact holds, and since when. Without that no
    /// page names an email on the strength of it.
    pub email_observed: bool,
}

/// A user → contact cache in one SQLite file, for one HubSpot portal.
///
/// Safe to share between threads. A handle opened before `fork` works in parent and child: the library
/// closes its connections before the fork and either side opens its own again. Several processes of
/// one host may open the same file; each sees every commit made before its call.
pub struct Vidcache {
    store: Store,
    portal: Vid,
    page_deadline: Duration,
    loader_host: Box<str>,
}

impl Vidcache {
    /// Opens the file at `path` for a portal (the HubSpot account's id), creating it with mode 0600 where
    /// there is none. The folder must exist, on a local disk.
    ///
    /// # Errors
    /// [`Error::InvalidPortal`], [`Error::InvalidSecret`], [`Error::InvalidOption`] for the arguments;
    /// [`Error::CannotOpen`], [`Error::UnsupportedFilesystem`] for the place;
    /// [`Error::NotACache`], [`Error::NewerSchema`], [`Error::WrongPortal`], [`Error::WrongSecret`],
    /// [`Error::Corrupt`] for what is in the file, which is left as it was.
    pub fn open(path: impl AsRef<Path>, portal: i64, options: &Options<'_>) -> Result<Self> {
        let portal_id = Vid::try_from(portal).map_err(|_| Error::InvalidPortal)?;
        let page_deadline = options.page_deadline;
        if page_deadline < Duration::from_millis(100) || page_deadline > Duration::from_secs(3600) {
            return Err(Error::InvalidOption { name: "page_deadline", why: "it must be from 100 ms to 1 hour" });
        }
        if options.busy_timeout > Duration::from_secs(3600) {
            return Err(Error::InvalidOption { name: "busy_timeout", why: "it must be at most 1 hour" });
        }
        if !snippet::is_host(options.loader_host) {
            return Err(Error::InvalidOption { name: "loader_host", why: "it must be a host name" });
        }
        let store = Store::open(&Settings {
            path: path.as_ref(),
            portal,
            secret: options.secret,
            synchronous: options.synchronous,
            busy_timeout: options.busy_timeout,
            memory: options.memory,
        })?;
        Ok(Self { store, portal: portal_id, page_deadline, loader_host: options.loader_host.into() })
    }

    /// Moves a file that will not open out of the way, with its log and index, so that `open` can make a new one. The
    /// library never does this by itself. The new file knows nothing of changes begun in the old one: their jobs get
    /// [`Error::UnknownChange`], and no page names an email until an answer is recorded again.
    ///
    /// Returns where it is now: `NAME.aside-MILLISECONDS` in the same folder.
    ///
    /// # Errors
    /// [`Error::Busy`] while any process, this one included, has it open; [`Error::CannotOpen`] when there is nothing
    /// at `path` or it may not be moved; [`Error::UnsupportedFilesystem`]. Then nothing was moved.
    pub fn move_aside(path: impl AsRef<Path>) -> Result<PathBuf> {
        store::move_aside(path.as_ref())
    }

    /// Which contact the user is, or `None` when they are not linked to one.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Corrupt`], [`Error::Busy`], [`Error::Closed`].
    #[inline]
    pub fn resolve(&self, user: UserKey<'_>) -> Result<Option<Identity>> {
        self.store.identity(user)
    }

    /// [`Vidcache::resolve`] where memory has the answer, current to the last commit; `None` where it has not. Never
    /// waits, fails or reads the file: for a binding whose general way costs more than the look-up.
    #[inline]
    pub fn recall(&self, user: &UserKey<'_>) -> Option<Option<Identity>> {
        self.store.recall(user)
    }

    /// What a page may say of the user, whose email the app believes to be `email`.
    ///
    /// # Errors
    /// As [`Vidcache::resolve`].
    #[inline]
    pub fn decide<'e>(&self, user: UserKey<'_>, email: Option<&'e Email>) -> Result<Decision<'e>> {
        let state = self.store.user_state(user)?;
        Ok(decision::decide(&state, email, |email| self.store.key().fingerprint(email)))
    }

    /// The HTML that puts the decision, and HubSpot's loader, on a page: two `<script>` elements.
    /// `nonce` is the page's Content-Security-Policy nonce.
    ///
    /// # Errors
    /// As [`Vidcache::resolve`].
    pub fn snippet(&self, user: UserKey<'_>, email: Option<&Email>, nonce: Option<&str>) -> Result<String> {
        Ok(self.page(nonce).render(&self.decide(user, email)?))
    }

    /// The HTML for a page whose visitor the app does not know: the loader, and no identity.
    pub fn anonymous_snippet(&self, nonce: Option<&str>) -> String {
        self.page(nonce).render(&decision::ANONYMOUS)
    }

    /// [`Vidcache::snippet`] into the caller's buffer, without an allocation when memory has the user. Returns its length.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`], and the buffer is zeroed; else as [`Vidcache::resolve`].
    pub fn snippet_into(
        &self,
        user: UserKey<'_>,
        email: Option<&Email>,
        nonce: Option<&str>,
        buffer: &mut [u8],
    ) -> Result<usize> {
        self.page(nonce).render_into(&self.decide(user, email)?, buffer)
    }

    /// [`Vidcache::anonymous_snippet`] into the caller's buffer. Returns its length.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`], and the buffer is zeroed.
    pub fn anonymous_snippet_into(&self, nonce: Option<&str>, buffer: &mut [u8]) -> Result<usize> {
        self.page(nonce).render_into(&decision::ANONYMOUS, buffer)
    }

    /// Says that the user is this contact, without saying which email HubSpot holds for it.
    ///
    /// # Errors
    /// [`Error::VidTaken`], and as [`Vidcache::begin_email_change`].
    pub fn link(&self, user: UserKey<'_>, vid: Vid) -> Result<()> {
        self.store.write(|tx| link(tx, user, vid))
    }

    /// Records what a HubSpot API call about the user answered: the body of a v1 `createOrUpdate` or profile
    /// answer, or of a v3 contact (create, get, update, merge), told apart by shape. A list counts where it has one contact.
    ///
    /// With the token of a change it also finishes that change. That takes an answer that says which email
    /// the contact holds and since when, read after HubSpot was told: an answer without a time could have
    /// been overtaken by another worker's. Recording the same answer again changes nothing, and neither
    /// does an older answer that comes late.
    ///
    /// # Errors
    /// [`Error::InvalidAnswer`], [`Error::AnswerWithoutId`], [`Error::AnswerWithoutEmail`], [`Error::ContactConflict`],
    /// [`Error::ContactMissing`], [`Error::RateLimited`], [`Error::UnknownChange`], [`Error::ForeignChange`], [`Error::Busy`], [`Error::Cancelled`], [`Error::Storage`],
    /// [`Error::Corrupt`], [`Error::Closed`]: nothing is written. [`Error::VidTaken`]: nothing about the user is
    /// written, but what HubSpot said of the contact is believed, whoever has it.
    pub fn record(&self, user: UserKey<'_>, answer: &[u8], change: Option<ChangeToken>) -> Result<Recorded> {
        let contact = response::contact(answer)?;
        if change.is_some() && contact.email.is_none() {
            return Err(Error::AnswerWithoutEmail);
        }
        let observed = contact.email.map(|fact| Event::EmailObserved {
            vid: contact.vid,
            email: fact.email.map(|email| self.store.key().fingerprint(&email)),
            at: fact.at,
        });
        let about_user = |tx: &rusqlite::Connection| -> Result<()> {
            let outstanding = change.map_or(Ok(false), |token| store::is_outstanding(tx, user, token))?;
            let overtaken = match contact.email {
                Some(fact) if !outstanding => store::is_overtaken(tx, user, contact.vid, fact.at)?,
                _ => false,
            };
            if !overtaken {
                link(tx, user, contact.vid)?;
            }
            match change {
                Some(token) => store::apply(tx, &Event::ChangeFinished { user, token, at: now() }),
                None => Ok(()),
            }
        };
        self.store.write(|tx| {
            // What HubSpot says of a contact is believed, whoever has the contact.
            if let Some(event) = &observed {
                store::apply(tx, event)?;
            }
            match about_user(tx) {
                Err(refused @ Error::VidTaken { .. }) => Ok(Err(refused)),
                done => done.map(Ok),
            }
        })??;
        Ok(Recorded { vid: contact.vid, email_observed: observed.is_some() })
    }

    /// Begins a change of the user's email: from here until the change is finished or abandoned, no page
    /// names an email of theirs. Call it *before* the app's own commit, finish it by
    /// [`Vidcache::record`] with the token once HubSpot has answered, and let the worker call HubSpot no sooner
    /// than a quiet period after this: longer than [`Options::page_deadline`] by the time that a page view
    /// may take to reach HubSpot (5 s, say), and only while [`Vidcache::is_change_outstanding`]. Every begun change
    /// counts, not just the newest.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Cancelled`], [`Error::Storage`], [`Error::Corrupt`], [`Error::Closed`].
    /// Then no change was begun, and the app must not change the email.
    pub fn begin_email_change(&self, user: UserKey<'_>) -> Result<ChangeToken> {
        let token = ChangeToken::random()?;
        self.store.write(|tx| store::apply(tx, &Event::ChangeBegun { user, token, at: now() }))?;
        Ok(token)
    }

    /// Ends a change that did not happen: the app rolled back, and HubSpot was not told. Ending an
    /// ended change again does nothing.
    ///
    /// # Errors
    /// [`Error::UnknownChange`], [`Error::ForeignChange`], and as [`Vidcache::begin_email_change`].
    pub fn abandon_email_change(&self, user: UserKey<'_>, token: ChangeToken) -> Result<()> {
        self.store.write(|tx| {
            store::is_outstanding(tx, user, token)?;
            store::apply(tx, &Event::ChangeAbandoned { user, token, at: now() })
        })
    }

    /// Takes in what the app has long known: users and their contacts, and which email HubSpot held at
    /// which time, if the source says so. For a first fill: half a million rows a second, 10,000 to a
    /// transaction, others' writes in between. A link that was made by [`Vidcache::link`] or
    /// [`Vidcache::record`] stands against an imported one, and so does a later email. Importing again changes nothing.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Cancelled`], [`Error::Storage`], [`Error::Corrupt`], [`Error::Closed`]; the first error
    /// of `users`. Whole transactions before it stay.
    pub fn import<'a>(&self, users: impl IntoIterator<Item = Result<Imported<'a>>>) -> Result<ImportReport> {
        let mut report = ImportReport::default();
        let mut users = users.into_iter();
        loop {
            let batch = users.by_ref().take(IMPORT_BATCH).collect::<Result<Vec<_>>>()?;
            if batch.is_empty() {
                return Ok(report);
            }
            let taken = self.store.write(|tx| {
                let mut import = store::Import::new(tx)?;
                let mut taken = 0;
                for row in &batch {
                    let email = row.email.as_ref().map(|(email, at)| (self.store.key().fingerprint(email), *at));
                    taken += u64::from(import.put(&store::Known { user: row.user, vid: row.vid, email })?);
                }
                Ok(taken)
            })?;
            report.imported += taken;
            report.vid_taken += batch.len() as u64 - taken;
        }
    }

    /// Runs SQLite's own check of the file and the library's of its rows. Empty: nothing is wrong. Reads the
    /// whole file, minutes at millions of users; nobody waits for it meanwhile.
    ///
    /// # Errors
    /// As [`Vidcache::resolve`].
    pub fn verify(&self) -> Result<Vec<String>> {
        self.store.verify()
    }

    /// Whether the user's change is outstanding. A worker asks this before it tells HubSpot, with the user's other jobs
    /// locked out: a queue may deliver a job twice, and the second time, with the first change finished, the user may be
    /// in the middle of the next one, whose quiet period is not over. Telling HubSpot of *that* email now would
    /// break the rule.
    ///
    /// # Errors
    /// [`Error::UnknownChange`], [`Error::ForeignChange`], and as [`Vidcache::resolve`].
    pub fn is_change_outstanding(&self, user: UserKey<'_>, token: ChangeToken) -> Result<bool> {
        self.store.read(|rows| store::is_outstanding(rows, user, token))
    }

    /// The changes begun more than `older_than` ago and still outstanding, oldest first, at most `limit`.
    /// Their users' pages give the id alone until an answer read now is recorded with the token.
    ///
    /// # Errors
    /// As [`Vidcache::resolve`].
    pub fn stale_changes(&self, older_than: Duration, limit: u32) -> Result<Vec<StaleChange>> {
        let age = Millis::try_from(older_than.as_millis()).unwrap_or(Millis::MAX);
        self.store.read(|rows| store::stale_changes(rows, now().saturating_sub(age), limit))
    }

    /// What this handle has done in this process: how often memory answered, how large it is, whether it must do
    /// without, and what failed last.
    pub fn stats(&self) -> Stats {
        self.store.stats()
    }

    /// Closes the file. Every later call fails with [`Error::Closed`]; closing again does nothing.
    pub fn close(&self) {
        self.store.close();
    }

    /// The portal of the file.
    pub fn portal(&self) -> i64 {
        self.portal.get()
    }

    fn page<'a>(&'a self, nonce: Option<&'a str>) -> Page<'a> {
        Page {
            portal: self.portal.get(),
            loader_host: &self.loader_host,
            nonce,
            rendered_at: now(),
            deadline: self.page_deadline,
        }
    }
}

/// Links the user, unless they are linked to that contact already. A later link wins even when the
/// clock has gone back since the last one.
fn link(tx: &rusqlite::Connection, user: UserKey<'_>, vid: Vid) -> Result<()> {
    store::check_free(tx, user, vid)?;
    let at = match store::link_of(tx, user)? {
        Some((current, _)) if current == vid => return Ok(()),
        Some((_, linked_at)) => now().max(linked_at + 1),
        None => now(),
    };
    store::apply(tx, &Event::Linked { user, vid, at })
}

fn now() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis() as Millis)
}
