//! An account of one user for people to read: why a page says what it says, and all that is held.

use std::fmt;

use base16ct::lower;
use rusqlite::{Connection, OptionalExtension};
use serde_json::json;
use time::OffsetDateTime;

use super::base::{fate, key};
use super::conflict::{Conflict, conflict_of};
use super::forget::was_erased;
use super::link::{Link, first_of, links_of, users_of};
use super::lookup::key_text;
use crate::email::Fingerprint;
use crate::error::Result;
use crate::event::{Clash, Millis, What};
use crate::identity::UserKey;
use crate::refusal::Refusal;

/// How many entries of the log an account repeats.
const LATEST: i64 = 50;

/// What the file has on one user.
pub(crate) struct Account {
    user: String,
    vid: Option<i64>,
    /// Whether the user gives their first contact's id as external id.
    gives_id: bool,
    links: Vec<Link>,
    contact: Option<Contact>,
    changes: Vec<Change>,
    shared_with: usize,
    conflict: Option<Conflict>,
    erased: bool,
    others_change: bool,
    lease_until: Option<Millis>,
    log: Vec<(i64, Option<i64>, Option<Millis>)>,
}

struct Change {
    token: i64,
    begun_at: Option<Millis>,
    ended_at: Option<Millis>,
    refused: Option<Refusal>,
}

#[derive(Default)]
struct Contact {
    email: Option<[u8; 16]>,
    email_at: Option<Millis>,
    secondary: Vec<([u8; 16], Millis)>,
    merged: Vec<i64>,
    deleted_at: Option<Millis>,
    restored_at: Option<Millis>,
}

