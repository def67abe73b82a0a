//! Processes write while other code in each of them opens, copies, links or reads their files all the time, or while
//! somebody deletes the log or the index. What was acknowledged must be found, and the file must be sound.

use std::fs::{self, File};
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
}

const KINDS: [Kind; 8] = [
    Kind::Opened,
    Kind::Copied,
    Kind::Linked,
    Kind::Queried,
    Kind::Deleted(&["-wal"]),
    Kind::Deleted(&["-shm"]),
    Kind::Deleted(&["-wal", "-shm"]),
    Kind::Deleted(&["-shm", "-wal"]),
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
        Kind::Deleted(_) => {}
    }
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

fn process(
    path: &Path,
    kind: Kind,
    first: i64,
    acknowledged: &[AtomicI64],
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
        let writers: Vec<_> = acknowledged
            .iter()
            .zip(0..)
            .map(|(told, thread)| {
                let cache = &cache;
                scope.spawn(move || write(cache, first + thread * ROOM, told, end))
            })
            .collect();
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
    let first = |process: usize| (process * THREADS) as i64 * ROOM + 1;
    let children: Vec<_> = acknowledged
        .chunks(THREADS)
        .enumerate()
        .map(|(number, told)| fork(|| process(path, kind, first(number), told, ready, end)))
        .collect();
    if let Kind::Deleted(suffixes) = kind {
        while Instant::now() + Duration::from_secs(2) < end {
            thread::sleep(Duration::from_millis(1_500));
            for suffix in suffixes {
                let _ = fs::remove_file(format!("{}{suffix}", path.display()));
            }
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
    let time = Duration::from_secs(if run.short { 4 } else { 60 });
    let mut done = Vec::new();
    for (number, kind) in KINDS.into_iter().enumerate() {
        let path = dir.path().join(number.to_string()).join("file");
        fs::create_dir(dir.path().join(number.to_string())).map_err(|e| e.to_string())?;
        let all = round(kind, &path, time).map_err(|wrong| format!("{kind:?}: {wrong}"))?;
        done.push(format!("{kind:?} {all}"));
    }
    Ok(format!(
        "{PROCESSES} processes of {THREADS} threads; acknowledged writes beside other code, by what it did: {}; 0 lost",
        done.join(", ")
    ))
}
