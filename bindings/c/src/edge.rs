//! The edge that neither an error nor a panic crosses but as a code.

use std::cell::{Cell, RefCell};
use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};

use vidcache::Error;

/// What the thread's last failed call had to say.
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) message: CString,
}

thread_local! {
    static LAST: RefCell<Option<Failure>> = const { RefCell::new(None) };
    static PANICKED_AT: Cell<Option<String>> = const { Cell::new(None) };
}

/// Runs the body of a function of the interface: its `vidcache_result`.
#[inline(always)]
pub(crate) fn edge(body: impl FnOnce() -> Result<(), Error>) -> i32 {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => failed(error),
        Err(_) => panicked(),
    }
}

#[cold]
pub(crate) fn failed(error: Error) -> i32 {
    let code = error.code().number();
    let message = CString::new(error.to_string().replace('\0', "")).unwrap_or_default();
    // A thread that is ending has nowhere to keep it, and nobody to ask for it.
    let _ = LAST.try_with(|last| last.replace(Some(Failure { error, message })));
    code
}

/// Says where it was and never with what words: Rust quotes the text that was being cut or parsed in some of them.
#[cold]
fn panicked() -> i32 {
    let place = PANICKED_AT.try_with(Cell::take).ok().flatten().unwrap_or_else(|| "an unknown place".into());
    failed(Error::Internal(format!("a panic at {place}; please report it")))
}

/// Frees what `pointer` points to and makes it NULL. NULL, and what is NULL, are allowed.
///
/// # Safety
/// `pointer` is NULL or writable; what it points to is NULL or came from `Box::into_raw` here and was not freed since.
pub(crate) unsafe fn free<T>(pointer: *mut *mut T) {
    edge(|| {
        // SAFETY: NULL or writable, by this function's contract; what is there is from `Box::into_raw`, and not freed:
        // whoever frees it clears its pointer.
        unsafe {
            let Some(pointer) = pointer.as_mut() else { return Ok(()) };
            let owned = std::mem::replace(pointer, std::ptr::null_mut());
            if !owned.is_null() {
                drop(Box::from_raw(owned));
            }
        }
        Ok(())
    });
}

/// Gives `look` the thread's last failure, if there was one.
pub(crate) fn last<T>(look: impl FnOnce(&Failure) -> T) -> Option<T> {
    LAST.try_with(|last| last.borrow().as_ref().map(look)).ok().flatten()
}

/// Keeps a panic's message off stderr. The hook is the library's own: it has its own copy of Rust's library.
pub(crate) fn keep_panics_quiet() {
    #[cfg(not(test))]
    {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            std::panic::set_hook(Box::new(|info| {
                let _ = PANICKED_AT.try_with(|place| place.set(info.location().map(ToString::to_string)));
            }));
        });
    }
}
