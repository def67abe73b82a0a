//! Who is which contact: links, the users that share a contact, and who gives which external id.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};

use super::base::{drop_unknown, fate, filled, keys, user_key};
use super::history::log;
use crate::error::Result;
use crate::event::{Millis, What};
use crate::identity::{Repr, Vid};

/// A contact that a user was linked to, and when first and last.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) vid: i64,
    pub(super) first_at: Millis,
    pub(super) last_at: Millis,
}

/// The latest link is the contact, the earliest is the external id; on one time the greater vid is
/// the later one, since HubSpot's ids grow.
pub(super) fn linked(tx: &Connection, user: &Value, vid: Vid, at: Millis) -> Result<bool> {
    let (erased, _) = fate(tx, vid.get())?;
    if erased {
        return Ok(false);
    }
    let mut links = links_of(tx, user)?;
    match links.iter_mut().find(|link| link.vid == vid.get()) {
        Some(link) if link.first_at <= at && at <= link.last_at => return Ok(false),
        Some(link) => (link.first_at, link.last_at) = (link.first_at.min(at), link.last_at.max(at)),
        None => links.push(Link { vid: vid.get(), first_at: at, last_at: at }),
    }
    settle(tx, user, &links, What::Linked, at)?;
    Ok(true)
}

/// Every link of the user.
pub(super) fn links_of(tx: &Connection, user: &Value) -> Result<Vec<Link>> {
    let link = |row: &rusqlite::Row<'_>| Ok(Link { vid: row.get(0)?, first_at: row.get(1)?, last_at: row.get(2)? });
    let mut links: Vec<Link> = tx
        .prepare_cached("SELECT vid, first_at, last_at FROM link WHERE user = ?1")?
        .query_map([user], link)?
        .collect::<rusqlite::Result<_>>()?;
    if links.is_empty() {
        // One contact, as it was linked, at one time: the user's row says it all.
        links.extend(
            tx.prepare_cached("SELECT vid, linked_at, linked_at FROM user WHERE key = ?1 AND vid IS NOT NULL")?
                .query_row([user], link)
                .optional()?,
        );
    }
    Ok(links)
}

/// The link whose contact is the external id.
pub(super) fn first_of(links: &[Link]) -> Option<&Link> {
    links.iter().min_by_key(|link| (link.first_at, link.vid))
}

