//! The log, the index or the file itself deleted or replaced while processes use it.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use common::{beside, child_path, link, linked, open, options, start, temporary, until, vid};
use vidcache::{Options, UserKey, Vidcache};

#[test]
fn child_links_what_it_is_asked() {
    let Some(path) = child_path() else { return };
    let cache = open(&path);
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let user: i64 = line.parse().unwrap();
        println!("linked {}", cache.link(UserKey::from(user), user.try_into().unwrap()).is_ok());
    }
}

/// Another process with the file open.
struct Other(Child);

impl Other {
    fn start(path: &Path) -> Self {
        Self(start("child_links_what_it_is_asked", path))
    }

    fn link(&mut self, user: i64) {
        writeln!(self.0.stdin.as_mut().unwrap(), "{user}").unwrap();
        let mut lines = BufReader::new(self.0.stdout.as_mut().unwrap()).lines();
        let answer = lines.by_ref().map_while(Result::ok).find(|line| line.contains("linked ")).unwrap();
        assert!(answer.ends_with("true"), "{user}: {answer}");
    }

    fn end(mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

/// Whoever opens the file next finds nothing wrong with it, and these users in it.
#[track_caller]
fn is_sound_and_knows(path: &Path, users: Range<i64>) {
    let cache = open(path);
    assert_eq!(cache.verify().unwrap(), [""; 0]);
    assert_eq!(users.filter(|user| !linked(&cache, *user)).collect::<Vec<_>>(), [0; 0], "are not known");
}

/// A clean-up deletes what looks left over. Nothing that was acknowledged is lost, of neither process, and both go on.
fn a_clean_up_loses_nothing(deleted: &[&str]) {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let cache = open(&path);
    let mut other = Other::start(&path);
    for user in (1..40).step_by(2) {
        link(&cache, user);
        other.link(user + 1);
    }
    for suffix in deleted {
        fs::remove_file(beside(&path, suffix)).unwrap();
    }
    until("it is noticed", || {
        assert_eq!(vid(&cache, 1), 1);
        cache.stats().reopened > 0
    });
    for user in (41..80).step_by(2) {
        link(&cache, user);
        other.link(user + 1);
    }
    assert!((1..81).all(|user| linked(&cache, user)), "what either wrote, before and after, is seen here");
    other.end();
    cache.close();
    is_sound_and_knows(&path, 1..81);
}

#[test]
fn a_deleted_log_is_noticed_and_what_was_in_it_is_saved() {
    a_clean_up_loses_nothing(&["-wal"]);
}

#[test]
fn a_deleted_log_and_index_are_noticed_and_what_was_in_the_log_is_saved() {
    a_clean_up_loses_nothing(&["-wal", "-shm"]);
}

#[test]
fn a_deleted_index_is_noticed_and_nothing_is_lost() {
    a_clean_up_loses_nothing(&["-shm"]);
}

/// Whoever comes before the others have noticed must not begin with an empty log, nor read the old index by one.
fn who_comes_first_waits_for_what_was_in_the_log(deleted: &[&str]) {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let cache = open(&path);
    (1..41).for_each(|user| link(&cache, user));
    for suffix in deleted {
        fs::remove_file(beside(&path, suffix)).unwrap();
    }
    let mut newcomer = Other::start(&path);
    writeln!(newcomer.0.stdin.as_mut().unwrap(), "41").unwrap();
    // As long as it takes to open and to link where nobody waits.
    std::thread::sleep(Duration::from_millis(300));
    until("it is noticed", || {
        assert_eq!(vid(&cache, 1), 1);
        cache.stats().reopened > 0
    });
    newcomer.link(42);
    until("what the newcomer wrote", || linked(&cache, 41) && linked(&cache, 42));
    newcomer.end();
    cache.close();
    is_sound_and_knows(&path, 1..43);
}

#[test]
fn who_comes_first_after_the_log_was_deleted_waits_for_what_was_in_it() {
    who_comes_first_waits_for_what_was_in_the_log(&["-wal"]);
}

#[test]
fn who_comes_first_after_log_and_index_were_deleted_waits_for_what_was_in_the_log() {
    who_comes_first_waits_for_what_was_in_the_log(&["-shm", "-wal"]);
}

#[test]
fn who_comes_first_after_the_index_was_deleted_reads_the_log() {
    who_comes_first_waits_for_what_was_in_the_log(&["-shm"]);
}

/// An empty log shows nobody that its index is gone, and a process that is asked nothing does not look.
#[test]
fn who_comes_first_after_the_index_of_an_empty_log_was_deleted_waits_for_nobody() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    {
        let cache = open(&path);
        link(&cache, 1);
    }
    let cache = open(&path);
    assert_eq!(vid(&cache, 1), 1);
    assert_eq!(fs::metadata(beside(&path, "-wal")).unwrap().len(), 0);
    fs::remove_file(beside(&path, "-shm")).unwrap();
    let begun = Instant::now();
    let mut newcomer = Other::start(&path);
    newcomer.link(2);
    assert!(begun.elapsed() < Duration::from_secs(4), "the newcomer waited for a quiet process");
    until("what the newcomer wrote", || linked(&cache, 2));
    link(&cache, 3);
    newcomer.link(4);
    newcomer.end();
    cache.close();
    is_sound_and_knows(&path, 1..5);
}

/// All connections of a process have the index that its first one opened, also where that index has lost its name. A
/// new handle beside one that has not noticed must neither write by it, nor take the one that has the name for its own.
#[test]
fn a_new_handle_beside_a_quiet_one_leaves_an_index_that_lost_its_name() {
    let _alone = common::alone();
    for is_made_anew in [true, false] {
        let (_dir, path) = temporary();
        let quiet = open(&path);
        let mut other = Other::start(&path);
        for user in (1..41).step_by(2) {
            link(&quiet, user);
            other.link(user + 1);
        }
        fs::remove_file(beside(&path, "-shm")).unwrap();
        let mut user = 40;
        if is_made_anew {
            until("the other process has another index", || {
                user += 1;
                other.link(user);
                beside(&path, "-shm").exists()
            });
        }
        let handle = open(&path);
        for _ in 0..20 {
            link(&handle, user + 1);
            other.link(user + 2);
            user += 2;
        }
        until("what the other process wrote", || linked(&quiet, user) && linked(&handle, user));
        link(&quiet, user + 1);
        other.end();
        drop((quiet, handle));
        is_sound_and_knows(&path, 1..user + 2);
    }
}

/// A fork, or an end, is an occasion too.
#[test]
fn what_is_in_a_deleted_log_outlives_a_fork_and_the_end_of_its_only_process() {
    let _alone = common::alone();
    for forks in [true, false] {
        let (_dir, path) = temporary();
        let cache = open(&path);
        (1..41).for_each(|user| link(&cache, user));
        for suffix in ["-wal", "-shm"] {
            fs::remove_file(beside(&path, suffix)).unwrap();
        }
        if forks {
            assert!(common::in_fork(|| linked(&cache, 40)), "in a child");
        }
        drop(cache);
        let again = open(&path);
        assert_eq!(again.verify().unwrap(), [""; 0]);
        assert_eq!((1..41).filter(|user| !linked(&again, *user)).collect::<Vec<_>>(), [0; 0], "forks: {forks}");
    }
}

/// By time, and not by how many look-ups there were.
#[test]
fn a_quiet_process_notices_as_soon_as_a_busy_one() {
    let _alone = common::alone();
    for suffix in ["-wal", "-shm"] {
        let (_dir, path) = temporary();
        let cache = open(&path);
        link(&cache, 1);
        (0..3).for_each(|_| assert!(linked(&cache, 1)));
        fs::remove_file(beside(&path, suffix)).unwrap();
        let looked = (1..20).find(|_| {
            std::thread::sleep(Duration::from_millis(1_100));
            // The first one sees it, and the next one opens what is there now.
            assert!(linked(&cache, 1) && linked(&cache, 1));
            cache.stats().reopened > 0
        });
        assert_eq!(looked, Some(1), "look-ups after {suffix} was gone");
    }
}

#[test]
fn the_page_deadline_is_told_to_a_file_that_was_put_in_the_place_of_another() {
    let _alone = common::alone();
    let (dir, path) = temporary();
    let with = |path: &Path, seconds| {
        Vidcache::open(path, 1, &Options { page_deadline: Duration::from_secs(seconds), ..options() }).unwrap()
    };
    let other = dir.path().join("other");
    with(&other, 2).close();
    let renders_pages = with(&path, 60);
    link(&renders_pages, 1);
    fs::rename(&other, &path).unwrap();
    // What would else be read through the log of the other one.
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(beside(&path, suffix)).unwrap();
    }
    let worker = with(&path, 2);
    assert_eq!(worker.quiet_period().unwrap(), Duration::from_secs(7), "it knows only its own");
    until("the other process's deadline", || {
        vid(&renders_pages, 1);
        renders_pages.anonymous_page();
        worker.quiet_period().unwrap() == Duration::from_secs(65)
    });
}

