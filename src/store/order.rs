//! Property: the same events, in any order and any number of times, end in the same rows.

use proptest::prelude::*;
use proptest::sample::select;
use rusqlite::Connection;

use super::apply;
use crate::email::Fingerprint;
use crate::event::{ChangeToken, Event};
use crate::identity::{UserKey, Vid};

fn event() -> impl Strategy<Value = Event<'static>> {
    let users = select(vec![1i64, 2]);
    let time = 0i64..6;
    // A contact is one user's (`check_free`), so each user has contacts of their own.
    let vid = |user: i64, n: i64| Vid::try_from(user * 10 + n).expect("positive");
    let token = |user: i64, n: i64| ChangeToken::try_from(user * 10 + n).expect("positive");
    (users, 0i64..3, 0i64..4, time, 0usize..5).prop_map(move |(user, n, email, at, kind)| {
        let key = UserKey::from(user);
        match kind {
            0 => Event::Linked { user: key, vid: vid(user, n), at },
            1 => {
                let email = (email > 0).then_some(Fingerprint([email as u8; 16]));
                Event::EmailObserved { vid: vid(user, n), email, at }
            }
            2 => Event::ChangeBegun { user: key, token: token(user, n), at },
            3 => Event::ChangeFinished { user: key, token: token(user, n), at },
            _ => Event::ChangeAbandoned { user: key, token: token(user, n), at },
        }
    })
}

/// Every row of every table the events write to.
fn rows(events: &[Event<'_>]) -> Vec<String> {
    let db = Connection::open_in_memory().expect("memory");
    db.execute_batch(include_str!("schema/1.sql")).expect("the schema");
    for event in events {
        apply(&db, event).expect("an event applies");
    }
    let mut all = Vec::new();
    for table in ["user", "contact", "change"] {
        let mut statement = db.prepare(&format!("SELECT * FROM {table} ORDER BY 1")).expect("a table");
        let columns = statement.column_count();
        let mut found = statement.query([]).expect("rows");
        while let Some(row) = found.next().expect("a row") {
            let values: Vec<_> =
                (0..columns).map(|i| row.get::<_, rusqlite::types::Value>(i).expect("a value")).collect();
            all.push(format!("{table} {values:?}"));
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn any_order_and_any_repetition_ends_in_the_same_rows(
        (events, shuffled) in prop::collection::vec(event(), 1..12).prop_flat_map(|events| {
            let twice: Vec<_> = events.iter().chain(events.iter()).copied().collect();
            (Just(events), Just(twice).prop_shuffle())
        })
    ) {
        prop_assert_eq!(rows(&events), rows(&shuffled));
    }
}
