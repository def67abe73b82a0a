//! What must hold of the rows, checked.

use rusqlite::Connection;

use crate::error::Result;

/// Each names what it found, without saying whose it is.
const INVARIANTS: &[(&str, &str)] = &[
    (
        "users whose number of outstanding changes is wrong",
        "WITH o (user, n) AS MATERIALIZED (SELECT user, count(*) FROM change WHERE ended_at IS NULL GROUP BY user),
           had (user, vid) AS (
             SELECT o.user, u.vid FROM o JOIN user u ON u.key = o.user
             UNION SELECT o.user, ifnull(p.canonical, l.vid) FROM o JOIN link l USING (user) LEFT JOIN past p ON p.vid = l.vid),
           pair (key, user) AS (
             SELECT user, user FROM o
             UNION SELECT c.user, h.user FROM had h JOIN contact c USING (vid) WHERE c.user IS NOT NULL
             UNION SELECT s.user, h.user FROM had h JOIN sharer s USING (vid)),
           right (key, n) AS MATERIALIZED (SELECT key, sum(n) FROM pair JOIN o USING (user) GROUP BY key)
         SELECT (SELECT count(*) FROM user u WHERE changes <> 0 AND (SELECT n FROM right r WHERE r.key = u.key) IS NULL)
              + (SELECT count(*) FROM right r WHERE (SELECT changes FROM user u WHERE u.key = r.key) IS NOT n)",
    ),
    (
        "outstanding changes of users who are not known",
        "SELECT count(*) FROM change c
         WHERE ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM user u WHERE u.key = c.user)",
    ),
    (
        "users whose contact does not say so",
        "SELECT count(*) FROM user u
         WHERE vid IS NOT NULL AND (SELECT user FROM contact c WHERE c.vid = u.vid) IS NOT u.key
           AND NOT EXISTS (SELECT 1 FROM sharer s WHERE s.vid = u.vid AND s.user = u.key)",
    ),
    (
        "contacts whose user does not say so",
        "SELECT (SELECT count(*) FROM contact c
                 WHERE user IS NOT NULL AND (SELECT vid FROM user u WHERE u.key = c.user) IS NOT c.vid)
              + (SELECT count(*) FROM sharer s WHERE (SELECT vid FROM user u WHERE u.key = s.user) IS NOT s.vid)",
    ),
    (
        "users whose links do not say so",
        "SELECT (SELECT count(*) FROM user u WHERE (SELECT count(*) FROM link l WHERE l.user = u.key) > 0
                   AND (SELECT coalesce((SELECT canonical FROM past p WHERE p.vid = l.vid), l.vid) FROM link l
                        WHERE l.user = u.key ORDER BY last_at DESC, vid DESC LIMIT 1) IS NOT vid)
              + (SELECT count(*) FROM link l WHERE NOT EXISTS (SELECT 1 FROM user u WHERE u.key = l.user))",
    ),
    (
        "merged or erased contacts that are there all the same",
        "SELECT (SELECT count(*) FROM past p JOIN contact c USING (vid) WHERE p.canonical <> p.vid)
              + (SELECT count(*) FROM past p WHERE (SELECT canonical FROM past c WHERE c.vid = p.canonical) IS NOT canonical)
              + (SELECT count(*) FROM erased WHERE vid IN (SELECT vid FROM contact UNION SELECT vid FROM past
                   UNION SELECT vid FROM link UNION SELECT vid FROM secondary UNION SELECT old FROM merge UNION SELECT into_vid FROM merge))",
    ),
    (
        "ids that are not positive, times without an email, halves of a link or refusals without an end",
        "SELECT (SELECT count(*) FROM user WHERE vid <= 0 OR first_vid = 0
                   OR (vid IS NULL) <> (linked_at IS NULL))
              + (SELECT count(*) FROM contact WHERE vid <= 0 OR (email IS NOT NULL AND email_at IS NULL)
                   OR length(email) <> 16)
              + (SELECT count(*) FROM change WHERE token <= 0 OR (begun_at IS NULL AND ended_at IS NULL)
                   OR (refused IS NOT NULL AND ended_at IS NULL))",
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
