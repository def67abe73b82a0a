//! Clocks that are wrong, by Debian's libfaketime, which stands between a program and the system's.

use std::fs;
use std::path::PathBuf;

/// What a program that is started has in its environment, so that its clock is that many seconds ahead, or behind;
/// none if libfaketime is not installed. What counts from when the machine was started goes on as it does.
pub(crate) fn ahead(seconds: i64) -> Option<[(String, String); 4]> {
    Some([
        ("LD_PRELOAD".into(), library()?.display().to_string()),
        ("FAKETIME".into(), format!("{seconds:+}s")),
        ("FAKETIME_DONT_FAKE_MONOTONIC".into(), "1".into()),
        // It leaves memory behind for who is killed.
        ("FAKETIME_DISABLE_SHM".into(), "1".into()),
    ])
}

/// Whether [`ahead`] can be had.
pub fn can_be_wrong() -> bool {
    library().is_some()
}

fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).find(|library| library.is_file())
}
