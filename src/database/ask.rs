//! What the database is asked: one statement, whose answer is one row of one column, a JSON object as text.
//!
//! A statement has no parameters. Keys and fingerprints are hexadecimal digits and ids are numbers, so nothing in it
//! has to be quoted, and it can be sent as it is by whatever client the app has, prepared or not, through a pooler too.
//!
//! A decision about one user depends on their *component*: their links, those contacts, what was merged with them, all
//! users of all of those, and so on until nothing is added. Most users have a contact that nobody else ever had, so a
//! page asks for that much first ([`flat`]), with whether there is more; only then for the whole ([`walk`]).

use std::fmt::Write;

use super::schema::{GRAVE, Tables};
use crate::rows::facts::Key;

/// The most users and contacts that a component may have for a page, and for a worker.
const PAGE_LIMIT: usize = 1_000;
const WORK_LIMIT: usize = 50_000;

/// Who and what a component is begun from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    pub(crate) users: Vec<Key>,
    pub(crate) vids: Vec<i64>,
    /// Changes that are asked for, whosever they are.
    pub(crate) tokens: Vec<i64>,
    /// Hashes of the fingerprints of emails that are new, to be asked whether they are buried.
    pub(crate) graves: Vec<[u8; 32]>,
    /// Whether a contact is erased, and its emails buried.
    pub(crate) erases: bool,
    /// Marks of users, to be asked whether their contacts were erased.
    pub(crate) marks: Vec<[u8; 16]>,
}

/// How much of a component is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What a decision depends on.
    Page,
    /// All of it, for whoever writes or explains.
    Work,
}

/// The bytes as a literal that does not depend on a setting of the server.
pub(super) fn bytes(bytes: &[u8]) -> String {
    format!("decode('{}', 'hex')", base16ct::lower::encode_string(bytes))
}

/// PostgreSQL's clock, in milliseconds since 1970. Not `now()`, which is when the transaction began.
pub(super) const CLOCK: &str = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// What an answer for a page begins with: [`META`] of the row of `meta`, or none, as `meta` gives it.
pub(super) fn page_head(meta: &str) -> String {
    format!("'head', json_build_object('meta', {meta}, {STANDING})")
}

/// What every answer begins with, of `t`, the row of `meta` or none; `more` of it where more is needed than for a page.
pub(super) fn head(more: &str) -> String {
    format!(
        "'head', json_build_object('meta', CASE WHEN t.id IS NOT NULL THEN {META} END, {STANDING}, 'clock', {CLOCK}{more})"
    )
}

pub(super) const META: &str = "json_build_object('portal', t.portal, 'key_check', encode(t.key_check, 'hex'),
    'min_reader', t.min_reader, 'made_at', t.made_at, 'doubted_to', t.doubted_to, 'doubted_at', t.doubted_at)";

/// Which server answers, and of what time: a transaction's age is the snapshot's where each statement has not its own.
/// PostgreSQL reckons with times in decimal digits, which took longer than to find a row.
const STANDING: &str = "'standby', pg_is_in_recovery(), 'read_only', current_setting('transaction_read_only') = 'on',
    'isolation', current_setting('transaction_isolation'),
    'age', CASE WHEN current_setting('transaction_isolation') IN ('read committed', 'read uncommitted') THEN 0
      ELSE ceil(extract(epoch FROM clock_timestamp() - transaction_timestamp()) * 1000)::bigint END";

/// The longest page deadline of the last 30 days, for a worker, who waits for it. A page writes nothing, so a process
/// says its deadline less often than one that has a file.
fn deadline() -> String {
    format!(", 'deadline', (SELECT max(ms) FROM {{deadlines}} WHERE seen_at >= {CLOCK} - 2592000000)")
}

/// Every number that an id may be.
pub(super) const ANY: &str = "BETWEEN -9223372036854775808 AND 9223372036854775807";

/// A contact as an answer has it: `c` of the contacts.
const CONTACT: &str = "json_build_array(c.vid, encode(c.email, 'hex'), c.email_at, c.read_at, c.deleted_at,
    c.restored_at, c.doubted_to, c.doubted_at, c.asked_at)";

/// A change as an answer has it.
pub(super) const CHANGE: &str =
    "json_build_array(h.token, encode(h.user_key, 'hex'), h.begun_at, h.seen_at, h.ended_at, h.refused)";

