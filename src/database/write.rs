//! What is written: the facts that are new, each joined with what is in the table by then.
//!
//! Two hosts that write at once each know what was committed before they asked, and not what the other one is about to
//! write. So no statement says what a row is from now on; it says what is to be joined to it. Only what a user's
//! forgetting or a contact's erasure takes out is taken out.
//!
//! Rows are written table by table in one order, and in a table in the order of their keys, so two transactions of this
//! library never wait for one another in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::ask::{Names, bytes, list};
use super::named::{Named, changed, news, touched};
use super::schema::{GRAVE, GRAVES_LOCK, GRAVES_LOCKS, Tables};
use super::watch::TX;
use super::whose::raised;
use crate::rows::facts::{Change, Dispute, Facts, Key, Linked, Merge, Print, Said};
use crate::rows::{filled, grave};

/// The statements that make of the facts `before` those `after`, in the order in which they are to be run, in one
/// transaction. They may be sent one by one, or as one text with `;` between.
pub(crate) fn difference(tables: &Tables, before: &Facts, after: &Facts) -> Vec<String> {
    let mut all = Statements { tables, all: Vec::new(), copies: false };
    all.write(before, after);
    all.name(touched(before, after).as_ref(), &changed(before, after));
    all.all
}

/// The statements that join all facts of a file to the tables, in the order in which they are to be run. Each may be a
/// transaction of its own, and after any of them the rest may never come: so whose each contact is comes first, since
/// too many ask for everything where too few would be believed, and the contacts' emails come last, after all that
/// forbids to name one.
pub(crate) fn copy(tables: &Tables, facts: &Facts) -> Vec<String> {
    let nothing = Facts::default();
    let mut all = Statements { tables, all: Vec::new(), copies: true };
    let rows: Vec<_> =
        raised(&nothing, facts).into_iter().map(|(vid, whose)| format!("({vid}, {})", bytes(whose.column()))).collect();
    all.join("contacts", "(vid, whose)", &rows, &format!("(vid) DO UPDATE SET {}", joined()));
    all.write(&nothing, facts);
    // What the tables erased and the file did not: whoever erases from now on finds what was copied.
    let buried = format!("{GRAVE}email) IN (SELECT email FROM {{buried}})");
    all.push(format!(
        "UPDATE {{contacts}} SET email = NULL
         WHERE email IS NOT NULL AND ({buried} OR vid IN (SELECT vid FROM {{erased}}))"
    ));
    all.push(format!("DELETE FROM {{secondaries}} WHERE {buried} OR vid IN (SELECT vid FROM {{erased}})"));
    all.all
}

/// How many rows a statement has at most: a file that is copied has millions.
const AT_ONCE: usize = 1_000;

struct Statements<'t> {
    tables: &'t Tables,
    all: Vec<String>,
    /// Whether the tables were not asked what is buried, nor is anything locked.
    copies: bool,
}

