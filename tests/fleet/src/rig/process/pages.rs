//! Who renders pages: of the primary, a replica, old snapshots.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use postgres::{Client, NoTls, SimpleQueryMessage, Statement};
use vidcache::in_database::{Database, Distrust, Recalled, Reply};
use vidcache::{Email, Reason};

use super::super::Variant;
use super::audit::audit;
use super::changes::{change, hooks};
use super::place::Place;
use super::{Broken, EMAILS, LONG, app_email, email_of, forever, key, ready, text};
use crate::double::Line;
use crate::scaled::{Scaled, sleep};

/// A process that serves: two threads change emails, one takes in webhooks, one renders, one renders in transactions
/// that see an old snapshot; of those who take the time late several render, since each mostly waits.
pub(in crate::rig) fn web(place: &Place) {
    let vidcache = &ready(place);
    thread::scope(|scope| {
        for number in 0..2 {
            let mut random = Rng::with_seed(place.seed + number);
            scope.spawn(move || forever(place, || change(place, vidcache, &mut random)));
        }
        if place.shares && !place.has_other_secret {
            scope.spawn(|| forever(place, || hooks(place, vidcache)));
        }
        if place.watches && !place.has_other_secret {
            let mut random = Rng::with_seed(place.seed + 3);
            scope.spawn(move || forever(place, || audit(place, vidcache, &mut random)));
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

/// What a page asks by.
struct Asking<'a> {
    place: &'a Place,
    vidcache: &'a Database,
    line: &'a mut Line,
    /// Answers that a cache of them would give again.
    kept: HashMap<u32, String>,
    /// How many pages came from memory.
    remembered: u32,
}

impl Asking<'_> {
    /// A page about the user: `ask` gives the answer to a statement, the second of them or not, with that parameter.
    fn page(
        &mut self,
        user: u32,
        email: u32,
        stall: u64,
        mut ask: impl FnMut(&str, bool, &str) -> Result<String, Broken>,
    ) -> Result<(), Broken> {
        let (clock, variant) = (self.place.clock(), self.place.variant);
        // The judge's time is never the later of the two.
        let look = || {
            let now = clock.now();
            (self.vidcache.look(), now)
        };
        let mut looked = look();
        let app = Email::parse(&email_of(user, email))?;
        let since = match self.vidcache.recall(key(user), Some(&app), looked.0) {
            Recalled::Page(page) => {
                if self.remembered.is_multiple_of(10) {
                    self.place.note("kept", "one of ten");
                }
                self.remembered += 1;
                let named = page.decision().email().map(|_| (email, looked.1 + left(&page.data())));
                return Ok(self.line.page(user, named, clock.now(), false)?);
            }
            Recalled::Ask(since) => since,
        };
        let mut sql = clock.sql(&self.vidcache.ask_since(key(user), &since));
        for second in [false, true] {
            let answer = match self.kept.get(&user) {
                Some(answer) => answer.clone(),
                None => variant.believed(ask(&sql, second, &since)?),
            };
            if variant == Variant::AnswerKept {
                self.kept.insert(user, answer.clone());
            }
            sleep(stall);
            if variant == Variant::LookTakenLate {
                looked = look();
            }
            match self.vidcache.reply(key(user), Some(&app), &answer, looked.0) {
                Reply::More(walk) => sql = clock.sql(&walk),
                Reply::Page(page, why) => {
                    self.look_at(why);
                    let named = page.decision().email().map(|_| (email, looked.1 + left(&page.data())));
                    if named.is_some() && self.place.has_other_secret {
                        self.place.unexpected("a page of another secret named an email");
                    }
                    return Ok(self.line.page(user, named, clock.now(), second)?);
                }
            }
        }
        Err("more twice".into())
    }

    /// Why an answer was not believed.
    fn look_at(&self, why: Option<Distrust>) {
        match (why, self.place.has_other_secret) {
            (Some(Distrust::OtherSecret), true)
            | (Some(Distrust::Replica | Distrust::Old { .. }), _)
            | (None, false) => {}
            (why, _) => self.place.unexpected(&format!("{why:?}")),
        }
    }
}

/// For how many milliseconds a page may name its email.
fn left(data: &str) -> i64 {
    let digits = data.split("\"ttl\":").nth(1).unwrap_or_default();
    digits.split(|c: char| !c.is_ascii_digit()).next().and_then(|ms| ms.parse().ok()).unwrap_or(i64::MAX / 2)
}

/// Whom a page is about: as often as not somebody whose change is under way, or one beside them, with whom they may
/// share a contact.
fn somebody(place: &Place, random: &mut Rng, changing: &[u32]) -> u32 {
    match random.choice(changing) {
        Some(user) if random.bool() => (user + random.u32(..2)).min(place.users),
        _ => random.u32(1..=place.users),
    }
}

/// Whose changes are under way.
fn changing(client: &mut Client) -> Result<Vec<u32>, Broken> {
    let rows = client.simple_query(
        "SELECT ('x' || encode(substr(user_key, 2), 'hex'))::bit(64)::bigint FROM vidcache_changes
         WHERE ended_at IS NULL LIMIT 200",
    )?;
    let user = |row: &SimpleQueryMessage| match row {
        SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
        _ => None,
    };
    Ok(rows.iter().filter_map(user).collect())
}

fn pages(place: &Place, vidcache: &Database, random: &mut Rng) -> Result<(), Broken> {
    let (mut client, mut line) = (Client::connect(&place.primary, NoTls)?, Line::open(&place.double)?);
    let mut replica = None;
    let clock = place.clock();
    let prepared = place.prepares.then(|| Prepared::by(&mut client, vidcache, clock)).transpose()?;
    let mut asking = Asking { place, vidcache, line: &mut line, kept: HashMap::new(), remembered: 0 };
    let (mut users, mut since) = (Vec::new(), None::<Instant>);
    loop {
        if since.is_none_or(|since| since.elapsed() > Duration::from_millis(100)) {
            users = changing(&mut client)?;
            since = Some(Instant::now());
            // It hears of a new database late, as of all else.
            let there = |client: &Client| !client.is_closed();
            replica = replica.filter(there).or_else(|| Client::connect(place.replica.as_ref()?, NoTls).ok());
        }
        let user = somebody(place, random, &users);
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
            match (random.u8(..10), &mut replica, &prepared) {
                // Each answer of a replica's empties memory.
                (0..2, Some(replica), _) if !place.watches || random.u8(..20) == 0 => {
                    asking.page(user, email, stall, |sql, _, _| text(replica, sql))?;
                }
                (2..6, _, Some(prepared)) => asking.page(user, email, stall, |_, second, since| {
                    prepared.ask(&mut client, &vidcache.parameter(key(user)), second, place.watches.then_some(since))
                })?,
                _ => asking.page(user, email, stall, |sql, _, _| text(&mut client, sql))?,
            }
        }
        sleep(random.u64(..200));
    }
}

/// Pages in transactions that go on seeing the database as it was when they began.
fn old_pages(place: &Place, vidcache: &Database, random: &mut Rng) -> Result<(), Broken> {
    let (mut client, mut line) = (Client::connect(&place.primary, NoTls)?, Line::open(&place.double)?);
    let mut asking = Asking { place, vidcache, line: &mut line, kept: HashMap::new(), remembered: 0 };
    loop {
        let began = place.clock().now();
        let length = i64::try_from(random.u64(..LONG))?;
        client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ")?;
        while place.clock().now() - began < length {
            let user = random.u32(1..=place.users);
            let email = random.u32(..EMAILS);
            asking.page(user, email, 0, |sql, _, _| text(&mut client, sql))?;
            sleep(random.u64(..50));
        }
        client.batch_execute("ROLLBACK")?;
    }
}

/// A page's statements, kept prepared on a connection: the first, the one that looks, the second.
pub(in crate::rig) struct Prepared([Statement; 3]);

impl Prepared {
    pub(in crate::rig) fn by(client: &mut Client, vidcache: &Database, clock: Scaled) -> Result<Self, Broken> {
        let mut prepare = |sql| client.prepare(&clock.sql(sql));
        let [first, look] = ["1", "1/"].map(|since| vidcache.prepared_for(since));
        Ok(Self([prepare(first)?, prepare(look)?, prepare(vidcache.prepared_walk())?]))
    }

    fn ask(&self, client: &mut Client, user: &str, second: bool, since: Option<&str>) -> Result<String, Broken> {
        let looks = since.is_some_and(|since| since.contains('/'));
        let statement = &self.0[if second { 2 } else { usize::from(looks) }];
        Ok(match since {
            None => client.query_one(statement, &[&user])?.get(0),
            Some(since) => client.query_one(statement, &[&user, &since])?.get(0),
        })
    }
}

/// Why a page about the user, who has that email in the app, says what it says: it names the email if they are agreed.
pub(in crate::rig) fn reason(
    client: &mut Client,
    vidcache: &Database,
    prepared: &Prepared,
    (user, email): (u32, u32),
) -> Result<Reason, Broken> {
    let (app, look) = (Email::parse(&email_of(user, email))?, vidcache.look());
    for second in [false, true] {
        let answer = prepared.ask(client, &vidcache.parameter(key(user)), second, None)?;
        if let Reply::Page(page, _) = vidcache.reply(key(user), Some(&app), &answer, look) {
            return Ok(page.decision().reason());
        }
    }
    Err("more twice".into())
}
