//! `include/vidcache.h` is what this crate's source says. To write it anew:
//! `VIDCACHE_WRITE_HEADER=1 cargo test -p vidcache-c`.

#![allow(clippy::expect_used)] // A test has nothing better to do.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;

use vidcache::{ErrorCode, Reason};

const HEAD: &str = "\
/**
 * @file vidcache.h
 * vidcache: may this page's HubSpot snippet name the user's email?
 *
 * An embedded identity cache in one SQLite file. Made of the library's source by cbindgen; do not edit.
 *
 * What holds for every function, with the reasons: docs/c-api.md.
 *
 * - It returns a vidcache_result: VIDCACHE_OK (0), or a code from 101 on that keeps its number for ever. What the
 *   failed call had to say: vidcache_last_error.
 * - Outputs come last and are written on success only. They must not be NULL.
 * - Texts are a pointer and a length in bytes, and need no NUL. An optional one is left out by NULL and 0.
 * - Every pointer is NULL (a code, if it may not be) or what its type says for as long as the call takes; the library
 *   keeps none. A pointer to const is not written through.
 * - Handles are freed by their _free, which takes the pointer's address and makes it NULL. Freeing NULL does nothing.
 * - Threads: any function may be called by any thread at any time, also on one handle, but for _free. Failures are kept
 *   by thread.
 * - Fork: a handle opened before a fork works in parent and child, each with connections of its own, made anew at its
 *   next call. Either may free its own without the other noticing. What a fork must not interrupt it waits for, so a
 *   fork may take as long as one write. Not in a signal handler.
 * - No function panics, throws or exits. An allocation of SQLite's that fails is a code; one of the library's own, of
 *   which none is larger than a small multiple of what the call was given, ends the process, as Rust's do.
 * - The file is the library's alone: no other SQLite may write to it. On Linux other code of the process may open, read
 *   and close it; elsewhere that drops SQLite's locks.
 */";

/// What a struct literal would be in a language that has one everywhere.
const USERS: &str = "\
/** The user whose key is an integer. */
static inline vidcache_user vidcache_user_id(int64_t id)
{
  vidcache_user user = {VIDCACHE_USER_ID, 0, NULL, 0};
  user.id = id;
  return user;
}

/** The user whose key is text of `len` bytes. It is not copied. */
static inline vidcache_user vidcache_user_text(const char *text, size_t len)
{
  vidcache_user user = {VIDCACHE_USER_TEXT, 0, NULL, 0};
  user.text = text;
  user.text_len = len;
  return user;
}
";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn header() -> String {
    let crate_dir = env!("CARGO_MANIFEST_DIR");
    let mut config = cbindgen::Config::from_file(format!("{crate_dir}/cbindgen.toml")).expect("cbindgen.toml");
    config.header = Some(HEAD.into());
    config.after_includes = Some(version() + &codes() + &reasons());
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in [
        "types",
        "error",
        "version",
        "text",
        "handle",
        "lookup",
        "page",
        "many",
        "record",
        "observe",
        "changes",
        "lists",
        "conflicts",
        "signature",
        "account",
        "maintenance",
        "work",
        "database",
        "exchange",
    ] {
        builder = builder.with_src(format!("{crate_dir}/src/{source}.rs"));
    }
    let mut text = Vec::new();
    builder.generate().expect("the source is understood").write(&mut text);
    let text = String::from_utf8(text).expect("UTF-8");
    // Before the first function: inside `extern "C"`, after the types.
    let (types, functions) =
        text.split_once("#ifdef __cplusplus\nextern \"C\" {\n#endif // __cplusplus\n").expect("the part for C++");
    let open = "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n";
    let text = format!("{types}{open}{USERS}{functions}");
    // C99 has these comments, but not in every compiler's pedantic mode.
    text.lines()
        .map(|line| {
            line.split("  // ").next().unwrap_or(line).replace("#endif // __cplusplus", "#endif").trim_end().to_owned()
                + "\n"
        })
        .collect()
}

fn version() -> String {
    let parts: Vec<&str> = env!("CARGO_PKG_VERSION").split('.').collect();
    let [major, minor, patch] = parts[..] else { panic!("a version has three numbers") };
    format!(
        "\n/** The version of the library that this header came with. */\n\
         #define VIDCACHE_VERSION \"{major}.{minor}.{patch}\"\n\
         #define VIDCACHE_VERSION_MAJOR {major}\n#define VIDCACHE_VERSION_MINOR {minor}\n#define VIDCACHE_VERSION_PATCH {patch}\n\
         /** What vidcache_abi_version() must return for a program that was built with this header. */\n\
         #define VIDCACHE_ABI_VERSION {}\n",
        env!("VIDCACHE_ABI_VERSION")
    )
}

