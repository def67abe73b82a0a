//! Eight processes of two threads that write without a pause, one of which is killed each second, and a process beside
//! them that looks for stale answers. What was acknowledged is in shared memory, as in [`crate::kill`]. Who is told
//! `busy`, as may be where others of the machine leave them no processor, tries again, and that is counted.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::kill::{live, slots, watch};
use crate::random::Random;
use crate::shared::{ended, fork, kill, numbers};
use crate::world::{open, verify};
use crate::{Outcome, Run};

const PROCESSES: usize = 8;
const THREADS: usize = 2;

/// Kills somebody each second and puts another in their place; how often.
fn soak(
    path: &Path,
    shared: &[AtomicI64],
    busy: &AtomicI64,
    random: &mut Random,
    time: Duration,
    living: &mut Vec<i32>,
) -> Result<u64, String> {
    let slots = slots(shared);
    let of = |process: usize| &slots[process * THREADS..(process + 1) * THREADS];
    living.extend((0..PROCESSES).map(|process| fork(|| live(path, of(process), busy))));
    let seed = random.next();
    living.push(fork(|| watch(path, shared, seed)));
    let cache = open(path).map_err(|e| e.to_string())?;
    let (start, mut kills) = (Instant::now(), 0);
    while start.elapsed() < time {
        thread::sleep(Duration::from_secs(1));
        if let Some(dead) = living.iter().position(|pid| ended(*pid).is_some()) {
            let who = if dead == PROCESSES { "the reader".into() } else { format!("process {dead}") };
            living.remove(dead);
            return Err(format!("{who} ended by itself after {kills} kills"));
        }
        let victim = random.below(PROCESSES as u64) as usize;
        kill(living[victim]);
        kills += 1;
        of(victim).iter().try_for_each(|slot| slot.check(&cache, 1))?;
        living[victim] = fork(|| live(path, of(victim), busy));
    }
    Ok(kills)
}

pub(crate) fn run(run: Run) -> Outcome {
    let time = Duration::from_secs(run.minutes.map_or(if run.short { 3 } else { 60 }, |minutes| 60 * minutes));
    let dir = crate::shared::folder()?;
    let path = dir.path().join("hubspot.vidcache");
    let shared = numbers(PROCESSES * THREADS + 1);
    let busy = &numbers(1)[0];
    let mut living = Vec::new();
    let done = soak(&path, shared, busy, &mut Random::new(run.seed), time, &mut living);
    living.into_iter().for_each(kill);
    let kills = done?;
    let cache = open(&path).map_err(|e| format!("at the end: {e}"))?;
    for slot in slots(shared) {
        slot.check(&cache, 1)?;
    }
    verify(&cache)?;
    let written: i64 = slots(shared).iter().map(|slot| slot.acknowledged.load(Ordering::Relaxed)).sum();
    let reads = shared[PROCESSES * THREADS].load(Ordering::Relaxed);
    Ok(format!(
        "{kills} kill -9, one a second, of {PROCESSES} processes of {THREADS} threads: {written} acknowledged writes, 0 \
         lost; {reads} reads beside them, 0 stale; 0 processes ended by themselves; {} calls \
         were told busy",
        busy.load(Ordering::Relaxed)
    ))
}
