//! The rule over several hosts, searched: every interleaving of an app's transactions, pages that ask in whatever way
//! an app's connection leads to, a worker, HubSpot, and a server that fails over; with the shipped `Head::for_page`,
//! `turn`, facts, rows and `decide`.
//!
//! Time goes in ticks. One user and one contact, or another user who comes to it and whose email changes. A page asks
//! in two steps, since a process can stand still between; then it may name an email until its deadline. The app's own
//! email may be any that the user ever had, of a lagging copy. A page that tells HubSpot an email that it does not hold
//! makes a duplicate.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use stateright::{Checker, Model, Property};

use super::table::{Along, Column, flat, join, raise_all, walk};
use crate::database::component::Memory;
use crate::database::head::{Head, Meta, Reader};
use crate::database::quiet::{Turn, turn};
use crate::decision::{UserState, decide};
use crate::email::{Email, Fingerprint};
use crate::identity::UserKey;
use crate::rows::facts::{Change, Facts, Key, Linked, Said};
use crate::rows::user_state;

const TICK: i64 = 1_000;
/// How long a page may name an email, and how long a worker waits: longer by a page's way to HubSpot.
const DEADLINE: u8 = 2;
const QUIET: u8 = 3;
const EMAILS: u8 = 3;
const PORTAL: i64 = 7;

/// A fact that was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Fact {
    /// A change, and the app's new email with it.
    Begun(u8, u8),
    /// What HubSpot answered to a change: its email, at that time.
    Recorded(u8, u8, u8),
    /// Nothing counts that HubSpot said up to that time.
    Doubted(u8),
    /// Another user is linked to the contact.
    Shared,
}

impl Fact {
    /// The app's new email.
    fn begun(self) -> Option<u8> {
        match self {
            Self::Begun(_, email) => Some(email),
            _ => None,
        }
    }
}

/// What a page is told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Way {
    Primary,
    Standby,
    /// A replica that does not say so, but is read-only.
    Reader,
    /// A transaction that began a while ago and sees the database as it was then.
    OldSnapshot,
    /// A copy of the database from before, which another portal's app uses.
    Copy,
}

/// A rule that is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    Nothing,
    StandbyRule,
    ReadOnlyRule,
    IsolationRule,
    PortalRule,
    MinReaderRule,
    /// The deadline counts from when the answer came.
    SentAt,
    /// The quiet period counts from the beginning of the change.
    SeenAt,
    /// The quiet period is no longer than the deadline of a page.
    Transit,
    /// A failover that loses more than the quiet period is not told of.
    Doubt,
    /// That the contact is another user's too is not said in its row.
    Whose,
}

