//! The n-th I/O call fails, once and for good, for every n.

use std::ffi::c_int;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::ffi;
use vidcache::{Error, Vidcache};

use crate::random::Random;
use crate::vfs::{self, Call, Hook};
use crate::world::{self, Model, Op, open, verify};
use crate::{Outcome, Run};

/// Fails the call that brings the count to zero, and, if it is for good, all after it.
pub(crate) struct Countdown {
    left: AtomicI64,
    for_good: AtomicBool,
    full: AtomicBool,
    /// What failed first.
    struck: Mutex<String>,
}

impl Countdown {
    fn set(&self, calls: i64, for_good: bool, full: bool) {
        self.for_good.store(for_good, Ordering::SeqCst);
        self.full.store(full, Ordering::SeqCst);
        self.left.store(calls, Ordering::SeqCst);
    }

    fn stop(&self) {
        self.left.store(i64::MAX, Ordering::SeqCst);
    }
}

impl Hook for Countdown {
    fn before(&self, call: &Call<'_>) -> Option<c_int> {
        let code = match call {
            // What the kernel does not fail for a file that is open.
            Call::Close | Call::Unlock | Call::ShmUnlock => return None,
            Call::Open { .. } | Call::SyncFolder => ffi::SQLITE_CANTOPEN,
            Call::Delete { .. } => ffi::SQLITE_IOERR_DELETE,
            Call::Access => ffi::SQLITE_IOERR_ACCESS,
            Call::Read => ffi::SQLITE_IOERR_READ,
            Call::Write { .. } if self.full.load(Ordering::SeqCst) => ffi::SQLITE_FULL,
            Call::Write { .. } => ffi::SQLITE_IOERR_WRITE,
            Call::Truncate { .. } => ffi::SQLITE_IOERR_TRUNCATE,
            Call::Sync { .. } => ffi::SQLITE_IOERR_FSYNC,
            Call::Size => ffi::SQLITE_IOERR_FSTAT,
            Call::Lock => ffi::SQLITE_IOERR_LOCK,
            Call::ShmMap => ffi::SQLITE_IOERR_SHMMAP,
            Call::ShmLock => ffi::SQLITE_IOERR_SHMLOCK,
        };
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        if left == 1 {
            *self.struck.lock().unwrap_or_else(PoisonError::into_inner) = match call {
                Call::Write { name, at, data } => format!("write of {} bytes to {name} at {at}", data.len()),
                other => format!("{other:?}"),
            };
        }
        if left == 1 || (left < 1 && self.for_good.load(Ordering::SeqCst)) { Some(code) } else { None }
    }
}

/// What a failure may be called. The file is sound, so never "damaged" or "not a cache"; and nobody waited for anybody.
pub(crate) fn is_clear(error: &Error) -> bool {
    matches!(error, Error::Storage(_) | Error::CannotOpen { .. })
}

/// What a run with one fault in it must leave behind.
pub(crate) struct After {
    /// The worlds that may be found: the last call may have happened or not.
    worlds: Vec<Model>,
    /// How many calls failed.
    pub(crate) failed: u64,
}

impl After {
    pub(crate) fn check(&self, cache: &Vidcache) -> Result<usize, String> {
        let mut wrong = String::new();
        for (n, world) in self.worlds.iter().enumerate() {
            match world.check(cache) {
                Ok(()) => return Ok(n),
                Err(e) => wrong = e,
            }
        }
        Err(wrong)
    }
}

