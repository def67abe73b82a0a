//! What standing work goes through, some at a time: whoever may have to be read, open conflicts, stale changes, all
//! users.
//!
//! Whose email HubSpot has confirmed is derived, and in no table. So a statement finds all who may be meant, by what is
//! in a row, with all that hangs together with them, and `rows` says of each whether they are. A list goes on from the
//! last that it has looked at, whether that one was meant or not.

use super::ask::{Begin, CHANGE, CLOCK, Depth, Names, bytes, component, head};
use super::schema::Tables;
use crate::event::Millis;
use crate::rows::Which;
use crate::rows::facts::Key;

/// How many contacts a statement looks at, so that none of them takes a second.
pub(crate) const SCAN: u32 = 20_000;

/// The changes that were begun that long ago or longer and are outstanding, the oldest first; after them those that
/// were begun more than `apart` in the future, by the clock of a server that this one has taken the place of.
pub(crate) fn outstanding(tables: &Tables, older_than: Millis, apart: Millis, limit: u32) -> String {
    let head = head("");
    tables.named(&format!(
        "SELECT json_build_object({head}, 'changes', (SELECT json_agg({CHANGE}) FROM (
           SELECT * FROM {{changes}} WHERE ended_at IS NULL
             AND (begun_at <= {CLOCK} - {older_than} OR begun_at > {CLOCK} + {apart})
           ORDER BY begun_at, token LIMIT {limit}) h))::text
         FROM (SELECT) one LEFT JOIN {{meta}} t ON t.id = 1"
    ))
}

/// The contacts, in the order of their ids, that may have to be read: nobody has read them for that long, as far as
/// their row says.
pub(crate) fn to_read(tables: &Tables, which: Which, older_than: Millis, after: i64, limit: u32) -> String {
    // Of an id that was merged into another the other one's row tells. What was read since it was last doubted counts.
    let merged = "EXISTS (SELECT FROM {merges} m WHERE m.old_vid = s.vid)";
    let doubted = "(c.doubted_at IS NOT NULL OR c.deleted_at IS NOT NULL OR (SELECT doubted_at FROM t) IS NOT NULL)";
    let unread =
        format!("({doubted} AND NOT coalesce(c.read_at >= greatest(c.doubted_at, (SELECT doubted_at FROM t)), false))");
    let may_be = match which {
        Which::Unconfirmed => {
            format!("({merged} OR {unread} OR (c.email IS NULL AND coalesce(c.read_at, 0) < {CLOCK} - {older_than}))")
        }
        Which::Confirmed => format!(
            "({merged} OR (c.email IS NOT NULL AND (coalesce(c.read_at, c.email_at) < {CLOCK} - {older_than}
               OR ({doubted} AND c.email_at < {CLOCK} - {older_than}))))"
        ),
    };
    let before = format!(
        "s (vid) AS MATERIALIZED (SELECT DISTINCT vid FROM {{links}} WHERE vid > {after} ORDER BY vid LIMIT {SCAN}),
         w (vid) AS MATERIALIZED (SELECT s.vid FROM s LEFT JOIN {{contacts}} c USING (vid) WHERE {may_be}
           ORDER BY s.vid LIMIT {limit}),"
    );
    let fields = format!(
        "'found', (SELECT json_agg(vid ORDER BY vid) FROM w),
         'last', CASE WHEN (SELECT count(*) FROM w) = {limit} THEN (SELECT max(vid) FROM w)
           WHEN (SELECT count(*) FROM s) = {SCAN} THEN (SELECT max(vid) FROM s) END,"
    );
    let seeds = "SELECT NULL::bytea, vid FROM w";
    component(tables, &Begin { before: &before, seeds, fields: &fields }, &Names::default(), Depth::Work)
}

/// The conflicts that may be open, in the order of their users.
pub(crate) fn conflicts(tables: &Tables, after: Option<&Key>, limit: u32) -> String {
    let bound = after.map_or(String::new(), |user| format!("AND user_key > {}", bytes(user.tagged())));
    let whose = format!(
        "SELECT user_key FROM {{conflicts}} WHERE last_at > coalesce(ended_at, -1) {bound}
         ORDER BY user_key LIMIT {limit}"
    );
    of_users(tables, &whose, limit)
}

/// The users who were ever linked, in the order of their keys.
pub(crate) fn linked(tables: &Tables, after: Option<&Key>, limit: u32) -> String {
    let bound = after.map_or(String::new(), |user| format!("WHERE user_key > {}", bytes(user.tagged())));
    of_users(tables, &format!("SELECT DISTINCT user_key FROM {{links}} {bound} ORDER BY user_key LIMIT {limit}"), limit)
}

fn of_users(tables: &Tables, whose: &str, limit: u32) -> String {
    let before = format!("w (u) AS MATERIALIZED ({whose}),");
    let fields = format!(
        "'whose', (SELECT json_agg(encode(u, 'hex') ORDER BY u) FROM w),
         'last', CASE WHEN (SELECT count(*) FROM w) = {limit} THEN 1 END,"
    );
    let begin = Begin { before: &before, seeds: "SELECT u, NULL::bigint FROM w", fields: &fields };
    component(tables, &begin, &Names::default(), Depth::Work)
}
