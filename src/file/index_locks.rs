//! SQLite's locks on the log's index, as locks that belong to the descriptor and not to the process.
//!
//! In WAL mode SQLite locks nine bytes of the index (`-shm`): 120 to 127 for writing, checkpoints, recovery and
//! readers, 128 for "in use" (<https://sqlite.org/walformat.html>, "WAL Locks"). It takes POSIX locks there, which
//! *any* code of the process drops by opening and closing that file: then two processes write to the log at once.
//! Three processes beside such code lost 1,329 of 1,515 acknowledged writes.
//!
//! So on Linux SQLite gets its system call `fcntl` from here (`xSetSystemCall`, <https://sqlite.org/c3ref/vfs.html>),
//! and on a descriptor of our own index these bytes are locked by `F_OFD_SETLK` (Linux 3.15). SQLite has exactly one
//! descriptor of an index in a process, so such a lock means there what a POSIX lock was to mean. The two kinds
//! exclude one another in the kernel, between processes and within one: older versions of this library, the `sqlite3`
//! program, and a second copy of this library in the process (a gem and a wheel, say) all take part. Across a fork
//! nothing is shared, since connections are closed before it (`fork`).
//!
//! # Whose files
//! The table of system calls is one for all of the SQLite copy. That copy is private to a binding's shared library; a
//! Rust program shares it with whatever else uses `libsqlite3-sys`. So `open` and `close` are replaced too, and note
//! which descriptors are ours: an index that this thread opens while it is inside [`opening`]. All others are passed
//! on untouched. An index that other code had open through the same copy before us keeps its POSIX locks.
//!
//! # Which versions, which processors
//! SQLite calls these interfaces optional, so where one is missing its own locks must do, as before; `tests/locks.rs`
//! looks whether ours are there. `fcntl` is variadic in C, and Rust can define no variadic function: ours takes three
//! arguments. The System V ABI of x86-64, AAPCS64 on Linux, the RISC-V ABI and that of s390x all pass an integer or a
//! pointer after the named arguments in the register that it would be passed in as a named one, and that of i386 has
//! all of them on the stack, so the call arrives whole. Apple's ABI of arm64 puts it on the stack; Apple's kernel has
//! no such locks either. Other processors keep SQLite's own.

use std::path::Path;

use super::names::{FileId, INDEX, LOG, beside, file_id};

/// Makes the calling thread's indexes ours, for as long as the value lives: to be held while a connection is opened,
/// up to the first read, which opens the index. Unless the thread `may_make` them, a log and an index that are not
/// there are not made, and SQLite cannot open the file.
pub(super) fn opening(may_make: bool) -> Opening {
    imp::begin(may_make);
    Opening(())
}

pub(super) struct Opening(());

impl Opening {
    /// What was opened so far.
    pub(super) fn seen(&self) -> Seen {
        imp::seen()
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        imp::end();
    }
}

/// Which log and which index SQLite opened for a connection. A process has one index for all of its connections to a
/// database, so the index is known only of the connection that opened it: see [`is_open`].
#[derive(Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(super) log: Option<FileId>,
    pub(super) index: Option<FileId>,
    /// Whether one of them was not there, and was not to be made.
    pub(super) missing: bool,
}

impl Seen {
    /// Whether these are not, or no longer, the log and the index beside the file: what SQLite says of them then is no
    /// news of the file.
    pub(super) fn is_passing(&self, path: &Path) -> bool {
        let is_other = |seen: Option<FileId>, suffix| seen.is_some() && seen != file_id(&beside(path, suffix));
        self.missing || is_other(self.log, LOG) || is_other(self.index, INDEX)
    }
}

/// Whether the index at `path`, which is the file `index`, is the one that SQLite has open in this process. True where
/// that cannot be told: where other code opened it through the same copy before us.
pub(super) fn is_open(path: &Path, index: FileId) -> bool {
    imp::is_open(path, index)
}

#[cfg(not(all(
    target_os = "linux",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "s390x",
        target_arch = "x86"
    )
)))]
mod imp {
    use crate::file::index_locks::Seen;
    use crate::file::names::FileId;

    pub(super) fn is_open(_path: &std::path::Path, _index: FileId) -> bool {
        true
    }

    pub(super) fn begin(_may_make: bool) {}
    pub(super) fn seen() -> Seen {
        Seen::default()
    }
    pub(super) fn end() {}
}