impl Statements<'_> {
    fn write(&mut self, before: &Facts, after: &Facts) {
        // What nobody may learn again comes first: whoever waits for it finds it.
        let erased: Vec<_> = after.erased.difference(&before.erased).map(|vid| format!("({vid})")).collect();
        self.join("erased", "(vid)", &erased, "(vid) DO NOTHING");
        let graves: Vec<_> = after.buried.difference(&before.buried).copied().collect();
        for graves in graves.chunks(AT_ONCE) {
            let rows: Vec<_> = graves.iter().map(|grave| format!("({})", bytes(grave))).collect();
            self.push(format!(
                "INSERT INTO {{buried}} (email) SELECT v.email FROM {}, (VALUES {}) v (email)
                 WHERE held.held >= 0 ON CONFLICT (email) DO NOTHING",
                held(graves, true),
                rows.join(", ")
            ));
        }
        let marks: Vec<_> = after.marks.difference(&before.marks).map(|mark| bytes(mark)).collect();
        self.join("erased_users", "(mark)", &each(&marks), "(mark) DO NOTHING");
        let taken_back: Vec<_> = before.marks.difference(&after.marks).map(|mark| bytes(mark)).collect();
        self.take("erased_users", "mark", &taken_back);
        merges(self, before, after);
        changes(self, before, after);
        disputes(self, before, after);
        links(self, before, after);
        secondaries(self, before, after);
        contacts(self, before, after);
        for graves in graves.chunks(AT_ONCE) {
            let graves = list(graves.iter().map(|grave| bytes(grave)));
            self.push(format!(
                "UPDATE {{contacts}} SET email = NULL WHERE email IS NOT NULL AND {GRAVE}email) IN ({graves})"
            ));
            self.push(format!("DELETE FROM {{secondaries}} WHERE {GRAVE}email) IN ({graves})"));
        }
    }

    fn push(&mut self, sql: String) {
        // Of whom a copy writes is everybody, for each that may be a transaction of its own.
        let names = if self.copies {
            format!("WITH names AS (INSERT INTO {{touched}} (tx) VALUES ({TX})) ")
        } else {
            String::new()
        };
        self.all.push(self.tables.named(&(names + &sql)));
    }

    /// Names whom these facts are of, for whoever keeps answers; none: everybody. Whose the changes are that were
    /// written the rows know best, should another host have handed one on since it was asked for.
    fn name(&mut self, named: Option<&Named>, tokens: &[i64]) {
        let rows = named.map_or_else(|| vec![(None, None)], Named::rows);
        let row = |(user, vid): (Option<String>, Option<i64>)| {
            format!("({TX}, {}::bytea, {}::bigint)", or_null(user), or_null(vid))
        };
        let rows: Vec<_> = rows.into_iter().map(row).collect();
        if rows.is_empty() {
            return;
        }
        let mut names = format!("INSERT INTO {{touched}} (tx, user_key, vid) VALUES {}", rows.join(", "));
        if let Some(named) = named.filter(|_| !tokens.is_empty()) {
            let known = named.users.iter().map(|user| bytes(user.tagged())).collect::<Vec<_>>().join(", ");
            let tokens = list(tokens.iter().map(i64::to_string));
            write!(
                names,
                " UNION ALL SELECT {TX}, user_key, NULL FROM {{changes}} WHERE token IN ({tokens})
                 AND user_key <> ALL (ARRAY[{known}]::bytea[])"
            )
            .expect("a String takes all");
        }
        self.push(names);
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

    /// [`Statements::join`] of rows with an email each, or none. `columns` are those of the table, each with its value
    /// of `v`, the row. Of a copy each statement holds off whoever buries one of its emails.
    fn join_emails(&mut self, table: &str, columns: &[(&str, &str)], rows: &[(String, Option<Print>)], conflict: &str) {
        let names = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        for rows in rows.chunks(AT_ONCE) {
            let graves: Vec<_> = rows.iter().filter_map(|(_, email)| email.map(|email| grave(&email))).collect();
            let literals: Vec<_> = rows.iter().map(|(row, _)| row.clone()).collect();
            if !self.copies || graves.is_empty() {
                self.join(table, &format!("({names})"), &literals, conflict);
                continue;
            }
            let values = columns.iter().map(|(_, value)| *value).collect::<Vec<_>>().join(", ");
            self.push(format!(
                "INSERT INTO {{{table}}} AS t ({names}) SELECT {values} FROM {}, (VALUES {}) v ({names})
                 WHERE held.held >= 0 ON CONFLICT {conflict}",
                held(&graves, false),
                literals.join(", ")
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
    let more: BTreeMap<i64, Said> = filled(more.into_iter().map(|(vid, now)| (*vid, *now)));
    let raised = raised(before, after);
    let vids: BTreeSet<i64> = filled(more.keys().chain(raised.keys()).copied());
    let rows: Vec<_> = vids
        .iter()
        .map(|vid| {
            let now = more.get(vid).copied().unwrap_or_default();
            let Said { email, email_at, read_at, deleted_at, restored_at, doubted_to, doubted_at, asked_at } = now;
            let times = [email_at, read_at, deleted_at, restored_at, doubted_to, doubted_at, asked_at];
            let times = times.map(or_null).join(", ");
            let whose = or_null(raised.get(vid).map(|whose| bytes(whose.column())));
            (format!("({vid}, {}, {whose}, {times})", or_null(email.map(|email| bytes(&email)))), email)
        })
        .collect();
    let conflict = format!(
        "(vid) DO UPDATE SET {},
           email = CASE WHEN {LATER} THEN excluded.email
             WHEN (excluded.email_at, coalesce(excluded.read_at, 0)) = (t.email_at, coalesce(t.read_at, 0))
               AND excluded.email IS DISTINCT FROM t.email THEN NULL ELSE t.email END,
           read_at = CASE WHEN {LATER} THEN excluded.read_at ELSE t.read_at END,
           email_at = greatest(t.email_at, excluded.email_at),
           deleted_at = greatest(t.deleted_at, excluded.deleted_at),
           restored_at = greatest(t.restored_at, excluded.restored_at),
           doubted_to = greatest(t.doubted_to, excluded.doubted_to),
           doubted_at = greatest(t.doubted_at, excluded.doubted_at),
           asked_at = greatest(t.asked_at, excluded.asked_at)",
        joined()
    );
    let unburied = format!(
        "CASE WHEN NOT EXISTS (SELECT FROM {{buried}} b WHERE b.email = {GRAVE}v.email::bytea)) THEN v.email::bytea END"
    );
    let columns = [
        ("vid", "v.vid"),
        ("email", &unburied),
        ("whose", "v.whose::bytea"),
        ("email_at", "v.email_at::bigint"),
        ("read_at", "v.read_at::bigint"),
        ("deleted_at", "v.deleted_at::bigint"),
        ("restored_at", "v.restored_at::bigint"),
        ("doubted_to", "v.doubted_to::bigint"),
        ("doubted_at", "v.doubted_at::bigint"),
        ("asked_at", "v.asked_at::bigint"),
    ];
    all.join_emails("contacts", &columns, &rows, &conflict);
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

/// The join of whose a contact is.
fn joined() -> String {
    format!(
        "whose = CASE WHEN excluded.whose IS NULL OR t.whose = excluded.whose THEN t.whose
           WHEN t.whose IS NULL THEN excluded.whose ELSE {SEVERAL} END"
    )
}

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
    let row = |vid: &i64, email: &Print, at: &i64| (format!("({vid}, {}, {at})", bytes(email)), Some(*email));
    let rows: Vec<_> = new.iter().map(|((vid, email), at)| row(vid, email, at)).collect();
    let conflict = "(vid, email) DO UPDATE SET at = greatest(t.at, excluded.at)";
    all.join_emails("secondaries", &[("vid", "v.vid"), ("email", "v.email"), ("at", "v.at")], &rows, conflict);
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
            format!("({token}, {whose}, {}, {}, {refused}, {TX})", or_null(*begun_at), or_null(*ended_at))
        })
        .collect();
    // Whose change it is the row knows; of one that is nobody's any more nothing is learnt.
    all.join(
        "changes",
        "(token, user_key, begun_at, ended_at, refused, tx)",
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
///
/// All are taken in one order, so that nobody waits for one who waits for them; but which emails an erasure buries is
/// known after it was asked, and then those are locked too. So two erasures that bury one another's emails, or one
/// whose email the other has just heard of, may wait in a circle: PostgreSQL ends one of them, which is run again.
pub(crate) fn lock(names: &Names) -> String {
    let users = names.users.iter().map(|user| number("u", user.tagged()));
    let vids = names.vids.iter().map(|vid| number("v", &vid.to_be_bytes()));
    let all: BTreeSet<i64> = filled(users.chain(vids));
    let graves = match names.graves.is_empty() {
        true => String::new(),
        false => format!(", (SELECT held FROM {} WHERE names.locked >= 0)", held(&names.graves, names.erases)),
    };
    // To compile what is asked of many names takes longer than to do it. The graves come last: whoever waits for a
    // name keeps nobody from them.
    format!(
        "SELECT set_config('jit', 'off', true), names.locked{graves} FROM (SELECT count(*) AS locked
         FROM (SELECT pg_advisory_xact_lock(k) FROM unnest(ARRAY[{}]::bigint[]) k OFFSET 0) locked) names",
        list(all.iter().map(i64::to_string))
    )
}

/// What the name of a lock begins with.
const LOCK: &str = "vidcache lock ";

/// The number of a lock.
fn number(kind: &str, name: &[u8]) -> i64 {
    use sha2::{Digest, Sha256};
    let hash = Sha256::new().chain_update(LOCK).chain_update(kind).chain_update(name).finalize();
    i64::from_be_bytes(hash[..8].try_into().expect("8 bytes of 32"))
}

/// [`number`] in PostgreSQL's words, of a name in bytes.
pub(super) fn lock_number(kind: &str, name: &str) -> String {
    let hash = format!("sha256(convert_to('{LOCK}{kind}', 'UTF8') || {name})");
    format!("('x' || encode(substr({hash}, 1, 8), 'hex'))::bit(64)::bigint")
}

/// A table, `held`, of one row whose making takes the locks of graves, in one order: with others, or `alone`.
fn held(graves: &[[u8; 32]], alone: bool) -> String {
    let number = |grave: &[u8; 32]| GRAVES_LOCK + i64::from(u16::from_be_bytes([grave[0], grave[1]]) % GRAVES_LOCKS);
    let numbers: BTreeSet<i64> = filled(graves.iter().map(number));
    let shared = if alone { "" } else { "_shared" };
    format!(
        "(SELECT count(*) AS held FROM (SELECT pg_advisory_xact_lock{shared}(k)
            FROM unnest(ARRAY[{}]::bigint[]) k OFFSET 0) k) held",
        list(numbers.iter().map(i64::to_string))
    )
}
