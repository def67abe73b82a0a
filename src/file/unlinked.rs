//! A log that lost its name or its index, found where both are still open: with whoever has not noticed yet, who may be
//! quiet for hours.
//!
//! Linux shows the descriptors of all processes of one user under `/proc` (proc_pid_fd(5)), by name and to be opened
//! anew. Of another user, or in another container, there is nothing to be seen; then whoever has the log must notice.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use super::names::{FileId, INDEX, LOG, beside, file_id};

/// The log that a process has open beside the database of this id; with its index, of which `is_current` has to be so.
/// A log whose name is gone goes before one that has it: only that one holds what the database lacks.
pub(super) fn log(path: &Path, database: FileId, is_current: impl Fn(&File) -> bool) -> Option<(File, File)> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let descriptors = processes.filter_map(|process| fs::read_dir(process.path().join("fd")).ok());
    let mut named = None;
    for open in descriptors.filter_map(|open| of_process(path, database, open)) {
        if is_current(&open.index) {
            if open.has_lost_its_log {
                return Some((open.log, open.index));
            }
            named = Some((open.log, open.index));
        }
    }
    named
}

/// What a process has open.
struct Open {
    log: File,
    index: File,
    /// Whether the log's name is gone.
    has_lost_its_log: bool,
}

fn of_process(path: &Path, database: FileId, descriptors: fs::ReadDir) -> Option<Open> {
    let (mut lost, mut named, mut index, mut has_database) = (None, None, None, false);
    for descriptor in descriptors.flatten().map(|entry| entry.path()) {
        let Ok(name) = fs::read_link(&descriptor) else { continue };
        if name == path {
            has_database |= file_id(&descriptor) == Some(database);
        } else if name == gone(path) {
            return None; // Its log may be that of another database.
        } else if name == gone(&beside(path, LOG)) {
            lost = Some(descriptor);
        } else if name == beside(path, LOG) {
            named = Some(descriptor);
        } else if name == beside(path, INDEX) || name == gone(&beside(path, INDEX)) {
            index = Some(descriptor);
        }
    }
    let has_lost_its_log = lost.is_some();
    let open = |at: Option<PathBuf>| OpenOptions::new().read(true).write(true).open(at?).ok();
    let (log, index) = if has_database { open(lost.or(named)).zip(open(index)) } else { None }?;
    Some(Open { log, index, has_lost_its_log })
}

/// The name of a file that was deleted, as the system shows it.
pub(super) fn gone(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(" (deleted)");
    name.into()
}
