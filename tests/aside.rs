//! A file that will not open is moved aside, on the user's word only.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

mod common;

use std::fs;
use std::io::BufRead;

use vidcache::{Error, Vidcache};

#[test]
fn a_damaged_file_is_moved_aside_on_the_users_word_and_only_while_nobody_has_it_open() {
    let _alone = common::alone();
    let (dir, path) = common::temporary();
    let cache = common::open(&path);
    common::link(&cache, 1);
    assert_eq!(Vidcache::move_aside(&path).unwrap_err(), Error::Busy, "open in this process");
    assert!(common::linked(&cache, 1), "and none the worse for it");
    cache.close();
    fs::write(&path, "damaged").unwrap();
    assert!(Vidcache::open(&path, 1, &common::options()).is_err());

    let aside = Vidcache::move_aside(&path).unwrap();
    assert_eq!(aside.parent(), Some(dir.path().canonicalize().unwrap().as_path()));
    assert_eq!(fs::read(&aside).unwrap(), b"damaged", "nothing of it is lost");
    assert!(!common::linked(&common::open(&path), 1), "a new one takes its place");
    assert!(matches!(Vidcache::move_aside(dir.path().join("none")), Err(Error::CannotOpen { .. })));
}

#[test]
fn a_log_whose_file_is_gone_is_moved_aside_too() {
    let (dir, path) = common::temporary();
    let log = dir.path().join("hubspot.vidcache-wal");
    fs::write(&log, "a log").unwrap();
    assert!(matches!(Vidcache::open(&path, 1, &common::options()), Err(Error::CannotOpen { .. })));
    let aside = Vidcache::move_aside(&path).unwrap();
    let mut moved = aside.into_os_string();
    moved.push("-wal");
    assert_eq!((fs::read(moved).unwrap().as_slice(), log.exists()), (&b"a log"[..], false));
    common::open(&path);
}

#[test]
fn a_file_that_another_process_has_open_is_not_moved_aside() {
    let _alone = common::alone();
    let (_dir, path) = common::temporary();
    common::link(&common::open(&path), 1);
    let mut other = common::start("holds_the_file_open", &path);
    let mut line = String::new();
    let mut output = std::io::BufReader::new(other.stdout.take().unwrap());
    while !line.contains("open") {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "it said that it has it open");
    }
    assert_eq!(Vidcache::move_aside(&path).unwrap_err(), Error::Busy);
    drop(other.stdin.take());
    assert!(other.wait().unwrap().success());
    Vidcache::move_aside(&path).unwrap();
}

#[test]
fn holds_the_file_open() {
    let Some(path) = common::child_path() else { return };
    let cache = common::open(&path);
    assert!(common::linked(&cache, 1));
    println!("open");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}
