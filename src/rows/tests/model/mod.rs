//! The rule, searched: every interleaving of an app, its pages, its worker and HubSpot, with the library's own
//! `apply` on SQLite and its own `decide`.
//!
//! One user, one contact. The app changes the email, pages render and run when they please, jobs are reordered, time
//! out after HubSpot took them, are delivered twice, and are refused for good; webhooks come late and in any order.
//! Somebody at HubSpot merges the contact with another, or deletes it. A page that names an email which HubSpot does
//! not hold makes a duplicate. The search must find one for every weaker policy, and none for ours.
//!
//! What is done at HubSpot itself no cache can know at once: a page counts only if it was rendered after that was
//! heard.

mod pair;
mod rows;

use std::time::Instant;

use rows::{Happening, Rows, print};
use stateright::{Checker, Model, Property};

use crate::decision::decide;
use crate::email::Email;

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
    /// Ours, but a merged contact is believed to hold the email that the user's contact held.
    MergeConfirms,
    /// Ours, but a deletion is not heeded.
    DeletionIgnored,
    /// Ours, but a refusal ends its change and leaves what was confirmed.
    RefusalKeepsConfirmed,
    /// Ours, but an answer that is newer than the last, and older than the refusal, counts after it.
    RefusalDoubtsTheLast,
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
    merges: u8,
    deletions: u8,
    refusals: u8,
}

const EMAILS: u8 = 3;

/// The email of the contact that the user's is merged with.
const FOREIGN: u8 = 9;

/// The user's contact, and the one that a merge makes of it.
const CONTACT: u8 = 1;
const MERGED: u8 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Job {
    Queued,
    /// HubSpot took its email at this time, for this contact.
    Answered(u8, u8),
    Done,
}

/// A page that was rendered and has not run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Page {
    names: Option<u8>,
    /// How many changes had begun when it was rendered.
    after: u8,
    /// How much of what was done at HubSpot had been heard of.
    heard: u8,
}

