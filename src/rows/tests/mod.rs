//! Properties of the rows, over events that are made up.

mod conflict;
mod import;
mod learn;
mod lease;
mod lists;
mod model;
mod order;

use std::ops::Range;

use proptest::prelude::*;
use proptest::sample::select;
use rusqlite::Connection;

use super::verify;
use crate::decision::UserState;
use crate::email::Fingerprint;
use crate::event::{ChangeToken, Clash, Event};
use crate::identity::{UserKey, Vid};
use crate::refusal::Refusal;

/// The kinds of events that `event` makes: those that say nothing of the past, ...
const PLAIN: Range<usize> = 0..5;
/// ... those that are joins, ...
pub(crate) const JOINS: Range<usize> = 0..17;
/// ... erasures among them, ...
pub(crate) const WITH_ERASURES: Range<usize> = 0..18;
/// ... and to forget a user, or that they were erased, which are none.
pub(crate) const ALL: Range<usize> = 0..20;

pub(crate) fn users() -> [UserKey<'static>; 3] {
    [UserKey::from(1i64), UserKey::from(-2i64), UserKey::text("ann").expect("a key")]
}

fn user() -> impl Strategy<Value = UserKey<'static>> {
    select(users().to_vec())
}

fn vid() -> impl Strategy<Value = Vid> {
    (1i64..6).prop_map(|n| Vid::try_from(n).expect("positive"))
}

/// What may happen: three users, five contacts that all of them may be linked to, few times, so that much meets.
///
/// With erasures, a contact holds one email and always the same. Of several, those told of before the erasure are
/// forgotten but for the last, so which are buried would depend on the order.
pub(crate) fn event(kinds: Range<usize>) -> impl Strategy<Value = Event<'static>> {
    let erasures = kinds.contains(&17);
    let read_at = prop::option::of(1i64..5);
    (user(), 0i64..2, vid(), vid(), 0u8..4, 0i64..5, any::<bool>(), kinds, read_at).prop_map(
        move |(user, n, vid, into, email, at, born, kind, read_at)| {
            // A token is one user's.
            let owner =
                if user == UserKey::from(1i64) { 10 } else { 20 + i64::from(user == UserKey::from(-2i64)) * 10 };
            let token = ChangeToken::try_from(owner + n).expect("positive");
            let email = if erasures { Some(vid.get() as u8) } else { (email > 0).then_some(email) };
            match kind {
                0 | 1 => Event::Linked { user, vid, at },
                2 | 3 => Event::EmailObserved { vid, email: email.map(|email| Fingerprint([email; 16])), at, read_at },
                4 => Event::ChangeBegun { user, token, at },
                5 if born && email.is_none() => Event::ChangeRefused { user, token, why: Refusal::InvalidEmail, at },
                5 if born => Event::ChangeFinished { user, token, at },
                5 if email == Some(1) => Event::ChangeRefused { user, token, why: Refusal::PrivacyDeletion, at },
                5 => Event::ChangeAbandoned { user, token, at },
                6 | 7 => Event::Merged { old: vid, into, at, born, heard: at },
                8 | 9 => Event::Deleted { vid, at },
                10 => Event::Restored { vid, at },
                11 => {
                    let email = Fingerprint([email.unwrap_or(7); 16]);
                    Event::SecondaryObserved { vid, email, at }
                }
                12 | 13 => Event::Doubted { vid, to: born.then_some(at), at: n + 1, read_at },
                // Of two at one time the greater holder counts: which that is must not depend on an erasure.
                14 => Event::Conflicted {
                    user,
                    holder: Vid::new(at + 1),
                    why: if born { Clash::EmailHeld } else { Clash::VidTaken },
                    since: at.min(n),
                    at,
                },
                15 => Event::ConflictEnded { user, at },
                16 => Event::UserErased { mark: Fingerprint([vid.get() as u8; 16]) },
                17 => Event::Erased { vid },
                18 => Event::UserErasureForgotten { mark: Fingerprint([vid.get() as u8; 16]) },
                _ => Event::Forgotten { user },
            }
        },
    )
}

pub(crate) fn events(kinds: Range<usize>) -> impl Strategy<Value = Vec<Event<'static>>> {
    prop::collection::vec(event(kinds), 1..16)
}

thread_local! {
    static FILE: Connection = {
        let db = Connection::open_in_memory().expect("memory");
        db.execute_batch(include_str!("../schema/1.sql")).expect("the schema");
        db.set_prepared_statement_cache_capacity(64);
        db
    };
}

/// What `read` finds in a new file.
pub(crate) fn in_new_file<T>(read: impl FnOnce(&Connection) -> T) -> T {
    FILE.with(|db| read(&db.unchecked_transaction().expect("a transaction"))) // And rolled back.
}

fn apply(db: &Connection, event: &Event<'_>) -> bool {
    super::apply(db, event).expect("an event applies")
}

/// What `read` finds in a new file after the events.
pub(crate) fn after<T>(events: &[Event<'_>], read: impl FnOnce(&Connection) -> T) -> T {
    in_new_file(|db| {
        for event in events {
            apply(db, event);
        }
        read(db)
    })
}

pub(crate) fn wrong(db: &Connection) -> Vec<String> {
    verify::verify(db).expect("checked")
}

fn states(db: &Connection) -> [UserState; 3] {
    users().map(|user| super::user_state(db, user).expect("a state"))
}

/// Whose state differs although the log names neither them nor everybody. The log is empty before.
fn unlogged(db: &Connection, before: [UserState; 3]) -> Vec<String> {
    let logged = |user: &UserKey<'_>| -> bool {
        let sql = "SELECT EXISTS (SELECT 1 FROM log WHERE user IS NULL OR user = ?1)";
        db.query_row(sql, [user], |row| row.get(0)).expect("a log")
    };
    let changed = users().into_iter().zip(before.into_iter().zip(states(db)));
    changed
        .filter(|(user, (before, after))| before != after && !logged(user))
        .map(|(user, (before, after))| format!("{user:?}: {before:?} to {after:?}"))
        .collect()
}

/// Every row of every table that is not a log.
pub(crate) fn rows(db: &Connection) -> Vec<String> {
    let mut all = Vec::new();
    for table in [
        "user",
        "link",
        "contact",
        "sharer",
        "past",
        "merge",
        "secondary",
        "erased",
        "buried",
        "erased_user",
        "change",
        "conflict",
    ] {
        let mut statement = db.prepare(&format!("SELECT * FROM {table}")).expect("a table");
        let columns = statement.column_count();
        let mut found = statement.query([]).expect("rows");
        while let Some(row) = found.next().expect("a row") {
            let values: Vec<_> =
                (0..columns).map(|i| row.get::<_, rusqlite::types::Value>(i).expect("a value")).collect();
            all.push(format!("{table} {values:?}"));
        }
    }
    all.sort();
    all
}

pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}
