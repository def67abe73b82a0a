//! No file descriptor left: at opening, at the second connection, after a fork.

use std::fs;

use vidcache::UserKey;

use crate::io_errors::{is_clear, struck};
use crate::shared::{fork, wait};
use crate::world::{open, open_impatient, verify, vid};
use crate::{Outcome, Run};

/// Leaves this process `free` descriptors from number `first` on, or as many as it may have.
fn limit(first: u64, free: Option<u64>) -> Result<(), String> {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limits` outlives both calls.
    let status = unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limits);
        limits.rlim_cur = free.map_or(limits.rlim_max, |free| first + free).min(limits.rlim_max);
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limits)
    };
    if status == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().to_string()) }
}

/// Takes the numbers between those that are in use, so that none is free below the first one after them.
fn close_ranks() -> Result<u64, String> {
    let used = fs::read_dir("/proc/self/fd").map_err(|e| e.to_string())?.flatten();
    let highest = used.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()).max().unwrap_or(0);
    loop {
        // SAFETY: integers only; the new descriptor is kept for the life of the process, or closed here.
        let next = unsafe { libc::dup(0) };
        if next < 0 || next > highest {
            // SAFETY: as above.
            unsafe { libc::close(next) };
            return u64::try_from(next).map_err(|_| "no descriptor at all".into());
        }
    }
}

pub(crate) fn run(run: Run) -> Outcome {
    let first = close_ranks()?;
    let dir = crate::shared::folder()?;
    let (mut failed, mut rounds) = (0, 0);
    for round in 0..if run.short { 2 } else { 40 } {
        for free in 0..16 {
            let wrong = |wrong: String| format!("{free} descriptors free: {wrong}");
            let path = dir.path().join(format!("{round}-{free}"));
            limit(first, Some(free))?;
            let after = struck(&path, run.seed + round, true, &|| drop(limit(first, None)));
            limit(first, None)?;
            let after = after.map_err(wrong)?;
            let cache = open(&path).map_err(|e| wrong(format!("opening afterwards: {e}")))?;
            verify(&cache).map_err(wrong)?;
            after.check(&cache).map_err(wrong)?;
            failed += after.failed;
            rounds += 1;
        }
    }
    // A cache that was open, in a child that cannot open it again.
    for free in 0..8 {
        let path = dir.path().join(format!("fork-{free}"));
        let cache = open_impatient(&path).map_err(|e| e.to_string())?;
        cache.link(UserKey::from(1), vid(1)).map_err(|e| e.to_string())?;
        let child = fork(|| {
            limit(first, Some(free))?;
            for user in 1..4 {
                match cache.link(UserKey::from(user), vid(user)) {
                    Err(error) if !is_clear(&error) => return Err(format!("{error}")),
                    _ => {}
                }
            }
            limit(first, None)?;
            cache.link(UserKey::from(9), vid(9)).map_err(|e| format!("with descriptors again: {e}"))
        });
        if !wait(child) {
            return Err(format!("a child with {free} descriptors failed"));
        }
        verify(&cache)?;
        if !matches!(cache.resolve(UserKey::from(9)), Ok(Some(_))) {
            return Err("a child's write is lost".into());
        }
    }
    Ok(format!("{rounds} runs with 0 to 15 free, {failed} clear errors, 8 children with 0 to 7, 0 lost"))
}
