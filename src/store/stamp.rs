//! The commit stamp: has anybody, in any process, committed since the table was last brought up to date?
//!
//! In WAL mode SQLite keeps 48 bytes at the start of the WAL index, a file that every process maps
//! (<https://sqlite.org/walformat.html>, "the WAL-index header"). Each commit changes them before it returns. So:
//! unchanged header, no commit has returned. Comparing them costs 1 ns; asking SQLite
//! (`PRAGMA data_version`) 2,180. All 48 bytes are compared: after a crash recovery the change counter alone
//! starts over and was seen to repeat. Measured before building: no stale read in 41 million commits with
//! 15,000 `kill -9`.
//!
//! # Why a page of our own
//! SQLite's mapping of the WAL index goes away with its connection, and a thread that reads the stamp then would
//! crash. So the first page of it is mapped a second time, at an address that is ours for the life of the store:
//! `mremap` with an old size of 0 duplicates a shared mapping without a file descriptor (opening and closing one
//! would drop SQLite's locks). Before the connection closes, an empty page takes its place.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use rusqlite::Connection;

use crate::sequence::Sequence;

/// The header in 8-byte words.
const WORDS: usize = 6;
/// What a header never is: its first four bytes are the format's version number.
const NEVER: [u64; WORDS] = [u64::MAX; WORDS];

pub(super) type Header = [u64; WORDS];

/// The header as it is, and as it was when the table was last current.
pub(super) struct Stamp {
    page: Page,
    current: [AtomicU64; WORDS],
    /// Of `current`.
    sequence: Sequence,
}

impl Stamp {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self { page: Page::new()?, current: NEVER.map(AtomicU64::new), sequence: Sequence::new() })
    }

    /// Whether nobody has committed since [`Stamp::publish`]. False while detached.
    #[inline]
    pub(super) fn is_current(&self) -> bool {
        let before = self.sequence.begin();
        let live = self.page.header();
        let mut same = true;
        for (live, current) in live.iter().zip(&self.current) {
            same &= live.load(Ordering::Relaxed) == current.load(Ordering::Relaxed);
        }
        // What the table says is read after this, so it is at least as new as the header was.
        same & self.sequence.is_unchanged(before)
    }

    /// The header now. A commit in progress can make it a mixture, which no later header equals: then the table
    /// is brought up to date once more.
    pub(super) fn read(&self) -> Header {
        let header = self.page.header().each_ref().map(|word| word.load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        header
    }

    /// Says that the table is current as of `header`, which was read before the rows were. One caller at a time.
    pub(super) fn publish(&self, header: Header) {
        self.sequence.write(|| {
            for (slot, word) in self.current.iter().zip(header) {
                slot.store(word, Ordering::Relaxed);
            }
        });
    }

    /// Says that the table is not to be believed until the next [`Stamp::publish`]. Callers as there.
    pub(super) fn doubt(&self) {
        self.publish(NEVER);
    }

    /// Follows this connection's WAL index, which a first read has mapped. On failure, why it cannot.
    pub(super) fn attach(&self, connection: &Connection) -> Result<(), &'static str> {
        self.publish(NEVER);
        let region = wal_index(connection)?;
        // SAFETY: `region` is SQLite's mapping, alive because the connection is borrowed.
        unsafe { self.page.show(region) }
    }

    /// Follows nothing: every look-up asks SQLite. Must come before the connection closes.
    pub(super) fn detach(&self) {
        self.publish(NEVER);
        self.page.hide();
    }
}

/// The start of SQLite's mapping of the WAL index.
fn wal_index(connection: &Connection) -> Result<*mut c_void, &'static str> {
    use rusqlite::ffi;
    let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
    // SAFETY: the handle is alive while the connection is borrowed; the database is named by a C string; this
    // operation writes one `sqlite3_file` pointer (https://sqlite.org/c3ref/c_fcntl_begin_atomic_write.html).
    let status = unsafe {
        ffi::sqlite3_file_control(
            connection.handle(),
            c"main".as_ptr(),
            ffi::SQLITE_FCNTL_FILE_POINTER,
            (&raw mut file).cast::<c_void>(),
        )
    };
    if status != ffi::SQLITE_OK || file.is_null() {
        return Err("SQLite gives no file");
    }
    // SAFETY: an open `sqlite3_file` points to its methods, or to none when the file is not open.
    let methods = unsafe { (*file).pMethods.as_ref() }.ok_or("the file has no methods")?;
    let map = methods.xShmMap.filter(|_| methods.iVersion >= 2).ok_or("the file system layer has no shared memory")?;
    let mut region: *mut c_void = ptr::null_mut();
    // SAFETY: the file is open and in WAL mode; region 0 of 32 KiB is what SQLite itself maps, and `extend` is 0, so
    // nothing is created. SQLite's own calls are serialised with this one by the caller's lock on the connection.
    let status = unsafe { map(file, 0, 32 * 1024, 0, (&raw mut region).cast()) };
    if status != ffi::SQLITE_OK || region.is_null() {
        return Err("the WAL index is not mapped");
    }
    Ok(region)
}

