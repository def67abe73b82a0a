//! How many instructions a call takes, outside the kernel, and how many pages it writes to SQLite's log: a count is the
//! same on a busy machine, where a time is not. `vidcache-bench count` steps another process of itself through some
//! calls, one instruction at a time.

use std::hint::black_box;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use vidcache::{Email, UserKey};

use crate::keys::{HOT, email_text, some_of};
use crate::writes::{NewVids, answer};
use crate::{Result, open};

/// What is counted, and of how many calls.
const WHAT: &[(&str, usize)] = &[
    ("email", 100),
    ("resolve", 100),
    ("decide", 100),
    ("snippet", 100),
    ("link", 10),
    ("record", 10),
    ("begin", 10),
    ("observe", 10),
];

/// Users in the file: enough that its trees are as deep as those of a large one.
const USERS: usize = 200_000;

/// Of the log: a page of SQLite's, and what says which one it is.
const BYTES_OF_A_PAGE: u64 = 4096 + 24;

/// Prints the counts of a file at `path`, which is made where there is none: of all, or of `one`.
pub(crate) fn run(path: &Path, one: Option<&str>) -> Result<()> {
    if !path.exists() {
        crate::files::put(&open(path)?, USERS)?;
    }
    for &(what, calls) in WHAT.iter().filter(|(what, _)| one.is_none_or(|one| one == *what)) {
        let (instructions, pages) = steps(path, what, calls)?;
        print!("{what}: {} instructions", instructions / calls as u64);
        match pages {
            0 => println!(),
            pages => println!(", {:.1} pages", pages as f64 / calls as f64),
        }
    }
    Ok(())
}

/// The instructions between the two stops of a child, and the pages by which the log grew.
fn steps(path: &Path, what: &str, calls: usize) -> Result<(u64, u64)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["child-count".as_ref(), path.as_os_str(), what.as_ref(), calls.to_string().as_ref()]);
    let trace_me = || {
        // SAFETY: one system call.
        match unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: nothing in it allocates or locks.
    let child = unsafe { command.pre_exec(trace_me) }.spawn()?;
    let pid = libc::pid_t::try_from(child.id())?;
    let log = path.with_extension("vidcache-wal");
    let pages = || std::fs::metadata(&log).map_or(0, |found| found.len()) / BYTES_OF_A_PAGE;
    let (mut count, mut stops, mut at_stops) = (0, 0, [0_u64; 2]);
    loop {
        let mut status = 0;
        // SAFETY: the child is ours, and nobody else waits for it.
        if unsafe { libc::waitpid(pid, &raw mut status, 0) } != pid {
            return Err(std::io::Error::last_os_error().into());
        }
        if !libc::WIFSTOPPED(status) {
            let grown = at_stops[1].saturating_sub(at_stops[0]);
            return if stops == 2 { Ok((count, grown)) } else { Err(format!("the child for {what} failed").into()) };
        }
        match libc::WSTOPSIG(status) {
            libc::SIGSTOP => {
                at_stops[stops] = pages();
                stops += 1;
            }
            _ => count += u64::from(stops == 1),
        }
        let on = if stops == 1 { libc::PTRACE_SINGLESTEP } else { libc::PTRACE_CONT };
        // SAFETY: the child is stopped.
        unsafe { libc::ptrace(on, pid, 0, 0) };
    }
}

/// The child: does `what` that many times between two stops.
pub(crate) fn child(path: &Path, arguments: &[String]) -> Result<()> {
    let (what, calls): (&str, usize) = (&arguments[0], arguments[1].parse()?);
    let cache = open(path)?;
    let users = some_of(USERS, HOT.min(1_000));
    let emails: Vec<String> = users.iter().map(|&user| email_text(user)).collect();
    let parsed: Vec<Email> = emails.iter().map(|text| Email::parse(text)).collect::<vidcache::Result<_>>()?;
    let mut vids = NewVids::of_writer(std::process::id() as usize);
    // What is done for the first time is done before: statements, pages, the table.
    for &user in &users {
        cache.resolve(UserKey::from(user))?;
    }
    let mut vid = || vids.next();
    let user = |at: usize| UserKey::from(users[at]);
    let mut call: Box<dyn FnMut(usize) -> vidcache::Result<()> + '_> = match what {
        "email" => Box::new(|at| Email::parse(black_box(&emails[at])).map(|email| _ = black_box(email))),
        "resolve" => Box::new(|at| cache.resolve(user(at)).map(|found| _ = black_box(found))),
        "decide" => Box::new(|at| cache.decide(user(at), Some(&parsed[at])).map(|found| _ = black_box(found))),
        "snippet" => Box::new(|at| {
            let email = Email::parse(black_box(&emails[at]))?;
            cache.snippet(user(at), Some(&email), None).map(|html| drop(black_box(html)))
        }),
        "link" => Box::new(|at| cache.link(user(at), vid())),
        "begin" => Box::new(|at| cache.begin_email_change(user(at)).map(drop)),
        "record" => Box::new(|at| cache.record(user(at), answer(vid(), &emails[at], 0).as_bytes(), None).map(drop)),
        // The next answer about a contact that is known.
        "observe" => {
            Box::new(|at| cache.observe(answer(crate::keys::vid(users[at]), &emails[at], 0).as_bytes()).map(drop))
        }
        _ => return Err(format!("nothing is called {what}").into()),
    };
    (500..550).try_for_each(&mut call)?;
    stop();
    (0..calls).try_for_each(&mut call)?;
    stop();
    Ok(())
}

fn stop() {
    // SAFETY: the parent sees to it that it goes on.
    unsafe { libc::raise(libc::SIGSTOP) };
}
