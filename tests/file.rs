//! The file: who may read it, what is in it, and which files are refused and left alone.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use vidcache::{Email, Error, Options, Reason, Synchronous, UserKey, Vid, Vidcache};

const SECRET: &[u8] = b"thirty-two bytes kept out of it.";

fn temporary() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("hubspot.vidcache");
    (dir, path)
}

fn open(path: &Path, portal: i64, secret: Option<&[u8]>) -> Result<Vidcache, Error> {
    Vidcache::open(path, portal, &Options { secret, ..Options::default() })
}

fn code(result: Result<Vidcache, Error>) -> &'static str {
    match result {
        Ok(_) => "opened",
        Err(error) => error.code().name(),
    }
}

#[test]
fn the_file_and_its_companions_are_for_the_owner_alone() {
    let (dir, path) = temporary();
    let cache = open(&path, 1, None).unwrap();
    cache.begin_email_change(UserKey::from(1)).unwrap();
    let mut seen = 0;
    for entry in fs::read_dir(dir.path()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        seen += 1;
    }
    assert_eq!(seen, 3, "the database, its log and its index");
}

#[test]
fn no_email_and_no_secret_is_in_the_file() {
    let (dir, path) = temporary();
    let cache = open(&path, 1, Some(SECRET)).unwrap();
    let user = UserKey::from(1);
    let answer = br#"{"id":"9","properties":{"email":"Secret.Person@Shop.test"},"updatedAt":"2026-01-01T00:00:00Z"}"#;
    let change = cache.begin_email_change(user).unwrap();
    cache.record(user, answer, Some(change)).unwrap();
    let email = Email::parse("secret.person@shop.test").unwrap();
    assert_eq!(cache.decide(user, Some(&email)).unwrap().reason(), Reason::Agreed);
    for entry in fs::read_dir(dir.path()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap().to_ascii_lowercase();
        for needle in [&b"secret.person"[..], b"shop.test", SECRET] {
            assert!(!bytes.windows(needle.len()).any(|w| w == needle));
        }
    }
}

#[test]
fn a_file_keeps_its_portal_and_its_secret() {
    let (_dir, path) = temporary();
    drop(open(&path, 1, Some(SECRET)).unwrap());
    assert_eq!(open(&path, 2, Some(SECRET)).err(), Some(Error::WrongPortal { found: 1, expected: 2 }));
    for secret in [None, Some(&b"another secret of enough bytes"[..])] {
        assert_eq!(open(&path, 1, secret).err(), Some(Error::WrongSecret));
    }
    assert_eq!(code(open(&path, 1, Some(SECRET))), "opened");
}

fn open_rotated(path: &Path, secret: &[u8], old_secrets: &[&[u8]]) -> Result<Vidcache, Error> {
    Vidcache::open(path, 1, &Options { secret: Some(secret), old_secrets, ..Options::default() })
}

#[test]
fn a_secret_that_is_rotated_costs_one_row_and_no_fingerprint() {
    let (_dir, path) = temporary();
    let (first, second, third) = (SECRET, &b"the second secret of the app"[..], &b"the third secret of the app"[..]);
    let answer = br#"{"id":"9","properties":{"email":"a@x.test"},"updatedAt":"2026-01-01T00:00:00Z"}"#;
    let before = open(&path, 1, Some(first)).unwrap();
    before.record(UserKey::from(1), answer, None).unwrap();
    let email = Email::parse("a@x.test").unwrap();
    let agreed = |cache: &Vidcache| cache.decide(UserKey::from(1), Some(&email)).unwrap().reason() == Reason::Agreed;

    let error = open(&path, 1, Some(second)).err().unwrap();
    assert_eq!(error, Error::WrongSecret);
    for word in ["old secret", "wrapped anew", "move it aside"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    let after = open_rotated(&path, second, &[first]).unwrap();
    assert!(agreed(&after) && agreed(&before), "the process that was there before goes on, too");
    before.link(UserKey::from(2), 10.try_into().unwrap()).unwrap();
    assert_eq!(code(open(&path, 1, Some(second))), "opened", "the old one is needed no more");
    assert_eq!(code(open(&path, 1, Some(first))), "wrong_secret");
    // The oldest, which was there before the last rotation, comes last.
    assert_eq!(code(open_rotated(&path, third, &[b"one that never was one", second, first])), "opened");
    assert!(agreed(&open(&path, 1, Some(third)).unwrap()));
    assert_eq!(code(open_rotated(&path, first, &[])), "wrong_secret");
}

#[test]
fn many_processes_may_rotate_at_once() {
    let (_dir, path) = temporary();
    drop(open(&path, 1, Some(SECRET)).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(code(open_rotated(&path, b"the second secret of the app", &[SECRET])), "opened"));
        }
    });
    assert_eq!(code(open(&path, 1, Some(b"the second secret of the app"))), "opened");
}

