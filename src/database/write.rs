//! What is written: the facts that are new, each joined with what is in the table by then.
//!
//! Two hosts that write at once each know what was committed before they asked, and not what the other one is about to
//! write. So no statement says what a row is from now on; it says what is to be joined to it. Only what a user's
//! forgetting or a contact's erasure takes out is taken out.
//!
//! Rows are written table by table in one order, and in a table in the order of their keys, so two transactions of this
//! library never wait for one another in a circle.

use std::collections::{BTreeMap, BTreeSet};

use super::ask::{Names, bytes, list};
use super::schema::{GRAVE, GRAVES_LOCK, Tables};
use super::whose::raised;
use crate::rows::facts::{Change, Dispute, Facts, Key, Linked, Merge, Said};

/// The statements that make of the facts `before` those `after`, in the order in which they are to be run. They may be
/// sent one by one, or as one text with `;` between.
pub(crate) fn difference(tables: &Tables, before: &Facts, after: &Facts) -> Vec<String> {
    let mut all = Statements { tables, all: Vec::new() };
    // What nobody may learn again comes first: whoever waits for it finds it.
    let erased: Vec<_> = after.erased.difference(&before.erased).map(|vid| format!("({vid})")).collect();
    all.join("erased", "(vid)", &erased, "(vid) DO NOTHING");
    let graves: Vec<_> = after.buried.difference(&before.buried).map(|grave| bytes(grave)).collect();
    for graves in each(&graves).chunks(AT_ONCE) {
        all.push(format!(
            "INSERT INTO {{buried}} (email) SELECT v.email FROM (SELECT pg_advisory_xact_lock({GRAVES_LOCK}) OFFSET 0) held,
               (VALUES {}) v (email) ON CONFLICT (email) DO NOTHING",
            graves.join(", ")
        ));
    }
    let marks: Vec<_> = after.marks.difference(&before.marks).map(|mark| bytes(mark)).collect();
    all.join("erased_users", "(mark)", &each(&marks), "(mark) DO NOTHING");
    let taken_back: Vec<_> = before.marks.difference(&after.marks).map(|mark| bytes(mark)).collect();
    all.take("erased_users", "mark", &taken_back);
    links(&mut all, before, after);
    contacts(&mut all, before, after);
    merges(&mut all, before, after);
    secondaries(&mut all, before, after);
    changes(&mut all, before, after);
    disputes(&mut all, before, after);
    if !graves.is_empty() {
        let graves = graves.join(", ");
        all.push(format!(
            "UPDATE {{contacts}} SET email = NULL WHERE email IS NOT NULL AND {GRAVE}email) IN ({graves})"
        ));
        all.push(format!("DELETE FROM {{secondaries}} WHERE {GRAVE}email) IN ({graves})"));
    }
    all.all
}

/// How many rows a statement has at most: a file that is copied has millions.
const AT_ONCE: usize = 1_000;

struct Statements<'t> {
    tables: &'t Tables,
    all: Vec<String>,
}

impl Statements<'_> {
    fn push(&mut self, sql: String) {
        self.all.push(self.tables.named(&sql));
    }

    /// Joins rows to what is in a table as `t`.
    fn join(&mut self, table: &str, columns: &str, rows: &[String], conflict: &str) {
        for rows in rows.chunks(AT_ONCE) {
            self.push(format!(
                "INSERT INTO {{{table}}} AS t {columns} VALUES {} ON CONFLICT {conflict}",
                rows.join(", ")
            ));
        }
    }

    /// Takes rows out of a table by their key.
    fn take(&mut self, table: &str, key: &str, rows: &[String]) {
        if !rows.is_empty() {
            self.push(format!("DELETE FROM {{{table}}} WHERE {key} IN ({})", rows.join(", ")));
        }
    }
}

fn each(values: &[String]) -> Vec<String> {
    values.iter().map(|value| format!("({value})")).collect()
}

fn or_null<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "NULL".into(), |value| value.to_string())
}