/// The enum of the core's table, each with the comment that the table has for it.
fn codes() -> String {
    let source = include_str!("../../../src/error.rs");
    let mut text = String::from(
        "\n/** What went wrong. A number keeps its meaning for ever and is never used twice: 1xx the caller's input, 2xx what the rows, or \
         HubSpot, say\n * against it, 3xx the file at opening, 4xx while working, 5xx a defect of this library. */\nenum vidcache_code\n{\n  /** Nothing went wrong. */\n  VIDCACHE_OK = 0,\n",
    );
    for code in ErrorCode::ALL {
        let docs = documentation(source, &variant(code.name()));
        writeln!(text, "  /** {docs} */\n  {} = {},", constant(code), code.number()).expect("a String takes all");
    }
    // Neither C++ nor pedantic C before C23 minds, but C90 readers of the enum do.
    let text = text.trim_end().trim_end_matches(',').to_owned();
    text + "\n};\n"
}

/// A constant for each reason, with the comment that the table has for it.
fn reasons() -> String {
    let source = include_str!("../../../src/decision.rs");
    let mut text = String::new();
    for reason in Reason::ALL {
        let docs = documentation(source, &variant(reason.name()));
        let name = reason.name().to_uppercase();
        write!(text, "\n/** {docs} */\n#define VIDCACHE_REASON_{name} {}\n", reason.number())
            .expect("a String takes all");
    }
    text
}

/// `invalid_user_key` is `InvalidUserKey`.
fn variant(name: &str) -> String {
    name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

fn constant(code: &ErrorCode) -> String {
    format!("VIDCACHE_{}", code.name().to_uppercase())
}

/// The comment above a variant of `Error`, or of `Reason`.
fn documentation(source: &str, variant: &str) -> String {
    let (mut comment, mut in_attribute) = (String::new(), false);
    for line in source.lines().map(str::trim) {
        if in_attribute || line.starts_with("#[") {
            in_attribute = !line.ends_with(']');
        } else if let Some(text) = line.strip_prefix("/// ") {
            comment = comment + " " + text;
        } else if line.strip_prefix(variant).is_some_and(|rest| rest.starts_with([',', '(', ' ']))
            && !comment.is_empty()
        {
            return comment.trim().to_owned();
        } else if line.ends_with(['{', '}', ',', ';']) {
            comment.clear();
        }
    }
    panic!("{variant} has no comment")
}

#[test]
fn the_header_is_what_the_source_says() {
    let path = root().join("include/vidcache.h");
    let made = header();
    if std::env::var_os("VIDCACHE_WRITE_HEADER").is_some() {
        std::fs::write(&path, &made).expect("include/ is writable");
    }
    let kept = std::fs::read_to_string(&path).expect("include/vidcache.h");
    assert!(kept == made, "include/vidcache.h is stale: VIDCACHE_WRITE_HEADER=1 cargo test -p vidcache-c");
}

#[test]
fn every_code_and_reason_of_the_tables_is_in_the_header_with_its_number() {
    let kept = std::fs::read_to_string(root().join("include/vidcache.h")).expect("include/vidcache.h");
    for code in ErrorCode::ALL {
        assert!(kept.contains(&format!("  {} = {}", constant(code), code.number())), "{}", code.name());
    }
    for reason in Reason::ALL {
        let line = format!("#define VIDCACHE_REASON_{} {}\n", reason.name().to_uppercase(), reason.number());
        assert!(kept.contains(&line), "{line}");
    }
}

#[test]
fn the_list_of_symbols_is_the_header_s_functions() {
    let kept = std::fs::read_to_string(root().join("include/vidcache.h")).expect("include/vidcache.h");
    let declared: BTreeSet<&str> = kept
        .lines()
        .filter(|line| !line.starts_with([' ', '*', '/', '#']) && !line.starts_with("static") && line.contains('('))
        .filter_map(|line| line.split('(').next()?.rsplit([' ', '*']).next())
        .collect();
    let listed = std::fs::read_to_string(root().join("bindings/c/symbols.txt")).expect("symbols.txt");
    assert_eq!(declared, listed.lines().collect());
}

/// Each struct of a header whose fields are told, with them in their order, and its comments left out.
fn structs(header: &str) -> Vec<(&str, Vec<&str>)> {
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut inside = false;
    for line in header.lines() {
        if let Some(name) = line.strip_prefix("typedef struct ").and_then(|rest| rest.strip_suffix(" {")) {
            found.push((name, Vec::new()));
            inside = true;
        } else if line.starts_with('}') {
            inside = false;
        } else if inside && line.ends_with(';') && !line.trim().starts_with(['*', '/']) {
            found.last_mut().expect("inside one").1.push(line.trim());
        }
    }
    found
}

#[test]
fn the_structs_of_every_kept_header_are_what_today_s_begin_with() {
    let today = std::fs::read_to_string(root().join("include/vidcache.h")).expect("include/vidcache.h");
    let today = structs(&today);
    assert!(today.len() > 9, "the header is not understood: {today:?}");
    for kept in std::fs::read_dir(root().join("tests/c/headers")).expect("tests/c/headers") {
        let path = kept.expect("a folder").path().join("vidcache.h");
        for (name, fields) in structs(&std::fs::read_to_string(&path).expect("a header")) {
            let (_, now) = today.iter().find(|(each, _)| *each == name).unwrap_or_else(|| panic!("{name} is gone"));
            let may_grow = fields.first() == Some(&"size_t size;");
            let same = if may_grow { now.starts_with(&fields) } else { *now == fields };
            assert!(same, "{name} is not what it was in {}: docs/c-api.md, Linking", path.display());
        }
    }
}