#[cfg(all(
    target_os = "linux",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "s390x",
        target_arch = "x86"
    )
))]
mod imp {
    use std::cell::Cell;
    use std::ffi::{CStr, c_char, c_int, c_void};
    use std::fs::File;
    use std::mem::ManuallyDrop;
    use std::os::fd::FromRawFd;
    use std::path::Path;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
    use std::{fs, io, ptr};

    use rusqlite::ffi;

    use crate::file::index_locks::Seen;
    use crate::file::names::{FileId, INDEX, LOG, id_of};
    use crate::file::unlinked;

    /// SQLite's own lock and commands: it is compiled for files of 64 bits, also where glibc's plain names, which are
    /// those of Rust's libc, are for 32.
    #[cfg(all(target_env = "gnu", target_arch = "x86"))]
    mod plain {
        pub(super) type Lock = libc::flock64;
        pub(super) const GETLK: libc::c_int = 12;
        pub(super) const SETLK: libc::c_int = 13;
        pub(super) const SETLKW: libc::c_int = 14;
    }
    #[cfg(not(all(target_env = "gnu", target_arch = "x86")))]
    mod plain {
        pub(super) type Lock = libc::flock;
        pub(super) use libc::{F_GETLK as GETLK, F_SETLK as SETLK, F_SETLKW as SETLKW};
    }
    use plain::Lock;

    type Open = unsafe extern "C" fn(*const c_char, c_int, c_int) -> c_int;
    type Close = unsafe extern "C" fn(c_int) -> c_int;
    type Fcntl = unsafe extern "C" fn(c_int, c_int, ...) -> c_int;

    thread_local! {
        /// Whether this thread holds an [`super::Opening`], and may make what is not there.
        static OPENING: Cell<Option<bool>> = const { Cell::new(None) };
        static SEEN: Cell<Seen> = const { Cell::new(Seen { log: None, index: None, missing: false }) };
    }

    pub(super) fn begin(may_make: bool) {
        static INSTALLED: OnceLock<()> = OnceLock::new();
        INSTALLED.get_or_init(install);
        debug_assert_eq!(OPENING.get(), None, "a thread opens one file at a time");
        OPENING.set(Some(may_make));
        SEEN.set(Seen::default());
    }

    pub(super) fn seen() -> Seen {
        SEEN.get()
    }

    pub(super) fn end() {
        OPENING.set(None);
    }

    /// A bit for each descriptor: whether it is an index of ours. Whoever has opened more than 65,536 descriptors keeps
    /// SQLite's own locks there. No lock: the handlers of a fork must find nothing held.
    static OURS: [AtomicU64; 1024] = [const { AtomicU64::new(0) }; 1024];

    pub(super) fn is_open(path: &Path, index: FileId) -> bool {
        let bits = |word: &AtomicU64| {
            let word = word.load(Ordering::Relaxed);
            (0..64).filter(move |bit| word & (1 << bit) != 0)
        };
        let ours: Vec<c_int> =
            (0..).step_by(64).zip(&OURS).flat_map(|(first, word)| bits(word).map(move |bit| first + bit)).collect();
        let names = [path.to_owned(), unlinked::gone(path)];
        let bears_a_name = |descriptor: &c_int| {
            fs::read_link(format!("/proc/self/fd/{descriptor}")).is_ok_and(|name| names.contains(&name))
        };
        ours.iter().any(|descriptor| id(*descriptor) == Some(index)) || !ours.iter().any(bears_a_name)
    }

    fn word(descriptor: c_int) -> Option<(&'static AtomicU64, u64)> {
        let at = usize::try_from(descriptor).ok()?;
        Some((OURS.get(at / 64)?, 1 << (at % 64)))
    }

