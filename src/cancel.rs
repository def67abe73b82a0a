//! Cancelling a call that waits for another process.
//!
//! A thread of a Ruby or Python program that waits in here must be able to stop when its VM wants
//! it back (`Thread#kill`, `Timeout`, Ctrl-C). The flag belongs to the calling thread rather than to
//! every method's arguments, since most callers never cancel.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};

thread_local! {
    static FLAG: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
    static IMPATIENT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`; while it waits, setting `flag` from any thread ends the wait with
/// [`Error::Cancelled`] and nothing written. A write that has begun is not cut short.
pub fn cancellable<T>(flag: &Arc<AtomicBool>, work: impl FnOnce() -> T) -> T {
    struct Reset(Option<Arc<AtomicBool>>);
    impl Drop for Reset {
        fn drop(&mut self) {
            FLAG.with(|slot| *slot.borrow_mut() = self.0.take());
        }
    }
    let _reset = Reset(FLAG.with(|slot| slot.borrow_mut().replace(Arc::clone(flag))));
    work()
}

/// Runs `work`; where it would have to wait, for another process or another thread, it ends with [`Error::Cancelled`]
/// at once and nothing written. For a thread that holds what others wait for (Ruby's GVL), at the price of a nanosecond.
pub fn without_waiting<T>(work: impl FnOnce() -> T) -> T {
    struct Reset(bool);
    impl Drop for Reset {
        fn drop(&mut self) {
            IMPATIENT.set(self.0);
        }
    }
    let _reset = Reset(IMPATIENT.replace(true));
    work()
}

/// Whether the call must not wait (any more).
pub(crate) fn cancelled() -> bool {
    IMPATIENT.get() || FLAG.with(|slot| slot.borrow().as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed)))
}

/// Waits a little, unless the call was cancelled.
pub(crate) fn pause(time: Duration) -> Result<()> {
    if cancelled() {
        return Err(Error::Cancelled);
    }
    std::thread::sleep(time);
    if cancelled() { Err(Error::Cancelled) } else { Ok(()) }
}

/// Waits until the thread is unparked, for so long at most, unless the call was cancelled.
pub(crate) fn wait(time: Duration) -> Result<()> {
    if cancelled() {
        return Err(Error::Cancelled);
    }
    std::thread::park_timeout(time);
    if cancelled() { Err(Error::Cancelled) } else { Ok(()) }
}
