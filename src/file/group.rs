//! Whose turn it is to write among the threads of this process, and one transaction for all who wait.
//!
//! SQLite's lock has no queue: who wants it asks again and again. With 64 processes of 8 threads all asking, the one
//! that had it got no processor time to finish: 17 writes a second, and callers told "busy". So of each process only
//! one thread asks, the one that came first, and the others sleep: 64 processes then do as many writes as one.
//!
//! # Together
//! Most of a durable write is the wait for the disk, and one wait serves whatever is in the transaction. So those who
//! sleep lend their work to whoever has the turn. It does its own, then theirs, each in a savepoint, commits once, and
//! only then does anybody hear of it (docs/adr/0026).
//!
//! - *Work that fails or panics* in another's transaction is undone by its savepoint, the others' is committed, and its
//!   own thread does it again, in a transaction that begins with it. So nobody is told an error that follows from what
//!   was not committed, and a panic comes up where it belongs.
//! - *A transaction that cannot be committed* is everybody's error. One that could not have the lock is begun again.
//! - *Who waits no longer*, because the time is over or the call was cancelled, takes the work back. Where somebody is
//!   at it already, the outcome is waited for: a write that has begun is not cut short.
//! - *A fork* finds nobody at anybody's work, since the gate is held meanwhile, and a child forgets who waited.

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::fork;
use super::turn::{QUICK_TRIES, RETRY_EVERY, RETRY_LATER};
use crate::cancel;
use crate::error::{Error, Result};

/// How often a thread that waits for its turn looks whether it was cancelled.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How many works of others go into one transaction at most: some ten milliseconds of work, so that threads that come
/// as fast as their works are done keep no other process waiting.
const MOST: usize = 256;

/// What a thread has to write, in a transaction that another thread may have begun. Done again where that came to
/// nothing.
pub(crate) type Work<'w> = dyn FnMut(&Connection) -> Result<()> + Send + 'w;

/// The threads that wait, in the order in which they came. Only touched inside the gate, so that a child never inherits
/// it locked.
#[derive(Default)]
pub(crate) struct Turns {
    line: Mutex<Line>,
    /// Of calls so far.
    count: AtomicU64,
}

#[derive(Default)]
struct Line {
    /// Whether a thread has the turn. It is not among those who wait.
    is_taken: bool,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    /// Of the call: a thread that breaks the rule of `cancellable` can have two.
    number: u64,
    thread: Thread,
    /// `None`: nobody else is to do it.
    work: Option<Lent>,
    state: State,
}

enum State {
    Waits,
    /// Whoever has the turn is at its work.
    InHand,
    Done(Result<()>),
}

