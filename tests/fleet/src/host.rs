//! A host of the app: its connection, and the library beside it.

use std::time::Duration;

use postgres::{Client, SimpleQueryMessage};
use vidcache::in_database::{Database, Distrust, Errand, Part, Reply, Turn};
use vidcache::{ChangeToken, Decision, Email, Error, Options, Reason, UserKey, Vid};

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
pub type Page = (Option<String>, Option<i64>, Reason, Option<Distrust>);

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

    /// Asks, and reads what came back.
    ///
    /// # Errors
    /// The library's.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn read<T>(client: &mut Client, errand: &Errand<'_, T>) -> Result<T, Error> {
        errand.read(&Self::text(client, &errand.ask()))
    }

    /// What every process does when it begins.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn set_up(&mut self) {
        let [tables, deadline, key] = self.vidcache.set_up().expect("statements");
        self.client.batch_execute(&tables).expect("set up");
        self.client.batch_execute(&deadline).expect("written down");
        let key = Self::text(&mut self.client, &key);
        // Whose key it is not, a page says, too.
        if let Ok(Some(anew)) = self.vidcache.take_key(&key) {
            self.client.batch_execute(&anew).expect("wrapped anew");
        }
    }

    /// The one text of an answer, by the simple protocol.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn text(client: &mut Client, sql: &str) -> String {
        let rows = client.simple_query(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
        let found = rows.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        found.expect("one row").to_owned()
    }

    /// A page about the user, asked on the host's connection.
    ///
    /// # Panics
    /// If the server refuses, or says twice that there is more.
    pub fn page(&mut self, user: i64, email: &str) -> Page {
        let look = self.vidcache.look();
        let mut sql = self.vidcache.ask(UserKey::from(user));
        let email = Email::parse(email).expect("an email");
        for _ in 0..2 {
            let answer = Self::text(&mut self.client, &sql);
            match self.vidcache.reply(UserKey::from(user), Some(&email), &answer, look) {
                Reply::More(walk) => sql = walk,
                Reply::Page(page, why) => return said(&page.decision(), why),
            }
        }
        panic!("more twice");
    }

    /// Runs an errand in a transaction.
    ///
    /// # Errors
    /// The library's; then nothing is written.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn run<T>(client: &mut Client, errand: &Errand<'_, T>) -> Result<T, Error> {
        let mut tx = client.transaction().expect("a transaction");
        tx.batch_execute(&errand.lock()).expect("locked");
        // By the other protocol, as Active Record does it.
        let answer: String =
            tx.query_one(&errand.ask(), &[]).unwrap_or_else(|e| panic!("{e:?}: {}", errand.ask())).get(0);
        let (done, statements) = errand.finish(&answer)?;
        for sql in statements {
            tx.batch_execute(&sql).unwrap_or_else(|error| panic!("{error:?}: {sql}"));
        }
        tx.commit().expect("committed");
        Ok(done)
    }

    /// Links the user.
    ///
    /// # Errors
    /// As the library.
    pub fn link(&mut self, user: i64, vid: i64, shared: bool) -> Result<(), Error> {
        let vid = Vid::try_from(vid)?;
        Self::run(&mut self.client, &self.vidcache.link(UserKey::from(user), vid, shared))
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
        Self::run(&mut self.client, &errand)?.map(drop)
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
        Self::run(&mut self.client, &errand).map(drop)
    }

    /// Asks whether HubSpot may be told, and says that the change was seen, if that is what it takes.
    ///
    /// # Errors
    /// As the library.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn turn(&mut self, user: i64, change: ChangeToken) -> Result<Turn, Error> {
        let errand = self.vidcache.turn(UserKey::from(user), change, Duration::ZERO);
        let (turn, see) = Self::read(&mut self.client, &errand)?;
        if let Some(sql) = see {
            self.client.batch_execute(&sql).expect("seen");
        }
        Ok(turn)
    }
}

/// A decision in words that can be compared.
pub(crate) fn said(decision: &Decision<'_>, why: Option<Distrust>) -> Page {
    (decision.email().map(str::to_owned), decision.id().map(Vid::get), decision.reason(), why)
}
