//! What must hold of the rows, checked.

use rusqlite::Connection;

use crate::error::Result;

/// Each names what it found, without saying whose it is.
const INVARIANTS: &[(&str, &str)] = &[
    (
        "users whose number of outstanding changes is wrong",
        "SELECT count(*) FROM user u
         WHERE changes <> (SELECT count(*) FROM change c WHERE c.user = u.key AND ended_at IS NULL)",
    ),
    (
        "outstanding changes of users who are not known",
        "SELECT count(*) FROM change c
         WHERE ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM user u WHERE u.key = c.user)",
    ),
    (
        "users whose contact does not say so",
        "SELECT count(*) FROM user u
         WHERE vid IS NOT NULL AND (SELECT user FROM contact c WHERE c.vid = u.vid) IS NOT u.key",
    ),
    (
        "contacts whose user does not say so",
        "SELECT count(*) FROM contact c
         WHERE user IS NOT NULL AND (SELECT vid FROM user u WHERE u.key = c.user) IS NOT c.vid",
    ),
    (
        "ids that are not positive, times without an email or halves of a link",
        "SELECT (SELECT count(*) FROM user WHERE vid <= 0 OR first_vid <= 0
                   OR (vid IS NULL) <> (linked_at IS NULL) OR (first_vid IS NULL) <> (first_at IS NULL))
              + (SELECT count(*) FROM contact WHERE vid <= 0 OR (email IS NOT NULL AND email_at IS NULL)
                   OR length(email) <> 16)
              + (SELECT count(*) FROM change WHERE token <= 0 OR (begun_at IS NULL AND ended_at IS NULL))",
    ),
];

/// Everything that is wrong with the file; empty when nothing is.
pub(crate) fn verify(connection: &Connection) -> Result<Vec<String>> {
    let mut found: Vec<String> = connection
        .prepare("PRAGMA integrity_check(20)")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    found.retain(|line| line != "ok");
    for (what, sql) in INVARIANTS {
        let count: i64 = connection.query_row(sql, [], |row| row.get(0))?;
        if count > 0 {
            found.push(format!("{count} {what}"));
        }
    }
    Ok(found)
}
