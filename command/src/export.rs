//! All users and their contacts, as rows that `import` takes.

use std::borrow::Cow;
use std::fs::{self, File as Opened, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;
use vidcache::{UserKey, Vidcache};

use crate::arguments::File;
use crate::failure::{Failure, Result};
use crate::file;
use crate::interrupt;
use crate::output::Output;
use crate::progress::Progress;

/// Users that are read at once, as of one commit.
const AT_ONCE: u32 = 10_000;

#[derive(clap::Args)]
pub(crate) struct Export {
    /// A new file: rows.csv or rows.ndjson, and .gz or .zst after it. Without it, or by a dash, standard output.
    #[arg(default_value = "-")]
    to: PathBuf,
}

pub(crate) fn export(file: &File, export: &Export, out: &mut Output) -> Result<bool> {
    interrupt::listen();
    let to = &export.to;
    let cache = file::open(file)?;
    let mut progress = Progress::new(out.json);
    if to.as_os_str() == "-" {
        let objects = out.json;
        write_rows(&cache, objects, out.writer(), &mut progress, &Failure::Output)?;
        return Ok(true);
    }
    let trouble = |e: io::Error| Failure::File(format!("{}: {e}", to.display()));
    if fs::symlink_metadata(to).is_ok() {
        return Err(Failure::File(format!("{} is there already: move it, or name another", to.display())));
    }
    let (objects, compression) = form(to)?;
    // Whoever finds a file of that name finds all of it.
    let part = part_of(to);
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
    let opened = opened.map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => Failure::File(format!(
            "{} is there: another export is at work, or one was killed; then delete it",
            part.display()
        )),
        _ => trouble(e),
    })?;
    let written = write_file(&cache, objects, compression, opened, &mut progress, &trouble)
        .and_then(|rows| fs::rename(&part, to).map(|()| rows).map_err(trouble));
    progress.end();
    let rows = written.inspect_err(|_| drop(fs::remove_file(&part)))?;
    out.say(
        || format!("{rows} users are in {}.", crate::words::plain(&to.display().to_string())),
        || json!({"rows": rows, "file": to.display().to_string()}),
    )?;
    Ok(true)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Zstd,
}

/// What the name asks for.
fn form(to: &Path) -> Result<(bool, Compression)> {
    let name = to.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let (name, compression) = match (name.strip_suffix(".gz"), name.strip_suffix(".zst")) {
        (Some(name), _) => (name, Compression::Gzip),
        (_, Some(name)) => (name, Compression::Zstd),
        _ => (name.as_str(), Compression::None),
    };
    match name.rsplit_once('.').map(|(_, kind)| kind) {
        Some("csv") => Ok((false, compression)),
        Some("ndjson" | "jsonl") => Ok((true, compression)),
        _ => {
            Err(Failure::Usage("the file's name says what is in it: .csv or .ndjson, and .gz or .zst after it".into()))
        }
    }
}

fn part_of(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn write_file(
    cache: &Vidcache,
    objects: bool,
    compression: Compression,
    file: Opened,
    progress: &mut Progress,
    trouble: &dyn Fn(io::Error) -> Failure,
) -> Result<u64> {
    let mut to = BufWriter::with_capacity(1 << 16, file);
    let rows = match compression {
        Compression::None => write_rows(cache, objects, &mut to, progress, trouble)?,
        Compression::Gzip => {
            let mut packed = flate2::write::GzEncoder::new(&mut to, flate2::Compression::default());
            let rows = write_rows(cache, objects, &mut packed, progress, trouble)?;
            packed.finish().map_err(trouble)?;
            rows
        }
        Compression::Zstd => {
            let mut packed = zstd::stream::write::Encoder::new(&mut to, 0).map_err(trouble)?;
            let rows = write_rows(cache, objects, &mut packed, progress, trouble)?;
            packed.finish().map_err(trouble)?;
            rows
        }
    };
    let file = to.into_inner().map_err(|e| trouble(e.into_error()))?;
    file.sync_all().map_err(trouble)?;
    Ok(rows)
}

fn write_rows(
    cache: &Vidcache,
    objects: bool,
    to: &mut impl Write,
    progress: &mut Progress,
    trouble: &dyn Fn(io::Error) -> Failure,
) -> Result<u64> {
    let mut rows = 0;
    let mut after: Option<String> = None;
    if !objects {
        to.write_all(b"user,vid\n").map_err(trouble)?;
    }
    loop {
        if interrupt::is_stopped() {
            return Err(Failure::Interrupted("no file was made".into()));
        }
        let last = after.as_deref().map(UserKey::text).transpose()?;
        let users = cache.linked_users(last, AT_ONCE)?;
        for (user, vid) in &users {
            match objects {
                true => writeln!(to, "{}", json!({"user": user, "vid": vid.to_string()})).map_err(trouble)?,
                false => writeln!(to, "{},{vid}", field(user)?).map_err(trouble)?,
            }
        }
        rows += users.len() as u64;
        progress.at(rows, None);
        match users.into_iter().next_back() {
            Some((user, _)) => after = Some(user),
            None => break,
        }
    }
    to.flush().map_err(trouble)?;
    Ok(rows)
}

/// A user's key as a field of CSV.
fn field(user: &str) -> Result<Cow<'_, str>> {
    if user.trim_ascii() != user {
        return Err(Failure::File(
            "the key of a user begins or ends with a blank, which is lost in CSV: export as .ndjson".into(),
        ));
    }
    Ok(match user.contains([',', '"', '\n', '\r', ';', '\t']) {
        true => Cow::Owned(format!("\"{}\"", user.replace('"', "\"\""))),
        false => Cow::Borrowed(user),
    })
}