#[test]
fn secrets_of_before_are_checked_before_a_file_is_made() {
    let (_dir, path) = temporary();
    assert_eq!(code(open_rotated(&path, SECRET, &[b"short"])), "invalid_secret");
    assert_eq!(code(open_rotated(&path, b"short", &[SECRET])), "invalid_secret");
    let alone = Options { old_secrets: &[SECRET], ..Options::default() };
    assert_eq!(code(Vidcache::open(&path, 1, &alone)), "invalid_option");
    assert!(!path.exists());
}

#[test]
fn without_a_secret_the_file_keys_itself_and_can_be_opened_again() {
    let (_dir, path) = temporary();
    let answer = br#"{"id":"9","properties":{"email":"a@x.test"},"updatedAt":"2026-01-01T00:00:00Z"}"#;
    open(&path, 1, None).unwrap().record(UserKey::from(1), answer, None).unwrap();
    let again = open(&path, 1, None).unwrap();
    let email = Email::parse("a@x.test").unwrap();
    assert_eq!(again.decide(UserKey::from(1), Some(&email)).unwrap().reason(), Reason::Agreed);
    assert_eq!(code(open(&path, 1, Some(SECRET))), "wrong_secret");
}

#[test]
fn a_place_that_cannot_hold_the_file_is_refused_by_its_name() {
    let (dir, path) = temporary();
    let missing = dir.path().join("missing/hubspot.vidcache");
    let error = open(&missing, 1, None).err().unwrap();
    assert_eq!(error.code().name(), "cannot_open");
    assert!(
        error.to_string().contains("missing/hubspot.vidcache") && error.to_string().contains("folder does not exist")
    );
    assert_eq!(code(open(dir.path(), 1, None)), "cannot_open");
    assert_eq!(code(open(Path::new(""), 1, None)), "cannot_open");
    let elsewhere = dir.path().join("elsewhere");
    symlink(&elsewhere, &path).unwrap();
    assert_eq!(code(open(&path, 1, None)), "cannot_open");
    assert!(!elsewhere.exists());
    assert_eq!(code(open(Path::new("/proc/hubspot.vidcache"), 1, None)), "cannot_open");
}

#[test]
fn a_folder_that_everybody_may_write_to_is_refused() {
    let (dir, path) = temporary();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    assert_eq!(code(open(&path, 1, None)), "cannot_open");
    assert!(!path.exists());
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o770)).unwrap();
    assert_eq!(code(open(&path, 1, None)), "opened");
}

/// A file is made under another name first: who opens at the same moment finds none or a whole one.
#[test]
fn many_who_open_a_new_file_at_once_open_one() {
    for _ in 0..20 {
        let (dir, path) = temporary();
        let opened: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| open(&path, 1, None).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let token = opened[0].begin_email_change(UserKey::from(1)).unwrap();
        assert!(opened.iter().all(|cache| cache.is_change_outstanding(UserKey::from(1), token).unwrap()));
        drop(opened);
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["hubspot.vidcache"], "nothing is left beside it");
    }
}

