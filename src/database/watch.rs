//! What it takes to keep answers in memory and to hear of what has become of them: docs/adr/0034.
//!
//! Whoever writes a fact names all users and contacts that it is at, or everybody ([`named`](super::named)). A name
//! stands beside the number of the transaction that wrote it, and is there if and only if that is committed. Whoever
//! keeps answers asks, now and then, for the names that the snapshot of now sees and the one of then did not: that is
//! the exact difference of two snapshots, whatever order transactions were committed in, and however long each was
//! open. The names are told as they were written: whose answers they are of, whoever keeps those knows.
//!
//! Numbers of transactions count within one life of one server alone. After a failover, after a crash that lost
//! commits, the same numbers stand for something else, and who went on from them would overlook it for ever. So an
//! answer says whose it is, and where it cannot be shown that nothing has happened between two of them
//! ([`Sight::follows`]), everything is forgotten: that costs an answer for each user, and nothing was copied.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::ask::{CLOCK, META, flat_with, head, page_head, page_walk_with};
use super::head::{Distrust, unreadable};
use super::named::Named;
use super::schema::Tables;

/// The number of the transaction, the outermost, also within a savepoint: what snapshots are made of.
pub(crate) const TX: &str = "pg_current_xact_id()::text::bigint";

/// The most rows of names that are told one by one.
const NAMES: usize = 10_000;

/// The first version whose counts are in memory: those before read a file for each question.
const COUNTS: i32 = 150_000;

/// How long a name stays at least, in milliseconds.
const STAYS: i64 = 3_600_000;

/// Which transactions had ended: those before `xmax` that are not in `open`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) xmin: i64,
    pub(crate) xmax: i64,
    pub(crate) open: BTreeSet<i64>,
}

impl Snapshot {
    /// The snapshot at the end of all numbers, after which nothing is written.
    pub(crate) const NEVER: Self = Self { xmin: i64::MAX, xmax: i64::MAX, open: BTreeSet::new() };

    /// Of the text that PostgreSQL gives: `xmin:xmax:xip,…`.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let mut number = || parts.next()?.parse().ok();
        let (xmin, xmax) = (number()?, number()?);
        let mut open = BTreeSet::new();
        for one in parts.next()?.split(',').filter(|one| !one.is_empty()) {
            open.insert(one.parse().ok()?);
        }
        parts.next().is_none().then_some(Self { xmin, xmax, open })
    }

    /// Whether it sees all that the other one sees.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.xmax >= other.xmax && self.open.iter().all(|tx| *tx >= other.xmax || other.open.contains(tx))
    }

    fn text(&self) -> String {
        let open: Vec<_> = self.open.iter().map(i64::to_string).collect();
        format!("{}:{}:{}", self.xmin, self.xmax, open.join(","))
    }
}

/// What an answer says of itself to whoever keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sight {
    /// What it was asked with.
    pub(crate) since: Since,
    pub(crate) snapshot: Snapshot,
    pub(crate) place: Place,
    /// The server's clock when it got the statement, in microseconds.
    pub(crate) clock: i64,
    /// Whether the transaction has written: then the answer has what may never be committed.
    pub(crate) wrote: bool,
    /// When the server's process that answers was started, in microseconds, and up to where names were taken out; where
    /// names were asked for.
    pub(crate) backend: Option<i64>,
    pub(crate) horizon: Option<i64>,
    /// Whom something was written of, where that was asked for; none: everybody.
    pub(crate) touched: Option<Named>,
}

/// What is asked with: of which life of the memory, and since which look names are asked for, if they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Since {
    pub(crate) life: u64,
    pub(crate) look: Option<Looked>,
}

/// Of which tables, of which life of which server, an answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// When the server was started, in microseconds.
    pub(crate) server: i64,
    /// Since when it counts what it does, which it begins anew after a crash; none, of an old server.
    pub(crate) counts: Option<i64>,
    /// The database's name in hexadecimal, since no encoding of the client's has to be able to say it, and the number
    /// that the database has for one of the tables.
    pub(crate) database: String,
    pub(crate) table: i64,
}

