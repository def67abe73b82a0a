//! When the GVL is held, and when it is not.
//!
//! A look-up takes 0.1 µs, or 4 µs when it reads the file. Released around that, the GVL comes back only when another thread's turn is over: beside
//! one busy thread a look-up took 100 ms instead of 63 µs. So look-ups hold it, and so must never wait.
//! Whatever may wait (for another process, or the disk) releases it, or every thread would wait along.

use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use magnus::Ruby;
use vidcache_core::{Error, cancellable, without_waiting};

use crate::error::{Failure, catch};

type Core<T> = Result<T, Error>;

/// Holds the GVL, unless the look-up would have to wait: then it starts again without.
pub(crate) fn read<T>(ruby: &Ruby, patience: Duration, work: impl Fn() -> Core<T> + Sync) -> Result<T, Failure> {
    match without_waiting(&work) {
        Err(Error::Cancelled) => without(ruby, patience, work),
        result => Ok(result?),
    }
}

/// Runs `work` without the GVL. It is `Sync` so that it can hold no Ruby value. It must not
/// keep a lock when it ends, since what follows waits for the GVL.
///
/// Ruby interrupts it through the flag for a `Thread#kill`, a `Timeout`, a signal, and sometimes for nothing
/// that concerns this thread. The first raises here, with nothing written. After anything else the
/// work starts again, though not for longer than `patience` in all: it is over by then anyway.
pub(crate) fn without<T>(ruby: &Ruby, patience: Duration, work: impl Fn() -> Core<T> + Sync) -> Result<T, Failure> {
    let deadline = Instant::now() + patience;
    loop {
        match once(&work) {
            None => ruby.thread_check_ints()?,
            Some(Err(Error::Cancelled)) => {
                ruby.thread_check_ints()?;
                if Instant::now() >= deadline {
                    return Err(Error::Busy.into());
                }
            }
            Some(result) => return Ok(result?),
        }
    }
}

struct Call<'a, T> {
    work: &'a (dyn Fn() -> Core<T> + Sync),
    flag: Arc<AtomicBool>,
    /// None until the work has run, and for good when an interrupt was there before it.
    result: Option<Core<T>>,
}

fn once<T>(work: &(dyn Fn() -> Core<T> + Sync)) -> Option<Core<T>> {
    let mut call = Call { work, flag: Arc::default(), result: None };
    let flag = Arc::clone(&call.flag);
    // INTR_FAIL leaves interrupts to the caller: so this never jumps out over Rust's frames, and a result that
    // is there is not lost to one. UBF_ASYNC_SAFE: without it, Ruby up to 3.1 starts and ends a thread for
    // every call in a program that has only one.
    let flags = rb_sys::RB_NOGVL_INTR_FAIL | rb_sys::RB_NOGVL_UBF_ASYNC_SAFE;
    // SAFETY: `run::<T>` gets the `Call<T>` it expects, which nothing else uses meanwhile, and `cancel`
    // the flag. Both live until this returns, and Ruby calls neither after that.
    unsafe {
        rb_sys::rb_nogvl(
            Some(run::<T>),
            (&raw mut call).cast(),
            Some(cancel),
            Arc::as_ptr(&flag).cast_mut().cast(),
            flags as c_int,
        );
    }
    call.result
}

unsafe extern "C" fn run<T>(call: *mut c_void) -> *mut c_void {
    // SAFETY: `once` passes a pointer to its own `Call<T>`, and waits for this to return.
    let call = unsafe { &mut *call.cast::<Call<'_, T>>() };
    call.result = Some(catch(|| cancellable(&call.flag, call.work)));
    std::ptr::null_mut()
}

/// Called by Ruby from another thread or from a signal handler: an atomic store is fine in both.
unsafe extern "C" fn cancel(flag: *mut c_void) {
    // SAFETY: `once` passes a pointer to an `AtomicBool` that outlives the call, and never a `&mut` to it.
    unsafe { &*flag.cast::<AtomicBool>() }.store(true, Ordering::Relaxed);
}
