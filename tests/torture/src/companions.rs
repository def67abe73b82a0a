//! Processes write and read while other code in each of them opens, copies, links or reads their files all the time, or
//! while somebody deletes, replaces or writes over the log or the index. What was acknowledged must be found, by
//! everybody after a second; nobody may die, and the file must be sound.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use vidcache::{Error, UserKey, Vidcache};

use crate::attack::{Second, read_and_close};
use crate::shared::{fork, numbers, until, wait};
use crate::world::{open, verify, vid};
use crate::{Outcome, Run};

/// What the other code does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Opens and closes each file.
    Opened,
    /// Reads each file and writes a copy.
    Copied,
    /// Gives each file a second name, and takes it away.
    Linked,
    /// Reads the database through a second SQLite.
    Queried,
    /// Deletes the log or the index now and then.
    Deleted(&'static [&'static str]),
    /// Puts an older copy in the place of the log or the index now and then, as `rsync` does.
    Replaced(&'static str),
    /// Writes an older copy over the index now and then, as `cp` does.
    WrittenOver,
}

/// What nobody can survive, and why not.
const EXCLUDED: &str = "not done: an index cut to nothing, since SQLite has it mapped and the system ends whoever looks \
                        into it (docs/adr/0024), or written over while a checkpoint copies by it; a log cut or written \
                        over, a database deleted, replaced, written over or cut, since what was acknowledged was in it";

const KINDS: [Kind; 11] = [
    Kind::Opened,
    Kind::Copied,
    Kind::Linked,
    Kind::Queried,
    Kind::Deleted(&["-wal"]),
    Kind::Deleted(&["-shm"]),
    Kind::Deleted(&["-wal", "-shm"]),
    Kind::Deleted(&["-shm", "-wal"]),
    Kind::Replaced("-wal"),
    Kind::Replaced("-shm"),
    Kind::WrittenOver,
];

const PROCESSES: usize = 3;
const THREADS: usize = 2;
/// Users of one thread.
const ROOM: i64 = 10_000_000;

fn names(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| PathBuf::from(format!("{}{suffix}", path.display())))
}

/// Does what it does, once.
fn disturb(kind: Kind, path: &Path, second: Option<&Second>) {
    let scratch = |file: &Path| PathBuf::from(format!("{}.{}", file.display(), std::process::id()));
    match kind {
        Kind::Opened => names(path).iter().for_each(|file| drop(File::open(file))),
        Kind::Copied => {
            for file in &names(path) {
                let _ = fs::copy(file, scratch(file));
                let _ = fs::remove_file(scratch(file));
                read_and_close(&file.display().to_string());
            }
        }
        Kind::Linked => {
            for file in &names(path) {
                let _ = fs::hard_link(file, scratch(file));
                drop(File::open(scratch(file)));
                let _ = fs::remove_file(scratch(file));
            }
        }
        Kind::Queried => second.iter().for_each(|second| second.read_and_close(path)),
        Kind::Deleted(_) | Kind::Replaced(_) | Kind::WrittenOver => {}
    }
}

/// Does it to the files of all processes. `old` is how the companion was the last time.
fn strike(kind: Kind, path: &Path, old: &mut Vec<u8>) -> io::Result<()> {
    let beside = |suffix: &str| format!("{}{suffix}", path.display());
    match kind {
        Kind::Deleted(suffixes) => suffixes.iter().for_each(|suffix| drop(fs::remove_file(beside(suffix)))),
        Kind::Replaced(suffix) => {
            fs::write(beside(".copy"), &*old)?;
            *old = fs::read(beside(suffix))?;
            fs::rename(beside(".copy"), beside(suffix))?;
        }
        Kind::WrittenOver => {
            // Not while a checkpoint may run, from 1,000 frames on: see `EXCLUDED`.
            let mut now = fs::read(beside("-shm"))?;
            while !now
                .get(16..20)
                .is_some_and(|last| (1..500).contains(&u32::from_ne_bytes([last[0], last[1], last[2], last[3]])))
            {
                now = fs::read(beside("-shm"))?;
            }
            // Never shorter, as `cp` makes it for a moment: see `EXCLUDED`.
            File::options().write(true).open(beside("-shm"))?.write_all(old)?;
            *old = now;
        }
        _ => {}
    }
    Ok(())
}

/// Links until the time is over, and tells after each.
fn write(cache: &Vidcache, first: i64, acknowledged: &AtomicI64, end: Instant) -> Result<(), String> {
    let mut user = first;
    while Instant::now() < end {
        match cache.link(UserKey::from(user), vid(user)) {
            Ok(()) => acknowledged.store(user, Ordering::Release),
            // Of this call nothing was written, so the next one is of the same user.
            Err(Error::Busy) => continue,
            Err(error) => return Err(format!("linking {user}: {error}")),
        }
        user += 1;
    }
    Ok(())
}

