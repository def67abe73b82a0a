//! The facade: one type that every binding wraps.

pub(crate) mod account;
mod copies;
#[cfg(any(test, feature = "database"))]
pub(crate) mod database;
pub(crate) mod intake;
mod lists;
pub(crate) mod options;
#[cfg(any(test, feature = "database"))]
pub(crate) mod tables;
#[cfg(test)]
mod tests;
pub(crate) mod words;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use self::options::Options;
use crate::decision::{self, Decision};
use crate::email::Email;
use crate::error::{Error, Result};
use crate::event::{ChangeToken, Event, Millis};
use crate::file::{self, Settings};
use crate::identity::{Identity, UserKey, Vid};
use crate::limits::PATIENCE_OF_A_SAVE;
use crate::rows::lease::{self, LeaseToken};
use crate::rows::{self, learn};
use crate::snippet::{Page, Template};
use crate::store::{Stats, Store};

/// Up to how many users are looked up in the in-process table, one by one.
const MANY: usize = 256;

/// A user → contact cache in one SQLite file, for one HubSpot portal.
///
/// Safe to share between threads. A handle opened before `fork` works in parent and child: the library
/// closes its connections before the fork and either side opens its own again. Several processes of
/// one host may open the same file; each sees every commit made before its call.
pub struct Vidcache {
    store: Store,
    portal: Vid,
    template: Template,
    page_deadline: Duration,
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
        options.check()?;
        let page_deadline = options.page_deadline;
        let store = Store::open(&Settings {
            path: path.as_ref(),
            portal,
            secret: options.secret,
            old_secrets: options.old_secrets,
            synchronous: options.synchronous,
            busy_timeout: options.busy_timeout,
            memory: options.memory,
        })?;
        store.announce(page_deadline, now())?;
        let template = Template::new(portal, options.loader_host, page_deadline);
        Ok(Self { store, portal: portal_id, template, page_deadline })
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
        file::move_aside(path.as_ref())
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

    /// [`Vidcache::resolve`] for many users, in their order. More than some hundred are read from the file as of one
    /// commit, and stay out of the in-process table, whose users are those of pages.
    ///
    /// # Errors
    /// As [`Vidcache::resolve`].
    pub fn resolve_many(&self, users: &[UserKey<'_>]) -> Result<Vec<Option<Identity>>> {
        match users.len() {
            0..=MANY => users.iter().map(|user| self.resolve(*user)).collect(),
            _ => self.store.read_at_once(|rows| rows::identities(rows, users)),
        }
    }

    /// [`Vidcache::decide`] for many users, in their order. Each decision is current as of this call; they need not be
    /// of one commit, since none depends on another user.
    ///
    /// # Errors
    /// As [`Vidcache::resolve`].
    pub fn decide_many<'e>(&self, users: &'e [(UserKey<'_>, Option<Email>)]) -> Result<Vec<Decision<'e>>> {
        users.iter().map(|(user, email)| self.decide(*user, email.as_ref())).collect()
    }

    /// The HTML that puts the decision, and HubSpot's loader, on a page: two `<script>` elements.
    /// `nonce` is the page's Content-Security-Policy nonce.
    ///
    /// # Errors
    /// As [`Vidcache::resolve`].
    pub fn snippet(&self, user: UserKey<'_>, email: Option<&Email>, nonce: Option<&str>) -> Result<String> {
        Ok(self.page(user, email)?.render(nonce))
    }

    /// Begins a page about the user, whose email the app believes to be `email`: what it may say, as of now, to be
    /// rendered as HTML or as the data of a page that the app makes itself.
    ///
    /// # Errors
    /// As [`Vidcache::resolve`].
    #[inline]
    pub fn page<'a>(&'a self, user: UserKey<'_>, email: Option<&'a Email>) -> Result<Page<'a>> {
        let begun_at = self.begin_page();
        Ok(Page::new(&self.template, begun_at, self.decide(user, email)?))
    }

    /// Begins a page whose visitor the app does not know: the loader, and no identity.
    pub fn anonymous_page(&self) -> Page<'_> {
        Page::new(&self.template, self.begin_page(), Decision::ANONYMOUS)
    }

