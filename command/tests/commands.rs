//! The command as those who call it see it: what it prints, and how it ends. What is printed is held in tests/said/;
//! VIDCACHE_SAID=write writes it anew.

mod common;

use common::{ANN, Place, SECRET};

#[test]
fn what_is_known_of_a_user_is_shown_in_words_and_as_json() {
    let place = Place::filled();
    place.run(&["show", "1"]).ends(0).said("show-agreed");
    place.run(&["show", "2"]).ends(0).said("show-outstanding");
    place.run(&["show", "--contact", "901"]).ends(0).said("show-agreed");
    let shown = place.run(&["show", "3", "--json"]).ends(0).json();
    assert_eq!((shown["user"].as_str(), shown["vid"].as_str()), (Some("3"), Some("903")));
    place.run(&["show", "77"]).ends(1).said("show-nobody");
    assert_eq!(place.run(&["show", "--contact", "77", "--json"]).ends(1).json()["users"], serde_json::json!([]));
}

#[test]
fn a_page_is_explained_by_an_email_that_stands_nowhere_in_what_is_said() {
    let place = Place::filled();
    let told = place.run(&["explain", "1", "--email", ANN]).ends(0);
    told.said("explain-agreed");
    assert!(!told.stdout.contains('@'));
    // What others of the system cannot see.
    let piped = place.command(&["explain", "1", "--email", "-", "--json"]).input(format!("{ANN}\n")).ends(0).json();
    assert_eq!((piped["reason"].as_str(), piped["names_email"].as_bool()), (Some("agreed"), Some(true)));
    assert!(!piped.to_string().contains('@'));
    let other = place.run(&["explain", "1", "--email", "Zoe@shop.test", "--json"]).ends(0).json();
    assert_eq!((other["reason"].as_str(), other["id"].as_str()), (Some("email_differs"), Some("901")));
    let bad = place.run(&["explain", "1", "--email", "zoe.shop.test"]).ends(2);
    assert!(bad.stderr.contains("invalid_email") && !bad.stderr.contains("zoe"), "{}", bad.stderr);
}

#[test]
fn users_are_listed_for_each_reason() {
    let place = Place::filled();
    for reason in ["change-outstanding", "email-unconfirmed", "confirmed-long-ago", "conflict"] {
        let told = place.run(&["list", "--reason", reason]).ends(0);
        told.said(&format!("list-{reason}"));
        for line in place.run(&["list", "--reason", reason, "--json"]).ends(0).stdout.lines() {
            let user: serde_json::Value = serde_json::from_str(line).expect("an object a line");
            assert!(user["user"].is_string(), "{line}");
        }
    }
    place.run(&["conflicts"]).ends(0).said("list-conflict");
    assert_eq!(place.run(&["list", "--reason", "change-outstanding", "--older-than", "1h"]).ends(0).stdout, "");
    assert_eq!(place.run(&["list", "--reason", "email-unconfirmed", "--limit", "1"]).ends(0).stdout.lines().count(), 1);
}

#[test]
fn what_a_terminal_would_obey_is_not_sent_to_it() {
    let place = Place::empty();
    let hostile = "\x1b]0;owned\x07\u{202E}";
    place.cache().link(hostile.try_into().unwrap(), 77.try_into().unwrap()).unwrap();
    for arguments in [&["show", hostile][..], &["list", "--reason", "email-unconfirmed"], &["show", "--contact", "77"]]
    {
        let told = place.run(arguments).ends(0).stdout;
        assert!(told.contains("owned") && !told.contains(['\x1b', '\x07', '\u{202E}']), "{told:?}");
    }
}

