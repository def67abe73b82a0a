//! Where a process finds what it needs, and where it may be killed.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

use vidcache::in_database::Clocks;

use super::super::Variant;
use crate::scaled::Scaled;

/// Between which steps of a change a process is killed: each is the last that it does. Those of who serves come first.
pub(in crate::rig) const STEPS: [&str; 10] =
    ["begun", "updated", "committed", "seen", "leased", "seen by the worker", "due", "told", "written", "recorded"];

/// The fleet's time in this process, and where it stands still.
static CLOCK: OnceLock<Scaled> = OnceLock::new();
static STANDING: AtomicI64 = AtomicI64::new(1);

fn scaled_now() -> i64 {
    CLOCK.get().map_or(0, |clock| clock.now())
}

/// Where a process finds what it needs.
#[derive(Debug, Clone)]
pub(in crate::rig) struct Place {
    /// Of the process alone.
    pub(in crate::rig) folder: PathBuf,
    /// HubSpot's double.
    pub(in crate::rig) double: PathBuf,
    /// Connection strings.
    pub(in crate::rig) primary: String,
    pub(in crate::rig) replica: Option<String>,
    pub(in crate::rig) variant: Variant,
    pub(in crate::rig) began: i64,
    pub(in crate::rig) users: u32,
    pub(in crate::rig) seed: u64,
    /// Whether contacts are shared.
    pub(in crate::rig) shares: bool,
    /// Whether statements are kept prepared.
    pub(in crate::rig) prepares: bool,
    pub(in crate::rig) has_other_secret: bool,
    /// By how much the host's own clock is ahead, in milliseconds.
    pub(in crate::rig) ahead: i64,
    /// By how much the server's is.
    pub(in crate::rig) server_ahead: i64,
    /// Whether answers are kept.
    pub(in crate::rig) watches: bool,
}

impl Place {
    pub(in crate::rig) fn to_args(&self) -> Vec<String> {
        vec![
            self.folder.display().to_string(),
            self.double.display().to_string(),
            self.primary.clone(),
            self.replica.clone().unwrap_or_default(),
            self.variant.name().to_owned(),
            self.began.to_string(),
            self.users.to_string(),
            self.seed.to_string(),
            self.shares.to_string(),
            self.prepares.to_string(),
            self.has_other_secret.to_string(),
            self.ahead.to_string(),
            self.server_ahead.to_string(),
            self.watches.to_string(),
        ]
    }

    pub(in crate::rig) fn of_args(args: &[String]) -> Option<Self> {
        let [
            folder,
            double,
            primary,
            replica,
            variant,
            began,
            users,
            seed,
            shares,
            prepares,
            other,
            ahead,
            server,
            watches,
        ] = args
        else {
            return None;
        };
        Some(Self {
            folder: folder.into(),
            double: double.into(),
            primary: primary.clone(),
            replica: Some(replica.clone()).filter(|replica| !replica.is_empty()),
            variant: Variant::named(variant)?,
            began: began.parse().ok()?,
            users: users.parse().ok()?,
            seed: seed.parse().ok()?,
            shares: shares.parse().ok()?,
            prepares: prepares.parse().ok()?,
            has_other_secret: other.parse().ok()?,
            ahead: ahead.parse().ok()?,
            server_ahead: server.parse().ok()?,
            watches: watches.parse().ok()?,
        })
    }

    pub(in crate::rig) fn clock(&self) -> Scaled {
        Scaled::at(self.began).of_a_host_ahead(self.ahead)
    }

    /// The fleet's clocks for a library that keeps answers; of one that overlooks their age one of them stands, but for
    /// now and then.
    pub(super) fn clocks(&self) -> Clocks {
        let _ = CLOCK.set(self.clock());
        match self.variant {
            Variant::AgeOverlooked => || {
                let at = scaled_now();
                if fastrand::u16(..5_000) == 0 {
                    STANDING.store(at, Ordering::Relaxed);
                }
                (at, STANDING.load(Ordering::Relaxed))
            },
            _ => || (scaled_now(), scaled_now()),
        }
    }

    /// What nobody expects, for whoever has started the process.
    pub(super) fn unexpected(&self, what: &str) {
        self.note("unexpected", what);
    }

    pub(super) fn note(&self, name: &str, what: &str) {
        let file = OpenOptions::new().create(true).append(true).open(self.folder.join(name));
        let _ = file.and_then(|mut file| writeln!(file, "{what}"));
    }

    /// A step of a change of the user's is done: whoever is to be killed after it is, at once, and says whose it was.
    pub(super) fn step(&self, step: &str, user: u32) {
        let Some(all) = self.folder.parent() else { return };
        let told = all.join("kill");
        if fs::read_to_string(&told).is_ok_and(|word| word == step)
            && fs::rename(&told, self.folder.join("kill")).is_ok()
            && fs::write(self.folder.join("killed"), user.to_string()).is_ok()
            && fs::rename(self.folder.join("killed"), all.join("killed")).is_ok()
        {
            // SAFETY: ends this process, as somebody else's signal would.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        }
    }
}

/// The folder that a process calls its own.
pub(in crate::rig) fn own(folder: &Path, name: &str) -> std::io::Result<PathBuf> {
    let folder = folder.join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
