//! The rule for two users, searched: every interleaving of their changes, pages and jobs with a person at HubSpot who
//! merges their contacts, and an app that has them share one. Up to so many steps; `DEPTH=n` searches deeper
//! (`bin/torture worlds`).
//!
//! A page may not name an email that no contact holds, nor one of a contact that is not its user's; no job may change a
//! stranger's contact. What is done at HubSpot itself no cache can know at once: an email that is held no more because
//! of the merge counts only on a page that was rendered after that was heard. A secondary email is one that nobody
//! holds.

use std::cell::RefCell;
use std::collections::HashMap;

use rusqlite::Connection;
use stateright::{Checker, Model, Property};

use super::rows::{Rows, print};
use crate::decision::{UserState, decide};
use crate::email::Email;
use crate::event::{ChangeToken, Event};
use crate::identity::{UserKey, Vid};
use crate::rows;
use crate::rows::learn::{self, APART, Clock, Described};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    /// The library's.
    Ours,
    /// Only a user's own changes count, not those of who shares the contact.
    OwnChangesOnly,
    /// The worker waits from the beginning of a change, whoever came to the contact since.
    WaitFromTheBeginning,
    /// Of two users whose contacts were merged, each is believed to be the contact that they were.
    MergesIgnored,
}

/// How much happens.
#[derive(Clone, Copy)]
struct World {
    policy: Policy,
    changes: u8,
    pages: u8,
    merges: u8,
    shares: u8,
    timeouts: u8,
}

const EMAILS: u8 = 3;
/// The contact that a merge makes.
const MERGED: usize = 2;

/// Milliseconds from one epoch of the app's to the next: longer than a doubt lasts.
const EPOCH: i64 = 2 * APART;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Contact {
    email: Option<u8>,
    second: Option<u8>,
    /// By HubSpot's clock.
    updated: u8,
    /// Whose contact it is, a bit a user.
    people: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Phase {
    Queued,
    /// HubSpot took its email: for this contact, which held this one at this time.
    Answered(u8, u8, u8),
    Done,
}

/// A page that was rendered and has not run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Page {
    user: u8,
    names: u8,
    epoch: u8,
    /// Whether it was rendered after the merge, and that was heard by then.
    knows: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    emails: [u8; 2],
    /// A change that has begun and whose transaction has not ended: its token and the new email.
    open: [Option<(u8, u8)>; 2],
    begun: u8,
    /// Grows with all that a quiet period counts from.
    epoch: u8,
    rows: Rows,
    /// The token, and whose change it is.
    jobs: Vec<(u8, u8, Phase)>,
    contacts: [Contact; 3],
    merged: bool,
    heard: bool,
    /// Emails that nobody holds because of the merge, or of a job that had not heard of it.
    lost: [bool; EMAILS as usize],
    clock: u8,
    pages: Vec<Page>,
    rendered: u8,
    shared: u8,
    timeouts: u8,
    fault: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    Begin(usize, u8),
    Commit(usize),
    Render(usize),
    Run(usize),
    Tell(usize),
    TellAndTimeOut(usize),
    Record(usize),
    Read(usize),
    /// Somebody at HubSpot merges the contacts of both: into this one's.
    Merge(usize),
    HearOfTheMerge,
    /// The app says that this user is the other's contact, too.
    Share(usize),
}

/// What a file was told, in a form that can be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Happening {
    Begun(u8, u8, u8),
    /// An answer about a user: the contact, its email, HubSpot's time, the app's; of which change it is, or whether it
    /// is a read, which tells of the merge.
    Answer {
        user: u8,
        contact: u8,
        email: Option<u8>,
        at: u8,
        epoch: u8,
        change: Option<u8>,
        read: bool,
        merged: bool,
    },
    Merged(u8, u8),
    Shared(u8, u8, u8),
}

type Facts = ([UserState; 2], Vec<(i64, [Option<i64>; 2])>);

thread_local! {
    static AFTER: RefCell<HashMap<(Rows, Happening), Rows>> = RefCell::default();
    static FACTS: RefCell<HashMap<Rows, Facts>> = RefCell::default();
}

fn user(user: u8) -> UserKey<'static> {
    UserKey::from(i64::from(user) + 1)
}

/// Contacts are numbered from 11 on.
fn vid(contact: u8) -> Vid {
    Vid::new(i64::from(contact) + 11).expect("positive")
}

fn token(number: u8) -> ChangeToken {
    ChangeToken::try_from(i64::from(number)).expect("positive")
}

fn time(epoch: u8) -> i64 {
    i64::from(epoch) * EPOCH
}

