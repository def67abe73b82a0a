//! Who sends the statements, over the app's own connection: what every app needs of it, as a loop that is written once.

use std::time::Duration;

use vidcache::in_database::{Database, Errand, Recalled, Reply, Turn};
use vidcache::{ChangeToken, Email, Error, LeaseToken, Page, Result, UserKey};

/// How often what others stood in the way of is run, outside a transaction of the app's.
const TRIES: u64 = 5;

/// The five letters of a SQLSTATE; `""` where no server answered.
pub type SqlState = String;

pub(crate) type Answered<T> = std::result::Result<T, SqlState>;

/// A connection of the app's to its PostgreSQL, the server that is written to. Implement it for the client that the app
/// has; those of the crate postgres have it.
pub trait Connection {
    /// Runs one statement that gives at most one row, of one column, and gives that as text. `parameters` stand for
    /// `$1` and on, each of PostgreSQL's type `text`; a statement that has some is worth being kept prepared, one that
    /// has none is not.
    ///
    /// # Errors
    /// What the server said.
    fn ask(&mut self, statement: &str, parameters: &[&str]) -> Answered<Option<String>>;

    /// Runs statements, one or several with `;` between them, that give nothing.
    ///
    /// # Errors
    /// What the server said.
    fn run(&mut self, statements: &str) -> Answered<()>;

    /// Whether a transaction of the app's is open. Whatever is learnt is a part of it then, and a statement that fails
    /// ends its own part alone.
    fn is_in_transaction(&self) -> bool;
}

impl<C: Connection> Connection for &mut C {
    fn ask(&mut self, statement: &str, parameters: &[&str]) -> Answered<Option<String>> {
        (**self).ask(statement, parameters)
    }

    fn run(&mut self, statements: &str) -> Answered<()> {
        (**self).run(statements)
    }

    fn is_in_transaction(&self) -> bool {
        (**self).is_in_transaction()
    }
}

/// The tables by way of one connection.
pub struct Session<'a, C> {
    database: &'a Database,
    connection: C,
}

/// What every process does when it begins: it sets the tables up, unless somebody has, and takes the key that they
/// have. The tables are made before, by the app's migration, of [`Database::create`].
///
/// # Errors
/// Those of [`Database::take_key`], and [`Database::failure`]'s of a statement that the server refused.
pub fn set_up(database: &mut Database, mut connection: impl Connection) -> Result<()> {
    let [tables, deadline, key] = database.set_up()?;
    let mut session = Session::new(database, &mut connection);
    session.keep(&tables)?;
    let key = session.ask(&key)?;
    // Nothing is written into tables that are another portal's, or under another secret.
    let anew = database.take_key(&key)?;
    let mut session = Session::new(database, &mut connection);
    if let Some(anew) = anew {
        session.keep(&anew)?;
    }
    session.keep(&deadline)
}

impl<'a, C: Connection> Session<'a, C> {
    /// Has the statements sent by this connection, or by a borrowed one, `&mut connection`.
    pub fn new(database: &'a Database, connection: C) -> Self {
        Self { database, connection }
    }