/// What is new or another in `after`, and the keys of what is there no more.
fn news<'m, K: Ord, V: PartialEq>(
    before: &'m std::collections::BTreeMap<K, V>,
    after: &'m std::collections::BTreeMap<K, V>,
) -> (Vec<(&'m K, &'m V)>, Vec<&'m K>) {
    let new = after.iter().filter(|(key, value)| before.get(key) != Some(value)).collect();
    let gone = before.keys().filter(|key| !after.contains_key(key)).collect();
    (new, gone)
}

fn links(all: &mut Statements<'_>, before: &Facts, after: &Facts) {
    let (new, gone) = news(&before.links, &after.links);
    let rows: Vec<_> = new
        .iter()
        .map(|((user, vid), Linked { first_at, last_at })| {
            format!("({}, {vid}, {first_at}, {last_at})", bytes(user.tagged()))
        })
        .collect();
    all.join(
        "links",
        "(user_key, vid, first_at, last_at)",
        &rows,
        "(user_key, vid) DO UPDATE SET first_at = least(t.first_at, excluded.first_at),
           last_at = greatest(t.last_at, excluded.last_at)",
    );
    let gone: Vec<_> = gone.iter().map(|(user, vid)| format!("({}, {vid})", bytes(user.tagged()))).collect();
    all.take("links", "(user_key, vid)", &gone);
}

fn contacts(all: &mut Statements<'_>, before: &Facts, after: &Facts) {
    const LATER: &str = "excluded.email_at IS NOT NULL AND (t.email_at IS NULL
        OR (excluded.email_at, coalesce(excluded.read_at, 0)) > (t.email_at, coalesce(t.read_at, 0)))";
    let (new, gone) = news(&before.contacts, &after.contacts);
    let said = |vid: &i64| before.contacts.get(vid).copied().unwrap_or_default();
    let (more, less): (Vec<_>, Vec<_>) = new.into_iter().partition(|(vid, now)| said(vid).join(**now) == **now);
    let more: BTreeMap<i64, Said> = more.into_iter().map(|(vid, now)| (*vid, *now)).collect();
    let raised = raised(before, after);
    let vids: BTreeSet<i64> = more.keys().chain(raised.keys()).copied().collect();
    let rows: Vec<_> = vids
        .iter()
        .map(|vid| {
            let now = more.get(vid).copied().unwrap_or_default();
            let Said { email, email_at, read_at, deleted_at, restored_at, doubted_to, doubted_at, asked_at } = now;
            let times = [email_at, read_at, deleted_at, restored_at, doubted_to, doubted_at, asked_at];
            let times = times.map(or_null).join(", ");
            let whose = or_null(raised.get(vid).map(|whose| bytes(whose.column())));
            format!("({vid}, {}, {whose}, {times})", or_null(email.map(|email| bytes(&email))))
        })
        .collect();
    let conflict = format!(
        "(vid) DO UPDATE SET
           whose = CASE WHEN excluded.whose IS NULL OR t.whose = excluded.whose THEN t.whose
             WHEN t.whose IS NULL THEN excluded.whose ELSE {SEVERAL} END,
           email = CASE WHEN {LATER} THEN excluded.email
             WHEN (excluded.email_at, coalesce(excluded.read_at, 0)) = (t.email_at, coalesce(t.read_at, 0))
               AND excluded.email IS DISTINCT FROM t.email THEN NULL ELSE t.email END,
           read_at = CASE WHEN {LATER} THEN excluded.read_at ELSE t.read_at END,
           email_at = greatest(t.email_at, excluded.email_at),
           deleted_at = greatest(t.deleted_at, excluded.deleted_at),
           restored_at = greatest(t.restored_at, excluded.restored_at),
           doubted_to = greatest(t.doubted_to, excluded.doubted_to),
           doubted_at = greatest(t.doubted_at, excluded.doubted_at),
           asked_at = greatest(t.asked_at, excluded.asked_at)"
    );
    let columns = "(vid, email, whose, email_at, read_at, deleted_at, restored_at, doubted_to, doubted_at, asked_at)";
    all.join("contacts", columns, &rows, &conflict);
    // What was taken out with a user: unless HubSpot has said something else since this was read.
    for (vid, now) in less {
        let was = said(vid);
        let email = |said: &Said| or_null(said.email.map(|email| bytes(&email)));
        all.push(format!(
            "UPDATE {{contacts}} SET email = {}, email_at = {}
             WHERE vid = {vid} AND email IS NOT DISTINCT FROM {} AND email_at IS NOT DISTINCT FROM {}",
            email(now),
            or_null(now.email_at),
            email(&was),
            or_null(was.email_at)
        ));
    }
    // The row stays, with nothing in it: whose the contact is may never be said of less than it was.
    for gone in gone.chunks(AT_ONCE) {
        let gone = list(gone.iter().map(|vid| vid.to_string()));
        all.push(format!(
            "UPDATE {{contacts}} SET whose = {SEVERAL}, email = NULL, email_at = NULL, read_at = NULL, deleted_at = NULL,
               restored_at = NULL, doubted_to = NULL, doubted_at = NULL, asked_at = NULL WHERE vid IN ({gone})"
        ));
    }
}

