//! Who is which contact: links, the users that share a contact, and who gives which external id.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};

use super::base::{drop_unknown, fate, keys};
use super::history::log;
use crate::error::Result;
use crate::event::{Millis, What};
use crate::identity::Vid;

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
    let heir: Option<Option<Value>> = tx
        .prepare_cached(
            "UPDATE contact SET user = (SELECT min(user) FROM sharer WHERE vid = ?1)
             WHERE vid = ?1 AND user = ?2 RETURNING user",
        )?
        .query_row(params![vid, user], |row| row.get(0))
        .optional()?;
    match heir.flatten() {
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
    // Mostly one user has it, and nobody else ever had: their own changes are all.
    let contested = tx
        .prepare_cached(
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM sharer WHERE vid = ?1) OR EXISTS (SELECT 1 FROM link WHERE vid = ?1)
               OR EXISTS (SELECT 1 FROM past JOIN link USING (vid) WHERE canonical = ?1)",
        )?
        .exists([vid])?;
    if contested { recount_fully(tx, vid, what, at) } else { Ok(()) }
}

/// [`recount`] without its shortcut, for a contact of which somebody was just taken out of the file: with that user's
/// links gone the shortcut cannot see that the contact was shared.
pub(super) fn recount_fully(tx: &Connection, vid: i64, what: What, at: Millis) -> Result<()> {
    let users = keys(
        tx,
        "WITH us (user) AS (SELECT user FROM contact WHERE vid = ?1 UNION SELECT user FROM sharer WHERE vid = ?1),
           all_of_us (user) AS (SELECT user FROM us UNION SELECT user FROM link WHERE vid = ?1
             UNION SELECT user FROM past JOIN link USING (vid) WHERE canonical = ?1),
           outstanding (n) AS (SELECT count(*) FROM change WHERE ended_at IS NULL AND user IN all_of_us)
         UPDATE user SET changes = (SELECT n FROM outstanding)
         WHERE key IN us AND changes <> (SELECT n FROM outstanding) RETURNING key",
        [vid],
    )?;
    users.iter().try_for_each(|user| log(tx, user, what, Some(vid), at))
}

/// [`recount`] of every contact that the user has, which is `vid`, or had.
pub(super) fn recount_all(tx: &Connection, user: &Value, vid: Option<i64>, what: What, at: Millis) -> Result<()> {
    if let Some(vid) = vid {
        recount(tx, vid, what, at)?;
    }
    let had = keys(
        tx,
        "SELECT DISTINCT ifnull(canonical, vid) FROM link LEFT JOIN past USING (vid) WHERE user = ?1",
        [user],
    )?;
    for other in had {
        if let Value::Integer(other) = other
            && Some(other) != vid
        {
            recount(tx, other, what, at)?;
        }
    }
    Ok(())
}

/// Settles who gives `vid` as their external id. HubSpot binds an id to one contact, so of several users whose first
/// contact it was, the earliest gives it, and with them those who share their contact now; others give none.
fn hand_out(tx: &Connection, vid: i64, at: Millis) -> Result<()> {
    // Mostly nobody else was ever linked to it.
    let contested = tx
        .prepare_cached(
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM link WHERE vid = ?1) OR EXISTS (SELECT 1 FROM sharer WHERE vid = ?1)",
        )?
        .exists([vid])?;
    if !contested {
        let free = tx
            .prepare_cached(
                "UPDATE user SET first_vid = NULL
                 WHERE key = (SELECT user FROM contact WHERE vid = ?1) AND first_vid = -?1 RETURNING key",
            )?
            .query_row([vid], |row| row.get(0))
            .optional()?;
        return free.map_or(Ok(()), |user| log(tx, &user, What::ExternalId, Some(vid), at));
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
