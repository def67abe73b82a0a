//! Whom a reading job is to read.

use rusqlite::Connection;

use super::{apply, in_new_file, wrong};
use crate::email::Fingerprint;
use crate::event::{ChangeToken, Event, Millis};
use crate::identity::{UserKey, Vid};
use crate::rows::learn::{self, APART};
use crate::rows::lists::{Which, users_to_read};
use crate::rows::stale_changes;

fn vid(n: i64) -> Vid {
    Vid::new(n).expect("positive")
}

/// User n is contact 900 + n.
fn link(db: &Connection, users: std::ops::RangeInclusive<i64>) {
    for user in users {
        apply(db, &Event::Linked { user: UserKey::from(user), vid: vid(900 + user), at: 1 });
    }
}

/// HubSpot said at `at` of its clock that user n's contact holds an email (or none), to a read that was begun at a
/// time.
fn said(db: &Connection, user: i64, email: Option<u8>, at: Millis, read_at: Option<Millis>) {
    let email = email.map(|email| Fingerprint([email; 16]));
    apply(db, &Event::EmailObserved { vid: vid(900 + user), email, at, read_at });
}

/// Page by page, each of `limit`.
fn listed(db: &Connection, which: Which, before: Millis, limit: u32) -> Vec<String> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = users_to_read(db, which, before, after, limit).expect("a list");
        assert!(page.len() as u32 <= limit);
        let Some(last) = page.last() else { return all };
        after = Some((last.read_at, last.vid));
        all.extend(page.into_iter().map(|user| user.user));
    }
}

#[test]
fn who_is_unconfirmed_is_listed_the_longest_unread_first_however_the_pages_are_cut() {
    in_new_file(|db| {
        link(db, 1..=7);
        said(db, 1, Some(1), 5, None);
        said(db, 2, None, 5, Some(90)); // HubSpot has no email there, and was asked.
        said(db, 3, None, 5, Some(80));
        said(db, 8, None, 5, Some(10)); // Nobody's contact.
        for limit in [1, 2, 3, 100] {
            assert_eq!(listed(db, Which::Unconfirmed, 85, limit), ["4", "5", "6", "7", "3"]);
            assert_eq!(listed(db, Which::Unconfirmed, 1000, limit), ["4", "5", "6", "7", "3", "2"]);
            assert_eq!(listed(db, Which::Confirmed, 1000, limit), ["1"]);
        }
        assert_eq!(users_to_read(db, Which::Unconfirmed, 1000, None, 0).expect("a list"), []);
    });
}

#[test]
fn who_is_confirmed_is_listed_by_when_that_was() {
    in_new_file(|db| {
        link(db, 1..=4);
        said(db, 1, Some(1), 50, None);
        said(db, 2, Some(2), 5, Some(70));
        said(db, 3, Some(3), 60, Some(60));
        said(db, 4, Some(4), 5, Some(200));
        for limit in [1, 100] {
            assert_eq!(listed(db, Which::Confirmed, 100, limit), ["1", "3", "2"]);
        }
        assert_eq!(listed(db, Which::Unconfirmed, Millis::MAX, 100), [""; 0]);
    });
}

#[test]
fn a_doubt_puts_who_was_just_read_on_the_list_and_a_read_since_takes_them_off_it() {
    in_new_file(|db| {
        link(db, 1..=1);
        said(db, 1, Some(1), 5, Some(1000));
        learn::tell(db, &Event::Merged { old: vid(44), into: vid(901), at: 7, born: false, heard: 1001 }, 1001)
            .expect("told");
        assert_eq!(listed(db, Which::Unconfirmed, 500, 100), ["1"], "whatever their age may be");
        // A read that says too little, but is an answer.
        said(db, 1, None, 8, Some(1001 + APART));
        assert_eq!(listed(db, Which::Unconfirmed, 500, 100), [""; 0]);
        assert_eq!(listed(db, Which::Unconfirmed, 1002 + APART, 100), ["1"]);
        // HubSpot says that it has none: not asked for again at once, and not forgotten.
        learn::observe(db, &[], &[vid(901)], learn::Clock::new(9000, Some(8000))).expect("observed");
        assert_eq!(listed(db, Which::Unconfirmed, 7000, 100), [""; 0]);
        assert_eq!(listed(db, Which::Unconfirmed, 9000, 100), ["1"]);
        assert_eq!(wrong(db), Vec::<String>::new());
    });
}

#[test]
fn nobody_who_needs_nothing_is_looked_at() {
    in_new_file(|db| {
        for which in [Which::Unconfirmed, Which::Confirmed] {
            for sql in which.statements() {
                let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("a statement");
                let any = vec![1i64; plan.parameter_count()];
                let steps = plan.query_map(rusqlite::params_from_iter(any), |row| row.get(3)).expect("a plan");
                let steps: Vec<String> = steps.collect::<rusqlite::Result<_>>().expect("steps");
                assert!(
                    matches!(&steps[..], [only] if only.starts_with("SEARCH contact USING INDEX contact_")),
                    "{steps:?}"
                );
            }
        }
    });
}

/// A clock that was a day ahead for a moment, when the change was begun.
#[test]
fn a_change_that_was_begun_in_the_future_is_stale_as_well() {
    in_new_file(|db| {
        let begun = |user: i64, at| {
            let token = ChangeToken::try_from(user).expect("positive");
            apply(db, &Event::ChangeBegun { user: UserKey::from(user), token, at });
        };
        begun(1, 86_400_000);
        begun(2, 900);
        begun(3, 100);
        let stale = |before, at| {
            let found = stale_changes(db, before, at, 9).expect("a list");
            found.into_iter().map(|change| change.user).collect::<Vec<_>>()
        };
        assert_eq!(stale(500, 1_000), ["3", "1"], "the oldest first, and whose age nobody knows");
        assert_eq!(stale(500, 86_400_000), ["3"]);
        assert_eq!(stale(100, 86_400_000), ["3"], "of an age of none all count, those of this millisecond too");
    });
}