/// One user who has one contact, which nobody else ever had and which was never merged: then this is their component.
/// Otherwise the answer says that there is more. All that it takes to know is what the contact's row says of whose it
/// is (`whose`). With the key, in hexadecimal, as its one parameter, so that a client that can keeps it prepared: to
/// plan it takes ten times as long as to run it.
pub(crate) fn flat(tables: &Tables) -> String {
    flat_with(tables, "")
}

/// [`flat`] with fields of the answer's own, each with a comma behind it.
pub(super) fn flat_with(tables: &Tables, fields: &str) -> String {
    let head = page_head(&format!("(SELECT {META} FROM {{meta}} t WHERE t.id = 1)"));
    tables.named(&format!(
        "SELECT json_build_object({head}, {fields}
           'links', json_agg(json_build_array($1::text, l.vid, l.first_at, l.last_at)),
           'contacts', json_agg({CONTACT}) FILTER (WHERE c.vid IS NOT NULL),
           'changes', (SELECT json_agg({CHANGE}) FROM {{changes}} h
             WHERE h.user_key = decode($1::text, 'hex') AND h.ended_at IS NULL),
           'more', count(*) > 1 OR count(*) > count(*) FILTER (WHERE c.whose = l.user_key))::text
         FROM {{links}} l LEFT JOIN {{contacts}} c USING (vid) WHERE l.user_key = decode($1::text, 'hex')"
    ))
}

/// [`flat`]'s parameter for a user.
pub(crate) fn parameter(user: &Key) -> String {
    base16ct::lower::encode_string(user.tagged())
}

/// The whole component of one user, for a page: with [`flat`]'s parameter.
pub(crate) fn page_walk(tables: &Tables) -> String {
    page_walk_with(tables, "")
}

/// [`page_walk`] with fields of the answer's own, each with a comma behind it.
pub(super) fn page_walk_with(tables: &Tables, fields: &str) -> String {
    let seeds = "SELECT decode($1::text, 'hex'), NULL::bigint";
    component(tables, &Begin { before: "", seeds, fields }, &Names::default(), Depth::Page)
}

/// The whole component of some users and contacts, for a worker.
pub(crate) fn walk(tables: &Tables, names: &Names) -> String {
    let mut seeds = String::from("SELECT * FROM (VALUES (NULL::bytea, NULL::bigint)");
    for user in &names.users {
        write!(seeds, ", ({}, NULL)", bytes(user.tagged())).expect("a String takes all");
    }
    for vid in &names.vids {
        write!(seeds, ", (NULL, {vid})").expect("a String takes all");
    }
    seeds.push_str(") seed");
    component(tables, &Begin { before: "", seeds: &seeds, fields: "" }, names, Depth::Work)
}

/// What a walk begins with.
pub(super) struct Begin<'a> {
    /// Tables of the statement's own, each with a comma behind it.
    pub(super) before: &'a str,
    /// Gives users and vids.
    pub(super) seeds: &'a str,
    /// Fields of the answer of the statement's own, each with a comma behind it.
    pub(super) fields: &'a str,
}

