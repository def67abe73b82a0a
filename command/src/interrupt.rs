//! Ctrl-C, and what a service manager sends: the work stops between two transactions. A second one ends it at once,
//! which is as safe.

use std::sync::atomic::{AtomicBool, Ordering};

static STOPPED: AtomicBool = AtomicBool::new(false);

extern "C" fn stop(_signal: libc::c_int) {
    STOPPED.store(true, Ordering::Relaxed);
}

/// From here on SIGINT and SIGTERM are heard.
pub(crate) fn listen() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: all zeros is a valid sigaction: no flags, an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = stop as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // The second one finds the usual end; a read that waits for input is woken.
        action.sa_flags = libc::SA_RESETHAND;
        // SAFETY: `action` outlives the call; the handler does nothing but store into an atomic.
        unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    }
}

pub(crate) fn is_stopped() -> bool {
    STOPPED.load(Ordering::Relaxed)
}
