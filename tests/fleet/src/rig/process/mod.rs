//! A process of the app on a host of its own: it renders pages and changes emails, or it is the worker. It may be
//! stopped or killed at any time, and so may its connections.

mod audit;
mod changes;
mod jobs;
mod pages;
mod place;

use std::error::Error as StdError;
use std::thread;
use std::time::Duration;

use postgres::{Client, NoTls, SimpleQueryMessage};
use vidcache::in_database::{Database, Errand};
use vidcache::{Error, ErrorCode, Options, UserKey};

pub(super) use self::jobs::worker;
pub(super) use self::pages::{Prepared, reason, web};
pub(super) use self::place::{Place, STEPS, own};
use crate::scaled::Scaled;
use crate::{PORTAL, SECRET};

/// How many emails a user changes between: so that they come back to one, too.
pub(super) const EMAILS: u32 = 3;

/// For how long answers are kept, of the fleet's time.
pub(super) const MAX_AGE: Duration = Duration::from_secs(5);

/// Longer than a quiet period, in scaled milliseconds.
const LONG: u64 = 35_000;

/// An error that ends with a new connection.
type Broken = Box<dyn StdError>;

/// The library of a process.
pub(super) fn library() -> Database {
    of_secret(SECRET)
}

fn of_secret(secret: &[u8]) -> Database {
    let options = Options { secret: Some(secret), ..Options::default() };
    Database::new("public", PORTAL, &options).expect("options")
}

pub(super) fn email_of(user: u32, email: u32) -> String {
    format!("user{user}-{email}@shop.test")
}

pub(super) fn key(user: u32) -> UserKey<'static> {
    UserKey::from(i64::from(user))
}

/// A loop that goes on with a new connection where the old one broke.
fn forever(place: &Place, mut work: impl FnMut() -> Result<(), Broken>) {
    loop {
        if let Err(error) = work() {
            // What the library says is no broken connection.
            match error.downcast_ref::<Error>() {
                Some(error) => place.unexpected(&format!("{error:?}")),
                None => place.note("broken", &error.to_string()),
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What every process does when it begins: whether it is told that its secret is another one.
fn set_up(place: &Place) -> Result<(Database, bool), Broken> {
    let (clock, mut client) = (place.clock(), Client::connect(&place.primary, NoTls)?);
    let mut database = match place.has_other_secret {
        true => of_secret(b"another secret of as many bytes."),
        false => library(),
    };
    if place.watches {
        database = database.watching(MAX_AGE, 1 << 20)?.by_clocks(place.clocks());
    }
    let [tables, deadline, ask] = database.set_up()?;
    client.batch_execute(&clock.sql(&tables))?;
    client.batch_execute(&clock.sql(&deadline))?;
    // What is tried is there: both clocks are as they are to be.
    let theirs: i64 =
        text(&mut client, "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint")?.parse()?;
    let apart = theirs + place.ahead - super::real_now() - place.server_ahead;
    if apart.abs() > 60_000 {
        place.unexpected(&format!("the clocks are {apart} ms apart"));
    }
    let text = text(&mut client, &clock.sql(&ask))?;
    match database.take_key(&text) {
        Err(error) if place.has_other_secret && error.code() == ErrorCode::WrongSecret => Ok((database, true)),
        taken => Ok((database, taken.map(|_| false)?)),
    }
}

fn ready(place: &Place) -> Database {
    loop {
        match set_up(place) {
            Ok((database, refused)) => {
                if refused != place.has_other_secret {
                    place.unexpected("another secret was not refused");
                }
                return database;
            }
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// The one text of an answer, if there is a row: by the simple protocol, of which a pooler has to keep nothing.
fn row(client: &mut Client, sql: &str) -> Result<Option<String>, Broken> {
    Ok(client.simple_query(sql)?.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
        _ => None,
    }))
}

fn text(client: &mut Client, sql: &str) -> Result<String, Broken> {
    Ok(row(client, sql)?.ok_or("no row")?)
}

/// An errand in a transaction of its own, and `more` before its end.
fn run_with<T>(
    client: &mut Client,
    clock: Scaled,
    errand: &Errand<'_, T>,
    more: impl FnOnce(&mut Client) -> Result<(), Broken>,
) -> Result<T, Broken> {
    client.batch_execute("BEGIN")?;
    client.batch_execute(&errand.lock())?;
    // After an error of the library's the connection is given up, and the transaction with it.
    let (done, statements) = errand.finish(&text(client, &clock.sql(&errand.ask()))?)?;
    for sql in statements {
        client.batch_execute(&clock.sql(&sql))?;
    }
    more(client)?;
    client.batch_execute("COMMIT")?;
    Ok(done)
}

pub(super) fn run<T>(client: &mut Client, clock: Scaled, errand: &Errand<'_, T>) -> Result<T, Broken> {
    run_with(client, clock, errand, |_| Ok(()))
}

/// How many changes are to be told still, by a connection of somebody who only looks.
pub(super) fn outstanding(client: &mut Client) -> Result<i64, Broken> {
    Ok(text(client, "SELECT count(*) FROM vidcache_changes WHERE ended_at IS NULL")?.parse()?)
}

pub(super) fn app_email(client: &mut Client, user: u32) -> Result<u32, Broken> {
    Ok(text(client, &format!("SELECT email FROM users WHERE id = {user}"))?.parse()?)
}
