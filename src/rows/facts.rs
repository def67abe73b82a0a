//! What was said, fact by fact: what the rows are derived from, and nothing that is derived.
//!
//! Each fact joins with another of the same name, as `apply` joins an event with the rows, so facts can be kept in
//! tables that several hosts write at the same time (`database`). Here they are taken out of the rows, and put into
//! empty ones by way of `apply`, which derives the rest anew. docs/adr/0021.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use rusqlite::types::FromSql;
use rusqlite::{Connection, Row, params};

use super::apply::apply;
use super::base::user_key;
use crate::email::Fingerprint;
use crate::error::{Error, Result};
use crate::event::{ChangeToken, Clash, Event, Millis};
use crate::identity::{UserKey, Vid};
use crate::refusal::Refusal;

/// The bytes of a fingerprint.
pub(crate) type Print = [u8; 16];

/// A user's key that is kept, as [`UserKey::tagged`] makes it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(Vec<u8>);

impl Key {
    /// `None` for bytes that are no key.
    pub(crate) fn of(tagged: Vec<u8>) -> Option<Self> {
        UserKey::of_tagged(&tagged)?;
        Some(Self(tagged))
    }

    pub(crate) fn user(&self) -> UserKey<'_> {
        UserKey::of_tagged(&self.0).expect("only such bytes become a key")
    }

    pub(crate) fn tagged(&self) -> &[u8] {
        &self.0
    }
}

impl From<UserKey<'_>> for Key {
    fn from(user: UserKey<'_>) -> Self {
        Self(user.tagged())
    }
}

/// A key says nothing about itself.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.user().fmt(f)
    }
}

/// A link of a user to a contact: when first and when last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Linked {
    pub(crate) first_at: Millis,
    pub(crate) last_at: Millis,
}

/// What HubSpot said of one id: which email it held, by the latest word, and whether that may still be so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Said {
    pub(crate) email: Option<Print>,
    pub(crate) email_at: Option<Millis>,
    pub(crate) read_at: Option<Millis>,
    pub(crate) deleted_at: Option<Millis>,
    pub(crate) restored_at: Option<Millis>,
    pub(crate) doubted_to: Option<Millis>,
    pub(crate) doubted_at: Option<Millis>,
    pub(crate) asked_at: Option<Millis>,
}

impl Said {
    /// What two hosts were told of one id, as one of them would know it that was told both.
    pub(crate) fn join(self, other: Self) -> Self {
        let time = |said: &Self| said.email_at.map(|at| (at, said.read_at.unwrap_or(0)));
        let newest = match time(&self).cmp(&time(&other)) {
            Ordering::Less => other,
            Ordering::Greater => self,
            // One time, two emails: neither is known to be the later.
            Ordering::Equal => Self { email: self.email.filter(|email| other.email == Some(*email)), ..self },
        };
        Self {
            deleted_at: self.deleted_at.max(other.deleted_at),
            restored_at: self.restored_at.max(other.restored_at),
            doubted_to: self.doubted_to.max(other.doubted_to),
            doubted_at: self.doubted_at.max(other.doubted_at),
            asked_at: self.asked_at.max(other.asked_at),
            ..newest
        }
    }
}

/// A merge of one id into another, as HubSpot told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Merge {
    pub(crate) at: Millis,
    pub(crate) born: bool,
    pub(crate) heard_at: Millis,
}

/// A change of a user's email; of nobody where its user was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Change {
    pub(crate) user: Option<Key>,
    pub(crate) begun_at: Option<Millis>,
    pub(crate) ended_at: Option<Millis>,
    pub(crate) refused: Option<i64>,
}

/// The latest conflict of a user, and when one was last said to be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Dispute {
    pub(crate) holder: Option<i64>,
    pub(crate) why: Option<i64>,
    pub(crate) since: Option<Millis>,
    pub(crate) last_at: Option<Millis>,
    pub(crate) ended_at: Option<Millis>,
}

/// All facts of some users and contacts, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Facts {
    pub(crate) links: BTreeMap<(Key, i64), Linked>,
    pub(crate) contacts: BTreeMap<i64, Said>,
    pub(crate) merges: BTreeMap<(i64, i64), Merge>,
    pub(crate) secondaries: BTreeMap<(i64, Print), Millis>,
    pub(crate) changes: BTreeMap<i64, Change>,
    pub(crate) disputes: BTreeMap<Key, Dispute>,
    pub(crate) erased: BTreeSet<i64>,
    /// Hashes of the fingerprints of emails that erased contacts held.
    pub(crate) buried: BTreeSet<[u8; 32]>,
    /// Marks of users whose contacts were erased.
    pub(crate) marks: BTreeSet<Print>,
}

