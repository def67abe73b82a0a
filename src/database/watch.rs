//! What it takes to keep answers in memory and to hear of what has become of them: docs/adr/0034.
//!
//! Whoever writes a fact names whose it is: a user, a contact, or everybody. A name stands beside the number of the
//! transaction that wrote it, and is there if and only if that is committed. Whoever keeps answers asks, now and then,
//! for the names that the snapshot of now sees and the one of then did not: that is the exact difference of two
//! snapshots, whatever order transactions were committed in, and however long each was open. A name may be one end of
//! something that makes others' answers wrong, so all users who hang together with it are told.
//!
//! Numbers of transactions count within one life of one server alone. After a failover, after a crash that lost
//! commits, the same numbers stand for something else, and who went on from them would overlook it for ever. So an
//! answer says whose it is, and where it cannot be shown that nothing has happened between two of them
//! ([`Sight::follows`]), everything is forgotten: that costs an answer for each user, and nothing was copied.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::ask::{CLOCK, flat_with, head, neighbours, page_walk_with};
use super::head::{Distrust, key, unreadable};
use super::schema::Tables;
use crate::rows::facts::{Facts, Key};

/// The number of the transaction, the outermost, also within a savepoint: what snapshots are made of.
pub(crate) const TX: &str = "pg_current_xact_id()::text::bigint";

/// The most names, and users and contacts that hang together with them, that are told one by one.
const NAMES: usize = 10_000;

/// The most names that are written one by one.
const WRITTEN: usize = 100;

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
        let open = parts.next()?;
        let open = open.split(',').filter(|one| !one.is_empty()).map(|one| one.parse().ok());
        let open = open.collect::<Option<_>>()?;
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
    /// Whose answers may be others now, where that was asked for; none: everybody's.
    pub(crate) touched: Option<Vec<Key>>,
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
    /// The database, and the number that it has for one of the tables.
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
    /// The second parameter of [`flat`], [`look`] and [`walk`]: digits, slashes, colons and commas.
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
    table: i64,
    clock: i64,
    wrote: bool,
    #[serde(default)]
    backend: Option<i64>,
    #[serde(default)]
    horizon: Option<i64>,
    #[serde(default)]
    touched: Option<Vec<String>>,
}

impl RawSight {
    pub(super) fn read(self) -> Result<Sight, Distrust> {
        let Self { since, at, server, counts, database, table, clock, wrote, backend, horizon, touched } = self;
        Ok(Sight {
            since: Since::of(&since).ok_or_else(|| unreadable("what it was asked with is another thing"))?,
            snapshot: Snapshot::of(&at).ok_or_else(|| unreadable("a snapshot is none"))?,
            place: Place { server, counts, database, table },
            clock,
            wrote,
            backend,
            horizon,
            touched: touched.map(|all| all.iter().map(|user| key(user)).collect()).transpose()?,
        })
    }
}

/// Microseconds of a time, reckoned in binary: in decimal digits it takes longer than to find a row.
fn micros(time: &str) -> String {
    format!("(date_part('epoch', {time}) * 1000000)::bigint")
}

/// What an answer says of itself to whoever keeps it; `more`: what else. The clock is read when the statement comes in,
/// before its snapshot is taken.
fn sight(since: &str, more: &str) -> String {
    let (server, clock) = (micros("pg_postmaster_start_time()"), micros("statement_timestamp()"));
    let counts = micros("pg_stat_get_bgwriter_stat_reset_time()");
    format!(
        "'sight', json_build_object('since', {since}, 'at', pg_current_snapshot()::text, 'server', {server},
           'counts', CASE WHEN current_setting('server_version_num')::int >= {COUNTS} THEN {counts} END,
           'database', current_database(), 'table', (SELECT m.tableoid::bigint FROM {{meta}} m WHERE m.id = 1),
           'clock', {clock}, 'wrote', pg_current_xact_id_if_assigned() IS NOT NULL{more}),"
    )
}

/// [`ask::flat`](super::ask::flat) for whoever keeps the answer: a second parameter says of which life of the memory.
pub(crate) fn flat(tables: &Tables) -> String {
    flat_with(tables, "", &sight("$2::text", ""))
}

