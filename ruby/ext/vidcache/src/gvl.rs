//! When the GVL is held, and when it is not.
//!
//! A look-up takes 0.1 µs, or 4 µs when it reads the file. Released around that, the GVL comes back only when another thread's turn is over: beside
//! one busy thread a look-up took 100 ms instead of 63 µs. So look-ups hold it, and so must never wait.
//! Whatever may wait (for another process, or the disk) releases it, or every thread would wait along.

use std::ffi::{c_int, c_void};
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
/// It ends early when Ruby has something for this thread: a `Thread#kill`, a `Timeout`, a signal, and sometimes nothing
/// that concerns it. The first raises here, with nothing written. After anything else the
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
    /// The calling thread's object. Here it is on that thread's stack, where the collector finds it and leaves it in its place.
    thread: rb_sys::VALUE,
    /// None until the work has run, and for good when an interrupt was there before it.
    result: Option<Core<T>>,
}

/// # Why no wake-up is lost
/// The work asks Ruby, every 50 ms at the least, whether there is an interrupt, instead of having an unblocking function that
/// Ruby would call. Ruby sets the mark that is asked for before anything else, for a signal in the handler itself; the
/// function it calls only later, and up to 3.2 not at all for a signal to a main thread beside which no other one waits for the
/// GVL or sleeps: a Ctrl-C then waited for `busy_timeout`. Nor does a single-threaded Ruby look between setting function
/// and argument whether a signal comes.
///
/// The mark stays until `thread_check_ints` takes it, so it does not matter when it is set: before the call (then Ruby
/// does not start it), while the work runs, or after the work was asked last.
fn once<T>(work: &(dyn Fn() -> Core<T> + Sync)) -> Option<Core<T>> {
    // SAFETY: whoever has `Ruby`, as the caller has, is a thread of Ruby's with the GVL.
    let mut call = Call { work, thread: unsafe { rb_sys::rb_thread_current() }, result: None };
    // INTR_FAIL leaves interrupts to the caller: so this never jumps out over Rust's frames, and a result that
    // is there is not lost to one.
    let flags = rb_sys::RB_NOGVL_INTR_FAIL;
    // SAFETY: `run::<T>` gets the `Call<T>` it expects, which nothing else uses meanwhile and which outlives this call.
    unsafe {
        rb_sys::rb_nogvl(Some(run::<T>), (&raw mut call).cast(), None, std::ptr::null_mut(), flags as c_int);
    }
    call.result
}

unsafe extern "C" fn run<T>(call: *mut c_void) -> *mut c_void {
    // SAFETY: `once` passes a pointer to its own `Call<T>`, and waits for this to return.
    let call = unsafe { &mut *call.cast::<Call<'_, T>>() };
    let thread = call.thread;
    // SAFETY: of the few functions that Ruby's thread.c allows without the GVL ("Safe C API"). The thread is this one.
    let interrupted = move || unsafe { rb_sys::rb_thread_interrupted(thread) != 0 };
    call.result = Some(catch(|| cancellable(interrupted, call.work)));
    std::ptr::null_mut()
}