/// Writes the user's rows from all their links.
pub(super) fn settle(tx: &Connection, user: &Value, links: &[Link], what: What, at: Millis) -> Result<()> {
    let old: Option<(Option<i64>, Option<i64>)> = tx
        .prepare_cached("SELECT vid, coalesce(abs(first_vid), vid) FROM user WHERE key = ?1")?
        .query_row([user], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (old_vid, old_first) = old.unwrap_or_default();
    let last = links.iter().max_by_key(|link| (link.last_at, link.vid));
    let first = first_of(links).map(|link| link.vid);
    let vid = match last {
        Some(last) => Some(fate(tx, last.vid)?.1.unwrap_or(last.vid)),
        None => None,
    };
    let plain = matches!(links, [only] if Some(only.vid) == vid && only.first_at == only.last_at);
    tx.prepare_cached("DELETE FROM link WHERE user = ?1")?.execute([user])?;
    if !plain {
        let mut put = tx.prepare_cached("INSERT INTO link (user, vid, first_at, last_at) VALUES (?1, ?2, ?3, ?4)")?;
        for link in links {
            put.execute(params![user, link.vid, link.first_at, link.last_at])?;
        }
    }
    tx.prepare_cached(
        "INSERT INTO user (key, vid, linked_at, first_vid) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (key) DO UPDATE SET
           vid = excluded.vid, linked_at = excluded.linked_at, first_vid = excluded.first_vid",
    )?
    .execute(params![user, vid, last.map(|link| link.last_at), first.filter(|_| first != vid)])?;
    if old_vid != vid {
        if let Some(old_vid) = old_vid {
            leave(tx, old_vid, user)?;
        }
        if let Some(vid) = vid {
            join(tx, vid, user)?;
        }
        // `changes` still counts the outstanding changes of everybody who shares the old contact. Only the user's own
        // are left in it here; `recount_all` below adds those of the users who share the new contact.
        tx.prepare_cached(
            "UPDATE user SET changes = (SELECT count(*) FROM change WHERE user = ?1 AND ended_at IS NULL)
             WHERE key = ?1",
        )?
        .execute([user])?;
    }
    recount_all(tx, user, vid, what, at)?;
    for vid in [first, old_first.filter(|_| old_first != first)].into_iter().flatten() {
        hand_out(tx, vid, at)?;
    }
    if vid.is_none() {
        drop_unknown(tx, user)?;
    }
    log(tx, user, what, vid, at)
}

/// The contact is the user's no more.
fn leave(tx: &Connection, vid: i64, user: &Value) -> Result<()> {
    if tx.prepare_cached("DELETE FROM sharer WHERE vid = ?1 AND user = ?2")?.execute(params![vid, user])? == 1 {
        return Ok(());
    }
    let was_first = tx
        .prepare_cached(
            "UPDATE contact SET user = (SELECT min(user) FROM sharer WHERE vid = ?1) WHERE vid = ?1 AND user = ?2",
        )?
        .execute(params![vid, user])?
        == 1;
    let heir: Option<Value> = match was_first {
        true => tx.prepare_cached("SELECT user FROM contact WHERE vid = ?1")?.query_row([vid], |row| row.get(0))?,
        false => None,
    };
    match heir {
        Some(heir) => {
            tx.prepare_cached("DELETE FROM sharer WHERE vid = ?1 AND user = ?2")?.execute(params![vid, heir])?;
            Ok(())
        }
        None => drop_empty(tx, vid),
    }
}

/// Takes a contact out of the file of which nothing is known.
pub(super) fn drop_empty(tx: &Connection, vid: i64) -> Result<()> {
    tx.prepare_cached("DELETE FROM contact WHERE vid = ?1 AND user IS NULL AND email_at IS NULL AND read_at IS NULL")?
        .execute([vid])?;
    Ok(())
}

/// The contact is the user's too.
fn join(tx: &Connection, vid: i64, user: &Value) -> Result<()> {
    let alone = tx
        .prepare_cached(
            "INSERT INTO contact (vid, user) VALUES (?1, ?2)
             ON CONFLICT (vid) DO UPDATE SET user = excluded.user WHERE user IS NULL",
        )?
        .execute(params![vid, user])?;
    if alone == 1 {
        return Ok(());
    }
    tx.prepare_cached(
        "INSERT INTO sharer (vid, user) SELECT vid, max(user, ?2) FROM contact WHERE vid = ?1 AND user <> ?2
         ON CONFLICT DO NOTHING",
    )?
    .execute(params![vid, user])?;
    tx.prepare_cached("UPDATE contact SET user = min(user, ?2) WHERE vid = ?1")?.execute(params![vid, user])?;
    Ok(())
}

/// Every user of the contact, the least first.
pub(super) fn users_of(tx: &Connection, vid: i64) -> Result<Vec<Value>> {
    keys(
        tx,
        "SELECT user FROM contact WHERE vid = ?1 AND user IS NOT NULL
         UNION ALL SELECT user FROM sharer WHERE vid = ?1",
        [vid],
    )
}

/// A change of one user of the contact is outstanding for all of them: it takes the email away from all. So is one of
/// a user who had the contact before, since their job may have asked which contact it is while they had it.
pub(super) fn recount(tx: &Connection, vid: i64, what: What, at: Millis) -> Result<()> {
    match &concerned(tx, vid)?[..] {
        // Mostly one user has it, and nobody else ever had: their own changes are all.
        [] | [(_, true)] => Ok(()),
        users => count_for_all(tx, vid, users, what, at),
    }
}

/// [`recount`] without its shortcut, for a contact of which somebody was just taken out of the file: with that user's
/// links gone the shortcut cannot see that the contact was shared.
pub(super) fn recount_fully(tx: &Connection, vid: i64, what: What, at: Millis) -> Result<()> {
    count_for_all(tx, vid, &concerned(tx, vid)?, what, at)
}

/// Who has the contact (true), the least first, and who has or had it by a link, each perhaps several times.
fn concerned(tx: &Connection, vid: i64) -> Result<Vec<(Value, bool)>> {
    Ok(tx
        .prepare_cached(
            "SELECT user, true FROM contact WHERE vid = ?1 AND user IS NOT NULL
             UNION ALL SELECT user, true FROM sharer WHERE vid = ?1
             UNION ALL SELECT user, false FROM link WHERE vid = ?1
             UNION ALL SELECT link.user, false FROM past JOIN link USING (vid) WHERE canonical = ?1",
        )?
        .query_map([vid], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?)
}

/// What users' keys are sorted by.
fn repr(user: &Value) -> Option<Repr<'_>> {
    user_key(user.into()).map(|user| *user.repr())
}

/// User by user, by their index: in one statement SQLite makes a tree of its own for each set, which was two fifths of
/// a link.
fn count_for_all(tx: &Connection, vid: i64, users: &[(Value, bool)], what: What, at: Millis) -> Result<()> {
    let each: BTreeMap<_, _> = filled(users.iter().map(|(user, _)| (repr(user), user)));
    let mut outstanding = 0;
    let mut count = tx.prepare_cached("SELECT count(*) FROM change WHERE user = ?1 AND ended_at IS NULL")?;
    for user in each.into_values() {
        outstanding += count.query_row([user], |row| row.get::<_, i64>(0))?;
    }
    let mut put = tx.prepare_cached("UPDATE user SET changes = ?2 WHERE key = ?1 AND changes <> ?2")?;
    for (user, _) in users.iter().filter(|(_, has)| *has) {
        if put.execute(params![user, outstanding])? == 1 {
            log(tx, user, what, Some(vid), at)?;
        }
    }
    Ok(())
}

/// [`recount`] of every contact that the user has, which is `vid`, or had.
pub(super) fn recount_all(tx: &Connection, user: &Value, vid: Option<i64>, what: What, at: Millis) -> Result<()> {
    let mut had = BTreeSet::new();
    let mut links =
        tx.prepare_cached("SELECT ifnull(canonical, vid) FROM link LEFT JOIN past USING (vid) WHERE user = ?1")?;
    for other in links.query_map([user], |row| row.get::<_, i64>(0))? {
        had.insert(other?);
    }
    had.retain(|other| Some(*other) != vid);
    vid.iter().chain(&had).try_for_each(|&vid| recount(tx, vid, what, at))
}

/// Settles who gives `vid` as their external id. HubSpot binds an id to one contact, so of several users whose first
/// contact it was, the earliest gives it, and with them those who share their contact now; others give none.
fn hand_out(tx: &Connection, vid: i64, at: Millis) -> Result<()> {
    // Mostly nobody else was ever linked to it.
    let (contested, barred): (bool, Option<Value>) = tx
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM link WHERE vid = ?1) OR EXISTS (SELECT 1 FROM sharer WHERE vid = ?1),
               (SELECT key FROM user WHERE key = (SELECT user FROM contact WHERE vid = ?1) AND first_vid = -?1)",
        )?
        .query_row([vid], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if !contested {
        let Some(user) = barred else { return Ok(()) };
        tx.prepare_cached("UPDATE user SET first_vid = NULL WHERE key = ?1")?.execute([&user])?;
        return log(tx, &user, What::ExternalId, Some(vid), at);
    }
    let candidates = keys(
        tx,
        "SELECT user FROM link WHERE vid = ?1
         UNION SELECT user FROM contact WHERE vid = ?1 AND user IS NOT NULL
         UNION SELECT user FROM sharer WHERE vid = ?1 ORDER BY 1",
        [vid],
    )?;
    let mut claims = Vec::with_capacity(candidates.len());
    for user in candidates {
        if let Some(first) = first_of(&links_of(tx, &user)?).filter(|first| first.vid == vid) {
            let now: Option<i64> =
                tx.prepare_cached("SELECT vid FROM user WHERE key = ?1")?.query_row([&user], |row| row.get(0))?;
            claims.push((user, first.first_at, now));
        }
    }
    // The first of equals: candidates come in the order of their keys.
    let Some(&(_, _, owner)) = claims.iter().min_by_key(|(_, first_at, _)| *first_at) else { return Ok(()) };
    for (user, _, now) in &claims {
        let changed = tx
            .prepare_cached(
                "UPDATE user SET first_vid = CASE WHEN ?3 THEN nullif(?2, vid) ELSE -?2 END
                 WHERE key = ?1 AND first_vid IS NOT CASE WHEN ?3 THEN nullif(?2, vid) ELSE -?2 END",
            )?
            .execute(params![user, vid, *now == owner])?;
        if changed == 1 {
            log(tx, user, What::ExternalId, Some(vid), at)?;
        }
    }
    Ok(())
}