#[derive(Clone, Copy)]
struct World {
    without: Without,
    ways: &'static [Way],
    changes: u8,
    pages: u8,
    /// A newer version writes changes where this one does not look.
    newer: bool,
    /// The changes are another user's, who comes to the contact.
    shared: bool,
    /// Commits of up to so many ticks ago are lost by a failover.
    loses: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Job {
    token: u8,
    /// Ticks since the change began, and since a worker saw it committed.
    begun: u8,
    seen: Option<u8>,
    /// What HubSpot took, and when.
    told: Option<(u8, u8)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    /// What is committed, in order, and how many ticks ago.
    log: Vec<(Fact, u8)>,
    /// A change that is written and not committed: its token, the email, and its age.
    open: Option<(u8, u8, u8)>,
    jobs: Vec<Job>,
    hubspot: u8,
    time: u8,
    /// A transaction of the web host's with an old snapshot: how many commits it sees, and its age.
    transaction: Option<(usize, u8)>,
    /// An answer on its way to a page: how many commits it saw, how, how old its snapshot was then, ticks since.
    asked: Option<(usize, Way, u8, u8)>,
    /// Pages: the email that each names, and for how many ticks it may.
    pages: Vec<(u8, u8)>,
    begun: u8,
    rendered: u8,
    failed_over: bool,
    duplicate: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Action {
    Share,
    Begin(u8),
    Commit,
    RollBack,
    OpenTransaction,
    Ask(Way, usize),
    Render(u8),
    PageTells(usize),
    Work(usize),
    Record(usize),
    FailOver(usize),
    Tick,
}

/// What a page is told of a user by some commits: the facts joined, asked for, put into rows, read. `raised`: the
/// contact's row says whose it is.
fn known(facts: &[Fact], shared: bool, raised: bool) -> UserState {
    type Known = HashMap<(Vec<Fact>, bool, bool), UserState>;
    static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
    thread_local! {
        static MEMORY: Memory = Memory::new().expect("memory");
    }
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    *known.entry((facts.to_vec(), shared, raised)).or_insert_with(|| {
        let [user, other] = [1, 2].map(|user| Key::from(UserKey::from(user)));
        let whose = if shared { &other } else { &user };
        let contact = |email: u8, at: u8| Facts {
            contacts: [(901, Said { email: Some([email; 16]), email_at: Some(at.into()), ..Said::default() })].into(),
            ..Facts::default()
        };
        let change = |token: u8, ended_at: Option<i64>| {
            let change = Change { user: Some(whose.clone()), begun_at: Some(0), ended_at, refused: None };
            Facts { changes: [(token.into(), change)].into(), ..Facts::default() }
        };
        let mut all = contact(0, 1);
        let linked = Linked { first_at: 1, last_at: 1 };
        all.links.insert((user.clone(), 901), linked);
        let mut column = Column::new();
        raise_all(&mut column, &Facts::default(), &all);
        let mut meta = meta();
        for fact in facts {
            match *fact {
                Fact::Begun(token, _) => join(&mut all, &change(token, None)),
                Fact::Recorded(token, email, time) => {
                    join(&mut all, &contact(email, time));
                    join(&mut all, &change(token, Some(1)));
                }
                Fact::Doubted(to) => (meta.doubted_to, meta.doubted_at) = (Some(to.into()), Some(i64::MAX)),
                Fact::Shared => {
                    let before = all.clone();
                    all.links.insert((other.clone(), 901), linked);
                    if raised {
                        raise_all(&mut column, &before, &all);
                    }
                }
            }
        }
        let told = match flat(&all, &column, &user) {
            (_, true) => walk(&all, &user, Along::All),
            (told, false) => told,
        };
        MEMORY
            .with(|memory| memory.with(&told, Some(&meta), |rows| user_state(rows, UserKey::from(1))))
            .expect("a state")
    })
}

fn meta() -> Meta {
    Meta { portal: PORTAL, key_check: String::new(), min_reader: 1, made_at: 0, doubted_to: None, doubted_at: None }
}

impl World {
    /// The emails that a page names on the strength of an answer, each with the ticks for which it may.
    fn names(&self, state: &State) -> Vec<(u8, u8)> {
        let Some((seen, way, age, waited)) = state.asked else { return Vec::new() };
        let mut head = Head {
            meta: Some(meta()),
            standby: way == Way::Standby && self.without != Without::StandbyRule,
            read_only: matches!(way, Way::Standby | Way::Reader) && self.without != Without::ReadOnlyRule,
            isolation: match way {
                Way::OldSnapshot if self.without != Without::IsolationRule => "repeatable read".into(),
                _ => "read committed".into(),
            },
            clock: 0,
            age: i64::from(age) * TICK,
            deadline: None,
        };
        if self.without == Without::StandbyRule {
            head.read_only = false;
        }
        if let Some(meta) = &mut head.meta {
            meta.portal += i64::from(way == Way::Copy && self.without != Without::PortalRule);
            meta.min_reader += i64::from(self.newer && self.without != Without::MinReaderRule);
        }
        let deadline = Duration::from_secs(DEADLINE.into());
        let reader = Reader { portal: PORTAL, key_check: String::new(), deadline };
        let waited = if self.without == Without::SentAt { 0 } else { waited };
        let Ok(left) = head.for_page(&reader, Duration::from_secs(waited.into())) else { return Vec::new() };
        let facts: Vec<Fact> = state.log[..seen].iter().map(|(fact, _)| *fact).collect();
        let visible = |fact: &Fact| !(self.newer && matches!(fact, Fact::Begun(..)));
        let facts: Vec<Fact> = facts.into_iter().filter(visible).collect();
        let user = known(&facts, self.shared, self.without != Without::Whose);
        let had = |email: u8| {
            let had = state.log.iter().any(|(fact, _)| fact.begun() == Some(email));
            email == 0 || had
        };
        let left = left.as_secs() as u8;
        let emails = (0..EMAILS).filter(|email| had(*email));
        emails
            .filter(|email| {
                let text = Email::parse(&format!("{email}@x.test")).expect("an email");
                let print = |text: &str| Fingerprint([text.as_bytes()[0] - b'0'; 16]);
                decide(&user, Some(&text), print).email().is_some()
            })
            .map(|email| (email, left))
            .collect()
    }

    fn turn(&self, state: &State, job: &Job) -> Turn {
        let is = |of: &dyn Fn(&Fact) -> bool| state.log.iter().any(|(fact, _)| of(fact));
        let begun = is(&|fact| matches!(fact, Fact::Begun(token, _) if *token == job.token));
        let ended = is(&|fact| matches!(fact, Fact::Recorded(token, ..) if *token == job.token));
        let clock = 1_000_000;
        // It began a moment before whatever else happened in its tick.
        let since = (begun && !ended).then_some(clock - i64::from(job.begun) * TICK - TICK / 2);
        let seen = match self.without {
            Without::SeenAt => Some(job.begun),
            _ => job.seen,
        };
        let quiet = if self.without == Without::Transit { DEADLINE - 1 } else { QUIET };
        turn(since, seen.map(|seen| clock - i64::from(seen) * TICK), clock, Duration::from_secs(quiet.into()))
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            log: Vec::new(),
            open: None,
            jobs: Vec::new(),
            hubspot: 0,
            time: 1,
            transaction: None,
            asked: None,
            pages: Vec::new(),
            begun: 0,
            rendered: 0,
            failed_over: false,
            duplicate: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.duplicate {
            return;
        }
        let shared = state.log.iter().any(|(fact, _)| *fact == Fact::Shared);
        if self.shared && !shared {
            actions.push(Action::Share);
        }
        match state.open {
            None if state.begun < self.changes && shared == self.shared => {
                let now = state.log.iter().rev().find_map(|(fact, _)| fact.begun()).unwrap_or(0);
                actions.extend((0..EMAILS).filter(|email| *email != now).map(Action::Begin));
            }
            None => {}
            Some(_) => actions.extend([Action::Commit, Action::RollBack]),
        }
        if self.ways.contains(&Way::OldSnapshot) && state.transaction.is_none() && state.rendered < self.pages {
            actions.push(Action::OpenTransaction);
        }
        if state.asked.is_none() && state.rendered < self.pages {
            for way in self.ways {
                match way {
                    Way::Primary => actions.push(Action::Ask(*way, state.log.len())),
                    Way::Standby | Way::Reader => {
                        actions.extend((0..=state.log.len()).map(|seen| Action::Ask(*way, seen)));
                    }
                    Way::OldSnapshot => actions.extend(state.transaction.map(|(seen, _)| Action::Ask(*way, seen))),
                    Way::Copy => actions.push(Action::Ask(*way, 0)),
                }
            }
        }
        actions.extend(self.names(state).iter().map(|(email, _)| Action::Render(*email)));
        actions.extend((0..state.pages.len()).map(Action::PageTells));
        for (at, job) in state.jobs.iter().enumerate() {
            match job.told {
                Some(_) => actions.push(Action::Record(at)),
                None if !matches!(self.turn(state, job), Turn::Wait(_)) => actions.push(Action::Work(at)),
                None => {}
            }
        }
        if let Some(loses) = self.loses.filter(|_| !state.failed_over) {
            let kept = state.log.iter().take_while(|(_, age)| *age > loses).count();
            actions.extend((kept..state.log.len()).map(Action::FailOver));
        }
        actions.push(Action::Tick);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Share => state.log.push((Fact::Shared, 0)),
            Action::Begin(email) => {
                state.begun += 1;
                state.open = Some((state.begun, email, 0));
            }
            Action::Commit => {
                let (token, email, begun) = state.open.take()?;
                state.log.push((Fact::Begun(token, email), 0));
                state.jobs.push(Job { token, begun, seen: None, told: None });
            }
            Action::RollBack => state.open = None,
            Action::OpenTransaction => state.transaction = Some((state.log.len(), 0)),
            Action::Ask(way, seen) => {
                let age = state.transaction.filter(|_| way == Way::OldSnapshot).map_or(0, |(_, age)| age);
                state.asked = Some((seen, way, age, 0));
                if self.names(&state).is_empty() {
                    // Nor will it name any later.
                    return None;
                }
            }
            Action::Render(email) => {
                let names = self.names(last).into_iter().find(|(of, _)| *of == email)?;
                state.asked = None;
                state.transaction = None;
                state.rendered += 1;
                state.pages.push(names);
            }
            Action::PageTells(at) => {
                let (email, _) = state.pages.remove(at);
                state.duplicate = email != state.hubspot;
            }
            Action::Work(at) => match self.turn(last, &last.jobs[at]) {
                Turn::Ended => {
                    state.jobs.remove(at);
                }
                Turn::See => state.jobs[at].seen = Some(0),
                Turn::Wait(_) => return None,
                Turn::Now => {
                    state.hubspot = state.log.iter().rev().find_map(|(fact, _)| fact.begun()).unwrap_or(0);
                    state.time += 1;
                    state.jobs[at].told = Some((state.hubspot, state.time));
                }
            },
            Action::Record(at) => {
                let Job { token, told, .. } = state.jobs.remove(at);
                let (email, time) = told?;
                state.log.push((Fact::Recorded(token, email, time), 0));
            }
            Action::FailOver(kept) => {
                state.log.truncate(kept);
                (state.open, state.transaction, state.failed_over) = (None, None, true);
                state.asked = state.asked.map(|(seen, way, age, waited)| (seen.min(kept), way, age, waited));
                // When a worker saw a change is as old as the change's row, and may be lost with less.
                state.jobs.iter_mut().for_each(|job| job.seen = None);
                if self.without != Without::Doubt && self.loses.is_some_and(|loses| loses >= QUIET) {
                    state.log.push((Fact::Doubted(state.time), 0));
                    state.asked = None;
                }
            }
            Action::Tick => {
                let older = |age: &mut u8, most: u8| *age = (*age + 1).min(most);
                let old = if self.loses.is_some() { QUIET + 1 } else { 0 };
                state.log.iter_mut().for_each(|(_, age)| older(age, old));
                state.open.iter_mut().for_each(|(.., age)| older(age, QUIET + 2));
                state.transaction.iter_mut().for_each(|(_, age)| older(age, DEADLINE + 1));
                state.asked.iter_mut().for_each(|(.., waited)| older(waited, DEADLINE + 1));
                for job in &mut state.jobs {
                    older(&mut job.begun, QUIET + 2);
                    job.seen.iter_mut().for_each(|seen| older(seen, QUIET + 1));
                }
                state.pages.retain_mut(|(_, left)| {
                    *left -= 1;
                    *left > 0
                });
                // What comes too late to be rendered is no page.
                if state.asked.is_some_and(|(.., waited)| waited > DEADLINE && self.without != Without::SentAt) {
                    state.asked = None;
                }
            }
        }
        state.pages.sort_unstable();
        state.jobs.sort_unstable();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("no duplicate", |_, state: &State| !state.duplicate)]
    }
}

