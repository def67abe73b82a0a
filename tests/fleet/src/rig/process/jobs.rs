//! The worker: it tells HubSpot of changes, and reads again what nobody knows for certain.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use postgres::{Client, NoTls};
use vidcache::in_database::{Database, Turn};
use vidcache::{ChangeToken, Error, ErrorCode, Vid};

use super::super::words;
use super::changes::hooks;
use super::place::Place;
use super::{Broken, app_email, forever, key, ready, row, run, run_with, text};
use crate::double::Line;
use crate::portal::Answer;

/// The process that tells HubSpot.
pub(in crate::rig) fn worker(place: &Place) {
    let vidcache = &ready(place);
    // Whose secret was refused has no jobs run.
    if place.has_other_secret {
        loop {
            thread::park();
        }
    }
    thread::scope(|scope| {
        if place.shares {
            scope.spawn(|| forever(place, || hooks(place, vidcache)));
        }
        scope.spawn(|| forever(place, || readings(place, vidcache)));
        let random = &mut Rng::with_seed(place.seed);
        forever(place, || jobs(place, vidcache, random));
    });
}

fn jobs(place: &Place, vidcache: &Database, random: &mut Rng) -> Result<(), Broken> {
    let clock = place.clock();
    let mut job = Job { place, vidcache, client: connect(place)?, line: Line::open(&place.double)? };
    let mut due = HashMap::<ChangeToken, i64>::new();
    loop {
        let ask = vidcache.ask_stale_changes(Duration::ZERO, 2_000);
        let mut stale = vidcache.stale_changes(&text(&mut job.client, &clock.sql(&ask))?)?;
        // Two workers begin with others.
        random.shuffle(&mut stale);
        due.retain(|token, _| stale.iter().any(|change| change.token == *token));
        for change in stale {
            // A queue delivers twice, and early.
            let again = due.get(&change.token);
            if again.is_some_and(|due| *due > clock.now()) && random.u16(..500) > 0 {
                continue;
            }
            let again = again.is_some();
            match job.of(change.user.parse()?, change.token, again)? {
                Some(wait) => due.insert(change.token, clock.now() + i64::try_from(wait.as_millis())?),
                None => due.remove(&change.token),
            };
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn connect(place: &Place) -> Result<Client, Broken> {
    Ok(Client::connect(&place.primary, NoTls)?)
}

struct Job<'a> {
    place: &'a Place,
    vidcache: &'a Database,
    client: Client,
    line: Line,
}

impl Job<'_> {
    /// A job, with the user's lease: for how long it has to wait, if it has. `again`: it has waited before.
    fn of(&mut self, user: u32, token: ChangeToken, again: bool) -> Result<Option<Duration>, Broken> {
        let clock = self.place.clock();
        let (held, lease) = self.vidcache.lease(key(user), Duration::from_secs(60), None)?;
        if row(&mut self.client, &clock.sql(&lease))?.is_none() {
            return Ok(Some(Duration::from_secs(1)));
        }
        self.place.step("leased", user);
        let wait = match self.with_lease(user, token, again) {
            // The user was forgotten meanwhile, and with them the change, or it was handed on.
            Err(error) if is_gone(&error) => None,
            wait => wait?,
        };
        self.client.batch_execute(&clock.sql(&self.vidcache.release(key(user), held)))?;
        Ok(wait)
    }

    fn with_lease(&mut self, user: u32, token: ChangeToken, again: bool) -> Result<Option<Duration>, Broken> {
        let clock = self.place.clock();
        let mut contact = None;
        if !again {
            contact = self.contact(user)?;
            if contact.is_none() {
                // Of whom HubSpot has erased it is not told again.
                run(&mut self.client, clock, &self.vidcache.abandon(key(user), token))?;
                return Ok(None);
            }
        }
        let (errand, asked) = (self.vidcache.turn(key(user), token, Duration::ZERO), clock.now());
        let (turn, see) = errand.read(&text(&mut self.client, &clock.sql(&errand.ask()))?)?;
        Ok(match self.place.variant.taken(turn, again) {
            Turn::Ended => None,
            Turn::See => {
                self.client.batch_execute(&clock.sql(&see.ok_or("nothing to say")?))?;
                self.place.variant.after_see(&mut self.client, token)?;
                self.place.step("seen by the worker", user);
                Some(Duration::from_secs(1))
            }
            Turn::Wait(wait) => Some(wait),
            Turn::Now => {
                let known = if contact.is_some() { contact } else { self.known(user)? };
                match known {
                    Some(vid) => self.tell(user, token, (vid, asked))?,
                    // They were forgotten meanwhile, or erased: once more from the beginning.
                    None => None,
                }
            }
        })
    }

    /// The user's contact, to which the user is linked if nobody has; none if it was erased.
    fn contact(&mut self, user: u32) -> Result<Option<Vid>, Broken> {
        let clock = self.place.clock();
        if let Some(vid) = self.known(user)? {
            return Ok(Some(vid));
        }
        let Some(id) = self.line.id_of(user)? else { return Ok(None) };
        let vid = Vid::try_from(id)?;
        run(&mut self.client, clock, &self.vidcache.link(key(user), vid, true))?;
        Ok(Some(vid))
    }

    /// The contact to which the user is linked.
    fn known(&mut self, user: u32) -> Result<Option<Vid>, Broken> {
        let errand = self.vidcache.resolve(key(user));
        let answer = text(&mut self.client, &self.place.clock().sql(&errand.ask()))?;
        Ok(errand.read(&answer)?.map(|identity| identity.vid))
    }

    fn tell(&mut self, user: u32, token: ChangeToken, (vid, turn): (Vid, i64)) -> Result<Option<Duration>, Broken> {
        let email = app_email(&mut self.client, user)?;
        self.place.step("due", user);
        let began = super::super::real_now();
        let answer = self.line.tell((user, email), vid.get(), turn)?;
        self.place.step("told", user);
        let (body, change, id) = match answer {
            Answer::Contact(holds, at, ids) => (words::contact(holds, at, &ids), Some(token), ids.last().copied()),
            Answer::Gone => (words::MISSING.to_owned(), None, None),
            Answer::Other => return Ok(Some(Duration::from_secs(1))),
        };
        let errand = self.vidcache.record(key(user), body.as_bytes(), change, Some(asked_at(began)))?;
        let place = self.place;
        let written = |_: &mut Client| {
            place.step("written", user);
            Ok(())
        };
        let recorded = run_with(&mut self.client, place.clock(), &errand, written)?;
        self.place.step("recorded", user);
        match id {
            Some(id) => {
                recorded?;
                self.line.recorded(id)?;
                Ok(None)
            }
            None => Ok(Some(Duration::from_secs(1))),
        }
    }
}

fn is_gone(error: &Broken) -> bool {
    let gone = [ErrorCode::UnknownChange, ErrorCode::ForeignChange];
    error.downcast_ref::<Error>().is_some_and(|error| gone.contains(&error.code()))
}

/// When a call was begun, by the host's clock, which goes ten times as slow as the fleet's.
fn asked_at(began: i64) -> i64 {
    began - (super::super::real_now() - began) * (crate::scaled::SCALE - 1)
}

/// Reads from HubSpot, again and again, whatever is unconfirmed.
fn readings(place: &Place, vidcache: &Database) -> Result<(), Broken> {
    let (mut client, mut line, clock) = (connect(place)?, Line::open(&place.double)?, place.clock());
    loop {
        let mut after = None;
        loop {
            let ask = vidcache.ask_users_to_read(false, Duration::ZERO, after, 1_000);
            let part = vidcache.users_to_read(false, Duration::ZERO, &text(&mut client, &clock.sql(&ask))?)?;
            for to_read in part.items {
                let began = super::super::real_now();
                if let Answer::Contact(holds, at, ids) = line.read(to_read.vid.get())? {
                    let body = words::contact(holds, at, &ids);
                    run(&mut client, clock, &vidcache.observe(body.as_bytes(), Some(asked_at(began)))?)?;
                    if let Some(id) = ids.last() {
                        line.recorded(*id)?;
                    }
                }
            }
            after = part.next;
            if after.is_none() {
                break;
            }
        }
        thread::sleep(Duration::from_millis(1_000));
    }
}
