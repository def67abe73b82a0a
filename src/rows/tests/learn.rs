//! From facts to rows, on a bare connection: no file, no process, no clock.

use rusqlite::Connection;

use super::{apply, in_new_file, rows, wrong};
use crate::decision::UserState;
use crate::email::Fingerprint;
use crate::error::Error;
use crate::event::{ChangeToken, Event, Millis};
use crate::identity::{UserKey, Vid};
use crate::refusal::Refusal;
use crate::rows::learn::{self, APART, Clock, Described, Link};
use crate::rows::user_state;

const ANN: Fingerprint = Fingerprint([1; 16]);

/// An answer that names the contact's email.
fn answer(vid: i64, at: Millis) -> Described {
    let vid = Vid::new(vid).expect("positive");
    Described {
        vid,
        merged: Vec::new(),
        deleted: false,
        email: Some((Some(ANN), at)),
        secondary: Vec::new(),
        at: Some(at),
    }
}

fn record(db: &Connection, user: i64, answer: &Described, now: Millis) -> Link {
    learn::record(db, user.into(), answer, None, Clock::new(now, None)).expect("recorded").link
}

fn state(db: &Connection, user: i64) -> UserState {
    user_state(db, UserKey::from(user)).expect("a state")
}

fn contact(db: &Connection, user: i64) -> Option<i64> {
    state(db, user).identity.map(|identity| identity.vid.get())
}

#[test]
fn what_is_said_of_another_user_s_contact_is_believed_and_the_user_does_not_get_it() {
    in_new_file(|db| {
        learn::link(db, UserKey::from(1), Vid::new(901).expect("positive"), 1).expect("free");
        assert_eq!(state(db, 1).confirmed, None);
        let link = record(db, 2, &answer(901, 5), 10);
        assert!(matches!(link, Link::Refused(Error::VidTaken { .. })), "{link:?}");
        assert_eq!((state(db, 1).confirmed, contact(db, 2)), (Some(ANN), None));
        assert_eq!(wrong(db), Vec::<String>::new());
    });
}

#[test]
fn an_answer_older_than_what_is_known_of_their_contact_does_not_take_a_user_to_another() {
    in_new_file(|db| {
        record(db, 1, &answer(901, 5), 10);
        assert!(matches!(record(db, 1, &answer(902, 4), 11), Link::Settled));
        assert_eq!(contact(db, 1), Some(901));
        record(db, 1, &answer(902, 6), 12);
        assert_eq!(contact(db, 1), Some(902));
    });
}

#[test]
fn a_404_takes_the_email_off_pages_until_hubspot_says_something_newer() {
    in_new_file(|db| {
        record(db, 1, &answer(901, 5), 10);
        assert_eq!(state(db, 1).confirmed, Some(ANN));
        learn::found_none(db, UserKey::from(1), Clock::new(11, None)).expect("told");
        assert_eq!((contact(db, 1), state(db, 1).confirmed), (Some(901), None));
        record(db, 1, &answer(901, 5), 11);
        assert_eq!(state(db, 1).confirmed, None, "the same answer again is no news");
        record(db, 1, &answer(901, 6), 12);
        assert_eq!(state(db, 1).confirmed, Some(ANN));
    });
}

/// The app goes from one email to another and back, and only the way there reached HubSpot, whose answer was lost: then
/// HubSpot refuses the way back.
#[test]
fn a_refusal_never_leaves_a_page_to_name_what_hubspot_held_before() {
    for jobs in [[0, 1], [1, 0]] {
        in_new_file(|db| {
            record(db, 1, &answer(901, 5), 10);
            let user = UserKey::from(1);
            let tokens = [3, 4].map(|token| ChangeToken::try_from(token).expect("positive"));
            for token in tokens {
                apply(db, &Event::ChangeBegun { user, token, at: 11 });
            }
            for job in jobs {
                learn::refused(db, user, Some(tokens[job]), Refusal::InvalidEmail, 12, 6).expect("told");
            }
            assert_eq!((state(db, 1).changing, state(db, 1).confirmed), (false, None));
            record(db, 1, &answer(901, 6), 13);
            assert_eq!(state(db, 1).confirmed, None, "an answer that was on its way");
            record(db, 1, &answer(901, 7), 14);
            assert_eq!(state(db, 1).confirmed, Some(ANN), "HubSpot's word since then");
            assert_eq!(wrong(db), Vec::<String>::new());
        });
    }
}

