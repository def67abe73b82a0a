//! From facts to rows, on a bare connection: no file, no process, no clock.

use rusqlite::Connection;

use super::{apply, in_new_file, rows, wrong};
use crate::decision::UserState;
use crate::email::Fingerprint;
use crate::error::Error;
use crate::event::{ChangeToken, Event, Millis};
use crate::identity::{UserKey, Vid};
use crate::refusal::Refusal;
use crate::rows::learn::{self, Described, Link};
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
    learn::record(db, user.into(), answer, None, now).expect("recorded").link
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
        learn::found_none(db, UserKey::from(1)).expect("told");
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
        let told = crate::rows::account(db, user).expect("read").sentences(None, false).join(" ");
        assert!(told.contains("HubSpot refused the app's email") && told.contains("privacy"), "{told}");
        assert_eq!(wrong(db), Vec::<String>::new());
        apply(db, &Event::ChangeBegun { user, token: ChangeToken::try_from(3).expect("positive"), at: 12 });
        apply(db, &Event::ChangeFinished { user, token: ChangeToken::try_from(3).expect("positive"), at: 13 });
        let told = crate::rows::account(db, user).expect("read").sentences(None, false).join(" ");
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
