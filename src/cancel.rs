//! Cancelling a call that waits for another process.
//!
//! A thread of a Ruby or Python program that waits in here must be able to stop when its VM wants it back
//! (`Thread#kill`, `Timeout`, Ctrl-C). Whether it does is asked of the calling thread's own question rather than of
//! every method's arguments, since most callers never cancel.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::error::{Error, Result};

type Question = Rc<dyn Fn() -> bool>;

thread_local! {
    static QUESTION: RefCell<Option<Question>> = const { RefCell::new(None) };
    static IMPATIENT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`; while it waits, it asks `is_cancelled`, every 50 ms at the least. True ends the wait with
/// [`Error::Cancelled`] and nothing written. A write that has begun is not cut short. Asked by this thread, with
/// locks of the library held: it must not wait, and not call the library.
pub fn cancellable<T>(is_cancelled: impl Fn() -> bool + 'static, work: impl FnOnce() -> T) -> T {
    struct Reset(Option<Question>);
    impl Drop for Reset {
        fn drop(&mut self) {
            QUESTION.with(|slot| *slot.borrow_mut() = self.0.take());
        }
    }
    let _reset = Reset(QUESTION.with(|slot| slot.borrow_mut().replace(Rc::new(is_cancelled))));
    work()
}

/// Runs `work`; where it would have to wait, for another process or another thread, it ends with [`Error::Cancelled`]
/// at once and nothing written. For a thread that holds what others wait for (Ruby's GVL), at the price of a
/// nanosecond.
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
    IMPATIENT.get() || QUESTION.with(|slot| slot.borrow().as_ref().is_some_and(|is_cancelled| is_cancelled()))
}

/// Whether the call must not wait at all: [`without_waiting`].
pub(crate) fn is_impatient() -> bool {
    IMPATIENT.get()
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
