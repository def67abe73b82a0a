//! The memories that components are put into, none of which goes across a fork.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::database::component::Memory;
use crate::error::Result;
use crate::file::fork::{self, AtFork};

/// Memories that nobody uses at the moment.
pub(super) struct Memories(Arc<Free>);

#[derive(Default)]
struct Free(Mutex<Vec<Memory>>);

impl Memories {
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage): the process cannot be told of forks.
    pub(super) fn new() -> Result<Self> {
        let free = Arc::new(Free::default());
        let _gate = fork::enter_anyway();
        let at_fork: Weak<dyn AtFork> = Arc::downgrade(&(Arc::clone(&free) as Arc<dyn AtFork>));
        fork::register(at_fork)?;
        Ok(Self(free))
    }

    /// Does `work` with one. The thread is inside SQLite meanwhile, so that no fork happens: it takes microseconds.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Memory) -> Result<T>) -> Result<T> {
        let _gate = fork::enter_anyway();
        let free = || self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = free().pop();
        let memory = taken.map_or_else(Memory::new, Ok)?;
        let done = work(&memory);
        // A memory that failed, or that somebody panicked in, is not used again.
        if done.is_ok() {
            free().push(memory);
        }
        done
    }
}

/// To let memory go is to be inside SQLite, too.
impl Drop for Memories {
    fn drop(&mut self) {
        let _gate = fork::enter_anyway();
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl AtFork for Free {
    fn before(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn leave(&self) {}

    fn retire(&self) {
        self.before();
    }

    fn in_child(&self) {}
}
