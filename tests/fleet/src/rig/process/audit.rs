//! Whether memory follows: of users about whom the database has said the same for three times as long as answers are
//! kept, memory must say that, too.

use fastrand::Rng;
use postgres::{Client, NoTls};
use vidcache::in_database::{Database, Reply};
use vidcache::{Decision, Email, Reason};

use super::place::Place;
use super::{Broken, EMAILS, MAX_AGE, email_of, key, ready, text};
use crate::scaled::sleep;

/// How many users are looked at at once.
const SOME: usize = 20;

/// What a page says.
type Said = (bool, Option<i64>, Reason);

fn said(decision: &Decision<'_>) -> Said {
    (decision.email().is_some(), decision.id().map(vidcache::Vid::get), decision.reason())
}

/// Compares, again and again, what the process has in memory with what a process says that asks.
pub(super) fn audit(place: &Place, kept: &Database, random: &mut Rng) -> Result<(), Broken> {
    let (asking, mut client) =
        (ready(&Place { watches: false, ..place.clone() }), Client::connect(&place.primary, NoTls)?);
    let age = u64::try_from(MAX_AGE.as_millis())?;
    loop {
        let some: Vec<_> = (0..SOME).map(|_| (random.u32(1..=place.users), random.u32(..EMAILS))).collect();
        let mut truth = Vec::new();
        for &who in &some {
            truth.push(ask(place, &mut client, &asking, who)?);
        }
        // Whoever is stale for a while only is not so twice.
        let mut stale = [0; SOME];
        for _ in 0..2 {
            sleep(3 * age);
            for (at, &who) in some.iter().enumerate() {
                let email = Email::parse(&email_of(who.0, who.1))?;
                let memory = kept.recall_new(key(who.0), Some(&email)).map(|page| said(&page.decision()));
                let is_so_still = ask(place, &mut client, &asking, who)? == truth[at];
                stale[at] += u32::from(is_so_still && memory.is_some_and(|memory| memory != truth[at]));
            }
        }
        if let Some(at) = stale.iter().position(|times| *times == 2) {
            place.unexpected(&format!("memory does not say of {:?} what is so: {:?}", some[at], truth[at]));
        }
        place.note("compared", "some");
    }
}

fn ask(place: &Place, client: &mut Client, vidcache: &Database, (user, email): (u32, u32)) -> Result<Said, Broken> {
    let (clock, look, app) = (place.clock(), vidcache.look(), Email::parse(&email_of(user, email))?);
    let mut sql = clock.sql(&vidcache.ask(key(user)));
    for _ in 0..2 {
        match vidcache.reply(key(user), Some(&app), &text(client, &sql)?, look) {
            Reply::More(walk) => sql = clock.sql(&walk),
            Reply::Page(page, _) => return Ok(said(&page.decision())),
        }
    }
    Err("more twice".into())
}
