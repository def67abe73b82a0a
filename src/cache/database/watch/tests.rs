//! A server in numbers, several threads of one process that ask it, and everything that may come in between, at random:
//! transactions of any length and order, a crash that loses commits, another server that takes over, names that are
//! pruned, answers that come late and in another order. Whatever memory believes must have been so at some time since
//! the look that it counts from; and each sign that an answer gives of itself has to be heeded for that.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use super::*;
use crate::database::watch::Snapshot;
use crate::email::Fingerprint;
use crate::identity::{Identity, Vid};
use crate::rows::facts::Key;

const USERS: i64 = 3;
const CONTACTS: i64 = 3;
const MAX_AGE: Millis = 1_000;

/// What is overlooked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    /// That the answer was asked for before everything was forgotten.
    Life,
    /// That another server answers.
    Server,
    /// That the server's process began after the look.
    Backend,
    /// That the server counts anew.
    Counts,
    /// That names were taken out.
    Horizon,
    /// Transactions that were open at the last look: as of a sequence's last number.
    Open,
    /// That the transaction has written.
    Wrote,
    /// That the snapshot is old.
    Isolation,
    /// That it took time: the look counts from the answer.
    Sent,
    /// How old memory is.
    Age,
    /// Users of whom a new link is: it names its contact alone.
    Ends,
    /// With whom a user hangs together.
    Component,
    /// Names of contacts.
    Contacts,
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as i64 % n
    }

    fn at(&mut self, length: usize) -> usize {
        self.below(length as i64) as usize
    }

    fn user(&mut self) -> i64 {
        1 + self.below(USERS)
    }
}

/// What a transaction writes.
#[derive(Debug, Clone, Copy)]
enum Written {
    /// A link, or that there is none.
    Link { user: i64, contact: i64, is_there: bool },
    /// Something of a user, or of a contact.
    Of { user: Option<i64>, contact: Option<i64>, version: i64 },
}

impl Written {
    fn named(self, without: Without) -> Named {
        let (user, contact) = match self {
            Self::Link { contact, is_there: true, .. } if without == Without::Ends => (None, Some(contact)),
            Self::Link { user, contact, .. } => (Some(user), Some(contact)),
            Self::Of { user, contact, .. } => (user, contact),
        };
        Named {
            users: user.into_iter().map(key).collect(),
            contacts: contact.into_iter().filter(|_| without != Without::Contacts).collect(),
        }
    }
}

fn key(user: i64) -> Key {
    Key::from(UserKey::from(user))
}

/// What is so: who is linked to what, and the last that was written of each.
#[derive(Debug, Clone, Default)]
struct Truth {
    links: BTreeSet<(i64, i64)>,
    users: BTreeMap<i64, i64>,
    contacts: BTreeMap<i64, i64>,
}

impl Truth {
    fn write(&mut self, written: Written) {
        match written {
            Written::Link { user, contact, is_there: true } => drop(self.links.insert((user, contact))),
            Written::Link { user, contact, is_there: false } => drop(self.links.remove(&(user, contact))),
            Written::Of { user, contact, version } => {
                self.users.extend(user.map(|user| (user, version)));
                self.contacts.extend(contact.map(|contact| (contact, version)));
            }
        }
    }

    /// Whom a user hangs together with.
    fn component(&self, user: i64) -> (BTreeSet<i64>, BTreeSet<i64>) {
        let (mut users, mut contacts) = (BTreeSet::from([user]), BTreeSet::new());
        for _ in 0..USERS + CONTACTS {
            for (user, contact) in &self.links {
                if users.contains(user) || contacts.contains(contact) {
                    users.insert(*user);
                    contacts.insert(*contact);
                }
            }
        }
        (users, contacts)
    }

    /// A number that stands for all that a user's answer is made of.
    fn state(&self, user: i64) -> u64 {
        let (users, contacts) = self.component(user);
        let links: Vec<_> = self.links.iter().filter(|(user, _)| users.contains(user)).collect();
        let of = |all: &BTreeMap<i64, i64>, one: &i64| all.get(one).copied();
        let users: Vec<_> = users.iter().map(|user| of(&self.users, user)).collect();
        let contacts: Vec<_> = contacts.iter().map(|contact| of(&self.contacts, contact)).collect();
        BuildHasherDefault::<DefaultHasher>::default().hash_one((links, users, contacts)) | 1
    }

    fn states(&self) -> [u64; USERS as usize] {
        std::array::from_fn(|at| self.state(at as i64 + 1))
    }
}

#[derive(Clone)]
struct Commit {
    tx: i64,
    written: Written,
    is_named: bool,
}

