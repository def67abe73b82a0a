//! Property: the same events, in any order and any number of times, end in the same rows.

use proptest::prelude::*;
use rusqlite::Connection;

use super::{
    ALL, JOINS, WITH_ERASURES, after, apply, cases, event, events, in_new_file, rows, states, unlogged, user, wrong,
};
use crate::event::Event;
use crate::identity::UserKey;
use crate::rows::learn;

type Events = Vec<Event<'static>>;

/// The same events twice, in any order.
fn twice_in_any_order(events: &Events) -> impl Strategy<Value = Events> + use<> {
    let twice: Vec<_> = events.iter().chain(events).copied().collect();
    Just(twice).prop_shuffle()
}

fn shuffled(events: impl Strategy<Value = Events>) -> impl Strategy<Value = (Events, Events)> {
    events.prop_flat_map(|events| {
        let shuffled = twice_in_any_order(&events);
        (Just(events), shuffled)
    })
}

/// Users who are forgotten one after the other, with events between, and the same with what is between shuffled.
fn around_forgettings() -> impl Strategy<Value = (Events, Events)> {
    let between = shuffled(prop::collection::vec(event(JOINS), 0..8));
    prop::collection::vec((between, user()), 1..4).prop_map(|parts| {
        let (mut plain, mut shuffled) = (Vec::new(), Vec::new());
        for ((events, other), user) in parts {
            let forgotten = Event::Forgotten { user };
            plain.extend(events.into_iter().chain([forgotten]));
            shuffled.extend(other.into_iter().chain([forgotten, forgotten]));
        }
        (plain, shuffled)
    })
}

/// How much the log says of users.
fn entries(db: &Connection) -> i64 {
    db.query_row("SELECT count(*) FROM log WHERE user IS NOT NULL", [], |row| row.get(0)).expect("a log")
}

/// How many rows name the user.
fn held(db: &Connection, user: UserKey<'_>) -> i64 {
    let sql = "SELECT (SELECT count(*) FROM user WHERE key = ?1) + (SELECT count(*) FROM link WHERE user = ?1)
                 + (SELECT count(*) FROM contact WHERE user = ?1) + (SELECT count(*) FROM sharer WHERE user = ?1)
                 + (SELECT count(*) FROM change WHERE user = ?1) + (SELECT count(*) FROM conflict WHERE user = ?1) + (SELECT count(*) FROM log WHERE user = ?1)";
    db.query_row(sql, [user], |row| row.get(0)).expect("a count")
}

fn is_linked(db: &Connection, user: UserKey<'_>) -> bool {
    crate::rows::user_state(db, user).expect("a state").identity.is_some()
}

proptest! {
    #![proptest_config(cases(800))]

    #[test]
    fn any_order_and_any_repetition_ends_in_the_same_rows((events, shuffled) in shuffled(events(JOINS))) {
        prop_assert_eq!(after(&events, rows), after(&shuffled, rows));
        prop_assert_eq!(after(&events, wrong), Vec::<String>::new());
    }

    #[test]
    fn any_order_with_erasures_ends_in_the_same_rows((events, shuffled) in shuffled(events(WITH_ERASURES))) {
        prop_assert_eq!(after(&events, rows), after(&shuffled, rows));
        prop_assert_eq!(after(&shuffled, wrong), Vec::<String>::new());
    }

}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_order_between_forgettings_ends_in_the_same_rows((events, shuffled) in around_forgettings()) {
        prop_assert_eq!(after(&events, rows), after(&shuffled, rows));
        prop_assert_eq!(after(&shuffled, wrong), Vec::<String>::new());
    }

    /// The table that other processes hold is emptied of every user whose state changed.
    #[test]
    fn whose_state_changes_is_in_the_log(events in events(ALL)) {
        let unlogged = in_new_file(|db| {
            events.iter().find_map(|event| {
                let before = states(db);
                db.execute_batch("DELETE FROM log").expect("emptied");
                apply(db, event);
                let unlogged = unlogged(db, before);
                (!unlogged.is_empty()).then(|| format!("{event:?}: {unlogged:?}"))
            })
        });
        prop_assert_eq!(unlogged, None);
    }

    #[test]
    fn apply_says_whether_any_row_changed(events in events(ALL)) {
        let lie = in_new_file(|db| {
            events.iter().find_map(|event| {
                let (before, logged) = (rows(db), entries(db));
                let said = apply(db, event);
                // What the log tells of a user is held too.
                let forgotten = matches!(event, Event::Forgotten { .. }) && entries(db) != logged;
                let changed = before != rows(db) || forgotten;
                (said != changed).then(|| format!("{event:?}: it said {said}"))
            })
        });
        prop_assert_eq!(lie, None);
    }

    #[test]
    fn nothing_is_left_of_who_is_forgotten(events in events(ALL), user in user()) {
        after(&events, |db| {
            apply(db, &Event::Forgotten { user });
            prop_assert_eq!(held(db, user), 0);
            prop_assert_eq!(wrong(db), Vec::<String>::new());
            prop_assert!(!apply(db, &Event::Forgotten { user }), "and nothing was there to be forgotten again");
            Ok(())
        })?;
    }

    /// As HubSpot tells of them: whoever was linked to an erased contact alone is forgotten with it.
    #[test]
    fn nothing_is_left_of_who_had_an_erased_contact_alone(events in events(WITH_ERASURES)) {
        in_new_file(|db| {
            for event in &events {
                let linked = super::users().map(|user| is_linked(db, user));
                let told = learn::tell(db, event, 3).expect("told");
                for (user, linked) in super::users().into_iter().zip(linked) {
                    if linked && !is_linked(db, user) {
                        prop_assert!(told.erased.any && told.changed, "{:?}", event);
                        prop_assert_eq!(held(db, user), 0, "{:?} after {:?}", user, event);
                    }
                }
                prop_assert_eq!(wrong(db), Vec::<String>::new());
                let before = rows(db);
                prop_assert!(!learn::tell(db, event, 3).expect("told").changed, "{:?} a second time", event);
                prop_assert_eq!(rows(db), before);
            }
            Ok(())
        })?;
    }
}
