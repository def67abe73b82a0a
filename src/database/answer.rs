//! The database's answer, read: strictly, since a field that is taken for another would be believed.

use base16ct::lower;
use serde::Deserialize;

use super::ask::{Depth, limit};
use super::head::{Distrust, Head, key, unreadable};
use super::watch::{RawSight, Sight};
use crate::event::{ChangeToken, Millis};
use crate::rows::facts::{Change, Dispute, Facts, Key, Linked, Merge, Said};

/// An answer: what it says of itself, and the facts.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) facts: Facts,
    /// When a worker first saw each change committed, by PostgreSQL's clock, and those that were asked for by token.
    pub(crate) seen: Vec<(i64, Option<Millis>)>,
    /// Whether the component is larger than what was asked for.
    pub(crate) more: bool,
    /// Contacts and users that a list has found, in its order.
    pub(crate) found: Vec<i64>,
    pub(crate) whose: Vec<Key>,
    /// The last contact that a list has looked at, if it has not come to its end.
    pub(crate) last: Option<i64>,
    /// What it takes to keep the answer, where it was asked to be kept.
    pub(crate) sight: Option<Sight>,
    /// Whose page has looked for names, and asked for nothing else.
    pub(crate) look: Option<Key>,
}

impl Answer {
    /// When a worker first saw that change, if one has.
    pub(crate) fn seen(&self, token: ChangeToken) -> Option<Millis> {
        self.seen.iter().find(|(of, _)| *of == token.get()).and_then(|(_, seen)| *seen)
    }
}

/// PostgreSQL's list of no rows is a null.
type Rows<R> = Option<Vec<R>>;
type Time = Option<Millis>;
type RawChange = (i64, Option<String>, Time, Time, Time, Option<i64>);
type RawConflict = (String, Option<i64>, Option<i64>, Time, Time, Time);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    head: Head,
    names: Option<usize>,
    found: Rows<i64>,
    whose: Rows<String>,
    last: Option<i64>,
    #[serde(default)]
    more: bool,
    sight: Option<RawSight>,
    look: Option<String>,
    links: Rows<(String, i64, Millis, Millis)>,
    contacts: Rows<[serde_json::Value; 9]>,
    merges: Rows<(i64, i64, Millis, bool, Millis)>,
    secondaries: Rows<(i64, String, Millis)>,
    changes: Rows<RawChange>,
    conflicts: Rows<RawConflict>,
    erased: Rows<i64>,
    buried: Rows<String>,
    marks: Rows<String>,
}

/// Reads the one column of the one row that a statement of `ask` gives.
///
/// # Errors
/// [`Distrust::Unreadable`], [`Distrust::TooLarge`].
pub(crate) fn read(json: &str, depth: Depth) -> Result<Answer, Distrust> {
    let raw: Raw = serde_json::from_str(json).map_err(|error| unreadable(words(&error)))?;
    // Before all else: of a component that was cut off nothing may be believed.
    if raw.names.is_some_and(|names| names > limit(depth)) {
        return Err(Distrust::TooLarge);
    }
    let mut facts = Facts::default();
    let mut seen = Vec::new();
    for (user, vid, first_at, last_at) in raw.links.into_iter().flatten() {
        facts.links.insert((key(&user)?, vid), Linked { first_at, last_at });
    }
    for contact in raw.contacts.into_iter().flatten() {
        let (vid, said) = said(contact)?;
        // A row may say no more than whose the contact is.
        if said != Said::default() {
            facts.contacts.insert(vid, said);
        }
    }
    for (old, into, at, born, heard_at) in raw.merges.into_iter().flatten() {
        facts.merges.insert((old, into), Merge { at, born, heard_at });
    }
    for (vid, email, at) in raw.secondaries.into_iter().flatten() {
        facts.secondaries.insert((vid, hex(&email)?), at);
    }
    for (token, user, begun_at, seen_at, ended_at, refused) in raw.changes.into_iter().flatten() {
        let user = user.map(|user| key(&user)).transpose()?;
        facts.changes.insert(token, Change { user, begun_at, ended_at, refused });
        seen.push((token, seen_at));
    }
    for (user, holder, why, since, last_at, ended_at) in raw.conflicts.into_iter().flatten() {
        facts.disputes.insert(key(&user)?, Dispute { holder, why, since, last_at, ended_at });
    }
    facts.erased.extend(raw.erased.into_iter().flatten());
    for grave in raw.buried.into_iter().flatten() {
        facts.buried.insert(hex(&grave)?);
    }
    for mark in raw.marks.into_iter().flatten() {
        facts.marks.insert(hex(&mark)?);
    }
    let found = raw.found.unwrap_or_default();
    let whose = raw.whose.into_iter().flatten().map(|user| key(&user)).collect::<Result<_, _>>()?;
    let sight = raw.sight.map(RawSight::read).transpose()?.flatten();
    let look = raw.look.map(|user| key(&user)).transpose()?;
    Ok(Answer { head: raw.head, facts, seen, more: raw.more, found, whose, last: raw.last, sight, look })
}

fn said(raw: [serde_json::Value; 9]) -> Result<(i64, Said), Distrust> {
    let [vid, email, rest @ ..] = raw;
    let number = |value: serde_json::Value| match value {
        serde_json::Value::Null => Ok(None),
        value => value.as_i64().map(Some).ok_or_else(|| unreadable("a time of a contact is no integer")),
    };
    let vid = number(vid)?.ok_or_else(|| unreadable("a contact has no id"))?;
    let email = match email {
        serde_json::Value::Null => None,
        email => Some(hex(email.as_str().ok_or_else(|| unreadable("a fingerprint is no text"))?)?),
    };
    let [email_at, read_at, deleted_at, restored_at, doubted_to, doubted_at, asked_at] = rest.map(number);
    let said = Said {
        email,
        email_at: email_at?,
        read_at: read_at?,
        deleted_at: deleted_at?,
        restored_at: restored_at?,
        doubted_to: doubted_to?,
        doubted_at: doubted_at?,
        asked_at: asked_at?,
    };
    Ok((vid, said))
}

fn hex<const N: usize>(text: &str) -> Result<[u8; N], Distrust> {
    let bytes = lower::decode_vec(text.as_bytes()).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| unreadable("a fingerprint is none"))
}

/// What is wrong, without a value of the answer.
fn words(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Data => "it is JSON of another shape",
        _ => "it is not JSON",
    }
}
