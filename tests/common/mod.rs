//! What the tests with several processes share.

#![allow(dead_code)] // Each test program uses some of it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use vidcache::{Options, UserKey, Vid, Vidcache};

pub(crate) fn temporary() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("hubspot.vidcache");
    (dir, path)
}

/// Keeps the tests of a program apart: a fork by one of them closes the connections of all, as it should, and what
/// another test counts or finds locked would change under it.
pub(crate) fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// With a secret, so that one test's files can stand in for one another.
pub(crate) fn options() -> Options<'static> {
    Options { secret: Some(b"thirty-two bytes kept out of it."), ..Options::default() }
}

pub(crate) fn open(path: &Path) -> Vidcache {
    Vidcache::open(path, 1, &options()).expect("the file opens")
}

pub(crate) fn link_to(cache: &Vidcache, user: i64, vid: i64) {
    cache.link(UserKey::from(user), Vid::try_from(vid).expect("a vid")).expect("a link");
}

pub(crate) fn link(cache: &Vidcache, user: i64) {
    link_to(cache, user, user);
}

/// The user's vid, or 0.
pub(crate) fn vid(cache: &Vidcache, user: i64) -> i64 {
    cache.resolve(UserKey::from(user)).expect("an answer").map_or(0, |identity| identity.vid.get())
}

pub(crate) fn linked(cache: &Vidcache, user: i64) -> bool {
    vid(cache, user) != 0
}

/// The log (`-wal`) or the index (`-shm`) beside a file.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

/// Waits until it holds, for what takes a process about a second to notice, and a busy machine longer.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "not in a minute: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The test `name` of this program as a process of its own, with `path` in its environment. On another processor than
/// the machine's, it is run by what runs this one: bin/platform names it.
pub(crate) fn command(name: &str, path: &Path) -> Command {
    let runner = std::env::var("VIDCACHE_RUNNER").unwrap_or_default();
    let program = std::env::current_exe().expect("this program").into_os_string();
    let words: Vec<OsString> = runner.split_whitespace().map(OsString::from).chain([program]).collect();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command.args(["--exact", name, "--nocapture"]).env("VIDCACHE_CHILD", path);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// Starts the test `name` of this program as a process of its own.
pub(crate) fn start(name: &str, path: &Path) -> Child {
    command(name, path).spawn().expect("a child process")
}

/// Runs the test `name` as a process of its own, to its end.
pub(crate) fn run(name: &str, path: &Path) {
    let output = start(name, path).wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// The file a child works on; `None` in the parent, where the children's tests have nothing to do.
pub(crate) fn child_path() -> Option<PathBuf> {
    std::env::var_os("VIDCACHE_CHILD").map(PathBuf::from)
}

/// Runs `work` in a forked child and returns what it found.
pub(crate) fn in_fork(work: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child calls only the library and `_exit`; the library's fork handlers leave it with
    // no lock held, and glibc does the same for the allocator.
    match unsafe { libc::fork() } {
        -1 => panic!("cannot fork"),
        0 => {
            let held = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(false);
            // SAFETY: ends the child at once, without the test harness's exit handlers.
            unsafe { libc::_exit(if held { 0 } else { 1 }) }
        }
        child => {
            let mut status = 0;
            // SAFETY: waits for the child just made, into a variable that outlives the call.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
        }
    }
}
