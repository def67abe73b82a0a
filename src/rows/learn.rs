//! Facts to events: what the app and HubSpot said becomes events, in the light of what is known already.
//!
//! This is where it is decided who has a contact, what a 404 means, and which answer comes too late to count. Emails
//! are fingerprints by now, and the app's clock is handed in as `now`, so that all of this runs on any connection.

use rusqlite::Connection;
use rusqlite::types::Value;

use super::apply::apply;
use super::base::{key, user_key};
use super::conflict::{self, last_end};
use super::link::users_of;
use super::lookup::{
    canonical, check_free, contradicts, is_erased, is_outstanding, is_overtaken, last_observed, link_of,
};
use crate::email::Fingerprint;
use crate::error::{Error, Result};
use crate::event::{ChangeToken, Clash, Event, Millis};
use crate::identity::{UserKey, Vid};
use crate::refusal::Refusal;

/// How far apart the clocks of the app's hosts may be, and by how much one may go back while a read is on its way, in
/// milliseconds. A read counts in spite of a doubt if it was begun later than the doubt was heard by this.
pub(crate) const APART: Millis = 5_000;

/// For how long a call to HubSpot may be on its way, in milliseconds.
const ON_ITS_WAY: Millis = 60_000;

/// The time by the app's clock, and when the read was begun that is taken in, if that is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    now: Millis,
    read_at: Option<Millis>,
}

impl Clock {
    /// A read that was begun in the future was begun by a clock that is wrong, or was wrong: then nobody knows.
    pub(crate) fn new(now: Millis, read_at: Option<Millis>) -> Self {
        Self { now, read_at: read_at.filter(|at| *at > 0 && *at <= now.saturating_add(APART)) }
    }

    /// From when on a read counts in spite of what is heard now.
    fn doubt(self) -> Millis {
        self.now.saturating_add(APART)
    }
}

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
    /// The contact's other emails.
    pub(crate) secondary: Vec<Fingerprint>,
    /// A time of HubSpot's clock at which all this was so.
    pub(crate) at: Option<Millis>,
}

/// What became of an answer about a user.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) link: Link,
    pub(crate) erased: Erased,
}

/// What was heard of contacts that were erased for privacy, now or before.
#[derive(Debug, Default)]
pub(crate) struct Erased {
    /// Whether there was any, so that nothing of it may stay in the file.
    pub(crate) any: bool,
    /// Whose they were, of those that were not erased before: they are forgotten.
    users: Vec<Value>,
}

impl Erased {
    fn join(&mut self, other: Self) {
        self.any |= other.any;
        self.users.extend(other.users);
    }