impl Facts {
    /// Takes the facts out of rows. In the caller's transaction.
    pub(crate) fn of(rows: &Connection) -> Result<Self> {
        Ok(Self {
            links: all(
                rows,
                "SELECT user, vid, first_at, last_at FROM link
                 UNION ALL SELECT key, vid, linked_at, linked_at FROM user u
                   WHERE vid IS NOT NULL AND NOT EXISTS (SELECT 1 FROM link l WHERE l.user = u.key)",
                |row| Ok(((key(row, 0)?, row.get(1)?), Linked { first_at: row.get(2)?, last_at: row.get(3)? })),
            )?,
            contacts: all(
                rows,
                "SELECT vid, email, email_at, read_at, deleted_at, restored_at, doubted_to, doubted_at, asked_at
                 FROM past WHERE coalesce(email_at, deleted_at, restored_at, doubted_at) IS NOT NULL
                 UNION ALL SELECT vid, email, email_at, read_at, NULL, NULL, NULL, NULL, NULL FROM contact c
                   WHERE email_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM past p WHERE p.vid = c.vid)",
                |row| Ok((row.get(0)?, said(row)?)),
            )?,
            merges: all(rows, "SELECT old, into_vid, at, born, heard_at FROM merge", |row| {
                let merge = Merge { at: row.get(2)?, born: row.get(3)?, heard_at: row.get(4)? };
                Ok(((row.get(0)?, row.get(1)?), merge))
            })?,
            secondaries: all(rows, "SELECT vid, email, at FROM secondary", |row| {
                Ok(((row.get(0)?, row.get(1)?), row.get(2)?))
            })?,
            changes: all(rows, "SELECT token, user, begun_at, ended_at, refused FROM change", |row| {
                let user = if row.get_ref(1)? == rusqlite::types::ValueRef::Null { None } else { Some(key(row, 1)?) };
                let (begun_at, ended_at, refused) = (row.get(2)?, row.get(3)?, row.get(4)?);
                Ok((row.get(0)?, Change { user, begun_at, ended_at, refused }))
            })?,
            disputes: all(rows, "SELECT user, holder, why, since, last_at, ended_at FROM conflict", |row| {
                let (holder, why, since) = (row.get(1)?, row.get(2)?, row.get(3)?);
                Ok((key(row, 0)?, Dispute { holder, why, since, last_at: row.get(4)?, ended_at: row.get(5)? }))
            })?,
            erased: each(rows, "SELECT vid FROM erased")?,
            marks: each(rows, "SELECT mark FROM erased_user")?,
            buried: each(rows, "SELECT email FROM buried")?,
        })
    }

    /// Takes out all that is of another key: fingerprints, and what was said with them.
    pub(crate) fn without_emails(&mut self) {
        for said in self.contacts.values_mut() {
            *said = Said { email: None, email_at: None, read_at: None, ..*said };
        }
        self.secondaries.clear();
        self.buried.clear();
        self.marks.clear();
    }

    /// Puts the facts into rows that are empty. In the caller's transaction. What is erased comes first, so that
    /// nothing of it is learnt, whatever somebody wrote beside it at the same time.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for what cannot be a fact, [`Error::Storage`].
    pub(crate) fn put(&self, rows: &Connection) -> Result<()> {
        let say = |event: Event<'_>| apply(rows, &event).map(drop);
        for grave in &self.buried {
            rows.prepare_cached("INSERT INTO buried (email) VALUES (?1)")?.execute([&grave[..]])?;
        }
        for &mark in &self.marks {
            say(Event::UserErased { mark: Fingerprint(mark) })?;
        }
        for &id in &self.erased {
            say(Event::Erased { vid: vid(id)? })?;
        }
        for (&(old, into), &Merge { at, born, heard_at: heard }) in &self.merges {
            say(Event::Merged { old: vid(old)?, into: vid(into)?, at, born, heard })?;
        }
        for (&id, said) in &self.contacts {
            put_contact(vid(id)?, said, &say)?;
        }
        for (&(id, email), &at) in &self.secondaries {
            say(Event::SecondaryObserved { vid: vid(id)?, email: Fingerprint(email), at })?;
        }
        for ((user, id), &Linked { first_at, last_at }) in &self.links {
            for at in [first_at, last_at] {
                say(Event::Linked { user: user.user(), vid: vid(*id)?, at })?;
            }
        }
        for (&token, change) in &self.changes {
            put_change(rows, token, change, &say)?;
        }
        for (user, dispute) in &self.disputes {
            put_dispute(user.user(), dispute, &say)?;
        }
        // What is told here happened some time, and is no news.
        rows.prepare_cached("DELETE FROM log")?.execute([])?;
        Ok(())
    }
}