/// Writes over it in place, as `cp` does, so that it stays the same file.
fn overwrite(path: &Path, with: &[u8]) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all(with).unwrap();
    file.set_len(with.len() as u64).unwrap();
}

/// Its header has the right checksum, so SQLite believes it, and would put the next frames over acknowledged ones.
#[test]
fn an_older_index_copied_over_the_one_in_use_loses_nothing() {
    let _alone = common::alone();
    // With an empty log, with one of a few frames, and with one that began anew since.
    for (before, between, emptied) in [(0, 20, false), (10, 20, false), (10, 20, true)] {
        let (_dir, path) = temporary();
        let cache = open(&path);
        let mut other = Other::start(&path);
        (1..=before).for_each(|user| link(&cache, user));
        if before == 0 {
            cache.forget(UserKey::from(999)).unwrap();
        }
        let old = fs::read(beside(&path, "-shm")).unwrap();
        if emptied {
            cache.forget(UserKey::from(999)).unwrap();
        }
        let last = before + between;
        (before + 1..last).for_each(|user| link(&cache, user));
        other.link(last);
        overwrite(&beside(&path, "-shm"), &old);
        other.link(last + 1);
        link(&cache, last + 2);
        let lost: Vec<_> = (1..=last + 2).filter(|user| !linked(&cache, *user)).collect();
        assert_eq!(lost, [0; 0], "{before}, {between}, {emptied}");
        other.end();
        // Whoever closes as the last one copies by the index, and deletes the log.
        overwrite(&beside(&path, "-shm"), &old);
        cache.close();
        is_sound_and_knows(&path, 1..last + 3);
    }
}

