//! What the processes of one run share, and how they begin and end.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A folder for the files of a run: in memory, where a run does not wait for a disk that others keep busy (what is
/// written survives a `kill -9` there as anywhere), or in `TMPDIR`, if that is set.
pub(crate) fn folder() -> Result<TempDir, String> {
    let memory = Path::new("/dev/shm");
    if std::env::var_os("TMPDIR").is_none() && memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    }
    .map_err(|e| format!("no temporary folder: {e}"))
}

/// Numbers that stay when a process that wrote them is killed.
pub(crate) fn numbers(count: usize) -> &'static [AtomicI64] {
    let bytes = count * size_of::<AtomicI64>();
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping at an address of the kernel's choice.
    let at = unsafe { libc::mmap(ptr::null_mut(), bytes, access, flags, -1, 0) };
    assert_ne!(at, libc::MAP_FAILED, "no shared memory");
    // SAFETY: mapped, zeroed and page-aligned, of `count` words, and never unmapped.
    unsafe { std::slice::from_raw_parts(at.cast::<AtomicI64>(), count) }
}

/// Whether the machine itself stood still for a while: then a call may have waited for too long that nobody kept
/// waiting.
pub(crate) struct Stalls(Arc<AtomicU64>);

impl Stalls {
    /// How long a pause is that may make a call late, in milliseconds: half of what a save waits for.
    const LONG: u64 = 1_000;

    /// Looks from now on.
    pub(crate) fn watch() -> Self {
        let longest = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&longest);
        thread::spawn(move || {
            loop {
                let began = Instant::now();
                thread::sleep(Duration::from_millis(10));
                seen.fetch_max(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        });
        Self(longest)
    }

    /// Whether calls may have waited for too long, so many of them.
    pub(crate) fn excuse(&self, busy: i64) -> Result<(), String> {
        let longest = self.0.load(Ordering::Relaxed);
        if busy == 0 || longest >= Self::LONG {
            return Ok(());
        }
        Err(format!("{busy} calls waited for too long, and this machine never stood still for more than {longest} ms"))
    }
}

/// Forks a child that does `work` and ends: 0 if that was well, 1 with its words on standard error if not.
pub(crate) fn fork(work: impl FnOnce() -> Result<(), String>) -> libc::pid_t {
    // SAFETY: the child calls the library, whose fork handlers leave it with no lock held (glibc's do that for the
    // allocator), and ends by `_exit`.
    match unsafe { libc::fork() } {
        -1 => panic!("cannot fork: {}", std::io::Error::last_os_error()),
        0 => {
            // A child whose parent is gone is of no use to anybody.
            // SAFETY: takes integers only.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let well = match catch_unwind(AssertUnwindSafe(work)) {
                Ok(Ok(())) => true,
                Ok(Err(wrong)) => {
                    eprintln!("process {}: {wrong}", std::process::id());
                    false
                }
                Err(_) => false,
            };
            // SAFETY: ends the process at once: nothing of the parent's is run a second time.
            unsafe { libc::_exit(i32::from(!well)) }
        }
        child => child,
    }
}

/// Waits for a child. True if it ended by itself, and well.
pub(crate) fn wait(child: libc::pid_t) -> bool {
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    let found = unsafe { libc::waitpid(child, &raw mut status, 0) };
    found == child && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
}

/// Whether a child has ended, and if so whether well. It is then gone.
pub(crate) fn ended(child: libc::pid_t) -> Option<bool> {
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    let found = unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) };
    (found == child).then_some(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0)
}

/// `kill -9`, and waits until the process is gone.
pub(crate) fn kill(child: libc::pid_t) {
    // SAFETY: a child of ours that was not waited for yet, so the number is still its own.
    unsafe { libc::kill(child, libc::SIGKILL) };
    wait(child);
}

/// The locks that this process holds on the database and its companions: POSIX locks, which belong to the process
/// (`/proc/locks` names it), and those of its open file descriptions (`/proc/self/fdinfo`; `/proc/locks` says -1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Locks {
    pub(crate) posix: usize,
    pub(crate) description: usize,
}

pub(crate) fn locks(path: &Path) -> Locks {
    let inodes: Vec<String> = ["", "-shm", "-wal"]
        .iter()
        .filter_map(|suffix| fs::metadata(format!("{}{suffix}", path.display())).ok())
        .map(|found| format!(":{} ", found.ino()))
        .collect();
    let ours = |line: &&str| inodes.iter().any(|inode| line.contains(inode));
    let pid = format!(" {} ", std::process::id());
    // The table is longer than the kernel gives at once, and moves while others lock: a line can be missed.
    let count = || {
        let table = fs::read_to_string("/proc/locks").unwrap_or_default();
        table.lines().filter(ours).filter(|line| line.contains("POSIX") && line.contains(&pid)).count()
    };
    let posix = (0..20).map(|_| count()).find(|&found| found > 0).unwrap_or(0);
    let mut description = 0;
    for entry in fs::read_dir("/proc/self/fdinfo").into_iter().flatten().flatten() {
        let info = fs::read_to_string(entry.path()).unwrap_or_default();
        description += info.lines().filter(ours).filter(|line| line.contains("OFDLCK")).count();
    }
    Locks { posix, description }
}

/// Waits for another process to set the number, or for a minute.
pub(crate) fn until(number: &AtomicI64, value: i64) -> Result<(), String> {
    for _ in 0..60_000 {
        if number.load(Ordering::Acquire) >= value {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    Err(format!("the other process did not get to {value} within a minute"))
}