/// The work of a thread that stays in [`Turns::take`] for as long as anybody knows of it.
#[derive(Clone, Copy)]
struct Lent(*mut Work<'static>);

// SAFETY: the work itself may go to another thread (`Work` is `Send`), and one at a time is at it: `State::InHand`.
unsafe impl Send for Lent {}

impl Lent {
    fn of(work: &mut Work<'_>) -> Self {
        // SAFETY: only what the type says of its lifetime changes. `Place::leave`, which ends every `Turns::take`, sees
        // to it that nobody has it afterwards.
        Self(unsafe { std::mem::transmute::<*mut Work<'_>, *mut Work<'static>>(work) })
    }

    /// Must be called by the thread that has the turn alone, of its own work or of what it has in hand.
    fn run(self, tx: &Connection) -> Result<()> {
        // SAFETY: alive, as `of` says; and nobody else runs it, as the caller has the turn.
        let work = unsafe { &mut *self.0 };
        work(tx)
    }
}

impl Turns {
    /// Tries in turn until it is not [`Error::Busy`], or the time is over; or until another thread has done the work,
    /// where it `lends` it. The fork gate is held for one attempt only: a fork waits for a transaction, never for a
    /// writer that itself waits for another process. `look` is done before each attempt, as for `turn::retry`.
    pub(crate) fn take(
        &self,
        timeout: Duration,
        look: impl Fn() -> Result<()>,
        work: &mut Work<'_>,
        lends: bool,
        attempt: impl FnMut(&Group<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut place = Place::new(self, work, lends);
        let result = place.wait(timeout, look, attempt);
        place.leave().unwrap_or(result)
    }

    /// In a forked child: those who waited did not come along.
    pub(crate) fn forget(&self) {
        *self.lock() = Line::default();
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Ends the turn: what was in hand has come to nothing.
    fn put_back(&mut self) {
        self.is_taken = false;
        for one in &mut self.waiting {
            if matches!(one.state, State::InHand) {
                one.state = State::Waits;
            }
        }
    }

    fn of(&self, number: u64) -> Option<usize> {
        self.waiting.iter().position(|one| one.number == number)
    }

    /// Who has the turn next.
    fn first(&self) -> Option<&Waiting> {
        let first = self.waiting.iter().find(|one| matches!(one.state, State::Waits));
        first.filter(|_| !self.is_taken)
    }

    fn wake_first(&self) {
        if let Some(first) = self.first() {
            first.thread.unpark();
        }
    }
}

/// What a thread finds that looks whether it has the turn.
enum Next<'t> {
    Turn(Group<'t>),
    Wait,
    Over(Result<()>),
}

/// A thread that is in [`Turns::take`].
struct Place<'t> {
    turns: &'t Turns,
    number: u64,
    work: Lent,
    /// Whether it does others' work in its own transaction.
    helps: bool,
    lends: bool,
    in_line: bool,
}

impl<'t> Place<'t> {
    fn new(turns: &'t Turns, work: &mut Work<'_>, lends: bool) -> Self {
        let number = turns.count.fetch_add(1, Ordering::Relaxed);
        // Whoever lends may have to wait for the outcome; and nobody is to wait for a transaction that does much.
        let lends = lends && !cancel::is_impatient();
        Self { turns, number, work: Lent::of(work), helps: lends, lends, in_line: false }
    }

    fn wait(
        &mut self,
        timeout: Duration,
        look: impl Fn() -> Result<()>,
        mut attempt: impl FnMut(&Group<'_>) -> Result<()>,
    ) -> Result<()> {
        let (mut deadline, mut tries) = (None, 0);
        loop {
            look()?;
            let gate = fork::enter()?;
            let had_turn = match self.next() {
                Next::Over(outcome) => return outcome,
                Next::Wait => false,
                Next::Turn(group) => {
                    let result = attempt(&group);
                    if !matches!(result, Err(Error::Busy)) {
                        group.end(&result);
                        return result;
                    }
                    let begins_again = group.begins_again.get();
                    group.try_later(self);
                    if begins_again {
                        continue;
                    }
                    true
                }
            };
            drop(gate);
            let now = Instant::now();
            let left = deadline.get_or_insert(now + timeout).saturating_duration_since(now);
            if left.is_zero() {
                return Err(Error::Busy);
            }
            if had_turn {
                tries += 1;
                cancel::pause(if tries < QUICK_TRIES { RETRY_EVERY } else { RETRY_LATER })?;
            } else {
                cancel::wait(LOOK_EVERY.min(left))?;
            }
        }
    }

    /// Takes the turn, or a place at the end of the line.
    fn next(&mut self) -> Next<'t> {
        let mut line = self.turns.lock();
        if self.in_line {
            let is_first = line.first().is_some_and(|first| first.number == self.number);
            let at = line.of(self.number).filter(|&at| is_first || matches!(line.waiting[at].state, State::Done(_)));
            let Some(one) = at.and_then(|at| line.waiting.remove(at)) else { return Next::Wait };
            // What has failed in another's transaction is not lent again.
            (self.in_line, self.lends) = (false, one.work.is_some());
            if let State::Done(outcome) = one.state {
                return Next::Over(outcome);
            }
        } else if line.is_taken || line.first().is_some() {
            line.waiting.push_back(self.waiting());
            self.in_line = true;
            return Next::Wait;
        }
        line.is_taken = true;
        let (turns, own, helps) = (self.turns, self.work, self.helps);
        Next::Turn(Group { turns, own, helps, begins_again: Cell::new(false), has_turn: true })
    }

    fn waiting(&self) -> Waiting {
        let work = Some(self.work).filter(|_| self.lends);
        Waiting { number: self.number, thread: thread::current(), work, state: State::Waits }
    }

    /// Takes the work back; or, where another thread is at it or has done it, says what became of it.
    fn leave(&mut self) -> Option<Result<()>> {
        while self.in_line {
            let gate = fork::enter_anyway();
            let mut line = self.turns.lock();
            let Some(at) = line.of(self.number) else { break };
            if !matches!(line.waiting[at].state, State::InHand) {
                self.in_line = false;
                let state = line.waiting.remove(at).map(|one| one.state);
                // Who comes next may have slept because this thread was first.
                line.wake_first();
                return state.and_then(|state| if let State::Done(outcome) = state { Some(outcome) } else { None });
            }
            drop((line, gate));
            thread::park_timeout(LOOK_EVERY);
        }
        None
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The turn, and the transaction of all whose work is done in it.
pub(crate) struct Group<'t> {
    turns: &'t Turns,
    own: Lent,
    helps: bool,
    /// Whether another's work has undone the transaction, which is to be begun again at once.
    begins_again: Cell<bool>,
    has_turn: bool,
}

impl Group<'_> {
    /// Does this thread's own work, and then that of those who wait. On an error nothing of it may be committed.
    pub(crate) fn write(&self, tx: &Connection) -> Result<()> {
        self.own.run(tx)?;
        if tx.is_autocommit() {
            // Others' savepoints would be transactions of their own.
            return Err(Error::Internal("a write that went on after its transaction was undone".into()));
        }
        for _ in 0..if self.helps { MOST } else { 0 } {
            let Some((number, work)) = self.take_in_hand() else { break };
            self.write_for(number, work, tx)?;
        }
        Ok(())
    }

    fn take_in_hand(&self) -> Option<(u64, Lent)> {
        let mut line = self.turns.lock();
        let next = line.waiting.iter_mut().find(|one| one.work.is_some() && matches!(one.state, State::Waits))?;
        next.state = State::InHand;
        next.work.map(|work| (next.number, work))
    }

    fn write_for(&self, number: u64, work: Lent, tx: &Connection) -> Result<()> {
        let run = |sql| tx.prepare_cached(sql)?.execute([]);
        run("SAVEPOINT anothers")?;
        let done = catch_unwind(AssertUnwindSafe(|| work.run(tx)));
        if !matches!(done, Ok(Ok(()))) {
            self.leave_to(number);
            // After some errors, such as a full disk, SQLite has rolled all of it back, and everybody begins again.
            if tx.is_autocommit() || run("ROLLBACK TO anothers").is_err() {
                self.begins_again.set(true);
                return Err(Error::Busy);
            }
        }
        run("RELEASE anothers")?;
        Ok(())
    }

    /// Leaves its work to a thread itself.
    fn leave_to(&self, number: u64) {
        let mut line = self.turns.lock();
        if let Some(at) = line.of(number) {
            (line.waiting[at].work, line.waiting[at].state) = (None, State::Waits);
        }
    }

    /// Ends the turn, and says to all whose work is in the transaction what became of it.
    fn end(mut self, result: &Result<()>) {
        self.has_turn = false;
        let mut line = self.turns.lock();
        line.is_taken = false;
        let mut sleeping: Vec<Thread> = line.first().map(|first| first.thread.clone()).into_iter().collect();
        for one in &mut line.waiting {
            if matches!(one.state, State::InHand) {
                one.state = State::Done(result.clone());
                sleeping.push(one.thread.clone());
            }
        }
        drop(line);
        sleeping.iter().for_each(Thread::unpark);
    }

    /// Ends the turn of one who could not have the lock, and stays the first.
    fn try_later(mut self, place: &mut Place<'_>) {
        self.has_turn = false;
        let mut line = self.turns.lock();
        line.put_back();
        line.waiting.push_front(place.waiting());
        place.in_line = true;
    }
}

impl Drop for Group<'_> {
    /// After a panic: all others go on without this thread.
    fn drop(&mut self) {
        if self.has_turn {
            let mut line = self.turns.lock();
            line.put_back();
            line.wake_first();
        }
    }
}