/// SQLite would read the new file through the old one's log: another secret's fingerprints, another portal's users.
#[test]
fn a_new_file_is_not_made_beside_the_log_of_an_old_one() {
    let (dir, path) = temporary();
    let cache = open(&path, 1, Some(SECRET)).unwrap();
    cache.begin_email_change(UserKey::from(1)).unwrap();
    fs::copy(dir.path().join("hubspot.vidcache-wal"), dir.path().join("kept")).unwrap();
    drop(cache);
    fs::rename(dir.path().join("kept"), dir.path().join("hubspot.vidcache-wal")).unwrap();
    fs::rename(&path, dir.path().join("aside")).unwrap();
    let error = open(&path, 1, None).err().unwrap();
    assert_eq!(error.code().name(), "cannot_open");
    assert!(!path.exists());
    fs::remove_file(dir.path().join("hubspot.vidcache-wal")).unwrap();
    assert_eq!(code(open(&path, 1, None)), "opened");
}

/// Each is refused with the right code, and not a byte of it changes.
#[test]
fn a_file_that_is_not_ours_is_left_as_it_is() {
    let (dir, path) = temporary();
    let foreign = dir.path().join("foreign.db");
    let db = rusqlite::Connection::open(&foreign).unwrap();
    db.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1);").unwrap();
    drop(db);
    let newer = dir.path().join("newer");
    drop(open(&newer, 1, None).unwrap());
    let db = rusqlite::Connection::open(&newer).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    let truncated = dir.path().join("truncated");
    let cache = open(&truncated, 1, None).unwrap();
    cache.begin_email_change(UserKey::from(1)).unwrap();
    drop(cache);
    let bytes = fs::read(&truncated).unwrap();
    fs::write(&truncated, &bytes[..bytes.len() / 2]).unwrap();
    let text = dir.path().join("text");
    fs::write(&text, "This is a letter, and it is quite long enough to be looked at. ".repeat(20)).unwrap();

    let empty = dir.path().join("empty");
    fs::write(&empty, "").unwrap();
    for (file, expected) in [
        (&foreign, "not_a_cache"),
        (&text, "not_a_cache"),
        (&empty, "not_a_cache"),
        (&newer, "newer_schema"),
        (&truncated, "corrupt"),
    ] {
        let before = fs::read(file).unwrap();
        assert_eq!(code(open(file, 1, None)), expected, "{}", file.display());
        assert!(fs::read(file).unwrap() == before, "{} was written to", file.display());
    }
    assert_eq!(code(open(&path, 1, None)), "opened");
}

/// What a stranger wrote into the schema is refused before anything of it can run, and the file is left as it is.
#[test]
fn a_schema_that_somebody_changed_is_refused() {
    for (change, says) in [
        ("CREATE TRIGGER t AFTER UPDATE ON user BEGIN DELETE FROM change; END", "there is more in it"),
        ("CREATE VIEW v AS SELECT * FROM user", "there is more in it"),
        ("CREATE INDEX i ON user (vid)", "there is more in it"),
        ("DROP INDEX change_outstanding", "change_outstanding is missing"),
        ("ALTER TABLE user ADD COLUMN email TEXT", "user is missing or another"),
        (
            "ALTER TABLE secondary RENAME TO s; CREATE VIEW secondary AS SELECT * FROM s",
            "secondary is missing or another",
        ),
    ] {
        let (_dir, path) = temporary();
        drop(open(&path, 1, None).unwrap());
        rusqlite::Connection::open(&path).unwrap().execute_batch(change).unwrap();
        let before = fs::read(&path).unwrap();
        let error = open(&path, 1, None).map(drop).unwrap_err();
        assert_eq!(error.code().name(), "corrupt", "{change}");
        assert!(error.to_string().contains(says), "{change}: {error}");
        assert!(fs::read(&path).unwrap() == before, "{change}");
    }
    let (_dir, path) = temporary();
    drop(open(&path, 1, None).unwrap());
    // What SQLite counted for its planner is no change.
    rusqlite::Connection::open(&path).unwrap().execute_batch("ANALYZE").unwrap();
    assert_eq!(code(open(&path, 1, None)), "opened");
}

