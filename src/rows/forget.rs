//! Taking a user out of the file: the app forgets them, or HubSpot erased the one contact that they had.
//!
//! `secure_delete` writes zeros over what is deleted; the write-ahead log is emptied after the commit
//! (`Store::empty_wal`).

use rusqlite::Connection;
use rusqlite::types::Value;

use super::base::{fate, keys};
use super::contact::forget_emails;
use super::history::log_everybody;
use super::link::{links_of, recount_all, recount_fully, settle, users_of};
use crate::email::Fingerprint;
use crate::error::Result;
use crate::event::What;

/// Takes out all that is held on the user. False: nothing was.
pub(super) fn forgotten(tx: &Connection, user: &Value) -> Result<bool> {
    let known = tx
        .prepare_cached(
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM user WHERE key = ?1) OR EXISTS (SELECT 1 FROM change WHERE user = ?1)
               OR EXISTS (SELECT 1 FROM conflict WHERE user = ?1) OR EXISTS (SELECT 1 FROM lease WHERE user = ?1)
               OR EXISTS (SELECT 1 FROM log WHERE user = ?1)",
        )?
        .exists([user])?;
    if known {
        wipe(tx, user)?;
    }
    Ok(known)
}

/// Notes that the user for whom the mark stands was a contact that was erased for privacy: their key is in the file no
/// more, and the app must not make them a contact of its own accord.
pub(super) fn marked(tx: &Connection, mark: Fingerprint) -> Result<bool> {
    let sql = "INSERT INTO erased_user (mark) VALUES (?1) ON CONFLICT DO NOTHING";
    Ok(tx.prepare_cached(sql)?.execute([&mark.0])? > 0)
}

/// What [`marked`] noted, the app takes back.
pub(super) fn unmarked(tx: &Connection, mark: Fingerprint) -> Result<bool> {
    Ok(tx.prepare_cached("DELETE FROM erased_user WHERE mark = ?1")?.execute([&mark.0])? > 0)
}

/// Whether a user was a contact that was erased for privacy, and the app has not forgotten them since.
pub(crate) fn was_erased(rows: &Connection, mark: Fingerprint) -> Result<bool> {
    Ok(rows.prepare_cached("SELECT 1 FROM erased_user WHERE mark = ?1")?.exists([&mark.0])?)
}

fn wipe(tx: &Connection, user: &Value) -> Result<()> {
    let mut contacts = Vec::new();
    for link in links_of(tx, user)? {
        let vid = fate(tx, link.vid)?.1.unwrap_or(link.vid);
        if !contacts.contains(&vid) {
            contacts.push(vid);
        }
    }
    // A change that is on its way takes the email away from whoever shares the contact. It is theirs now.
    let heir = match keys(tx, "SELECT vid FROM user WHERE key = ?1", [user])?.first() {
        Some(&Value::Integer(vid)) => users_of(tx, vid)?.into_iter().find(|other| other != user),
        _ => None,
    };
    if let Some(heir) = &heir {
        tx.prepare_cached("UPDATE change SET user = ?2 WHERE user = ?1 AND ended_at IS NULL")?.execute([user, heir])?;
    }
    tx.prepare_cached("DELETE FROM conflict WHERE user = ?1")?.execute([user])?;
    // A job that finds its token unknown takes the file for another one. Of the user these say nothing.
    tx.prepare_cached(
        "UPDATE change SET user = NULL, refused = NULL, ended_at = ifnull(ended_at, begun_at) WHERE user = ?1",
    )?
    .execute([user])?;
    tx.prepare_cached("DELETE FROM lease WHERE user = ?1")?.execute([user])?;
    tx.prepare_cached("UPDATE user SET changes = 0 WHERE key = ?1")?.execute([user])?;
    settle(tx, user, &[], What::Linked, 0)?;
    if let Some(heir) = &heir {
        let vid = tx.prepare_cached("SELECT vid FROM user WHERE key = ?1")?.query_row([heir], |row| row.get(0))?;
        recount_all(tx, heir, vid, What::ChangeBegun, 0)?;
    }
    for vid in contacts {
        recount_fully(tx, vid, What::ChangeAbandoned, 0)?;
        if users_of(tx, vid)?.is_empty() {
            forget_emails(tx, vid)?;
        }
    }
    tx.prepare_cached("UPDATE log SET user = NULL, what = NULL, vid = NULL, at = NULL WHERE user = ?1")?
        .execute([user])?;
    log_everybody(tx)
}
