//! What HubSpot says of contacts: emails, merges, deletions, erasures.
//!
//! Most contacts only ever have an email, and `contact` holds it as it was observed. Once one is merged, deleted or
//! restored, `past` keeps what was said of each id, `merge` what became of it, and `contact` what follows from them:
//! a pure function of those rows, so the order of events cannot matter. docs/adr/0007 says why it is this function.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::base::{fate, keys};
use super::history::{log_everybody, log_users};
use super::link::{Link, drop_empty, links_of, recount, settle, users_of};
use crate::email::Fingerprint;
use crate::error::Result;
use crate::event::{Millis, What};
use crate::identity::Vid;

/// `newer` and `tied` of two observations: the later by HubSpot's clock, of one time the read that was begun later.
macro_rules! later {
    ($rest:literal) => {
        concat!(
            "email = CASE WHEN ifnull(?3 > email_at OR (?3 = email_at AND ifnull(?4, 0) > ifnull(read_at, 0)), true)
                      THEN ?2 END, email_at = ?3, read_at = ?4
             WHERE ",
            $rest,
            " (email_at IS NULL OR ?3 > email_at
               OR (?3 = email_at AND (ifnull(?4, 0) > ifnull(read_at, 0)
                 OR (ifnull(?4, 0) = ifnull(read_at, 0) AND email IS NOT NULL AND email IS NOT ?2))))"
        )
    };
}

