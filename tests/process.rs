//! Several processes on one file: kills, forks, locks. Every child is this test program again, or a fork of it.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{child_path, in_fork, link, linked, open, options, start, temporary};
use vidcache::{Error, Options, UserKey, Vidcache, cancellable};

#[test]
fn child_writes_and_acknowledges() {
    let Some(path) = child_path() else { return };
    let cache = open(&path);
    for user in 1.. {
        link(&cache, user);
        println!("wrote {user}");
    }
}

#[test]
fn an_acknowledged_write_is_found_after_kill_9() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    for round in 0..5 {
        let mut child = start("child_writes_and_acknowledges", &path);
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut last = 0;
        while last < 20 + round * 7 {
            let line = lines.next().expect("more lines").expect("text");
            last = line.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(last);
        }
        child.kill().expect("kill -9");
        child.wait().expect("reaped");
        for line in lines.map_while(Result::ok) {
            last = line.strip_prefix("wrote ").and_then(|n| n.parse().ok()).unwrap_or(last);
        }
        let cache = open(&path);
        for user in 1..=last {
            assert!(linked(&cache, user), "user {user} of {last} is lost");
        }
    }
}

#[test]
fn child_reads_what_it_is_asked() {
    let Some(path) = child_path() else { return };
    let cache = open(&path);
    for line in std::io::stdin().lines().map_while(Result::ok) {
        println!("read {}", linked(&cache, line.parse().expect("a number")));
    }
}

#[test]
fn another_process_sees_a_write_as_soon_as_it_returned() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let cache = open(&path);
    let mut child = start("child_reads_what_it_is_asked", &path);
    let mut ask = child.stdin.take().expect("piped");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    for user in 1..200 {
        link(&cache, user);
        writeln!(ask, "{user}").expect("asked");
        let answer = lines.by_ref().map_while(Result::ok).find(|line| line.contains("read ")).expect("an answer");
        assert!(answer.ends_with("read true"), "user {user}: {answer}");
    }
    drop(ask);
    assert!(child.wait().expect("reaped").success());
}

#[test]
fn child_holds_the_write_lock() {
    let Some(path) = child_path() else { return };
    let db = rusqlite::Connection::open(&path).expect("opens");
    db.execute_batch("BEGIN IMMEDIATE").expect("locks");
    println!("locked");
    std::io::stdin().lines().next();
}

fn hold_write_lock(path: &Path) -> Child {
    let mut child = start("child_holds_the_write_lock", path);
    let mut lines = BufReader::new(child.stdout.as_mut().expect("piped")).lines();
    lines.by_ref().map_while(Result::ok).find(|line| line.contains("locked")).expect("locked");
    child
}

#[test]
fn a_write_waits_no_longer_than_the_busy_timeout_and_reads_do_not_wait() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let options = Options { busy_timeout: Duration::from_millis(150), ..options() };
    let cache = Vidcache::open(&path, 1, &options).expect("opens");
    link(&cache, 1);
    let mut child = hold_write_lock(&path);
    let start = Instant::now();
    assert_eq!(cache.begin_email_change(UserKey::from(1)), Err(Error::Busy));
    assert!((150..2000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    assert!(linked(&cache, 1), "a read waits for no writer");
    child.kill().expect("ended");
    child.wait().expect("reaped");
    link(&cache, 2);
}

/// A visitor may be waiting for it, and a thread of the server; for a worker's call nobody is.
#[test]
fn the_beginning_of_a_change_waits_for_2_s_at_most_and_a_worker_s_write_for_the_busy_timeout() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let options = Options { busy_timeout: Duration::from_secs(60), ..options() };
    let cache = Vidcache::open(&path, 1, &options).expect("opens");
    link(&cache, 1);
    let mut child = hold_write_lock(&path);
    // As a debugger does, or a machine that is out of memory: whoever has the lock neither goes on nor ends.
    let number = libc::pid_t::try_from(child.id()).expect("a process");
    // SAFETY: a child of ours that was not waited for yet, so the number is still its own.
    assert_eq!(unsafe { libc::kill(number, libc::SIGSTOP) }, 0);
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| link(&cache, 2));
        let start = Instant::now();
        assert_eq!(cache.begin_email_change(UserKey::from(1)), Err(Error::Busy));
        assert!((2.0..30.0).contains(&start.elapsed().as_secs_f64()), "{:?}", start.elapsed());
        assert!(!worker.is_finished(), "a worker's call waits on");
        child.kill().expect("ended");
        child.wait().expect("reaped");
        worker.join().expect("written");
    });
    assert!(linked(&cache, 2));
    assert_eq!(cache.begin_email_change(UserKey::from(1)).map(drop), Ok(()));
}

