//! Property: the tables' facts are the file's rows, whoever of several hosts wrote them, at the same time or not.

use proptest::prelude::*;

use super::table::join;
use crate::rows::facts::Facts;
use crate::rows::tests::{ALL, JOINS, WITH_ERASURES, after, cases, event, events, in_new_file, rows, wrong};

fn facts(db: &rusqlite::Connection) -> Facts {
    Facts::of(db).expect("facts")
}

/// What `read` finds in rows that were made of the facts.
fn of<T>(facts: &Facts, read: impl FnOnce(&rusqlite::Connection) -> T) -> T {
    in_new_file(|db| {
        facts.put(db).expect("facts are put");
        read(db)
    })
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn rows_that_were_taken_apart_into_facts_are_put_together_again(events in events(ALL)) {
        let (before, taken) = after(&events, |db| (rows(db), facts(db)));
        prop_assert_eq!(before, of(&taken, rows));
        prop_assert_eq!(of(&taken, wrong), Vec::<String>::new());
        prop_assert_eq!(of(&taken, facts), taken);
    }

    /// Each host asks, and writes what is new, before it can know what the other one writes.
    #[test]
    fn what_two_hosts_write_at_once_is_what_one_would_have_written(
        common in prop::collection::vec(event(JOINS), 0..8), one in events(JOINS), other in events(JOINS),
    ) {
        let of_both = |more: &[_]| after(&[&common[..], more].concat(), facts);
        let mut shared = of_both(&one);
        join(&mut shared, &of_both(&other));
        prop_assert_eq!(shared, of_both(&[one, other].concat()));
    }

    /// What one host erases and the other one is told more of at the same time is erased.
    #[test]
    fn what_one_host_erases_no_other_brings_back(
        common in prop::collection::vec(event(JOINS), 0..8), one in events(WITH_ERASURES), other in events(JOINS),
    ) {
        let of_both = |more: &[_]| after(&[&common[..], more].concat(), facts);
        let one = of_both(&one);
        let mut shared = one.clone();
        join(&mut shared, &of_both(&other));
        let read = of(&shared, facts);
        for vid in &one.erased {
            prop_assert!(read.erased.contains(vid));
            prop_assert!(!read.contacts.contains_key(vid) && !read.links.keys().any(|(_, of)| of == vid));
        }
        prop_assert_eq!(of(&shared, wrong), Vec::<String>::new());
    }
}
