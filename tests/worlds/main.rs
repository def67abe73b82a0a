//! The promise, over worlds of several users: random walks against the library's public API on a real file, in a time
//! that the walk sets. docs/worlds.md says what is walked through and what is looked at.
//!
//! The short form is a part of `cargo test`; `bin/torture worlds` is the long one. A fault is shown with the fewest
//! steps that lead to it. `WORLD=name` takes the worlds with that in their names, `SEED=n` other dice, `WALKS=n` as
//! many walks, and `VARIANT=name` and `SHORTEN=1` the variants, `DIARY=1` shows what jobs did on the way to a fault.
#![allow(missing_docs)]

mod acts;
mod answer;
mod checks;
mod clock;
mod hubspot;
mod job;
mod page;
mod reconcile;
mod rules;
mod table;
mod variants;
mod walk;
mod world;

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use checks::Kind;
use rules::{Rules, Ways};
use table::WORLDS;
use variants::VARIANTS;
use walk::{Dice, Walks, walk};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/worlds.md");

/// Between these the document has the table.
const MARKS: [&str; 2] = ["<!-- worlds -->\n", "<!-- /worlds -->"];

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

fn worlds() -> Vec<(&'static str, Rules)> {
    let part = std::env::var("WORLD").unwrap_or_default();
    WORLDS.iter().copied().filter(|(name, _)| name.contains(&part)).collect()
}

/// Does each piece of work on the next free processor, and returns what came of them in their order.
fn everywhere<T: Send>(pieces: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let piece = next.fetch_add(1, Ordering::Relaxed);
                    if piece >= pieces {
                        break;
                    }
                    let came = work(piece);
                    done.lock().expect("no panic before").push((piece, came));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no panic before");
    done.sort_by_key(|(piece, _)| *piece);
    done.into_iter().map(|(_, came)| came).collect()
}

/// Walks through every world; returns the table, and the faults with the shortest ways to them.
fn survey(walks: u64, seed: u64) -> (String, String) {
    let worlds = worlds();
    let all = everywhere(worlds.len(), |at| {
        let (_, rules) = worlds[at];
        let mut dice = Dice::new(seed.wrapping_mul(1000) + at as u64);
        let mut came = Walks::default();
        for _ in 0..walks {
            walk(rules, Ways::OURS, &[], &mut dice, &mut came);
        }
        let told = came.told(rules, Ways::OURS, true);
        (came, told)
    });
    let (mut table, mut faults) = (String::new(), String::new());
    let _ = writeln!(table, "| world | walks | steps | S1 | S2 | S3 | D | L | excused |");
    let _ = writeln!(table, "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for ((name, _), (came, told)) in worlds.iter().zip(all) {
        let _ = write!(table, "| {name} | {} | {} |", came.walks, came.steps);
        for kind in Kind::ALL {
            let _ = write!(table, " {} |", came.count(kind));
        }
        let _ = writeln!(table, " {} |", came.excused);
        if !told.is_empty() {
            let _ = writeln!(faults, "{name}:\n{told}");
        }
    }
    (table, faults)
}

#[test]
fn no_walk_through_any_world_breaks_the_promise() {
    let (table, faults) = survey(setting("WALKS", 30), setting("SEED", 1));
    println!("{table}\n{faults}");
    assert!(faults.is_empty(), "{faults}");
}

/// A proof that cannot fail proves nothing.
#[test]
fn every_weaker_variant_is_found() {
    let part = std::env::var("VARIANT").unwrap_or_default();
    let variants: Vec<_> = VARIANTS.iter().filter(|variant| variant.name.contains(&part)).collect();
    let found: Vec<_> = everywhere(variants.len(), |at| {
        let variant = variants[at];
        let mut dice = Dice::new(setting("SEED", 1));
        let mut came = Walks::default();
        while came.walks < 600 {
            walk(variant.rules, variant.ways, variant.from, &mut dice, &mut came);
            came.found.retain(|fault, _| fault.to_string().starts_with(variant.fault));
            if !came.found.is_empty() {
                return (variant.name, came.walks, came.told(variant.rules, variant.ways, setting("SHORTEN", 0) == 1));
            }
        }
        (variant.name, came.walks, String::new())
    });
    for (name, walks, told) in &found {
        println!("{name}, after {walks} walks:\n{told}");
    }
    let blind: Vec<_> = found.iter().filter(|(_, _, told)| told.is_empty()).map(|(name, ..)| name).collect();
    assert!(blind.is_empty(), "the walks do not see what is wrong with {blind:?}");
}

/// The long form: other dice all the time, for `SECONDS_OF_WALKS` seconds.
#[test]
#[ignore = "it walks for an hour; bin/torture worlds"]
fn no_walk_of_an_hour_breaks_the_promise() {
    let end = Instant::now() + Duration::from_secs(setting("SECONDS_OF_WALKS", 3600));
    let mut seed = setting("SEED", std::process::id().into());
    let (first, mut rounds) = (seed, 0);
    while Instant::now() < end {
        let (table, faults) = survey(setting("WALKS", 40), seed);
        assert!(faults.is_empty(), "SEED={seed}\n{table}\n{faults}");
        (seed, rounds) = (seed + 1, rounds + 1);
    }
    println!("worlds: {} worlds, {rounds} rounds of walks from seed {first}: no fault", worlds().len());
}

/// `cargo test --release --test worlds -- --ignored the_table` writes docs/worlds.md anew; `WALKS=n` walks a world.
#[test]
#[ignore = "it writes docs/worlds.md"]
fn the_table_of_worlds_is_written() {
    let (table, faults) = survey(setting("WALKS", 2000), setting("SEED", 1));
    assert!(faults.is_empty(), "{table}\n{faults}");
    let document = std::fs::read_to_string(DOCUMENT).expect("the document");
    let (before, rest) = document.split_once(MARKS[0]).expect("where the table begins");
    let (_, after) = rest.split_once(MARKS[1]).expect("where the table ends");
    std::fs::write(DOCUMENT, [before, MARKS[0], &table, MARKS[1], after].concat()).expect("written");
}

#[test]
fn the_document_has_every_world_and_no_fault() {
    let document = std::fs::read_to_string(DOCUMENT).expect("the document");
    for (name, _) in WORLDS {
        let row = document.lines().find(|line| line.starts_with(&format!("| {name} |")));
        let row = row.unwrap_or_else(|| panic!("docs/worlds.md has no row of the world {name:?}"));
        let faults: Vec<_> = row.split('|').map(str::trim).skip(4).take(5).collect();
        assert_eq!(faults, ["0"; 5], "{row}");
    }
}
