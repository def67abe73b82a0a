//! Whose turn it is to ask for the write lock, among the threads of this process.
//!
//! SQLite's lock has no queue: who wants it asks again and again. With 64 processes of 8 threads all asking, the one
//! that had it got no processor time to finish: 17 writes a second, and callers told "busy". So of each process only
//! one thread asks, the one that came first, and the others sleep until it is their turn: 64 processes then do as many
//! writes as one.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Thread, ThreadId};
use std::time::{Duration, Instant};

use super::fork;
use crate::cancel;
use crate::error::{Error, Result};

/// How long to wait before asking for the write lock again. SQLite's own handler backs off, and the
/// process that backed off furthest starves: of four writers some waited 2.9 s. A short constant wait
/// kept the worst at 0.08 s.
const RETRY_EVERY: Duration = Duration::from_micros(200);

/// A lock that is held for long, or wanted by many, is asked for less often.
const QUICK_TRIES: u32 = 8;
const RETRY_LATER: Duration = Duration::from_millis(2);
/// How often a thread that waits for its turn looks whether it was cancelled.
const LOOK_EVERY: Duration = Duration::from_millis(50);

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

/// The threads that wait, the first one asking. Only touched inside the gate, so that a child never inherits it locked.
#[derive(Default)]
pub(crate) struct Turns(Mutex<VecDeque<Thread>>);

impl Turns {
    /// Tries in turn until it is not [`Error::Busy`], or the time is over. The fork gate is held for one attempt only;
    /// `look` as for [`retry`].
    pub(crate) fn take<T>(
        &self,
        timeout: Duration,
        look: impl Fn() -> Result<()>,
        mut attempt: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        let mut place = None;
        let (mut deadline, mut tries) = (None, 0);
        loop {
            look()?;
            let gate = fork::enter()?;
            let first = self.is_first();
            let result = if first { attempt() } else { Err(Error::Busy) };
            if !matches!(result, Err(Error::Busy)) {
                return result;
            }
            place.get_or_insert_with(|| self.join());
            drop(gate);
            let now = Instant::now();
            if now >= *deadline.get_or_insert(now + timeout) {
                return Err(Error::Busy);
            }
            if first {
                tries += 1;
                cancel::pause(if tries < QUICK_TRIES { RETRY_EVERY } else { RETRY_LATER })?;
            } else {
                cancel::wait(LOOK_EVERY)?;
            }
        }
    }

    /// In a forked child: those who waited did not come along.
    pub(crate) fn forget(&self) {
        self.lock().clear();
    }

    /// Whether nobody came before this thread.
    fn is_first(&self) -> bool {
        self.lock().front().is_none_or(|first| first.id() == thread::current().id())
    }

    fn join(&self) -> Place<'_> {
        let this = thread::current();
        let place = Place { turns: self, thread: this.id() };
        self.lock().push_back(this);
        place
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Thread>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread's place among those that wait.
struct Place<'a> {
    turns: &'a Turns,
    thread: ThreadId,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let _gate = fork::enter_anyway();
        let mut waiting = self.turns.lock();
        waiting.retain(|thread| thread.id() != self.thread);
        if let Some(first) = waiting.front() {
            first.unpark();
        }
    }
}
