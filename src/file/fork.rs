//! What makes a cache that was opened before `fork` right on both sides of it.
//!
//! SQLite must not be carried across a fork: a child on an inherited connection holds no locks,
//! and one that opens a new connection beside it is told by SQLite's inherited tables that the locks
//! are held already. Both were measured to lose acknowledged writes (docs/adr/0004). So every connection
//! is closed just before the fork, with nobody inside SQLite, and parent and child open theirs
//! again when they next need one (0.3 ms).

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError, Weak,
};

use crate::cancel;
use crate::error::{Error, Result};

/// Held for reading by whoever is inside SQLite, for writing from just before a fork until after it.
///
/// std's lock and not parking_lot's: it is a futex word in this static, so the child may unlock it
/// though the threads that wait on it did not come along. parking_lot keeps a table of waiting
/// threads behind locks of its own, which another thread may hold at the fork.
static GATE: RwLock<()> = RwLock::new(());

/// What must be done around a fork by whoever has a file open.
pub(crate) trait AtFork: Send + Sync {
    /// Just before: closes connections and the descriptors that hold locks. Nobody is inside SQLite.
    fn before(&self);

    /// Closes connections because a file is gone, and keeps what is in an unlinked log. Nobody is inside SQLite.
    fn leave(&self);

    /// Closes for good, without a fork. The caller is alone in the gate.
    fn retire(&self);

    /// Just after, in the child, where only the forking thread exists: forgets all threads that were waiting for the
    /// gate or for a turn.
    fn in_child(&self);
}

/// What a forking thread holds: nobody is inside SQLite, and nobody adds to [`FORGOTTEN`].
type Closed = (RwLockWriteGuard<'static, ()>, MutexGuard<'static, Vec<Arc<dyn AtFork>>>);

/// Everybody of this process who has a file open.
static OPEN: Mutex<Vec<Weak<dyn AtFork>>> = Mutex::new(Vec::new());

/// Whoever nobody needs any more and could not be closed at that moment: see [`close_later`].
static FORGOTTEN: Mutex<Vec<Arc<dyn AtFork>>> = Mutex::new(Vec::new());
static ANY_FORGOTTEN: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The gate, from before the fork until after it: the handlers all run in the forking thread.
    static CLOSED_GATE: RefCell<Option<Closed>> = const { RefCell::new(None) };
}

/// Enters SQLite: no fork happens until the guard is dropped. Must not be nested.
///
/// # Errors
/// [`Error::Cancelled`] where it would have to wait and the caller must not.
pub(crate) fn enter() -> Result<RwLockReadGuard<'static, ()>> {
    match try_enter() {
        Some(gate) => Ok(gate),
        None if cancel::cancelled() => Err(Error::Cancelled),
        None => Ok(enter_anyway()),
    }
}

/// Enters SQLite if that takes no wait at all.
pub(crate) fn try_enter() -> Option<RwLockReadGuard<'static, ()>> {
    match GATE.try_read() {
        Ok(gate) => Some(gate),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Enters the gate for what must be done even by a caller who must not wait: a fork holds the gate for milliseconds at
/// the most.
pub(crate) fn enter_anyway() -> RwLockReadGuard<'static, ()> {
    GATE.read().unwrap_or_else(PoisonError::into_inner)
}

/// How many wait for everybody to leave: what takes long inside SQLite looks at this, and leaves.
static WAITING: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn somebody_waits() -> bool {
    WAITING.load(Ordering::Relaxed) > 0
}

/// Waits until nobody is inside SQLite and keeps everybody out, and forks off, until the guard is dropped.
pub(crate) fn enter_alone() -> RwLockWriteGuard<'static, ()> {
    WAITING.fetch_add(1, Ordering::Relaxed);
    let gate = GATE.write().unwrap_or_else(PoisonError::into_inner);
    WAITING.fetch_sub(1, Ordering::Relaxed);
    gate
}

/// Makes somebody with an open file known to the handlers, and installs them the first time. The caller is inside the
/// gate.
pub(crate) fn register(opener: Weak<dyn AtFork>) -> Result<()> {
    static INSTALLED: OnceLock<i32> = OnceLock::new();
    let status = *INSTALLED.get_or_init(|| {
        // SAFETY: the handlers are `extern "C"`, take nothing, do not unwind, and live as long as the code that has
        // them registered: our shared libraries stay loaded (`-z nodelete` in their build.rs), and where another
        // library has this crate in it, glibc drops the handlers as it is unloaded.
        unsafe { libc::pthread_atfork(Some(prepare), Some(after), Some(after_in_child)) }
    });
    if status != 0 {
        return Err(Error::Storage(format!(
            "cannot install fork handlers: {}",
            std::io::Error::from_raw_os_error(status)
        )));
    }
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.retain(|known| known.strong_count() > 0);
    open.push(opener);
    Ok(())
}

/// Closes every connection of this process; whoever needs one opens it again. A file that is not where it was can be
/// left in no other way: while any connection to a database is open, SQLite gives a new one the same index.
pub(crate) fn leave_all() {
    let _gate = enter_alone();
    for opener in OPEN.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade) {
        opener.leave();
    }
}

/// Leaves it to the next who may wait ([`close_forgotten`]), or to a fork, to close this one. For a caller who must not
/// wait, such as a garbage collector with every thread of its program stopped: to close is a checkpoint, with the disk
/// in it, and takes the gate alone.
pub(crate) fn close_later(opener: Arc<dyn AtFork>) {
    FORGOTTEN.lock().unwrap_or_else(PoisonError::into_inner).push(opener);
    ANY_FORGOTTEN.store(true, Ordering::Release);
}

/// Closes whoever was left by [`close_later`]. The caller may wait, and is outside the gate.
pub(crate) fn close_forgotten() {
    if ANY_FORGOTTEN.load(Ordering::Acquire) && ANY_FORGOTTEN.swap(false, Ordering::AcqRel) {
        let _gate = enter_alone();
        let forgotten = std::mem::take(&mut *FORGOTTEN.lock().unwrap_or_else(PoisonError::into_inner));
        forgotten.iter().for_each(|opener| opener.retire());
    }
}

fn closed() -> RwLockWriteGuard<'static, ()> {
    let gate = enter_alone();
    for opener in OPEN.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade) {
        opener.before();
    }
    gate
}

extern "C" fn prepare() {
    let gate = closed();
    let forgotten = FORGOTTEN.lock().unwrap_or_else(PoisonError::into_inner);
    CLOSED_GATE.with(|slot| *slot.borrow_mut() = Some((gate, forgotten)));
}

extern "C" fn after() {
    CLOSED_GATE.with(|slot| slot.borrow_mut().take());
}

extern "C" fn after_in_child() {
    WAITING.store(0, Ordering::Relaxed);
    for opener in OPEN.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade) {
        opener.in_child();
    }
    after();
}
