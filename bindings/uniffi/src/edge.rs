//! The edge that a panic does not cross. UniFFI has one too, but it hands the panic's words on, and Rust quotes the
//! text that was being cut or parsed in some of them.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use vidcache::Error;

use crate::error::VidcacheError;

thread_local! {
    static PANICKED_AT: Cell<Option<String>> = const { Cell::new(None) };
}

/// Runs the body of a function of the interface.
pub(crate) fn edge<T>(body: impl FnOnce() -> Result<T, Error>) -> Result<T, VidcacheError> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(done) => done.map_err(VidcacheError::from),
        Err(_) => {
            let place = PANICKED_AT.try_with(Cell::take).ok().flatten().unwrap_or_else(|| "an unknown place".into());
            Err(Error::Internal(format!("a panic at {place}; please report it")).into())
        }
    }
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
