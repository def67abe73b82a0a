//! Property: an import ends in the same rows as the events that it stands for.

use proptest::prelude::*;
use rusqlite::Connection;

use super::{ALL, PLAIN, after, apply, cases, event, rows, states, unlogged, user, vid, wrong};
use crate::email::Fingerprint;
use crate::event::Event;
use crate::rows::lookup::{check_free, link_of};
use crate::rows::{Import, Known};

type Events = Vec<Event<'static>>;
type Batch = Vec<Known<'static>>;

/// A file in which nothing is merged, deleted, erased or forgotten, which is what an import is quick at, or any; and a
/// batch.
fn batch() -> impl Strategy<Value = (Events, Batch)> {
    let events = prop_oneof![
        3 => prop::collection::vec(event(PLAIN), 0..4),
        1 => prop::collection::vec(event(ALL), 0..12),
    ];
    let email = prop::option::of((1u8..4, 0i64..5)).prop_map(|email| email.map(|(n, at)| (Fingerprint([n; 16]), at)));
    let known = (user(), vid(), email).prop_map(|(user, vid, email)| Known { user, vid, email });
    (events, prop::collection::vec(known, 1..8))
}

/// What an import says of one user, as events: a link stands against it, and so does another user's contact.
fn as_events(db: &Connection, known: &Known<'_>) -> u64 {
    let &Known { user, vid, email } = known;
    if check_free(db, user, vid).is_err() {
        return 0;
    }
    if link_of(db, user).expect("a link").is_none() {
        apply(db, &Event::Linked { user, vid, at: 0 });
    }
    if let Some((email, at)) = email {
        apply(db, &Event::EmailObserved { vid, email: Some(email), at, read_at: None });
    }
    1
}

fn import(db: &Connection, batch: &[Known<'_>]) -> u64 {
    Import::new(db).and_then(|mut import| import.put(batch)).expect("imported")
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn an_import_is_the_events_it_stands_for((events, batch) in batch()) {
        let imported = after(&events, |db| (import(db, &batch), rows(db), wrong(db)));
        let applied = after(&events, |db| {
            (batch.iter().map(|known| as_events(db, known)).sum::<u64>(), rows(db), Vec::<String>::new())
        });
        prop_assert_eq!(imported, applied);
    }

    #[test]
    fn whose_state_an_import_changes_is_in_the_log((events, batch) in batch()) {
        let unlogged = after(&events, |db| {
            let before = states(db);
            db.execute_batch("DELETE FROM log").expect("emptied");
            import(db, &batch);
            unlogged(db, before)
        });
        prop_assert_eq!(unlogged, Vec::<String>::new());
    }
}
