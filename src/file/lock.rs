//! Locks of open file descriptions (Linux), which no other code of the process can drop; and where SQLite has its own.

use std::fs::File;
use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;

/// A range of a file's bytes: where it starts, and how many.
pub(super) type Range = (libc::off_t, libc::off_t);

/// SQLite's SHARED range of the database, and the byte of the WAL index that every user of it holds.
pub(super) const SHARED: Range = (0x4000_0002, 510);
pub(super) const INDEX_IN_USE: Range = (128, 1);
/// The byte of the WAL index that SQLite's writer holds.
pub(super) const INDEX_WRITER: Range = (120, 1);

pub(super) fn is_taken(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES))
}

#[cfg(target_os = "linux")]
pub(super) fn set_lock(file: &File, kind: libc::c_short, range: Range) -> io::Result<()> {
    ofd_lock(file, libc::F_OFD_SETLK, kind, range).map(drop)
}

/// Whether anybody else has a lock in this range, in this process or another, but for locks of `file` itself.
#[cfg(target_os = "linux")]
pub(super) fn is_locked(file: &File, range: Range) -> io::Result<bool> {
    ofd_lock(file, libc::F_OFD_GETLK, libc::F_WRLCK as libc::c_short, range)
        .map(|kind| kind != libc::F_UNLCK as libc::c_short)
}

#[cfg(target_os = "linux")]
fn ofd_lock(file: &File, command: libc::c_int, kind: libc::c_short, range: Range) -> io::Result<libc::c_short> {
    let mut lock = libc::flock {
        l_type: kind,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: range.0,
        l_len: range.1,
        l_pid: 0, // Required to be 0 for these locks.
    };
    // SAFETY: the descriptor is open and `lock` outlives the call.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut lock) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(lock.l_type),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn set_lock(_file: &File, _kind: libc::c_short, _range: Range) -> io::Result<()> {
    Err(io::Error::from_raw_os_error(libc::EINVAL))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_locked(_file: &File, _range: Range) -> io::Result<bool> {
    Err(io::Error::from_raw_os_error(libc::EINVAL))
}