/// [`flat`] that also tells the names since a look, if the second parameter says since which: it takes twice as long
/// where there are none. How many there are PostgreSQL cannot know, and would compile the walk from them for longer
/// than it takes; an array it takes for ten.
pub(crate) fn look(tables: &Tables) -> String {
    let among = "tx >= (SELECT xmax FROM p) AND tx < (SELECT now FROM p)";
    let open = "tx = ANY ((SELECT open FROM p)::bigint[])";
    let changed = "SELECT user_key, NULL::bigint FROM {changes} WHERE ended_at IS NULL AND user_key IS NOT NULL AND";
    let named = "SELECT user_key, vid FROM {touched} WHERE";
    let (most, names) = (NAMES + 1, neighbours());
    let before = format!(
        "WITH RECURSIVE p AS MATERIALIZED (
           SELECT pg_snapshot_xmax(s)::text::bigint AS xmax, ARRAY(SELECT pg_snapshot_xip(s)::text::bigint) AS open,
             pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS now
           FROM (SELECT nullif(split_part($2::text, '/', 3), '')::pg_snapshot AS s) s),
         a AS MATERIALIZED (
           SELECT array_agg(u) AS us, array_agg(v) AS vs, count(*) AS names, bool_or(u IS NULL AND v IS NULL) AS everybody
           FROM (SELECT * FROM ({changed} {among} UNION ALL {changed} {open} UNION ALL {named} {among}
             UNION ALL {named} {open}) s LIMIT {most}) s (u, v)),
         n (u, v) AS (SELECT x.u, x.v FROM a, unnest(a.us, a.vs) x (u, v) UNION {names}) m),
         k AS MATERIALIZED (
           SELECT array_agg(encode(u, 'hex')) FILTER (WHERE u IS NOT NULL) AS users, count(*) AS names
           FROM (SELECT u, v FROM n LIMIT {most}) n)\n"
    );
    let asked = "WHEN split_part($2::text, '/', 3) <> '' THEN";
    let backend = micros("backend_start");
    let more = format!(
        ", 'backend', CASE {asked} (SELECT {backend} FROM pg_stat_get_activity(pg_backend_pid())) END,
         'horizon', CASE {asked} (SELECT m.horizon FROM {{meta}} m WHERE m.id = 1) END,
         'touched', CASE {asked} (SELECT CASE WHEN a.everybody OR a.names > {NAMES} THEN NULL
           ELSE (SELECT CASE WHEN k.names > {NAMES} THEN NULL ELSE to_json(coalesce(users, '{{}}'::text[])) END FROM k)
           END FROM a) END"
    );
    flat_with(tables, &before, &sight("$2::text", &more))
}

/// [`ask::page_walk`](super::ask::page_walk) for whoever keeps the answer, with the parameters of [`flat`]. It tells no
/// names.
pub(crate) fn walk(tables: &Tables) -> String {
    page_walk_with(tables, &sight("split_part($2::text, '/', 1)", ""))
}

/// Asks for nobody, of each column that is written for those who keep answers.
pub(crate) fn probe(tables: &Tables) -> String {
    let head = head("");
    tables.named(&format!(
        "SELECT json_build_object({head}, 'found', (SELECT json_agg(n.vid) FROM {{touched}} n JOIN {{changes}} h USING (tx)
             WHERE tx = 0 AND n.user_key IS NULL),
           'last', CASE WHEN t.horizon = 0 AND t.prune_tx = 0 AND t.pruned_at = 0 THEN 0 END)::text
         FROM (SELECT) one LEFT JOIN {{meta}} t ON t.id = 1"
    ))
}

/// Takes out the names that were written more than an hour ago, if nobody has done so within the hour.
///
/// How old a name is only a snapshot can tell: a time in its row would be that of its transaction, which may be
/// committed an hour later. So what goes is what an *earlier* pruning saw ended; and whoever did not hear of it before
/// finds that in `horizon`, in the same snapshot. The clock only says how often. Numbers that a dump has brought from
/// another server prune nothing.
pub(super) fn prune() -> String {
    let xmin = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint";
    format!(
        "WITH pruned AS (UPDATE {{meta}} SET horizon = CASE WHEN prune_tx <= {xmin} THEN prune_tx END,
             prune_tx = {xmin}, pruned_at = {CLOCK}
           WHERE id = 1 AND (pruned_at IS NULL OR pruned_at NOT BETWEEN {CLOCK} - {STAYS} AND {CLOCK})
           RETURNING horizon)
         DELETE FROM {{touched}} USING pruned WHERE tx < pruned.horizon"
    )
}

/// Whom the facts that are new are of: of each that a page depends on one end, since whoever asks finds all that hang
/// together with it, and of each that is there no more all ends. Of neither a user nor a contact: everybody.
///
/// Whoever buries an email takes it from contacts that it has never asked for, so that is everybody's.
pub(super) fn touched(before: &Facts, after: &Facts) -> Vec<(Option<Key>, Option<i64>)> {
    let mut names = BTreeSet::new();
    let (new, gone) = news(&before.links, &after.links);
    names.extend(new.iter().map(|((_, vid), _)| (None, Some(*vid))));
    for (user, vid) in gone {
        names.extend([(Some(user.clone()), None), (None, Some(*vid))]);
    }
    let (new, gone) = news(&before.contacts, &after.contacts);
    names.extend(new.iter().map(|(vid, _)| **vid).chain(gone.into_iter().copied()).map(|vid| (None, Some(vid))));
    let (new, gone) = news(&before.merges, &after.merges);
    let old = new.iter().map(|((old, _), _)| *old);
    names.extend(old.chain(gone.into_iter().flat_map(|(old, into)| [*old, *into])).map(|vid| (None, Some(vid))));
    let (new, gone) = news(&before.changes, &after.changes);
    for token in new.into_iter().map(|(token, _)| token).chain(gone) {
        let whose = [before, after].into_iter().filter_map(|facts| facts.changes.get(token)?.user.clone());
        names.extend(whose.map(|user| (Some(user), None)));
    }
    if before.erased != after.erased || before.buried != after.buried || names.len() > WRITTEN {
        return vec![(None, None)];
    }
    names.into_iter().collect()
}

/// What is new or another in `after`, and the keys of what is there no more.
pub(super) fn news<'m, K: Ord, V: PartialEq>(
    before: &'m BTreeMap<K, V>,
    after: &'m BTreeMap<K, V>,
) -> (Vec<(&'m K, &'m V)>, Vec<&'m K>) {
    let new = after.iter().filter(|(key, value)| before.get(key) != Some(value)).collect();
    let gone = before.keys().filter(|key| !after.contains_key(key)).collect();
    (new, gone)
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
            touched: Some(Vec::new()),
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
