//! The command on a terminal: what it asks, what is in colour, how an import goes on.

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::Stdio;

use common::{ANN, Place};

/// Runs the command on a terminal of its own where that is typed: how it ended, and what the terminal showed.
fn on_a_terminal(
    place: &Place,
    arguments: &[&str],
    typed: &str,
    environment: &[(&str, &str)],
) -> (Option<i32>, String) {
    let (mut master, mut slave) = (-1, -1);
    let nothing = std::ptr::null_mut();
    // SAFETY: both descriptors are written to variables that outlive the call; the rest may be null.
    let made =
        unsafe { libc::openpty(&raw mut master, &raw mut slave, nothing, std::ptr::null_mut(), std::ptr::null_mut()) };
    assert_eq!(made, 0, "a terminal");
    // SAFETY: openpty made both, and nobody else has them.
    let (mut master, slave) = unsafe { (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
    let end = || Stdio::from(slave.try_clone().expect("a descriptor"));
    let mut run = place.fill(arguments);
    run.command.stdin(end()).stdout(end()).stderr(end()).env_remove("NO_COLOR").envs(environment.iter().copied());
    let mut child = run.command.spawn().expect("the command runs");
    // The child alone has the terminal now, so that its end is the end.
    drop((run, slave));
    master.write_all(typed.as_bytes()).expect("a terminal");
    let mut shown = Vec::new();
    // Linux ends a terminal with an error.
    let _ = master.read_to_end(&mut shown);
    (child.wait().expect("an end").code(), String::from_utf8_lossy(&shown).into_owned())
}

#[test]
fn what_cannot_be_taken_back_is_asked_for() {
    let place = Place::filled();
    let (ended, shown) = on_a_terminal(&place, &["forget", "1"], "no\n", &[]);
    assert!(ended == Some(2) && shown.contains("Type yes") && shown.contains("nothing was done"), "{shown}");
    assert_eq!(place.reason(1, ANN), "agreed");
    let (ended, shown) = on_a_terminal(&place, &["forget", "1"], "yes\n", &[]);
    assert!(ended == Some(0) && shown.contains("Forgotten."), "{shown}");
    assert_eq!(place.reason(1, ANN), "not_linked");
}

#[test]
fn an_email_is_asked_for_where_none_is_piped() {
    let place = Place::filled();
    let (ended, shown) = on_a_terminal(&place, &["explain", "1", "--email", "-"], "ann@shop.test\n", &[]);
    assert!(ended == Some(0) && shown.contains("email: ") && shown.contains("The page names the email"), "{shown}");
}

#[test]
fn colours_are_for_a_terminal_that_wants_them() {
    let place = Place::filled();
    let (_, shown) = on_a_terminal(&place, &["doctor"], "", &[]);
    assert!(shown.contains("\x1b[1mlook"), "{shown}");
    let (_, shown) = on_a_terminal(&place, &["doctor"], "", &[("NO_COLOR", "1")]);
    assert!(shown.contains("look") && !shown.contains('\x1b'), "{shown}");
}

#[test]
fn an_import_tells_how_it_goes_on() {
    let place = Place::empty();
    let rows: String = (1..=2000).map(|user| format!("{user},{}\n", 10_000 + user)).collect();
    let rows = place.file("rows.csv", format!("user,vid\n{rows}"));
    let (ended, shown) = on_a_terminal(&place, &["import", &rows], "", &[]);
    assert_eq!(ended, Some(0), "{shown}");
    assert!(shown.contains("2000 rows, ") && shown.contains(" a second, 100 %, 0 s left"), "{shown}");
    assert!(shown.contains("2000 users are taken in"), "{shown}");
    // A program is told at the end alone.
    let (_, shown) = on_a_terminal(&place, &["import", &rows, "--json"], "", &[]);
    assert!(shown.contains("\"imported\":2000") && !shown.contains("a second"), "{shown}");
}
