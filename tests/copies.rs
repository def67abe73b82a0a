//! Backups, and the way back from one.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use common::{beside, link, linked, open, options, temporary};
use vidcache::{Email, Error, Reason, UserKey, Vidcache};

const ANSWER: &[u8] = br#"{"id":"1","properties":{"email":"ann@shop.test"},"updatedAt":"2026-01-01T00:00:00.000Z"}"#;

fn reason(cache: &Vidcache) -> Reason {
    let email = Email::parse("ann@shop.test").unwrap();
    cache.decide(UserKey::from(1), Some(&email)).unwrap().reason()
}

/// A file in which user 1 is agreed, and its backup.
fn backed_up(path: &Path, backup: &Path) -> Vidcache {
    let cache = open(path);
    cache.record(UserKey::from(1), ANSWER, None).unwrap();
    assert_eq!(reason(&cache), Reason::Agreed);
    cache.backup(backup).unwrap();
    cache
}

#[test]
fn a_backup_is_whole_while_others_write_and_is_for_the_owner_alone() {
    let _alone = common::alone();
    let (dir, path) = temporary();
    let cache = open(&path);
    (1..200).for_each(|user| link(&cache, user));
    let (backup, done) = (dir.path().join("backup"), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| (200..).take_while(|_| !done.load(Ordering::Relaxed)).for_each(|user| link(&cache, user)));
        let copied = cache.backup(&backup);
        done.store(true, Ordering::Relaxed);
        copied.unwrap();
    });
    assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!beside(&backup, "-wal").exists() && !beside(&backup, "-shm").exists());
    let copy = open(&backup);
    assert_eq!(copy.verify().unwrap(), [""; 0]);
    assert!((1..200).all(|user| linked(&copy, user)));
    drop(copy);
    let why = cache.backup(&backup).unwrap_err();
    assert!(matches!(why, Error::CannotOpen { .. }) && why.to_string().contains("already"), "{why}");
}

/// As in a deployment whose folders are links (Capistrano's `current` and `shared`), and on macOS, whose `/tmp` is one.
#[test]
fn a_backup_is_made_and_put_back_through_a_folder_that_is_a_link() {
    let _alone = common::alone();
    let (dir, path) = temporary();
    fs::create_dir(dir.path().join("copies")).unwrap();
    std::os::unix::fs::symlink("copies", dir.path().join("link")).unwrap();
    let backup = dir.path().join("link").join("backup");
    backed_up(&path, &backup).close();
    assert_eq!(fs::read_dir(dir.path().join("copies")).unwrap().count(), 1, "the copy alone");
    Vidcache::restore(&backup, &path).unwrap().unwrap();
    assert!(linked(&open(&path), 1));
    // A link in the copy's own place is not followed.
    let named = dir.path().join("named");
    std::os::unix::fs::symlink(&backup, &named).unwrap();
    let refused = Vidcache::restore(&named, &path).unwrap_err();
    assert!(refused.to_string().contains("it is a symbolic link"), "{refused}");
}

#[test]
fn of_a_backup_that_is_put_back_no_email_is_believed_until_the_contact_was_read_again() {
    let _alone = common::alone();
    let (dir, path) = temporary();
    let backup = dir.path().join("backup");
    let cache = backed_up(&path, &backup);
    // Not in the backup.
    let token = cache.begin_email_change(UserKey::from(1)).unwrap();
    link(&cache, 2);
    cache.close();
    let old = Vidcache::restore(&backup, &path).unwrap().unwrap();
    let cache = open(&path);
    assert_eq!(reason(&cache), Reason::EmailUnconfirmed);
    assert!(linked(&cache, 1) && !linked(&cache, 2));
    assert_eq!(cache.is_change_outstanding(UserKey::from(1), token), Err(Error::UnknownChange));
    assert_eq!(cache.verify().unwrap(), [""; 0]);
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    cache.observe_read(ANSWER, now()).unwrap();
    assert_eq!(reason(&cache), Reason::EmailUnconfirmed, "a read that was under way when it was put back");
    // As if it had been begun 5 s after the doubt.
    cache.observe_read(ANSWER, now() + 4_999).unwrap();
    assert_eq!(reason(&cache), Reason::Agreed);
    assert!(linked(&open(&old), 2), "nothing of the old file is lost");
    assert_eq!(reason(&open(&backup)), Reason::Agreed, "and the backup is as it was");
}

#[test]
fn a_backup_is_not_put_over_a_file_that_anybody_has_open() {
    let _alone = common::alone();
    let (dir, path) = temporary();
    let backup = dir.path().join("backup");
    let cache = backed_up(&path, &backup);
    link(&cache, 2);
    assert_eq!(Vidcache::restore(&backup, &path), Err(Error::Busy));
    link(&cache, 3);
    assert_eq!(reason(&cache), Reason::Agreed);
    assert!(linked(&cache, 2) && linked(&cache, 3));
    assert_eq!(cache.verify().unwrap(), [""; 0]);
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "the file, its log, its index and the backup: {left:?}");
}

#[test]
fn a_backup_is_put_where_there_is_nothing() {
    let _alone = common::alone();
    let (dir, path) = temporary();
    let backup = dir.path().join("backup");
    drop(backed_up(&path, &backup));
    let other = dir.path().join("other");
    assert_eq!(Vidcache::restore(&backup, &other), Ok(None));
    assert_eq!(reason(&open(&other)), Reason::EmailUnconfirmed);
}

#[test]
fn what_is_no_sound_backup_is_refused_and_the_file_stays() {
    let _alone = common::alone();
    let (dir, path) = temporary();
    let backup = dir.path().join("backup");
    drop(backed_up(&path, &backup));
    let refused = |from: &Path| Vidcache::restore(from, &path).unwrap_err().code().name();
    let (text, cut) = (dir.path().join("text"), dir.path().join("cut"));
    fs::write(&text, "a letter").unwrap();
    let bytes = fs::read(&backup).unwrap();
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(refused(&text), "not_a_cache");
    assert_eq!(refused(&cut), "corrupt");
    assert_eq!(refused(&dir.path().join("none")), "cannot_open");
    assert_eq!(reason(&open(&path)), Reason::Agreed);
    assert!(Vidcache::open(&backup, 2, &options()).is_err(), "a backup has its portal");
}