    /// Begins the page after a sign-out: that of [`Vidcache::anonymous_page`], and HubSpot's tracker gives the browser
    /// a new usertoken, so that nothing it sends from here on belongs to the former user's contact.
    pub fn signed_out_page(&self) -> Page<'_> {
        Page::signed_out(&self.template, self.begin_page())
    }

    /// Says that the user is this contact, without saying which email HubSpot holds for it.
    ///
    /// # Errors
    /// [`Error::VidTaken`], and as [`Vidcache::begin_email_change`].
    pub fn link(&self, user: UserKey<'_>, vid: Vid) -> Result<()> {
        self.store.write(|tx| learn::link(tx, user, vid, now()))
    }

    /// [`Vidcache::link`] to a contact that may be another user's too: the explicit choice that they share it. A
    /// change of one's email then keeps all of them from naming theirs.
    ///
    /// # Errors
    /// As [`Vidcache::begin_email_change`].
    pub fn link_shared(&self, user: UserKey<'_>, vid: Vid) -> Result<()> {
        self.store.write(|tx| learn::link_shared(tx, user, vid, now()))
    }

    /// Begins a change of the user's email: from here until the change is finished or abandoned, no page
    /// names an email of theirs. Call it *before* the app's own commit, finish it by
    /// [`Vidcache::record`] with the token once HubSpot has answered, and let the worker call HubSpot no sooner
    /// than [`Vidcache::quiet_period`] after this, and only while [`Vidcache::is_change_outstanding`]. Every begun
    /// change counts, not just the newest. It waits for other processes' writes for 2 s at most, since a visitor may be
    /// waiting for it.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Cancelled`], [`Error::Storage`], [`Error::Corrupt`], [`Error::Closed`].
    /// Then no change was begun, and the app must not change the email.
    pub fn begin_email_change(&self, user: UserKey<'_>) -> Result<ChangeToken> {
        let token = ChangeToken::random()?;
        let begun = |tx: &_| rows::apply(tx, &Event::ChangeBegun { user, token, at: now() });
        self.store.write_within(PATIENCE_OF_A_SAVE, begun)?;
        Ok(token)
    }

    /// How long the worker must wait after the beginning of a change before it tells HubSpot: the longest
    /// [`Options::page_deadline`] of any process that used the file within the last day, and 5 s more, which a page
    /// view may take to reach HubSpot.
    ///
    /// # Errors
    /// As [`Vidcache::resolve`].
    pub fn quiet_period(&self) -> Result<Duration> {
        self.store.quiet_period(self.page_deadline, now())
    }

    /// Ends a change that did not happen: the app rolled back, and HubSpot was not told. Ending an
    /// ended change again does nothing.
    ///
    /// # Errors
    /// [`Error::UnknownChange`], [`Error::ForeignChange`], and as [`Vidcache::begin_email_change`].
    pub fn abandon_email_change(&self, user: UserKey<'_>, token: ChangeToken) -> Result<()> {
        self.store.write(|tx| learn::abandon(tx, user, token, now()))
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
    /// locked out: a queue may deliver a job twice, and the second time, with the first change finished, the user may
    /// be in the middle of the next one, whose quiet period is not over. Telling HubSpot of *that* email now would
    /// break the rule.
    ///
    /// # Errors
    /// [`Error::UnknownChange`], [`Error::ForeignChange`], and as [`Vidcache::resolve`].
    pub fn is_change_outstanding(&self, user: UserKey<'_>, token: ChangeToken) -> Result<bool> {
        self.store.read(|rows| rows::is_outstanding(rows, user, token))
    }

    /// Since when the user's change has counted for every page that could name the email of their contact, in
    /// milliseconds since 1970 by the app's clock: since it was begun, or, if the contact has become another user's too
    /// meanwhile (HubSpot merged two, or [`Vidcache::link_shared`]), since that was heard. `None` once it has ended. A
    /// worker asks when it runs, and waits until this is a [`Vidcache::quiet_period`] ago.
    ///
    /// # Errors
    /// As [`Vidcache::is_change_outstanding`].
    pub fn change_outstanding_since(&self, user: UserKey<'_>, token: ChangeToken) -> Result<Option<Millis>> {
        self.store.read(|rows| rows::outstanding_since(rows, user, token, now()))
    }

    /// Takes the user's lease for that long, from 1 ms to 1 hour: the right to tell HubSpot of the user, which one job
    /// has at a time, over all processes that use the file. With the token that `held` has, the lease goes on for that
    /// long from now. `None`: another job has it; or, where `held` is given, the holder was slower than the deadline,
    /// or the lease is in a file that is there no more.
    ///
    /// A worker takes it before it reads the user's email from the app's database, and renews it before each call that
    /// writes to HubSpot, for longer than the call can take. No lock of any database is open meanwhile. A process
    /// that dies with the lease leaves it to run out.
    ///
    /// # Errors
    /// [`Error::InvalidOption`], and as [`Vidcache::begin_email_change`].
    pub fn lease(&self, user: UserKey<'_>, duration: Duration, held: Option<LeaseToken>) -> Result<Option<LeaseToken>> {
        let ms = lease::milliseconds(duration)?;
        let holder = held.map_or_else(LeaseToken::random, Ok)?;
        let given = self.store.write(|tx| {
            // Read in the transaction: to wait for it takes time.
            let at = now();
            match held {
                Some(_) => lease::renew(tx, user, holder, at, at + ms),
                None => lease::take(tx, user, holder, at, at + ms),
            }
        })?;
        Ok(given.then_some(holder))
    }

    /// Ends the user's lease, so that the next job need not wait for its deadline. False: the holder had none any more.
    ///
    /// # Errors
    /// As [`Vidcache::begin_email_change`].
    pub fn release(&self, user: UserKey<'_>, held: LeaseToken) -> Result<bool> {
        self.store.write(|tx| lease::release(tx, user, held))
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

    /// Closes the file with the next call that may wait, of any handle of this process, or before a fork. Later calls
    /// of this handle fail with [`Error::Closed`]. Waits for nobody and not for the disk: for a garbage collector
    /// that has stopped all threads of its program.
    pub fn close_later(&self) {
        self.store.close_later();
    }

    /// The portal of the file.
    pub fn portal(&self) -> i64 {
        self.portal.get()
    }

    /// The time at which a page begins: read before the decision is made, since a page must never look younger than
    /// what it says.
    #[inline]
    fn begin_page(&self) -> Millis {
        let at = now();
        if self.store.must_announce(at) {
            self.store.announce_again(self.page_deadline, at);
        }
        at
    }
}

fn now() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis() as Millis)
}
