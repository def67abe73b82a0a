//! Filling the file from the app's table or HubSpot's export: rows of users, contacts and emails.
//!
//! A thread reads rows and makes chunks of them; this one writes a chunk in a transaction. What is in the file once is
//! not changed by coming again, so whatever ends an import, the same command ends it well.

mod rejected;
mod resume;
mod row;
mod source;
mod table;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use vidcache::{Error, Millis, Vidcache};

use crate::arguments::File;
use crate::failure::{Failure, Result};
use crate::file::{self, Missing};
use crate::interrupt;
use crate::output::Output;
use crate::progress::Progress;
use rejected::Rejected;
use resume::Resume;
use row::{Chunk, Refusal};
use source::Gauge;
use table::{Named, Read1, Rows};

/// How many refused rows are told of on standard error.
const TOLD: u64 = 5;

#[derive(clap::Args)]
pub(crate) struct Import {
    /// CSV with a line of names, or a JSON object a line, also compressed by gzip or zstd. A dash is standard input.
    pub(crate) rows: PathBuf,
    #[command(flatten)]
    named: Named,
    /// Makes the cache's file, where there is none.
    #[arg(long)]
    pub(crate) create: bool,
    /// Reads and checks the rows, and writes nothing. Whether another user has a contact is not looked up.
    #[arg(long)]
    dry_run: bool,
    /// A new file that gets the rows that are left out, each with the reason, to be mended and imported.
    #[arg(long, value_name = "FILE")]
    rejected: Option<PathBuf>,
    /// A small file that says how far the import came. The same command goes on from there; at the end it is removed.
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    resume: Option<PathBuf>,
}

/// What was done with the rows.
#[derive(Default)]
struct Report {
    taken: u64,
    nobody: u64,
    left_out: BTreeMap<&'static str, u64>,
    /// How many more refused rows are told of on standard error.
    to_tell: u64,
}

/// False: rows were left out.
pub(crate) fn import(file: &File, import: &Import, out: &mut Output) -> Result<bool> {
    interrupt::listen();
    let cache = match import.dry_run {
        true => None,
        false => Some(file::open_to_fill(file, if import.create { Missing::Make } else { Missing::Refuse })?),
    };
    let mut resume = match &import.resume {
        Some(path) => Some(Resume::open(path, &import.rows, file::path(file)?)?),
        None => None,
    };
    let before = resume.as_ref().map_or(0, |resume| resume.rows);
    let source = source::open(&import.rows)?;
    let (gauge, bytes) = (source.gauge.clone(), source.bytes);
    let rows = Rows::new(source, &import.named)?;
    // Of a program the counts are enough, and standard error has one object at most.
    let people = !out.json;
    if people && rows.leaves_emails_out {
        eprintln!(
            "vidcache: emails are left out, since no column says since when HubSpot held them (--email-at): users are \
             linked, and named once their contacts are read"
        );
    }
    let mut rejected = match &import.rejected {
        Some(path) => Some(Rejected::open(path, before > 0)?),
        None => None,
    };
    if let Some(rejected) = &mut rejected {
        rejected.names(rows.header.as_ref())?;
    }
    let keep = rejected.is_some();
    let (send, receive) = sync_channel(1);
    // It is not waited for: it may be waiting for input that never comes.
    std::thread::spawn(move || read(rows, before, keep, &send));

    let (mut report, mut progress) =
        (Report { to_tell: if people { TOLD } else { 0 }, ..Report::default() }, Progress::new(out.json));
    let mut upto = before;
    let ended = chunks(&receive, |chunk| {
        let taken = match &cache {
            Some(cache) => write(cache, &chunk, &mut report, rejected.as_mut())?,
            None => chunk.rows.len() as u64,
        };
        report.taken += taken;
        report.nobody += chunk.nobody;
        for (number, refusal, record) in &chunk.refused {
            report.leave_out(*number, refusal, record, rejected.as_mut())?;
        }
        if let Some(rejected) = &mut rejected {
            rejected.flush()?;
        }
        upto = chunk.upto;
        if let Some(resume) = &mut resume {
            resume.came_to(upto)?;
        }
        progress.at(upto - before, part(&gauge, bytes));
        Ok(())
    });
    progress.end();
    if let Err(failure) = ended {
        if people {
            eprintln!("vidcache: {upto} of the rows are done; the same command goes on, and changes nothing twice");
        }
        return Err(failure);
    }
    if let Some(resume) = resume {
        resume.done()?;
    }
    report.say(import.dry_run, before, upto - before, progress.took(), out)
}

