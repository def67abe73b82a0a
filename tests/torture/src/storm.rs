//! 64 processes with 8 threads each, all of whom read and write. None may see an error, but that it waited for too long
//! where the machine stood still.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use vidcache::{Error, Reason, UserKey, Vidcache};

use crate::random::Random;
use crate::shared::{Stalls, fork, numbers, wait};
use crate::world::{answer, email, open, verify, vid};
use crate::{Outcome, Run};

const PROCESSES: i64 = 64;
const THREADS: i64 = 8;
/// How often a call that waited for too long is tried again.
const TRIES: u32 = 5;

/// What is counted: writes, reads, the longest wait in microseconds, calls that waited for too long.
struct Counts<'a>(&'a [AtomicI64]);

impl Counts<'_> {
    fn add(&self, what: usize, n: i64) {
        self.0[what].fetch_add(n, Ordering::Relaxed);
    }

    fn waited(&self, since: Instant) {
        self.0[2].fetch_max(since.elapsed().as_micros() as i64, Ordering::Relaxed);
    }

    /// What the call gives once it is not too late, or after some tries.
    fn in_time<T>(&self, mut call: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
        for _ in 0..TRIES {
            match call() {
                Err(Error::Busy) => self.add(3, 1),
                done => return done,
            }
        }
        call()
    }
}

fn thread(
    cache: &Vidcache,
    number: i64,
    end: Instant,
    counts: &Counts<'_>,
    random: &mut Random,
) -> Result<i64, String> {
    let mut turn = 0;
    while Instant::now() < end {
        turn += 1;
        let user = number * 1_000 + turn % 10;
        let key = UserKey::from(user);
        let start = Instant::now();
        match turn % 3 {
            0 => {
                let begun = counts.in_time(|| cache.begin_email_change(key));
                let change = begun.map_err(|e| format!("begin: {e}"))?;
                let recorded = counts.in_time(|| cache.record(key, &answer(user, turn, turn), Some(change)));
                recorded.map_err(|e| format!("finish: {e}"))?;
                counts.add(0, 2);
            }
            _ => {
                let recorded = counts.in_time(|| cache.record(key, &answer(user, turn, turn), None));
                recorded.map_err(|e| format!("record: {e}"))?;
                counts.add(0, 1);
            }
        }
        counts.waited(start);
        let decision = cache.decide(key, Some(&email(turn))).map_err(|e| format!("decide: {e}"))?.reason();
        if decision != Reason::Agreed {
            return Err(format!("{} after this thread's own write", decision.name()));
        }
        // Others' users, whoever they are.
        for _ in 0..20 {
            let user = (random.below((PROCESSES * THREADS) as u64) as i64 + 1) * 1_000 + random.below(10) as i64;
            let found = cache.resolve(UserKey::from(user)).map_err(|e| format!("resolve: {e}"))?;
            if found.is_some_and(|found| found.vid != vid(user)) {
                return Err(format!("{found:?} for user {user}"));
            }
        }
        counts.add(1, 21);
    }
    Ok(turn)
}

fn process(path: &Path, number: i64, seed: u64, end: Instant, counts: &Counts<'_>) -> Result<(), String> {
    let cache = open(path).map_err(|e| format!("opening: {e}"))?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread_number| {
                let cache = &cache;
                scope.spawn(move || {
                    let number = number * THREADS + thread_number + 1;
                    let mut random = Random::new(seed ^ number as u64);
                    let turns = thread(cache, number, end, counts, &mut random)?;
                    counts.0[3 + number as usize].store(turns, Ordering::Release);
                    Ok::<(), String>(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a panic".to_owned())?)
    })
}

pub(crate) fn run(run: Run) -> Outcome {
    let seconds = if run.short { 6 } else { 60 };
    let shared = numbers(4 + (PROCESSES * THREADS) as usize);
    let (counts, stalls) = (Counts(shared), Stalls::watch());
    let dir = crate::shared::folder()?;
    let path = dir.path().join("hubspot.vidcache");
    // All at once, on a file that none of them has made yet.
    let end = Instant::now() + Duration::from_secs(seconds);
    let children: Vec<_> = (0..PROCESSES).map(|n| fork(|| process(&path, n, run.seed, end, &counts))).collect();
    let failed = children.into_iter().filter(|&child| !wait(child)).count();
    if failed > 0 {
        return Err(format!("{failed} of {PROCESSES} processes saw an error"));
    }
    let cache = open(&path).map_err(|e| e.to_string())?;
    let mut least = i64::MAX;
    for number in 1..=PROCESSES * THREADS {
        let turns = shared[3 + number as usize].load(Ordering::Acquire);
        least = least.min(turns);
        for turn in (turns - 9).max(1)..=turns {
            let user = UserKey::from(number * 1_000 + turn % 10);
            if cache.decide(user, Some(&email(turn))).map_err(|e| e.to_string())?.reason() != Reason::Agreed {
                return Err(format!("write {turn} of thread {number} is lost"));
            }
        }
    }
    verify(&cache)?;
    stalls.excuse(shared[3].load(Ordering::Relaxed))?;
    let [writes, reads, longest] = [0, 1, 2].map(|n| shared[n].load(Ordering::Relaxed));
    Ok(format!(
        "{PROCESSES} processes x {THREADS} threads, {writes} writes and {reads} reads, 0 errors, longest write {} ms, \
         fewest turns of a thread {least}",
        longest / 1000
    ))
}
