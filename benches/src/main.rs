//! What `bin/bench` measures in Rust, and the report of it all.
//!
//!     vidcache-bench measure FOLDER FACTS [--quick]   measures; files go to FOLDER, facts to FACTS
//!     vidcache-bench count FILE [WHAT]                counts the instructions of calls; makes the file if need be
//!     vidcache-bench report FACTS… --docs FOLDER      judges the facts; writes the table, the chart, the JSON
//!
//! With another first argument (`child-…`) it is one of the other processes of a measurement.

#![allow(clippy::expect_used)] // A measurement that fails has nothing better to do than to say so.

mod c_library;
mod chart;
mod child;
mod count;
mod fact;
mod files;
mod keys;
mod lookups;
mod measure;
mod parsing;
mod report;
mod table;
mod writes;

use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use vidcache::{Options, Vidcache};

use fact::Fact;
use files::Keys;
use keys::{HOT, PORTAL, SECRET};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// One run: where its files are, how long it may take, and where its facts go.
struct Run {
    folder: PathBuf,
    quick: bool,
    /// Users in the file that look-ups from memory use.
    users: usize,
    facts: RefCell<File>,
}

impl Run {
    /// Users in the file that is filled, weighed and opened.
    fn large(&self) -> usize {
        if self.quick { 1_000_000 } else { 10_000_000 }
    }

    fn rounds(&self, of_a_quick_run: usize) -> usize {
        if self.quick { of_a_quick_run } else { of_a_quick_run * 2 + 1 }
    }

    fn fact(&self, fact: Fact) {
        writeln!(self.facts.borrow_mut(), "{}", fact.line()).expect("the facts' file takes a line");
    }
}

/// With the options that an app would have.
fn open(path: &Path) -> vidcache::Result<Vidcache> {
    Vidcache::open(path, PORTAL, &Options { secret: Some(SECRET), ..Options::default() })
}

fn measure(folder: &Path, facts: &Path, quick: bool) -> Result<()> {
    let facts = RefCell::new(File::create(facts)?);
    let run = Run { folder: folder.into(), quick, users: 1_000_000, facts };
    let step = |name: &str| eprintln!("bench: {name}");

    step("reading what HubSpot says");
    parsing::run(&run)?;
    step("filling files");
    let ints = files::fill(&run, Keys::Int, run.users)?;
    let uuids = files::fill(&run, Keys::Uuid, run.users)?;
    let users = keys::some_of(run.users, HOT);
    keys::write_for_others(&folder.join("hot-users"), &users)?;
    let large = if run.large() == run.users { ints.clone() } else { files::fill(&run, Keys::Int, run.large())? };
    if run.large() != run.users {
        std::fs::remove_file(files::fill(&run, Keys::Uuid, run.large())?)?;
    }

    step("look-ups from memory, and from LMDB and redb");
    lookups::run(&run, &ints, &users)?;
    step("the same through the C library");
    c_library::run(&run, &ints, &users)?;
    step("look-ups from the file");
    files::miss(&run, "miss_1m", &ints, run.users)?;
    if large != ints {
        files::miss(&run, "miss_10m", &large, run.large())?;
    }
    step("opening");
    files::open_first(&run, &large, run.large())?;

    // The other languages read the same files afterwards, so writes go to another.
    let written = folder.join("written.vidcache");
    std::fs::copy(&ints, &written)?;
    step("look-ups while another process writes");
    writes::resolve_under_writes(&run, &written)?;
    step("writes");
    writes::one_writer(&run, &written)?;
    writes::eight_threads(&run, &written)?;
    writes::four_writers(&run, &written)?;

    std::fs::rename(&ints, folder.join("int.vidcache"))?;
    std::fs::rename(&uuids, folder.join("uuid.vidcache"))?;
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let path = |at: usize| Path::new(arguments.get(at).map_or("", String::as_str));
    let rest = arguments.get(2..).unwrap_or_default();
    let result = match arguments.first().map(String::as_str) {
        Some("measure") => measure(path(1), path(2), arguments.iter().any(|argument| argument == "--quick")),
        Some("report") => report::run(&arguments[1..]),
        Some("count") => count::run(path(1), rest.first().map(String::as_str)),
        Some("child-count") => count::child(path(1), rest),
        Some("child-fill") => files::child_fill(path(1), rest),
        Some("child-open") => files::child_open(path(1), rest),
        Some("child-write") => writes::child_write(path(1), rest),
        Some("child-pace") => writes::child_pace(path(1), rest),
        _ => Err("see the head of benches/src/main.rs".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