/// Nobody need touch the contact at HubSpot after a refusal: what it holds is learnt by reading it.
#[test]
fn a_read_that_is_begun_once_no_call_can_be_on_its_way_counts_after_a_refusal_though_hubspot_s_time_stands_still() {
    agreed(|db| {
        let (user, token) = (UserKey::from(1), ChangeToken::try_from(3).expect("positive"));
        apply(db, &Event::ChangeBegun { user, token, at: 900 });
        learn::refused(db, user, Some(token), Refusal::InvalidEmail, 1000, 6000).expect("told");
        assert_eq!(read(db, 901, 60_999, 70_000), None, "a call that was carried out may end after that");
        assert_eq!(read(db, 901, 61_000, 70_000), Some(ANN));
        assert_eq!(read(db, 901, 61_001, 70_000), Some(ANN), "and again");
    });
}

#[test]
fn a_refusal_ends_its_change_once_and_one_that_comes_late_says_nothing() {
    in_new_file(|db| {
        record(db, 1, &answer(901, 5), 10);
        let (user, token) = (UserKey::from(1), ChangeToken::try_from(3).expect("positive"));
        let refuse = |change, now| learn::refused(db, user, change, Refusal::InvalidEmail, now, 5);
        assert_eq!(refuse(Some(token), 11), Err(Error::UnknownChange));
        assert_eq!(state(db, 1).confirmed, Some(ANN), "nothing was written");
        apply(db, &Event::ChangeBegun { user, token, at: 12 });
        refuse(Some(token), 13).expect("told");
        record(db, 1, &answer(901, 6), 14);
        let before = rows(db);
        refuse(Some(token), 15).expect("told");
        assert_eq!(rows(db), before);
        assert_eq!(state(db, 1).confirmed, Some(ANN));
    });
}

/// A new user has no change: HubSpot is told of them, and refuses.
#[test]
fn a_refusal_without_a_change_is_kept_as_one_that_has_ended() {
    in_new_file(|db| {
        let user = UserKey::from(1);
        learn::refused(db, user, None, Refusal::PrivacyDeletion, 11, 11).expect("told");
        assert_eq!(state(db, 1), UserState::default());
        assert_eq!(crate::rows::refusal(db, user), Ok(Some(Refusal::PrivacyDeletion)));
        let told = crate::rows::account(db, user, Fingerprint([0; 16])).expect("read").sentences(None, false).join(" ");
        assert!(told.contains("HubSpot refused the app's email") && told.contains("privacy"), "{told}");
        assert_eq!(wrong(db), Vec::<String>::new());
        apply(db, &Event::ChangeBegun { user, token: ChangeToken::try_from(3).expect("positive"), at: 12 });
        assert_eq!(crate::rows::refusal(db, user), Ok(None), "there is something to tell");
        apply(db, &Event::ChangeFinished { user, token: ChangeToken::try_from(3).expect("positive"), at: 13 });
        let told = crate::rows::account(db, user, Fingerprint([0; 16])).expect("read").sentences(None, false).join(" ");
        assert!(!told.contains("refused the app's"), "the next change's end is newer: {told}");
    });
}

#[test]
fn a_rule_about_another_property_says_nothing_of_an_email_that_is_not_being_changed() {
    in_new_file(|db| {
        record(db, 1, &answer(901, 5), 10);
        let refuse = |why| learn::refused(db, UserKey::from(1), None, why, 11, 11).expect("told");
        refuse(Refusal::RequiredProperty);
        assert_eq!(state(db, 1).confirmed, Some(ANN));
        refuse(Refusal::PrivacyDeletion);
        assert_eq!(state(db, 1).confirmed, None);
    });
}

#[test]
fn what_was_refused_is_remembered_until_the_user_s_next_change() {
    in_new_file(|db| {
        let month = 31 * 24 * 3600 * 1000;
        let begin = |user: i64, token, at| {
            let (user, token) = (UserKey::from(user), ChangeToken::try_from(token).expect("positive"));
            apply(db, &Event::ChangeBegun { user, token, at });
        };
        learn::refused(db, UserKey::from(1), None, Refusal::InvalidEmail, 11, 11).expect("told");
        let kept = || rows(db).iter().filter(|row| row.starts_with("change")).count();
        begin(2, 3, month);
        assert_eq!(kept(), 2, "another user's change");
        begin(1, 4, month);
        assert_eq!(kept(), 2, "their own takes the place of it");
    });
}

