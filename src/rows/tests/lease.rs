//! One job of a user at a time, whatever the clock does.

use rusqlite::Connection;

use crate::event::{Event, Millis};
use crate::identity::UserKey;
use crate::rows::lease::{LONGEST, LeaseToken, release, renew, take};
use crate::rows::{SCHEMAS, apply};

fn ann() -> UserKey<'static> {
    UserKey::uuid([7; 16])
}

fn file() -> Connection {
    let db = Connection::open_in_memory().expect("memory");
    db.execute_batch(SCHEMAS[0]).expect("the schema");
    db
}

fn taken(db: &Connection, holder: i64, now: Millis, until: Millis) -> bool {
    take(db, ann(), LeaseToken::from(holder), now, until).expect("an answer")
}

fn renewed(db: &Connection, holder: i64, now: Millis, until: Millis) -> bool {
    renew(db, ann(), LeaseToken::from(holder), now, until).expect("an answer")
}

#[test]
fn a_lease_is_one_holder_s_until_it_is_released() {
    let db = file();
    assert!(taken(&db, 1, 1000, 2000));
    assert!(!taken(&db, 2, 1999, 2999), "somebody has it");
    assert!(take(&db, UserKey::from(5i64), LeaseToken::from(2), 1999, 2999).unwrap(), "another user's");
    assert!(!release(&db, ann(), LeaseToken::from(2)).unwrap(), "not the other one's to release");
    assert!(release(&db, ann(), LeaseToken::from(1)).unwrap());
    assert!(taken(&db, 2, 1500, 2500));
    assert!(!renewed(&db, 1, 1500, 9000));
}

#[test]
fn who_is_slower_than_the_deadline_has_it_no_more_though_nobody_else_came() {
    let db = file();
    assert!(taken(&db, 1, 1000, 2000));
    assert!(renewed(&db, 1, 1999, 2999));
    assert!(!renewed(&db, 1, 2999, 4000), "too late");
    assert!(taken(&db, 2, 2999, 4000), "the next need not wait for a release");
    assert!(!release(&db, ann(), LeaseToken::from(1)).unwrap());
    assert!(!taken(&db, 3, 3000, 4000));
}

#[test]
fn a_clock_that_was_set_back_does_not_make_a_lease_last() {
    let db = file();
    let ahead = 10 * LONGEST;
    assert!(taken(&db, 1, ahead, ahead + LONGEST));
    assert!(!renewed(&db, 1, 1000, 2000), "who took it cannot say how long ago that was");
    assert!(taken(&db, 2, 1000, 2000));
}

#[test]
fn a_user_who_is_forgotten_leaves_no_lease() {
    let db = file();
    assert!(taken(&db, 1, 1000, 2000));
    assert!(apply(&db, &Event::Forgotten { user: ann() }).unwrap(), "it was something that the file held");
    let rows: i64 = db.query_row("SELECT count(*) FROM lease", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 0);
    assert!(!renewed(&db, 1, 1500, 2500));
}
