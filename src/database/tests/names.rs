//! Property: whose state a host's commit changes, it names: by one end of what it wrote, in the tables as they are
//! then, also where others have written since it asked what was there.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};

use super::table::{Along, join, walk};
use crate::database::component::Memory;
use crate::database::watch::news;
use crate::database::watch::touched;
use crate::decision::UserState;
use crate::event::Event;
use crate::identity::UserKey;
use crate::rows::facts::{Facts, Key, Said};
use crate::rows::tests::{ALL, after, cases, event, users};
use crate::rows::user_state;

thread_local! {
    static MEMORY: Memory = Memory::new().expect("memory");
}

type Names = Vec<(Option<Key>, Option<i64>)>;

/// What a page is told of a user.
fn decided(facts: &Facts, user: UserKey<'_>) -> UserState {
    let part = walk(facts, &Key::from(user), Along::All);
    MEMORY.with(|memory| memory.with(&part, None, |rows| user_state(rows, user))).expect("a state")
}

/// The tables after a host has written what its facts are more, and less, than those that it had asked for.
fn write(tables: &mut Facts, before: &Facts, after: &Facts) {
    fn less<K: Ord + Clone, V: PartialEq>(all: &mut BTreeMap<K, V>, before: &BTreeMap<K, V>, after: &BTreeMap<K, V>) {
        for key in news(before, after).1 {
            all.remove(key);
        }
    }
    let said = |vid: &i64| before.contacts.get(vid).copied().unwrap_or_default();
    let mut more = after.clone();
    more.links.retain(|name, link| before.links.get(name) != Some(link));
    more.merges.retain(|ids, merge| before.merges.get(ids) != Some(merge));
    more.contacts.retain(|vid, now| before.contacts.get(vid) != Some(now) && said(vid).join(*now) == *now);
    more.changes.retain(|token, change| {
        let was = before.changes.get(token);
        was != Some(change) && was.is_none_or(|was| was.user == change.user)
    });
    join(tables, &more);
    // Of a user who was forgotten.
    for (vid, now) in news(&before.contacts, &after.contacts).0 {
        if said(vid).join(*now) != *now
            && let Some(known) = tables.contacts.get_mut(vid).filter(|known| known.email == said(vid).email)
        {
            *known = Said { email: now.email, email_at: now.email_at, ..*known };
        }
    }
    for (token, change) in news(&before.changes, &after.changes).0 {
        if let Some(known) = tables.changes.get_mut(token).filter(|known| known.user != change.user) {
            *known = change.clone();
        }
    }
    less(&mut tables.links, &before.links, &after.links);
    less(&mut tables.contacts, &before.contacts, &after.contacts);
    less(&mut tables.merges, &before.merges, &after.merges);
    less(&mut tables.changes, &before.changes, &after.changes);
}

/// The users who are told of names; none: everybody.
fn told(names: &Names, tables: &Facts) -> Option<BTreeSet<Key>> {
    let mut all = BTreeSet::new();
    for name in names {
        match name {
            (None, None) => return None,
            (Some(user), _) => all.extend(hang_together(tables, user)),
            (None, Some(vid)) => {
                // As of a user who is linked to it alone.
                let mut with = tables.clone();
                let nobody = Key::from(UserKey::from(999));
                let link = crate::rows::facts::Linked { first_at: 0, last_at: 0 };
                with.links.insert((nobody.clone(), *vid), link);
                all.extend(hang_together(&with, &nobody));
            }
        }
    }
    Some(all)
}

fn hang_together(tables: &Facts, user: &Key) -> BTreeSet<Key> {
    let part = walk(tables, user, Along::All);
    part.links.keys().map(|(user, _)| user.clone()).chain([user.clone()]).collect()
}

/// What was before, what another host commits first, and what is looked at.
type Written = [Vec<Event<'static>>; 3];

fn written() -> impl Strategy<Value = Written> {
    let some = |most| prop::collection::vec(event(ALL), 0..most);
    [some(10), some(5), some(5)]
}

fn compare(written: &Written, names: impl Fn(&Facts, &Facts) -> Names) -> Result<(), TestCaseError> {
    let [common, first, second] = written;
    let facts = |more: &[Event<'_>]| after(&[&common[..], more].concat(), |db| Facts::of(db).expect("facts"));
    let (before, first, second) = (facts(&[]), facts(first), facts(second));
    // Kept as of here.
    let mut tables = before.clone();
    write(&mut tables, &before, &first);
    let was = users().map(|user| decided(&tables, user));
    write(&mut tables, &before, &second);
    let Some(told) = told(&names(&before, &second), &tables) else { return Ok(()) };
    for (user, was) in users().into_iter().zip(was) {
        if !told.contains(&Key::from(user)) {
            prop_assert_eq!(decided(&tables, user), was, "{:?}", user.to_text());
        }
    }
    Ok(())
}

fn is_caught(names: impl Fn(&Facts, &Facts) -> Names) -> bool {
    let mut runner = TestRunner::new(cases(8_000));
    matches!(runner.run(&written(), |written| compare(&written, &names)), Err(TestError::Fail(..)))
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn who_is_not_told_has_the_state_that_they_had(written in written()) {
        compare(&written, touched)?;
    }
}

#[test]
fn the_users_whose_state_the_writer_sees_change_are_too_few() {
    assert!(is_caught(|before, after| {
        let changed = users().into_iter().filter(|user| decided(before, *user) != decided(after, *user));
        changed.map(|user| (Some(Key::from(user)), None)).collect()
    }));
}

#[test]
fn one_end_of_what_is_taken_out_is_too_little() {
    assert!(is_caught(|before, after| {
        let gone = news(&before.links, &after.links).1;
        let mut names = touched(before, after);
        names.retain(|(_, vid)| !gone.iter().any(|(_, of)| Some(*of) == *vid));
        names
    }));
}

#[test]
fn a_change_of_which_only_the_beginning_is_named_is_caught() {
    assert!(is_caught(|before, after| touched(&Facts { changes: after.changes.clone(), ..before.clone() }, after)));
}
