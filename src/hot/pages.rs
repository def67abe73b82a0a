//! Where the table is: memory from the system, in large pages once there is enough of it.

use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use crate::error::{Error, Result};

/// Types of which all-zero bytes are a value.
///
/// # Safety
/// They must be: integers and atomics of them, and arrays and structs of those.
pub(super) unsafe trait Zeroed {}
// SAFETY: an atomic integer.
unsafe impl Zeroed for AtomicU64 {}
// SAFETY: an array of what may be zeros.
unsafe impl<T: Zeroed, const N: usize> Zeroed for [T; N] {}

/// A large page, on the processors that have one of this size.
const HUGE: usize = 2 << 20;
/// What is mapped beyond what is asked for, and given back. Miri knows no mapping of which a part is given back.
const SPARE: usize = if cfg!(miri) { 0 } else { HUGE };
/// `MADV_COLLAPSE` of Linux 6.1: libc has no name for it on musl.
#[cfg(all(target_os = "linux", not(miri)))]
const COLLAPSE: libc::c_int = 25;

/// Zeroed memory that the system only provides once it is touched: 32 MiB of it cost nothing at open. (The allocator
/// would clear it by hand for the sake of the alignment: 15 ms, and all of it resident.)
pub(super) struct Pages<T> {
    start: NonNull<T>,
    count: usize,
}

// SAFETY: it owns its memory and gives out shared references only, to values that may be shared.
unsafe impl<T: Send> Send for Pages<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Pages<T> {}

impl<T: Zeroed> Pages<T> {
    pub(super) fn new(count: usize) -> Result<Self> {
        let failed = || Error::Storage("no memory for the table".into());
        let bytes = count.checked_mul(size_of::<T>()).filter(|bytes| *bytes > 0);
        let bytes = bytes.and_then(|bytes| bytes.checked_next_multiple_of(HUGE)).ok_or_else(failed)?;
        const { assert!(align_of::<T>() <= 4096, "pages are aligned to 4096 bytes at least") };
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // Address space for one more, to begin where a large page can. What is too much costs nothing.
        // SAFETY: a new private mapping, at an address of the kernel's choice.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes + SPARE, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(failed());
        }
        let before = if SPARE == 0 { 0 } else { start.align_offset(HUGE) };
        // SAFETY: both ends of that mapping, of which nobody knows; what is left between is `bytes`, and not null.
        let start = unsafe {
            let aligned = start.cast::<u8>().add(before);
            if SPARE > 0 {
                libc::munmap(start, before);
                libc::munmap(aligned.add(bytes).cast(), SPARE - before);
            }
            NonNull::new_unchecked(aligned.cast::<T>())
        };
        Ok(Self { start, count })
    }
}

impl<T> Pages<T> {
    /// Asks for the first `count` in pages of 2 MiB, once they fill one: a look-up anywhere in the table
    /// then finds its page's address in the processor's own list. It stays as it is where the system will not.
    pub(super) fn prefer_huge(&self, count: usize) {
        #[cfg(all(target_os = "linux", not(miri)))]
        {
            let bytes = count.min(self.count) * size_of::<T>();
            if bytes < HUGE {
                return;
            }
            // SAFETY: our own mapping, private and anonymous. Neither changes what is in it.
            unsafe {
                libc::madvise(self.start.as_ptr().cast(), bytes, libc::MADV_HUGEPAGE);
                // What has small pages already, at once (Linux 6.1).
                libc::madvise(self.start.as_ptr().cast(), bytes, COLLAPSE);
            }
        }
        #[cfg(not(all(target_os = "linux", not(miri))))]
        let _ = count;
    }
}

impl<T> Deref for Pages<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: mapped with room for `count`, page-aligned, alive until `drop`, and all zeros is a `T`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl<T> Drop for Pages<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made, which nobody else refers to any more. `T` needs no drop.
        unsafe { libc::munmap(self.start.as_ptr().cast(), (self.count * size_of::<T>()).next_multiple_of(HUGE)) };
    }
}