#[test]
fn verify_names_what_others_may_write_to() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("above").join("storage");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("hubspot.vidcache");
    let cache = open(&path, 1, None).unwrap();
    cache.begin_email_change(UserKey::from(1)).unwrap();
    assert_eq!(cache.verify().unwrap(), Vec::<String>::new());
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&path, 0o660);
    mode(&path.with_extension("vidcache-wal"), 0o602);
    mode(&dir.path().join("above"), 0o777);
    let found = cache.verify().unwrap();
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found[0].starts_with("its whole group may write to")
            && found[0].ends_with(&format!("chmod go-w {}", path.display()))
    );
    assert!(found[1].starts_with("every user of this system may write to") && found[1].ends_with("-wal"));
    assert!(found[2].starts_with("every user of this system may replace what is in") && found[2].ends_with("/above"));
    // So may a group, of the file's own folder or one above; root's is root's.
    let above = dir.path().join("above");
    for (group, name) in [(Some(12_345), true), (Some(0), false)] {
        if std::os::unix::fs::chown(&above, None, group).is_err() {
            println!("folders of other groups: skipped because only root may give a folder to a group");
            break;
        }
        mode(&above, 0o770);
        let found = cache.verify().unwrap();
        assert_eq!(found.len(), if name { 3 } else { 2 }, "{found:?}");
        assert!(
            !name || found[2].starts_with("its whole group may replace what is in") && found[2].ends_with("/above")
        );
    }
    // A sticky folder, as /tmp is, lets nobody replace what is another's.
    mode(&dir.path().join("above"), 0o1777);
    assert_eq!(cache.verify().unwrap().len(), 2);
}

/// A reader that stays, such as a backup, keeps the log from being emptied: it grows, and that can be seen. Afterwards
/// it is cut.
#[test]
fn a_log_that_grew_behind_a_long_reader_is_told_of_and_cut_afterwards() {
    let (_dir, path) = temporary();
    let cache = Vidcache::open(&path, 1, &Options { synchronous: Synchronous::Normal, ..Options::default() }).unwrap();
    let write = |count: i64| {
        for user in 1..=count {
            cache.begin_email_change(UserKey::from(user)).unwrap();
        }
    };
    write(1);
    let reader = rusqlite::Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM user").unwrap();
    reader.query_row("SELECT count(*) FROM user", [], |row| row.get::<_, i64>(0)).unwrap();
    write(2_500);
    let behind = cache.stats().log_bytes;
    assert_eq!(behind, fs::metadata(path.with_extension("vidcache-wal")).unwrap().len());
    assert!(behind > 10 << 20, "{behind}");
    drop(reader);
    write(1_200);
    let cut = cache.stats().log_bytes;
    assert!(cut <= 8 << 20, "{cut}");
}

#[test]
fn what_was_forgotten_behind_a_reader_leaves_the_log_once_the_reader_has_ended_by_looking_up_alone() {
    let (_dir, path) = temporary();
    let options = Options { busy_timeout: Duration::from_millis(100), ..Options::default() };
    let cache = Vidcache::open(&path, 1, &options).unwrap();
    cache.link(UserKey::text("who-is-forgotten").unwrap(), Vid::try_from(901).unwrap()).unwrap();
    let log = || fs::read(path.with_extension("vidcache-wal")).unwrap();
    let is_in_log = || log().windows(16).any(|bytes| bytes == b"who-is-forgotten");
    let reader = rusqlite::Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM user").unwrap();
    reader.query_row("SELECT count(*) FROM user", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(cache.forget(UserKey::text("who-is-forgotten").unwrap()), Err(Error::Busy));
    assert!(is_in_log() && cache.stats().log_bytes > 0);
    assert_eq!(cache.resolve(UserKey::text("who-is-forgotten").unwrap()), Ok(None));
    drop(reader);
    let start = std::time::Instant::now();
    while !log().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(60), "the log is as it was");
        cache.resolve(UserKey::from(1)).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(cache.stats().log_bytes, 0);
}

#[test]
fn the_pragmas_are_those_of_the_documentation() {
    let page = include_str!("../docs/pragmas.md");
    let source = include_str!("../src/file/open.rs");
    let documented: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name)).collect();
    let mut set: Vec<&str> = source
        .split("pragma_update(None, \"")
        .chain(source.split("pragma_update(\n        None,\n        \""))
        .skip(1)
        .filter_map(|rest| rest.split_once('"').map(|(name, _)| name))
        .filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .chain(["journal_mode"])
        .collect();
    set.sort_unstable();
    set.dedup();
    let mut sorted = documented.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, set);
}
