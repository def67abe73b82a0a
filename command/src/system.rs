//! What the operating system says of a place.

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// The system user that this process is.
pub(crate) fn user() -> u32 {
    // SAFETY: the call takes nothing and changes nothing.
    unsafe { libc::geteuid() }
}

/// Columns and rows of the terminal that standard output is.
pub(crate) fn terminal() -> Option<(usize, usize)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the call fills in `size`, which outlives it.
    let status = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    (status == 0 && size.ws_col > 0 && size.ws_row > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}

/// Whether something is there to be read within that time; false also where a signal came.
pub(crate) fn is_readable(of: &impl AsRawFd, within: Duration) -> bool {
    let mut waited = libc::pollfd { fd: of.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let milliseconds = libc::c_int::try_from(within.as_millis()).unwrap_or(libc::c_int::MAX);
    // SAFETY: one entry, which outlives the call; the descriptor is `of`'s, which does so, too.
    unsafe { libc::poll(&raw mut waited, 1, milliseconds) > 0 }
}

/// Bytes that this user may still write to the file system of a folder.
pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    let folder = CString::new(folder.as_os_str().as_bytes()).ok()?;
    let mut found = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `folder` is a C string and `found` has room for the answer, both alive over the call.
    if unsafe { libc::statvfs(folder.as_ptr(), found.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: statvfs returned 0, so it has filled the answer in.
    let found = unsafe { found.assume_init() };
    #[allow(clippy::unnecessary_cast)] // Of another width on other systems.
    Some((found.f_bavail as u64).saturating_mul(found.f_frsize as u64))
}