/// A look that was taken in: its snapshot, and the server's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Looked {
    pub(crate) snapshot: Snapshot,
    pub(crate) clock: i64,
}

impl Since {
    /// The second parameter of [`flat`], [`look`] and [`walk`]: digits, slashes, colons and commas. With a look in it,
    /// it is meant for [`look`].
    pub(crate) fn text(&self) -> String {
        match &self.look {
            None => self.life.to_string(),
            Some(Looked { snapshot, clock }) => format!("{}/{clock}/{}", self.life, snapshot.text()),
        }
    }

    pub(crate) fn of(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let life = parts.next()?.parse().ok()?;
        let look = match parts.next() {
            None => None,
            Some(clock) => Some(Looked { clock: clock.parse().ok()?, snapshot: Snapshot::of(parts.next()?)? }),
        };
        parts.next().is_none().then_some(Self { life, look })
    }
}

impl Sight {
    /// The look that it is.
    pub(crate) fn looked(&self) -> Looked {
        Looked { snapshot: self.snapshot.clone(), clock: self.clock }
    }

    /// Whether the names of this answer, of the same place, are all that were written since that look.
    ///
    /// The server's process that answers has been there since before it, so that no crash was in between, in which all
    /// of them end and commits may be lost; its clock, by which that is told, was not set back; what the snapshot of
    /// then saw is seen still; and no name was taken out that it did not see.
    pub(crate) fn follows(&self, look: &Looked) -> bool {
        self.clock > look.clock
            && self.backend.is_some_and(|began| began <= look.clock)
            && self.snapshot.covers(&look.snapshot)
            && self.horizon.is_none_or(|horizon| horizon <= look.snapshot.xmin)
    }
}

/// [`Sight`] as an answer has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSight {
    since: String,
    at: String,
    server: i64,
    counts: Option<i64>,
    database: String,
    table: Option<i64>,
    clock: i64,
    wrote: bool,
    #[serde(default)]
    backend: Option<i64>,
    #[serde(default)]
    horizon: Option<i64>,
    #[serde(default)]
    touched: Option<String>,
}

impl RawSight {
    /// None where there is no row of `meta`: what such an answer says is not believed, so it is not kept either.
    pub(super) fn read(self) -> Result<Option<Sight>, Distrust> {
        let Self { since, at, server, counts, database, table, clock, wrote, backend, horizon, touched } = self;
        let Some(table) = table else { return Ok(None) };
        Ok(Some(Sight {
            since: Since::of(&since).ok_or_else(|| unreadable("what it was asked with is another thing"))?,
            snapshot: Snapshot::of(&at).ok_or_else(|| unreadable("a snapshot is none"))?,
            place: Place { server, counts, database, table },
            clock,
            wrote,
            backend,
            horizon,
            touched: touched.map_or(Ok(None), |names| Named::read(&names, NAMES))?,
        }))
    }
}

/// Microseconds of a time, reckoned in binary: in decimal digits it takes longer than to find a row.
fn micros(time: &str) -> String {
    format!("(date_part('epoch', {time}) * 1000000)::bigint")
}

/// What an answer says of itself to whoever keeps it; `table`: the number of the table of `meta`, a null where that has
/// no row; `more`: what else. The clock is read when the statement comes in, before its snapshot is taken.
fn sight(since: &str, table: &str, more: &str) -> String {
    let (server, clock) = (micros("pg_postmaster_start_time()"), micros("statement_timestamp()"));
    let counts = micros("pg_stat_get_bgwriter_stat_reset_time()");
    format!(
        "'sight', json_build_object('since', {since}, 'at', pg_current_snapshot()::text, 'server', {server},
           'counts', CASE WHEN current_setting('server_version_num')::int >= {COUNTS} THEN {counts} END,
           'database', encode(convert_to(current_database(), 'UTF8'), 'hex'), 'table', {table},
           'clock', {clock}, 'wrote', pg_current_xact_id_if_assigned() IS NOT NULL{more}),"
    )
}

