//! What docs/operations.md asks of a file and its place, looked up: what is so, and what to do where it is not.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::json;
use vidcache::Vidcache;

use crate::arguments::File;
use crate::failure::Result;
use crate::output::Output;
use crate::words::{moment, plain, size, span};
use crate::{file, lists, system};

/// Up to how many of a kind are counted.
const COUNTED: u32 = 1000;

/// A log that is larger has a reader that stays, or an import that runs.
const LARGE_LOG: u64 = 64 << 20;

/// With less the next import, or the next checkpoint, fails.
const LITTLE_SPACE: u64 = 100 << 20;

/// A change that waits for longer has lost its job.
const LOST: Duration = Duration::from_secs(3600);

/// Who has no email at HubSpot is read once a day, by whatever reads.
const UNREAD: Duration = Duration::from_secs(2 * 86_400);

/// One thing that was looked at.
struct Finding {
    /// A short name for programs.
    about: &'static str,
    says: String,
    /// What to do. `None`: it is as it should be.
    advice: Option<String>,
}

struct Findings(Vec<Finding>);

impl Findings {
    fn well(&mut self, about: &'static str, says: impl Into<String>) {
        self.0.push(Finding { about, says: says.into(), advice: None });
    }

    fn wrong(&mut self, about: &'static str, says: impl Into<String>, advice: impl Into<String>) {
        self.0.push(Finding { about, says: says.into(), advice: Some(advice.into()) });
    }
}

/// False: something wants a look. A file that cannot be opened ends it with that error, after what is known without.
pub(crate) fn doctor(file: &File, out: &mut Output) -> Result<bool> {
    let path = file::path(file)?;
    let mut found = Findings(Vec::new());
    place(path, &mut found);
    clock(path, &mut found);
    let opened = file::open(file);
    if let Ok(cache) = &opened {
        let secret = file::secret(file)?.is_some();
        content(cache, secret, &mut found)?;
    }
    for Finding { about, says, advice } in &found.0 {
        let mark = if advice.is_none() { "ok    " } else { "look  " };
        let mark = out.bold(mark);
        let line = match advice {
            None => format!("{mark}{}", plain(says)),
            Some(advice) => format!("{mark}{}\n      > {}", plain(says), plain(advice)),
        };
        out.say(|| line, || json!({"about": about, "ok": advice.is_none(), "says": says, "advice": advice}))?;
    }
    opened?;
    let wanting = found.0.iter().filter(|finding| finding.advice.is_some()).count();
    out.words(&match wanting {
        0 => "All is as it should be. verify reads the whole file besides.".to_owned(),
        1 => "One thing wants a look.".to_owned(),
        n => format!("{n} things want a look."),
    })?;
    Ok(wanting == 0)
}

/// The file as the system has it: whose it is, who may do what, where it lies.
fn place(path: &Path, found: &mut Findings) {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match system::free_bytes(folder) {
        Some(free) if free < LITTLE_SPACE => found.wrong(
            "space",
            format!("The disk has {} left.", size(free)),
            "Make room: a write that finds none fails, and changes of emails with it.",
        ),
        Some(free) => found.well("space", format!("The disk has {} left.", size(free))),
        None => {}
    }
    let Ok(database) = fs::symlink_metadata(path) else { return };
    owner(path, &database, found);
    let asides = asides(path, folder);
    if !asides.is_empty() {
        let names: Vec<_> = asides.iter().map(|aside| aside.display().to_string()).collect();
        found.wrong(
            "aside",
            format!("Files that were moved aside lie beside it: {}.", names.join(", ")),
            "They are evidence. Once nobody looks for a cause any more, delete them, with their -wal and -shm.",
        );
    }
}

fn owner(path: &Path, database: &Metadata, found: &mut Findings) {
    let me = system::user();
    if database.uid() == me {
        found.well("owner", format!("The file is of system user {me}, as is this process."));
    } else {
        found.wrong(
            "owner",
            format!("The file is of system user {}, and this process of user {me}.", database.uid()),
            "Run the command as the app's own user. Where the app cannot open the file, give it to that user with its -wal and -shm: chown.",
        );
    }
    let mode = database.mode() & 0o7777;
    match mode & 0o077 {
        0 => found.well("mode", format!("Nobody else may read or write it (mode {mode:04o}).")),
        _ => found.wrong(
            "mode",
            format!("Others of this system may read or write it (mode {mode:04o})."),
            format!("chmod 600 {}", path.display()),
        ),
    }
    for suffix in ["-wal", "-shm"] {
        let beside = beside(path, suffix);
        if let Ok(companion) = fs::symlink_metadata(&beside)
            && companion.uid() != database.uid()
        {
            found.wrong(
                "companion",
                format!("{} is of another system user, {}, than the file.", beside.display(), companion.uid()),
                format!("chown {} {}", database.uid(), beside.display()),
            );
        }
    }
}

