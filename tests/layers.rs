//! Lower layers never import higher ones: held against the sources themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of `src/` and what each may stand on, besides the ground: what everything may import.
const LAYERS: &[(&str, &[&str])] = &[
    ("rows", &["decision"]),
    ("file", &["rows"]), // The schema that a new file gets.
    ("hot", &["decision"]),
    ("store", &["decision", "file", "hot", "rows"]),
    ("database", &["rows"]), // Beside the file and its store, never on them.
    ("hubspot", &[]),
    ("decision", &[]),
    ("snippet", &["decision"]),
];
const GROUND: &[&str] = &["cancel", "email", "error", "event", "identity", "limits", "refusal", "sequence"];

/// The circle that there is, on purpose, by crate: an error names ids.
const CIRCLES: &[(&str, &[&str])] = &[("src", &["error", "identity"])];

/// What `database` must not do: its text goes out and comes in by the app's own client.
const NOT_IN_DATABASE: &[&str] = &["std::fs", "std::net", "std::process", "std::thread", "SystemTime", "Instant"];

/// What `rows` must not know either: a path, a process, a clock.
const NOT_IN_ROWS: &[&str] = &["std::fs", "std::path", "std::process", "std::thread", "SystemTime", "Instant"];

/// Every Rust source below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
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
    found
}

/// The files of a room: `src/NAME.rs` and all of `src/NAME/` but its tests.
fn files(room: &str) -> Vec<PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = sources(&src.join(room));
    found.retain(|file| !file.iter().any(|part| part == "tests"));
    found.extend(Some(src.join(format!("{room}.rs"))).filter(|file| file.exists()));
    assert!(!found.is_empty(), "there is no src/{room}");
    found
}

/// The lines of a source that are neither comments nor its tests.
fn code(source: &str) -> impl Iterator<Item = &str> {
    let code = source.split("]\nmod tests {").next().unwrap_or(source);
    code.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// The rooms that a source names by `crate::`, outside its tests.
fn imports(source: &str) -> BTreeSet<&str> {
    code(source)
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
    for (room, names) in [("rows", NOT_IN_ROWS), ("database", NOT_IN_DATABASE)] {
        for file in files(room) {
            let source = fs::read_to_string(&file).expect("a source");
            for name in names {
                assert!(!source.contains(name), "{}: {name}", file.display());
            }
        }
    }
}

/// Which module a source is, by its path below the root: `hubspot/response.rs` is `["hubspot", "response"]`, the root's
/// own `lib.rs` or `main.rs` is the empty one.
type Module = Vec<String>;

/// Every module below `root`, without tests.
fn modules(root: &Path) -> BTreeMap<Module, PathBuf> {
    let mut found = BTreeMap::new();
    for file in sources(root) {
        let path = file.strip_prefix(root).expect("below the root").with_extension("");
        let mut module: Module = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if module.last().is_some_and(|name| matches!(name.as_str(), "mod" | "lib" | "main")) {
            module.pop();
        }
        if !module.iter().any(|name| matches!(name.as_str(), "tests" | "bad_input")) {
            found.insert(module, file);
        }
    }
    found
}

/// The paths of a use tree: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(tree: &str) -> Vec<String> {
    let (mut branches, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in tree.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                branches.push(&tree[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    branches.push(&tree[start..]);
    let branches = branches.into_iter().map(str::trim).filter(|branch| !branch.is_empty());
    branches
        .flat_map(|branch| match branch.split_once('{') {
            None => vec![branch.to_owned()],
            Some((stem, rest)) => {
                let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
                expand(inner).into_iter().map(|path| format!("{stem}{path}")).collect()
            }
        })
        .collect()
}

/// The modules that `module` names, of those that there are.
fn named(module: &Module, source: &str, all: &BTreeMap<Module, PathBuf>) -> BTreeSet<Module> {
    let code: String = code(source).flat_map(|line| [line, "\n"]).collect();
    let mut paths = Vec::new();
    for (at, part) in code.split("use ").enumerate() {
        let (tree, rest) = if at == 0 { ("", part) } else { part.split_once(';').unwrap_or((part, "")) };
        paths.extend(expand(tree));
        let words = rest.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        paths.extend(words.filter(|word| word.contains("::")).map(str::to_owned));
    }
    let mut found = BTreeSet::new();
    for path in paths {
        let mut parts = path.split("::").map(|part| part.trim().to_owned()).peekable();
        let mut from = match parts.peek().map(String::as_str) {
            Some("crate") => Module::new(),
            _ => module.clone(),
        };
        while let Some(word) = parts.next_if(|part| matches!(part.as_str(), "crate" | "self" | "super")) {
            if word == "super" {
                from.pop();
            }
        }
        // Of `crate::rows::learn::tell` the longest part that is a module; the root is everybody's.
        let mut path: Module = from.iter().cloned().chain(parts).collect();
        while !path.is_empty() && (!all.contains_key(&path) || path.len() < from.len()) {
            path.pop();
        }
        if !path.is_empty() && path != *module {
            found.insert(path);
        }
    }
    found
}

/// Whether a path of arrows leads from one module to the other.
fn leads(arrows: &BTreeMap<Module, BTreeSet<Module>>, from: &Module, to: &Module) -> bool {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(module) = next.pop() {
        for other in arrows.get(module).into_iter().flatten() {
            if other == to {
                return true;
            }
            if seen.insert(other) {
                next.push(other);
            }
        }
    }
    false
}

#[test]
fn no_module_stands_on_one_that_stands_on_it() {
    for root in ["src", "bindings/c/src", "bindings/uniffi/src", "ruby/ext/vidcache/src", "benches/src"] {
        let all = modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join(root));
        let arrows: BTreeMap<Module, BTreeSet<Module>> = all
            .iter()
            .map(|(module, file)| (module.clone(), named(module, &fs::read_to_string(file).expect("a source"), &all)))
            .collect();
        let circles: BTreeSet<String> =
            all.keys().filter(|module| leads(&arrows, module, module)).map(|module| module.join("::")).collect();
        let allowed: BTreeSet<String> = CIRCLES
            .iter()
            .filter(|(of, _)| *of == root)
            .flat_map(|(_, names)| *names)
            .map(|&name| name.into())
            .collect();
        assert_eq!(circles, allowed, "{root}");
    }
}