/// Opens the cache and does a few things to it while the fault strikes. `heal` ends the fault.
pub(crate) fn struck(path: &Path, seed: u64, for_good: bool, heal: &dyn Fn()) -> Result<After, String> {
    let mut random = Random::new(seed);
    let mut model = Model::default();
    let mut failed = 0;
    let complain = |what: &str, error: &Error| -> Result<(), String> {
        if is_clear(error) { Ok(()) } else { Err(format!("{what} failed as {} ({error})", error.code().name())) }
    };
    let cache = match world::open_impatient(path) {
        Ok(cache) => cache,
        Err(error) => {
            complain("opening", &error)?;
            failed += 1;
            // As an app would that is started again.
            match world::open_impatient(path) {
                Ok(cache) => cache,
                Err(error) => {
                    complain("opening", &error)?;
                    return Ok(After { worlds: vec![model], failed: failed + 1 });
                }
            }
        }
    };
    for _ in 0..8 {
        let op: Op = model.next(&mut random);
        match op.perform(&cache) {
            Ok(token) => model = model.after(&op, token),
            Err(error) => {
                complain(&format!("{op:?}"), &error)?;
                failed += 1;
                let other = model.after(&op, None);
                if for_good {
                    // Reads go on where they can, and are right where they do.
                    if let Err(wrong) = model.check(&cache)
                        && !wrong.contains("decide:")
                        && !wrong.contains("resolve:")
                        && !wrong.contains("the file says Err")
                    {
                        return Err(format!("after {op:?} had failed: {wrong}"));
                    }
                    let after = After { worlds: vec![model, other], failed };
                    if random.chance(50) {
                        // Closed while everything fails, so that the log is as the failure left it.
                        return Ok(after);
                    }
                    heal();
                    after.check(&cache).map_err(|wrong| format!("healed, on the same handle: {wrong}"))?;
                    return Ok(after);
                }
                // It is over: the same handle must tell what happened, and go on.
                let after = After { worlds: vec![model, other], failed };
                let which = after.check(&cache).map_err(|wrong| format!("after {op:?} had failed: {wrong}"))?;
                model = after.worlds.into_iter().nth(which).ok_or("one of two")?;
            }
        }
        match model.check_some(&cache, &mut random) {
            Err(wrong) if wrong.contains("decide:") || wrong.contains("resolve:") || wrong.contains("says Err") => {
                failed += 1;
            }
            other => other?,
        }
    }
    drop(cache);
    Ok(After { worlds: vec![model], failed })
}

pub(crate) fn run(run: Run) -> Outcome {
    let countdown = Arc::new(Countdown {
        left: AtomicI64::new(i64::MAX),
        for_good: AtomicBool::new(false),
        full: AtomicBool::new(false),
        struck: Mutex::default(),
    });
    let scenarios = if run.short { 1 } else { 12 };
    let every = if run.short { 3 } else { 1 };
    let dir = crate::shared::folder()?;
    let (mut faults, mut failed, mut appeared, mut calls_in_all) = (0, 0, 0, 0);
    for scenario in 0..scenarios {
        let seed = run.seed.wrapping_add(scenario);
        // How many calls there are when nothing fails.
        let measure = |name: &str| -> Result<i64, String> {
            vfs::install(countdown.clone());
            countdown.set(i64::MAX / 2, false, false);
            let after = struck(&dir.path().join(name), seed, false, &|| {})?;
            let calls = i64::MAX / 2 - countdown.left.load(Ordering::SeqCst);
            countdown.stop();
            vfs::remove();
            if after.failed == 0 { Ok(calls) } else { Err("it fails without a fault".into()) }
        };
        let calls = measure(&format!("{scenario}-sound"))?;
        calls_in_all += calls;
        let mut n = 1 + run.seed as i64 % every;
        while n <= calls {
            for (for_good, full) in [(false, false), (true, false), (true, true)] {
                let wrong = |wrong: String| {
                    let mode = if for_good { "from then on" } else { "once" };
                    let struck = countdown.struck.lock().unwrap_or_else(PoisonError::into_inner);
                    format!(
                        "scenario seed {seed}, call {n} of {calls}, {struck}, failed {mode} (full: {full}): {wrong}"
                    )
                };
                let path = dir.path().join(format!("{scenario}-{n}-{for_good}-{full}"));
                vfs::install(countdown.clone());
                countdown.set(n, for_good, full);
                let after = struck(&path, seed, for_good, &|| countdown.stop()).map_err(wrong)?;
                countdown.stop();
                vfs::remove();
                let cache = open(&path).map_err(|e| wrong(format!("opening afterwards: {e}")))?;
                verify(&cache).map_err(wrong)?;
                appeared += after.check(&cache).map_err(wrong)?;
                faults += 1;
                failed += after.failed;
                drop(cache);
                for suffix in ["", "-wal", "-shm"] {
                    let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
                }
            }
            n += every;
        }
    }
    Ok(format!(
        "{faults} faults at {calls_in_all} calls of {scenarios} runs, {failed} clear errors, 0 acknowledged writes lost, \
         {appeared} failed ones found in the file"
    ))
}