pub(super) fn observed(
    tx: &Connection,
    vid: Vid,
    email: Option<Fingerprint>,
    at: Millis,
    read_at: Option<Millis>,
) -> Result<bool> {
    // In one question, since most of what HubSpot says is this. Hashing costs more than asking if anybody was ever
    // erased.
    let (erased, canonical, graves, known): (bool, Option<i64>, bool, Option<[u8; 16]>) = tx
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM erased WHERE vid = ?1), (SELECT canonical FROM past WHERE vid = ?1),
               EXISTS (SELECT 1 FROM buried), (SELECT email FROM contact WHERE vid = ?1)",
        )?
        .query_row([vid.get()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    if erased {
        return email.map_or(Ok(false), |email| bury(tx, &email.0));
    }
    let email = match email {
        Some(email) if !(graves && is_buried(tx, &email.0)?) => Some(email.0),
        _ => None,
    };
    // One time, two emails: neither is known to be the later, so neither is named.
    if let Some(canonical) = canonical {
        let changed = tx.prepare_cached(concat!("UPDATE past SET ", later!("vid = ?1 AND")))?.execute(params![
            vid.get(),
            email,
            at,
            read_at
        ])?;
        if changed > 0 {
            derive(tx, canonical, What::EmailObserved, at)?;
        }
        return Ok(changed > 0);
    }
    let changed = tx
        .prepare_cached(concat!(
            "INSERT INTO contact (vid, email, email_at, read_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (vid) DO UPDATE SET ",
            later!("")
        ))?
        .execute(params![vid.get(), email, at, read_at])?
        == 1;
    // A read that says what is known already changes no page.
    if changed && (known.is_none() || known != email) {
        log_users(tx, vid.get(), What::EmailObserved, at)?;
    }
    Ok(changed)
}

/// Other emails a contact has. Whether `identify` finds it by one of them is documented nowhere, so no page names one.
pub(super) fn secondary(tx: &Connection, vid: Vid, email: Fingerprint, at: Millis) -> Result<bool> {
    if fate(tx, vid.get())?.0 {
        return bury(tx, &email.0);
    }
    if is_buried(tx, &email.0)? {
        return Ok(false);
    }
    let changed = tx
        .prepare_cached(
            "INSERT INTO secondary (vid, email, at) VALUES (?1, ?2, ?3)
             ON CONFLICT (vid, email) DO UPDATE SET at = excluded.at WHERE excluded.at > at",
        )?
        .execute(params![vid.get(), email.0, at])?;
    Ok(changed > 0)
}

pub(super) fn deleted(tx: &Connection, vid: Vid, at: Millis) -> Result<bool> {
    told(tx, vid, at, What::Deleted, "UPDATE past SET deleted_at = ?2 WHERE vid = ?1 AND ifnull(deleted_at < ?2, true)")
}

pub(super) fn restored(tx: &Connection, vid: Vid, at: Millis) -> Result<bool> {
    told(
        tx,
        vid,
        at,
        What::Restored,
        "UPDATE past SET restored_at = ?2 WHERE vid = ?1 AND ifnull(restored_at < ?2, true)",
    )
}

/// What was said of the contact up to `to` does not count any more, nor does a read that was begun before `at`.
pub(super) fn doubted(
    tx: &Connection,
    vid: Vid,
    to: Option<Millis>,
    at: Millis,
    read_at: Option<Millis>,
) -> Result<bool> {
    let (erased, canonical) = fate(tx, vid.get())?;
    if erased {
        return Ok(false);
    }
    begin_past(tx, vid.get())?;
    // The greatest of each; the least number stands for none.
    let changed = tx
        .prepare_cached(
            "UPDATE past SET doubted_to = nullif(max(ifnull(doubted_to, -1), ifnull(?2, -1)), -1),
               doubted_at = max(ifnull(doubted_at, ?3), ?3),
               asked_at = nullif(max(ifnull(asked_at, -1), ifnull(?4, -1)), -1)
             WHERE vid = ?1 AND (ifnull(doubted_to, -1) < ifnull(?2, -1) OR ifnull(doubted_at < ?3, true)
               OR ifnull(asked_at, -1) < ifnull(?4, -1))",
        )?
        .execute(params![vid.get(), to, at, read_at])?;
    if changed > 0 {
        derive(tx, canonical.unwrap_or(vid.get()), What::Doubted, at)?;
    }
    Ok(changed > 0)
}

fn told(tx: &Connection, vid: Vid, at: Millis, what: What, sql: &str) -> Result<bool> {
    let (erased, canonical) = fate(tx, vid.get())?;
    if erased {
        return Ok(false);
    }
    begin_past(tx, vid.get())?;
    let changed = tx.prepare_cached(sql)?.execute(params![vid.get(), at])?;
    if changed == 0 {
        return Ok(false);
    }
    let canonical = canonical.unwrap_or(vid.get());
    derive(tx, canonical, what, at)?;
    // Whether or not a page says something else now, `explain` has something to tell.
    if canonical == vid.get() {
        log_users(tx, canonical, what, at)?;
    }
    Ok(true)
}

/// From now on what is said of this id is kept apart from what follows from it.
fn begin_past(tx: &Connection, vid: i64) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO past (vid, canonical, email, email_at, read_at)
         SELECT ?1, ?1, email, email_at, read_at FROM (SELECT 1) LEFT JOIN contact ON vid = ?1 WHERE true
         ON CONFLICT DO NOTHING",
    )?
    .execute([vid])?;
    Ok(())
}