fn after(rows: Rows, happening: Happening) -> Rows {
    let known = AFTER.with(|after| after.borrow().get(&(rows, happening)).copied());
    known.unwrap_or_else(|| {
        let next = rows.then(|db| happening.put(db));
        AFTER.with(|after| after.borrow_mut().insert((rows, happening), next));
        next
    })
}

impl Happening {
    fn put(self, db: &Connection) {
        match self {
            Self::Begun(whose, number, epoch) => {
                let event = Event::ChangeBegun { user: user(whose), token: token(number), at: time(epoch) };
                rows::apply(db, &event).expect("an event applies");
            }
            Self::Answer { user: whose, contact, email, at, epoch, change, read, merged } => {
                let described = Described {
                    vid: vid(contact),
                    merged: if merged { vec![vid(0), vid(1)] } else { Vec::new() },
                    deleted: false,
                    email: Some((email.map(print), at.into())),
                    secondary: Vec::new(),
                    at: Some(at.into()),
                };
                let clock = Clock::new(time(epoch), read.then(|| time(epoch) + APART));
                learn::record(db, user(whose), &described, change.map(token), clock).expect("recorded");
            }
            Self::Merged(at, epoch) => {
                for old in [0, 1] {
                    let (old, into) = (vid(old), vid(MERGED as u8));
                    let event = Event::Merged { old, into, at: at.into(), born: true, heard: time(epoch) };
                    learn::tell(db, &event, time(epoch)).expect("told");
                }
            }
            Self::Shared(whose, contact, epoch) => {
                learn::link_shared(db, user(whose), vid(contact), time(epoch)).expect("linked");
            }
        }
    }
}

/// What decisions and jobs depend on: the users' states, and of each outstanding change since when it counts.
fn facts<T>(rows: Rows, read: impl Fn(&Facts) -> T) -> T {
    FACTS.with(|facts| {
        let mut facts = facts.borrow_mut();
        read(facts.entry(rows).or_insert_with(|| {
            rows.load(|db| {
                let states = [0, 1].map(|whose| rows::user_state(db, user(whose)).expect("a state"));
                let mut changes = db.prepare("SELECT token FROM change WHERE ended_at IS NULL").expect("a query");
                let tokens = changes.query_map([], |row| row.get(0)).expect("rows");
                let since = |number: i64| {
                    let token = ChangeToken::try_from(number).expect("positive");
                    // Of the other's change nobody asks.
                    let of = |whose| rows::outstanding_since(db, user(whose), token, i64::MAX / 2).ok().flatten();
                    (number, [of(0), of(1)])
                };
                (states, tokens.map(|token| since(token.expect("a token"))).collect())
            })
        }))
    })
}

impl World {
    /// Since when the user's change counts, if it is outstanding.
    fn since(&self, state: &State, number: u8, whose: u8) -> Option<i64> {
        facts(state.rows, |(_, changes)| {
            changes.iter().find(|(token, _)| *token == i64::from(number)).and_then(|(_, since)| since[whose as usize])
        })
    }

    fn vid(state: &State, whose: usize) -> usize {
        let known = facts(state.rows, |(states, _)| states[whose].identity.map(|identity| identity.vid.get()));
        known.expect("both are linked from the first on") as usize - 11
    }

    /// The contact that lives for an id.
    fn living(state: &State, contact: usize) -> usize {
        if state.merged { MERGED } else { contact }
    }

    fn named(&self, state: &State, whose: usize) -> Option<u8> {
        let mut known = facts(state.rows, |(states, _)| states[whose]);
        if self.policy == Policy::OwnChangesOnly {
            let own = state.jobs.iter().map(|(number, of, _)| (*number, *of as usize));
            let open = state.open[whose].map(|(number, _)| (number, whose));
            let mut own = own.chain(open).filter(|(_, of)| *of == whose);
            known.changing = own.any(|(number, _)| self.since(state, number, whose as u8).is_some());
        }
        let email = Email::parse(&format!("{}@x.test", state.emails[whose])).expect("an email");
        decide(&known, Some(&email), |email| print(email.as_bytes()[0] - b'0')).email().map(|_| state.emails[whose])
    }