struct Server {
    start: i64,
    /// Since when it counts, if a crash makes it do so anew.
    counts: Option<i64>,
    /// By how much its clock was set back.
    back: i64,
    next: i64,
    open: BTreeMap<i64, Written>,
    /// In the order of the commits.
    done: Vec<Commit>,
    horizon: Option<i64>,
    prune: Option<i64>,
    /// When each process began.
    backends: Vec<i64>,
}

impl Server {
    fn truth(&self) -> Truth {
        let mut all = Truth::default();
        self.done.iter().for_each(|commit| all.write(commit.written));
        all
    }

    fn snapshot(&self) -> String {
        let xmin = self.open.keys().next().copied().unwrap_or(self.next);
        let open: Vec<_> = self.open.keys().map(i64::to_string).collect();
        format!("{xmin}:{}:{}", self.next, open.join(","))
    }

    /// The last commits are lost, and so is whoever was there.
    fn lose(&mut self, commits: usize) {
        let kept = self.done.len().saturating_sub(commits);
        self.done.truncate(kept);
        self.open.clear();
        self.backends.clear();
        self.counts = self.counts.map(|counts| counts + 1);
        self.next = self.done.iter().map(|commit| commit.tx + 1).max().unwrap_or(1).max(self.prune.unwrap_or(1));
    }
}

/// An answer on its way.
struct Asked {
    user: i64,
    since: Since,
    look: Look,
    /// Whether of an old snapshot, and what is so in it.
    said: Option<(bool, Sight, Truth)>,
}

struct World {
    without: Without,
    now: i64,
    server: Server,
    watch: Watch,
    asked: Vec<Asked>,
    versions: i64,
    /// What was so, and from when on.
    history: Vec<(i64, [u64; USERS as usize])>,
}

impl World {
    /// `counts`: whether the server counts anew after a crash. Only then is it found beside a clock that is set back.
    /// `names`: the most bytes of names.
    fn new(without: Without, counts: bool, names: usize) -> Self {
        let server = Server {
            start: 1,
            counts: counts.then_some(1),
            back: 0,
            next: 1,
            open: BTreeMap::new(),
            done: Vec::new(),
            horizon: None,
            prune: None,
            backends: Vec::new(),
        };
        let max_age = Duration::from_millis(MAX_AGE.unsigned_abs());
        let watch = Watch { names, ..Watch::new(max_age, 1 << 20).expect("memory") };
        let history = vec![(0, Truth::default().states())];
        Self { without, now: 10, server, watch, asked: Vec::new(), versions: 0, history }
    }

    fn look(&self) -> Look {
        Look::of_parts((self.now, self.now))
    }

    /// One thing that happens; what memory says that cannot be, if it does.
    fn step(&mut self, random: &mut Random) -> Option<String> {
        self.now += 3 + random.below(40);
        match random.below(24) {
            0..4 => {
                self.versions += 1;
                let (user, contact, version) = (random.user(), 7 + random.below(CONTACTS), self.versions);
                let written = match random.below(4) {
                    0 => Written::Link { user, contact, is_there: true },
                    1 => Written::Link { user, contact, is_there: false },
                    2 => Written::Of { user: Some(user), contact: None, version },
                    _ => Written::Of { user: None, contact: Some(contact), version },
                };
                self.server.open.insert(self.server.next, written);
                self.server.next += 1;
            }
            4..8 => {
                let some = random.at(self.server.open.len().max(1));
                if let Some((&tx, &written)) = self.server.open.iter().nth(some) {
                    self.server.open.remove(&tx);
                    if random.below(5) > 0 {
                        self.server.done.push(Commit { tx, written, is_named: true });
                    }
                }
            }
            8..12 if self.asked.len() < 3 => {
                let (user, look) = (random.user(), self.look());
                if let Known::Ask = self.watch.recall(UserKey::from(user), look) {
                    let since = self.watch.since(UserKey::from(user), look);
                    self.asked.push(Asked { user, since, look, said: None });
                }
            }
            12..16 => self.answer(random),
            16..20 => self.deliver(random),
            20 => {
                let xmin = self.server.open.keys().next().copied().unwrap_or(self.server.next);
                self.server.horizon = self.server.prune;
                self.server.prune = Some(xmin);
                for commit in &mut self.server.done {
                    commit.is_named &= self.server.horizon.is_none_or(|horizon| commit.tx >= horizon);
                }
            }
            21 if random.below(3) == 0 => {
                self.server.lose(random.at(3));
                if self.server.counts.is_some() && random.below(2) == 0 {
                    self.server.back += random.below(300);
                }
            }
            22 if random.below(3) == 0 => {
                self.server.lose(random.at(3));
                self.server.start = self.now;
                // Whoever had asked it while it was a standby.
                self.server.backends.push(0);
            }
            _ => {}
        }
        let truth = self.server.truth().states();
        if self.history.last().is_none_or(|(_, last)| *last != truth) {
            self.history.push((self.now, truth));
        }
        (1..=USERS).find_map(|user| self.lie(user))
    }