    /// What a page may say of the user, whose email the app believes to be `email`, from memory or by one statement, of
    /// few users by two. Never fails: the error beside it, to be reported, is why the page says less
    /// ([`Reason::Stale`](vidcache::Reason::Stale), or by what memory has).
    pub fn page<'p>(&mut self, user: UserKey<'_>, email: Option<&'p Email>) -> (Page<'p>, Option<Error>)
    where
        'a: 'p,
    {
        let database = self.database;
        let look = database.look();
        let since = match database.recall(user, email, look) {
            Recalled::Page(page) => return (page, None),
            Recalled::Ask(since) => since,
        };
        let parameter = database.parameter(user);
        let both = [parameter.as_str(), since.as_str()];
        let parameters = if database.watch_stats().is_some() { &both[..] } else { &both[..1] };
        for statement in [database.prepared_for(&since), database.prepared_walk()] {
            let answer = match self.apart(|connection| connection.ask(statement, parameters)) {
                Ok(answer) => answer.unwrap_or_default(),
                Err(error) => return (database.unanswered(user, email), Some(error)),
            };
            if let Reply::Page(page, why) = database.reply(user, email, &answer, look) {
                return (page, why.map(|why| why.error(database.portal())));
            }
        }
        let twice = Error::TablesUnusable("an answer says twice that there is more".into());
        (database.unanswered(user, email), Some(twice))
    }

    /// Begins a change, in the transaction that is open on the connection: there is one if and only if that is
    /// committed.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::TablesUnusable`], [`Error::Busy`]; then the app's transaction is to be rolled back.
    pub fn begin(&mut self, user: UserKey<'_>) -> Result<ChangeToken> {
        let (token, statement) = self.database.begin(user)?;
        self.connection.run(&statement).map_err(|state| self.database.failure(&state))?;
        Ok(token)
    }

    /// Says that a change is committed, after the app has seen its COMMIT succeed: [`Database::see`]. In a transaction
    /// that is open it does nothing.
    ///
    /// # Errors
    /// As [`Session::begin`].
    pub fn see(&mut self, token: ChangeToken) -> Result<()> {
        if self.connection.is_in_transaction() { Ok(()) } else { self.keep(&self.database.see(token)) }
    }

    /// Whether the worker, who has the user's lease, may tell HubSpot of the change: [`Database::turn`]; a change that
    /// nobody has seen is seen by this, so it is to be asked in no transaction.
    ///
    /// # Errors
    /// As [`Session::read`] of [`Database::turn`].
    pub fn turn(&mut self, user: UserKey<'_>, token: ChangeToken, at_least: Duration) -> Result<Turn> {
        let (turn, see) = self.read(&self.database.turn(user, token, at_least))?;
        if let Some(statement) = see {
            self.keep(&statement)?;
        }
        Ok(turn)
    }

    /// Takes the user's lease, or goes on with it, if nobody else has it: [`Database::lease`]. Not in a transaction.
    ///
    /// # Errors
    /// [`Error::InvalidOption`], and as [`Session::begin`].
    pub fn lease(
        &mut self,
        user: UserKey<'_>,
        duration: Duration,
        held: Option<LeaseToken>,
    ) -> Result<Option<LeaseToken>> {
        let (token, statement) = self.database.lease(user, duration, held)?;
        Ok(self.apart(|connection| connection.ask(&statement, &[]))?.map(|_| token))
    }

    /// Ends a lease; false: the holder had it no more.
    ///
    /// # Errors
    /// As [`Session::begin`].
    pub fn release(&mut self, user: UserKey<'_>, held: LeaseToken) -> Result<bool> {
        let statement = self.database.release(user, held);
        Ok(self.apart(|connection| connection.ask(&statement, &[]))?.is_some())
    }

    /// How long a worker waits: [`Database::quiet_period`].
    ///
    /// # Errors
    /// As [`Session::read`].
    pub fn quiet_period(&mut self) -> Result<Duration> {
        let answer = self.ask(&self.database.ask_quiet_period())?;
        self.database.quiet_period(&answer)
    }

    /// What comes of an errand that is to be read ([`Errand::read`]).
    ///
    /// # Errors
    /// The errand's, and as [`Session::begin`].
    pub fn read<T>(&mut self, errand: &Errand<'_, T>) -> Result<T> {
        errand.read(&self.ask(&errand.ask())?)
    }

    /// Runs an errand, in a transaction of its own or as a part of the app's. What a deadlock broke off is run again,
    /// unless the app's own work went with it.
    ///
    /// # Errors
    /// The errand's, and as [`Session::begin`]; then nothing was written.
    pub fn run<T>(&mut self, errand: &Errand<'_, T>) -> Result<T> {
        let inside = self.connection.is_in_transaction();
        let mut tries = 1;
        loop {
            match self.transaction(inside, errand) {
                Err(Error::Busy) if !inside && tries < TRIES => tries += 1,
                done => return done,
            }
            std::thread::sleep(Duration::from_millis(10 * tries));
        }
    }

    fn transaction<T>(&mut self, inside: bool, errand: &Errand<'_, T>) -> Result<T> {
        // In READ COMMITTED a statement sees what others have committed while it waited for them.
        let (begin, end, back) = match inside {
            true => PART,
            false => ("BEGIN ISOLATION LEVEL READ COMMITTED", "COMMIT", "ROLLBACK"),
        };
        let failed = |state: SqlState| self.database.failure(&state);
        self.connection
            .run(&format!("{begin};\n{}", errand.lock()))
            .map_err(failed)
            .and_then(|()| {
                let answer = self.connection.ask(&errand.ask(), &[]).map_err(failed)?;
                let (done, mut statements) = errand.finish(&answer.unwrap_or_default())?;
                statements.push(end.into());
                self.connection.run(&statements.join(";\n")).map_err(failed)?;
                Ok(done)
            })
            .inspect_err(|_| {
                // Where it fails the connection has gone, and what was written with it.
                let _ = self.connection.run(back);
            })
    }

    /// Asks for what one of the library's own methods reads: [`Database::ask_conflicts`] for one.
    ///
    /// # Errors
    /// As [`Session::begin`]; [`Error::TablesUnusable`]: it gave no row.
    pub fn ask(&mut self, statement: &str) -> Result<String> {
        let answer = self.apart(|connection| connection.ask(statement, &[]))?;
        // The key of tables that nobody has set up.
        Ok(answer.unwrap_or_default())
    }

    /// Runs a statement that the library gave: of [`Database::create`], [`Database::upkeep`],
    /// [`Database::doubt_all`], [`Database::copy`].
    ///
    /// # Errors
    /// As [`Session::begin`].
    pub fn keep(&mut self, statement: &str) -> Result<()> {
        self.apart(|connection| connection.run(statement))
    }

    /// A failed statement ends the whole transaction, unless it is in a part of it.
    fn apart<T>(&mut self, work: impl FnOnce(&mut C) -> Answered<T>) -> Result<T> {
        let failed = |state: SqlState| self.database.failure(&state);
        if !self.connection.is_in_transaction() {
            return work(&mut self.connection).map_err(failed);
        }
        let (begin, end, back) = PART;
        self.connection.run(begin).map_err(failed)?;
        let done = work(&mut self.connection);
        self.connection.run(if done.is_ok() { end } else { back }).map_err(failed)?;
        done.map_err(failed)
    }
}

/// A part of the app's transaction: how it begins, ends, and is taken back.
const PART: (&str, &str, &str) =
    ("SAVEPOINT vidcache", "RELEASE SAVEPOINT vidcache", "ROLLBACK TO SAVEPOINT vidcache; RELEASE SAVEPOINT vidcache");