#[test]
fn a_link_wins_over_an_earlier_one_although_the_clock_has_gone_back() {
    in_new_file(|db| {
        for (vid, now) in [(901, 100), (902, 50)] {
            learn::link(db, UserKey::from(1), Vid::new(vid).expect("positive"), now).expect("free");
        }
        assert_eq!(contact(db, 1), Some(902));
    });
}

/// A file in which user 1 is contact 901, and HubSpot has said at 5 of its clock that it holds Ann's email.
fn agreed(work: impl FnOnce(&Connection)) {
    in_new_file(|db| {
        record(db, 1, &answer(901, 5), 100);
        assert_eq!(state(db, 1).confirmed, Some(ANN));
        work(db);
        assert_eq!(wrong(db), Vec::<String>::new());
    });
}

/// A read of the contact as it stands since 5 of HubSpot's clock, begun and taken in at times of the app's.
fn read(db: &Connection, vid: i64, begun: Millis, now: Millis) -> Option<Fingerprint> {
    learn::observe(db, &[answer(vid, 5)], &[], Clock::new(now, Some(begun))).expect("observed");
    state(db, 1).confirmed
}

fn tell(db: &Connection, event: Event<'_>, now: Millis) {
    learn::tell(db, &event, now).expect("told");
}

#[test]
fn a_read_counts_after_each_doubt_if_it_was_begun_after_it_though_hubspot_touched_nothing_since() {
    let vid = |n| Vid::new(n).expect("positive");
    type Doubt<'a> = (&'a str, &'a dyn Fn(&Connection), i64);
    let doubts: [Doubt<'_>; 6] = [
        (
            "a deletion and a restoration",
            &|db| {
                tell(db, Event::Deleted { vid: vid(901), at: 7 }, 1000);
                tell(db, Event::Restored { vid: vid(901), at: 8 }, 1000);
            },
            901,
        ),
        ("a deletion that was none", &|db| tell(db, Event::Deleted { vid: vid(901), at: 7 }, 1000), 901),
        (
            "a merge",
            &|db| tell(db, Event::Merged { old: vid(44), into: vid(901), at: 7, born: false, heard: 1000 }, 1000),
            901,
        ),
        (
            "a merge into a third id",
            &|db| {
                tell(db, Event::Merged { old: vid(901), into: vid(999), at: 7, born: false, heard: 1000 }, 1000);
            },
            999,
        ),
        (
            "a 404 that was wrong",
            &|db| {
                learn::found_none(db, UserKey::from(1), Clock::new(1000, None)).expect("taken in");
            },
            901,
        ),
        (
            "a batch that missed it",
            &|db| {
                learn::observe(db, &[], &[vid(901)], Clock::new(1000, None)).expect("observed");
            },
            901,
        ),
    ];
    for (what, doubt, now_is) in doubts {
        agreed(|db| {
            doubt(db);
            assert_eq!(state(db, 1).confirmed, None, "{what}");
            record(db, 1, &answer(now_is, 5), 1000 + 2 * APART);
            assert_eq!(state(db, 1).confirmed, None, "{what}: nobody knows when that was asked");
            assert_eq!(read(db, now_is, 999, 1000 + 2 * APART), None, "{what}: a read that was begun before");
            assert_eq!(read(db, now_is, 999 + APART, 1000 + 2 * APART), None, "{what}: by clocks that may be apart");
            assert_eq!(read(db, now_is, 1000 + 2 * APART, 999), None, "{what}: a read that is begun in the future");
            assert_eq!(read(db, now_is, 1000 + APART, 1000 + 2 * APART), Some(ANN), "{what}");
            assert_eq!(
                read(db, now_is, 999, 1000 + 3 * APART),
                Some(ANN),
                "{what}: an earlier read takes nothing back"
            );
        });
    }
}