/// What `move_aside` has put beside the file: the databases, without their logs.
fn asides(path: &Path, folder: &Path) -> Vec<PathBuf> {
    let own = format!("{}.aside-", path.file_name().unwrap_or_default().to_string_lossy());
    let is_one = |name: &str| name.strip_prefix(&own).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<_> =
        entries.filter(|entry| is_one(&entry.file_name().to_string_lossy())).map(|entry| entry.path()).collect();
    all.sort();
    all
}

/// A clock that was set back: all that was written after its time counts as newer than what comes now.
fn clock(path: &Path, found: &mut Findings) {
    let written = |suffix: &str| fs::metadata(beside(path, suffix)).and_then(|found| found.modified()).ok();
    let Some(last) = ["", "-wal"].into_iter().filter_map(written).max() else { return };
    match last.duration_since(SystemTime::now()) {
        Ok(ahead) if ahead > Duration::from_secs(5) => found.wrong(
            "clock",
            format!("The file was written {} after what this host's clock says is now.", span(ahead)),
            "Set the clock (NTP): until it is there again, changes and reads of now count as older than those before.",
        ),
        _ => found.well("clock", "The file was written in the past, by this host's clock."),
    }
}

/// What is in the file, once it is open.
fn content(cache: &Vidcache, secret: bool, found: &mut Findings) -> Result<()> {
    found.well("file", format!("It opens: a file of portal {}, of a schema that this version knows.", cache.portal()));
    match secret {
        true => found.well("secret", "The secret is the file's."),
        false => found.wrong(
            "secret",
            "The file has no secret: whoever has it can test whether an email that they guess is in it.",
            "Make a new file with a secret, and fill it (docs/operations.md): this one cannot get one.",
        ),
    }
    let stats = cache.stats();
    match stats.passing {
        Some(why) => found.wrong(
            "place",
            format!("The file is on {why}."),
            "Put it on a local disk that outlives a deploy: in a container, on a volume that is mounted at the folder.",
        ),
        None => found.well("place", "The file is on no file system that is known to pass."),
    }
    match stats.log_bytes {
        bytes if bytes > LARGE_LOG => found.wrong(
            "log",
            format!("The log beside it has {}.", size(bytes)),
            "A reader that stays, such as a backup or a stopped process, keeps it from being emptied: end it.",
        ),
        bytes => found.well("log", format!("The log beside it has {}.", size(bytes))),
    }
    if let Some(why) = stats.fallback {
        found.wrong(
            "fallback",
            format!("Every look-up here reads the file: {why}."),
            "See docs/operations.md, What to watch.",
        );
    }
    let lost = cache.stale_changes(LOST, COUNTED)?;
    match lost.first() {
        None => found.well("changes", "No change of an email waits for longer than an hour."),
        Some(oldest) => found.wrong(
            "changes",
            format!(
                "{} waited for longer than an hour, the oldest since {}.",
                count(lost.len(), "change of an email has", "changes of emails have"),
                moment(oldest.begun_at)
            ),
            "Their jobs were lost, or HubSpot refuses: vidcache list --reason change-outstanding, and rails vidcache:stale RETRY=1.",
        ),
    }
    let unread = cache.users_to_read(false, UNREAD, None, COUNTED)?.len();
    let long_ago = cache.users_to_read(true, lists::LONG_AGO + UNREAD, None, COUNTED)?.len();
    match (unread, long_ago) {
        (0, 0) => found.well("reading", "Whoever is to be read from HubSpot has been."),
        _ => found.wrong(
            "reading",
            format!(
                "For two days nobody has read {} whose email is unconfirmed, nor for 32 days {} that was confirmed.",
                count(unread, "contact", "contacts"),
                count(long_ago, "contact", "contacts")
            ),
            "Does what reads them run? In Rails: vidcache:reconcile, every hour.",
        ),
    }
    match cache.conflicts(None, COUNTED)?.len() {
        0 => found.well("conflicts", "No two contacts want one email, and no two users one contact."),
        n => found.wrong(
            "conflicts",
            format!("There are {} that a person decides.", count(n, "conflict", "conflicts")),
            "vidcache conflicts lists them; in Rails vidcache:merge merges the two contacts.",
        ),
    }
    Ok(())
}

fn count(n: usize, one: &str, many: &str) -> String {
    match n {
        1 => format!("1 {one}"),
        n if n >= COUNTED as usize => format!("{n} {many} or more"),
        n => format!("{n} {many}"),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
