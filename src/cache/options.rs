//! How a cache is opened. Every language's options, their defaults and what is said of them are made of the table here,
//! by `bindings/tables`.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::file::Synchronous;
use crate::limits;
use crate::snippet;

/// Makes `Options`: a row is a comment, a name, a type and the default; of a time also its bounds in `limits`, and what
/// is said where it is outside.
macro_rules! options {
    ($($(#[doc = $says:literal])+ $name:ident: $type:ty = $default:expr $(, $bounds:ident, $why:literal)?;)+) => {
        /// How to open a cache. `Options::default()` is right for most.
        #[derive(Clone)]
        pub struct Options<'a> {
            $($(#[doc = $says])+ pub $name: $type,)+
        }

        impl Default for Options<'_> {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl Options<'_> {
            fn check_bounds(&self) -> Result<()> {
                $($(if !limits::$bounds.contains(&self.$name) {
                    return Err(Error::InvalidOption { name: stringify!($name), why: $why });
                })?)+
                Ok(())
            }
        }
    };
}

// A new row comes last, so that the struct of C grows at its end.
options! {
    /// What the file's key is wrapped under: at least 16 bytes, kept outside the file. Without one the key lies open in
    /// the file, so whoever has the file can test a guessed email against it. Default: none.
    secret: Option<&'a [u8]> = None;
    /// The host of HubSpot's loader, copied from the portal's own embed code (in HubSpot: Settings, Tracking code),
    /// whose src is `//HOST/PORTAL.js`: `js-eu1.hs-scripts.com` for portals in the EU data centre, `js-na2`, `js-ap1`
    /// and others elsewhere. Default: `js.hs-scripts.com`, which is not every portal's.
    loader_host: &'a str = "js.hs-scripts.com";
    /// The most bytes that the in-process table takes. Default: 32 MiB, about 400,000 users.
    memory: usize = 32 << 20;
    /// How long a call waits for other processes' writes before [`Error::Busy`]; the beginning of a change, which a
    /// visitor may be waiting for, 2 s at most. Default: 5 s; at most 1 hour.
    busy_timeout: Duration = Duration::from_secs(5), BUSY_TIMEOUT, "it must be at most 1 hour";
    /// How long after it was rendered a page may name an email; a page that runs later gives the id alone. A worker
    /// tells HubSpot of a change when pages rendered before the change are older than this. Where processes that share
    /// a file have different ones, the longest counts. Default: 10 s; from 100 ms to 1 hour.
    page_deadline: Duration = Duration::from_secs(10), PAGE_DEADLINE, "it must be from 100 ms to 1 hour";
    /// Whether a write that returned survives a power failure. If not, it survives a crash of the process, and a power
    /// failure may take the last writes, the beginning of a change among them: then a page may name an email that
    /// HubSpot holds no more. Default: [`Synchronous::Full`].
    synchronous: Synchronous = Synchronous::Full;
    /// What `secret` was before, the newest first. A file that was made or last opened with one of these is opened, and
    /// its key is wrapped anew under `secret`, which is one row: afterwards the old ones are not needed. Default: none.
    old_secrets: &'a [&'a [u8]] = &[];
}

impl Options<'_> {
    /// Refuses what no cache can be opened with. The secrets are checked where the key is unwrapped.
    pub(super) fn check(&self) -> Result<()> {
        self.check_bounds()?;
        if !snippet::is_host(self.loader_host) {
            return Err(Error::InvalidOption { name: "loader_host", why: "it must be a host name" });
        }
        Ok(())
    }
}