/// [`sight`]'s table, of a statement that has no row of `meta` at hand.
const TABLE: &str = "(SELECT m.tableoid::bigint FROM {meta} m WHERE m.id = 1)";

/// [`ask::flat`](super::ask::flat) for whoever keeps the answer: a second parameter says of which life of the memory.
pub(crate) fn flat(tables: &Tables) -> String {
    flat_with(tables, &sight("$2::text", TABLE, ""))
}

/// The names since a look, for a page whose user is in memory, with the parameters of [`flat`], of which the second one
/// says since which look. It asks for nothing about the user: who is named has left memory, and is asked for by
/// [`walk`].
///
/// PostgreSQL would plan it anew each time, for longer than it runs, if it could tell the numbers when it plans, since
/// with them it expects fewer rows: so they come from a table that it does not look into, by `OFFSET 0`. Of a range
/// with both ends it expects few rows whatever they are.
pub(crate) fn look(tables: &Tables) -> String {
    let changed = "SELECT user_key, NULL::bigint FROM {changes} WHERE ended_at IS NULL AND user_key IS NOT NULL AND";
    let named = "SELECT user_key, vid FROM {touched} WHERE";
    let (after, among) = ("tx >= p.xmax AND tx <= 9223372036854775807", "tx = ANY (p.open)");
    let most = NAMES + 1;
    let touched = format!(
        "SELECT coalesce(string_agg(concat(encode(n.u, 'hex'), '/', n.v), ','), '') FROM (SELECT n.* FROM (
             SELECT nullif(split_part($2::text, ':', 2), '')::bigint AS xmax,
               string_to_array(nullif(split_part($2::text, ':', 3), ''), ',')::bigint[] AS open OFFSET 0) p
           CROSS JOIN LATERAL ({changed} {after} UNION ALL {changed} {among} UNION ALL {named} {after}
             UNION ALL {named} {among}) n (u, v) LIMIT {most}) n"
    );
    let backend = micros("backend_start");
    let more = format!(
        ", 'backend', (SELECT {backend} FROM pg_stat_get_activity(pg_backend_pid())), 'horizon', t.horizon,
         'touched', ({touched})"
    );
    let (head, sight) = (
        page_head(&format!("CASE WHEN t.id IS NOT NULL THEN {META} END")),
        sight("$2::text", "t.tableoid::bigint", &more),
    );
    tables.named(&format!(
        "SELECT json_build_object({head}, {sight} 'look', $1::text)::text
         FROM (SELECT) one LEFT JOIN {{meta}} t ON t.id = 1"
    ))
}

/// [`ask::page_walk`](super::ask::page_walk) for whoever keeps the answer, with the parameters of [`flat`]. It tells no
/// names.
pub(crate) fn walk(tables: &Tables) -> String {
    page_walk_with(tables, &sight("split_part($2::text, '/', 1)", TABLE, ""))
}

/// Asks for nobody, of each column that is written for those who keep answers, and by a function of PostgreSQL 13.
pub(crate) fn probe(tables: &Tables) -> String {
    let head = head("");
    tables.named(&format!(
        "SELECT json_build_object({head}, 'found', (SELECT json_agg(n.vid) FROM {{touched}} n JOIN {{changes}} h USING (tx)
             WHERE tx = 0 AND n.user_key IS NULL),
           'last', CASE WHEN t.horizon = 0 AND t.prune_tx = 0 AND t.pruned_at = 0
             AND pg_snapshot_xmin(pg_current_snapshot())::text = '0' THEN 0 END)::text
         FROM (SELECT) one LEFT JOIN {{meta}} t ON t.id = 1"
    ))
}

