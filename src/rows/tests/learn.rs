//! From facts to rows, on a bare connection: no file, no process, no clock.

use rusqlite::Connection;

use super::{in_new_file, wrong};
use crate::decision::UserState;
use crate::email::Fingerprint;
use crate::error::Error;
use crate::event::Millis;
use crate::identity::{UserKey, Vid};
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

#[test]
fn a_link_wins_over_an_earlier_one_although_the_clock_has_gone_back() {
    in_new_file(|db| {
        for (vid, now) in [(901, 100), (902, 50)] {
            learn::link(db, UserKey::from(1), Vid::new(vid).expect("positive"), now).expect("free");
        }
        assert_eq!(contact(db, 1), Some(902));
    });
}
