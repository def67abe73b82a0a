//! How far an import came, in a small file: the next run of the same import goes on from there.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::failure::{Failure, Result};

/// How much of a file tells it from another one of its size.
const HEAD: u64 = 1 << 16;

pub(super) struct Resume {
    path: PathBuf,
    file: File,
    /// What the rows come from, and where they go to.
    about: Value,
    /// Rows of earlier runs.
    pub(super) rows: u64,
}

impl Resume {
    /// Opens the file, or makes it. It belongs to one import at a time, of one file of rows into one file of a cache.
    pub(super) fn open(path: &Path, rows: &Path, cache: &Path) -> Result<Self> {
        if rows.as_os_str() == "-" {
            return Err(Failure::Usage("--resume is for a file: standard input cannot be read again".into()));
        }
        let trouble = |e: std::io::Error| Failure::File(format!("{}: {e}", path.display()));
        let about = about(rows, cache)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path).map_err(trouble)?;
        if file.try_lock().is_err() {
            return Err(Failure::Usage(format!("another import goes on by {} at this moment", path.display())));
        }
        let mut text = String::new();
        (&file).take(1 << 16).read_to_string(&mut text).map_err(trouble)?;
        // One that was cut off while it was written tells nothing: to begin anew does no harm.
        let rows = match serde_json::from_str::<Value>(&text) {
            Ok(was) if was["of"] == about => was["rows"].as_u64().unwrap_or(0),
            Ok(_) => {
                return Err(Failure::Usage(format!(
                    "{} is of an import of other rows, or into another file: delete it to begin anew",
                    path.display()
                )));
            }
            Err(_) if text.is_empty() || text.starts_with("{\"of\":") => 0,
            Err(_) => return Err(Failure::Usage(format!("{} is another file, and was left as it is", path.display()))),
        };
        Ok(Self { path: path.into(), file, about, rows })
    }

    /// Says that so many rows are in.
    pub(super) fn came_to(&mut self, rows: u64) -> Result<()> {
        let text = json!({"of": self.about, "rows": rows}).to_string();
        self.file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.set_len(0))
            .and_then(|()| self.file.write_all(text.as_bytes()))
            .map_err(|e| Failure::File(format!("{}: {e}", self.path.display())))
    }

    /// The import is done.
    pub(super) fn done(self) -> Result<()> {
        std::fs::remove_file(&self.path).map_err(|e| Failure::File(format!("{}: {e}", self.path.display())))
    }
}

fn about(rows: &Path, cache: &Path) -> Result<Value> {
    let trouble = |e: std::io::Error| Failure::Input(format!("{}: {e}", rows.display()));
    let file = File::open(rows).map_err(trouble)?;
    let mut head = Vec::new();
    (&file).take(HEAD).read_to_end(&mut head).map_err(trouble)?;
    let bytes = file.metadata().map_err(trouble)?.len();
    let print: String = Sha256::digest(&head).iter().map(|byte| format!("{byte:02x}")).collect();
    // A new file of the same name knows nothing of what an earlier run took in.
    let cache = std::fs::metadata(cache).map_err(|e| Failure::File(format!("{}: {e}", cache.display())))?;
    Ok(json!({"bytes": bytes, "head": print, "device": cache.dev(), "inode": cache.ino()}))
}
