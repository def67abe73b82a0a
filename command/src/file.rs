//! Opening the file as the arguments and the environment say.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use vidcache::{Error, Options, Vidcache};

use crate::arguments::File;
use crate::failure::{Failure, Result};

/// What is done where there is no file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Refuse,
    Make,
}

/// The path that was given.
pub(crate) fn path(file: &File) -> Result<&Path> {
    file.path
        .as_deref()
        .filter(|path| !path.as_os_str().is_empty())
        .ok_or_else(|| Failure::Usage("which file is not said: --file FILE, or the variable VIDCACHE_FILE".into()))
}

/// Opens a file that is there.
pub(crate) fn open(file: &File) -> Result<Vidcache> {
    open_for(file, Options::default().busy_timeout)
}

/// Opens a file that is there; a write waits so long for others'.
pub(crate) fn open_for(file: &File, busy_timeout: Duration) -> Result<Vidcache> {
    open_there(file, &[], busy_timeout)
}

/// Opens a file that is there under its secret, or under one that it was before.
pub(crate) fn open_under(file: &File, old_secret_files: &[PathBuf]) -> Result<Vidcache> {
    open_there(file, old_secret_files, Options::default().busy_timeout)
}

fn open_there(file: &File, old_secret_files: &[PathBuf], busy_timeout: Duration) -> Result<Vidcache> {
    there(path(file)?)?;
    let open = |options: &Options<'_>| match file.portal {
        Some(portal) => Vidcache::open(path(file)?, portal, options).map_err(Failure::from),
        // The file says whose it is.
        None => match Vidcache::open(path(file)?, 1, options) {
            Err(Error::WrongPortal { found, .. }) => Ok(Vidcache::open(path(file)?, found, options)?),
            other => Ok(other?),
        },
    };
    with_options(file, old_secret_files, busy_timeout, open)
}

/// Opens the file to write many rows to it, or makes it. The portal must be said.
pub(crate) fn open_to_fill(file: &File, missing: Missing) -> Result<Vidcache> {
    let path = path(file)?;
    let portal = file.portal.ok_or_else(|| {
        Failure::Usage(
            "which portal is not said: --portal ID, or the variable VIDCACHE_PORTAL_ID. Contact ids of one portal are \
             other contacts in another"
                .into(),
        )
    })?;
    if missing == Missing::Refuse {
        there(path).map_err(|failure| match failure {
            Failure::Library(error, _) => Failure::Library(error, Some("--create makes one")),
            other => other,
        })?;
    }
    with_options(file, &[], Duration::from_secs(60), |options| Ok(Vidcache::open(path, portal, options)?))
}

/// The library makes a file where there is none; whoever asks about one has mistyped its name.
fn there(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::CannotOpen { path: path.into(), why: "there is no such file".into() }.into())
        }
        _ => Ok(()),
    }
}

fn with_options(
    file: &File,
    old_secret_files: &[PathBuf],
    busy_timeout: Duration,
    open: impl FnOnce(&Options<'_>) -> Result<Vidcache>,
) -> Result<Vidcache> {
    let secret = secret(file)?;
    let old = old_secret_files.iter().map(|old| read_secret(old, file.rails)).collect::<Result<Vec<_>>>()?;
    let old: Vec<&[u8]> = old.iter().map(Vec::as_slice).collect();
    let options = Options {
        secret: secret.as_deref(),
        old_secrets: &old,
        busy_timeout,
        // No page is rendered here, so none must be waited for: the shortest that there is.
        page_deadline: Duration::from_millis(100),
        ..Options::default()
    };
    open(&options).map_err(|failure| match failure {
        Failure::Library(error @ Error::WrongSecret, _) if secret.is_none() => {
            Failure::Library(error, Some("No secret was given: set VIDCACHE_SECRET, or name a file by --secret-file"))
        }
        Failure::Library(error @ Error::WrongSecret, _) if !file.rails => Failure::Library(
            error,
            Some("If the app is a Rails app without config.vidcache.secret: give its secret_key_base, and --rails"),
        ),
        other => other,
    })
}

/// The secret of the file or of the variable; `None` where neither is given.
pub(crate) fn secret(file: &File) -> Result<Option<Vec<u8>>> {
    if let Some(path) = &file.secret_file {
        return read_secret(path, file.rails).map(Some);
    }
    let said = std::env::var_os("VIDCACHE_SECRET").filter(|said| !said.is_empty());
    Ok(said.map(|said| as_kept(said.as_bytes().to_vec(), file.rails)))
}

/// What HubSpot signs its webhooks with.
pub(crate) fn client_secret(path: Option<&Path>) -> Result<Vec<u8>> {
    let secret = match path {
        Some(path) => read_secret(path, false)?,
        None => std::env::var_os("HUBSPOT_CLIENT_SECRET")
            .map(|said| as_kept(said.as_bytes().to_vec(), false))
            .unwrap_or_default(),
    };
    if secret.is_empty() {
        return Err(Failure::Usage(
            "the HubSpot app's client secret is not given: set HUBSPOT_CLIENT_SECRET, or name a file by \
             --client-secret-file"
                .into(),
        ));
    }
    Ok(secret)
}

fn read_secret(path: &Path, rails: bool) -> Result<Vec<u8>> {
    let bytes = match path.as_os_str() == OsStr::new("-") {
        true => Err(std::io::Error::other("it is read from a file, not from standard input")),
        false => fs::read(path),
    };
    let bytes = bytes.map_err(|e| Failure::Usage(format!("the secret's file {}: {e}", path.display())))?;
    Ok(as_kept(bytes, rails))
}

/// Without the line's end that editors put after it, unless it is no text; of a Rails app's secret what the gem takes.
fn as_kept(mut bytes: Vec<u8>, rails: bool) -> Vec<u8> {
    if std::str::from_utf8(&bytes).is_ok() {
        for end in [b'\n', b'\r'] {
            if bytes.last() == Some(&end) {
                bytes.pop();
            }
        }
    }
    if !rails {
        return bytes;
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(&bytes).expect("HMAC takes a key of any length");
    mac.update(b"vidcache: fingerprints of emails, 1");
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lines_end_is_not_part_of_a_secret_unless_it_is_no_text() {
        assert_eq!(as_kept(b"abc\r\n".to_vec(), false), b"abc");
        assert_eq!(as_kept(b"abc\n\n".to_vec(), false), b"abc\n");
        assert_eq!(as_kept(b"\xff\n".to_vec(), false), b"\xff\n");
    }
}