    /// The worker's call. None: it is not due, or HubSpot refuses it, which changes nothing.
    fn tell(&self, state: &mut State, at: usize) -> Option<(u8, u8, u8)> {
        let (number, whose, _) = state.jobs[at];
        let mut since = self.since(state, number, whose)?;
        if self.policy == Policy::WaitFromTheBeginning {
            let begun = state.rows.load(|db| {
                db.query_row("SELECT begun_at FROM change WHERE token = ?1", [number], |row| row.get(0))
                    .expect("a change")
            });
            since = begun;
        }
        // It comes a quiet period after that, when pages rendered before are past their deadline.
        state.pages.retain(|page| time(page.epoch) >= since);
        let asked = Self::vid(state, whose.into());
        let living = if self.policy == Policy::MergesIgnored { asked } else { Self::living(state, asked) };
        let email = state.emails[whose as usize];
        let held = |contact: &Contact| contact.email == Some(email) || contact.second == Some(email);
        if state.contacts.iter().enumerate().any(|(other, contact)| other != living && held(contact)) {
            return None;
        }
        if state.contacts[living].people & (1 << whose) == 0 {
            state.fault = Some("a job changed a stranger's contact");
        }
        if state.contacts[living].email != Some(email) {
            state.clock += 1;
            let second = state.contacts[living].second.filter(|second| *second != email);
            let contact = &mut state.contacts[living];
            if let Some(old) = contact.email {
                state.lost[old as usize] = !state.heard;
            }
            (contact.email, contact.second, contact.updated) = (Some(email), second, state.clock);
        }
        Some((living as u8, email, state.contacts[living].updated))
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let contact = |n: u8| Contact { email: Some(n), second: None, updated: 1, people: 1 << n };
        let none = Contact { email: None, second: None, updated: 0, people: 0 };
        let mut rows = Rows::default();
        for n in [0, 1] {
            rows = after(
                rows,
                Happening::Answer {
                    user: n,
                    contact: n,
                    email: Some(n),
                    at: 1,
                    epoch: 1,
                    change: None,
                    read: false,
                    merged: false,
                },
            );
        }
        vec![State {
            emails: [0, 1],
            open: [None, None],
            begun: 0,
            epoch: 1,
            rows,
            jobs: Vec::new(),
            contacts: [contact(0), contact(1), none],
            merged: false,
            heard: true,
            lost: [false; EMAILS as usize],
            clock: 1,
            pages: Vec::new(),
            rendered: 0,
            shared: 0,
            timeouts: 0,
            fault: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.fault.is_some() {
            return;
        }
        for whose in [0, 1] {
            let other = 1 - whose;
            let taken = |email| state.emails[other] == email || state.open[other].is_some_and(|(_, new)| new == email);
            match state.open[whose] {
                None if state.begun < self.changes => actions.extend(
                    (0..EMAILS)
                        .filter(|email| *email != state.emails[whose] && !taken(*email))
                        .map(|email| Action::Begin(whose, email)),
                ),
                None => {}
                Some(_) => actions.push(Action::Commit(whose)),
            }
            if state.rendered < self.pages && self.named(state, whose).is_some() {
                actions.push(Action::Render(whose));
            }
            actions.push(Action::Read(whose));
            if state.shared < self.shares && Self::vid(state, whose) != Self::vid(state, other) {
                actions.push(Action::Share(whose));
            }
            if !state.merged && self.merges > 0 {
                actions.push(Action::Merge(whose));
            }
        }
        actions.extend((0..state.pages.len()).map(Action::Run));
        for (at, (.., phase)) in state.jobs.iter().enumerate() {
            match phase {
                Phase::Queued => {
                    actions.push(Action::Tell(at));
                    if state.timeouts < self.timeouts {
                        actions.push(Action::TellAndTimeOut(at));
                    }
                }
                Phase::Answered(..) => actions.push(Action::Record(at)),
                Phase::Done => {}
            }
        }
        if !state.heard {
            actions.push(Action::HearOfTheMerge);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Begin(whose, email) => {
                state.begun += 1;
                state.epoch += 1;
                state.open[whose] = Some((state.begun, email));
                state.rows = after(state.rows, Happening::Begun(whose as u8, state.begun, state.epoch));
            }
            Action::Commit(whose) => {
                let (number, email) = state.open[whose].take()?;
                state.emails[whose] = email;
                state.jobs.push((number, whose as u8, Phase::Queued));
            }
            Action::Render(whose) => {
                state.rendered += 1;
                let names = self.named(&state, whose)?;
                state.pages.push(Page {
                    user: whose as u8,
                    names,
                    epoch: state.epoch,
                    knows: state.merged && state.heard,
                });
            }
            Action::Run(at) => {
                let page = state.pages.remove(at);
                let holder = state.contacts.iter().find(|contact| contact.email == Some(page.names));
                let excused = !page.knows && state.lost[page.names as usize];
                state.fault = match holder {
                    None if !excused => Some("a page named an email that nobody holds"),
                    Some(contact) if contact.people & (1 << page.user) == 0 => Some("a page named a stranger"),
                    _ => None,
                };
            }
            Action::Tell(at) => {
                let answer = self.tell(&mut state, at);
                let (number, whose, _) = state.jobs[at];
                state.jobs[at].2 = match answer {
                    Some((contact, email, updated)) => Phase::Answered(contact, email, updated),
                    // HubSpot refuses it: it is tried again.
                    None if self.since(&state, number, whose).is_some() => Phase::Queued,
                    None => Phase::Done,
                };
            }
            Action::TellAndTimeOut(at) => {
                state.timeouts += 1;
                self.tell(&mut state, at)?;
            }
            Action::Record(at) => {
                let (number, whose, Phase::Answered(contact, email, at_hubspot)) = state.jobs[at] else { return None };
                let answer = |rows, merged| {
                    let (email, change) = (Some(email), Some(number));
                    let (user, epoch) = (whose, state.epoch);
                    let read = merged;
                    after(rows, Happening::Answer { user, contact, email, at: at_hubspot, epoch, change, read, merged })
                };
                let mut rows = answer(state.rows, false);
                let ended =
                    |rows| facts(rows, |(_, changes)| changes.iter().all(|(token, _)| *token != i64::from(number)));
                if !ended(rows) {
                    // The contact is the other's. A read by the user's own id tells that the two were merged.
                    rows = answer(rows, state.merged);
                }
                state.jobs[at].2 = if ended(rows) { Phase::Done } else { Phase::Queued };
                state.rows = rows;
            }
            Action::Read(whose) => {
                let contact = Self::living(&state, Self::vid(&state, whose));
                let Contact { email, updated, .. } = state.contacts[contact];
                state.rows = after(
                    state.rows,
                    Happening::Answer {
                        user: whose as u8,
                        contact: contact as u8,
                        email,
                        at: updated,
                        epoch: state.epoch,
                        change: None,
                        read: true,
                        merged: state.merged,
                    },
                );
                state.heard |= state.merged;
            }
            Action::Merge(primary) => {
                state.clock += 1;
                let (one, other) = (state.contacts[primary], state.contacts[1 - primary]);
                let second = one.second.or(other.email);
                state.lost = state.lost.map(|_| false);
                if let Some(second) = second {
                    state.lost[second as usize] = true;
                }
                let people = one.people | other.people;
                state.contacts = [Contact { email: None, second: None, ..one }; 3];
                state.contacts[MERGED] = Contact { email: one.email, second, updated: state.clock, people };
                (state.merged, state.heard) = (true, false);
            }
            Action::HearOfTheMerge => {
                state.heard = true;
                state.epoch += 1;
                state.rows = after(state.rows, Happening::Merged(state.contacts[MERGED].updated, state.epoch));
            }
            Action::Share(whose) => {
                state.shared += 1;
                state.epoch += 1;
                let contact = Self::vid(&state, 1 - whose);
                state.rows = after(state.rows, Happening::Shared(whose as u8, contact as u8, state.epoch));
                let living = Self::living(&state, contact);
                state.contacts[living].people |= 1 << whose;
            }
        }
        // The order in which pages and jobs are listed says nothing.
        state.pages.sort();
        state.jobs.sort();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("no fault", |_, state: &State| state.fault.is_none())]
    }
}

fn search(world: World, depth: usize) -> (usize, Option<Vec<Action>>) {
    let checker = world.checker().threads(1).target_max_depth(depth).spawn_bfs().join();
    let found = checker.discovery("no fault").map(|path| path.into_actions());
    println!("{:?}, {depth} steps: {} states, {found:?}", world.policy, checker.unique_state_count());
    (checker.unique_state_count(), found)
}

const WORLD: World = World { policy: Policy::Ours, changes: 2, pages: 1, merges: 1, shares: 1, timeouts: 1 };

#[test]
fn no_interleaving_of_two_users_breaks_the_promise() {
    let depth = std::env::var("DEPTH").ok().and_then(|depth| depth.parse().ok()).unwrap_or(7);
    let (states, found) = search(WORLD, depth);
    assert_eq!(found, None);
    assert!(states > 5_000, "only {states} states");
}

#[test]
fn every_weaker_policy_of_two_users_breaks_it() {
    for policy in [Policy::OwnChangesOnly, Policy::WaitFromTheBeginning, Policy::MergesIgnored] {
        let (_, found) = search(World { policy, changes: 1, shares: 0, timeouts: 0, ..WORLD }, 12);
        assert!(found.is_some(), "{policy:?} was found safe");
    }
}
