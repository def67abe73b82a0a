//! Other code in our process opens, reads and closes our files, as a backup gem or a second SQLite does. That drops the
//! POSIX locks of the process; then somebody else closes the file and takes itself for the last one. What is
//! acknowledged after that must be found, and the guards must be there.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::ptr;

use vidcache::{UserKey, Vidcache};

use crate::random::Random;
use crate::shared::{fork, kill, locks, numbers, until, wait};
use crate::world::{open, verify, vid};
use crate::{Outcome, Run};

/// Reads all of a file and closes it.
pub(crate) fn read_and_close(path: &str) {
    if let Ok(mut file) = File::open(path) {
        let _ = file.read_to_end(&mut Vec::new());
    }
}

/// The system's SQLite, loaded beside ours.
pub(crate) struct Second {
    open: unsafe extern "C" fn(*const c_char, *mut *mut c_void) -> c_int,
    exec: unsafe extern "C" fn(*mut c_void, *const c_char, *const c_void, *mut c_void, *mut c_void) -> c_int,
    close: unsafe extern "C" fn(*mut c_void) -> c_int,
    version: String,
}

impl Second {
    #[allow(clippy::missing_transmute_annotations)] // The fields that they go into are the annotation.
    pub(crate) fn load() -> Option<Self> {
        // SAFETY: a C string; the library stays loaded; the three functions are SQLite's, of these types in any
        // version.
        unsafe {
            let library = libc::dlopen(c"libsqlite3.so.0".as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
            if library.is_null() {
                return None;
            }
            let find = |name: &CStr| {
                let found = libc::dlsym(library, name.as_ptr());
                assert!(!found.is_null(), "SQLite has {name:?}");
                found
            };
            let version: unsafe extern "C" fn() -> *const c_char =
                std::mem::transmute::<*mut c_void, _>(find(c"sqlite3_libversion"));
            Some(Self {
                open: std::mem::transmute::<*mut c_void, _>(find(c"sqlite3_open")),
                exec: std::mem::transmute::<*mut c_void, _>(find(c"sqlite3_exec")),
                close: std::mem::transmute::<*mut c_void, _>(find(c"sqlite3_close")),
                version: CStr::from_ptr(version()).to_string_lossy().into_owned(),
            })
        }
    }

    pub(crate) fn read_and_close(&self, path: &Path) {
        let Ok(path) = CString::new(path.display().to_string()) else { return };
        let mut connection = ptr::null_mut();
        // SAFETY: C strings that outlive the calls, and the connection that `open` made, closed once.
        unsafe {
            (self.open)(path.as_ptr(), &raw mut connection);
            let sql = c"SELECT count(*) FROM user".as_ptr();
            (self.exec)(connection, sql, ptr::null(), ptr::null_mut(), ptr::null_mut());
            (self.close)(connection);
        }
    }
}

/// Another process with another SQLite, that opens, reads and closes whatever it is told.
struct Python(Child, ChildStdin, BufReader<ChildStdout>);

const SCRIPT: &str = "
import sqlite3, sys
print(sqlite3.sqlite_version, flush=True)
for line in sys.stdin:
    c = sqlite3.connect(line.strip()); n = c.execute('SELECT count(*) FROM user').fetchone()[0]; c.close()
    print(n, flush=True)
";

impl Python {
    fn start() -> Option<(Self, String)> {
        let mut command = Command::new("python3");
        let child = command.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.ok()?;
        let (stdin, stdout) = (child.stdin.take()?, child.stdout.take()?);
        let mut python = Self(child, stdin, BufReader::new(stdout));
        let version = python.line()?;
        Some((python, version))
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.2.read_line(&mut line).ok().filter(|&n| n > 0).map(|_| line.trim().to_owned())
    }

