//! A process of the app on a host of its own: it renders pages and changes emails, or it is the worker. It may be
//! stopped or killed at any time, and so may its connections.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use postgres::{Client, NoTls, SimpleQueryMessage, Transaction};
use vidcache::in_database::{Database, Distrust, Errand, Reply, Turn};
use vidcache::{ChangeToken, Email, Error, Options, UserKey};

use super::Variant;
use crate::double::Line;
use crate::scaled::{Scaled, sleep};
use crate::{PORTAL, SECRET};

/// How many emails a user changes between: so that they come back to one, too.
pub(super) const EMAILS: u32 = 3;

/// Longer than a quiet period, in scaled milliseconds.
const LONG: u64 = 35_000;

/// An error that ends with a new connection.
type Broken = Box<dyn StdError>;

/// Where a process finds what it needs.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Of the process alone.
    pub(super) folder: PathBuf,
    /// HubSpot's double.
    pub(super) double: PathBuf,
    /// Connection strings.
    pub(super) primary: String,
    pub(super) replica: Option<String>,
    pub(super) began: i64,
    pub(super) users: u32,
    pub(super) seed: u64,
    pub(super) variant: Variant,
}

impl Place {
    pub(super) fn to_args(&self) -> Vec<String> {
        let numbers = [self.began.to_string(), self.users.to_string(), self.seed.to_string()];
        let words = [
            self.folder.display().to_string(),
            self.double.display().to_string(),
            self.primary.clone(),
            self.replica.clone().unwrap_or_default(),
        ];
        words.into_iter().chain(numbers).chain([self.variant.name().to_owned()]).collect()
    }

    pub(super) fn of_args(args: &[String]) -> Option<Self> {
        let [folder, double, primary, replica, began, users, seed, variant] = args else { return None };
        Some(Self {
            folder: folder.into(),
            double: double.into(),
            primary: primary.clone(),
            replica: Some(replica.clone()).filter(|replica| !replica.is_empty()),
            began: began.parse().ok()?,
            users: users.parse().ok()?,
            seed: seed.parse().ok()?,
            variant: Variant::named(variant)?,
        })
    }

    fn clock(&self) -> Scaled {
        Scaled::at(self.began)
    }

    fn connect(&self) -> Result<Client, Broken> {
        Ok(Client::connect(&self.primary, NoTls)?)
    }

    /// What nobody expects, for whoever has started the process.
    fn unexpected(&self, what: &str) {
        let file = OpenOptions::new().create(true).append(true).open(self.folder.join("unexpected"));
        let _ = file.and_then(|mut file| writeln!(file, "{what}"));
    }
}

/// The library of a process.
pub(super) fn library() -> Database {
    let options = Options { secret: Some(SECRET), ..Options::default() };
    Database::new("public", PORTAL, &options).expect("options")
}

pub(super) fn email_of(user: u32, email: u32) -> String {
    format!("user{user}-{email}@shop.test")
}

fn key(user: u32) -> UserKey<'static> {
    UserKey::from(i64::from(user))
}

