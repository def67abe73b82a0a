//! Facts to events: what the app and HubSpot said becomes events, in the light of what is known already.
//!
//! This is where it is decided who has a contact, what a 404 means, and which answer comes too late to count. Emails
//! are fingerprints by now, and the app's clock is handed in as `now`, so that all of this runs on any connection.

use rusqlite::Connection;

use super::apply::apply;
use super::base::user_key;
use super::contact::holders;
use super::link::links_of;
use super::lookup::{canonical, check_free, is_erased, is_outstanding, is_overtaken, last_observed, link_of};
use crate::email::Fingerprint;
use crate::error::{Error, Result};
use crate::event::{ChangeToken, Event, Millis};
use crate::identity::{UserKey, Vid};
use crate::refusal::Refusal;

/// What HubSpot said of one contact.
#[derive(Debug, Clone)]
pub(crate) struct Described {
    /// The id that lives.
    pub(crate) vid: Vid,
    /// Ids that were merged into it. When, and by which merge, is not known.
    pub(crate) merged: Vec<Vid>,
    /// Whether it is in the archive.
    pub(crate) deleted: bool,
    /// Which email it holds (or none that a page could name), and a time of HubSpot's clock at which it held that.
    pub(crate) email: Option<(Option<Fingerprint>, Millis)>,
    /// Its other emails.
    pub(crate) secondary: Vec<Fingerprint>,
    /// A time of HubSpot's clock at which all this was so.
    pub(crate) at: Option<Millis>,
}

/// What became of an answer about a user.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) link: Link,
    /// Whether the contact was erased for privacy, so that nothing of it may stay in the file.
    pub(crate) erased: bool,
}

/// Whether the user may have the contact that an answer names.
#[derive(Debug)]
pub(crate) enum Link {
    /// It is theirs; or HubSpot has said something newer of the contact that they have, and they keep that one.
    Settled,
    /// It is another user's ([`Error::VidTaken`]). What HubSpot said of it is kept all the same; nothing of the user
    /// is.
    Refused(Error),
}

/// Takes in what HubSpot answered about a user, and ends their change, if it is one's answer.
pub(crate) fn record(
    tx: &Connection,
    user: UserKey<'_>,
    contact: &Described,
    change: Option<ChangeToken>,
    now: Millis,
) -> Result<Recorded> {
    // What HubSpot says of a contact is believed, whoever has the contact.
    let erased = describe(tx, contact, now)?;
    let link = match concerning(tx, user, contact, change, now) {
        Err(refused @ Error::VidTaken { .. }) => Link::Refused(refused),
        done => done.map(|()| Link::Settled)?,
    };
    Ok(Recorded { link, erased })
}

fn concerning(
    tx: &Connection,
    user: UserKey<'_>,
    contact: &Described,
    change: Option<ChangeToken>,
    now: Millis,
) -> Result<()> {
    let outstanding = change.map_or(Ok(false), |token| is_outstanding(tx, user, token))?;
    let overtaken = match contact.email {
        Some((_, at)) if !outstanding => is_overtaken(tx, user, contact.vid, at)?,
        _ => false,
    };
    if !overtaken {
        link(tx, user, contact.vid, now)?;
    }
    match change {
        Some(token) => apply(tx, &Event::ChangeFinished { user, token, at: now }).map(drop),
        None => Ok(()),
    }
}

/// Takes in what HubSpot answered of contacts, and for which ids it has none. True: one of them was erased for privacy,
/// so that nothing of it may stay in the file.
pub(crate) fn observe(tx: &Connection, contacts: &[Described], missing: &[Vid], now: Millis) -> Result<bool> {
    missing.iter().try_for_each(|&vid| gone(tx, vid, None, now))?;
    contacts.iter().try_fold(false, |erased, contact| Ok(describe(tx, contact, now)? || erased))
}

fn describe(tx: &Connection, contact: &Described, now: Millis) -> Result<bool> {
    let &Described { vid: into, at, .. } = contact;
    for &old in &contact.merged {
        tell(tx, &Event::Merged { old, into, at: 0, born: false })?;
    }
    if contact.deleted {
        gone(tx, into, at, now)?;
    }
    if let Some((email, at)) = contact.email {
        apply(tx, &Event::EmailObserved { vid: into, email, at })?;
    }
    for &email in &contact.secondary {
        apply(tx, &Event::SecondaryObserved { vid: into, email, at: at.unwrap_or(0) })?;
    }
    is_erased(tx, into)
}

/// What became of an event that HubSpot told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    /// Whether it said something new.
    pub(crate) changed: bool,
    /// Whether it is about a contact that was erased for privacy, now or before, so that nothing of it may stay in the
    /// file.
    pub(crate) erased: bool,
}

