//! The rule, searched: every interleaving of an app, its pages, its worker and HubSpot, with the library's own
//! `apply` on SQLite and its own `decide`.
//!
//! One user, one contact. The app changes the email, pages render and run when they please, jobs are reordered, time
//! out after HubSpot took them, and are delivered twice; webhooks come late. A page that names an email which HubSpot does not hold
//! makes a duplicate. The search must find one for every weaker policy, and none for ours.
//!
//! It is a module of the crate (`src/lib.rs` names this file) because it drives what is not public.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Instant;

use rusqlite::{Connection, params};
use stateright::{Checker, Model, Property};

use crate::decision::{UserState, decide};
use crate::email::{Email, Fingerprint};
use crate::event::{ChangeToken, Event};
use crate::identity::{UserKey, Vid};
use crate::store;

/// What a page says, and when the worker tells HubSpot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    /// The library's.
    Ours,
    /// The app's email: what everyone does.
    AppEmail,
    /// The email that HubSpot last confirmed.
    ConfirmedEmail,
    /// The app's, if it is the confirmed one; changes do not count.
    Equal,
    /// Ours, but only the newest change counts.
    NewestChangeOnly,
    /// Ours, but the worker does not wait.
    NoQuietPeriod,
    /// Ours, but a page may name its email however late it runs.
    NoDeadline,
    /// Ours, but answers are believed in the order in which they arrive.
    ArrivalOrder,
    /// Ours, but a job that comes twice does not ask whether its change is still outstanding.
    NoQuestion,
}

/// How much happens.
#[derive(Clone, Copy)]
struct World {
    policy: Policy,
    changes: u8,
    pages: u8,
    timeouts: u8,
    redeliveries: u8,
    webhooks: bool,
}

const EMAILS: u8 = 3;

/// The file's rows, as far as they tell these states apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
struct Rows {
    contact: Option<(Option<[u8; 16]>, i64)>,
    /// Token and whether it has ended.
    changes: Vec<(i64, bool)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Job {
    Queued,
    /// HubSpot took its email at this time.
    Answered(u8),
    Done,
}

/// A page that was rendered and has not run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Page {
    names: Option<u8>,
    /// How many changes had begun when it was rendered.
    after: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    app_email: u8,
    begun: u8,
    /// A change that has begun and whose transaction has not ended: its token and the new email.
    open: Option<(u8, u8)>,
    rows: Rows,
    /// The token, and the email that the job was enqueued with and will send: worse than reading it anew.
    jobs: Vec<(u8, u8, Job)>,
    hubspot_email: u8,
    hubspot_clock: u8,
    arrivals: u8,
    webhooks: Vec<(u8, u8)>,
    pages: Vec<Page>,
    rendered: u8,
    timeouts: u8,
    redeliveries: u8,
    duplicate: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    Begin(u8),
    Commit,
    RollBack,
    Render,
    Run(usize),
    Tell(usize),
    TellAndTimeOut(usize),
    Record(usize),
    DeliverAgain(usize),
    Hear(usize),
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            app_email: 0,
            begun: 0,
            open: None,
            rows: applied(&Rows::default(), Happening::Observed(0, 1)),
            jobs: Vec::new(),
            hubspot_email: 0,
            hubspot_clock: 1,
            arrivals: 1,
            webhooks: Vec::new(),
            pages: Vec::new(),
            rendered: 0,
            timeouts: 0,
            redeliveries: 0,
            duplicate: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.duplicate {
            return;
        }
        match state.open {
            None if state.begun < self.changes => {
                actions.extend((0..EMAILS).filter(|email| *email != state.app_email).map(Action::Begin));
            }
            None => {}
            Some(_) => actions.extend([Action::Commit, Action::RollBack]),
        }
        if state.rendered < self.pages {
            actions.push(Action::Render);
        }
        actions.extend((0..state.pages.len()).map(Action::Run));
        for (at, (.., job)) in state.jobs.iter().enumerate() {
            match job {
                Job::Queued => {
                    actions.push(Action::Tell(at));
                    if state.timeouts < self.timeouts {
                        actions.push(Action::TellAndTimeOut(at));
                    }
                }
                Job::Answered(..) => actions.push(Action::Record(at)),
                Job::Done if state.redeliveries < self.redeliveries => actions.push(Action::DeliverAgain(at)),
                Job::Done => {}
            }
        }
        actions.extend((0..state.webhooks.len()).map(Action::Hear));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Begin(email) => {
                state.begun += 1;
                state.open = Some((state.begun, email));
                state.rows = applied(&state.rows, Happening::Begun(state.begun));
            }
            Action::Commit => {
                let (token, email) = state.open.take()?;
                state.app_email = email;
                state.jobs.push((token, email, Job::Queued));
            }
            Action::RollBack => {
                let (number, _) = state.open.take()?;
                state.rows = applied(&state.rows, Happening::Abandoned(number));
            }
            Action::Render => {
                state.rendered += 1;
                let names = self.named(&state);
                state.pages.push(Page { names, after: state.begun });
            }
            Action::Run(at) => {
                let page = state.pages.remove(at);
                state.duplicate = page.names.is_some_and(|email| email != state.hubspot_email);
            }
            Action::Tell(at) => {
                let (number, email, _) = state.jobs[at];
                if self.policy == Policy::NoQuestion || outstanding(&state.rows, number) {
                    self.tell(&mut state, number, email);
                    state.jobs[at].2 = Job::Answered(state.hubspot_clock);
                } else {
                    state.jobs[at].2 = Job::Done;
                }
            }
            Action::TellAndTimeOut(at) => {
                let (number, email, _) = state.jobs[at];
                if self.policy != Policy::NoQuestion && !outstanding(&state.rows, number) {
                    return None;
                }
                state.timeouts += 1;
                self.tell(&mut state, number, email);
            }
            Action::Record(at) => {
                let (number, email, Job::Answered(time)) = state.jobs[at] else { return None };
                state.jobs[at].2 = Job::Done;
                self.observe(&mut state, email, time);
                state.rows = applied(&state.rows, Happening::Finished(number));
            }
            Action::DeliverAgain(at) => {
                state.redeliveries += 1;
                state.jobs[at].2 = Job::Queued;
            }
            Action::Hear(at) => {
                let (email, time) = state.webhooks.remove(at);
                self.observe(&mut state, email, time);
            }
        }
        // The order in which pages, jobs and webhooks are listed says nothing.
        state.pages.sort();
        state.jobs.sort();
        state.webhooks.sort_unstable();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("no duplicate", |_, state: &State| !state.duplicate)]
    }
}

