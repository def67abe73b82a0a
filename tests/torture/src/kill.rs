//! `kill -9` of random writers among 1 to 8 processes, each of 1 to 4 threads that write together. What they
//! acknowledged is in shared memory, so it outlives them; each write says by its number alone what must be found.
//! Beside them a process looks for stale answers.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use vidcache::{Error, Reason, UserKey, Vidcache};

use crate::random::Random;
use crate::shared::{Stalls, ended, fork, kill, numbers};
use crate::world::{answer, email, open, verify, vid};
use crate::{Outcome, Run};

/// Processes, the threads of the largest, and a place for each thread.
const PROCESSES: usize = 8;
const THREADS: usize = 4;
const SLOTS: usize = PROCESSES * THREADS;
/// Users of each kind in a slot, and so the number of writes after which a user's turn comes again.
const USERS: i64 = 100;
const KINDS: i64 = 4;
const AROUND: i64 = USERS * KINDS;

/// One writer's place, and how many writes it has had acknowledged.
pub(crate) struct Slot<'a> {
    pub(crate) number: i64,
    pub(crate) acknowledged: &'a AtomicI64,
}

impl Slot<'_> {
    /// The user and the kind of the `n`-th write.
    fn of(&self, n: i64) -> (UserKey<'static>, i64, i64) {
        let kind = n % KINDS;
        let user = self.number * 10_000 + kind * 1_000 + n / KINDS % USERS;
        (UserKey::from(user), user, kind)
    }

    fn write(&self, cache: &Vidcache, n: i64) -> Result<(), Error> {
        let (key, user, kind) = self.of(n);
        match kind {
            // A new contact each time.
            0 => cache.link(key, vid(user * 10_000_000 + n)),
            // A change of email, from begin to end.
            1 => {
                let change = cache.begin_email_change(key)?;
                cache.record(key, &answer(user, n, n), Some(change)).map(|_| ())
            }
            _ => cache.record(key, &answer(user, n, n), None).map(|_| ()),
        }
    }

    /// Whether the `n`-th write is what is found. Only for a user whose next turn has not come.
    fn holds(&self, cache: &Vidcache, n: i64) -> Result<bool, Error> {
        let (key, user, kind) = self.of(n);
        if kind == 0 {
            return Ok(cache.resolve(key)?.is_some_and(|found| found.vid == vid(user * 10_000_000 + n)));
        }
        Ok(cache.decide(key, Some(&email(n)))?.reason() == Reason::Agreed)
    }

    /// Looks at the writes from `from` up to the last acknowledged one, all or a few. The writer is dead.
    pub(crate) fn check(&self, cache: &Vidcache, step: usize) -> Result<(), String> {
        let last = self.acknowledged.load(Ordering::Acquire);
        // The write after the last one may have happened too: that user is left out.
        let first = (last + 2 - AROUND).max(1);
        let recent = (last - 8).max(first);
        for n in (first..recent).step_by(step).chain(recent..=last) {
            if !self.holds(cache, n).map_err(|e| format!("reading: {e}"))? {
                return Err(format!("write {n} of writer {} is lost ({last} were acknowledged)", self.number));
            }
        }
        Ok(())
    }

    /// A writer's life, until it is killed or a call of it fails.
    pub(crate) fn live(&self, cache: &Vidcache) -> Result<(), Error> {
        // The changes that it had begun when it was killed, as a worker would end them.
        std::thread::sleep(Duration::from_millis(1));
        for change in cache.stale_changes(Duration::ZERO, 1_000)? {
            let user: i64 = change.user.parse().expect("a user of ours");
            if user / 10_000 == self.number {
                cache.abandon_email_change(UserKey::from(user), change.token)?;
            }
        }
        loop {
            let n = self.acknowledged.load(Ordering::Relaxed) + 1;
            self.write(cache, n)?;
            self.acknowledged.store(n, Ordering::Release);
        }
    }

    /// What failed, and where.
    pub(crate) fn failed(&self, error: &Error) -> String {
        format!("writer {} after {} writes: {error}", self.number, self.acknowledged.load(Ordering::Relaxed))
    }
}

/// A slot for each number but the last, which counts what [`watch`] reads.
pub(crate) fn slots(shared: &[AtomicI64]) -> Vec<Slot<'_>> {
    let acknowledged = shared.iter().take(shared.len() - 1);
    acknowledged.zip(1..).map(|(acknowledged, number)| Slot { number, acknowledged }).collect()
}

/// The places of a process's threads: some have one, some four.
fn of_process<'s, 'a>(slots: &'s [Slot<'a>], process: usize) -> &'s [Slot<'a>] {
    &slots[process * THREADS..][..=process % THREADS]
}