/// A loop that goes on with a new connection where the old one broke.
fn forever(place: &Place, mut work: impl FnMut() -> Result<(), Broken>) {
    loop {
        if let Err(error) = work() {
            // What the library says is no broken connection.
            if let Some(error) = error.downcast_ref::<Error>() {
                place.unexpected(&format!("{error:?}"));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What every process does when it begins.
fn set_up(place: &Place) -> Result<Database, Broken> {
    let (mut database, clock, mut client) = (library(), place.clock(), place.connect()?);
    let [tables, deadline, ask] = database.set_up()?;
    client.batch_execute(&clock.sql(&tables))?;
    client.batch_execute(&clock.sql(&deadline))?;
    let text = text(&mut client, &clock.sql(&ask))?;
    database.take_key(&text)?;
    Ok(database)
}

fn ready(place: &Place) -> Database {
    loop {
        match set_up(place) {
            Ok(database) => return database,
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn text(client: &mut Client, sql: &str) -> Result<String, Broken> {
    let found = client.simple_query(sql)?.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    Ok(found.ok_or("no row")?)
}

/// A process that serves: two threads change emails, one renders, one renders in transactions that see an old
/// snapshot; of those who take the time late several render, since each mostly waits.
pub(super) fn web(place: &Place) {
    let vidcache = &ready(place);
    thread::scope(|scope| {
        for number in 0..2 {
            let mut random = Rng::with_seed(place.seed + number);
            scope.spawn(move || forever(place, || change(place, vidcache, &mut random)));
        }
        let renderers = if place.variant == Variant::LookTakenLate { 12 } else { 1 };
        for number in 0..=renderers {
            let (old, mut random) = (number == 0, Rng::with_seed(place.seed + 10 + number));
            scope.spawn(move || {
                forever(place, || match old {
                    true => old_pages(place, vidcache, &mut random),
                    false => pages(place, vidcache, &mut random),
                });
            });
        }
    });
}

/// Changes emails, one after the other, in transactions of any length.
fn change(place: &Place, vidcache: &Database, random: &mut Rng) -> Result<(), Broken> {
    let (mut client, clock) = (place.connect()?, place.clock());
    loop {
        let user = random.u32(1..=place.users);
        let (token, begin) = vidcache.begin(key(user))?;
        let mut tx = client.transaction()?;
        if random.u8(..10) == 0 {
            let mut part = tx.savepoint("part")?;
            let (_, begin) = vidcache.begin(key(random.u32(1..=place.users)))?;
            part.batch_execute(&clock.sql(&begin))?;
            part.rollback()?;
        }
        tx.batch_execute(&clock.sql(&begin))?;
        sleep(if random.u8(..5) > 0 { random.u64(..500) } else { random.u64(..LONG) });
        let other = random.u32(1..EMAILS);
        tx.batch_execute(&format!("UPDATE users SET email = (email + {other}) % {EMAILS} WHERE id = {user}"))?;
        if random.u8(..10) == 0 {
            tx.rollback()?;
        } else {
            tx.commit()?;
            // A process may end here: then the worker sees it.
            if random.bool() {
                client.batch_execute(&clock.sql(&vidcache.see(token)))?;
                place.variant.after_see(&mut client, token)?;
            }
        }
        sleep(random.u64(..2_000));
    }
}

/// What a page asks by.
struct Asking<'a> {
    place: &'a Place,
    vidcache: &'a Database,
    line: &'a mut Line,
    /// Answers that a cache of them would give again.
    kept: HashMap<u32, String>,
}

impl Asking<'_> {
    /// A page about the user: `ask` gives the answer to a statement.
    fn page(
        &mut self,
        user: u32,
        email: u32,
        stall: u64,
        mut ask: impl FnMut(&str) -> Result<String, Broken>,
    ) -> Result<(), Broken> {
        let (clock, variant) = (self.place.clock(), self.place.variant);
        let mut looked = (self.vidcache.look(), clock.now());
        let mut sql = clock.sql(&self.vidcache.ask(key(user)));
        let app = Email::parse(&email_of(user, email))?;
        for _ in 0..2 {
            let answer = match self.kept.get(&user) {
                Some(answer) => answer.clone(),
                None => variant.believed(ask(&sql)?),
            };
            if variant == Variant::AnswerKept {
                self.kept.insert(user, answer.clone());
            }
            sleep(stall);
            if variant == Variant::LookTakenLate {
                looked = (self.vidcache.look(), clock.now());
            }
            match self.vidcache.reply(key(user), Some(&app), &answer, looked.0) {
                Reply::More(walk) => sql = clock.sql(&walk),
                Reply::Page(page, why) => {
                    if let Some(why) = why.filter(|why| !matches!(why, Distrust::Replica | Distrust::Old { .. })) {
                        self.place.unexpected(&why.to_string());
                    }
                    let named = page.decision().email().map(|_| (email, looked.1 + left(&page.data())));
                    return Ok(self.line.page(user, named, clock.now())?);
                }
            }
        }
        Err("more twice".into())
    }
}

/// For how many milliseconds a page may name its email.
fn left(data: &str) -> i64 {
    let digits = data.split("\"ttl\":").nth(1).unwrap_or_default();
    digits.split(|c: char| !c.is_ascii_digit()).next().and_then(|ms| ms.parse().ok()).unwrap_or(i64::MAX / 2)
}

/// Whom a page is about: as often as not somebody whose change is under way.
fn somebody(place: &Place, random: &mut Rng, changing: &[u32]) -> u32 {
    match random.choice(changing) {
        Some(user) if random.bool() => *user,
        _ => random.u32(1..=place.users),
    }
}

fn app_email(client: &mut Client, user: u32) -> Result<u32, Broken> {
    let email: i32 = client.query_one(&format!("SELECT email FROM users WHERE id = {user}"), &[])?.get(0);
    Ok(email.unsigned_abs())
}

fn pages(place: &Place, vidcache: &Database, random: &mut Rng) -> Result<(), Broken> {
    let (mut client, mut line) = (place.connect()?, Line::open(&place.double)?);
    let mut replica = None;
    let prepared = client.prepare(&place.clock().sql(vidcache.prepared()))?;
    let mut asking = Asking { place, vidcache, line: &mut line, kept: HashMap::new() };
    let (mut changing, mut since) = (Vec::new(), None::<Instant>);
    loop {
        if since.is_none_or(|since| since.elapsed() > Duration::from_millis(100)) {
            let rows = client.query(
                "SELECT ('x' || encode(substr(user_key, 2), 'hex'))::bit(64)::bigint FROM vidcache_changes
                 WHERE ended_at IS NULL LIMIT 200",
                &[],
            )?;
            changing = rows.iter().filter_map(|row| u32::try_from(row.get::<_, i64>(0)).ok()).collect();
            since = Some(Instant::now());
            // It hears of a new database late, as of all else.
            let there = |client: &Client| !client.is_closed();
            replica = replica.filter(there).or_else(|| Client::connect(place.replica.as_ref()?, NoTls).ok());
        }
        let user = somebody(place, random, &changing);
        let email = app_email(&mut client, user)?;
        // The app believes what it has read a moment ago, or what it has had in some cache for long.
        let email = if random.bool() { email } else { random.u32(..EMAILS) };
        // Who takes the time late is wrong only if HubSpot is told meanwhile.
        let stall = match (place.variant, random.u8(..200)) {
            (Variant::LookTakenLate, 100..) => random.u64(LONG / 2..LONG),
            (_, 0) => random.u64(..LONG),
            _ => 0,
        };
        // Twice, as a page that has two of them.
        for _ in 0..2 {
            match (random.u8(..10), &mut replica) {
                (0..2, Some(replica)) => asking.page(user, email, stall, |sql| text(replica, sql))?,
                (2..6, _) => asking.page(user, email, stall, |sql| {
                    let flat = sql == place.clock().sql(&vidcache.ask(key(user)));
                    let row = match flat {
                        true => client.query_one(&prepared, &[&vidcache.parameter(key(user))])?,
                        false => client.query_one(sql, &[])?,
                    };
                    Ok(row.get(0))
                })?,
                _ => asking.page(user, email, stall, |sql| text(&mut client, sql))?,
            }
        }
        sleep(random.u64(..100));
    }
}

/// Pages in transactions that go on seeing the database as it was when they began.
fn old_pages(place: &Place, vidcache: &Database, random: &mut Rng) -> Result<(), Broken> {
    let (mut client, mut line) = (place.connect()?, Line::open(&place.double)?);
    let mut asking = Asking { place, vidcache, line: &mut line, kept: HashMap::new() };
    loop {
        let began = place.clock().now();
        let length = i64::try_from(random.u64(..LONG))?;
        let old = client.build_transaction().isolation_level(postgres::IsolationLevel::RepeatableRead);
        let mut tx = old.start()?;
        while place.clock().now() - began < length {
            let user = random.u32(1..=place.users);
            let email = random.u32(..EMAILS);
            let ask = |sql: &str| Ok(tx.query_one(sql, &[])?.get(0));
            asking.page(user, email, 0, ask)?;
            sleep(random.u64(..50));
        }
        tx.rollback()?;
    }
}

/// The process that tells HubSpot.
pub(super) fn worker(place: &Place) {
    let vidcache = &ready(place);
    let random = &mut Rng::with_seed(place.seed);
    forever(place, || jobs(place, vidcache, random));
}

fn jobs(place: &Place, vidcache: &Database, random: &mut Rng) -> Result<(), Broken> {
    let (mut client, mut line, clock) = (place.connect()?, Line::open(&place.double)?, place.clock());
    let mut due = HashMap::<ChangeToken, i64>::new();
    loop {
        let ask = vidcache.ask_stale_changes(Duration::ZERO, 2_000);
        let stale = vidcache.stale_changes(&text(&mut client, &clock.sql(&ask))?)?;
        due.retain(|token, _| stale.iter().any(|change| change.token == *token));
        for change in stale {
            // A queue delivers twice, and early.
            if due.get(&change.token).is_some_and(|due| *due > clock.now()) && random.u16(..500) > 0 {
                continue;
            }
            let user: u32 = change.user.parse()?;
            if let Some(wait) = job(place, vidcache, (&mut client, &mut line), user, change.token)? {
                due.insert(change.token, clock.now() + i64::try_from(wait.as_millis())?);
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// A job, with the user's lease: for how long it has to wait, if it has.
fn job(
    place: &Place,
    vidcache: &Database,
    (client, line): (&mut Client, &mut Line),
    user: u32,
    token: ChangeToken,
) -> Result<Option<Duration>, Broken> {
    let clock = place.clock();
    let (held, lease) = vidcache.lease(key(user), Duration::from_secs(60), None)?;
    if client.query_opt(&clock.sql(&lease), &[])?.is_none() {
        return Ok(Some(Duration::from_secs(1)));
    }
    let errand = vidcache.turn(key(user), token, Duration::ZERO);
    let (turn, see) = errand.read(&text(client, &clock.sql(&errand.ask()))?)?;
    let turn = if place.variant == Variant::NoQuiet && turn != Turn::Ended { Turn::Now } else { turn };
    let wait = match turn {
        Turn::Ended => None,
        Turn::See => {
            client.batch_execute(&clock.sql(&see.ok_or("nothing to say")?))?;
            place.variant.after_see(client, token)?;
            Some(Duration::from_secs(1))
        }
        Turn::Wait(wait) => Some(wait),
        Turn::Now => {
            let email = app_email(client, user)?;
            let began = super::real_now();
            let at = line.tell(user, email)?;
            // By the host's clock, which goes ten times as slow.
            let asked_at = began - (super::real_now() - began) * (crate::scaled::SCALE - 1);
            let answer = super::answer(user, email, at);
            let errand = vidcache.record(key(user), answer.as_bytes(), Some(token), Some(asked_at))?;
            run(client, clock, &errand)??;
            None
        }
    };
    client.batch_execute(&clock.sql(&vidcache.release(key(user), held)))?;
    Ok(wait)
}

/// An errand in a transaction of its own.
pub(super) fn run<T>(client: &mut Client, clock: Scaled, errand: &Errand<'_, T>) -> Result<T, Broken> {
    let mut tx: Transaction<'_> = client.transaction()?;
    tx.batch_execute(&errand.lock())?;
    let answer: String = tx.query_one(&clock.sql(&errand.ask()), &[])?.get(0);
    let (done, statements) = errand.finish(&answer)?;
    for sql in statements {
        tx.batch_execute(&clock.sql(&sql))?;
    }
    tx.commit()?;
    Ok(done)
}

/// Whether nothing is left to be told, by a connection of somebody who only looks.
pub(super) fn outstanding(client: &mut Client) -> Result<i64, postgres::Error> {
    Ok(client.query_one("SELECT count(*) FROM vidcache_changes WHERE ended_at IS NULL", &[])?.get(0))
}

/// Whether a page names the user by the email that the app has.
pub(super) fn is_named(
    client: &mut Client,
    vidcache: &Database,
    clock: Scaled,
    (user, email): (u32, u32),
) -> Result<bool, Broken> {
    let email = Email::parse(&email_of(user, email))?;
    let look = vidcache.look();
    let answer = text(client, &clock.sql(&vidcache.ask(key(user))))?;
    Ok(match vidcache.reply(key(user), Some(&email), &answer, look) {
        Reply::Page(page, _) => page.decision().email().is_some(),
        Reply::More(_) => false,
    })
}

/// The folder that a process calls its own.
pub(super) fn own(folder: &Path, name: &str) -> std::io::Result<PathBuf> {
    let folder = folder.join(name);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