/// Searches; returns the number of states, and the actions that lead to a duplicate, if any do.
fn search(world: World) -> (usize, Option<Vec<Action>>) {
    let start = Instant::now();
    let checker = world.checker().threads(2).spawn_bfs().join();
    let found = checker.discovery("no duplicate").map(|path| path.into_actions());
    println!(
        "without {:?}: {} states, {:.1} s, {}",
        world.without,
        checker.unique_state_count(),
        start.elapsed().as_secs_f32(),
        found.as_ref().map_or("no duplicate".into(), |actions| format!("a duplicate: {actions:?}"))
    );
    (checker.unique_state_count(), found)
}

const ALL_WAYS: &[Way] = &[Way::Primary, Way::Standby, Way::Reader, Way::OldSnapshot, Way::Copy];
const WORLD: World =
    World { without: Without::Nothing, ways: ALL_WAYS, changes: 2, pages: 1, newer: false, shared: false, loses: None };

#[test]
fn no_interleaving_of_several_hosts_makes_a_duplicate() {
    let (states, found) = search(WORLD);
    assert_eq!(found, None);
    assert!(states > 10_000, "only {states} states");
    assert_eq!(search(World { ways: &[Way::Primary, Way::OldSnapshot], pages: 2, ..WORLD }).1, None);
    assert_eq!(search(World { newer: true, changes: 1, ..WORLD }).1, None);
    assert_eq!(search(World { shared: true, ..WORLD }).1, None);
}

#[test]
fn a_failover_makes_no_duplicate_if_it_loses_less_than_the_quiet_period_or_is_told_of() {
    let world = World { ways: &[Way::Primary], ..WORLD };
    for loses in [QUIET - 1, QUIET + 1] {
        assert_eq!(search(World { loses: Some(loses), ..world }).1, None, "{loses}");
    }
}

#[test]
fn each_rule_that_is_taken_out_makes_a_duplicate() {
    let world = World { changes: 1, ..WORLD };
    let rules = [
        Without::StandbyRule,
        Without::ReadOnlyRule,
        Without::IsolationRule,
        Without::PortalRule,
        Without::SentAt,
        Without::SeenAt,
        Without::Transit,
    ];
    let mut weaker: Vec<World> = rules.map(|without| World { without, ..world }).into();
    weaker.push(World { without: Without::MinReaderRule, newer: true, ..world });
    weaker.push(World { without: Without::Whose, shared: true, ..world });
    weaker.push(World { without: Without::Doubt, loses: Some(QUIET + 1), ..world });
    for world in weaker {
        assert!(search(world).1.is_some(), "{:?} is not missed", world.without);
    }
}
