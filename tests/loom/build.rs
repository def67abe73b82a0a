//! Makes modules of the library's own `src/sequence.rs`: one as it is, with loom's atomics for std's, and one for each
//! ordering in it, weakened.

use std::path::Path;
use std::{env, fs};

/// What is taken out or weakened: the module's name, the text as it stands in the source, and what takes its place.
const WEAKENED: &[(&str, &str, &str)] = &[
    ("first_load_relaxed", "self.0.load(Ordering::Acquire)", "self.0.load(Ordering::Relaxed)"),
    ("no_fence_of_the_reader", "fence(Ordering::Acquire);", ""),
    ("no_second_look", "& (self.0.load(Ordering::Relaxed) == before)", ""),
    ("odd_is_read", "(before & 1 == 0) &", ""),
    ("no_fence_of_the_writer", "fence(Ordering::Release);", ""),
    (
        "last_store_relaxed",
        "self.0.store(before.wrapping_add(2), Ordering::Release)",
        "self.0.store(before.wrapping_add(2), Ordering::Relaxed)",
    ),
];

fn main() {
    let path = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("set by cargo")).join("../../src/sequence.rs");
    println!("cargo::rerun-if-changed={}", path.display());
    println!("cargo::rerun-if-changed=build.rs");
    let source = fs::read_to_string(&path).expect("src/sequence.rs");
    let once = |source: &str, from: &str, to: &str| {
        assert_eq!(source.matches(from).count(), 1, "src/sequence.rs has not exactly one `{from}`");
        source.replace(from, to)
    };
    let source = once(&source, "use std::sync::atomic::", "use loom::sync::atomic::");
    // Loom's atomics are made at run time.
    let source = once(&source, "pub(crate) const fn new()", "pub(crate) fn new()");
    // The head's comment is of the file.
    let source: String =
        source.lines().filter(|line| !line.starts_with("//!")).map(|line| format!("{line}\n")).collect();
    let mut modules = format!("pub(crate) mod as_it_is {{\n{source}\n}}\n");
    for (name, from, to) in WEAKENED {
        let weaker = once(&source, from, to).replace(
            "use loom::sync::atomic::{AtomicU32, Ordering, fence};",
            "#[allow(unused_imports)]\nuse loom::sync::atomic::{AtomicU32, Ordering, fence};",
        );
        modules +=
            &format!("#[allow(clippy::nonminimal_bool, unused_parens)]\npub(crate) mod {name} {{\n{weaker}\n}}\n");
    }
    fs::write(Path::new(&env::var("OUT_DIR").expect("set by cargo")).join("sequence.rs"), modules).expect("written");
}
