//! Forks: ten thousand, with threads that read, write and open at that moment; a child that closes, a parent that
//! closes first; and the locks of either side, as the kernel has them.

use std::collections::HashMap;
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use vidcache::{UserKey, Vidcache};

use crate::random::Random;
use crate::shared::{Locks, fork, locks, numbers, until, wait};
use crate::world::{open, verify, vid};
use crate::{Outcome, Run};

fn link(cache: &Vidcache, user: i64) -> Result<(), String> {
    cache.link(UserKey::from(user), vid(user)).map_err(|e| format!("linking {user}: {e}"))
}

fn has(cache: &Vidcache, user: i64) -> Result<(), String> {
    match cache.resolve(UserKey::from(user)) {
        Ok(Some(_)) => Ok(()),
        other => Err(format!("user {user} is {other:?}")),
    }
}

/// SQLite's own locks, or, where another handle's closing has dropped those of the process, the guards beside them.
fn has_locks(path: &Path, who: &str) -> Result<(), String> {
    match locks(path) {
        Locks { posix: 0, description: 0 } => Err(format!("{who} holds no lock")),
        _ => Ok(()),
    }
}

/// The guards are of this process's own making: another process's closing cannot take them away.
fn has_guards(path: &Path, who: &str) -> Result<(), String> {
    match locks(path) {
        Locks { posix, description } if posix > 0 && description > 0 => Ok(()),
        other => Err(format!("{who} holds {other:?}")),
    }
}

/// What a child does with the cache it inherited, or with one of its own.
fn child(cache: Option<&Vidcache>, path: &Path, user: i64, closes: bool) -> Result<(), String> {
    let own;
    let cache = match cache {
        Some(cache) => cache,
        None => {
            own = open(path).map_err(|e| format!("a child cannot open: {e}"))?;
            &own
        }
    };
    link(cache, user)?;
    has(cache, user)?;
    has_guards(path, "a child")?;
    if closes {
        cache.close();
    }
    Ok(())
}

/// Forks while other threads are inside the library: two write, one reads, one opens and closes.
fn among_threads(path: &Path, forks: i64, random: &mut Random) -> Result<i64, String> {
    let cache = open(path).map_err(|e| e.to_string())?;
    let done = AtomicBool::new(false);
    let written = [AtomicI64::new(0), AtomicI64::new(0)];
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (n, written) in written.iter().enumerate() {
            let (cache, done) = (&cache, &done);
            threads.push(scope.spawn(move || -> Result<(), String> {
                let mut user = (n as i64 + 1) * 10_000_000;
                while !done.load(Ordering::Relaxed) {
                    user += 1;
                    link(cache, user)?;
                    written.store(user, Ordering::Release);
                }
                Ok(())
            }));
        }
        threads.push(scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for written in &written {
                    match written.load(Ordering::Acquire) {
                        0 => {}
                        user => has(&cache, user)?,
                    }
                }
            }
            Ok(())
        }));
        threads.push(scope.spawn(|| {
            let mut users = 50_000_000;
            while !done.load(Ordering::Relaxed) {
                users += 1;
                let other = open(path).map_err(|e| format!("opening beside forks: {e}"))?;
                link(&other, users)?;
            }
            Ok(())
        }));
        let mut outcome = Ok(());
        for n in 1..=forks {
            let (own, closes) = (random.chance(30), random.chance(50));
            let user = 90_000_000 + n;
            let forked = fork(|| child((!own).then_some(&cache), path, user, closes));
            if !wait(forked) {
                outcome = Err(format!("the child of fork {n} failed (own handle: {own})"));
                break;
            }
            // Open again here by now, or on this very call.
            if let Err(wrong) = has(&cache, user).and_then(|()| has_locks(path, "the parent")) {
                outcome = Err(wrong);
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
        for thread in threads {
            outcome = outcome.and(thread.join().map_err(|_| "a panic".to_owned()).and_then(|result| result));
        }
        outcome
    })?;
    for (n, written) in written.iter().enumerate() {
        for user in (n as i64 + 1) * 10_000_000 + 1..=written.load(Ordering::Acquire) {
            has(&cache, user)?;
        }
    }
    for n in 1..=forks {
        has(&cache, 90_000_000 + n)?;
    }
    verify(&cache)?;
    Ok(written.iter().map(|written| written.load(Ordering::Relaxed) % 10_000_000).sum())
}

