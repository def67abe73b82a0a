//! A host of the app: its connection, and the library beside it.

use std::time::Duration;

use postgres::Client;
use vidcache::in_database::{Database, Part, Turn};
use vidcache::{ChangeToken, Decision, Email, Error, Options, Reason, UserKey, Vid};

use vidcache_postgres::{Connection, Session, set_up};

use crate::Server;

/// The portal of every test.
pub const PORTAL: i64 = 62515;
/// The app's secret.
pub const SECRET: &[u8] = b"thirty-two bytes kept out of it.";

/// One process of the app, on a host of its own.
pub struct Host {
    /// The app's connection.
    pub client: Client,
    /// The library.
    pub vidcache: Database,
}

/// What a page says: an email, an id, why, and why the answer was not believed.
pub type Page = (Option<String>, Option<i64>, Reason, Option<Error>);

impl Host {
    /// The first host of a new database, whose tables are made.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn first(server: &Server) -> (String, Self) {
        let name = server.database();
        let mut host = Self::of(server, &name, PORTAL, SECRET);
        for sql in host.vidcache.create() {
            host.client.batch_execute(&sql).expect("a table");
        }
        host.set_up();
        (name, host)
    }

    /// Another host.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn of(server: &Server, database: &str, portal: i64, secret: &[u8]) -> Self {
        let options = Options { secret: Some(secret), ..Options::default() };
        let vidcache = Database::new("public", portal, &options).expect("options");
        Self { client: server.connect(database), vidcache }
    }

    /// What every process does when it begins.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn set_up(&mut self) {
        // Whose key it is not, a page says, too.
        let set_up = set_up(&mut self.vidcache, &mut self.client);
        assert!(!matches!(set_up, Err(Error::Storage(_) | Error::TablesUnusable(_) | Error::Busy)), "{set_up:?}");
    }

    /// Empties all tables, as a person does who wants to begin from nothing.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn empty(&mut self) {
        self.client
            .batch_execute(
                "TRUNCATE vidcache_meta, vidcache_links, vidcache_contacts, vidcache_merges, vidcache_secondaries,
                 vidcache_changes, vidcache_conflicts, vidcache_erased, vidcache_buried, vidcache_erased_users,
                 vidcache_leases, vidcache_deadlines, vidcache_touched",
            )
            .expect("emptied");
    }

    /// The one text of an answer, by the simple protocol.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn text(client: &mut Client, sql: &str) -> String {
        let found = client.ask(sql, &[]).unwrap_or_else(|state| panic!("{state}: {sql}"));
        found.expect("one row")
    }

    /// A page about the user, asked on the host's connection.
    pub fn page(&mut self, user: i64, email: &str) -> Page {
        let email = Email::parse(email).expect("an email");
        let (page, why) = Session::new(&self.vidcache, &mut self.client).page(UserKey::from(user), Some(&email));
        said(&page.decision(), why)
    }

    /// Links the user.
    ///
    /// # Errors
    /// As the library.
    pub fn link(&mut self, user: i64, vid: i64, shared: bool) -> Result<(), Error> {
        let vid = Vid::try_from(vid)?;
        Session::new(&self.vidcache, &mut self.client).run(&self.vidcache.link(UserKey::from(user), vid, shared))
    }

    /// Records an answer.
    ///
    /// # Errors
    /// As the library.
    pub fn record(&mut self, user: i64, answer: &str, change: Option<ChangeToken>) -> Result<(), Error> {
        self.record_read(user, answer, change, None)
    }

    /// Records an answer to a call that was begun then.
    ///
    /// # Errors
    /// As the library.
    pub fn record_read(
        &mut self,
        user: i64,
        answer: &str,
        change: Option<ChangeToken>,
        asked_at: Option<i64>,
    ) -> Result<(), Error> {
        let errand = self.vidcache.record(UserKey::from(user), answer.as_bytes(), change, asked_at)?;
        Session::new(&self.vidcache, &mut self.client).run(&errand)?.map(drop)
    }

    /// A whole list, `limit` at a time.
    ///
    /// # Panics
    /// If the server refuses, or the library does.
    pub fn list<T, P>(
        &mut self,
        ask: impl Fn(&Database, Option<&P>) -> String,
        read: impl Fn(&Database, &str) -> Result<Part<T, P>, Error>,
    ) -> Vec<T> {
        let (mut all, mut next) = (Vec::new(), None);
        loop {
            let answer = Self::text(&mut self.client, &ask(&self.vidcache, next.as_ref()));
            let part = read(&self.vidcache, &answer).expect("a list");
            all.extend(part.items);
            next = part.next;
            if next.is_none() {
                return all;
            }
        }
    }

    /// Takes in a webhook.
    ///
    /// # Errors
    /// As the library.
    pub fn webhook(&mut self, body: &str) -> Result<(), Error> {
        let errand = self.vidcache.apply_webhook(body.as_bytes())?;
        Session::new(&self.vidcache, &mut self.client).run(&errand).map(drop)
    }

    /// Asks whether HubSpot may be told, and says that the change was seen, if that is what it takes.
    ///
    /// # Errors
    /// As the library.
    pub fn turn(&mut self, user: i64, change: ChangeToken) -> Result<Turn, Error> {
        Session::new(&self.vidcache, &mut self.client).turn(UserKey::from(user), change, Duration::ZERO)
    }
}

/// A decision in words that can be compared.
pub(crate) fn said(decision: &Decision<'_>, why: Option<Error>) -> Page {
    (decision.email().map(str::to_owned), decision.id().map(Vid::get), decision.reason(), why)
}