/// One page of address space that is always readable, whatever it shows: of as many bytes as the system's pages have,
/// 4, 16 or 64 KiB.
struct Page {
    at: ptr::NonNull<[AtomicU64; WORDS]>,
    size: usize,
}

// SAFETY: the page stays mapped and readable until `drop`, which has the only reference; it is read atomically.
unsafe impl Send for Page {}
// SAFETY: as above; `show` and `hide` replace the mapping in one step of the kernel's.
unsafe impl Sync for Page {}

impl Page {
    fn new() -> std::io::Result<Self> {
        // SAFETY: asks for a number.
        let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        Self::of(usize::try_from(size).map_err(|_| std::io::Error::last_os_error())?)
    }

    /// A multiple of the system's page.
    fn of(size: usize) -> std::io::Result<Self> {
        // SAFETY: a new private mapping, at an address of the kernel's choice.
        let at = unsafe {
            libc::mmap(ptr::null_mut(), size, libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
        };
        match ptr::NonNull::new(at) {
            Some(at) if at.as_ptr() != libc::MAP_FAILED => Ok(Self { at: at.cast(), size }),
            _ => Err(std::io::Error::last_os_error()),
        }
    }

    #[inline]
    fn header(&self) -> &[AtomicU64; WORDS] {
        // SAFETY: mapped and readable for the life of `self`, page-aligned; every writer, in whatever process,
        // writes it with word-sized stores, so a relaxed atomic load of a word is sound.
        unsafe { self.at.as_ref() }
    }

    /// Shows the first page of a shared mapping here.
    ///
    /// # Safety
    /// `region` is the start of a live, shared, page-aligned mapping.
    #[cfg(target_os = "linux")]
    unsafe fn show(&self, region: *mut c_void) -> Result<(), &'static str> {
        const FAILED: &str = "the WAL index cannot be mapped a second time";
        // SAFETY: an old size of 0 duplicates the shared mapping at `region` (mremap(2)), at a free address: what can
        // be refused is refused here, where nobody reads.
        let copy = unsafe { libc::mremap(region, 0, self.size, libc::MREMAP_MAYMOVE) };
        if copy == libc::MAP_FAILED {
            return Err(FAILED);
        }
        // SAFETY: the new mapping, which nobody else knows of. We only ever read it; the kernel now holds us to that.
        unsafe { libc::mprotect(copy, self.size, libc::PROT_READ) };
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: moves that mapping, without making one more, over our own page, which is only ever read.
        let at = unsafe { libc::mremap(copy, self.size, self.size, flags, self.at.as_ptr().cast::<c_void>()) };
        if at == libc::MAP_FAILED {
            // SAFETY: still ours, and nobody knows of it.
            unsafe { libc::munmap(copy, self.size) };
            return Err(FAILED);
        }
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    unsafe fn show(&self, _region: *mut c_void) -> Result<(), &'static str> {
        Err("this system cannot map the WAL index a second time")
    }

    /// Shows zeros here.
    fn hide(&self) {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // SAFETY: replaces our own page, in one step, by a readable one.
        let at = unsafe { libc::mmap(self.at.as_ptr().cast(), self.size, libc::PROT_READ, flags, -1, 0) };
        // Leaving the old page would only keep the WAL index's memory: it is never believed once detached.
        debug_assert_ne!(at, libc::MAP_FAILED);
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: our own page, and nobody else has a reference.
        unsafe { libc::munmap(self.at.as_ptr().cast(), self.size) };
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    /// The system of a test has pages of one size; a multiple of it is mapped, moved and put away in the same way.
    #[test]
    fn a_page_of_4_16_or_64_kib_shows_what_others_write_and_nothing_once_it_is_hidden() {
        for size in [4, 16, 64].map(|kib| kib << 10) {
            // SAFETY: asks for a number.
            if size % unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize != 0 {
                println!("{size} skipped because this system has larger pages");
                continue;
            }
            let file = tempfile::tempfile().unwrap();
            file.set_len(64 << 10).unwrap();
            let (protection, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
            // SAFETY: a new shared mapping of a file that is as long.
            let region = unsafe { libc::mmap(ptr::null_mut(), 64 << 10, protection, shared, file.as_raw_fd(), 0) };
            assert_ne!(region, libc::MAP_FAILED);
            let page = Page::of(size).unwrap();
            // SAFETY: mapped above, for as long as it is shown.
            unsafe { page.show(region) }.unwrap();
            // SAFETY: mapped above, writable and page-aligned.
            unsafe { &*region.cast::<AtomicU64>() }.store(7, Ordering::Relaxed);
            assert_eq!(page.header()[0].load(Ordering::Relaxed), 7, "{size}");
            // SAFETY: mapped above; what is shown outlives it.
            unsafe { libc::munmap(region, 64 << 10) };
            assert_eq!(page.header()[0].load(Ordering::Relaxed), 7, "{size}: SQLite's mapping is gone");
            page.hide();
            assert_eq!(page.header()[0].load(Ordering::Relaxed), 0, "{size}");
        }
    }
}
