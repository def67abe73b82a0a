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
    let named = beside(path, LOG);
    [gone(&named), named].iter().find_map(|log| {
        let processes = fs::read_dir("/proc").ok()?.flatten();
        let descriptors = processes.filter_map(|process| fs::read_dir(process.path().join("fd")).ok());
        descriptors.filter_map(|open| of_process(path, log, database, open)).find(|(_, index)| is_current(index))
    })
}

fn of_process(path: &Path, log_name: &Path, database: FileId, descriptors: fs::ReadDir) -> Option<(File, File)> {
    let (mut log, mut index, mut has_database) = (None, None, false);
    for descriptor in descriptors.flatten().map(|entry| entry.path()) {
        let Ok(name) = fs::read_link(&descriptor) else { continue };
        if name == path {
            has_database |= file_id(&descriptor) == Some(database);
        } else if name == gone(path) {
            return None; // Its log may be that of another database.
        } else if name == log_name {
            log = Some(descriptor);
        } else if name == beside(path, INDEX) || name == gone(&beside(path, INDEX)) {
            index = Some(descriptor);
        }
    }
    let open = |at: Option<PathBuf>| OpenOptions::new().read(true).write(true).open(at?).ok();
    if has_database { open(log).zip(open(index)) } else { None }
}

/// The name of a file that was deleted, as the system shows it.
pub(super) fn gone(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(" (deleted)");
    name.into()
}