impl World {
    /// The worker's call: HubSpot takes the job's email.
    fn tell(&self, state: &mut State, number: u8, email: u8) {
        // It comes a quiet period after its change began, when pages rendered before that are past their deadline.
        let waits = self.policy != Policy::NoQuietPeriod;
        let drops = self.policy != Policy::NoDeadline;
        if waits && drops {
            state.pages.iter_mut().filter(|page| page.after < number).for_each(|page| page.names = None);
        }
        state.hubspot_email = email;
        state.hubspot_clock += 1;
        if self.webhooks {
            state.webhooks.push((state.hubspot_email, state.hubspot_clock));
        }
    }

    fn observe(&self, state: &mut State, email: u8, time: u8) {
        state.arrivals += 1;
        let at = if self.policy == Policy::ArrivalOrder { state.arrivals } else { time };
        state.rows = applied(&state.rows, Happening::Observed(email, at));
    }

    /// The email that a page rendered now would name.
    fn named(&self, state: &State) -> Option<u8> {
        let mut known = user_state(&state.rows);
        match self.policy {
            Policy::AppEmail => return Some(state.app_email),
            Policy::ConfirmedEmail => return known.confirmed.map(|print| print.0[0]),
            Policy::Equal => known.changing = false,
            Policy::NewestChangeOnly => known.changing = outstanding(&state.rows, state.begun),
            _ => {}
        }
        let email = Email::parse(&format!("{}@x.test", state.app_email)).expect("an email");
        decide(&known, Some(&email), |email| print(email.as_str().as_bytes()[0] - b'0')).email.map(|_| state.app_email)
    }
}

fn user() -> UserKey<'static> {
    UserKey::from(1)
}

fn vid() -> Vid {
    Vid::try_from(901).expect("positive")
}

fn token(number: u8) -> ChangeToken {
    ChangeToken::try_from(i64::from(number)).expect("positive")
}

fn print(email: u8) -> Fingerprint {
    Fingerprint([email; 16])
}

/// An event of this world, in a form that can be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Happening {
    Observed(u8, u8),
    Begun(u8),
    Finished(u8),
    Abandoned(u8),
}

impl Happening {
    fn event(self) -> Event<'static> {
        let user = user();
        match self {
            Self::Observed(email, at) => Event::EmailObserved { vid: vid(), email: Some(print(email)), at: at.into() },
            Self::Begun(number) => Event::ChangeBegun { user, token: token(number), at: 1 },
            Self::Finished(number) => Event::ChangeFinished { user, token: token(number), at: 1 },
            Self::Abandoned(number) => Event::ChangeAbandoned { user, token: token(number), at: 1 },
        }
    }
}

