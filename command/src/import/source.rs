//! Bytes of text from a file, a compressed file or standard input; never more of one row than a row may have.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::failure::{Failure, Result};
use crate::interrupt;

/// The longest row, in bytes: HubSpot's widest exports have some kilobytes a row.
pub(super) const LONGEST_ROW: u64 = 1 << 20;

/// How much of a text is looked at before it is believed to be one.
const HEAD: u64 = 8192;

/// What is counted while bytes go by, for those who watch.
#[derive(Default)]
pub(super) struct Gauge {
    /// Bytes of the file, as it lies on the disk.
    pub(super) taken: AtomicU64,
    /// Bytes of text since the last row ended.
    row: AtomicU64,
}

impl Gauge {
    pub(super) fn row_ended(&self) {
        self.row.store(0, Ordering::Relaxed);
    }
}

/// A text, and how many bytes the file has that it comes from.
pub(super) struct Source {
    pub(super) text: Box<dyn Read + Send>,
    pub(super) gauge: Arc<Gauge>,
    pub(super) bytes: Option<u64>,
}

/// Opens a file, or standard input where the path is a dash, whatever it is compressed with.
pub(super) fn open(path: &Path) -> Result<Source> {
    let trouble = |e: io::Error| Failure::Input(format!("{}: {e}", path.display()));
    let gauge = Arc::new(Gauge::default());
    let (raw, bytes): (Box<dyn Read + Send>, _) = if path.as_os_str() == "-" {
        (Box::new(io::stdin()), None)
    } else {
        let file = File::open(path).map_err(trouble)?;
        let about = file.metadata().map_err(trouble)?;
        (Box::new(file), about.is_file().then_some(about.len()))
    };
    let raw = BufReader::with_capacity(1 << 16, Counted { inner: raw, gauge: gauge.clone() });
    let (head, raw) = peek(raw, 4).map_err(trouble)?;
    let text: Box<dyn Read + Send> = match head.as_slice() {
        [0x1F, 0x8B, ..] => Box::new(flate2::read::MultiGzDecoder::new(raw)),
        [0x28, 0xB5, 0x2F, 0xFD] => Box::new(zstd::stream::read::Decoder::new(raw).map_err(trouble)?),
        [b'P', b'K', 3, 4] | [0xD0, 0xCF, 0x11, 0xE0] => {
            return Err(Failure::Input(format!(
                "{} is a workbook of Excel's, or a ZIP archive: save the sheet as CSV (UTF-8), or take the CSV out",
                path.display()
            )));
        }
        _ => Box::new(raw),
    };
    let (head, text) = peek(BufReader::new(text), HEAD).map_err(trouble)?;
    let refuse = |why: &str| Err(Failure::Input(format!("{} {why}", path.display())));
    let text: Box<dyn Read + Send> = match head.as_slice() {
        [] => return refuse("is empty"),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => {
            return refuse("is UTF-16, and UTF-8 is needed: iconv -f UTF-16 -t UTF-8 makes it so");
        }
        bytes if bytes.contains(&0) => return refuse("is no text: there are NUL bytes in it"),
        [0xEF, 0xBB, 0xBF, ..] => {
            let mut text = text;
            text.read_exact(&mut [0; 3]).map_err(trouble)?;
            Box::new(text)
        }
        _ => Box::new(text),
    };
    Ok(Source { text: Box::new(Bounded { inner: text, gauge: gauge.clone() }), gauge, bytes })
}

/// The first bytes, and the whole with them.
fn peek<R: Read + Send + 'static>(mut from: R, bytes: u64) -> io::Result<(Vec<u8>, impl Read + Send + 'static)> {
    let mut head = Vec::new();
    from.by_ref().take(bytes).read_to_end(&mut head)?;
    Ok((head.clone(), Cursor::new(head).chain(from)))
}

/// Counts what is read of the file, and ends it where the command is to stop.
struct Counted<R> {
    inner: R,
    gauge: Arc<Gauge>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if interrupt::is_stopped() {
                return Err(io::Error::other("interrupted"));
            }
            match self.inner.read(into) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                read => {
                    self.gauge.taken.fetch_add(*read.as_ref().unwrap_or(&0) as u64, Ordering::Relaxed);
                    return read;
                }
            }
        }
    }
}

/// Refuses a row that has no end.
struct Bounded<R> {
    inner: R,
    gauge: Arc<Gauge>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.gauge.row.load(Ordering::Relaxed) > LONGEST_ROW {
            return Err(io::Error::other(
                "a row is longer than 1 MiB: is a quotation mark left open, or is it no CSV?",
            ));
        }
        let read = self.inner.read(into)?;
        self.gauge.row.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
