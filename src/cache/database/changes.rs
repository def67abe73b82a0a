//! A change of an email, from its beginning in the app's own transaction to the worker's turn.

use std::time::Duration;

use super::{Database, Errand};
use crate::database::answer;
use crate::database::ask::{self, Depth, Names};
use crate::database::quiet::Turn;
use crate::database::{quiet, statements};
use crate::error::Result;
use crate::event::{ChangeToken, Millis};
use crate::identity::UserKey;
use crate::rows::facts::Key;
use crate::rows::lease::{self, LeaseToken};
use crate::rows::{self, TRANSIT, learn};

impl Database {
    /// Begins a change, as [`Vidcache::begin_email_change`](crate::Vidcache::begin_email_change): its token, and the
    /// statement to be run in the transaction that changes the email. It is begun if and only if that is committed, so
    /// after a rollback there is nothing to abandon.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage): there are no random numbers.
    pub fn begin(&self, user: UserKey<'_>) -> Result<(ChangeToken, String)> {
        let token = ChangeToken::random()?;
        Ok((token, statements::begin(&self.tables, &Key::from(user), token)))
    }

    /// Says that the change is committed, for the process that has just seen its own COMMIT succeed, so that the quiet
    /// period begins then and the worker need not come twice. In a transaction of its own, never in the change's. While
    /// somebody is just being linked to the contact, or the contact merged, it waits for nobody and writes nothing:
    /// then the worker sees the change.
    pub fn see(&self, token: ChangeToken) -> String {
        statements::see(&self.tables, token, 0)
    }

    /// Whether the worker may tell HubSpot of the change now, after the quiet period or after `at_least`, whichever is
    /// longer. Where it has to be seen first, the statement that comes with it says so: run it, in a transaction that
    /// is committed at once. An errand that is read ([`Errand::read`]): with the user's lease held it needs no lock.
    ///
    /// The errand's errors are [`Error::UnknownChange`](crate::Error::UnknownChange), also of a change whose
    /// transaction is not committed yet or was rolled back, and [`Error::ForeignChange`](crate::Error::ForeignChange).
    pub fn turn<'a>(
        &'a self,
        user: UserKey<'a>,
        token: ChangeToken,
        at_least: Duration,
    ) -> Errand<'a, (Turn, Option<String>)> {
        let names = Names { users: vec![Key::from(user)], tokens: vec![token.get()], ..Names::default() };
        self.errand(names, move |rows, answer| {
            // An old snapshot knows nothing of who came to the contact since.
            answer.head.for_writing(&self.reader)?;
            let clock = answer.head.clock;
            let since = rows::outstanding_since(rows, user, token, clock)?;
            let turn = quiet::turn(since, answer.seen(token), clock, self.quiet(answer.head.deadline).max(at_least));
            let see = (turn == Turn::See).then(|| statements::see(&self.tables, token, since.unwrap_or(0)));
            Ok((turn, see))
        })
    }

    /// Whether the change is outstanding, as
    /// [`Vidcache::is_change_outstanding`](crate::Vidcache::is_change_outstanding). To be read.
    pub fn is_change_outstanding<'a>(&'a self, user: UserKey<'a>, token: ChangeToken) -> Errand<'a, bool> {
        let names = Names { users: vec![Key::from(user)], tokens: vec![token.get()], ..Names::default() };
        self.errand(names, move |rows, _| rows::is_outstanding(rows, user, token))
    }

    /// Since when the change has counted for every page, if it is outstanding: since a worker saw it committed, or,
    /// while none has, since now; in milliseconds since 1970 by PostgreSQL's clock. To be read. A worker asks for its
    /// [`Database::turn`] and needs no clock.
    pub fn change_outstanding_since<'a>(&'a self, user: UserKey<'a>, token: ChangeToken) -> Errand<'a, Option<Millis>> {
        let names = Names { users: vec![Key::from(user)], tokens: vec![token.get()], ..Names::default() };
        self.errand(names, move |rows, answer| {
            let clock = answer.head.clock;
            let since = rows::outstanding_since(rows, user, token, clock)?;
            Ok(since.map(|since| answer.seen(token).filter(|seen| *seen > since).unwrap_or(clock)))
        })
    }

    /// Asks for what [`Database::quiet_period`] reads.
    pub fn ask_quiet_period(&self) -> String {
        ask::nobody(&self.tables)
    }

    /// How long a worker waits after it has seen a change: the longest page deadline that any process has written down
    /// in the last 30 days, and 5 s more.
    ///
    /// # Errors
    /// Those of an answer that is not believed.
    pub fn quiet_period(&self, answer: &str) -> Result<Duration> {
        let head = self.believed(answer::read(answer, Depth::Work)?)?.head;
        Ok(self.quiet(head.deadline))
    }

    fn quiet(&self, longest: Option<u64>) -> Duration {
        longest.map_or(Duration::ZERO, Duration::from_millis).max(self.reader.deadline) + TRANSIT
    }

    /// Ends a change that did not happen, as [`Vidcache::abandon_email_change`](crate::Vidcache::abandon_email_change).
    pub fn abandon<'a>(&'a self, user: UserKey<'a>, token: ChangeToken) -> Errand<'a, ()> {
        let names = Names { users: vec![Key::from(user)], tokens: vec![token.get()], ..Names::default() };
        self.errand(names, move |rows, answer| learn::abandon(rows, user, token, answer.head.clock))
    }

    /// Takes the user's lease for that long, from 1 ms to 1 hour, or goes on with it, as
    /// [`Vidcache::lease`](crate::Vidcache::lease): a statement that gives a row if and only if it is the holder's
    /// then. Run it by itself, in no transaction of the app's: others who want the lease would wait for its end.
    ///
    /// # Errors
    /// [`Error::InvalidOption`](crate::Error::InvalidOption); [`Error::Storage`](crate::Error::Storage): there are no
    /// random numbers.
    pub fn lease(
        &self,
        user: UserKey<'_>,
        duration: Duration,
        held: Option<LeaseToken>,
    ) -> Result<(LeaseToken, String)> {
        let ms = lease::milliseconds(duration)?;
        let holder = held.map_or_else(LeaseToken::random, Ok)?;
        Ok((holder, statements::lease(&self.tables, &Key::from(user), holder, ms, held.is_some())))
    }

    /// Ends the holder's lease: a statement that gives a row if the holder had it still.
    pub fn release(&self, user: UserKey<'_>, held: LeaseToken) -> String {
        statements::release(&self.tables, &Key::from(user), held)
    }
}
