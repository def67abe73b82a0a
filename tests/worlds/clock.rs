//! The time of a world. This program has a `clock_gettime` of its own, so the library in it lives in the world's time:
//! each thread walks its own world.

use std::cell::Cell;

thread_local! {
    /// Milliseconds since 1970; 0: as the machine says.
    static NOW: Cell<i64> = const { Cell::new(0) };
}

/// Takes libc's place for everything in this program.
///
/// # Safety
/// As libc's: `time` points to a `timespec`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
    let now = NOW.with(Cell::get);
    if now != 0 && (clock == libc::CLOCK_REALTIME || clock == libc::CLOCK_REALTIME_COARSE) {
        // SAFETY: the caller's pointer, which points to a `timespec`.
        unsafe {
            (*time).tv_sec = now.div_euclid(1000) as _;
            (*time).tv_nsec = (now.rem_euclid(1000) * 1_000_000) as libc::c_long;
        }
        return 0;
    }
    // SAFETY: the caller's arguments, for the same system call.
    unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) as libc::c_int }
}

/// Where the other has 32 bits, the standard library asks for this one.
///
/// # Safety
/// As glibc's: `time` points to its `__timespec64`, two words of 64 bits where the lower half comes first.
#[cfg(all(target_env = "gnu", target_arch = "x86"))]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn __clock_gettime64(clock: libc::clockid_t, time: *mut [i64; 2]) -> libc::c_int {
    let now = NOW.with(Cell::get);
    if now != 0 && (clock == libc::CLOCK_REALTIME || clock == libc::CLOCK_REALTIME_COARSE) {
        // SAFETY: the caller's pointer, which points to two words.
        unsafe { *time = [now.div_euclid(1000), now.rem_euclid(1000) * 1_000_000] };
        return 0;
    }
    // SAFETY: the caller's arguments, for the same system call, `clock_gettime64`, which libc does not name here.
    unsafe { libc::syscall(403, clock, time) as libc::c_int }
}

/// Sets the time of this thread's world.
pub(crate) fn set(now: i64) {
    NOW.with(|cell| cell.set(now));
}
