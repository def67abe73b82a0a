//! When the GVL is held, and when it is not.
//!
//! A look-up takes 0.1 µs, or 4 µs when it reads the file. Released around that, the GVL comes back only when another
//! thread's turn is over: beside one busy thread a look-up took 100 ms instead of 63 µs. So look-ups hold it, and so
//! must never wait. Whatever may wait (for another process, or the disk) releases it, or every thread would wait along.

use std::ffi::{c_int, c_void};
use std::time::{Duration, Instant};

use magnus::rb_sys::AsRawValue;
use magnus::{Ruby, Value, prelude::*};
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
///
/// Without the GVL other threads run, but not the other fibers of this one. So a fiber of a scheduler (`async`, Falcon)
/// does not wait in here: it tries, and between its tries the scheduler sleeps for it.
pub(crate) fn without<T>(ruby: &Ruby, patience: Duration, work: impl Fn() -> Core<T> + Sync) -> Result<T, Failure> {
    // SAFETY: whoever has `Ruby` is a thread of Ruby's with the GVL.
    let scheduled = unsafe { rb_sys::rb_fiber_scheduler_current() } != ruby.qnil().as_raw();
    until_done(ruby, patience, scheduled, work)
}

/// [`without`] for what takes long and would come to no end in short tries. The other fibers of a scheduler stand
/// still.
pub(crate) fn at_length<T>(ruby: &Ruby, patience: Duration, work: impl Fn() -> Core<T> + Sync) -> Result<T, Failure> {
    until_done(ruby, patience, false, work)
}

fn until_done<T>(
    ruby: &Ruby,
    patience: Duration,
    scheduled: bool,
    work: impl Fn() -> Core<T> + Sync,
) -> Result<T, Failure> {
    let deadline = Instant::now() + patience;
    let at_once = || without_waiting(&work);
    let mut tries = 0_u32;
    loop {
        tries = tries.wrapping_add(1);
        // Now and then a try may wait a little: a file that was replaced is opened anew by no other.
        let patient = !scheduled || tries % PATIENT_EVERY == 0;
        let until = scheduled.then(|| Instant::now() + PATIENT_FOR);
        match if patient { once(&work, until) } else { once(&at_once, None) } {
            None => ruby.thread_check_ints()?,
            Some(Err(Error::Cancelled)) => {
                ruby.thread_check_ints()?;
                if Instant::now() >= deadline {
                    return Err(Error::Busy.into());
                }
                if scheduled {
                    let _: Value = ruby.module_kernel().funcall("sleep", (TRY_EVERY.as_secs_f64(),))?;
                }
            }
            Some(result) => return Ok(result?),
        }
    }
}

/// How long the scheduler sleeps between two tries.
const TRY_EVERY: Duration = Duration::from_millis(2);
const PATIENT_EVERY: u32 = 8;
const PATIENT_FOR: Duration = Duration::from_millis(1);

struct Call<'a, T> {
    work: &'a (dyn Fn() -> Core<T> + Sync),
    /// The calling thread's object. Here it is on that thread's stack, where the collector finds it and leaves it in
    /// its place.
    thread: rb_sys::VALUE,
    /// When the work ends as if it was interrupted.
    until: Option<Instant>,
    /// None until the work has run, and for good when an interrupt was there before it.
    result: Option<Core<T>>,
}

/// # Why no wake-up is lost
/// The work asks Ruby, every 50 ms at the least, whether there is an interrupt, instead of having an unblocking
/// function that Ruby would call. Ruby sets the mark that is asked for before anything else, for a signal in the
/// handler itself; the function it calls only later, and up to 3.2 not at all for a signal to a main thread beside
/// which no other one waits for the GVL or sleeps: a Ctrl-C then waited for `busy_timeout`. Nor does a single-threaded
/// Ruby look between setting function and argument whether a signal comes.
///
/// The mark stays until `thread_check_ints` takes it, so it does not matter when it is set: before the call (then Ruby
/// does not start it), while the work runs, or after the work was asked last.
fn once<T>(work: &(dyn Fn() -> Core<T> + Sync), until: Option<Instant>) -> Option<Core<T>> {
    // SAFETY: whoever has `Ruby`, as the caller has, is a thread of Ruby's with the GVL.
    let mut call = Call { work, thread: unsafe { rb_sys::rb_thread_current() }, until, result: None };
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
    let (thread, until) = (call.thread, call.until);
    // SAFETY: of the few functions that Ruby's thread.c allows without the GVL ("Safe C API"). The thread is this one.
    let interrupted = move || unsafe { rb_sys::rb_thread_interrupted(thread) != 0 };
    let interrupted = move || interrupted() || until.is_some_and(|until| Instant::now() >= until);
    call.result = Some(catch(|| cancellable(interrupted, call.work)));
    std::ptr::null_mut()
}
