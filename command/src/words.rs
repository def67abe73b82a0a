//! Ids, times and sizes for people to read.

use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal, Write};
use std::time::Duration;

use time::OffsetDateTime;
use vidcache::{Conflict, Email, Millis};

use crate::failure::{Failure, Result};

/// Text of the file's or of another's that may hold anything: without what a terminal would obey, and on one line.
pub(crate) fn plain(text: &str) -> String {
    let mut said = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() || ('\u{200B}'..='\u{200F}').contains(&c) || ('\u{202A}'..='\u{202E}').contains(&c) => {
                let _ = write!(said, "{}", c.escape_unicode());
            }
            c => said.push(c),
        }
    }
    said
}

/// `2026-03-01 10:00:00 UTC`.
pub(crate) fn moment(at: Millis) -> String {
    match OffsetDateTime::from_unix_timestamp(at.div_euclid(1000)) {
        Ok(t) if at > 0 => {
            let (year, month, day) = t.to_calendar_date();
            let (h, m, s) = t.to_hms();
            format!("{year}-{:02}-{day:02} {h:02}:{m:02}:{s:02} UTC", u8::from(month))
        }
        _ => "never".into(),
    }
}

/// What the other contact of a conflict is in the way of, as the end of a sentence about that contact.
pub(crate) fn claim(conflict: &Conflict) -> &'static str {
    match conflict.why.name() {
        "vid_taken" => "is another user's contact",
        _ => "holds their email",
    }
}

/// `1.5 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if size < 1024.0 {
            return if unit == "bytes" { format!("{bytes} bytes") } else { format!("{size:.1} {unit}") };
        }
        size /= 1024.0;
    }
    format!("{size:.1} TiB")
}

/// The largest unit that it fills: `3 d`, `2 h`, `12 min`, `5 s`.
pub(crate) fn span(time: Duration) -> String {
    match time.as_secs() {
        s if s >= 2 * 86_400 => format!("{} d", s / 86_400),
        s if s >= 2 * 3600 => format!("{} h", s / 3600),
        s if s >= 120 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

/// An email that was given as an argument, or by standard input where that is a dash. No error repeats it.
pub(crate) fn email(given: Option<&str>) -> Result<Option<Email>> {
    let text = match given {
        None => return Ok(None),
        Some("-") => {
            if io::stdin().is_terminal() {
                eprint!("email: ");
            }
            let mut line = String::new();
            // An email is shorter than this, whatever stands there.
            let read = io::Read::take(io::stdin().lock(), 4096).read_line(&mut line);
            read.map_err(|e| Failure::Usage(format!("the email cannot be read from standard input: {e}")))?;
            line
        }
        Some(text) => text.to_owned(),
    };
    match text.trim() {
        "" => Ok(None),
        text => Ok(Some(Email::parse(text)?)),
    }
}

/// Whether that is meant. Where nobody can be asked it takes `--yes`.
pub(crate) fn sure(yes: bool, what: &str) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!("{what}: say --yes where nobody can be asked")));
    }
    eprint!("{what}. Type yes: ");
    let _ = io::stderr().flush();
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    match read {
        Ok(_) if line.trim() == "yes" => Ok(()),
        _ => Err(Failure::Usage("nothing was done".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        assert_eq!(plain("a\x1b[31mb\nc\u{202E}"), "a\\u{1b}[31mb\\u{a}c\\u{202e}");
        assert_eq!(plain("änn 42"), "änn 42");
    }

    #[test]
    fn sizes_times_and_spans_are_short() {
        assert_eq!((size(0), size(1536), size(5 << 30)), ("0 bytes".into(), "1.5 KiB".into(), "5.0 GiB".into()));
        assert_eq!((moment(1_772_359_200_000), moment(0)), ("2026-03-01 10:00:00 UTC".into(), "never".into()));
        assert_eq!(span(Duration::from_secs(7300)), "2 h");
    }
}
