//! Opening the file: where it may be, what it must be, and how the connection is set up.
//!
//! A file that is not ours, or not right, is refused by name and left as it is.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};

use super::index_locks::{self, Seen};
use super::location::{self, cannot_open, exists, refuse};
use super::schema::{APPLICATION_ID, check_schema};
use super::settings::{Place, Settings, Synchronous};
use super::{envelope, names};
use crate::email::FingerprintKey;
use crate::error::{Error, Result};
use crate::limits::MIN_SECRET;
use crate::rows::SCHEMAS;

/// SQLite up to 3.51.2 can corrupt a WAL file under several processes.
const OLDEST_SQLITE: i32 = 3_051_003;

/// Bytes of the log that stay when it is emptied: twice what SQLite lets it grow to before a checkpoint (1,000 pages).
const LOG_KEPT: i64 = 8 << 20;

pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) key: FingerprintKey,
    pub(crate) seen: Seen,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// Where the file is, which is made where there is none.
pub(crate) fn find(settings: &Settings<'_>) -> Result<PathBuf> {
    let &Settings { path, portal, secret, old_secrets, .. } = settings;
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(Error::CannotOpen {
            path: path.into(),
            why: format!("SQLite {} is older than 3.51.3, which corrupts shared files", rusqlite::version()),
        });
    }
    let path = location::place(path)?;
    // Checked first, so that a bad secret makes no file.
    if secret.is_none() && !old_secrets.is_empty() {
        return Err(Error::InvalidOption { name: "old_secrets", why: "there must be a secret that they were before" });
    }
    if settings.secrets().any(|secret| secret.len() < MIN_SECRET) {
        return Err(Error::InvalidSecret);
    }

    if !exists(&path)? {
        for suffix in [names::LOG, names::INDEX] {
            // SQLite would read the new file through it.
            if fs::symlink_metadata(names::beside(&path, suffix)).is_ok() && !exists(&path)? {
                return Err(refuse(
                    &path,
                    "the log of a file of that name is there and the file is not: move it aside too",
                ));
            }
        }
        make(&path, portal, secret)?;
    }
    location::clean_up(&path);
    location::has_one_name(&path)?;
    Ok(path)
}

/// Opens the file at `path`, and checks that it belongs to this portal and secret. Whether it `may_make` the log and
/// the index: `guard::Guards::admit`.
pub(crate) fn first(settings: &Settings<'_>, path: &Path, may_make: bool) -> Result<Opened> {
    let secrets: Vec<&[u8]> = settings.secrets().collect();
    let opening = index_locks::opening(may_make);
    let connection = connect(path)?;
    let key = check_schema(&connection, path)
        .and_then(|()| prepare_file(&connection, path, settings.synchronous))
        .and_then(|()| check_owner(&connection, settings.portal, &secrets));
    let key = settled(path, &opening, key).map_err(|error| named(path, error))?;
    Ok(Opened { connection, key, seen: opening.seen() })
}

/// Makes an error `Busy`, so that the opening is tried again, where the log or the index was deleted meanwhile: then
/// SQLite's error tells nothing of the file itself. Must be called before the connection is closed, since closing a
/// file's only connection deletes both.
fn settled<T>(path: &Path, opening: &index_locks::Opening, opened: Result<T>) -> Result<T> {
    opened.map_err(|error| if opening.seen().is_passing(path) { Error::Busy } else { error })
}

/// The error of opening a file, which says which file is damaged.
pub(crate) fn named(path: &Path, error: Error) -> Error {
    match error {
        Error::Corrupt(what) => Error::Corrupt(format!("{}: {what}", path.display())),
        other => other,
    }
}

/// Opens a file that [`first`] has seen before: after a fork, or for the other connection.
pub(crate) fn reopen(place: &Place, access: Access, may_make: bool) -> Result<(Connection, Seen)> {
    let opening = index_locks::opening(may_make);
    let connection = connect(&place.path)?;
    settled(&place.path, &opening, is_the_one(&connection, place, access))?;
    Ok((connection, opening.seen()))
}

fn is_the_one(connection: &Connection, place: &Place, access: Access) -> Result<()> {
    check_schema(connection, &place.path)?;
    prepare_file(connection, &place.path, place.synchronous)?;
    check_portal(connection, place.portal)?;
    if meta::<[u8; 8]>(connection, "key_check")? != Some(place.key_check) {
        return Err(Error::WrongSecret);
    }
    if access == Access::Read {
        connection.pragma_update(None, "query_only", true)?;
    }
    Ok(())
}

pub(super) fn connect(path: &Path) -> Result<Connection> {
    location::may_be_written(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection = Connection::open_with_flags(path, flags).map_err(|e| match e.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseBusy) => Error::Busy,
        _ => refuse(path, &format!("{e}; {}", location::rights(path))),
    })?;
    // Waiting is `turn::retry`'s work: it is fairer, and it can be cancelled.
    connection.busy_timeout(std::time::Duration::ZERO)?;
    connection.set_prepared_statement_cache_capacity(96);
    // The plan does not depend on the values. Without this SQLite compiled some cached statements anew on
    // each use, because clearing their bindings "might change the plan": 8 µs a look-up instead of 2.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // The file has neither, and who writes one into it is not to be obeyed; nor is a schema to be edited as a table.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // SQLite opens what it may not write for reading, without a word.
    if connection.is_readonly("main").unwrap_or(true) {
        return Err(refuse(path, "it is not writable"));
    }
    Ok(connection)
}