/// Ids that were ever merged, in whatever direction, are one contact. Which of them lives: the one that was not merged
/// on; of several, or of none where reports contradict one another, the one that the latest merge named.
pub(super) fn merged(tx: &Connection, old: Vid, into: Vid, at: Millis, born: bool, heard: Millis) -> Result<bool> {
    let (old, into) = (old.get(), into.get());
    if old == into {
        return Ok(false);
    }
    let (old_erased, old_lives) = fate(tx, old)?;
    let (into_erased, into_lives) = fate(tx, into)?;
    if old_erased || into_erased {
        return Ok(erased(tx, old)? | erased(tx, into)?);
    }
    begin_past(tx, old)?;
    begin_past(tx, into)?;
    let news = tx
        .prepare_cached(
            "INSERT INTO merge (old, into_vid, at, born, heard_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (old, into_vid) DO UPDATE SET at = max(at, excluded.at), born = max(born, excluded.born),
               heard_at = min(heard_at, excluded.heard_at)
             WHERE excluded.at > at OR excluded.born > born OR excluded.heard_at < heard_at",
        )?
        .execute(params![old, into, at, born, heard])?;
    if news == 0 {
        return Ok(false);
    }
    let lived = [old_lives.unwrap_or(old), into_lives.unwrap_or(into)];
    let lives: i64 = tx
        .prepare_cached(
            "SELECT into_vid FROM merge WHERE old IN (SELECT vid FROM past WHERE canonical IN (?1, ?2))
             GROUP BY into_vid
             ORDER BY EXISTS (SELECT 1 FROM merge later WHERE later.old = merge.into_vid), max(at) DESC, into_vid DESC
             LIMIT 1",
        )?
        .query_row(lived, |row| row.get(0))?;
    // Read before the ids change: a user's row alone says which of them was linked.
    let mut users: Vec<(Value, Vec<Link>)> = Vec::new();
    for vid in lived.into_iter().filter(|vid| *vid != lives) {
        for user in users_of(tx, vid)? {
            let links = links_of(tx, &user)?;
            users.push((user, links));
        }
    }
    tx.prepare_cached("UPDATE past SET canonical = ?3 WHERE canonical IN (?1, ?2) AND canonical <> ?3")?
        .execute(params![lived[0], lived[1], lives])?;
    for (user, links) in &users {
        settle(tx, user, links, What::Merged, at)?;
    }
    tx.prepare_cached("DELETE FROM contact WHERE vid IN (?1, ?2) AND vid <> ?3")?
        .execute(params![lived[0], lived[1], lives])?;
    recount(tx, lives, What::Merged, at)?;
    derive(tx, lives, What::Merged, at)?;
    Ok(true)
}

/// What one id of a contact was said to hold.
struct Said {
    vid: i64,
    email: Option<[u8; 16]>,
    email_at: Option<Millis>,
    read_at: Option<Millis>,
    deleted_at: Option<Millis>,
    doubted_to: Option<Millis>,
    doubted_at: Option<Millis>,
    asked_at: Option<Millis>,
}

/// When HubSpot said something by its own clock, and when the read was begun that it said it to.
type When = (Millis, Option<Millis>);

