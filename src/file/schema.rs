//! What the file must be: ours, of this version, and with no table, index, view or trigger that this version did not
//! make.

use std::path::Path;
use std::sync::OnceLock;

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::rows::SCHEMAS;

/// `PRAGMA application_id`: "vidc".
pub(super) const APPLICATION_ID: i64 = 0x7669_6463;

/// Refuses a file of another kind, of a newer version, or with another schema than this version's. Reads only.
pub(super) fn check_schema(connection: &Connection, path: &Path) -> Result<()> {
    let application: i64 =
        connection.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(|e| not_a_database(e, path))?;
    if application != APPLICATION_ID {
        return Err(Error::NotACache { path: path.into(), why: "it is a database of another program" });
    }
    check_version(connection)?;
    check_text(connection)
}

/// Refuses a file of a newer version. A microsecond: asked again whenever somebody has committed, since a newer version
/// may have upgraded the file under us.
pub(crate) fn check_version(connection: &Connection) -> Result<()> {
    let known = SCHEMAS.len() as i64;
    match connection.prepare_cached("PRAGMA user_version")?.query_row([], |row| row.get::<_, i64>(0))? {
        found if found > known => Err(Error::NewerSchema { found, known }),
        found if found < known => Err(Error::Corrupt(format!("schema version {found} was never released"))),
        _ => Ok(()),
    }
}

/// SQLite does what a schema says, whoever wrote it: a trigger of a stranger's would run with each of our writes, a
/// view would stand for a table. So what SQLite keeps of the schema's text has to be ours, to the letter.
fn check_text(connection: &Connection) -> Result<()> {
    static OURS: OnceLock<Vec<(String, String)>> = OnceLock::new();
    let ours = match OURS.get() {
        Some(ours) => ours,
        None => {
            let made = Connection::open_in_memory()?;
            SCHEMAS.iter().try_for_each(|schema| made.execute_batch(schema))?;
            let text = text(&made)?;
            OURS.get_or_init(|| text)
        }
    };
    let found = text(connection)?;
    if found == *ours {
        return Ok(());
    }
    // Its name may be anything, so it is not repeated.
    let missing = ours.iter().find(|entry| !found.contains(entry)).map(|(name, _)| name);
    Err(Error::Corrupt(match missing {
        Some(name) => format!("its schema is not that of version {}: {name} is missing or another", SCHEMAS.len()),
        None => format!("its schema is not that of version {}: there is more in it", SCHEMAS.len()),
    }))
}

/// Name and text of all that somebody created. What SQLite makes itself (`sqlite_…`) is left out, unless it has a text.
fn text(connection: &Connection) -> Result<Vec<(String, String)>> {
    Ok(connection
        .prepare("SELECT name, ifnull(sql, '') FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_stat%' ESCAPE '\\' ORDER BY name")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?)
}

fn not_a_database(error: rusqlite::Error, path: &Path) -> Error {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => {
            Error::NotACache { path: path.into(), why: "it is not an SQLite database" }
        }
        _ => error.into(),
    }
}
