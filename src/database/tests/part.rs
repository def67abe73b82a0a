//! Property: one user's component decides the same as everything; and that what is walked has to be walked.

use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};

use super::table::{Along, Column, flat, join, raise_all, walk};
use crate::database::component::Memory;
use crate::database::whose::{Whose, raised};
use crate::decision::UserState;
use crate::event::Event;
use crate::identity::UserKey;
use crate::rows::facts::{Facts, Key};
use crate::rows::tests::{WITH_ERASURES, after, cases, event, events, users};
use crate::rows::{grave, user_state};

thread_local! {
    static MEMORY: Memory = Memory::new().expect("memory");
}

fn decided(facts: &Facts, user: UserKey<'_>) -> UserState {
    MEMORY.with(|memory| memory.with(facts, None, |rows| user_state(rows, user))).expect("a state")
}

/// Every user by a part of the facts, and by all events.
fn compare(events: &[Event<'_>], part: impl Fn(&Facts, &Key) -> Option<Facts>) -> Result<(), TestCaseError> {
    let (facts, states) =
        after(events, |db| (Facts::of(db).expect("facts"), users().map(|user| user_state(db, user).expect("a state"))));
    for (user, state) in users().into_iter().zip(states) {
        if let Some(part) = part(&facts, &Key::from(user)) {
            prop_assert_eq!(decided(&part, user), state, "{:?}", user.to_text());
        }
    }
    Ok(())
}

/// Whether some events show that a part is too little.
fn is_caught(part: impl Fn(&Facts, &Key) -> Option<Facts>) -> bool {
    let mut runner = TestRunner::new(cases(5_000));
    let found = runner.run(&events(WITH_ERASURES), |events| compare(&events, &part));
    matches!(found, Err(TestError::Fail(..)))
}

/// What two hosts were told before, and then each at the same time.
type Told = [Vec<Event<'static>>; 3];

fn told() -> impl Strategy<Value = Told> {
    let some = || prop::collection::vec(event(WITH_ERASURES), 0..8);
    [some(), some(), some()]
}

/// Every user by what a page asks first, where that says that it is all, and by everything, of what two hosts wrote at
/// the same time.
fn flat_compare(told: &Told, raise: impl Fn(&mut Column, &Facts, &Facts)) -> Result<(), TestCaseError> {
    let [common, one, other] = told;
    let facts = |more: &[Event<'_>]| after(&[&common[..], more].concat(), |db| Facts::of(db).expect("facts"));
    let (before, one, other) = (facts(&[]), facts(one), facts(other));
    let mut column = Column::new();
    raise(&mut column, &Facts::default(), &before);
    raise(&mut column, &before, &one);
    raise(&mut column, &before, &other);
    let mut shared = one;
    join(&mut shared, &other);
    // An email that one host writes down and the other one buries: they wait for one another.
    for said in shared.contacts.values_mut() {
        said.email = said.email.filter(|email| !shared.buried.contains(&grave(email)));
    }
    for user in users() {
        let key = Key::from(user);
        if let (part, false) = flat(&shared, &column, &key) {
            let all = walk(&shared, &key, Along::All);
            prop_assert_eq!(decided(&part, user), decided(&all, user), "{:?}", user.to_text());
        }
    }
    Ok(())
}

/// Whether some words show that a column is too low.
fn is_flat_caught(raise: impl Fn(&mut Column, &Facts, &Facts)) -> bool {
    let mut runner = TestRunner::new(cases(5_000));
    let found = runner.run(&told(), |told| flat_compare(&told, &raise));
    matches!(found, Err(TestError::Fail(..)))
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn one_user_s_component_decides_the_same_as_everything(events in events(WITH_ERASURES)) {
        compare(&events, |facts, user| Some(walk(facts, user, Along::All)))?;
    }

    #[test]
    fn where_there_is_no_more_the_flat_answer_decides_the_same_whoever_wrote_at_the_same_time(told in told()) {
        flat_compare(&told, raise_all)?;
    }

    /// Rows that were put into the tables past the library, or by a copy that was broken off.
    #[test]
    fn a_column_that_was_never_told_of_what_is_in_the_tables_does_not_become_the_last_user_s(told in told()) {
        flat_compare(&told, |column, before, after| {
            if *before != Facts::default() {
                raise_all(column, before, after);
            }
        })?;
    }
}

#[test]
fn a_component_without_what_was_merged_decides_otherwise() {
    assert!(is_caught(|facts, user| Some(walk(facts, user, Along::LinksOnly))));
}

#[test]
fn a_component_without_a_contact_s_other_users_decides_otherwise() {
    assert!(is_caught(|facts, user| Some(walk(facts, user, Along::OwnLinksAndMerges))));
}

#[test]
fn a_column_that_a_contact_s_second_user_does_not_raise_is_caught() {
    assert!(is_flat_caught(|column, before, after| {
        for (vid, whose) in raised(before, after) {
            match whose {
                Whose::One(_) => drop(column.entry(vid).or_insert(whose)),
                Whose::Several => drop(column.insert(vid, whose)),
            }
        }
    }));
}

#[test]
fn a_column_that_a_merge_does_not_raise_is_caught() {
    assert!(is_flat_caught(|column, before, after| {
        raise_all(column, before, &Facts { merges: before.merges.clone(), ..after.clone() });
    }));
}

#[test]
fn a_column_that_an_erasure_does_not_raise_is_caught() {
    assert!(is_flat_caught(|column, before, after| {
        let erased: Vec<i64> = after.erased.difference(&before.erased).copied().collect();
        let mut unraised = after.clone();
        unraised.erased.clone_from(&before.erased);
        unraised.contacts.extend(before.contacts.iter().filter(|(vid, _)| erased.contains(vid)));
        raise_all(column, before, &unraised);
    }));
}

/// Whose a contact is belongs to the row, and outlives what was taken out of it.
#[test]
fn a_column_that_is_lowered_with_what_is_forgotten_is_caught() {
    assert!(is_flat_caught(|column, before, after| {
        raise_all(column, before, after);
        column.retain(|vid, _| !before.contacts.contains_key(vid) || after.contacts.contains_key(vid));
    }));
}