/// Writes down which email the contact holds, from all that was said of its ids.
///
/// A merge confirms nothing: what was said of the id that lives counts from the merge on (always, where the merge made
/// it), what was said of the others counts once it is newer than every merge. Where a merge has no time, what was said
/// of the others last may be from before it or after: then nobody knows, unless it is the same. A deletion ends what
/// was said before it, and a restoration confirms nothing either. Deletions of the other ids come with the merge and
/// say nothing. A doubt ends what was said before it, too.
///
/// Whatever is ended so by HubSpot's clock counts again where a read says it that was begun after the last doubt by the
/// app's clock: HubSpot need not have touched the contact since. docs/adr/0017.
fn derive(tx: &Connection, vid: i64, what: What, at: Millis) -> Result<()> {
    let (of_all, of_living, untimed): (Option<Millis>, Option<Millis>, bool) = tx
        .prepare_cached(
            "SELECT max(at), max(CASE WHEN NOT born THEN at END), ifnull(min(at) = 0, false) FROM merge
             WHERE old IN (SELECT vid FROM past WHERE canonical = ?1)",
        )?
        .query_row([vid], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let said: Vec<Said> = tx
        .prepare_cached(
            "SELECT vid, email, email_at, read_at, deleted_at, doubted_to, doubted_at, asked_at FROM past
             WHERE canonical = ?1",
        )?
        .query_map([vid], |row| {
            Ok(Said {
                vid: row.get(0)?,
                email: row.get(1)?,
                email_at: row.get(2)?,
                read_at: row.get(3)?,
                deleted_at: row.get(4)?,
                doubted_to: row.get(5)?,
                doubted_at: row.get(6)?,
                asked_at: row.get(7)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let living = said.iter().find(|said| said.vid == vid);
    let ended = living.and_then(|said| said.deleted_at).max(said.iter().filter_map(|said| said.doubted_to).max());
    let doubted_at = said.iter().filter_map(|said| said.doubted_at).max();
    let read_since = |said: &Said| doubted_at.is_some() && said.read_at >= doubted_at;
    let any_read = said.iter().any(read_since);
    let mut held: Option<(When, Option<[u8; 16]>)> = None;
    for said in &said {
        let Some(at) = said.email_at else { continue };
        let since = if said.vid == vid { of_living } else { of_all };
        if !read_since(said) && since.max(ended).is_some_and(|since| at <= since) {
            continue;
        }
        let doubtful = untimed && !read_since(said) && living.is_none_or(|living| living.email != said.email);
        if doubtful && any_read {
            continue;
        }
        let (at, email) = ((at, said.read_at), said.email.filter(|_| !doubtful));
        held = match held {
            Some((newest, _)) if newest > at => held,
            Some((newest, other)) if newest == at && other != email => Some((at, None)),
            _ => Some((at, email)),
        };
    }
    // When the contact was last read, unless something has made that worthless since.
    let read_at = said.iter().filter_map(|said| said.read_at.max(said.asked_at)).max();
    let read_at = read_at.filter(|read_at| doubted_at.is_none_or(|doubted_at| *read_at >= doubted_at));
    put(tx, vid, Row { email: held.and_then(|held| held.1), email_at: held.map(|held| held.0.0), read_at }, what, at)
}

/// What a contact's row says but for whose it is.
#[derive(Default, PartialEq)]
struct Row {
    email: Option<[u8; 16]>,
    email_at: Option<Millis>,
    read_at: Option<Millis>,
}

/// Writes the row of a contact. Whoever has it is named in the log if a page may say something else now.
fn put(tx: &Connection, vid: i64, row: Row, what: What, at: Millis) -> Result<()> {
    let known = tx
        .prepare_cached("SELECT email, email_at, read_at FROM contact WHERE vid = ?1")?
        .query_row([vid], |row| Ok(Row { email: row.get(0)?, email_at: row.get(1)?, read_at: row.get(2)? }))
        .optional()?
        .unwrap_or_default();
    if known != row {
        tx.prepare_cached(
            "INSERT INTO contact (vid, email, email_at, read_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (vid) DO UPDATE SET email = ?2, email_at = ?3, read_at = ?4",
        )?
        .execute(params![vid, row.email, row.email_at, row.read_at])?;
    }
    drop_empty(tx, vid)?;
    let as_before = known.email == row.email && known.email_at == row.email_at;
    if as_before { Ok(()) } else { log_users(tx, vid, what, at) }
}

/// Takes out what was said of a contact that nobody has any more, since its user was forgotten. When it was said stays,
/// less a millisecond: an older answer that comes late must not be believed, and the same answer, read again for
/// whoever signs up anew, has to be. HubSpot's time need not move meanwhile.
pub(super) fn forget_emails(tx: &Connection, vid: i64) -> Result<()> {
    tx.prepare_cached("DELETE FROM secondary WHERE vid = ?1 OR vid IN (SELECT vid FROM past WHERE canonical = ?1)")?
        .execute([vid])?;
    let past = tx
        .prepare_cached("UPDATE past SET email_at = email_at - (email IS NOT NULL), email = NULL WHERE canonical = ?1")?
        .execute([vid])?;
    if past > 0 {
        return derive(tx, vid, What::EmailObserved, 0);
    }
    tx.prepare_cached("UPDATE contact SET email_at = email_at - 1, email = NULL WHERE vid = ?1 AND email IS NOT NULL")?
        .execute([vid])?;
    Ok(())
}

/// Takes a contact out for ever: all of its ids, what they held, and every link to them.
pub(super) fn erased(tx: &Connection, vid: i64) -> Result<bool> {
    let (erased, canonical) = fate(tx, vid)?;
    if erased {
        return Ok(false);
    }
    let ids = ids_of(tx, vid, canonical)?;
    let users = holders(tx, vid)?;
    for id in &ids {
        tx.prepare_cached("INSERT INTO erased (vid) VALUES (?1)")?.execute([id])?;
    }
    for user in &users {
        let mut links = links_of(tx, user)?;
        links.retain(|link| !ids.contains(&link.vid));
        settle(tx, user, &links, What::Deleted, 0)?;
    }
    for id in &ids {
        for email in keys(
            tx,
            "SELECT email FROM contact WHERE vid = ?1 AND email IS NOT NULL
             UNION SELECT email FROM past WHERE vid = ?1 AND email IS NOT NULL
             UNION SELECT email FROM secondary WHERE vid = ?1",
            [id],
        )? {
            if let Value::Blob(email) = email {
                bury(tx, &email)?;
            }
        }
    }
    for id in &ids {
        for sql in [
            "DELETE FROM merge WHERE old = ?1",
            "DELETE FROM past WHERE vid = ?1",
            "DELETE FROM contact WHERE vid = ?1",
            "DELETE FROM secondary WHERE vid = ?1",
            "UPDATE conflict SET holder = NULL WHERE holder = ?1",
            "UPDATE log SET user = NULL, what = NULL, vid = NULL, at = NULL WHERE vid = ?1",
        ] {
            tx.prepare_cached(sql)?.execute([id])?;
        }
    }
    log_everybody(tx)?;
    Ok(true)
}

/// All ids that stand for the same contact.
fn ids_of(tx: &Connection, vid: i64, canonical: Option<i64>) -> Result<Vec<i64>> {
    let Some(canonical) = canonical else { return Ok(vec![vid]) };
    let mut ids = tx.prepare_cached("SELECT vid FROM past WHERE canonical = ?1")?;
    Ok(ids.query_map([canonical], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// Every user who is, or once was, linked to the contact.
fn holders(tx: &Connection, vid: i64) -> Result<Vec<Value>> {
    let (_, canonical) = fate(tx, vid)?;
    let mut users = users_of(tx, canonical.unwrap_or(vid))?;
    for id in ids_of(tx, vid, canonical)? {
        for user in keys(tx, "SELECT user FROM link WHERE vid = ?1", [id])? {
            if !users.contains(&user) {
                users.push(user);
            }
        }
    }
    Ok(users)
}

/// What stands for the email of an erased contact: the fingerprint, hashed once more, so that the fingerprint itself
/// is in the file no longer and an email that comes again is still known.
pub(crate) fn grave(email: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(b"vidcache 1: erased email").chain_update(email).finalize().into()
}

fn is_buried(tx: &Connection, email: &[u8]) -> Result<bool> {
    Ok(tx.prepare_cached("SELECT 1 FROM buried WHERE email = ?1")?.exists([&grave(email)[..]])?)
}

/// Takes an email out of the file for ever; false: it was. It is looked for in every contact: seconds at ten million of
/// them.
fn bury(tx: &Connection, email: &[u8]) -> Result<bool> {
    if tx
        .prepare_cached("INSERT INTO buried (email) VALUES (?1) ON CONFLICT DO NOTHING")?
        .execute([&grave(email)[..]])?
        == 0
    {
        return Ok(false);
    }
    tx.prepare_cached("UPDATE past SET email = NULL WHERE email = ?1")?.execute([email])?;
    tx.prepare_cached("DELETE FROM secondary WHERE email = ?1")?.execute([email])?;
    if tx.prepare_cached("UPDATE contact SET email = NULL WHERE email = ?1")?.execute([email])? > 0 {
        log_everybody(tx)?;
    }
    Ok(true)
}
