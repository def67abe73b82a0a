//! Whether memory follows: of users about whom the database has said the same for three times as long as answers are
//! kept, memory must say that, too.

use fastrand::Rng;
use postgres::{Client, NoTls};
use vidcache::in_database::{Database, Recalled, Reply};
use vidcache::{Decision, Email, Reason};

use super::place::Place;
use super::{Broken, EMAILS, MAX_AGE, email_of, key, ready, text};
use crate::scaled::sleep;

/// How many users of those in memory are looked at at once, at most.
const SOME: usize = 20;

/// A user, and the email that the app believes to be theirs.
type Who = (u32, u32);

/// What a page says.
type Said = (bool, Option<i64>, Reason);

fn said(decision: &Decision<'_>) -> Said {
    (decision.email().is_some(), decision.id().map(vidcache::Vid::get), decision.reason())
}

/// Compares, again and again, what the process has in memory with what a process says that asks.
pub(super) fn audit(place: &Place, kept: &Database, random: &mut Rng) -> Result<(), Broken> {
    let asking = ready(&Place { watches: false, ..place.clone() });
    let mut client = Client::connect(&place.primary, NoTls)?;
    let age = u64::try_from(MAX_AGE.as_millis())?;
    loop {
        let whoever: Vec<_> = (0..5_000).map(|_| (random.u32(1..=place.users), random.u32(..EMAILS))).collect();
        let some = remembered(place, &mut client, kept, &whoever)?;
        let mut some: Vec<_> = some.into_iter().map(|(who, _)| who).take(SOME).collect();
        some.sort_unstable();
        some.dedup();
        let mut truth = Vec::new();
        for &who in &some {
            truth.push(ask(place, &mut client, &asking, who)?);
        }
        // Whoever is stale for a while only is not so twice.
        let mut stale = [0; SOME];
        for _ in 0..2 {
            sleep(3 * age);
            for (who, memory) in remembered(place, &mut client, kept, &some)? {
                let at = some.iter().position(|other| *other == who).unwrap_or_default();
                if ask(place, &mut client, &asking, who)? == truth[at] {
                    place.note("compared", "one");
                    stale[at] += u32::from(memory != truth[at]);
                }
            }
        }
        if let Some(at) = stale.iter().position(|times| *times >= 2) {
            place.unexpected(&format!("memory does not say of {:?} what is so: {:?}", some[at], truth[at]));
        }
    }
}

/// What memory says of those whom it has, when somebody has just looked.
fn remembered(place: &Place, client: &mut Client, kept: &Database, whom: &[Who]) -> Result<Vec<(Who, Said)>, Broken> {
    for _ in 0..20 {
        // So that a look that is due is sent.
        ask(place, client, kept, (1, 0))?;
        let memory = |&(user, email): &Who| {
            let app = Email::parse(&email_of(user, email)).ok()?;
            Some(((user, email), said(&kept.recall_new(key(user), Some(&app))?.decision())))
        };
        let found: Vec<_> = whom.iter().filter_map(memory).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        sleep(100);
    }
    Ok(Vec::new())
}

/// A page about the user: from memory, if the library keeps answers.
fn ask(place: &Place, client: &mut Client, vidcache: &Database, (user, email): Who) -> Result<Said, Broken> {
    let (clock, look, app) = (place.clock(), vidcache.look(), Email::parse(&email_of(user, email))?);
    let since = match vidcache.recall(key(user), Some(&app), look) {
        Recalled::Page(page) => return Ok(said(&page.decision())),
        Recalled::Ask(since) => since,
    };
    let mut sql = clock.sql(&vidcache.ask_since(key(user), &since));
    for _ in 0..2 {
        match vidcache.reply(key(user), Some(&app), &text(client, &sql)?, look) {
            Reply::More(walk) => sql = clock.sql(&walk),
            Reply::Page(page, _) => return Ok(said(&page.decision())),
        }
    }
    Err("more twice".into())
}
