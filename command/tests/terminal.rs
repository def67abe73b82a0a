//! The command on a terminal: what it asks, what is in colour, how an import goes on.

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::{Child, Stdio};

use common::{ANN, Place};

/// Starts the command on a terminal of its own; the other end of that is returned.
fn start(place: &Place, arguments: &[&str], environment: &[(&str, &str)]) -> (Child, File) {
    let (mut master, mut slave) = (-1, -1);
    let name = std::ptr::null_mut();
    // SAFETY: both descriptors are written to variables that outlive the call; the rest may be null.
    let made =
        unsafe { libc::openpty(&raw mut master, &raw mut slave, name, std::ptr::null_mut(), std::ptr::null_mut()) };
    assert_eq!(made, 0, "a terminal");
    // SAFETY: openpty made both, and nobody else has them.
    let (master, slave) = unsafe { (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
    let end = || Stdio::from(slave.try_clone().expect("a descriptor"));
    let mut run = place.fill(arguments);
    run.command.stdin(end()).stdout(end()).stderr(end()).env_remove("NO_COLOR").envs(environment.iter().copied());
    // On return the child alone has that end, so that its end is the end.
    (run.command.spawn().expect("the command runs"), master)
}

/// Runs the command on a terminal where that is typed: how it ended, and what the terminal showed.
fn on_a_terminal(
    place: &Place,
    arguments: &[&str],
    typed: &str,
    environment: &[(&str, &str)],
) -> (Option<i32>, String) {
    let (mut child, mut master) = start(place, arguments, environment);
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
fn a_page_is_shown_anew_until_ctrl_c_and_leaves_the_screen_as_it_was() {
    let place = Place::filled();
    let (mut child, mut master) = start(&place, &["watch", "--every", "1s"], &[]);
    let (mut shown, mut begun) = (String::new(), false);
    while !shown.contains("changes outstanding  2") {
        let mut bytes = [0; 4096];
        let read = master.read(&mut bytes).expect("the page goes on");
        shown += &String::from_utf8_lossy(&bytes[..read]);
        if !begun && shown.contains("user 2, for") {
            place.cache().begin_email_change(vidcache::UserKey::from(3)).expect("a change");
            begun = true;
        }
    }
    assert!(shown.starts_with("\x1b[?1049h") && shown.contains("user 4, since"), "{shown}");
    // What a terminal makes of Ctrl-C for whoever is in front.
    // SAFETY: the child is this test's own and was not waited for, so the number is still its.
    assert_eq!(unsafe { libc::kill(child.id().cast_signed(), libc::SIGINT) }, 0);
    let mut rest = Vec::new();
    let _ = master.read_to_end(&mut rest);
    assert!(String::from_utf8_lossy(&rest).ends_with("\x1b[?25h\x1b[?1049l"));
    assert_eq!(child.wait().expect("an end").code(), Some(0));
    place.run(&["watch"]).ends(2);
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
