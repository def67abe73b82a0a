//! Moving a file aside that will not open, on the user's word only: a new one can then be made in its place, and
//! nothing of the old one is lost.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::names::{INDEX, LOG, beside, file_id, id_of};
use super::{location, lock};
use crate::error::{Error, Result};

const DATABASE: &str = "";

/// Moves the file at `path`, with its log and index, to a name of its own in the same folder, which is returned. Only
/// while nobody has it open: the locks that everybody who has it open holds are taken for that moment.
pub(crate) fn move_aside(path: &Path) -> Result<PathBuf> {
    let path = location::place(path)?;
    let found = |suffix: &&str| fs::symlink_metadata(beside(&path, suffix)).is_ok();
    // The database first: a log whose database is gone is refused, a database without its log would be believed.
    let there: Vec<&str> = [DATABASE, LOG, INDEX].into_iter().filter(found).collect();
    if there.is_empty() {
        return Err(location::refuse(&path, "there is no such file"));
    }
    let mut held = Vec::new();
    for (suffix, range) in [(DATABASE, lock::SHARED), (INDEX, lock::INDEX_IN_USE)] {
        if there.contains(&suffix) {
            held.push(alone(&beside(&path, suffix), range)?);
        }
    }
    let aside = beside(&path, &format!(".aside-{}", now()));
    if fs::symlink_metadata(&aside).is_ok() {
        return Err(Error::Busy);
    }
    for suffix in there {
        fs::rename(beside(&path, suffix), beside(&aside, suffix)).map_err(|e| location::cannot_open(&path, e))?;
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| location::cannot_open(&path, e))?;
    Ok(aside)
}

/// Holds a file as nobody can who has not got it alone.
fn alone(file: &Path, range: lock::Range) -> Result<fs::File> {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOFOLLOW)
        .open(file)
        .map_err(|e| location::cannot_open(file, e))?;
    match lock::set_lock(&opened, libc::F_WRLCK as libc::c_short, range) {
        // A system without such locks has no guards either: there the caller's word must do.
        Ok(()) => {}
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {}
        Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => return Err(Error::Busy),
        Err(e) => return Err(location::cannot_open(file, e)),
    }
    // Somebody else may have moved it while we opened it.
    let held = id_of(&opened).map_err(|e| location::cannot_open(file, e))?;
    if file_id(file) == Some(held) { Ok(opened) } else { Err(Error::Busy) }
}

/// Milliseconds, for a name that sorts.
fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis())
}