#[test]
fn whatever_is_known_of_every_contact_is_doubted_some_at_a_time() {
    let vid = |n| Vid::new(n).expect("positive");
    agreed(|db| {
        record(db, 2, &answer(902, 5), 100);
        tell(db, Event::Merged { old: vid(44), into: vid(902), at: 6, born: false, heard: 100 }, 100);
        record(db, 2, &answer(902, 7), 100);
        record(db, 3, &answer(903, 90_000), 100); // HubSpot's clock was far ahead.
        learn::observe(db, &[answer(904, 5)], &[], Clock::new(100, Some(100))).expect("observed"); // Nobody's.
        let confirmed = || [1, 2, 3].map(|user| state(db, user).confirmed.is_some());
        assert_eq!(confirmed(), [true; 3]);
        let some = |after| learn::doubt_some(db, after, 2, Clock::new(1000, None), 6000).expect("doubted");
        assert_eq!(some(0), Some(902));
        assert_eq!(confirmed(), [false, false, true]);
        assert_eq!((some(902), some(904)), (Some(904), None));
        assert_eq!(confirmed(), [false; 3]);
        for (user, id) in [(1, 901), (2, 902), (3, 903)] {
            record(db, user, &answer(id, 6000), 7000);
            assert_eq!(state(db, user).confirmed, None, "{user}: what HubSpot said up to then");
        }
        record(db, 1, &answer(901, 6001), 7000);
        learn::observe(db, &[answer(902, 6000)], &[], Clock::new(7000, Some(6000))).expect("observed");
        learn::observe(db, &[answer(903, 90_000)], &[], Clock::new(7000, Some(6000))).expect("observed");
        assert_eq!(confirmed(), [true; 3], "news, and reads that were begun since");
    });
}

#[test]
fn a_read_begun_before_a_change_at_hubspot_and_taken_in_after_it_confirms_nothing() {
    let other = Described { email: Some((Some(Fingerprint([2; 16])), 6)), at: Some(6), ..answer(901, 6) };
    // With HubSpot's clock far ahead of the app's, or far behind.
    for ahead in [0, 1 << 40] {
        let at = |described: &Described, at: Millis| {
            let at = at + ahead;
            Described { email: described.email.map(|(email, _)| (email, at)), at: Some(at), ..described.clone() }
        };
        in_new_file(|db| {
            record(db, 1, &at(&answer(901, 5), 5), 100);
            learn::found_none(db, UserKey::from(1), Clock::new(100, None)).expect("taken in");
            // Begun at 10,000; meanwhile a webhook tells of another email.
            learn::observe(db, &[at(&other, 6)], &[], Clock::new(11_000, None)).expect("observed");
            learn::observe(db, &[at(&answer(901, 5), 5)], &[], Clock::new(12_000, Some(10_000))).expect("observed");
            assert_ne!(state(db, 1).confirmed, Some(ANN));
        });
    }
}

#[test]
fn a_read_that_tells_of_a_merge_confirms_what_it_says_of_the_contact() {
    agreed(|db| {
        let merged = Described { merged: vec![Vid::new(44).expect("positive")], ..answer(901, 5) };
        learn::observe(db, std::slice::from_ref(&merged), &[], Clock::new(1000, None)).expect("observed");
        assert_eq!(state(db, 1).confirmed, Some(ANN), "the living id held it all along");
        let merged = Described { merged: vec![Vid::new(901).expect("positive")], ..answer(999, 5) };
        learn::observe(db, std::slice::from_ref(&merged), &[], Clock::new(1000, Some(900))).expect("observed");
        assert_eq!((contact(db, 1), state(db, 1).confirmed), (Some(999), Some(ANN)));
    });
}

#[test]
fn of_two_emails_at_one_time_of_hubspot_s_a_read_begun_afterwards_says_which() {
    agreed(|db| {
        let other = Described { email: Some((Some(Fingerprint([2; 16])), 5)), ..answer(901, 5) };
        learn::observe(db, &[other], &[], Clock::new(1000, Some(900))).expect("observed");
        assert_eq!(state(db, 1).confirmed, None);
        assert_eq!(read(db, 901, 950, 1100), None, "begun before the second was heard");
        assert_eq!(read(db, 901, 1000 + APART, 1100 + APART), Some(ANN));
    });
}

#[test]
fn who_comes_back_after_they_were_forgotten_is_named_once_their_contact_was_read() {
    agreed(|db| {
        crate::rows::apply(db, &Event::Forgotten { user: UserKey::from(1) }).expect("forgotten");
        learn::link(db, UserKey::from(2), Vid::new(901).expect("positive"), 1000).expect("free");
        learn::observe(db, &[answer(901, 5)], &[], Clock::new(1000, Some(900))).expect("observed");
        assert_eq!(state(db, 2).confirmed, Some(ANN));
    });
}