fn put_contact(vid: Vid, said: &Said, say: &impl Fn(Event<'_>) -> Result<()>) -> Result<()> {
    if let Some(at) = said.email_at {
        say(Event::EmailObserved { vid, email: said.email.map(Fingerprint), at, read_at: said.read_at })?;
    }
    if let Some(at) = said.deleted_at {
        say(Event::Deleted { vid, at })?;
    }
    if let Some(at) = said.restored_at {
        say(Event::Restored { vid, at })?;
    }
    if let Some(at) = said.doubted_at {
        say(Event::Doubted { vid, to: said.doubted_to, at, read_at: said.asked_at })?;
    }
    Ok(())
}

fn put_change(rows: &Connection, token: i64, change: &Change, say: &impl Fn(Event<'_>) -> Result<()>) -> Result<()> {
    let Change { user, begun_at, ended_at, refused } = change;
    let id = ChangeToken::try_from(token).map_err(|_| Error::Corrupt("a change token is not positive".into()))?;
    let Some(user) = user else {
        // No event makes one: it was its user's until they were forgotten.
        rows.prepare_cached("INSERT INTO change (token, begun_at, ended_at) VALUES (?1, ?2, ?3)")?
            .execute(params![token, begun_at, ended_at])?;
        return Ok(());
    };
    let user = user.user();
    if begun_at.is_none() && ended_at.is_none() {
        return Err(Error::Corrupt("a change was neither begun nor ended".into()));
    }
    if let Some(at) = *begun_at {
        say(Event::ChangeBegun { user, token: id, at })?;
    }
    match (*ended_at, refused.and_then(Refusal::of)) {
        (Some(at), Some(why)) => say(Event::ChangeRefused { user, token: id, why, at }),
        (Some(at), None) => say(Event::ChangeFinished { user, token: id, at }),
        (None, _) => Ok(()),
    }
}

fn put_dispute(user: UserKey<'_>, dispute: &Dispute, say: &impl Fn(Event<'_>) -> Result<()>) -> Result<()> {
    let &Dispute { holder, why, since, last_at, ended_at } = dispute;
    if let Some(last_at) = last_at {
        let holder = holder.map(vid).transpose()?;
        let why = if why == Some(Clash::VidTaken as i64) { Clash::VidTaken } else { Clash::EmailHeld };
        say(Event::Conflicted { user, holder, why, since: since.unwrap_or(last_at), at: last_at })?;
    }
    match ended_at {
        Some(at) => say(Event::ConflictEnded { user, at }),
        None => Ok(()),
    }
}

fn vid(id: i64) -> Result<Vid> {
    Vid::new(id).ok_or_else(|| Error::Corrupt("a contact's id is not positive".into()))
}

fn key(row: &Row<'_>, column: usize) -> rusqlite::Result<Key> {
    user_key(row.get_ref(column)?)
        .map(Key::from)
        .ok_or_else(|| rusqlite::Error::InvalidColumnType(column, "user".into(), rusqlite::types::Type::Null))
}

fn said(row: &Row<'_>) -> rusqlite::Result<Said> {
    Ok(Said {
        email: row.get(1)?,
        email_at: row.get(2)?,
        read_at: row.get(3)?,
        deleted_at: row.get(4)?,
        restored_at: row.get(5)?,
        doubted_to: row.get(6)?,
        doubted_at: row.get(7)?,
        asked_at: row.get(8)?,
    })
}

fn all<K: Ord, V>(
    rows: &Connection,
    sql: &str,
    row: impl FnMut(&Row<'_>) -> rusqlite::Result<(K, V)>,
) -> Result<BTreeMap<K, V>> {
    let mut all = BTreeMap::new();
    for row in rows.prepare_cached(sql)?.query_map([], row)? {
        let (name, fact) = row?;
        all.insert(name, fact);
    }
    Ok(all)
}

/// The first column of each row.
fn each<K: Ord + FromSql>(rows: &Connection, sql: &str) -> Result<BTreeSet<K>> {
    let mut all = BTreeSet::new();
    for name in rows.prepare_cached(sql)?.query_map([], |row| row.get(0))? {
        all.insert(name?);
    }
    Ok(all)
}