    fn is_ours(descriptor: c_int) -> bool {
        word(descriptor).is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// What was called before us: SQLite's own functions, or what somebody put there.
    static OPEN: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());
    static CLOSE: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());
    static FCNTL: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

    /// Puts our three functions in, or none.
    fn install() {
        // SAFETY: it initialises SQLite and takes a C string; a registered VFS lives for ever.
        let Some(vfs) = (unsafe { ffi::sqlite3_vfs_find(c"unix".as_ptr()).as_mut() }) else { return };
        if vfs.iVersion < 3 {
            return;
        }
        let (Some(get), Some(set)) = (vfs.xGetSystemCall, vfs.xSetSystemCall) else { return };
        let calls = [(c"open", &OPEN), (c"close", &CLOSE), (c"fcntl", &FCNTL)];
        for (name, kept) in calls {
            // SAFETY: the VFS's own function, for a name that lives as long as the program.
            match unsafe { get(vfs, name.as_ptr()) } {
                Some(found) => kept.store(found as *mut (), Ordering::Release),
                None => return,
            }
        }
        let ours = [ours_open as *const (), ours_close as *const (), ours_fcntl as *const ()];
        for ((name, _), function) in calls.into_iter().zip(ours) {
            // SAFETY: SQLite calls each by the type that it has here (`aSyscall` in os_unix.c), `fcntl` as the module
            // says.
            unsafe { set(vfs, name.as_ptr(), std::mem::transmute::<*const (), ffi::sqlite3_syscall_ptr>(function)) };
        }
    }

    unsafe extern "C" fn ours_open(path: *const c_char, flags: c_int, mode: c_int) -> c_int {
        // SAFETY: SQLite gives a path that ends in a zero.
        let name = unsafe { CStr::from_ptr(path) }.to_bytes();
        let (is_log, is_index) = (name.ends_with(LOG.as_bytes()), name.ends_with(INDEX.as_bytes()));
        let opening = OPENING.get().filter(|_| is_log || is_index);
        let flags = if opening == Some(false) { flags & !libc::O_CREAT } else { flags };
        // SAFETY: `install` stored SQLite's own function before it put this one in; the arguments are SQLite's.
        let descriptor = unsafe {
            let open = std::mem::transmute::<*mut (), Open>(OPEN.load(Ordering::Acquire));
            open(path, flags, mode)
        };
        if opening.is_some() {
            let mut seen = SEEN.get();
            if descriptor < 0 {
                seen.missing |= opening == Some(false) && io::Error::last_os_error().kind() == io::ErrorKind::NotFound;
            } else if is_index {
                note(descriptor);
                seen.index = id(descriptor);
            } else {
                seen.log = id(descriptor);
            }
            SEEN.set(seen);
        }
        descriptor
    }

    fn id(descriptor: c_int) -> Option<FileId> {
        // SAFETY: an open descriptor, which is not closed here.
        let file = ManuallyDrop::new(unsafe { File::from_raw_fd(descriptor) });
        id_of(&file).ok()
    }

    /// Remembers an index of ours, if its locks can be had: not on a kernel, or in a sandbox, that does not know them.
    fn note(descriptor: c_int) {
        let mut lock = Lock {
            l_type: libc::F_RDLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: 128,
            l_len: 1,
            l_pid: 0, // Required to be 0 for locks of open file descriptions.
        };
        // SAFETY: an open descriptor, and a lock that outlives the call.
        let known = unsafe { sqlites_fcntl(descriptor, libc::F_OFD_GETLK, (&raw mut lock).cast()) } == 0;
        if let Some((word, bit)) = word(descriptor).filter(|_| known) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    unsafe extern "C" fn ours_close(descriptor: c_int) -> c_int {
        // Before it is closed: from then on the number may be another file's.
        if let Some((word, bit)) = word(descriptor)
            && word.load(Ordering::Relaxed) & bit != 0
        {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
        // SAFETY: as in `ours_open`.
        unsafe {
            let close = std::mem::transmute::<*mut (), Close>(CLOSE.load(Ordering::Acquire));
            close(descriptor)
        }
    }

    unsafe extern "C" fn ours_fcntl(descriptor: c_int, command: c_int, argument: *mut c_void) -> c_int {
        let command = match command {
            plain::SETLK if is_ours(descriptor) => libc::F_OFD_SETLK,
            plain::SETLKW if is_ours(descriptor) => libc::F_OFD_SETLKW,
            plain::GETLK if is_ours(descriptor) => libc::F_OFD_GETLK,
            other => other,
        };
        if matches!(command, libc::F_OFD_SETLK | libc::F_OFD_SETLKW | libc::F_OFD_GETLK) {
            // SAFETY: for these commands SQLite gives a lock of its own; `l_pid` must be 0 for them, and it has not
            // set it.
            unsafe { (*argument.cast::<Lock>()).l_pid = 0 };
        }
        // SAFETY: what SQLite gave.
        unsafe { sqlites_fcntl(descriptor, command, argument) }
    }

    /// What was there before ours.
    ///
    /// # Safety
    /// As `fcntl` asks; a lock is a [`Lock`].
    unsafe fn sqlites_fcntl(descriptor: c_int, command: c_int, argument: *mut c_void) -> c_int {
        // SAFETY: as in `ours_open`; the rest is the caller's.
        unsafe {
            let fcntl = std::mem::transmute::<*mut (), Fcntl>(FCNTL.load(Ordering::Acquire));
            fcntl(descriptor, command, argument)
        }
    }
}