/// The literal of [`Whose::Several`](super::whose::Whose::Several).
const SEVERAL: &str = "decode('', 'hex')";

fn merges(all: &mut Statements<'_>, before: &Facts, after: &Facts) {
    let (new, gone) = news(&before.merges, &after.merges);
    let rows: Vec<_> = new
        .iter()
        .map(|((old, into), Merge { at, born, heard_at })| format!("({old}, {into}, {at}, {born}, {heard_at})"))
        .collect();
    all.join(
        "merges",
        "(old_vid, into_vid, at, born, heard_at)",
        &rows,
        "(old_vid, into_vid) DO UPDATE SET at = greatest(t.at, excluded.at), born = t.born OR excluded.born,
           heard_at = least(t.heard_at, excluded.heard_at)",
    );
    let gone: Vec<_> = gone.iter().map(|(old, into)| format!("({old}, {into})")).collect();
    all.take("merges", "(old_vid, into_vid)", &gone);
}

fn secondaries(all: &mut Statements<'_>, before: &Facts, after: &Facts) {
    let (new, gone) = news(&before.secondaries, &after.secondaries);
    let rows: Vec<_> = new.iter().map(|((vid, email), at)| format!("({vid}, {}, {at})", bytes(email))).collect();
    let conflict = "(vid, email) DO UPDATE SET at = greatest(t.at, excluded.at)";
    all.join("secondaries", "(vid, email, at)", &rows, conflict);
    let gone: Vec<_> = gone.iter().map(|(vid, email)| format!("({vid}, {})", bytes(email))).collect();
    all.take("secondaries", "(vid, email)", &gone);
}

fn changes(all: &mut Statements<'_>, before: &Facts, after: &Facts) {
    let (new, gone) = news(&before.changes, &after.changes);
    let user = |user: &Option<Key>| or_null(user.as_ref().map(|user| bytes(user.tagged())));
    let was = |token: &i64| before.changes.get(token);
    let (kept, handed): (Vec<_>, Vec<_>) =
        new.into_iter().partition(|(token, now)| was(token).is_none_or(|was| was.user == now.user));
    let rows: Vec<_> = kept
        .iter()
        .map(|(token, Change { user: whose, begun_at, ended_at, refused })| {
            let (whose, refused) = (user(whose), or_null(*refused));
            format!("({token}, {whose}, {}, {}, {refused})", or_null(*begun_at), or_null(*ended_at))
        })
        .collect();
    // Whose change it is the row knows; of one that is nobody's any more nothing is learnt.
    all.join(
        "changes",
        "(token, user_key, begun_at, ended_at, refused)",
        &rows,
        "(token) DO UPDATE SET begun_at = least(t.begun_at, excluded.begun_at),
           refused = CASE WHEN excluded.ended_at < t.ended_at OR t.ended_at IS NULL THEN excluded.refused
             WHEN excluded.ended_at = t.ended_at THEN greatest(t.refused, excluded.refused) ELSE t.refused END,
           ended_at = least(t.ended_at, excluded.ended_at) WHERE t.user_key IS NOT NULL",
    );
    // Of a user who was forgotten: another's who shares the contact, or nobody's.
    for (token, now) in handed {
        let (whose, ended_at) = (user(&now.user), or_null(now.ended_at));
        let refused = if now.user.is_none() { "NULL" } else { "refused" };
        all.push(format!(
            "UPDATE {{changes}} SET user_key = {whose}, ended_at = least(ended_at, {ended_at}), refused = {refused}
             WHERE token = {token}"
        ));
    }
    all.take("changes", "token", &gone.iter().map(ToString::to_string).collect::<Vec<_>>());
}

