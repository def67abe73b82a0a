//! Rows that were left out, with the reason, in a file that can be mended and imported.

use std::fs::{File, OpenOptions};
use std::io::BufWriter;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::row::Refusal;
use crate::failure::{Failure, Result};

pub(super) struct Rejected {
    path: PathBuf,
    to: csv::Writer<BufWriter<File>>,
    is_empty: bool,
}

impl Rejected {
    /// Makes the file, which only its owner may read: the rows may have emails. A run that goes on adds to it.
    pub(super) fn open(path: &Path, goes_on: bool) -> Result<Self> {
        let mut options = OpenOptions::new();
        match goes_on {
            true => options.append(true).create(true),
            false => options.write(true).create_new(true),
        };
        let file = options.mode(0o600).open(path).map_err(|e| {
            Failure::File(match e.kind() {
                std::io::ErrorKind::AlreadyExists => {
                    format!("{} is there already: move it, or name another", path.display())
                }
                _ => format!("{}: {e}", path.display()),
            })
        })?;
        let is_empty = file.metadata().map_or(true, |found| found.len() == 0);
        let to = csv::WriterBuilder::new().flexible(true).from_writer(BufWriter::new(file));
        Ok(Self { path: path.into(), to, is_empty })
    }

    /// The names of the columns: those of the rows, after the row's number and the reason.
    pub(super) fn names(&mut self, header: Option<&csv::ByteRecord>) -> Result<()> {
        if std::mem::take(&mut self.is_empty) {
            let names = match header {
                Some(header) => header.iter().map(<[u8]>::to_vec).collect(),
                None => vec![b"object".to_vec()],
            };
            self.write([b"row".to_vec(), b"reason".to_vec()].into_iter().chain(names))?;
        }
        Ok(())
    }

    pub(super) fn put(&mut self, number: u64, refusal: &Refusal, record: &csv::ByteRecord) -> Result<()> {
        let about = [number.to_string().into_bytes(), refusal.1.clone().into_bytes()];
        self.write(about.into_iter().chain(record.iter().map(<[u8]>::to_vec)))
    }

    fn write(&mut self, fields: impl Iterator<Item = Vec<u8>>) -> Result<()> {
        self.to.write_record(fields).map_err(|e| Failure::File(format!("{}: {e}", self.path.display())))
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        self.to.flush().map_err(|e| Failure::File(format!("{}: {e}", self.path.display())))
    }
}
