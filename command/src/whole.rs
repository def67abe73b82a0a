//! The file as a whole: what is in it, whether it is sound, and what an operator may do to it.

use std::fs;
use std::time::Duration;

use serde_json::json;
use vidcache::Vidcache;

use crate::arguments::{File, Rekey, Sure};
use crate::failure::{Failure, Result};
use crate::file;
use crate::lists;
use crate::output::Output;
use crate::words::{moment, plain, size, span, sure};

/// Up to how many of a kind are counted one by one: some tens of milliseconds.
const COUNTED: u32 = 10_000;

pub(crate) fn stats(file: &File, out: &mut Output) -> Result<bool> {
    let cache = file::open(file)?;
    let path = file::path(file)?;
    let bytes = fs::metadata(path).map_or(0, |found| found.len());
    let stats = cache.stats();
    let outstanding = cache.stale_changes(Duration::ZERO, COUNTED)?;
    let unconfirmed = cache.users_to_read(false, Duration::ZERO, None, COUNTED)?.len();
    let long_ago = cache.users_to_read(true, lists::LONG_AGO, None, COUNTED)?.len();
    let conflicts = cache.conflicts(None, COUNTED)?.len();
    let oldest = outstanding.first().map(|change| change.begun_at);
    let quiet = cache.quiet_period()?;
    out.say(
        || {
            let some = |count: usize| match count >= COUNTED as usize {
                true => format!("{COUNTED} or more"),
                false => count.to_string(),
            };
            let oldest = oldest.map_or(String::new(), |at| format!(", the oldest begun {}", moment(at)));
            [
                format!("file                 {}", plain(&path.display().to_string())),
                format!("portal               {}", cache.portal()),
                format!("size                 {}, and its log {}", size(bytes), size(stats.log_bytes)),
                format!("changes outstanding  {}{oldest}", some(outstanding.len())),
                format!("unconfirmed          {} users, of whom pages give the id alone", some(unconfirmed)),
                format!("confirmed long ago   {} users, more than 30 days ago", some(long_ago)),
                format!("conflicts            {}", some(conflicts)),
                format!("quiet period         {}", span(quiet)),
            ]
            .join("\n")
        },
        || {
            json!({
                "file": path.display().to_string(),
                "portal": cache.portal(),
                "bytes": bytes,
                "log_bytes": stats.log_bytes,
                "changes_outstanding": outstanding.len(),
                "oldest_outstanding": oldest,
                "unconfirmed": unconfirmed,
                "confirmed_long_ago": long_ago,
                "conflicts": conflicts,
                "counted_up_to": COUNTED,
                "quiet_period_ms": quiet.as_millis() as u64,
            })
        },
    )?;
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
