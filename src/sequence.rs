//! A sequence lock: many read what one writes, and nobody waits.
//!
//! The writer makes the number odd, writes, and makes it even again. A reader who finds the number even and the same
//! before and after has read what was whole in between. What is protected must be atomics, read and written relaxed:
//! a reader may read them while they are written, and then throws away what it read. The orderings are those of Hans
//! Boehm's "Can seqlocks get along with programming language memory models?" (2012); `tests/loom` runs this file
//! under every interleaving and memory order that C11 allows, and finds the fault when any of them is weakened.

use std::sync::atomic::{AtomicU32, Ordering, fence};

/// All zeros is a sequence that nobody writes under.
#[repr(transparent)]
pub(crate) struct Sequence(AtomicU32);

impl Sequence {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Before reading. Two calls and no closure: an `Option` of what was read cost a tenth of a look-up.
    #[inline(always)]
    pub(crate) fn begin(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// After reading: whether nobody wrote since [`Sequence::begin`] said `before`, so that what was read is whole.
    /// Whatever the caller reads afterwards is at least as new.
    #[inline(always)]
    pub(crate) fn is_unchanged(&self, before: u32) -> bool {
        fence(Ordering::Acquire);
        (before & 1 == 0) & (self.0.load(Ordering::Relaxed) == before)
    }

    /// Writes, one caller at a time.
    #[inline(always)]
    pub(crate) fn write(&self, write: impl FnOnce()) {
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(before.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        write();
        self.0.store(before.wrapping_add(2), Ordering::Release);
    }
}