    /// The server answers somebody: in a transaction of its own, one that has written, or one with an old snapshot.
    fn answer(&mut self, random: &mut Random) {
        let Some(at) = self.asked.iter().position(|asked| asked.said.is_none()) else { return };
        let server = &mut self.server;
        let clock = self.now - server.back;
        let old = random.below(4) == 0;
        let wrote = !old && random.below(4) == 0;
        if server.backends.is_empty() || random.below(8) == 0 {
            server.backends.push(clock);
        }
        let backend = server.backends[random.at(server.backends.len())];
        let asked = &mut self.asked[at];
        let mut own = server.truth();
        // Of a transaction that began before anything was written.
        let snapshot = if old { "1:1:".into() } else { server.snapshot() };
        if wrote {
            // It is never committed.
            own.write(Written::Of { user: Some(asked.user), contact: None, version: -1 });
        }
        let base = asked.since.look.as_ref();
        let touched = base.map(|base| {
            let mut open = base.snapshot.open.clone();
            if self.without == Without::Open {
                open = BTreeSet::new();
            }
            let new = |tx: i64| tx >= base.snapshot.xmax || open.contains(&tx);
            let mut all = Named::default();
            for commit in server.done.iter().filter(|commit| commit.is_named && new(commit.tx)) {
                let Named { users, contacts } = commit.written.named(self.without);
                all.users.extend(users);
                all.contacts.extend(contacts);
            }
            all
        });
        if old {
            own = Truth::default();
        }
        let sight = Sight {
            since: asked.since.clone(),
            snapshot: Snapshot::of(&snapshot).expect("a snapshot"),
            place: Place { server: server.start, counts: server.counts, database: "app".into(), table: 1 },
            clock,
            wrote: wrote && self.without != Without::Wrote,
            backend: base.map(|_| backend),
            horizon: base.and(server.horizon),
            touched,
        };
        asked.said = Some((old && self.without != Without::Isolation, sight, own));
    }

    /// An answer comes to whoever has asked, in any order.
    fn deliver(&mut self, random: &mut Random) {
        let there: Vec<usize> = (0..self.asked.len()).filter(|at| self.asked[*at].said.is_some()).collect();
        if there.is_empty() {
            return;
        }
        let Asked { user, look, said, .. } = self.asked.remove(there[random.at(there.len())]);
        let Some((old, mut sight, truth)) = said else { return };
        match self.without {
            Without::Life => sight.since.life = self.watch.lock().life,
            Without::Server => sight.place.server = 1,
            Without::Backend => sight.backend = sight.backend.map(|_| 0),
            Without::Counts => sight.place.counts = None,
            Without::Horizon => sight.horizon = None,
            _ => {}
        }
        let key_check = String::new();
        let head = Head {
            meta: Some(Meta { portal: 7, key_check, min_reader: 1, made_at: 0, doubted_to: None, doubted_at: None }),
            standby: false,
            read_only: false,
            isolation: if old { "repeatable read" } else { "read committed" }.into(),
            clock: 0,
            age: 0,
            deadline: None,
        };
        let look = if self.without == Without::Sent { self.look() } else { look };
        if sight.since.look.is_some() {
            // Who looks asks for nothing else, and once more for a user who is not in memory then.
            let is_new = self.watch.keep(&head, &sight, None, look);
            if !is_new || self.watch.remember(UserKey::from(user), look).is_none() {
                let since = Since { life: sight.since.life, look: None };
                self.asked.push(Asked { user, since, look, said: None });
            }
            return;
        }
        let (users, contacts) = truth.component(user);
        let vid = truth.links.iter().find(|(of, _)| *of == user).and_then(|(_, contact)| Vid::try_from(*contact).ok());
        let identity = vid.map(|vid| Identity { vid, external_id: None });
        let confirmed = Some(Fingerprint(u128::from(truth.state(user)).to_le_bytes()));
        let state = UserState { identity, confirmed, changing: false };
        let named = match self.without {
            Without::Component => {
                Named { users: [key(user)].into(), contacts: vid.map(Vid::get).into_iter().collect() }
            }
            _ => Named { users: users.into_iter().map(key).collect(), contacts },
        };
        let told = Told { user: UserKey::from(user), state: &state, named };
        self.watch.keep(&head, &sight, Some(told), look);
    }

