//! `bin/torture`: one fault to a subcommand. Each runs in a process of its own, says what it did in one line, and ends
//! non-zero if the cache did not keep its word.

mod allocation;
mod attack;
mod clock;
mod companions;
mod descriptors;
mod disk;
mod files;
mod forks;
mod io_errors;
mod kill;
mod power;
mod random;
mod shared;
mod soak;
mod storm;
mod vfs;
mod world;

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Parser, ValueEnum};

/// Durability and faults of the cache.
#[derive(Parser)]
struct Arguments {
    /// Which fault.
    fault: Option<Fault>,
    /// What to repeat a run with; random without it.
    #[arg(long)]
    seed: Option<u64>,
    /// A few seconds instead of minutes.
    #[arg(long)]
    short: bool,
    /// How long "soak" lasts, and each kind of "companions".
    #[arg(long)]
    minutes: Option<u64>,
    /// Of "companions" only the kinds that begin so, such as "Written"; may be repeated.
    #[arg(long)]
    kind: Vec<String>,
    /// List the faults.
    #[arg(long)]
    list: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Fault {
    /// kill -9 of 1 to 8 writing processes
    Kill,
    /// power loss at every write: what was not synced is lost, torn or reordered
    Power,
    /// the n-th I/O call fails, once and for good, for every n
    IoErrors,
    /// 64 processes with 8 threads each, and no error
    Storm,
    /// forks with threads running and in mid-transaction; who closes first; the locks of both sides
    Forks,
    /// a full disk, a read-only file system
    Disk,
    /// the n-th allocation of SQLite's fails, once and for good, for every n
    Allocation,
    /// no file descriptor left
    Descriptors,
    /// truncated, overwritten, empty and foreign files
    Files,
    /// the clock jumps
    Clock,
    /// other code in our process opens and closes our files
    Attack,
    /// processes write while their files are opened, copied, linked, read, deleted, replaced, written over or cut
    Companions,
    /// 8 processes of 2 threads write, and one of them is killed each second
    Soak,
}

/// How a fault is to be run.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) short: bool,
    pub(crate) minutes: Option<u64>,
    pub(crate) kinds: &'static [String],
}

/// What was done, or what went wrong.
pub(crate) type Outcome = Result<String, String>;

impl Fault {
    fn run(self, run: Run) -> Outcome {
        match self {
            Self::Kill => kill::run(run),
            Self::Power => power::run(run),
            Self::IoErrors => io_errors::run(run),
            Self::Storm => storm::run(run),
            Self::Forks => forks::run(run),
            Self::Disk => disk::run(run),
            Self::Allocation => allocation::run(run),
            Self::Descriptors => descriptors::run(run),
            Self::Files => files::run(run),
            Self::Clock => clock::run(run),
            Self::Attack => attack::run(run),
            Self::Companions => companions::run(run),
            Self::Soak => soak::run(run),
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let names = |fault: &Fault| fault.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    if arguments.list {
        for fault in Fault::value_variants() {
            let value = fault.to_possible_value();
            let help = value.as_ref().and_then(|value| value.get_help()).map(ToString::to_string).unwrap_or_default();
            println!("{:<12} {help}", names(fault));
        }
        return ExitCode::SUCCESS;
    }
    let Some(fault) = arguments.fault else {
        eprintln!("which fault? See --list.");
        return ExitCode::from(2);
    };
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_nanos() as u64;
    let seed = arguments.seed.unwrap_or(clock % 1_000_000_007);
    let name = names(&fault);
    let start = Instant::now();
    let run = Run { seed, short: arguments.short, minutes: arguments.minutes, kinds: arguments.kind.leak() };
    let outcome = catch_unwind(|| fault.run(run)).unwrap_or_else(|_| Err("a panic".into()));
    let seconds = start.elapsed().as_secs_f64();
    match outcome {
        Ok(done) => {
            println!("ok    {name:<12} {done}; {seconds:.1} s, seed {seed}");
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            let short = if arguments.short { " --short" } else { "" };
            println!("FAIL  {name:<12} {wrong}; after {seconds:.1} s; repeat: bin/torture {name} --seed {seed}{short}");
            ExitCode::FAILURE
        }
    }
}
