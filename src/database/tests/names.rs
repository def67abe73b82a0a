//! Property: whose state a host's commit changes, of their component as it was before it names somebody, also where
//! others have written since it asked what was there.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};

use super::table::{Along, Column, flat, join, raise_all, walk};
use crate::database::component::Memory;
use crate::database::named::{Named, changed, news, touched};
use crate::decision::UserState;
use crate::event::{ChangeToken, Event};
use crate::identity::{UserKey, Vid};
use crate::rows::facts::{Facts, Key, Said};
use crate::rows::tests::{ALL, after, cases, event, users};
use crate::rows::user_state;

thread_local! {
    static MEMORY: Memory = Memory::new().expect("memory");
}

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
        let is_handed_on = before.changes.get(token).is_some_and(|was| was.user != change.user);
        if let Some(known) = tables.changes.get_mut(token).filter(|_| is_handed_on) {
            *known = change.clone();
        }
    }
    less(&mut tables.links, &before.links, &after.links);
    less(&mut tables.contacts, &before.contacts, &after.contacts);
    less(&mut tables.merges, &before.merges, &after.merges);
    less(&mut tables.changes, &before.changes, &after.changes);
}

/// Whether whoever keeps an answer of these facts about the user hears of names; none: everybody.
fn is_told(user: UserKey<'_>, part: &Facts, names: Option<&Named>) -> bool {
    let kept = Named::of_answer(Key::from(user), part);
    names.is_none_or(|names| !kept.users.is_disjoint(&names.users) || !kept.contacts.is_disjoint(&names.contacts))
}

/// What was before, what another host commits first, and what is looked at.
type Written = [Vec<Event<'static>>; 3];

fn written() -> impl Strategy<Value = Written> {
    let some = |most| prop::collection::vec(event(ALL), 0..most);
    [some(10), some(5), some(5)]
}

fn compare(written: &Written, names: impl Fn(&Facts, &Facts, &Facts) -> Option<Named>) -> Result<(), TestCaseError> {
    let [common, first, second] = written;
    let facts = |more: &[Event<'_>]| after(&[&common[..], more].concat(), |db| Facts::of(db).expect("facts"));
    let (before, first, second) = (facts(&[]), facts(first), facts(second));
    let mut column = Column::new();
    raise_all(&mut column, &Facts::default(), &before);
    raise_all(&mut column, &before, &first);
    let mut tables = before.clone();
    write(&mut tables, &before, &first);
    // Kept as of here: by a walk, or by the first question where that is all.
    let was = users().map(|user| {
        let key = Key::from(user);
        let flat = Some(flat(&tables, &column, &key)).filter(|(_, more)| !more).map(|(part, _)| part);
        (decided(&tables, user), walk(&tables, &key, Along::All), flat)
    });
    write(&mut tables, &before, &second);
    let names = names(&before, &second, &tables);
    for (user, (state, walked, flat)) in users().into_iter().zip(was) {
        for part in [Some(walked), flat].into_iter().flatten() {
            if !is_told(user, &part, names.as_ref()) {
                prop_assert_eq!(decided(&tables, user), state, "{:?}", user.to_text());
            }
        }
    }
    Ok(())
}

/// As `write` has it: of changes the rows say whose they are by then.
fn named(before: &Facts, after: &Facts, tables: &Facts) -> Option<Named> {
    let mut names = touched(before, after)?;
    let owner = |token| tables.changes.get(&token)?.user.clone();
    names.users.extend(changed(before, after).into_iter().filter_map(owner));
    Some(names)
}

fn is_caught(names: impl Fn(&Facts, &Facts) -> Option<Named>) -> bool {
    let mut runner = TestRunner::new(cases(8_000));
    let compare = |written| compare(&written, |before, after, _| names(before, after));
    matches!(runner.run(&written(), compare), Err(TestError::Fail(..)))
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn who_is_not_told_has_the_state_that_they_had(written in written()) {
        compare(&written, named)?;
    }
}

#[test]
fn the_users_whose_state_the_writer_sees_change_are_too_few() {
    assert!(is_caught(|before, after| {
        let changed = users().into_iter().filter(|user| decided(before, *user) != decided(after, *user));
        Some(Named { users: changed.map(Key::from).collect(), ..Named::default() })
    }));
}

/// The names without the users, or the contacts, of some links, if nothing else is of them.
fn without<'f>(
    before: &Facts,
    after: &Facts,
    links: impl IntoIterator<Item = &'f (Key, i64)>,
    (users, contacts): (bool, bool),
) -> Option<Named> {
    let mut names = touched(before, after)?;
    let others = touched(before, &Facts { links: before.links.clone(), ..after.clone() }).unwrap_or_default();
    for (user, vid) in links {
        if users && !others.users.contains(user) {
            names.users.remove(user);
        }
        if contacts && !others.contacts.contains(vid) {
            names.contacts.remove(vid);
        }
    }
    Some(names)
}

#[test]
fn one_end_of_a_new_link_is_too_little() {
    for which in [(true, false), (false, true)] {
        assert!(
            is_caught(|before, after| {
                let new = news(&before.links, &after.links).0;
                without(before, after, new.into_iter().map(|(ends, _)| ends), which)
            }),
            "{which:?}"
        );
    }
}

#[test]
fn a_link_that_is_taken_out_without_a_name_is_caught() {
    assert!(is_caught(|before, after| without(before, after, news(&before.links, &after.links).1, (true, true))));
}

#[test]
fn one_end_of_a_merge_is_too_little() {
    for old_only in [true, false] {
        let merged = |before: &Facts, after: &Facts| {
            let mut names = touched(before, after)?;
            let others = touched(before, &Facts { merges: before.merges.clone(), ..after.clone() }).unwrap_or_default();
            for ((old, into), _) in news(&before.merges, &after.merges).0 {
                let end = if old_only { into } else { old };
                if !others.contacts.contains(end) {
                    names.contacts.remove(end);
                }
            }
            Some(names)
        };
        assert!(is_caught(merged), "old_only: {old_only}");
    }
}

#[test]
fn a_change_of_which_only_the_beginning_is_named_is_caught() {
    assert!(is_caught(|before, after| touched(&Facts { changes: after.changes.clone(), ..before.clone() }, after)));
}

#[test]
fn a_change_that_another_host_has_handed_on_has_the_name_of_whose_it_is_then() {
    let ([user, other, _], token) = (users(), ChangeToken::try_from(10).expect("positive"));
    let vid = Vid::try_from(7).expect("positive");
    let linked = |user| Event::Linked { user, vid, at: 1 };
    let written = [
        vec![linked(user), linked(other), Event::ChangeBegun { user, token, at: 2 }],
        vec![Event::Forgotten { user }],
        vec![Event::ChangeFinished { user, token, at: 3 }],
    ];
    assert!(compare(&written, named).is_ok());
    assert!(compare(&written, |before, after, _| touched(before, after)).is_err());
}
