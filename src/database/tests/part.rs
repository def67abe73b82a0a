//! Property: one user's component decides the same as everything; and that what is walked has to be walked.

use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};

use super::table::{Along, flat, walk};
use crate::database::component::Memory;
use crate::decision::UserState;
use crate::event::Event;
use crate::identity::UserKey;
use crate::rows::facts::{Facts, Key};
use crate::rows::tests::{WITH_ERASURES, after, cases, events, users};
use crate::rows::user_state;

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

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn one_user_s_component_decides_the_same_as_everything(events in events(WITH_ERASURES)) {
        compare(&events, |facts, user| Some(walk(facts, user, Along::All)))?;
    }

    #[test]
    fn where_there_is_no_more_the_flat_answer_decides_the_same(events in events(WITH_ERASURES)) {
        compare(&events, |facts, user| match flat(facts, user) {
            (_, true) => None,
            (facts, false) => Some(facts),
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
fn a_flat_answer_that_does_not_ask_whether_there_is_more_decides_otherwise() {
    assert!(is_caught(|facts, user| Some(flat(facts, user).0)));
}
