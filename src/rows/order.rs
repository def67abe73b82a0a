//! Property: the same events, in any order and any number of times, end in the same rows.

use proptest::prelude::*;
use proptest::sample::select;
use rusqlite::Connection;

use super::{apply, verify};
use crate::email::Fingerprint;
use crate::event::{ChangeToken, Event};
use crate::identity::{UserKey, Vid};

/// What may happen: three users, five contacts that all of them may be linked to, few times, so that much meets.
///
/// With erasures, a contact holds one email and always the same. Of several, those told of before the erasure are
/// forgotten but for the last, so which are buried would depend on the order.
fn event(erasures: bool) -> impl Strategy<Value = Event<'static>> {
    let user = select(vec![UserKey::from(1i64), UserKey::from(-2i64), UserKey::text("ann").expect("a key")]);
    let vid = || (1i64..6).prop_map(|n| Vid::try_from(n).expect("positive"));
    let kinds = if erasures { 0..12usize } else { 0..11 };
    (user, 0i64..2, vid(), vid(), 0u8..4, 0i64..5, any::<bool>(), kinds).prop_map(
        move |(user, n, vid, into, email, at, born, kind)| {
            // A token is one user's.
            let owner =
                if user == UserKey::from(1i64) { 10 } else { 20 + i64::from(user == UserKey::from(-2i64)) * 10 };
            let token = ChangeToken::try_from(owner + n).expect("positive");
            let email = if erasures { Some(vid.get() as u8) } else { (email > 0).then_some(email) };
            match kind {
                0 | 1 => Event::Linked { user, vid, at },
                2 | 3 => Event::EmailObserved { vid, email: email.map(|email| Fingerprint([email; 16])), at },
                4 => Event::ChangeBegun { user, token, at },
                5 if born => Event::ChangeFinished { user, token, at },
                5 => Event::ChangeAbandoned { user, token, at },
                6 | 7 => Event::Merged { old: vid, into, at, born },
                8 => Event::Deleted { vid, at },
                9 => Event::Restored { vid, at },
                10 => {
                    let email = Fingerprint([email.unwrap_or(7); 16]);
                    Event::SecondaryObserved { vid, email, at }
                }
                _ => Event::Erased { vid },
            }
        },
    )
}

thread_local! {
    static FILE: Connection = {
        let db = Connection::open_in_memory().expect("memory");
        db.execute_batch(include_str!("schema/1.sql")).expect("the schema");
        db.set_prepared_statement_cache_capacity(64);
        db
    };
}

/// What `read` finds in a new file after the events.
fn after<T>(events: &[Event<'_>], read: impl FnOnce(&Connection) -> T) -> T {
    FILE.with(|db| {
        let tx = db.unchecked_transaction().expect("a transaction");
        for event in events {
            apply(&tx, event).expect("an event applies");
        }
        read(&tx) // And rolled back.
    })
}

fn wrong(db: &Connection) -> Vec<String> {
    verify::verify(db).expect("checked")
}

/// Every row of every table that is not a log.
fn rows(db: &Connection) -> Vec<String> {
    let mut all = Vec::new();
    for table in ["user", "link", "contact", "sharer", "past", "merge", "secondary", "erased", "buried", "change"] {
        let mut statement = db.prepare(&format!("SELECT * FROM {table}")).expect("a table");
        let columns = statement.column_count();
        let mut found = statement.query([]).expect("rows");
        while let Some(row) = found.next().expect("a row") {
            let values: Vec<_> =
                (0..columns).map(|i| row.get::<_, rusqlite::types::Value>(i).expect("a value")).collect();
            all.push(format!("{table} {values:?}"));
        }
    }
    all.sort();
    all
}

/// Events, and the same ones twice and shuffled.
fn shuffled(erasures: bool) -> impl Strategy<Value = (Vec<Event<'static>>, Vec<Event<'static>>)> {
    prop::collection::vec(event(erasures), 1..16).prop_flat_map(|events| {
        let twice: Vec<_> = events.iter().chain(events.iter()).copied().collect();
        (Just(events), Just(twice).prop_shuffle())
    })
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(cases(800))]

    #[test]
    fn any_order_and_any_repetition_ends_in_the_same_rows((events, shuffled) in shuffled(false)) {
        prop_assert_eq!(after(&events, rows), after(&shuffled, rows));
        prop_assert_eq!(after(&events, wrong), Vec::<String>::new());
    }

    #[test]
    fn any_order_with_erasures_ends_in_the_same_rows((events, shuffled) in shuffled(true)) {
        prop_assert_eq!(after(&events, rows), after(&shuffled, rows));
        prop_assert_eq!(after(&shuffled, wrong), Vec::<String>::new());
    }

    /// The table that other processes hold is emptied of every user whose state changed.
    #[test]
    fn whose_state_changes_is_in_the_log(events in prop::collection::vec(event(true), 1..16)) {
        let users = [UserKey::from(1i64), UserKey::from(-2i64), UserKey::text("ann").expect("a key")];
        let states = |db: &Connection| users.map(|user| super::user_state(db, user).expect("a state"));
        let unlogged = after(&[], |db| {
            for event in &events {
                let before = states(db);
                db.execute_batch("DELETE FROM log").expect("emptied");
                apply(db, event).expect("applied");
                for (user, (before, after)) in users.iter().zip(before.iter().zip(states(db))) {
                    let sql = "SELECT EXISTS (SELECT 1 FROM log WHERE user IS NULL OR user = ?1)";
                    let logged: bool = db.query_row(sql, [user], |row| row.get(0)).expect("a log");
                    if !logged && *before != after {
                        return Some(format!("{event:?}: {before:?} to {after:?}"));
                    }
                }
            }
            None
        });
        prop_assert_eq!(unlogged, None);
    }
}
