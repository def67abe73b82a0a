//! Trying again what is busy, while another process has the lock.

use std::time::{Duration, Instant};

use super::fork;
use crate::cancel;
use crate::error::{Error, Result};

/// How long to wait before asking for the write lock again. SQLite's own handler backs off, and the
/// process that backed off furthest starves: of four writers some waited 2.9 s. A short constant wait
/// kept the worst at 0.08 s.
pub(super) const RETRY_EVERY: Duration = Duration::from_micros(200);

/// A lock that is held for long, or wanted by many, is asked for less often.
pub(super) const QUICK_TRIES: u32 = 8;
pub(super) const RETRY_LATER: Duration = Duration::from_millis(2);

/// Tries until it is not [`Error::Busy`], or the time is over. The fork gate is held for one attempt only: a fork
/// waits for a transaction, never for a writer that itself waits for another process. `look` is done before each
/// attempt, outside the gate: who is told "busy" may be at a file that others have left.
pub(crate) fn retry<T>(
    timeout: Duration,
    look: impl Fn() -> Result<()>,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<T> {
    let mut deadline = None;
    loop {
        look()?;
        let gate = fork::enter()?;
        let result = attempt();
        drop(gate);
        if !matches!(result, Err(Error::Busy)) {
            return result;
        }
        let now = Instant::now();
        if now >= *deadline.get_or_insert(now + timeout) {
            return Err(Error::Busy);
        }
        cancel::pause(RETRY_EVERY)?;
    }
}