    /// What memory says of a user, if it never was so since its look.
    fn lie(&self, user: i64) -> Option<String> {
        let now = self.look();
        // As whoever finds that somebody looks already.
        let (state, age) = self.watch.remember(UserKey::from(user), now)?;
        if self.without != Without::Age && !self.watch.is_believed(age) {
            return None;
        }
        let age = if self.without == Without::Age { Duration::ZERO } else { age };
        let said = u128::from_le_bytes(state.confirmed?.0) as u64;
        let since = self.now - age.as_millis() as i64;
        let first = self.history.iter().rposition(|(at, _)| *at <= since).unwrap_or(0);
        let was = self.history[first..].iter().any(|(_, truth)| truth[user as usize - 1] == said);
        (!was).then(|| format!("at {} user {user} is said to be {said} as of {since}: {:?}", self.now, self.history))
    }
}

/// The first lie of some thousand runs, and how often memory answered in them.
fn search(without: Without, runs: u64) -> (Option<String>, u64) {
    let mut looks = 0;
    for seed in 1..=runs {
        // Room for all names, or for hardly any.
        let names = if seed % 3 == 0 { 500 } else { 100_000 };
        let (mut world, mut random) = (World::new(without, seed % 2 == 0, names), Random(seed));
        for _ in 0..400 {
            if let Some(lie) = world.step(&mut random) {
                return (Some(format!("seed {seed}: {lie}")), looks);
            }
        }
        looks += world.watch.stats().looks;
    }
    (None, looks)
}

#[test]
fn what_memory_believes_was_so_at_some_time_since_its_look_whatever_came_in_between() {
    let (lie, looks) = search(Without::Nothing, 400);
    assert_eq!(lie, None);
    assert!(looks > 2_000, "{looks}");
}

#[test]
fn whatever_an_answer_says_of_itself_has_to_be_heeded() {
    let all = [
        Without::Life,
        Without::Server,
        Without::Backend,
        Without::Counts,
        Without::Horizon,
        Without::Open,
        Without::Wrote,
        Without::Isolation,
        Without::Sent,
        Without::Age,
        Without::Ends,
        Without::Component,
        Without::Contacts,
    ];
    for without in all {
        let (lie, _) = search(without, 4_000);
        println!("without {without:?}: {}", lie.as_deref().unwrap_or("nothing"));
        assert!(lie.is_some(), "{without:?} is not missed");
    }
}

#[test]
fn a_page_in_two_halves_of_the_time_looks_once_and_an_answer_twice_is_no_look() {
    let mut world = World::new(Without::Nothing, true, 100_000);
    let asks = |world: &World| matches!(world.watch.recall(UserKey::from(1), world.look()), Known::Ask);
    assert!(asks(&world));
    let since = world.watch.since(UserKey::from(1), world.look());
    assert_eq!(since.look, None, "nothing is known");
    world.asked.push(Asked { user: 1, since, look: world.look(), said: None });
    // Until the answer is one of a transaction of its own.
    let mut random = Random(1);
    let mut ask = |world: &mut World| {
        loop {
            world.asked.truncate(1);
            world.asked[0].said = None;
            world.answer(&mut random);
            let (old, sight, _) = world.asked[0].said.as_ref().expect("answered");
            if !old && !sight.wrote {
                break world.deliver(&mut random);
            }
        }
    };
    ask(&mut world);
    let looked = world.now;
    world.now = looked + 400;
    let new = |world: &World| world.watch.recall_new(UserKey::from(1), world.look()).is_some();
    assert!(!asks(&world) && new(&world));
    world.now = looked + 600;
    assert!(!new(&world), "and nobody is taken to look by that");
    assert!(asks(&world), "one looks");
    assert!(!asks(&world), "while others go on");
    let (since, look) = (world.watch.since(UserKey::from(1), world.look()), world.look());
    assert!(since.look.is_some());
    world.asked.push(Asked { user: 1, since, look, said: None });
    ask(&mut world);
    assert_eq!(world.watch.stats().looks, 2);
    world.now = looked + 1_500;
    assert!(asks(&world) && !asks(&world), "once in each time");
    world.now = looked + 1_700;
    assert!(asks(&world) && asks(&world), "then it is too old for anybody");
}

#[test]
fn while_the_machine_sleeps_memory_grows_old() {
    let mut world = World::new(Without::Nothing, true, 100_000);
    let mut random = Random(3);
    while world.watch.stats().entries == 0 {
        world.step(&mut random);
    }
    let known = |world: &World, look| {
        (1..=USERS).any(|user| matches!(world.watch.recall(UserKey::from(user), look), Known::State(..)))
    };
    let (at, since_boot) = world.look().parts();
    assert!(known(&world, world.look()) || known(&world, world.look()));
    // The clock of the day stands, the one that counts from boot does not; and the other way round.
    assert!(!known(&world, Look::of_parts((at, since_boot + 2 * MAX_AGE))));
    assert!(known(&world, Look::of_parts((at + 3_600_000, since_boot))));
    assert!(!known(&world, Look::of_parts((at, since_boot - 10 * MAX_AGE))), "a time that is none of this machine's");
}