/// What HubSpot will tell by webhook: of which contact, and at which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Notice {
    Email(u8, u8, u8),
    Merged(u8),
    Deleted(u8, u8),
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
    /// The id that the user's contact has there.
    contact: u8,
    deleted: bool,
    /// How much was done at HubSpot itself, and how much of it has been heard of.
    done: u8,
    heard: u8,
    merges: u8,
    arrivals: u8,
    webhooks: Vec<Notice>,
    pages: Vec<Page>,
    rendered: u8,
    timeouts: u8,
    redeliveries: u8,
    refusals: u8,
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
    /// HubSpot refuses the job's email for good, and that is recorded.
    Refuse(usize),
    Record(usize),
    DeliverAgain(usize),
    Hear(usize),
    /// At HubSpot, somebody merges the contact with another: into this one, or it into the other.
    Merge {
        ours: bool,
    },
    Delete,
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            app_email: 0,
            begun: 0,
            open: None,
            rows: Rows::default().after(Happening::Linked(CONTACT)).after(Happening::Observed(CONTACT, 0, 1)),
            jobs: Vec::new(),
            hubspot_email: 0,
            hubspot_clock: 1,
            contact: CONTACT,
            deleted: false,
            done: 0,
            heard: 0,
            merges: 0,
            arrivals: 1,
            webhooks: Vec::new(),
            pages: Vec::new(),
            rendered: 0,
            timeouts: 0,
            redeliveries: 0,
            refusals: 0,
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
                    if state.refusals < self.refusals {
                        actions.push(Action::Refuse(at));
                    }
                }
                Job::Answered(..) => actions.push(Action::Record(at)),
                Job::Done if state.redeliveries < self.redeliveries => actions.push(Action::DeliverAgain(at)),
                Job::Done => {}
            }
        }
        actions.extend((0..state.webhooks.len()).map(Action::Hear));
        if state.merges < self.merges && !state.deleted {
            actions.extend([Action::Merge { ours: true }, Action::Merge { ours: false }]);
        }
        if self.deletions > 0 && !state.deleted {
            actions.push(Action::Delete);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Begin(email) => {
                state.begun += 1;
                state.open = Some((state.begun, email));
                state.rows = state.rows.after(Happening::Begun(state.begun));
            }
            Action::Commit => {
                let (token, email) = state.open.take()?;
                state.app_email = email;
                state.jobs.push((token, email, Job::Queued));
            }
            Action::RollBack => {
                let (number, _) = state.open.take()?;
                state.rows = state.rows.after(Happening::Abandoned(number));
            }
            Action::Render => {
                state.rendered += 1;
                let names = self.named(&state);
                state.pages.push(Page { names, after: state.begun, heard: state.heard });
            }
            Action::Run(at) => {
                let page = state.pages.remove(at);
                let held = |email| !state.deleted && email == state.hubspot_email;
                state.duplicate = page.heard == state.done && page.names.is_some_and(|email| !held(email));
            }
            Action::Tell(at) => {
                let (number, email, _) = state.jobs[at];
                let asks = self.policy != Policy::NoQuestion;
                // HubSpot answers 404 for a contact that was deleted. The change stays outstanding.
                if !state.deleted && (!asks || state.rows.outstanding(number)) {
                    self.tell(&mut state, number, email);
                    state.jobs[at].2 = Job::Answered(state.hubspot_clock, state.contact);
                } else {
                    state.jobs[at].2 = Job::Done;
                }
            }
            Action::TellAndTimeOut(at) => {
                let (number, email, _) = state.jobs[at];
                if state.deleted || self.policy != Policy::NoQuestion && !state.rows.outstanding(number) {
                    return None;
                }
                state.timeouts += 1;
                self.tell(&mut state, number, email);
            }
            Action::Refuse(at) => {
                let (number, ..) = state.jobs[at];
                if !state.rows.outstanding(number) {
                    return None;
                }
                state.refusals += 1;
                state.jobs[at].2 = Job::Done;
                state.rows = state.rows.after(match self.policy {
                    Policy::RefusalKeepsConfirmed => Happening::Finished(number),
                    // As a 404 is taken: a second word at the time of the last.
                    Policy::RefusalDoubtsTheLast => Happening::Refused(number, 0),
                    _ => Happening::Refused(number, state.hubspot_clock),
                });
            }
            Action::Record(at) => {
                let (number, email, Job::Answered(time, contact)) = state.jobs[at] else { return None };
                state.jobs[at].2 = Job::Done;
                self.observe(&mut state, contact, email, time);
                if state.rows.vid() != Some(contact) && contact == MERGED {
                    state.rows = state.rows.after(Happening::Linked(contact));
                }
                state.rows = state.rows.after(Happening::Finished(number));
            }
            Action::DeliverAgain(at) => {
                state.redeliveries += 1;
                state.jobs[at].2 = Job::Queued;
            }
            Action::Hear(at) => match state.webhooks.remove(at) {
                Notice::Email(contact, email, time) => self.observe(&mut state, contact, email, time),
                Notice::Merged(time) => {
                    state.heard += 1;
                    let known = state.rows.user_state().confirmed;
                    state.rows = state.rows.after(Happening::Merged(time));
                    if let (Policy::MergeConfirms, Some(print)) = (self.policy, known) {
                        self.observe(&mut state, MERGED, print.0[0], time);
                    }
                }
                Notice::Deleted(contact, time) => {
                    // A merge deletes what it merged, and that is no news.
                    state.heard += u8::from(contact == state.contact);
                    if self.policy != Policy::DeletionIgnored {
                        state.rows = state.rows.after(Happening::Deleted(contact, time));
                    }
                }
            },
            Action::Merge { ours } => {
                state.merges += 1;
                state.done += 1;
                state.hubspot_clock += 1;
                let time = state.hubspot_clock;
                state.webhooks.extend([Notice::Merged(time), Notice::Deleted(state.contact, time)]);
                state.contact = MERGED;
                if !ours {
                    state.hubspot_email = FOREIGN;
                }
            }
            Action::Delete => {
                state.done += 1;
                state.hubspot_clock += 1;
                state.deleted = true;
                state.webhooks.push(Notice::Deleted(state.contact, state.hubspot_clock));
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
            state.webhooks.push(Notice::Email(state.contact, state.hubspot_email, state.hubspot_clock));
        }
    }

    fn observe(&self, state: &mut State, contact: u8, email: u8, time: u8) {
        state.arrivals += 1;
        let at = if self.policy == Policy::ArrivalOrder { state.arrivals } else { time };
        state.rows = state.rows.after(Happening::Observed(contact, email, at));
    }

    /// The email that a page rendered now would name.
    fn named(&self, state: &State) -> Option<u8> {
        let mut known = state.rows.user_state();
        match self.policy {
            Policy::AppEmail => return Some(state.app_email),
            Policy::ConfirmedEmail => return known.confirmed.map(|print| print.0[0]),
            Policy::Equal => known.changing = false,
            Policy::NewestChangeOnly => known.changing = state.rows.outstanding(state.begun),
            _ => {}
        }
        let email = Email::parse(&format!("{}@x.test", state.app_email)).expect("an email");
        decide(&known, Some(&email), |email| print(email.as_bytes()[0] - b'0')).email().map(|_| state.app_email)
    }
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

const WORLD: World = World {
    policy: Policy::Ours,
    changes: 3,
    pages: 3,
    timeouts: 1,
    redeliveries: 1,
    webhooks: false,
    merges: 0,
    deletions: 0,
    refusals: 0,
};

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

/// Each with as much else as can be searched in some seconds.
#[test]
fn no_merge_or_deletion_at_hubspot_makes_a_duplicate() {
    let world = World { changes: 2, pages: 2, timeouts: 1, redeliveries: 0, webhooks: true, ..WORLD };
    for world in [World { merges: 1, ..world }, World { deletions: 1, ..world }] {
        let (states, found) = search(world);
        assert_eq!(found, None);
        assert!(states > 10_000, "only {states} states");
    }
    let (_, found) = search(World { changes: 1, merges: 1, deletions: 1, ..world });
    assert_eq!(found, None);
}

/// Twice: the way back to the former email, and the way there once more, after its answer was lost.
#[test]
fn no_refusal_leaves_a_page_to_make_a_duplicate() {
    let world = World { changes: 2, pages: 2, timeouts: 2, redeliveries: 0, webhooks: true, refusals: 2, ..WORLD };
    let (states, found) = search(world);
    assert_eq!(found, None);
    assert!(states > 10_000, "only {states} states");
    for policy in [Policy::RefusalKeepsConfirmed, Policy::RefusalDoubtsTheLast] {
        assert!(search(World { policy, ..world }).1.is_some(), "{policy:?} was found safe");
    }
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
    for (policy, merges, deletions) in [(Policy::MergeConfirms, 1, 0), (Policy::DeletionIgnored, 0, 1)] {
        let world = World { policy, merges, deletions, changes: 1, pages: 1, webhooks: true, ..WORLD };
        assert!(search(world).1.is_some(), "{policy:?} was found safe");
    }
}