#[test]
fn a_waiting_write_ends_when_it_is_cancelled() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let cache = open(&path);
    let mut child = hold_write_lock(&path);
    let flag = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let asked = Arc::clone(&flag);
        let is_cancelled = move || asked.load(Ordering::Relaxed);
        let waiting = scope.spawn(|| cancellable(is_cancelled, || cache.begin_email_change(UserKey::from(1))));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished());
        flag.store(true, Ordering::Relaxed);
        assert_eq!(waiting.join().expect("no panic"), Err(Error::Cancelled));
    });
    child.kill().expect("ended");
    child.wait().expect("reaped");
    link(&cache, 1);
}

/// The number of locks that a process holds on the file and its companions.
fn locks(pid: u32, path: &Path) -> usize {
    use std::os::unix::fs::MetadataExt;
    let count = || {
        let inodes: Vec<String> = ["", "-shm", "-wal"]
            .iter()
            .filter_map(|suffix| std::fs::metadata(format!("{}{suffix}", path.display())).ok())
            .map(|found| format!(":{} ", found.ino()))
            .collect();
        let table = std::fs::read_to_string("/proc/locks").expect("/proc/locks");
        table
            .lines()
            .filter(|line| line.contains(&format!(" {pid} ")) && inodes.iter().any(|inode| line.contains(inode)))
            .count()
    };
    // The kernel writes the table in pieces: while others lock and unlock, a line can be missing from one reading.
    (0..5).map(|_| count()).max().unwrap_or(0)
}

#[test]
fn a_cache_opened_before_a_fork_is_right_on_both_sides_of_it() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let cache = open(&path);
    link(&cache, 1);
    assert!(!linked(&cache, 2), "and that is remembered");
    assert!(in_fork(|| {
        link(&cache, 2);
        linked(&cache, 1) && linked(&cache, 2) && locks(std::process::id(), &path) > 0
    }));
    assert!(linked(&cache, 2), "the child's write is seen here");
    assert!(locks(std::process::id(), &path) > 0, "the parent holds locks of its own");
}

/// A fork waits for a thread that opens, and comes the moment it is done: the handlers must know of it by then.
#[test]
fn a_child_forked_while_another_thread_opens_has_locks_of_its_own() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                link(&open(&path), 1);
            }
        });
        let sound = (0..200).all(|user| {
            in_fork(|| {
                let own = open(&path);
                link(&own, 100 + user);
                locks(std::process::id(), &path) > 0
            })
        });
        done.store(true, Ordering::Relaxed);
        assert!(sound, "SQLite in the child believed that a connection of its parent's held them");
    });
}

/// The guards: locks of open file descriptions.
fn guards(path: &Path) -> usize {
    use std::os::unix::fs::MetadataExt;
    let inode = format!(":{} ", std::fs::metadata(path).expect("the file").ino());
    let table = std::fs::read_to_string("/proc/locks").expect("/proc/locks");
    table.lines().filter(|line| line.contains("OFDLCK") && line.contains(&inode)).count()
}

/// The table is longer than the kernel gives at once, and moves while others lock: so it is read again.
fn are_guards(path: &Path, count: usize) -> bool {
    (0..100).any(|turn| {
        std::thread::sleep(Duration::from_millis(turn));
        guards(path) == count
    })
}

#[test]
fn a_child_that_closes_leaves_its_parents_guards_alone() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let cache = open(&path);
    link(&cache, 1);
    assert!(linked(&cache, 1) && are_guards(&path, 1));
    let (mut here, mut there) = UnixStream::pair().expect("a socket pair");
    std::thread::scope(|scope| {
        let child = scope.spawn(|| {
            in_fork(|| {
                link(&cache, 2);
                there.write_all(b"x").expect("told");
                there.read_exact(&mut [0]).expect("answered");
                cache.close();
                true
            })
        });
        here.read_exact(&mut [0]).expect("told");
        let (seen, either) = (linked(&cache, 2), are_guards(&path, 2));
        here.write_all(b"x").expect("answered");
        assert!(child.join().expect("no panic") && seen && either, "one in either process");
        assert!(are_guards(&path, 1));
    });
}

