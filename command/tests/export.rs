//! `export`: all users and their contacts, in whatever `import` takes.

mod common;

use std::fs;

use common::Place;
use vidcache::UserKey;

const USERS: [(&str, i64); 5] =
    [("-3", 903), ("7", 907), ("a \"b\", c\nd", 904), ("Ünï", 905), ("0188d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d", 906)];

fn filled() -> Place {
    let place = Place::empty();
    let cache = place.cache();
    for (user, vid) in USERS {
        let user = UserKey::text(user).expect("a key");
        cache.link(user, vid.try_into().expect("an id")).expect("a link");
    }
    // Linked to nobody.
    cache.begin_email_change(UserKey::from(1)).expect("a change");
    place
}

#[test]
fn what_is_exported_is_imported_into_the_same() {
    let place = filled();
    for name in ["all.csv", "all.ndjson", "all.csv.gz", "all.jsonl.zst"] {
        let to = place.folder().join(name);
        let to = to.to_str().unwrap();
        assert_eq!(place.run(&["export", to, "--json"]).ends(0).json()["rows"], 5);
        let other = Place::nowhere();
        assert_eq!(other.fill(&["import", to, "--create", "--json"]).ends(0).json()["imported"], 5, "{name}");
        let cache = other.cache();
        for (user, vid) in USERS {
            let found = cache.resolve(UserKey::text(user).unwrap()).unwrap();
            assert_eq!(found.map(|found| found.vid.get()), Some(vid), "{name}: {user}");
        }
        // It is not written over, and nothing is left beside it.
        place.run(&["export", to]).ends(6);
        assert!(!fs::exists(format!("{to}.part")).unwrap());
    }
    place.run(&["export"]).ends(0).said("export");
    place.run(&["export", "--json"]).ends(0).said("export-json");
    assert!(place.run(&["export", "all.xlsx"]).ends(2).stderr.contains(".ndjson"));
}

#[test]
fn an_export_that_fails_leaves_no_file() {
    let place = filled();
    place.cache().link(UserKey::text(" blank").unwrap(), 908.try_into().unwrap()).unwrap();
    let to = place.folder().join("all.csv");
    let told = place.run(&["export", to.to_str().unwrap()]).ends(6);
    assert!(told.stderr.contains(".ndjson"), "{}", told.stderr);
    assert!(
        fs::read_dir(place.folder()).unwrap().flatten().all(|file| !file.file_name().to_string_lossy().contains("all"))
    );
    let to = place.folder().join("all.ndjson");
    assert_eq!(place.run(&["export", to.to_str().unwrap(), "--json"]).ends(0).json()["rows"], 6);
}