#[test]
fn the_file_is_counted_and_checked() {
    let place = Place::filled();
    place.run(&["stats"]).ends(0).said("stats");
    let stats = place.run(&["stats", "--json"]).ends(0).json();
    assert_eq!((stats["portal"].as_i64(), stats["changes_outstanding"].as_i64()), (Some(common::PORTAL), Some(1)));
    assert_eq!((stats["unconfirmed"].as_i64(), stats["conflicts"].as_i64()), (Some(2), Some(1)));
    place.run(&["verify"]).ends(0).said("verify");
    assert_eq!(stats["quiet_period_ms"].as_i64(), Some(15_000));

    place.open_to_its_group();
    let told = place.run(&["verify", "--json"]).ends(1).json();
    assert!(told["problems"][0].as_str().is_some_and(|problem| problem.contains("group may write")), "{told}");
}

#[test]
fn the_quiet_period_of_an_app_is_no_longer_for_it_that_somebody_looked() {
    let place = Place::nowhere();
    let options = vidcache::Options {
        secret: Some(SECRET),
        page_deadline: std::time::Duration::from_secs(2),
        ..vidcache::Options::default()
    };
    drop(vidcache::Vidcache::open(place.path(), common::PORTAL, &options).unwrap());
    for _ in 0..2 {
        assert_eq!(place.run(&["stats", "--json"]).ends(0).json()["quiet_period_ms"], 7_000);
    }
}

#[test]
fn what_cannot_be_taken_back_is_asked_for_first() {
    let place = Place::filled();
    for arguments in [&["forget", "1"][..], &["doubt"], &["move-aside"]] {
        let refused = place.run(arguments).ends(2);
        assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    }
    place.run(&["explain", "1", "--email", ANN]).ends(0).said("explain-agreed");

    place.run(&["doubt", "--yes"]).ends(0).said("doubt");
    let after = place.run(&["explain", "1", "--email", ANN, "--json"]).ends(0).json();
    assert_eq!(after["reason"].as_str(), Some("email_unconfirmed"));
    place.run(&["forget", "1", "--yes"]).ends(0).said("forget");
    place.run(&["show", "1"]).ends(1);
    assert_eq!(place.run(&["forget", "1", "--yes", "--json"]).ends(0).json()["forgotten"], false);

    let cache = place.cache();
    place.run(&["move-aside", "--yes"]).ends(5);
    drop(cache);
    let moved = place.run(&["move-aside", "--yes", "--json"]).ends(0).json();
    assert!(std::path::Path::new(moved["moved_to"].as_str().expect("a path")).exists());
    assert!(!place.path().exists());
}

#[test]
fn a_backup_is_whole_and_put_back_it_believes_nothing_of_the_past() {
    let place = Place::filled();
    let copy = place.folder().join("copy.vidcache");
    let copy = copy.to_str().expect("a path");
    place.run(&["backup", copy]).ends(0).said("backup");
    // It is not written over.
    place.run(&["backup", copy]).ends(4);
    place.run(&["forget", "3", "--yes"]).ends(0);

    place.run(&["restore", copy]).ends(2);
    let cache = place.cache();
    place.run(&["restore", copy, "--yes"]).ends(5);
    drop(cache);
    let told = place.run(&["restore", copy, "--yes", "--json"]).ends(0).json();
    assert!(std::path::Path::new(told["moved_to"].as_str().expect("a path")).exists());
    assert_eq!(place.reason(1, ANN), "email_unconfirmed");
    place.run(&["show", "3"]).ends(0);

    // Where nothing is, nothing is moved; a file that is no backup is not put there.
    let other = Place::nowhere();
    other.run(&["restore", copy, "--yes"]).ends(0).said("restore");
    assert_eq!(other.reason(1, ANN), "email_unconfirmed");
    let notes = place.file("notes.txt", b"These are no rows of a database, but some sentences.\n");
    let nowhere = Place::nowhere();
    nowhere.run(&["restore", &notes, "--yes"]).ends(4);
    assert!(!nowhere.path().exists());
}