/// `mark` stands for the user where the file may not name them.
pub(crate) fn account(db: &Connection, user: UserKey<'_>, mark: Fingerprint) -> Result<Account> {
    let user = key(user);
    let row: Option<(Option<i64>, bool, i64)> = db
        .prepare_cached("SELECT vid, ifnull(first_vid > 0, true), changes FROM user WHERE key = ?1")?
        .query_row([&user], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let (vid, gives_id, outstanding) = row.unwrap_or((None, false, 0));
    let changes: Vec<Change> = db
        .prepare_cached(
            "SELECT token, begun_at, ended_at, ifnull(refused, 0) FROM change WHERE user = ?1 ORDER BY begun_at, token",
        )?
        .query_map([&user], |row| {
            let refused = Refusal::of(row.get(3)?);
            Ok(Change { token: row.get(0)?, begun_at: row.get(1)?, ended_at: row.get(2)?, refused })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut log: Vec<(i64, Option<i64>, Option<Millis>)> = db
        .prepare_cached("SELECT ifnull(what, 0), vid, at FROM log WHERE user = ?1 ORDER BY revision DESC LIMIT ?2")?
        .query_map((&user, LATEST), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    log.reverse();
    let own = changes.iter().filter(|change| change.ended_at.is_none()).count() as i64;
    Ok(Account {
        vid,
        gives_id,
        links: links_of(db, &user)?,
        contact: vid.map(|vid| contact(db, vid)).transpose()?,
        changes,
        conflict: conflict_of(db, &user)?,
        erased: was_erased(db, mark)?,
        shared_with: match vid {
            Some(vid) => users_of(db, vid)?.iter().filter(|other| **other != user).count(),
            None => 0,
        },
        others_change: outstanding > own,
        lease_until: db
            .prepare_cached("SELECT until FROM lease WHERE user = ?1")?
            .query_row([&user], |row| row.get(0))
            .optional()?,
        log,
        user: key_text(user),
    })
}

fn contact(db: &Connection, vid: i64) -> Result<Contact> {
    let said: Option<(Option<[u8; 16]>, Option<Millis>)> = db
        .prepare_cached("SELECT email, email_at FROM contact WHERE vid = ?1")?
        .query_row([vid], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (email, email_at) = said.unwrap_or_default();
    let mut contact = Contact { email, email_at, ..Contact::default() };
    contact.secondary = db
        .prepare_cached(
            "SELECT email, max(at) FROM secondary
             WHERE vid = ?1 OR vid IN (SELECT vid FROM past WHERE canonical = ?1) GROUP BY email ORDER BY email",
        )?
        .query_map([vid], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    if fate(db, vid)?.1.is_some() {
        (contact.deleted_at, contact.restored_at) = db
            .prepare_cached("SELECT deleted_at, restored_at FROM past WHERE vid = ?1")?
            .query_row([vid], |row| Ok((row.get(0)?, row.get(1)?)))?;
        contact.merged = db
            .prepare_cached("SELECT vid FROM past WHERE canonical = ?1 AND vid <> ?1 ORDER BY vid")?
            .query_map([vid], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
    }
    Ok(contact)
}

impl Account {
    /// The account in sentences, for somebody who asks why a page names that email or does not. No sentence holds an
    /// email or a fingerprint.
    pub(crate) fn sentences(&self, email: Option<Fingerprint>, named: bool) -> Vec<String> {
        let mut all = Vec::new();
        match (self.vid, first_of(&self.links)) {
            (Some(vid), Some(&Link { vid: first, first_at, .. })) => {
                all.push(format!(
                    "The user is contact {vid}, and was first linked, to contact {first}, {}.",
                    When(first_at)
                ));
                if !self.gives_id {
                    all.push(format!(
                        "Another user, of another contact, was linked to contact {first} before, so this one gives no id."
                    ));
                }
            }
            _ => all.push("The user is linked to no contact.".into()),
        }
        if self.erased && self.vid.is_none() {
            all.push(
                "Their contact was erased for privacy: none is to be made for them, unless the app forgets them first."
                    .into(),
            );
        }
        if let Some(contact) = &self.contact {
            if !contact.merged.is_empty() {
                let ids: Vec<_> = contact.merged.iter().map(i64::to_string).collect();
                all.push(format!("HubSpot merged it with {}.", ids.join(", ")));
            }
            if let Some(at) = contact.deleted_at {
                all.push(format!("HubSpot deleted it {}; what it held before does not count.", When(at)));
            }
            if let Some(at) = contact.restored_at {
                all.push(format!("HubSpot restored it {}.", When(at)));
            }
            all.push(match (contact.email_at, contact.email) {
                (Some(at), Some(_)) => format!("HubSpot said which email it held {}.", When(at)),
                (Some(at), None) => {
                    format!("HubSpot said that it held no email, or none that may be named, {}.", When(at))
                }
                (None, _) if contact.merged.is_empty() => "HubSpot has not said which email it holds.".into(),
                (None, _) => "HubSpot has not said which email it holds since the merge.".into(),
            });
        }
        let secondary = self.contact.iter().flat_map(|contact| &contact.secondary);
        if email.is_some_and(|email| secondary.into_iter().any(|(other, _)| *other == email.0)) {
            all.push("The app's email is one of the contact's secondary emails, which no page names.".into());
        }
        if self.shared_with > 0 {
            all.push(format!("{} more of the app's users are that contact.", self.shared_with));
        }
        for change in self.changes.iter().filter(|change| change.ended_at.is_none()) {
            all.push(format!("A change of the email began {} and is outstanding.", When(change.begun_at.unwrap_or(0))));
        }
        if !named
            && let Some(Change { refused: Some(why), ended_at: Some(at), .. }) =
                self.changes.iter().filter(|change| change.ended_at.is_some()).max_by_key(|change| change.ended_at)
        {
            all.push(format!("HubSpot refused the app's email {}: {}.", When(*at), why.words()));
        }
        if let Some(Conflict { holder, why, since, .. }) = &self.conflict {
            let contact = holder.map_or("another contact".into(), |vid| format!("contact {vid}"));
            let what = match why {
                Clash::EmailHeld => format!("HubSpot said that {contact} holds the app's email"),
                Clash::VidTaken => format!("HubSpot's answer named {contact}, which is another user's"),
            };
            all.push(format!("{what}, first {}: the two may want merging.", When(*since)));
        }
        if self.others_change {
            all.push("A change of another user of that contact is outstanding.".into());
        }
        for (what, vid, at) in &self.log {
            let of = vid.map_or(String::new(), |vid| format!(" (contact {vid})"));
            all.push(format!("Log: {}: {}{of}.", When(at.unwrap_or(0)), What::words(*what)));
        }
        all
    }

    /// All of it, as JSON. Fingerprints in hexadecimal: they are held, so they are in it.
    pub(crate) fn json(&self) -> String {
        let links: Vec<_> = self
            .links
            .iter()
            .map(|link| json!({"vid": link.vid.to_string(), "first_at": link.first_at, "last_at": link.last_at}))
            .collect();
        let changes: Vec<_> = self
            .changes
            .iter()
            .map(|change| {
                let refused = change.refused.map(Refusal::name);
                json!({"token": change.token, "begun_at": change.begun_at, "ended_at": change.ended_at, "refused": refused})
            })
            .collect();
        let log: Vec<_> = self
            .log
            .iter()
            .map(|(what, vid, at)| json!({"what": What::words(*what), "vid": vid.map(|vid| vid.to_string()), "at": at}))
            .collect();
        let conflict = self.conflict.as_ref().map(|conflict| {
            let holder = conflict.holder.map(|vid| vid.get().to_string());
            json!({"why": conflict.why.name(), "holder": holder, "since": conflict.since})
        });
        let contact = self.contact.as_ref().map(|contact| {
            json!({
                "email_fingerprint": contact.email.map(|email| lower::encode_string(&email)),
                "email_at": contact.email_at,
                "secondary": contact.secondary.iter().map(|(email, at)| json!({"email_fingerprint": lower::encode_string(email), "at": at})).collect::<Vec<_>>(),
                "merged": contact.merged.iter().map(i64::to_string).collect::<Vec<_>>(),
                "deleted_at": contact.deleted_at,
                "restored_at": contact.restored_at,
                "other_users": self.shared_with,
            })
        });
        json!({
            "user": self.user,
            "vid": self.vid.map(|vid| vid.to_string()),
            "gives_external_id": self.gives_id,
            "links": links,
            "contact": contact,
            "changes": changes,
            "conflict": conflict,
            "erased_for_privacy": self.erased,
            "lease_until": self.lease_until,
            "log": log,
        })
        .to_string()
    }
}

/// A time in words: `at 2026-03-01 10:00:00 UTC`.
struct When(Millis);

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match OffsetDateTime::from_unix_timestamp(self.0.div_euclid(1000)) {
            Ok(_) if self.0 <= 0 => f.write_str("at an unknown time"),
            Ok(t) => {
                let (date, time) = (t.date(), t.time());
                let (h, m, s) = time.as_hms();
                write!(f, "at {}-{:02}-{:02} {h:02}:{m:02}:{s:02} UTC", date.year(), u8::from(date.month()), date.day())
            }
            Err(_) => f.write_str("at an unknown time"),
        }
    }
}