/// Parent and child end in either order; whoever stays keeps locks and rows.
fn who_closes_first(path: &Path, rounds: i64) -> Result<(), String> {
    for round in 0..rounds {
        let base = 200_000_000 + round * 10;
        let turn = &numbers(1)[0];
        let cache = open(path).map_err(|e| e.to_string())?;
        link(&cache, base)?;
        // The parent first.
        let stays = fork(|| {
            link(&cache, base + 1)?;
            turn.store(1, Ordering::Release);
            until(turn, 2)?;
            has_guards(path, "a child whose parent closed")?;
            link(&cache, base + 2)?;
            has(&cache, base + 1)
        });
        until(turn, 1)?;
        drop(cache);
        turn.store(2, Ordering::Release);
        if !wait(stays) {
            return Err("a child whose parent closed first failed".into());
        }
        // The child first, and killed rather than closed every other time.
        let cache = open(path).map_err(|e| e.to_string())?;
        (base + 1..=base + 2).try_for_each(|user| has(&cache, user))?;
        let goes = fork(|| {
            link(&cache, base + 3)?;
            if round % 2 == 0 {
                cache.close();
            }
            Ok(())
        });
        link(&cache, base + 4)?;
        if !wait(goes) {
            return Err("a child that closes failed".into());
        }
        has_guards(path, "a parent whose child closed")?;
        link(&cache, base + 5)?;
        (base..=base + 5).try_for_each(|user| has(&cache, user))?;
        // A grandchild, of a child that never touched the cache.
        let line =
            fork(|| if wait(fork(|| link(&cache, base + 6))) { Ok(()) } else { Err("a grandchild failed".into()) });
        if !wait(line) {
            return Err("a grandchild failed".into());
        }
        has(&cache, base + 6)?;
    }
    Ok(())
}

/// Every child of a chain forks the next one and goes on; all of them write.
fn chain(path: &Path, depth: i64) -> Result<(), String> {
    let cache = open(path).map_err(|e| e.to_string())?;
    fn next(cache: &Vidcache, n: i64) -> Result<(), String> {
        link(cache, 300_000_000 + n)?;
        if n == 0 {
            return Ok(());
        }
        let child = fork(|| next(cache, n - 1));
        link(cache, 310_000_000 + n)?;
        if wait(child) { Ok(()) } else { Err(format!("link {n} of the chain failed")) }
    }
    next(&cache, depth)?;
    (0..=depth).try_for_each(|n| has(&cache, 300_000_000 + n))?;
    (1..=depth).try_for_each(|n| has(&cache, 310_000_000 + n))
}

/// A child that runs another program keeps nothing of ours open.
fn exec(path: &Path) -> Result<(), String> {
    let cache = open(path).map_err(|e| e.to_string())?;
    link(&cache, 1)?;
    let output = process::Command::new("ls").args(["-l", "/proc/self/fd"]).output().map_err(|e| e.to_string())?;
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    if listed.contains("hubspot.vidcache") {
        return Err(format!("a program that was run has our file open: {listed}"));
    }
    has_locks(path, "a parent that ran a program")
}

pub(crate) fn run(run: Run) -> Outcome {
    let forks = if run.short { 400 } else { 10_000 };
    let mut random = Random::new(run.seed);
    let dir = crate::shared::folder()?;
    let path = dir.path().join("hubspot.vidcache");
    let rounds = forks / 100;
    exec(&path)?;
    chain(&path, 20)?;
    who_closes_first(&path, rounds)?;
    let written = among_threads(&path, forks, &mut random)?;
    // Nothing of the many handles is left in this process.
    let mut open_files: HashMap<String, usize> = HashMap::new();
    for entry in std::fs::read_dir("/proc/self/fd").map_err(|e| e.to_string())?.flatten() {
        if let Ok(target) = std::fs::read_link(entry.path()) {
            *open_files.entry(target.display().to_string()).or_default() += 1;
        }
    }
    let ours = open_files.iter().filter(|(name, _)| name.contains("hubspot.vidcache")).count();
    if ours > 0 {
        return Err(format!("descriptors left open: {open_files:?}"));
    }
    Ok(format!(
        "{forks} forks among 4 threads at work, {written} writes of theirs, {} who closes first, chain of 20, 0 lost",
        rounds * 4
    ))
}
