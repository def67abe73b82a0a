//! Old and new versions of the library on one file, as in a deploy that replaces one process after another.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::time::Duration;

use common::{link, linked, open, options, temporary};
use rusqlite::Connection;
use vidcache::{Email, Error, Reason, UserKey, Vid, Vidcache};

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

/// What schema 1's first version made of `filled`. Frozen with the schema: how a fingerprint is made, how the key is
/// wrapped and what the numbers mean is in it. While schema 1 may still change, `VIDCACHE_WRITE_ROWS=1` writes it.
const ROWS_OF_1: &str = "tests/schemas/1.rows.sql";

fn keys() -> [UserKey<'static>; 3] {
    ["7", "0f5a0e5e-7d4c-4d7e-9d55-3b1c2a1f0907", "who-has-a-text"].map(|key| UserKey::text(key).unwrap())
}

/// Users with keys of each kind, agreed with HubSpot, and one of them with a change outstanding.
fn filled(path: &Path) {
    let cache = open(path);
    for (user, vid) in keys().into_iter().zip(901_i64..) {
        cache.link(user, vid.try_into().unwrap()).unwrap();
        let answer = format!(
            r#"{{"id":"{vid}","properties":{{"email":"user-{vid}@shop.test"}},"updatedAt":"2026-01-01T00:00:00.000Z"}}"#
        );
        cache.record(user, answer.as_bytes(), None).unwrap();
    }
    cache.begin_email_change(UserKey::text("who-has-a-text").unwrap()).unwrap();
}

fn says(cache: &Vidcache) -> Vec<(Option<i64>, Reason)> {
    let emails = (901..).map(|vid| Email::parse(&format!("user-{vid}@shop.test")).unwrap());
    let decided = keys().into_iter().zip(emails).map(|(user, email)| {
        let decision = cache.decide(user, Some(&email)).unwrap();
        (decision.id().map(Vid::get), decision.reason())
    });
    decided.collect()
}

/// Each row of each table, as the statement that puts it there.
fn rows(path: &Path) -> String {
    let db = Connection::open(path).unwrap();
    let names = |sql: &str| -> Vec<String> {
        db.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let mut all = String::new();
    for table in names("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name")
    {
        let columns = names(&format!("SELECT name FROM pragma_table_info('{table}')"));
        let quoted: Vec<_> = columns.iter().map(|column| format!("quote(\"{column}\")")).collect();
        for row in names(&format!("SELECT concat_ws(', ', {}) FROM {table}", quoted.join(", "))) {
            all += &format!("INSERT INTO {table} ({}) VALUES ({row});\n", columns.join(", "));
        }
    }
    for pragma in ["application_id", "user_version"] {
        let value: i64 = db.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0)).unwrap();
        all += &format!("PRAGMA {pragma} = {value};\n");
    }
    all
}

#[test]
fn a_file_that_the_first_version_filled_says_today_what_it_said_then() {
    let (_dir, path) = temporary();
    if std::env::var_os("VIDCACHE_WRITE_ROWS").is_some() {
        filled(&path);
        std::fs::write(ROWS_OF_1, rows(&path)).unwrap();
        std::fs::remove_file(&path).unwrap();
    }
    {
        let old = Connection::open(&path).unwrap();
        old.execute_batch(RELEASED[0]).unwrap();
        old.execute_batch(&std::fs::read_to_string(ROWS_OF_1).unwrap()).unwrap();
    }
    let said = [(Some(901), Reason::Agreed), (Some(902), Reason::Agreed), (Some(903), Reason::ChangeOutstanding)];
    for wrote in [false, true] {
        let cache = open(&path);
        assert_eq!(cache.verify().unwrap(), [""; 0]);
        assert_eq!(says(&cache), said, "after today's version wrote to it: {wrote}");
        link(&cache, 8);
    }
}

#[test]
fn child_writes_as_a_version_before_the_turnstile_did() {
    let Some(path) = common::child_path() else { return };
    let db = Connection::open(&path).unwrap();
    db.busy_timeout(Duration::from_secs(60)).unwrap();
    db.query_row("SELECT count(*) FROM user", [], |row| row.get::<_, i64>(0)).unwrap();
    println!("open");
    let mut lines = std::io::stdin().lines();
    lines.next();
    for user in 100_001..100_301 {
        let tx = db.unchecked_transaction().unwrap();
        tx.execute("INSERT INTO user (key, vid, linked_at) VALUES (?1, ?1, 1)", [user]).unwrap();
        tx.execute("INSERT INTO contact (vid, user) VALUES (?1, ?1)", [user]).unwrap();
        tx.commit().unwrap();
    }
    println!("done");
    lines.next();
}

/// What that version knows is SQLite's own locks: no turnstile, no signature in the index.
#[test]
fn an_older_version_and_this_one_write_to_one_file_whoever_opened_it_first() {
    let _alone = common::alone();
    for older_first in [true, false] {
        let (_dir, path) = temporary();
        open(&path).close();
        let cache = (!older_first).then(|| open(&path));
        let mut older = common::start("child_writes_as_a_version_before_the_turnstile_did", &path);
        let mut said = BufReader::new(older.stdout.take().unwrap()).lines();
        let mut waits_for = |word: &str| while !said.next().unwrap().unwrap().ends_with(word) {};
        waits_for("open");
        let cache = cache.unwrap_or_else(|| open(&path));
        writeln!(older.stdin.as_mut().unwrap()).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| (1..301).for_each(|user| link(&cache, user)));
            // Each look compares the index with the log, where the other one is in the middle of a commit.
            scope.spawn(|| (0..50).for_each(|_| assert_eq!(cache.verify().unwrap(), [""; 0])));
            waits_for("done");
        });
        assert_eq!(cache.stats().reopened, 0, "the older one first: {older_first}");
        drop(older.stdin.take());
        older.wait().unwrap();
        cache.close();
        let again = open(&path);
        assert_eq!(again.verify().unwrap(), [""; 0]);
        let lost: Vec<_> = (1..301).chain(100_001..100_301).filter(|user| !linked(&again, *user)).collect();
        assert_eq!(lost, [0; 0], "the older one first: {older_first}");
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