/// Every pragma, with its reason. `docs/pragmas.md` repeats the table and a test compares them.
fn prepare_file(connection: &Connection, path: &Path, synchronous: Synchronous) -> Result<()> {
    let mut switch = connection.prepare("PRAGMA journal_mode = WAL")?;
    let mut rows = switch.query([])?;
    let mode: String = rows.next()?.map(|row| row.get(0)).transpose()?.unwrap_or_default();
    // The row says "wal" before the switch is committed, and that can fail (`bin/torture io-errors`).
    while rows.next()?.is_some() {}
    if mode != "wal" {
        return Err(refuse(path, "write-ahead logging cannot be switched on there"));
    }
    connection.pragma_update(
        None,
        "synchronous",
        match synchronous {
            Synchronous::Full => "FULL",
            Synchronous::Normal => "NORMAL",
        },
    )?;
    // An I/O error under mmap is a SIGBUS in the app's process, not an error code.
    connection.pragma_update(None, "mmap_size", 0)?;
    // Nothing in the file may call functions: a tampered schema stays data.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // A page whose cells lie about their sizes is an error and not a read beyond it.
    connection.pragma_update(None, "cell_size_check", true)?;
    // Behind a long reader the log grows without bound; the next checkpoint that empties it cuts it to this.
    connection.pragma_update(None, "journal_size_limit", LOG_KEPT)?;
    // What is forgotten must not be left in the free space of a page.
    connection.pragma_update(None, "secure_delete", true)?;
    Ok(())
}

/// Makes a new file whole, under another name, and then gives it its own, unless somebody else has done so in the
/// meantime. So a file of that name is never half made: an empty one is not ours.
fn make(path: &Path, portal: i64, secret: Option<&[u8]>) -> Result<()> {
    let new = location::unnamed(path)?;
    let filled = fill(&new, portal, secret).map_err(|error| match error {
        // The name of the moment means nothing to anybody.
        Error::CannotOpen { why, .. } => refuse(path, &why),
        other => other,
    });
    let made = filled.and_then(|()| match location::give_name(&new, path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(cannot_open(path, e)),
        _ => Ok(()),
    });
    let _ = fs::remove_file(&new);
    made?;
    // The name too must survive a power failure, or what is acknowledged later would be lost with it.
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| cannot_open(path, e))
}

fn fill(new: &Path, portal: i64, secret: Option<&[u8]>) -> Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(new).map_err(|e| cannot_open(new, e))?;
    location::give_to_folders_owner(new);
    let mut connection = connect(new)?;
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for schema in SCHEMAS {
        tx.execute_batch(schema)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", SCHEMAS.len() as i64)?;
    let mut put = tx.prepare("INSERT INTO meta (name, value) VALUES (?1, ?2)")?;
    put.execute(params!["portal_id", portal])?;
    let key = secret.map_or_else(envelope::random, |secret| Ok(envelope::first(secret)))?;
    match secret {
        Some(secret) => put.execute(params!["wrapped_key", envelope::wrap(&key, secret, portal)?])?,
        None => put.execute(params!["fingerprint_key", &key[..]])?,
    };
    put.execute(params!["key_check", FingerprintKey::of(&key).check()])?;
    drop(put);
    tx.commit()?;
    Ok(())
}

/// The file must belong to this portal, and its key be in an envelope that one of the secrets opens, the newest first;
/// or in none, where there is no secret.
fn check_owner(connection: &Connection, portal: i64, secrets: &[&[u8]]) -> Result<FingerprintKey> {
    check_portal(connection, portal)?;
    let wrapped = meta::<Vec<u8>>(connection, "wrapped_key")?;
    let key = match (secrets.first(), wrapped) {
        (Some(newest), Some(envelope)) => {
            let opened = secrets.iter().find_map(|secret| Some((secret, envelope::unwrap(&envelope, secret, portal)?)));
            let (secret, key) = opened.ok_or(Error::WrongSecret)?;
            if secret != newest {
                wrap_anew(connection, &envelope, &envelope::wrap(&key, newest, portal)?)?;
            }
            key
        }
        (None, None) => meta::<[u8; 32]>(connection, "fingerprint_key")?.ok_or(Error::WrongSecret)?.into(),
        _ => return Err(Error::WrongSecret),
    };
    let key = FingerprintKey::of(&key);
    if meta::<[u8; 8]>(connection, "key_check")? == Some(key.check()) { Ok(key) } else { Err(Error::WrongSecret) }
}

/// One row, in a transaction of its own. Where another process was first, its envelope stays.
fn wrap_anew(connection: &Connection, old: &[u8], new: &[u8]) -> Result<()> {
    connection.execute("UPDATE meta SET value = ?1 WHERE name = 'wrapped_key' AND value = ?2", params![new, old])?;
    Ok(())
}

fn check_portal(connection: &Connection, expected: i64) -> Result<()> {
    match meta::<i64>(connection, "portal_id")? {
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(Error::WrongPortal { found, expected }),
        None => Err(Error::Corrupt("it names no portal".into())),
    }
}

fn meta<T: rusqlite::types::FromSql>(connection: &Connection, name: &str) -> Result<Option<T>> {
    Ok(connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0)).optional()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cached_statement_is_compiled_once() {
        let dir = tempfile::tempdir().unwrap();
        let db = connect(&{
            let path = dir.path().join("x");
            std::fs::write(&path, "").unwrap();
            path
        })
        .unwrap();
        db.execute_batch(SCHEMAS[0]).unwrap();
        // An outer join is a shape that SQLite would compile anew for every value.
        let sql = "SELECT email FROM user u LEFT JOIN contact c ON c.vid = u.vid WHERE u.key = ?1";
        for key in 0..10 {
            let mut statement = db.prepare_cached(sql).unwrap();
            assert!(!statement.exists([key]).unwrap());
            assert_eq!(statement.get_status(rusqlite::StatementStatus::RePrepare), 0, "at {key}");
        }
    }
}