/// Looks for what everybody has acknowledged, a second later; whatever looks for it first makes the process see.
fn read(cache: &Vidcache, all: &[AtomicI64], end: Instant) -> Result<(), String> {
    while Instant::now() + Duration::from_secs(2) < end {
        let told: Vec<_> = all.iter().map(|told| told.load(Ordering::Acquire)).collect();
        thread::sleep(Duration::from_secs(1));
        for user in told.into_iter().filter(|user| *user > 0) {
            let since = Instant::now();
            let mut found = cache.resolve(UserKey::from(user));
            // The first look-up after the second sees that the files are others, and the next ones are by these; half a
            // second is for a machine that has other things to do.
            while !matches!(found, Ok(Some(_))) && since.elapsed() < Duration::from_millis(500) {
                thread::sleep(Duration::from_millis(1));
                found = cache.resolve(UserKey::from(user));
            }
            if !matches!(found, Ok(Some(_))) {
                return Err(format!("user {user} is not known a second after another process was told so: {found:?}"));
            }
        }
    }
    Ok(())
}

fn process(
    path: &Path,
    kind: Kind,
    number: usize,
    all: &[AtomicI64],
    ready: &AtomicI64,
    end: Instant,
) -> Result<(), String> {
    let cache = open(path).map_err(|e| format!("opening: {e}"))?;
    // A file that has two names at this moment is refused, as it should be.
    ready.fetch_add(1, Ordering::AcqRel);
    until(ready, PROCESSES as i64)?;
    let second = if kind == Kind::Queried { Second::load() } else { None };
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let cache = &cache;
        let mut writers: Vec<_> = all
            .iter()
            .zip(0..)
            .skip(number * THREADS)
            .take(THREADS)
            .map(|(told, thread)| scope.spawn(move || write(cache, thread * ROOM + 1, told, end)))
            .collect();
        writers.push(scope.spawn(move || read(cache, all, end)));
        let others = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                disturb(kind, path, second.as_ref());
                thread::sleep(Duration::from_micros(200));
            }
        });
        let results: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        done.store(true, Ordering::Relaxed);
        others.join().map_err(|_| "a panic of the other code")?;
        results.into_iter().try_for_each(|result| result.map_err(|_| "a panic".to_owned())?)
    })
}

fn round(kind: Kind, path: &Path, time: Duration) -> Result<i64, String> {
    drop(open(path).map_err(|e| e.to_string())?);
    let (acknowledged, ready) = (numbers(PROCESSES * THREADS), &numbers(1)[0]);
    let end = Instant::now() + time;
    let children: Vec<_> =
        (0..PROCESSES).map(|number| fork(|| process(path, kind, number, acknowledged, ready, end))).collect();
    let mut old = Vec::new();
    while Instant::now() + Duration::from_secs(2) < end {
        thread::sleep(Duration::from_millis(1_500));
        match strike(kind, path, &mut old) {
            // Somebody is making it at this moment.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            struck => struck.map_err(|e| e.to_string())?,
        }
    }
    // All of them, also after one has failed.
    let sound = children.into_iter().filter(|child| !wait(*child)).count() == 0;
    if !sound {
        return Err("a process failed".into());
    }
    let cache = open(path).map_err(|e| format!("opening afterwards: {e}"))?;
    verify(&cache)?;
    let (mut all, mut lost) = (0, 0);
    for (number, told) in acknowledged.iter().enumerate() {
        let first = number as i64 * ROOM + 1;
        for user in first..=told.load(Ordering::Acquire) {
            all += 1;
            lost += i64::from(!matches!(cache.resolve(UserKey::from(user)), Ok(Some(_))));
        }
    }
    if lost > 0 {
        return Err(format!("{lost} of {all} acknowledged writes lost"));
    }
    if all == 0 { Err("nothing was written".into()) } else { Ok(all) }
}

pub(crate) fn run(run: Run) -> Outcome {
    let dir = crate::shared::folder()?;
    let time = Duration::from_secs(run.minutes.map_or(if run.short { 3 } else { 60 }, |minutes| 60 * minutes));
    let mut done = Vec::new();
    let is_wanted = |kind: &Kind| {
        run.kinds.is_empty() || run.kinds.iter().any(|wanted| format!("{kind:?}").starts_with(wanted.as_str()))
    };
    let kinds = KINDS.into_iter().filter(is_wanted);
    for (number, kind) in kinds.enumerate() {
        let path = dir.path().join(number.to_string()).join("file");
        fs::create_dir(dir.path().join(number.to_string())).map_err(|e| e.to_string())?;
        let all = round(kind, &path, time).map_err(|wrong| format!("{kind:?}: {wrong}"))?;
        // One at a time, since a whole run takes long.
        eprintln!("{kind:?}: {all} acknowledged writes");
        done.push(format!("{kind:?} {all}"));
    }
    Ok(format!(
        "{PROCESSES} processes of {THREADS} threads; acknowledged writes beside other code, by what it did: {}; 0 lost, 0 unknown to anybody after a second, 0 processes dead; {EXCLUDED}",
        done.join(", ")
    ))
}
