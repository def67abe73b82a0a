//! Lower layers never import higher ones: held against the sources themselves.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of `src/` and what each may stand on, besides the ground: what everything may import.
const LAYERS: &[(&str, &[&str])] = &[
    ("rows", &["decision"]),
    ("file", &["rows"]), // The schema that a new file gets.
    ("hot", &["decision"]),
    ("store", &["decision", "file", "hot", "rows"]),
    ("hubspot", &[]),
    ("decision", &[]),
    ("snippet", &["decision"]),
];
const GROUND: &[&str] = &["cancel", "email", "error", "event", "identity"];

/// What `rows` must not know either: a path, a process, a clock.
const NOT_IN_ROWS: &[&str] = &["std::fs", "std::path", "std::process", "std::thread", "SystemTime", "Instant"];

/// The files of a room: `src/NAME.rs` and all of `src/NAME/`.
fn files(room: &str) -> Vec<PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found: Vec<PathBuf> = [src.join(format!("{room}.rs"))].into_iter().filter(|file| file.exists()).collect();
    let mut folders = vec![src.join(room)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "there is no src/{room}");
    found
}

/// The rooms that a source names by `crate::`, outside its tests.
fn imports(source: &str) -> BTreeSet<&str> {
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap_or(source);
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(rest))
        .filter(|name| name.starts_with(char::is_lowercase))
        .collect()
}

#[test]
fn lower_layers_never_import_higher_ones() {
    for (room, below) in LAYERS {
        for file in files(room) {
            let source = fs::read_to_string(&file).expect("a source");
            for name in imports(&source) {
                let may = name == *room || below.contains(&name) || GROUND.contains(&name);
                assert!(may, "{}: src/{room} must not import {name}", file.display());
            }
        }
    }
}

#[test]
fn rows_know_no_path_no_process_and_no_clock() {
    for file in files("rows") {
        let source = fs::read_to_string(&file).expect("a source");
        for name in NOT_IN_ROWS {
            assert!(!source.contains(name), "{}: {name}", file.display());
        }
    }
}
