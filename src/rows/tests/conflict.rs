//! Conflicts: kept, listed, and gone when they are over.

use rusqlite::Connection;

use super::{apply, in_new_file, wrong};
use crate::event::{Clash, Event};
use crate::identity::{UserKey, Vid};
use crate::rows::conflict::{Conflict, conflicts};
use crate::rows::learn;

fn vid(n: i64) -> Vid {
    Vid::new(n).expect("positive")
}

fn listed(db: &Connection) -> Vec<(String, Option<i64>, Option<i64>, i64)> {
    let one = |c: Conflict| (c.user, c.vid.map(Vid::get), c.holder.map(Vid::get), c.since);
    conflicts(db, None, 100).expect("a list").into_iter().map(one).collect()
}

/// User 1 is contact 901, user 2 is 902; HubSpot said at 10 and at 20 that 902 holds user 1's email.
fn conflicted(work: impl FnOnce(&Connection)) {
    in_new_file(|db| {
        for user in [1, 2] {
            apply(db, &Event::Linked { user: UserKey::from(user), vid: vid(900 + user), at: 1 });
        }
        for at in [10, 20] {
            learn::conflicted(db, UserKey::from(1), Some(vid(902)), Clash::EmailHeld, at).expect("kept");
        }
        assert_eq!(listed(db), [("1".into(), Some(901), Some(902), 10)]);
        work(db);
        assert_eq!(wrong(db), Vec::<String>::new());
    });
}

#[test]
fn a_conflict_is_kept_with_both_contacts_since_it_was_first_heard_of() {
    conflicted(|db| {
        learn::conflicted(db, UserKey::from(7), None, Clash::EmailHeld, 30).expect("kept");
        assert_eq!(listed(db)[1], ("7".into(), None, None, 30));
        let after = conflicts(db, Some(UserKey::from(1)), 100).expect("a list");
        assert_eq!(after.into_iter().map(|conflict| conflict.user).collect::<Vec<_>>(), ["7"]);
        assert_eq!(conflicts(db, None, 1).expect("a list").len(), 1);
    });
}

#[test]
fn a_conflict_is_over_once_the_two_are_one() {
    conflicted(|db| {
        for old in [901, 902] {
            learn::tell(db, &Event::Merged { old: vid(old), into: vid(999), at: 5, born: true, heard: 30 }, 30)
                .expect("told");
        }
        assert_eq!(listed(db), []);
    });
}

#[test]
fn a_conflict_that_is_healed_and_comes_again_stands_since_then_and_so_does_another_one() {
    conflicted(|db| {
        let again = |holder, why, at| learn::conflicted(db, UserKey::from(1), Vid::new(holder), why, at).expect("kept");
        again(902, Clash::EmailHeld, 30);
        assert_eq!(listed(db)[0].3, 10, "the same, told again");
        apply(db, &Event::ConflictEnded { user: UserKey::from(1), at: 35 });
        again(902, Clash::EmailHeld, 40);
        again(902, Clash::EmailHeld, 50);
        assert_eq!(listed(db)[0].3, 40);
        again(903, Clash::EmailHeld, 60);
        assert_eq!(listed(db)[0].3, 60);
        // Another contact's id for the same holder.
        let merged = Event::Merged { old: vid(903), into: vid(990), at: 5, born: true, heard: 65 };
        learn::tell(db, &merged, 65).expect("told");
        again(990, Clash::EmailHeld, 70);
        assert_eq!(listed(db), [("1".into(), Some(901), Some(990), 60)]);
        // Who is the other's contact now is in no conflict with them, and then is again.
        apply(db, &Event::Linked { user: UserKey::from(1), vid: vid(990), at: 80 });
        assert_eq!(listed(db), []);
        apply(db, &Event::Linked { user: UserKey::from(1), vid: vid(901), at: 90 });
        again(990, Clash::VidTaken, 95);
        assert_eq!(listed(db)[0].3, 95);
    });
}

#[test]
fn a_conflict_is_over_when_somebody_says_so_and_open_again_when_it_is_heard_of_again() {
    conflicted(|db| {
        apply(db, &Event::ConflictEnded { user: UserKey::from(1), at: 25 });
        assert_eq!(listed(db), []);
        learn::conflicted(db, UserKey::from(1), Some(vid(903)), Clash::VidTaken, 30).expect("kept");
        assert_eq!(listed(db), [("1".into(), Some(901), Some(903), 30)]);
        // In the same millisecond, and by a clock that has gone back since.
        for now in [40, 35] {
            apply(db, &Event::ConflictEnded { user: UserKey::from(1), at: 40 + (40 - now) });
            assert_eq!(listed(db), []);
            learn::conflicted(db, UserKey::from(1), Some(vid(902)), Clash::EmailHeld, now).expect("kept");
            assert_eq!(listed(db).len(), 1, "{now}");
        }
    });
}

#[test]
fn a_conflict_goes_with_its_user_and_its_holder_with_an_erasure() {
    conflicted(|db| {
        apply(db, &Event::Erased { vid: vid(902) });
        assert_eq!(listed(db), [("1".into(), Some(901), None, 10)]);
        apply(db, &Event::Forgotten { user: UserKey::from(1) });
        assert_eq!(listed(db), []);
    });
}