/// All that hangs together with what a walk begins with.
///
/// How many names a walk finds PostgreSQL cannot know, and takes for hundreds: joined to them it would read whole
/// tables, or compile the statement anew each time. An array it takes for ten. Of tables without statistics (new ones
/// that a file was just copied into) it estimates thousands of contacts for each user, and would compile, for a second,
/// what runs for less than a millisecond. So the walk asks for ids within bounds that every id is within: without
/// statistics the planner estimates that 0.5 % of rows are within bounds.
pub(super) fn component(tables: &Tables, begin: &Begin<'_>, names: &Names, depth: Depth) -> String {
    let work = depth == Depth::Work;
    let &Begin { before, seeds, fields } = begin;
    let (limit, head) = (limit(depth) + 1, head(&if work { deadline() } else { String::new() }));
    let (us, vs) = ("(SELECT us FROM k)::bytea[]", "(SELECT vs FROM k)::bigint[]");
    // Who holds a conflict's email decides nothing, but whether it is over.
    let holders = if work { "UNION ALL SELECT NULL, x.holder FROM {conflicts} x WHERE x.user_key = n.u" } else { "" };
    let of_users = if work { "" } else { "AND h.ended_at IS NULL" };
    let tokens = list(names.tokens.iter().map(i64::to_string));
    let marks = list(names.marks.iter().map(|mark| bytes(mark)));
    let graves = list(names.graves.iter().map(|grave| bytes(grave)));
    let for_work = match work {
        false => String::new(),
        true => format!(
            "'marks', (SELECT json_agg(encode(u.mark, 'hex')) FROM {{erased_users}} u WHERE u.mark IN ({marks})),
             'secondaries', (SELECT json_agg(json_build_array(s.vid, encode(s.email, 'hex'), s.at))
               FROM {{secondaries}} s WHERE s.vid = ANY ({vs})),
             'conflicts', (SELECT json_agg(json_build_array(encode(x.user_key, 'hex'), x.holder, x.why, x.since, x.last_at,
               x.ended_at)) FROM {{conflicts}} x WHERE x.user_key = ANY ({us})),"
        ),
    };
    tables.named(&format!(
        "WITH RECURSIVE t AS MATERIALIZED (SELECT * FROM {{meta}} WHERE id = 1), {before} n (u, v) AS (
           {seeds}
           UNION
           SELECT m.u, m.v FROM n CROSS JOIN LATERAL (
             SELECT NULL::bytea AS u, l.vid AS v FROM {{links}} l WHERE l.user_key = n.u AND l.vid {ANY}
             UNION ALL SELECT l.user_key, NULL FROM {{links}} l WHERE l.vid = n.v AND l.vid {ANY}
             UNION ALL SELECT NULL, m.into_vid FROM {{merges}} m WHERE m.old_vid = n.v AND m.into_vid {ANY}
             UNION ALL SELECT NULL, m.old_vid FROM {{merges}} m WHERE m.into_vid = n.v AND m.into_vid {ANY}
             {holders}) m),
           k (us, vs, names) AS MATERIALIZED (
             SELECT array_agg(u) FILTER (WHERE u IS NOT NULL), array_agg(v) FILTER (WHERE v IS NOT NULL),
               count(*) FROM (SELECT u, v FROM n WHERE u IS NOT NULL OR v IS NOT NULL LIMIT {limit}) n),
           c AS MATERIALIZED (
             SELECT c.* FROM {{contacts}} c WHERE c.vid = ANY ({vs})),
           g (g) AS MATERIALIZED (
             SELECT unnest(ARRAY[{graves}]::bytea[])
             UNION SELECT {GRAVE}c.email) FROM c WHERE c.email IS NOT NULL)
         SELECT json_build_object({head},
           'names', (SELECT names FROM k), {fields}
           'links', (SELECT json_agg(json_build_array(encode(l.user_key, 'hex'), l.vid, l.first_at, l.last_at))
             FROM {{links}} l WHERE l.user_key = ANY ({us})),
           'contacts', (SELECT json_agg({CONTACT}) FROM c),
           'merges', (SELECT json_agg(json_build_array(m.old_vid, m.into_vid, m.at, m.born, m.heard_at))
             FROM {{merges}} m WHERE m.old_vid = ANY ({vs})),
           {for_work}
           'changes', (SELECT json_agg({CHANGE}) FROM (
             SELECT h.* FROM {{changes}} h WHERE h.user_key = ANY ({us}) {of_users}
             UNION SELECT * FROM {{changes}} WHERE token IN ({tokens})) h),
           'erased', (SELECT json_agg(e.vid) FROM {{erased}} e WHERE e.vid = ANY ({vs})),
           'buried', (SELECT json_agg(encode(b.email, 'hex'))
             FROM {{buried}} b WHERE b.email = ANY ((SELECT array_agg(g) FROM g)::bytea[])))::text
         FROM (SELECT) one LEFT JOIN t ON true"
    ))
}

/// Asks for what every answer begins with, and nothing else.
pub(crate) fn nobody(tables: &Tables) -> String {
    let head = head(&deadline());
    tables.named(&format!("SELECT json_build_object({head})::text FROM (SELECT) one LEFT JOIN {{meta}} t ON t.id = 1"))
}

/// How many names a component may have.
pub(crate) const fn limit(depth: Depth) -> usize {
    match depth {
        Depth::Page => PAGE_LIMIT,
        Depth::Work => WORK_LIMIT,
    }
}

/// A list that is never empty: SQL has none.
pub(super) fn list(items: impl Iterator<Item = String>) -> String {
    let all: Vec<_> = items.collect();
    if all.is_empty() { "NULL".into() } else { all.join(", ") }
}
