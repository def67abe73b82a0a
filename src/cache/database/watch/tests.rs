//! A server in numbers, several threads of one process that ask it, and everything that may come in between, at random:
//! transactions of any length and order, a crash that loses commits, another server that takes over, names that are
//! pruned, answers that come late and in another order. Whatever memory believes must have been so at some time since
//! the look that it counts from; and each sign that an answer gives of itself has to be heeded for that.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::database::watch::Snapshot;
use crate::identity::{Identity, Vid};
use crate::rows::facts::Key;

const USERS: usize = 3;
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
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

/// A transaction's user, and what it writes of them.
type Written = (usize, i64);

#[derive(Clone)]
struct Commit {
    tx: i64,
    written: Written,
    named: bool,
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
    fn truth(&self) -> [i64; USERS] {
        let mut all = [0; USERS];
        for commit in &self.done {
            all[commit.written.0] = commit.written.1;
        }
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
    user: usize,
    since: Since,
    look: Look,
    said: Option<(bool, Sight, i64)>,
}

struct World {
    without: Without,
    now: i64,
    server: Server,
    watch: Watch,
    asked: Vec<Asked>,
    versions: i64,
    /// What was so, and from when on.
    history: Vec<(i64, [i64; USERS])>,
}

impl World {
    /// `counts`: whether the server counts anew after a crash. Only then is it found beside a clock that is set back.
    fn new(without: Without, counts: bool) -> Self {
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
        let watch = Watch::new(Duration::from_millis(MAX_AGE.unsigned_abs()), 1 << 20).expect("memory");
        let history = vec![(0, [0; USERS])];
        Self { without, now: 10, server, watch, asked: Vec::new(), versions: 0, history }
    }

    fn look(&self) -> Look {
        Look::of_parts((self.now, self.now))
    }

    fn user(user: usize) -> UserKey<'static> {
        UserKey::from(user as i64 + 1)
    }