/// The slots of one process, each in a thread, until it is killed. Whichever fails ends it; who waited for too long is
/// counted, and goes on.
pub(crate) fn live(path: &Path, slots: &[Slot<'_>], busy: &AtomicI64) -> Result<(), String> {
    let cache = open(path).map_err(|e| format!("a writer cannot open: {e}"))?;
    std::thread::scope(|scope| {
        for slot in slots {
            let cache = &cache;
            scope.spawn(move || {
                while let Err(error) = slot.live(cache) {
                    if error != Error::Busy {
                        end_if_wrong(Err(slot.failed(&error)));
                    }
                    busy.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    Ok(())
}

/// Whichever thread finds something ends the process.
fn end_if_wrong(found: Result<(), String>) {
    if let Err(wrong) = found {
        eprintln!("{wrong}");
        std::process::exit(1);
    }
}

/// Looks up what has just been acknowledged, for ever, in two threads.
pub(crate) fn watch(path: &Path, shared: &[AtomicI64], seed: u64) -> Result<(), String> {
    let cache = open(path).map_err(|e| format!("the reader cannot open: {e}"))?;
    let reads = &shared[shared.len() - 1];
    let look = |seed: u64| -> Result<(), String> {
        let mut random = Random::new(seed);
        loop {
            for slot in slots(shared) {
                let last = slot.acknowledged.load(Ordering::Acquire);
                let n = last - random.below(30) as i64;
                if n < 1 {
                    continue;
                }
                let held = slot.holds(&cache, n).map_err(|e| format!("reading: {e}"))?;
                let now = slot.acknowledged.load(Ordering::Acquire);
                if !held && now + 1 < n + AROUND {
                    return Err(format!("write {n} of writer {} is not seen ({last} were acknowledged)", slot.number));
                }
                reads.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..2 {
            scope.spawn(move || end_if_wrong(look(seed + thread)));
        }
    });
    Ok(())
}

struct Living {
    pid: libc::pid_t,
    process: usize,
}

pub(crate) fn run(run: Run) -> Outcome {
    let (kills, acknowledged_at_least) = if run.short { (300, 3_000) } else { (10_000, 200_000) };
    let mut random = Random::new(run.seed);
    let shared = numbers(SLOTS + 1);
    let (slots, busy, stalls) = (slots(shared), &numbers(1)[0], Stalls::watch());
    let dir = crate::shared::folder()?;
    let path = dir.path().join("hubspot.vidcache");
    let mut cache = None;
    let mut reader: Option<libc::pid_t> = None;
    let mut living: Vec<Living> = Vec::new();
    let (mut done, mut wanted, mut births) = (0, 1, 0);
    let written = || slots.iter().map(|slot| slot.acknowledged.load(Ordering::Relaxed)).sum::<i64>();
    let outcome = (|| -> Result<(), String> {
        while done < kills || written() < acknowledged_at_least {
            if done % 25 == 0 {
                // Sometimes one process is alone on the file, so that whoever comes next recovers its log.
                wanted = random.below(PROCESSES as u64) as usize + 1;
                if let Some(pid) = reader.take() {
                    kill(pid);
                }
                if random.chance(70) {
                    cache = None;
                    let seed = random.next();
                    reader = Some(fork(|| watch(&path, shared, seed)));
                }
            }
            while living.len() < wanted {
                let free: Vec<usize> = (0..PROCESSES).filter(|n| living.iter().all(|one| one.process != *n)).collect();
                let process = *random.pick(&free);
                living.push(Living { pid: fork(|| live(&path, of_process(&slots, process), busy)), process });
                births += 1;
            }
            // Long enough that the kills and the writes come to an end together.
            let behind = written() * kills < done * acknowledged_at_least;
            std::thread::sleep(Duration::from_micros(random.below(if behind { 40_000 } else { 8_000 })));
            stalls.excuse(busy.load(Ordering::Relaxed))?;
            let victim = living.swap_remove(random.below(living.len() as u64) as usize);
            if let Some(well) = ended(victim.pid) {
                return Err(format!("process {} ended by itself ({well})", victim.process + 1));
            }
            kill(victim.pid);
            done += 1;
            if reader.is_some_and(|pid| ended(pid).is_some()) {
                reader = None;
                return Err("the reader found a stale answer".into());
            }
            if cache.is_none() || random.chance(30) {
                cache = Some(open(&path).map_err(|e| format!("after {done} kills: {e}"))?);
            }
            let opened = cache.as_ref().ok_or("no cache")?;
            for slot in of_process(&slots, victim.process) {
                slot.check(opened, if done % 500 == 0 { 1 } else { 41 })?;
            }
            if random.chance(30) {
                cache = None;
            }
        }
        stalls.excuse(busy.load(Ordering::Relaxed))
    })();
    for one in living {
        kill(one.pid);
    }
    if let Some(pid) = reader {
        kill(pid);
    }
    outcome?;
    drop(cache);
    let cache = open(&path).map_err(|e| format!("at the end: {e}"))?;
    for slot in &slots {
        slot.check(&cache, 1)?;
    }
    verify(&cache)?;
    drop(cache);
    let newborn = while_created(&mut random, if run.short { 30 } else { 1_000 })?;
    let reads = shared[SLOTS].load(Ordering::Relaxed);
    Ok(format!(
        "{done} kill -9 of {births} writing processes and {newborn} of creators, {} acknowledged writes, 0 lost; {reads} \
         reads beside them, 0 stale",
        written()
    ))
}

/// Kills processes that are creating the file, from its first byte on. Whoever comes next must be able to use it.
fn while_created(random: &mut Random, rounds: u64) -> Result<u64, String> {
    let dir = crate::shared::folder()?;
    let start = Instant::now();
    drop(open(&dir.path().join("first")).map_err(|e| e.to_string())?);
    let usual = start.elapsed().as_micros() as u64;
    for round in 0..rounds {
        let path = dir.path().join(round.to_string());
        let started = &numbers(1)[0];
        let creator = fork(|| {
            started.store(1, Ordering::Release);
            open(&path).map(drop).map_err(|e| format!("creating: {e}"))
        });
        crate::shared::until(started, 1)?;
        let wait = Duration::from_micros(random.below(usual + usual / 4));
        let start = Instant::now();
        while start.elapsed() < wait {
            std::hint::spin_loop();
        }
        kill(creator);
        let cache = open(&path).map_err(|e| format!("after a creator was killed: {e}"))?;
        cache.link(UserKey::from(1), vid(1)).map_err(|e| format!("after a creator was killed: {e}"))?;
        verify(&cache)?;
    }
    Ok(rounds)
}