    fn open_and_close(&mut self, path: &Path) -> Result<(), String> {
        writeln!(self.1, "{}", path.display()).map_err(|e| e.to_string())?;
        self.line().map(drop).ok_or_else(|| "python cannot read the file".to_owned())
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn link(cache: &Vidcache, user: i64) -> Result<(), String> {
    cache.link(UserKey::from(user), vid(user)).map_err(|e| format!("linking {user}: {e}"))
}

/// The process that is attacked from within: links, suffers, tells, waits until somebody else has closed, links again.
fn victim(
    path: &Path,
    second: bool,
    before: bool,
    killed: bool,
    turn: &std::sync::atomic::AtomicI64,
) -> Result<(), String> {
    use std::sync::atomic::Ordering;
    let names = ["", "-wal", "-shm"].map(|suffix| format!("{}{suffix}", path.display()));
    // Load order: the other code has the file open before we do, or comes after us.
    let early: Vec<_> =
        if before { names.iter().filter_map(|name| File::open(name).ok()).collect() } else { Vec::new() };
    let mut other = if second && before { Second::load() } else { None };
    let cache = open(path).map_err(|e| format!("opening: {e}"))?;
    (1..=20).try_for_each(|user| link(&cache, user))?;
    if cache.resolve(UserKey::from(1)).map_err(|e| e.to_string())?.is_none() {
        return Err("not linked".into());
    }
    other = other.or_else(|| if second { Second::load() } else { None });
    drop(early);
    match other {
        Some(other) => other.read_and_close(path),
        None => names.iter().for_each(|name| read_and_close(name)),
    }
    if locks(path).description == 0 {
        return Err(format!("no guard is left: {:?}", locks(path)));
    }
    turn.store(1, Ordering::Release);
    until(turn, 2)?;
    (21..=120).try_for_each(|user| link(&cache, user))?;
    turn.store(3, Ordering::Release);
    until(turn, 4)?;
    (121..=130).try_for_each(|user| link(&cache, user))?;
    turn.store(5, Ordering::Release);
    if killed {
        std::thread::sleep(std::time::Duration::from_secs(60));
    }
    Ok(())
}

pub(crate) fn run(run: Run) -> Outcome {
    use std::sync::atomic::Ordering;
    let mut random = Random::new(run.seed);
    let dir = crate::shared::folder()?;
    let mut python = Python::start();
    let rounds = if run.short { 48 } else { 1_000 };
    for round in 0..rounds {
        let path = dir.path().join(format!("{round}"));
        let (second, before, theirs) = (round & 1 != 0, round & 2 != 0, round & 4 != 0 && python.is_some());
        let wrong = |wrong: String| {
            format!(
                "round {round} (second SQLite: {second}, loaded first: {before}, closer is python: {theirs}): {wrong}"
            )
        };
        if random.chance(50) {
            drop(open(&path).map_err(|e| wrong(e.to_string()))?);
        }
        let killed = random.chance(70);
        let turn = &numbers(1)[0];
        let child = fork(|| victim(&path, second, before, killed, turn));
        for told in [1, 3] {
            until(turn, told).map_err(wrong)?;
            match &mut python {
                Some((python, _)) if theirs => python.open_and_close(&path).map_err(wrong)?,
                _ => drop(open(&path).map_err(|e| wrong(e.to_string()))?),
            }
            turn.store(told + 1, Ordering::Release);
        }
        // Killed right after its last acknowledgement, or closed.
        if killed {
            until(turn, 5).map_err(wrong)?;
            kill(child);
        } else if !wait(child) {
            return Err(wrong("the attacked process failed".into()));
        }
        let cache = open(&path).map_err(|e| wrong(e.to_string()))?;
        for user in 1..=130 {
            if !matches!(cache.resolve(UserKey::from(user)), Ok(Some(_))) {
                return Err(wrong(format!("acknowledged link {user} is lost")));
            }
        }
        verify(&cache).map_err(wrong)?;
    }
    let second = Second::load().map_or_else(|| "none".to_owned(), |second| second.version);
    let python =
        python.as_ref().map_or_else(|| "skipped because python3 is not installed".to_owned(), |(_, v)| v.clone());
    Ok(format!(
        "{rounds} attacks (plain reads, SQLite {second} loaded beside ours, before and after; closed by our library and \
         by SQLite {python}), {} acknowledged writes, 0 lost",
        rounds * 130
    ))
}