/// Takes chunks until there are no more, or Ctrl-C.
fn chunks(receive: &Receiver<Result<Chunk>>, mut work: impl FnMut(Chunk) -> Result<()>) -> Result<()> {
    loop {
        if interrupt::is_stopped() {
            return Err(Failure::Interrupted("nothing was begun that is not finished".into()));
        }
        match receive.recv_timeout(Duration::from_millis(100)) {
            Ok(Ok(chunk)) => work(chunk)?,
            Ok(Err(_)) if interrupt::is_stopped() => {}
            Ok(Err(failure)) => return Err(failure),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// Reads all rows, and sends them a chunk at a time; an error is the last that is sent.
fn read(mut rows: Rows, before: u64, keep: bool, send: &SyncSender<Result<Chunk>>) {
    loop {
        let (chunk, more) = match chunk(&mut rows, before, keep) {
            Ok(read) => read,
            Err(failure) => {
                let _ = send.send(Err(failure));
                return;
            }
        };
        // Nobody takes it: the other side has ended.
        if send.send(Ok(chunk)).is_err() || !more {
            return;
        }
    }
}

fn chunk(rows: &mut Rows, before: u64, keep: bool) -> Result<(Chunk, bool)> {
    let (mut chunk, now) = (Chunk::default(), now());
    while !chunk.is_full() {
        let refused = match rows.next()? {
            Read1::End => {
                chunk.upto = rows.number.max(before);
                return Ok((chunk, false));
            }
            _ if rows.number <= before => continue,
            Read1::Not(why) => Some(("not_a_row", why.to_owned())),
            Read1::Row => {
                let had = chunk.rows.len();
                let refused = chunk.put(rows.number, &rows.fields(), now).err();
                if keep && chunk.rows.len() > had {
                    chunk.keep_record(rows.record());
                }
                refused
            }
        };
        if let Some(refusal) = refused {
            chunk.refused.push((rows.number, refusal, if keep { rows.record() } else { csv::ByteRecord::new() }));
        }
    }
    chunk.upto = rows.number;
    Ok((chunk, true))
}

/// One transaction. What others have locked is waited for.
fn write(cache: &Vidcache, chunk: &Chunk, report: &mut Report, mut rejected: Option<&mut Rejected>) -> Result<u64> {
    let done = loop {
        match cache.import(chunk.imported()) {
            Err(Error::Busy) if !interrupt::is_stopped() => {}
            done => break done?,
        }
    };
    if done.vid_taken > 0 {
        let users = chunk.rows.iter().map(|row| chunk.user(row)).collect::<vidcache::Result<Vec<_>>>()?;
        let contacts = cache.resolve_many(&users)?;
        let mut found = 0;
        for ((at, row), contact) in chunk.rows.iter().enumerate().zip(contacts) {
            // A link that was made before stands, which is no refusal: then nobody else has this contact.
            if contact.is_some_and(|contact| contact.vid == row.vid) {
                continue;
            }
            let holders = cache.users_of(row.vid)?;
            if !holders.is_empty() && !holders.contains(&users[at].to_text()) {
                found += 1;
                let refusal = ("vid_taken", format!("contact {} is another user's", row.vid));
                let record = chunk.records.get(at).cloned().unwrap_or_default();
                report.leave_out(row.number, &refusal, &record, rejected.as_deref_mut())?;
            }
        }
        // Of an erased contact, say, nobody can be found any more.
        if done.vid_taken > found {
            *report.left_out.entry("vid_taken").or_default() += done.vid_taken - found;
        }
    }
    Ok(done.imported)
}

impl Report {
    fn leave_out(
        &mut self,
        number: u64,
        refusal: &Refusal,
        record: &csv::ByteRecord,
        rejected: Option<&mut Rejected>,
    ) -> Result<()> {
        *self.left_out.entry(refusal.0).or_default() += 1;
        if let Some(rejected) = rejected {
            rejected.put(number, refusal, record)?;
        }
        if self.to_tell > 0 {
            self.to_tell -= 1;
            eprintln!("vidcache: row {number} is left out: {}", refusal.1);
        }
        Ok(())
    }

    fn say(&self, dry: bool, before: u64, rows: u64, took: Duration, out: &mut Output) -> Result<bool> {
        let left_out: u64 = self.left_out.values().sum();
        out.say(
            || {
                let mut lines = vec![match dry {
                    true => format!("{} users would be taken in. Nothing was written.", self.taken),
                    false => format!("{} users are taken in, or were known.", self.taken),
                }];
                if left_out > 0 {
                    let why: Vec<_> = self.left_out.iter().map(|(why, count)| format!("{count} {why}")).collect();
                    lines.push(format!("{left_out} rows are left out: {}.", why.join(", ")));
                }
                if self.nobody > 0 {
                    lines.push(format!("{} rows are of contacts who are no users.", self.nobody));
                }
                if before > 0 {
                    lines.push(format!("{before} rows were in from an earlier run."));
                }
                let rate = rows as f64 / took.as_secs_f64().max(0.001);
                lines.push(format!("{rows} rows in {:.1} s, {rate:.0} a second.", took.as_secs_f64()));
                lines.join("\n")
            },
            || {
                json!({
                    "dry_run": dry,
                    "rows": rows,
                    "earlier_rows": before,
                    "imported": self.taken,
                    "without_user": self.nobody,
                    "left_out": self.left_out,
                    "seconds": took.as_secs_f64(),
                })
            },
        )?;
        Ok(left_out == 0)
    }
}

/// How much of the file has been read.
fn part(gauge: &Arc<Gauge>, bytes: Option<u64>) -> Option<f64> {
    let bytes = bytes.filter(|bytes| *bytes > 0)?;
    Some(gauge.taken.load(Ordering::Relaxed) as f64 / bytes as f64)
}

/// Milliseconds since 1970, by this host's clock.
fn now() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis() as Millis)
}