#[test]
fn who_only_reads_notices_an_older_index_that_was_copied_over_the_one_in_use() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let cache = open(&path);
    let mut other = Other::start(&path);
    link(&cache, 1);
    let old = fs::read(beside(&path, "-shm")).unwrap();
    other.link(2);
    overwrite(&beside(&path, "-shm"), &old);
    until("user 2 is known", || linked(&cache, 2));
    // An index of the log before this one says nothing of it.
    cache.forget(UserKey::from(999)).unwrap();
    other.link(3);
    overwrite(&beside(&path, "-shm"), &old);
    until("user 3 is known", || linked(&cache, 3));
    other.end();
}

/// A look at the files at that moment may not cost anybody the index: until they notice they would not see what is
/// acknowledged.
#[test]
fn what_a_killed_writer_had_in_the_log_and_not_in_the_index_makes_nobody_leave_the_index() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let cache = open(&path);
    let mut other = Other::start(&path);
    other.link(1);
    let before = fs::read(beside(&path, "-shm")).unwrap();
    link(&cache, 2);
    // As if whoever wrote the last transaction had been killed before the index had it.
    overwrite(&beside(&path, "-shm"), &before);
    assert_eq!(cache.verify().unwrap(), [""; 0], "which looks at the files");
    other.link(3);
    assert!(linked(&cache, 2) && linked(&cache, 3));
    assert_eq!(cache.stats().reopened, 0);
    other.end();
}

/// What was in the log alone is gone with it. With half of a checkpoint in the database what is left would be a
/// mixture.
#[test]
fn a_log_that_was_cut_or_copied_over_between_checkpoints_is_noticed_and_what_is_left_is_whole() {
    let _alone = common::alone();
    for cut in [true, false] {
        let (_dir, path) = temporary();
        let cache = open(&path);
        (1..=10).for_each(|user| link(&cache, user));
        let old = fs::read(beside(&path, "-wal")).unwrap();
        cache.forget(UserKey::from(999)).unwrap(); // Empties the log into the file.
        (11..=20).for_each(|user| link(&cache, user));
        overwrite(&beside(&path, "-wal"), if cut { &[] } else { &old });
        link(&cache, 21);
        assert!(cache.stats().reopened > 0);
        assert!((1..=10).all(|user| linked(&cache, user)) && linked(&cache, 21));
        cache.close();
        let again = open(&path);
        assert_eq!(again.verify().unwrap(), [""; 0]);
        assert!((1..=10).all(|user| linked(&again, user)) && linked(&again, 21));
    }
}

/// Whoever has the index mapped and looks into it is ended by the system; whoever writes looks first whether it was
/// cut.
#[test]
fn an_index_that_was_cut_loses_nothing_and_neither_a_writer_nor_a_newcomer_makes_it_longer_again() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let cache = open(&path);
    (1..=10).for_each(|user| link(&cache, user));
    let cut = fs::File::open(beside(&path, "-shm")).unwrap();
    overwrite(&beside(&path, "-shm"), &[]);
    let mut newcomer = Other::start(&path);
    newcomer.link(11);
    assert_eq!(cut.metadata().unwrap().len(), 0, "the newcomer has another index");
    link(&cache, 12);
    assert!((1..=12).all(|user| linked(&cache, user)));
    newcomer.end();
    cache.close();
    is_sound_and_knows(&path, 1..13);
}