    /// One thing that happens; what memory says that cannot be, if it does.
    fn step(&mut self, random: &mut Random) -> Option<String> {
        self.now += 3 + random.below(40) as i64;
        match random.below(24) {
            0..4 => {
                self.versions += 1;
                self.server.open.insert(self.server.next, (random.below(USERS), self.versions));
                self.server.next += 1;
            }
            4..8 => {
                let some = random.below(self.server.open.len().max(1));
                if let Some((&tx, &written)) = self.server.open.iter().nth(some) {
                    self.server.open.remove(&tx);
                    if random.below(5) > 0 {
                        self.server.done.push(Commit { tx, written, named: true });
                    }
                }
            }
            8..12 if self.asked.len() < 3 => {
                let (user, look) = (random.below(USERS), self.look());
                if let Known::Ask = self.watch.recall(Self::user(user), look) {
                    self.asked.push(Asked { user, since: self.watch.since(look), look, said: None });
                }
            }
            12..16 => self.answer(random),
            16..20 => self.deliver(random),
            20 => {
                let xmin = self.server.open.keys().next().copied().unwrap_or(self.server.next);
                self.server.horizon = self.server.prune;
                self.server.prune = Some(xmin);
                for commit in &mut self.server.done {
                    commit.named &= self.server.horizon.is_none_or(|horizon| commit.tx >= horizon);
                }
            }
            21 if random.below(3) == 0 => {
                self.server.lose(random.below(3));
                if self.server.counts.is_some() && random.below(2) == 0 {
                    self.server.back += random.below(300) as i64;
                }
            }
            22 if random.below(3) == 0 => {
                self.server.lose(random.below(3));
                self.server.start = self.now;
                // Whoever had asked it while it was a standby.
                self.server.backends.push(0);
            }
            _ => {}
        }
        let truth = self.server.truth();
        if self.history.last().is_none_or(|(_, last)| *last != truth) {
            self.history.push((self.now, truth));
        }
        (0..USERS).find_map(|user| self.lie(user))
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
        let backend = server.backends[random.below(server.backends.len())];
        let asked = &mut self.asked[at];
        let mut own = server.truth();
        // Of a transaction that began before anything was written.
        let snapshot = if old { "1:1:".into() } else { server.snapshot() };
        if wrote {
            // It is never committed.
            own[asked.user] = -1;
        }
        let base = asked.since.look.as_ref();
        let touched = base.map(|base| {
            let mut open = base.snapshot.open.clone();
            if self.without == Without::Open {
                open = BTreeSet::new();
            }
            let new = |tx: i64| tx >= base.snapshot.xmax || open.contains(&tx);
            let names = server.done.iter().filter(|commit| commit.named && new(commit.tx));
            names.map(|commit| Key::from(Self::user(commit.written.0))).collect::<Vec<_>>()
        });
        if old {
            own = [0; USERS];
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
        asked.said = Some((old && self.without != Without::Isolation, sight, own[asked.user]));
    }

    /// An answer comes to whoever has asked, in any order.
    fn deliver(&mut self, random: &mut Random) {
        let there: Vec<usize> = (0..self.asked.len()).filter(|at| self.asked[*at].said.is_some()).collect();
        if there.is_empty() {
            return;
        }
        let Asked { user, look, said, .. } = self.asked.remove(there[random.below(there.len())]);
        let Some((old, mut sight, version)) = said else { return };
        match self.without {
            Without::Life => sight.since.life = self.watch.lock().life,
            Without::Server => sight.place.server = 1,
            Without::Backend => sight.backend = sight.backend.map(|_| 0),
            Without::Counts => sight.place.counts = None,
            Without::Horizon => sight.horizon = None,
            _ => {}
        }
        let head = Head {
            meta: Some(Meta { portal: 7, key_check: String::new(), min_reader: 1, doubted_to: None, doubted_at: None }),
            standby: false,
            read_only: false,
            isolation: if old { "repeatable read" } else { "read committed" }.into(),
            clock: 0,
            age: 0,
            deadline: None,
        };
        let vid = Vid::try_from(version + 2).expect("positive");
        let identity = Some(Identity { vid, external_id: Some(vid) });
        let state = UserState { identity, ..UserState::default() };
        let look = if self.without == Without::Sent { self.look() } else { look };
        self.watch.keep(&head, &sight, Self::user(user), Some(&state), look);
    }

    /// What memory says of a user, if it never was so since its look.
    fn lie(&self, user: usize) -> Option<String> {
        let now = self.look();
        // As whoever finds that somebody looks already.
        let (state, age) = self.watch.remember(Self::user(user), now)?;
        if self.without != Without::Age && !self.watch.is_believed(age) {
            return None;
        }
        let age = if self.without == Without::Age { Duration::ZERO } else { age };
        let version = state.identity?.vid.get() - 2;
        let since = self.now - age.as_millis() as i64;
        let first = self.history.iter().rposition(|(at, _)| *at <= since).unwrap_or(0);
        let was = self.history[first..].iter().any(|(_, truth)| truth[user] == version);
        (!was).then(|| format!("at {} user {user} is said to be {version} as of {since}: {:?}", self.now, self.history))
    }
}

/// The first lie of some thousand runs, and how often memory answered in them.
fn search(without: Without, runs: u64) -> (Option<String>, u64) {
    let mut looks = 0;
    for seed in 1..=runs {
        let (mut world, mut random) = (World::new(without, seed % 2 == 0), Random(seed));
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
    ];
    for without in all {
        let (lie, _) = search(without, 4_000);
        println!("without {without:?}: {}", lie.as_deref().unwrap_or("nothing"));
        assert!(lie.is_some(), "{without:?} is not missed");
    }
}

#[test]
fn a_page_in_two_halves_of_the_time_looks_once_and_an_answer_twice_is_no_look() {
    let mut world = World::new(Without::Nothing, true);
    let asks = |world: &World| matches!(world.watch.recall(World::user(0), world.look()), Known::Ask);
    assert!(asks(&world));
    let since = world.watch.since(world.look());
    assert_eq!(since.look, None, "nothing is known");
    world.asked.push(Asked { user: 0, since, look: world.look(), said: None });
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
    let new = |world: &World| world.watch.recall_new(World::user(0), world.look()).is_some();
    assert!(!asks(&world) && new(&world));
    world.now = looked + 600;
    assert!(!new(&world), "and nobody is taken to look by that");
    assert!(asks(&world), "one looks");
    assert!(!asks(&world), "while others go on");
    let (since, look) = (world.watch.since(world.look()), world.look());
    assert!(since.look.is_some());
    world.asked.push(Asked { user: 0, since, look, said: None });
    ask(&mut world);
    assert_eq!(world.watch.stats().looks, 2);
    world.now = looked + 1_500;
    assert!(asks(&world) && !asks(&world), "once in each time");
    world.now = looked + 1_700;
    assert!(asks(&world) && asks(&world), "then it is too old for anybody");
}

#[test]
fn while_the_machine_sleeps_memory_grows_old() {
    let mut world = World::new(Without::Nothing, true);
    let mut random = Random(3);
    while world.watch.stats().entries == 0 {
        world.step(&mut random);
    }
    let known = |world: &World, look| {
        (0..USERS).any(|user| matches!(world.watch.recall(World::user(user), look), Known::State(..)))
    };
    let (at, since_boot) = world.look().parts();
    assert!(known(&world, world.look()) || known(&world, world.look()));
    // The clock of the day stands, the one that counts from boot does not; and the other way round.
    assert!(!known(&world, Look::of_parts((at, since_boot + 2 * MAX_AGE))));
    assert!(known(&world, Look::of_parts((at + 3_600_000, since_boot))));
    assert!(!known(&world, Look::of_parts((at, since_boot - 10 * MAX_AGE))), "a time that is none of this machine's");
}
