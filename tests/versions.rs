//! Old and new versions of the library on one file, as in a deploy that replaces one process after another.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

mod common;

use common::{link, linked, open, options, temporary};
use rusqlite::Connection;
use vidcache::{Error, UserKey, Vidcache};

/// The SQL of every released schema, as it was released: never edited, only added to.
const RELEASED: &[&str] = &[include_str!("schemas/1.sql")];

fn schema(path: &std::path::Path) -> Vec<(String, Option<String>)> {
    let db = Connection::open(path).unwrap();
    let mut statement = db.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_file_of_any_released_version_opens_and_equals_a_new_one() {
    let (dir, fresh) = temporary();
    link(&open(&fresh), 1);
    let new = schema(&fresh);
    for (version, _) in RELEASED.iter().enumerate().map(|(n, sql)| (n + 1, sql)) {
        let path = dir.path().join(format!("version-{version}"));
        {
            let old = Connection::open(&path).unwrap();
            RELEASED[..version].iter().for_each(|sql| old.execute_batch(sql).unwrap());
            old.pragma_update(None, "application_id", 0x7669_6463).unwrap();
            old.pragma_update(None, "user_version", version as i64).unwrap();
            old.execute("ATTACH ?1 AS fresh", [fresh.to_str().unwrap()]).unwrap();
            old.execute_batch("INSERT INTO meta SELECT * FROM fresh.meta").unwrap();
            old.execute_batch("INSERT INTO user (key, vid, linked_at) VALUES (7, 907, 1)").unwrap();
            old.execute_batch("INSERT INTO contact (vid, user) VALUES (907, 7)").unwrap();
        }
        let cache = open(&path);
        assert!(linked(&cache, 7), "version {version}");
        link(&cache, 8);
        assert_eq!(cache.verify().unwrap(), Vec::<String>::new());
        drop(cache);
        assert_eq!(schema(&path), new, "version {version}");
    }
}

/// What a newer version would do to the file while this one has it open.
fn upgrade(path: &std::path::Path) {
    let newer = Connection::open(path).unwrap();
    newer.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    newer
        .execute_batch("BEGIN IMMEDIATE; ALTER TABLE user ADD COLUMN later INTEGER; PRAGMA user_version = 99; COMMIT")
        .unwrap();
    std::mem::forget(newer); // Closing it here would drop this process's locks.
}

#[test]
fn a_handle_that_is_open_while_a_newer_version_upgrades_the_file_neither_reads_nor_writes_it() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    link(&cache, 1);
    assert!(linked(&cache, 1) && !linked(&cache, 2));
    upgrade(&path);
    let newer = Some(Error::NewerSchema { found: 99, known: RELEASED.len() as i64 });
    assert_eq!(cache.begin_email_change(UserKey::from(1)).err(), newer);
    for user in 1..4 {
        assert_eq!(cache.resolve(UserKey::from(user)).err(), newer);
    }
    assert_eq!(Vidcache::open(&path, 1, &options()).err(), newer);
}
