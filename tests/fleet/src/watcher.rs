//! A host that keeps answers, and counts what it asks.

use std::cell::Cell;
use std::time::Duration;

use vidcache::in_database::{Clocks, Database, Recalled, Reply};
use vidcache::{Email, Options, UserKey};

use crate::host::said;
use crate::{Host, PORTAL, Page, SECRET, Server};

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(1_000_000) };
}

/// Lets so many milliseconds go by for the watchers of this thread.
pub fn later(ms: i64) {
    NOW.set(NOW.get() + ms);
}

/// A process of the app whose pages are answered from memory.
pub struct Watcher {
    /// Its connection and the library.
    pub host: Host,
    /// What a weaker client would have read in place of an answer.
    pub believes: fn(String) -> String,
    /// How many statements it has sent.
    pub asked: u32,
}

impl Watcher {
    /// Of a database whose tables are made and set up: answers are kept for a second, of a clock that [`later`] sets.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn of(server: &Server, database: &str) -> Self {
        Self::by(server, database, Some(|| (1_772_359_200_000, NOW.get())))
    }

    /// [`Watcher::of`] by the machine's clocks.
    ///
    /// # Panics
    /// As there.
    pub fn by_the_machine(server: &Server, database: &str) -> Self {
        Self::by(server, database, None)
    }

    fn by(server: &Server, database: &str, clocks: Option<Clocks>) -> Self {
        let mut host = Host::of(server, database, PORTAL, SECRET);
        let options = Options { secret: Some(SECRET), ..Options::default() };
        let vidcache = Database::new("public", PORTAL, &options).expect("options");
        let vidcache = vidcache.watching(Duration::from_secs(1), 1 << 20).expect("memory");
        host.vidcache = match clocks {
            Some(clocks) => vidcache.by_clocks(clocks),
            None => vidcache,
        };
        host.set_up();
        Self { host, believes: |answer| answer, asked: 0 }
    }

    /// A page about the user: from memory, or asked for.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn page(&mut self, user: i64, email: &str) -> Page {
        let key = UserKey::from(user);
        let app = Email::parse(email).expect("an email");
        let Host { client, vidcache } = &mut self.host;
        let look = vidcache.look();
        let since = match vidcache.recall(key, Some(&app), look) {
            Recalled::Page(page) => return said(&page.decision(), None),
            Recalled::Ask(since) => since,
        };
        let mut sql = vidcache.ask_since(key, &since);
        for _ in 0..2 {
            self.asked += 1;
            let answer = (self.believes)(Host::text(client, &sql));
            match vidcache.reply(key, Some(&app), &answer, look) {
                Reply::More(walk) => sql = walk,
                Reply::Page(page, why) => return said(&page.decision(), why.map(|why| why.error(PORTAL))),
            }
        }
        panic!("more twice");
    }

    /// [`Watcher::page`] after as long as memory is believed: so it is asked for, and with it what was touched.
    ///
    /// # Panics
    /// As there.
    pub fn look(&mut self, user: i64, email: &str) -> Page {
        later(1_010);
        self.page(user, email)
    }

    /// How often it has forgotten everything.
    ///
    /// # Panics
    /// Never: it keeps answers.
    pub fn forgotten(&self) -> u64 {
        self.host.vidcache.watch_stats().expect("it keeps answers").forgotten
    }
}

/// An answer as whoever goes by the last number alone would have it.
///
/// # Panics
/// If it is none that is kept.
pub fn without_who_is_open(answer: &str) -> String {
    let (before, rest) = answer.split_once("\"at\" : \"").expect("a snapshot");
    let (snapshot, rest) = rest.split_once('"').expect("a text");
    let xmax = snapshot.split(':').nth(1).expect("a number");
    format!("{before}\"at\" : \"{xmax}:{xmax}:\"{rest}")
}

/// An answer as whoever overlooks another server, or another life of the same, would have it.
pub fn as_of_the_same_life(answer: &str) -> String {
    without_its_process(&with(&with(answer, "server", "5"), "counts", "5"))
}

/// An answer as whoever overlooks when the server's process began would have it.
pub fn without_its_process(answer: &str) -> String {
    match answer.contains("\"backend\" : null") {
        true => answer.to_owned(),
        false => with(answer, "backend", "5"),
    }
}

/// An answer with another value of a field, up to the next comma or brace.
pub fn with(answer: &str, field: &str, value: &str) -> String {
    let name = format!("\"{field}\" : ");
    let Some((before, rest)) = answer.split_once(&name) else { return answer.to_owned() };
    let end = rest.find([',', '}']).unwrap_or(rest.len());
    format!("{before}{name}{value}{}", &rest[end..])
}
