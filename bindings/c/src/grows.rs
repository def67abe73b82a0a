//! Structs that may grow: those that begin with `size`, which tells by which header the program was built.
//!
//! A struct grows at its end. Of a program's struct no byte behind its own `size` is read or written, and a field that
//! it does not have keeps what it stands for when it is left out. docs/c-api.md says what is promised.

use std::marker::PhantomData;
use std::slice;

use vidcache::Error;

/// No struct will ever be longer; a `size` that is was never set.
const MAX: usize = 4096;

/// A struct that may grow.
///
/// # Safety
/// It is `repr(C)`, `size: usize` is its first field, and the others are integers and pointers, so that any bytes, all
/// zeros too, make one. `SIZES` ends with its own size.
pub(crate) unsafe trait Grows: Sized {
    /// Every size that a released header gave it, ascending. The last one is today's.
    const SIZES: &'static [usize];
}

/// Makes a struct one that may grow: `grows!(vidcache_stats: fallback_len, filled)` names the last field of each header
/// in which it was longer than before. A field that is not named here, or that hides in padding, does not compile.
macro_rules! grows {
    ($struct:ident: $($last:ident),+) => {
        // SAFETY: each use is at a struct of integers and pointers; the rest is asserted below.
        unsafe impl $crate::grows::Grows for $struct {
            const SIZES: &'static [usize] = &[
                $($crate::grows::end(std::mem::offset_of!($struct, $last), |this: &$struct| &this.$last)
                    .next_multiple_of(align_of::<$struct>())),+
            ];
        }
        const _: () = {
            let sizes = <$struct as $crate::grows::Grows>::SIZES;
            assert!(std::mem::offset_of!($struct, size) == 0);
            assert!(sizes[sizes.len() - 1] == size_of::<$struct>(), "its last field is not named");
            let mut at = 1;
            while at < sizes.len() {
                assert!(sizes[at - 1] < sizes[at], "it did not become longer");
                at += 1;
            }
            // Else the next field could lie inside a size that is known already. Where pointers are shorter this may
            // be so, and the fields are the same.
            let ends = [$($crate::grows::end(std::mem::offset_of!($struct, $last), |this: &$struct| &this.$last)),+];
            assert!(size_of::<usize>() < 8 || ends[ends.len() - 1] == size_of::<$struct>(), "it ends with padding");
        };
    };
}
pub(crate) use grows;

/// Where a field at `offset` ends.
pub(crate) const fn end<T, F>(offset: usize, _: fn(&T) -> &F) -> usize {
    offset + size_of::<F>()
}

fn wrong<V>(why: &'static str) -> Result<V, Error> {
    Err(Error::InvalidOption { name: "size", why })
}

/// The caller's size, if a header can have given it.
///
/// # Safety
/// `theirs` begins with a readable `size`.
unsafe fn size_of_theirs<T: Grows>(theirs: *const T) -> Result<usize, Error> {
    // SAFETY: `size` is the first field, and readable by this function's contract.
    let size = unsafe { theirs.cast::<usize>().read() };
    match size {
        _ if T::SIZES.contains(&size) || (size > size_of::<T>() && size <= MAX) => Ok(size),
        _ => wrong("it must be the sizeof of the struct, as the header has it: set it before the call"),
    }
}

/// The caller's struct, with `ours` in the fields that it does not have; None for NULL. What is longer than ours comes
/// of a newer header: what ours does not have must be zero, which a newer library takes for left out.
///
/// # Safety
/// `theirs` is NULL or begins with `size`, and that many bytes are readable and initialised, but for padding.
pub(crate) unsafe fn read<T: Grows>(theirs: *const T, mut ours: T) -> Result<Option<T>, Error> {
    if theirs.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL; the rest is this function's contract.
    let size = unsafe { size_of_theirs(theirs) }?;
    let known = size.min(size_of::<T>());
    let bytes = theirs.cast::<u8>();
    // SAFETY: `size` bytes are readable; any bytes make a `T`, and no more than one is written.
    let newer = unsafe {
        bytes.copy_to_nonoverlapping((&raw mut ours).cast(), known);
        slice::from_raw_parts(bytes.add(known), size - known)
    };
    if newer.iter().any(|byte| *byte != 0) {
        return wrong(
            "the program's header is newer, and it sets a field that this library does not know: leave that zero, or \
             install the library of that header",
        );
    }
    Ok(Some(ours))
}

/// The caller's struct, to be written.
pub(crate) struct Room<T> {
    bytes: *mut u8,
    size: usize,
    of: PhantomData<T>,
}

/// # Safety
/// `theirs` is NULL or begins with a readable `size`, and that many bytes are writable until the room is.
pub(crate) unsafe fn room<T: Grows>(theirs: *mut T, name: &'static str) -> Result<Room<T>, Error> {
    if theirs.is_null() {
        return Err(crate::input::null(name));
    }
    // SAFETY: not NULL; the rest is this function's contract.
    let size = unsafe { size_of_theirs(theirs.cast_const()) }?;
    Ok(Room { bytes: theirs.cast(), size, of: PhantomData })
}

impl<T: Grows> Room<T> {
    /// Writes what the caller's struct has of `ours`, but for `size`, and zero to what ours does not have.
    pub(crate) fn write(self, ours: T) {
        let known = self.size.min(size_of::<T>());
        let first = size_of::<usize>();
        // SAFETY: `size` bytes are writable by the contract of `room`, and `known` is no more, nor more than `ours` has;
        // each size is longer than the first field, which is `size`.
        unsafe {
            let from = (&raw const ours).cast::<u8>().add(first);
            from.copy_to_nonoverlapping(self.bytes.add(first), known - first);
            self.bytes.add(known).write_bytes(0, self.size - known);
        }
    }
}

#[cfg(test)]
#[path = "grows_tests.rs"]
mod tests;
