//! `doctor`: each thing that docs/operations.md asks of a file is found where it is not so, with what to do.

mod common;

use std::fs::{self, FileTimes};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use common::{Place, SECRET, Told};
use vidcache::{Options, UserKey, Vidcache};

/// What was said of one thing: whether it is well, and what to do.
fn of(told: &Told<'_>, about: &str) -> (bool, String) {
    let found = told.stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("an object"));
    let finding = found.into_iter().find(|finding| finding["about"] == about);
    let finding = finding.unwrap_or_else(|| panic!("nothing is said of {about}: {}", told.stdout));
    (finding["ok"].as_bool().expect("a flag"), finding["advice"].as_str().unwrap_or_default().to_owned())
}

/// Where the tests' folder is on a layer of a container, or in memory, that wants a look by itself.
fn status(place: &Place) -> i32 {
    let (_, told) = place.command(&["doctor", "--json"]).output();
    i32::from(told.stdout.lines().any(|line| line.contains("\"ok\":false")))
}

#[test]
fn a_file_that_is_right_wants_no_look() {
    let place = Place::empty();
    let told = place.run(&["doctor", "--json"]).ends(status(&place));
    for about in ["owner", "mode", "clock", "file", "secret", "log", "changes", "reading", "conflicts"] {
        assert_eq!(of(&told, about), (true, String::new()), "{about}");
    }
    let words = place.run(&["doctor"]).ends(status(&place)).stdout;
    assert!(words.contains("ok    The secret is the file's."), "{words}");
}

#[test]
fn what_waits_too_long_is_found() {
    let place = Place::filled();
    // A change whose job was lost.
    place.age_changes(Duration::from_secs(7200));
    let told = place.run(&["doctor", "--json"]).ends(1);
    for (about, advice) in
        [("changes", "list --reason change-outstanding"), ("reading", "reconcile"), ("conflicts", "vidcache conflicts")]
    {
        let (well, said) = of(&told, about);
        assert!(!well && said.contains(advice), "{about}: {said}");
    }
    let words = place.run(&["doctor"]).ends(1).stdout;
    assert!(words.contains("things want a look"), "{words}");
}

#[test]
fn others_who_may_read_it_a_clock_that_was_set_back_and_old_files_are_found() {
    let place = Place::empty();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o644)).unwrap();
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    place.file("hubspot.vidcache.aside-1772359200000", "old");
    place.file("hubspot.vidcache.aside-of-somebody", "not ours");
    fs::File::open(place.path()).unwrap().set_times(FileTimes::new().set_modified(tomorrow)).unwrap();
    let told = place.run(&["doctor", "--json"]).ends(1);
    assert!(of(&told, "mode").1.contains("chmod 600"));
    assert!(of(&told, "clock").1.contains("NTP"));
    assert!(of(&told, "aside").1.contains("evidence") && !told.stdout.contains("of-somebody"));
}

#[test]
fn a_file_without_a_secret_is_found() {
    let place = Place::nowhere();
    drop(Vidcache::open(place.path(), common::PORTAL, &Options::default()).unwrap());
    let told = place.command(&["doctor", "--json"]).without_secret().ends(1);
    assert!(of(&told, "secret").1.contains("new file"));
}

#[test]
fn of_a_file_that_does_not_open_the_place_is_told_and_the_error() {
    let place = Place::empty();
    let other = place.file("other", b"a secret of another file altogether");
    let told = place.command(&["doctor", "--json", "--secret-file", &other]).ends(4);
    assert!(of(&told, "owner").0 && told.stderr.contains("wrong_secret"), "{}", told.stderr);
    assert!(!told.stdout.contains("\"about\":\"file\""));

    let nowhere = Place::nowhere();
    let told = nowhere.run(&["doctor"]).ends(4);
    assert!(told.stderr.contains("no such file") && !nowhere.path().exists(), "{}", told.stderr);
}

#[test]
fn looking_changes_nothing() {
    let place = Place::filled();
    let cache =
        Vidcache::open(place.path(), common::PORTAL, &Options { secret: Some(SECRET), ..Options::default() }).unwrap();
    let before = (1..5).map(|user| cache.export(UserKey::from(user)).unwrap()).collect::<Vec<_>>();
    place.run(&["doctor"]).ends(1);
    assert_eq!(before, (1..5).map(|user| cache.export(UserKey::from(user)).unwrap()).collect::<Vec<_>>());
}
