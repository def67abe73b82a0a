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

/// Why a file in this folder is gone sooner than one should think, if it is.
#[cfg(target_os = "linux")]
pub(crate) fn passing(folder: &Path) -> Option<&'static str> {
    /// Of `include/uapi/linux/magic.h`.
    const KINDS: [(i64, &str); 3] = [
        (0x794C_7630, "a container's own layer, which is gone with the container"),
        (0x0102_1994, "memory (tmpfs), which is gone with the next start of the host"),
        (0x8584_58F6, "memory (ramfs), which is gone with the next start of the host"),
    ];
    let folder = CString::new(folder.as_os_str().as_bytes()).ok()?;
    let mut found = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `folder` is a C string and `found` has room for the answer, both alive over the call.
    if unsafe { libc::statfs(folder.as_ptr(), found.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: statfs returned 0, so it has filled the answer in.
    let found = unsafe { found.assume_init() };
    #[allow(clippy::unnecessary_cast)] // Of another width on other processors.
    let magic = found.f_type as i64 & 0xFFFF_FFFF;
    KINDS.iter().find(|(kind, _)| *kind == magic).map(|(_, words)| *words)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn passing(_folder: &Path) -> Option<&'static str> {
    None
}
