//! What waits, again and again: a page on a terminal, or an object a time for a program.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use vidcache::Vidcache;

use crate::arguments::{File, duration};
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::whole::Counts;
use crate::words::{moment, plain, span};
use crate::{file, interrupt, system};

/// Conflicts that are shown at most.
const SHOWN: u32 = 100;

#[derive(clap::Args)]
pub(crate) struct Watch {
    /// How often: a number with s, m, h or d.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    every: Duration,
}

pub(crate) fn watch(file: &File, watch: &Watch, out: &mut Output) -> Result<bool> {
    if !out.json && !out.is_terminal() {
        return Err(Failure::Usage("watch is for a terminal; with --json it prints an object each time".into()));
    }
    let every = watch.every.max(Duration::from_secs(1));
    interrupt::listen();
    let path = file::path(file)?;
    let cache = file::open(file)?;
    if out.json {
        while !interrupt::is_stopped() {
            let counts = Counts::of(&cache, path)?;
            out.say(String::new, || counts.json())?;
            out.flush()?;
            pause(every);
        }
        return Ok(true);
    }
    // Another screen, so that what was on this one is there again afterwards; and no cursor.
    out.raw("\x1b[?1049h\x1b[?25l")?;
    let shown = pages(&cache, path, every, out);
    out.raw("\x1b[?25h\x1b[?1049l")?;
    out.flush()?;
    shown.map(|()| true)
}

fn pages(cache: &Vidcache, path: &std::path::Path, every: Duration, out: &mut Output) -> Result<()> {
    let mut before = None;
    while !interrupt::is_stopped() {
        // What fails now, such as a file that others have locked, may pass: it is shown in place of the page.
        let lines = match page(cache, path, &mut before, out) {
            Ok(lines) => lines,
            Err(Failure::Output(error)) => return Err(Failure::Output(error)),
            Err(failure) => vec![plain(&failure.to_string())],
        };
        let (columns, rows) = system::terminal().unwrap_or((80, 24));
        let mut text = String::from("\x1b[H");
        for line in lines.iter().take(rows.saturating_sub(1)) {
            // What stands there already ends where the line does.
            text += &cut(line, columns);
            text += "\x1b[K\r\n";
        }
        out.raw(&(text + "\x1b[J"))?;
        out.flush()?;
        pause(every);
    }
    Ok(())
}

/// As many characters as fit; bold ones are the first line's alone, which is short.
fn cut(line: &str, columns: usize) -> String {
    match line.contains('\x1b') {
        true => line.to_owned(),
        false => line.chars().take(columns).collect(),
    }
}

fn page(
    cache: &Vidcache,
    path: &std::path::Path,
    before: &mut Option<(i64, Instant)>,
    out: &Output,
) -> Result<Vec<String>> {
    // A look-up takes note of what others have written.
    cache.resolve(0.into())?;
    let (revision, at) = (cache.stats().revision, Instant::now());
    let rate = before.replace((revision, at)).map_or(String::new(), |(was, then)| {
        let seconds = at.duration_since(then).as_secs_f64().max(0.001);
        format!("; {:.1} events of users a second", (revision - was).max(0) as f64 / seconds)
    });
    let counts = Counts::of(cache, path)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis() as i64);
    let mut lines = vec![out.bold(&format!("vidcache, {}{rate}", moment(now))), String::new()];
    lines.extend(counts.lines());
    let conflicts = cache.conflicts(None, SHOWN)?;
    if !conflicts.is_empty() {
        lines.extend([String::new(), "Conflicts".into()]);
        lines.extend(
            conflicts
                .iter()
                .take(5)
                .map(|conflict| format!("  user {}, since {}", plain(&conflict.user), moment(conflict.since))),
        );
    }
    if !counts.outstanding.is_empty() {
        lines.extend([String::new(), "Changes on their way, the oldest first".into()]);
    }
    for change in &counts.outstanding {
        let age = Duration::from_millis((now - change.begun_at).max(0).unsigned_abs());
        lines.push(format!("  user {}, for {}", plain(&change.user), span(age)));
    }
    Ok(lines)
}

fn pause(every: Duration) {
    let until = Instant::now() + every;
    while !interrupt::is_stopped() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50).min(until.saturating_duration_since(Instant::now())));
    }
}
