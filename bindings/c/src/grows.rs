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

/// The caller's struct, of a size that a header can have given it.
pub(crate) struct Theirs<T> {
    bytes: *mut u8,
    size: usize,
    of: PhantomData<T>,
}

/// None for NULL.
///
/// # Safety
/// `pointer` is NULL or begins with a readable `size`; while `Theirs` is used, that many bytes are readable, and
/// initialised but for padding, where it is read, and writable where it is written.
pub(crate) unsafe fn theirs<T: Grows>(pointer: *const T) -> Result<Option<Theirs<T>>, Error> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, and `size`, the first field, is readable by this function's contract.
    let size = unsafe { pointer.cast::<usize>().read() };
    if T::SIZES.contains(&size) || (size > size_of::<T>() && size <= MAX) {
        return Ok(Some(Theirs { bytes: pointer.cast_mut().cast(), size, of: PhantomData }));
    }
    wrong("it must be the sizeof of the struct, as the header has it: set it before the call")
}

impl<T: Grows> Theirs<T> {
    /// The struct, with `ours` in the fields that it does not have. What is longer than ours comes of a newer header:
    /// what ours does not have must be zero, which stands for left out.
    pub(crate) fn read(self, mut ours: T) -> Result<T, Error> {
        let known = self.size.min(size_of::<T>());
        // SAFETY: `size` bytes are readable by the contract of `theirs`; any bytes make a `T`, and no more than one is
        // written.
        let newer = unsafe {
            self.bytes.copy_to_nonoverlapping((&raw mut ours).cast(), known);
            slice::from_raw_parts(self.bytes.add(known), self.size - known)
        };
        if newer.iter().any(|byte| *byte != 0) {
            return wrong(
                "the program's header is newer, and it sets a field that this library does not know: leave that zero, \
                 or install the library of that header",
            );
        }
        Ok(ours)
    }

    /// Writes what the struct has of `ours`, but for `size`, and zero to what ours does not have.
    pub(crate) fn write(self, ours: T) {
        let known = self.size.min(size_of::<T>());
        let first = size_of::<usize>();
        // SAFETY: `size` bytes are writable by the contract of `theirs`, and `known` is no more, nor more than `ours`
        // has; each size is longer than the first field, which is `size`.
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