    /// Notes whose contacts they were, by marks that name nobody.
    pub(crate) fn note(&self, tx: &Connection, mark: impl Fn(UserKey<'_>) -> Fingerprint) -> Result<()> {
        for user in self.users.iter().filter_map(|user| user_key(user.into())) {
            apply(tx, &Event::UserErased { mark: mark(user) })?;
        }
        Ok(())
    }
}

/// Whether the user may have the contact that an answer names.
#[derive(Debug)]
pub(crate) enum Link {
    /// The contact is the user's; or HubSpot has said something newer of the contact that the user has, and the user
    /// keeps that one.
    Settled,
    /// The contact is another user's ([`Error::VidTaken`]). What HubSpot said of it is kept all the same; nothing of
    /// the user is.
    Refused(Error),
}

/// Takes in what HubSpot answered about a user, and ends their change, if it is one's answer.
pub(crate) fn record(
    tx: &Connection,
    user: UserKey<'_>,
    contact: &Described,
    change: Option<ChangeToken>,
    clock: Clock,
) -> Result<Recorded> {
    // What HubSpot says of a contact is believed, whoever has the contact.
    let erased = describe(tx, contact, clock)?;
    let link = match concerning(tx, user, contact, change, clock.now) {
        Err(refused @ Error::VidTaken { .. }) => {
            conflicted(tx, user, Some(contact.vid), Clash::VidTaken, clock.now)?;
            Link::Refused(refused)
        }
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

/// Takes in what HubSpot answered of contacts, and for which ids it has none.
pub(crate) fn observe(tx: &Connection, contacts: &[Described], missing: &[Vid], clock: Clock) -> Result<Erased> {
    missing.iter().try_for_each(|&vid| gone(tx, vid, None, clock))?;
    let mut erased = Erased::default();
    for contact in contacts {
        erased.join(describe(tx, contact, clock)?);
    }
    Ok(erased)
}

fn describe(tx: &Connection, contact: &Described, clock: Clock) -> Result<Erased> {
    let &Described { vid: into, at, .. } = contact;
    let (mut news, mut erased) = (false, Erased::default());
    for &old in &contact.merged {
        let event = Event::Merged { old, into, at: 0, born: false, heard: clock.now };
        let told = forget_alone(tx, &event)?;
        news |= told.changed;
        erased.join(told.erased);
    }
    if news {
        // What the read itself says of the contact is from after the merge.
        doubt(tx, into, None, clock.read_at.unwrap_or(clock.doubt()), clock.read_at)?;
    }
    if contact.deleted {
        gone(tx, into, at, clock)?;
    }
    if let Some((email, at)) = contact.email {
        let read_at = clock.read_at.filter(|_| !contact.deleted);
        observe_email(tx, into, email, at, Clock { read_at, ..clock })?;
    }
    for &email in &contact.secondary {
        apply(tx, &Event::SecondaryObserved { vid: into, email, at: at.unwrap_or(0) })?;
    }
    erased.any |= is_erased(tx, into)?;
    Ok(erased)
}

/// What became of an event that HubSpot told.
#[derive(Debug)]
pub(crate) struct Told {
    /// Whether it said something new.
    pub(crate) changed: bool,
    pub(crate) erased: Erased,
}

/// Which email HubSpot said the contact held. Two at one time put both in doubt.
fn observe_email(tx: &Connection, vid: Vid, email: Option<Fingerprint>, at: Millis, clock: Clock) -> Result<bool> {
    let Clock { read_at, .. } = clock;
    let clash = contradicts(tx, vid, email, at)?;
    let changed = apply(tx, &Event::EmailObserved { vid, email, at, read_at })?;
    if clash {
        doubt(tx, vid, Some(at), clock.doubt(), None)?;
    }
    Ok(changed)
}

/// What HubSpot said of the contact up to `to` is not believed any more, until it says something newer or is read
/// again.
fn doubt(tx: &Connection, vid: Vid, to: Option<Millis>, at: Millis, read_at: Option<Millis>) -> Result<()> {
    apply(tx, &Event::Doubted { vid, to, at, read_at }).map(drop)
}

/// Doubts what was said, up to `until` by HubSpot's clock, of some contacts after one, and says which was the last.
/// `None`: there are none.
pub(crate) fn doubt_some(tx: &Connection, after: i64, some: u32, clock: Clock, until: Millis) -> Result<Option<i64>> {
    let contacts: Vec<(i64, Option<Millis>)> = tx
        .prepare_cached("SELECT vid, email_at FROM contact WHERE vid > ?1 ORDER BY vid LIMIT ?2")?
        .query_map([after, some.into()], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for &(vid, email_at) in &contacts {
        let vid = Vid::new(vid).ok_or_else(|| Error::Corrupt("a contact's id is not positive".into()))?;
        doubt(tx, vid, Some(until.max(email_at.unwrap_or(0))), clock.doubt(), None)?;
    }
    Ok(contacts.last().map(|(vid, _)| *vid))
}

/// Takes in what HubSpot told of a contact, of its own accord. If it means that a contact was erased, every user
/// whose contact it was is forgotten, with the contacts that they had before (a link that was put right must not come
/// back); if it makes what is known of the contact's email doubtful, only a read that is begun
/// from now on can say that it is as before.
pub(crate) fn tell(tx: &Connection, event: &Event<'_>, now: Millis) -> Result<Told> {
    let clock = Clock::new(now, None);
    if let Event::EmailObserved { vid, email, at, .. } = *event {
        let changed = observe_email(tx, vid, email, at, clock)?;
        return Ok(Told { changed, erased: Erased { any: is_erased(tx, vid)?, users: Vec::new() } });
    }
    let told = forget_alone(tx, event)?;
    match *event {
        Event::Merged { into: vid, .. } | Event::Deleted { vid, .. } | Event::Restored { vid, .. } if told.changed => {
            doubt(tx, vid, None, clock.doubt(), None)?;
        }
        _ => {}
    }
    Ok(told)
}

/// Applies an event, and forgets whose contact it says was erased.
fn forget_alone(tx: &Connection, event: &Event<'_>) -> Result<Told> {
    let mut users = Vec::new();
    match *event {
        Event::Erased { vid } => users = users_of(tx, canonical(tx, vid)?.get())?,
        // As if the merge had been told first: with the one the other goes.
        Event::Merged { old, into, .. } if is_erased(tx, old)? || is_erased(tx, into)? => {
            users = users_of(tx, canonical(tx, old)?.get())?;
            users.extend(users_of(tx, canonical(tx, into)?.get())?);
        }
        _ => {}
    }
    let mut changed = apply(tx, event)?;
    for user in &users {
        if let Some(user) = user_key(user.into()) {
            changed |= apply(tx, &Event::Forgotten { user })?;
        }
    }
    let any = match *event {
        Event::Erased { .. } => true,
        // An email of an erased contact was just taken out of every other that held it.
        Event::Merged { into: vid, .. } => is_erased(tx, vid)?,
        _ => false,
    };
    Ok(Told { changed, erased: Erased { any, users } })
}

/// HubSpot found no contact when it was asked about the user. If it was asked for their contact, that is gone, and
/// their email would make a new one; if not, nothing is wrong. Nobody can tell which, and the answer has no time. So it
/// is a doubt: no page names an email until HubSpot says something newer, or is read again.
pub(crate) fn found_none(tx: &Connection, user: UserKey<'_>, clock: Clock) -> Result<()> {
    match link_of(tx, user)? {
        Some((vid, _)) => doubt(tx, vid, last_observed(tx, vid)?, clock.doubt(), None),
        None => Ok(()),
    }
}

/// HubSpot said that another contact holds the user's email, or named one that is another user's. What is heard after
/// the conflict was said to be over opens it again, in the same millisecond too, and when the clock has gone back
/// since.
pub(crate) fn conflicted(
    tx: &Connection,
    user: UserKey<'_>,
    holder: Option<Vid>,
    why: Clash,
    now: Millis,
) -> Result<()> {
    let at = last_end(tx, &key(user))?.map_or(now, |end| now.max(end.saturating_add(1)));
    let since = conflict::since(tx, &key(user), holder, why, at)?;
    apply(tx, &Event::Conflicted { user, holder, why, since, at }).map(drop)
}

/// HubSpot will not take the email that it was told of the user, however often it is told. That ends the change;
/// without one, the refusal is kept as a change that began and ended at once. One that comes after its change's end is
/// old.
///
/// Which email HubSpot holds is not known after a refusal. Another call for the same change may have been carried out,
/// and its answer be lost or still on its way; then HubSpot no longer holds what was confirmed before, although the app
/// may have gone back to that email. So nothing counts that HubSpot said up to `until`, which is now and as much as
/// HubSpot's clock may be ahead, and no read that was begun before such a call must have ended. Without a change there
/// is no other call, and only a refusal of the email itself says anything of the email.
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
        doubt(tx, vid, Some(at), now.saturating_add(ON_ITS_WAY), None)?;
    }
    apply(tx, &Event::ChangeRefused { user, token, why, at: now })?;
    Ok(())
}

/// HubSpot said that the contact is gone; where it gave no time, at one that is newer than all that is known of it:
/// HubSpot's clock may be ahead of ours.
fn gone(tx: &Connection, vid: Vid, at: Option<Millis>, clock: Clock) -> Result<()> {
    let at = match at {
        Some(at) => at,
        None => clock.now.max(last_observed(tx, vid)?.unwrap_or(0)),
    };
    if apply(tx, &Event::Deleted { vid, at })? {
        // As of a moment later: another read, begun in the same one, may have found it before it went.
        let asked = clock.read_at.map(|read_at| read_at + 1);
        doubt(tx, vid, None, asked.unwrap_or(clock.doubt()), asked)?;
    }
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
