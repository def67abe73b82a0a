//! Statements that are one fact each and need no answer first.

use super::ask::{ANY, CLOCK, bytes};
use super::schema::{FORMAT, Tables};
use super::watch::{self, TX};
use super::write::lock_number;
use crate::event::{ChangeToken, Millis};
use crate::rows::facts::Key;
use crate::rows::lease::{LONGEST, LeaseToken};

/// The tables that are written on the strength of an answer alone.
const KNOWN: [&str; 8] =
    ["links", "contacts", "merges", "secondaries", "conflicts", "erased", "buried", "erased_users"];

/// How long an ended change is remembered, as in a file, in milliseconds.
const REMEMBER_ENDED: Millis = 30 * 24 * 3600 * 1000;

/// Sets the tables up, unless somebody has. Whose portal and secret they are then, an answer says.
///
/// Not where there is a row that only a believed answer can have led to: what is missing then is the row of `meta` that
/// belongs to it, which may say that all of it is doubted, and under whose key it is. A dump may be about to bring it.
pub(crate) fn set_up(tables: &Tables, portal: i64, key_check: &[u8], wrapped_key: &[u8]) -> String {
    let empty = KNOWN.map(|table| format!("NOT EXISTS (SELECT FROM {{{table}}})")).join(" AND ");
    tables.named(&format!(
        "INSERT INTO {{meta}} (id, portal, key_check, wrapped_key, format, min_reader, made_at)
         SELECT 1, {portal}, {}, {}, {FORMAT}, {FORMAT}, {CLOCK} WHERE {empty} ON CONFLICT (id) DO NOTHING",
        bytes(key_check),
        bytes(wrapped_key)
    ))
}

/// Asks whose the tables are, and for the key of the fingerprints, wrapped as it is: one text, an empty one where the
/// tables were not set up.
pub(crate) fn key(tables: &Tables) -> String {
    tables.named(
        "SELECT coalesce((SELECT portal || ' ' || min_reader || ' ' || made_at || ' ' || encode(wrapped_key, 'hex')
           FROM {meta} WHERE id = 1), '')",
    )
}

/// Wraps the key anew, unless another host has.
pub(crate) fn wrap_anew(tables: &Tables, old: &[u8], new: &[u8]) -> String {
    let (old, new) = (bytes(old), bytes(new));
    tables.named(&format!("UPDATE {{meta}} SET wrapped_key = {new} WHERE id = 1 AND wrapped_key = {old}"))
}

/// Begins a change. In the app's own transaction, so that it is there if and only if the email was changed. It waits
/// for nobody: no other token is the same.
pub(crate) fn begin(tables: &Tables, user: &Key, token: ChangeToken) -> String {
    tables.named(&format!(
        "INSERT INTO {{changes}} (token, user_key, begun_at, tx) VALUES ({}, {}, {CLOCK}, {TX})",
        token.get(),
        bytes(user.tagged())
    ))
}

/// Says that a worker has seen the change, and so the commit of it. `unless_after`: it has to be seen anew where that
/// was before somebody else came to the contact.
///
/// Whoever is about to come to the contact, or to be linked, has the locks of [`lock`](super::write::lock) from before
/// the time that is written of it until that is committed, and till then others' pages know nothing of it. So what is
/// seen meanwhile is not written down, and has to be seen again: either the locks are free before that time, or after
/// the commit. Nobody waits for them here. Ids are asked for within bounds as in [`component`](super::ask::component).
pub(crate) fn see(tables: &Tables, token: ChangeToken, unless_after: Millis) -> String {
    let (user, vid) = (lock_number("u", "h.user_key"), lock_number("v", "int8send(n.vid)"));
    tables.named(&format!(
        // It begins with what it does: by that word clients tell what an app forbids to write.
        "UPDATE {{changes}} SET seen_at = greatest({CLOCK}, {later}) FROM (
           WITH RECURSIVE h AS MATERIALIZED (SELECT user_key FROM {{changes}} WHERE token = {token}),
             n (vid) AS (SELECT l.vid FROM h JOIN {{links}} l USING (user_key) WHERE l.vid {ANY}
               UNION SELECT m.vid FROM n CROSS JOIN LATERAL (
                 SELECT into_vid AS vid FROM {{merges}} WHERE old_vid = n.vid AND into_vid {ANY}
                 UNION ALL SELECT old_vid FROM {{merges}} WHERE into_vid = n.vid AND old_vid {ANY}) m)
           SELECT bool_and(pg_try_advisory_xact_lock_shared(k)) AS all_of_them FROM (
             SELECT {user} AS k FROM h UNION SELECT {vid} FROM n) k) free
         WHERE free.all_of_them AND token = {token} AND ended_at IS NULL
           AND (seen_at IS NULL OR seen_at <= {unless_after})",
        // Also within one millisecond, and by a clock that was set back, it was seen later than it was begun.
        later = unless_after.saturating_add(1),
        token = token.get()
    ))
}

