//! The file as a whole: what is in it, whether it is sound, and what an operator may do to it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use vidcache::{StaleChange, Vidcache};

use crate::arguments::{Backup, File, Rekey, Restore, Sure};
use crate::failure::{Failure, Result};
use crate::file;
use crate::lists;
use crate::output::Output;
use crate::words::{moment, plain, size, span, sure};

/// Up to how many of a kind are counted one by one: some tens of milliseconds.
pub(crate) const COUNTED: u32 = 10_000;

/// What is in the file, what waits, and what the file takes.
pub(crate) struct Counts {
    path: String,
    portal: i64,
    pub(crate) bytes: u64,
    pub(crate) log_bytes: u64,
    /// Changes of emails on their way, the oldest first.
    pub(crate) outstanding: Vec<StaleChange>,
    pub(crate) unconfirmed: usize,
    pub(crate) long_ago: usize,
    pub(crate) conflicts: usize,
    pub(crate) quiet: Duration,
}

impl Counts {
    pub(crate) fn of(cache: &Vidcache, path: &Path) -> Result<Self> {
        Ok(Self {
            path: path.display().to_string(),
            portal: cache.portal(),
            bytes: fs::metadata(path).map_or(0, |found| found.len()),
            log_bytes: cache.stats().log_bytes,
            outstanding: cache.stale_changes(Duration::ZERO, COUNTED)?,
            unconfirmed: cache.users_to_read(false, Duration::ZERO, None, COUNTED)?.len(),
            long_ago: cache.users_to_read(true, lists::LONG_AGO, None, COUNTED)?.len(),
            conflicts: cache.conflicts(None, COUNTED)?.len(),
            quiet: cache.quiet_period()?,
        })
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let some = |count: usize| match count >= COUNTED as usize {
            true => format!("{COUNTED} or more"),
            false => count.to_string(),
        };
        let oldest = self.outstanding.first();
        let oldest = oldest.map_or(String::new(), |change| format!(", the oldest begun {}", moment(change.begun_at)));
        vec![
            format!("file                 {}", plain(&self.path)),
            format!("portal               {}", self.portal),
            format!("size                 {}, and its log {}", size(self.bytes), size(self.log_bytes)),
            format!("changes outstanding  {}{oldest}", some(self.outstanding.len())),
            format!("unconfirmed          {} users, of whom pages give the id alone", some(self.unconfirmed)),
            format!("confirmed long ago   {} users, more than 30 days ago", some(self.long_ago)),
            format!("conflicts            {}", some(self.conflicts)),
            format!("quiet period         {}", span(self.quiet)),
        ]
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "file": self.path,
            "portal": self.portal,
            "bytes": self.bytes,
            "log_bytes": self.log_bytes,
            "changes_outstanding": self.outstanding.len(),
            "oldest_outstanding": self.outstanding.first().map(|change| change.begun_at),
            "unconfirmed": self.unconfirmed,
            "confirmed_long_ago": self.long_ago,
            "conflicts": self.conflicts,
            "counted_up_to": COUNTED,
            "quiet_period_ms": self.quiet.as_millis() as u64,
        })
    }
}

pub(crate) fn stats(file: &File, out: &mut Output) -> Result<bool> {
    let counts = Counts::of(&file::open(file)?, file::path(file)?)?;
    out.say(|| counts.lines().join("\n"), || counts.json())?;
    Ok(true)
}

pub(crate) fn verify(file: &File, out: &mut Output) -> Result<bool> {
    let problems = file::open(file)?.verify()?;
    out.say(
        || match problems.len() {
            0 => "Nothing is wrong.".into(),
            _ => problems.iter().map(|problem| plain(problem)).collect::<Vec<_>>().join("\n"),
        },
        || json!({"problems": problems}),
    )?;
    Ok(problems.is_empty())
}

pub(crate) fn doubt(file: &File, meant: &Sure, out: &mut Output) -> Result<bool> {
    let cache = file::open(file)?;
    sure(meant.yes, "No page will name an email until HubSpot has said it anew")?;
    cache.doubt_all()?;
    out.say(
        || {
            "No page names an email now. In 5 s all contacts can be read again: rails vidcache:reconcile, or the lists."
                .into()
        },
        || json!({"doubted": true}),
    )?;
    Ok(true)
}

pub(crate) fn move_aside(file: &File, meant: &Sure, out: &mut Output) -> Result<bool> {
    let path = file::path(file)?;
    sure(meant.yes, "The file is moved aside, and pages say nothing of anybody until a new one is filled")?;
    let aside = Vidcache::move_aside(path)?;
    out.say(
        || format!("It is {} now. How the new one is filled: docs/operations.md.", plain(&aside.display().to_string())),
        || json!({"moved_to": aside.display().to_string()}),
    )?;
    Ok(true)
}

pub(crate) fn backup(file: &File, copy: &Backup, out: &mut Output) -> Result<bool> {
    file::open(file)?.backup(&copy.to)?;
    let to = copy.to.display().to_string();
    out.say(|| format!("{} is a copy as of one commit.", plain(&to)), || json!({"copy": to}))?;
    Ok(true)
}

pub(crate) fn restore(file: &File, copy: &Restore, out: &mut Output) -> Result<bool> {
    let path = file::path(file)?;
    sure(
        copy.sure.yes,
        "The backup takes the place of the file, and no page names an email until HubSpot says it anew",
    )?;
    let aside = Vidcache::restore(&copy.from, path)?.map(|aside| aside.display().to_string());
    out.say(
        || {
            let was = aside.as_ref().map_or(String::new(), |aside| format!(" What was there is {} now.", plain(aside)));
            format!("Restored.{was} Forget anew whoever was forgotten since; all contacts are to be read again.")
        },
        || json!({"restored": true, "moved_to": aside}),
    )?;
    Ok(true)
}

pub(crate) fn rekey(file: &File, secrets: &Rekey, out: &mut Output) -> Result<bool> {
    if file::secret(file)?.is_none() {
        return Err(Failure::Usage(
            "the new secret is not given: set VIDCACHE_SECRET, or name a file by --secret-file".into(),
        ));
    }
    file::open_under(file, &secrets.old_secret_file)?;
    out.say(
        || {
            "The file's key is wrapped under the secret. Whatever starts from now on needs it; what runs goes on."
                .into()
        },
        || json!({"wrapped": true}),
    )?;
    Ok(true)
}
