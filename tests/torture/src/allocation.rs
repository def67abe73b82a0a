//! The n-th allocation of SQLite's fails, once and for good, for every n. (Rust's own allocations end the process when
//! they fail; that is not tested.)

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use rusqlite::ffi;

use crate::io_errors::struck;
use crate::world::{open, verify};
use crate::{Outcome, Run};

static LEFT: AtomicI64 = AtomicI64::new(i64::MAX);
static FOR_GOOD: AtomicBool = AtomicBool::new(false);
type Allocate = unsafe extern "C" fn(c_int) -> *mut c_void;
type Reallocate = unsafe extern "C" fn(*mut c_void, c_int) -> *mut c_void;
static USUAL: OnceLock<(Allocate, Reallocate)> = OnceLock::new();

fn fails() -> bool {
    let left = LEFT.fetch_sub(1, Ordering::SeqCst);
    left == 1 || (left < 1 && FOR_GOOD.load(Ordering::SeqCst))
}

unsafe extern "C" fn allocate(bytes: c_int) -> *mut c_void {
    match USUAL.get() {
        // SAFETY: SQLite's own allocator, with its own argument.
        Some((usual, _)) if !fails() => unsafe { usual(bytes) },
        _ => ptr::null_mut(),
    }
}

unsafe extern "C" fn reallocate(at: *mut c_void, bytes: c_int) -> *mut c_void {
    match USUAL.get() {
        // SAFETY: as above.
        Some((_, usual)) if !fails() => unsafe { usual(at, bytes) },
        _ => ptr::null_mut(),
    }
}

fn interpose() -> Result<(), String> {
    // SAFETY: all zeros is no methods; SQLite fills them in, and nothing has used SQLite in this process before.
    unsafe {
        let mut methods = std::mem::zeroed::<ffi::sqlite3_mem_methods>();
        let status = ffi::sqlite3_config(ffi::SQLITE_CONFIG_GETMALLOC, &raw mut methods);
        let usual = methods.xMalloc.zip(methods.xRealloc).ok_or("SQLite has no allocator")?;
        USUAL.get_or_init(|| usual);
        let ours = ffi::sqlite3_mem_methods { xMalloc: Some(allocate), xRealloc: Some(reallocate), ..methods };
        match status | ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, &raw const ours) {
            ffi::SQLITE_OK => Ok(()),
            code => Err(format!("SQLite takes no other allocator: {code}")),
        }
    }
}

fn stop() {
    LEFT.store(i64::MAX, Ordering::SeqCst);
}

pub(crate) fn run(run: Run) -> Outcome {
    interpose()?;
    let dir = crate::shared::folder()?;
    let (mut faults, mut failed, mut appeared, mut in_all) = (0, 0, 0, 0);
    for scenario in 0..if run.short { 1 } else { 2 } {
        let seed = run.seed.wrapping_add(scenario);
        LEFT.store(i64::MAX / 2, Ordering::SeqCst);
        let sound = struck(&dir.path().join(format!("{scenario}-sound")), seed, false, &|| {})?;
        let allocations = i64::MAX / 2 - LEFT.load(Ordering::SeqCst);
        stop();
        if sound.failed > 0 {
            return Err("it fails without a fault".into());
        }
        in_all += allocations;
        let every = if run.short { allocations / 150 + 1 } else { 1 };
        let mut n = 1 + run.seed as i64 % every;
        while n <= allocations {
            for for_good in [false, true] {
                let wrong = |wrong: String| {
                    let mode = if for_good { "from then on" } else { "once" };
                    format!("scenario seed {seed}, allocation {n} of {allocations} failed {mode}: {wrong}")
                };
                let path = dir.path().join(format!("{scenario}-{n}-{for_good}"));
                FOR_GOOD.store(for_good, Ordering::SeqCst);
                LEFT.store(n, Ordering::SeqCst);
                let after = struck(&path, seed, for_good, &stop);
                stop();
                let after = after.map_err(wrong)?;
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
        "{faults} faults at {in_all} allocations, {failed} clear errors, 0 acknowledged writes lost, {appeared} failed \
         ones found in the file"
    ))
}
