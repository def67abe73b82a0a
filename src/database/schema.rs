//! The tables in the app's own database.
//!
//! Every row is a join of facts, and every write joins what is there with what is new, so two hosts that write one row
//! at the same time end in the same row, whoever is first. Only types that Rails' `schema.rb`, Django and Prisma can
//! write down: bigint, binary, boolean.

use crate::error::{Error, Result};

/// What a version must know of to write these tables.
pub(crate) const FORMAT: i64 = 1;

/// The longest name of a schema that PostgreSQL keeps whole.
const LONGEST_NAME: usize = 63;

/// What stands for an email of an erased contact is a hash of this and its fingerprint, as in a file.
pub(crate) const GRAVE: &str = "sha256(convert_to('vidcache 1: erased email', 'UTF8') || ";

/// Whoever writes an email down holds the lock of its grave with others, and whoever buries it holds that lock alone,
/// till the end of the transaction: so an email that was written before it was buried is found and taken out, and a
/// later one is not written. This is the number of the first.
pub(crate) const GRAVES_LOCK: i64 = 0x7669_6463_6163_6865;

/// How many such locks there are: a server has memory for some thousand locks, and a transaction that stays open holds
/// off those alone who bury an email that has a lock with one of its own.
pub(crate) const GRAVES_LOCKS: u16 = 1024;

/// The tables, by the schema they are in: a name without one would follow `search_path`, which tenancy gems change.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    /// `"public"."vidcache_`: what every name begins with.
    stem: String,
}

impl Tables {
    /// The tables of a schema of the database, say `public`.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for a name that is empty, longer than 63 bytes, or holds a NUL.
    pub(crate) fn of(schema: &str) -> Result<Self> {
        if schema.is_empty() || schema.len() > LONGEST_NAME || schema.contains('\0') {
            return Err(Error::InvalidOption { name: "schema", why: "it must be the name of a schema, 1 to 63 bytes" });
        }
        Ok(Self { stem: format!("\"{}\".\"vidcache_", schema.replace('"', "\"\"")) })
    }

    /// The name of one table, quoted.
    pub(crate) fn name(&self, table: &str) -> String {
        format!("{}{table}\"", self.stem)
    }

    /// `sql` with `{links}` and the like as the names of the tables.
    pub(crate) fn named(&self, sql: &str) -> String {
        TABLES.iter().fold(sql.to_owned(), |sql, table| sql.replace(&format!("{{{table}}}"), &self.name(table)))
    }

    /// The statements that make the tables, for a migration.
    pub(crate) fn create(&self) -> Vec<String> {
        CREATE.iter().map(|sql| self.named(sql)).collect()
    }
}

pub(crate) const TABLES: &[&str] = &[
    "meta",
    "links",
    "contacts",
    "merges",
    "secondaries",
    "changes",
    "conflicts",
    "erased",
    "buried",
    "erased_users",
    "leases",
    "deadlines",
    "touched",
];

/// Times are milliseconds since 1970: HubSpot's clock where HubSpot says it, PostgreSQL's everywhere else.
const CREATE: &[&str] = &[
    // One row. The portal, and the key of the fingerprints, wrapped under the app's secret. Whoever knows no format
    // from `min_reader` on must not answer. Up to `doubted_to` of HubSpot's clock nothing counts that it said of any
    // contact, but what a read says that was begun at `doubted_at` or later: for a database that was put back. Of
    // transactions before `horizon` no name of `touched` is left; from `prune_tx` on the next pruning leaves them.
    "CREATE TABLE {meta} (id bigint PRIMARY KEY, portal bigint NOT NULL, key_check bytea NOT NULL,
       wrapped_key bytea NOT NULL, format bigint NOT NULL, min_reader bigint NOT NULL, made_at bigint NOT NULL,
       doubted_to bigint, doubted_at bigint, horizon bigint, prune_tx bigint, pruned_at bigint)",
    // user_key: a tag and the key, see `UserKey::tagged`. The least and the greatest.
    "CREATE TABLE {links} (user_key bytea NOT NULL, vid bigint NOT NULL, first_at bigint NOT NULL,
       last_at bigint NOT NULL, PRIMARY KEY (user_key, vid))",
    "CREATE INDEX vidcache_links_vid ON {links} (vid)",
    // An id, merged or not. The email by the latest (email_at, read_at), none where two tie; the greatest of each
    // other. whose: the one user who was ever linked to it, see `whose`.
    "CREATE TABLE {contacts} (vid bigint PRIMARY KEY, email bytea, whose bytea, email_at bigint, read_at bigint,
       deleted_at bigint, restored_at bigint, doubted_to bigint, doubted_at bigint, asked_at bigint)",
    "CREATE TABLE {merges} (old_vid bigint NOT NULL, into_vid bigint NOT NULL, at bigint NOT NULL, born boolean NOT NULL,
       heard_at bigint NOT NULL, PRIMARY KEY (old_vid, into_vid))",
    "CREATE INDEX vidcache_merges_into ON {merges} (into_vid)",
    "CREATE TABLE {secondaries} (vid bigint NOT NULL, email bytea NOT NULL, at bigint NOT NULL,
       PRIMARY KEY (vid, email))",
    // The least begun_at, the least ended_at (of one time the greatest refusal), the greatest seen_at: when a worker
    // first saw the change committed, which is what the quiet period is counted from. tx: the transaction that wrote it
    // first, see `watch`.
    "CREATE TABLE {changes} (token bigint PRIMARY KEY, user_key bytea, begun_at bigint, seen_at bigint, ended_at bigint,
       refused bigint, tx bigint NOT NULL)",
    "CREATE INDEX vidcache_changes_outstanding ON {changes} (user_key) WHERE ended_at IS NULL",
    "CREATE INDEX vidcache_changes_ended ON {changes} (ended_at) WHERE ended_at IS NOT NULL",
    "CREATE INDEX vidcache_changes_tx ON {changes} (tx) WHERE ended_at IS NULL",
    "CREATE INDEX vidcache_changes_user ON {changes} (user_key) WHERE ended_at IS NOT NULL",
    "CREATE TABLE {conflicts} (user_key bytea PRIMARY KEY, holder bigint, why bigint, since bigint, last_at bigint,
       ended_at bigint)",
    // For ever.
    "CREATE TABLE {erased} (vid bigint PRIMARY KEY)",
    "CREATE TABLE {buried} (email bytea PRIMARY KEY)",
    // Whose contacts were erased, until the app forgets them: a keyed hash of the user's key.
    "CREATE TABLE {erased_users} (mark bytea PRIMARY KEY)",
    // Whose turn it is to tell HubSpot of a user.
    "CREATE TABLE {leases} (user_key bytea PRIMARY KEY, holder bigint NOT NULL, until_at bigint NOT NULL)",
    // The page deadlines of processes, and when one said so last.
    "CREATE TABLE {deadlines} (ms bigint PRIMARY KEY, seen_at bigint NOT NULL)",
    // Of whom something else was written than the beginning of a change, and by which transaction: a user and a
    // contact, which need not belong together, one of them, or, of neither, everybody. See `named`.
    "CREATE TABLE {touched} (tx bigint NOT NULL, user_key bytea, vid bigint)",
    "CREATE INDEX vidcache_touched_tx ON {touched} (tx)",
];
