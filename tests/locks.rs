//! SQLite's locks on the log's index, in a process whose other code opens and closes the same files.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.
#![cfg(target_os = "linux")]

mod common;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{beside, child_path, link, linked, open, options, start, temporary};
use vidcache::{Error, Options, Synchronous, UserKey, Vid, Vidcache};

/// How long the processes write, and how many there are.
const WRITING: Duration = Duration::from_secs(4);
const WRITERS: i64 = 3;

#[test]
fn child_writes_while_other_code_opens_and_closes_the_files() {
    let Some(path) = child_path() else { return };
    let (folder, number) = (path.parent().unwrap(), std::env::var("VIDCACHE_NUMBER").unwrap());
    let number: i64 = number.parse().unwrap();
    let options = Options { synchronous: Synchronous::Normal, ..options() };
    let cache = Vidcache::open(&path, 1, &options).unwrap();
    let mut acknowledged = File::create(folder.join(format!("acknowledged-{number}"))).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for suffix in ["-shm", "-wal", "", "-shm"] {
                    if let Ok(mut file) = File::open(beside(&path, suffix)) {
                        let _ = file.read(&mut [0]);
                    }
                }
                std::thread::sleep(Duration::from_micros(100));
            }
        });
        let end = Instant::now() + WRITING;
        let failed = (number * 1_000_000 + 1..).take_while(|_| Instant::now() < end).find_map(|user| {
            match cache.link(UserKey::from(user), Vid::try_from(user).unwrap()) {
                Ok(()) => writeln!(acknowledged, "{user}").err().map(|e| e.to_string()),
                Err(Error::Busy) => None,
                Err(error) => Some(error.to_string()),
            }
        });
        done.store(true, Ordering::Relaxed);
        assert_eq!(failed, None);
    });
}

/// Each `close` of the index drops the POSIX locks that the process has on it. With those for the log, two processes
/// wrote to it at once: 1,329 of 1,515 acknowledged writes were lost, and the file was damaged.
#[test]
fn other_code_that_opens_and_closes_the_files_while_processes_write_loses_no_write() {
    let _alone = common::alone();
    let (dir, path) = temporary();
    drop(open(&path));
    let children: Vec<Child> = (1..=WRITERS)
        .map(|number| {
            common::command("child_writes_while_other_code_opens_and_closes_the_files", &path)
                .env("VIDCACHE_NUMBER", number.to_string())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    let cache = open(&path);
    assert_eq!(cache.verify().unwrap(), [""; 0]);
    let (mut acknowledged, mut lost) = (0, 0);
    for number in 1..=WRITERS {
        for line in fs::read_to_string(dir.path().join(format!("acknowledged-{number}"))).unwrap().lines() {
            acknowledged += 1;
            lost += u64::from(!linked(&cache, line.parse().unwrap()));
        }
    }
    println!("{acknowledged} acknowledged, {lost} lost");
    assert!(acknowledged > 300, "{acknowledged}");
    assert_eq!(lost, 0, "of {acknowledged} acknowledged writes");
}

/// The locks that this process has on a file: POSIX locks, and those of its open file descriptions.
fn held(path: &Path) -> (usize, usize) {
    let inode = format!(":{} ", fs::metadata(path).unwrap().ino());
    let of_file = |text: String, kind: &str| text.lines().filter(|l| l.contains(kind) && l.contains(&inode)).count();
    // The kernel writes the table of all locks in pieces: while others lock, a line can be missing from one reading.
    let posix = (0..5).map(|_| of_file(fs::read_to_string("/proc/locks").unwrap(), "POSIX")).max().unwrap();
    let description = fs::read_dir("/proc/self/fdinfo")
        .unwrap()
        .flatten()
        .map(|entry| of_file(fs::read_to_string(entry.path()).unwrap_or_default(), "OFDLCK"))
        .sum();
    (posix, description)
}

#[test]
fn the_locks_of_the_index_belong_to_its_descriptor_and_stay_when_others_close_the_file() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let cache = open(&path);
    link(&cache, 1);
    let index = beside(&path, "-shm");
    assert_eq!(held(&index), (0, 2), "SQLite's own lock of \"in use\", and the guard's");
    fs::read(&index).unwrap();
    assert_eq!(held(&index), (0, 2));
}

/// A Rust program has one SQLite for all that use it.
#[test]
fn a_database_of_the_program_itself_keeps_the_locks_that_sqlite_gives_it() {
    let _alone = common::alone();
    let (dir, path) = temporary();
    let own = dir.path().join("own.db");
    let before = rusqlite::Connection::open(&own).unwrap();
    before.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x)").unwrap();
    let cache = open(&path);
    link(&cache, 1);
    let after = rusqlite::Connection::open(&own).unwrap();
    after.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (1)").unwrap();
    let (posix, description) = held(&beside(&own, "-shm"));
    assert!(posix > 0 && description == 0, "{posix} and {description}");
    after.execute_batch("COMMIT").unwrap();
}

#[test]
fn child_holds_the_write_lock_as_sqlite_does() {
    let Some(path) = child_path() else { return };
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    println!("locked");
    std::io::stdin().lines().next();
}

/// As an older version of this library, or the `sqlite3` program: it holds POSIX locks.
#[test]
fn a_process_with_locks_of_the_other_kind_is_waited_for() {
    use std::io::{BufRead, BufReader};
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let options = Options { busy_timeout: Duration::from_millis(150), ..options() };
    let cache = Vidcache::open(&path, 1, &options).unwrap();
    link(&cache, 1);
    let mut child = start("child_holds_the_write_lock_as_sqlite_does", &path);
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    lines.by_ref().map_while(Result::ok).find(|line| line.contains("locked")).unwrap();
    assert!(held(&beside(&path, "-shm")).0 > 0, "it has locks of its process");
    assert_eq!(cache.begin_email_change(UserKey::from(1)), Err(Error::Busy));
    child.kill().unwrap();
    child.wait().unwrap();
    link(&cache, 2);
}