thread_local! {
    static FILE: Connection = {
        let db = Connection::open_in_memory().expect("memory");
        db.execute_batch(include_str!("../../src/store/schema/1.sql")).expect("the schema");
        db
    };
    /// Few events meet few rows, again and again: what SQLite made of them is remembered.
    static APPLIED: RefCell<HashMap<(Rows, Happening), Rows>> = RefCell::default();
    static STATES: RefCell<HashMap<Rows, UserState>> = RefCell::default();
}

/// Puts the rows into SQLite, so that the library's own SQL works on them.
fn load(db: &Connection, rows: &Rows) {
    db.execute_batch("DELETE FROM user; DELETE FROM contact; DELETE FROM change; DELETE FROM log").expect("emptied");
    store::apply(db, &Event::Linked { user: user(), vid: vid(), at: 1 }).expect("linked");
    if let Some((email, at)) = rows.contact {
        db.execute("UPDATE contact SET email = ?1, email_at = ?2", params![email, at]).expect("a contact");
    }
    for (number, ended) in &rows.changes {
        let ended_at = ended.then_some(1);
        db.execute("INSERT INTO change VALUES (?1, 1, 1, ?2)", params![number, ended_at]).expect("a change");
    }
    let outstanding = rows.changes.iter().filter(|(_, ended)| !ended).count() as i64;
    db.execute("UPDATE user SET changes = ?1", [outstanding]).expect("counted");
}

fn unload(db: &Connection) -> rusqlite::Result<Rows> {
    let contact = db.query_row("SELECT email, email_at FROM contact", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut changes = db.prepare("SELECT token, ended_at IS NOT NULL FROM change ORDER BY token")?;
    let changes = changes.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    Ok(Rows { contact: Some(contact), changes })
}

/// What `apply` makes of the rows.
fn applied(rows: &Rows, happening: Happening) -> Rows {
    let key = (rows.clone(), happening);
    let known = APPLIED.with(|applied| applied.borrow().get(&key).cloned());
    known.unwrap_or_else(|| {
        let next = FILE.with(|db| {
            load(db, rows);
            store::apply(db, &happening.event()).expect("an event applies");
            unload(db).expect("rows")
        });
        APPLIED.with(|applied| applied.borrow_mut().insert(key, next.clone()));
        next
    })
}

fn user_state(rows: &Rows) -> UserState {
    let known = STATES.with(|states| states.borrow().get(rows).copied());
    known.unwrap_or_else(|| {
        let state = FILE.with(|db| {
            load(db, rows);
            store::user_state(db, user()).expect("a state")
        });
        STATES.with(|states| states.borrow_mut().insert(rows.clone(), state));
        state
    })
}

fn outstanding(rows: &Rows, number: u8) -> bool {
    rows.changes.iter().any(|(token, ended)| *token == i64::from(number) && !ended)
}

/// Searches; returns the number of states, and the actions that lead to a duplicate, if any do.
fn search(world: World) -> (usize, Option<Vec<Action>>) {
    let start = Instant::now();
    let checker = world.checker().threads(2).spawn_bfs().join();
    let found = checker.discovery("no duplicate").map(|path| path.into_actions());
    println!(
        "{:?}: {} states, {:.1} s, {}",
        world.policy,
        checker.unique_state_count(),
        start.elapsed().as_secs_f32(),
        found.as_ref().map_or("no duplicate".into(), |actions| format!("a duplicate in {} steps", actions.len()))
    );
    (checker.unique_state_count(), found)
}

const WORLD: World =
    World { policy: Policy::Ours, changes: 3, pages: 3, timeouts: 1, redeliveries: 1, webhooks: false };

#[test]
fn no_interleaving_makes_a_duplicate() {
    let (states, found) = search(WORLD);
    assert_eq!(found, None);
    assert!(states > 100_000, "only {states} states");
}

#[test]
fn no_interleaving_with_late_webhooks_makes_a_duplicate() {
    let (states, found) = search(World { changes: 2, pages: 2, webhooks: true, ..WORLD });
    assert_eq!(found, None);
    assert!(states > 10_000, "only {states} states");
}

#[test]
fn every_weaker_policy_makes_one() {
    for policy in [
        Policy::AppEmail,
        Policy::ConfirmedEmail,
        Policy::Equal,
        Policy::NewestChangeOnly,
        Policy::NoQuietPeriod,
        Policy::NoDeadline,
        Policy::ArrivalOrder,
        Policy::NoQuestion,
    ] {
        let (_, found) = search(World { policy, ..WORLD });
        assert!(found.is_some(), "{policy:?} was found safe: the search is blind to what it is weak in");
    }
}
