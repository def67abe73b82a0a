//! What lies beside the database, by which names, and which files bear them.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Device and inode.
pub(super) type FileId = (u64, u64);

/// What SQLite has beside a database: its log with `LOG`, its WAL index with `INDEX`.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

pub(crate) const LOG: &str = "-wal";
pub(super) const INDEX: &str = "-shm";

/// What is at this path now.
pub(super) fn file_id(path: &Path) -> Option<FileId> {
    std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

pub(super) fn id_of(file: &File) -> io::Result<FileId> {
    file.metadata().map(|found| (found.dev(), found.ino()))
}