/// Applies what HubSpot told of a contact. If it means that a contact was erased, every user who was linked to no other
/// is forgotten.
pub(crate) fn tell(tx: &Connection, event: &Event<'_>) -> Result<Told> {
    let mut users = Vec::new();
    match *event {
        Event::Erased { vid } => users = holders(tx, vid.get())?,
        // As if the merge had been told first: with the one the other goes.
        Event::Merged { old, into, .. } if is_erased(tx, old)? || is_erased(tx, into)? => {
            users = holders(tx, old.get())?;
            users.extend(holders(tx, into.get())?);
        }
        _ => {}
    }
    let mut changed = apply(tx, event)?;
    for user in &users {
        if links_of(tx, user)?.is_empty()
            && let Some(user) = user_key(user.into())
        {
            changed |= apply(tx, &Event::Forgotten { user })?;
        }
    }
    let erased = match *event {
        Event::Erased { .. } => true,
        // An email of an erased contact was just taken out of every other that held it.
        Event::Merged { into: vid, .. } | Event::EmailObserved { vid, .. } => is_erased(tx, vid)?,
        _ => false,
    };
    Ok(Told { changed, erased })
}

/// HubSpot found no contact when it was asked about the user. If it was asked for their contact, that is gone, and
/// their email would make a new one; if not, nothing is wrong. Nobody can tell which, and the answer has no time. So it
/// is taken as a second word on the email at the time of the last: of two emails at one time a page names neither
/// (docs/adr/0001), until HubSpot says something newer.
pub(crate) fn found_none(tx: &Connection, user: UserKey<'_>) -> Result<()> {
    if let Some((vid, _)) = link_of(tx, user)?
        && let Some(at) = last_observed(tx, vid)?
    {
        apply(tx, &Event::EmailObserved { vid, email: None, at })?;
    }
    Ok(())
}

/// HubSpot will not take the email that it was told of the user, however often it is told. That ends the change; without
/// one, the refusal is kept as a change that began and ended at once. One that comes after its change's end is old.
///
/// Which email HubSpot holds is not known any more: another call may have been carried out and its answer be lost or still
/// on its way, and then what it says, or what was confirmed before, is held no more, although the app may be back at it.
/// So nothing counts that HubSpot said up to `until`: now, and as much as its clock may be ahead. Without a change there is
/// no other call, and only what is refused of the email itself says anything of it.
pub(crate) fn refused(
    tx: &Connection,
    user: UserKey<'_>,
    change: Option<ChangeToken>,
    why: Refusal,
    now: Millis,
    until: Millis,
) -> Result<()> {
    let token = match change {
        Some(token) if is_outstanding(tx, user, token)? => token,
        Some(_) => return Ok(()),
        None => ChangeToken::random()?,
    };
    if let Some((vid, _)) = link_of(tx, user)?
        && (change.is_some() || why != Refusal::RequiredProperty)
    {
        let at = until.max(last_observed(tx, vid)?.unwrap_or(0));
        apply(tx, &Event::EmailObserved { vid, email: None, at })?;
    }
    apply(tx, &Event::ChangeRefused { user, token, why, at: now })?;
    Ok(())
}

/// HubSpot said that the contact is gone; where it gave no time, at one that is newer than all that is known of it:
/// HubSpot's clock may be ahead of ours.
fn gone(tx: &Connection, vid: Vid, at: Option<Millis>, now: Millis) -> Result<()> {
    let at = match at {
        Some(at) => at,
        None => now.max(last_observed(tx, vid)?.unwrap_or(0)),
    };
    apply(tx, &Event::Deleted { vid, at })?;
    Ok(())
}

/// Links the user to a contact that no other user has.
pub(crate) fn link(tx: &Connection, user: UserKey<'_>, vid: Vid, now: Millis) -> Result<()> {
    check_free(tx, user, vid)?;
    link_shared(tx, user, vid, now)
}

/// Links the user, unless they are linked to that contact already. A later link wins even when the clock has gone back
/// since the last one.
pub(crate) fn link_shared(tx: &Connection, user: UserKey<'_>, vid: Vid, now: Millis) -> Result<()> {
    let at = match link_of(tx, user)? {
        Some((current, _)) if current == canonical(tx, vid)? => return Ok(()),
        Some((_, linked_at)) => now.max(linked_at + 1),
        None => now,
    };
    apply(tx, &Event::Linked { user, vid, at })?;
    Ok(())
}

/// Ends a change that did not happen. Refuses a token that is not known, or not this user's.
pub(crate) fn abandon(tx: &Connection, user: UserKey<'_>, token: ChangeToken, now: Millis) -> Result<()> {
    is_outstanding(tx, user, token)?;
    apply(tx, &Event::ChangeAbandoned { user, token, at: now })?;
    Ok(())
}