#[test]
fn a_rotated_secret_costs_the_file_nothing() {
    let place = Place::filled();
    let (old, new) = (place.file("old", SECRET), place.file("new", b"another secret of thirty-two b.\n"));
    let before = place.run(&["explain", "1", "--email", ANN]).ends(0).stdout;
    // In place of the variable.
    place.command(&["stats", "--secret-file", &new]).ends(4);
    place.command(&["rekey", "--old-secret-file", &old, "--secret-file", &new]).ends(0).said("rekey");
    assert_eq!(place.command(&["explain", "1", "--email", ANN, "--secret-file", &new]).ends(0).stdout, before);
    let refused = place.run(&["stats"]).ends(4);
    assert!(refused.stderr.contains("wrong_secret"), "{}", refused.stderr);
    place.command(&["rekey", "--old-secret-file", &old]).without_secret().ends(2);
}

#[test]
fn the_secret_of_a_rails_app_is_derived_as_the_gem_does() {
    let place = Place::nowhere();
    let base = place.file("base", b"secret_key_base of an app\n");
    // What OpenSSL::HMAC.digest("SHA256", base, "vidcache: fingerprints of emails, 1") is.
    let secret = data(RAILS);
    drop(place.cache_with(&secret));
    place.command(&["stats", "--secret-file", &base, "--rails"]).ends(0);
    let refused = place.command(&["stats", "--secret-file", &base]).ends(4);
    assert!(refused.stderr.contains("--rails"), "{}", refused.stderr);
}

const RAILS: &str = "fc32599f614fc494c4e63f7d5e705eaa388556f91b9d849657a77ad6c42d044e";

fn data(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

#[test]
fn each_kind_of_failure_has_its_own_status_and_says_what_to_do() {
    let place = Place::filled();
    let told = |arguments: &[&str], status| place.run(arguments).ends(status).stderr;
    assert!(told(&["stats", "--portal", "99"], 4).contains("belongs to portal"));
    assert!(told(&["show", ""], 2).contains("invalid_user_key"));
    assert!(told(&["show", "--contact", "x"], 2).contains("invalid_vid"));
    told(&["show"], 2);
    told(&["list", "--reason", "bad-weather"], 2);
    assert!(told(&["list", "--reason", "conflict", "--older-than", "soon"], 2).contains("30d"));

    let nowhere = place.command(&["stats", "--file", "/nowhere/at.all"]).ends(4);
    assert!(nowhere.stderr.contains("no such file"), "{}", nowhere.stderr);
    let unsaid = place.command(&["stats"]).without_file().ends(2);
    assert!(unsaid.stderr.contains("VIDCACHE_FILE"), "{}", unsaid.stderr);
    let secretless = place.command(&["stats"]).without_secret().ends(4);
    assert!(secretless.stderr.contains("No secret was given"), "{}", secretless.stderr);
    let text = place.file("notes.txt", b"These are no rows of a database, but some sentences.\n");
    let other = place.command(&["stats", "--file", &text, "--json"]).ends(4);
    let error: serde_json::Value = serde_json::from_str(&other.stderr).expect("an object");
    assert_eq!((error["error"]["code"].as_str(), error["error"]["number"].as_i64()), (Some("not_a_cache"), Some(303)));
}

#[test]
fn a_file_that_is_not_there_is_not_made_by_asking() {
    let place = Place::nowhere();
    for arguments in [&["stats"][..], &["show", "1"], &["verify"], &["forget", "1", "--yes"], &["doubt", "--yes"]] {
        place.run(arguments).ends(4);
    }
    assert!(!place.path().exists());
}

#[test]
fn the_manual_and_the_completions_name_every_command() {
    let place = Place::nowhere();
    let manual = place.run(&["manual"]).ends(0).stdout;
    let bash = place.run(&["completions", "bash"]).ends(0).stdout;
    let all = "show explain list conflicts stats watch doctor verify import export serve forget doubt move-aside backup restore rekey";
    for command in all.split(' ') {
        assert!(manual.contains(&format!("VIDCACHE {}", command.to_uppercase())), "{command}");
        assert!(bash.contains(command), "{command}");
    }
    assert!(manual.starts_with(".ie") || manual.contains(".TH vidcache 1"), "{}", &manual[..200]);
}