fn disputes(all: &mut Statements<'_>, before: &Facts, after: &Facts) {
    const LATER: &str = "excluded.last_at IS NOT NULL AND (t.last_at IS NULL
        OR (excluded.last_at, coalesce(excluded.holder, 0), excluded.why, -excluded.since)
          > (t.last_at, coalesce(t.holder, 0), t.why, -t.since))";
    let (new, gone) = news(&before.disputes, &after.disputes);
    let rows: Vec<_> = new
        .iter()
        .map(|(user, Dispute { holder, why, since, last_at, ended_at })| {
            let numbers = [holder, why, since, last_at, ended_at].map(|number| or_null(*number)).join(", ");
            format!("({}, {numbers})", bytes(user.tagged()))
        })
        .collect();
    let conflict = format!(
        "(user_key) DO UPDATE SET holder = CASE WHEN {LATER} THEN excluded.holder ELSE t.holder END,
           why = CASE WHEN {LATER} THEN excluded.why ELSE t.why END, last_at = greatest(t.last_at, excluded.last_at),
           since = CASE WHEN {LATER} THEN excluded.since ELSE t.since END, ended_at = greatest(t.ended_at, excluded.ended_at)"
    );
    all.join("conflicts", "(user_key, holder, why, since, last_at, ended_at)", &rows, &conflict);
    let taken: Vec<_> = gone.iter().map(|user| bytes(user.tagged())).collect();
    all.take("conflicts", "user_key", &taken);
    // A contact that was erased is named nowhere.
    let erased: Vec<_> = after.erased.difference(&before.erased).map(i64::to_string).collect();
    if !erased.is_empty() {
        all.push(format!("UPDATE {{conflicts}} SET holder = NULL WHERE holder IN ({})", erased.join(", ")));
    }
}

/// The lock of those who write of the same users and contacts, for the rest of the transaction: to be run before they
/// are asked for, in a statement of its own, since a statement sees what was committed when it began. With it what the
/// one finds free the other does not take meanwhile, and nobody buries an email that another one writes down.
pub(crate) fn lock(names: &Names) -> String {
    use sha2::{Digest, Sha256};
    let number = |kind: &[u8], name: &[u8]| {
        let hash = Sha256::new().chain_update(b"vidcache lock ").chain_update(kind).chain_update(name).finalize();
        i64::from_be_bytes(hash[..8].try_into().expect("8 bytes of 32"))
    };
    let mut all: Vec<i64> = names.users.iter().map(|user| number(b"u", user.tagged())).collect();
    all.extend(names.vids.iter().map(|vid| number(b"v", &vid.to_be_bytes())));
    // In one order, so that nobody waits for one who waits for them.
    all.sort_unstable();
    all.dedup();
    let graves = match (names.erases, names.graves.is_empty()) {
        (true, _) => format!(", pg_advisory_xact_lock({GRAVES_LOCK})"),
        (false, false) => format!(", pg_advisory_xact_lock_shared({GRAVES_LOCK})"),
        (false, true) => String::new(),
    };
    // To compile what is asked of many names takes longer than to do it. The graves come last: whoever waits for a
    // name keeps nobody from them.
    format!(
        "SELECT set_config('jit', 'off', true), count(*){graves}
         FROM (SELECT pg_advisory_xact_lock(k) FROM unnest(ARRAY[{}]::bigint[]) k OFFSET 0) locked",
        list(all.iter().map(i64::to_string))
    )
}