/// Takes out the names that were written more than an hour ago, if nobody has done so within the hour.
///
/// How old a name is only a snapshot can tell: a time in its row would be that of its transaction, which may be
/// committed an hour later. So what goes is what an *earlier* pruning saw ended; and whoever did not hear of it before
/// finds that in `horizon`, in the same snapshot. The clock only says how often.
///
/// A dump, or a server that replicates by rows, brings names with another server's numbers. Of those that are later
/// than all of this server's nobody can tell since when they are there, so they go at once, and the horizon is the
/// first number that this snapshot does not know of: everybody forgets who has not looked since. Whoever waited here
/// for another pruning, of which the own snapshot knows nothing, leaves it at that.
pub(super) fn prune() -> String {
    let part = |part: &str| format!("pg_snapshot_{part}(pg_current_snapshot())::text::bigint");
    let (xmin, xmax) = (part("xmin"), part("xmax"));
    // The transaction's own number may be later than all that its snapshot knows of.
    let foreign = format!("tx >= {xmax} AND tx <> {TX}");
    format!(
        "WITH pruned AS (UPDATE {{meta}} t SET prune_tx = {xmin}, pruned_at = {CLOCK}, horizon = greatest(
             CASE WHEN t.horizon <= {xmax} THEN t.horizon END, CASE WHEN t.prune_tx <= {xmin} THEN t.prune_tx END,
             CASE WHEN EXISTS (SELECT FROM {{touched}} WHERE {foreign}) THEN {xmax} END)
           FROM (SELECT prune_tx, pruned_at FROM {{meta}} WHERE id = 1) seen
           WHERE t.id = 1 AND (t.pruned_at IS NULL OR t.pruned_at NOT BETWEEN {CLOCK} - {STAYS} AND {CLOCK})
             AND (t.prune_tx, t.pruned_at) IS NOT DISTINCT FROM (seen.prune_tx, seen.pruned_at)
           RETURNING t.horizon)
         DELETE FROM {{touched}} USING pruned WHERE tx < pruned.horizon OR ({foreign})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(text: &str) -> Snapshot {
        Snapshot::of(text).expect("a snapshot")
    }

    #[test]
    fn a_snapshot_covers_another_if_it_sees_all_that_that_one_sees() {
        let then = snapshot("10:20:10,15");
        for (now, covers) in [
            ("10:20:10,15", true),
            ("20:20:", true),
            ("15:30:15,25", true),
            // What was ended is open: an earlier snapshot, or another history.
            ("12:20:12", false),
            ("10:20:10,12", false),
            ("10:19:10", false),
            ("9:30:9", false),
        ] {
            assert_eq!(snapshot(now).covers(&then), covers, "{now}");
        }
    }

    #[test]
    fn what_is_asked_with_comes_back_and_nothing_else_does() {
        let look = Looked { snapshot: snapshot("10:20:10,15"), clock: 6 };
        for look in [None, Some(look)] {
            let since = Since { life: 7, look };
            assert_eq!(Since::of(&since.text()), Some(since));
        }
        for text in ["", "x", "7/", "7/6", "7/6/10:20", "7/6/10:20:;", "7/6/10:20:/", "7/6/10:20::"] {
            assert_eq!(Since::of(text), None, "{text}");
        }
    }

    #[test]
    fn each_sign_that_something_may_have_happened_in_between_ends_it() {
        let look = Looked { snapshot: snapshot("10:20:10"), clock: 1_000 };
        let sight = Sight {
            since: Since { life: 1, look: Some(look.clone()) },
            snapshot: snapshot("10:25:10,24"),
            place: Place { server: 5, counts: Some(5), database: "app".into(), table: 1 },
            clock: 2_000,
            wrote: false,
            backend: Some(1_000),
            horizon: Some(10),
            touched: Some(Named::default()),
        };
        assert!(sight.follows(&look));
        assert!(Sight { horizon: None, ..sight.clone() }.follows(&look), "nothing was pruned ever");
        for other in [
            Sight { backend: Some(1_001), ..sight.clone() },
            Sight { backend: None, ..sight.clone() },
            Sight { clock: 1_000, ..sight.clone() },
            Sight { horizon: Some(11), ..sight.clone() },
            Sight { snapshot: snapshot("10:19:10"), ..sight.clone() },
            Sight { snapshot: snapshot("10:25:10,19"), ..sight.clone() },
        ] {
            assert!(!other.follows(&look), "{other:?}");
        }
    }
}