#[test]
fn a_child_keeps_what_it_writes_after_its_parent_closed() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let cache = open(&path);
    link(&cache, 1);
    let (mut here, mut there) = UnixStream::pair().expect("a socket pair");
    std::thread::scope(|scope| {
        let child = scope.spawn(|| {
            in_fork(|| {
                link(&cache, 2);
                there.write_all(b"x").expect("told");
                there.read_exact(&mut [0]).expect("answered");
                link(&cache, 3);
                linked(&cache, 2)
            })
        });
        here.read_exact(&mut [0]).expect("told");
        cache.close();
        here.write_all(b"x").expect("answered");
        assert!(child.join().expect("no panic"));
    });
    let again = open(&path);
    assert!(linked(&again, 2) && linked(&again, 3));
}

#[test]
fn forks_while_other_threads_read_and_write_leave_everybody_sound() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let cache = open(&path);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2i64)
            .map(|n| {
                let (cache, done) = (&cache, &done);
                scope.spawn(move || {
                    let mut user = n * 1_000_000;
                    while !done.load(Ordering::Relaxed) {
                        user += 1;
                        link(cache, user);
                        assert!(linked(cache, user));
                    }
                    user
                })
            })
            .collect();
        for round in 0..40 {
            assert!(in_fork(|| {
                link(&cache, 9_000_000 + round);
                linked(&cache, 9_000_000 + round)
            }));
        }
        done.store(true, Ordering::Relaxed);
        let last: Vec<_> = writers.into_iter().map(|w| w.join().expect("no panic")).collect();
        for (n, last) in last.into_iter().enumerate() {
            assert!((n as i64 * 1_000_000 + 1..=last).all(|user| linked(&cache, user)));
        }
        assert!((0..40).all(|round| linked(&cache, 9_000_000 + round)));
    });
}

#[test]
fn child_writes_once_and_closes() {
    let Some(path) = child_path() else { return };
    let cache = open(&path);
    link(&cache, 5_000_000);
    cache.close();
}

/// Reads the whole file and its companions as a backup would: opened and closed in this process.
fn read_all(path: &Path) {
    for suffix in ["", "-shm", "-wal"] {
        std::fs::read(format!("{}{suffix}", path.display())).unwrap();
    }
}

/// Closing any descriptor of the files drops SQLite's locks on them. Without locks of our own beside those, the next
/// process to close the file takes itself for the last one and deletes the log, with our rows in it.
#[test]
fn other_code_that_reads_the_file_in_our_process_loses_no_write() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let cache = open(&path);
    for round in 0..10 {
        link(&cache, 1 + round * 3);
        read_all(&path);
        assert!(locks(std::process::id(), &path) == 0, "SQLite's locks are gone");
        link(&cache, 2 + round * 3);
        common::run("child_writes_once_and_closes", &path);
        let python = "import sqlite3,sys; db=sqlite3.connect(sys.argv[1]); db.execute('select count(*) from user').fetchall(); db.close()";
        let closed = std::process::Command::new("python3").args(["-c", python]).arg(&path).status().unwrap();
        assert!(closed.success());
        assert!(path.with_extension("vidcache-wal").exists(), "nobody took himself for the last one");
        link(&cache, 3 + round * 3);
    }
    cache.close();
    let again = open(&path);
    assert!((1..=30).all(|user| linked(&again, user)) && linked(&again, 5_000_000));
}

#[test]
fn one_handle_that_closes_leaves_the_other_guarded() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let (one, other) = (open(&path), open(&path));
    link(&one, 1);
    link(&other, 2);
    one.close();
    common::run("child_writes_once_and_closes", &path);
    link(&other, 3);
    other.close();
    let again = open(&path);
    assert!([1, 2, 3, 5_000_000].iter().all(|&user| linked(&again, user)));
    drop(again);
    assert!(!path.with_extension("vidcache-wal").exists(), "the last one out puts the log away");
}

#[test]
fn a_call_that_must_not_wait_says_so_at_once() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let cache = open(&path);
    link(&cache, 1);
    let mut child = hold_write_lock(&path);
    let start = Instant::now();
    let waited = vidcache::without_waiting(|| cache.begin_email_change(UserKey::from(1)));
    assert_eq!(waited, Err(Error::Cancelled));
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    assert!(vidcache::without_waiting(|| linked(&cache, 1)), "a read has nothing to wait for");
    child.kill().expect("ended");
    child.wait().expect("reaped");
}

#[test]
fn a_child_forked_while_another_thread_reads_the_statistics_does_not_hang() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let cache = open(&path);
    link(&cache, 1);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                cache.stats();
            }
        });
        let hung = (0..200).find(|_| {
            !in_fork(|| {
                // SAFETY: ends a child that hangs, after a minute.
                unsafe { libc::alarm(60) };
                linked(&cache, 1)
            })
        });
        done.store(true, Ordering::Relaxed);
        assert_eq!(hung, None, "the child of this fork");
    });
}
