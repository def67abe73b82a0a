//! `vidcache-fleet FAULT [--seed N] [--minutes N] [--kind WORD] [--short]`: what `bin/torture` runs where several hosts
//! are meant.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use vidcache_fleet::Server;
use vidcache_fleet::rig::{self, Harm, Run, Variant};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(first) = args.first() else { return ExitCode::from(2) };
    match first.as_str() {
        "web" | "worker" => {
            rig::be(first, &args[1..]);
            ExitCode::from(2)
        }
        "fleet" => fleet(&args[1..]),
        "fleet-faults" => faults(&args[1..]),
        _ => ExitCode::from(2),
    }
}

fn number(args: &[String], name: &str) -> Option<u64> {
    let at = args.iter().position(|arg| arg == name)?;
    args.get(at + 1)?.parse().ok()
}

/// The design for as long as is asked, then each weaker variant until it is caught.
fn fleet(args: &[String]) -> ExitCode {
    let Some(server) = Server::own(&["max_connections=150"]) else { return ExitCode::SUCCESS };
    let replica = server.standby(&["recovery_min_apply_delay=3s"]);
    let (seed, length) = of(args, 15);
    let design = Run { seed, length, users: 2_000, web: 6, workers: 2, variant: Variant::Design, harm: Harm::Hosts };
    let weaker = Variant::WEAKER.map(|variant| Run {
        length: Duration::from_secs(120),
        users: 30,
        web: 2,
        workers: 1,
        variant,
        harm: Harm::None,
        ..design
    });
    let only = kind(args);
    let mut right = true;
    for run in [design].into_iter().chain(weaker) {
        if only.is_some_and(|only| !run.variant.name().starts_with(only.as_str())) {
            continue;
        }
        right &= report("fleet", run.variant.name(), &server, (Some(&replica), None), &run);
    }
    ExitCode::from(u8::from(!right))
}

/// The design while something else breaks.
fn faults(args: &[String]) -> ExitCode {
    let (seed, length) = of(args, 5);
    let only = kind(args);
    let failover = |lag, doubt| Harm::Failover { lag, doubt };
    let kinds = [
        ("network", "on", Harm::Network),
        ("server", "on", Harm::Server),
        ("server-asynchronous", "off", Harm::Server),
        ("failover-within-quiet", "on", failover(500, false)),
        ("failover-doubted", "on", failover(4_000, true)),
        ("failover-beyond-quiet", "on", failover(4_000, false)),
    ];
    let mut right = true;
    for (name, synchronous, harm) in kinds {
        if only.is_some_and(|only| !name.starts_with(only.as_str())) {
            continue;
        }
        let synchronous = format!("synchronous_commit={synchronous}");
        let Some(server) = Server::own(&["max_connections=150", &synchronous]) else { return ExitCode::SUCCESS };
        let standby = matches!(harm, Harm::Failover { .. }).then(|| server.standby(&[]));
        // A failover happens once.
        let length =
            if standby.is_some() { length.clamp(Duration::from_secs(8), Duration::from_secs(20)) } else { length };
        let run = Run { seed, length, users: 100, web: 3, workers: 2, variant: Variant::Design, harm };
        right &= report("fleet-faults", name, &server, (None, standby.as_ref()), &run);
    }
    ExitCode::from(u8::from(!right))
}

/// The only kinds that are wanted: those whose names begin so.
fn kind(args: &[String]) -> Option<&String> {
    args.iter().position(|arg| arg == "--kind").and_then(|at| args.get(at + 1))
}

fn of(args: &[String], short: u64) -> (u64, Duration) {
    let seed = number(args, "--seed").unwrap_or_else(|| fastrand::u64(..1_000_000));
    let length = match number(args, "--minutes") {
        Some(minutes) => 60 * minutes,
        None if args.iter().any(|arg| arg == "--short") => short,
        None => 3600,
    };
    (seed, Duration::from_secs(length))
}

/// Runs it, and says in a line what came of it: whether that is right.
fn report(
    fault: &str,
    name: &str,
    server: &Server,
    (replica, standby): (Option<&Server>, Option<&Server>),
    run: &Run,
) -> bool {
    let (began, program) = (Instant::now(), std::env::current_exe().expect("this program"));
    let outcome = rig::run(&program, server, replica, standby, run).expect("run");
    let right = if run.is_to_fail() { outcome.wrong() > 0 } else { outcome.is_right() };
    let (word, seconds) = (if right { "ok    " } else { "FAILED" }, began.elapsed().as_secs());
    println!("{word} {fault} {name}, --seed {}, {seconds} s: {outcome}", run.seed);
    right
}
