//! A whole copy of the file, beside its use or in its place.
//!
//! Both are made under another name, by SQLite, as of one commit (`VACUUM INTO`,
//! <https://sqlite.org/lang_vacuum.html>), reach the disk, and then get their name, which nobody may have: there is
//! never half a copy of that name.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::location::{self, cannot_open, refuse};
use super::names::{INDEX, LOG, beside};
use super::{aside, open, schema};
use crate::error::{Error, Result};

/// Copies what the connection reads to a new file.
pub(crate) fn backup(connection: &Connection, to: &Path) -> Result<()> {
    let to = location::absolute(to)?;
    if fs::symlink_metadata(&to).is_ok() {
        return Err(refuse(&to, "there is a file of that name already: a backup never takes another's place"));
    }
    let new = Unnamed::beside(&to)?;
    new.fill(connection)?;
    new.name(&to)
}

/// Puts a copy of `from` in the place of the file at `path`, after `doubt` has taken from it what may not be believed
/// of an old copy. Whatever is there is moved aside, which is refused while anybody has it open; returned is where it
/// is.
pub(crate) fn restore(
    from: &Path,
    path: &Path,
    doubt: impl FnOnce(&mut Connection) -> Result<()>,
) -> Result<Option<PathBuf>> {
    let path = location::place(path)?;
    let from = &location::absolute(from)?;
    if !location::exists(from)? {
        return Err(refuse(from, "there is no such file"));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let copy = Connection::open_with_flags(from, flags).map_err(|e| refuse(from, &e.to_string()))?;
    let sound = schema::check_schema(&copy, from).and_then(|()| is_sound(&copy));
    sound.map_err(|error| open::named(from, error))?;
    let new = Unnamed::beside(&path)?;
    new.fill(&copy)?;
    let mut connection = open::connect(&new.0)?;
    doubt(&mut connection)?;
    drop(connection);
    let is_there = |suffix: &&str| fs::symlink_metadata(beside(&path, suffix)).is_ok();
    let old = if ["", LOG, INDEX].iter().any(is_there) { Some(aside::move_aside(&path)?) } else { None };
    new.name(&path)?;
    Ok(old)
}

fn is_sound(connection: &Connection) -> Result<()> {
    let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(Error::Corrupt(found)) }
}

/// A file that has not got its name yet, and is gone if it never gets it.
struct Unnamed(PathBuf);

impl Unnamed {
    fn beside(path: &Path) -> Result<Self> {
        let path = location::unnamed(path)?;
        let mut new = OpenOptions::new();
        new.write(true).create_new(true).mode(0o600).open(&path).map_err(|e| cannot_open(&path, e))?;
        Ok(Self(path))
    }

    fn fill(&self, from: &Connection) -> Result<()> {
        let name = self.0.to_str().ok_or_else(|| refuse(&self.0, "SQLite copies to names in UTF-8 only"))?;
        from.execute("VACUUM INTO ?1", [name])?;
        Ok(())
    }

    fn name(self, path: &Path) -> Result<()> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        File::open(&self.0).and_then(|file| file.sync_all()).map_err(|e| cannot_open(path, e))?;
        location::give_name(&self.0, path).map_err(|e| match e.kind() {
            // Somebody opened a new one just now.
            io::ErrorKind::AlreadyExists => Error::Busy,
            _ => cannot_open(path, e),
        })?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| cannot_open(path, e))
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        for suffix in ["", "-journal"] {
            let _ = fs::remove_file(beside(&self.0, suffix));
        }
    }
}