/// Writes down how long pages of this process name an email.
pub(crate) fn announce(tables: &Tables, deadline_ms: u64) -> String {
    tables.named(&format!(
        "INSERT INTO {{deadlines}} AS t (ms, seen_at) VALUES ({deadline_ms}, {CLOCK})
         ON CONFLICT (ms) DO UPDATE SET seen_at = greatest(t.seen_at, excluded.seen_at)"
    ))
}

/// Takes some changes out that ended long ago, leases that are over, and the names of what was touched more than an
/// hour ago. What others are at work on is left to them.
pub(crate) fn prune(tables: &Tables) -> Vec<String> {
    let changes = format!(
        "DELETE FROM {{changes}} WHERE token IN (SELECT token FROM {{changes}}
           WHERE ended_at IS NOT NULL AND refused IS NULL AND ended_at < {CLOCK} - {REMEMBER_ENDED}
           LIMIT 1000 FOR UPDATE SKIP LOCKED)"
    );
    let leases = format!(
        "DELETE FROM {{leases}} WHERE user_key IN (SELECT user_key FROM {{leases}} WHERE until_at < {CLOCK}
           LIMIT 1000 FOR UPDATE SKIP LOCKED) AND until_at < {CLOCK}"
    );
    [changes, leases, watch::prune()].iter().map(|sql| tables.named(sql)).collect()
}

/// Takes the user's lease out, whoever has it.
pub(crate) fn forget_lease(tables: &Tables, user: &Key) -> String {
    tables.named(&format!("DELETE FROM {{leases}} WHERE user_key = {}", bytes(user.tagged())))
}

/// Takes the user's lease, or moves the deadline of the holder's. One row comes back where the holder has it now.
pub(crate) fn lease(tables: &Tables, user: &Key, holder: LeaseToken, ms: Millis, held: bool) -> String {
    let (user, holder) = (bytes(user.tagged()), holder.get());
    tables.named(&match held {
        true => format!(
            "UPDATE {{leases}} SET until_at = {CLOCK} + {ms}
             WHERE user_key = {user} AND holder = {holder} AND until_at > {CLOCK} RETURNING holder"
        ),
        false => format!(
            "INSERT INTO {{leases}} AS t (user_key, holder, until_at) VALUES ({user}, {holder}, {CLOCK} + {ms})
             ON CONFLICT (user_key) DO UPDATE SET holder = excluded.holder, until_at = excluded.until_at
             WHERE t.until_at <= {CLOCK} OR t.until_at > {CLOCK} + {LONGEST} RETURNING holder"
        ),
    })
}

/// Ends the holder's lease.
pub(crate) fn release(tables: &Tables, user: &Key, holder: LeaseToken) -> String {
    let user = bytes(user.tagged());
    let holder = holder.get();
    tables.named(&format!(
        "DELETE FROM {{leases}} WHERE user_key = {user} AND holder = {holder} AND until_at > {CLOCK} RETURNING holder"
    ))
}

/// Doubts all that HubSpot has said of every contact, by one row: `apart` is how much HubSpot's clock may be ahead.
pub(crate) fn doubt(tables: &Tables, apart: Millis) -> String {
    tables.named(&format!(
        "UPDATE {{meta}} SET doubted_at = greatest(doubted_at, {CLOCK} + {apart}),
           doubted_to = greatest(doubted_to, {CLOCK} + {apart}, (SELECT max(email_at) FROM {{contacts}})) WHERE id = 1"
    ))
}
